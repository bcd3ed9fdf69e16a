"""Wrong risk, one way after another: what is simulated, what it costs, and that it shows where it should."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rstime.datasets.laws import answer
from rstime.evaluation import failures
from rstime.evaluation.failures import CONSTANT, FAILURES, Failure, hide, main, quality_test, run, signature, simulate
from rstime.types import Floats

BY_NAME = {failure.name: failure for failure in FAILURES}
SHAPE = (200, 48, 2)


def sds(name: str) -> tuple[Floats, Floats]:
    return BY_NAME[name].sds(np.random.default_rng(0), SHAPE)


def test_claims_are_wrong_as_their_name_says() -> None:
    true, claimed = sds("right")
    assert np.array_equal(true, claimed)
    assert (true.min(), true.max()) == (pytest.approx(0.1, rel=0.01), pytest.approx(1.0, rel=0.01))
    assert np.mean(true**2) == pytest.approx(CONSTANT**2, rel=0.03)
    for name, factor in (("half", 0.5), ("double", 2.0), ("half, scale learned", 0.5), ("noise ignored", 0.0)):
        np.testing.assert_array_equal(sds(name)[1], factor * true)
    true, claimed = sds("shuffled in time")
    np.testing.assert_array_equal(np.sort(true, axis=1), np.sort(claimed, axis=1))
    assert abs(np.corrcoef(true.ravel(), claimed.ravel())[0, 1]) < 0.05
    true, claimed = sds("unrelated to the error")
    assert np.ptp(true) == 0
    assert np.mean(claimed**2) == pytest.approx(np.mean(true**2), rel=0.03)


def test_the_middle_is_the_wrong_way_round_and_the_rest_right() -> None:
    true, claimed = sds("wrong way round in the middle")
    middle = (claimed > 10**-0.75) & (claimed < 10**-0.25)
    assert middle.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(true[~middle], claimed[~middle])
    np.testing.assert_allclose(true[middle] * claimed[middle], 0.1)


def test_signal_and_missing_entries_are_the_same_for_every_failure() -> None:
    some = [simulate(BY_NAME[name], 3, "test", 20) for name in ("right", "unrelated to the error", "noise ignored")]
    for one in some[1:]:
        np.testing.assert_array_equal(one.truth, some[0].truth)
        np.testing.assert_array_equal(one.held, some[0].held)
    seen = np.array([one.observed for one in some[0].true])
    assert seen.mean() == pytest.approx(0.7, abs=0.03)
    assert some[0].held[seen].mean() == pytest.approx(0.2, abs=0.03)
    assert not some[0].held[~seen].any()
    assert not np.array_equal(simulate(BY_NAME["right"], 3, "train", 20).truth, some[0].truth)
    z = (np.array([one.value for one in some[0].true]) - some[0].truth) / np.array([one.risk for one in some[0].true])
    assert np.mean(z[seen] ** 2) == pytest.approx(1, abs=0.1)


def exact_signature(name: str) -> dict[str, Any]:
    """That of the exact law of the signal, which takes the claims at their word."""
    test, rng = simulate(BY_NAME[name], 0, "test", 250), np.random.default_rng(1)
    answers = [answer(test.law, one, 100, rng) for one in hide(test.claimed, test.held)]
    return signature(answers, test, np.array([one.risk for one in test.claimed]))


def test_the_signature_is_flat_where_risk_is_right() -> None:
    found = exact_signature("right")
    np.testing.assert_allclose(found["z2 by bin"], 1, atol=0.2)
    assert (found["z2"], found["ends"], found["centre"]) == tuple(pytest.approx(1, abs=0.1) for _ in range(3))
    assert np.all(np.diff(found["bins"]) > 0)


def test_signatures_of_wrong_risk_rise_fall_and_cross() -> None:
    half, double, shuffled = (exact_signature(name)["z2 by bin"] for name in ("half", "double", "shuffled in time"))
    assert half[-1] > 1.8 > 1.4 > half[0] > 0.8
    assert double[-1] < 0.55 < 0.75 < double[0]
    assert shuffled[0] > 1.15
    assert shuffled[-1] < 0.7
    turned = exact_signature("wrong way round in the middle")["z2 by bin"]
    assert turned[1] > 1.15
    assert turned[3] < 0.85


def test_a_learned_scale_brings_coverage_back() -> None:
    known, scale = (run(BY_NAME[name], 0, items=30, scored=30) for name in ("half", "half, scale learned"))
    assert known["noisy inside 90 %"] < 0.75
    assert 0.83 <= scale["noisy inside 90 %"] <= 0.95
    assert scale["noisy ratio"] < 1.1 < known["noisy ratio"]
    assert scale["factor"] == pytest.approx(2, rel=0.2)
    assert scale["low"] < 2 < scale["high"]


def test_quality_that_turns_round_is_told_from_quality_that_falls() -> None:
    assert quality_test(BY_NAME["right"], 0).p_monotone > 0.05
    assert quality_test(BY_NAME["wrong way round in the middle"], 0).p_monotone <= 0.01


def test_the_command_prints_tables_and_draws(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {key: 0.5 for kind in ("missing", "noisy") for key in [f"{kind} {x}" for x in ("CRPS", "ratio", "width")]}
    row |= {"missing inside 90 %": 0.9, "noisy inside 90 %": 0.876, "z2": 1.0, "ends": 1.1, "centre": 0.9}
    row |= {"factor": 1.0, "low": 0.9, "high": 1.2, "one sd as good": 0.25}

    def fake(failure: Failure, seed: int, *settings: Any) -> dict[str, Any]:
        assert settings == ("gaussian", 2.0, 30, 20)
        bins = [0.1, 0.2, 0.4, 0.6, 0.9]
        return {"risk": failure.name, "seed": seed, **row, "bins": bins, "z2 by bin": [1.0, 1.1, 0.9, 1.25 + seed, 0.8]}

    monkeypatch.setattr(failures, "run", fake)
    monkeypatch.setattr(failures, "FAILURES", FAILURES[:1])
    main(["--items", "30", "--seeds", "0", "1", "--out", str(tmp_path / "out")])
    printed = capsys.readouterr().out
    assert "87.6 %" in printed
    assert "25.0 %" in printed
    assert "1.75" in printed  # mean of the fourth bin
    assert "right: p of a monotone relation between quality and error 0." in printed
    assert [one["seed"] for one in json.loads((tmp_path / "out" / "failures.json").read_text())] == [0, 1]
    assert (tmp_path / "out" / "failures.png").stat().st_size > 5000
