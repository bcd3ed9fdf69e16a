"""RiskDiffusion as a user meets it: shapes, units, errors, odd series, long items, covariates, time zones, files."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from oracles.series import two_levels
from rstime import scores
from rstime.build import build_denoiser
from rstime.datasets.laws import answer
from rstime.datasets.simulate import Simulated, gaussian_series, shifted_series
from rstime.diffusion.samplers import SAMPLERS
from rstime.errors import ConfigError, DataError, ModelFileError, NotFittedError, RstimeWarning
from rstime.frame import Columns
from rstime.gaussian_fit import GaussianConfig
from rstime.model import RiskDiffusion
from rstime.training import TrainingConfig
from rstime.types import Posterior, Series

WINDOW = 24
QUICK = GaussianConfig(steps=60, tokens=60, moments=16)
FEW = TrainingConfig(batch=16, learning_rate=1e-3, warmup=5, validations=3, validation_batches=2, ema=0.9)
kinds = pytest.mark.parametrize("model", ["gaussian", "diffusion"], indirect=True)


def in_units(series: Series) -> Series:
    """Two variables in units of their own: around 1000 and -3, sd 50 and .2."""
    location, scale = np.array([1000.0, -3.0]), np.array([50.0, 0.2])
    return replace(series, value=series.value * scale + location, risk=series.risk * scale)


def ward(seed: int = 0, items: int = 60) -> list[Series]:
    return [in_units(one) for one in gaussian_series(np.random.default_rng(seed), items, WINDOW, 2).series]


def gaussian_model() -> RiskDiffusion:
    return RiskDiffusion("gaussian", window=WINDOW, gaussian=QUICK).fit(ward(), progress=False)


def diffusion_model(seed: int = 1) -> RiskDiffusion:
    """A model whose network helps after some steps, which takes data that are not Gaussian."""
    model = RiskDiffusion(size="tiny", window=12, gaussian=replace(QUICK, steps=40), training=FEW)
    model.fit(two_levels(seed, 300), steps=15, seed=seed, progress=False)
    assert (
        model.baseline().point([two_levels(0, 1)[0]])[0].samples.tolist()
        != model.point(two_levels(0, 1))[0].samples.tolist()
    )
    return model


def outspoken(model: RiskDiffusion) -> RiskDiffusion:
    """The same model with a network of small random weights instead of its own, so that its path is walked."""
    other = copy.copy(model)
    other.config = replace(model.config, model="diffusion", size="tiny")
    denoiser = build_denoiser(model._prior, other.config, 0)
    denoiser.prior.load_state_dict(model.baseline()._denoiser.prior.state_dict())  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(denoiser.network.head.weight, std=0.01, generator=generator)  # type: ignore[union-attr]
    other._denoiser = denoiser.eval().requires_grad_(False)
    return other


@pytest.fixture(scope="module")
def models() -> dict[str, RiskDiffusion]:
    gaussian = gaussian_model()
    return {"gaussian": gaussian, "diffusion": outspoken(gaussian)}


@pytest.fixture
def model(request: pytest.FixtureRequest, models: dict[str, RiskDiffusion]) -> RiskDiffusion:
    return models[getattr(request, "param", "gaussian")]


def series(value: Any, risk: Any, names: tuple[str, ...] = ("x0", "x1"), time: Any = None, **more: Any) -> Series:
    value, risk = np.asarray(value, float), np.asarray(risk, float)
    return Series("a", np.arange(float(len(value))) if time is None else time, names, value, risk, **more)


def nothing(length: int = 10, **more: Any) -> Series:
    return series(np.full((length, 2), np.nan), np.full((length, 2), np.inf), **more)


def assert_prior(found: Posterior) -> None:
    """Mean and sd of both variables over all stamps are those of the data."""
    np.testing.assert_allclose((found.samples.mean((0, 1)) - [1000, -3]) / [50, 0.2], 0, rtol=0, atol=0.2)
    np.testing.assert_allclose(found.samples.std((0, 1)), [50, 0.2], rtol=0.15)


# ---- answers -------------------------------------------------------------------------------------------------------


@kinds
def test_answers_have_the_shape_of_the_question(model: RiskDiffusion) -> None:
    items = [ward(1, 3)[0], replace(ward(1, 3)[1], item_id="b")]
    answers = model.impute(items, samples=7)
    assert [one.samples.shape for one in answers] == [(7, WINDOW, 2)] * 2
    assert [one.series.item_id for one in answers] == [items[0].item_id, "b"]
    future = model.forecast(items, 5, samples=7)
    assert [one.samples.shape for one in future] == [(7, 5, 2)] * 2
    last = [one.time[one.observed.any(1)][-1] for one in items]
    assert [list(one.series.time) for one in future] == [[t + k for k in range(1, 6)] for t in last]
    assert [one.samples.shape for one in model.point(items)] == [(1, WINDOW, 2)] * 2
    (generated,) = model.sample(9)
    assert generated.samples.shape == (9, WINDOW, 2)
    assert generated.series.variables == ("x0", "x1")
    for one in (*answers, *future, generated):
        assert np.isfinite(one.samples).all()


@kinds
def test_answers_are_in_the_units_of_the_variables(model: RiskDiffusion) -> None:
    (generated,) = model.sample(300)
    assert_prior(generated)
    one, other = ward(2, 1)[0], gaussian_series(np.random.default_rng(2), 1, WINDOW, 2)
    answered = model.impute([one], samples=200)[0]
    law = other.laws[0].posterior(other.series[0].value.ravel(), other.series[0].risk.ravel())
    sd = np.sqrt(np.diag(law.covariance)).reshape(-1, 2)
    scaled = (answered.mean - [1000, -3]) / [50, 0.2]
    assert np.sqrt(np.mean(((scaled - law.mean.reshape(-1, 2)) / sd) ** 2)) < 0.4
    assert np.mean(answered.std / [50, 0.2] / sd) == pytest.approx(1, abs=0.12)


@kinds
def test_entries_that_are_asked(model: RiskDiffusion) -> None:
    one = ward(1, 1)[0]
    risk = one.risk.copy()
    risk[3] = 0.0
    one = replace(one, risk=risk, value=np.where(risk == 0, [1010.0, -2.9], one.value))
    every = {name: model.impute([one], entries=name, samples=3)[0].samples for name in ("all", "missing", "noisy")}
    missing, exact = np.isinf(one.risk), one.risk == 0
    assert np.isfinite(every["all"]).all()
    assert np.array_equal(np.isfinite(every["missing"][0]), missing)
    assert np.array_equal(np.isfinite(every["noisy"][0]), ~missing & ~exact)
    assert np.array_equal(every["all"][:, exact], np.broadcast_to(one.value[exact], (3, exact.sum())))


@kinds
def test_variables_may_come_in_another_order_or_be_absent(model: RiskDiffusion) -> None:
    one = ward(1, 1)[0]
    swapped = replace(one, variables=("x1", "x0"), value=one.value[:, ::-1], risk=one.risk[:, ::-1])
    first, second = (model.impute([x], samples=4)[0].samples for x in (one, swapped))
    np.testing.assert_allclose(second[..., ::-1], first, rtol=0, atol=1e-9)
    alone = series(one.value[:, 1:], one.risk[:, 1:], ("x1",))
    assert model.impute([alone], samples=4)[0].samples.shape == (4, WINDOW, 1)
    assert model.forecast([alone], 3, samples=4)[0].samples.shape == (4, 3, 1)


@kinds
def test_point_is_the_mean_of_the_samples(model: RiskDiffusion) -> None:
    one = ward(1, 1)[0]
    many, point = model.impute([one], samples=1500)[0], model.point([one])[0]
    z = (many.mean - point.mean) / many.std
    assert np.sqrt(np.mean(z**2)) < (0.05 if model.config.model == "gaussian" else 0.15)


@kinds
def test_marginals_have_the_spread_of_joint_paths(model: RiskDiffusion) -> None:
    one = ward(1, 1)[0]
    joint, alone = (model.impute([one], entries="missing", joint=j, samples=800)[0] for j in (True, False))
    missing = np.isinf(one.risk)
    np.testing.assert_allclose(alone.std[missing] / joint.std[missing], 1, atol=0.25)
    assert np.mean(np.abs(alone.mean - joint.mean)[missing] / joint.std[missing]) < 0.1


@kinds
def test_answers_depend_on_the_seed_and_not_on_company(model: RiskDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    items = [replace(one, item_id=f"{i}") for i, one in enumerate(ward(1, 4))]
    together = model.impute(items, samples=5, seed=3)
    alone = model.impute(items[2:3], samples=3, seed=3)[0]
    scale = np.array([50, 0.2])
    np.testing.assert_allclose(alone.samples / scale, together[2].samples[:3] / scale, rtol=0, atol=2e-5)
    again, other = (model.impute(items, samples=5, seed=seed)[2].samples for seed in (3, 4))
    assert np.array_equal(again, together[2].samples)
    assert np.abs(other - again).max() > 1e-3


@pytest.mark.parametrize("sampler", list(SAMPLERS))
def test_samplers_by_name(models: dict[str, RiskDiffusion], sampler: str) -> None:
    one = ward(1, 1)[0]
    steps = {"euler_maruyama": 40}.get(sampler, 9)
    found = models["diffusion"].impute([one], samples=60, sampler=sampler, evaluations=steps)[0]
    usual = models["diffusion"].impute([one], samples=60)[0]
    assert np.mean(np.abs(found.mean - usual.mean) / usual.std) < 0.35


# ---- errors --------------------------------------------------------------------------------------------------------

GOOD = series([[1000.0, -3.0]] * 4, [[10.0, 0.1]] * 4)
MISTAKES: dict[str, tuple[Callable[[RiskDiffusion], Any], type[Exception], str]] = {
    "no samples": (lambda m: m.impute([GOOD], samples=0), ConfigError, "samples: 0"),
    "negative samples": (lambda m: m.sample(-1), ConfigError, "samples: -1"),
    "unknown entries": (lambda m: m.impute([GOOD], entries="some"), ConfigError, "entries: 'some'"),
    "marginals of measurements": (lambda m: m.impute([GOOD], joint=False), ConfigError, "joint"),
    "unknown sampler": (lambda m: m.impute([GOOD], sampler="magic"), ConfigError, "multistep"),
    "no horizon": (lambda m: m.forecast([GOOD], 0), ConfigError, "horizon: 0"),
    "negative horizon": (lambda m: m.forecast([GOOD], -3), ConfigError, "horizon: -3"),
    "half a step": (lambda m: m.forecast([GOOD], 1.5), ConfigError, "horizon: 1.5"),
    "no number": (lambda m: m.forecast([GOOD], math.nan), ConfigError, "horizon"),
    "hours of numbers": (lambda m: m.forecast([GOOD], "1h"), ConfigError, "stamps are numbers"),
    "no duration": (lambda m: m.forecast([GOOD], "soon"), ConfigError, "soon"),
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


# ---- odd series ----------------------------------------------------------------------------------------------------


@kinds
def test_an_item_without_observation_gets_the_prior_and_a_warning(model: RiskDiffusion) -> None:
    with pytest.warns(RstimeWarning, match="'a'"):
        (found,) = model.impute([nothing(WINDOW)], samples=300)
    assert_prior(found)
    with pytest.warns(RstimeWarning, match="'a'"):
        (future,) = model.forecast([nothing()], 4, samples=2)
    assert list(future.series.time) == [10, 11, 12, 13]
    with pytest.warns(RstimeWarning, match="'a'"):
        model.point([nothing()])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.sample(1)  # the prior is what was asked for
        model.impute([GOOD], samples=1)


@kinds
def test_one_point(model: RiskDiffusion) -> None:
    one = series([[1040.0, np.nan]], [[5.0, np.inf]])
    (found,) = model.impute([one], samples=300)
    assert found.mean[0, 0] == pytest.approx(1040, abs=3)
    assert found.std[0, 0] == pytest.approx(5, rel=0.2)
    assert found.std[0, 1] > 0.1
    future = model.forecast([one], 3, samples=300)[0]
    assert list(future.series.time) == [1, 2, 3]
    assert 1000 < future.mean[0, 0] < 1060
    assert future.std[0, 0] > 20


@kinds
def test_measurements_of_nearly_infinite_risk_are_as_good_as_missing(model: RiskDiffusion) -> None:
    one = ward(1, 1)[0]
    missing = np.isinf(one.risk)
    missing[0] = True
    for huge in (1e9, 1e25, 1e200):
        risk = np.where(missing, huge, one.risk)
        loud = replace(one, value=np.where(missing, 5.0, one.value), risk=risk)
        quiet = replace(one, value=np.where(missing, np.nan, one.value), risk=np.where(missing, np.inf, one.risk))
        first, second = (model.impute([x], samples=300)[0] for x in (loud, quiet))
        assert np.isfinite(first.samples).all()
        assert np.mean(np.abs(first.mean - second.mean) / second.std) < 0.1
        assert np.mean(first.std / second.std) == pytest.approx(1, abs=0.05)


@pytest.mark.filterwarnings("ignore::rstime.errors.RstimeWarning")
@pytest.mark.parametrize("kind", ["gaussian", "diffusion"])
@pytest.mark.parametrize("case", ["constant", "one point", "empty variable", "huge risk", "exact", "two stamps"])
def test_odd_training_data_work(kind: str, case: str) -> None:
    """Constant series, items of one point, a variable never measured, one absurd sd, no noise at all."""
    rng = np.random.default_rng(0)
    value, risk = rng.standard_normal((20, 12, 2)), np.full((20, 12, 2), 0.3)
    if case == "constant":
        value[..., 0], risk[..., 0] = 7.0, 0.0
        value[..., 1] = 5.0
    if case == "one point":
        value, risk = value[:, :1], risk[:, :1]
    if case == "empty variable":
        value[..., 1], risk[..., 1] = np.nan, np.inf
    if case == "huge risk":
        risk[3, 4, 0] = 1e30
        risk[5, 4, 1] = 1e200
    if case == "exact":
        risk[:] = 0.0
    if case == "two stamps":
        value, risk = value[:1, :2], risk[:1, :2]
    data = [replace(series(v, r), item_id=f"{i}") for i, (v, r) in enumerate(zip(value, risk, strict=True))]
    quick = replace(QUICK, steps=10, moments=4)
    model = RiskDiffusion(kind, size="tiny", window=12, gaussian=quick, training=FEW)
    model.fit(data, steps=8, progress=False)
    asked = series([[7.0, np.nan], [np.nan, np.nan], [np.nan, 0.5]], [[0.1, np.inf], [np.inf, np.inf], [np.inf, 0.2]])
    (found,) = model.impute([asked], samples=50)
    assert np.isfinite(found.samples).all()
    assert np.isfinite(model.forecast([asked], 2, samples=5)[0].samples).all()
    assert np.isfinite(model.point([asked])[0].samples).all()
    assert np.isfinite(model.sample(5)[0].samples).all()
    if case == "constant":
        assert found.mean[1, 0] == pytest.approx(7, abs=1.0)


# ---- long items, irregular stamps ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long() -> tuple[RiskDiffusion, Simulated]:
    """A model of windows of 24 steps, and items of 96."""
    rng = np.random.default_rng(3)
    model = RiskDiffusion("gaussian", window=WINDOW, gaussian=replace(QUICK, steps=150))
    model.fit(gaussian_series(rng, 40, 96, 1).series, progress=False)
    return model, gaussian_series(rng, 25, 96, 1, horizon=6)


def crps(posterior: Posterior, truth: Any) -> Any:
    return scores.crps_samples(posterior.samples, truth)


def test_long_items_are_answered_as_well_as_they_can_be(long: tuple[RiskDiffusion, Simulated]) -> None:
    """CRPS against the exact posterior of all 96 steps; energy of whole paths, which sees the seams."""
    model, simulated = long
    rng = np.random.default_rng(0)
    answers = model.impute(simulated.series, samples=100)
    best = [answer(law, item, 100, rng) for law, item in zip(simulated.laws, simulated.series, strict=True)]
    found, exact = (
        [np.mean(crps(one, truth)) for one, truth in zip(side, simulated.truth, strict=True)]
        for side in (answers, best)
    )
    assert np.mean(found) / np.mean(exact) < 1.04
    energy = [
        np.mean(
            [scores.energy_score(one.samples[..., 0], t[:, 0]) for one, t in zip(side, simulated.truth, strict=True)]
        )
        for side in (answers, best)
    ]
    assert energy[0] / energy[1] < 1.04
    points = [np.mean(np.abs(p.mean - q.mean)) for p, q in zip(model.point(simulated.series), best, strict=True)]
    assert np.mean(points) < 0.1


def test_steps_across_seams_are_no_wider_than_others(long: tuple[RiskDiffusion, Simulated]) -> None:
    model, simulated = long
    answers = np.stack([one.samples[..., 0] for one in model.impute(simulated.series, samples=100)])
    spread = np.var(np.diff(answers, axis=2), axis=1).mean(0)  # of each step, over samples
    truth = np.mean(np.diff(np.stack(simulated.truth)[..., 0]) ** 2)
    seams = [18 + 12 * k - 1 for k in range(7) if 18 + 12 * k < 90]  # into the first entry of a later window
    inner = [k for k in range(90) if k not in seams]
    assert spread[seams].mean() / spread[inner].mean() == pytest.approx(1, abs=0.12)
    whole = np.mean(np.diff(answers, axis=2)[..., :90] ** 2)  # posterior draws of all items follow the prior's law
    assert whole / truth == pytest.approx(1, abs=0.15)


def test_irregular_stamps_are_used_as_they_are() -> None:
    """Stamps at random times: near the exact posterior, which binning to whole steps would not be."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[list[Series], list[Any], list[Any]]:
        items, truths, posteriors = [], [], []
        for i in range(count):
            time = np.cumsum(rng.exponential(size=30) + 0.05)
            k = np.exp(-np.abs(time[:, None] - time) / 2.0)
            x = np.linalg.cholesky(k) @ rng.standard_normal(30)
            risk = np.where(rng.random(30) < 0.5, np.inf, 0.1)
            value = np.where(np.isinf(risk), np.nan, x + 0.1 * rng.standard_normal(30))
            seen = np.isfinite(risk)
            gain = np.linalg.solve(k[np.ix_(seen, seen)] + 0.01 * np.eye(seen.sum()), k[seen]).T
            posteriors.append((gain @ value[seen], np.sqrt(np.diag(k - gain @ k[seen]))))
            items.append(Series(f"{i}", time, ("x",), value[:, None], risk[:, None]))
            truths.append(x)
        return items, truths, posteriors

    model = RiskDiffusion("gaussian", window=WINDOW, gaussian=replace(QUICK, steps=120))
    model.fit(draw(120)[0], progress=False)
    items, truths, posteriors = draw(60)
    found = np.mean([crps(p, x[:, None]).mean() for p, x in zip(model.impute(items, samples=100), truths, strict=True)])
    exact = np.mean([scores.crps_gaussian(*p, x).mean() for p, x in zip(posteriors, truths, strict=True)])
    assert found / exact < 1.06


