"""Faults on good windows, the scores of the law itself, and the table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rstime.datasets.laws import answer
from rstime.evaluation import faults
from rstime.evaluation.faults import FAULTS, LENGTH, STRETCH, break_windows, law, law_scores, roc_area, simulate


def test_every_fault_changes_what_it_says_and_nothing_else() -> None:
    windows = simulate(np.random.default_rng(0), 20)
    for name, fault in FAULTS.items():
        broken, changed = break_windows(np.random.default_rng(1), windows, fault)
        share = np.mean([where.any(0) for where in changed], axis=0)
        assert share[0] > 0.7, name
        assert (share[1] > 0.5) == (name in ("spike", "swap"))
        for before, after, where in zip(windows, broken, changed, strict=True):
            same = before.observed & after.observed & ~where
            np.testing.assert_array_equal(before.value[same], after.value[same])
            rows = np.flatnonzero(where.any(1))
            assert np.ptp(rows) < STRETCH if len(rows) else True
            if name == "stuck":
                assert len(np.unique(after.value[where])) <= 1


def test_simulated_windows_follow_the_law_that_scores_them() -> None:
    """p of good readings is uniform, for single stamps and for blocks left out."""
    windows = simulate(np.random.default_rng(2), 40)
    for folds, block in ((8, 1), (4, 8)):
        p = 2 * stats.norm.sf(np.abs(law_scores(law(), windows, folds, block)[0]))
        assert len(p) == sum(int(one.observed.sum()) for one in windows)
        assert stats.kstest(p, "uniform").pvalue > 0.01


def test_scores_of_the_law_are_those_of_its_posterior_samples() -> None:
    one = simulate(np.random.default_rng(3), 1)[0]
    scores = np.full(one.value.shape, np.nan)
    scores[one.observed] = law_scores(law(), [one], 4, 8)[0]
    out = (np.arange(LENGTH)[:, None] // 8 + np.arange(2)) % 4 == 1
    hidden = type(one)(one.item_id, one.time, one.variables, one.value, np.where(out, np.inf, one.risk))
    drawn = answer(law(), hidden, 4000, np.random.default_rng(0)).samples
    risk = np.where(one.observed, one.risk, 1.0)
    place = stats.norm.cdf((one.value - drawn) / risk).mean(0)
    checked = out & one.observed
    np.testing.assert_allclose(stats.norm.cdf(scores[checked]), place[checked], atol=0.04)


def test_surprise_of_the_law_is_a_density_that_integrates_to_one() -> None:
    """Of one left-out reading of the second variable, over all that it could have been, in sd of such readings."""
    one = simulate(np.random.default_rng(4), 1)[0]
    time = int(np.flatnonzero(one.observed[:, 1])[20])
    grid, risk = np.linspace(-4.0, 6.0, 401), one.risk[time, 1]
    place = int(one.observed.ravel()[: time * 2 + 1].sum())
    surprise = []
    for value in grid:
        moved = one.value.copy()
        moved[time, 1] = value
        surprise.append(law_scores(law(), [replace(one, value=moved)], 4, 8)[1, place])
    density = np.exp(-np.array(surprise)) / np.hypot(0.6, risk)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


def test_surprise_tells_faults_that_lie_in_no_tail() -> None:
    """Readings between regimes: the law's areas by surprise are above those by tails, on every fault."""
    rng = np.random.default_rng(5)
    windows = simulate(rng, 40)
    for name, fault in FAULTS.items():
        broken, changed = break_windows(rng, windows, fault)
        faulty = np.concatenate([where[one.observed] for one, where in zip(broken, changed, strict=True)])
        score, surprise = law_scores(law(), broken)
        assert roc_area(surprise, faulty) > roc_area(np.abs(score), faulty) + 0.002, name


def test_area_counts_pairs() -> None:
    score, faulty = np.array([0.1, 0.4, 0.4, 0.9]), np.array([False, True, False, True])
    assert roc_area(score, faulty) == pytest.approx((1 + 0.5 + 1 + 1) / 4)


def test_table_is_printed_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def compare(seed: int, windows: int, steps: int) -> pd.DataFrame:
        asked.append((seed, windows, steps))
        return pd.DataFrame({"seed": [seed], "scorer": ["law"], "spike": [0.9]})

    monkeypatch.setattr(faults, "compare", compare)
    faults.main(["--seeds", "1", "4", "--steps", "2", "--windows", "20", "--out", str(tmp_path / "f.csv")])
    assert asked == [(1, 20, 2), (4, 20, 2)]
    assert pd.read_csv(tmp_path / "f.csv")["seed"].tolist() == [1, 4]
    assert "0.900" in capsys.readouterr().out
