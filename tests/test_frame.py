from __future__ import annotations

import datetime as dt
import time as clock
import warnings
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.frame import Columns, from_long, from_wide, to_long
from rstime.types import Series


def table(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["item_id", "timestamp", "variable", "value", "sd"])


def one(frame: pd.DataFrame, **settings: Any) -> Series:
    (series,) = from_long(frame, **settings)
    return series


@pytest.fixture(autouse=True)
def _warnings_are_errors() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def test_a_row_is_a_measurement_or_a_question_and_no_row_is_neither() -> None:
    frame = table(
        ("p", 2.0, "hr", 80.0, 3.0),
        ("p", 0.5, "hr", 70.0, 0.0),
        ("p", 2.0, "bp", np.nan, np.nan),
        ("p", 7.25, "bp", 120.0, np.inf),
    )
    series = one(frame)
    np.testing.assert_array_equal(series.time, [0.5, 2.0, 7.25])
    assert series.variables == ("hr", "bp")
    np.testing.assert_array_equal(series.value, [[70, np.nan], [80, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(series.risk, [[0, np.inf], [3, np.inf], [np.inf, np.inf]])
    np.testing.assert_array_equal(series.asked, [[True, False], [True, True], [False, True]])


def test_items_come_in_order_of_appearance_with_all_variables() -> None:
    frame = table(("b", 0.0, "x", 1.0, 1.0), ("a", 0.0, "y", 2.0, 1.0), ("b", 1.0, "x", 3.0, 1.0))
    first, second = from_long(frame)
    assert [first.item_id, second.item_id] == ["b", "a"]
    assert first.variables == second.variables == ("x", "y")
    assert first.value.shape == (2, 2)


def test_the_table_is_not_changed() -> None:
    frame = table(("p", "2026-01-02", "x", "1", "0.5"), ("p", "2026-01-01", "x", "", ""))
    static, known = (
        pd.DataFrame({"item_id": ["p"], "age": [3]}),
        pd.DataFrame({"item_id": "p", "timestamp": ["2026-01-01", "2026-01-02"], "k": [1, 2]}),
    )
    copies = [part.copy(deep=True) for part in (frame, static, known)]
    from_long(frame, static=static, known=known, grid="1h")
    for part, copy in zip((frame, static, known), copies, strict=True):
        pd.testing.assert_frame_equal(part, copy)


def test_repeats_fuse_by_precision_with_a_warning() -> None:
    frame = table(("p", 0.0, "x", 10.0, 1.0), ("p", 0.0, "x", 13.0, 2.0), ("p", 0.0, "x", np.nan, np.nan))
    with pytest.warns(RstimeWarning, match=r"1 entries .*'x' of item 'p' at 0.0"):
        series = one(frame)
    assert series.value[0, 0] == pytest.approx((10 + 13 / 4) / (1 + 1 / 4))
    assert series.risk[0, 0] == pytest.approx(1 / np.sqrt(1 + 1 / 4))


@pytest.mark.parametrize("zone", ["", "Z"])
def test_messages_name_dates_as_one_writes_them(zone: str) -> None:
    frame = table(*(("p", f"2026-01-02 03:00{zone}", "x", value, 1.0) for value in (1.0, 2.0)))
    with pytest.warns(RstimeWarning, match=r"at 2026-01-02 03:00:00(\+00:00)?\)"):
        one(frame)


@pytest.mark.parametrize("grid", [None, 2.0])
def test_copies_of_readings_are_told(grid: float | None) -> None:
    rows = [
        ("p", 0.0, "x", 1.0, 0.5),
        ("p", 1.0, "x", 1.0, 0.5),
        ("p", 0.0, "y", 1.0, 0.0),
        ("p", 1.0, "z", None, None),
    ]
    from_long(table(*rows), grid=grid)
    from_long(table(*rows, *rows[2 if grid else 3 :]), grid=grid)
    problem = (
        "value: 2 readings repeat the time, value and sd of another one (1.0 of 'x' of item 'p' at 0.0). They count"
    )
    with pytest.warns(RstimeWarning) as caught:
        series = one(table(*rows, *rows, ("p", 1.0, "x", 1.1, 0.5)), grid=grid)
    assert str(caught[0].message).startswith(problem)
    assert len(caught) == (2 if grid is None else 1)
    assert series.risk[0, 0] == pytest.approx(0.5 / np.sqrt(2 if grid is None else 5))


def test_an_exact_reading_outweighs_noisy_ones() -> None:
    frame = table(("p", 0.0, "x", 10.0, 1.0), ("p", 0.0, "x", 13.0, 0.0), ("p", 0.0, "x", 13.0, 0.0))
    with pytest.warns(RstimeWarning):
        series = one(frame)
    assert (series.value[0, 0], series.risk[0, 0]) == (13, 0)


@pytest.mark.parametrize("tiny", [1e-200, 1e-300])
def test_tiny_and_huge_errors_fuse_without_overflow(tiny: float) -> None:
    frame = table(("p", 0.0, "x", 1.0, tiny), ("p", 0.0, "x", 3.0, tiny), ("p", 0.0, "x", 9.0, 1e200))
    with pytest.warns(RstimeWarning):
        series = one(frame)
    assert series.value[0, 0] == 2
    assert series.risk[0, 0] == pytest.approx(tiny / np.sqrt(2))


def test_a_question_beside_a_reading_changes_nothing() -> None:
    series = one(table(("p", 0.0, "x", 10.0, 1.0), ("p", 0.0, "x", np.nan, 5.0)))
    assert (series.value[0, 0], series.risk[0, 0]) == (10, 1)


def test_exact_readings_that_contradict_each_other_are_refused() -> None:
    frame = table(("p", 4.0, "x", 10.0, 0.0), ("p", 4.0, "x", 11.0, 0.0), ("p", 4.0, "x", 11.0, 2.0))
    with pytest.raises(DataError, match=r"value: exact readings 10.0 and 11.0 contradict.*'x' of item 'p' at 4.0"):
        one(frame)


readings = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(-3, 3),
        st.sampled_from("xyz"),
        st.one_of(st.none(), st.floats(-1e3, 1e3)),
        st.one_of(st.floats(0.01, 100), st.just(np.inf)),
    ),
    min_size=1,
    max_size=40,
)


@given(readings)
def test_fusion_agrees_with_the_slow_way(rows: list[tuple[Any, ...]]) -> None:
    frame = table(*rows).astype({"value": float})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        items = {series.item_id: series for series in from_long(frame)}
    for (item, time, variable), group in frame.groupby(["item_id", "timestamp", "variable"]):
        series = items[str(item)]
        place = (list(series.time).index(float(time)), series.variables.index(variable))
        precision = (1 / group["sd"] ** 2).where(group["value"].notna(), 0.0)
        assert series.asked[place]
        if precision.sum() == 0:
            assert np.isinf(series.risk[place])
            assert np.isnan(series.value[place])
        else:
            mean = (precision * group["value"].fillna(0)).sum() / precision.sum()
            assert series.value[place] == pytest.approx(mean, abs=1e-9)
            assert series.risk[place] == pytest.approx(precision.sum() ** -0.5)
    assert sum(series.asked.sum() for series in items.values()) == len(
        frame.groupby(["item_id", "timestamp", "variable"])
    )


@given(readings)
def test_the_order_of_rows_changes_nothing_but_the_order_of_names(rows: list[tuple[Any, ...]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        forward, backward = from_long(table(*rows)), from_long(table(*rows[::-1]))
    other = {series.item_id: series for series in backward}
    for series in forward:
        twin = other[series.item_id]
        order = [twin.variables.index(name) for name in series.variables]
        np.testing.assert_array_equal(series.time, twin.time)
        np.testing.assert_allclose(series.value, twin.value[:, order])
        np.testing.assert_allclose(series.risk, twin.risk[:, order])


@given(readings, st.booleans())
def test_a_table_survives_the_way_there_and_back(rows: list[tuple[Any, ...]], variance: bool) -> None:
    columns = Columns("id", "t", "v", "y", "s", variance="var" if variance else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        series = from_long(table(*rows))
        back = from_long(to_long(series, columns), columns)
    for first, second in zip(series, back, strict=True):
        order = [second.variables.index(name) for name in first.variables if name in second.variables]
        kept = [name in second.variables for name in first.variables]
        assert first.item_id == second.item_id
        np.testing.assert_array_equal(first.time, second.time)
        np.testing.assert_array_equal(first.value[:, kept], second.value[:, order])
        np.testing.assert_allclose(first.risk[:, kept], second.risk[:, order])
        np.testing.assert_array_equal(first.asked[:, kept], second.asked[:, order])


def test_a_grid_fuses_the_readings_of_a_bin_and_has_every_bin() -> None:
    frame = table(
        ("p", "2026-01-01 00:10", "x", 10.0, 1.0),
        ("p", "2026-01-01 00:50", "x", 13.0, 2.0),
        ("p", "2026-01-01 00:59", "y", 1.0, 0.0),
        ("p", "2026-01-01 00:01", "y", 4.0, 0.0),
        ("p", "2026-01-01 03:00", "x", 7.0, 0.5),
        ("p", "2026-01-01 02:30", "y", np.nan, np.nan),
    )
    series = one(frame, grid="1h")
    start = np.datetime64("2026-01-01T00", "ns")
    np.testing.assert_array_equal(series.time, start + np.arange(4) * np.timedelta64(1, "h"))
    np.testing.assert_allclose(series.value[:, 0], [10.6, np.nan, np.nan, 7])
    np.testing.assert_allclose(series.risk[:, 0], [1 / np.sqrt(1.25), np.inf, np.inf, 0.5])
    assert (series.value[0, 1], series.risk[0, 1]) == (2.5, 0)
    np.testing.assert_array_equal(series.asked, [[1, 1], [0, 0], [0, 1], [1, 0]])


def test_a_grid_of_numbers_is_not_misled_by_rounding() -> None:
    frame = table(*(("p", k * 0.1, "x", float(k), 1.0) for k in range(-20, 100)))
    series = one(frame, grid=0.1)
    np.testing.assert_array_equal(series.value[:, 0], np.arange(-20, 100))
    np.testing.assert_allclose(series.time, np.arange(-20, 100) * 0.1, atol=1e-12)


def test_without_a_grid_stamps_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.normal(size=50)) * 1e3
    frame = table(*(("p", t, "x", 0.0, 1.0) for t in rng.permutation(times)))
    np.testing.assert_array_equal(one(frame).time, times)
    stamps = pd.to_datetime(times * 1e9 + 0.5, unit="ns")
    np.testing.assert_array_equal(one(frame.assign(timestamp=stamps[rng.permutation(50)])).time, stamps.to_numpy())


@pytest.mark.parametrize(("grid", "error"), [("1 fortnight", ConfigError), ("0h", ConfigError), ("1us", ConfigError)])
def test_a_bad_grid_is_refused(grid: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        one(table(("p", "2026-01-01", "x", 1.0, 1.0)), grid=grid)


def test_a_grid_that_would_explode_is_refused() -> None:
    frame = table(("p", "1970-01-01", "x", 1.0, 1.0), ("p", "2026-01-01", "x", 1.0, 1.0))
    with pytest.raises(DataError, match="grid"):
        one(frame, grid="1s")
    with pytest.raises(DataError, match="grid"):
        one(table(("p", 1e18, "x", 1.0, 1.0)), grid=1e-3)


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
        ("2026-01-01T00:00+01:00", "2026-01-01T00:00+02:00"),
        ("2026-01-01T00:00+01:00", "2026-01-01T00:00"),
        ("2026-01-01T00:00", "2026-01-01T00:00Z"),
        (UTC_STAMP, BERLIN_STAMP),
        (pd.Timestamp("2026-01-01"), BERLIN_STAMP),
    ],
)
def test_mixed_time_zones_are_refused(stamps: tuple[Any, Any]) -> None:
    frame = table(("p", stamps[0], "x", 1.0, 1.0), ("q", stamps[1], "x", 1.0, 1.0))
    frame["timestamp"] = pd.Series(list(stamps), dtype=object)
    with pytest.raises(DataError, match="timestamp: mixed time zones"):
        from_long(frame)


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


def bad(field: str, value: Any, **cells: Any) -> pd.DataFrame:
    frame = table(("p", 1.0, "x", 1.0, 0.5), ("q", 2.0, "y", 5.0, 0.5), ("q", 3.0, "y", 5.0, 0.5)).astype(object)
    frame.loc[1, field] = value
    return frame.assign(**cells)


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("sd", -0.5, "-0.5"),
        ("sd", np.nan, "nan"),
        ("sd", None, "None"),
        ("sd", "", "''"),
        ("sd", "wide", "'wide'"),
        ("sd", -np.inf, "-inf"),
        ("value", "high", "'high'"),
        ("value", "1,5", "'1,5'"),
        ("value", np.inf, "inf"),
        ("value", "-inf", "'-inf'"),
        ("timestamp", np.nan, "nan"),
        ("timestamp", np.inf, "inf"),
        ("item_id", None, "None"),
        ("variable", np.nan, "nan"),
    ],
)
def test_a_bad_cell_is_named_with_its_row_and_a_remedy(field: str, value: Any, shown: str) -> None:
    with pytest.raises(DataError) as caught:
        from_long(bad(field, value))
    assert caught.value.field == field
    assert caught.value.problem.startswith(f"{shown} in row 1 (")
    assert caught.value.remedy
    if field != "item_id":
        assert "item_id 'q'" in str(caught.value)


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
        with pytest.raises(DataError, match=r"timestamp: (None|NaT) in row 1"):
            from_long(frame)


