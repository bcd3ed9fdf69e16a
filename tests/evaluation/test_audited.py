"""Audits of models: which data, which windows beside them, and a command that prints what was found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rstime.audit.report import CONSTANT, REAL, WHITE, Audit, Score
from rstime.datasets import etth
from rstime.datasets.simulate import mixture_truth
from rstime.evaluation import audited
from rstime.evaluation.audited import case, copies, main, study


def test_simulated_windows_come_with_their_law_and_copies() -> None:
    data = case("mixture", 30, seed=1)
    assert len(data.train) == len(data.holdout) == 30
    assert not np.array_equal(data.train[0].risk, data.holdout[0].risk)
    drawn = np.array(data.sources["the law"](data.train * 100, 3))
    assert drawn.shape == (3000, 48, 1)
    assert drawn.var() == pytest.approx(1, abs=0.1)
    levels = [part.mean[0] for part in mixture_truth(48).parts]
    assert drawn.mean() == pytest.approx(np.mean(levels), abs=0.06)
    copied = data.sources["copies"](data.train, 0)
    error = np.concatenate([(one.value - x)[one.observed] for one, x in zip(data.train, copied, strict=True)])
    risk = np.concatenate([one.risk[one.observed] for one in data.train])
    assert np.mean((error / risk) ** 2) == pytest.approx(1, abs=0.15)


def test_copies_begin_again() -> None:
    one, two = np.zeros((2, 1)), np.ones((2, 1))
    pieces = case("gp", 3, seed=0).train
    assert [x[0, 0] for x in copies([one, two])(pieces, 0)] == [0, 1, 0]


def test_the_ward_is_split_by_patient_and_etth1_by_fortnight(shared_data: Path) -> None:
    ward = case("ward", 3, seed=0)
    assert [one.item_id for one in (*ward.train, *ward.holdout)] == [f"p{place:03}" for place in range(6)]
    assert ward.sources["copies"](ward.train, 0)[0].shape == ward.train[0].value.shape
    data = case("etth1", 0, seed=0, root=shared_data)
    whole = etth.load(shared_data)
    assert len(data.train) == len(data.holdout) == 21
    pairs = zip(data.train, data.holdout, strict=True)
    values = np.concatenate([np.concatenate([one.value, other.value]) for one, other in pairs])
    np.testing.assert_array_equal(values, whole.value[: 42 * 14 * 24])
    assert {len(one.time) for one in (*data.train, *data.holdout)} == {14 * 24}
    assert len({one.item_id for one in (*data.train, *data.holdout)}) == 42


def test_models_are_fitted_with_and_without_the_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted: list[Any] = []

    class Fake:
        run = type("Run", (), {"steps": 7})

        def __init__(self, model: str = "diffusion", **options: Any) -> None:
            assert options == {"window": 48, "grid": None}
            self.name = model

        def fit(self, series: Any, **options: Any) -> Fake:
            fitted.append((self.name, max(np.max(one.risk[one.observed]) for one in series), options["seed"]))
            return self

        def baseline(self) -> Fake:
            return Fake("gaussian", window=48, grid=None)

    monkeypatch.setattr(audited, "RiskDiffusion", Fake)
    monkeypatch.setattr(audited, "audit", lambda *parts, **options: (parts, options))
    data = case("gp", 5, seed=0)
    (train, holdout, sources), options = study(data, minutes=1.0, seed=4)  # type: ignore[misc]
    assert (train, holdout) == (data.train, data.holdout)
    assert list(sources) == ["the law", "copies", "diffusion (7 steps)", "gaussian", "noise ignored"]
    assert options == {"window": 48, "grid": None, "halves": 10, "seed": 4}
    assert [(name, risk > 0, seed) for name, risk, seed in fitted] == [("diffusion", True, 4), ("gaussian", False, 4)]


def test_the_command_prints_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {REAL: [0.1, 1.0], WHITE: [0.5, 0.5], CONSTANT: [0.9, 0.5], "gaussian": [0.3, 0.6]}
    halves = {name: np.array([row, row]) + np.array([[0.01], [-0.01]]) for name, row in rows.items()}
    found = Audit((Score("fidelity", "mmd"), Score("privacy", "closest")), halves, dict.fromkeys(rows, 0.5), (30, 30))
    monkeypatch.setattr(audited, "study", lambda data, minutes, seed, halves: found)
    main(["--data", "gp", "--items", "3", "--out", str(tmp_path / "out")])
    assert capsys.readouterr().out == found.text() + "\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["gp.csv", "gp.png"]
    assert found.levels("gaussian") == pytest.approx([0.75, 0.8])
