"""Bad input of the GluonTS face is named."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from gluonts.model.predictor import Predictor

from oracles.entries import Entry, gaussian, refuse, waves
from rstime.errors import ConfigError, DataError, ModelFileError, RstimeWarning
from rstime.gluonts import RiskDiffusionEstimator, RiskDiffusionPredictor, with_risk
from rstime.gluonts_risk import NAMES

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*did not beat:rstime.errors.RstimeWarning")


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
    refuse(
        DataError,
        "start: '2026-01-01', a str and no period, in item '0: i0'. Give pd.Period(start, 'h').",
        partial(asked, {**one, "start": "2026-01-01"}),
    )
    stamp = pd.Timestamp("2026-01-01")
    refuse(DataError, "'2026-01-01 00:00:00', a Timestamp and no period", partial(asked, {**one, "start": stamp}))
    short = {key: value for key, value in one.items() if key != "start"}
    refuse(DataError, "start: absent in item '0: i0'. Give pd.Period(start, 'h').", partial(asked, short))
    short = {key: value for key, value in one.items() if key != "target"}
    refuse(DataError, "target: absent in item 'i0'", partial(asked, short))
    refuse(DataError, "target: absent in item '0: i0' where (T,) is expected", lambda: gaussian().train([short]))
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


def test_risk_that_nobody_asked_for_is_not_dropped_silently() -> None:
    entries, _ = waves(2, 40, noise=1.0)
    refuse(
        DataError,
        "risk: rows risk in item '0: i0', and an estimator that takes values as exact",
        lambda: gaussian().train(with_risk(entries, "sd")),
    )


def test_what_is_infinite_is_named_and_nothing_to_learn_from_is_no_series() -> None:
    entries, _ = waves(2, 40)
    bad = np.where(np.arange(40) == 7, -np.inf, 1.0)
    remedy = "Give NaN where a value is missing."
    text = f"target: -inf at place 7 in item '1: i1', the first of 1. {remedy}"
    refuse(DataError, text, lambda: gaussian().train([entries[0], {**entries[1], "target": bad}]))
    text = f"target: -inf at place 7 of row 1 in item '0: i0', the first of 1. {remedy}"
    refuse(DataError, text, lambda: gaussian().train([{**entries[0], "target": np.stack([np.ones(40), bad])}]))
    past = [{**entry, "past_feat_dynamic_real": bad[None]} for entry in entries]
    refuse(DataError, "past_feat_dynamic_real: -inf at", lambda: gaussian(num_past_feat_dynamic_real=1).train(past))
    late = np.where(np.arange(40) < 38, np.nan, 1.0)
    for empty in (np.full(40, np.nan), late):
        refuse(
            DataError,
            "training_data: no value to learn from in 1 items. Give items with values before the part held out",
            lambda empty=empty: gaussian().train([{**entries[0], "target": empty}]),
        )


@pytest.mark.parametrize(("freq", "period"), [("MS", "M"), ("ME", "M"), ("QS", "Q"), ("QE-DEC", "Q"), ("YS-JAN", "Y")])
def test_names_of_first_and_last_days_are_periods(freq: str, period: str) -> None:
    entries = [{**entry, "start": pd.Period("1990-01", period)} for entry in waves(2, 40)[0]]
    named, plain = (gaussian(freq=name).train(entries) for name in (freq, period))
    pairs = zip(named.predict(entries, 3), plain.predict(entries, 3), strict=True)
    assert all(
        np.array_equal(one.samples, other.samples) and one.start_date.freqstr[0] == period for one, other in pairs
    )
    refuse(
        DataError,
        f"start: frequency h in item '0: ' where {period} is expected",
        lambda: gaussian(freq=freq).train([{"start": pd.Period("1990-01-01", "h"), "target": np.ones(40)}]),
    )


def test_settings_of_other_estimators_are_taken_and_none_is_ignored_in_silence() -> None:
    entries, _ = waves(3, 60)
    plain = gaussian().train(entries)
    assert gaussian().train(entries, num_workers=4, num_prefetch=2, shuffle_buffer_length=10, cache_data=True) == plain
    refuse(
        ConfigError,
        "seasons: given with scaling=False. Leave one out: seasons are a part of the scaling.",
        lambda: gaussian(seasons=True, scaling=False),
    )
    refuse(ConfigError, "seasons: none is known at the frequency 'Y'", lambda: gaussian(freq="Y", seasons=True))
    short = [entries[0], {**entries[1], "target": entries[1]["target"][:47]}, entries[2]]
    with pytest.warns(RstimeWarning) as caught:
        gaussian(seasons=True).train(short)
    assert [str(one.message) for one in caught if "season of" in str(one.message)] == [
        "1 of 3 items have fewer than 48 readings: no season of 24 steps is learned of them",
        "3 of 3 items have fewer than 336 readings: no season of 168 steps is learned of them",
    ]


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


def test_a_checkpoint_of_other_settings_names_what_differs(tmp_path: Path) -> None:
    entries, _ = waves(2, 40)

    def train(entries: list[Entry], **more: Any) -> None:
        trainer = {"max_epochs": 1, "enable_progress_bar": False}
        estimator = RiskDiffusionEstimator("h", 4, size="tiny", num_batches_per_epoch=1, trainer_kwargs=trainer, **more)
        estimator.train(entries, ckpt_path=tmp_path / "kept")

    train(entries)
    start = "kept belongs to other data or settings: "
    refuse(ModelFileError, f"{start}window, 20.0 there and 12.0 here", lambda: train(entries, context_length=8))
    refuse(ModelFileError, f"{start}data. Delete it", lambda: train([{**entries[0], "target": np.arange(40.0)}]))


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
