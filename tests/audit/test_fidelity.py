"""Each distance against a closed form; the classifier and the test keep their level and find differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr

from rstime.audit.fidelity import (
    auc,
    correlation_errors,
    covariances,
    describe,
    discriminative,
    gram,
    marginal,
    mmd,
    permutation_p,
    precision_recall,
    sliced,
    standardised,
)
from rstime.audit.windows import Windows, measured
from rstime.datasets.simulate import gaussian_truth, mixture_series, mixture_truth
from rstime.types import Floats


def exact(value: Floats) -> Windows:
    return Windows(value, np.zeros(value.shape), np.arange(len(value)))


def readings(series: list) -> Windows:  # type: ignore[type-arg]
    risk = np.array([one.risk for one in series])
    value = np.array([one.value for one in series])
    return Windows(np.where(np.isfinite(risk), value, 0.0), risk, np.arange(len(value)))


def test_wasserstein_of_two_normal_laws() -> None:
    """|m| for a shift m, and |s - 1| E|e| = |s - 1| sqrt(2 / pi) for a factor s."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 500, 40, 2))
    found = marginal(exact(one), exact(other * np.array([1, 1.5]) + np.array([0.4, 0])))
    np.testing.assert_allclose(found, [0.4, 0.5 * np.sqrt(2 / np.pi)], atol=0.03)


def test_readings_count_by_their_weight_and_missing_ones_not_at_all() -> None:
    """{0, 2} with weights 1 and 1/(1 + 3) beside {0}: 2 * .2."""
    one = Windows(np.array([[[0.0], [2.0], [9.0]]]), np.array([[[0.0], [np.sqrt(3)], [np.inf]]]), np.zeros(1, int))
    assert marginal(one, exact(np.zeros((1, 1, 1))))[0] == pytest.approx(0.4)
    assert np.isnan(marginal(Windows(one.value, np.full((1, 3, 1), np.inf), one.item), one)[0])


def test_sliced_wasserstein_of_a_shift() -> None:
    """A shift m moves the projection on u by m u: the mean of |m u| over unit vectors in the plane is 2 |m| / pi."""
    rng = np.random.default_rng(1)
    one = rng.normal(size=(300, 2))
    found = np.mean([sliced(one, one + np.array([0.0, 3.0]), rng) for _ in range(20)])
    assert found == pytest.approx(6 / np.pi, rel=0.03)


def test_mmd_of_point_masses_and_of_one_law() -> None:
    """Two points d apart, each ten times: 2 - 2 k(d). One law: 0 on average, with p that are uniform."""
    points = np.zeros((10, 1)), np.ones((10, 1))
    kernel = gram(*points)
    assert kernel[0, -1] == pytest.approx(np.exp(-0.5))  # the median of d^2 is 1
    assert mmd(kernel, 10) == pytest.approx(2 - 2 * np.exp(-0.5))
    rng = np.random.default_rng(2)
    kernels = [gram(*rng.normal(size=(2, 30, 3))) for _ in range(150)]
    found = [mmd(kernel, 30) for kernel in kernels]
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(150)
    p = [permutation_p(kernel, 30, rng, 99) for kernel in kernels]
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=0.075)
    assert permutation_p(gram(rng.normal(size=(30, 3)), 2 + rng.normal(size=(30, 3))), 30, rng, 99) == 0.01


def test_a_dropped_mode_costs_recall_and_an_invented_one_precision() -> None:
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 50
    real, dropped = np.concatenate([left, right]), rng.normal(size=(100, 2))
    precision, recall = precision_recall(real, dropped)
    assert precision > 0.9
    assert recall == pytest.approx(0.5, abs=0.05)
    assert precision_recall(dropped, real) == (recall, precision)
    assert precision_recall(real, real) == (1, 1)


