"""Held-out questions of a task: known readings alone, as hard as the test, never of the test; what they adjust."""

from dataclasses import replace

import numpy as np
import pytest

from rstime.evaluation import run
from rstime.evaluation.adjusting import adjustment, held_out
from rstime.evaluation.baselines import Settings
from rstime.evaluation.classics import gaussian_answer
from rstime.evaluation.methods import METHODS
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import NAMED
from rstime.evaluation.tally import tally
from rstime.evaluation.treatments import treat
from rstime.types import Series

SETTINGS = Settings(samples=99)


def wide(task, settings):
    """Answer N(0, 1) where the truth is N(0, .25)."""
    for item in task.test:
        yield gaussian_answer(item, np.zeros(item.value.shape), np.ones(item.value.shape), settings.samples)


def noise(future=False, shown=0.25, items=30, steps=60):
    """White noise of sd .5, half of it read with risk 1; hidden are the last ten stamps, or all but this share."""
    rng = np.random.default_rng(0)
    clean = 0.5 * rng.normal(size=(items, steps, 1))
    risk = np.where(rng.random(clean.shape) < 0.5, 1.0, 0.0)
    value = clean + risk * rng.normal(size=clean.shape)
    lost = rng.random(clean.shape) >= shown
    if future:
        lost = np.broadcast_to(np.arange(steps)[:, None] >= steps - 10, clean.shape)
    names = [(f"i{k}", np.arange(float(steps)), ("x",)) for k in range(items)]
    train = [
        Series(*name, v[: steps - 10 * future], r[: steps - 10 * future])
        for name, v, r in zip([(n, t[: steps - 10 * future], c) for n, t, c in names], value, risk, strict=True)
    ]
    test = [Series(*n, v, np.where(m, np.inf, r), asked=m) for n, v, r, m in zip(names, value, risk, lost, strict=True)]
    nothing = [np.zeros_like(mask) for mask in lost]
    hidden, late = (nothing, list(lost)) if future else (list(lost), [])
    return Task("n", train, [] if future else train, test, list(clean), hidden, nothing, 20, 1.0, late)


@pytest.mark.parametrize("future", [True, False])
@pytest.mark.parametrize("treatment", ["known", "drop"])
def test_bands_that_are_twice_too_wide_are_halved(future, treatment):
    task = noise(future)
    found = adjustment(treat(task, treatment), SETTINGS, wide)
    assert found.factor[0] == pytest.approx(0.5, rel=0.1)
    metrics = tally(task, wide(task, SETTINGS), adjust=found).metrics()
    assert metrics["coverage90"] > 0.98
    assert metrics["coverage90_adjusted"] == pytest.approx(0.9, abs=0.03)
    assert metrics["width90_adjusted"] == pytest.approx(found.factor[0] * metrics["width90"])
    assert metrics["wql_adjusted"] < metrics["wql"]
    assert not {"mae_adjusted", "rmse_adjusted", "crps_adjusted"} & metrics.keys()


def test_who_keeps_noisy_readings_as_exact_takes_their_noise_for_spread():
    found = adjustment(treat(noise(), "keep"), SETTINGS, wide)
    assert found.factor[0] > 0.75


def test_questions_of_an_imputation_are_windows_of_validation_as_thin_as_the_test():
    task = noise()
    asked, readings = held_out(task, 0)
    assert len(asked.test) == 90
    assert {len(item.time) for item in asked.test} == {20}
    assert np.mean([item.observed.mean() for item in asked.test]) == pytest.approx(0.25, abs=0.03)
    for item, reading in zip(asked.test, readings, strict=True):
        np.testing.assert_array_equal(item.asked, reading.observed)
        assert not (item.observed & reading.observed).any()
        np.testing.assert_array_equal(item.observed | reading.observed, np.ones((20, 1)))
    whole = np.concatenate([item.value for item in task.validation])
    back = np.concatenate([np.where(r.observed, r.value, i.value) for i, r in zip(asked.test, readings, strict=True)])
    np.testing.assert_array_equal(back, whole)
    alike = replace(task, test=task.train)
    assert np.mean([item.observed.mean() for item in held_out(alike, 0)[0].test]) == pytest.approx(0.9, abs=0.02)
    assert (asked.train, asked.validation) == (task.train, task.validation)


def test_questions_of_a_forecast_are_the_last_windows_of_training_with_a_context():
    asked, readings = held_out(noise(future=True, items=30), 0)
    assert len(asked.test) == 30 * 4  # 50 stamps: 40 after the first 10, and four windows make a hundred questions
    assert [len(item.time) for item in asked.test[:4]] == [50, 40, 30, 20]
    for item, reading in zip(asked.test, readings, strict=True):
        assert not item.observed[-10:].any()
        assert item.observed[:-10].all()
        assert np.flatnonzero(reading.observed.any(1)).tolist() == list(range(len(item.time) - 10, len(item.time)))
    assert all(mask[-10:].all() and mask.sum() == 10 for mask in asked.future)


def test_without_validation_data_there_is_no_adjustment():
    assert adjustment(replace(noise(), validation=[]), SETTINGS, wide) is None


def test_runs_tell_adjusted_bands_beside_their_own(tmp_path, shared_data, monkeypatch):
    few = replace(NAMED["exchange-half"], name="few", items=2, origins=2, seeds=(0,), samples=50)
    monkeypatch.setattr(run, "METHODS", {**METHODS, "naive": replace(METHODS["naive"], adjusted=True)})
    known, plain, *_ = run.evaluate(
        few, ["naive", "seasonal-naive"], tmp_path, treatments=["drop"], root=shared_data, quiet=True
    )
    metrics = known.tally.metrics()
    assert known.facts["factor"] != 1
    assert metrics["width90_adjusted"] == pytest.approx(known.facts["factor"] * metrics["width90"], rel=1e-3)
    assert np.isnan(plain.facts["factor"])
    assert "wql_adjusted" not in plain.tally.metrics()
