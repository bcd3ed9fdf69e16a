"""Where the Gaussian of matched size stands for a family of noise, in closed form (theory 5).

Clean values x ~ .3 N(-1, .25^2) + .7 N(1, .25^2), of sd .95, by quadrature over the noise: no draw, no training.
Printed by `python -m rstime.evaluation.family_study marginals`.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy import stats

from rstime.errors import ConfigError
from rstime.noise_rule import CUT
from rstime.risk.families import Cauchy, Family, Laplace, Outliers, StudentT, Uniform
from rstime.risk.matching import coefficient
from rstime.risk.tabulated import CutCauchy, cut_sd
from rstime.types import Floats

SHARES, CENTRES, HUMP = (0.3, 0.7), (-1.0, 1.0), 0.25
POWER = HUMP**2 + sum(p * c**2 for p, c in zip(SHARES, CENTRES, strict=True)) - 0.4**2

THEORY = (
    ("Laplace, b .4", Laplace(), 0.4 * math.sqrt(2), 1.5),
    ("Student-t 3, r .3", StudentT(3.0), 0.3 * math.sqrt(3), 1.5),
    ("uniform, a .8", Uniform(), 0.8 / math.sqrt(3), 1.5),
    ("Cauchy, r .3", Cauchy(), 0.3, 1.5),
    ("Cauchy, r .3", Cauchy(), 0.3, 0.8),
)
"""Noise in the units of theory 5, its risk, and the level."""


def draw_clean(rng: np.random.Generator, count: int) -> Floats:
    """Draw clean values, (N,)."""
    return np.asarray(rng.choice(CENTRES, count, p=SHARES) + HUMP * rng.standard_normal(count))


def atoms(family: Family, count: int = 4000) -> tuple[Floats, Floats]:
    """Return noise e as equally likely quantiles and their weights, for quadrature."""
    u = (np.arange(count) + 0.5) / count
    if isinstance(family, Outliers):
        normal, sd = stats.norm.ppf(u), math.sqrt(family.inner)
        weight = np.repeat([1 - family.share, family.share], count) / count
        return np.concatenate([sd * normal, sd * family.size * normal]), weight
    if isinstance(family, Laplace):
        e = math.sqrt(0.5) * stats.laplace.ppf(u)
    elif isinstance(family, StudentT):
        e = math.sqrt(1 - 2 / family.freedom) * stats.t(family.freedom).ppf(u)
    elif isinstance(family, Uniform):
        e = math.sqrt(3) * (2 * u - 1)
    elif isinstance(family, Cauchy):
        e = stats.cauchy.ppf(u)
    else:
        raise ConfigError("family", f"no quantiles of {family.kind} noise", "Give one with a closed form.")
    return np.asarray(e), np.full(count, 1 / count)


def total_variation(family: Family, risk: float, tau: float, matched: bool = True) -> float:
    """Return the total variation between x + tau e and y + v e', v^2 = tau^2 - c r^2 (c = 0 if not matched)."""
    c = coefficient(family, risk / math.sqrt(POWER + tau**2)) if matched else 0.0
    spread = math.sqrt(HUMP**2 + max(tau**2 - c * risk**2, 0.0))
    e, weight = atoms(family)
    reach = 12 * math.sqrt(POWER + tau**2)
    m = np.linspace(-reach, reach, 401)
    noisy = []
    for centre in CENTRES:
        parts = [weight @ stats.norm.pdf(x - risk * e[:, None], centre, spread) for x in np.array_split(m, 8)]
        noisy.append(np.concatenate(parts))
    clean = [stats.norm.pdf(m, c, math.hypot(HUMP, tau)) for c in CENTRES]
    gap = sum(p * (a - b) for p, a, b in zip(SHARES, noisy, clean, strict=True))
    outside = 1 - sum(p * float(np.trapezoid(a, m)) for p, a in zip(SHARES, noisy, strict=True))
    return float(np.trapezoid(np.abs(gap), m) + outside) / 2


def marginals() -> pd.DataFrame:
    """Return the distances of theory 5, matched and with the noise ignored."""
    rows = [
        {
            "noise": name,
            "level": tau,
            "matched": total_variation(family, risk, tau),
            "ignored": total_variation(family, risk, tau, matched=False),
        }
        for name, family, risk, tau in THEORY
    ]
    return pd.DataFrame(rows)


def denoised(m: Floats, tau: float) -> Floats:
    """Return E[x | x + tau e = m] of the clean law."""
    spread = math.hypot(HUMP, tau)
    weight = np.array([p * stats.norm.pdf(m, c, spread) for p, c in zip(SHARES, CENTRES, strict=True)])
    means = np.array([c + (HUMP / spread) ** 2 * (m - c) for c in CENTRES])
    return np.asarray((weight * means).sum(0) / weight.sum(0))


def learned(m: Floats, half_width: float, v: float, tau: float, bound: float) -> Floats:
    """Return what readings |y| <= bound with Cauchy noise teach: E[y - ((tau^2 - v^2) / v) e | y + v e = m]."""
    reach = min(bound, 300.0)
    y = np.linspace(-reach, reach, 12001 if reach > 50 else 2001)
    law = sum(
        p * stats.cauchy.pdf(y[:, None], c + HUMP * z, half_width) @ w
        for p, c in zip(SHARES, CENTRES, strict=True)
        for z, w in [_gauss()]
    )
    joint = law * stats.norm.pdf(m[:, None], y, v)
    e = (m[:, None] - y) / v
    return np.asarray((joint * (y - (tau**2 - v**2) / v * e)).sum(1) / joint.sum(1))


def _gauss() -> tuple[Floats, Floats]:
    z, w = np.polynomial.hermite_e.hermegauss(40)
    return z, w / w.sum()


def cauchy(half_width: float = 0.3) -> pd.DataFrame:
    """Return the rms error of what Cauchy readings teach, over |m| < 4 sd, by level, cut or not.

    Uncut readings are raised as theory 5 says, c r^2 linear in r; of cut ones the shape or the sd alone is matched.
    """
    power, rows = math.sqrt(POWER), []
    bound = CUT * power
    ratio, sd = bound / half_width, float(cut_sd(half_width, bound))
    for tau in (1.5, 2.0, 3.0):
        m = np.linspace(-4, 4, 161) * math.hypot(power, tau)
        density = sum(p * stats.norm.pdf(m, c, math.hypot(HUMP, tau)) for p, c in zip(SHARES, CENTRES, strict=True))
        kappa = 1 / math.hypot(power, tau)
        row = {"level": tau}
        for name, square, edge in (
            ("not cut", coefficient(Cauchy(), half_width * kappa) * half_width**2, math.inf),
            ("cut, its sd", sd**2, bound),
            ("cut, its shape", coefficient(CutCauchy(ratio), sd * kappa) * sd**2, bound),
            ("ignored", 0.0, math.inf),
        ):
            told = learned(m, half_width, math.sqrt(tau**2 - square), tau, edge)
            row[name] = math.sqrt(density @ (told - denoised(m, tau)) ** 2 / density.sum())
        rows.append(row)
    return pd.DataFrame(rows)
