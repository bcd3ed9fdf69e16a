"""Tokens: the entries of a batch that matter, one after another, without the empty cells of the grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange, repeat
from torch import Tensor

from rstime.types import Batch


@dataclass(frozen=True, eq=False)
class Tokens:
    """N entries of B windows: where and when they are, whatever was measured there.

    Attributes
    ----------
    time
        (B, N) steps since the start of the window.
    channel
        (B, N) index of the variable.
    covariates
        (B, N, K).
    exists
        (B, N) False for padding.
    cell
        (B, N) index into the flattened (T, C) grid of the batch.
    """

    time: Tensor
    channel: Tensor
    covariates: Tensor
    exists: Tensor
    cell: Tensor

    def take(self, grid: Tensor, fill: float | bool = 0.0) -> Tensor:
        """Read (..., B, T, C) values at the tokens, (..., B, N); padding gets `fill`."""
        flat = rearrange(grid, "... b t c -> ... b (t c)")
        return flat.gather(-1, self.cell.expand(*flat.shape[:-1], -1)).masked_fill(~self.exists, fill)

    def put(self, x: Tensor, grid: Tensor) -> Tensor:
        """Write (..., B, N) values into a copy of the (..., B, T, C) grid; padding writes nothing."""
        flat = rearrange(grid, "... b t c -> ... b (t c)").clone()
        b, n = self.exists.nonzero(as_tuple=True)
        flat[..., b, self.cell[b, n]] = x[..., b, n]
        return flat.reshape(grid.shape)

    @cached_property
    def stamps(self) -> tuple[Tensor, Tensor]:
        """(B, N) which stamp each token has, and the (B, T) times of these, T the most that a window has."""
        number = torch.zeros_like(self.channel)
        number[:, 1:] = (self.time[:, 1:] != self.time[:, :-1]).cumsum(1)
        time = self.time.new_zeros(len(number), int(number.max()) + 1 if number.numel() else 0)
        return number, time.scatter(1, number, self.time)

    def double(self) -> Tokens:
        """Return the same tokens with float64 time and covariates."""
        return Tokens(self.time.double(), self.channel, self.covariates.double(), self.exists, self.cell)

    def rows(self, rows: slice) -> Tokens:
        """Return some of the windows."""
        return Tokens(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    def repeat(self, samples: int) -> Tokens:
        """Return the windows repeated `samples` times, (S B, N)."""
        fields = (getattr(self, name) for name in self.__dataclass_fields__)
        return Tokens(*(repeat(x, "b ... -> (s b) ...", s=samples) for x in fields))


def pack(batch: Batch, wanted: Tensor) -> Tokens:
    """Gather the wanted cells of each window, in order of time, padded to the longest.

    Parameters
    ----------
    batch
        B windows of T stamps and C variables.
    wanted
        (B, T, C) cells to keep.
    """
    C = wanted.shape[-1]
    flat = rearrange(wanted, "b t c -> b (t c)")
    count = flat.sum(-1)
    n = int(count.max().clamp_min(1))
    cell = torch.argsort(~flat, dim=-1, stable=True)[:, :n] if n < flat.shape[-1] else None
    if cell is None:
        cell = torch.arange(n, device=flat.device).expand(len(flat), -1)
    exists = flat.gather(-1, cell)
    stamp = cell // C
    k = batch.covariates.shape[-1]
    covariates = batch.covariates.gather(1, stamp[..., None].expand(-1, -1, k))
    return Tokens(batch.time.gather(1, stamp).to(batch.value.dtype), cell % C, covariates, exists, cell)
