"""Simulated windows: their laws, the exact posterior against slow references, the gap of the best single Gaussian."""

import numpy as np
import pytest
from scipy import stats

from rstime import scores
from rstime.datasets import simulate
from rstime.datasets.laws import KERNELS, GaussianTruth, MixtureTruth, answer, kernel_truth
from rstime.errors import ConfigError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def tiny():
    time = np.arange(3.0)
    kernel = np.exp(-np.abs(time[:, None] - time[None]) / 2)
    parts = (GaussianTruth(np.full(3, 1.0), kernel), GaussianTruth(np.full(3, -1.0), 0.3 * kernel))
    return MixtureTruth(np.array([0.3, 0.7]), parts)


VALUE, RISK = np.array([0.2, np.nan, 0.9]), np.array([0.5, np.inf, 1.0])


def test_gaussian_posterior_is_the_textbook_form_of_precisions(rng):
    law = simulate.gaussian_truth(8, 2)
    risk = rng.choice([0.3, 0.7, 1.5, np.inf], 16)
    value = np.where(np.isinf(risk), np.nan, rng.normal(size=16))
    precision = np.diag(np.where(np.isinf(risk), 0, risk**-2.0))
    covariance = np.linalg.inv(np.linalg.inv(law.covariance) + precision)
    mean = covariance @ precision @ np.nan_to_num(value)
    posterior = law.posterior(value, risk)
    np.testing.assert_allclose(posterior.covariance, covariance, atol=1e-8)
    np.testing.assert_allclose(posterior.mean, mean, atol=1e-8)
    seen = np.isfinite(risk)
    noisy = law.covariance[np.ix_(seen, seen)] + np.diag(risk[seen] ** 2)
    expected = stats.multivariate_normal.logpdf(value[seen], law.mean[seen], noisy)
    assert law.log_density(value, risk) == pytest.approx(expected, abs=1e-6)


def test_an_exact_measurement_is_kept_and_no_measurement_gives_the_prior(rng):
    law = simulate.gaussian_truth(6, 1)
    risk = np.array([0.0, *[np.inf] * 5])
    posterior = law.posterior(np.array([1.7, *[np.nan] * 5]), risk)
    assert posterior.mean[0] == pytest.approx(1.7, abs=1e-6)
    assert posterior.covariance[0, 0] == pytest.approx(0, abs=1e-6)
    prior = law.posterior(np.full(6, np.nan), np.full(6, np.inf))
    np.testing.assert_allclose(prior.covariance, law.covariance)


def test_mixture_posterior_agrees_with_weighting_the_prior_by_its_likelihood(tiny, rng):
    draws = tiny.draw(rng, 400_000)
    weights = np.exp(-(((draws[:, [0, 2]] - VALUE[[0, 2]]) / RISK[[0, 2]]) ** 2).sum(1) / 2)
    weights /= weights.sum()
    samples = tiny.posterior(VALUE, RISK).draw(rng, 200_000)
    mean = weights @ draws
    covariance = np.cov(draws.T, aweights=weights)
    third = weights @ (draws - mean) ** 3
    np.testing.assert_allclose(samples.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.015)
    np.testing.assert_allclose(((samples - samples.mean(0)) ** 3).mean(0), third, atol=0.03)


def test_moments_of_the_mixture_are_those_of_its_draws(tiny, rng):
    draws, moments = tiny.draw(rng, 300_000), tiny.moments()
    np.testing.assert_allclose(moments.mean, draws.mean(0), atol=0.01)
    np.testing.assert_allclose(moments.covariance, np.cov(draws.T), atol=0.01)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_gaussian_windows_are_valid_stationary_and_of_unit_variance(channels, rng):
    law = simulate.gaussian_truth(48, channels)
    assert np.linalg.eigvalsh(law.covariance).min() > 1e-3
    np.testing.assert_allclose(np.diag(law.covariance), 1)
    block = law.covariance.reshape(48, channels, 48, channels)
    np.testing.assert_allclose(block[0, :, 5], block[20, :, 25])
    drawn = simulate.gaussian_series(rng, 1500, channels=channels)
    paths = np.stack(drawn.truth)[:, :, 0]
    covariance = (paths[:, :-5] * paths[:, 5:]).mean()
    assert covariance == pytest.approx(law.covariance[0, 5 * channels], abs=0.03)


