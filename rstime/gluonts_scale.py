"""Location and scale of each window of a global model, from the item's own noisy past; risk is scaled along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rstime.scaling import location_scale, within_blocks
from rstime.types import Floats, Series

RECENT = 2
"""Windows whose readings say the location and scale of the next forecast."""

FEW = 8
"""Readings at which an item's own scale and the scale that is typical of items weigh the same."""


@dataclass(frozen=True, eq=False)
class ItemScale:
    """What is typical of the items that a global model was fitted to, to scale items of few readings or none.

    A window is scaled by what came before its forecast: the mean of the readings and their spread within blocks, with
    the noise taken off (`rstime.scaling`). A series that wanders has a spread within blocks, where the spread over all
    its past says how long that is; and recent blocks tell quiet times from restless ones.

    Attributes
    ----------
    block
        Stamps of a block.
    location, spread
        (C,) median of the items' locations, and their standard deviation.
    scale
        (C,) typical scale: the median over items, of their scale or of its ratio to |location|.
    relative
        (C,) whether `scale` is a ratio, which it is where ratios vary less between items than scales do.
    """

    block: int
    location: Floats
    spread: Floats
    scale: Floats
    relative: Floats

    @classmethod
    def fit(cls, series: Sequence[Series], block: int) -> ItemScale:
        """Learn what is typical from all items with at least two different readings of a variable."""
        columns = []
        for column in range(len(series[0].variables)):
            parts = [_own(one, column, block) for one in series]
            locations = np.array([part[0] for part in parts if part[2]]) if any(p[2] for p in parts) else np.zeros(1)
            moving = np.array([part[:2] for part in parts if part[1] > 0]).reshape(-1, 2)
            columns.append((float(np.median(locations)), float(np.std(locations)), *_typical(moving)))
        return cls(block, *np.array(columns, dtype=np.float64).T)

    def of(self, series: Series) -> tuple[Floats, Floats]:
        """Location and scale of the stamps of an item, each (C,), in the units of its variables.

        An item of n readings has scale^2 = (n s^2 + k t^2) / (n + k) + e^2: s its own, t the typical one, k `FEW`,
        e the standard error of its location that comes from noise. An item without readings gets the typical location,
        and a scale that covers how locations vary.
        """
        found = []
        for column in range(len(series.variables)):
            location, scale, count, error = _own(series, column, self.block)
            if not count:
                location = float(self.location[column])
            typical = self.scale[column] * (abs(location) if self.relative[column] else 1.0)
            typical = typical if typical > 0 else 1.0
            square = (count * scale**2 + FEW * typical**2) / (count + FEW) + error**2
            found.append((location, np.sqrt(square if count else typical**2 + self.spread[column] ** 2)))
        location, scale = np.array(found).T
        return location, scale

    def to_dict(self) -> dict[str, Any]:
        """Return it as lists that JSON can hold."""
        return {name: np.asarray(getattr(self, name)).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> ItemScale:
        """Read it back."""
        names = [name for name in cls.__dataclass_fields__ if name != "block"]
        return cls(int(state["block"]), *(np.array(state[name], dtype=np.float64) for name in names))


def recent_stamps(context: int, horizon: int) -> int:
    """Return how many stamps before a forecast say its location and scale."""
    return RECENT * (context + horizon)


def instances(series: Series, cuts: Iterable[int], context: int, horizon: int, scale: ItemScale | None) -> list[Series]:
    """Cut a series into windows of context and horizon around each cut, in the units that each is forecast in."""
    found = []
    for cut in cuts:
        past = series.rows(slice(max(cut - recent_stamps(context, horizon), 0), cut))
        window = series.rows(slice(max(cut - context, 0), cut + horizon))
        if window.observed.any():
            named = replace(window, item_id=f"{series.item_id}@{cut}")
            found.append(scaled(named, *units(past, scale)))
    return found


def units(series: Series, scale: ItemScale | None) -> tuple[Floats, Floats]:
    """Location and scale of an item, each (C,); 0 and 1 where items are not scaled."""
    count = len(series.variables)
    return (np.zeros(count), np.ones(count)) if scale is None else scale.of(series)


def scaled(series: Series, location: Floats, scale: Floats) -> Series:
    """Return an item less its location over its scale, with risk over the scale."""
    return replace(series, value=(series.value - location) / scale, risk=series.risk / scale)


def _own(series: Series, column: int, block: int) -> tuple[float, float, int, float]:
    """Location, scale (0 of a constant), number of readings, standard error of the location by noise alone."""
    seen = series.observed[:, column]
    value, risk = series.value[seen, column], series.risk[seen, column]
    if not len(value):
        return 0.0, 0.0, 0, 0.0
    location, scale = location_scale(value, risk)
    scale = within_blocks(value, risk, np.flatnonzero(seen) // block) or scale
    constant = np.ptp(value) <= 1e-12 * abs(location)
    weight = 1 / (scale**2 + risk**2) ** 2  # near those of `location_scale`, whose variance is that over all readings
    error = float(((weight * risk) ** 2).sum() ** 0.5 / weight.sum())
    return location, 0.0 if constant else scale, len(value), error


def _typical(moving: Floats) -> tuple[float, float]:
    """Typical scale of items (N, 2) of location and scale, and 1 if it is relative to |location|."""
    if not len(moving):
        return 0.0, 0.0
    location, scale = np.abs(moving[:, 0]), moving[:, 1]
    ratio = scale / np.where(location > 0, location, np.nan)
    relative = bool(np.isfinite(ratio).all()) and np.std(np.log(ratio)) < np.std(np.log(scale))
    return float(np.median(ratio if relative else scale)), float(relative)
