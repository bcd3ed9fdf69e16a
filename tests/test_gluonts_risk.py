"""Risk in GluonTS data sets: what it is worth, how it is cut, where it comes from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.evaluation import make_evaluation_predictions

from oracles.entries import START, gaussian, waves
from rstime.gluonts import with_risk
from rstime.gluonts_data import Layout
from rstime.gluonts_risk import NAMES

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*did not beat:rstime.errors.RstimeWarning")


def test_known_risk_makes_forecasts_better_than_noise_ignored_or_dropped() -> None:
    entries, clean = waves(6, 132, noise=1.5)
    past = [{**e, "target": e["target"][:120], "sd": e["sd"][:120]} for e in entries]
    dropped = [{**e, "target": np.where(e["sd"] > 0, np.nan, e["target"])} for e in past]
    error = {}
    for name, data, risk in (
        ("known", with_risk(past, "sd"), "risk"),
        ("kept", past, None),
        ("dropped", dropped, None),
    ):
        forecasts = gaussian(12, steps=60, risk=risk, context_length=24).train(data).predict(data)
        misses = [
            np.abs(f.mean - x[120:]).mean() / 10.0**k for k, (f, x) in enumerate(zip(forecasts, clean, strict=True))
        ]
        error[name] = float(np.mean(misses))
    assert error["known"] < 0.6 * error["kept"]
    assert error["known"] < 1.1 * error["dropped"]


@pytest.mark.parametrize("offset", [-8, 30])
def test_gluonts_cuts_risk_with_the_target(offset: int) -> None:
    entries, _ = waves(2, 50, noise=1.0)
    train, generator = split(with_risk(entries, "sd"), offset=offset)
    pairs = list(generator.generate_instances(prediction_length=4, windows=2))
    for whole, cut in zip(entries, train, strict=True):
        np.testing.assert_array_equal(cut["past_feat_dynamic_real"][0], whole["sd"][:offset])
    for k, (past, label) in enumerate(pairs):
        end = (offset if offset > 0 else 50 + offset) + 4 * (k % 2)
        assert past[NAMES] == ("risk",)
        np.testing.assert_array_equal(past["past_feat_dynamic_real"][0], entries[k // 2]["sd"][:end])
        np.testing.assert_array_equal(label["past_feat_dynamic_real"][0], entries[k // 2]["sd"][end : end + 4])


def test_make_evaluation_predictions_sees_no_value_and_no_risk_of_the_future() -> None:
    entries, _ = waves(3, 50, noise=1.0)
    predictor = gaussian(risk="risk").train(with_risk(entries, "sd"))
    other = [{**e, "target": e["target"].copy(), "sd": e["sd"].copy()} for e in entries]
    for entry in other:
        entry["target"][-4:] += 1e6
        entry["sd"][-4:] = 99.0
    found = []
    for data in (entries, other):
        forecasts, truth = make_evaluation_predictions(with_risk(data, "sd"), predictor, num_samples=5)
        found.append(np.stack([f.samples for f in forecasts]))
        assert [len(one) for one in truth] == [50, 50, 50]
    assert found[0].shape == (3, 5, 4)
    np.testing.assert_array_equal(found[0], found[1])


def test_risk_is_a_column_of_a_pandas_dataset() -> None:
    index = pd.date_range("2026-01-01", periods=6, freq="D")
    table = {
        "target": np.arange(6.0),
        "rain": np.ones(6),
        "sd": np.full(6, 0.5),
        "b": np.arange(6.0),
        "sd_b": np.zeros(6),
    }
    frame = pd.DataFrame(table, index=index)
    (entry,) = with_risk(PandasDataset({"x": frame}, past_feat_dynamic_real=["sd", "rain"]), "sd")
    assert entry[NAMES] == ("rain", "risk")
    np.testing.assert_array_equal(entry["past_feat_dynamic_real"], [np.ones(6), np.full(6, 0.5)])
    series = Layout("D", risk="risk", past=1).read(entry, "x", 2)
    np.testing.assert_array_equal(series.risk[:6], np.column_stack([np.full(6, 0.5), np.zeros(6)]))
    assert np.isinf(series.risk[6:]).all()
    assert series.asked.tolist() == [[False, False]] * 6 + [[True, False]] * 2
    two = PandasDataset({"x": frame}, target=["target", "b"], past_feat_dynamic_real=["sd_b", "sd"])
    (entry,) = with_risk(two, ["sd", "sd_b"])
    series = Layout("D", targets=2, risk="risk").read(entry, "x")
    np.testing.assert_array_equal(series.risk, np.column_stack([np.full(6, 0.5), np.zeros(6)]))


def test_risk_is_numbers_one_array_an_item_and_missing_values_need_none() -> None:
    entries = [{"start": START, "target": np.array([1.0, np.nan, 3.0])}, {"start": START, "target": np.ones(2)}]
    rows = [np.array([0.1, np.nan, np.inf]), np.array([[0.3, 0.0]])]
    read = [Layout("h", risk="sd").read(entry, "x") for entry in with_risk(entries, rows, name="sd")]
    assert [one.risk[:, 0].tolist() for one in read] == [[0.1, np.inf, np.inf], [0.3, 0.0]]
    assert [entry[NAMES] for entry in with_risk(entries, 0.2)] == [("risk",)] * 2
    assert len(with_risk(entries, 0.2)) == 2
