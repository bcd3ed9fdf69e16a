"""Judging answers by kind of entry: closed forms for a calibrated answer, and a real set with readings held out."""

from pathlib import Path

import numpy as np
import pytest

from rstime.datasets import physionet2012
from rstime.evaluation.study import HORIZON, NOMINAL, PHYSIONET_UNITS, Study, judge, physionet_study, silenced
from rstime.types import Posterior, Series

SIGMA = {"missing": 1.0, "noisy": 0.3, "future": 2.0}
SCALE = np.array([1.0, 10.0])


def calibrated(rng: np.random.Generator, samples: int = 100) -> tuple[Study, tuple[list[Posterior], list[Posterior]]]:
    """Patients whose truth is a draw from the answer, N(mean, (sigma * scale)^2) with a sigma for each kind."""
    test, truths, whole, late = [], [], [], []
    for index in range(60):
        risk = np.where(rng.random((24, 2)) < 0.5, np.inf, 0.5) * SCALE
        spread = np.where(np.isinf(risk), SIGMA["missing"], SIGMA["noisy"]) * SCALE
        mean = 3 * rng.normal(size=(24, 2)) * SCALE
        truth = mean + spread * rng.normal(size=mean.shape)
        item = Series(f"p{index}", np.arange(24.0), ("a", "b"), mean, risk)
        ahead = silenced(item).rows(slice(-HORIZON, None))
        middle = truth[-HORIZON:] + SIGMA["future"] * SCALE * rng.normal(size=(HORIZON, 2))
        whole.append(Posterior(item, mean + spread * rng.normal(size=(samples, 24, 2))))
        late.append(Posterior(ahead, middle + SIGMA["future"] * SCALE * rng.normal(size=(samples, HORIZON, 2))))
        test.append(item)
        truths.append(truth)
    return Study("made up", test[:1], test, truths, {"a": "V", "b": "mV"}), (whole, late)


def test_a_calibrated_answer_gets_the_scores_of_its_normal_distribution() -> None:
    """Mean CRPS sigma / sqrt(pi), mean absolute error sigma sqrt(2 / pi), 90 % inside the 90 % band."""
    study, answer = calibrated(np.random.default_rng(0))
    pooled, detail, curves = judge(study, {"ours": answer})
    spread = np.std(np.concatenate(study.truth), axis=0)
    for row in pooled.to_dict("records"):
        sigma = SIGMA[row["entries"]] * np.mean(SCALE / spread)
        assert row["CRPS"] == pytest.approx(sigma / np.sqrt(np.pi), rel=0.06)
        assert row["MAE"] == pytest.approx(sigma * np.sqrt(2 / np.pi), rel=0.06)
        assert row["inside 90 %"] == pytest.approx(0.90, abs=0.025)
        assert curves[row["entries"]]["ours"] == pytest.approx(NOMINAL, abs=0.05)
    assert dict(zip(pooled["entries"], pooled["count"], strict=True))["future"] == 60 * HORIZON * 2
    for row in detail.to_dict("records"):
        want = SIGMA[row["entries"]] * np.sqrt(2 / np.pi) * SCALE["ab".index(row["variable"])]
        assert row["ours"] == pytest.approx(want, rel=0.1)
        assert row["unit"] == study.units[row["variable"]]


def test_every_kind_is_judged_at_its_own_entries_only() -> None:
    study, (whole, late) = calibrated(np.random.default_rng(1))
    spoilt = [Posterior(p.series, np.where(p.series.observed, p.samples, 1e6)) for p in whole]
    before, after = (judge(study, {"x": (part, late)})[0].set_index("entries")["MAE"] for part in (whole, spoilt))
    assert after["missing"] > 1e3
    assert after["noisy"] == before["noisy"]
    assert after["future"] == before["future"]


def test_truth_that_is_not_known_is_not_judged() -> None:
    study, answer = calibrated(np.random.default_rng(2))
    count = judge(study, {"x": answer})[0]["count"]
    for truth in study.truth:
        truth[:, 1] = np.nan
    fewer = judge(study, {"x": answer})
    assert fewer[0]["count"].iloc[2] * 2 == count.iloc[2]
    assert set(fewer[1]["variable"]) == {"a"}


def test_rows_and_silence() -> None:
    item = Series("a", np.arange(20.0), ("x",), np.ones((20, 1)), np.zeros((20, 1)))
    assert item.rows(slice(None, -HORIZON)).time.tolist() == list(range(8))
    assert silenced(item).observed[:, 0].tolist() == [True] * 8 + [False] * 12


def test_physionet_study_hides_readings_and_adds_noise_of_known_size(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = physionet2012.load(shared_data)
    monkeypatch.setattr(physionet2012, "load", lambda root: loaded)
    study = physionet_study(shared_data, seed=0, n_train=60, n_test=40)
    assert study.test[0].variables == tuple(PHYSIONET_UNITS)
    assert not {item.item_id for item in study.train} & {item.item_id for item in study.test}
    stays = {stay.item_id: stay for stay in loaded}
    columns = [physionet2012.VARIABLES.index(name) for name in PHYSIONET_UNITS]
    z, hidden, noisy, seen = [], 0, 0, 0
    for item, truth in zip(study.test, study.truth, strict=True):
        np.testing.assert_array_equal(truth, stays[item.item_id].value[:, columns])
        charted = np.isfinite(truth)
        assert not np.any(item.observed & ~charted)
        hidden, seen = hidden + int((charted & ~item.observed).sum()), seen + int(charted.sum())
        risky = item.observed & (item.risk > 0)
        noisy += int(risky.sum())
        z.append((item.value - truth)[risky] / item.risk[risky])
        exact = item.observed & (item.risk == 0)
        np.testing.assert_array_equal(item.value[exact], truth[exact])
    assert hidden / seen == pytest.approx(0.2, abs=0.02)
    assert noisy / seen == pytest.approx(0.4, abs=0.02)
    assert np.std(np.concatenate(z)) == pytest.approx(1, abs=0.03)
