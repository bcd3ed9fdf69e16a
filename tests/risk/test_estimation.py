"""Risk from the series alone: closed forms, intervals that hold, bounds that are said to be some; estimates as data."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rstime.errors import DataError, ModelFileError, RstimeWarning
from rstime.risk.estimation import (
    ClassRisk,
    Estimate,
    RiskEstimate,
    relative,
    second_differences,
    wavelet_mad,
)
from rstime.types import Floats, Series

Estimator = Callable[[Floats], Estimate]
each = pytest.mark.parametrize("estimate", [second_differences, wavelet_mad])
ROUGH = "an upper bound: differences grow with the lag, so the signal is rough or the sensor smooths"


def test_second_differences_by_hand() -> None:
    """Of 0, 1, 0, 0, 2 the differences are -2, 1, 2: r^2 = (4 + 1 + 4) / (6 * 3)."""
    found = second_differences([0.0, 1.0, 0.0, 0.0, 2.0])
    assert found.sd == pytest.approx(math.sqrt(0.5))
    holed = second_differences([0.0, 1.0, 0.0, 0.0, 2.0, math.nan, 5.0, 9.0])
    assert holed.sd == pytest.approx(found.sd)


def test_the_wavelet_by_hand() -> None:
    """The detail of four readings is their product with Daubechies' weights, of norm 1."""
    root = math.sqrt(3)
    weight = np.array([1 - root, -(3 - root), 3 + root, -(1 + root)]) / (4 * math.sqrt(2))
    assert weight @ weight == pytest.approx(1)
    y = np.array([0.3, -1.0, 2.0, 0.5])
    assert wavelet_mad(y).sd == pytest.approx(abs(float(weight @ y)) / 0.6745)


@each
def test_what_a_line_adds_does_not_count(estimate: Estimator) -> None:
    noise = np.random.default_rng(0).normal(size=200)
    line = 40.0 - 3.0 * np.arange(200)
    assert estimate(noise + line).sd == pytest.approx(estimate(noise).sd, rel=1e-9)
    assert estimate(5 * noise).sd == pytest.approx(5 * estimate(noise).sd)


@each
def test_intervals_hold_the_sd_of_white_noise_in_95_percent(estimate: Estimator) -> None:
    """2,000 series of 200; the share held has a standard error of .5 %."""
    noise = 0.7 * np.random.default_rng(1).normal(size=(2000, 200))
    found = [estimate(row) for row in noise]
    assert np.mean([one.low <= 0.7 <= one.high for one in found]) == pytest.approx(0.95, abs=0.02)
    assert np.mean([one.sd for one in found]) == pytest.approx(0.7, rel=0.02)
    assert np.mean([one.note != "" for one in found]) < 0.01


def test_the_standard_error_counts_the_correlation_of_neighbours() -> None:
    """sqrt(35 / (36 n)) for log r, where independent differences would have sqrt(1 / (2 n)), a quarter less."""
    noise = np.random.default_rng(2).normal(size=(4000, 300))
    found = np.log([second_differences(row).sd for row in noise])
    assert found.std() == pytest.approx(math.sqrt(35 / (36 * 298)), rel=0.05)


@each
def test_a_smooth_signal_hardly_shows(estimate: Estimator) -> None:
    time = np.arange(4000)
    found = estimate(3 * np.sin(time / 20) + np.cos(time / 9) + 0.5 * np.random.default_rng(3).normal(size=4000))
    assert found.sd == pytest.approx(0.5, rel=0.05)
    assert found.low < 0.5 < found.high
    assert found.note == ""


@pytest.mark.parametrize("step", [0.5, 1.0])
def test_a_random_walk_adds_a_third_of_its_step(step: float) -> None:
    """Second differences of a walk are w_{t+1} - w_t, so that 6 r^2 grows by 2 step^2: biased up, and said."""
    rng = np.random.default_rng(4)
    walk = np.cumsum(step * rng.normal(size=20_000)) + 0.3 * rng.normal(size=20_000)
    found = second_differences(walk)
    assert found.sd == pytest.approx(math.sqrt(0.09 + step**2 / 3), rel=0.02)
    assert found.note == ROUGH
    assert (found.low, wavelet_mad(walk).note) == (0.0, ROUGH)


@each
def test_a_sensor_that_smooths_is_told(estimate: Estimator) -> None:
    """A moving average of four readings leaves white noise of half its sd, and differences that grow with the lag."""
    noise = np.convolve(np.random.default_rng(5).normal(size=3000), np.full(4, 0.25), "valid")
    found = estimate(noise)
    assert found.sd < 0.5
    assert found.note == ROUGH


def test_outliers_count_for_second_differences_and_hardly_for_wavelets() -> None:
    rng = np.random.default_rng(6)
    y = rng.normal(size=10_000)
    y[rng.choice(10_000, 50, replace=False)] += 20
    assert wavelet_mad(y).sd == pytest.approx(1.025, rel=0.04)  # a detail in fifty has one: the median moves by 2.5 %
    assert second_differences(y).sd == pytest.approx(math.sqrt(1 + 0.005 * 400), rel=0.05)


