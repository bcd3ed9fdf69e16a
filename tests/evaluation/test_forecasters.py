"""Adapters of other packages: what they are shown, what comes back, budgets, generators put back."""

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from rstime.evaluation.baselines import Settings
from rstime.evaluation.forecasters import automatic
from rstime.evaluation.gluonts_entries import entries
from rstime.evaluation.methods import METHODS
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import NAMED, Protocol
from rstime.evaluation.tally import tally
from rstime.evaluation.treatments import treat
from rstime.types import Series

pytestmark = pytest.mark.filterwarnings("ignore")
SETTINGS = Settings(seed=0, minutes=0.02, samples=30)


def sines(count=4, steps=160, ahead=6):
    rng = np.random.default_rng(0)
    train, test, truth, future = [], [], [], []
    for k in range(count):
        clean = (50 + 10 * np.sin(2 * np.pi * (np.arange(steps) + 3 * k) / 12))[:, None]
        risk = np.where(rng.random(clean.shape) < 0.5, 5.0, 0.0)
        late = np.arange(steps)[:, None] >= steps - ahead
        parts = (f"s{k}", np.arange(float(steps)), ("x",), clean + risk * rng.normal(size=clean.shape))
        test.append(Series(*parts, np.where(late, np.inf, risk), asked=late))
        train.append(Series(parts[0], parts[1][:-ahead], ("x",), parts[3][:-ahead], risk[:-ahead]))
        truth.append(clean)
        future.append(late)
    nothing = [np.zeros_like(mask) for mask in future]
    return Task("sines", train, [], test, truth, nothing, nothing, 24 + ahead, 1.0, future, season=12, freq="h")


def test_entries_carry_what_the_treatment_shows_and_never_the_future():
    task = sines()
    (dropped, *_) = entries(treat(task, "drop").test, "h", 6)
    assert dropped["target"].shape == (154,)
    assert np.isnan(dropped["target"]).mean() == pytest.approx(0.5, abs=0.1)
    (full, *_) = entries(treat(task, "drop").test, "h", 6, filled=True)
    assert np.isfinite(full["target"]).all()
    (told, *_) = entries(task.test, "h", 6, covariate=True)
    item = task.test[0]
    assert told["feat_dynamic_real"].shape == (1, 160)
    np.testing.assert_allclose(
        told["feat_dynamic_real"][0, :154], item.risk[:154, 0] / np.nanstd(item.value), rtol=1e-6
    )
    assert not told["feat_dynamic_real"][0, 154:].any()
    np.testing.assert_array_equal(told["target"], item.value[:154, 0])
    assert told["start"] == pd.Period("2000-01-03 00:00", freq="h")


@pytest.mark.parametrize(
    ("name", "treatment"),
    [("deepar", "covariate"), ("tft", "covariate"), ("patchtst", "drop"), ("feedforward", "drop")],
)
def test_networks_answer_within_their_budget_and_put_the_generators_back(name, treatment):
    task = sines()
    np.random.seed(3)  # noqa: NPY002
    torch.manual_seed(3)
    numbers, tensors = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    began = time.perf_counter()
    found = tally(task, METHODS[name].answers[treatment](treat(task, treatment), SETTINGS)).metrics()
    assert time.perf_counter() - began < 30
    assert found["wql"] < 2.1
    np.testing.assert_array_equal(np.random.get_state()[1], numbers)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), tensors)


def test_exponential_smoothing_finds_the_season_where_risky_readings_are_dropped():
    task = sines(count=1)
    kept, dropped = (
        float(tally(task, automatic(treat(task, name), SETTINGS, "AutoETS")).metrics()["mae"])
        for name in ("keep", "drop")
    )
    assert dropped < 1.5
    assert dropped < kept


def test_ours_takes_risk_and_beats_the_same_model_that_keeps_all():
    task, quick = sines(), replace(SETTINGS, minutes=0.01)
    known, kept = (
        float(tally(task, METHODS["gaussian"].answers[name](treat(task, name), quick)).metrics()["wql"])
        for name in ("known", "keep")
    )
    assert known < 0.03
    assert known < kept


def test_every_method_can_do_what_it_says_and_ours_come_first():
    assert next(iter(METHODS)) == "diffusion"
    for protocol in NAMED.values():
        assert isinstance(protocol, Protocol)
        assert sum(protocol.task in method.tasks for method in METHODS.values()) >= 5
    for method in METHODS.values():
        assert method.answers.keys() <= {"known", "keep", "drop", "covariate"}
