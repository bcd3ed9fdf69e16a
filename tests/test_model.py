"""RiskDiffusion as a user meets it: shapes, units, entries, samplers, odd series."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from oracles.models import FEW, GOOD, QUICK, WINDOW, assert_prior, kinds, nothing, series, ward
from rstime.datasets.simulate import gaussian_series
from rstime.diffusion.samplers import SAMPLERS
from rstime.errors import RstimeWarning
from rstime.model import RiskDiffusion


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