def test_without_sd_everything_is_exact_with_a_warning() -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0), ("p", 1.0, "x", np.nan, 1.0)).drop(columns="sd")
    with pytest.warns(RstimeWarning, match="sd: no such column"):
        series = one(frame)
    np.testing.assert_array_equal(series.risk[:, 0], [0, np.inf])


def test_columns_can_be_renamed_and_variance_given_instead_of_sd() -> None:
    frame = table(("p", 0.0, "x", 1.0, 9.0)).set_axis(["bed", "when", "what", "much", "var"], axis=1)
    series = one(frame, columns=Columns("bed", "when", "what", "much", variance="var"))
    assert series.risk[0, 0] == 3
    with pytest.raises(DataError, match=r"var: -9.0 in row 0 \(bed 'p', when 0.0, what 'x'\)"):
        from_long(frame.assign(var=-9.0), Columns("bed", "when", "what", "much", variance="var"))


@pytest.mark.parametrize("name", ["item_id", "timestamp", "variable", "value"])
def test_an_absent_column_is_named_beside_those_present(name: str) -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0)).rename(columns={name: "other"})
    with pytest.raises(DataError, match=rf"columns: no column '{name}' among .*other.*Columns\(") as caught:
        from_long(frame)
    assert "--id-col" in str(caught.value)


