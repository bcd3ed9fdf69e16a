"""The Gaussian model: a Gaussian process fitted from noisy, incomplete data, exact denoiser at any level vector.

Covariance of the clean signal between variable c at time t and variable d at time u:

    k((t, c), (u, d)) = sum_q B_q[c, d] rho_q(|t - u|),     B_q = A_q A_q^T + diag(b_q)

with rho_q from a short list: exponentials and Matern-3/2 of several length scales, damped cosines; and a white part
for each variable alone. B_q is diagonal where variables are kept apart. Long scales carry the wandering of levels, one
of a thousand windows the level itself, cosines the seasons; every rho_q is Markov, so that variables kept apart have a
state-space form of linear cost (statespace.py). The mean is linear in the covariates. All parameters maximise the
likelihood of the noisy data with their known risks, stopped by the likelihood of held-out windows (gaussian_fit.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from torch import Tensor, nn

from rstime.belief import COSINES, LEVEL_FLOOR, PARTS, VARIANCE_FLOOR
from rstime.belief import Belief as Belief
from rstime.belief import Conditioned as Conditioned
from rstime.belief import update as update
from rstime.correlation import Correlation, Parts
from rstime.statespace import Chain, Smoother
from rstime.tokens import Tokens

LAG_STEP = 0.25  # steps between the lags of the table


class GaussianModel(nn.Module):
    """Multivariate Gaussian process with a fixed list of stationary correlations.

    Parameters
    ----------
    channels, covariates
        Number of variables and of covariates.
    window
        Length of a window in steps; the length scales and periods start from it.
    rank
        Rank of the coregionalisation matrices; min(channels, 8) by default.
    joint
        Whether variables are correlated; False keeps each channel to itself, at a cost linear in their number.
    correlated
        By channel the shares of the noise's variance that last, and their memories in steps; none where all is white.
        Levels of `condition` are of white noise nevertheless (`rstime.correlation.remove_errors`).
    """

    def __init__(
        self,
        channels: int,
        covariates: int,
        window: float,
        rank: int | None = None,
        joint: bool = True,
        correlated: Parts = (),
    ):
        super().__init__()
        self.channels, self.joint = channels, joint
        rank = min(channels, 8) if rank is None else rank
        periods = [window / 2 ** (i + 0.5) for i in range(COSINES)]
        self.exponentials = 5
        self.materns = 3
        self.cosines = len(periods)
        scales = [
            *(window * x for x in (0.02, 0.12, 0.6, 8.0, 1000.0)),
            *(window * x for x in (0.06, 0.25, 1.5)),
            *(4 * window,) * len(periods),
        ]
        q = len(scales)
        self.log_scale = nn.Parameter(torch.tensor(scales, dtype=torch.float64).log())
        self.log_period = nn.Parameter(torch.tensor(periods, dtype=torch.float64).log())
        share = torch.full((q,), 0.3 / q)
        share[2] += 0.3
        share[1] += 0.2
        factor = 0.1 * torch.randn(q, channels, rank, generator=torch.Generator().manual_seed(0))
        self.loading = nn.Parameter(factor * share[:, None, None].sqrt())
        self.log_own = nn.Parameter((0.9 * share)[:, None].expand(q, channels).log().clone())
        self.log_white = nn.Parameter(torch.full((channels,), math.log(0.05)))
        self.weight = nn.Parameter(torch.zeros(1 + covariates, channels))
        shares = Correlation.of(correlated)
        self.register_buffer("share", shares.share, persistent=False)
        self.register_buffer("memory", shares.memory, persistent=False)
        self._table: tuple[int, Tensor] | None = None  # with the versions of the parameters it was made from
        self._last: tuple[Tokens, int, Tensor, Tensor] | None = None
        self.double()

    @property
    def correlation(self) -> Correlation | None:
        """How long errors of measurements last, in float64; None where they do not."""
        share, memory = self.get_buffer("share"), self.get_buffer("memory")
        return Correlation(share.double(), memory.double()) if share.numel() else None

    def whiten(self, variance: float = 1.0) -> None:
        """Make the model white, in place: EDM's scalars for data of this variance, in sd squared."""
        with torch.no_grad():
            self.loading.zero_()
            self.log_own.fill_(-math.inf)
            self.log_white.fill_(math.log(variance))

    # ---- covariance and mean -------------------------------------------------------------------------------------

    def correlations(self, lag: Tensor) -> Tensor:
        """Return rho_q, (Q, ...), of all components but the white one at lags (...) in steps."""
        e, k = self.exponentials, self.exponentials + self.materns
        scale = self.log_scale.exp().to(lag.dtype).reshape(-1, *(1,) * lag.ndim)
        period = self.log_period.exp().to(lag.dtype).reshape(-1, *(1,) * lag.ndim)
        matern = math.sqrt(3) * lag / scale[e:k]
        return torch.cat(
            [
                torch.exp(-lag / scale[:e]),
                (1 + matern) * torch.exp(-matern),
                torch.exp(-lag / scale[k:]) * torch.cos(2 * math.pi * lag / period),
            ]
        )

    def coregionalisation(self) -> Tensor:
        """Return B_q, (Q, C, C)."""
        own = torch.diag_embed(self.log_own.exp())
        return own + self.loading @ self.loading.mT if self.joint else own

    def covariance(self, tokens: Tokens) -> Tensor:
        """Return the (B, N, N) prior covariance of the tokens, in the dtype of their time.

        Where stamps are on a grid few lags occur again and again: each is computed once, with its gradient.
        """
        lag, pairs = _lags(tokens, tokens, self.channels)
        white = torch.diag_embed(self.white(tokens, lag.dtype))
        place = lag / LAG_STEP
        length = int(place.max()) + 1
        if length * self.channels**2 < lag.numel() and bool((place == place.round()).all()):
            grid = torch.arange(length, dtype=lag.dtype, device=lag.device) * LAG_STEP
            table = torch.einsum("qcd,ql->cdl", self.coregionalisation().to(lag.dtype), self.correlations(grid))
            return table.flatten().gather(0, (pairs * length + place.long()).flatten()).reshape(lag.shape) + white
        same = tokens.channel[:, :, None] == tokens.channel[:, None, :]
        each = self.log_own.exp().to(lag.dtype)[:, tokens.channel][..., None] * same  # (Q, B, N, N)
        if self.joint:
            loading = self.loading.to(lag.dtype)[:, tokens.channel]
            each = each + loading @ loading.mT
        return (each * self.correlations(lag)).sum(0) + white

    def white(self, tokens: Tokens, dtype: torch.dtype) -> Tensor:
        """Return the (B, N) variance of the white component."""
        return self.log_white.exp().to(dtype)[tokens.channel]

    def between(self, tokens: Tokens, others: Tokens) -> Tensor:
        """Return the (B, N, M) prior covariance with other tokens, the white part left out.

        Correlations are read from a table over lags, linearly between them. The linear interpolation of a positive
        definite sequence is positive definite: its spectrum is that of the sequence times sinc^2.
        """
        lag, pairs = _lags(tokens, others, self.channels)
        rho = self._tabulated(lag)
        table = torch.einsum("qcd,ql->cdl", self.coregionalisation().to(lag.dtype), rho)
        return _read(table.flatten()[None], lag, pairs * rho.shape[-1])[0]

    def along(self, tokens: Tokens, others: Tokens) -> Tensor:
        """Return the (Q, B, U, T) correlations between the T stamps of tokens and the U stamps of others."""
        lag = (others.stamps[1][:, :, None] - tokens.stamps[1][:, None, :]).abs()
        return _read(self._tabulated(lag), lag)

    def shares(self, rho: Tensor, tokens: Tokens, others: Tokens, a: Tensor) -> Tensor:
        """Return K_p a, (P, S, B, M), at other tokens for (S, B, N) weights, by group p of components.

        Each component is a correlation between stamps, rho as `along` gives it, times a matrix between variables: the
        sum over tokens is one along each, and the same as with the covariances `between` them.
        """
        row, column = (one.stamps[0] * self.channels + one.channel for one in (tokens, others))
        grid = a.new_zeros(*a.shape[:2], rho.shape[-1] * self.channels).scatter_add(-1, row.expand(a.shape), a)
        grid = rearrange(grid, "s b (t c) -> b t (s c)", c=self.channels)
        result = a.new_zeros(PARTS, *rho.shape[1:3], *(len(a), self.channels))
        for group, r, b in zip(self.groups, rho, self.coregionalisation().to(a.dtype), strict=True):
            result[group] += (r @ grid).unflatten(-1, (len(a), -1)) @ b
        result = rearrange(result, "p b u s c -> p s b (u c)")
        return result.gather(-1, column.expand(*result.shape[:3], -1))

    def _tabulated(self, lag: Tensor) -> Tensor:
        """Return a (Q, L) table of the correlations that reaches beyond these lags; the last is kept."""
        version = sum(p._version for p in self.parameters())
        length = int(lag.max() / LAG_STEP) + 2 if lag.numel() else 2
        if self._table is not None and self._table[0] == version:
            table = self._table[1]
            if table.shape[-1] >= length and table.dtype == lag.dtype and table.device == lag.device:
                return table
        table = self.correlations(torch.arange(length, dtype=lag.dtype, device=lag.device) * LAG_STEP)
        if not table.requires_grad:
            self._table = version, table
        return table

    @property
    def groups(self) -> Tensor:
        """(Q,) group of each component: fast, medium and slow ones, then each cosine."""
        return torch.tensor([0, 0, 1, 2, 2, 0, 1, 2, *(3 + i for i in range(self.cosines))])

    def variance(self) -> Tensor:
        """Return the prior variance of each channel, (C,)."""
        return self.coregionalisation().diagonal(dim1=-2, dim2=-1).sum(0) + self.log_white.exp()

    def mean(self, tokens: Tokens) -> Tensor:
        """Return the (B, N) prior mean of the tokens."""
        one = torch.ones_like(tokens.covariates[..., :1])
        features = torch.cat([one, tokens.covariates], -1)
        weight = self.weight.to(features.dtype)[:, tokens.channel]  # (1 + K, B, N)
        return torch.einsum("bnk,kbn->bn", features, weight)

    # ---- likelihood ----------------------------------------------------------------------------------------------

    def negative_log_likelihood(self, tokens: Tokens, value: Tensor, risk: Tensor) -> Tensor:
        """Return the mean over windows of -log p(y) per measurement, in nats, for (B, N) values with their risks.

        Risks count as at least LEVEL_FLOOR; values and risks of padding are not read.
        """
        root = torch.where(tokens.exists, 1 / risk.square().clamp_min(LEVEL_FLOOR**2), 0.0).sqrt()
        correlation = self.correlation
        noise = torch.eye(risk.shape[-1], dtype=risk.dtype) if correlation is None else correlation.matrix(tokens, risk)
        chol = torch.linalg.cholesky(noise + root[:, :, None] * self.covariance(tokens) * root[:, None, :])
        white = torch.linalg.solve_triangular(
            chol, (root * (value - self.mean(tokens)).masked_fill(~tokens.exists, 0.0))[..., None], upper=False
        )
        logdet = chol.diagonal(dim1=-2, dim2=-1).log().sum(-1) - root.masked_fill(root == 0, 1.0).log().sum(-1)
        count = tokens.exists.sum(-1).clamp_min(1)
        nll = (0.5 * white.square().sum((-2, -1)) + logdet) / count + 0.5 * math.log(2 * math.pi)
        return nll.mean()  # type: ignore[no-any-return]

    # ---- conditioning --------------------------------------------------------------------------------------------

    def condition(self, tokens: Tokens, tau: Tensor) -> Conditioned:
        """Condition on tokens measured at levels tau, (B, N), in sd; inf where there is no measurement.

        Levels below LEVEL_FLOOR count as that floor.
        Joint models factorise the covariance of the tokens; models of separate channels smooth along time.
        """
        return self.factorise(tokens, tau) if self.joint else Smoother(self.chain(), self.mean, tokens, tau)

    def factorise(self, tokens: Tokens, tau: Tensor) -> Factor:
        """Factorise the covariance of tokens measured at levels tau, at a cost cubic in their number."""
        k, rho = self.own(tokens)
        root = (1 / tau.clamp_min(LEVEL_FLOOR)).masked_fill(~tokens.exists, 0.0)
        b = root[:, :, None] * k * root[:, None, :]
        b.diagonal(dim1=-2, dim2=-1).add_(1.0)
        return Factor(self, tokens, self.mean(tokens), k, rho, root, torch.cholesky_inverse(torch.linalg.cholesky(b)))

    def own(self, tokens: Tokens) -> tuple[Tensor, Tensor]:
        """Return the covariance of tokens, and the correlations of their stamps; those last asked for are kept."""
        version = sum(p._version for p in self.parameters())
        last = self._last
        if last is not None and last[0] is tokens and last[1] == version:
            return last[2], last[3]
        rho = self.along(tokens, tokens)
        k = self.between(tokens, tokens)
        k.diagonal(dim1=-2, dim2=-1).add_(self.white(tokens, k.dtype))
        if not k.requires_grad:
            self._last = tokens, version, k, rho
        return k, rho

    def chain(self) -> Chain:
        """Return the state-space form of a model of separate channels, in float64."""
        e, k = self.exponentials, self.exponentials + self.materns
        scale = self.log_scale.double().exp()
        amplitude, white = self.log_own.double().exp().sqrt(), self.log_white.double().exp()
        return Chain(scale[:e], scale[e:k], scale[k:], self.log_period.double().exp(), amplitude, white, self.groups)


