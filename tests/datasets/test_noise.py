"""Noise injectors: standard deviations and laws against closed forms, exact and missing entries left alone."""

import numpy as np
import pytest
from scipy import stats

from rstime.datasets import noise
from rstime.datasets.noise import NOISES
from rstime.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def errors(law, rng, shape=(4000, 20, 2)):
    """Errors of risk 1 around a clean signal that spreads far."""
    clean = rng.normal(scale=40, size=shape)
    return law.apply(rng, clean, np.ones(shape)) - clean


@pytest.mark.parametrize("name", [name for name in NOISES if name != "cauchy"])
def test_risk_is_the_standard_deviation_of_the_error(name, rng):
    clean = rng.normal(scale=40, size=(6000, 30, 2))
    risk = np.broadcast_to([0.5, 3.0], clean.shape)
    error = NOISES[name].apply(rng, clean, risk) - clean
    np.testing.assert_allclose(error.mean((0, 1)) / [0.5, 3.0], 0, atol=0.05)
    tolerance = 0.06 if name == "student-t" else 0.03  # the fourth moment of three degrees of freedom is infinite
    np.testing.assert_allclose(np.sqrt((error**2).mean((0, 1))), [0.5, 3.0], rtol=tolerance)


CLOSED = {
    "gaussian": stats.norm(),
    "laplace": stats.laplace(scale=1 / np.sqrt(2)),
    "uniform": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
    "student-t": stats.t(3, scale=1 / np.sqrt(3)),
    "cauchy": stats.cauchy(),
    "quantised": stats.uniform(-np.sqrt(3), 2 * np.sqrt(3)),
}


@pytest.mark.parametrize("name", CLOSED)
def test_independent_errors_follow_their_law_and_no_other(name, rng):
    drawn = errors(NOISES[name], rng)[:, 0, 0]
    for other, law in CLOSED.items():
        if other == name:
            assert stats.kstest(drawn, law.cdf).pvalue > 0.001
        elif {other, name} != {"uniform", "quantised"}:
            assert stats.kstest(drawn, law.cdf).pvalue < 0.001


def test_fewer_degrees_of_freedom_have_heavier_tails_at_the_same_sd(rng):
    for freedom in (2.5, 5.0):
        drawn = errors(noise.StudentT(freedom), rng).ravel()
        scale = np.sqrt((freedom - 2) / freedom)
        assert np.mean(np.abs(drawn) > 3) == pytest.approx(2 * stats.t(freedom, scale=scale).sf(3), rel=0.1)


def test_outliers_are_a_mixture_of_two_gaussians(rng):
    drawn = errors(noise.Outliers(share=0.1, size=8.0), rng).ravel()
    narrow = 1 / np.sqrt(0.9 + 0.1 * 64)
    for bound in (narrow, 1.0, 3.0):
        expected = 0.9 * 2 * stats.norm.sf(bound / narrow) + 0.1 * 2 * stats.norm.sf(bound / narrow / 8)
        assert np.mean(np.abs(drawn) > bound) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("keep", [0.9, 0.3, -0.6, 0.0])
def test_correlation_of_autoregressive_errors_falls_as_a_power(keep, rng):
    error = errors(noise.AR1(keep), rng)
    np.testing.assert_allclose(error.var((0, 2)), 1, atol=0.1)  # stationary from the first step on
    for lag in (1, 2, 5):
        assert (error[:, lag:] * error[:, :-lag]).mean() == pytest.approx(keep**lag, abs=0.03)
    assert (error[..., 0] * error[..., 1]).mean() == pytest.approx(0, abs=0.03)
    assert (error[1:] * error[:-1]).mean() == pytest.approx(0, abs=0.03)


def test_a_walk_has_independent_steps_and_grows_with_the_square_root_of_time(rng):
    error = errors(noise.WalkDrift(), rng)
    np.testing.assert_allclose(error.var((0, 2)), np.arange(1, 21) / 10.5, rtol=0.1)
    steps = np.diff(error, axis=1)
    assert (steps[:, 1:] * steps[:, :-1]).mean() == pytest.approx(0, abs=0.005)


def test_a_line_has_the_same_slope_at_every_step_and_another_in_every_item(rng):
    error = errors(noise.LinearDrift(), rng)
    np.testing.assert_allclose(
        error / np.arange(1, 21)[:, None], np.broadcast_to(error[:, :1], error.shape), atol=1e-10
    )
    slope = error[:, 0]
    assert slope.std() == pytest.approx(1 / np.sqrt(21 * 41 / 6), rel=0.05)
    assert np.corrcoef(slope.T)[0, 1] == pytest.approx(0, abs=0.06)


def test_rounded_values_are_multiples_of_the_step_whatever_the_seed(rng):
    clean = rng.normal(size=(50, 3))
    step = 0.5
    risk = np.full((50, 3), step / np.sqrt(12))
    rounded = noise.Quantised().apply(rng, clean, risk)
    np.testing.assert_allclose(rounded / step, np.round(rounded / step), atol=1e-12)
    assert np.abs(rounded - clean).max() <= step / 2
    np.testing.assert_array_equal(rounded, noise.Quantised().apply(np.random.default_rng(99), clean, risk))


@pytest.mark.parametrize("name", NOISES)
def test_exact_values_stay_missing_ones_go_and_a_seed_is_a_seed(name, rng):
    clean = rng.normal(size=(3, 12, 2)) * 40
    risk = rng.choice([0.0, 0.7, np.inf], clean.shape)
    noisy = NOISES[name].apply(np.random.default_rng(1), clean, risk)
    np.testing.assert_array_equal(noisy[risk == 0], clean[risk == 0])
    np.testing.assert_array_equal(np.isnan(noisy), np.isinf(risk))
    assert np.all(noisy[risk == 0.7] != clean[risk == 0.7])
    np.testing.assert_array_equal(noisy, NOISES[name].apply(np.random.default_rng(1), clean, risk))
    np.testing.assert_array_equal(NOISES[name].apply(rng, clean[0], np.zeros(2)), clean[0])  # one item, one risk each


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: noise.StudentT(2.0), "freedom: 2.0 degrees of freedom. Give more than 2, or use Cauchy."),
        (lambda: noise.AR1(1.0), "keep: 1.0 outside (-1, 1). Give the correlation of neighbouring steps."),
        (lambda: noise.Outliers(share=1.5), "share: 1.5 outside [0, 1]. Give the probability of an outlier."),
        (lambda: noise.Outliers(size=0), "size: 0 is not positive. Give the ratio of the standard deviations."),
    ],
)
def test_parameters_outside_their_range_are_refused(wrong, message):
    with pytest.raises(ConfigError) as caught:
        wrong()
    assert str(caught.value) == message


def test_risks_that_are_no_standard_deviations_are_refused(rng):
    with pytest.raises(DataError, match=r"risk: -1\.0\. Risk is a standard deviation: 0 exact, inf missing\."):
        noise.Gaussian().apply(rng, np.zeros((3, 1)), np.array([[0.0], [-1.0], [1.0]]))
    with pytest.raises(DataError, match=r"clean: shape \(3,\)\. Give the axes time and variable at least\."):
        noise.Gaussian().apply(rng, np.zeros(3), np.zeros(3))
