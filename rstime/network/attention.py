"""Attention with positions in real time, over all tokens of a window or along its two axes."""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


def rotate(x: Tensor, time: Tensor, frequency: Tensor) -> Tensor:
    """Rotary position code (Su et al. 2021) at real times: pairs of features turn by frequency x time.

    Parameters
    ----------
    x
        (B, H, N, E) queries or keys.
    time
        (B, N) in steps.
    frequency
        (E / 2,) radians a step.
    """
    angle = (time[..., None] * frequency)[:, None]  # (B, 1, N, E / 2)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class Attention(nn.Module):
    """Multi-head attention among the tokens of a sequence; queries of a second stream see them and themselves.

    Parameters
    ----------
    width, heads
        Features of a token and number of heads.
    window
        Longest time difference to resolve, in steps; 0 switches the position code off.
    """

    def __init__(self, width: int, heads: int, window: float):
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        pairs = width // heads // 2
        wave = 2.0 * (2.0 * max(window, 2.0)) ** (torch.arange(pairs) / max(pairs - 1, 1))
        self.register_buffer("frequency", 2 * math.pi / wave * (window > 0), persistent=False)

    def split(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries and keys, and values, each (B, H, N, E)."""
        q, k, v = rearrange(self.project(x), "b n (three h e) -> three b h n e", three=3, h=self.heads)
        return rotate(q, time, self.frequency), rotate(k, time, self.frequency), v

    def merge(self, x: Tensor) -> Tensor:
        return self.out(rearrange(x, "b h n e -> b n (h e)"))  # type: ignore[no-any-return]

    def context(self, x: Tensor, time: Tensor, exists: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Attend among the tokens that exist; return the result and the keys and values for later queries."""
        q, k, v = self.split(x, time)
        mask = (exists | ~exists.any(-1, keepdim=True))[:, None, None, :]  # a window without tokens sees padding
        return self.merge(F.scaled_dot_product_attention(q, k, v, attn_mask=mask)), (k, v)

    def query(self, x: Tensor, time: Tensor, exists: Tensor, memory: tuple[Tensor, Tensor]) -> Tensor:
        """Let each token of x see the remembered context, of which `exists` is there, and itself alone."""
        q, k, v = self.split(x, time)
        keys, values = memory
        scale = q.shape[-1] ** -0.5
        seen = (q @ keys.mT * scale).masked_fill(~exists[:, None, None, :], -math.inf)
        own = (q * k).sum(-1, keepdim=True) * scale
        p = torch.cat([seen, own], -1).softmax(-1)
        return self.merge(p[..., :-1] @ values + p[..., -1:] * v)
