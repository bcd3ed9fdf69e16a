"""The GluonTS face: its own test cases, files, devices."""

from __future__ import annotations

import doctest
import importlib
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.artificial import constant_dataset
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.model.predictor import Predictor

from oracles.entries import QUIET, Entry, gaussian, refuse, waves
from rstime.errors import ConfigError
from rstime.gluonts import RiskDiffusionEstimator, RiskDiffusionPredictor
from rstime.gluonts_scale import ItemScale, instances, recent_stamps
from rstime.model import RiskDiffusion
from rstime.types import Series

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*did not beat:rstime.errors.RstimeWarning")


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
    scale = ItemScale.fit([series], 4, recent_stamps(10, 5))
    one = instances(series, [40], 10, 5, scale)[0]
    units = scale.of(series.rows(slice(10, 40)))  # two windows of 15
    location, spread = units.centre[0], units.scale
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
    np.testing.assert_allclose(held_out[0], held_out[1], rtol=5e-3)
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


@pytest.mark.parametrize("module", ["gluonts", "gluonts_risk"])
def test_examples_of_the_docstrings_run(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"rstime.{module}"))
    assert found.attempted > 0
    assert found.failed == 0
