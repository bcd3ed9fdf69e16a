"""Calibration that follows a drifting sensor, from the pairs of the past only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError
from rstime.risk.calibration import components
from rstime.risk.checks import half_width
from rstime.risk.line import SensorLine, covariate_rows
from rstime.types import Floats

LONGEST = 20.0
"""Half-lives beyond which a gap forgets no more, so that something is left to stand on."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """Readings in the units of the reference with their risk, each claimed before its own pair is known.

    Attributes
    ----------
    value
        (n,) measurements; NaN where there is none.
    risk
        (n,) their risk; inf where there is no reading, or the sensor says nothing at that time.
    """

    value: Floats
    risk: Floats

    def interval(self, level: float = 0.9) -> tuple[Floats, Floats]:
        """Return lower and upper end, each (n,), of the claimed central Gaussian interval; NaN without measurement."""
        wide = half_width(level) * np.where(np.isfinite(self.risk), self.risk, np.nan)
        return self.value - wide, self.value + wide


def adaptive(
    start: SensorLine,
    sensor: ArrayLike,
    reference: ArrayLike,
    time: ArrayLike,
    covariates: ArrayLike | None = None,
    *,
    half_life: float = np.inf,
    delay: float = 0.0,
    weight: float = 20.0,
    risk_weight: float = 20.0,
    offset_only: bool = False,
) -> Adapted:
    """Calibrate a drifting sensor by recursive least squares with exponential forgetting.

    With z = (1, covariates, x) and A = sum of 2^(-age / half_life) z z^T over past pairs, the coefficients are least
    squares under A (Haykin 2002, ch. 9). The noise s^2 is the equally forgotten mean of e^2 / (1 + h), where e is the
    error sensor - z . coefficients as it was claimed at its own stamp and h = z^T A^-1 z what the uncertainty of the
    coefficients adds. A reading at slope b has risk s sqrt(1 + h) / |b|, which grows while no pairs come. Where b is
    within two standard errors of 0 no finite interval is right (Fieller 1954): the reading counts as missing. The
    reference is taken as exact.

    Parameters
    ----------
    start
        Line of the first weeks, or of other devices of the kind.
    sensor
        (n,) raw readings of one device; NaN where missing.
    reference
        (n,) values of the reference, NaN where there is none.
    time
        (n,) stamps in any unit, not falling.
    covariates
        (n, K) as in the fit of `start`; readings without them count as missing.
    half_life
        Time after which a pair counts half, in the units of `time`; inf never forgets.
    delay
        Time until a reference is known, in the units of `time`. A pair is used for later stamps only, `delay` or more
        after its own.
    weight
        Pairs that the coefficients of `start` count for; `from_devices` finds it for a line from other devices.
    risk_weight
        Pairs that the risk of `start` counts for.
    offset_only
        Follow the offset alone and keep slope and effects of `start`.

    Raises
    ------
    ConfigError
        If a setting is outside its range, or pairs are forgotten faster than they come.
    DataError
        If lengths differ, the stamps fall, or `start` has other covariates.
    """
    _check(half_life, delay, weight, risk_weight)
    raw, truth, stamp, rest = _columns(start, sensor, reference, time, covariates)
    readable = np.isfinite(raw) & np.isfinite(rest).all(1)
    pairs = np.flatnonzero(readable & np.isfinite(truth))
    state = _State(start, offset_only, half_life, weight, risk_weight, stamp)
    if not offset_only and len(pairs) > 1 and half_life < len(state.gram) * np.median(np.diff(stamp[pairs])):
        raise ConfigError("half_life", f"{half_life} forgets faster than pairs come", "Give a longer one.")
    value, risk, score = np.full(raw.size, np.nan), np.full(raw.size, np.inf), np.full(raw.size, np.nan)
    known = 0
    for index in np.flatnonzero(readable):
        while known < len(pairs) and pairs[known] < index and stamp[pairs[known]] + delay <= stamp[index]:
            past = pairs[known]
            state.learn(raw[past], rest[past], truth[past], stamp[past], score[past])
            known += 1
        value[index], risk[index] = state.claim(raw[index], rest[index], stamp[index])
        if np.isfinite(truth[index]):
            score[index] = state.score(raw[index], rest[index], truth[index], stamp[index])
    return Adapted(np.where(np.isfinite(risk), value, np.nan), risk)


def from_devices(
    line: SensorLine,
    sensor: ArrayLike,
    reference: ArrayLike,
    device: ArrayLike,
    covariates: ArrayLike | None = None,
) -> tuple[SensorLine, float]:
    """Return the line and the `weight` with which `adaptive` starts a new device, from pairs of others of its kind.

    Devices differ by offsets of sd `between` around noise of sd `within` (`components`): the line then has the devices'
    mean offset and the noise alone as its risk, and stands for (within / between)^2 pairs of the new device.

    Parameters
    ----------
    line
        Fitted to all these pairs.
    sensor, reference, covariates
        The pairs it was fitted to.
    device
        (n,) which device, person or session each pair is from.

    Raises
    ------
    DataError
        As `rstime.risk.calibration.components`; or if devices do not differ: `line` then serves all as it is.
    """
    residual = line.value(sensor, covariates) - np.asarray(reference, dtype=np.float64)
    parts = components(residual, device)
    if not 0 < parts.between < np.inf or not parts.within > 0:
        raise DataError("device", "no difference between devices", "Use the line as it is for every device.")
    start = replace(line, offset=line.offset + parts.bias * line.slope, sd=parts.within)
    return start, (parts.within / parts.between) ** 2


class _State:
    """Forgotten sums over the pairs so far, and the coefficients that follow from them."""

    def __init__(
        self,
        start: SensorLine,
        offset_only: bool,
        half_life: float,
        weight: float,
        risk_weight: float,
        stamp: Floats,
    ) -> None:
        self.start, self.offset_only, self.half_life = start, offset_only, half_life
        self.since = float(stamp[0]) if stamp.size else 0.0
        self.gram = weight * (np.ones((1, 1)) if offset_only else np.array(start.moments))
        line = (start.offset,) if offset_only else (start.offset, *start.effects, start.slope)
        self.cross = self.gram @ np.array(line)
        self.square, self.count = risk_weight * (start.sd * start.slope) ** 2, risk_weight
        self._solve()

    def _solve(self) -> None:
        self.inverse = np.linalg.inv(self.gram)
        self.line = self.inverse @ self.cross
        whole = (self.line[0], *self.start.effects, self.start.slope) if self.offset_only else self.line
        self.offset, self.effects, self.slope = float(whole[0]), np.array(whole[1:-1]), float(whole[-1])

    def _kept(self, stamp: float) -> float:
        """Return what is left at a stamp of the sums, which are those of `since`."""
        return float(2 ** -min((stamp - self.since) / self.half_life, LONGEST))

    def _row(self, rest: Floats, x: float) -> Floats:
        return np.ones(1) if self.offset_only else np.array([1.0, *rest, x])

    def _extra(self, row: Floats, stamp: float) -> float:
        """Return h, the variance of the line at a row over that of the noise."""
        return float(row @ self.inverse @ row) / self._kept(stamp)

    def claim(self, raw: float, rest: Floats, stamp: float) -> tuple[float, float]:
        """Return a reading in the units of the reference, and its risk."""
        noise = self.square / self.count
        if not self.offset_only and self.slope**2 <= 4 * noise * self.inverse[-1, -1] / self._kept(stamp):
            return np.nan, np.inf
        y = (raw - self.offset - float(rest @ self.effects)) / self.slope
        return y, float(np.sqrt(noise * (1 + self._extra(self._row(rest, y), stamp)))) / abs(self.slope)

    def score(self, raw: float, rest: Floats, truth: float, stamp: float) -> float:
        """Return e^2 / (1 + h) of a claim, whose mean is the variance of the noise."""
        error = raw - self.offset - float(rest @ self.effects) - self.slope * truth
        return error**2 / (1 + self._extra(self._row(rest, truth), stamp))

    def learn(self, raw: float, rest: Floats, truth: float, stamp: float, score: float) -> None:
        """Take a pair in, with the score that its claim had."""
        row, kept = self._row(rest, truth), self._kept(stamp)
        told = raw - float(rest @ self.effects) - self.slope * truth if self.offset_only else raw
        self.gram, self.cross = kept * self.gram + np.outer(row, row), kept * self.cross + row * told
        self.square, self.count = kept * self.square + score, kept * self.count + 1
        self.since = stamp
        self._solve()


def _check(half_life: float, delay: float, weight: float, risk_weight: float) -> None:
    for name, number in (("half_life", half_life), ("weight", weight), ("risk_weight", risk_weight)):
        if not number > 0:
            raise ConfigError(name, f"{number}", "Give a positive number.")
    if not 0 <= delay < np.inf:
        raise ConfigError("delay", f"{delay}", "Give 0 or a positive time.")


def _columns(
    start: SensorLine, sensor: ArrayLike, reference: ArrayLike, time: ArrayLike, covariates: ArrayLike | None
) -> tuple[Floats, Floats, Floats, Floats]:
    raw, truth, stamp = (np.asarray(column, dtype=np.float64) for column in (sensor, reference, time))
    if not raw.shape == truth.shape == stamp.shape == (raw.size,):
        found = f"shape {truth.shape} beside a sensor of {raw.shape} and time of {stamp.shape}"
        raise DataError("reference", found, "Give one number a stamp, NaN where there is none.")
    if not np.all(np.isfinite(stamp)) or not np.all(np.diff(stamp) >= 0):
        raise DataError("time", "falls or is not finite", "Sort the rows by time, those of one device alone.")
    rest = covariate_rows(covariates, raw.size)
    if rest.shape[1] != len(start.effects):
        raise DataError("covariates", f"{rest.shape[1]} where {len(start.effects)} were fitted", "Give the same ones.")
    return raw, truth, stamp, rest
