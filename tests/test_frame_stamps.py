"""Time stamps of tables: zones, text, what cannot be told apart."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from oracles.tables import one, table
from rstime.errors import DataError
from rstime.frame import from_long, to_long

pytestmark = pytest.mark.filterwarnings("error")


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "UTC", "Asia/Kolkata"])
def test_time_zones_survive_the_way_there_and_back(zone: str) -> None:
    stamps = pd.date_range("2026-03-28 20:00", periods=12, freq="h", tz=zone)
    frame = pd.DataFrame({"item_id": "p", "timestamp": stamps, "variable": "x", "value": 1.0, "sd": 0.1})
    series = one(frame)
    assert series.timezone == zone
    np.testing.assert_array_equal(series.time, stamps.tz_convert("UTC").tz_localize(None).to_numpy())
    pd.testing.assert_series_equal(to_long([series])["timestamp"], frame["timestamp"])


def test_text_with_one_offset_is_one_zone() -> None:
    series = one(table(("p", "2026-01-01T02:00+02:00", "x", 1.0, 1.0), ("p", "2026-01-01 05:00+02:00", "x", 1.0, 1.0)))
    np.testing.assert_array_equal(series.time, np.array(["2026-01-01T00", "2026-01-01T03"], dtype="datetime64[ns]"))
    assert series.timezone == "UTC+02:00"
    assert str(to_long([series])["timestamp"].iloc[0]) == "2026-01-01 02:00:00+02:00"


UTC_STAMP, BERLIN_STAMP = pd.Timestamp("2026-01-01", tz="UTC"), pd.Timestamp("2026-01-01", tz="Europe/Berlin")


@pytest.mark.parametrize(
    "stamps",
    [
        ("2026-01-01T00:00+01:00", "2026-01-01T00:00"),
        ("2026-01-01T00:00", "2026-01-01T00:00Z"),
        (pd.Timestamp("2026-01-01"), BERLIN_STAMP),
        ("2026-01-01T00:00", BERLIN_STAMP),
    ],
)
def test_mixed_time_zones_are_refused(stamps: tuple[Any, Any]) -> None:
    frame = table(("p", stamps[0], "x", 1.0, 1.0), ("q", stamps[1], "x", 1.0, 1.0))
    frame["timestamp"] = pd.Series(list(stamps), dtype=object)
    with pytest.raises(DataError, match="timestamp: mixed time zones"):
        from_long(frame)


@pytest.mark.parametrize(
    ("stamps", "utc"),
    [
        (("2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"), ("2026-10-25T00:30", "2026-10-25T01:30")),
        (("25.10.2026 02:30 +02:00", "25.10.2026 02:30 +01:00"), ("2026-10-25T00:30", "2026-10-25T01:30")),
        (("2026-01-01T00:00Z", "2026-01-01T02:00+01:00"), ("2026-01-01T00:00", "2026-01-01T01:00")),
        ((UTC_STAMP, "2026-01-01T02:00+01:00"), ("2026-01-01T00:00", "2026-01-01T01:00")),
        ((BERLIN_STAMP, UTC_STAMP), ("2025-12-31T23:00", "2026-01-01T00:00")),
    ],
)
def test_stamps_that_all_have_an_offset_become_utc(stamps: tuple[Any, Any], utc: tuple[str, str]) -> None:
    frame = table(("p", None, "x", 1.0, 1.0), ("p", None, "x", 2.0, 1.0))
    series = one(frame.assign(timestamp=pd.Series(list(stamps), dtype=object)))
    np.testing.assert_array_equal(series.time, np.array(utc, dtype="datetime64[ns]"))
    assert series.timezone == "UTC"
    assert str(to_long([series])["timestamp"].iloc[1]) == f"{utc[1].replace('T', ' ')}:00+00:00"


@pytest.mark.parametrize("stamps", [("2026-01-01", "2026-01-01 03:00"), ("01/02/2026 10:00", "01/13/2026 11:00")])
def test_dates_as_text_are_read(stamps: tuple[str, str]) -> None:
    series = one(table(*(("p", stamp, "x", 1.0, 1.0) for stamp in stamps)))
    np.testing.assert_array_equal(series.time, [np.datetime64(pd.Timestamp(stamp), "ns") for stamp in stamps])


@pytest.mark.parametrize(
    "stamps",
    [
        ("01/02/2026 10:00", "13/02/2026 11:00"),
        ("13.02.2026 10:00", "1.3.2026 11:00"),
        ("13/02/26 1:00 PM", "1/3/26 2:00"),
    ],
)
def test_days_come_first_where_any_date_says_so(stamps: tuple[str, str]) -> None:
    series = one(table(*(("p", stamp, "x", 1.0, 1.0) for stamp in stamps)))
    want = [pd.to_datetime(stamp, dayfirst=True, format="mixed") for stamp in stamps]
    np.testing.assert_array_equal(series.time, np.array(want, dtype="datetime64[ns]"))


@pytest.mark.parametrize(
    "stamps", [("01/02/2026", "02/02/2026"), ("1.2.2026", "2.2.2026"), ("13/02/2026", "02/13/2026")]
)
def test_days_that_might_be_months_are_refused(stamps: tuple[str, str]) -> None:
    with pytest.raises(DataError, match=r"timestamp: .* may begin with the day or with the month"):
        from_long(table(*(("p", stamp, "x", 1.0, 1.0) for stamp in stamps)))


def test_a_time_zone_that_is_not_known_is_refused_rather_than_dropped() -> None:
    with pytest.raises(DataError, match="timestamp: the time zone of '2026-01-01 10:00 CET' is not known"):
        from_long(table(("p", "2026-01-01 10:00 CET", "x", 1.0, 1.0)))


@pytest.mark.filterwarnings("error")
def test_a_date_that_is_written_in_another_way_is_named() -> None:
    rows = (("p", "2026-01-01 10:00", "x", 1.0, 1.0), ("p", "2026-01-04 01:00 CET", "x", 1.0, 1.0))
    problem = "timestamp: '2026-01-04 01:00 CET' is not written as '2026-01-01 10:00' is"
    with pytest.raises(DataError, match=problem):
        from_long(table(*rows))


def test_dates_as_objects_may_cross_a_clock_change() -> None:
    zone = ZoneInfo("Europe/Berlin")
    dates = [dt.datetime(2026, 1, 1, tzinfo=zone), dt.datetime(2026, 7, 1, tzinfo=zone)]
    frame = table(("p", None, "x", 1.0, 1.0), ("p", None, "x", 2.0, 1.0))
    frame["timestamp"] = pd.Series(dates, dtype=object)
    series = one(frame)
    assert series.timezone == "Europe/Berlin"
    np.testing.assert_array_equal(series.time, np.array(["2025-12-31T23", "2026-06-30T22"], dtype="datetime64[ns]"))
    arrow = frame.assign(timestamp=frame["timestamp"].astype("timestamp[us, tz=Europe/Berlin][pyarrow]"))
    np.testing.assert_array_equal(one(arrow).time, series.time)
    assert one(arrow).timezone == "Europe/Berlin"


@pytest.mark.parametrize(
    ("stamp", "text"), [("soon", "'soon'"), ("12:30", "'12:30'"), ("2026-13-01", "'2026-13-01'"), (3.5, "3.5")]
)
def test_a_stamp_that_is_no_date_is_shown(stamp: Any, text: str) -> None:
    frame = table(("p", "2026-01-01", "x", 1.0, 1.0), ("p", stamp, "x", 1.0, 1.0))
    with pytest.raises(DataError, match="timestamp") as caught:
        from_long(frame)
    assert text in str(caught.value)


def test_an_empty_stamp_among_dates_is_refused() -> None:
    for kind in (object, "datetime64[ns]"):
        frame = table(("p", "2026-01-01", "x", 1.0, 1.0), ("p", None, "x", 1.0, 1.0)).astype({"timestamp": kind})
        with pytest.raises(DataError, match=r"timestamp: empty in row 1"):
            from_long(frame)
