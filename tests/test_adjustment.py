"""Adjusted bands: factors with a closed form, noise of the held-out readings counted, paths and medians kept."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from rstime import adjustment as module
from rstime.adjustment import SpreadFactor
from rstime.errors import DataError
from rstime.types import Posterior, Series

CLEAN = np.zeros((1500, 2))


def answer(rng, sd, count=99):
    """Samples of sd (2,), asked everywhere, of a clean value that is N(0, 1) and N(0, 9)."""
    asked = Series("a", np.arange(float(len(CLEAN))), ("x", "y"), CLEAN, np.full(CLEAN.shape, np.inf))
    return Posterior(asked, rng.normal(size=(count, *CLEAN.shape)) * sd)


def readings(rng, risk=0.0):
    risk = np.broadcast_to(risk, CLEAN.shape)
    clean = rng.normal(size=CLEAN.shape) * [1.0, 3.0]
    value = clean + risk * rng.normal(size=CLEAN.shape)
    return Series("a", np.arange(float(len(CLEAN))), ("x", "y"), value, risk), clean


@pytest.mark.parametrize("risk", [0.0, 0.7])
def test_the_factor_brings_the_sd_to_that_of_the_clean_value_in_each_variable(risk):
    rng = np.random.default_rng(0)
    held_out, clean = readings(rng, risk)
    narrow = answer(rng, [0.5, 6.0])
    found = SpreadFactor.fit([narrow], [held_out])
    np.testing.assert_allclose(found.factor, [2.0, 0.5], rtol=0.1)
    assert found.count == (1500, 1500)
    low, high = found(narrow).interval(0.9)
    np.testing.assert_allclose(((low <= clean) & (clean <= high)).mean(0), 0.9, atol=0.025)


def test_a_mixture_of_exact_and_noisy_readings_has_the_same_factor():
    rng = np.random.default_rng(1)
    risk = np.where(rng.random(CLEAN.shape) < 0.5, 2.0, 0.0)
    found = SpreadFactor.fit([answer(rng, [0.5, 1.5])], [readings(rng, risk)[0]])
    np.testing.assert_allclose(found.factor, 2.0, rtol=0.15)


def test_the_factor_is_the_quantile_of_errors_in_half_widths():
    rng = np.random.default_rng(2)
    grid = np.arange(-99.0, 100.0, 2.0)[:, None, None] * np.ones((1, 100, 1))  # symmetric: median 0
    error = rng.permutation(np.arange(1.0, 101.0)) * rng.choice([-1.0, 1.0], 100)
    asked = Series("a", np.arange(100.0), ("x",), np.zeros((100, 1)), np.full((100, 1), np.inf))
    held_out = replace(asked, value=error[:, None], risk=np.zeros((100, 1)))
    (factor,) = SpreadFactor.fit([Posterior(asked, grid)], [held_out]).factor
    # an error of 90 has to be held: the sample with 95 of 100 below it is 91
    assert factor == pytest.approx(90 / 91, rel=0.03)


def test_few_readings_have_the_factor_of_all_and_factors_end_at_four():
    rng = np.random.default_rng(3)
    held_out, _ = readings(rng)
    few = held_out.risk.copy()
    few[50:, 1] = np.inf
    found = SpreadFactor.fit([answer(rng, [0.5, 0.1])], [replace(held_out, risk=few)])
    assert found.count == (1500, 50)
    assert found.factor[1] == pytest.approx(2.0, rel=0.1)
    assert SpreadFactor.fit([answer(rng, [0.01, 900.0])], [held_out]).factor.tolist() == pytest.approx(
        [4, 0.25], rel=1e-3
    )


def test_medians_exact_readings_and_what_was_not_asked_stay_and_paths_are_stretched():
    rng = np.random.default_rng(4)
    samples = rng.normal(size=(9, 3, 2))
    samples[:, 0] = 7.0
    samples[:, 1, 1] = np.nan
    risk = np.array([[0.0, 0.0], [0.0, np.inf], [np.inf, np.inf]])
    one = Posterior(Series("a", np.arange(3.0), ("x", "y"), np.zeros((3, 2)), risk), samples)
    wide = SpreadFactor(("x", "y"), np.array([2.0, 3.0]), (9, 9))(one)
    np.testing.assert_array_equal(wide.samples[:, 0], 7.0)
    assert np.isnan(wide.samples[:, 1, 1]).all()
    np.testing.assert_allclose(wide.median, one.median)
    np.testing.assert_allclose(wide.samples[:, 2] - one.median[2], [2, 3] * (samples[:, 2] - one.median[2]))


def test_bands_at_a_reading_get_wider_as_all_and_narrower_by_what_the_others_say_alone():
    """A prior of sd 1 that claims 1 / f: with a reading of risk r and f < 1 the right posterior, (1 + 1 / r^2)^-1/2."""
    factor, risks = np.array([2.0, 0.8]), np.array([[0.3], [1.0], [5.0], [np.inf], [0.05]])
    claimed = (factor**2 + 1 / risks**2) ** -0.5
    claimed[4] = 0.2  # more than the reading alone would leave: nothing to say of the others
    asked = Series("a", np.arange(5.0), ("x", "y"), np.zeros((5, 2)), np.broadcast_to(risks, (5, 2)))
    normal = np.random.default_rng(4).normal(size=(200, 1, 1))
    samples = claimed * (normal - normal.mean()) / normal.std()
    adjusted = SpreadFactor(("x", "y"), factor, (0, 0))(Posterior(asked, samples)).samples.std(axis=0)
    right = (1 + 1 / risks[:4, 0] ** 2) ** -0.5
    np.testing.assert_allclose(adjusted[:, 0], 2 * claimed[:, 0], rtol=1e-6)
    np.testing.assert_allclose(adjusted[:, 1], [*right, 0.2], rtol=1e-6)


def test_what_cannot_be_adjusted_is_refused():
    rng = np.random.default_rng(5)
    one, (held_out, _) = answer(rng, 1.0, 5), readings(rng)
    nothing = replace(held_out, risk=np.full(CLEAN.shape, np.inf))
    with pytest.raises(DataError, match=r"readings: none held out\. Take some readings away"):
        SpreadFactor.fit([one], [nothing])
    with pytest.raises(DataError, match=r"readings: some were not asked for\. Ask for all entries"):
        SpreadFactor.fit([Posterior(one.series, one.samples * np.nan)], [held_out])
    short = Series("a", held_out.time[:5], ("x", "y"), held_out.value[:5], held_out.risk[:5])
    with pytest.raises(DataError, match=r"readings: shape \(5, 2\) beside an answer of shape \(1500, 2\)"):
        SpreadFactor.fit([one], [short])
    with pytest.raises(DataError, match=r"variables: \('x', 'y'\) beside \('x', 'z'\)"):
        SpreadFactor(("x", "z"), np.ones(2), (1, 1))(one)


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0
