"""Wide tables and tables of covariates; a large table."""

from __future__ import annotations

import time as clock
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oracles.tables import covariates, one, table
from rstime.errors import DataError, RstimeWarning
from rstime.frame import from_long, from_wide, to_long

pytestmark = pytest.mark.filterwarnings("error")


def test_a_wide_table_reads_like_a_long_one() -> None:
    wide = pd.DataFrame(
        {
            "item_id": ["p", "p", "q"],
            "timestamp": [0.0, 1.0, 0.0],
            "hr": [70.0, np.nan, 80.0],
            "hr_sd": [1.0, np.nan, np.inf],
            "bp": [120.0, 110.0, 100.0],
            "bp_sd": [2.0, 0.0, 3.0],
        }
    )
    first, _ = series = from_wide(wide)
    assert first.variables == ("hr", "bp")
    np.testing.assert_array_equal(first.value, [[70, 120], [np.nan, 110]])
    np.testing.assert_array_equal(first.risk, [[1, 2], [np.inf, 0]])
    assert first.asked.all()
    again = from_long(to_long(series))
    for one_way, other in zip(series, again, strict=True):
        np.testing.assert_array_equal(one_way.risk, other.risk)


def test_a_wide_table_may_lack_items_and_sd() -> None:
    wide = pd.DataFrame({"date": ["2026-01-01", "2026-01-02"], "x": [1, 2], "y": [1.5, 2], "y_sd": [0.1, 0.2]})
    with pytest.warns(RstimeWarning, match=r"no column 'x_sd'.*: x\."):
        (series,) = from_wide(wide, timestamp="date")
    assert series.item_id == "series"
    np.testing.assert_array_equal(series.risk, [[0, 0.1], [0, 0.2]])
    with pytest.raises(DataError, match=r"y_sd: -1.0 in row 0 \(date '2026-01-01'; rows count from 0\)"):
        from_wide(wide[["date", "y", "y_sd"]].assign(y_sd=-1.0), timestamp="date")
    with pytest.raises(DataError, match="no column of values"):
        from_wide(wide[["date"]], timestamp="date")


def test_static_numbers_belong_to_their_item() -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0), ("q", 0.0, "x", 1.0, 1.0), ("r", 0.0, "x", 1.0, 1.0))
    static = pd.DataFrame({"age": [30, np.nan, 9], "item_id": ["q", "p", "other"], "bmi": [20, 25, 1]})
    with pytest.warns(RstimeWarning, match="static: no row for 1 of 3 items, the first is 'r'"):
        first, second, third = from_long(frame, static=static)
    assert first.static_names == ("age", "bmi")
    np.testing.assert_array_equal([first.static, second.static, third.static], [[np.nan, 25], [30, 20], [np.nan] * 2])
    for wrong, message in (
        (static.assign(item_id="p"), "one row"),
        (static.assign(age="old"), "'old' in row 0"),
        (static.assign(age=np.inf), "finite"),
        (static.drop(columns="item_id"), "no column 'item_id'"),
    ):
        with pytest.raises(DataError, match=message):
            from_long(frame, static=wrong)


def test_known_covariates_hold_until_their_next_row_and_reach_into_the_future() -> None:
    frame = table(("p", 1.0, "x", 1.0, 1.0), ("p", 2.5, "x", 2.0, 1.0))
    known = covariates(("p", 5.0, 50.0), ("p", 2.0, 20.0), ("p", 1.0, 10.0), ("p", 4.0, 40.0), ("z", 9.0, 0.0))
    series = one(frame, known=known)
    np.testing.assert_array_equal(series.time, [1.0, 2.5, 4.0, 5.0])
    np.testing.assert_array_equal(series.known[:, 0], [10, 20, 40, 50])
    np.testing.assert_array_equal(series.asked[:, 0], [True, True, False, False])
    np.testing.assert_array_equal(series.observed[:, 0], [True, True, False, False])


