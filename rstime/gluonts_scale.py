"""Location and scale of each window of a global model, from the item's own noisy past; risk is scaled along."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rstime.gluonts_season import BACK, expected
from rstime.scaling import location_scale, within_blocks
from rstime.types import Floats, Series

RECENT = 2
"""Windows whose readings say the location and scale of the next forecast."""

FEW = 8
"""Readings at which an item's own scale and the scale that is typical of items weigh the same."""


@dataclass(frozen=True, eq=False)
class ItemScale:
    """What is typical of the items that a global model was fitted to, to scale items of few readings or none.

    A window is scaled by what came before its forecast: the profiles of its seasons (`rstime.gluonts_season`), and of
    what they leave the mean and the spread within blocks, with the noise taken off (`rstime.scaling`). A series that
    wanders has a spread within blocks, where the spread over all its past says how long that is; and recent blocks tell
    quiet times from restless ones.

    Attributes
    ----------
    block, recent
        Stamps of a block, and before a forecast those that say its location and scale.
    seasons
        Stamps in each kind of season.
    location, spread
        (C,) median of the items' locations, and their standard deviation.
    scale
        (C,) typical scale: the median over items, of their scale or of its ratio to |location|.
    relative
        (C,) whether `scale` is a ratio, which it is where ratios vary less between items than scales do.
    """

    block: int
    recent: int
    seasons: tuple[int, ...]
    location: Floats
    spread: Floats
    scale: Floats
    relative: Floats

    @classmethod
    def fit(cls, series: Sequence[Series], block: int, recent: int, seasons: tuple[int, ...] = ()) -> ItemScale:
        """Learn what is typical from all items with at least two different readings of a variable."""
        columns = []
        for column in range(len(series[0].variables)):
            parts = [_own(one, column, block, len(one.time), seasons) for one in series]
            locations = [part.location for part in parts if part.count] or [0.0]
            moving = np.array([(part.location, part.scale) for part in parts if part.scale > 0]).reshape(-1, 2)
            columns.append((float(np.median(locations)), float(np.std(locations)), *_typical(moving)))
        return cls(block, recent, seasons, *np.array(columns, dtype=np.float64).T)

    @property
    def behind(self) -> int:
        """Stamps before a forecast that are looked at."""
        return max(self.recent, BACK * max(self.seasons, default=0))

    def of(self, series: Series, ahead: int = 0) -> Units:
        """Return the units of an item's stamps and of those ahead of it.

        An item of n readings has scale^2 = (n s^2 + k t^2) / (n + k) + e^2: s its own, t the typical one, k `FEW`,
        e the standard error of its location that comes from noise. An item without readings gets the typical location,
        and a scale that covers how locations vary.
        """
        centres, scales = [], []
        for column in range(len(series.variables)):
            own = _own(series, column, self.block, self.recent, self.seasons, ahead)
            location = own.location if own.count else float(self.location[column])
            typical = self.scale[column] * (abs(location) if self.relative[column] else 1.0)
            typical = typical if typical > 0 else 1.0
            square = (own.count * own.scale**2 + FEW * typical**2) / (own.count + FEW) + own.error**2
            centres.append(location + own.profile)
            scales.append(np.sqrt(square if own.count else typical**2 + self.spread[column] ** 2))
        return Units(np.stack(centres, axis=1), np.array(scales))

    def to_dict(self) -> dict[str, Any]:
        """Return it as lists that JSON can hold."""
        return {name: np.asarray(getattr(self, name)).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> ItemScale:
        """Read it back."""
        numbers = [np.array(state[name], dtype=np.float64) for name in ("location", "spread", "scale", "relative")]
        return cls(int(state["block"]), int(state["recent"]), tuple(int(one) for one in state["seasons"]), *numbers)


@dataclass(frozen=True, eq=False)
class Units:
    """What an item is scaled by: value = centre + scale x number.

    Attributes
    ----------
    centre
        (T, C) location and profile of the seasons; NaN where a reading is to be left out.
    scale
        (C,).
    """

    centre: Floats
    scale: Floats

    def scaled(self, series: Series) -> Series:
        """Return the last of the stamps, those of an item, in these units."""
        value = (series.value - self.centre[len(self.centre) - len(series.time) :]) / self.scale
        return replace(series, value=value, risk=np.where(np.isfinite(value), series.risk / self.scale, np.inf))


@dataclass(frozen=True, eq=False)
class Own:
    """What the readings of a variable of an item say: see `ItemScale.of`; scale 0 of a constant, profile (T,)."""

    location: float
    scale: float
    count: int
    error: float
    profile: Floats


def recent_stamps(context: int, horizon: int) -> int:
    """Return how many stamps before a forecast say its location and scale."""
    return RECENT * (context + horizon)


def instances(series: Series, cuts: Iterable[int], context: int, horizon: int, scale: ItemScale | None) -> list[Series]:
    """Cut a series into windows of context and horizon around each cut, in the units that each is forecast in."""
    found = []
    for cut in cuts:
        window = series.rows(slice(max(cut - context, 0), cut + horizon))
        if window.observed.any():
            named = replace(window, item_id=f"{series.item_id}@{cut}")
            found.append(units(series.rows(slice(cut)), scale, len(series.time[cut : cut + horizon])).scaled(named))
    return found


def units(past: Series, scale: ItemScale | None, ahead: int) -> Units:
    """Return the units of an item and of the stamps ahead of it; 0 and 1 where items are not scaled."""
    if scale is None:
        return Units(np.zeros((len(past.time) + ahead, len(past.variables))), np.ones(len(past.variables)))
    return scale.of(past.rows(slice(-scale.behind, None)), ahead)


def _own(series: Series, column: int, block: int, recent: int, seasons: tuple[int, ...], ahead: int = 0) -> Own:
    value, risk = series.value[:, column], series.risk[:, column]
    constant = not np.isfinite(risk).any() or np.nanmax(value) - np.nanmin(value) <= 1e-12 * abs(np.nanmean(value))
    profile = np.zeros(len(value) + ahead) if constant else expected(value, risk, seasons, ahead)
    value = (value - profile[: len(value)])[-recent:]
    seen = np.flatnonzero(np.isfinite(value))
    if not len(seen):
        return Own(0.0, 0.0, 0, 0.0, profile)
    value, risk = value[seen], risk[-recent:][seen]
    location, scale = location_scale(value, risk)
    scale = within_blocks(value, risk, seen // block) or scale
    weight = 1 / (scale**2 + risk**2) ** 2  # near those of `location_scale`, whose variance is that over all readings
    error = float(((weight * risk) ** 2).sum() ** 0.5 / weight.sum())
    return Own(location, 0.0 if constant else scale, len(value), error, profile)


def _typical(moving: Floats) -> tuple[float, float]:
    """Typical scale of items (N, 2) of location and scale, and 1 if it is relative to |location|."""
    if not len(moving):
        return 0.0, 0.0
    location, scale = np.abs(moving[:, 0]), moving[:, 1]
    ratio = scale / np.where(location > 0, location, np.nan)
    relative = bool(np.isfinite(ratio).all()) and np.std(np.log(ratio)) < np.std(np.log(scale))
    return float(np.median(ratio if relative else scale)), float(relative)