# ---- covariates, calendar ------------------------------------------------------------------------------------------


def test_a_known_covariate_that_shifts_a_series_improves_its_forecast() -> None:
    """By 30 % or more in CRPS, near the exact answer; shown with Series and the future known."""
    rng = np.random.default_rng(0)
    train, test = shifted_series(rng, 120, WINDOW, horizon=0), shifted_series(rng, 60, WINDOW, horizon=6)
    total = {}
    for name in ("with", "without"):
        learn, ask = train.series, test.series
        if name == "without":
            learn, ask = (
                [replace(one, known=np.empty((WINDOW, 0)), known_names=()) for one in side] for side in (learn, ask)
            )
        model = RiskDiffusion("gaussian", window=WINDOW, gaussian=replace(QUICK, steps=150)).fit(learn, progress=False)
        future = model.forecast(ask, 4, samples=100)
        # Horizons count from the last measurement of each item; the last stamps are not always measured.
        total[name] = np.mean(
            [
                crps(one, truth[one.series.time.astype(int)]).mean()
                for one, truth in zip(future, test.truth, strict=True)
            ]
        )
    best = []
    rng = np.random.default_rng(1)
    for one, truth, law, item in zip(future, test.truth, test.laws, test.series, strict=True):
        rows = one.series.time.astype(int)
        best.append(crps(answer(law, item, 100, rng), truth)[rows].mean())
    assert total["with"] < 0.7 * total["without"]
    assert total["with"] < 1.1 * np.mean(best)


