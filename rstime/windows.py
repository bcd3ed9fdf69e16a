"""From Series to Batch: the time axis of the model, windows of items, and the mask patterns of training.

Time is counted in steps of the model (see Axis); the real stamps are kept as they are, irregular ones too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstime.axis import Axis as Axis
from rstime.axis import is_calendar, nanoseconds
from rstime.errors import ConfigError, DataError
from rstime.types import Batch, Bools, Floats, Series

NEAR = 1e-3
"""Stamps closer than this, in steps, to the edge of a window count as on the edge."""

LARGEST_RISK = 1e6
"""Measurements of a larger risk, in standard deviations of the variable, tell nothing and count as missing."""


@dataclass(frozen=True, eq=False)
class Item:
    """One scaled series, ready to be cut into windows.

    Attributes
    ----------
    item_id
        Name of the item.
    steps
        (T,) stamps in steps of the axis.
    value
        (T, C) float32, scaled, 0 where missing.
    risk
        (T, C) float32, scaled, inf where missing.
    covariates
        (T, K) float32: calendar cycles, static, known.
    asked
        (T, C) entries to be answered.
    key
        (T,) int64 that names each stamp of each item.
    """

    item_id: str
    steps: Floats
    value: NDArray[np.float32]
    risk: NDArray[np.float32]
    covariates: NDArray[np.float32]
    asked: Bools
    key: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.steps)

    def rows(self, rows: slice) -> Item:
        """Return the item at these rows only."""
        return Item(
            self.item_id,
            self.steps[rows],
            self.value[rows],
            self.risk[rows],
            self.covariates[rows],
            self.asked[rows],
            self.key[rows],
        )


def prepare(series: Series, axis: Axis) -> Item:
    """Put a scaled series on the axis of the model."""
    count = len(series.time)
    static = np.broadcast_to(series.static, (count, len(series.static)))
    covariates = np.concatenate([axis.cycles(series.time, series.timezone), static, series.known], axis=1)
    missing = series.risk > LARGEST_RISK
    return Item(
        series.item_id,
        axis.steps(series.time),
        np.where(missing, 0.0, series.value).astype(np.float32),
        np.where(missing, np.inf, series.risk).astype(np.float32),
        covariates.astype(np.float32),
        series.asked,
        stamp_keys(series.item_id, series.time),
    )


def stamp_keys(item_id: str, time: NDArray[Any]) -> NDArray[np.int64]:
    """(T,) int64 that names each stamp of an item, the same in every process (blake2b of the name, then splitmix64)."""
    name = np.uint64(int.from_bytes(hashlib.blake2b(item_id.encode(), digest_size=8).digest(), "little"))
    bits = nanoseconds(time) if is_calendar(time) else np.asarray(time, dtype=np.float64).view(np.int64)
    mixed = bits.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + name  # wraps round at 2^64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray((mixed ^ (mixed >> np.uint64(31))).view(np.int64))


def cut(item: Item, start: float, stop: float) -> Item:
    """Return the item at start <= steps < stop."""
    low, high = np.searchsorted(item.steps, [start - NEAR, stop - NEAR])
    return item.rows(slice(int(low), int(high)))


def collate(items: Sequence[Item], starts: Sequence[float] | Floats | None = None) -> Batch:
    """Pad items to one length and stack them; time counts from each item's start (its first stamp by default)."""
    if starts is None:
        starts = [item.steps[0] for item in items]
    channels, covariates = items[0].value.shape[1], items[0].covariates.shape[1]
    shape = (len(items), max(len(item) for item in items))
    value = np.zeros((*shape, channels), dtype=np.float32)
    risk = np.full((*shape, channels), np.inf, dtype=np.float32)
    time = np.zeros(shape, dtype=np.float32)
    known = np.zeros((*shape, covariates), dtype=np.float32)
    asked = np.zeros((*shape, channels), dtype=np.bool_)
    key = np.zeros(shape, dtype=np.int64)
    for row, (item, start) in enumerate(zip(items, starts, strict=True)):
        here = (row, slice(0, len(item)))
        value[here], risk[here], known[here] = item.value, item.risk, item.covariates
        time[here], asked[here], key[here] = item.steps - start, item.asked, item.key
    return Batch(*(torch.from_numpy(array) for array in (value, risk, time, known, asked, key)))


