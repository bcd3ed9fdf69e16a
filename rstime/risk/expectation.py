"""Unknown risk from a trained model: expectation-maximisation over the clean signal (theory 6)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rstime.errors import ConfigError, DataError
from rstime.risk.estimation import SECURE, ClassRisk, RiskEstimate
from rstime.types import Floats, Posterior, Series

SLOWEST = 0.95
"""Largest rate of convergence that is believed; EM moves by 1 - rate of the way."""

BLOCK = 24
"""Stamps in a row that count as one piece of evidence: errors of the model hang together along time."""


class Imputer(Protocol):
    """A fitted model that draws the clean signal of noisy items."""

    def impute(self, data: Sequence[Series], *, samples: int, seed: int, entries: str) -> Sequence[Posterior]:
        """Return posterior samples of each item."""


def expectation_maximisation(
    model: Imputer,
    series: Sequence[Series],
    classes: Sequence[NDArray[np.intp]] | None = None,
    *,
    cycles: int = 3,
    samples: int = 50,
    seed: int = 0,
    progress: Callable[[int, RiskEstimate], None] = lambda cycle, estimate: None,
) -> RiskEstimate:
    """Estimate factors of risk with a trained model: k^2 <- mean[((y - E[x|y])^2 + Var[x|y]) / r^2] (theory 6).

    The model answers at the risks reached so far. A cycle is two such steps, prolonged to their limit by the ratio of
    their lengths (Aitken), the rate of convergence. The interval is the spread of the update between pieces of the
    items over 1 - rate: a rate near 1 says that the data hardly tell signal from noise. The model itself stays as it
    was trained: where its training risks were far off, train again with the result, and repeat.

    Parameters
    ----------
    model
        What draws the clean signal: a fitted `rstime.RiskDiffusion`.
    series
        Items with relative risks; exact entries stay exact.
    classes
        (T, C) labels of each item's entries; all the same by default.
    cycles, samples, seed
        Cycles, draws of the signal in each step, and their seed.
    progress
        Called after each cycle.

    Raises
    ------
    ConfigError
        If there is no cycle, or fewer than 10 samples.
    DataError
        If no entry has a risk that is positive and finite.
    """
    if cycles < 1 or samples < 10:
        raise ConfigError("cycles, samples", f"{cycles}, {samples}", "Give at least 1 cycle and 10 samples.")
    labels = [np.zeros(one.risk.shape, dtype=np.intp) for one in series] if classes is None else list(classes)
    evidence = Evidence.of(series, labels)
    log_factor, rate = np.zeros(len(evidence.keys)), np.zeros(len(evidence.keys))
    estimate = evidence.estimate(log_factor, rate, np.zeros_like(rate))
    for cycle in range(cycles):
        steps = [log_factor]
        for _ in range(2):
            current = evidence.estimate(steps[-1], rate, rate)
            now = [current.apply(one, label) for one, label in zip(series, labels, strict=True)]
            sums = evidence.sums(model.impute(now, samples=samples, seed=seed, entries="noisy"))
            steps.append(0.5 * np.log(sums.sum(0) / evidence.count.sum(0)))
        first, second = steps[1] - steps[0], steps[2] - steps[1]
        rate = np.clip(np.divide(second, first, out=np.zeros_like(first), where=first != 0), 0.0, SLOWEST)
        log_factor = steps[2] + second * rate / (1 - rate)
        share = sums / np.exp(2 * steps[2]) - evidence.count  # (pieces, K): influence on the update
        error = 0.5 * np.sqrt((share**2).sum(0)) / evidence.count.sum(0)
        estimate = evidence.estimate(log_factor, rate, error)
        progress(cycle, estimate)
    return estimate


@dataclass(frozen=True, eq=False)
class Evidence:
    """Which measurements tell about which class, in pieces of time.

    Attributes
    ----------
    series, labels
        Items with relative risks, and (T, C) labels.
    keys
        The K classes: name of the variable and label.
    count
        (pieces, K) measurements.
    """

    series: Sequence[Series]
    labels: Sequence[NDArray[np.intp]]
    keys: tuple[tuple[str, int], ...]
    count: Floats

    @classmethod
    def of(cls, series: Sequence[Series], labels: Sequence[NDArray[np.intp]]) -> Evidence:
        """Count the noisy measurements of each class.

        Raises
        ------
        DataError
            If there are none.
        """
        keys = sorted({key for one, label in zip(series, labels, strict=True) for key in _keys(one, label)})
        if not keys:
            raise DataError(
                "risk", "no measurement with a risk above 0", "Give relative risks: 1 where nothing is known."
            )
        empty = cls(series, labels, tuple(keys), np.empty(0))
        return replace(empty, count=empty._pieces([np.ones(one.risk.shape) for one in series]))

    def sums(self, posteriors: Sequence[Posterior]) -> Floats:
        """Return the (pieces, K) sums of ((y - E[x|y])^2 + Var[x|y]) / r^2, with the relative r."""
        terms = []
        for one, posterior in zip(self.series, posteriors, strict=True):
            noisy = _noisy(one)
            square = np.mean((posterior.samples - one.value) ** 2, axis=0)
            terms.append(np.divide(square, one.risk**2, out=np.zeros_like(square), where=noisy))
        return self._pieces(terms)

    def estimate(self, log_factor: Floats, rate: Floats, error: Floats) -> RiskEstimate:
        """Return an estimate with the standard error of an update; its note tells where it is open."""
        rows = []
        for (name, label), n, x, v, e in zip(self.keys, self.count.sum(0), log_factor, rate, error, strict=True):
            half = float(1.96 * e / (1 - v))
            note = f"not identified: the rate of convergence is {v:.2f}" if 2 * half > math.log(SECURE) else ""
            low, factor, high = np.exp([x - half, x, x + half]).tolist()
            rows.append(ClassRisk(name, label, int(n), factor, low, high, note))
        return RiskEstimate(tuple(rows))

    def _pieces(self, terms: Sequence[Floats]) -> Floats:
        rows = []
        for one, label, term in zip(self.series, self.labels, terms, strict=True):
            noisy, edges = _noisy(one), np.arange(0, len(one.time), BLOCK)
            own = np.zeros((len(edges), len(self.keys)))
            for column, (name, kind) in enumerate(self.keys):
                if name in one.variables:
                    c = one.variables.index(name)
                    chosen = noisy[:, c] & (label[:, c] == kind)
                    own[:, column] = np.add.reduceat(np.where(chosen, term[:, c], 0.0), edges)
            rows.append(own)
        return np.concatenate(rows)


def _noisy(series: Series) -> NDArray[np.bool_]:
    return series.observed & (series.risk > 0)


def _keys(series: Series, label: NDArray[np.intp]) -> set[tuple[str, int]]:
    row, column = np.nonzero(_noisy(series))
    return {(series.variables[c], int(label[r, c])) for r, c in zip(row.tolist(), column.tolist(), strict=True)}
