"""The demo runs from end to end, says what it does, and judges every method on the same entries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rstime import demo
from rstime.datasets import icu
from rstime.errors import ConfigError
from rstime.evaluation.linear import LinearBands
from rstime.evaluation.study import HORIZON, judge
from rstime.model import RiskDiffusion
from rstime.types import Posterior, Series

STEP = np.timedelta64(1, "h")


class Stand:
    """A stand-in for the model that interpolates."""

    def __init__(self, model: str, size: str = "small") -> None:
        self.model = model

    def fit(self, train: Sequence[Series], **settings: float) -> Stand:
        self.bands = LinearBands.fit(train)
        self.support = pd.DataFrame({"variable": train[0].variables, "smallest_risk": 1.0, "count": 7})
        return self

    def baseline(self) -> Stand:
        return self

    def impute(self, items: Sequence[Series], *, samples: int, seed: int) -> list[Posterior]:
        rng = np.random.default_rng(seed)
        return [self.bands.impute(item, samples, rng) for item in items]

    def forecast(self, items: Sequence[Series], horizon: int, *, samples: int, seed: int) -> list[Posterior]:
        """Forecast from the last reading on, as the model does, not from the last stamp."""
        longer = []
        for stay in items:
            item = stay.rows(slice(0, int(np.flatnonzero(stay.observed.any(1))[-1]) + 1))
            time = np.concatenate([item.time, item.time[-1] + STEP * np.arange(1, horizon + 1)])
            empty = np.full((horizon, len(item.variables)), np.inf)
            value, risk = np.concatenate([item.value, empty]), np.concatenate([item.risk, empty])
            longer.append(Series(item.item_id, time, item.variables, value, risk))
        whole = self.impute(longer, samples=samples, seed=seed)
        return [Posterior(p.series.rows(slice(-horizon, None)), p.samples[:, -horizon:]) for p in whole]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = demo.ward_study
    monkeypatch.setattr(demo, "ward_study", lambda seed: whole(seed, n_train=12, n_test=4))
    monkeypatch.setattr(demo, "PICTURES", 1)


@pytest.mark.usefixtures("small")
def test_the_demo_writes_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "RiskDiffusion", Stand)
    demo.run(out=tmp_path / "out", max_minutes=0.1)
    said = capsys.readouterr().out
    for word in (
        "a simulated ward",
        "fitting the Gaussian model, then the diffusion model",
        "smallest_risk",
        "CRPS",
    ):
        assert word in said
    names = {path.name for path in (tmp_path / "out").iterdir()}
    pictures = {"coverage.png", "posterior_p012.png", "forecast_p012.png"}
    assert names == pictures | {"scores.csv", "errors_by_variable.csv", "answers.csv", "forecast.csv"}
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert table.groupby("entries")["count"].nunique().eq(1).all()
    linear, stand = (table[table["method"] == name]["CRPS"].to_numpy() for name in (demo.LINEAR, demo.DIFFUSION))
    np.testing.assert_allclose(stand, linear, rtol=0.1)
    assert len(pd.read_csv(tmp_path / "out" / "answers.csv")) == 4 * 48 * 8
    assert len(pd.read_csv(tmp_path / "out" / "forecast.csv")) == 4 * HORIZON * 8


def test_the_ward_reaches_the_model_as_it_was_measured() -> None:
    study = demo.ward_study(seed=3, n_train=2, n_test=2)
    ward = icu.simulate(4, seed=3)
    order = [study.test[0].variables.index(name) for name in icu.VARIABLES]
    for index, (item, truth) in enumerate(zip(study.test, study.truth, strict=True)):
        np.testing.assert_array_equal(item.value[:, order], ward.value[2 + index])
        np.testing.assert_array_equal(item.risk[:, order], ward.risk[2 + index])
        np.testing.assert_array_equal(truth[:, order], ward.truth[2 + index])
        assert np.all(item.asked)


def test_linear_forecasts_know_nothing_of_the_last_hours() -> None:
    study = demo.ward_study(seed=0, n_train=4, n_test=2)
    _, late = demo.answer_linear(study, seed=0)
    shouting = [
        Series(
            item.item_id, item.time, item.variables, np.where(np.arange(48)[:, None] >= 36, 1e9, item.value), item.risk
        )
        for item in study.test
    ]
    _, again = demo.answer_linear(dataclasses.replace(study, test=shouting), seed=0)
    for first, second in zip(late, again, strict=True):
        assert second.samples.max() < 1e4
        assert first.samples.shape == second.samples.shape == (demo.SAMPLES, HORIZON, 8)


def test_forecasts_lie_on_the_last_hours_even_after_a_silence() -> None:
    study = demo.ward_study(seed=0, n_train=4, n_test=2)
    risk = study.test[0].risk.copy()
    risk[30:] = np.inf
    study = dataclasses.replace(study, test=[dataclasses.replace(study.test[0], risk=risk), study.test[1]])
    stand = Stand("gaussian").fit(study.train)
    _, late = demo.answer_model(study, stand, seed=0)  # type: ignore[arg-type]
    for answer, item in zip(late, study.test, strict=True):
        np.testing.assert_array_equal(answer.series.time, item.time[-HORIZON:])


def test_other_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="physionet2012"):
        demo.run("tarot", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_gaussian_model_beats_linear_interpolation_on_the_ward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SAMPLES", 50)
    study = demo.ward_study(seed=1, n_train=40, n_test=8)
    model = RiskDiffusion("gaussian").fit(study.train, steps=60, seed=0, progress=False)
    answers = {"linear": demo.answer_linear(study, seed=0), "Gaussian": demo.answer_model(study, model, seed=0)}
    pooled, _, _ = judge(study, answers)
    table = pooled.pivot_table(index="entries", columns="method", values="CRPS")
    assert np.all(table["Gaussian"] < 0.9 * table["linear"]), table
    inside = pooled[pooled["method"] == "Gaussian"]["inside 90 %"]
    assert inside.between(0.78, 0.96).all(), pooled
