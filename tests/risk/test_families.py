"""Families of noise: what is drawn has the stated characteristic function, and samples say what they know."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from rstime.errors import ConfigError, DataError, ModelFileError
from rstime.risk.families import (
    FAMILIES,
    Cauchy,
    Family,
    Gaussian,
    Laplace,
    Outliers,
    Quantised,
    StudentT,
    Uniform,
    family_named,
)
from rstime.risk.tabulated import CutCauchy, Sampled, cut_sd, from_samples, read_family

LAWS = [*FAMILIES.values(), StudentT(5.0), Outliers(0.1, 5.0), CutCauchy(4.0), CutCauchy(40.0)]
W = np.array([0.2, 0.7, 1.5])


@pytest.mark.parametrize("family", LAWS, ids=repr)
def test_draws_have_the_characteristic_function_and_the_variance(family: Family) -> None:
    e = family.draw(np.random.default_rng(0), (100, 2000))
    assert e.shape == (100, 2000)
    found = [abs(np.exp(1j * w * e).mean()) for w in W.tolist()]
    np.testing.assert_allclose(np.exp(family.log_chi(W)), found, atol=0.008)
    np.testing.assert_allclose(family.log_chi(-W), family.log_chi(W))
    assert float(family.log_chi(0.0)) == pytest.approx(0.0, abs=1e-15)
    if family.variance == 1 and family != StudentT(3.0):  # whose sample variance hardly settles
        assert e.var() == pytest.approx(1, rel=0.03)


def test_closed_forms() -> None:
    x = W * math.sqrt(1)
    np.testing.assert_allclose(StudentT(3.0).log_chi(W), np.log1p(x) - x, rtol=1e-12)
    x = W * math.sqrt(3)
    np.testing.assert_allclose(StudentT(5.0).log_chi(W), np.log(1 + x + x**2 / 3) - x, rtol=1e-12)
    assert float(StudentT(100.0).log_chi(1e-9)) == pytest.approx(-5e-19)
    assert float(StudentT(100.0).log_chi(1.0)) == pytest.approx(-0.5, abs=0.01)
    np.testing.assert_allclose(np.exp(Laplace().log_chi(W)), 1 / (1 + W**2 / 2))
    np.testing.assert_allclose(np.exp(Quantised().log_chi(W)), np.sin(math.sqrt(3) * W) / (math.sqrt(3) * W))
    inner, outer = 1 / 5.95, 100 / 5.95
    want = 0.95 * np.exp(-inner * W**2 / 2) + 0.05 * np.exp(-outer * W**2 / 2)
    np.testing.assert_allclose(np.exp(Outliers().log_chi(W)), want)
    assert np.isfinite(Uniform().log_chi(math.pi / math.sqrt(3)))  # a zero of chi


def test_cut_cauchy_has_the_sd_that_its_risk_says() -> None:
    e = np.random.default_rng(0).standard_cauchy(10**6)
    for half, bound in ((1.0, 4.0), (0.1, 4.0), (20.0, 3.0)):
        kept = half * e[np.abs(half * e) <= bound]
        assert kept.std() == pytest.approx(float(cut_sd(half, bound)), rel=0.01)


def test_samples_of_any_unit_are_a_family() -> None:
    rng = np.random.default_rng(0)
    family = from_samples(5 + 3 * rng.laplace(size=20000))
    np.testing.assert_allclose(np.exp(family.log_chi(W)), np.exp(Laplace().log_chi(W)), atol=0.02)
    again = family.draw(rng, (50000,))
    assert (again.mean(), again.std()) == pytest.approx((0, 1), abs=0.02)


def test_samples_do_not_tell_where_their_noise_is_as_large() -> None:
    few, many = (from_samples(np.random.default_rng(1).normal(size=n)) for n in (400, 40000))
    known = [family.log_chi(np.linspace(0, 10, 501)) for family in (few, many)]
    ends = [np.linspace(0, 10, 501)[np.isnan(one).argmax()] for one in known]
    # |chi| = exp(-w^2 / 2) meets 4 / sqrt(n) at w = 1.79 and 2.80
    np.testing.assert_allclose(ends, [1.79, 2.80], atol=0.25)
    for one, end in zip(known, ends, strict=True):
        assert np.isnan(one[np.linspace(0, 10, 501) >= end]).all()  # and never again


def test_the_bias_of_a_squared_mean_is_taken_off() -> None:
    squares = []
    for seed in range(1000):
        e = np.random.default_rng(seed).normal(size=100)
        squares.append(math.exp(2 * float(Sampled(tuple(e.tolist())).log_chi(1.0))))
    # of the plain square it would be exp(-1) + (1 - exp(-1)) / 100, .0063 more; its standard error is .0017
    assert np.mean(squares) == pytest.approx(math.exp(-1), abs=0.0045)


SAMPLES = from_samples(np.random.default_rng(0).normal(size=100))


@pytest.mark.parametrize("family", [*LAWS, SAMPLES], ids=lambda x: x.kind)
def test_families_come_back_from_json(family: Family) -> None:
    back = read_family(json.loads(json.dumps(family.to_dict())))
    assert type(back) is type(family)
    np.testing.assert_allclose(back.log_chi([0.3, 1.0]), family.log_chi([0.3, 1.0]))
    if not isinstance(family, Sampled):
        assert back == family


def test_names() -> None:
    assert family_named("student-t") == StudentT(3.0)
    assert family_named(Cauchy()) == Cauchy()
    assert (Gaussian.margin, Uniform.margin, Cauchy.margin) == (1.0, 1.5, 2.0)
    with pytest.raises(ConfigError, match=r"noise: 'poisson' is unknown\. Choose one of gaussian, laplace, uniform"):
        family_named("poisson")


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: StudentT(2.0), "freedom: 2.0 degrees of freedom. Give more than 2"),
        (lambda: StudentT(200.0), "freedom: 200.0 degrees of freedom"),
        (lambda: Outliers(1.0), r"share: 1.0 outside \(0, 1\)"),
        (lambda: Outliers(0.1, 0.0), "size: 0.0 is not positive"),
        (lambda: CutCauchy(0.0), "ratio: 0.0 is not positive"),
    ],
)
def test_impossible_laws_are_refused(make: object, text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    ("samples", "text"),
    [
        (np.zeros(99), "samples: 99 of them. Give 100 or more"),
        (np.full(100, np.nan), "samples: nan among them"),
        (np.full(100, 3.0), r"samples: all are 3.0"),
    ],
)
def test_samples_that_tell_nothing_are_refused(samples: np.ndarray, text: str) -> None:
    with pytest.raises(DataError, match=text):
        from_samples(samples)


@pytest.mark.parametrize(
    "state",
    [{}, {"kind": "x"}, {"kind": "student-t", "freedom": 1.0}, {"kind": "laplace", "b": 1}, {"kind": "samples"}],
)
def test_damaged_files_are_refused(state: dict[str, object]) -> None:
    with pytest.raises(ModelFileError, match="noise: cannot be read"):
        read_family(state)
