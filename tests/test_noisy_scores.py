"""Scores against noisy truth: unbiased or proper, as each says; equal to the clean ones where nothing is noisy."""

import numpy as np
import pytest
import scoringrules as sr
from scipy import stats

from rstime import noisy_scores, scores


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_squared_error_less_the_noise_is_unbiased_for_the_clean_one(rng):
    clean = rng.normal(size=200_000)
    risk = rng.uniform(0, 2, clean.size)
    measured, point = clean + risk * rng.normal(size=clean.size), clean + 0.3
    assert np.mean((point - measured) ** 2) > 1.3
    assert noisy_scores.squared_error(point, measured, risk).mean() == pytest.approx(0.09, abs=0.02)
    assert noisy_scores.rmse(point, measured, risk) == pytest.approx(0.3, abs=0.04)
    exact = risk < 0.02
    assert noisy_scores.rmse(point, measured, 0 * risk, exact) == scores.rmse(point, measured, exact)
    assert noisy_scores.rmse([1.0], [1.0], [0.5]) == 0.0
    assert np.isnan(noisy_scores.rmse(point, measured, risk, np.zeros(clean.size, dtype=bool)))


def test_convolved_crps_equals_the_mixture_of_scoringrules_and_the_limit_of_noisy_samples(rng):
    samples, measured = rng.normal(size=(20, 5)), rng.normal(size=5)
    risk = np.array([0.2, 0.5, 1.0, 3.0, 0.7])
    theirs = sr.crps_mixnorm(measured, samples, np.broadcast_to(risk, (20, 5)), m_axis=0, backend="numpy")
    np.testing.assert_allclose(noisy_scores.crps_samples(samples, measured, risk, fair=False), theirs, rtol=1e-6)
    drawn = noisy_scores.convolve(np.repeat(samples, 2000, 0), risk, rng)
    np.testing.assert_allclose(scores.crps_samples(drawn, measured), theirs, rtol=0.03)


def test_convolved_crps_without_noise_is_the_crps(rng):
    samples, measured = rng.normal(size=(20, 5)), rng.normal(size=5)
    for fair in (True, False):
        plain = scores.crps_samples(samples, measured, fair)
        np.testing.assert_allclose(noisy_scores.crps_samples(samples, measured, 0.0, fair), plain, rtol=1e-12)
    np.testing.assert_allclose(noisy_scores.crps_samples([[2.0]], [5.0], 0.0), 3.0)
    np.testing.assert_array_equal(noisy_scores.pit(samples, measured, 0.0), scores.pit(samples, measured))
    np.testing.assert_array_equal(noisy_scores.convolve(samples, 0.0, rng), samples)


def test_fair_convolved_crps_of_few_samples_is_unbiased_for_the_law(rng):
    measured, risk = 0.4, 0.8
    found = noisy_scores.crps_samples(rng.normal(size=(3, 100_000)), np.full(100_000, measured), risk).mean()
    assert found == pytest.approx(float(noisy_scores.crps_gaussian(0, 1, measured, risk)), abs=0.004)


def test_convolved_crps_is_proper_but_may_rank_two_wrong_forecasts_otherwise(rng):
    """Ferro 2017: x ~ N(0, 1) is measured with r = 1; one forecast is off by .4, the other has sd .3 for 1."""
    clean = rng.normal(size=200_000)
    measured = clean + rng.normal(size=clean.size)
    laws = {"true": (0.0, 1.0), "off": (0.4, 1.0), "narrow": (0.0, 0.3)}
    against_clean = {name: scores.crps_gaussian(*law, clean).mean() for name, law in laws.items()}
    against_noisy = {name: noisy_scores.crps_gaussian(*law, measured, 1.0).mean() for name, law in laws.items()}
    expected = {name: (_crps(*law, 0.0), _crps(*law, 1.0)) for name, law in laws.items()}
    for name in laws:
        assert (against_clean[name], against_noisy[name]) == pytest.approx(expected[name], abs=0.004)
    assert min(against_clean, key=against_clean.__getitem__) == "true"
    assert min(against_noisy, key=against_noisy.__getitem__) == "true"
    assert against_clean["off"] < against_clean["narrow"] - 0.04
    assert against_noisy["narrow"] < against_noisy["off"] - 0.01
    squares = [noisy_scores.squared_error(mean, measured, 1.0).mean() for mean in (0.0, 0.4)]
    assert squares == pytest.approx([1.0, 1.16], abs=0.02)


def test_pit_of_measurements_is_uniform_for_calibrated_samples_only(rng):
    clean = rng.normal(size=5000)
    measured = clean + 0.7 * rng.normal(size=clean.size)
    samples = rng.normal(size=(100, clean.size))
    assert stats.kstest(noisy_scores.pit(samples, measured, 0.7), "uniform").statistic < 0.03
    assert stats.kstest(scores.pit(samples, measured), "uniform").statistic > 0.045
    assert stats.kstest(noisy_scores.pit(0.3 * samples, measured, 0.7), "uniform").statistic > 0.06


def test_scores_of_few_samples_by_hand():
    """E|N(0, s^2)| = s sqrt(2 / pi), and N(0, r^2) of each of two samples differs by N(., 2 r^2)."""
    wide = 0.5 * np.sqrt(2 / np.pi)
    assert noisy_scores.crps_samples([2.0], 2.0, 0.5) == pytest.approx(wide)
    assert noisy_scores.crps_samples([2.0], 2.0, 0.5, fair=False) == pytest.approx(wide - np.sqrt(2) * wide / 2)
    far = stats.foldnorm.mean(1 / (0.5 * np.sqrt(2)), scale=0.5 * np.sqrt(2))
    near = (wide + stats.foldnorm.mean(2, scale=0.5)) / 2
    assert noisy_scores.crps_samples([2.0, 3.0], 2.0, 0.5) == pytest.approx(near - far / 2)
    np.testing.assert_allclose(
        noisy_scores.pit([[0.0, 0.0], [1.0, 1.0]], [1.0, 1.0], [0.5, 0.0]),
        [(stats.norm.cdf(2) + stats.norm.cdf(0)) / 2, scores.pit([[0.0], [1.0]], [1.0])[0]],
    )


def _crps(mean: float, std: float, risk: float) -> float:
    """Expected convolved CRPS of N(mean, std^2) for x ~ N(0, 1), in closed form."""
    spread = np.sqrt(std**2 + 1 + 2 * risk**2)
    far = stats.foldnorm.mean(mean / spread, scale=spread)
    return float(far - np.hypot(std, risk) / np.sqrt(np.pi))
