"""Simulated windows with known truth: all but the heavy-tailed ones with their exact posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from rstime.datasets.laws import GaussianTruth, MixtureTruth, Truth, kernel_truth
from rstime.datasets.regimes import RegimeTruth
from rstime.errors import ConfigError
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
        The law of each window; `rstime.datasets.laws.answer` draws its exact posterior. Empty where it is not known.
    device
        One (T, C) array an item: the class, 0, 1 ..., of the device behind each entry, missing ones included. Empty
        where there are no devices.
    """

    series: list[Series]
    truth: list[Floats]
    laws: list[Truth]
    device: list[NDArray[np.int64]] = field(default_factory=list)


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


def gp_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    kernel: str = "matern32",
    scale: float = 8.0,
    channels: int = 1,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> Simulated:
    """Simulate windows of `rstime.datasets.laws.kernel_truth`, measured as by `measure`."""
    law = kernel_truth(kernel, length, scale, channels)
    truth = law.draw(rng, items).reshape(items, length, channels)
    return _simulated(truth, measure(rng, truth, risk, missing, horizon), [law] * items)


def device_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    kernel: str = "matern32",
    scale: float = 8.0,
    channels: int = 1,
    risks: Sequence[float] = (0.2, 0.5, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> Simulated:
    """Simulate windows of `kernel_truth`, each entry read by a device of one of several classes (`Simulated.device`).

    A class is drawn for each entry, all equally likely, and has one risk everywhere: `risks`, in its order.
    """
    law = kernel_truth(kernel, length, scale, channels)
    truth = law.draw(rng, items).reshape(items, length, channels)
    device = rng.integers(len(risks), size=truth.shape)
    sd = np.asarray(risks, dtype=np.float64)[device]
    error, one = measure(rng, np.zeros_like(truth), (1.0, 1.0), missing, horizon)
    measured = truth + sd * error, np.where(np.isinf(one), np.inf, sd)
    return replace(_simulated(truth, measured, [law] * items), device=list(device))


def regime_truth(length: int = 48, channels: int = 1, stay: float = 0.9) -> RegimeTruth:
    """Three regimes that a window switches between: low and quiet, middle, high and lively.

    A regime lasts 1 / (1 - stay) steps on average, and is followed by either other one with the same chance. Levels are
    -1.25, 0, 1.25 and spreads .1, .2, .5 times a factor that makes the variance 1; every second channel is turned over.
    """
    moves = np.full((3, 3), (1 - stay) / 2)
    np.fill_diagonal(moves, stay)
    turned = np.where(np.arange(channels) % 2, -1.0, 1.0)
    level, spread = np.array([-1.25, 0.0, 1.25]), np.array([0.1, 0.2, 0.5])
    size = np.sqrt(np.mean(level**2 + spread**2))
    return RegimeTruth(
        np.full(3, 1 / 3),
        np.broadcast_to(moves, (length - 1, 3, 3)),
        np.broadcast_to(level[:, None] / size * turned, (length, 3, channels)),
        np.broadcast_to(spread[:, None] / size, (length, 3, channels)),
    )


def regime_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    channels: int = 1,
    stay: float = 0.9,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> Simulated:
    """Simulate windows of `regime_truth`, which switch within the window, measured as by `measure`."""
    law = regime_truth(length, channels, stay)
    truth = law.draw(rng, items).reshape(items, length, channels)
    return _simulated(truth, measure(rng, truth, risk, missing, horizon), [law] * items)


def heavy_series(
    rng: np.random.Generator,
    items: int,
    length: int = 48,
    keep: float = 0.9,
    freedom: float = 3.0,
    risk: tuple[float, float] = (0.1, 1.0),
    missing: float = 0.3,
    horizon: int = 0,
) -> Simulated:
    """Simulate x_t = keep x_t-1 + c e_t, e Student-t: a quiet signal with rare jumps; no exact posterior is given.

    The scale c = sqrt((1 - keep^2) (freedom - 2) / freedom) makes the variance 1 in the long run, from which it starts.

    Raises
    ------
    ConfigError
        If `freedom` is not above 2, or `keep` not in [0, 1).
    """
    if not freedom > 2:
        raise ConfigError("freedom", f"{freedom} degrees of freedom", "Give more than 2, so that the variance exists.")
    if not 0 <= keep < 1:
        raise ConfigError("keep", f"{keep} outside [0, 1)", "Give the correlation of neighbouring steps.")
    before = int(np.ceil(20 / (1 - keep)))  # steps until the start is forgotten
    jumps = np.sqrt((1 - keep**2) * (freedom - 2) / freedom) * rng.standard_t(freedom, (items, before + length))
    truth = lfilter([1.0], [1.0, -keep], jumps, axis=1)[:, before:, None]
    return _simulated(truth, measure(rng, truth, risk, missing, horizon), [])


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
