"""Errors of several laws to put on clean signals: the Gaussian one that rstime assumes, and those that break it.

Every law is one small frozen dataclass; `NOISES` holds one of each. All but `Gaussian` violate an assumption of the
method: heavy or light tails, errors that go together over time, or errors that the clean value determines.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from rstime.errors import ConfigError, DataError
from rstime.types import Floats


@dataclass(frozen=True)
class Noise(ABC):
    """A law of errors y - x of standard deviation r (`Cauchy`: of scale r)."""

    def apply(self, rng: np.random.Generator, clean: Floats, risk: Floats) -> Floats:
        """Return the noisy values y.

        Parameters
        ----------
        rng
            Source of randomness.
        clean
            (..., T, C) clean values x.
        risk
            Standard deviation r of the error, in the units of `clean`, broadcast to its shape; 0 leaves a value exactly
            as it is, inf makes it missing (NaN).

        Raises
        ------
        DataError
            If a risk is negative or NaN, or `clean` has no axes of time and variable.

        Examples
        --------
        >>> clean, risk = np.array([[1.0], [2.0], [3.0]]), np.array([[0.0], [1.0], [np.inf]])
        >>> Quantised().apply(np.random.default_rng(0), clean, risk).ravel().round(3).tolist()
        [1.0, 3.464, nan]
        """
        if np.ndim(clean) < 2:
            raise DataError("clean", f"shape {np.shape(clean)}", "Give the axes time and variable at least.")
        given = np.broadcast_to(np.asarray(risk, dtype=np.float64), np.shape(clean))
        wrong = np.isnan(given) | (given < 0)
        if np.any(wrong):
            raise DataError("risk", f"{given[wrong][0]}", "Risk is a standard deviation: 0 exact, inf missing.")
        missing = np.isinf(given)
        return np.where(missing, np.nan, self._read(rng, clean, np.where(missing, 0.0, given)))

    @abstractmethod
    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        """Read `clean` with errors of finite standard deviation `sd`, both (..., T, C)."""


@dataclass(frozen=True)
class Gaussian(Noise):
    """Independent Gaussian errors: what the method assumes."""

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        return clean + sd * rng.standard_normal(clean.shape)


@dataclass(frozen=True)
class Laplace(Noise):
    """Independent errors of density exp(-|e| sqrt(2)) / sqrt(2)."""

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        return clean + sd * rng.laplace(scale=np.sqrt(0.5), size=clean.shape)


@dataclass(frozen=True)
class Uniform(Noise):
    """Independent errors, uniform on [-sqrt(3), sqrt(3)]: a hard bound."""

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        return clean + sd * rng.uniform(-np.sqrt(3), np.sqrt(3), clean.shape)


@dataclass(frozen=True)
class StudentT(Noise):
    """Independent Student-t errors times sqrt((freedom - 2) / freedom).

    Attributes
    ----------
    freedom
        Degrees of freedom, above 2; the fewer, the heavier the tails.

    Raises
    ------
    ConfigError
        If the standard deviation does not exist.
    """

    freedom: float = 3.0

    def __post_init__(self) -> None:
        if not self.freedom > 2:
            raise ConfigError("freedom", f"{self.freedom} degrees of freedom", "Give more than 2, or use Cauchy.")

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        scale = sd * np.sqrt((self.freedom - 2) / self.freedom)
        return np.asarray(clean + scale * rng.standard_t(self.freedom, clean.shape))


@dataclass(frozen=True)
class Cauchy(Noise):
    """Independent Cauchy errors, without a standard deviation: risk is their scale, half the interquartile range."""

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        return clean + sd * rng.standard_cauchy(clean.shape)


@dataclass(frozen=True)
class Outliers(Noise):
    """Independent Gaussian errors, a few of which come from a much wider Gaussian; standard deviation 1 in all.

    Attributes
    ----------
    share
        Probability of an outlier, in [0, 1].
    size
        Standard deviation of outliers over that of the other errors.

    Raises
    ------
    ConfigError
        If the share is no probability or the size not positive.
    """

    share: float = 0.05
    size: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError("share", f"{self.share} outside [0, 1]", "Give the probability of an outlier.")
        if not self.size > 0:
            raise ConfigError("size", f"{self.size} is not positive", "Give the ratio of the standard deviations.")

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        wide = np.where(rng.random(clean.shape) < self.share, self.size, 1.0)
        scale = sd * wide / np.sqrt(1 - self.share + self.share * self.size**2)
        return np.asarray(clean + scale * rng.standard_normal(clean.shape))


@dataclass(frozen=True)
class AR1(Noise):
    """Stationary Gaussian errors with correlation keep^lag between the steps of one variable.

    Attributes
    ----------
    keep
        Correlation of neighbouring steps, in (-1, 1).

    Raises
    ------
    ConfigError
        If `keep` is outside (-1, 1).
    """

    keep: float = 0.9

    def __post_init__(self) -> None:
        if not -1 < self.keep < 1:
            raise ConfigError("keep", f"{self.keep} outside (-1, 1)", "Give the correlation of neighbouring steps.")

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        fresh = rng.standard_normal(clean.shape)
        fresh[..., 1:, :] *= np.sqrt(1 - self.keep**2)
        return np.asarray(clean + sd * lfilter([1.0], [1.0, -self.keep], fresh, axis=-2), dtype=np.float64)


@dataclass(frozen=True)
class WalkDrift(Noise):
    """A random walk from 0 before the first step, one an item and variable.

    Its mean square over the steps is r^2 on average, so that the walk ends at a standard deviation of almost sqrt(2) r.
    """

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        walk = np.cumsum(rng.standard_normal(clean.shape), axis=-2)
        return np.asarray(clean + sd * walk / np.sqrt((clean.shape[-2] + 1) / 2))


@dataclass(frozen=True)
class LinearDrift(Noise):
    """A straight line from 0 before the first step, of Gaussian slope, one an item and variable.

    Its mean square over the steps is r^2 on average, so that the line ends at a standard deviation of almost sqrt(3) r.
    """

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        *items, steps, channels = clean.shape
        line = np.arange(1, steps + 1) / np.sqrt((steps + 1) * (2 * steps + 1) / 6)
        return np.asarray(clean + sd * line[:, None] * rng.standard_normal((*items, 1, channels)))


@dataclass(frozen=True)
class Quantised(Noise):
    """Rounding to multiples of sqrt(12) r; for a display of step D, risk is D / sqrt(12).

    The standard deviation is r where the signal spreads over several multiples. Where it does not, the error is no
    noise but stays the same from reading to reading.
    """

    def _read(self, rng: np.random.Generator, clean: Floats, sd: Floats) -> Floats:
        step = np.where(sd > 0, np.sqrt(12) * sd, 1.0)
        return np.where(sd > 0, step * np.round(clean / step), clean)


NOISES: Mapping[str, Noise] = {
    "gaussian": Gaussian(),
    "laplace": Laplace(),
    "uniform": Uniform(),
    "student-t": StudentT(),
    "cauchy": Cauchy(),
    "outliers": Outliers(),
    "ar1": AR1(),
    "walk": WalkDrift(),
    "linear": LinearDrift(),
    "quantised": Quantised(),
}
"""One law of each kind, by name."""