def test_a_column_of_sd_that_was_named_must_exist() -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0))
    for columns in (Columns(sd="error"), Columns(variance="error")):
        with pytest.raises(DataError, match="no column 'error'"):
            from_long(frame, columns)


def test_doubled_columns_are_refused() -> None:
    frame = pd.concat([table(("p", 0.0, "x", 1.0, 1.0))] * 2, axis=1)
    with pytest.raises(DataError, match="2 columns 'item_id'"):
        from_long(frame)


@pytest.mark.parametrize("frame", [table(), pd.DataFrame()])
def test_an_empty_table_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no rows"):
        from_long(frame)


@pytest.mark.parametrize(("spread", "told"), [(0.0, None), (1.0, None), (4.0, "4"), (np.inf, "inf")])
def test_readings_that_move_within_a_bin_are_told(spread: float, told: str | None) -> None:
    """Readings of sd 2 (0) whose signal itself moves within a bin, so that they differ by `spread` times their sd."""
    rng = np.random.default_rng(0)
    time = rng.uniform(0, 200, size=1000)
    still = np.round(np.sin(np.floor(time)), 2)  # constant within a bin
    sd = 0.0 if spread in (0.0, np.inf) else 2.0
    shift = {0.0: 0.0, np.inf: 1.0}.get(spread, 2 * spread) * rng.standard_normal(1000)
    moving = {"item_id": "p", "timestamp": time, "variable": "x", "value": still + shift, "sd": sd}
    constant = {**moving, "variable": "still", "value": still + rng.standard_normal(1000), "sd": 1.0}
    frame = pd.concat([pd.DataFrame(moving), pd.DataFrame(constant)], ignore_index=True)
    if told is None:
        one(frame, grid=1.0)
        return
    with pytest.warns(RstimeWarning, match="grid: readings within a bin differ") as caught:
        one(frame, grid=1.0)
    assert f"for x ({told}" in str(caught[0].message)
    assert "still" not in str(caught[0].message)