def test_measurements_have_their_stated_noise_gaps_and_horizon(rng):
    drawn = simulate.gaussian_series(rng, 300, channels=2, risk=(0.1, 1.0), missing=0.3, horizon=12)
    value, risk, truth = (
        np.stack(part) for part in ([s.value for s in drawn.series], [s.risk for s in drawn.series], drawn.truth)
    )
    seen = np.isfinite(risk)
    assert not seen[:, 36:].any()
    assert seen[:, :36].mean() == pytest.approx(0.7, abs=0.01)
    assert risk[seen].min() >= 0.1
    assert risk[seen].max() <= 1
    assert np.log(risk[seen]).mean() == pytest.approx(np.log(0.1) / 2, abs=0.02)
    error = ((value - truth) / risk)[seen]
    assert error.std() == pytest.approx(1, abs=0.02)
    equal = simulate.mixture_series(rng, 20, risk=(0.5, 0.5))
    risks = np.concatenate([s.risk[s.observed] for s in equal.series])
    np.testing.assert_allclose(risks, 0.5)


def test_mixture_has_mean_zero_and_variance_one(rng):
    law = simulate.mixture_truth()
    moments = law.moments()
    np.testing.assert_allclose(moments.mean, 0, atol=1e-12)
    np.testing.assert_allclose(np.diag(moments.covariance), 1)
    truth = np.stack(simulate.mixture_series(rng, 3000).truth)
    assert truth.var() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("settings", [{}, {"risk": (0.5, 0.5)}, {"missing": 0.1, "horizon": 12}])
def test_the_best_single_gaussian_is_far_from_the_exact_posterior_of_the_mixture(settings):
    rng = np.random.default_rng(1)
    drawn = simulate.mixture_series(rng, 150, **settings)
    single = simulate.mixture_truth().moments()
    sums = {"exact hidden": [], "exact noisy": [], "single hidden": [], "single noisy": []}
    inside = []
    for item, truth, law in zip(drawn.series, drawn.truth, drawn.laws, strict=True):
        for name, source in (("exact", law), ("single", single)):
            posterior = answer(source, item, 100, rng)
            crps = scores.crps_samples(posterior.samples, truth)
            sums[f"{name} hidden"].append(crps[~item.observed])
            sums[f"{name} noisy"].append(crps[item.observed])
            if name == "exact":
                low, high = posterior.interval(0.9)
                inside.append((low <= truth) & (truth <= high))
    mean = {name: np.concatenate(parts).mean() for name, parts in sums.items()}
    assert mean["single hidden"] / mean["exact hidden"] > 1.3
    assert mean["single noisy"] / mean["exact noisy"] > 1.2
    assert np.mean(inside) == pytest.approx(0.89, abs=0.03)


def test_the_known_covariate_narrows_the_exact_forecast_by_a_third(rng):
    drawn = simulate.shifted_series(rng, 200, shift=1.5, horizon=12)
    item = drawn.series[0]
    assert item.known_names == ("z",)
    assert np.all(np.isfinite(item.known))
    base = simulate.gaussian_truth(48, 1).covariance
    blocks = np.kron(np.eye(8), np.ones((6, 6)))
    blind = GaussianTruth(np.zeros(48), base + 1.5**2 * blocks)
    crps = {"with": [], "without": []}
    for item, truth, law in zip(drawn.series, drawn.truth, drawn.laws, strict=True):
        for name, source in (("with", law), ("without", blind)):
            crps[name].append(scores.crps_samples(answer(source, item, 100, rng).samples, truth)[36:])
    assert np.mean(crps["with"]) < 0.65 * np.mean(crps["without"])


@pytest.mark.parametrize(
    "simulator",
    [
        simulate.gaussian_series,
        simulate.mixture_series,
        simulate.shifted_series,
        simulate.gp_series,
        simulate.device_series,
        simulate.regime_series,
        simulate.heavy_series,
    ],
)
def test_the_same_seed_gives_the_same_windows(simulator):
    first, second = (simulator(np.random.default_rng(3), 4) for _ in range(2))
    for one, two in zip(first.series, second.series, strict=True):
        np.testing.assert_array_equal(one.value, two.value)


