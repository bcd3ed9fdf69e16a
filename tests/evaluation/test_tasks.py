"""Data of the frozen protocols: the same on every machine, hidden means hidden, the future is clean."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from rstime.datasets import physionet2012
from rstime.evaluation.adjusting import held_out
from rstime.evaluation.corruption import corruption
from rstime.evaluation.protocol import etth1_noisy
from rstime.evaluation.spec import NAMED
from rstime.evaluation.tasks import build
from rstime.evaluation.treatments import noisy, risky, treat
from rstime.risk.correlated import Correlated


def digest(*arrays):
    total = hashlib.sha256()
    for array in arrays:
        total.update(np.packbits(array).tobytes() if array.dtype == bool else array.astype("<f4").tobytes())
    return total.hexdigest()[:16]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exchange-clean", "579f16ce4b071f46"),
        ("exchange-half", "8df8500a75bf76b8"),
        ("exchange-graded", "ad2085de319bd798"),
        ("etth1-noisy", "04b848e8d7ca9d7c"),
        ("physionet-10-noisy", "f974cbb0f9eae012"),
    ],
)
def test_the_same_seed_draws_the_same_masks_and_noise_on_every_machine(name, expected):
    rng = np.random.default_rng([3, 0])
    drawn = corruption(NAMED[name], rng, np.zeros((200, 3)), np.ones(3))
    assert digest(drawn.hidden, drawn.noisy, drawn.risk, drawn.noise) == expected


def test_grades_have_the_sd_they_state():
    value, unit = np.zeros((4000, 2)), np.array([1.0, 10.0])
    half = corruption(NAMED["exchange-half"], np.random.default_rng(0), value, unit)
    assert half.noisy.mean() == pytest.approx(0.5, abs=0.02)
    assert set(np.unique(half.risk).tolist()) == {0.0, 0.5, 5.0}
    graded = corruption(NAMED["exchange-graded"], np.random.default_rng(0), value, unit)
    assert graded.noisy.all()
    assert np.median(np.log(graded.risk / unit)) == pytest.approx(np.log(0.01 * 0.5) / 2, abs=0.05)
    for drawn in (half, graded):
        z = drawn.noise[drawn.noisy] / drawn.risk[drawn.noisy]
        assert z.std() == pytest.approx(1, abs=0.03)
    clean = corruption(NAMED["exchange-clean"], np.random.default_rng(0), value, unit)
    assert not clean.noisy.any()
    assert not clean.noise.any()


def test_exchange_is_five_windows_of_a_clean_future_after_a_noisy_past(shared_data):
    task = build(NAMED["exchange-half"], 1, shared_data)
    assert (len(task.train), len(task.test), task.freq, task.window) == (8, 40, "B", 150)
    assert digest(task.test[4].value[:6191], task.test[4].risk[:6191]) == "8f91ead86b7510c0"
    clean = build(NAMED["exchange-clean"], 1, shared_data)
    for number, (item, truth, future) in enumerate(zip(task.test, task.truth, task.future, strict=True)):
        assert future.sum() == 30
        assert not item.observed[future].any()
        np.testing.assert_array_equal(item.asked, future)
        np.testing.assert_array_equal(truth, clean.truth[number])
        exact = item.observed & (item.risk == 0)
        np.testing.assert_array_equal(item.value[exact], truth[exact])
    first = clean.test[0].value[:6071, 0]
    assert task.train[0].risk.max() == pytest.approx(0.5 * first.std())
    assert task.scale[0][0] == pytest.approx(np.abs(first[5:] - first[:-5]).mean())
    np.testing.assert_array_equal(task.test[1].value[:6071], task.test[0].value[:6071])  # one noise a stamp
    other = build(NAMED["exchange-half"], 2, shared_data)
    assert (other.train[0].risk != task.train[0].risk).mean() == pytest.approx(0.5, abs=0.03)


def test_m4_forecasts_the_official_hours_and_a_subset_is_spread_over_all(shared_data):
    task = build(NAMED["m4-hourly-50-half"], 0, shared_data)
    assert len(task.test) == 50
    assert (task.test[0].item_id, task.test[-1].item_id) == ("H1@0", "H414@0")
    assert sum(mask.sum() for mask in task.future) == 50 * 48
    assert {len(item.time) for item in task.train} <= {700, 960}


def test_etth1_is_the_protocol_that_was_published(shared_data):
    old, new = etth1_noisy(shared_data), build(NAMED["etth1-noisy"], 2026, shared_data)
    for one, two in zip(old.train + old.validation + old.test, new.train + new.validation + new.test, strict=True):
        np.testing.assert_array_equal(one.risk, two.risk)
        np.testing.assert_allclose(one.value, two.value, rtol=0, atol=1e-14)
    for part in ("hidden", "noisy"):
        for one, two in zip(getattr(old, part), getattr(new, part), strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("trained", "sizes"), [("clean", (0.0, 0.0)), ("noisy", (0.5, 1.0))])
def test_noise_of_the_test_part_alone_is_another(shared_data, trained, sizes):
    """Models learn from the same data, of half noisy readings or none; masks and who is noisy stay as they are."""
    plain, still, loud = (
        build(NAMED[f"etth1-{trained}{end}"], 2026, shared_data) for end in ("", "-test-0", "-test-2")
    )
    for other in (still, loud):
        for one, two in zip(plain.train + plain.validation, other.train + other.validation, strict=True):
            np.testing.assert_array_equal(one.value, two.value)
            np.testing.assert_array_equal(one.risk, two.risk)
    risk = loud.train[0].risk[loud.train[0].observed]
    assert (risk.max() > 0) == (sizes[1] > 0)
    assert set(np.concatenate([item.risk[item.observed] for item in loud.test])) == {0.0, 2.0}
    assert {float(item.risk[item.observed].max()) for item in still.test} == {0.0}
    for one, two in zip(still.hidden, loud.hidden, strict=True):
        np.testing.assert_array_equal(one, two)
    share = np.mean(np.concatenate([mask[~hidden] for mask, hidden in zip(loud.noisy, loud.hidden, strict=True)]))
    assert share == pytest.approx(0.5, abs=0.02)


def test_beijing_scores_the_mask_of_the_data_set_in_its_test_months(shared_data):
    task = build(NAMED["beijing-pm25-noisy"], 0, shared_data)
    months = {int(item.time[k].astype("datetime64[M]").astype(int) % 12 + 1) for item in task.test for k in (0, -1)}
    assert months == {3, 6, 9, 12}
    learned = {int(m) for item in task.train for m in item.time.astype("datetime64[M]").astype(int) % 12 + 1}
    assert learned == {1, 4, 5, 7, 10, 11}
    assert sum(mask.sum() for mask in task.hidden) == 20015
    for item, truth, hidden in zip(task.test, task.truth, task.hidden, strict=True):
        assert item.value.shape == (36, 36)
        assert np.isfinite(truth[hidden]).all()
        assert not item.observed[hidden].any()


def test_physionet_hides_a_share_of_the_test_alone_and_seeds_are_folds(shared_data, monkeypatch):
    stays = physionet2012.load(shared_data, clean=False)[:800]
    monkeypatch.setattr(physionet2012, "load", lambda root, clean: stays)
    folds = [build(NAMED["physionet-10-clean"], seed, shared_data) for seed in (0, 1)]
    names = [{item.item_id for item in fold.test} for fold in folds]
    assert not names[0] & names[1]
    for fold in folds:
        assert len(fold.test[0].variables) == 35
        assert not {item.item_id for item in fold.test} & {item.item_id for item in fold.train + fold.validation}
        for item, mask in zip(fold.test, fold.hidden, strict=True):
            assert mask.sum() == int(item.asked.sum() * 0.1)
        value = np.concatenate([item.value for item in fold.train])
        np.testing.assert_allclose(np.nanmean(value, axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(np.nanstd(value, axis=0), 1, atol=1e-9)
    for share in (50, 90):
        other = build(NAMED[f"physionet-{share}-clean"], 1, shared_data)
        for one, two in zip(other.train[::40], folds[1].train[::40], strict=True):
            np.testing.assert_array_equal(one.value, two.value)


@pytest.mark.parametrize("name", ["uci-co", "shanghai-glucose"])
def test_sensors_are_scored_where_their_reference_is_and_never_shown_it(shared_data, name):
    task = build(NAMED[name], 0, shared_data)
    assert not {item.item_id for item in task.test} & {item.item_id for item in task.train}
    assert sum(mask.sum() for mask in task.hidden) > 500
    assert sum(mask.sum() for mask in task.noisy) > 500
    (sd,) = {risk for item in task.test for risk in item.risk[item.observed].tolist()}
    assert sd > 0
    for truth, hidden, seen in zip(task.truth, task.hidden, task.noisy, strict=True):
        np.testing.assert_array_equal(hidden | seen, np.isfinite(truth))
    error = np.concatenate([(i.value - t)[m] for i, t, m in zip(task.test, task.truth, task.noisy, strict=True)])
    assert (error != 0).mean() > 0.95
    assert 0.5 < np.sqrt(np.mean(error**2)) / sd < 2


def test_what_is_told_of_the_risk_changes_the_risk_alone(shared_data):
    half = NAMED["exchange-half"]
    true = build(half, 0, shared_data)
    scaled, constant, none = (
        build(replace(half, told=told, factor=2.0 if told == "scaled" else 1.0), 0, shared_data)
        for told in ("scaled", "constant", "none")
    )
    for other in (scaled, constant, none):
        np.testing.assert_array_equal(other.test[3].value, true.test[3].value)
        np.testing.assert_array_equal(other.test[3].observed, true.test[3].observed)
    read = true.train[2].observed
    np.testing.assert_array_equal(scaled.train[2].risk[read], 2 * true.train[2].risk[read])
    assert not none.train[2].risk[read].any()
    square = np.sqrt(np.mean(true.train[2].risk[read] ** 2))
    np.testing.assert_allclose(constant.train[2].risk[read], square)


def test_treatments_drop_what_is_risky_or_take_it_as_exact(shared_data):
    task = build(NAMED["exchange-half"], 0, shared_data)
    item = task.test[0]
    kept, dropped = treat(task, "keep").test[0], treat(task, "drop").test[0]
    np.testing.assert_array_equal(kept.observed, item.observed)
    np.testing.assert_array_equal(dropped.observed, item.risk == 0)
    assert not noisy([kept, dropped])
    assert noisy([treat(task, "known").test[0]])
    graded = build(NAMED["exchange-graded"], 0, shared_data).test[0]
    away = risky(graded)
    assert away.sum() / graded.observed.sum() == pytest.approx(0.5, abs=1e-3)
    assert graded.risk[away].min() > graded.risk[graded.observed & ~away].max()


@pytest.mark.parametrize(("name", "shares"), [("uci-co", (0.8, 1.001)), ("shanghai-glucose", (0.9, 1.001))])
def test_sensors_tell_how_long_their_errors_last_and_how_to_check_the_bands(shared_data, name, shares):
    task = build(NAMED[name], 0, shared_data)
    (family,) = task.noise.values()
    assert isinstance(family, Correlated)
    assert shares[0] < sum(family.shares) < shares[1]
    assert treat(task, "known").noise == task.noise
    assert treat(task, "keep").noise == {} == treat(task, "drop").noise
    asked, answers = held_out(task, 0)
    assert asked.test == [item for item, _ in task.checks]
    assert not {item.item_id for item in asked.test} & {item.item_id for item in [*task.test, *task.train]}
    (sd,) = {risk for item in asked.test for risk in item.risk[item.observed].tolist()}
    assert sd == task.test[0].risk[task.test[0].observed][0]
    error = []
    for item, answer in zip(asked.test, answers, strict=True):
        np.testing.assert_array_equal(item.asked, answer.observed)
        assert (answer.risk[answer.observed] == 0).all()
        error.append((item.value - answer.value)[item.observed & answer.observed])
    assert 0.5 < np.sqrt(np.mean(np.concatenate(error) ** 2)) / sd < 2
    shown = treat(task, "keep").checks[0]
    assert (shown[0].risk[shown[0].observed] == 0).all()
    assert shown[1] is task.checks[0][1]
