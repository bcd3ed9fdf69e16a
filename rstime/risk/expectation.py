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
from rstime.types import Bools, Floats, Posterior, Series

SLOWEST = 0.95
"""Largest share of the information that may be missing; beyond it the data hardly tell signal from noise."""

LONGEST = 1.0
"""Longest step, in logs."""

BLOCK = 24
"""Stamps in a row that count as one piece of evidence; only neighbouring pieces of an item hang together."""


class Imputer(Protocol):
    """A fitted model that draws the clean signal of noisy items."""

    def impute(self, data: Sequence[Series], *, samples: int, seed: int, entries: str) -> Sequence[Posterior]:
        """Return posterior samples of each item."""


def expectation_maximisation(
    model: Imputer,
    series: Sequence[Series],
    classes: Sequence[NDArray[np.intp]] | None = None,
    *,
    cycles: int = 5,
    samples: int = 50,
    seed: int = 0,
    progress: Callable[[int, RiskEstimate], None] = lambda cycle, estimate: None,
) -> RiskEstimate:
    """Estimate factors of risk with a trained model: k^2 <- mean[((y - E[x|y])^2 + Var[x|y]) / r^2] (theory 6).

    The model answers at the risks reached so far. With q = sum ((y - x) / (k r))^2 over the n entries of a class, EM
    moves log k by log(E[q | y] / n) / 2. That step is prolonged by (1 - J)^-1, where J = Cov[q | y] / (2 E[q | y]) is
    the rate at which EM converges and the share of the information that is missing (Louis 1982). The interval is that
    of the information left, 2 n (1 - J), or of the spread of E[q | y] between pieces of the items where that is larger,
    and of the spread between samples. The model itself stays as it was trained: where its training risks were far off,
    train again with the result, and repeat.

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
    log_factor = np.zeros(len(evidence.keys))
    unknown = np.full(len(evidence.keys), np.inf)
    estimate = evidence.estimate(log_factor, unknown, unknown)
    for cycle in range(cycles):
        now = [estimate.apply(*pair) for pair in zip(series, labels, strict=True)]
        now = [replace(one, asked=one.observed) for one in now]
        squares = evidence.squares(now, model.impute(now, samples=samples, seed=seed, entries="noisy"))
        step, missing, error = evidence.step(squares)
        log_factor = log_factor + np.clip(step, -LONGEST, LONGEST)
        estimate = evidence.estimate(log_factor, missing, error)
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
    joined
        (pieces - 1,) whether a piece and the next one belong to the same item.
    """

    series: Sequence[Series]
    labels: Sequence[NDArray[np.intp]]
    keys: tuple[tuple[str, int], ...]
    count: Floats
    joined: Bools

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
        item = np.repeat(np.arange(len(series)), [-(-len(one.time) // BLOCK) for one in series])
        empty = cls(series, labels, tuple(keys), np.empty(0), item[1:] == item[:-1])
        return replace(empty, count=empty._pieces([np.ones((1, *one.risk.shape)) for one in series])[0])

    def squares(self, series: Sequence[Series], posteriors: Sequence[Posterior]) -> Floats:
        """Return the (S, pieces, K) sums of ((y - x) / r)^2 over samples x, with the risks r of these series."""
        terms = []
        for one, posterior in zip(series, posteriors, strict=True):
            error = posterior.samples - one.value
            terms.append(np.divide(error, one.risk, out=np.zeros_like(error), where=_noisy(one)) ** 2)
        return self._pieces(terms)

    def step(self, squares: Floats) -> tuple[Floats, Floats, Floats]:
        """Return for each class the step of log k, the share of the information that is missing, the standard error."""
        count, mean = self.count.sum(0), squares.mean(0)
        whole = mean.sum(0)
        root = np.sqrt(2 * whole)
        spread = self._products(squares - mean) / (len(squares) - 1)
        share, directions = np.linalg.eigh(spread / np.outer(root, root))
        inverse = (directions / (1 - np.clip(share, 0.0, SLOWEST))) @ directions.T
        step = inverse @ (root * np.log(whole / count) / 2) / root
        law = inverse / np.outer(root, root)
        between = law @ self._products((mean - self.count * whole / count)[None]) @ law
        drawn = law @ spread @ law / len(squares)
        error = np.sqrt(np.maximum(np.diag(law), np.diag(between)) + np.diag(drawn))
        return step, 1 - 1 / np.diag(inverse), error

    def estimate(self, log_factor: Floats, missing: Floats, error: Floats) -> RiskEstimate:
        """Return an estimate with its standard errors; its note tells where it is open."""
        rows = []
        for (name, label), n, x, v, e in zip(self.keys, self.count.sum(0), log_factor, missing, error, strict=True):
            half = float(1.96 * e)
            note = ""
            if v > SLOWEST - 0.01 or 2 * half > math.log(SECURE):
                half, note = math.inf, f"not identified: {100 * v:.0f} % of the information is missing"
            low, factor, high = np.exp([x - half, x, x + half]).tolist()
            rows.append(ClassRisk(name, label, int(n), factor, low, high, note))
        return RiskEstimate(tuple(rows))

    def _products(self, share: Floats) -> Floats:
        """Sum (S, pieces, K) x (S, pieces, K) over samples, each piece with itself and its neighbours: (K, K)."""
        late, early = share[:, 1:][:, self.joined], share[:, :-1][:, self.joined]
        across = np.einsum("spk,spl->kl", late, early)
        return np.asarray(np.einsum("spk,spl->kl", share, share) + across + across.T)

    def _pieces(self, terms: Sequence[Floats]) -> Floats:
        """Sum (S, T, C) terms of each item over its pieces and classes: (S, pieces, K)."""
        rows = []
        for one, label, term in zip(self.series, self.labels, terms, strict=True):
            noisy, edges = _noisy(one), np.arange(0, len(one.time), BLOCK)
            own = np.zeros((len(term), len(edges), len(self.keys)))
            for column, (name, kind) in enumerate(self.keys):
                if name in one.variables:
                    c = one.variables.index(name)
                    chosen = noisy[:, c] & (label[:, c] == kind)
                    own[..., column] = np.add.reduceat(np.where(chosen, term[..., c], 0.0), edges, axis=1)
            rows.append(own)
        return np.concatenate(rows, axis=1)


def _noisy(series: Series) -> Bools:
    return series.observed & (series.risk > 0)


def _keys(series: Series, label: NDArray[np.intp]) -> set[tuple[str, int]]:
    row, column = np.nonzero(_noisy(series))
    return {(series.variables[c], int(label[r, c])) for r, c in zip(row.tolist(), column.tolist(), strict=True)}
