"""Noise named by what it is for: the same (seed, entry, sample, step) gives the same number in any batch.

A counter is hashed (splitmix64, Steele et al. 2014) and turned into a normal number by Box and Muller's rule.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15


def _signed(x: int) -> int:
    x &= (1 << 64) - 1
    return x - (1 << 64) if x >> 63 else x


def _mix(x: Tensor) -> Tensor:
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ ((x >> shift) & ((1 << (64 - shift)) - 1))) * _signed(factor)
    return x ^ ((x >> 31) & ((1 << 33) - 1))


def keyed_normal(seed: int, key: Tensor, samples: Tensor, step: int) -> Tensor:
    """Draw (S, ...) standard normal numbers, float32.

    Parameters
    ----------
    seed, step
        Which run, and which use within it.
    key
        (...) int64 names of entries.
    samples
        (S,) int64 indices of samples.
    """
    base = _mix(key + _signed(GOLDEN * (seed + 1)))
    shape = (-1, *(1,) * key.ndim)
    x = _mix(base + _mix(samples * _signed(GOLDEN) + _signed(GOLDEN * GOLDEN * (step + 1))).reshape(shape))
    u = ((x >> 40) & 0xFFFFFF).to(torch.float32).add_(0.5) / 2**24
    angle = ((x >> 8) & 0xFFFFFF).to(torch.float32) * (2 * math.pi / 2**24)
    return torch.sqrt(-2 * torch.log(u)) * torch.cos(angle)
