"""Fits of the Gaussian model to noisy, incomplete data, beside the exact posterior."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from rstime import scores
from rstime.datasets.laws import GaussianTruth
from rstime.datasets.simulate import gaussian_series
from rstime.gaussian import GaussianModel
from rstime.gaussian_fit import GaussianConfig, fit_gaussian
from rstime.model import RiskDiffusion
from rstime.tokens import pack
from rstime.types import Batch, Floats, Series

WINDOW = 24.0


def grid(series: list[Series]) -> Batch:
    """Windows of one length, in the units they are in."""
    value, risk = (torch.tensor(np.stack([getattr(one, name) for one in series])) for name in ("value", "risk"))
    windows, length, _ = value.shape
    time, key = torch.arange(length).float().expand(windows, -1), torch.zeros(windows, length, dtype=torch.long)
    asked = torch.ones_like(risk, dtype=torch.bool)
    return Batch(value.nan_to_num().float(), risk.float(), time, torch.zeros(windows, length, 0), asked, key)


def some(batch: Batch, step: int, count: int = 8) -> Batch:
    rows = np.random.default_rng(step % 2**32).integers(len(batch.risk), size=count)
    return Batch(*(getattr(batch, name)[rows] for name in batch.__dataclass_fields__))


@pytest.mark.parametrize("seed", [0, 1])
def test_fit_comes_close_to_the_exact_posterior(seed: int) -> None:
    """CRPS at missing, future and noisy entries against that of the law the windows were drawn from, no sampling."""
    rng = np.random.default_rng(seed)
    length, channels = int(WINDOW), 2
    train, test = gaussian_series(rng, 300, length, channels), gaussian_series(rng, 80, length, channels, horizon=4)
    learn, held_out = grid(train.series[:-40]), grid(train.series[-40:])
    model = GaussianModel(channels, 0, WINDOW)
    config = GaussianConfig(steps=250, tokens=60, moments=32)
    fit_gaussian(model, lambda step: some(learn, step), lambda i: held_out, seed, WINDOW, 0.0, 10**6, config)
    batch = grid(test.series)
    tokens = pack(batch, batch.asked)
    belief = model.condition(tokens, tokens.take(batch.risk, math.inf)).belief(tokens.take(batch.value)[None])
    mean, sd = belief.mean[0].double().numpy(), belief.variance.double().sqrt().numpy()
    found, exact = np.empty(mean.shape), np.empty(mean.shape)
    for i, (item, truth, law) in enumerate(zip(test.series, test.truth, test.laws, strict=True)):
        posterior = law.posterior(item.value.ravel(), item.risk.ravel())
        assert isinstance(posterior, GaussianTruth)
        found[i] = scores.crps_gaussian(mean[i], sd[i], truth.ravel())
        exact[i] = scores.crps_gaussian(posterior.mean, np.sqrt(np.diag(posterior.covariance)), truth.ravel())
    risk = np.stack([item.risk.ravel() for item in test.series])
    future = np.isinf(risk) & (np.arange(length * channels) >= (length - 4) * channels)
    for rows in (np.isinf(risk) & ~future, future, np.isfinite(risk)):
        assert 0.97 < found[rows].sum() / exact[rows].sum() < 1.03


@pytest.fixture(scope="module")
def wanderer() -> tuple[RiskDiffusion, Floats]:
    """Model of a random walk with steps of variance 1, fitted to one noisy series, and where that series ends."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal(1200))
    risk = rng.uniform(0.2, 2.0, 1200)
    value = walk + risk * rng.standard_normal(1200)
    risk[rng.random(1200) < 0.3] = np.inf
    series = Series("walk", np.arange(1200.0), ("x",), value[:, None], risk[:, None])
    model = RiskDiffusion("gaussian", window=32).fit([series], steps=200, progress=False)
    return model, walk[-1:]


def walks(rng: np.random.Generator, start: float, count: int = 100) -> tuple[list[Series], Floats]:
    """Noisy random walks of 32 steps, and their next 12 clean ones, (count, 12)."""
    walk = start + np.cumsum(rng.standard_normal((count, 44)), 1)
    risk = rng.uniform(0.2, 2.0, (count, 32))
    value = walk[:, :32] + risk * rng.standard_normal(risk.shape)
    time = np.arange(32.0)
    return [Series(f"{i}", time, ("x",), value[i, :, None], risk[i, :, None]) for i in range(count)], walk[:, 32:]


def test_forecasts_of_a_random_walk_widen_by_its_steps(wanderer: tuple[RiskDiffusion, Floats]) -> None:
    model, level = wanderer
    items, truth = walks(np.random.default_rng(1), float(level[0]))
    answers = model.forecast(items, 12, samples=200)
    mean, sd = (np.stack([getattr(answer, name)[:, 0] for answer in answers]) for name in ("mean", "std"))
    variance = (sd**2).mean(0)
    assert np.all(np.diff(variance) > 0)
    assert 0.7 < (variance[-1] - variance[0]) / 11 < 1.4
    assert 0.7 < np.mean(((truth - mean) / sd) ** 2) < 1.4


def test_forecasts_far_from_the_levels_seen_stay_there(wanderer: tuple[RiskDiffusion, Floats]) -> None:
    """A stationary model would fall back to the mean of the training data, 60 sd away."""
    model, level = wanderer
    items, _ = walks(np.random.default_rng(2), float(level[0]), 10)
    far = [Series(one.item_id, one.time, one.variables, one.value + 1000, one.risk) for one in items]
    near, moved = (np.stack([answer.mean[:, 0] for answer in model.forecast(x, 12, samples=20)]) for x in (items, far))
    back = 1 - (moved - near).mean(0) / 1000
    assert np.all(np.abs(back) < 0.05)
