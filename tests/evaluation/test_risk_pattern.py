"""Has a model learned where the noise was? The test keeps its level, finds differences, and the models pass it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rstime.datasets.simulate import gp_series
from rstime.evaluation import risk_pattern
from rstime.evaluation.risk_pattern import (
    PATTERNS,
    Comparison,
    energy_test,
    generated,
    main,
    measured,
    table,
    whitened,
)
from rstime.types import Floats


def test_the_energy_distance_by_hand() -> None:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| of {0, 2} and {3}: 2 * 2 - 1 - 0."""
    found, _, p = energy_test(np.array([[0.0], [2.0]]), np.array([[3.0]]), np.random.default_rng(0))
    assert found == pytest.approx(3)
    assert p == pytest.approx(2 / 3, abs=0.05)  # the others have 4.5 and 1.5
    assert energy_test(np.eye(3), np.eye(3), np.random.default_rng(0))[0] == pytest.approx(0, abs=1e-12)


def test_p_is_uniform_under_one_law_and_small_under_two() -> None:
    rng = np.random.default_rng(1)
    p = [energy_test(*rng.normal(size=(2, 40, 10)), rng, 99)[2] for _ in range(200)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(p) == pytest.approx(0.5, abs=0.06)
    wide = np.concatenate([1.5 * rng.normal(size=(200, 5)), rng.normal(size=(200, 5))], axis=1)
    found, null, p_wide = energy_test(rng.normal(size=(200, 10)), wide, rng, 199)
    assert found > null
    assert p_wide == pytest.approx(1 / 200)


@pytest.mark.parametrize("name", PATTERNS)
def test_noise_is_where_the_pattern_says(name: str) -> None:
    where = PATTERNS[name]((50, 48, 2))
    assert where.mean() == 0.5
    for turned in (False, True):
        risk = np.array([one.risk for one in measured("slow", name, turned, 0, 0, 50)])
        seen = np.isfinite(risk)
        noisy, quiet = risk[seen & (where ^ turned)], risk[seen & ~(where ^ turned)]
        assert (noisy.min(), noisy.max()) == (pytest.approx(0.7, rel=0.02), pytest.approx(1.4, rel=0.02))
        assert (quiet.min(), quiet.max()) == (pytest.approx(0.1, rel=0.02), pytest.approx(0.2, rel=0.02))
        assert seen.mean() == pytest.approx(0.7, abs=0.02)


def test_streams_have_windows_of_their_own() -> None:
    one, same, other = (measured("mixture", "half", False, 0, stream, 5)[0].value for stream in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.nanmax(np.abs(one - other)) > 0.1


def test_the_whitened_test_sees_noise_that_was_taken_for_signal() -> None:
    """A fifth of the signal's variance as white noise in one channel or the other."""
    rng = np.random.default_rng(2)
    clean = np.array(gp_series(rng, 400, 48, "matern32", channels=2).truth)
    noise = np.sqrt(0.2) * rng.normal(size=clean.shape)
    one, two = (clean + noise * np.array(where) for where in ((1, 0), (0, 1)))
    ends = [half.reshape(200, -1) for half in (one[:200], two[200:])]
    assert energy_test(*ends, rng, 199)[2] > 0.1
    assert energy_test(*whitened(*ends), rng, 199)[2] <= 0.02
    same = [half.reshape(200, -1) for half in (one[:200], one[200:])]
    assert energy_test(*whitened(*same), rng, 199)[2] > 0.05


def test_a_model_generates_the_signal_without_its_noise_unless_that_is_ignored() -> None:
    """Variance 1 in both channels; the noise of the first adds 1.1 where it is taken for signal."""
    series = measured("slow", "channel", False, 0, 0, 60)
    ignored = [replace(one, risk=np.where(one.observed, 0.0, np.inf)) for one in series]
    right, wrong = (
        generated(some, "gaussian", 1.0, 0, 300).reshape(300, 48, 2).var((0, 1)) for some in (series, ignored)
    )
    np.testing.assert_allclose(right, 1, atol=0.25)
    np.testing.assert_allclose(wrong, [2.1, 1.0], atol=0.3)


def test_the_command_prints_all_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fake(series: Any, model: str, minutes: float, seed: int, count: int) -> Floats:
        assert (model, minutes, count, len(series)) == ("gaussian", 2.0, 20, 20)
        noisy = np.array([one.risk for one in series]) == 0
        return np.random.default_rng(seed).normal(size=(count, 3)) + (5 * (seed > 4000) if noisy.any() else 0)

    monkeypatch.setattr(risk_pattern, "generated", fake)
    main(["--items", "20", "--count", "20", "--seeds", "0", "1", "--patterns", "half", "--out", str(tmp_path / "p")])
    rows = [Comparison(**row) for row in json.loads((tmp_path / "p").read_text())]
    assert capsys.readouterr().out == table(rows) + "\n"
    assert [row.seed for row in rows] == [0, 0, 0, 1, 1, 1]
    assert rows[1].models == "one pattern twice"
    ignored = rows[5]
    assert (ignored.models, ignored.p) == ("two patterns, noise ignored", 0.001)
    assert f"{rows[0].p:.3f} {rows[3].p:.3f}" in table(rows)
