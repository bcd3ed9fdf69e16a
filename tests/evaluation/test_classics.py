"""Simple baselines: closed forms, the dense Gaussian posterior, and published rows."""

import numpy as np
import pytest
from scipy.special import ndtri

from rstime.evaluation import local_level as module
from rstime.evaluation.baselines import Settings
from rstime.evaluation.classics import carried, gaussian_answer, interpolated, naive, seasonal_naive
from rstime.evaluation.local_level import local_level, local_level_unknown
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import NAMED
from rstime.evaluation.tally import tally
from rstime.evaluation.tasks import build
from rstime.evaluation.treatments import treat
from rstime.types import Series

SETTINGS = Settings(samples=99)


def task_of(items, future=0, season=1, train=None):
    late = [np.zeros(item.value.shape, dtype=bool) for item in items]
    for mask in late:
        mask[len(mask) - future :] = True
    nothing = [np.zeros_like(mask) for mask in late]
    truth = [np.zeros(item.value.shape) for item in items]
    others = {"window": 8, "step": 1.0, "future": late if future else [], "season": season}
    return Task("t", train or items, [], items, truth, nothing, nothing, **others)


def item(value, risk=None):
    value = np.asarray(value, dtype=np.float64)[:, None]
    risk = np.where(np.isfinite(value), 0.0 if risk is None else np.reshape(risk, value.shape), np.inf)
    return Series("i", np.arange(float(len(value))), ("x",), value, risk)


def test_a_gaussian_answer_has_its_quantiles_where_samples_are_ranked():
    mean, sd = np.array([[1.0], [2.0]]), np.array([[0.5], [0.0]])
    answer = gaussian_answer(item([1.0, 2.0]), mean, sd, 19)
    for level in (0.05, 0.5, 0.9):
        np.testing.assert_allclose(answer.quantile(level), mean + sd * ndtri(level), rtol=1e-12)


def test_naive_repeats_the_last_reading_and_widens_with_the_root_of_time():
    (answer,) = naive(task_of([item([1, 3, 2, 5, np.nan, np.nan])], future=2), SETTINGS)
    spread = np.sqrt((4 + 1 + 9) / 3)
    np.testing.assert_allclose(answer.median[4:, 0], 5)
    low, high = answer.interval(0.9)
    np.testing.assert_allclose((high - low)[4:, 0], 2 * ndtri(0.95) * spread * np.sqrt([1, 2]), rtol=1e-12)


def test_the_season_is_repeated_and_a_missing_phase_comes_from_the_season_before():
    value = [1, 2, 3, 1.5, np.nan, 3.5, np.nan, np.nan, np.nan]
    (answer,) = seasonal_naive(task_of([item(value)], future=3, season=3), SETTINGS)
    np.testing.assert_allclose(answer.median[6:, 0], [1.5, 2, 3.5])
    low, high = answer.interval(0.9)
    np.testing.assert_allclose((high - low)[6:, 0], 2 * ndtri(0.95) * 0.5 * np.sqrt([1, 2, 1]), rtol=1e-12)


def test_points_carry_forward_interpolate_and_fall_back_on_the_mean():
    one, empty = item([np.nan, 2, np.nan, np.nan, 8, np.nan]), item([np.nan] * 6)
    task = task_of([one, empty], train=[one])
    first, none = carried(task, SETTINGS)
    np.testing.assert_array_equal(first.samples[0, :, 0], [2, 2, 2, 2, 8, 8])
    np.testing.assert_array_equal(none.samples, 5.0)
    first, none = interpolated(task, SETTINGS)
    np.testing.assert_array_equal(first.samples[0, :, 0], [2, 2, 4, 6, 8, 8])
    np.testing.assert_array_equal(none.samples, 5.0)


def walk(steps, q, seed):
    rng = np.random.default_rng(seed)
    clean = np.cumsum(np.sqrt(q) * rng.normal(size=steps))
    risk = np.exp(rng.uniform(np.log(0.05), np.log(2), steps))
    value = clean + risk * rng.normal(size=steps)
    value[rng.random(steps) < 0.2] = np.nan
    return clean, value, risk


def test_the_smoother_is_the_dense_gaussian_posterior(monkeypatch):
    _, value, risk = walk(30, 0.3, 0)
    one = item(value, risk)
    monkeypatch.setattr(module, "_fit", lambda learn, unit, unknown, each: (np.full(len(unit), 0.3), 0 * unit))
    (answer,) = local_level(task_of([one]), SETTINGS)
    seen = np.isfinite(value)
    centre, start = value[seen].mean(), value[seen].var()
    steps = np.arange(1, 31)
    prior = start + 0.3 * np.minimum(steps[:, None], steps)
    gain = prior[:, seen] @ np.linalg.inv(prior[np.ix_(seen, seen)] + np.diag(risk[seen] ** 2))
    mean = centre + gain @ (value[seen] - centre)
    sd = np.sqrt(np.diag(prior - gain @ prior[seen]))
    np.testing.assert_allclose(answer.median[:, 0], mean, rtol=1e-9)
    np.testing.assert_allclose(answer.quantile(0.9)[:, 0] - mean, sd * ndtri(0.9), rtol=1e-9)


def test_steps_and_unknown_noise_are_found_by_likelihood():
    truth, value, risk = walk(3000, 0.04, 1)
    one = item(value, risk)
    (known,) = local_level(task_of([one]), SETTINGS)
    assert np.abs(known.median[:, 0] - truth).mean() < 0.85 * np.abs(value - truth)[np.isfinite(value)].mean()
    low, high = known.interval(0.9)
    assert ((low[:, 0] <= truth) & (truth <= high[:, 0])).mean() == pytest.approx(0.9, abs=0.03)
    rng = np.random.default_rng(2)
    flat = item(np.cumsum(0.2 * rng.normal(size=3000)) + 0.7 * rng.normal(size=3000))
    columns = module.Columns.of([flat], 0, 1.0)
    q, noise = module._fit(columns, columns.spread, True, each=True)
    assert np.sqrt(q[0]) == pytest.approx(0.2, rel=0.15)
    assert np.sqrt(noise[0]) == pytest.approx(0.7, rel=0.05)


def test_exchange_rows_come_out(shared_data):
    """A naive forecast of the clean set has wQL .0077 and MASE 1.49; a walk with known risk comes close to it."""
    clean = build(NAMED["exchange-clean"], 0, shared_data)
    found = tally(clean, naive(clean, SETTINGS)).metrics()
    assert found["wql"] == pytest.approx(0.0077, abs=5e-5)
    assert found["mase"] == pytest.approx(1.49, abs=5e-3)
    half = build(NAMED["exchange-half"], 0, shared_data)
    known = tally(half, local_level(half, SETTINGS)).metrics()
    kept = tally(half, naive(treat(half, "keep"), SETTINGS)).metrics()
    unknown = tally(half, local_level_unknown(treat(half, "keep"), SETTINGS)).metrics()
    assert 0.0076 < known["wql"] < 0.0083
    assert known["wql"] < unknown["wql"] < kept["wql"]
    assert 0.05 < kept["wql"] < 0.07


def test_m4_seasonal_naive_has_its_published_mase(shared_data):
    task = build(NAMED["m4-hourly-clean"], 0, shared_data)
    assert tally(task, seasonal_naive(task, SETTINGS)).metrics()["mase"] == pytest.approx(1.193, abs=5e-4)
