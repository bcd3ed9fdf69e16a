"""Scores against closed forms, slow references and known limits."""

import numpy as np
import pytest
from scipy import stats

from rstime import scores


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_crps_of_samples_equals_the_double_sum(rng):
    samples, truth = rng.normal(size=(17, 3, 2)), rng.normal(size=(3, 2))
    spread = np.abs(samples[:, None] - samples[None]).sum((0, 1))
    plain = np.abs(samples - truth).mean(0) - spread / (2 * 17**2)
    fair = np.abs(samples - truth).mean(0) - spread / (2 * 17 * 16)
    np.testing.assert_allclose(scores.crps_samples(samples, truth, fair=False), plain, rtol=1e-12)
    np.testing.assert_allclose(scores.crps_samples(samples, truth), fair, rtol=1e-12)


def test_crps_of_one_sample_is_the_absolute_error():
    np.testing.assert_array_equal(scores.crps_samples([[1.0, 5.0]], [3.0, 4.0]), [2.0, 1.0])


def test_crps_of_a_gaussian_is_its_integral_and_the_limit_of_its_samples(rng):
    mean, std, truth = 0.7, 1.3, -0.4
    grid = np.linspace(-15, 15, 400_001)
    integral = np.trapezoid((stats.norm.cdf(grid, mean, std) - (grid >= truth)) ** 2, grid)
    assert scores.crps_gaussian(mean, std, truth) == pytest.approx(integral, abs=1e-4)
    strata = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000, mean, std)
    assert scores.crps_samples(strata, truth, fair=False) == pytest.approx(integral, abs=1e-4)
    assert scores.crps_gaussian(mean, 0.0, truth) == pytest.approx(1.1)


def test_fair_crps_is_unbiased_for_few_samples(rng):
    mean = scores.crps_samples(rng.normal(size=(3, 200_000)), np.zeros(200_000)).mean()
    assert mean == pytest.approx(float(scores.crps_gaussian(0, 1, 0)), abs=0.003)


def test_quantile_loss_at_the_median_is_the_absolute_error_and_leans_with_the_level():
    np.testing.assert_allclose(scores.quantile_loss([1.0, 4.0], [3.0, 3.0], 0.5), [2.0, 1.0])
    np.testing.assert_allclose(scores.quantile_loss([1.0, 4.0], [3.0, 3.0], 0.9), [3.6, 0.2])


def test_weighted_quantile_loss_of_one_point_is_its_relative_error():
    truth, point = np.array([1.0, -2.0, 4.0]), np.array([2.0, -2.0, 2.0])
    assert scores.weighted_quantile_loss(np.tile(point, (19, 1)), truth) == pytest.approx(3 / 7)
    assert scores.crps_quantile(point[None], truth) == pytest.approx(3 / 7)


def test_quantile_crps_tends_to_the_crps_with_many_levels():
    truth = 0.8
    levels = (np.arange(2000) + 0.5) / 2000
    value = scores.weighted_quantile_loss(stats.norm.ppf(levels), truth, tuple(levels)) * truth
    assert value == pytest.approx(float(scores.crps_gaussian(0, 1, truth)), abs=1e-3)


def test_energy_score_in_one_dimension_is_the_crps_and_in_more_the_double_sum(rng):
    samples, truth = rng.normal(size=(9, 4, 1)), rng.normal(size=(4, 1))
    for fair in (True, False):
        expected = scores.crps_samples(samples[..., 0], truth[:, 0], fair)
        np.testing.assert_allclose(scores.energy_score(samples, truth, fair), expected, rtol=1e-12)
    paths, path = rng.normal(size=(8, 5)), rng.normal(size=5)
    spread = sum(np.linalg.norm(a - b) for a in paths for b in paths) / (2 * 64)
    expected = np.mean([np.linalg.norm(a - path) for a in paths]) - spread
    assert scores.energy_score(paths, path, fair=False) == pytest.approx(expected)


def test_pit_is_uniform_for_calibrated_samples_and_not_for_narrow_ones(rng):
    truth = rng.normal(size=4000)
    good = scores.pit(rng.normal(size=(50, 4000)), truth)
    narrow = scores.pit(0.5 * rng.normal(size=(50, 4000)), truth)
    assert good.min() > 0
    assert good.max() < 1
    assert stats.kstest(good, "uniform").statistic < 0.035
    assert stats.kstest(narrow, "uniform").statistic > 0.1
    assert scores.pit(np.zeros((3, 1)), np.zeros(1)) == pytest.approx(0.5)


def test_gaussian_nll_is_minus_the_log_density():
    assert scores.gaussian_nll(1.0, 2.0, 0.3) == pytest.approx(-stats.norm.logpdf(0.3, 1.0, 2.0))


def test_means_count_only_the_chosen_entries():
    truth, where = np.array([0.0, 1.0, 5.0]), np.array([True, True, False])
    assert scores.mae(np.ones(3), truth, where) == pytest.approx(0.5)
    assert scores.rmse(np.ones(3), truth, where) == pytest.approx(np.sqrt(0.5))
    assert scores.coverage(np.zeros(3), np.full(3, 0.5), truth, where) == pytest.approx(0.5)
    assert scores.width(np.zeros(3), np.array([1.0, 3.0, 9.0]), where) == pytest.approx(2.0)
    assert np.isnan(scores.mae(truth, truth, np.zeros(3, dtype=bool)))


def test_autocovariance_of_paths_is_that_of_their_kernel_and_vanishes_for_marginal_samples(rng):
    lag = np.abs(np.subtract.outer(np.arange(20), np.arange(20)))
    paths = 5 + rng.multivariate_normal(np.zeros(20), 2 * 0.8**lag, size=20_000)
    np.testing.assert_allclose(scores.autocovariance(paths[..., None], 3), 2 * 0.8 ** np.arange(4), atol=0.04)
    shuffled = rng.permuted(paths, axis=0)[..., None]
    np.testing.assert_allclose(scores.autocovariance(shuffled, 3), [2, 0, 0, 0], atol=0.04)
    few = [scores.autocovariance(paths[k : k + 3, :, None], 0)[0] for k in range(0, 20_000, 3)]
    assert np.mean(few[:-1]) == pytest.approx(2, abs=0.05)