def test_known_covariates_on_a_grid_are_means_of_bins() -> None:
    frame = table(("p", "2026-01-01 00:10", "x", 1.0, 1.0), ("p", "2026-01-01 02:10", "x", 2.0, 1.0))
    known = covariates(("p", "2026-01-01 00:00", 1.0), ("p", "2026-01-01 00:30", 3.0), ("p", "2026-01-01 04:59", 9.0))
    series = one(frame, known=known, grid="1h")
    np.testing.assert_array_equal(series.known[:, 0], [2, 2, 2, 2, 9])
    np.testing.assert_array_equal(series.time[[0, -1]], np.array(["2026-01-01T00", "2026-01-01T04"], "datetime64[ns]"))


@pytest.mark.parametrize(
    ("known", "message"),
    [
        (covariates(("p", 2.0, 1.0)), r"known: no row for item 'p' at or before 1.0"),
        (covariates(("q", 0.0, 1.0)), r"known: no row for item 'p'"),
        (covariates(("p", 0.0, np.nan)), "temp: empty in row 0"),
        (covariates(("p", 0.0, "warm")), "temp: 'warm' in row 0"),
        (
            covariates(("p", "2026-01-01", 1.0)),
            "dates without time zone in the known table where the readings have num",
        ),
    ],
)
def test_known_covariates_must_cover_every_stamp(known: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_long(table(("p", 1.0, "x", 1.0, 1.0)), known=known)


def test_dates_with_and_without_zone_do_not_mix_between_tables() -> None:
    frame = table(("p", "2026-01-01T00:00Z", "x", 1.0, 1.0))
    with pytest.raises(DataError, match="dates without time zone"):
        one(frame, known=covariates(("p", "2026-01-01", 1.0)))
    series = one(frame, known=covariates(("p", "2026-01-01T01:00+01:00", 1.0)))
    np.testing.assert_array_equal(series.known, [[1.0]])


def test_physionet_is_read_in_seconds_and_right(shared_data: Path) -> None:
    rows = pd.read_csv(shared_data / "physionet2012_set_a" / "observations.csv.gz")
    rows = rows[~rows["Parameter"].isin(["RecordID", "Age", "Gender", "Height", "ICUType"])]
    rows = rows.drop_duplicates(["RecordID", "Time", "Parameter"])
    hour, minute = rows["Time"].str[:2].astype(int), rows["Time"].str[3:].astype(int)
    frame = pd.DataFrame(
        {
            "item_id": rows["RecordID"],
            "timestamp": pd.Timestamp("2000-01-01") + pd.to_timedelta(60 * hour + minute, unit="min"),
            "variable": rows["Parameter"],
            "value": rows["Value"],
            "sd": 1.0 + minute % 3,
        }
    )
    start = clock.perf_counter()
    irregular = from_long(frame)
    with pytest.warns(RstimeWarning, match="grid: readings within a bin differ by more than their sd says, for Urine"):
        hourly = from_long(frame, grid="1h")
    assert clock.perf_counter() - start < 30  # 4 on an idle machine
    assert sum(int(series.observed.sum()) for series in irregular) == len(frame) == 1_734_236
    first = frame["item_id"] <= int(hourly[99].item_id)
    weight = frame["sd"][first] ** -2.0
    keys = [frame["item_id"][first], hour[first], frame["variable"][first]]
    total, weighted = weight.groupby(keys).sum(), (weight * frame["value"][first]).groupby(keys).sum()
    cells = to_long(hourly[:100])
    bins = (cells["timestamp"] - pd.Timestamp("2000-01-01")) // pd.Timedelta("1h")
    index = pd.MultiIndex.from_arrays([cells["item_id"].astype(int), bins, cells["variable"]])
    assert len(index) == len(total)
    np.testing.assert_allclose(cells["value"], (weighted / total).loc[index], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(cells["sd"], total.loc[index] ** -0.5)
    assert all((np.diff(series.time) == np.timedelta64(1, "h")).all() for series in hourly)