def table(zone: str | None = None, days: int = 12, items: int = 12) -> pd.DataFrame:
    """A daily rhythm in local time, hourly, over a change of the clocks in Berlin (29 March 2026)."""
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2026-03-20", periods=24 * days, freq="h", tz="UTC").tz_convert(zone or "UTC")
    hour = stamps.hour.to_numpy() + stamps.minute.to_numpy() / 60
    frames = []
    for i in range(items):
        value = 10 + 3 * np.cos(2 * np.pi * (hour - 15) / 24) + 0.3 * rng.standard_normal(len(stamps))
        rows = {"item_id": f"i{i}", "timestamp": stamps if zone else stamps.tz_localize(None)}
        frames.append(pd.DataFrame({**rows, "variable": "load", "value": value, "sd": 0.3}))
    return pd.concat(frames, ignore_index=True)


def test_calendar_follows_local_time_across_a_change_of_the_clocks() -> None:
    data = table("Europe/Berlin")
    model = RiskDiffusion("gaussian", window=48, gaussian=replace(QUICK, steps=150)).fit(data, progress=False)
    start = pd.Timestamp("2026-03-28 12:00", tz="Europe/Berlin")
    before = data[
        (data["item_id"] == "i0") & (data["timestamp"] < start) & (data["timestamp"] >= start - pd.Timedelta("2D"))
    ]
    (future,) = model.forecast(before, "36h", samples=50)
    stamps = pd.DatetimeIndex(future.series.time).tz_localize("UTC").tz_convert(future.series.timezone)
    assert len(stamps) == 36
    assert stamps[0] == start
    assert str(stamps[-1]) == "2026-03-30 00:00:00+02:00"
    expected = 10 + 3 * np.cos(2 * np.pi * (stamps.hour.to_numpy() - 15) / 24)
    assert np.sqrt(np.mean((future.mean[:, 0] - expected) ** 2)) < 0.35  # an hour off would be up to .78 wrong


