"""Linear interpolation with bands made of its own errors on the training readings: what a careful spreadsheet does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rstime.errors import DataError
from rstime.types import Floats, Posterior, Series

GAPS = (1, 2, 3, 4, 6, 9, 12)
"""Distances in grid steps to the nearest reading for which errors are kept apart."""


@dataclass(frozen=True, eq=False)
class LinearBands:
    """Linear interpolation between readings, constant beyond them; a reading answers for itself with its own risk.

    A missing entry gets x = interpolation + e, with e drawn from the errors that interpolation makes at training
    readings when all readings nearer than the same gap are left out. Those errors hold the noise of the reading itself:
    they are shrunk by sqrt(1 - mean r^2 / mean e^2).

    Attributes
    ----------
    variables
        Names of the C variables.
    centre
        (C,) mean of the training readings, for items without any reading of a variable.
    between, beyond
        errors[c][k]: errors of variable c at a gap of GAPS[k], with readings on both sides and on one side only.
    absent
        absent[c]: distances of the training readings from the centre.
    """

    variables: tuple[str, ...]
    centre: Floats
    between: list[list[Floats]]
    beyond: list[list[Floats]]
    absent: list[Floats]

    @classmethod
    def fit(cls, train: Sequence[Series]) -> LinearBands:
        """Collect the errors of interpolation on items of a regular grid, all with the same variables.

        Raises
        ------
        DataError
            If there is no item.
        """
        if not train:
            raise DataError("train", "no item", "Give at least one series.")
        variables = train[0].variables
        parts = [_errors(train, channel) for channel in range(len(variables))]
        readings = [
            np.concatenate([item.value[item.observed[:, c], c] for item in train]) for c in range(len(variables))
        ]
        centre = np.array([part.mean() if part.size else 0.0 for part in readings])
        absent = [part - middle if part.size else np.zeros(1) for part, middle in zip(readings, centre, strict=True)]
        return cls(variables, centre, [part[0] for part in parts], [part[1] for part in parts], absent)

    def impute(self, item: Series, samples: int, rng: np.random.Generator) -> Posterior:
        """Draw every entry of an item on a regular grid; entries after the last reading are its forecast.

        The draws of different entries are independent: bands are meant, not paths.

        Parameters
        ----------
        item
            Series with the variables of the training items.
        samples
            Number of draws.
        rng
            Source of randomness.

        Raises
        ------
        DataError
            If the variables differ from those of the training items.
        """
        if item.variables != self.variables:
            raise DataError("variables", f"{item.variables} where {self.variables} were fitted")
        drawn = np.empty((samples, *item.value.shape))
        for channel in range(len(self.variables)):
            rows = np.flatnonzero(item.observed[:, channel])
            for row in range(len(item.time)):
                if item.observed[row, channel]:
                    point, errors = item.value[row, channel], item.risk[row, channel] * rng.normal(size=samples)
                elif len(rows) == 0:
                    point, errors = self.centre[channel], rng.choice(self.absent[channel], samples)
                else:
                    point = np.interp(row, rows, item.value[rows, channel])
                    kind = self.between if rows[0] < row < rows[-1] else self.beyond
                    errors = rng.choice(kind[channel][_gap(int(np.abs(rows - row).min()))], samples)
                drawn[:, row, channel] = point + errors
        return Posterior(item, drawn)


def _gap(distance: int) -> int:
    return int(np.searchsorted(GAPS, distance, side="right")) - 1


def _errors(train: Sequence[Series], channel: int) -> tuple[list[Floats], list[Floats]]:
    """Return the shrunk errors of one variable at each gap, with readings on both sides and on one side.

    Every reading is left out once with the readings around it and once with all readings from shortly before it on;
    the gaps take turns.
    """
    found: tuple[list[list[tuple[float, float]]], ...] = ([[] for _ in GAPS], [[] for _ in GAPS])
    turn = 0
    for item in train:
        rows = np.flatnonzero(item.observed[:, channel])
        for row in rows:
            turn += 1
            gap = GAPS[turn % len(GAPS)]
            for use in (rows[np.abs(rows - row) >= gap], rows[rows <= row - gap]):
                if len(use) == 0:
                    continue
                guess = np.interp(row, use, item.value[use, channel])
                side = 0 if use[0] < row < use[-1] else 1
                place = _gap(int(np.abs(use - row).min()))
                found[side][place].append((item.value[row, channel] - guess, item.risk[row, channel]))
    between, beyond = ([_shrink(np.array(pairs).reshape(-1, 2)) for pairs in side] for side in found)
    return _filled(between, beyond), _filled(beyond, between)


def _shrink(pairs: NDArray[np.float64]) -> Floats:
    """Take the variance of the reading's own noise out of errors, rows (error, risk)."""
    error, risk = pairs.T
    if len(error) < 2 or not np.any(error):
        return np.empty(0)
    share = max(1 - float(np.mean(risk**2) / np.mean(error**2)), 0.05)
    return np.asarray(error * np.sqrt(share), dtype=np.float64)


def _filled(errors: list[Floats], others: list[Floats]) -> list[Floats]:
    """Give a gap without errors those of the nearest gap that has some, of this kind or else of the other."""
    for source in (errors, others):
        full = [k for k, part in enumerate(source) if part.size]
        if full:
            return [source[min(full, key=lambda k: abs(k - place))] for place in range(len(errors))]
    return [np.zeros(1) for _ in errors]
