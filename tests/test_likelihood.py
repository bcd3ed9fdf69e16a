"""Likelihoods and anomaly scores of whole items: closed forms of the prior, units, seams, calibration."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from rstime.build import build_denoiser
from rstime.datasets.laws import GaussianTruth
from rstime.datasets.simulate import gaussian_series
from rstime.denoiser import Denoiser
from rstime.diffusion.likelihood import FLOOR
from rstime.errors import ConfigError
from rstime.frame import to_long
from rstime.gaussian import GaussianModel
from rstime.gaussian_fit import GaussianConfig
from rstime.likelihood import likelihood_items, score_items
from rstime.model import RiskDiffusion
from rstime.network.transformer import SIZES, Transformer
from rstime.tokens import Tokens
from rstime.types import Series
from rstime.windows import Item
from tests.oracles.priors import exponential_prior

WINDOW = 24


def in_units(one: Series) -> Series:
    """Around 1000 and -3, sd 50 and .2; every eighth stamp exact."""
    location, scale = np.array([1000.0, -3.0]), np.array([50.0, 0.2])
    risk = one.risk * scale
    risk[::8] = np.where(np.isfinite(risk[::8]), 0.0, np.inf)
    return replace(one, value=one.value * scale + location, risk=risk)


def ward(seed: int, items: int, length: int = WINDOW) -> list[Series]:
    return [in_units(one) for one in gaussian_series(np.random.default_rng(seed), items, length, 2).series]


@pytest.fixture(scope="module")
def model() -> RiskDiffusion:
    settings = GaussianConfig(steps=60, tokens=60, moments=16)
    return RiskDiffusion("gaussian", window=WINDOW, gaussian=settings).fit(ward(0, 60), progress=False)


@pytest.fixture(scope="module")
def outspoken(model: RiskDiffusion) -> RiskDiffusion:
    """The same model with a network of small random weights."""
    other = copy.copy(model)
    other.config = replace(model.config, model="diffusion", size="tiny")
    denoiser = build_denoiser(model._prior, other.config, 0)
    denoiser.prior.load_state_dict(model._fitted()[2].prior.state_dict())
    assert denoiser.network is not None
    torch.nn.init.normal_(denoiser.network.head.weight, std=0.05, generator=torch.Generator().manual_seed(0))
    other._denoiser = denoiser.eval().requires_grad_(False)
    return other


def law_of(model: RiskDiffusion, length: int) -> GaussianTruth:
    """The prior in the units of the data, flattened time first."""
    scaler, _, denoiser = model._fitted()
    n, channels = length * 2, torch.arange(2).repeat(length)[None]
    time = torch.arange(length, dtype=torch.float64).repeat_interleave(2)[None]
    nothing = torch.zeros(1, n, 0, dtype=torch.float64)
    tokens = Tokens(time, channels, nothing, channels >= 0, torch.arange(n)[None])
    scale, location = np.tile(scaler.scale, length), np.tile(scaler.location, length)
    covariance = denoiser.prior.covariance(tokens)[0].double().numpy() * np.outer(scale, scale)
    return GaussianTruth(denoiser.prior.mean(tokens)[0].double().numpy() * scale + location, covariance)


def floored(model: RiskDiffusion, one: Series) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.maximum(one.risk, FLOOR * model._fitted()[0].scale).ravel()


def test_log_likelihood_is_that_of_the_prior_in_the_units_of_the_data(model: RiskDiffusion) -> None:
    series = ward(1, 6)
    law, table = law_of(model, WINDOW), model.log_likelihood(series)
    assert table.columns.tolist() == ["item_id", "measurements", "log_likelihood"]
    for one, row in zip(series, table.itertuples(), strict=True):
        assert row.item_id == one.item_id
        assert row.measurements == one.observed.sum()
        want = law.log_density(one.value.ravel(), floored(model, one)) / one.observed.sum()
        assert row.log_likelihood == pytest.approx(want, abs=0.003)


def test_entries_that_are_not_asked_are_the_condition(model: RiskDiffusion) -> None:
    """The last quarter given the rest, as a difference of two closed forms."""
    series = ward(2, 4)
    late = np.arange(WINDOW)[:, None] >= 18
    asked = [replace(one, asked=np.broadcast_to(late, one.value.shape)) for one in series]
    law, table = law_of(model, WINDOW), model.log_likelihood(asked)
    for one, found, count in zip(series, table["log_likelihood"], table["measurements"], strict=True):
        risk, past = floored(model, one), np.where(late, np.inf, one.risk).ravel()
        want = law.log_density(one.value.ravel(), risk) - law.log_density(one.value.ravel(), past)
        assert count == (one.observed & late).sum()
        assert found == pytest.approx(want / count, abs=0.01)


def test_an_item_without_measurements_has_no_likelihood(model: RiskDiffusion) -> None:
    one = ward(1, 1)[0]
    empty = replace(one, item_id="empty", risk=np.full_like(one.risk, np.inf))
    with pytest.warns(UserWarning, match="empty"):
        table = model.log_likelihood([one, empty])
    assert table["measurements"].tolist() == [int(one.observed.sum()), 0]
    assert np.isnan(table["log_likelihood"].to_numpy()).tolist() == [False, True]


@pytest.mark.parametrize("transform", [None, "log"])
def test_density_of_a_measurement_integrates_to_one(transform: str | None, outspoken: RiskDiffusion) -> None:
    """With a network, in the units of the data, through a logarithm too: one reading of constant relative risk."""
    scaler = outspoken._fitted()[0]
    changed = copy.copy(outspoken)
    grid, relative = np.linspace(600.0, 1600.0, 81), 0.02
    if transform:
        log_location, log_scale = math.log(1000.0), 0.1
        parts = {"transform": ("log", "none"), "location": np.array([log_location, -3.0])}
        changed._scaler = replace(scaler, scale=np.array([log_scale, 0.2]), **parts)
    risk = relative * grid if transform else np.full_like(grid, 20.0)
    series = [
        Series(f"{i}", np.zeros(1), ("x0",), np.array([[value]]), np.array([[sd]]))
        for i, (value, sd) in enumerate(zip(grid, risk, strict=True))
    ]
    density = np.exp(changed.log_likelihood(series)["log_likelihood"].to_numpy())
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=0.01)
    assert density[[0, -1]].max() < 1e-4 * density.max()


def test_random_signs_agree_with_the_exact_trace(outspoken: RiskDiffusion) -> None:
    series = ward(3, 1, 6)
    exact = outspoken.log_likelihood(series)["log_likelihood"][0]
    signs = np.array([outspoken.log_likelihood(series, probes=4, seed=s)["log_likelihood"][0] for s in range(4)])
    assert 0.001 < signs.std() < 0.3
    assert abs(signs.mean() - exact) < 5 * signs.std(ddof=1) / math.sqrt(4)


def test_batching_changes_no_more_than_the_tolerance(outspoken: RiskDiffusion) -> None:
    series = [ward(4, 1, length)[0] for length in (5, 12, 30)]
    series = [replace(one, item_id=f"{i}") for i, one in enumerate(series)]
    whole, scores = outspoken.log_likelihood(series, probes=2), outspoken.anomaly(series, folds=2)
    for one in series[::2]:
        alone = outspoken.log_likelihood([one], probes=2)["log_likelihood"][0]
        there = whole.loc[whole["item_id"] == one.item_id, "log_likelihood"].iloc[0]
        assert alone == pytest.approx(there, abs=2e-3)
        own = scores[scores["item_id"] == one.item_id][["score", "surprise"]].to_numpy()
        np.testing.assert_allclose(outspoken.anomaly([one], folds=2)[["score", "surprise"]], own, atol=4e-3)


# ---- long items, and calibration, under a prior that is the truth ----------------------------------------------------


def truth(length: int) -> GaussianTruth:
    time = np.arange(length)
    scale = float(exponential_prior(WINDOW).log_scale[1].exp())
    return GaussianTruth(np.zeros(length), np.exp(-abs(time[:, None] - time) / scale) + 1e-3 * np.eye(length))


def items_of(count: int, length: int, seed: int) -> list[Item]:
    """Items drawn from the prior itself, risks log-uniform from .05 to 1, a fifth missing."""
    rng = np.random.default_rng(seed)
    clean = truth(length).draw(rng, count)[..., None]
    risk = 0.05 * 20 ** rng.random(clean.shape)
    value = clean + risk * rng.standard_normal(clean.shape)
    risk[rng.random(clean.shape) < 0.2] = np.inf
    value = np.where(np.isinf(risk), 0, value)
    nothing, asked = np.empty((length, 0), dtype=np.float32), np.ones((length, 1), dtype=bool)
    key, steps = np.arange(length, dtype=np.int64), np.arange(float(length))
    return [
        Item(f"{i}", steps, v.astype(np.float32), r.astype(np.float32), nothing, asked, key)
        for i, (v, r) in enumerate(zip(value, risk, strict=True))
    ]


def test_long_items_go_by_the_chain_rule() -> None:
    """Windows with half a window of past: every measurement once; the likelihood of the whole, for a short memory."""
    items = items_of(3, 90, 0)
    nats, counts = likelihood_items(Denoiser(exponential_prior(WINDOW), None), items, float(WINDOW))
    for item, found, count in zip(items, nats, counts, strict=True):
        assert count == np.isfinite(item.risk).sum()
        want = truth(90).log_density(item.value.ravel().astype(float), item.risk.ravel().astype(float))
        assert found / count == pytest.approx(want / count, abs=0.002)


@pytest.mark.parametrize("block", [1, 3])
def test_scores_are_the_residuals_to_what_the_other_folds_predict(block: int) -> None:
    """And the surprise is z^2 / 2 + ln sd + ln(2 pi) / 2, the sd over that of a reading with nothing else known."""
    (item,) = items_of(1, WINDOW, 1)
    (found,) = score_items(Denoiser(exponential_prior(WINDOW), None), [item], float(WINDOW), 4, block)
    score, surprise = found[..., 0]
    value, risk = item.value[:, 0].astype(float), item.risk[:, 0].astype(float)
    assert np.array_equal(np.isfinite(score), np.isfinite(risk))
    assert np.array_equal(np.isfinite(surprise), np.isfinite(risk))
    for i in np.flatnonzero(np.isfinite(risk)):
        others = np.where(np.arange(WINDOW) // block % 4 == i // block % 4, np.inf, risk)
        law = truth(WINDOW).posterior(value, others)
        sd = math.sqrt(law.covariance[i, i] + risk[i] ** 2)
        want = (value[i] - law.mean[i]) / sd
        assert score[i] == pytest.approx(want, abs=0.003)
        height = stats.norm.logpdf(value[i], law.mean[i], sd) + 0.5 * math.log1p(risk[i] ** 2)
        assert surprise[i] == pytest.approx(-height, abs=0.005)


def test_linear_cost_form_of_the_prior_gives_the_same() -> None:
    """With a network: gradients pass through the smoother as through the dense form."""
    torch.manual_seed(0)
    network = Transformer(SIZES["tiny"], 1, 0, WINDOW).requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=0.05, generator=torch.Generator().manual_seed(0))
    chain = GaussianModel(1, 0, WINDOW, joint=False).requires_grad_(False)
    chain.load_state_dict(exponential_prior(WINDOW).state_dict())
    items = [item.rows(slice(0, length)) for item, length in zip(items_of(2, 12, 3), (9, 5), strict=True)]
    dense, linear = (Denoiser(prior, network).eval() for prior in (exponential_prior(WINDOW), chain))
    found, want = (likelihood_items(denoiser, items, float(WINDOW))[0] for denoiser in (linear, dense))
    np.testing.assert_allclose(found, want, atol=1e-4)
    for a, b in zip(*(score_items(denoiser, items, float(WINDOW), 2) for denoiser in (linear, dense)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_p_is_uniform_where_model_and_risks_are_right_and_tiny_at_faults() -> None:
    """Items longer than a window; then a twentieth of the readings is off by four sd of the signal."""
    items, denoiser = items_of(30, 60, 2), Denoiser(exponential_prior(WINDOW), None)
    good = np.concatenate([s[0].ravel() for s in score_items(denoiser, items, float(WINDOW), 8)])
    p = 2 * stats.norm.sf(np.abs(good[np.isfinite(good)]))
    assert len(p) > 1300
    assert stats.kstest(p, "uniform").pvalue > 0.01
    rng = np.random.default_rng(0)
    hit = [np.isfinite(item.risk) & (rng.random(item.risk.shape) < 0.05) for item in items]
    items = [replace(item, value=item.value + np.float32(4) * where) for item, where in zip(items, hit, strict=True)]
    found = [s.reshape(2, -1) for s in score_items(denoiser, items, float(WINDOW), 8)]
    scores, surprises = np.concatenate(found, -1)
    where = np.concatenate([x.ravel() for x in hit])
    assert np.median(2 * stats.norm.sf(np.abs(scores[where]))) < 0.01
    assert np.median(surprises[where]) > 4


def test_surprise_of_good_readings_is_1_42_where_the_others_tell_nothing_and_less_where_they_tell() -> None:
    """The entropy of a standard normal number; items of a single reading, then the same among others."""
    items, denoiser = items_of(400, 4, 5), Denoiser(exponential_prior(WINDOW), None)
    alone = [replace(item, risk=np.where(np.arange(4)[:, None] == 2, item.risk, np.float32(np.inf))) for item in items]
    among, single = (
        np.array([s[1, 2, 0] for s in score_items(denoiser, some, float(WINDOW), 4)]) for some in (items, alone)
    )
    seen = np.isfinite(single)
    assert single[seen].mean() == pytest.approx(0.5 * math.log(2 * math.pi * math.e), abs=0.12)
    assert (single - among)[seen].mean() > 0.15


def test_surprise_is_minus_the_likelihood_of_one_reading_given_the_others(model: RiskDiffusion) -> None:
    """In the units of the data: the sd of a reading of this risk is taken off."""
    one = ward(7, 1)[0]
    table, scale = model.anomaly([one], folds=3), model._fitted()[0].scale
    fold = (np.arange(WINDOW)[:, None] + np.arange(2)) % 3
    asked = []
    for row in table.iloc[::9].itertuples():
        place = int(row.timestamp), one.variables.index(row.variable)
        others = np.where(fold == fold[place], np.inf, one.risk)
        others[place] = one.risk[place]
        alone = np.zeros_like(one.observed)
        alone[place] = True
        asked.append(replace(one, risk=others, asked=alone))
    found = model.log_likelihood([replace(each, item_id=f"{i}") for i, each in enumerate(asked)])
    assert found["measurements"].tolist() == [1] * len(asked)
    some = table.iloc[::9]
    sd = scale[[one.variables.index(v) for v in some["variable"]]]
    want = -found["log_likelihood"] - 0.5 * np.log(sd**2 + np.maximum(some["sd"].to_numpy(), FLOOR * sd) ** 2)
    np.testing.assert_allclose(some["surprise"], want, atol=0.01)


def test_surprise_with_a_network_is_the_slope_of_the_scores(outspoken: RiskDiffusion) -> None:
    """The density is phi(z) dz/dy: with a network too, by differences of the scores of readings a little apart."""
    one, scale = ward(8, 1)[0], outspoken._fitted()[0].scale[0]
    time = int(np.flatnonzero(one.observed[:, 0] & (one.risk[:, 0] > 0))[4])
    value = np.repeat(one.value[None], 3, 0)
    value[:, time, 0] += np.array([-0.05, 0.0, 0.05]) * scale
    near = [replace(one, item_id=f"{i}", value=each) for i, each in enumerate(value)]
    table = outspoken.anomaly(near, folds=3)
    z = table[(table["timestamp"] == time) & (table["variable"] == "x0")]
    slope = (z["score"].iloc[2] - z["score"].iloc[0]) / 0.1
    want = -stats.norm.logpdf(z["score"].iloc[1]) - math.log(slope) - 0.5 * math.log1p((one.risk[time, 0] / scale) ** 2)
    assert z["surprise"].iloc[1] == pytest.approx(want, abs=0.03)


def test_scores_with_a_network_are_quantiles_of_what_it_samples(outspoken: RiskDiffusion) -> None:
    """Of an exact reading, left out with its fold: its place in marginal samples of the model is Phi(score)."""
    one = ward(5, 1)[0]
    table = outspoken.anomaly([one], folds=3)
    for row in table[table["sd"] == 0].iloc[:3].itertuples():
        time, column = int(row.timestamp), one.variables.index(row.variable)
        risk = one.risk.copy()
        fold = (np.arange(WINDOW)[:, None] + np.arange(2)) % 3 == (time + column) % 3
        risk[fold] = np.inf
        asked = np.zeros_like(fold)
        asked[time, column] = True
        hidden = replace(one, risk=risk, asked=asked)
        drawn = outspoken.impute([hidden], samples=600, entries="missing", joint=False, evaluations=25)[0]
        place = (drawn.samples[:, time, column] < row.value).mean()
        assert stats.norm.cdf(row.score) == pytest.approx(place, abs=0.06)


def test_table_of_anomalies(model: RiskDiffusion) -> None:
    """From a long table: a row for each measurement, in its units; a spike stands out."""
    one = ward(6, 1)[0]
    time, column = np.argwhere(one.observed & (one.risk > 0))[9]
    value = one.value.copy()
    value[time, column] += 8 * (50.0, 0.2)[column]
    table = model.anomaly(to_long([replace(one, value=value)]))
    assert table.columns.tolist() == ["item_id", "timestamp", "variable", "value", "sd", "score", "p", "surprise"]
    assert len(table) == one.observed.sum()
    np.testing.assert_allclose(table["p"], 2 * stats.norm.sf(table["score"].abs()), rtol=1e-9)
    worst = table.loc[table["surprise"].idxmax()]
    assert worst["p"] == table["p"].min()
    assert (worst["timestamp"], worst["variable"]) == (time, one.variables[column])
    assert worst["score"] > 4
    assert worst["value"] == pytest.approx(value[time, column])
    assert worst["sd"] == pytest.approx(one.risk[time, column])


def test_settings_that_cannot_be_are_refused(model: RiskDiffusion) -> None:
    with pytest.raises(ConfigError, match="folds: 1"):
        model.anomaly(ward(0, 1), folds=1)
    with pytest.raises(ConfigError, match="block: 0"):
        model.anomaly(ward(0, 1), block=0)
    with pytest.raises(ConfigError, match="probes: 0"):
        model.log_likelihood(ward(0, 1), probes=0)
    assert isinstance(model.log_likelihood(ward(0, 1)), pd.DataFrame)
