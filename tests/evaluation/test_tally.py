"""Scores item by item: equal to those of the whole, and paired intervals that hold what they say."""

import doctest
from dataclasses import replace

import numpy as np
import pytest

from rstime import scores
from rstime.errors import DataError
from rstime.evaluation import tally as module
from rstime.evaluation.protocol import Task
from rstime.evaluation.tally import NINE, SUMS, Tally, blocks, difference, tally
from rstime.types import Posterior, Series


def question(items=5, steps=12, future=True):
    rng = np.random.default_rng(0)
    truth = [(3 + rng.normal(size=(steps, 2))) * [1, -1] for _ in range(items)]
    risk = np.zeros((steps, 2))
    risk[steps // 2 :] = np.inf
    late = np.isinf(risk)
    series = [Series(f"i{k}", np.arange(float(steps)), ("a", "b"), value, risk) for k, value in enumerate(truth)]
    nothing = [np.zeros_like(late)] * items
    masks = {"hidden": nothing, "future": [late] * items} if future else {"hidden": [late] * items, "future": []}
    unit = [np.array([0.5, 2.0])] * items if future else []
    return Task("t", series, [], series, truth, noisy=nothing, window=steps, step=1.0, scale=unit, **masks)


def answers(task, spread=1.0, seed=1):
    rng = np.random.default_rng(seed)
    return [Posterior(s, 3 + spread * rng.normal(size=(50, *s.value.shape))) for s in task.test]


def test_examples_of_the_docstrings():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("future", [True, False])
def test_totals_over_items_are_the_scores_of_the_whole(future):
    task = question(future=future)
    posteriors = answers(task)
    found = tally(task, posteriors).metrics()
    where = (task.future if future else task.hidden)[0]
    truth = np.concatenate([t[where] for t in task.truth])
    samples = np.concatenate([p.samples[:, where] for p in posteriors], axis=1)
    levels = NINE if future else scores.LEVELS
    low, median, high = np.quantile(samples, (0.05, 0.5, 0.95), axis=0, method="weibull")
    assert found["wql"] == pytest.approx(scores.crps_quantile(samples, truth, levels), rel=1e-12)
    assert found["crps"] == pytest.approx(scores.crps_samples(samples, truth).mean(), rel=1e-12)
    assert found["mae"] == pytest.approx(scores.mae(median, truth), rel=1e-12)
    assert found["rmse"] == pytest.approx(scores.rmse(samples.mean(0), truth), rel=1e-12)
    assert found["coverage90"] == pytest.approx(scores.coverage(low, high, truth))
    assert found["width90"] == pytest.approx(scores.width(low, high))
    if future:
        unit = np.tile([0.5, 2.0], len(truth) // 2)
        assert found["mase"] == pytest.approx(np.mean(np.abs(median - truth) / unit), rel=1e-12)
    else:
        assert "mase" not in found


def test_noise_of_the_truth_is_added_to_the_samples():
    task = question()
    risks = [np.full(t.shape, 2.0) for t in task.truth]
    plain = tally(task, answers(task, spread=0.01))
    noisy = tally(task, answers(task, spread=0.01), risks)
    assert plain.metrics()["width90"] == pytest.approx(2 * 1.645 * 0.01, rel=0.15)
    assert noisy.metrics()["width90"] == pytest.approx(2 * 1.645 * 2, rel=0.15)


def test_answers_that_are_not_finite_or_too_few_are_refused():
    task = question()
    bad = answers(task)
    bad[3].samples[0, -1, 0] = np.nan
    with pytest.raises(DataError, match="samples: not finite in item 'i3'"):
        tally(task, bad)
    with pytest.raises(DataError, match="fewer than truths"):
        tally(task, answers(task)[:-1])


def made(error, size=None, blocks=()):
    sums = np.zeros((len(error), len(SUMS)))
    sums[:, SUMS.index("loss")] = error
    sums[:, SUMS.index("size")] = 1.0 if size is None else size
    sums[:, SUMS.index("count")] = 1
    return Tally({"hidden": sums}, blocks)


def test_the_interval_of_a_mean_is_its_standard_error_and_pairing_takes_off_what_both_share():
    rng = np.random.default_rng(2)
    shared, own = 10 * rng.normal(size=400), rng.normal(size=400)
    middle, low, high = difference([made(shared + own)], [made(shared)], draws=4000)["wql"]
    assert middle == pytest.approx(own.mean(), abs=1e-9)
    assert (high - low) / 2 == pytest.approx(1.96 * own.std() / 20, rel=0.06)
    assert (low + high) / 2 == pytest.approx(own.mean(), abs=0.01)
    middle, low, high = difference([made(own)], [made(0 * own)], draws=4000, level=0.5)["wql"]
    for end in (middle - low, high - middle):
        assert end == pytest.approx(0.674 * own.std() / 20, rel=0.1)


def test_items_of_a_block_are_drawn_together_so_that_copies_tell_nothing_new():
    own = np.random.default_rng(3).normal(size=100)
    copies, one = np.repeat(own, 4), np.zeros(400)
    names = tuple(np.repeat(np.arange(100), 4).tolist())
    _, low, high = difference([made(copies, blocks=names)], [made(one, blocks=names)], draws=4000)["wql"]
    assert (high - low) / 2 == pytest.approx(1.96 * own.std() / 10, rel=0.06)
    _, narrow, wide = difference([made(copies)], [made(one)], draws=4000)["wql"]
    assert (wide - narrow) / 2 == pytest.approx(1.96 * own.std() / 20, rel=0.06)
    (alone,) = {difference([made(own)], [made(np.zeros(100))], draws=4000)["wql"]}
    assert alone == pytest.approx(difference([made(copies, blocks=names)], [made(one)], draws=4000)["wql"])


def test_windows_of_a_series_are_a_block_and_those_of_a_single_series_blocks_in_time():
    task = question(items=4)
    named = [replace(item, item_id=name) for item, name in zip(task.test, ("a@0", "b@0", "a@1", "b@1"), strict=True)]
    assert tally(replace(task, test=named), answers(task)).blocks == (0, 1, 0, 1)
    assert tally(task, answers(task)).blocks == (0, 1, 2, 3)
    single = blocks([f"etth1@{start}" for start in range(11520, 14400, 120)])
    assert single == tuple(np.repeat(np.arange(8), 3).tolist())
    assert blocks([f"x@{k}" for k in range(64)]) == tuple(np.repeat(np.arange(16), 4).tolist())


def test_intervals_hold_the_truth_as_often_as_they_say():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        one, two = made(rng.exponential(size=60) + 0.3), made(rng.exponential(size=60))
        _, low, high = difference([one], [two], draws=300, seed=seed)["wql"]
        hits += low <= 0.3 <= high
    assert 0.89 <= hits / 200 <= 0.98


def test_ratios_are_pooled_over_items_within_each_seed():
    first = [made(np.array([1.0, 3.0]), np.array([1.0, 9.0])), made(np.array([2.0, 2.0]), np.array([1.0, 1.0]))]
    second = [made(np.array([0.0, 0.0]), np.array([1.0, 9.0])), made(np.array([0.0, 0.0]), np.array([1.0, 1.0]))]
    assert difference(first, second)["wql"][0] == pytest.approx((0.4 + 2.0) / 2)


def test_what_cannot_be_paired_is_refused():
    one, two = made(np.ones(3)), made(np.ones(4))
    with pytest.raises(DataError, match="items"):
        difference([one], [two])
    with pytest.raises(DataError, match="seeds: 1 beside 2"):
        difference([one], [one, one])


def test_names_of_metrics_say_what_entries_they_are_of_and_whether_bands_were_adjusted():
    task = replace(question(future=False), noisy=[np.isfinite(item.risk) for item in question().test])
    wide = tally(task, answers(task), adjust=lambda answer: replace(answer, samples=3 + 2 * (answer.samples - 3)))
    found, plain = wide.metrics(), tally(task, answers(task)).metrics()
    names = {"wql", "crps", "mae", "rmse", "coverage90", "width90"}
    bands = {f"{name}_adjusted" for name in ("wql", "coverage90", "width90")}
    assert set(plain) == names | {f"denoise_{name}" for name in names}
    assert set(found) == set(plain) | bands | {f"denoise_{name}" for name in bands}
    for prefix in ("", "denoise_"):
        assert found[f"{prefix}width90_adjusted"] == pytest.approx(2 * plain[f"{prefix}width90"], rel=1e-9)
        assert found[f"{prefix}width90"] == plain[f"{prefix}width90"]


def test_ends_of_a_band_are_inside_and_errors_over_a_scale_of_zero_are_left_out():
    task = question(items=1)
    task = replace(task, scale=[np.array([0.0, 2.0])])
    same = Posterior(task.test[0], np.tile(task.truth[0], (20, 1, 1)))
    assert tally(task, [same]).metrics()["coverage90"] == 1.0
    off = Posterior(task.test[0], same.samples + np.array([7.0, 3.0]))
    assert tally(task, [off]).metrics()["mase"] == pytest.approx(3 / 2)
    assert tally(task, [off]).metrics()["mae"] == pytest.approx((7 + 3) / 2)
    assert "mase" not in tally(replace(task, scale=[np.zeros(2)]), [off]).metrics()


def test_levels_of_forecasts_are_the_nine_deciles():
    assert NINE == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def test_metrics_that_only_one_of_two_has_are_not_compared():
    one = made(np.ones(4))
    other = Tally({**made(np.zeros(4)).sums, "noisy": made(np.ones(4)).sums["hidden"]})
    found = difference([one], [other])
    assert "denoise_wql" in other.metrics()
    assert set(found) == set(one.metrics())
    assert found["wql"] == (1.0, 1.0, 1.0)