class Windows:
    """All windows of a set of items that hold an observation; draws batches of them.

    A window starts at a stamp and lasts `length` steps; the last one of an item may be shorter, and an item shorter
    than a window is one window. Items are thus drawn in proportion to the number of their windows.

    Raises
    ------
    DataError
        If no window holds an observation.
    """

    def __init__(self, items: Sequence[Item], length: float) -> None:
        if not length > 0:
            raise ConfigError("window", f"{length} steps", "Give a positive length.")
        self.items = tuple(items)
        rows = [_windows_of(item, length) for item in self.items]
        owner = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        self.table = np.column_stack([owner, np.concatenate(rows)]) if rows else np.empty((0, 3), dtype=np.int64)
        if not len(self.table):
            remedy = f"Give items with a value whose sd is below {LARGEST_RISK:g} times what the variable varies by."
            raise DataError("value", "no observation in any window", remedy)

    def __len__(self) -> int:
        return len(self.table)

    def draw(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw `count` windows, uniformly and independently."""
        picks = self.table[rng.integers(len(self.table), size=count)].tolist()
        return collate([self.items[owner].rows(slice(low, high)) for owner, low, high in picks])


def _windows_of(item: Item, length: float) -> NDArray[np.int64]:
    """(N, 2) first and last-plus-one row of each window of the item that holds an observation."""
    if not len(item):
        return np.empty((0, 2), dtype=np.int64)
    last = item.steps[-1] + 1 - length  # the latest start of a full window
    starts = np.arange(min(np.searchsorted(item.steps, last - NEAR) + 1, len(item)))
    stops = np.searchsorted(item.steps, item.steps[starts] + length - NEAR)
    seen = np.concatenate([[0], np.cumsum(np.isfinite(item.risk).any(1))])
    return np.column_stack([starts, stops])[seen[stops] > seen[starts]]


def tile(item: Item, length: float, overlap: float) -> list[tuple[float, float]]:
    """Cover all stamps of an item by windows (start, stop) of `length` steps that overlap by `overlap` steps.

    The last one is moved back to end with the item (a longer overlap); spans without stamps are left out.

    Raises
    ------
    ConfigError
        If not 0 <= overlap < length.
    """
    if not 0 <= overlap < length:
        raise ConfigError("overlap", f"{overlap} steps of windows of {length}", "Give less than the window.")
    if not len(item):
        return []
    first, end = float(item.steps[0]), float(item.steps[-1]) + 1
    spans = [(first, first + length)]
    while spans[-1][1] < end - 1 + NEAR:
        stop = spans[-1][1]
        following = float(item.steps[np.searchsorted(item.steps, stop - NEAR)])  # the first stamp not yet covered
        start = stop - overlap
        if following > start + length - 1:
            start = following - overlap
        start = max(min(start, end - length), first)
        spans.append((start, start + length))
    return spans


Pattern: TypeAlias = Callable[[Tensor, Tensor, torch.Generator, Tensor], Tensor]
"""(observed (B, T, C), time (B, T), generator, share (B,)) -> hidden (B, T, C), a subset of observed."""


def hide_random(observed: Tensor, time: Tensor, generator: torch.Generator, share: Tensor) -> Tensor:
    """Hide each observation with probability `share`."""
    return observed & (_uniform(observed.shape, generator, observed.device) < share[:, None, None])


def hide_block(observed: Tensor, time: Tensor, generator: torch.Generator, share: Tensor) -> Tensor:
    """Hide one block of time that is this share of the window; in half of the windows each channel has its own."""
    batch, _, channels = observed.shape
    span = time.amax(1) + 1  # (B,)
    start = _uniform((batch, 1, channels), generator, observed.device)
    together = _uniform((batch, 1, 1), generator, observed.device) < 0.5
    start = torch.where(together, start[..., :1], start) * ((1 - share) * span)[:, None, None]
    return observed & (time[..., None] >= start) & (time[..., None] < start + (share * span)[:, None, None])


def hide_channel(observed: Tensor, time: Tensor, generator: torch.Generator, share: Tensor) -> Tensor:
    """Hide each channel as a whole with probability `share`."""
    batch, _, channels = observed.shape
    return observed & (_uniform((batch, 1, channels), generator, observed.device) < share[:, None, None])


def hide_horizon(observed: Tensor, time: Tensor, generator: torch.Generator, share: Tensor) -> Tensor:
    """Hide the last part of the window, this share of it, in all channels."""
    return observed & (time >= ((1 - share) * (time.amax(1) + 1))[:, None])[..., None]


PATTERNS: tuple[Pattern, ...] = (hide_random, hide_block, hide_channel, hide_horizon)


def draw_hidden(
    observed: Tensor,
    time: Tensor,
    generator: torch.Generator,
    patterns: Sequence[Pattern] = PATTERNS,
    weights: Sequence[float] | None = None,
    share: tuple[float, float] = (0.1, 0.9),
) -> Tensor:
    """Hide observations by one pattern per window, drawn by weight, with a share uniform in a range.

    At least one observation is hidden in every window that has any.

    Parameters
    ----------
    observed
        (B, T, C) bool.
    time
        (B, T) in steps since the start of the window.
    weights
        One per pattern, not necessarily normalised; equal by default.

    Returns
    -------
    Tensor
        (B, T, C) bool, a subset of `observed`.
    """
    batch = observed.shape[0]
    low, high = share
    shares = low + (high - low) * _uniform((batch,), generator, observed.device)
    chances = torch.ones(len(patterns)) if weights is None else torch.tensor(weights, dtype=torch.float32)
    chances = chances.to(generator.device)
    choice = torch.multinomial(chances, batch, replacement=True, generator=generator).to(observed.device)
    hidden = torch.zeros_like(observed)
    for index, pattern in enumerate(patterns):
        hidden |= pattern(observed, time, generator, shares) & (choice == index)[:, None, None]
    lone = (_uniform(observed.shape, generator, observed.device) * observed).flatten(1).argmax(1, keepdim=True)
    spare = torch.zeros_like(observed).flatten(1).scatter_(1, lone, True).view_as(observed) & observed
    return hidden | (spare & ~hidden.flatten(1).any(1)[:, None, None])


def _uniform(shape: Sequence[int], generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.rand(tuple(shape), generator=generator, device=generator.device).to(device)