def test_the_same_instants_in_another_zone_are_the_same_stamps() -> None:
    data = table("Europe/Berlin", days=6, items=4)
    model = RiskDiffusion("gaussian", window=24, gaussian=QUICK).fit(data, progress=False)
    part = data[data["item_id"] == "i1"].iloc[:30]
    moved = part.assign(timestamp=part["timestamp"].dt.tz_convert("Europe/Paris"))  # the same wall clock as Berlin
    one, other = (model.impute(x, samples=3)[0] for x in (part, moved))
    assert np.array_equal(one.series.time, other.series.time)
    np.testing.assert_allclose(other.samples, one.samples, rtol=0, atol=1e-9)
    naive = part.assign(timestamp=part["timestamp"].dt.tz_localize(None))
    assert model.impute(naive, samples=3)[0].series.timezone is None


def test_horizons_are_counts_or_durations() -> None:
    model = RiskDiffusion("gaussian", window=24, gaussian=QUICK).fit(table(days=4, items=3), steps=20, progress=False)
    part = table(days=2, items=1)
    count, text = (model.forecast(part, horizon, samples=2)[0] for horizon in (6, "6h"))
    assert np.array_equal(count.series.time, text.series.time)
    assert count.series.time[0] == np.datetime64("2026-03-22")
    with pytest.raises(ConfigError, match="whole number of steps"):
        model.forecast(part, "90min")


