"""The repeated measurement of unknown noise: it tells good estimates from bad ones, and prints both."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from rstime.evaluation import unknown
from rstime.evaluation.unknown import PARTS, Found, Size, beside, gp, main, pooled, table
from rstime.risk.estimation import ClassRisk, second_differences
from rstime.types import Series

SMALL = Size(4, 100)


def found(ratio: float, low: float, high: float, seed: int = 0, note: str = "") -> Found:
    return Found("here", "so", seed, ratio, low, high, note)


def test_estimates_are_put_over_their_truth() -> None:
    one = beside("here", "so", 3, ClassRisk("x", 0, 10, 0.5, 0.4, math.inf, "why"), 0.25)
    assert one == Found("here", "so", 3, 2.0, 1.6, math.inf, "why")
    assert not one.holds
    assert found(0.9, 0.8, 1.0).holds


def test_series_are_pooled_by_their_squares() -> None:
    rows = np.array([[0.0, 1.0, 0.0, 0.0, 2.0], [0.0, 2.0, 0.0, 0.0, 4.0]])
    series = [Series("a", np.arange(5.0), ("x",), row[:, None], np.ones((5, 1))) for row in rows]
    one = pooled(second_differences, series)
    assert one.factor == pytest.approx(math.sqrt((0.5 + 2) / 2))
    alone = second_differences(rows[0])
    assert math.log(one.high / one.factor) == pytest.approx(math.log(alone.high / alone.sd) / math.sqrt(2))
    assert one.low == pytest.approx(one.factor**2 / one.high)


def test_a_table_has_a_row_a_setting_with_all_seeds() -> None:
    some = [found(1.0, 0.9, 1.1), found(0.8, 0.7, 0.9, 1, "not identified: why"), Found("x", "so", 0, 2, 0, 3, "")]
    rows = table(some).to_dict("records")
    assert rows[0] == {
        "setting": "here",
        "method": "so",
        "estimate / truth": "1.00 0.80",
        "interval": "0.90-1.10 0.70-0.90",
        "hold": "1 of 2",
        "note": "not identified",
    }
    assert rows[1]["hold"] == "1 of 1"


def test_series_have_the_noise_they_are_said_to_have() -> None:
    simulated = gp("ou", 0.5, 0, Size(10, 200), 0.3)
    error = np.concatenate([one.value - x for one, x in zip(simulated.series, simulated.truth, strict=True)])
    assert np.nanstd(error) == pytest.approx(0.5, rel=0.05)
    assert np.isnan(error).mean() == pytest.approx(0.3, abs=0.04)


def test_risks_wrong_by_a_factor_are_set_right_and_devices_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "KERNELS", ("matern32",))
    some = list(PARTS["wrong by a factor"](0, Size(8, 150)))
    assert [one.ratio for one in some] == pytest.approx([1.0, 1.0], rel=0.15)
    quiet, *loud = PARTS["devices"](0, Size(8, 150))
    assert [one.ratio for one in loud] == pytest.approx([1.0, 1.0], rel=0.15)
    assert quiet.holds  # .2 of 300 readings among noisier ones: within a factor of 2


def test_a_model_fitted_at_a_wrong_risk_finds_the_right_one() -> None:
    first = next(iter(PARTS["a trained model"](0, SMALL)))
    assert (first.setting, first.method) == ("matern32, sd .5", "EM")
    assert abs(math.log(first.ratio)) < math.log(1.2)  # from 1.5


def test_noise_with_memory_is_underestimated_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--quick", "--seeds", "0", "--parts", "assumptions broken", "--out", str(tmp_path / "u.json")])
    printed = capsys.readouterr().out
    assert printed.startswith("assumptions broken\n\nsetting")
    rows = [Found(**row) for row in json.loads((tmp_path / "u.json").read_text())]
    assert len(rows) == 11
    likely = {one.setting: one for one in rows if one.method == "likelihood"}
    memory = likely["matern32, sd .5, AR(1) noise, 0.6"]
    assert memory.ratio < 0.5
    assert memory.note.startswith("not identified")
    fast = likely["ou, scale 2, sd 0.2"]
    assert (fast.low, fast.holds, fast.note[:14]) == (0.0, True, "not identified")
    assert likely["matern32, sd .5, Student-t noise, 3"].ratio == pytest.approx(1, abs=0.2)
