"""Attention with positions in real time, over all tokens of a window or along its two axes."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


Turn = tuple[Tensor, Tensor]


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Turn pairs of features of (B, H, N, E) queries or keys by the angles of `Rotary`."""
    cos, sin = turn
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


class Attention(nn.Module):
    """Multi-head attention among the tokens of a sequence; queries of a second stream see them and themselves.

    Parameters
    ----------
    width, heads
        Features of a token and number of heads.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)

    def split(self, x: Tensor, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, and values, each (B, H, N, E)."""
        q, k, v = rearrange(self.project(x), "b n (three h e) -> three b h n e", three=3, h=self.heads)
        return rotate(q, turn), rotate(k, turn), v

    def merge(self, x: Tensor) -> Tensor:
        return self.out(rearrange(x, "b h n e -> b n (h e)"))  # type: ignore[no-any-return]

    def context(self, x: Tensor, turn: Turn, exists: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend among the tokens that exist; return the result and the keys and values for later queries."""
        q, k, v = self.split(x, turn)
        mask = (exists | ~exists.any(-1, keepdim=True))[:, None, None, :]  # a window without tokens sees padding
        return self.merge(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)), (k, v)

    def query(self, x: Tensor, turn: Turn, exists: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Let each token of x see the remembered context, of which `exists` is there, and itself alone."""
        q, k, v = self.split(x, turn)
        keys, values = memory
        scale = q.shape[-1] ** -0.5
        seen = (q @ keys.mT * scale).masked_fill(~exists[:, None, None, :], -math.inf)
        own = (q * k).sum(-1, keepdim=True) * scale
        p = torch.cat([seen, own], -1).softmax(-1)
        return self.merge(p[..., :-1] @ values + p[..., -1:] * v)
