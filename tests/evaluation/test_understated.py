"""Readings whose risk is understated: what they teach at low levels is wrong, and the knob keeps them from it."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.evaluation.family_study import Size
from rstime.evaluation.understated import CASES, KNOBS, distances, main, table


def test_the_knob_helps_where_risk_is_understated_and_is_nearly_free_where_it_is_right() -> None:
    wrong, right = (
        [distances(case, seed, Size(steps=400)) for seed in range(2)]
        for case in ("twice the risk, 20 % exact", "risk right, 20 % exact")
    )
    assert list(wrong[0]) == [*(f"k = {k:g}" for k in KNOBS), "drop"]
    mean = {name: np.mean([one[name] for one in wrong]) for name in wrong[0]}
    assert mean["k = 3"] < 0.8 * mean["k = 1"]
    assert np.mean([one["k = 2"] - one["k = 1"] for one in right]) < 0.035


def test_the_table_compares_seed_by_seed(capsys: pytest.CaptureFixture[str]) -> None:
    found = [{"k = 1": 0.10, "k = 2": 0.06}, {"k = 1": 0.20, "k = 2": 0.12}]
    row = table("x", found).set_index("method").loc["k = 2"]
    assert (row["mean"], row["least"], row["most"]) == pytest.approx((0.09, 0.06, 0.12))
    assert (row["gain"], row["error"]) == pytest.approx((0.06, 0.02))
    main(["--seeds", "0", "--steps", "2"])
    told = capsys.readouterr().out
    assert all(case in told for case in CASES)