@dataclass(frozen=True, eq=False)
class Factor:
    """The Gaussian model conditioned on measurements at levels tau, whatever their values.

        G = mu + K a,   V = diag(K - K R K),   a = R (m - mu),   R = L^1/2 B^-1 L^1/2 = (K + diag tau^2)^-1

    with B = I + L^1/2 K L^1/2. At measured entries the same numbers are m - tau^2 a and tau^2 (1 - diag B^-1), which do
    not cancel at small tau.
    """

    model: GaussianModel
    tokens: Tokens
    mu: Tensor
    k: Tensor
    rho: Tensor
    root: Tensor
    inverse: Tensor

    def weights(self, m: Tensor) -> tuple[Tensor, Tensor]:
        """Return B^-1 L^1/2 (m - mu) and a, each (S, B, N), from (S, B, N) measurements."""
        white = torch.einsum("bij,sbj->sbi", self.inverse, torch.where(self.root > 0, self.root * (m - self.mu), 0.0))
        return white, self.root * white

    def covariance(self) -> Tensor:
        """Return the (B, N, N) posterior covariance K - K R K."""
        scaled = self.root[:, :, None] * self.k
        return self.k - scaled.mT @ self.inverse @ scaled

    def noise(self, normal: Tensor) -> Tensor:
        """Turn (S, B, N) standard normal numbers into draws from N(0, Cov[x | m])."""
        covariance = self.covariance()
        jitter = 1e-8 * covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None] + 1e-10
        covariance.diagonal(dim1=-2, dim2=-1).add_(jitter + (~self.tokens.exists).to(jitter.dtype))
        root = torch.linalg.cholesky(covariance)
        return torch.einsum("bij,sbj->sbi", root, normal)

    @cached_property
    def variance(self) -> Tensor:
        """(B, N) posterior variance V."""
        scaled = self.root[:, :, None] * self.k
        far = self.k.diagonal(dim1=-2, dim2=-1) - (scaled * (self.inverse @ scaled)).sum(1)
        near = (1 - self.inverse.diagonal(dim1=-2, dim2=-1)) / self.root.clamp_min(1.0).square()
        return torch.where(self.root > 1, near, far).clamp_min(VARIANCE_FLOOR)

    def belief(self, m: Tensor) -> Belief:
        """Return what is known of the tokens themselves, given (S, B, N) measurements.

        The leave-one-out residual is [B^-1 L^1/2 (m - mu)]_i / sqrt([B^-1]_ii).
        """
        white, a = self.weights(m)
        far = self.mu + torch.einsum("bij,sbj->sbi", self.k, a)
        near = m - white / self.root.clamp_min(1.0)
        surprise = white * self.inverse.diagonal(dim1=-2, dim2=-1).clamp_min(1e-12).rsqrt()
        mean = torch.where(self.root > 1, near, far)
        parts = self.model.shares(self.rho, self.tokens, self.tokens, a)
        return Belief(mean, self.variance, surprise.masked_fill(self.root == 0, 0.0), parts)

    def predict(self, queries: Tokens, m: Tensor) -> Belief:
        """Return what is known of other tokens, (B, M), given (S, B, N) measurements of these."""
        cross, a = self.model.between(self.tokens, queries), self.weights(m)[1]
        scaled = self.root[:, :, None] * cross
        variance = self.model.variance().to(cross.dtype)[queries.channel] - (scaled * (self.inverse @ scaled)).sum(1)
        mean = self.model.mean(queries) + torch.einsum("bnm,sbn->sbm", cross, a)
        parts = self.model.shares(self.model.along(self.tokens, queries), self.tokens, queries, a)
        return Belief(mean, variance.clamp_min(VARIANCE_FLOOR), torch.zeros_like(mean), parts)


def _lags(tokens: Tokens, others: Tokens, channels: int) -> tuple[Tensor, Tensor]:
    """Return (B, N, M) time lags, and the pair of channels as one index."""
    lag = (tokens.time[:, :, None] - others.time[:, None, :]).abs()
    return lag, tokens.channel[:, :, None] * channels + others.channel[:, None, :]


def _read(tables: Tensor, lag: Tensor, offset: Tensor | int = 0) -> Tensor:
    """Read (R, L) tables over lags at (...) lags, from an offset on, linearly between: (R, ...)."""
    place = lag / LAG_STEP
    low = place.long()
    index, rest = offset + low, place - low
    here = tables[:, index]
    return torch.lerp(here, tables[:, index + 1], rest) if rest.any() else here
