"""The Gaussian of matched size: what of a family of noise the risk-sensitive SDE can take off (theory 5).

Only Gaussian noise can be continued to a higher level exactly (Li et al., App. F). For another family the least
instability, a weighted mean square of the difference of log-characteristic functions, is reached by taking off c r^2,

    v(r, t)^2 = max(0, v^2 - c u^2 r^2),     c r^2 = -2 int W w^2 ln|chi(r w)| dw / int W w^4 dw

that is, the noise counts as Gaussian with the effective risk sqrt(c) r. That falls short at levels that are not well
above it: a reading teaches from a safe level on.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad
from scipy.optimize import brentq

from rstime.errors import ConfigError
from rstime.risk.families import Family, Gaussian, Laplace, Uniform
from rstime.risk.tabulated import Sampled
from rstime.types import Floats

NODES = (np.arange(8192) + 0.5) * (6.5 / 8192)
"""Frequencies of the quadrature, in units of the weight: the midpoint rule bears the zeros of a chi."""

KAPPAS = np.linspace(0, 1, 65)
"""Where c is tabulated: risk over the spread of data at the level; below 1 at levels above the risk."""


def coefficient(family: Family, kappa: float) -> float:
    """Return c with the weight exp(-w^2 (u^2 P + v^2)), the square of a Gaussian's chi at the level (ours).

    c = -2 int exp(-w^2) w^2 ln|chi(kappa w)| dw / (kappa^2 3 sqrt(pi) / 4)

    Parameters
    ----------
    family
        Of the noise. Of samples only the frequencies count at which their chi is known, above the line and below.
    kappa
        u r / sqrt(u^2 P + v^2), not negative: the risk over the sd that data of variance P have at the level.

    Returns
    -------
    float
        1 for Gaussian noise; the variance at 0; 8 / (3 sqrt(pi) kappa) for Cauchy noise.

    Examples
    --------
    >>> from rstime.risk.families import Cauchy
    >>> round(coefficient(Laplace(), 0.5), 3), round(coefficient(Cauchy(), 0.5), 3)
    (0.877, 3.009)
    """
    if kappa == 0:
        return family.variance
    value = family.log_chi(kappa * NODES)
    weight = np.where(np.isnan(value), 0.0, np.exp(-(NODES**2)) * NODES**2)
    return float(-2 * (weight @ np.nan_to_num(value)) / (kappa**2 * (weight @ NODES**2)))


def paper_coefficient(family: Family, dimension: int = 1) -> float:
    """Return c with the weight |chi| of the noise itself, in any number of independent coordinates of the same risk.

    This is the weight with which Cauchy noise has the paper's (D + 2) / (D + 5) under a VE SDE; it does not depend on
    the level.

    Raises
    ------
    ConfigError
        If the weight leaves nothing finite, as for Laplace and uniform noise, whose |chi| falls too slowly, or if it is
        not known, as of samples.

    Examples
    --------
    >>> from rstime.risk.families import Cauchy
    >>> [round(paper_coefficient(Cauchy(), d) * (d + 5), 6) for d in (1, 2, 10)]
    [3.0, 4.0, 12.0]
    """
    if isinstance(family, Laplace | Uniform | Sampled):
        remedy = "Use the weight of `coefficient`."
        raise ConfigError("family", f"{family.kind} noise has no finite weight |chi|", remedy)

    def mean(power: int, log: bool) -> float:
        def integrand(w: float) -> float:
            value = float(family.log_chi(w))
            return w**power * math.exp(value) * (-2 * value if log else 1.0)

        return float(quad(integrand, 0, math.inf, epsabs=1e-12, limit=200)[0])

    mass, others = mean(0, False), dimension - 1
    a0, a2, b2, b4 = (x / mass for x in (mean(0, True), mean(2, True), mean(2, False), mean(4, False)))
    return (a2 + others * a0 * b2) / (b4 + others * b2**2)


@lru_cache(maxsize=64)
def _table(family: Family) -> Floats:
    return np.array([coefficient(family, kappa) for kappa in KAPPAS.tolist()])


def effective(family: Family, risk: ArrayLike, tau: ArrayLike) -> Floats:
    """Return the effective risk sqrt(c) r at the level tau, both in sd of the clean data.

    Parameters
    ----------
    family
        Of finite variance.
    risk
        Finite, at most tau.
    tau
        Levels, inf allowed: the effective risk is then the risk itself.
    """
    r = np.asarray(risk, dtype=np.float64)
    if isinstance(family, Gaussian):
        return r
    return np.asarray(r * np.sqrt(np.interp(r / np.hypot(1.0, tau), KAPPAS, _table(family))))


def safe_level(family: Family, risk: float) -> float:
    """Return the least level from which a reading of this risk teaches, in sd of the clean data.

    The least tau >= risk that is `family.margin` times its effective risk sqrt(c) r: the risk for Gaussian noise, and
    1.5 or, with heavy tails, 2 times the effective risk for the others (theory 5).

    Examples
    --------
    >>> from rstime.risk.families import Cauchy
    >>> [round(safe_level(family, 0.3), 2) for family in (Gaussian(), Uniform(), Cauchy())]
    [0.3, 0.45, 2.02]
    """
    if risk == 0 or isinstance(family, Gaussian):
        return risk

    def short(tau: float) -> float:
        return tau - family.margin * math.sqrt(coefficient(family, risk / math.hypot(1.0, tau))) * risk

    high = risk
    while short(high) < 0:
        high *= 2
    return float(brentq(short, high / 2, high)) if high > risk else risk
