"""Risk from repeated readings, from two sensors, and from the figures of a data sheet (theory 6)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaincinv

from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.risk.checks import half_width, pairs
from rstime.types import Floats


@dataclass(frozen=True, eq=False)
class Replicates:
    """Noise of repeated readings, pooled over groups; every figure in the units of the readings.

    Attributes
    ----------
    sd
        Risk of one reading.
    low, high
        95 % interval of `sd`, exact for Gaussian noise.
    mean, mean_sd
        Mean of each group, and its risk sd / sqrt(m); nan and inf for a group without readings.
    """

    sd: float
    low: float
    high: float
    mean: Floats
    mean_sd: Floats


def from_replicates(values: ArrayLike, axis: int = -1) -> Replicates:
    """Return the risk of one reading, r^2 = sum (y - mean of its group)^2 / sum (m - 1), and r / sqrt(m) of the means.

    Errors that replicates share (a bias of the device, a wrong calibration) do not show: r is of the rest.

    Parameters
    ----------
    values
        Readings, those of one group along `axis`; NaN where a group has fewer.
    axis
        The axis of the replicates.

    Raises
    ------
    DataError
        If a reading is infinite or no group has two readings.

    Examples
    --------
    >>> found = from_replicates([[120.0, 124.0], [131.0, 129.0]])
    >>> round(found.sd, 2), found.mean.tolist(), found.mean_sd.round(2).tolist()
    (2.24, [122.0, 130.0], [1.58, 1.58])
    """
    readings = np.moveaxis(np.atleast_1d(np.asarray(values, dtype=np.float64)), axis, -1)
    if np.any(np.isinf(readings)):
        raise DataError("values", "an infinite reading", "Leave a missing replicate empty (NaN).")
    count = np.isfinite(readings).sum(-1)
    free = int(np.maximum(count - 1, 0).sum())
    if free == 0:
        problem = f"{int(count.max(initial=0))} reading a group"
        raise DataError(
            "values", problem, "A replicate rule needs two readings of one quantity; see `fit_line` for one."
        )
    mean = np.divide(np.nansum(readings, -1), count, out=np.full(count.shape, np.nan), where=count > 0)
    square = float(np.nansum((readings - mean[..., None]) ** 2))
    sd = float(np.sqrt(square / free))
    low, high = (float(np.sqrt(square / (2 * gammaincinv(free / 2, share)))) for share in (0.975, 0.025))
    mean_sd = np.divide(sd, np.sqrt(count), out=np.full(count.shape, np.inf), where=count > 0)
    return Replicates(sd, low, high, np.asarray(mean), np.asarray(mean_sd))


def from_two_sensors(a: ArrayLike, b: ArrayLike) -> float:
    """Return the risk of either of two like sensors that read the same quantity, r^2 = Var(a - b) / 2.

    A constant difference drops out. Errors that both share (interference, placement, temperature) cancel, so that r is
    then too low: the warning says so each time.

    Parameters
    ----------
    a, b
        (n,) readings at the same stamps, in the same units.

    Raises
    ------
    DataError
        If there are fewer than 20 pairs, or numbers are not finite.
    """
    first, second = pairs(a=a, b=b)
    sd = float(np.std(first - second, ddof=1) / np.sqrt(2))
    warnings.warn(f"risk {sd:.3g} from two sensors: too low where they share errors, which cancel", RstimeWarning, 2)
    return sd


def from_resolution(step: float) -> float:
    """Return the risk of rounding to multiples of `step`, step / sqrt(12); add its square to the variance of the rest.

    Only if the signal, with its other noise, moves by step / 2 or more between readings: else the error of rounding
    repeats from reading to reading, and is not noise.

    Parameters
    ----------
    step
        Distance of two neighbouring readings, in the units of the reading.

    Raises
    ------
    ConfigError
        If it is not positive.
    """
    return _positive("step", step) / math.sqrt(12)


def from_bound(bound: float) -> float:
    """Return the risk of an error that is anywhere in +-bound alike, bound / sqrt(3).

    Parameters
    ----------
    bound
        Largest possible error, in the units of the reading.

    Raises
    ------
    ConfigError
        If it is not positive.
    """
    return _positive("bound", bound) / math.sqrt(3)


def from_limit95(limit: float) -> float:
    """Return the risk of a Gaussian error that is within +-limit in 95 % of readings, limit / 1.96.

    Parameters
    ----------
    limit
        Half the width of the 95 % interval, in the units of the reading.

    Raises
    ------
    ConfigError
        If it is not positive.
    """
    return _positive("limit", limit) / half_width(0.95)


def from_arms(arms: float, bias: float = 0.0) -> float:
    """Return the risk of an accuracy root mean square, sqrt(arms^2 - bias^2): bias is taken off readings, not noise.

    Parameters
    ----------
    arms
        Root mean square of the error against a reference, in the units of the reading.
    bias
        Mean of that error, where the maker states it.

    Raises
    ------
    ConfigError
        If `arms` is not positive or not above |bias|.
    """
    if not abs(bias) < _positive("arms", arms):
        raise ConfigError(
            "bias", f"{bias} beside an arms of {arms}", "The root mean square holds the bias: it is larger."
        )
    return math.sqrt(arms**2 - bias**2)


def _positive(name: str, number: float) -> float:
    if not 0 < number < np.inf:
        raise ConfigError(name, f"{number}", "Give a positive number in the units of the reading.")
    return float(number)
