"""Families of measurement noise: how they are drawn, and their characteristic functions (theory 5).

A reading is y = x + r e. Every e here has mean 0 and variance 1, so that r, the risk, is the standard deviation of the
error; the Cauchy law alone has none, and r is half its width at half height. What of a family a Gaussian can stand for
is in matching.py.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, kve

from rstime.errors import ConfigError
from rstime.types import Floats

TINY = 1e-300
"""The least modulus whose logarithm is taken."""


@dataclass(frozen=True)
class Family(ABC):
    """A law of standardised noise e.

    Attributes
    ----------
    kind
        Its name in FAMILIES and in files.
    variance
        1; inf if there is none.
    margin
        From how many times its matched risk on a reading teaches: what is left of the family's shape is small there.
    """

    kind: ClassVar[str]
    variance: ClassVar[float] = 1.0
    margin: ClassVar[float] = 1.5

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        """Draw standardised noise e of this shape."""
        return np.asarray(self._draw(rng, shape), dtype=np.float64)

    def log_chi(self, w: ArrayLike) -> Floats:
        """Return log |E exp(i w e)| at each w; NaN where it is not known."""
        return np.asarray(self._log_chi(np.abs(np.asarray(w, dtype=np.float64))))

    @abstractmethod
    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats: ...

    @abstractmethod
    def _log_chi(self, w: Floats) -> Floats:
        """Return log |chi| at w >= 0."""

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Gaussian(Family):
    """What everything else in rstime assumes."""

    kind = "gaussian"
    margin = 1.0

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return rng.standard_normal(shape)

    def _log_chi(self, w: Floats) -> Floats:
        return np.asarray(-np.square(w) / 2)


@dataclass(frozen=True)
class Laplace(Family):
    """Density exp(-|e| / b) / (2 b) with b = 1 / sqrt(2)."""

    kind = "laplace"

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return rng.laplace(scale=math.sqrt(0.5), size=shape)

    def _log_chi(self, w: Floats) -> Floats:
        return np.asarray(-np.log1p(np.square(w) / 2))


@dataclass(frozen=True)
class Uniform(Family):
    """Uniform on [-a, a] with a = sqrt(3): a hard bound a r."""

    kind = "uniform"

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return rng.uniform(-math.sqrt(3), math.sqrt(3), shape)

    def _log_chi(self, w: Floats) -> Floats:
        return np.asarray(np.log(np.abs(np.sinc(math.sqrt(3) / math.pi * w)).clip(TINY)))


@dataclass(frozen=True)
class Quantised(Uniform):
    """Rounding to a step of sqrt(12) r: uniform on half a step to both sides, if the signal spreads over several steps.

    Where it does not, the error is a function of the clean value and no noise.
    """

    kind = "quantised"


@dataclass(frozen=True)
class StudentT(Family):
    """Student's t times sqrt((freedom - 2) / freedom).

    Attributes
    ----------
    freedom
        Degrees of freedom, above 2, up to 100; the fewer, the heavier the tails.

    Raises
    ------
    ConfigError
        If there is no standard deviation, or the law is a Gaussian in all but name.
    """

    kind = "student-t"
    freedom: float = 3.0

    def __post_init__(self) -> None:
        if not 2 < self.freedom <= 100:
            problem = f"{self.freedom} degrees of freedom"
            raise ConfigError("freedom", problem, "Give more than 2 and at most 100, or use Cauchy or Gaussian.")

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return np.asarray(math.sqrt(1 - 2 / self.freedom) * rng.standard_t(self.freedom, shape))

    def _log_chi(self, w: Floats) -> Floats:
        order, x = self.freedom / 2, math.sqrt(self.freedom - 2) * w
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            bessel = np.log(kve(order, x)) - x + order * np.log(x)
        value = bessel + (1 - order) * math.log(2) - gammaln(order)
        return np.where(np.isfinite(value), np.minimum(value, 0.0), -np.square(w) / 2)


@dataclass(frozen=True)
class Outliers(Family):
    """A Gaussian, of which a few draws come from a much wider one.

    Attributes
    ----------
    share
        Probability of an outlier, in (0, 1).
    size
        Standard deviation of outliers over that of the others.

    Raises
    ------
    ConfigError
        If the share is no such probability or the size not positive.
    """

    kind = "outliers"
    margin = 2.0
    share: float = 0.05
    size: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError("share", f"{self.share} outside (0, 1)", "Give the probability of an outlier.")
        if not 0 < self.size < math.inf:
            raise ConfigError("size", f"{self.size} is not positive", "Give the ratio of the standard deviations.")

    @property
    def inner(self) -> float:
        """Variance of what is no outlier."""
        return 1 / (1 - self.share + self.share * self.size**2)

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        wide = np.where(rng.random(shape) < self.share, self.size, 1.0)
        return np.asarray(math.sqrt(self.inner) * wide * rng.standard_normal(shape))

    def _log_chi(self, w: Floats) -> Floats:
        half = self.inner * np.square(w) / 2
        return np.logaddexp(math.log1p(-self.share) - half, math.log(self.share) - half * self.size**2)


@dataclass(frozen=True)
class Cauchy(Family):
    """Density 1 / (pi (1 + e^2)): no variance, and r is half its width at half height."""

    kind = "cauchy"
    variance = math.inf
    margin = 2.0

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return rng.standard_cauchy(shape)

    def _log_chi(self, w: Floats) -> Floats:
        return np.asarray(-w)


FAMILIES: Mapping[str, Family] = {
    one.kind: one for one in (Gaussian(), Laplace(), Uniform(), Quantised(), StudentT(), Outliers(), Cauchy())
}
"""One family of each kind, by name."""


def family_named(name: str | Family) -> Family:
    """Return the family of a name, or the family itself.

    Raises
    ------
    ConfigError
        If the name is unknown.
    """
    if isinstance(name, Family):
        return name
    if name not in FAMILIES:
        raise ConfigError("noise", f"{name!r} is unknown", f"Choose one of {', '.join(FAMILIES)}, or give a family.")
    return FAMILIES[name]
