"""Real and generated windows on one grid, in standard deviations, measured alike."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rstime.axis import Axis
from rstime.errors import DataError, RstimeWarning
from rstime.noise_rule import Noise, NoiseRule
from rstime.risk.correlated import Correlated
from rstime.risk.families import Cauchy, Gaussian
from rstime.scaling import Scaler
from rstime.types import Bools, Floats, Series

if TYPE_CHECKING:
    from rstime.model import RiskDiffusion

NEAR = 1e-3
"""Stamps closer than this, in steps, to the end of a window count as after it."""

Source: TypeAlias = Callable[[Sequence[Series], int], Sequence[Floats]]
"""(windows without any measurement, seed) -> a clean (T, C) signal for each, at its stamps and covariates."""


@dataclass(frozen=True, eq=False)
class Windows:
    """N windows of T steps and C variables.

    Attributes
    ----------
    value
        (N, T, C) in sd of the clean signal from its mean; 0 where missing.
    risk
        (N, T, C) in the same sd; 0 exact, inf missing.
    item
        (N,) number of the item that each window is of.
    """

    value: Floats
    risk: Floats
    item: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.value)

    @property
    def weight(self) -> Floats:
        """(N, T, C) what a measurement tells of a signal of unit variance: 1 / (1 + r^2), 0 where missing."""
        return np.asarray(1 / (1 + self.risk**2))

    @property
    def shrunk(self) -> Floats:
        """(N, T, C) y / (1 + r^2): the posterior mean where the signal is white; 0, the mean, where missing."""
        return self.value * self.weight

    def rows(self, rows: Bools | NDArray[np.int64]) -> Windows:
        """Return some of the windows."""
        return Windows(self.value[rows], self.risk[rows], self.item[rows])


def cut(series: Sequence[Series], axis: Axis, length: int) -> tuple[list[Series], NDArray[np.int64]]:
    """Cut items into windows of `length` steps, one after another from the first stamp on.

    What is left at the end of an item is used only where it is all there is; windows without a measurement are not.

    Returns
    -------
    The windows, each with its stamps and covariates, and (N,) the number of each one's item.

    Raises
    ------
    DataError
        If there is no measurement.
    """
    pieces, owners = [], []
    for owner, one in enumerate(series):
        steps = axis.steps(one.time)
        place = np.floor((steps - steps[:1]) / length + NEAR / length).astype(np.int64)
        last = steps[-1:] - steps[:1] + 1 + NEAR
        for index in range(max(int(np.max(last // length, initial=0)), 1)):
            rows = place == index
            if one.observed[rows].any():
                pieces.append(_rows(one, rows, f"{one.item_id}/{index}"))
                owners.append(owner)
    if not pieces:
        raise DataError("value", "no measurement in any window", "Give items with at least one value.")
    return pieces, np.array(owners)


def _rows(series: Series, rows: Bools, name: str) -> Series:
    fields = ("time", "value", "risk", "asked", "known")
    return replace(series, item_id=name, **{field: getattr(series, field)[rows] for field in fields})


def on_grid(pieces: Sequence[Series], item: NDArray[np.int64], axis: Axis, length: int, scaler: Scaler) -> Windows:
    """Put windows on whole steps from their first stamp on; of several readings in a step the last one counts."""
    shape = (len(pieces), length, len(scaler.variables))
    value, risk = np.zeros(shape), np.full(shape, np.inf)
    for place, one in enumerate(pieces):
        scaled = scaler.scale_series(one)
        steps = axis.steps(one.time)
        rows = np.clip(np.round(steps - steps[0]).astype(np.int64), 0, length - 1)
        for row, y, r, seen in zip(rows, scaled.value, scaled.risk, scaled.observed, strict=True):
            value[place, row, seen], risk[place, row, seen] = y[seen], r[seen]
    return Windows(value, risk, item)


def blank(piece: Series) -> Series:
    """Return the window without its measurements: its stamps, variables and covariates, everything asked."""
    shape = piece.value.shape
    return replace(piece, value=np.full(shape, np.nan), risk=np.full(shape, np.inf), asked=np.ones(shape, dtype=bool))


@dataclass(frozen=True, eq=False)
class Drawn:
    """What draws windows from a model, given no measurement; made by `drawn_by`.

    Attributes
    ----------
    model
        Fitted.
    evaluations
        Of its network, a window.
    """

    model: RiskDiffusion
    evaluations: int

    def __call__(self, pieces: Sequence[Series], seed: int) -> list[Floats]:
        """Draw a window for each."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RstimeWarning)  # that the prior answers is what is wanted
            drawn = self.model.impute(pieces, samples=1, seed=seed, evaluations=self.evaluations)
        return [np.asarray(one.samples[0], dtype=np.float64) for one in drawn]