# ---- what is kept --------------------------------------------------------------------------------------------------


def test_two_runs_write_the_same_files_and_a_loaded_model_answers_the_same(tmp_path: Path) -> None:
    model = diffusion_model()
    for name, one in (("one", model), ("two", diffusion_model())):
        one.save(tmp_path / name)
    assert_same_files(tmp_path / "one", tmp_path / "two")
    loaded, items = RiskDiffusion.load(tmp_path / "one"), two_levels(9, 2)
    for a, b in zip(loaded.impute(items, samples=3), model.impute(items, samples=3), strict=True):
        assert np.array_equal(a.samples, b.samples)


def assert_same_files(one: Path, other: Path) -> None:
    for file in ("config.json", "weights.safetensors"):
        assert (one / file).read_bytes() == (other / file).read_bytes()


def test_minutes_are_replayed_by_their_steps(tmp_path: Path) -> None:
    quick = replace(QUICK, steps=40)
    timed, again = (RiskDiffusion(size="tiny", window=12, gaussian=quick, training=FEW) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)  # whether the network helps depends on the machine's speed
        timed.fit(two_levels(1, 100), max_minutes=0.03, progress=False)
        again.fit(two_levels(1, 100), steps=timed.run.planned, progress=False)
    assert timed.run.steps == timed.run.planned > FEW.warmup
    for name, model in (("timed", timed), ("again", again)):
        model.save(tmp_path / name)
    assert_same_files(tmp_path / "timed", tmp_path / "again")