LATER = {  # correlation 8 steps on at a length scale of 8, by hand
    "ou": np.exp(-1),
    "matern32": (1 + np.sqrt(3)) * np.exp(-np.sqrt(3)),
    "seasonal": 0.5 * np.exp(-0.5) + 0.5 * np.exp(-1 / 288) * np.cos(np.pi),
}


@pytest.mark.parametrize("kernel", KERNELS)
def test_windows_of_each_kernel_have_its_correlation_in_every_channel(kernel, rng):
    law = kernel_truth(kernel, 24, scale=8.0, channels=2).covariance.reshape(24, 2, 24, 2)
    np.testing.assert_allclose(law[3, :, 11], LATER[kernel] * np.eye(2), atol=1e-12)
    truth = np.stack(simulate.gp_series(rng, 3000, 24, kernel, channels=2).truth)
    assert (truth**2).mean() == pytest.approx(1, abs=0.03)
    assert (truth[:, :-8] * truth[:, 8:]).mean() == pytest.approx(LATER[kernel], abs=0.03)
    assert (truth[..., 0] * truth[..., 1]).mean() == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("kernel", KERNELS)
def test_exact_posterior_of_each_kernel_holds_the_truth_in_its_bands(kernel, rng):
    drawn = simulate.gp_series(rng, 60, 40, kernel, risk=(0.3, 0.3))
    z = []
    for item, truth, law in zip(drawn.series, drawn.truth, drawn.laws, strict=True):
        posterior = law.posterior(item.value.ravel(), item.risk.ravel())
        z.append((truth.ravel() - posterior.mean) / np.sqrt(np.diag(posterior.covariance)))
    assert np.mean(np.square(z)) == pytest.approx(1, abs=0.15)
    assert np.mean(np.abs(z) < 1.645) == pytest.approx(0.9, abs=0.03)


def test_an_unknown_kernel_names_those_there_are(rng):
    with pytest.raises(ConfigError, match=r"kernel: no kernel 'rbf'\. Known: ou, matern32, seasonal\."):
        simulate.gp_series(rng, 1, kernel="rbf")


def test_devices_have_one_risk_a_class_and_errors_of_that_size(rng):
    risks = (0.2, 0.5, 1.0)
    drawn = simulate.device_series(rng, 40, 200, channels=2, risks=risks, missing=0.25)
    device = np.stack(drawn.device)
    value, risk = (np.stack([getattr(item, name) for item in drawn.series]) for name in ("value", "risk"))
    seen = np.isfinite(risk)
    assert device.shape == (40, 200, 2)
    assert seen.mean() == pytest.approx(0.75, abs=0.015)
    np.testing.assert_array_equal(risk[seen], np.array(risks)[device[seen]])
    for label, sd in enumerate(risks):
        mine = seen & (device == label)
        assert mine.sum() == pytest.approx(seen.sum() / 3, rel=0.05)
        assert (value - np.stack(drawn.truth))[mine].std() == pytest.approx(sd, rel=0.05)
    exact = simulate.device_series(rng, 5, risks=(0.0, 1.0))
    for item, truth, label in zip(exact.series, exact.truth, exact.device, strict=True):
        right = item.observed & (label == 0)
        np.testing.assert_array_equal(item.value[right], truth[right])


def test_innovations_of_the_heavy_tailed_series_follow_student_t(rng):
    truth = np.stack(simulate.heavy_series(rng, 100, 100, keep=0.8, freedom=3.0).truth)[..., 0]
    jumps = (truth[:, 1:] - 0.8 * truth[:, :-1]).ravel() / np.sqrt(0.36 / 3)
    assert stats.kstest(jumps, stats.t(3).cdf).pvalue > 0.01
    assert stats.kstest(jumps / jumps.std(), stats.norm.cdf).pvalue < 1e-6
    light = np.stack(simulate.heavy_series(rng, 1000, 50, freedom=8.0).truth)
    assert light.var() == pytest.approx(1, abs=0.07)
    assert light[:, 0].var() == pytest.approx(light[:, -1].var(), rel=0.2)
    assert simulate.heavy_series(rng, 2).laws == []


def test_heavy_series_refuse_what_has_no_variance(rng):
    with pytest.raises(ConfigError, match=r"freedom: 2 degrees of freedom"):
        simulate.heavy_series(rng, 1, freedom=2)
    with pytest.raises(ConfigError, match=r"keep: 1 outside"):
        simulate.heavy_series(rng, 1, keep=1)
