from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rstime.errors import DataError
from rstime.types import Posterior, Series


def series(**changes: Any) -> Series:
    parts: dict[str, Any] = {
        "item_id": "a",
        "time": np.array([0.0, 1.0, 2.5]),
        "variables": ("x", "y"),
        "value": np.arange(6.0).reshape(3, 2),
        "risk": np.array([[0.0, 0.5], [np.inf, 1.0], [2.0, np.inf]]),
    }
    return Series(**(parts | changes))


def test_a_value_is_nan_exactly_where_risk_is_infinite() -> None:
    one = series()
    np.testing.assert_array_equal(np.isnan(one.value), np.isinf(one.risk))
    np.testing.assert_array_equal(one.observed, [[True, True], [False, True], [True, False]])
    assert one.asked.all()
    assert one.known.shape == (3, 0)


def test_the_arrays_that_were_given_are_not_changed() -> None:
    value = np.ones((3, 2))
    series(value=value)
    np.testing.assert_array_equal(value, 1.0)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_dates_become_nanoseconds(unit: str) -> None:
    time = np.array(["2026-01-01T00:00", "2026-01-01T01:00", "2026-01-02T00:00"], dtype=f"datetime64[{unit}]")
    assert series(time=time).time.dtype == np.dtype("datetime64[ns]")


def test_whole_numbers_are_times_too() -> None:
    assert series(time=np.arange(3)).time.dtype == np.float64


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("value", np.zeros((2, 2))),
        ("risk", np.zeros((3, 1))),
        ("asked", np.ones(3, dtype=bool)),
        ("known", np.ones((3, 1))),
        ("static", np.ones(1)),
        ("time", np.array([0.0, 1.0, 1.0])),
        ("time", np.array([0.0, 1.0, np.nan])),
        ("time", np.array(["2026-01-01", "2026-01-02", "NaT"], dtype="datetime64[ns]")),
        ("time", np.array(["a", "b", "c"])),
        ("risk", np.full((3, 2), -1.0)),
        ("risk", np.full((3, 2), np.nan)),
        ("risk", np.full((3, 2), -np.inf)),
        ("value", np.full((3, 2), np.inf)),
        ("value", np.full((3, 2), np.nan)),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name(field: str, bad: Any) -> None:
    with pytest.raises(DataError) as caught:
        series(**{field: bad})
    assert caught.value.field == field
    assert "'a'" in str(caught.value)


def test_known_covariates_may_not_have_gaps() -> None:
    with pytest.raises(DataError, match="known"):
        series(known=np.array([[1.0], [np.nan], [2.0]]), known_names=("k",))


def test_posterior_summaries_are_those_of_its_samples() -> None:
    samples = np.arange(11.0)[:, None, None] * np.ones((11, 3, 2))
    posterior = Posterior(series(), samples)
    np.testing.assert_allclose(posterior.mean, 5.0)
    np.testing.assert_allclose(posterior.std, np.sqrt(11.0))  # sum (k - 5)^2 / 10 = 110 / 10
    np.testing.assert_allclose(posterior.median, 5.0)
    np.testing.assert_allclose(posterior.quantile([0.1, 0.9])[:, 0, 0], [0.2, 9.8])  # at rank level x 12 of 1 ... 11
    low, high = posterior.interval(0.8)
    np.testing.assert_allclose([low[0, 0], high[0, 0]], [0.2, 9.8])


def test_one_sample_has_no_spread() -> None:
    np.testing.assert_array_equal(Posterior(series(), np.ones((1, 3, 2))).std, 0.0)


def test_samples_must_fit_the_series() -> None:
    with pytest.raises(DataError, match="samples"):
        Posterior(series(), np.ones((5, 2, 3)))
