"""State-space form of the Gaussian model, channel by channel: smoothing at a cost linear in time.

Every correlation of the model is Markov. Scaled to unit variance, its state of one or two numbers moves over a gap by
z' = A z + noise of covariance I - A A^T, and a channel is x = h^T z + white noise. With P = I - R the covariance of z
given the past, k = P h, p = h^T k + white (variance of x given the past) and the measurement m = x + tau e:

    i = 1 / (p + tau^2),  g = tau^2 i,     R' = A (R + i k k^T) A^T        (Kalman filter; only what was learned decays)
    E[x | m] = a^f + g k^T r,  V = g (p - g k^T N k)                       (r, N: what the future adds)

The backward recursions of r and N are the disturbance smoother's (Durbin and Koopman, Time Series Analysis by State
Space Methods, 2nd ed., eqs. 4.44 and 4.42): no matrix is inverted, and nothing cancels or overflows for tau in
(0, inf]. Gains depend on tau alone and are shared by all samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange
from torch import Tensor

from rstime.belief import LEVEL_FLOOR, PARTS, VARIANCE_FLOOR, Belief
from rstime.lines import Lines, by_channel
from rstime.tokens import Tokens

SMALLEST = 1e-12  # variance of x given the past, at least


@dataclass(frozen=True, eq=False)
class Chain:
    """Markov components of unit variance, and how much of each there is in a channel.

    Attributes
    ----------
    exponential, matern, cosine
        Length scales, in steps, of exponentials, of Matern-3/2 correlations and of damped cosines.
    period
        Periods of the cosines.
    amplitude
        (Q, C) standard deviation of each component, in that order, in each channel.
    white
        (C,) variance of the white component.
    groups
        (Q,) group that each component is reported in.
    """

    exponential: Tensor
    matern: Tensor
    cosine: Tensor
    period: Tensor
    amplitude: Tensor
    white: Tensor
    groups: Tensor

    def reading(self, channel: Tensor) -> Tensor:
        """Return h, (D, M), of M channels; states are exponentials, first and second numbers of the others."""
        pairs = len(self.matern) + len(self.cosine)
        return torch.cat([self.amplitude, torch.zeros_like(self.amplitude[:pairs])])[:, channel]

    def over(self, gap: Tensor) -> Transition:
        """Return A over gaps (...) in steps."""
        decay = [torch.exp(-gap / scale) for scale in self.exponential]
        far = [math.sqrt(3) * gap / scale for scale in self.matern]
        fade = [(torch.exp(-gap / s), 2 * math.pi * gap / q) for s, q in zip(self.cosine, self.period, strict=True)]
        first = [(1 + x) * torch.exp(-x) for x in far] + [a * torch.cos(turn) for a, turn in fade]
        second = [(1 - x) * torch.exp(-x) for x in far] + [a * torch.cos(turn) for a, turn in fade]
        cross = [x * torch.exp(-x) for x in far] + [a * torch.sin(turn) for a, turn in fade]
        nothing = [torch.zeros_like(gap)] * len(decay)
        e, n = len(decay), len(cross)
        partner = [*range(e), *range(e + n, e + 2 * n), *range(e, e + n)]
        same, other = torch.stack(decay + first + second), torch.stack(nothing + cross + [-x for x in cross])
        return Transition(same, other, torch.tensor(partner, device=gap.device))


@dataclass(frozen=True, eq=False)
class Transition:
    """Block-diagonal matrices A of blocks of one or two states: A z = same z + cross z[partner]."""

    same: Tensor
    cross: Tensor
    partner: Tensor

    def __getitem__(self, step: int) -> Transition:
        return Transition(self.same[:, step], self.cross[:, step], self.partner)

    def forward(self, z: Tensor) -> Tensor:
        """Return A z for (D, ..., M) states."""
        between = (slice(None), *(None,) * (z.ndim - 2))
        return self.same[between] * z + self.cross[between] * z[self.partner]

    def back(self, z: Tensor) -> Tensor:
        """Return A^T z for (D, ..., M) states."""
        between = (slice(None), *(None,) * (z.ndim - 2))
        return self.same[between] * z + (self.cross[between] * z)[self.partner]

    def forward_both(self, square: Tensor) -> Tensor:
        """Return A X A^T for symmetric (D, D, M) matrices X."""
        return self.forward(self.forward(square).transpose(0, 1))

    def back_both(self, square: Tensor) -> Tensor:
        """Return A^T X A for symmetric (D, D, M) matrices X."""
        return self.back(self.back(square).transpose(0, 1))


@dataclass(frozen=True, eq=False)
class Gains:
    """What the filter needs of each step, (L, ..., M), and the moves between steps.

    Attributes
    ----------
    h
        (D, M) reading of the states.
    move
        L - 1 transitions.
    k
        (L, D, M) covariance of states and x given the past.
    p
        (L, M) variance of x given the past.
    i
        (L, M) 1 / (p + tau^2), 0 where there is no measurement.
    g
        (L, M) tau^2 / (p + tau^2), 1 where there is no measurement.
    """

    h: Tensor
    move: Transition
    k: Tensor
    p: Tensor
    i: Tensor
    g: Tensor


@dataclass(frozen=True, eq=False)
class Smoother:
    """The Gaussian model of separate channels, conditioned on measurements at levels tau, whatever their values.

    Parameters
    ----------
    chain
        Its components.
    mean
        Tokens -> (B, N) prior mean.
    tokens, tau
        What is measured at which level, (B, N), inf where there is no measurement.
    """

    chain: Chain
    mean: Callable[[Tokens], Tensor]
    tokens: Tokens
    tau: Tensor

    @cached_property
    def lines(self) -> Lines:
        """One line a window and channel."""
        return by_channel(self.tokens)

    @cached_property
    def precision(self) -> Tensor:
        """(B, N) tau^-2, 0 where there is no measurement."""
        return (1 / self.tau.double().clamp_min(LEVEL_FLOOR)).square().masked_fill(~self.tokens.exists, 0.0)

    @cached_property
    def gains(self) -> Gains:
        """The forward recursion of covariances."""
        lines, mask = self.lines, self.lines.mask()
        channels = lines.token.shape[1]
        channel = torch.arange(channels, device=mask.device).repeat(len(lines.token))
        h, white = self.chain.reading(channel), self.chain.white[channel]
        time = lines.put(self.tokens.time.double())
        gap = (time.diff(dim=1) * mask[:, 1:]).clamp_min(0.0).T
        precision = (lines.put(self.precision) * mask).T
        move = self.chain.over(gap)
        learned = h.new_zeros(len(h), *h.shape)
        rows = []
        for step, weight in enumerate(precision):
            if step:
                learned = move[step - 1].forward_both(learned)
            k = h - (learned * h).sum(1)
            p = ((h * k).sum(0) + white).clamp_min(SMALLEST)
            g = 1 / (1 + p * weight)
            i = weight * g
            learned = learned + (i * k)[:, None] * k
            rows.append((k, p, i, g))
        k, p, i, g = (torch.stack(column) for column in zip(*rows, strict=True))
        return Gains(h, move, k, p, i, g)

    @cached_property
    def spread(self) -> tuple[Tensor, Tensor]:
        """(L, M) posterior variance V, and 1 / sd of a measurement's residual to all others, times p + tau^2."""
        z = self.gains
        future = z.h.new_zeros(len(z.h), *z.h.shape)
        variance, sharpness = torch.empty_like(z.p), torch.empty_like(z.p)
        for step in reversed(range(len(z.p))):
            k, i, g = z.k[step], z.i[step], z.g[step]
            nk = (future * k).sum(1)
            q = (nk * k).sum(0)
            variance[step] = g * (z.p[step] - g * q)
            sharpness[step] = torch.sqrt(i / (1 + i * q))
            if step:
                future = z.move[step - 1].back_both(observe(future, z.h, nk, q, i))
        return variance, sharpness

    def belief(self, m: Tensor) -> Belief:
        """Return what is known of the tokens themselves, given (S, B, N) measurements."""
        z, mu = self.gains, self.mean(self.tokens).double()
        y = self._rows(torch.where(self.precision > 0, m.double() - mu, 0.0))
        state = y.new_zeros(len(z.h), *y.shape[1:])
        ahead = torch.empty_like(y)
        for step in range(len(y)):
            if step:
                state = z.move[step - 1].forward(state)
            ahead[step] = torch.einsum("dm,dsm->sm", z.h, state)
            state = state + (z.i[step] * z.k[step])[:, None] * (y[step] - ahead[step])
        mean, surprise, pull = torch.empty_like(y), torch.empty_like(y), torch.empty_like(y)
        variance, sharpness = self.spread
        r = torch.zeros_like(state)
        for step in reversed(range(len(y))):
            c = torch.einsum("dm,dsm->sm", z.k[step], r)
            residual = y[step] - ahead[step]
            mean[step] = ahead[step] + (1 - z.g[step]) * residual + z.g[step] * c
            surprise[step] = (residual - c) * sharpness[step]
            pull[step] = z.i[step] * (residual - c)
            if step:
                r = z.move[step - 1].back(r + z.h[:, None] * pull[step])
        spread = self._tokens(variance[:, None])[0].clamp_min(VARIANCE_FLOOR)
        shares = torch.stack([self._tokens(share) for share in self.shares(pull)])
        parts = (mu + self._tokens(mean), spread, self._tokens(surprise), shares)
        return Belief(*(part.to(m.dtype) for part in parts))

    def shares(self, pull: Tensor) -> Tensor:
        """Return (P, L, S, M) what each group of components adds to the mean: sum_j K_q(., j) a_j, with a = `pull`."""
        z = self.gains
        total = pull.new_zeros(PARTS, *pull.shape)
        group = torch.cat([self.chain.groups, self.chain.groups[len(self.chain.exponential) :]]).to(pull.device)

        def add(step: int, state: Tensor) -> None:
            total[:, step].index_add_(0, group, z.h[:, None] * state)

        state = pull.new_zeros(len(z.h), *pull.shape[1:])
        for step in range(len(pull)):
            state = state if not step else z.move[step - 1].forward(state)
            state = state + z.h[:, None] * pull[step]
            add(step, state)
        state = torch.zeros_like(state)
        for step in reversed(range(len(pull) - 1)):
            state = z.move[step].back(state + z.h[:, None] * pull[step + 1])
            add(step, state)
        return total

    def predict(self, queries: Tokens, m: Tensor) -> Belief:
        """Return what is known of other tokens, (B, M), given (S, B, N) measurements of these."""
        nothing = torch.full_like(queries.time, math.inf)
        both = Smoother(self.chain, self.mean, join(self.tokens, queries), torch.cat([self.tau, nothing], -1))
        n = m.shape[-1]
        belief = both.belief(torch.cat([m, m.new_zeros(*m.shape[:-1], nothing.shape[-1])], -1))
        return Belief(belief.mean[..., n:], belief.variance[..., n:], belief.surprise[..., n:], belief.parts[..., n:])

    def noise(self, normal: Tensor) -> Tensor:
        """Turn (S, B, N) standard normal numbers into draws from N(0, Cov[x | m]).

        x is drawn backward in time, each entry given all measurements and the entries after it: r and N carry what
        those exact entries add to the measurements before. An entry's own measurement is taken out of these (F to
        F + k^T N k in the Woodbury formula), then its drawn value put in: two changes of rank one.
        """
        z, e, mask = self.gains, self._rows(normal.double()), self.lines.mask().T
        future = z.h.new_zeros(len(z.h), *z.h.shape)
        r = e.new_zeros(len(z.h), *e.shape[1:])
        drawn = torch.empty_like(e)
        for step in reversed(range(len(e))):
            k, p, i, g = z.k[step], z.p[step], z.i[step], z.g[step]
            nk = (future * k).sum(1)
            q = (nk * k).sum(0)
            c = torch.einsum("dm,dsm->sm", k, r)
            drawn[step] = g * c + (g * (p - g * q)).clamp_min(0.0).sqrt() * e[step]
            if step:
                without = 1 / (1 + i * q)
                new = z.h - without * nk
                sure = mask[step] / (p - without * q).clamp_min(SMALLEST)  # 0 where the line has no entry
                future = future - (i * without * nk)[:, None] * nk + (sure * new)[:, None] * new
                r = r - (i * without * nk)[:, None] * c + new[:, None] * (sure * (drawn[step] - without * c))
                future, r = z.move[step - 1].back_both(future), z.move[step - 1].back(r)
        return self._tokens(drawn).to(normal.dtype)

    def _rows(self, x: Tensor) -> Tensor:
        """Regroup (S, B, N) into (L, S, M)."""
        return rearrange(self.lines.put(rearrange(x, "s b n -> b n s")), "m l s -> l s m")

    def _tokens(self, x: Tensor) -> Tensor:
        """Regroup (L, S, M) into (S, B, N)."""
        return rearrange(self.lines.take(rearrange(x, "l s m -> m l s")), "b n s -> s b n")


def observe(future: Tensor, h: Tensor, nk: Tensor, q: Tensor, i: Tensor) -> Tensor:
    """Add a measurement of innovation precision i to N: L^T N L + i h h^T with L = I - i k h^T."""
    half = i * nk - (0.5 * i * (1 + i * q)) * h
    outer = h[:, None] * half
    return future - outer - outer.transpose(0, 1)


def join(tokens: Tokens, others: Tokens) -> Tokens:
    """Return the tokens of both, one after the other, in each window."""
    fields = [(getattr(tokens, name), getattr(others, name)) for name in Tokens.__dataclass_fields__]
    return Tokens(*(torch.cat([a, b.to(a.dtype)], dim=1) for a, b in fields))