def test_only_readings_in_a_row_count() -> None:
    y = np.random.default_rng(7).normal(size=1000)
    holes = np.where(np.arange(1000) % 10 == 0, np.nan, y)
    pieces = [row[1:] for row in holes.reshape(100, 10)]
    squares = [np.diff(row, 2) ** 2 for row in pieces]
    assert second_differences(holes).sd == pytest.approx(math.sqrt(np.mean(squares) / 6))


@pytest.mark.parametrize(
    ("estimate", "values", "message"),
    [
        (second_differences, [1.0, 2.0], "values: no three readings in a row. Give a longer series, at equal dist"),
        (second_differences, [1.0, math.nan] * 5, "values: no three readings in a row"),
        (wavelet_mad, [1.0, 2.0, 3.0], "values: no four readings in a row"),
        (wavelet_mad, [], "values: no four readings in a row"),
        (second_differences, [[1.0, 2.0, 3.0]], r"values: shape \(1, 3\). Give one series of numbers"),
        (wavelet_mad, [1.0, math.inf, 2.0, 3.0], "values: an infinite reading"),
    ],
)
def test_what_cannot_be_estimated_is_named(estimate: Estimator, values: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        estimate(np.array(values))


# ---- estimates as data -----------------------------------------------------------------------------------------------

FOUND = RiskEstimate(
    (
        ClassRisk("hr", 0, 400, 1.98765, 1.8, 2.2),
        ClassRisk("hr", 1, 90, 0.5, 0.2, 0.9, "not identified: signal and noise cannot be told apart"),
        ClassRisk("map", 0, 12, 7.5, note="only 12 measurements"),
    )
)


def item() -> Series:
    value = np.arange(6.0).reshape(3, 2)
    return Series("a", np.arange(3.0), ("map", "hr"), value, [[1.0, 2.0], [math.inf, 0.0], [2.0, 4.0]])


def test_estimates_survive_a_round_trip_through_json() -> None:
    text = json.dumps(FOUND.to_dict(), allow_nan=False)
    assert RiskEstimate.from_dict(json.loads(text)) == FOUND


def without(name: str) -> dict[str, Any]:
    state = FOUND.to_dict()
    del state["classes"][1][name]
    return state


def changed(**entries: Any) -> dict[str, Any]:
    state = FOUND.to_dict()
    state["classes"][1].update(entries)
    return state


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({}, "'classes'"),
        ({"classes": 3}, "not iterable"),
        ({"classes": ["hr"]}, "risk: cannot be read"),
        (without("variable"), "'variable'"),
        (without("high"), "'high'"),
        (changed(factor=-1.0), "factor -1.0 of 'hr'"),
        (changed(factor=math.nan), "factor nan of 'hr'"),
        (changed(factor=None), "risk: cannot be read"),
        (changed(high="wide"), "could not convert string to float: 'wide'"),
        (changed(more=1), "unexpected keyword argument 'more'"),
    ],
)
def test_damaged_estimates_are_refused(state: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelFileError, match=told) as error:
        RiskEstimate.from_dict(state)
    assert error.value.remedy == "Save the model again."


def test_factors_multiply_the_risks_of_their_variable_and_class() -> None:
    labels = np.array([[0, 0], [0, 1], [0, 1]])
    found = FOUND.apply(item(), labels)
    assert found.risk.tolist() == [[7.5, 2 * 1.98765], [math.inf, 0.0], [15.0, 2.0]]
    np.testing.assert_array_equal(found.value, item().value)
    one = replace(item(), variables=("spo2", "hr"))
    assert FOUND.apply(one).risk[:, 0].tolist() == [1.0, math.inf, 2.0]
    assert FOUND.apply(one).risk[2, 1] == pytest.approx(4 * 1.98765)


def test_factors_are_rounded_to_what_every_machine_finds() -> None:
    assert FOUND.rounded().factor.tolist() == [1.99, 0.5, 7.5]
    assert FOUND.rounded(1).classes[0] == replace(FOUND.classes[0], factor=2.0)


def test_open_factors_are_warned_of_and_others_not() -> None:
    text = (
        "risk: the data do not tell the size of the noise of hr 0.5 (0.2 to 0.9; not identified: signal and noise "
        "cannot be told apart), map 7.5 (0 to inf; only 12 measurements). Give the sd of such variables where it is "
        "known."
    )
    with pytest.warns(RstimeWarning) as told:
        FOUND.warn()
    assert [str(one.message) for one in told] == [text]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RiskEstimate(FOUND.classes[:1]).warn()


@pytest.mark.parametrize("factor", [0.0, -2.0, math.inf, math.nan])
def test_a_factor_has_to_be_positive(factor: float) -> None:
    with pytest.raises(DataError, match=f"risk: factor {factor} of 'hr'. It has to be positive."):
        ClassRisk("hr", 0, 10, factor)


def test_relative_risks_are_one_where_something_was_measured() -> None:
    assert relative(item()).risk.tolist() == [[1.0, 1.0], [math.inf, 1.0], [1.0, 1.0]]