def test_covariances_of_noisy_windows_with_gaps_are_those_of_the_clean_ones() -> None:
    rng = np.random.default_rng(4)
    law = gaussian_truth(24, 2)
    clean = exact(law.draw(rng, 3000).reshape(3000, 24, 2))
    risk = rng.uniform(0.2, 1.5, clean.value.shape)
    risk[rng.random(risk.shape) < 0.4] = np.inf
    noisy = measured(clean, Windows(clean.value, risk, clean.item), rng)
    block = law.covariance.reshape(24, 2, 24, 2)
    for windows, tolerance in ((clean, 0.06), (noisy, 0.09)):
        found = covariances(windows, 3)
        want = np.array([block[lag, :, 0, :] for lag in range(4)])
        np.testing.assert_allclose(found, want, atol=tolerance)
    auto, cross = correlation_errors(clean, noisy, 3)
    assert max(auto, cross) < 0.08


def test_errors_of_correlation_by_hand() -> None:
    """White noise beside one value for the whole window: autocorrelation 0 beside 1 at every lag."""
    rng = np.random.default_rng(5)
    white = exact(rng.normal(size=(4000, 6, 1)))
    still = exact(np.repeat(rng.normal(size=(4000, 1, 1)), 6, axis=1))
    auto, cross = correlation_errors(white, still, 3)
    assert auto == pytest.approx(1, abs=0.05)
    assert np.isnan(cross)


def test_area_under_the_curve_of_two_normal_scores() -> None:
    """Phi(d / sqrt(2)); ties count half."""
    rng = np.random.default_rng(6)
    assert auc(1 + rng.normal(size=4000), rng.normal(size=4000)) == pytest.approx(ndtr(1 / np.sqrt(2)), abs=0.015)
    assert auc(np.array([1.0, 0.0]), np.array([0.0])) == 0.75


def test_the_classifier_tells_a_mixture_from_a_gaussian_of_the_same_covariance_and_nothing_from_nothing() -> None:
    rng = np.random.default_rng(7)
    one, other = (readings(mixture_series(rng, 150, 48).series) for _ in range(2))
    parts = mixture_truth(48).parts
    covariance = np.mean([part.covariance + np.outer(part.mean, part.mean) for part in parts], axis=0)
    clean = rng.multivariate_normal(np.zeros(48), covariance, 150)[..., None]
    gaussian = measured(exact(clean), other, rng)
    found = [discriminative(gram(*standardised(describe(one), describe(two))), 150, rng) for two in (other, gaussian)]
    assert found[0] == pytest.approx(0.5, abs=0.1)
    assert found[1] > 0.8


def test_windows_of_one_item_do_not_tell_each_other_apart() -> None:
    """Items of five equal windows, of one law: known items are told at sight, new ones are not."""
    rng = np.random.default_rng(8)
    value = np.repeat(rng.normal(size=(60, 6)), 5, axis=0) + 0.01 * rng.normal(size=(300, 6))
    kernel = gram(value[:150], value[150:])
    assert discriminative(kernel, 150, rng) > 0.9
    assert discriminative(kernel, 150, rng, np.repeat(np.arange(60), 5)) == pytest.approx(0.5, abs=0.17)


def test_a_description_leaves_out_what_is_missing() -> None:
    value = np.array([[[1.0], [2.0], [0.0], [3.0]]])
    risk = np.array([[[0.0], [1.0], [np.inf], [0.0]]])
    found = describe(Windows(value, risk, np.zeros(1, int)))[0]
    other = describe(Windows(np.where(np.isinf(risk), 7.0, value), risk, np.zeros(1, int)))[0]
    np.testing.assert_allclose(found, other)
    weight = 1 + 0.5 + 1
    z = np.array([1, 1, 3])  # the second reading counts half
    steps = abs(1 * 1 - 1 * 0.5) / 0.5
    np.testing.assert_allclose(
        found[:5], [z.sum() / weight, z.sum() / weight, 11 / weight, np.sqrt(83 / weight), steps]
    )
