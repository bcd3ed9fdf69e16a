from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from rstime.axis import Axis, duration
from rstime.errors import ConfigError, DataError
from rstime.types import Series


def at(time: np.ndarray, timezone: str | None = None) -> Series:
    empty = np.zeros((len(time), 1))
    return Series("a", time, ("x",), empty, empty, timezone=timezone)


def hours(*numbers: float) -> np.ndarray:
    return np.datetime64("2026-01-01", "ns") + (np.array(numbers) * 3600e9).astype("timedelta64[ns]")


def test_the_step_is_the_median_gap() -> None:
    assert Axis.fit([at(hours(0, 1, 2, 7)), at(hours(0, 1))]) == Axis(3600.0, True)
    assert Axis.fit([at(np.array([0.0, 0.25, 0.5]))]) == Axis(0.25, False)


def test_the_grid_overrides_the_gap() -> None:
    assert Axis.fit([at(hours(0, 1, 2))], grid="15min") == Axis(900.0, True)
    assert Axis.fit([at(np.array([0.0, 1.0]))], grid="2") == Axis(2.0, False)


def test_one_stamp_is_enough() -> None:
    assert Axis.fit([at(hours(3))]) == Axis(3600.0, True)
    assert Axis.fit([at(np.array([3.0]))]) == Axis(1.0, False)


def test_dates_and_numbers_do_not_mix() -> None:
    with pytest.raises(DataError, match="timestamp"):
        Axis.fit([at(hours(0, 1)), at(np.array([0.0, 1.0]))])
    with pytest.raises(DataError, match="numbers where the model has dates"):
        Axis(3600.0, True).steps(np.array([0.0]))


def test_steps_count_from_the_epoch() -> None:
    axis = Axis(1800.0, True)
    np.testing.assert_array_equal(axis.steps(np.array(["1970-01-01T02:15"], dtype="datetime64[ns]")), [4.5])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3600), ("30min", 1800), ("2D", 172800), ("1.5 h", 5400), ("250ms", 0.25), ("1w", 604800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0h", "-1h", "1 month", "soon", "nan h"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(ConfigError, match="duration"):
        duration(text)


@pytest.mark.parametrize(("grid", "calendar"), [("1h", False), ("0", False), (0, True), (-1.0, False), ("nan", False)])
def test_bad_grids(grid: str | float, calendar: bool) -> None:
    with pytest.raises(ConfigError, match="grid"):
        Axis.fit([at(hours(0, 1) if calendar else np.arange(2.0))], grid=grid)


def test_calendar_cycles_are_those_the_step_resolves() -> None:
    hour = 3600.0
    assert Axis(hour, True).periods == (12 * hour, 24 * hour, 168 * hour)
    assert Axis(24 * hour, True).periods == (168 * hour, 365.25 * 24 * hour)
    assert Axis(hour, False).periods == ()


def test_cycles_at_six_in_the_morning() -> None:
    sin_half, sin_day, _, cos_half, cos_day, _ = Axis(3600.0, True).cycles(hours(6))[0]
    np.testing.assert_allclose([sin_half, cos_half, sin_day, cos_day], [0, -1, 1, 0], atol=1e-9)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "UTC", "UTC+02:00"])
def test_cycles_follow_the_wall_clock_through_clock_changes(zone: str) -> None:
    utc = pd.date_range("2026-03-27", periods=120, freq="h", tz="UTC")
    wall = utc.tz_convert(zone).tz_localize(None).to_numpy()
    axis = Axis(3600.0, True)
    np.testing.assert_allclose(axis.cycles(utc.tz_localize(None).to_numpy(), zone), axis.cycles(wall), atol=1e-9)


def test_an_unknown_zone_is_named() -> None:
    with pytest.raises(DataError, match="Middle/Earth"):
        Axis(3600.0, True).cycles(hours(0), "Middle/Earth")


def test_an_axis_survives_json() -> None:
    axis = Axis(0.1, False)
    assert Axis.from_dict(json.loads(json.dumps(axis.to_dict()))) == axis
