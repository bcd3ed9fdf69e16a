from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rstime.errors import ConfigError, DataError
from rstime.frame import Columns, answer, from_long, future_rows, joint_samples, posterior_frame
from rstime.types import Posterior, Series

LEVELS = (0.05, 0.1, 0.5, 0.95)


def table() -> pd.DataFrame:
    """Three items, rows out of order, odd index; every value is unlike any other."""
    rows = [
        ("b", "2026-01-01 03:00", "y", 7.0, 0.5),
        ("a", "2026-01-01 01:30", "x", np.nan, np.nan),
        ("c", "2026-01-01 00:00", "x", 1.0, 0.0),
        ("a", "2026-01-01 00:10", "y", 2.0, 1.0),
        ("b", "2026-01-01 00:00", "x", 9.0, np.inf),
        ("a", "2026-01-01 00:10", "x", 3.0, 0.0),
        ("a", "2026-01-01 01:30", "x", np.nan, np.nan),
    ]
    columns = ["item_id", "timestamp", "variable", "value", "sd"]
    return pd.DataFrame(rows, columns=columns, index=[5, 5, 1, 0, 9, 8, 2])


def told(series: Series, samples: int = 101) -> Posterior:
    """Posterior whose entry (item, t, c) is uniform on [code, code + 1]."""
    code = 1000.0 * ord(series.item_id) + 10.0 * np.arange(len(series.time))[:, None] + np.arange(len(series.variables))
    draws = np.linspace(0, 1, samples)[:, None, None] + code
    return Posterior(series, np.where(series.asked, draws, np.nan))


def entry(series: list[Series], row: Any, floor: str | None = None) -> float:
    one = next(s for s in series if s.item_id == row.item_id)
    stamp = pd.Timestamp(row.timestamp)
    t = list(one.time).index(np.datetime64(stamp.floor(floor) if floor else stamp, "ns"))
    return 1000.0 * ord(row.item_id) + 10.0 * t + one.variables.index(row.variable)


@pytest.mark.parametrize("grid", [None, "1h"])
def test_rows_are_answered_in_their_order(grid: str | None) -> None:
    frame = table()
    series = from_long(frame, grid=grid)
    before = frame.copy(deep=True)
    result = answer(frame, [told(one) for one in series[::-1]], quantiles=LEVELS, grid=grid)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_frame_equal(result[list(frame.columns)], frame)
    assert list(result.columns[5:]) == ["mean", "std", "0.05", "0.1", "0.5", "0.95"]
    want = np.array([entry(series, row, grid) for row in frame.itertuples()])
    np.testing.assert_allclose(result["mean"], want + 0.5)
    np.testing.assert_allclose(result["std"], np.linspace(0, 1, 101).std(ddof=1))
    for level in LEVELS:
        np.testing.assert_allclose(result[f"{level:g}"], want + level)


@pytest.mark.parametrize(
    ("entries", "rows"), [("missing", [1, 4, 6]), ("noisy", [0, 3]), ("all", [0, 1, 2, 3, 4, 5, 6])]
)
def test_rows_that_are_left_out_stay_empty(entries: Any, rows: list[int]) -> None:
    frame = table()
    result = answer(frame, [told(one) for one in from_long(frame)], entries=entries)
    assert np.flatnonzero(result["0.5"].notna()).tolist() == rows
    assert len(result.columns) == 5 + 2 + 19


def test_a_stamp_of_another_table_is_refused() -> None:
    frame = table()
    posteriors = [told(one) for one in from_long(frame)]
    other = frame.reset_index(drop=True)
    other.loc[3, "timestamp"] = "2026-01-01 00:11"
    with pytest.raises(DataError, match="timestamp: '2026-01-01 00:11' in row 3"):
        answer(other, posteriors)
    with pytest.raises(DataError, match="no posterior for item 'c'"):
        answer(frame, [one for one in posteriors if one.series.item_id != "c"])


def test_a_grid_that_was_forgotten_is_named() -> None:
    posteriors = [told(one) for one in from_long(table(), grid="1h")]
    with pytest.raises(DataError, match=r"timestamp: .* in row 1 .*give the grid that it was read with, if any: grid="):
        answer(table(), posteriors)


@pytest.mark.parametrize(
    ("arguments", "told_of"),
    [
        (lambda frame, one: (one, frame), "table: Posterior where a data frame was expected"),
        (lambda frame, one: (frame, one), "posteriors: Posterior where a list of Posterior was expected"),
        (lambda frame, one: (frame, [one.series]), "posteriors: Series where a list of Posterior was expected"),
        (lambda frame, one: (frame, frame), "posteriors: DataFrame where a list of Posterior was expected"),
    ],
)
def test_what_is_no_table_or_no_posterior_is_named(arguments: Callable[..., Any], told_of: str) -> None:
    with pytest.raises(DataError, match=rf"{told_of}\. Give answer\(table, posteriors\)"):
        answer(*arguments(table(), told(from_long(table())[0])))


