"""Scores against measurements instead of clean values: what is unbiased for the clean score, and what is only proper.

Known is y = x + r e with e ~ N(0, 1) independent of the forecast of x, which therefore may not have seen y. Against y

- the squared error less r^2 is *unbiased* for the squared error against x: methods are ranked as they would be by x;
- the CRPS of the forecast convolved with N(0, r^2) is *proper*: in expectation the law of x scores best. It is not
  unbiased, and may rank two wrong forecasts differently from the CRPS against x (Ferro 2017, Measuring forecast
  performance in the presence of observation error). Noise hides mistakes of spread more than mistakes of place.

With r = 0 all of them are the scores against x. Samples come first, (S, ...); risk is a standard deviation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from rstime import scores
from rstime.types import Bools, Floats


def squared_error(point: ArrayLike, measured: ArrayLike, risk: ArrayLike) -> Floats:
    """Squared error of each entry against a measurement, less r^2; its mean estimates that of (point - x)^2.

    Single entries, and means of few, may be negative.

    Parameters
    ----------
    point
        (...) forecasts made without `measured`.
    measured, risk
        (...) measurements and the standard deviation of their error, 0 for exact ones.
    """
    error = np.subtract(point, measured, dtype=np.float64)
    return np.asarray(error**2 - np.square(np.asarray(risk, dtype=np.float64)))


def rmse(point: ArrayLike, measured: ArrayLike, risk: ArrayLike, where: Bools | None = None) -> float:
    """Estimate the RMSE against clean values: sqrt of the mean `squared_error`, 0 where that is negative.

    `where` marks the entries that count; NaN if there is none. Arguments as for `squared_error`.
    """
    square = squared_error(point, measured, risk)
    chosen = square if where is None else square[np.broadcast_to(where, square.shape)]
    return float(np.sqrt(max(chosen.mean(), 0.0))) if chosen.size else float("nan")


def crps_gaussian(mean: ArrayLike, std: ArrayLike, measured: ArrayLike, risk: ArrayLike) -> Floats:
    """CRPS of each entry of N(mean, std^2 + r^2) against a measurement of risk r; proper for the law of x."""
    return scores.crps_gaussian(mean, np.hypot(std, risk), measured)


def crps_samples(samples: ArrayLike, measured: ArrayLike, risk: ArrayLike, fair: bool = True) -> Floats:
    """CRPS of each entry of the samples convolved with N(0, r^2), against a measurement of risk r.

    The convolution is a mixture of Gaussians, whose CRPS is closed (Grimit et al. 2006, eq. 3):
    mean_i A(y - x_i, r) - sum_ij A(x_i - x_j, sqrt(2) r) / (2 S^2), A(m, s) = E|N(m, s^2)|.

    Parameters
    ----------
    samples
        (S, ...) samples of the clean value, drawn without `measured`.
    measured, risk
        (...) measurements and the standard deviation of their error; 0 gives `rstime.scores.crps_samples`.
    fair
        Divide the second sum, without i = j, by S (S - 1): unbiased for the score of the law that was sampled.
    """
    x = np.asarray(samples, dtype=np.float64)
    r, count = np.broadcast_to(np.asarray(risk, dtype=np.float64), x.shape[1:]), len(x)
    near = _mean_distance(np.asarray(measured, dtype=np.float64) - x, r).mean(0)
    pairs = sum(_mean_distance(x[k + 1 :] - x[k], np.sqrt(2) * r).sum(0) for k in range(count - 1))
    if fair:
        return np.asarray(near - (pairs / (count * (count - 1)) if count > 1 else 0.0))
    return np.asarray(near - (2 * pairs + count * _mean_distance(np.zeros_like(r), np.sqrt(2) * r)) / (2 * count**2))


def pit(samples: ArrayLike, measured: ArrayLike, risk: ArrayLike) -> Floats:
    """Probability integral transform of measurements under the convolved samples: mean_i Phi((y - x_i) / r).

    Uniform where the samples are calibrated for x. Entries of risk 0 get their mid-rank, `rstime.scores.pit`.
    Arguments as for `crps_samples`.
    """
    x, r = np.asarray(samples, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    smooth = ndtr((np.asarray(measured) - x) / np.where(r > 0, r, 1.0)).mean(0)
    return np.asarray(np.where(r > 0, smooth, scores.pit(x, measured)))


def convolve(samples: ArrayLike, risk: ArrayLike, rng: np.random.Generator) -> Floats:
    """Draw what would be measured: samples of the clean value (S, ...) plus noise of the risk (...)."""
    x = np.asarray(samples, dtype=np.float64)
    return np.asarray(x + np.asarray(risk, dtype=np.float64) * rng.standard_normal(x.shape))


def _mean_distance(mean: Floats, std: Floats) -> Floats:
    """E|N(mean, std^2)| of each entry; |mean| where std is 0."""
    z = mean / np.where(std > 0, std, 1.0)
    gauss = std * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2) + mean * (2 * ndtr(z) - 1)
    return np.asarray(np.where(std > 0, gauss, np.abs(mean)))
