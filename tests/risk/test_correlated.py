"""How long errors last: the law, and learning it from readings beside their reference."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from rstime.errors import ConfigError, DataError
from rstime.risk.correlated import Correlated, fit_correlated
from rstime.risk.tabulated import read_family
from rstime.types import Floats


def draw(rng: np.random.Generator, law: Correlated, time: Floats) -> Floats:
    lag = np.abs(time[:, None] - time[None])
    cov = law.correlation(lag)
    np.fill_diagonal(cov, 1.0)
    return np.asarray(np.linalg.cholesky(cov) @ rng.standard_normal(len(time)))


def test_the_correlation_is_the_sum_of_its_parts() -> None:
    law = Correlated((0.6, 0.3), (2.0, 30.0))
    assert law.white == pytest.approx(0.1)
    expected = [0.9, 0.6 * math.exp(-1.5) + 0.3 * math.exp(-0.1)]
    assert law.correlation([0.0, 3.0]).tolist() == pytest.approx(expected)
    assert law.draw(np.random.default_rng(0), (10_000,)).std() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(
    "law", [Correlated((0.6, 0.3), (3.0, 60.0)), Correlated((0.5,), (1e4,)), Correlated((1.0,), (8.0,))]
)
def test_it_is_learned_from_known_errors(law: Correlated) -> None:
    rng = np.random.default_rng(0)
    stamps = [np.sort(rng.choice(400, 150, replace=False)).astype(np.float64) for _ in range(120)]
    found = fit_correlated(stamps, [draw(rng, law, time) for time in stamps])
    assert found is not None
    lags = np.array([1.0, 3.0, 10.0, 30.0, 100.0])
    np.testing.assert_allclose(found.correlation(lags), law.correlation(lags), atol=0.05)


def test_dates_count_in_seconds_and_unknown_errors_are_left_out() -> None:
    rng, law = np.random.default_rng(1), Correlated((0.8,), (6 * 3600.0,))
    hours = np.arange(200)
    stamps = [np.datetime64("2026-01-01", "ns") + hours * np.timedelta64(1, "h") for _ in range(60)]
    errors = [draw(rng, law, 3600.0 * hours) for _ in stamps]
    for error in errors:
        error[rng.random(200) < 0.3] = np.nan
    found = fit_correlated(stamps, errors)
    assert found is not None
    assert found.correlation(6 * 3600.0) == pytest.approx(0.8 / math.e, abs=0.05)


def test_white_errors_do_not_last() -> None:
    rng = np.random.default_rng(2)
    stamps = [np.arange(300.0)] * 100
    found = fit_correlated(stamps, [rng.standard_normal(300) for _ in stamps])
    assert found is None or sum(found.shares) < 0.06


def test_exact_readings_have_no_errors_that_last() -> None:
    assert fit_correlated([np.arange(50.0)] * 3, [np.zeros(50)] * 3) is None


def test_a_family_comes_back_from_json() -> None:
    law = Correlated((0.25, 0.5), (3.0, 40.0))
    assert read_family(json.loads(json.dumps(law.to_dict()))) == law


@pytest.mark.parametrize(
    ("shares", "memories", "text"),
    [
        ((), (), "shares: 0 beside 0 memories. Give one memory for each share, at least one."),
        ((0.5,), (1.0, 2.0), "shares: 1 beside 2 memories. Give one memory for each share, at least one."),
        ((0.5, 0.6), (1.0, 2.0), "shares: 1.1 together. Give shares of at most 1 in all."),
        ((-0.5,), (1.0,), "shares: -0.5 is not positive and finite. Give positive numbers."),
        ((0.5,), (math.inf,), "memories: inf is not positive and finite. Give positive numbers."),
    ],
)
def test_impossible_laws_are_refused(shares: tuple[float, ...], memories: tuple[float, ...], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Correlated(shares, memories)
    assert str(caught.value) == text


def test_pairs_are_needed() -> None:
    with pytest.raises(DataError, match=r"errors: fewer than two known in any item\. Give pairs"):
        fit_correlated([np.arange(3.0)], [[1.0, np.nan, np.nan]])


def test_what_is_never_seen_to_be_white_lasts_as_long_as_the_shortest_lag() -> None:
    rng, law = np.random.default_rng(3), Correlated((0.5,), (1e5,))
    stamps = [np.arange(0.0, 400.0, 8.0)] * 200
    errors = [draw(rng, law, time) for time in stamps]
    found = fit_correlated(stamps, errors, interval=1.0)
    assert found is not None
    assert found.memories[-1] == 8.0
    assert found.shares[-1] == pytest.approx(0.5, abs=0.1)
    assert found.white == pytest.approx(0, abs=1e-9)
    known = fit_correlated(stamps, errors, interval=8.0)
    assert known is not None
    assert known.white == pytest.approx(0.5, abs=0.1)
