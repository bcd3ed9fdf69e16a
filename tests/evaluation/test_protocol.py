"""The protocols: the published rows of linear interpolation come out to the digits shown."""

import numpy as np
import pytest

from rstime.evaluation.baselines import linear
from rstime.evaluation.protocol import etth1_noisy, physionet_noisy, score
from rstime.types import Posterior


@pytest.fixture(scope="module")
def noisy(shared_data):
    return etth1_noisy(shared_data)


def raw(item):
    return Posterior(item, item.value[None])


def test_etth1_rows_of_linear_interpolation_come_out(shared_data, noisy):
    kept = score(noisy, (linear(item) for item in noisy.test))
    dropped = score(noisy, (linear(item, drop_noisy=True) for item in noisy.test))
    easy = etth1_noisy(shared_data, clean=True)
    clean = score(easy, (linear(item) for item in easy.test))
    assert (kept["mae"], kept["crps"]) == pytest.approx((0.4218, 0.5482), abs=5e-5)
    assert (dropped["mae"], dropped["crps"]) == pytest.approx((0.4048, 0.5261), abs=5e-5)
    assert (clean["mae"], clean["crps"]) == pytest.approx((0.2552, 0.3317), abs=5e-5)
    assert dropped["denoise_mae"] == pytest.approx(0.3897, abs=5e-5)
    assert kept["denoise_mae"] == pytest.approx(0.5981, abs=5e-5)  # the raw noise
    assert "denoise_mae" not in clean


def test_etth1_task_has_the_split_and_keeps_hidden_points_out(noisy):
    assert [len(item.time) for item in noisy.train + noisy.validation] == [8640, 2880]
    assert len(noisy.test) == 24
    assert noisy.test[0].value.shape == (48, 7)
    hours = np.diff([item.time[0] for item in noisy.test]) / np.timedelta64(1, "h")
    assert set(hours) == {120.0}
    assert noisy.test[0].time[0] - noisy.validation[0].time[-1] == np.timedelta64(1, "h")
    for item, truth, hidden, dirty in zip(noisy.test, noisy.truth, noisy.hidden, noisy.noisy, strict=True):
        assert np.array_equal(hidden, ~item.observed)
        assert np.array_equal(dirty, item.observed & (item.risk > 0))
        exact = item.observed & ~dirty
        np.testing.assert_array_equal(item.value[exact], truth[exact])
        assert item.risk[dirty].min() >= 0.5
        assert item.risk[dirty].max() <= 1


def test_etth1_noise_has_its_stated_size_and_validation_windows_come_from_validation(shared_data, noisy):
    error = np.concatenate([(s.value - t)[n] / s.risk[n] for s, t, n in _rows(noisy)])
    assert error.std() == pytest.approx(1, abs=0.06)
    assert abs(error.mean()) < 0.06
    choice = etth1_noisy(shared_data, part="validation")
    part = noisy.validation[0]
    np.testing.assert_array_equal(choice.test[1].value, part.value[120:168])
    assert len(choice.test) == 24
    assert choice.test[0].time[0] == part.time[0]


def _rows(task):
    return zip(task.test, task.truth, task.noisy, strict=True)


def test_score_of_the_truth_is_zero_and_of_a_calibrated_answer_covers(noisy):
    perfect = score(noisy, (Posterior(s, t[None]) for s, t in zip(noisy.test, noisy.truth, strict=True)))
    assert perfect["crps"] == perfect["mae"] == perfect["denoise_mae"] == 0
    rng = np.random.default_rng(0)

    def around(item, truth):
        centre = truth + 0.3 * rng.normal(size=truth.shape)
        return Posterior(item, centre + 0.3 * rng.normal(size=(200, *truth.shape)))

    answer = score(noisy, (around(s, t) for s, t in zip(noisy.test, noisy.truth, strict=True)))
    assert answer["coverage90"] == pytest.approx(0.9, abs=0.02)
    assert answer["width90"] == pytest.approx(2 * 1.645 * 0.3, rel=0.03)


@pytest.fixture(scope="module")
def stays(shared_data):
    return physionet_noisy(shared_data)


def test_physionet_rows_of_linear_interpolation_come_out_within_the_luck_of_the_masks(shared_data, stays):
    kept = score(stays, (linear(item) for item in stays.test))
    dropped = score(stays, (linear(item, drop_noisy=True) for item in stays.test))
    easy = physionet_noisy(shared_data, clean=True)
    clean = score(easy, (linear(item) for item in easy.test))
    assert (clean["mae"], clean["crps"]) == pytest.approx((0.380, 0.538), abs=0.002)
    assert (kept["mae"], kept["crps"]) == pytest.approx((0.526, 0.744), abs=0.002)
    assert (dropped["mae"], dropped["crps"]) == pytest.approx((0.433, 0.613), abs=0.002)
    assert dropped["denoise_mae"] == pytest.approx(0.429, abs=0.002)


def test_physionet_task_splits_by_stay_and_asks_what_was_measured(stays):
    parts = [{item.item_id for item in part} for part in (stays.train, stays.validation, stays.test)]
    assert [len(part) for part in parts] == [2800, 400, 796]
    assert len(set.union(*parts)) == 3996
    for item, hidden, dirty, truth in zip(stays.test, stays.hidden, stays.noisy, stays.truth, strict=True):
        assert np.array_equal(item.asked, item.observed | hidden)
        assert np.array_equal(dirty, item.observed & (item.risk > 0))
        assert np.array_equal(np.isfinite(truth), item.asked)
    share = sum(h.sum() for h in stays.hidden) / sum(item.asked.sum() for item in stays.test)
    assert share == pytest.approx(0.5, abs=0.005)
