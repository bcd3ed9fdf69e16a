"""The time axis of a model: real stamps counted in steps, and the calendar."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from rstime.errors import ConfigError, DataError
from rstime.types import Floats, Series

HOUR, DAY = 3600.0, 86400.0
QUARTER = 900 * 10**9  # nanoseconds in a quarter of an hour
UNITS = {"ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "h": HOUR, "d": DAY, "w": 7 * DAY}
PERIODS = (12 * HOUR, DAY, 7 * DAY, 365.25 * DAY)
"""Seconds of the calendar's cycles: half a day, day, week, year."""


@dataclass(frozen=True)
class Axis:
    """The time axis of a model: real time counted in steps.

    Attributes
    ----------
    step
        Length of one step, in seconds for stamps that are dates, else in the units of the stamps.
    calendar
        Whether stamps are dates.
    """

    step: float
    calendar: bool

    def __post_init__(self) -> None:
        if not (np.isfinite(self.step) and self.step > 0):
            raise ConfigError("step", f"{self.step} is not a positive length of time", "Set the grid.")

    @classmethod
    def fit(cls, series: Sequence[Series], grid: str | float | None = None) -> Axis:
        """Take the step from the grid, or else as the median gap between stamps (1, or 1 hour, if there is no gap).

        Raises
        ------
        DataError
            If there is no series, or some have dates and others numbers for stamps.
        """
        kinds = {is_calendar(one.time) for one in series}
        if len(kinds) != 1:
            problem = "no item" if not kinds else "dates in some items and numbers in others"
            raise DataError("timestamp", problem, "Give all items stamps of one kind.")
        calendar = kinds.pop()
        if grid is not None:
            return cls(grid_step(grid, calendar), calendar)
        gaps = np.concatenate([np.diff(_numbers(one.time)) for one in series])
        return cls(float(np.median(gaps)) if len(gaps) else (HOUR if calendar else 1.0), calendar)

    def steps(self, time: NDArray[Any]) -> Floats:
        """(T,) stamps in steps, counted from the epoch of the stamps.

        Raises
        ------
        DataError
            If the stamps are numbers where the axis has dates, or the other way round.
        """
        if is_calendar(time) != self.calendar:
            want, got = ("dates", "numbers") if self.calendar else ("numbers", "dates")
            raise DataError("timestamp", f"{got} where the model has {want}", "Use the stamps the model was fitted on.")
        return np.asarray(_numbers(time) / self.step, dtype=np.float64)

    @property
    def periods(self) -> tuple[float, ...]:
        """Seconds of the calendar cycles that the step resolves and that are not too slow to matter."""
        return tuple(period for period in PERIODS if self.calendar and 2 < period / self.step < 2000)

    def cycles(self, time: NDArray[Any], timezone: str | None = None) -> Floats:
        """(T, 2P) sine and cosine of each of the P calendar cycles, in local time where there is a zone."""
        if not self.periods:
            return np.empty((len(time), 0))
        angle = 2 * np.pi * _numbers(_local(time, timezone))[:, None] / np.array(self.periods)
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Return the axis as plain numbers."""
        return asdict(self)

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Axis:
        """Read the axis back."""
        return cls(float(state["step"]), bool(state["calendar"]))


def duration(text: str) -> float:
    """Seconds in a duration such as "1h", "30min" or "2D".

    Raises
    ------
    ConfigError
        If the text is not a positive duration of fixed length.

    Examples
    --------
    >>> duration("30min")
    1800.0
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]+)", text.strip())
    seconds = float(found[1]) * UNITS.get(found[2].lower(), 0.0) if found else 0.0
    if not 0 < seconds < np.inf:
        remedy = "Give a count and a unit of fixed length, such as 1h, 30min or 2D."
        raise ConfigError("duration", f"{text!r} is not a positive one", remedy)
    return seconds


def is_calendar(time: NDArray[Any]) -> bool:
    """Whether stamps are dates (else numbers)."""
    return bool(np.issubdtype(time.dtype, np.datetime64))


def nanoseconds(time: NDArray[Any]) -> NDArray[np.int64]:
    """Dates as int64 nanoseconds since 1970."""
    return np.ascontiguousarray(time.astype("datetime64[ns]")).view(np.int64)


def _numbers(time: NDArray[Any]) -> Floats:
    """Stamps as float64: seconds since 1970 for dates."""
    return nanoseconds(time) / 1e9 if is_calendar(time) else np.asarray(time, dtype=np.float64)


def _local(time: NDArray[Any], timezone: str | None) -> NDArray[Any]:
    """Wall-clock stamps of UTC stamps (offsets change at quarters of an hour only)."""
    if timezone is None:
        return time
    quarters, place = np.unique(nanoseconds(time) // QUARTER, return_inverse=True)
    zone = _zone(timezone)
    moments = (datetime.fromtimestamp(int(quarter) * 900, tz=UTC) for quarter in quarters)
    offset = np.array([moment.astimezone(zone).utcoffset() for moment in moments], dtype="timedelta64[ns]")
    return np.asarray(time + offset[place])


def _zone(name: str) -> tzinfo:
    """Time zone by name, such as Europe/Berlin or UTC+02:00."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError) as error:
        try:
            zone = datetime.strptime(name.removeprefix("UTC"), "%z").tzinfo
        except ValueError:
            zone = None
        if zone is None:
            raise DataError("timezone", f"{name!r} is unknown", "Use a name such as Europe/Berlin.") from error
        return zone


def grid_step(grid: str | float, calendar: bool) -> float:
    """Width of a grid in seconds for dates, else in the units of the stamps.

    Raises
    ------
    ConfigError
        If it is not a positive duration, or number, that suits the stamps.
    """
    if calendar and isinstance(grid, str):
        return duration(grid)
    try:
        step = float(grid)
    except ValueError as error:
        raise ConfigError("grid", f"{grid!r} beside stamps that are numbers", "Give the grid as a number.") from error
    if not 0 < step < np.inf:
        raise ConfigError("grid", f"{grid!r} is not positive", "Give a positive width.")
    return step
