"""Bands made to hold what they say: the spread of samples about their median, times a factor from held-out readings.

This is for models whose bands are too narrow or too wide by about the same factor everywhere. No band gets narrower
than a reading's own risk allows. Paths stay paths, medians stay where they are, and exact readings stay themselves.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from rstime.errors import DataError
from rstime.noisy_scores import pit
from rstime.types import Floats, Posterior, Series

FEWEST = 100
"""Held-out readings of a variable below which it has the factor of all variables together."""

LARGEST = 4.0
"""Largest factor, and the inverse of the smallest."""

HALVINGS = 12


@dataclass(frozen=True, eq=False)
class SpreadFactor:
    """One factor a variable on the spread of samples about their median.

    Attributes
    ----------
    variables
        Names.
    factor
        (C,) factors; 1 changes nothing.
    count
        (C,) held-out readings that each was learned from.
    """

    variables: tuple[str, ...]
    factor: Floats
    count: tuple[int, ...]

    @classmethod
    def fit(cls, posteriors: Iterable[Posterior], readings: Iterable[Series], level: float = 0.9) -> SpreadFactor:
        """Find the factors with which central bands hold this share of readings that the model has not seen.

        The share counts a reading where its probability integral transform under the samples, with noise of the
        reading's risk (`rstime.noisy_scores.pit`), is within level / 2 of the middle. It is the multiplicative form of
        split-conformal intervals (Romano, Patterson and Candes 2019; Kivaranovic et al. 2020), without their correction
        for small counts.

        Parameters
        ----------
        posteriors
            Answers to items from which readings were taken away.
        readings
            One Series an answer, of the same stamps and variables: the readings taken away with their risk; all other
            entries missing.
        level
            Share that the bands should hold.

        Raises
        ------
        DataError
            If no reading is held out, shapes differ, or a reading was not asked for.

        Examples
        --------
        >>> rng, nothing = np.random.default_rng(1), np.full((500, 1), np.inf)
        >>> asked = Series("a", np.arange(500.0), ("x",), np.zeros((500, 1)), nothing)
        >>> held_out = replace(asked, value=rng.normal(size=(500, 1)), risk=np.zeros((500, 1)))
        >>> narrow = Posterior(asked, 0.5 * rng.normal(size=(99, 500, 1)))
        >>> SpreadFactor.fit([narrow], [held_out]).factor.round()
        array([2.])
        """
        samples: list[Floats] = []
        values: list[Floats] = []
        risks: list[Floats] = []
        columns = []
        names: tuple[str, ...] = ()
        for answer, reading in zip(posteriors, readings, strict=True):
            names, where = reading.variables, reading.observed
            if answer.series.value.shape != where.shape:
                problem = f"shape {where.shape} beside an answer of shape {answer.series.value.shape}"
                raise DataError("readings", problem, "Give the stamps and variables of the answers.")
            samples.append(np.asarray(answer.samples[:, where], dtype=np.float64))
            values.append(reading.value[where])
            risks.append(reading.risk[where])
            columns.append(np.nonzero(where)[1])
        if not sum(map(len, values)):
            raise DataError("readings", "none held out", "Take some readings away from items and give them here.")
        draws, value, risk = (np.concatenate(part, axis=-1) for part in (samples, values, risks))
        column = np.concatenate(columns)
        if not np.isfinite(draws).all():
            raise DataError("readings", "some were not asked for", "Ask for all entries that are held out.")
        median = np.median(draws, axis=0)
        counts = np.bincount(column, minlength=len(names))
        pooled = _factor(draws - median, value - median, risk, level)
        factor = np.full(len(names), pooled)
        for k in np.flatnonzero(counts >= FEWEST):
            own = column == k
            factor[k] = _factor((draws - median)[:, own], (value - median)[own], risk[own], level)
        return cls(names, factor, tuple(counts.tolist()))

    def __call__(self, posterior: Posterior) -> Posterior:
        """Return the answer with its spread adjusted.

        A factor above 1 widens all: it does not tell a model that claims too much from risks that do. One below 1 holds
        for what the others say of an entry, not for a reading's own risk r: sd s becomes the root of
        1 / ((1 / s^2 - 1 / r^2) / f^2 + 1 / r^2), since 1 / s^2 - 1 / r^2 is the precision of the others (theory 2).

        Raises
        ------
        DataError
            If it has other variables.
        """
        if posterior.series.variables != self.variables:
            problem = f"{posterior.series.variables} beside {self.variables}"
            raise DataError("variables", problem, "Adjust answers of the model that the factors were learned for.")
        samples = np.asarray(posterior.samples, dtype=np.float64)
        median = np.median(samples, axis=0)  # NaN where nothing was asked, as are all that follow
        risk = posterior.series.risk
        own = np.divide(samples.std(axis=0), risk, out=np.ones(risk.shape), where=risk > 0).clip(0, 1) ** 2
        factor = np.maximum(self.factor, ((1 - own) / self.factor**2 + own) ** -0.5)
        return replace(posterior, samples=median + factor * (samples - median))


def _factor(spread: Floats, error: Floats, risk: Floats, level: float) -> float:
    """Find the smallest factor with which the share is reached, by halving: the share rises with the factor."""
    low, high = -np.log(LARGEST), np.log(LARGEST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        held = np.abs(pit(np.exp(middle) * spread, error, risk) - 0.5) <= level / 2
        low, high = (low, middle) if held.mean() >= level else (middle, high)
    return float(np.exp(high))
