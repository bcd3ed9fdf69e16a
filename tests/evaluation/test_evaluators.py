"""Evaluators: equal to GluonTS's on its scores, to the score functions on ours, and streaming."""

from __future__ import annotations

import tracemalloc
import weakref
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.evaluation import Evaluator as Theirs
from gluonts.evaluation import MultivariateEvaluator
from gluonts.model.forecast import QuantileForecast, SampleForecast

from rstime import noisy_scores, scores
from rstime.errors import DataError
from rstime.evaluation.evaluators import Evaluator, ImputationEvaluator
from rstime.types import Posterior, Series

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
START = pd.Period("2026-01-01", freq="D")
HORIZON = 12


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def truth(rng: np.random.Generator, shape: tuple[int, ...], level: float = 5.0) -> Any:
    index = pd.period_range(START, periods=shape[0], freq="D")
    values = level + rng.normal(size=shape)
    return pd.DataFrame(values, index=index) if len(shape) == 2 else pd.Series(values, index=index)


def forecasts(rng: np.random.Generator, count: int, shape: tuple[int, ...]) -> list[SampleForecast]:
    return [
        SampleForecast(5 + rng.normal(size=(130, HORIZON, *shape)), START + 40, item_id=f"i{k}") for k in range(count)
    ]


def test_every_score_of_gluonts_comes_out(rng: np.random.Generator) -> None:
    series = [truth(rng, (40 + HORIZON,), level) for level in (5.0, 50.0, 500.0)]
    series[1].iloc[[7, 45, 46]] = np.nan
    answers = forecasts(rng, 3, ())
    total, items = Evaluator(seasonality=7)(iter(series), iter(answers))
    theirs, their_items = Theirs(seasonality=7, num_workers=None)(series, answers)
    shared = set(theirs) - {"MAE_Coverage", "OWA"}
    assert shared <= set(total)
    for name in shared:
        assert total[name] == pytest.approx(float(theirs[name]), rel=1e-6), name
    for name in set(their_items.columns) - {"item_id", "forecast_start"}:
        np.testing.assert_allclose(items[name], their_items[name].astype(float), rtol=1e-6, err_msg=name)
    assert items["item_id"].tolist() == ["i0", "i1", "i2"]
    levels = Evaluator().quantiles
    assert total["MAE_Coverage"] == pytest.approx(np.mean([abs(total[f"Coverage[{q}]"] - q) for q in levels]))


def test_a_target_on_its_quantile_is_covered() -> None:
    start = pd.Period("2026-01-01", "D")
    forecast = SampleForecast(np.full((9, 3), 2.0), start)
    series = pd.Series([1.0, 2.0, 2.0, 2.0, 3.0], pd.period_range(start - 2, periods=5, freq="D"))
    _, items = Evaluator()([series], [forecast])
    assert items["Coverage[0.5]"].tolist() == pytest.approx([2 / 3])


def test_season_comes_from_the_frequency(rng: np.random.Generator) -> None:
    series, answers = [truth(rng, (52,))], forecasts(rng, 1, ())
    assert Evaluator()(series, answers)[0]["MASE"] == Evaluator(seasonality=1)(series, answers)[0]["MASE"]
    assert Evaluator(seasonality=7)(series, answers)[0]["MASE"] != Evaluator()(series, answers)[0]["MASE"]


def test_several_variables_have_scores_each_together_and_of_their_sum(rng: np.random.Generator) -> None:
    series, answers = [truth(rng, (52, 3)) for _ in range(2)], forecasts(rng, 2, (3,))
    total, items = Evaluator(seasonality=7)(series, answers)
    judge = MultivariateEvaluator(quantiles=Evaluator().quantiles, seasonality=7, target_agg_funcs={"sum": np.sum})
    judge.num_workers = None
    theirs, _ = judge(series, answers)
    for name, value in theirs.items():
        if "MAE_Coverage" not in name and "OWA" not in name:
            assert total[name] == pytest.approx(float(value), rel=1e-6), name
    assert items["dim"].tolist() == ["0", "1", "2", "sum"] * 2
    by_hand = [
        scores.crps_samples(a.samples.sum(-1), s.to_numpy()[40:].sum(-1)) for a, s in zip(answers, series, strict=True)
    ]
    assert total["m_sum_CRPS"] == pytest.approx(np.mean(by_hand))


