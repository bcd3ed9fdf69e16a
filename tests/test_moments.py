"""Moments of noisy, incomplete windows are those of the clean signal, and the start finds its seasons."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from rstime.gaussian import GaussianModel
from rstime.moments import peaks, start_from_moments, variogram
from rstime.tokens import pack
from rstime.types import Batch

T, C = 48, 2


def make_batch(seed: int, windows: int = 64, period: float = 12.0, noise: float = 0.8, lost: float = 0.4) -> Batch:
    """Windows of AR(1) of .9 (variance .6) plus a season (variance .4), times 1 and 2, around 3; noisy, incomplete."""
    rng = np.random.default_rng(seed)
    x = np.zeros((windows, T, C))
    x[:, 0] = rng.standard_normal((windows, C))
    for t in range(1, T):
        x[:, t] = 0.9 * x[:, t - 1] + math.sqrt(1 - 0.9**2) * rng.standard_normal((windows, C))
    phase = 2 * np.pi * (np.arange(T)[:, None] / period + rng.random((windows, 1, C)))
    clean = (math.sqrt(0.6) * x + math.sqrt(0.8) * np.cos(phase)) * np.array([1.0, 2.0]) + 3
    risk = rng.uniform(0, 2 * noise, clean.shape)
    value = clean + risk * rng.standard_normal(clean.shape)
    missing = rng.random(clean.shape) < lost
    risk[missing], value[missing] = np.inf, 0.0
    time, key = torch.arange(T).float().expand(windows, -1), torch.zeros(windows, T, dtype=torch.long)
    parts = (torch.tensor(value).float(), torch.tensor(risk).float())
    return Batch(*parts, time, torch.zeros(windows, T, 0), torch.ones(windows, T, C, dtype=torch.bool), key)


@pytest.mark.parametrize(("noise", "lost"), [(0.0, 0.0), (0.8, 0.0), (0.8, 0.4)])
def test_variogram_is_that_of_the_clean_signal(noise: float, lost: float) -> None:
    found = variogram([make_batch(s, noise=noise, lost=lost) for s in range(8)], 24)
    np.testing.assert_allclose(found.variance, [1.0, 4.0], rtol=0.08)
    lag = np.arange(24)
    expected = 1 - 0.6 * 0.9**lag - 0.4 * np.cos(2 * np.pi * lag / 12)
    np.testing.assert_allclose(found.gamma * found.within[0], expected, rtol=0, atol=0.06)
    np.testing.assert_allclose(found.within[1] / found.within[0], 4.0, rtol=0.08)


def test_noise_is_taken_off_and_noisy_pairs_count_less() -> None:
    """The same signal with and without noise; ignoring the risk would add its mean square, .85, at every lag."""
    clean, noisy = (variogram([make_batch(s, noise=r, lost=0.0) for s in range(8)], 12) for r in (0.0, 0.8))
    np.testing.assert_allclose(noisy.gamma * noisy.within[0], clean.gamma * clean.within[0], rtol=0, atol=0.05)
    short = [float(found.weight[1] / found.weight[11]) for found in (clean, noisy)]
    assert short[1] < 0.8 * short[0]  # where noise is most of the difference


def walks(seed: int, level: float, windows: int = 64) -> Batch:
    """Random walks of daily variance .01 from levels of this sd; every second value has noise of sd 1."""
    rng = np.random.default_rng(seed)
    steps = 0.1 * rng.standard_normal((windows, T, 1))
    clean = steps.cumsum(1) + level * rng.standard_normal((windows, 1, 1))
    risk = np.where(rng.random(clean.shape) < 0.5, 1.0, 0.0)
    parts = (torch.tensor(x).float() for x in (clean + risk * rng.standard_normal(clean.shape), risk))
    time, key = torch.arange(T).float().expand(windows, -1), torch.zeros(windows, T, dtype=torch.long)
    return Batch(*parts, time, torch.zeros(windows, T, 0), torch.ones(windows, T, 1, dtype=torch.bool), key)


@pytest.mark.parametrize("level", [0.0, 1.0, 10.0])
def test_start_knows_how_little_a_walk_moves_however_far_it_is(level: float) -> None:
    model = GaussianModel(1, 0, float(T))
    start_from_moments(model, [walks(s, level) for s in range(8)], float(T), 0.0, 10**6)
    model.requires_grad_(False)
    lag = torch.tensor([1.0, 4.0, 16.0], dtype=torch.float64)
    moved = (model.coregionalisation()[:, 0, 0, None] * (1 - model.correlations(lag))).sum(0) + model.log_white.exp()[0]
    np.testing.assert_allclose(2 * moved.numpy(), 0.01 * lag.numpy(), rtol=0.25)
    far = float(model.coregionalisation()[3:5, 0, 0].sum())  # what hardly changes within a window
    assert far == pytest.approx(level**2, rel=0.3, abs=0.5)


@pytest.mark.parametrize("period", [6.0, 12.0, 24.0])
def test_start_finds_the_season_and_its_share(period: float) -> None:
    model = GaussianModel(C, 0, float(T))
    start_from_moments(model, [make_batch(s, period=period) for s in range(8)], float(T), 0.0, 10**6)
    model.requires_grad_(False)
    periods, share = model.log_period.exp().numpy(), model.coregionalisation()[8:, 0, 0].numpy()
    heaviest = int(share.argmax())
    assert abs(math.log(periods[heaviest] / period)) < 0.1
    near = np.abs(np.log(periods / period)) < 0.35
    assert share[near].sum() == pytest.approx(0.4, abs=0.12)
    np.testing.assert_allclose(model.variance().numpy(), [1.0, 4.0], rtol=0.15)


def test_start_of_a_signal_without_seasons_has_hardly_any() -> None:
    model = GaussianModel(C, 0, float(T))
    start_from_moments(model, [make_batch(s, period=1e9) for s in range(8)], float(T), 0.0, 10**6)
    b = model.requires_grad_(False).coregionalisation()[:, 0, 0].numpy()
    short = model.log_period.exp().numpy() < T / 2
    assert b[8:][short].sum() < 0.1
    lag = torch.arange(24.0, dtype=torch.float64)
    found = (torch.tensor(b)[:, None] * model.correlations(lag)).sum(0) + model.log_white.exp()[0] * (lag == 0)
    np.testing.assert_allclose(found / found[0], 0.6 * 0.9 ** lag.numpy() + 0.4, rtol=0, atol=0.1)


def test_a_daily_season_is_offered_where_there_is_a_calendar() -> None:
    """A period between two candidates of the grid is hit exactly when the calendar names it."""
    model = GaussianModel(C, 0, float(T))
    start_from_moments(
        model, [make_batch(s, period=23.0, noise=0.0, lost=0.0) for s in range(4)], float(T), 23.0, 10**6
    )
    assert float((model.log_period.detach().exp() - 23.0).abs().min()) < 1.2


def test_peaks_gather_their_neighbours() -> None:
    periods = np.array([5.0, 9.8, 10.0, 10.2, 20.0])
    chosen = peaks(periods, np.array([0.1, 0.2, 0.4, 0.2, 0.3]), 4)
    np.testing.assert_allclose(chosen[:3], [10.0, 20.0, 5.0])


def test_windows_without_measurements_leave_a_usable_start() -> None:
    batch = make_batch(0, windows=4)
    empty = replace(batch, value=torch.zeros_like(batch.value), risk=torch.full_like(batch.risk, math.inf))
    model = GaussianModel(C, 0, float(T))
    start_from_moments(model, [empty], float(T), 0.0, 10**6)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_a_variable_that_hardly_moves_within_windows_leaves_the_variance_of_others_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    batches = []
    for seed in range(8):
        plain = make_batch(seed, noise=0.0, lost=0.0)
        moving = plain.value[..., :1].expand(*plain.value.shape[:2], 2)
        still = torch.randn((len(moving), 1, 1), generator=rng) + 0.01 * torch.randn(
            moving[..., :1].shape, generator=rng
        )
        value = torch.cat([moving, still], dim=-1)
        risk, asked = torch.zeros_like(value), torch.ones_like(value, dtype=torch.bool)
        batches.append(replace(plain, value=value, risk=risk, asked=asked))
    model = GaussianModel(3, 0, float(T))
    start_from_moments(model, batches, float(T), 0.0, 10**6)
    variance = model.requires_grad_(False).variance()
    np.testing.assert_allclose(variance[:2].numpy(), [1.0, 1.0], rtol=0.2)  # 1e3 with the mean of the ratios


@pytest.mark.parametrize("risk", [0.3, 3.0, 10.0])
@pytest.mark.parametrize("count", [30, 200, 2000])
def test_noise_that_is_claimed_too_large_does_not_inflate_the_start(risk: float, count: int) -> None:
    """Where no lag shows a signal the start is of at most unit variance: of few measurements 1, of many the least."""
    y = torch.randn(20, 24, 2, generator=torch.Generator().manual_seed(0))
    time, key = torch.arange(24).float().expand(20, -1), torch.zeros(20, 24, dtype=torch.long)
    batch = Batch(y, torch.full_like(y, risk), time, torch.zeros(20, 24, 0), torch.ones(20, 24, 2) > 0, key)
    model = GaussianModel(2, 0, 24.0)
    start_from_moments(model, [batch], 24.0, 0.0, count)
    assert float(model.covariance(pack(batch, batch.asked))[0].diagonal().mean().detach()) < 1.2
