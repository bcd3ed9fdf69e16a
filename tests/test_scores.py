"""Scores against closed forms, slow references and known limits."""

import numpy as np
import pytest
import scoringrules as sr
from gluonts.ev import metrics as ev
from gluonts.ev.ts_stats import seasonal_error
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
    np.testing.assert_allclose(
        scores.pit(np.array([[0.0], [1.0], [2.0]]), [-1.0, 1.0, 1.5]), np.array([0.5, 2, 2.5]) / 4
    )


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


def test_crps_of_levels_is_the_mean_quantile_loss_and_sums_to_the_relative_form(rng):
    quantiles, truth, levels = np.sort(rng.normal(size=(3, 4, 2)), 0), rng.normal(size=(4, 2)), (0.25, 0.5, 0.75)
    by_hand = sum(scores.quantile_loss(q, truth, level) for q, level in zip(quantiles, levels, strict=True)) / 3
    np.testing.assert_allclose(scores.crps_levels(quantiles, truth, levels), by_hand, rtol=1e-12)
    relative = scores.weighted_quantile_loss(quantiles, truth, levels)
    assert relative == pytest.approx(by_hand.sum() / np.abs(truth).sum())


def test_hidden_points_alone_are_scored_where_asked(rng):
    samples, truth = rng.normal(size=(30, 5, 2)), rng.normal(size=(5, 2))
    where = np.array([[1, 0], [1, 1], [0, 0], [1, 1], [0, 1]], dtype=bool)
    truth[~where] = np.nan
    alone = scores.crps_quantile(samples[:, where], truth[where])
    assert scores.crps_quantile(samples, truth, where=where) == pytest.approx(alone)
    assert scores.nd(samples.mean(0), truth, where) == pytest.approx(scores.nd(samples.mean(0)[where], truth[where]))
    summed = scores.crps_quantile(samples.sum(-1)[:, [1, 3]], truth.sum(-1)[[1, 3]])
    assert scores.crps_sum(samples, truth, where=where) == pytest.approx(summed)
    assert np.isnan(scores.nd(truth, truth, np.zeros_like(where)))
    assert np.isnan(scores.weighted_quantile_loss(samples[:19], truth, where=np.zeros_like(where)))


def test_crps_sum_tells_joint_samples_from_marginal_ones(rng):
    common = rng.normal(size=(4000, 30, 1))
    joint = np.concatenate([common, -common], axis=-1) + 0.01 * rng.normal(size=(4000, 30, 2))
    marginal = rng.permuted(joint, axis=0)
    truth = joint[0]
    assert scores.crps_quantile(joint, truth) == pytest.approx(scores.crps_quantile(marginal, truth), rel=1e-6)
    assert scores.crps_sum(marginal, truth) > 10 * scores.crps_sum(joint, truth)


def test_deviations_relative_to_the_truth():
    truth, point = np.array([1.0, -2.0, 4.0]), np.array([2.0, -2.0, 1.0])
    assert scores.nd(point, truth) == pytest.approx(4 / 7)
    assert scores.nrmse(point, truth) == pytest.approx(np.sqrt(10 / 3) / (7 / 3))
    assert np.isnan(scores.nd(point, np.zeros(3)))
    assert np.isnan(scores.nrmse(point, np.zeros(3)))


def test_seasonal_error_skips_unknown_pairs_and_falls_back_to_one_step():
    past = np.array([1.0, 5.0, 2.0, np.nan, 6.0])
    assert scores.seasonal_error(past, 2) == pytest.approx((1 + 4) / 2)
    assert scores.seasonal_error(past) == pytest.approx((4 + 3) / 2)
    assert scores.seasonal_error(past, 5) == scores.seasonal_error(past, 1)
    assert scores.seasonal_error(past, 1, np.array([1, 1, 0, 1, 1], dtype=bool)) == pytest.approx(4)
    assert np.isnan(scores.seasonal_error([3.0]))


