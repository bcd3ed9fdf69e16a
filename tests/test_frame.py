"""Long tables to series and back: what fuses, and the grid."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracles.tables import one, table
from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.frame import Columns, from_long, to_long

pytestmark = pytest.mark.filterwarnings("error")


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
