"""Tokens regrouped into lines: those of one variable, of one step of time, or all of a window."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from rstime.tokens import Tokens


@dataclass(frozen=True, eq=False)
class Lines:
    """B windows of N tokens as G lines each, of up to L tokens in order of time.

    Attributes
    ----------
    tokens
        What is regrouped.
    slot
        (B, N) place of each token among the B x G x L slots.
    token
        (B, G, L) token in each slot, counted through all windows; 0 where there is none.
    exists
        (B, G, L) whether there is one.
    """

    tokens: Tokens
    slot: Tensor
    token: Tensor
    exists: Tensor

    def put(self, x: Tensor) -> Tensor:
        """Regroup (B, N, ...) values into (B G, L, ...) lines; slots without a token get any token's."""
        return x.flatten(0, 1)[rearrange(self.token, "b g l -> (b g) l")]

    def take(self, x: Tensor) -> Tensor:
        """Read the (B, N, ...) values of the tokens from (B G, L, ...) lines; padding gets any token's."""
        return x.flatten(0, 1)[self.slot]

    def mask(self) -> Tensor:
        """Return (B G, L), whether a slot holds a token."""
        return rearrange(self.exists, "b g l -> (b g) l")


class Whole(Lines):
    """All tokens of a window in one line, as they are."""

    def __init__(self, tokens: Tokens):
        super().__init__(tokens, torch.empty(0), torch.empty(0), tokens.exists[:, None])

    def put(self, x: Tensor) -> Tensor:
        """Return x."""
        return x

    def take(self, x: Tensor) -> Tensor:
        """Return x."""
        return x


def whole(tokens: Tokens) -> Lines:
    """Leave all tokens of a window in one line."""
    return Whole(tokens)


def by_channel(tokens: Tokens) -> Lines:
    """Regroup tokens into one line a variable."""
    return regroup(tokens, tokens.channel)


def by_step(tokens: Tokens) -> Lines:
    """Regroup tokens into one line a step of time: the variables of a stamp on a grid, of nearby stamps without."""
    return regroup(tokens, tokens.time.round().long().clamp_min(0))


def regroup(tokens: Tokens, line: Tensor) -> Lines:
    """Regroup tokens by the (B, N) line they belong to."""
    B, N = line.shape
    G = int(line.masked_fill(~tokens.exists, 0).max()) + 1
    line = line.masked_fill(~tokens.exists, G)  # padding: a line of its own, dropped below
    order = torch.argsort(tokens.time, dim=1, stable=True)
    order = order.gather(1, torch.argsort(line.gather(1, order), dim=1, stable=True))
    count = torch.zeros(B, G + 1, dtype=torch.long, device=line.device).scatter_add_(1, line, torch.ones_like(line))
    first = count.cumsum(1) - count
    L = max(int(count[:, :G].max()), 1)
    ordered = line.gather(1, order)
    rank = torch.arange(N, device=line.device) - first.gather(1, ordered)
    window = torch.arange(B, device=line.device)[:, None]
    place = torch.where(ordered < G, (window * G + ordered) * L + rank, 0)
    slot = torch.zeros_like(place).scatter_(1, order, place)
    here = ordered < G
    token = torch.zeros(B * G * L, dtype=torch.long, device=line.device)
    token[place[here]] = (window * N + order)[here]
    exists = torch.zeros(B * G * L, dtype=torch.bool, device=line.device)
    exists[place[here]] = True
    return Lines(tokens, slot, token.reshape(B, G, L), exists.reshape(B, G, L))