def test_scaled_scores_are_over_the_seasonal_error():
    truth = np.array([1.0, 2.0, 9.0])
    assert scores.mase(np.zeros(3), truth, 2.0) == pytest.approx(2.0)
    assert scores.mase(np.zeros(3), truth, 2.0, np.array([True, True, False])) == pytest.approx(0.75)
    assert np.isnan(scores.mase(truth, truth, 0.0))
    np.testing.assert_allclose(scores.interval_score([0, 3, 4], [2, 4, 8], truth, 0.1), [2, 1 + 20, 4 + 20])
    assert scores.msis([0, 3, 4], [2, 4, 8], truth, 5.0, 0.1) == pytest.approx((2 + 21 + 24) / 15)
    assert np.isnan(scores.msis(truth, truth, truth, 0.0))


def test_interval_score_of_a_gaussian_is_smallest_at_its_quantiles(rng):
    truth = rng.normal(size=200_000)
    ends = stats.norm.ppf(0.95)
    found = [scores.interval_score(-f * ends, f * ends, truth, 0.1).mean() for f in (0.8, 1.0, 1.25)]
    assert found[1] == pytest.approx(2 * stats.norm.pdf(ends) / 0.05, rel=0.01)
    assert found[1] < min(found[0], found[2])


def test_reliability_of_true_quantiles_is_their_level(rng):
    levels = np.array([0.1, 0.5, 0.8])
    truth = rng.normal(size=20_000)
    quantiles = np.broadcast_to(stats.norm.ppf(levels)[:, None], (3, 20_000))
    np.testing.assert_allclose(scores.reliability(quantiles, truth), levels, atol=0.012)
    narrow = scores.reliability(quantiles / 2, truth)
    np.testing.assert_allclose(narrow, stats.norm.cdf(stats.norm.ppf(levels) / 2), atol=0.012)
    np.testing.assert_array_equal(scores.reliability([[0.0, 1.0, 1.0]], [0.0, 2.0, 0.0], np.array([1, 1, 0]) > 0), 0.5)


# ---- other libraries ---------------------------------------------------------------------------------------------


def test_scores_equal_those_of_scoringrules(rng):
    samples, truth = rng.normal(size=(25, 6)), rng.normal(size=6)
    close = {"rtol": 1e-6, "atol": 1e-9}
    for fair, name in ((True, "fair"), (False, "nrg")):
        theirs = sr.crps_ensemble(truth, samples, m_axis=0, estimator=name, backend="numpy")
        np.testing.assert_allclose(scores.crps_samples(samples, truth, fair), theirs, **close)
        paths, path = rng.normal(size=(25, 6, 4)), rng.normal(size=(6, 4))
        theirs = sr.es_ensemble(path, paths, m_axis=0, v_axis=-1, estimator=name, backend="numpy")
        np.testing.assert_allclose(scores.energy_score(paths, path, fair), theirs, **close)
    theirs = sr.crps_normal(truth, 0.3, 1.7, backend="numpy")
    np.testing.assert_allclose(scores.crps_gaussian(0.3, 1.7, truth), theirs, **close)
    levels, quantiles = np.array([0.1, 0.4, 0.9]), np.sort(rng.normal(size=(3, 6)), 0)
    theirs = sr.crps_quantile(truth, quantiles, levels, m_axis=0, backend="numpy")
    np.testing.assert_allclose(scores.crps_levels(quantiles, truth, tuple(levels)), theirs, **close)
    theirs = sr.interval_score(truth, quantiles[0], quantiles[2], 0.2, backend="numpy")
    np.testing.assert_allclose(scores.interval_score(quantiles[0], quantiles[2], truth, 0.2), theirs, **close)


