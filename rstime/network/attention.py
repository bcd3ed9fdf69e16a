"""Attention with positions in real time, over all tokens of a window or along its two axes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from rstime.lines import Lines

Turn = tuple[Tensor, Tensor]


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Turn pairs of features of (B, H, N, E) queries or keys by the angles of `Rotary`."""
    cos, sin = (angle.to(x.dtype) for angle in turn)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Rotary(nn.Module):
    """Rotary position code (Su et al. 2021) at real times: pairs of features turn by frequency x time.

    Parameters
    ----------
    features
        Features of a head.
    window
        Longest time difference to resolve, in steps: wave lengths run from 2 steps to 4 windows.
    """

    frequency: Tensor

    def __init__(self, features: int, window: float):
        super().__init__()
        pairs = features // 2
        wave = 2.0 * (2.0 * max(window, 2.0)) ** (torch.arange(pairs) / max(pairs - 1, 1))
        self.register_buffer("frequency", 2 * math.pi / wave, persistent=False)

    def forward(self, time: Tensor) -> Turn:
        """Return cosine and sine, (B, 1, N, E / 2), of the angles at (B, N) times in steps."""
        angle = (time[..., None].float() * self.frequency)[:, None]
        return angle.cos(), angle.sin()


@dataclass(frozen=True, eq=False)
class Places:
    """Where tokens stand: the lines that they attend along, and their (B G, 1, L, E / 2) angles there."""

    lines: Lines
    turn: Turn


class Attention(nn.Module):
    """Pre-norm multi-head attention along lines of tokens; queries of a second stream see these and themselves.

    Parameters
    ----------
    width, heads
        Features of a token and number of heads.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor, places: Places) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, and values, each (B G, H, L, E)."""
        y = places.lines.put(self.project(self.norm(x)))
        q, k, v = rearrange(y, "m l (three h e) -> three m h l e", three=3, h=self.heads)
        return rotate(q, places.turn), rotate(k, places.turn), v

    def merge(self, x: Tensor, places: Places) -> Tensor:
        """Return what the heads found to the tokens, (B, N, width)."""
        return self.out(places.lines.take(rearrange(x, "m h l e -> m l (h e)")))  # type: ignore[no-any-return]

    def context(self, x: Tensor, places: Places) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend among the tokens of each line; return x plus the result, and keys and values for later queries."""
        q, k, v = self.split(x, places)
        exists = places.lines.mask()
        mask = (exists | ~exists.any(-1, keepdim=True))[:, None, None, :]  # a line without tokens sees padding
        y = self.merge(F.scaled_dot_product_attention(q, k, v, attn_mask=mask), places)
        windows = len(places.lines.exists)
        keys, values = (rearrange(z, "(b g) h l e -> b g h l e", b=windows) for z in (k, v))
        return x + y, (keys, values)

    def query(self, x: Tensor, places: Places, exists: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Let each token of x see itself and its line of the remembered context, where that `exists`, (B, G, L)."""
        q, k, v = self.split(x, places)
        lines = places.lines.exists.shape[1]
        keys, values, there = (align(one, lines) for one in (*memory, exists))
        scale = q.shape[-1] ** -0.5
        seen = (q @ keys.mT * scale).masked_fill(~there[:, None, None, :], -math.inf)
        own = (q * k).sum(-1, keepdim=True) * scale
        p = torch.cat([seen, own], -1).softmax(-1)
        return x + self.merge(p[..., :-1] @ values + p[..., -1:] * v, places)


def align(x: Tensor, lines: int) -> Tensor:
    """Cut (B, G, ...) to the first lines, or add empty ones at the end: (B lines, ...)."""
    return F.pad(x, (*(0, 0) * (x.ndim - 2), 0, lines - x.shape[1])).flatten(0, 1)
