"""Patterns of missing readings: at random, a fixed share, in blocks, from a failure on, because of the value itself.

Every pattern is one small frozen dataclass; `PATTERNS` holds one of each.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from rstime.errors import ConfigError, DataError
from rstime.types import Bools, Floats


@dataclass(frozen=True)
class Pattern(ABC):
    """Which entries are lost."""

    def mask(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        """Draw which entries are missing, (..., T, C).

        Parameters
        ----------
        rng
            Source of randomness.
        value
            (..., T, C) values; only `NotAtRandom` looks at more than their shape.
        share
            Expected share of missing entries, in [0, 1).

        Raises
        ------
        ConfigError
            If the share is out of range, or out of the pattern's reach.
        DataError
            If `value` has no axes of time and variable.

        Examples
        --------
        >>> lost = Dropout().mask(np.random.default_rng(5), np.zeros((5, 2)), share=0.5)
        >>> lost.T.astype(int).tolist()
        [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]]
        """
        if np.ndim(value) < 2:
            raise DataError("value", f"shape {np.shape(value)}", "Give the axes time and variable at least.")
        if not 0 <= share < 1:
            raise ConfigError("share", f"{share} outside [0, 1)", "Give the share of entries that are missing.")
        return self._lose(rng, value, share)

    @abstractmethod
    def _lose(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        """Draw the mask of a checked share."""


@dataclass(frozen=True)
class Random(Pattern):
    """Each entry for itself."""

    def _lose(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        return rng.random(value.shape) < share


@dataclass(frozen=True)
class Share(Pattern):
    """Exactly floor(share n) of the n readings of each item, all equally likely; entries that are NaN are not lost.

    So CSDI (Tashiro et al. 2021) hides readings of PhysioNet 2012.
    """

    def _lose(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        lot = np.where(np.isnan(value), 2.0, rng.random(value.shape)).reshape(*value.shape[:-2], -1)
        count = (share * (lot < 1).sum(-1, keepdims=True)).astype(int)
        return np.asarray((lot.argsort(-1).argsort(-1) < count).reshape(value.shape))


@dataclass(frozen=True)
class Block(Pattern):
    """Gaps of geometric length: a chain that is missing or present, in its stationary state from the first step on.

    Attributes
    ----------
    length
        Mean number of steps of a gap, at least 1. Shares up to length / (length + 1) are within reach.
    together
        Whether gaps strike all variables of an item at once, as when a whole monitor is unplugged.

    Raises
    ------
    ConfigError
        If the length is below 1.
    """

    length: float = 8.0
    together: bool = False

    def __post_init__(self) -> None:
        if not self.length >= 1:
            raise ConfigError("length", f"{self.length} steps", "Give at least 1.")

    def _lose(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        *items, steps, channels = value.shape
        begins = share / (self.length * (1 - share))
        if begins > 1:
            remedy = f"Give at most {self.length / (self.length + 1):.3f}, or longer gaps."
            raise ConfigError("share", f"{share} in gaps of {self.length} steps", remedy)
        uniform = rng.random((*items, steps, 1 if self.together else channels))
        lost = uniform < share
        for step in range(1, steps):
            chance = np.where(lost[..., step - 1, :], 1 - 1 / self.length, begins)
            lost[..., step, :] = uniform[..., step, :] < chance
        return np.array(np.broadcast_to(lost, value.shape))


@dataclass(frozen=True)
class Dropout(Pattern):
    """Variables that fail at some step and stay missing to the end.

    Up to a share of 1/2, twice that share of the variables fail, at steps that are uniform over the window; beyond, all
    fail, at uniform steps of the first 2 (1 - share) of it.
    """

    def _lose(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        *items, steps, channels = value.shape
        fails = rng.random((*items, 1, channels)) < 2 * share
        life = rng.uniform(0, min(1.0, 2 * (1 - share)) * steps, (*items, 1, channels))
        return fails & (np.arange(steps)[:, None] + 0.5 > life)


@dataclass(frozen=True)
class NotAtRandom(Pattern):
    """High values are missing more often: p = 1 / (1 + exp(-(a + strength z))), z the standardised value.

    This biases every method: what is lost is higher than what is left, and nothing in the data tells by how much. It is
    here for stress tests. Mean and standard deviation are those of the variable, NaN left out (there z = 0); a makes
    the mean of p equal to `share` in each variable.

    Attributes
    ----------
    strength
        Change of the log odds of being missing per standard deviation; negative where low values get lost.
    """

    strength: float = 2.0

    def _lose(self, rng: np.random.Generator, value: Floats, share: float) -> Bools:
        if share == 0:
            return np.zeros(value.shape, dtype=bool)
        rows = value.reshape(-1, value.shape[-1])
        known = ~np.isnan(rows)
        count = np.maximum(known.sum(0), 1)
        z = np.where(known, rows - np.where(known, rows, 0).sum(0) / count, 0)
        z /= np.maximum(np.sqrt((z**2).sum(0) / count), 1e-300)
        reach = np.log(share / (1 - share)) + np.abs(self.strength * z).max(0) * np.array([[-1.0], [1.0]])
        low, high = reach  # at the lower end all p are at most `share`, at the upper end at least
        for _ in range(60):
            middle = (low + high) / 2
            above = expit(middle + self.strength * z).mean(0) > share
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        return np.asarray(rng.random(value.shape) < expit(high + self.strength * z).reshape(value.shape))


PATTERNS: Mapping[str, Pattern] = {
    "random": Random(),
    "share": Share(),
    "block": Block(),
    "gap": Block(together=True),
    "dropout": Dropout(),
    "not-at-random": NotAtRandom(),
}
"""One pattern of each kind, by name."""