def test_scores_equal_those_of_gluonts(rng):
    truth, past = np.ma.masked_invalid(rng.normal(3, 1, (1, 12))), rng.normal(3, 1, 40)
    truth[0, 3] = np.ma.masked
    where, plain = ~truth.mask[0], truth.filled(np.nan)[0]
    levels = (0.025, 0.1, 0.5, 0.9, 0.975)
    forecast = dict(zip(map(str, levels), np.sort(rng.normal(3, 1, (5, 1, 12)), 0), strict=True))
    scale = scores.seasonal_error(past, 7)
    assert scale == pytest.approx(seasonal_error(past, 7)[0], rel=1e-9)
    data = {"label": truth, "mean": forecast["0.5"] + 0.1, "seasonal_error": np.array([[scale]]), **forecast}
    quantiles = np.stack([forecast[str(level)][0] for level in levels])
    ours = [
        (ev.MAE(), scores.mae(quantiles[2], plain, where)),
        (ev.RMSE(), scores.rmse(quantiles[2] + 0.1, plain, where)),
        (ev.NRMSE(), scores.nrmse(quantiles[2] + 0.1, plain, where)),
        (ev.ND(), scores.nd(quantiles[2], plain, where)),
        (ev.MASE(), scores.mase(quantiles[2], plain, scale, where)),
        (ev.MSIS(), scores.msis(quantiles[0], quantiles[4], plain, scale, 0.05, where)),
        (ev.Coverage(0.9), scores.reliability(quantiles[3:4], plain, where)[0]),
        (ev.MeanWeightedSumQuantileLoss(levels), scores.weighted_quantile_loss(quantiles, plain, levels, where)),
    ]
    for metric, value in ours:
        assert value == pytest.approx(float(metric(axis=None).update(data).get()), rel=1e-6), metric


def test_both_ends_of_an_interval_are_inside_and_its_score_is_of_the_95_percent_one_by_default():
    assert scores.coverage([0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 1.0, 2.0]) == pytest.approx(2 / 3)
    assert scores.coverage(np.zeros(5), np.ones(5), [0.0, 0.5, 1.0, 2.0, -1.0]) == pytest.approx(3 / 5)
    assert scores.msis([0.0], [2.0], [3.0], scale=1.0) == pytest.approx(2 + 2 / 0.05)


def test_quantiles_of_nine_samples_are_the_samples_at_ranks_of_ten():
    samples = np.arange(1.0, 10.0)[:, None]
    assert scores.crps_quantile(samples, [10.0], levels=(0.1,)) == pytest.approx(2 * 0.1 * (10 - 1) / 10)
    assert scores.crps_quantile(samples, [10.0], levels=(0.9,)) == pytest.approx(2 * 0.9 * (10 - 9) / 10)


def test_scores_of_one_and_of_two_samples_by_hand():
    """Of a single path the distance alone; of two, the mean distance less half of the distance between them."""
    one, two, path = np.array([[3.0, 4.0]]), np.array([[3.0, 4.0], [0.0, 0.0]]), np.zeros(2)
    assert scores.energy_score(one, path) == 5.0
    assert scores.energy_score(two, path) == pytest.approx(5 / 2 - 5 / 2)
    assert scores.energy_score(two, path, fair=False) == pytest.approx(5 / 2 - 5 / 4)
    assert scores.crps_samples([1.0, 5.0], 2.0) == pytest.approx((1 + 3) / 2 - 4 / 2)
    assert scores.crps_samples([1.0, 5.0], 2.0, fair=False) == pytest.approx((1 + 3) / 2 - 4 / 4)


def test_a_truth_of_zero_has_no_relative_loss():
    assert np.isnan(scores.weighted_quantile_loss(np.ones((19, 2)), np.zeros(2)))
    assert np.isnan(scores.crps_quantile(np.ones((5, 2)), np.zeros(2)))


def test_relative_scores_are_the_same_in_any_unit(rng):
    truth, quantiles, scale = rng.normal(size=12), np.sort(rng.normal(size=(19, 12)), 0), 0.7
    low, point, high = quantiles[[0, 9, 18]]

    def found(unit: float) -> list[float]:
        y, q = unit * truth, unit * quantiles
        return [
            scores.nd(unit * point, y),
            scores.nrmse(unit * point, y),
            scores.weighted_quantile_loss(q, y),
            scores.mase(unit * point, y, unit * scale),
            scores.msis(unit * low, unit * high, y, unit * scale),
        ]

    for unit in (1e-6, 1e6):
        assert found(unit) == pytest.approx(found(1.0), rel=1e-9)