def test_forecasts_of_quantiles_have_no_crps_and_all_else(rng: np.random.Generator) -> None:
    keys = [f"{q:g}" for q in (0.025, *Evaluator().quantiles, 0.975)]
    arrays = np.sort(5 + rng.normal(size=(len(keys), HORIZON)), axis=0)
    answer = QuantileForecast(np.vstack([arrays, arrays.mean(0)]), START + 40, [*keys, "mean"])
    series = truth(rng, (52,))
    total, _ = Evaluator(seasonality=7)([series], [answer])
    want = scores.weighted_quantile_loss(arrays[1:-1], series.to_numpy()[40:], Evaluator().quantiles)
    assert total["mean_wQuantileLoss"] == pytest.approx(want)
    assert np.isnan(total["CRPS"])


def test_a_constant_past_leaves_the_scaled_scores_of_others_alone(rng: np.random.Generator) -> None:
    series, answers = [truth(rng, (52,)) for _ in range(2)], forecasts(rng, 2, ())
    series[0].iloc[:40] = 3.0
    total, items = Evaluator(seasonality=7)(series, answers)
    assert np.isnan(items["MASE"][0])
    assert total["MASE"] == items["MASE"][1]


def test_pairs_that_do_not_match_are_refused(rng: np.random.Generator) -> None:
    series, answers = [truth(rng, (52,))], forecasts(rng, 2, ())
    for truths, given, text in (
        (series, answers, "answers: more than the 1 truths"),
        (series * 2, answers[:1], "answers: only 1, fewer than truths"),
        ([], [], "answers: none"),
        ([series[0].iloc[:45]], answers[:1], "ts_iterator: ends before the forecast of item 'i0'"),
    ):
        with pytest.raises(DataError, match=text):
            Evaluator()(truths, given)


# ---- imputation ----------------------------------------------------------------------------------------------------


def item(rng: np.random.Generator, samples: int = 40, length: int = 30) -> tuple[np.ndarray[Any, Any], Posterior]:
    """Clean values, a third missing and a third noisy, and samples around them that are calibrated with sd .5."""
    clean = rng.normal(size=(length, 2))
    kind = rng.integers(3, size=clean.shape)
    risk = np.where(kind == 0, np.inf, np.where(kind == 1, rng.uniform(0.2, 1.0, clean.shape), 0.0))
    value = clean + np.where(np.isfinite(risk), risk, 0.0) * rng.normal(size=clean.shape)
    series = Series("a", np.arange(float(length)), ("x", "y"), value, risk)
    centre = clean + 0.5 * rng.normal(size=clean.shape)
    return clean, Posterior(series, centre + 0.5 * rng.normal(size=(samples, *clean.shape)))


def test_scores_are_those_of_the_functions_by_kind_variable_and_risk(rng: np.random.Generator) -> None:
    pairs = [item(rng) for _ in range(3)]
    pairs[0][0][3:6] = np.nan
    judge = ImputationEvaluator(risk_bins=(0.0, 0.5, 1.0), scale={"y": 2.0})
    total, items = judge([clean for clean, _ in pairs], (answer for _, answer in pairs))
    clean = np.concatenate([one for one, _ in pairs])
    samples = np.concatenate([answer.samples for _, answer in pairs], axis=1)
    risk = np.concatenate([answer.series.risk for _, answer in pairs])
    known = np.isfinite(clean)
    kinds = {"missing": known & np.isinf(risk), "noisy": known & np.isfinite(risk) & (risk > 0)}
    kinds["all"] = kinds["missing"] | kinds["noisy"]
    kinds["noisy[y]"] = kinds["noisy"] & np.array([False, True])
    size = risk / np.array([1.0, 2.0])
    kinds["noisy[risk 0-0.5]"] = kinds["noisy"] & (size < 0.5)
    kinds["noisy[risk 0.5-1]"] = kinds["noisy"] & (size >= 0.5) & (size < 1)
    for name, where in kinds.items():
        low, median, high = np.quantile(samples, (0.05, 0.5, 0.95), axis=0, method="weibull")
        want = {
            "entries": where.sum(),
            "mae": scores.mae(median, clean, where),
            "rmse": scores.rmse(samples.mean(0), clean, where),
            "nd": scores.nd(median, clean, where),
            "wql": scores.crps_quantile(samples, clean, where=where),
            "crps": scores.crps_samples(samples, clean)[where].mean(),
            "coverage90": scores.coverage(low, high, clean, where),
            "width90": scores.width(low, high, where),
            "noisy_truth": 0.0,
        }
        assert {key: total[f"{name}/{key}"] for key in want} == pytest.approx(want), name
    assert {name.partition("/")[0] for name in total if "risk" in name} == {"noisy[risk 0-0.5]", "noisy[risk 0.5-1]"}
    assert items["kind"].tolist() == ["missing", "noisy", "all"] * 3
    entries = items[items["kind"] == "all"]
    mean = np.average(entries["crps"], weights=entries["entries"])
    assert mean == pytest.approx(total["all/crps"])


