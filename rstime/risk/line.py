"""A raw sensor brought to the units of its reference, as a measurement of the true value."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import DataError, RstimeWarning
from rstime.risk.checks import FEWEST, ROUNDS, WINSOR, pairs, robust_sd
from rstime.types import Floats


@dataclass(frozen=True)
class SensorLine:
    """How a sensor responds: sensor = offset + slope * x + effects . covariates + noise.

    Attributes
    ----------
    offset, slope
        In the sensor's units, and those per unit of the reference.
    effects
        One number a covariate, in the sensor's units per unit of the covariate.
    sd
        Risk of `value`, in the units of the reference: the sd of the noise over |slope|.
    slope_error
        Standard error of the slope; 0 where the slope was given.
    moments
        Mean products of (1, covariates, reference) over the pairs: what one pair tells of the coefficients.
    count
        Pairs it was fitted to.
    """

    offset: float
    slope: float
    effects: tuple[float, ...]
    sd: float
    slope_error: float
    moments: tuple[tuple[float, ...], ...]
    count: int

    def value(self, sensor: ArrayLike, covariates: ArrayLike | None = None) -> Floats:
        """Return y = (sensor - offset - effects . covariates) / slope: a measurement in the units of the reference.

        Parameters
        ----------
        sensor
            (n,) raw readings; NaN where missing, and so is the answer.
        covariates
            (n, K) numbers, K that of the fit.

        Raises
        ------
        DataError
            If the covariates have another shape.
        """
        raw = np.asarray(sensor, dtype=np.float64)
        rest = covariate_rows(covariates, raw.size)
        if rest.shape[1] != len(self.effects):
            raise DataError(
                "covariates", f"{rest.shape[1]} where {len(self.effects)} were fitted", "Give the same ones."
            )
        return np.asarray((raw - self.offset - rest @ np.array(self.effects)) / self.slope, dtype=np.float64)

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> SensorLine:
        """Return the line that `to_dict` wrote."""
        moments = tuple(tuple(row) for row in stored["moments"])
        return cls(**{**stored, "effects": tuple(stored["effects"]), "moments": moments})


def fit_line(
    sensor: ArrayLike,
    reference: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    reference_sd: ArrayLike = 0.0,
    slope: float | None = None,
    robust: bool = False,
) -> SensorLine:
    """Fit the classical calibration line by least squares of the sensor *on* the reference.

    sensor = a + b x + c . covariates + noise gives y = (sensor - a - c . covariates) / b = x + r e with r = sd(noise) /
    |b|: noise that does not depend on x, as theory 1 asks of a measurement. The regression of the reference on the
    sensor is the other way round: it gives E[x | sensor], shrunk towards the mean of the calibration pairs, with an
    error independent of the *estimate* (Berkson, theory 6). Taken as a measurement, it counts that mean twice, and the
    posterior variance comes out short.

    A known error of the reference is taken off its variance (errors in variables, by moments), which steepens the
    slope, and slope^2 times its square off the variance of the noise, never below 0.

    Parameters
    ----------
    sensor
        (n,) raw readings in any unit.
    reference
        (n,) values of the reference at the same stamps.
    covariates
        (n, K) numbers that the sensor responds to as well, such as temperature and humidity.
    reference_sd
        Standard deviation of the reference's own error, one for all or (n,), in the reference's units.
    slope
        A slope that is known: 1 for a sensor that reads in the units of the reference, of which only the offset and
        the noise are then fitted.
    robust
        Bound the influence of outlying sensor readings (Huber's M-estimator and scale, at 2 sd). Outlying references
        still have their leverage.

    Raises
    ------
    DataError
        If there are fewer than 20 pairs, numbers are not finite, the reference varies no more than its error, or the
        slope is within two standard errors of 0: the sensor then says nothing of the reference.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(100, 20, 500)
    >>> line = fit_line(3 + 0.5 * x + rng.normal(0, 4, 500), x)
    >>> round(line.slope, 1), round(line.sd)
    (0.5, 8)
    """
    raw, truth = pairs(sensor=sensor, reference=reference)
    rest = covariate_rows(covariates, raw.size)
    if not np.all(np.isfinite(rest)):
        raise DataError("covariates", "not finite among the pairs", "Leave out pairs of which a covariate is missing.")
    error = np.broadcast_to(np.asarray(reference_sd, dtype=np.float64), raw.shape)
    if not np.all(np.isfinite(error) & (error >= 0)):
        raise DataError("reference_sd", "negative or not finite", "Give a standard deviation, 0 where exact.")
    design = np.column_stack([np.ones(raw.size), rest, *([truth] if slope is None else [])])
    response = raw if slope is None else raw - slope * truth
    if raw.size < FEWEST + design.shape[1]:
        need = FEWEST + design.shape[1]
        raise DataError("sensor", f"{raw.size} pairs", f"{design.shape[1]} coefficients need at least {need} pairs.")
    blur = np.zeros(raw.size) if slope is not None else error**2
    weight = np.ones(raw.size)
    for _ in range(ROUNDS if robust else 1):
        coefficients, information = _solve(design, response, weight, blur)
        residual = response - design @ coefficients
        bound = WINSOR * robust_sd(residual)
        before, weight = weight, np.minimum(1.0, bound / np.maximum(np.abs(residual), bound))
        if np.abs(weight - before).max() < 1e-8:
            break
    gain = float(coefficients[-1]) if slope is None else slope
    square = robust_sd(residual) ** 2 if robust else float(residual @ residual) / (raw.size - design.shape[1])
    wobble = float(np.sqrt(square / information)) if slope is None else 0.0
    if not abs(gain) > 2 * wobble:
        problem = f"{gain:.3g} with a standard error of {wobble:.2g}"
        raise DataError("slope", problem, "The sensor says nothing of the reference here; leave it out.")
    sd = _without(square, gain**2 * float(np.mean(error**2))) / abs(gain)
    effects = tuple(float(c) for c in coefficients[1 : 1 + rest.shape[1]])
    columns = np.column_stack([np.ones(raw.size), rest, truth])
    moments = columns.T @ columns / raw.size
    told = tuple(tuple(float(number) for number in row) for row in moments)
    return SensorLine(float(coefficients[0]), gain, effects, sd, wobble, told, raw.size)


def _solve(design: Floats, response: Floats, weight: Floats, blur: Floats) -> tuple[Floats, float]:
    """Return weighted least squares coefficients, and what the last column tells beside the others.

    `blur` (n,) is the variance of the error in the last column; its sum comes off that column's square.
    """
    gram = (design * weight[:, None]).T @ design
    plain = gram[-1, -1]
    gram[-1, -1] -= weight @ blur
    alone = gram[-1, :-1] @ np.linalg.lstsq(gram[:-1, :-1], gram[:-1, -1])[0] if len(gram) > 1 else 0.0
    information = float(gram[-1, -1] - alone)
    if information <= 1e-10 * plain:
        remedy = "Pairs must vary by more than the error of the reference, and no column may repeat another."
        raise DataError("reference", "does not vary beside its own error and the covariates", remedy)
    return np.asarray(np.linalg.solve(gram, design.T @ (weight * response))), information


def _without(square: float, known: float) -> float:
    """Return the sd that is left of a variance once a known part is taken off it, 0 with a warning if it is less."""
    if known > 0 and square <= known:
        found = f"sd {np.sqrt(square):.3g} of the residual is within the reference's own error, {np.sqrt(known):.3g}"
        warnings.warn(f"{found}: the sensor's risk comes out as 0", RstimeWarning, stacklevel=3)
    return float(np.sqrt(max(square - known, 0.0)))


def covariate_rows(covariates: ArrayLike | None, count: int) -> Floats:
    """Return covariates as (count, K), K = 0 for None.

    Raises
    ------
    DataError
        If there is not one row a reading.
    """
    rest = np.empty((count, 0)) if covariates is None else np.asarray(covariates, dtype=np.float64)
    rest = rest[:, None] if rest.ndim == 1 else rest
    if rest.ndim != 2 or len(rest) != count:
        raise DataError("covariates", f"shape {rest.shape} where ({count}, K) was expected", "Give a row a reading.")
    return rest