def test_columns_that_would_be_overwritten_are_refused() -> None:
    frame = table()
    posteriors = [told(one) for one in from_long(frame)]
    with pytest.raises(DataError, match=r"0.5: the table already has"):
        answer(frame.assign(**{"0.5": 1.0}), posteriors)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.1, float("nan")])
def test_levels_lie_between_0_and_1(level: float) -> None:
    with pytest.raises(ConfigError, match="quantiles"):
        future_rows([], quantiles=[level])


def test_entries_is_one_of_three_words() -> None:
    with pytest.raises(ConfigError, match="entries"):
        answer(table(), [], entries="some")  # type: ignore[arg-type]


def test_columns_can_be_renamed() -> None:
    columns = Columns("bed", "when", "what", "much", variance="var")
    frame = table().set_axis(["bed", "when", "what", "much", "var"], axis=1)
    posteriors = [told(one) for one in from_long(frame, columns)]
    result = answer(frame, posteriors, columns, entries="noisy")
    assert np.flatnonzero(result["mean"].notna()).tolist() == [0, 3]
    assert list(future_rows(posteriors, columns, [0.5]).columns) == ["bed", "when", "what", "mean", "std", "0.5"]
    assert list(joint_samples(posteriors, columns).columns) == ["bed", "when", "what", "sample", "much"]


def future() -> Posterior:
    time = np.datetime64("2026-03-29T00", "ns") + np.arange(3) * np.timedelta64(1, "h")
    missing = np.full((3, 2), np.inf)
    return told(Series("a", time, ("x", "y"), missing, missing, timezone="Europe/Berlin"))


def test_future_rows_have_every_entry_in_order_and_local_time() -> None:
    rows = future_rows([future()], quantiles=[0.25])
    assert list(rows.columns) == ["item_id", "timestamp", "variable", "mean", "std", "0.25"]
    assert rows["variable"].tolist() == ["x", "y"] * 3
    assert [str(stamp) for stamp in rows["timestamp"][::2]] == [
        "2026-03-29 01:00:00+01:00",
        "2026-03-29 03:00:00+02:00",
        "2026-03-29 04:00:00+02:00",
    ]
    np.testing.assert_allclose(rows["0.25"], 97_000.25 + np.array([0, 1, 10, 11, 20, 21]))


def test_a_posterior_frame_shows_what_was_measured() -> None:
    frame = table()
    posteriors = [told(one) for one in from_long(frame)]
    rows = posterior_frame(posteriors, quantiles=[0.5]).set_index(["item_id", "timestamp", "variable"])
    assert len(rows) == 6
    first = rows.loc[("a", pd.Timestamp("2026-01-01 00:10"), "y")]
    assert (first["value"], first["sd"]) == (2, 1)
    question = rows.loc[("a", pd.Timestamp("2026-01-01 01:30"), "x")]
    assert np.isnan(question["value"])
    assert np.isnan(question["sd"])
    assert question["mean"] == pytest.approx(question["0.5"])
    assert len(future_rows(posteriors)) == 2


def test_joint_samples_keep_draws_together() -> None:
    posterior = future()
    rows = joint_samples([posterior])
    assert len(rows) == 101 * 6
    draw = rows[rows["sample"] == 100]
    np.testing.assert_allclose(draw["value"], 97_001.0 + np.array([0, 1, 10, 11, 20, 21]))
    pivot = rows.pivot_table(index="sample", columns=["timestamp", "variable"], values="value", sort=False)
    np.testing.assert_allclose(pivot.to_numpy(), posterior.samples.reshape(101, 6))


def test_entries_without_samples_are_left_out_of_joint_samples() -> None:
    posteriors = [told(one) for one in from_long(table())]
    rows = joint_samples(posteriors)
    assert len(rows) == 101 * 6
    assert rows["value"].notna().all()


def test_equal_samples_are_repeated_to_the_last_bit() -> None:
    series = future().series
    value = np.random.default_rng(0).normal(37.1, 0.3, size=(3, 2))
    rows = future_rows([Posterior(series, np.repeat(value[None], 100, axis=0))], quantiles=[0.05, 0.9])
    for name in ("mean", "0.05", "0.9"):
        np.testing.assert_array_equal(rows[name], value.ravel())
    np.testing.assert_array_equal(rows["std"], 0)


def test_one_sample_has_a_mean_and_no_spread() -> None:
    posterior = future()
    point = Posterior(posterior.series, posterior.samples[:1])
    rows = future_rows([point], quantiles=[0.5])
    np.testing.assert_array_equal(rows["std"], 0)
    np.testing.assert_array_equal(rows["mean"], rows["0.5"])
