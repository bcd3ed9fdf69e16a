"""Simulated windows with known truth and exact posterior: Gaussian process, mixture of regimes, shifted series."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rstime.datasets.laws import GaussianTruth, MixtureTruth, Truth
from rstime.types import Floats, Series


@dataclass(frozen=True, eq=False)
class Simulated:
    """Noisy, incomplete windows, the clean signal behind them and the law it was drawn from.

    Attributes
    ----------
    series
        One Series a window; stamps 0, 1, 2 ..., every entry asked, no entry of risk 0 unless asked for.
    truth
        One (T, C) clean window an item.
    laws
        The law of each window; `rstime.datasets.laws.answer` draws its exact posterior.
    """

    series: list[Series]
    truth: list[Floats]
    laws: list[Truth]


def _lags(length: int) -> Floats:
    time = np.arange(length, dtype=np.float64)
    return np.abs(time[:, None] - time[None, :])


def gaussian_truth(length: int = 48, channels: int = 3) -> GaussianTruth:
    """Stationary Gaussian process of unit variance in each of up to three coupled channels.

    K((s,c), (t,d)) = .45 e^(-l/2) A_cd + .35 e^(-l/16) B_cd + .2 e^(-l/96) cos(2 pi l/12) C_cd with l = |s - t|: fast
    parts of the channels correlated by A, slow ones by B, the seasonal ones by C.
    """
    lags = _lags(length)
    fast, slow, season = np.exp(-lags / 2), np.exp(-lags / 16), np.exp(-lags / 96) * np.cos(2 * np.pi * lags / 12)
    a = np.array([[1.0, 0.3, 0.0], [0.3, 1.0, -0.2], [0.0, -0.2, 1.0]])[:channels, :channels]
    b = np.array([[1.0, 0.8, -0.5], [0.8, 1.0, -0.3], [-0.5, -0.3, 1.0]])[:channels, :channels]
    c = np.array([[1.0, 0.6, 0.9], [0.6, 1.0, 0.6], [0.9, 0.6, 1.0]])[:channels, :channels]
    covariance = 0.45 * np.kron(fast, a) + 0.35 * np.kron(slow, b) + 0.2 * np.kron(season, c)
    return GaussianTruth(np.zeros(length * channels), covariance)


def mixture_truth(length: int = 48) -> MixtureTruth:
    """Four equally likely regimes of one channel, each a Gaussian process for the whole window.

    A wave of period 20 and one of period 8, damped over 200 steps; a slow wandering around +0.6; a quiet, short-lived
    one around -0.6; then scaled to variance 1 over the regimes, whose mean is 0. A Gaussian model knows their average
    only: at missing points the CRPS of the best one is 1.4 to 1.5 times that of the exact posterior.
    """
    lags = _lags(length)
    damped, slow = np.exp(-lags / 200), np.sqrt(3) * lags / 40
    kernels = [
        (0.0, 1.4 * damped * np.cos(2 * np.pi * lags / 20)),
        (0.0, 1.4 * damped * np.cos(2 * np.pi * lags / 8)),
        (0.6, 0.4 * (1 + slow) * np.exp(-slow)),
        (-0.6, 0.05 * np.exp(-lags / 2)),
    ]
    variance = np.mean([level**2 + kernel[0, 0] for level, kernel in kernels])
    parts = [GaussianTruth(np.full(length, level / np.sqrt(variance)), kernel / variance) for level, kernel in kernels]
    return MixtureTruth(np.full(4, 0.25), tuple(parts))


def measure(
    rng: np.random.Generator,
    truth: Floats,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> tuple[Floats, Floats]:
    """Measure clean windows: y = x + r e with r log-uniform, some entries missing, and the last steps not yet measured.

    Parameters
    ----------
    rng
        Source of randomness.
    truth
        (items, T, C) clean windows.
    risk
        Smallest and largest standard deviation; equal for one risk everywhere.
    missing
        Share of missing entries, independent of everything.
    horizon
        Number of last steps without any measurement.

    Returns
    -------
    Values and risks, each (items, T, C); NaN and inf where missing.
    """
    sd = np.exp(rng.uniform(np.log(risk[0]), np.log(risk[1]), truth.shape))
    noise = sd * rng.standard_normal(truth.shape)
    gone = rng.random(truth.shape) < missing
    gone[:, truth.shape[1] - horizon :] = True
    return np.where(gone, np.nan, truth + noise), np.where(gone, np.inf, sd)


def gaussian_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    channels: int = 3,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> Simulated:
    """Simulate windows of `gaussian_truth`, measured as by `measure`."""
    law = gaussian_truth(length, channels)
    truth = law.draw(rng, items).reshape(items, length, channels)
    return _simulated(truth, measure(rng, truth, risk, missing, horizon), [law] * items)


def mixture_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> Simulated:
    """Simulate windows of `mixture_truth`, one regime a window, measured as by `measure`."""
    law = mixture_truth(length)
    truth = law.draw(rng, items).reshape(items, length, 1)
    return _simulated(truth, measure(rng, truth, risk, missing, horizon), [law] * items)


def shifted_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    shift: float = 1.5,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 12,
) -> Simulated:
    """Simulate a Gaussian process of one channel that a known covariate z shifts: x = process + shift z.

    z ~ N(0, 1) is redrawn every six steps and is known at all of them, the future included (`Series.known`).
    """
    base = gaussian_truth(length, channels=1)
    known = np.repeat(rng.standard_normal((items, -(-length // 6))), 6, axis=1)[:, :length]
    truth = (base.draw(rng, items) + shift * known).reshape(items, length, 1)
    laws: list[Truth] = [GaussianTruth(shift * row, base.covariance) for row in known]
    return _simulated(truth, measure(rng, truth, risk, missing, horizon), laws, known[..., None])


def _simulated(
    truth: Floats, measured: tuple[Floats, Floats], laws: Sequence[Truth], known: Floats | None = None
) -> Simulated:
    time = np.arange(truth.shape[1], dtype=np.float64)
    names = tuple(f"x{channel}" for channel in range(truth.shape[2]))
    covariates = np.empty((*truth.shape[:2], 0)) if known is None else known
    series = [
        Series(f"window-{index:05d}", time, names, value, risk, known=row, known_names=("z",)[: row.shape[1]])
        for index, (value, risk, row) in enumerate(zip(*measured, covariates, strict=True))
    ]
    return Simulated(series, list(truth), list(laws))
