"""What a token tells the network: its place, its level, its measurement, and what the prior makes of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rstime.belief import PARTS, Belief
from rstime.tokens import Tokens

LEVELS = 9  # features that tell the level
SIGNS = 4 + PARTS  # features that turn with the sign of the data, last
FEATURES = LEVELS + SIGNS


def token_features(belief: Belief, m: Tensor, tau: Tensor) -> Tensor:
    """Return (S, B, N, FEATURES) numbers of order one, all finite for tau in [0, inf].

    The risk of the entry itself is not among them: the network sees the level only.

    Parameters
    ----------
    belief
        The prior's posterior of each entry.
    m
        (S, B, N) measurements in sd of the channel.
    tau
        (B, N) their levels.
    """
    gone = torch.isinf(tau)
    t2 = tau.masked_fill(gone, 1.0).square()
    v = belief.variance
    level = torch.where(gone, 0.0, torch.log((t2 + 1e-4) / (1 + t2)))  # in (-9.2, 0], 0 at inf
    own = torch.where(gone, 0.0, (v / (t2 + 1e-4)).clamp_max(1.0))  # share of the variance that m itself removed
    spread = v.clamp_min(1e-4).log()
    per_level = [
        gone.to(v.dtype),
        level / 4,
        torch.sin(level),
        torch.cos(level),
        own,
        spread / 4,
        torch.sin(spread),
        torch.cos(spread),
        v.sqrt(),
    ]
    scaled = torch.where(gone, torch.zeros_like(m), m * torch.rsqrt(1 + t2))
    shift = torch.where(gone, torch.zeros_like(m), (m - belief.mean) * torch.rsqrt(t2 + v))
    per_sample = [scaled, belief.mean, torch.asinh(belief.surprise), torch.asinh(shift), *belief.parts]
    return torch.stack([x.expand(m.shape) for x in (*per_level, *per_sample)], -1)


class Embedding(nn.Module):
    """Linear embedding of a token's features, covariates and variable.

    Parameters
    ----------
    width
        Features of a token.
    channels, covariates
        Number of variables and covariates.
    """

    def __init__(self, width: int, channels: int, covariates: int):
        super().__init__()
        self.inner = nn.Linear(FEATURES + covariates, width)
        self.outer = nn.Linear(width, width)
        self.variable = nn.Embedding(channels, width)

    def forward(self, features: Tensor, tokens: Tokens) -> Tensor:
        """Return (B, N, width) from (B, N, FEATURES)."""
        x = torch.cat([features, tokens.covariates.to(features.dtype)], -1)
        variable = self.variable(tokens.channel)
        return variable + self.outer(nn.functional.gelu(self.inner(x) + variable))  # type: ignore[no-any-return]