def test_against_noisy_truth_squares_are_unbiased_and_bands_keep_their_share(rng: np.random.Generator) -> None:
    clean, answer = item(rng, 100, 6000)
    noise = np.full(clean.shape, 0.8)
    others = replace(answer.series, value=clean + noise * rng.normal(size=clean.shape), risk=noise)
    exact, _ = ImputationEvaluator()([clean], [answer])
    noisy, _ = ImputationEvaluator()([others], [answer])
    naive, _ = ImputationEvaluator()([others.value], [answer])
    assert noisy["missing/noisy_truth"] == 1.0
    assert exact["missing/rmse"] == pytest.approx(0.5, abs=0.02)
    assert noisy["missing/rmse"] == pytest.approx(exact["missing/rmse"], abs=0.04)
    assert naive["missing/rmse"] > 0.9
    assert noisy["missing/coverage90"] == pytest.approx(0.9, abs=0.02)
    assert naive["missing/coverage90"] < 0.65
    where = ~answer.series.observed
    closed = noisy_scores.crps_samples(answer.samples[:, where], others.value[where], 0.8).mean()
    assert noisy["missing/crps"] == pytest.approx(closed, rel=0.02)
    zero = replace(others, value=clean, risk=np.zeros_like(noise))
    assert ImputationEvaluator()([zero], [answer])[0] == exact


def test_a_truth_that_the_model_was_shown_is_refused(rng: np.random.Generator) -> None:
    clean, answer = item(rng)
    with pytest.raises(DataError, match="noisy readings of item 'a' are those that the model was shown"):
        ImputationEvaluator()([answer.series], [answer])
    with pytest.raises(DataError, match="truth: shape \\(5, 2\\) beside"):
        ImputationEvaluator()([clean[:5]], [answer])
    with pytest.raises(DataError, match="answers: only 0"):
        ImputationEvaluator()([clean], [])


def test_what_was_not_asked_is_not_scored(rng: np.random.Generator) -> None:
    clean, answer = item(rng)
    series = replace(answer.series, asked=~answer.series.observed)
    silent = Posterior(series, np.where(series.asked, answer.samples, np.nan))
    total, items = ImputationEvaluator()([clean], [silent])
    assert total["all/entries"] == total["missing/entries"] == (~series.observed).sum()
    assert "noisy/entries" not in total
    assert items["kind"].tolist() == ["missing", "all"]


def test_answers_are_let_go_one_by_one(rng: np.random.Generator) -> None:
    alive: list[weakref.ref[Posterior]] = []

    def answers() -> Iterator[Posterior]:
        for _ in range(30):
            assert sum(ref() is not None for ref in alive) <= 2
            one = item(rng)[1]
            alive.append(weakref.ref(one))
            yield one
            del one

    ImputationEvaluator()((np.zeros((30, 2)) for _ in range(30)), answers())
    assert len(alive) == 30


def test_memory_does_not_grow_with_the_number_of_forecasts(rng: np.random.Generator) -> None:
    series, sizes = truth(rng, (52,)), []
    for count in (5, 60):
        tracemalloc.start()
        answers = (SampleForecast(rng.normal(size=(2000, HORIZON)), START + 40) for _ in range(count))
        Evaluator()((series for _ in range(count)), answers)
        sizes.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert sizes[1] < 1.6 * sizes[0]