@pytest.mark.filterwarnings("ignore::rstime.errors.RstimeWarning")
def test_checkpoints_go_on_with_the_same_data_only(tmp_path: Path) -> None:
    def fit(data: list[Series]) -> RiskDiffusion:
        model = RiskDiffusion(size="tiny", window=12, gaussian=replace(QUICK, steps=10), training=FEW)
        return model.fit(data, steps=12, progress=False, checkpoint=tmp_path / "checkpoint")

    item = two_levels(9, 1)
    whole, again = fit(two_levels(1, 40)), fit(two_levels(1, 40))
    assert whole.run == again.run
    assert np.array_equal(again.point(item)[0].samples, whole.point(item)[0].samples)
    with pytest.raises(ModelFileError, match="other data or settings"):
        fit(two_levels(2, 40))


def test_support_is_told_by_variable() -> None:
    rng = np.random.default_rng(0)
    value = rng.standard_normal((30, 20, 2)) * [10.0, 1.0]
    risk = np.broadcast_to(np.array([2.0, 0.0]), value.shape).copy()
    risk[:, ::2, 0] = 5.0
    risk[:3, :, 1] = np.inf
    data = [replace(series(v, r), item_id=f"{i}") for i, (v, r) in enumerate(zip(value, risk, strict=True))]
    support = RiskDiffusion("gaussian", window=20, gaussian=QUICK).fit(data, steps=5, progress=False).support
    assert list(support["variable"]) == ["x0", "x1"]
    assert list(support["measurements"]) == [600, 540]
    np.testing.assert_allclose(support["smallest_risk"], [2.0, 0.0], rtol=1e-6)
    sd = support["smallest_risk_sd"][0]
    assert sd == pytest.approx(0.2, rel=0.2)
    assert support["exit_level"][0] == pytest.approx(math.sqrt(2) * sd, rel=1e-6)


def test_baseline_is_the_gaussian_model_inside() -> None:
    model = diffusion_model()
    alone, items = model.baseline(), two_levels(9, 3)
    assert alone.config.model == "gaussian"
    from_scratch = RiskDiffusion("gaussian", window=12, gaussian=replace(QUICK, steps=40))
    from_scratch.fit(two_levels(1, 300), steps=40, seed=1, progress=False)
    for a, b in zip(alone.impute(items, samples=4), from_scratch.impute(items, samples=4), strict=True):
        np.testing.assert_allclose(a.samples, b.samples, rtol=0, atol=1e-5)


def test_a_loaded_model_reads_tables_by_the_names_it_was_fitted_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"bed": "a", "when": range(30), "what": "x", "read": rng.standard_normal(30), "error": 0.2})
    columns = Columns("bed", "when", "what", "read", "error")
    model = RiskDiffusion("gaussian", window=10).fit(table, steps=5, progress=False, columns=columns)
    model.save(tmp_path / "model")
    loaded = RiskDiffusion.load(tmp_path / "model")
    answers = [one.impute(table, samples=5)[0].samples for one in (model, loaded)]
    np.testing.assert_array_equal(*answers)
