"""What a linear predictor explains, against the autoregression that the readings come from."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.audit.utility import examples, explained, ridge, utility
from rstime.audit.windows import Windows, measured
from rstime.types import Floats


def autoregression(rng: np.random.Generator, count: int, keep: float) -> Windows:
    value = np.empty((count, 24, 1))
    value[:, 0] = rng.normal(size=(count, 1))
    for step in range(1, 24):
        value[:, step] = keep * value[:, step - 1] + np.sqrt(1 - keep**2) * rng.normal(size=(count, 1))
    return Windows(value, np.zeros(value.shape), np.arange(count))


def noisy(windows: Windows, rng: np.random.Generator) -> Windows:
    risk: Floats = rng.uniform(0.1, 1.0, windows.value.shape)
    risk[rng.random(risk.shape) < 0.2] = np.inf
    return measured(windows, Windows(windows.value, risk, windows.item), rng)


def test_an_autoregression_explains_what_it_should() -> None:
    """Of x_t = a x_t-1 + e: a^2 ahead; in a gap 2 a^2 / (1 + a^2), from both neighbours."""
    rng = np.random.default_rng(0)
    scores = utility(autoregression(rng, 500, 0.8), autoregression(rng, 1500, 0.8))
    assert scores["next step"] == pytest.approx(0.64, abs=0.02)
    assert scores["gap"] == pytest.approx(1.28 / 1.64, abs=0.02)


def test_the_noise_of_test_readings_is_taken_off() -> None:
    """A given prediction explains as much of clean readings as of noisy ones."""
    rng = np.random.default_rng(1)
    clean = autoregression(rng, 4000, 0.8)
    risky = noisy(clean, rng)
    guess = clean.value * 0.5
    parts = [[x.reshape(-1, 1) for x in (guess, one.value, one.risk)] for one in (clean, risky)]
    assert explained(*parts[0]) == pytest.approx(0.75, abs=0.01)
    assert explained(*parts[1]) == pytest.approx(0.75, abs=0.02)
    assert np.isnan(explained(np.zeros((2, 1)), np.array([[0.1], [-0.1]]), np.ones((2, 1))))


def test_another_law_teaches_less_and_the_right_one_as_much() -> None:
    rng = np.random.default_rng(2)
    test = noisy(autoregression(rng, 800, 0.9), rng)
    real, right, wrong = (utility(noisy(autoregression(rng, 400, keep), rng), test) for keep in (0.9, 0.9, -0.9))
    for task in real:
        assert real[task] > 0.5
        assert right[task] == pytest.approx(real[task], abs=0.03)
        assert wrong[task] < 0


def test_examples_are_the_neighbours_of_each_reading() -> None:
    value = np.arange(12.0).reshape(1, 12, 1)
    features, middle, risk = examples(Windows(value, np.zeros(value.shape), np.zeros(1, int)), 1, 2)
    np.testing.assert_array_equal(features[0], [1, 0, 2, 3])
    np.testing.assert_array_equal(middle[:, 0], np.arange(1.0, 10))
    assert risk.shape == (9, 1)


def test_ridge_against_the_normal_equations() -> None:
    """Two readings of risks 0 and 1, a constant alone: (1 y1 + .5 y2) / (1 + .5 + 1)."""
    found = ridge(np.ones((3, 1)), np.array([[2.0], [4.0], [99.0]]), np.array([[0.0], [1.0], [np.inf]]))
    assert found[0, 0] == pytest.approx(4 / 2.5)
