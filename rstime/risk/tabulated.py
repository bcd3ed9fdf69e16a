"""Families of noise whose characteristic function is tabulated: the Cauchy law cut off, and any law given by samples.

All have mean 0 and variance 1; see families.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError, ModelFileError
from rstime.risk.correlated import Correlated
from rstime.risk.families import TINY, Cauchy, Family, Gaussian, Laplace, Outliers, Quantised, StudentT, Uniform
from rstime.types import Floats

FREQUENCIES = np.linspace(0, 8, 401)
"""Where they are tabulated; the weight exp(-w^2) has nothing beyond."""


@dataclass(frozen=True)
class CutCauchy(Family):
    """The Cauchy law between -ratio and ratio times its half width, brought to variance 1.

    Attributes
    ----------
    ratio
        Where it is cut, positive.

    Raises
    ------
    ConfigError
        If the ratio is not positive and finite.
    """

    kind = "cut-cauchy"
    margin = 2.0
    ratio: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.ratio < math.inf:
            raise ConfigError("ratio", f"{self.ratio} is not positive", "Give the cut in half widths.")

    @property
    def sd(self) -> float:
        """Standard deviation in half widths: the root of ratio / arctan(ratio) - 1."""
        return float(cut_sd(1.0, self.ratio))

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        angle = math.atan(self.ratio)
        return np.asarray(np.tan(rng.uniform(-angle, angle, shape)) / self.sd)

    def _log_chi(self, w: Floats) -> Floats:
        return np.interp(w, FREQUENCIES, _cut_table(self), right=math.nan)


def cut_sd(half_width: ArrayLike, bound: float) -> Floats:
    """Return the standard deviation of Cauchy noise that is left between -bound and bound.

    h sqrt(b / arctan(b) - 1) with b = bound / h; a third of bound^2 is the variance as h grows.

    Examples
    --------
    >>> cut_sd([0.0, 0.3, 1e9], 4.0).round(3).tolist()
    [0.0, 0.844, 2.309]
    """
    h = np.asarray(half_width, dtype=np.float64)
    b = bound / np.where(h > 0, h, 1.0)
    wide = b < 1e-3
    ratio = np.where(wide, 1.0, b)
    found = np.where(wide, bound / math.sqrt(3), h * np.sqrt(ratio / np.arctan(ratio) - 1))
    return np.where(h > 0, found, 0.0)


@dataclass(frozen=True)
class Sampled(Family):
    """Any law, given by samples of it; made by `from_samples`.

    log |chi| is that of |mean exp(i w e)|^2 with its bias 1/n taken off, and not known (NaN) from the first w on where
    that is below 16/n: no more than noise in the samples would make.

    Attributes
    ----------
    samples
        Of mean 0 and variance 1.
    """

    kind = "samples"
    margin = 2.0
    samples: tuple[float, ...]

    def _draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
        return rng.choice(np.array(self.samples), size=shape)

    def _log_chi(self, w: Floats) -> Floats:
        return np.interp(w, FREQUENCIES, _sampled_table(self), right=math.nan)


LEAST = 100
"""Samples that a family needs."""


def from_samples(samples: ArrayLike) -> Sampled:
    """Return the family of these errors, in any unit: their mean is taken off, and they are divided by their sd.

    The mean of an error is no noise: correct the readings for it.

    Raises
    ------
    DataError
        If there are fewer than 100 samples, one is not finite, or all are the same.

    Examples
    --------
    >>> family = from_samples(np.random.default_rng(0).laplace(size=10000))
    >>> bool(abs(family.log_chi(1.0) - Laplace().log_chi(1.0)) < 0.03)
    True
    """
    e = np.asarray(samples, dtype=np.float64).ravel()
    if len(e) < LEAST:
        raise DataError("samples", f"{len(e)} of them", f"Give {LEAST} or more, or choose a family by name.")
    if not np.all(np.isfinite(e)):
        raise DataError("samples", f"{e[~np.isfinite(e)][0]} among them", "Leave out what is missing.")
    sd = e.std(ddof=1)
    if not sd > 0:
        raise DataError("samples", f"all are {e[0]}", "Give errors that differ.")
    return Sampled(tuple(((e - e.mean()) / sd).tolist()))


@lru_cache(maxsize=32)
def _cut_table(family: CutCauchy) -> Floats:
    angle = math.atan(family.ratio) * (np.arange(4000) + 0.5) / 4000
    chi = np.array([np.cos(w * np.tan(angle) / family.sd).mean() for w in FREQUENCIES])
    return np.asarray(np.log(np.abs(chi).clip(TINY)))


@lru_cache(maxsize=8)
def _sampled_table(family: Sampled) -> Floats:
    e, n = np.array(family.samples), len(family.samples)
    square = np.array([abs(np.exp(1j * w * e).mean()) ** 2 for w in FREQUENCIES])
    known = np.cumprod(square > 16 / n).astype(bool)
    unbiased = np.where(known, (n * square - 1) / (n - 1), 1.0)
    return np.asarray(np.where(known, np.log(unbiased) / 2, math.nan))


_KINDS: Mapping[str, type[Family]] = {
    one.kind: one for one in (Gaussian, Laplace, Uniform, Quantised, StudentT, Outliers, Cauchy, CutCauchy, Sampled)
}


def read_family(state: Mapping[str, Any]) -> Family:
    """Read back what `Family.to_dict` made.

    Raises
    ------
    ModelFileError
        If an entry is absent, of another kind, or not allowed.
    """
    try:
        rest = {name: value for name, value in state.items() if name != "kind"}
        if state["kind"] == Sampled.kind:
            return from_samples(rest["samples"])
        if state["kind"] == Correlated.kind:
            return Correlated(*(tuple(map(float, rest[name])) for name in ("shares", "memories")))
        return _KINDS[state["kind"]](**{name: float(value) for name, value in rest.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise ModelFileError("noise", f"cannot be read ({error})", "Save the model again.") from error