def drawn_by(model: RiskDiffusion, evaluations: int = 13) -> Drawn:
    """Return what draws windows from a model, given no measurement; it knows what the model was told of the noise."""
    return Drawn(model, evaluations)


def generated(source: Source, pieces: Sequence[Series], seed: int) -> list[Series]:
    """Return a clean window for each real one, at its stamps and covariates, exact and without gaps.

    Raises
    ------
    DataError
        If a window has another shape than the real one, or a value that is not finite.
    """
    empty = [blank(one) for one in pieces]
    clean = source(empty, seed)
    if len(clean) != len(empty):
        raise DataError("source", f"{len(clean)} windows for {len(empty)} real ones", "Give one for each.")
    return [replace(one, value=x, risk=np.zeros(one.value.shape)) for one, x in zip(empty, clean, strict=True)]


@dataclass(frozen=True)
class Errors:
    """How readings on a grid err.

    Attributes
    ----------
    noise
        Of each of the C variables, in sd of its signal from its mean.
    step
        Length of a step, in the unit of the memories of errors that last.
    """

    noise: tuple[Noise, ...]
    step: float

    @classmethod
    def of(cls, rule: NoiseRule, scaler: Scaler, axis: Axis) -> Errors:
        """Return what a rule says of the variables; where it says nothing their errors are Gaussian and independent."""
        found = []
        for name, location, scale in zip(scaler.variables, scaler.location, scaler.scale, strict=True):
            noise = rule.variables.get(name, Noise(Gaussian()))
            found.append(replace(noise, location=(noise.location - location) / scale, bound=noise.bound / scale))
        return cls(tuple(found), axis.step)

    def draw(self, rng: np.random.Generator, shape: tuple[int, int, int]) -> Floats:
        """Draw standardised errors (N, T, C) of N windows; those that last do so within a window."""
        found = rng.standard_normal(shape)
        for column, noise in enumerate(self.noise):
            family = Cauchy() if noise.bound < np.inf else noise.family
            if isinstance(family, Correlated):
                place = np.arange(shape[1])
                alike = family.correlation(self.step * np.abs(np.subtract.outer(place, place)))
                np.fill_diagonal(alike, 1 + 1e-9)
                found[..., column] = found[..., column] @ np.linalg.cholesky(alike).T
            elif type(family) is not Gaussian:
                found[..., column] = family.draw(rng, shape[:2])
        return found

    def taken(self, readings: Windows) -> Windows:
        """Return the readings at the risks that a model takes them at; of Cauchy noise those far out are missing."""
        columns = zip(self.noise, np.moveaxis(readings.value, -1, 0), np.moveaxis(readings.risk, -1, 0), strict=True)
        risk = np.stack([noise.taken(y, r) for noise, y, r in columns], axis=-1)
        return Windows(np.where(np.isfinite(risk), readings.value, 0.0), risk, readings.item)


def measured(clean: Windows, like: Windows, rng: np.random.Generator, errors: Errors | None = None) -> Windows:
    """Measure clean windows as real ones were: y = x + r e where there was a reading, nothing elsewhere.

    Under a right model these have the law of real windows with the same gaps and risks, whatever the noise; e is
    Gaussian and independent if nothing else is said.
    """
    seen = np.isfinite(like.risk)
    errors = errors or Errors((Noise(Gaussian()),) * like.risk.shape[2], 1.0)
    noise = np.where(seen, like.risk, 0.0) * errors.draw(rng, like.value.shape)
    return errors.taken(Windows(np.where(seen, clean.value + noise, 0.0), like.risk, like.item))


def noisier(windows: Windows, sd: float, rng: np.random.Generator) -> Windows:
    """Add noise of this sd to every reading, and to its risk: r -> sqrt(r^2 + sd^2)."""
    if sd == 0:
        return windows
    seen = np.isfinite(windows.risk)
    noise = np.where(seen, sd, 0.0) * rng.standard_normal(windows.risk.shape)
    return Windows(windows.value + noise, np.hypot(windows.risk, sd), windows.item)
