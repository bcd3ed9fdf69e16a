"""RiskDiffusion names what a user does wrong, and changes nothing then."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oracles.models import GOOD, gaussian_model, nothing, series
from rstime.errors import ConfigError, DataError, NotFittedError, RstimeWarning
from rstime.model import RiskDiffusion
from rstime.types import Series

MISTAKES: dict[str, tuple[Callable[[RiskDiffusion], Any], type[Exception], str]] = {
    "no samples": (lambda m: m.impute([GOOD], samples=0), ConfigError, "samples: 0"),
    "negative samples": (lambda m: m.sample(-1), ConfigError, "samples: -1"),
    "unknown entries": (lambda m: m.impute([GOOD], entries="some"), ConfigError, "entries: 'some'"),
    "marginals of measurements": (lambda m: m.impute([GOOD], joint=False), ConfigError, "joint"),
    "unknown sampler": (lambda m: m.impute([GOOD], sampler="magic"), ConfigError, "multistep"),
    "unknown covariance": (lambda m: m.sample(3, covariance="exact"), ConfigError, "gaussian, tweedie"),
    "no horizon": (lambda m: m.forecast([GOOD], 0), ConfigError, "horizon: 0"),
    "negative horizon": (lambda m: m.forecast([GOOD], -3), ConfigError, "horizon: -3"),
    "half a step": (lambda m: m.forecast([GOOD], 1.5), ConfigError, "horizon: 1.5"),
    "no number": (lambda m: m.forecast([GOOD], math.nan), ConfigError, "horizon"),
    "hours of numbers": (lambda m: m.forecast([GOOD], "1h"), ConfigError, "stamps are numbers"),
    "no duration": (lambda m: m.forecast([GOOD], "soon"), ConfigError, "soon"),
    "an odd horizon": (lambda m: m.forecast([GOOD], [3]), ConfigError, "horizon: [3]. Give a number of steps, or"),
    "unknown variable": (lambda m: m.impute([series([[1.0]], [[1.0]], ("z",))]), DataError, "x0, x1"),
    "dates for numbers": (
        lambda m: m.impute([replace(GOOD, time=pd.date_range("2026", periods=4, freq="h").to_numpy())]),
        DataError,
        "dates where the model has numbers",
    ),
    "nothing": (lambda m: m.impute([]), DataError, "no series"),
    "an array": (lambda m: m.impute(np.zeros((5, 4, 2))), DataError, "data: ndarray of ndarray. Give a long table"),
    "a dictionary": (lambda m: m.fit({"X": 0}), DataError, "data: dict of str. Give a long table (a DataFrame) or a"),  # type: ignore[arg-type]
    "one series": (lambda m: m.impute(GOOD), DataError, "data: one Series. Give a list, [series]."),  # type: ignore[arg-type]
    "half a step of training": (lambda m: m.fit([GOOD], steps=2.5), ConfigError, "steps: 2.5. Give a whole number"),  # type: ignore[arg-type]
    "per cent": (lambda m: m.impute([GOOD], samples=2)[0].interval(90), ConfigError, "coverage: 90. Give a share"),
    "covariates beside series": (lambda m: m.impute([GOOD], static=pd.DataFrame()), ConfigError, "Series carry"),
    "unknown covariate": (
        lambda m: m.impute([replace(GOOD, known=np.zeros((4, 1)), known_names=("z",))]),
        DataError,
        "known",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(model: RiskDiffusion, name: str) -> None:
    call, error, text = MISTAKES[name]
    with pytest.raises(error) as caught:
        call(model)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"model": "magic"}, "diffusion"),
        ({"size": "huge"}, "tiny"),
        ({"prior": "black"}, "white"),
        ({"window": 1}, "2 steps"),
        ({"window": math.nan}, "2 steps"),
        ({"window": "24h"}, "window: '24h'. Give a number of steps."),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        RiskDiffusion(**settings)


@pytest.mark.parametrize(
    "call",
    [
        lambda m: m.impute([GOOD]),
        lambda m: m.forecast([GOOD], 1),
        lambda m: m.point([GOOD]),
        lambda m: m.sample(1),
        lambda m: m.save("nowhere"),
        lambda m: m.support,
        lambda m: m.variables,
    ],
)
def test_an_unfitted_model_says_so(call: Callable[[RiskDiffusion], Any]) -> None:
    with pytest.raises(NotFittedError, match="Call fit"):
        call(RiskDiffusion())


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"steps": 0}, "steps"),
        ({"max_minutes": 0.0}, "max_minutes"),
        ({"max_minutes": math.nan}, "max_minutes"),
        ({"device": "abacus"}, "device"),
    ],
)
def test_a_failed_fit_changes_nothing(arguments: dict[str, Any], field: str) -> None:
    model = gaussian_model()
    before = model.impute([GOOD], samples=2)[0].samples
    with pytest.raises(ConfigError, match=field):
        model.fit([series([[5.0]] * 9, [[1.0]] * 9, ("z",))], progress=False, **arguments)
    with pytest.raises(DataError):
        model.fit([nothing()], progress=False)
    assert model.variables == ("x0", "x1")
    assert np.array_equal(model.impute([GOOD], samples=2)[0].samples, before)


def slip(row: int) -> Series:
    return replace(GOOD, value=np.where(np.arange(4)[:, None] == row, 735.0, GOOD.value))


def test_a_slip_of_the_decimal_point_is_told(model: RiskDiffusion) -> None:
    slips = [replace(slip(row), risk=np.full((4, 2), [np.inf, 0.0])) for row in (3, 1)]
    first = r"value: 735 of 'x1' of item 'a' at 3.0 is far from all that training saw, -[.0-9]+ to -?[.0-9]+"
    with pytest.warns(RstimeWarning, match=first + r"\. It is hardly believed"):
        model.impute(slips[:1], samples=2)
    with pytest.warns(RstimeWarning, match=first + r" \(and 1 more\)\. It is hardly believed"):
        model.impute(slips, samples=2)


def test_slips_that_are_learned_from_are_named() -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(80, 8, (30, 1))
    value[17] = 981.0
    parts = [
        replace(series(half.tolist(), [[1.0]] * 15, ("map",)), item_id=k)
        for half, k in zip(np.split(value, 2), "ab", strict=True)
    ]
    told = r"value: 981 of 'map' of item 'b' at 2.0 is far from all others\. .* mend or leave out"
    with pytest.warns(RstimeWarning, match=told):
        RiskDiffusion("gaussian", window=4).fit(parts, steps=1, progress=False)


@pytest.mark.filterwarnings("error")
def test_anomaly_takes_a_slip_at_its_word(model: RiskDiffusion) -> None:
    found = model.anomaly([slip(2)], folds=2)
    assert found["p"][found["value"] == 735.0].max() < 1e-6


def test_a_slip_hardly_moves_other_answers(model: RiskDiffusion) -> None:
    """The mean of the same item without the slip: believed, it moves answers by tens of sd."""
    risk = np.array([[0.0, 0.0], [np.inf, np.inf], [np.inf, 0.0], [np.inf, 0.0]])
    with pytest.warns(RstimeWarning, match="735 of 'x1'"):
        told = model.point([replace(slip(2), risk=risk)])[0].samples[0, 1]
    without = np.where(np.arange(4)[:, None] == 2, np.inf, risk)
    quiet = model.point([replace(GOOD, risk=without)])[0].samples[0, 1]
    np.testing.assert_allclose(told, quiet, rtol=0.05, atol=0.05)
