"""Scores of probabilistic answers: pure functions of samples, quantiles and truth.

Arrays of samples carry the samples first, (S, ...); arrays of quantiles the levels first, (L, ...). Functions of one
entry return one number an entry; functions that average take `where`, the entries that count.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from rstime.types import Bools, Floats

LEVELS: tuple[float, ...] = tuple(round(0.05 * k, 2) for k in range(1, 20))
"""The nineteen levels .05, .10 ... .95 over which the quantile form of the CRPS is averaged."""


def _mean(values: Floats, where: Bools | None) -> float:
    chosen = _chosen(values, where)
    return float(chosen.mean()) if chosen.size else float("nan")


def _chosen(values: Floats, where: Bools | None) -> Floats:
    return values if where is None else values[np.broadcast_to(where, values.shape)]


def mae(point: ArrayLike, truth: ArrayLike, where: Bools | None = None) -> float:
    """Mean absolute error, mean |point - truth|, in the units of the truth; NaN if no entry counts."""
    return _mean(np.abs(np.subtract(point, truth, dtype=np.float64)), where)


def rmse(point: ArrayLike, truth: ArrayLike, where: Bools | None = None) -> float:
    """Root mean squared error, sqrt(mean (point - truth)^2), in the units of the truth; NaN if no entry counts."""
    return float(np.sqrt(_mean(np.subtract(point, truth, dtype=np.float64) ** 2, where)))


def nd(point: ArrayLike, truth: ArrayLike, where: Bools | None = None) -> float:
    """Normalised deviation, sum |point - truth| / sum |truth|; NaN if no entry counts or the truth is 0."""
    size = _mean(np.abs(np.asarray(truth, dtype=np.float64)), where)
    return mae(point, truth, where) / size if size > 0 else float("nan")


def nrmse(point: ArrayLike, truth: ArrayLike, where: Bools | None = None) -> float:
    """Root mean squared error over mean |truth|; NaN if no entry counts or the truth is 0."""
    size = _mean(np.abs(np.asarray(truth, dtype=np.float64)), where)
    return rmse(point, truth, where) / size if size > 0 else float("nan")


def seasonal_error(past: ArrayLike, season: int = 1, where: Bools | None = None) -> float:
    """Mean error of the seasonal naive forecast within the past, mean |y_t - y_(t - season)|, over known pairs.

    Hyndman and Koehler 2006, sec. 3. The lag is 1 where the past is not longer than a season. Noise of the past
    is not taken off: it raises the figure for every method alike.

    Parameters
    ----------
    past
        (T, ...) values before the forecast; NaN is not known.
    season
        Steps in a season.
    where
        Entries of the past that count.
    """
    values = np.asarray(past, dtype=np.float64)
    values = np.where(np.broadcast_to(True if where is None else where, values.shape), values, np.nan)
    lag = season if season < len(values) else 1
    gap = np.abs(values[lag:] - values[:-lag])
    return _mean(gap, np.isfinite(gap))


def mase(point: ArrayLike, truth: ArrayLike, scale: float, where: Bools | None = None) -> float:
    """Mean absolute scaled error: mean |point - truth| over the `seasonal_error` of the past (`scale`).

    Hyndman and Koehler 2006; NaN if the scale is 0 or no entry counts.
    """
    return mae(point, truth, where) / scale if scale > 0 else float("nan")


def interval_score(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, alpha: float) -> Floats:
    """Interval score of each entry, (u - l) + 2/alpha ((l - y)+ + (y - u)+), in the units of the truth.

    Gneiting and Raftery 2007, eq. 43; [lower, upper] is the central interval that holds 1 - alpha.
    """
    low, high, y = (np.asarray(x, dtype=np.float64) for x in (lower, upper, truth))
    return np.asarray(high - low + 2 / alpha * (np.maximum(low - y, 0) + np.maximum(y - high, 0)))


def msis(
    lower: ArrayLike,
    upper: ArrayLike,
    truth: ArrayLike,
    scale: float,
    alpha: float = 0.05,
    where: Bools | None = None,
) -> float:
    """Mean scaled interval score: mean `interval_score` over the `seasonal_error` of the past (`scale`).

    Makridakis, Spiliotis and Assimakopoulos 2020 (M4); NaN if the scale is 0 or no entry counts.
    """
    return _mean(interval_score(lower, upper, truth, alpha), where) / scale if scale > 0 else float("nan")


def coverage(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, where: Bools | None = None) -> float:
    """Share of the truth inside the closed interval [lower, upper]; NaN if no entry counts."""
    inside = np.logical_and(np.asarray(lower) <= truth, np.asarray(truth) <= upper)
    return _mean(inside.astype(np.float64), where)


def width(lower: ArrayLike, upper: ArrayLike, where: Bools | None = None) -> float:
    """Mean width of the intervals [lower, upper], in the units of the truth; NaN if no entry counts."""
    return _mean(np.subtract(upper, lower, dtype=np.float64), where)


def quantile_loss(quantile: ArrayLike, truth: ArrayLike, level: ArrayLike) -> Floats:
    """Twice the pinball loss of each entry, 2 (y - q) (level - 1[y < q]); at level 1/2 the absolute error.

    Parameters
    ----------
    quantile, truth
        Predicted quantile and truth, of shapes that broadcast.
    level
        Level of the quantile in (0, 1); broadcasts, so that (L, 1, 1) goes with quantiles (L, T, C).
    """
    error = np.subtract(truth, quantile, dtype=np.float64)
    return np.asarray(2 * error * (np.asarray(level) - (error < 0)))


def crps_levels(quantiles: ArrayLike, truth: ArrayLike, levels: Sequence[float] = LEVELS) -> Floats:
    """CRPS of each entry from quantiles (L, ...): the mean over the L levels of `quantile_loss`.

    It tends to the CRPS as even levels become many (Laio and Tamea 2007); in the units of the truth (...).
    """
    axis = np.reshape(levels, (-1,) + (1,) * np.ndim(truth))
    return np.asarray(quantile_loss(quantiles, truth, axis).mean(0))


def weighted_quantile_loss(
    quantiles: ArrayLike, truth: ArrayLike, levels: Sequence[float] = LEVELS, where: Bools | None = None
) -> float:
    """Weighted quantile loss: the mean over the levels of sum 2 pinball / sum |y|.

    With many levels it tends to the CRPS relative to the size of the truth; it is the figure that the literature on
    imputation calls CRPS (Tashiro et al. 2021, CSDI, with the levels .05 ... .95) and that on forecasting wQL.

    Parameters
    ----------
    quantiles
        (L, ...) predicted quantiles, one a level.
    truth
        (...) clean values.
    levels
        L numbers in (0, 1).
    where
        (...) entries that count, such as the hidden ones; all by default.
    """
    truth = np.asarray(truth, dtype=np.float64)
    total = float(np.abs(_chosen(truth, where)).sum())
    loss = _chosen(crps_levels(quantiles, truth, levels), where)
    return float(loss.sum() / total) if total > 0 else float("nan")


def crps_quantile(
    samples: ArrayLike, truth: ArrayLike, levels: Sequence[float] = LEVELS, where: Bools | None = None
) -> float:
    """Relative CRPS by quantiles: `weighted_quantile_loss` of the quantiles of (S, ...) samples."""
    quantiles = np.quantile(np.asarray(samples), levels, axis=0, method="weibull")
    return weighted_quantile_loss(quantiles, truth, levels, where)


def crps_sum(
    samples: ArrayLike, truth: ArrayLike, levels: Sequence[float] = LEVELS, where: Bools | None = None
) -> float:
    """Relative CRPS of the sum over variables, which only joint samples get right: `crps_quantile` of the sums.

    Salinas et al. 2019 (NeurIPS), eq. 9.

    Parameters
    ----------
    samples
        (S, T, C) joint samples.
    truth
        (T, C) clean values.
    levels
        L numbers in (0, 1).
    where
        (T, C) entries that count; a stamp counts if all of its entries do.
    """
    whole = None if where is None else np.asarray(where.all(-1))
    return crps_quantile(np.sum(samples, axis=-1), np.sum(truth, axis=-1), levels, whole)


def crps_samples(samples: ArrayLike, truth: ArrayLike, fair: bool = True) -> Floats:
    """Continuous ranked probability score of each entry, E|X - y| - E|X - X'|/2, from samples.

    Gneiting and Raftery 2007, eq. 21, in O(S log S) by sorting. `fair` divides the second mean by S (S - 1), which is
    unbiased for the score of the distribution; without it by S^2, the score of the samples themselves.

    Parameters
    ----------
    samples
        (S, ...) samples; a single one scores its absolute error.
    truth
        (...) clean values.
    """
    ordered = np.sort(np.asarray(samples, dtype=np.float64), axis=0)
    count = len(ordered)
    distance = np.abs(ordered - np.asarray(truth)).mean(0)
    if count == 1:
        return np.asarray(distance)
    weight = (2 * np.arange(1, count + 1) - count - 1) / (count * (count - 1 if fair else count))
    return np.asarray(distance - np.tensordot(weight, ordered, axes=1))


def crps_gaussian(mean: ArrayLike, std: ArrayLike, truth: ArrayLike) -> Floats:
    """CRPS of N(mean, std^2): std (z (2 Phi(z) - 1) + 2 phi(z) - 1/sqrt(pi)), the absolute error where std is 0.

    Gneiting and Raftery 2007, section 4.2; all three arguments broadcast, in the units of the truth.
    """
    error, std = np.subtract(truth, mean, dtype=np.float64), np.asarray(std, dtype=np.float64)
    z = error / np.where(std > 0, std, 1)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    return np.where(std > 0, std * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)), np.abs(error))


def gaussian_nll(mean: ArrayLike, std: ArrayLike, truth: ArrayLike) -> Floats:
    """Negative log density in nats of each entry under N(mean, std^2), std > 0."""
    std = np.asarray(std, dtype=np.float64)
    z = np.subtract(truth, mean, dtype=np.float64) / std
    return np.asarray(z**2 / 2 + np.log(std) + np.log(2 * np.pi) / 2)


def energy_score(samples: ArrayLike, truth: ArrayLike, fair: bool = True) -> Floats:
    """Energy score, E||X - y|| - E||X - X'||/2 over the last axis: the CRPS of a path instead of an entry.

    Gneiting and Raftery 2007, section 4.3.

    Parameters
    ----------
    samples
        (S, ..., N) joint samples.
    truth
        (..., N) clean path.
    fair
        Divide the second mean by S (S - 1) instead of S^2.

    Returns
    -------
    (...) scores, in the units of the truth.
    """
    samples = np.asarray(samples, dtype=np.float64)
    count = len(samples)
    distance = np.linalg.norm(samples - np.asarray(truth), axis=-1).mean(0)
    if count == 1:
        return np.asarray(distance)
    spread = sum(np.linalg.norm(samples[k + 1 :] - samples[k], axis=-1).sum(0) for k in range(count - 1))
    return np.asarray(distance - spread / (count * (count - 1 if fair else count)))


def pit(samples: ArrayLike, truth: ArrayLike) -> Floats:
    """Probability integral transform of each entry: mid-rank of the truth among S samples over S + 1, in (0, 1).

    Uniform where the samples are calibrated; ties with the truth count half.
    """
    samples = np.asarray(samples)
    rank = (samples < truth).sum(0) + (samples == truth).sum(0) / 2 + 0.5
    return np.asarray(rank / (len(samples) + 1), dtype=np.float64)


def reliability(quantiles: ArrayLike, truth: ArrayLike, where: Bools | None = None) -> Floats:
    """Share of the truth at or below each of L quantiles (L, ...): a calibrated forecast returns its levels.

    Returns
    -------
    (L,) shares; NaN if no entry counts.
    """
    below = np.asarray(truth) <= np.asarray(quantiles)
    return np.array([_mean(one.astype(np.float64), where) for one in below])


def autocovariance(samples: ArrayLike, lags: int) -> Floats:
    """Autocovariance of sample paths around their mean at lags 0 ... lags, averaged over samples, stamps and channels.

    The dependence that joint samples have and samples of the marginals lack.

    Parameters
    ----------
    samples
        (S, T, C) joint samples, S > 1; the mean of the samples is taken off, with S - 1 in the divisor.
    lags
        Largest lag in steps, below T.

    Returns
    -------
    (lags + 1,) covariances, in squared units of the samples.
    """
    samples = np.asarray(samples, dtype=np.float64)
    count, length = samples.shape[:2]
    path = (samples - samples.mean(0)) * np.sqrt(count / (count - 1))
    return np.array([(path[:, : length - lag] * path[:, lag:]).mean() for lag in range(lags + 1)])
