"""The Gaussian of matched size: closed forms of c, the paper's, the safe level, and how near the marginals come."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rstime.errors import ConfigError
from rstime.risk.families import FAMILIES, Cauchy, Family, Gaussian, Laplace, Outliers, StudentT, Uniform
from rstime.risk.matching import coefficient, effective, paper_coefficient, safe_level
from rstime.risk.tabulated import CutCauchy, from_samples

FINITE = [family for family in FAMILIES.values() if family.variance == 1]


def test_gaussian_noise_is_matched_by_itself_at_every_level() -> None:
    for kappa in (0.0, 0.01, 0.5, 3.0):
        assert coefficient(Gaussian(), kappa) == pytest.approx(1, abs=1e-9)


def test_cauchy_noise_is_linear_in_the_risk() -> None:
    for kappa in (0.1, 0.5, 2.0):
        assert coefficient(Cauchy(), kappa) == pytest.approx(8 / (3 * math.sqrt(math.pi) * kappa), rel=1e-6)


@pytest.mark.parametrize("family", FINITE, ids=lambda x: x.kind)
def test_far_above_the_noise_its_variance_is_matched(family: Family) -> None:
    assert coefficient(family, 0.0) == 1
    assert coefficient(family, 1e-3) == pytest.approx(1, abs=3e-3)


def test_first_order_of_finite_kurtosis() -> None:
    # ln chi = -w^2/2 + k w^4/24: c = 1 - k kappa^2/12 * (15/4) / (3/2), k the excess kurtosis 3 and -6/5
    for family, kurtosis in ((Laplace(), 3.0), (Uniform(), -1.2)):
        assert coefficient(family, 0.05) == pytest.approx(1 - kurtosis * 0.05**2 / 12 * 2.5, abs=3e-5)


def test_theory_units_of_scale() -> None:
    """Scale b, a and the t's own r: 2 b^2, a^2/3 and nu r^2/(nu-2) are variances that r^2 stands for."""
    for kappa in (0.2, 0.6):
        w = (np.arange(4000) + 0.5) * (6.5 / 4000)
        weight = np.exp(-(w**2)) * w**2
        plain = -2 * (weight @ -np.log1p((kappa * w) ** 2)) / (kappa**2 * (weight @ w**2))  # Laplace of b = 1
        assert 2 * coefficient(Laplace(), math.sqrt(2) * kappa) == pytest.approx(plain, rel=1e-5)
        x = math.sqrt(3) * kappa * w  # t of 3 degrees of freedom and scale 1
        plain = -2 * (weight @ (np.log1p(x) - x)) / (kappa**2 * (weight @ w**2))
        assert 3 * coefficient(StudentT(3.0), math.sqrt(3) * kappa) == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("dimension", [1, 2, 5, 50])
def test_the_coefficient_of_the_paper(dimension: int) -> None:
    assert paper_coefficient(Cauchy(), dimension) == pytest.approx((dimension + 2) / (dimension + 5), rel=1e-7)
    assert paper_coefficient(Gaussian(), dimension) == pytest.approx(1, rel=1e-9)


def test_the_paper_in_numbers() -> None:
    # moments of |chi| = (1 + w) exp(-w), w -> ln chi = ln(1 + w) - w: mass 2, of w^2 8, of w^4 144
    w = (np.arange(200000) + 0.5) * (60 / 200000)
    chi = (1 + w) * np.exp(-w)
    want = -2 * np.sum(chi * w**2 * (np.log1p(w) - w)) / np.sum(chi * w**4)
    assert paper_coefficient(StudentT(3.0)) == pytest.approx(want, rel=1e-6)
    with pytest.raises(ConfigError, match="family: laplace noise has no finite weight"):
        paper_coefficient(Laplace())


def test_samples_have_the_coefficient_of_their_law() -> None:
    rng = np.random.default_rng(0)
    for family in (Laplace(), Uniform(), Outliers()):
        sampled = from_samples(family.draw(rng, (20000,)))
        for kappa in (0.2, 0.5):
            assert coefficient(sampled, kappa) == pytest.approx(coefficient(family, kappa), abs=0.03)


def test_effective_risk_follows_the_level() -> None:
    assert effective(Gaussian(), 0.7, 1.0) == 0.7
    tau = np.array([0.6, 1.2, math.inf])
    found = effective(Laplace(), np.full(3, 0.6), tau)
    want = [0.6 * math.sqrt(coefficient(Laplace(), 0.6 / math.hypot(1, t))) for t in tau[:2].tolist()]
    np.testing.assert_allclose(found, [*want, 0.6], rtol=1e-4)
    assert np.all(np.diff(found) > 0)


@pytest.mark.parametrize("family", [*FINITE, CutCauchy(10.0)], ids=lambda x: x.kind)
@pytest.mark.parametrize("risk", [0.1, 0.6, 1.5])
def test_the_safe_level_is_the_least(family: Family, risk: float) -> None:
    safe = safe_level(family, risk)
    assert safe >= risk
    assert safe >= family.margin * float(effective(family, risk, safe)) - 1e-3
    if safe > risk:
        below = max(0.98 * safe, risk)
        assert below < family.margin * float(effective(family, risk, below))


def test_safe_levels_of_cauchy_noise_that_is_not_cut() -> None:
    level = safe_level(Cauchy(), 0.3)
    assert level**2 == pytest.approx(4 * 8 / (3 * math.sqrt(math.pi)) * 0.3 * math.hypot(1, level))
    assert safe_level(Cauchy(), 0.0) == 0.0
