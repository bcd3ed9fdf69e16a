"""A signal-quality index turned into a standard deviation by residual pairs, and a test whether it can be."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import isotonic_regression

from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.risk.checks import FEWEST, ROUNDS, WINSOR, pairs, winsorised_share
from rstime.risk.coverage import groups
from rstime.types import Floats

Direction = Literal["auto", "falling", "rising"]

MOST_BINS = 20
DRAWS = 499
"""Permutations and bootstrap samples of each test."""

DOUBT = 0.05
"""p below which a relation is called not monotone, and above which it is called absent."""


@dataclass(frozen=True)
class QualityCurve:
    """Risk as a monotone function of quality: log sd is linear between the centres of blocks, constant beyond them.

    Attributes
    ----------
    quality
        Rising centres of the blocks.
    spread
        Risk there, in the units of the residuals.
    low, high
        Range of the index.
    pooled
        One risk for all qualities; to be used where the relation is absent or not monotone.
    p_absent
        p-value of "the error does not depend on quality" (permutation): small where quality is informative.
    p_monotone
        p-value of "the error is monotone in quality" (bootstrap): small where it is not.
    """

    quality: tuple[float, ...]
    spread: tuple[float, ...]
    low: float
    high: float
    pooled: float
    p_absent: float
    p_monotone: float

    def sd(self, quality: ArrayLike) -> Floats:
        """Return the risk at each quality, of the same shape; NaN quality has none (inf: as good as missing).

        Raises
        ------
        DataError
            If a quality is outside the range.
        """
        index = np.asarray(quality, dtype=np.float64)
        _inside(index[~np.isnan(index)], self.low, self.high)
        risk = np.exp(np.interp(index, self.quality, np.log(self.spread)))
        return np.where(np.isnan(index), np.inf, risk)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> QualityCurve:
        """Return the curve that `to_dict` wrote."""
        return cls(**{**stored, "quality": tuple(stored["quality"]), "spread": tuple(stored["spread"])})


def fit_quality(
    residual: ArrayLike,
    quality: ArrayLike,
    low: float = 0.0,
    high: float = 1.0,
    *,
    direction: Direction = "auto",
    robust: bool = False,
    seed: int = 0,
) -> QualityCurve:
    """Fit the noise variance as a monotone function of quality, and test that this is what it is.

    The weighted isotonic regression of the mean squared residuals of up to 20 bins is the maximum likelihood of
    Gaussian noise under the order constraint (Robertson, Wright and Dykstra 1988, sec. 1.5). Two likelihood-ratio tests
    go with it: against one variance for all, by permutation, and against one variance a bin, by residuals resampled
    around the monotone fit. Residuals of one person or of neighbouring hours are not independent, and make both
    p-values too small.

    Parameters
    ----------
    residual
        (n,) reading minus reference, bias taken off.
    quality
        (n,) index of each reading, from the device, within [low, high].
    low, high
        Range of the index.
    direction
        Whether the error is "falling" or "rising" with the index; "auto" takes the likelier.
    robust
        Winsorise residuals at twice the fitted sd, so that a few mistakes do not set it.
    seed
        Of the permutations.

    Raises
    ------
    ConfigError
        If the range or the direction is wrong.
    DataError
        If there are fewer than 20 pairs, numbers are not finite, a quality is outside the range, or a bin has residuals
        of 0 only.

    Warns
    -----
    RstimeWarning
        If the relation is not monotone (p < .05), with the bins, or is absent (p > .05).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> quality = rng.uniform(size=4000)
    >>> curve = fit_quality(np.exp(1 - quality) * rng.normal(size=4000), quality)
    >>> curve.sd([0.1, 0.9]).round(1).tolist()
    [2.5, 1.1]
    """
    if not low < high:
        raise ConfigError("low", f"{low} and high {high}", "Give the range of the index, low below high.")
    if direction not in ("auto", "falling", "rising"):
        raise ConfigError("direction", f"{direction!r}", 'Use "auto", "falling" or "rising".')
    error, index = pairs(residual=residual, quality=quality)
    _inside(index, low, high)
    bins = groups(index, int(np.clip(error.size // FEWEST, 2, MOST_BINS)))
    square = _winsorised(error, bins, direction) if robust else error**2
    weight = np.array([chosen.size for chosen in bins], dtype=np.float64)
    variance = np.array([square[chosen].mean() for chosen in bins])
    if not np.all(variance > 0):
        raise DataError("residual", "all 0 at some qualities", "Give pairs that disagree.")
    fitted, rising = _monotone(variance, weight, direction)
    centre = np.array([index[chosen].mean() for chosen in bins])
    p_absent, p_monotone = _tests(square, bins, fitted, direction, np.random.default_rng(seed))
    _warn(centre, np.sqrt(variance), rising, p_absent, p_monotone)
    block = np.unique(fitted, return_inverse=True)[1] if rising else np.unique(-fitted, return_inverse=True)[1]
    middle = np.bincount(block, weight * centre) / np.bincount(block, weight)
    level = np.sqrt(np.bincount(block, weight * fitted) / np.bincount(block, weight))
    pooled = float(np.sqrt(square.mean()))
    return QualityCurve(tuple(middle.tolist()), tuple(level.tolist()), low, high, pooled, p_absent, p_monotone)


def from_confidence(confidence: ArrayLike, sd_best: float, sd_worst: float) -> Floats:
    """Return sd_worst^(1 - c) sd_best^c for a confidence c in [0, 1]: even steps of confidence, even factors of risk.

    A convention for want of pairs, ours: nothing says that a confidence of .5 lies in the middle of log sd. With 20 or
    more readings beside a reference, use `fit_quality`, which also tests whether confidence says anything.

    Parameters
    ----------
    confidence
        Confidence in [0, 1], 1 the best; any shape.
    sd_best, sd_worst
        Risk at confidence 1 and at 0, in the units of the reading.

    Raises
    ------
    ConfigError
        If not 0 < sd_best <= sd_worst, or one is infinite.
    DataError
        If a confidence is outside [0, 1] or NaN.

    Examples
    --------
    >>> from_confidence([1.0, 0.5, 0.0], 2.0, 8.0).tolist()
    [2.0, 4.0, 8.0]
    """
    if not 0 < sd_best <= sd_worst < np.inf:
        raise ConfigError("sd_best", f"{sd_best} and sd_worst {sd_worst}", "Give 0 < sd_best <= sd_worst.")
    share = np.asarray(confidence, dtype=np.float64)
    _inside(share, 0.0, 1.0, "confidence")
    return np.asarray(sd_worst * (sd_best / sd_worst) ** share, dtype=np.float64)


def _inside(index: Floats, low: float, high: float, name: str = "quality") -> None:
    outside = ~((index >= low) & (index <= high))
    if np.any(outside):
        found = f"{index[outside].flat[0]:g} outside [{low:g}, {high:g}]"
        raise DataError(name, found, "Give the range of the index, or leave these readings out.")


def _monotone(variance: Floats, weight: Floats, direction: Direction) -> tuple[Floats, bool]:
    """Return the likeliest monotone variance of each bin and whether it rises."""
    fits: dict[bool, Floats] = {}
    for rising in {"auto": (False, True), "falling": (False,), "rising": (True,)}[direction]:
        fits[rising] = np.asarray(isotonic_regression(variance, weights=weight, increasing=rising).x)
    rising = min(
        fits, key=lambda key: float(weight @ np.log(fits[key]))
    )  # twice the negative log-likelihood, but for n
    return fits[rising], rising


def _winsorised(error: Floats, bins: list[np.ndarray], direction: Direction) -> Floats:
    """Return squared residuals cut at WINSOR fitted sd and made consistent for Gaussian noise."""
    square = error**2
    weight = np.array([chosen.size for chosen in bins], dtype=np.float64)
    limit = np.full(error.size, np.inf)
    for _ in range(ROUNDS):
        cut = np.minimum(square, limit) / (winsorised_share() if np.isfinite(limit).all() else 1.0)
        fitted, _ = _monotone(np.array([cut[chosen].mean() for chosen in bins]), weight, direction)
        before, limit = limit, limit.copy()
        for chosen, variance in zip(bins, fitted, strict=True):
            limit[chosen] = WINSOR**2 * variance
        if np.allclose(before, limit, rtol=1e-6, atol=0):
            break
    return np.asarray(np.minimum(square, limit) / winsorised_share())


def _tests(
    square: Floats, bins: list[np.ndarray], fitted: Floats, direction: Direction, rng: np.random.Generator
) -> tuple[float, float]:
    """Return the p-values of "no relation" and of "a monotone relation"."""
    order = np.concatenate(bins)
    starts = np.cumsum([0, *(chosen.size for chosen in bins)])[:-1]
    weight = np.diff([*starts, square.size]).astype(np.float64)
    smooth = np.repeat(fitted, weight.astype(int))

    def statistics(values: Floats) -> tuple[float, float]:
        each = np.maximum(np.add.reduceat(values, starts) / weight, 1e-300)
        best = weight @ np.log(_monotone(each, weight, direction)[0])
        return float(square.size * np.log(values.mean()) - best), float(best - weight @ np.log(each))

    gain, misfit = statistics(square[order])
    flat = [statistics(rng.permutation(square))[0] for _ in range(DRAWS)]
    relative = square[order] / smooth
    monotone = [statistics(smooth * rng.permutation(relative))[1] for _ in range(DRAWS)]
    least = 1e-9 * square.size  # what rounding leaves of a difference of 0
    p_absent = (1 + np.count_nonzero(np.array(flat) >= gain - least)) / (1 + DRAWS)
    p_monotone = (1 + np.count_nonzero(np.array(monotone) >= misfit - least)) / (1 + DRAWS)
    return float(p_absent), float(p_monotone)


def _warn(centre: Floats, found: Floats, rising: bool, p_absent: float, p_monotone: float) -> None:
    if p_monotone < DOUBT:
        bins = ", ".join(f"{sd:.3g} at {at:.2g}" for at, sd in zip(centre, found, strict=True))
        way = "rising" if rising else "falling"
        problem = f"quality: the sd of the residuals is not {way} throughout (p = {p_monotone:.3f}): {bins}"
        warnings.warn(f"{problem}. Use `pooled`, or another index.", RstimeWarning, stacklevel=3)
    elif p_absent > DOUBT:
        problem = f"quality: says nothing of the size of the residuals (p = {p_absent:.2f})"
        warnings.warn(f"{problem}. Use `pooled`, or collect more pairs.", RstimeWarning, stacklevel=3)
