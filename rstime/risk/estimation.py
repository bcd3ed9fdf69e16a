"""Risk that nobody knows, from the series alone; and what every estimate of such a risk looks like (theory 6).

Each estimate has a 95 % interval, and a note where it is not identified. Better ones: the likelihood of the Gaussian
model (rstime/noise_fit.py), and a trained model (expectation.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rstime.errors import DataError, ModelFileError, RstimeWarning
from rstime.types import Floats, Series

SECURE = 1.5
"""An estimate is identified if the upper end of its interval is at most this times the lower one."""


@dataclass(frozen=True)
class Estimate:
    """A standard deviation estimated from one series.

    Attributes
    ----------
    sd
        Risk, in the units of the values.
    low, high
        95 % interval for white Gaussian noise on a signal that does not show in the estimate.
    note
        Empty, or why the estimate is only a bound.
    """

    sd: float
    low: float
    high: float
    note: str = ""


def second_differences(values: ArrayLike) -> Estimate:
    """Estimate r^2 = sum (x_{t-1} - 2 x_t + x_{t+1})^2 / (6 (n - 2)) (theory 6).

    Biased up by a rough signal, down by a sensor that smooths. The differences of white noise are as large at twice the
    lag; where they grow, the note says so. The standard error of log r, sqrt(35 / (36 n)), counts the correlations -2/3
    and 1/6 of neighbouring differences.

    Parameters
    ----------
    values
        (T,) readings at equal distances; NaN where missing: only whole triples count.

    Raises
    ------
    DataError
        If there is no triple of readings in a row.

    Examples
    --------
    >>> second_differences([1.0, 2.0, 3.0, 4.0]).sd
    0.0
    """
    y = _row(values)
    (n, square), (m, wide) = (_mean_square(_difference(y, lag)) for lag in (1, 2))
    if not n:
        raise DataError("values", "no three readings in a row", "Give a longer series, at equal distances.")
    error = math.sqrt(35 / (36 * n))
    return _estimate(math.sqrt(square / 6), error, _grows(wide, square, error, math.sqrt(35 / (36 * max(m, 1)))))


def wavelet_mad(values: ArrayLike) -> Estimate:
    """Estimate r = median |d| / .6745 of the finest detail d of a Daubechies wavelet of four coefficients (theory 6).

    Outliers and jumps of the signal hardly count (Donoho and Johnstone 1994). Biased as `second_differences`. The
    standard error of log r, 1.166 / sqrt(n), is that of the median of n independent absolute values.

    Parameters
    ----------
    values
        (T,) readings at equal distances, NaN where missing.

    Raises
    ------
    DataError
        If there are no four readings in a row.
    """
    y = _row(values)
    found = [_detail(y[start::lag]) for lag in (1, 2) for start in range(lag)]
    fine, coarse = found[0], np.concatenate(found[1:])
    if not len(fine):
        raise DataError("values", "no four readings in a row", "Give a longer series, at equal distances.")
    square, wide = (float(np.median(np.abs(d)) / 0.6745) ** 2 if len(d) else 0.0 for d in (fine, coarse))
    error = 1.1664 / math.sqrt(len(fine))
    return _estimate(math.sqrt(square), error, _grows(wide, square, error, 1.1664 / math.sqrt(max(len(coarse), 1))))


def _row(values: ArrayLike) -> Floats:
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 1 or np.any(np.isinf(y)):
        problem = f"shape {y.shape}" if y.ndim != 1 else "an infinite reading"
        raise DataError("values", problem, "Give one series of numbers, NaN where missing.")
    return y


def _difference(y: Floats, lag: int) -> Floats:
    return y[: -2 * lag] - 2 * y[lag:-lag] + y[2 * lag :] if len(y) > 2 * lag else np.empty(0)


def _mean_square(difference: Floats) -> tuple[int, float]:
    there = difference[np.isfinite(difference)]
    return len(there), float(np.mean(there**2)) if len(there) else 0.0


def _detail(y: Floats) -> Floats:
    """Finest detail of the wavelet, every second one, where all four readings are there."""
    root = math.sqrt(3)
    weight = np.array([1 - root, -(3 - root), 3 + root, -(1 + root)]) / (4 * math.sqrt(2))
    if len(y) < 4:
        return np.empty(0)
    detail = np.lib.stride_tricks.sliding_window_view(y, 4)[::2] @ weight
    return detail[np.isfinite(detail)]


def _grows(wide: float, square: float, *errors: float) -> str:
    """Note that differences at twice the lag are larger than white noise and chance explain."""
    if wide > 0 and math.log(wide / max(square, 1e-300)) > 6 * math.hypot(*errors) + 0.1:
        return "an upper bound: differences grow with the lag, so the signal is rough or the sensor smooths"
    return ""


def _estimate(sd: float, error: float, note: str) -> Estimate:
    return Estimate(sd, 0.0 if note else sd * math.exp(-1.96 * error), sd * math.exp(1.96 * error), note)


@dataclass(frozen=True)
class ClassRisk:
    """By how much the risks of one class of measurements have to be multiplied.

    Attributes
    ----------
    variable, label
        Name of the variable, and class of its measurements.
    count
        Measurements.
    factor, low, high
        Estimate and its 95 % interval, from 0 to inf where it is open; of unit risks (`relative`) a standard deviation
        in the units of the variable.
    note
        Empty, or why the factor is open.
    """

    variable: str
    label: int
    count: int
    factor: float
    low: float = 0.0
    high: float = math.inf
    note: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.factor) and self.factor > 0):
            raise DataError("risk", f"factor {self.factor} of {self.variable!r}", "It has to be positive.")


@dataclass(frozen=True)
class RiskEstimate:
    """Factors of the risks of some classes of measurements.

    Attributes
    ----------
    classes
        One entry a variable and class.
    """

    classes: tuple[ClassRisk, ...]

    @property
    def factor(self) -> Floats:
        """(K,) the factors alone."""
        return np.array([one.factor for one in self.classes])

    def apply(self, series: Series, classes: NDArray[np.intp] | None = None) -> Series:
        """Return the item with its risks multiplied; variables and classes without an estimate keep theirs.

        Parameters
        ----------
        series
            Item with the risks that the factors belong to.
        classes
            (T, C) labels of its entries; 0 by default.
        """
        labels = np.zeros(series.risk.shape, dtype=np.intp) if classes is None else np.asarray(classes)
        factor = np.ones(series.risk.shape)
        for one in self.classes:
            if one.variable in series.variables:
                column = series.variables.index(one.variable)
                factor[labels[:, column] == one.label, column] = one.factor
        return replace(series, risk=series.risk * factor)

    def rounded(self, digits: int = 3) -> RiskEstimate:
        """Return the estimate with factors of so many digits, the same on every machine."""
        return RiskEstimate(tuple(replace(one, factor=float(f"{one.factor:.{digits}g}")) for one in self.classes))

    def warn(self) -> None:
        """Warn of factors that the data leave open."""
        told = [f"{x.variable} {x.factor:.3g} ({x.low:.2g} to {x.high:.2g}; {x.note})" for x in self.classes if x.note]
        if told:
            text = f"risk: the data do not tell the size of the noise of {', '.join(told)}."
            warnings.warn(f"{text} Give the sd of such variables where it is known.", RstimeWarning, stacklevel=3)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; an open end of an interval is null."""
        rows = [asdict(one) for one in self.classes]
        return {"classes": [{**row, "high": row["high"] if math.isfinite(row["high"]) else None} for row in rows]}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> RiskEstimate:
        """Read the estimate back.

        Raises
        ------
        ModelFileError
            If an entry is absent, of another kind, or a factor is not positive.
        """
        try:
            rows = [
                {**row, "high": math.inf if row["high"] is None else float(row["high"])} for row in state["classes"]
            ]
            return cls(tuple(ClassRisk(**row) for row in rows))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("risk", f"cannot be read ({error})", "Save the model again.") from error


def relative(series: Series) -> Series:
    """Return the item with risk 1 for each measurement, for estimates that know nothing of its risk."""
    return replace(series, risk=np.where(series.observed, 1.0, np.inf))
