"""Values that were imputed before: taken back to the measurement behind them, or forgotten; never silently."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from oracles.gaussian import GaussianOracle, exponential_covariance
from rstime.errors import ConfigError, DataError
from rstime.risk.upstream import undo_imputation

REAL = st.floats(-10, 10)
POSITIVE = st.floats(0.05, 20)


@given(y=REAL, r=POSITIVE, mean=REAL, sd=POSITIVE)
def test_deshrinking_gives_back_the_measurement(y: float, r: float, mean: float, sd: float) -> None:
    """m = mu + P / (P + r^2) (y - mu) with variance P r^2 / (P + r^2) is what a Gaussian prior makes of y."""
    prior = sd**2
    m = mean + prior / (prior + r**2) * (y - mean)
    spread = math.sqrt(prior * r**2 / (prior + r**2))
    value, risk = undo_imputation([m], [spread], [True], treatment="deshrink", mean=mean, variance=prior)
    tolerance = 1e-9 * (1 + (r / sd) ** 2) ** 2  # a weak measurement is a small part of the estimate
    assert risk[0] == pytest.approx(r, rel=1e-9 + tolerance)
    assert value[0] == pytest.approx(y, rel=1e-9, abs=1e-9 + 20 * tolerance)


def test_a_deshrunk_estimate_answers_as_the_measurement_did() -> None:
    """One of eight readings was replaced by its own posterior mean: the posterior of all is as before."""
    oracle = GaussianOracle(torch.full((8,), 2.0), exponential_covariance(8, 4.0))
    rng = np.random.default_rng(0)
    y, r = rng.normal(2, 1, 8), rng.uniform(1.0, 2.0, 8)
    m, sd = y.copy(), r.copy()
    m[3], sd[3] = 2 + (y[3] - 2) / (1 + r[3] ** 2), r[3] / math.sqrt(1 + r[3] ** 2)
    chosen = np.arange(8) == 3
    exact = oracle.posterior(torch.tensor(y), torch.tensor(r))
    value, risk = undo_imputation(m, sd, chosen, treatment="deshrink", mean=2.0, variance=1.0)
    for found, wanted in zip(oracle.posterior(torch.tensor(value), torch.tensor(risk)), exact, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)
    taken = oracle.posterior(torch.tensor(m), torch.tensor(sd))[1][3, 3]  # as if it were a measurement
    assert taken < 0.9 * exact[1][3, 3]


def test_an_estimate_taken_for_a_measurement_claims_too_little() -> None:
    """The claim is P s^2 / (P + s^2) with s^2 the variance of the estimate; the error made is larger by (1 + g)^2."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=200_000)
    r = 0.8
    m, sd = (x + r * rng.normal(size=x.size)) / (1 + r**2), r / math.sqrt(1 + r**2)
    naive = m / (1 + sd**2)
    claimed = sd**2 / (1 + sd**2)
    assert np.mean((naive - x) ** 2) == pytest.approx(sd**2 + (sd**2 / (1 + sd**2)) ** 2 * (1 - sd**2), rel=0.01)
    assert np.mean((naive - x) ** 2) / claimed > 1.4
    y, rho = undo_imputation(m, sd, np.ones(x.size, bool), treatment="deshrink", mean=0.0, variance=1.0)
    right, said = y / (1 + rho**2), rho**2 / (1 + rho**2)
    assert np.mean((right - x) ** 2 / said) == pytest.approx(1, rel=0.01)


def test_forgotten_estimates_are_missing_and_the_rest_stays() -> None:
    value, sd = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.1, 0.2], [0.3, 0.4]])
    m, r = undo_imputation(value, sd, [[True, False], [False, True]], treatment="missing")
    np.testing.assert_array_equal(m, [[math.nan, 2.0], [3.0, math.nan]])
    np.testing.assert_array_equal(r, [[math.inf, 0.2], [0.3, math.inf]])
    assert (value[0, 0], sd[0, 0]) == (1.0, 0.1)


def test_measurements_are_left_alone_whatever_their_sd() -> None:
    given_value, given_sd = [5.0, math.nan, 1.0], [0.0, math.inf, 9.0]
    value, sd = undo_imputation(given_value, given_sd, [False] * 3, treatment="deshrink", mean=0.0, variance=1.0)
    np.testing.assert_array_equal(value, given_value)
    np.testing.assert_array_equal(sd, given_sd)


def test_one_sd_and_one_prior_a_variable_broadcast() -> None:
    mean, variance = np.array([0.0, 10.0]), np.array([1.0, 4.0])
    y, r = undo_imputation([[0.5, 11.0]] * 2, [0.5, 1.0], True, treatment="deshrink", mean=mean, variance=variance)
    np.testing.assert_allclose(r, [[math.sqrt(1 / 3), math.sqrt(4 / 3)]] * 2)
    np.testing.assert_allclose(y, [[2 / 3, 10 + 4 / 3]] * 2)


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"treatment": "drop"}, ConfigError, 'treatment: \'drop\' is unknown. Choose "missing" or "deshrink".'),
        ({"treatment": "deshrink"}, ConfigError, 'mean, variance: absent for treatment="deshrink"'),
        ({"treatment": "deshrink", "mean": 0.0}, ConfigError, "mean, variance: absent"),
        ({"treatment": "deshrink", "mean": 0.0, "variance": 0.25}, DataError, "sd: 0.5 of an estimate under a prior"),
        ({"treatment": "deshrink", "mean": 0.0, "variance": 0.2}, DataError, "sd: 0.5 of an estimate under a prior"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        undo_imputation([1.0], [0.5], [True], **settings)


@pytest.mark.parametrize("sd", [0.0, math.inf, math.nan])
def test_an_estimate_needs_an_sd_of_its_own(sd: float) -> None:
    with pytest.raises(DataError, match="It has to lie between 0 and that of the prior"):
        undo_imputation([1.0], [sd], [True], treatment="deshrink", mean=0.0, variance=1.0)