def test_an_item_without_reading_is_an_error_in_fitting_and_else_a_warning() -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0), ("empty", 0.0, "x", np.nan, 1.0), ("empty", 1.0, "x", 5.0, np.inf))
    with pytest.raises(DataError, match="item_id: 1 of 2 items without any reading, the first is 'empty'"):
        from_long(frame, fitting=True)
    with pytest.warns(RstimeWarning, match="prior"):
        _, series = from_long(frame)
    assert series.asked.all()


def test_constant_series_single_points_and_empty_variables_are_fine() -> None:
    frame = table(("p", 0.0, "x", 5.0, 0.0), ("p", 1.0, "x", 5.0, 0.0), ("q", 0.0, "x", 5.0, 1.0))
    frame.loc[3] = ["q", 0.0, "never", np.nan, np.nan]
    for grid in (None, 1.0):
        with pytest.warns(RstimeWarning, match="variable: no reading of 'never'; what a model answers there"):
            first, second = from_long(frame, grid=grid, fitting=True)
        assert first.variables == ("x", "never")
        assert len(second.time) == 1
        assert not first.observed[:, 1].any()


@pytest.mark.parametrize(
    "kinds",
    [
        {"value": "Float64", "sd": "Float64", "item_id": "string", "variable": "category"},
        {"value": "float32", "sd": "float32", "timestamp": "int64"},
        {"value": str, "sd": str, "item_id": "category"},
        {"value": "Int64", "timestamp": "Float64"},
        {"value": "double[pyarrow]", "sd": "double[pyarrow]", "variable": "string[pyarrow]"},
    ],
)
def test_every_kind_of_column_is_read_alike(kinds: dict[str, Any]) -> None:
    frame = table(("p", 0.0, "x", 1.0, 0.5), ("p", 2.0, "y", 2.0, np.inf), ("p", 2.0, "x", np.nan, 0.5))
    plain, other = one(frame), one(frame.astype(kinds))
    np.testing.assert_array_equal(plain.value, other.value)
    np.testing.assert_array_equal(plain.risk, other.risk)
    assert (plain.item_id, plain.variables) == (other.item_id, other.variables)


def test_item_names_that_are_numbers_become_text() -> None:
    series = one(table((7, 0.0, 3, 1.0, 1.0)))
    assert (series.item_id, series.variables) == ("7", ("3",))


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
    with pytest.raises(DataError, match=r"y_sd: -1.0 in row 0 \(date '2026-01-01'\)"):
        from_wide(wide[["date", "y", "y_sd"]].assign(y_sd=-1.0), timestamp="date")
    with pytest.raises(DataError, match="no column of values"):
        from_wide(wide[["date"]], timestamp="date")


def covariates(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["item_id", "timestamp", "temp"])


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
        (covariates(("p", 0.0, np.nan)), "temp: nan in row 0"),
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
