"""The GluonTS face: its own test cases, cutting of risk, covariates, scale, files, and bad input."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
import warnings
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.artificial import constant_dataset
from gluonts.dataset.common import ListDataset
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.evaluation import make_evaluation_predictions
from gluonts.model.forecast import SampleForecast
from gluonts.model.predictor import Predictor

from rstime.errors import ConfigError, DataError, ModelFileError, RstimeError, RstimeWarning
from rstime.gluonts import RiskDiffusionEstimator, RiskDiffusionPredictor, with_risk
from rstime.gluonts_data import Layout, rows_of, stamps
from rstime.gluonts_risk import NAMES
from rstime.gluonts_scale import ItemScale, instances, scaled
from rstime.model import RiskDiffusion
from rstime.types import Series

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*did not beat:rstime.errors.RstimeWarning")
QUIET = {"max_epochs": 2, "enable_progress_bar": False}
START = pd.Period("2026-01-01 00:00", freq="h")
Entry = dict[str, Any]


def gaussian(horizon: int = 4, steps: int = 30, freq: str = "h", **more: Any) -> RiskDiffusionEstimator:
    trainer = {"max_steps": steps, "enable_progress_bar": False}
    return RiskDiffusionEstimator(freq, horizon, model="gaussian", trainer_kwargs=trainer, **more)


def waves(items: int = 6, length: int = 80, noise: float = 0.0, seed: int = 0) -> tuple[list[Entry], list[Any]]:
    """Sines of levels and scales of their own: entries with field sd on half of the stamps, and the clean targets."""
    rng = np.random.default_rng(seed)
    entries, clean = [], []
    for k in range(items):
        truth = 10.0**k * (5 + np.sin(2 * np.pi * (np.arange(length) + 5 * k) / 12))
        sd = np.where(rng.random(length) < 0.5, noise * 10.0**k, 0.0)
        entries.append({"start": START + 7 * k, "item_id": f"i{k}", "target": truth + sd * rng.normal(size=length)})
        entries[-1]["sd"] = sd
        clean.append(truth)
    return entries, clean


# ---- GluonTS's own cases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "use_validation"), [("gaussian", False), ("diffusion", False), ("diffusion", True)])
def test_constant_series_train_serialize_copy_predict(model: str, use_validation: bool, tmp_path: Path) -> None:
    info, train, test = constant_dataset()
    estimator = RiskDiffusionEstimator(
        freq=info.metadata.freq,
        prediction_length=info.prediction_length,
        model=model,
        size="tiny",
        batch_size=4,
        num_batches_per_epoch=3,
        trainer_kwargs=QUIET,
    )
    predictor = estimator.train(train, validation_data=train if use_validation else None)
    predictor.serialize(tmp_path)
    copy = Predictor.deserialize(tmp_path)
    assert predictor == copy
    for entry, forecast in zip(test, copy.predict(test), strict=True):
        np.testing.assert_allclose(forecast.mean, entry["target"][-1], rtol=1e-6, atol=1e-6)


def test_features_by_their_gluonts_names_train_serialize_copy_predict(tmp_path: Path) -> None:
    def entry(start: str, length: int, cat: list[int], real: float, ahead: int) -> Entry:
        return {
            "start": pd.Period(start, freq="1h"),
            "target": np.ones(length, dtype=np.float32),
            "feat_static_cat": np.array(cat, dtype=np.float32),
            "feat_static_real": np.array([real], dtype=np.float32),
            "feat_dynamic_real": np.ones((3, length + ahead), dtype=np.float32),
            "__unused__": np.ones(length % 7),
        }

    data = [
        [entry("2021-01-01", 200, [0, 1], 42.0, ahead), entry("2021-02-01", 100, [1, 0], 1.0, ahead)]
        for ahead in (0, 12)
    ]
    estimator = RiskDiffusionEstimator(
        freq="1h",
        prediction_length=12,
        context_length=12,
        size="tiny",
        batch_size=4,
        num_batches_per_epoch=3,
        num_feat_dynamic_real=3,
        num_feat_static_real=1,
        num_feat_static_cat=2,
        cardinality=[2, 2],
        trainer_kwargs=QUIET,
    )
    predictor = estimator.train(data[0], validation_data=data[0])
    predictor.serialize(tmp_path)
    copy = Predictor.deserialize(tmp_path)
    assert predictor == copy
    for forecast in copy.predict(data[1]):
        np.testing.assert_allclose(forecast.mean, 1.0, atol=1e-3)


FRONT_PAGE = """
training_data, test_gen = split(dataset, offset=-36)
test_data = test_gen.generate_instances(prediction_length=12, windows=3)
model = DeepAREstimator(
    prediction_length=12, freq="M", trainer_kwargs={"max_epochs": 5}
).train(training_data)
forecasts = list(model.predict(test_data.input))
"""


def test_the_front_page_script_runs_with_another_estimator() -> None:
    months = pd.date_range("1949-01-01", periods=144, freq="MS")
    rng, k = np.random.default_rng(0), np.arange(144)
    passengers = (120 + 2.5 * k) * (1 + 0.15 * np.sin(2 * np.pi * k / 12)) + 5 * rng.normal(size=144)
    frame = pd.DataFrame({"#Passengers": passengers}, index=months)
    short = partial(RiskDiffusionEstimator, num_batches_per_epoch=4, batch_size=8)  # 20 steps, not 250
    names: dict[str, Any] = {"DeepAREstimator": short, "split": split}
    names["dataset"] = PandasDataset(frame, target="#Passengers")
    exec(FRONT_PAGE, names)
    forecasts, labels = names["forecasts"], names["test_data"].label
    assert [f.start_date for f in forecasts] == [pd.Period(f"{year}-01", "M") for year in (1958, 1959, 1960)]
    assert {f.samples.shape for f in forecasts} == {(100, 12)}
    errors = [np.abs(f.mean / label["target"] - 1).mean() for f, label in zip(forecasts, labels, strict=True)]
    assert np.mean(errors) < 0.1


def test_little_data_gets_a_tiny_network_and_minutes_hold_the_end_out() -> None:
    entries, _ = waves(2, 48)
    fits: list[tuple[Any, ...]] = []

    def fit(self: RiskDiffusion, data: list[Series], **more: Any) -> RiskDiffusion:
        check = more["validation"]
        counts = [Counter(len(one.time) for one in part or []) for part in (data, check)]
        fits.append((self.config.size, more["steps"], *map(dict, counts)))
        return self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RiskDiffusion, "fit", fit)
        for trainer, data, check in (
            ({"max_epochs": 2}, entries, None),
            ({"max_minutes": 1}, entries, None),
            ({"max_minutes": 1}, entries, entries),
            ({}, waves(6, 900)[0], None),
        ):
            estimator = RiskDiffusionEstimator(
                "h", 8, context_length=16, num_batches_per_epoch=5, trainer_kwargs=trainer
            )
            estimator.train(data, check)
    assert fits == [  # windows of 24, one of each item with a shorter past; 8 stamps of 48 held out, 112 of 900
        ("tiny", 10, {24: 34, 23: 2}, {24: 2}),
        ("tiny", None, {24: 34, 23: 2}, {24: 2}),
        ("tiny", None, {24: 50, 23: 2}, {24: 2}),
        ("small", None, {24: 6 * 765, 23: 6}, {24: 6 * 105}),
    ]


def test_windows_are_scaled_by_what_came_before_their_forecast() -> None:
    rng = np.random.default_rng(0)
    value, risk = rng.normal(size=(60, 1)).cumsum(0), np.full((60, 1), 0.1)
    series = Series("x", np.arange(60.0), ("y",), value, risk)
    scale = ItemScale.fit([series], 4)
    one = instances(series, [40], 10, 5, scale)[0]
    location, spread = scale.of(rows_of(series, slice(10, 40)))  # two windows of 15
    assert one.item_id == "x@40"
    np.testing.assert_allclose(one.value, (value[30:45] - location) / spread)
    np.testing.assert_allclose(one.risk, risk[30:45] / spread)
    value[40:] += 1000
    np.testing.assert_allclose(instances(series, [40], 10, 5, scale)[0].value[:10], one.value[:10])


def test_lightning_trains_with_its_own_callbacks_what_our_trainer_trains() -> None:
    from lightning.pytorch import Callback

    class Losses(Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.epochs: list[float] = []

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            self.epochs.append(float(trainer.callback_metrics["train_loss"]))

    def estimator(**more: Any) -> RiskDiffusionEstimator:
        return RiskDiffusionEstimator("h", 4, context_length=8, batch_size=8, num_batches_per_epoch=10, **more)

    entries, _ = waves(12, 60)
    losses = Losses()
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    theirs = estimator(trainer="lightning", trainer_kwargs={"max_epochs": 3, "callbacks": [losses], **quiet}).train(
        entries
    )
    ours = estimator(trainer_kwargs={"max_epochs": 3, "enable_progress_bar": False}).train(entries)
    assert len(losses.epochs) == 3
    runs = [predictor.model.run for predictor in (theirs, ours)]
    assert runs[0].steps == runs[1].steps == 30
    steps, held_out = ([[row[name] for row in run.history] for run in runs] for name in ("step", "held_out"))
    assert steps[0] == steps[1]
    np.testing.assert_allclose(held_out[0], held_out[1], rtol=3e-3)
    refuse(ConfigError, "ckpt_path: given beside", lambda: estimator(trainer="lightning").train(entries, ckpt_path="x"))


def test_a_predictor_equals_only_one_of_the_same_weights_and_settings() -> None:
    entries, _ = waves(3, 40)
    one, two = (gaussian().train(entries) for _ in range(2))
    assert one == two
    assert one != gaussian(seed=1).train(entries)
    assert one != gaussian(steps=25).train(entries)
    assert one != "a predictor"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


# ---- risk ----------------------------------------------------------------------------------------------------------


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


# ---- covariates, several targets, cold start -----------------------------------------------------------------------


def test_covariates_of_the_future_the_past_and_the_item_each_inform_the_forecast() -> None:
    rng = np.random.default_rng(0)

    def entry(ahead: int, length: int = 48) -> Entry:
        known, group = rng.normal(size=(1, length + ahead)), int(rng.integers(3))
        twin = np.convolve(rng.normal(size=length + 6), np.ones(6) / 6, "valid")[:length]
        real = rng.normal(size=1)
        target = 3 * known[0, :length] + 4 * group + 2 * real + twin
        future = 3 * known[0, length:] + 4 * group + 2 * real
        static = {"feat_static_cat": np.array([group]), "feat_static_real": real, "future": future}
        return {
            "start": START,
            "target": target,
            "feat_dynamic_real": known,
            "past_feat_dynamic_real": twin[None],
        } | static

    names = ("num_feat_dynamic_real", "num_feat_static_real", "num_feat_static_cat", "num_past_feat_dynamic_real")
    predictor = gaussian(4, 80, scaling=False, **dict.fromkeys(names, 1)).train([entry(0) for _ in range(40)])
    assert predictor.layout.cardinality == (3,)
    test = [entry(4) for _ in range(20)]
    forecasts = list(predictor.predict(test))
    error = np.array([f.mean - e["future"] for f, e in zip(forecasts, test, strict=True)])
    spread = np.std([e["future"] for e in test])
    assert np.sqrt(np.mean(error**2)) < 0.2 * spread
    cold = [{**e, "target": np.full(48, np.nan), "past_feat_dynamic_real": np.full((1, 48), np.nan)} for e in test]
    with pytest.warns(RstimeWarning, match="items without observation"):
        forecasts = list(predictor.predict(cold))
    error = np.array([f.mean - e["future"] for f, e in zip(forecasts, test, strict=True)])
    assert np.sqrt(np.mean(error**2)) < 0.3 * spread  # static and known covariates alone


def test_several_targets_have_joint_samples() -> None:
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(8, 60)), axis=1)
    entries = [{"start": START, "target": np.stack([w, 100 - 2 * w + 0.05 * rng.normal(size=60)])} for w in walk]
    entries[0]["target"][1, -20:] = np.nan
    forecasts = list(gaussian(3, 120, scaling=False).train(entries).predict(entries, num_samples=200))
    assert {f.samples.shape for f in forecasts} == {(200, 3, 2)}
    assert all(isinstance(f, SampleForecast) for f in forecasts)
    last = [np.corrcoef(f.samples[:, -1].T)[0, 1] for f in forecasts]
    assert np.mean(last) < -0.8
    np.testing.assert_allclose(forecasts[0].mean[0, 1], 100 - 2 * walk[0, -1], atol=4)


def test_series_of_any_length_and_scale_are_forecast_in_their_own_units() -> None:
    entries, clean = waves(7, 84)
    entries = [{**e, "target": e["target"][: 72 - 11 * k]} for k, e in enumerate(entries)]
    predictor = gaussian(12, 100, context_length=36).train(entries)
    short = [{**entries[2], "target": entries[2]["target"][:n]} for n in (1, 3, 6)]
    for k, forecast in enumerate(predictor.predict(entries)):
        truth = clean[k][72 - 11 * k : 84 - 11 * k] / 10.0**k
        assert np.abs(forecast.mean / 10.0**k - truth).mean() < (0.35 if k < 5 else 1.0), k
    for entry, forecast in zip(short, predictor.predict(short), strict=True):
        low, high = (forecast.quantile(q) / 100 for q in (0.05, 0.95))
        assert forecast.start_date == entry["start"] + len(entry["target"])
        assert ((low < 6.5) & (high > 3.5)).all()
        assert (high - low < 8).all()


def test_missing_values_at_the_end_do_not_move_the_forecast() -> None:
    entries, clean = waves(4, 84)
    predictor = gaussian(12, 100, context_length=36).train(entries)
    cut = [{**e, "target": np.append(e["target"][:66], np.full(6, np.nan))} for e in entries]
    for k, forecast in enumerate(predictor.predict(cut)):
        assert forecast.start_date == entries[k]["start"] + 72
        assert np.abs(forecast.mean - clean[k][72:]).mean() / 10.0**k < 0.35


def test_answers_do_not_depend_on_the_other_items_and_names_are_returned() -> None:
    entries, _ = waves(70, 30)
    for k, entry in enumerate(entries):
        entry["target"], entry["info"] = entry["target"] / 10.0**k, {"k": k}
    predictor = gaussian(4).train(entries)
    whole = list(predictor.predict(entries, num_samples=3))
    assert [f.item_id for f in whole] == [e["item_id"] for e in entries]
    assert [f.info["k"] for f in whole] == list(range(70))
    np.testing.assert_allclose(next(predictor.predict(entries[:1], num_samples=3)).samples, whole[0].samples, rtol=1e-5)
    assert predictor.predict(entries[:1]) is not None
    assert next(predictor.predict(entries[:1])).samples.shape == (100, 4)


# ---- stamps and scale ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("freq", "start", "year"),
    [
        ("h", "2026-03-01 05:00", 8766),
        ("15min", "2026-03-01", 35064),
        ("D", "2026-03-01", 365.25),
        ("2D", "2026-03-01", 182.625),
        ("W", "2026-03-01", 365.25 / 7),
        ("M", "2026-03", 12),
        ("Q", "2026-03", 4),
        ("Y", "2026", 1),
        ("B", "2026-03-02", 365.25 * 5 / 7),
    ],
)
def test_stamps_are_even_and_near_the_real_dates(freq: str, start: str, year: float) -> None:
    period = pd.Period(start, freq=freq)
    time = stamps(period, 50, freq, "x")
    gaps = np.diff(time).astype(np.int64)
    assert len(set(gaps.tolist())) == 1
    assert 365.25 * 86400e9 / gaps[0] == pytest.approx(year)
    away = np.abs(time - np.array([(period + k).start_time for k in range(50)], dtype="datetime64[ns]"))
    assert away.max() <= np.timedelta64(0 if freq in ("h", "15min", "D", "2D") else 6, "D")


def test_item_scale_takes_noise_off_and_borrows_where_readings_are_few() -> None:
    rng = np.random.default_rng(0)

    def series(level: float, sd: float, length: int, risk: float = 0.0) -> Series:
        value = level + sd * rng.normal(size=length) + risk * rng.normal(size=length)
        return Series("x", np.arange(float(length)), ("y",), value[:, None], np.full((length, 1), risk))

    levels = 10.0 ** np.arange(-2, 4)
    scale = ItemScale.fit([series(level, 0.2 * level, 200) for level in levels], 50)
    assert scale.relative.tolist() == [1.0]
    assert scale.scale[0] == pytest.approx(0.2, rel=0.15)
    location, spread = scale.of(series(1000, 200, 3000, risk=300))
    assert (location[0], spread[0]) == pytest.approx((1000, 200), rel=0.1)
    location, spread = scale.of(series(50, 0, 1))
    assert (location[0], spread[0]) == pytest.approx((50, 50 * scale.scale[0] * (8 / 9) ** 0.5), rel=1e-6)
    location, spread = scale.of(series(50, 0, 1, risk=30))
    assert spread[0] > 30
    location, spread = scale.of(series(0, 1, 0))
    assert location[0] == pytest.approx(scale.location[0])
    assert spread[0] > 0.9 * np.std(levels)
    one = series(1000, 200, 20, risk=300)
    np.testing.assert_allclose(scaled(one, *scale.of(one)).risk, 300 / scale.of(one)[1][0])
    alike = ItemScale.fit([series(level, 2.0, 200) for level in (-1.0, 0.5, 0.1, 2.0)], 50)
    assert alike.relative.tolist() == [0.0]
    assert ItemScale.from_dict(alike.to_dict()).to_dict() == alike.to_dict()


# ---- bad input -----------------------------------------------------------------------------------------------------


def refuse(error: type[RstimeError], text: str, call: Any) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_bad_entries_are_refused_with_field_and_item() -> None:
    entries, _ = waves(2, 40, noise=1.0)
    entries = [{**e, "feat_dynamic_real": np.ones((1, 44))} for e in entries]
    train = gaussian(num_feat_dynamic_real=1, risk="risk").train
    predictor = train(with_risk(entries, "sd"))
    assert len(list(predictor.predict(with_risk(entries, "sd")))) == 2

    def asked(entry: Entry, risk: Any = "sd") -> None:
        list(predictor.predict(with_risk([entry], risk)))

    one = entries[0]
    holes = np.ones((1, 44))
    holes[0, 7] = np.nan
    refuse(
        DataError,
        "feat_dynamic_real: ends 1 steps after",
        partial(asked, {**one, "feat_dynamic_real": np.ones((1, 41))}),
    )
    refuse(DataError, "feat_dynamic_real: not finite", partial(asked, {**one, "feat_dynamic_real": holes}))
    refuse(DataError, "feat_dynamic_real: 2 rows", partial(asked, {**one, "feat_dynamic_real": np.ones((2, 44))}))
    refuse(DataError, "start: frequency D", partial(asked, {**one, "start": pd.Period("2026-01-01", "D")}))
    refuse(DataError, "start: frequency", partial(asked, {**one, "start": "2026-01-01"}))
    refuse(DataError, "target: shape (2, 40)", partial(asked, {**one, "target": np.ones((2, 40))}, 0.5))
    refuse(DataError, "risk: -1.0 in item 'i0'", partial(asked, {**one, "sd": np.full(40, -1.0)}))
    refuse(DataError, "risk: nan in item", partial(asked, {**one, "sd": np.full(40, np.nan)}))
    refuse(DataError, "risk: shape (1, 39)", partial(asked, {**one, "sd": np.ones(39)}))
    refuse(DataError, "risk: no row or field 'accuracy'", partial(asked, one, "accuracy"))
    refuse(DataError, "risk: 0 rows named 'risk' in past_feat_dynamic_real", lambda: list(predictor.predict([one])))
    refuse(DataError, "risk: 0 rows named 'risk'", lambda: train(entries))
    refuse(DataError, "risk: 1 arrays for 2 items", lambda: with_risk(entries, [np.ones(40)]))
    refuse(DataError, "training_data: no entry", lambda: train([]))
    bare = {key: one[key] for key in ("start", "target", "sd")}
    refuse(DataError, "feat_dynamic_real: absent in item '0: '", partial(asked, bare))


def test_bad_entries_are_refused_in_these_words_by_forecast_and_training() -> None:
    entries, _ = waves(2, 40, noise=1.0)
    entries = [{**e, "feat_dynamic_real": np.ones((1, 44))} for e in entries]
    train = gaussian(num_feat_dynamic_real=1, risk="risk", steps=2).train
    predictor = train(with_risk(entries, "sd"))
    hole = np.where(np.arange(44) == 7, np.nan, 1.0)[None]
    row = {"past_feat_dynamic_real": np.full((1, 40), -1.0), NAMES: ("risk",)}
    cases: list[tuple[Entry, bool, str]] = [
        (
            {"start": pd.Period("2026-01-01", "D")},
            True,
            "start: frequency D in item '0: i0' where h is expected. Give the estimator the frequency of the data.",
        ),
        ({"sd": np.full(40, -1.0)}, True, "risk: -1.0 in item 'i0'. Risk is a standard deviation, at least 0."),
        (row, False, "risk: -1.0 in item '0: i0'. Risk is a standard deviation: 0 exact, inf missing."),
        (
            {},
            False,
            "risk: 0 rows named 'risk' in past_feat_dynamic_real of item '0: i0'. Wrap the data set by "
            "rstime.gluonts.with_risk, or set risk=None.",
        ),
        (
            {"feat_dynamic_real": hole},
            True,
            "feat_dynamic_real: not finite in item '0: i0'. Known covariates need a value at every stamp.",
        ),
    ]
    for change, wrapped, text in cases:
        bad = [{**entries[0], **change}]
        given = with_risk(bad, "sd") if wrapped else bad
        for call in (lambda given=given: list(predictor.predict(given)), lambda given=given: train(given)):
            with pytest.raises(DataError) as caught:
                call()
            assert str(caught.value) == text
    early = with_risk([{**entries[0], "feat_dynamic_real": np.ones((1, 41))}], "sd")
    with pytest.raises(DataError) as caught:
        list(predictor.predict(early))
    assert str(caught.value) == (
        "feat_dynamic_real: ends 1 steps after the target of item '0: i0', 4 are asked. Give the covariates of the "
        "whole horizon."
    )


def test_holes_in_covariates_of_the_past_are_missing_readings() -> None:
    entries, _ = waves(2, 40, noise=1.0)
    tell = [{**e, "past_feat_dynamic_real": np.sin(np.arange(40.0) + k)[None]} for k, e in enumerate(entries)]
    predictor = gaussian(num_past_feat_dynamic_real=1, risk="risk", steps=2).train(with_risk(tell, "sd"))
    nothing = [{**e, "past_feat_dynamic_real": np.full((1, 40), np.nan)} for e in entries]
    whole, bare = (next(iter(predictor.predict(with_risk(data, "sd")))).samples for data in (tell, nothing))
    assert np.isfinite(bare).all()
    assert not np.allclose(whole, bare)


def test_risk_that_nobody_asked_for_is_not_dropped_silently() -> None:
    entries, _ = waves(2, 40, noise=1.0)
    refuse(
        DataError,
        "risk: rows risk in item '0: i0', and an estimator that takes values as exact",
        lambda: gaussian().train(with_risk(entries, "sd")),
    )


def test_bad_settings_are_refused() -> None:
    make = partial(RiskDiffusionEstimator, "h", 4)
    refuse(ConfigError, "freq: 'ten past'", lambda: RiskDiffusionEstimator("ten past", 4))
    refuse(ConfigError, "prediction_length: 0", lambda: RiskDiffusionEstimator("h", 0))
    refuse(ConfigError, "context_length: -1", partial(make, context_length=-1))
    refuse(ConfigError, "model: 'lstm'", partial(make, model="lstm"))
    refuse(ConfigError, "cardinality: 1 numbers", partial(make, cardinality=[2]))
    refuse(ConfigError, "trainer: 'keras' is unknown", partial(make, trainer="keras"))
    refuse(ConfigError, "trainer_kwargs: 'gpus' is unknown", partial(make, trainer_kwargs={"gpus": 1}))
    refuse(ConfigError, "trainer_kwargs: max_epochs is 0", partial(make, trainer_kwargs={"max_epochs": 0}))
    refuse(ConfigError, "trainer_kwargs: accelerator 'tpu'", partial(make, trainer_kwargs={"accelerator": "tpu"}))
    refuse(ConfigError, "trainer_kwargs: 'callbacks'", partial(make, trainer_kwargs={"callbacks": [1]}))
    make(trainer_kwargs={"logger": False, "enable_checkpointing": False, "accelerator": "cpu"})


def test_a_damaged_predictor_is_refused(tmp_path: Path) -> None:
    predictor = gaussian().train(waves(2, 40)[0])
    predictor.serialize(tmp_path)
    assert RiskDiffusionPredictor.deserialize(tmp_path, device="cpu") == predictor
    (tmp_path / "predictor.json").write_text("{}")
    refuse(ModelFileError, "predictor: ", lambda: Predictor.deserialize(tmp_path))
    files = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}  # nothing that runs code when it is read


def test_without_gluonts_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['gluonts'] = None\n"
        "from rstime.errors import PackageError\n"
        "try:\n    import rstime.gluonts\nexcept PackageError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60)
    assert done.stdout == "gluonts: not installed. Install it: pip install 'rstime[gluonts]'.\n"


@pytest.mark.gpu
def test_a_predictor_moves_between_devices(tmp_path: Path) -> None:
    entries, _ = waves(3, 40)
    trainer = {**QUIET, "accelerator": "gpu"}
    predictor = RiskDiffusionEstimator("h", 4, size="tiny", num_batches_per_epoch=5, trainer_kwargs=trainer).train(
        entries
    )
    predictor.serialize(tmp_path)
    copy = RiskDiffusionPredictor.deserialize(tmp_path, device="cpu")
    assert copy == predictor
    found = [np.stack([f.mean for f in one.predict(entries)]) for one in (predictor, copy)]
    np.testing.assert_allclose(found[0], found[1], rtol=0.02)


def test_lists_of_gluonts_are_read() -> None:
    data = ListDataset([{"start": "2026-01-01", "target": np.arange(40.0) % 7}], freq="D")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RstimeWarning)
        (forecast,) = gaussian(7, freq="D").train(data).predict(data)
    assert forecast.samples.shape == (100, 7)
    assert str(forecast.start_date) == "2026-02-10"


@pytest.mark.parametrize("module", ["gluonts", "gluonts_risk"])
def test_examples_of_the_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"rstime.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
