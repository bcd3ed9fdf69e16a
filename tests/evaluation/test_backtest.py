"""Backtest on a long table: nothing of a window is seen before it, scores against noisy readings, intervals."""

import doctest

import numpy as np
import pandas as pd
import pytest

from rstime.axis import Axis
from rstime.errors import ConfigError, DataError
from rstime.evaluation import backtest as module
from rstime.evaluation.backtest import backtest, questions
from rstime.frame import from_long


def walks(items=4, hours=60, seed=0, lost=0.1):
    rng = np.random.default_rng(seed)
    parts = []
    for k in range(items):
        sd = np.where(rng.random(hours) < 0.5, 1.0, 0.1)
        clean = 20 + np.cumsum(0.3 * rng.normal(size=hours))
        stamps = pd.date_range("2026-01-01", periods=hours, freq="h")
        rows = {"item_id": f"i{k}", "timestamp": stamps, "variable": "x", "value": clean + sd * rng.normal(size=hours)}
        parts.append(pd.DataFrame({**rows, "sd": sd}))
    table = pd.concat(parts, ignore_index=True)
    return table[rng.random(len(table)) >= lost]


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0


def test_windows_lie_one_after_another_at_the_end_and_nothing_in_them_is_shown():
    series = from_long(walks())
    axis = Axis.fit(series, None)
    task, risks = questions(series, axis, 5, 3, 1, 25)
    assert len(task.test) == 12
    assert [item.item_id for item in task.test[:3]] == ["i0@0", "i0@1", "i0@2"]
    for k, (item, truth, late, risk) in enumerate(zip(task.test, task.truth, task.future, risks, strict=True)):
        at = axis.steps(item.time)
        end = axis.steps(series[k // 3].time)[-1] - 5 * (2 - k % 3)
        assert at[late[:, 0]].min() > end - 5 + 0.5
        assert at[-1] <= end + 1e-3
        assert not item.observed[at > end - 4.5].any()
        np.testing.assert_array_equal(item.asked, late)
        assert np.isfinite(truth[late]).all()
        assert (risk[late] > 0).all()
        np.testing.assert_array_equal(item.value[item.observed], truth[item.observed])
    for one, whole in zip(task.train, series, strict=True):
        assert axis.steps(one.time)[-1] <= axis.steps(whole.time)[-1] - 15 + 1e-3


def test_the_gaussian_model_beats_the_naive_forecast_on_noisy_walks_with_honest_bands():
    table = walks(items=6)
    result = backtest(table, "4h", origins=3, model="gaussian", progress=False).set_index("method")
    assert result.loc["gaussian", "windows"] == 18
    assert result.loc["gaussian", "wql"] < 0.9 * result.loc["seasonal-naive", "wql"]
    assert 0.8 <= result.loc["gaussian", "coverage90"] <= 0.99
    row = result.loc["seasonal-naive"]
    assert row["behind"] == pytest.approx(row["wql"] - result.loc["gaussian", "wql"], rel=1e-9)
    assert 0 < row["low"] < row["behind"] < row["high"]
    assert np.isnan(result.loc["gaussian", "behind"])
    few = backtest(table[table["item_id"] == "i0"], 4, origins=2, model="gaussian", progress=False).set_index("method")
    assert np.isnan(few.loc["seasonal-naive", "low"])
    assert np.isfinite(few.loc["seasonal-naive", "behind"])


def test_what_cannot_be_tested_is_refused():
    table = walks()
    with pytest.raises(DataError, match="table: no item has readings before and in 20 windows of 5 steps"):
        backtest(table, 5, origins=20, model="gaussian")
    with pytest.raises(ConfigError, match="origins: 0"):
        backtest(table, 5, origins=0)
    with pytest.raises(ConfigError, match="window: 5 steps for a horizon of 5"):
        backtest(table, 5, window=5)
    with pytest.raises(ConfigError, match="horizon: '90min' is"):
        backtest(table, "90min", grid="1h")
    with pytest.raises(ConfigError, match="window: 2 steps for a horizon of 2"):  # a step is a typical gap: rounded up
        backtest(table, "90min", window=2)
