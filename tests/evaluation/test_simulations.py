"""Benchmarks on simulated windows: what is hidden, noisy and future, and what the exact posterior scores there."""

import numpy as np
import pytest

from rstime.datasets.laws import answer
from rstime.evaluation.protocol import score
from rstime.evaluation.simulations import SIMULATORS, simulated


@pytest.fixture(scope="module", params=sorted(SIMULATORS))
def task(request):
    return simulated(request.param, train=60, scored=80)


def test_every_entry_of_a_scored_window_is_of_one_kind(task):
    assert [len(task.train), len(task.validation), len(task.test)] == [60, 6, 80]
    for item, hidden, noisy, future in zip(task.test, task.hidden, task.noisy, task.future, strict=True):
        np.testing.assert_array_equal(hidden.astype(int) + noisy + future, 1)
        assert item.asked.all()
    assert not any(mask.any() for mask in task.future[:40])
    assert all(mask[-12:].all() and not mask[:-12].any() for mask in task.future[40:])


def test_no_entry_is_exact_and_the_parts_differ(task):
    risks = np.concatenate([item.risk[item.observed] for item in task.train + task.validation + task.test])
    assert risks.min() >= 0.1
    choice = simulated(task.name, train=60, scored=80, part="validation")
    np.testing.assert_array_equal(choice.train[0].value, task.train[0].value)
    assert not np.array_equal(choice.truth[0], task.truth[0])


def test_the_exact_posterior_covers_what_it_says_and_scores_best_where_it_knows_most(task):
    rng = np.random.default_rng(0)
    exact = score(task, (answer(law, item, 100, rng) for law, item in zip(task.laws, task.test, strict=True)))
    for kind, luck in (("", 0.04), ("denoise_", 0.04), ("future_", 0.1)):  # entries of one future err together
        assert exact[f"{kind}coverage90"] == pytest.approx(0.89, abs=luck)
    assert exact["denoise_crps_mean"] < exact["crps_mean"] < exact["future_crps_mean"]
    assert exact["crps_mean"] == pytest.approx(exact["crps"] * _size(task), rel=0.1)  # 19 levels miss some of the tails


def _size(task):
    return np.mean(np.abs(np.concatenate([t[h] for t, h in zip(task.truth, task.hidden, strict=True)])))
