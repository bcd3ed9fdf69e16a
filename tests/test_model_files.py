"""What is kept of a fitted model: its files, checkpoints, support and baseline."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oracles.models import FEW, QUICK, series
from oracles.series import two_levels
from rstime.errors import ModelFileError, RstimeWarning
from rstime.frame import Columns
from rstime.model import RiskDiffusion
from rstime.types import Series


def diffusion_model(seed: int = 1) -> RiskDiffusion:
    """A model whose network helps after some steps, which takes data that are not Gaussian."""
    model = RiskDiffusion(size="tiny", window=12, gaussian=replace(QUICK, steps=40), training=FEW)
    model.fit(two_levels(seed, 300), steps=15, seed=seed, progress=False)
    assert (
        model.baseline().point([two_levels(0, 1)[0]])[0].samples.tolist()
        != model.point(two_levels(0, 1))[0].samples.tolist()
    )
    return model


def test_two_runs_write_the_same_files_and_a_loaded_model_answers_the_same(tmp_path: Path) -> None:
    model = diffusion_model()
    for name, one in (("one", model), ("two", diffusion_model())):
        one.save(tmp_path / name)
    assert_same_files(tmp_path / "one", tmp_path / "two")
    loaded, items = RiskDiffusion.load(tmp_path / "one"), two_levels(9, 2)
    for a, b in zip(loaded.impute(items, samples=3), model.impute(items, samples=3), strict=True):
        assert np.array_equal(a.samples, b.samples)


def assert_same_files(one: Path, other: Path) -> None:
    for file in ("config.json", "weights.safetensors"):
        assert (one / file).read_bytes() == (other / file).read_bytes()


def test_minutes_are_replayed_by_their_steps(tmp_path: Path) -> None:
    quick = replace(QUICK, steps=40)
    timed, again = (RiskDiffusion(size="tiny", window=12, gaussian=quick, training=FEW) for _ in range(2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)  # whether the network helps depends on the machine's speed
        timed.fit(two_levels(1, 100), max_minutes=0.03, progress=False)
        again.fit(two_levels(1, 100), steps=timed.run.planned, progress=False)
    assert timed.run.steps == timed.run.planned > FEW.warmup
    for name, model in (("timed", timed), ("again", again)):
        model.save(tmp_path / name)
    assert_same_files(tmp_path / "timed", tmp_path / "again")


@pytest.mark.filterwarnings("ignore::rstime.errors.RstimeWarning")
def test_checkpoints_go_on_with_the_same_data_only(tmp_path: Path) -> None:
    def fit(data: list[Series]) -> RiskDiffusion:
        model = RiskDiffusion(size="tiny", window=12, gaussian=replace(QUICK, steps=10), training=FEW)
        return model.fit(data, steps=12, progress=False, checkpoint=tmp_path / "checkpoint")

    item = two_levels(9, 1)
    whole, again = fit(two_levels(1, 40)), fit(two_levels(1, 40))
    assert whole.run == again.run
    assert np.array_equal(again.point(item)[0].samples, whole.point(item)[0].samples)
    with pytest.raises(ModelFileError, match="other data or settings"):
        fit(two_levels(2, 40))


def test_support_is_told_by_variable() -> None:
    rng = np.random.default_rng(0)
    value = rng.standard_normal((30, 20, 2)) * [10.0, 1.0]
    risk = np.broadcast_to(np.array([2.0, 0.0]), value.shape).copy()
    risk[:, ::2, 0] = 5.0
    risk[:3, :, 1] = np.inf
    data = [replace(series(v, r), item_id=f"{i}") for i, (v, r) in enumerate(zip(value, risk, strict=True))]
    support = RiskDiffusion("gaussian", window=20, gaussian=QUICK).fit(data, steps=5, progress=False).support
    assert list(support["variable"]) == ["x0", "x1"]
    assert list(support["measurements"]) == [600, 540]
    np.testing.assert_allclose(support["smallest_risk"], [2.0, 0.0], rtol=1e-6)
    sd = support["smallest_risk_sd"][0]
    assert sd == pytest.approx(0.2, rel=0.2)
    assert support["exit_level"][0] == pytest.approx(math.sqrt(2) * sd, rel=1e-6)


@pytest.mark.filterwarnings("error::rstime.errors.RstimeWarning")
def test_a_variable_that_training_never_saw_is_named_where_it_is_asked_for() -> None:
    value = np.random.default_rng(0).standard_normal((30, 2))
    item = series(value, np.where(np.arange(2) == 1, np.inf, np.full((30, 2), 0.5)))
    model = RiskDiffusion("gaussian", window=20, gaussian=QUICK).fit([item], steps=5, progress=False)
    assert list(model.support["measurements"]) == [30, 0]
    np.testing.assert_array_equal(np.isnan(model.support["smallest_risk"]), [False, True])
    text = "variable: training had no reading of 'x1'; what is answered there is invented."
    for ask in (model.impute, lambda x: model.forecast(x, 3), model.point):
        with pytest.warns(RstimeWarning) as told:
            ask([item])
        assert [str(one.message) for one in told] == [text]
    model.impute([replace(item, asked=np.tile([True, False], (30, 1)))], samples=2)
    model.impute([item], samples=2, entries="noisy")


def test_baseline_is_the_gaussian_model_inside() -> None:
    model = diffusion_model()
    alone, items = model.baseline(), two_levels(9, 3)
    assert alone.config.model == "gaussian"
    from_scratch = RiskDiffusion("gaussian", window=12, gaussian=replace(QUICK, steps=40))
    from_scratch.fit(two_levels(1, 300), steps=40, seed=1, progress=False)
    for a, b in zip(alone.impute(items, samples=4), from_scratch.impute(items, samples=4), strict=True):
        np.testing.assert_allclose(a.samples, b.samples, rtol=0, atol=1e-5)


def test_a_loaded_model_reads_tables_by_the_names_it_was_fitted_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"bed": "a", "when": range(30), "what": "x", "read": rng.standard_normal(30), "error": 0.2})
    columns = Columns("bed", "when", "what", "read", "error")
    model = RiskDiffusion("gaussian", window=10).fit(table, steps=5, progress=False, columns=columns)
    model.save(tmp_path / "model")
    loaded = RiskDiffusion.load(tmp_path / "model")
    answers = [one.impute(table, samples=5)[0].samples for one in (model, loaded)]
    np.testing.assert_array_equal(*answers)
