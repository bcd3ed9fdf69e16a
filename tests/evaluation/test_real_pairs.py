"""Hidden references from a noisy sensor: a simulated sensor whose noise is known, and what the real cases show."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rstime import scores
from rstime.evaluation import real_pairs
from rstime.evaluation.real_pairs import Setting, alone, answers, main, paired, picture, summary, thinned
from rstime.evaluation.real_sensors import Case, Recording, around, risks, shanghai, uci
from rstime.risk.correlated import Correlated


def simulated(count: int, seed: int) -> list[Recording]:
    """Ornstein-Uhlenbeck paths of sd 2 beside readings whose noise has sd .3 or 3, each for half of the day."""
    rng = np.random.default_rng(seed)
    recordings = []
    for index in range(count):
        stamp = np.arange(48)
        truth = 2 * rng.standard_normal(48)
        for t in range(1, 48):
            truth[t] = 0.9 * truth[t - 1] + np.sqrt(1 - 0.9**2) * truth[t]
        sd = np.where(stamp % 24 < 12, 0.3, 3.0)
        shown = np.where(stamp % 24 == 23, truth, np.nan)
        constant = np.full(48, np.sqrt(np.mean(sd**2)))
        recordings.append(
            Recording(
                f"path {index}",
                np.datetime64("2024-01-01", "ns") + stamp * np.timedelta64(1, "h"),
                truth + sd * rng.standard_normal(48),
                {"calibrated": sd, "constant": constant},
                shown,
                np.where(np.isnan(shown), truth, np.nan),
                0.0,
                np.full(48, index),
            )
        )
    return recordings


def load(root: str | Path | None, seed: int, validate: bool) -> Case:
    return Case("level", "m", "1h", False, simulated(12, 0), simulated(12, 1))


SETTING = Setting(load, 1, 24)


@pytest.fixture(scope="module")
def case() -> Case:
    return load(None, 0, False)


@pytest.fixture(scope="module")
def found(case: Case) -> dict[str, pd.DataFrame]:
    treatments = ("calibrated", "constant", "ignored")
    scored = {name: answers(case, name, SETTING, 0) for name in treatments}
    return scored | {"sensor alone, calibrated": alone(case, "calibrated", 0)}


def test_calibrated_risk_beats_constant_and_that_beats_ignored(found: dict[str, pd.DataFrame]) -> None:
    crps = {name: frame["crps"].mean() for name, frame in found.items()}
    assert crps["calibrated"] < 0.75 * crps["constant"] < 0.75 * crps["ignored"]
    assert crps["calibrated"] < 0.75 * crps["sensor alone, calibrated"]
    assert found["calibrated"]["inside"].mean() == pytest.approx(0.9, abs=0.03)
    assert found["ignored"]["inside"].mean() == 0.0
    table = paired({0: found}).set_index("against")
    assert table.loc["constant", "gain"] == pytest.approx(crps["constant"] - crps["calibrated"])
    assert table.loc["constant", "low"] > 0
    assert table.loc["constant", "blocks"] == 12
    assert table.loc["constant", "better"] == 1.0
    assert table.loc["constant", "p"] == pytest.approx(2 / 2**12)  # all signs alike


def test_without_noise_or_model_the_scores_are_those_of_the_readings(
    case: Case, found: dict[str, pd.DataFrame]
) -> None:
    frame = found["ignored"]
    one = case.test[3]
    stamp = np.flatnonzero(np.isfinite(one.hidden))
    own = frame[frame["recording"] == one.name]
    assert own["stamp"].tolist() == stamp.tolist()
    np.testing.assert_allclose(own["crps"], np.abs(one.reading - one.hidden)[stamp], rtol=1e-5)
    expected = np.concatenate(
        [scores.crps_gaussian(r.reading, r.risk["calibrated"], r.hidden)[np.isfinite(r.hidden)] for r in case.test]
    )
    assert found["sensor alone, calibrated"]["crps"].mean() == pytest.approx(expected.mean(), rel=0.01)


def test_thinned_copies_part_the_readings_and_share_the_references(case: Case) -> None:
    one = case.test[0]
    copies = thinned(one, "calibrated", 5, factor=2.0)
    assert len(copies) == 5
    assert sum(int(copy.asked.sum()) for copy in copies) == np.isfinite(one.hidden).sum() == 46
    for copy in copies:
        stamp = np.searchsorted(one.time, copy.time)
        exact = copy.risk[:, 0] == 0
        assert stamp[exact].tolist() == [23, 47]
        np.testing.assert_array_equal(copy.value[exact, 0], one.shown[stamp[exact]])
        np.testing.assert_array_equal(copy.value[~exact, 0], one.reading[stamp[~exact]])
        np.testing.assert_array_equal(copy.risk[~exact, 0], 2 * one.risk["calibrated"][stamp[~exact]])
        assert np.unique(stamp[~exact] % 5).size == 1


def test_risks_find_the_noise_from_an_index() -> None:
    rng = np.random.default_rng(0)
    index = rng.uniform(size=4000)
    sd = np.where(index < 0.5, 1.0, 3.0)
    error = np.hypot(sd, 0.5) * rng.standard_normal(4000)
    index[:100] = np.nan
    error[2000:] = np.nan
    found = risks(error, [index, rng.uniform(size=4000)], 0.5)
    assert np.isinf(found["calibrated"][:100]).all()
    far = (index < 0.4) | (index > 0.6)
    assert np.median(np.abs(found["calibrated"] / sd - 1)[far]) < 0.07
    assert found["constant"][200] == pytest.approx(np.sqrt(5), rel=0.05)


def test_around_leaves_the_reading_itself_out() -> None:
    assert around(np.array([1.0, 50.0, 3.0, np.nan, 7.0]), 1).tolist() == [
        50.0,
        2.0,
        50.0,
        5.0,
        pytest.approx(np.nan, nan_ok=True),
    ]


def test_hidden_references_of_the_station_are_not_used(shared_data: Path) -> None:
    case = uci(shared_data, 0)
    one = case.test[0]
    assert not np.any(np.isfinite(one.hidden) & np.isfinite(one.shown))
    assert np.isfinite(one.hidden).sum() == 4805
    error = (one.reading - one.hidden)[np.isfinite(one.hidden)]
    assert np.sqrt(np.mean(error**2)) == pytest.approx(0.765, abs=0.001)
    inner = uci(shared_data, 0, validate=True).test[0]
    scored = np.isfinite(inner.hidden)
    assert scored.sum() == 632
    np.testing.assert_array_equal(inner.hidden[scored], one.shown[scored])


def test_people_asked_are_not_those_learnt_from(shared_data: Path) -> None:
    case = shanghai(shared_data, 0)
    learnt, asked = ({int(one.block[0]) for one in side} for side in (case.train, case.test))
    assert (len(learnt), len(asked)) == (56, 56)
    assert not learnt & asked
    assert sum(int(np.isfinite(one.hidden).sum()) for one in case.test) == 1336
    first = [one for one in case.test if np.isfinite(one.hidden).any()]
    hours = [(one.time[np.isfinite(one.hidden)].min() - one.time[0]) / np.timedelta64(1, "h") for one in first]
    assert min(hours) >= 24
    inner = shanghai(shared_data, 0, validate=True)
    assert {int(one.block[0]) for one in (*inner.train, *inner.test)} == learnt


def test_the_command_prints_tables_and_draws(
    found: dict[str, pd.DataFrame],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(real_pairs, "SETTINGS", {"uci": SETTING})
    told = []

    def one(case: Case, treatment: str, setting: Setting, *rest: object) -> pd.DataFrame:
        if rest[3:]:  # how long errors last
            told.append((treatment, setting.thin, setting.factor, rest[3]))
            return found["constant"]
        return found[treatment]

    monkeypatch.setattr(real_pairs, "answers", one)
    main(["uci", "--seeds", "0", "--out", str(tmp_path)])
    (last,) = told
    assert last[:3] == ("calibrated", 1, 1.0)
    assert isinstance(last[3], Correlated)  # shown once a day: what is never seen to be white lasts
    assert last[3].white == pytest.approx(0, abs=1e-9)
    text = capsys.readouterr().out
    row = next(line.split() for line in text.splitlines() if line.startswith("seed 0"))
    assert row[:4] == ["seed", "0", "calibrated", "552"]
    assert "sensor alone, constant" in text
    means = {name: f"{found[name]['crps'].mean():.3f}" for name in ("calibrated", "constant")}
    assert means["calibrated"] in row
    assert any("correlated" in line and means["constant"] in line for line in text.splitlines())
    assert (tmp_path / "uci-pairs.png").read_bytes()[:4] == b"\x89PNG"


def test_pooled_rows_hold_all_seeds(found: dict[str, pd.DataFrame]) -> None:
    table = summary({0: found, 1: found}).set_index(["split", "risk"])
    assert table.loc[("all", "calibrated"), "asked"] == 2 * 552
    assert table.loc[("all", "constant"), "crps"] == pytest.approx(table.loc[("seed 1", "constant"), "crps"])
    assert len(table) == 3 * 4


def test_the_picture_shows_the_three_treatments(case: Case, found: dict[str, pd.DataFrame]) -> None:
    titles = [axes.get_title(loc="left").split(":")[0] for axes in picture(case, found, 48).axes]
    assert titles == ["calibrated", "constant", "ignored"]
