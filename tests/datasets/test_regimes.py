"""Windows that switch between regimes: the exact posterior against the sum over all paths of the chain."""

import itertools

import numpy as np
import pytest
from scipy import stats

from rstime import scores
from rstime.datasets import simulate
from rstime.datasets.laws import answer
from rstime.datasets.regimes import RegimeTruth


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def tiny():
    """Four steps, two regimes, two channels; moves that depend on time, one of them impossible."""
    moves = np.array([[[0.8, 0.2], [0.3, 0.7]], [[1.0, 0.0], [0.5, 0.5]], [[0.6, 0.4], [0.1, 0.9]]])
    level = np.broadcast_to([[1.0, 0.5], [-1.0, 2.0]], (4, 2, 2))
    spread = np.broadcast_to([[0.3, 0.0], [0.6, 0.2]], (4, 2, 2))
    return RegimeTruth(np.array([0.4, 0.6]), moves, level, spread)


VALUE = np.array([0.4, np.nan, np.nan, np.nan, -0.3, 1.4, 0.1, np.nan])
RISK = np.array([0.5, np.inf, np.inf, np.inf, 0.8, 0.4, 0.0, np.inf])


def by_paths(law, value, risk):
    """Weight of each of the K^T paths, and mean and variance (T C) of x given path and measurements."""
    steps, regimes = law.level.shape[:2]
    weights, means, variances = [], [], []
    for path in itertools.product(range(regimes), repeat=steps):
        chance = law.start[path[0]] * np.prod([law.moves[t, path[t], path[t + 1]] for t in range(steps - 1)])
        mean = np.concatenate([law.level[t, path[t]] for t in range(steps)])
        variance = np.concatenate([law.spread[t, path[t]] for t in range(steps)]) ** 2
        for entry in np.flatnonzero(np.isfinite(risk)):
            total = variance[entry] + risk[entry] ** 2
            chance *= stats.norm.pdf(value[entry], mean[entry], np.sqrt(total))
            share = variance[entry] / total
            mean[entry] += share * (value[entry] - mean[entry])
            variance[entry] *= 1 - share
        weights.append(chance)
        means.append(mean)
        variances.append(variance)
    return np.array(weights) / np.sum(weights), np.array(means), np.array(variances)


def test_posterior_agrees_with_the_sum_over_all_paths(tiny, rng):
    weights, means, variances = by_paths(tiny, VALUE, RISK)
    posterior = tiny.posterior(VALUE, RISK)
    paths = list(itertools.product(range(2), repeat=4))
    chances = [
        posterior.start[path[0]] * np.prod([posterior.moves[t, path[t], path[t + 1]] for t in range(3)])
        for path in paths
    ]
    np.testing.assert_allclose(chances, weights, atol=1e-12)
    for path, mean, variance in zip(paths, means, variances, strict=True):
        np.testing.assert_allclose(posterior.level[range(4), path].ravel(), mean, atol=1e-12)
        np.testing.assert_allclose(posterior.spread[range(4), path].ravel() ** 2, variance, atol=1e-12)
    samples = posterior.draw(rng, 200_000)
    mean = weights @ means
    covariance = (means - mean).T @ np.diag(weights) @ (means - mean) + np.diag(weights @ variances)
    np.testing.assert_allclose(samples.mean(0), mean, atol=0.01)
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.015)


def test_no_measurement_gives_the_prior_and_an_exact_one_is_kept(tiny, rng):
    prior = tiny.posterior(np.full(8, np.nan), np.full(8, np.inf))
    for name in ("start", "moves", "level", "spread"):
        np.testing.assert_allclose(getattr(prior, name), getattr(tiny, name), atol=1e-15)
    samples = tiny.posterior(VALUE, RISK).draw(rng, 50)
    np.testing.assert_allclose(samples[:, 6], 0.1, atol=1e-12)


def test_measurements_far_from_all_regimes_do_not_break_the_chain(tiny):
    posterior = tiny.posterior(np.full(8, 300.0), np.full(8, 0.5))
    np.testing.assert_allclose(posterior.moves.sum(-1), 1)
    assert posterior.start.sum() == pytest.approx(1)


def test_paths_stay_as_long_as_they_should_and_windows_have_variance_one(rng):
    law = simulate.regime_truth(60, channels=2, stay=0.9)
    paths = law.draw_regimes(rng, 2000)
    assert (paths[:, 1:] == paths[:, :-1]).mean() == pytest.approx(0.9, abs=0.005)
    np.testing.assert_allclose(np.bincount(paths.ravel()) / paths.size, 1 / 3, atol=0.02)
    truth = law.draw(rng, 2000).reshape(2000, 60, 2)
    assert truth.var() == pytest.approx(1, abs=0.03)
    assert np.corrcoef(truth.reshape(-1, 2).T)[0, 1] < -0.8


def test_the_exact_posterior_is_calibrated_and_beats_the_gaussian_of_the_same_moments(rng):
    drawn = simulate.regime_series(rng, 200, missing=0.4)
    clean = np.stack(simulate.regime_series(rng, 20_000).truth)[..., 0]
    gaussian = simulate.GaussianTruth(clean.mean(0), np.cov(clean.T))
    crps, inside = {"exact": [], "gaussian": []}, []
    for item, truth, law in zip(drawn.series, drawn.truth, drawn.laws, strict=True):
        for name, source in (("exact", law), ("gaussian", gaussian)):
            posterior = answer(source, item, 100, rng)
            crps[name].append(scores.crps_samples(posterior.samples, truth).mean())
            if name == "exact":
                low, high = posterior.interval(0.9)
                inside.append((low <= truth) & (truth <= high))
    assert np.mean(inside) == pytest.approx(0.89, abs=0.02)
    assert np.mean(crps["exact"]) < 0.8 * np.mean(crps["gaussian"])
