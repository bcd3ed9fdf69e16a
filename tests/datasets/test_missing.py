"""Missing patterns: realised shares, lengths of gaps, failures that last, and what missing high values do to a mean."""

import numpy as np
import pytest
from scipy.special import expit

from rstime.datasets.missing import PATTERNS, Block, Dropout, NotAtRandom, Random, Share
from rstime.errors import ConfigError, DataError


@pytest.fixture
def rng():
    return np.random.default_rng(11)


@pytest.fixture
def value(rng):
    return rng.normal(loc=5, scale=[1.0, 20.0], size=(3000, 40, 2))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8])
@pytest.mark.parametrize("name", PATTERNS)
def test_the_realised_share_is_the_one_asked_for_in_each_variable(name, share, value, rng):
    lost = PATTERNS[name].mask(rng, value, share)
    assert lost.shape == value.shape
    np.testing.assert_allclose(lost.mean((0, 1)), share, atol=0.02)


def test_random_losses_do_not_know_of_each_other(value, rng):
    lost = Random().mask(rng, value, 0.3)
    assert (lost[:, 1:] & lost[:, :-1]).mean() == pytest.approx(0.09, abs=0.005)
    assert (lost[..., 0] & lost[..., 1]).mean() == pytest.approx(0.09, abs=0.005)


@pytest.mark.parametrize(("share", "count"), [(0.1, 3), (0.5, 18), (0.9, 33)])
def test_an_exact_share_of_the_readings_of_each_item_is_lost_each_equally_often(share, count, rng):
    value = np.zeros((4000, 10, 5))
    value[:, 2:5] = np.nan  # 35 readings are left
    value[0] = np.nan
    lost = Share().mask(rng, value, share)
    assert set(lost[1:].sum((1, 2)).tolist()) == {int(35 * share)}
    assert int(37 * share) == count
    assert not lost[np.isnan(value)].any()
    read = ~np.isnan(value[1])
    np.testing.assert_allclose(lost[1:].mean(0)[read], int(35 * share) / 35, atol=0.04)


def run_lengths(lost):
    """Lengths of the gaps of (N, T) that neither start nor end with the window."""
    padded = np.diff(lost.astype(int), axis=1)
    lengths = []
    for row in padded:
        starts, stops = np.flatnonzero(row == 1), np.flatnonzero(row == -1)
        lengths += [stops[stops > start][0] - start for start in starts if (stops > start).any()]
    return np.array(lengths)


@pytest.mark.parametrize("length", [1.0, 3.0, 8.0])
def test_gaps_have_their_mean_length_and_the_share_at_every_step(length, rng):
    lost = Block(length).mask(rng, np.zeros((100, 4000, 1)), 0.3)[..., 0]
    lengths = run_lengths(lost)
    assert lengths.mean() == pytest.approx(length, rel=0.03)
    assert np.mean(lengths > length) == pytest.approx((1 - 1 / length) ** np.floor(length), abs=0.02)
    steps = Block(length).mask(rng, np.zeros((20_000, 12, 1)), 0.3).mean((0, 2))
    np.testing.assert_allclose(steps, 0.3, atol=0.015)


def test_gaps_strike_variables_alone_or_all_at_once(value, rng):
    alone = Block().mask(rng, value, 0.3)
    assert (alone[..., 0] & alone[..., 1]).mean() == pytest.approx(0.09, abs=0.01)
    together = Block(together=True).mask(rng, value, 0.3)
    np.testing.assert_array_equal(together[..., 0], together[..., 1])
    assert not np.array_equal(together[0], together[1])


@pytest.mark.parametrize("share", [0.2, 0.7])
def test_what_fails_stays_missing_to_the_end(share, value, rng):
    lost = Dropout().mask(rng, value, share)
    assert not (lost[:, :-1] & ~lost[:, 1:]).any()
    assert lost[:, -1].mean() == pytest.approx(min(1, 2 * share), abs=0.02)
    kept = (~lost).sum(1)[lost[:, -1]]
    assert kept.mean() == pytest.approx(20 if share < 0.5 else 40 * (1 - share), rel=0.03)


@pytest.mark.parametrize("strength", [2.0, -1.0])
def test_missing_high_values_depend_on_the_value_as_stated_and_bias_the_mean(strength, value, rng):
    lost = NotAtRandom(strength).mask(rng, value, 0.4)
    z = (value - [5, 5]) / [1.0, 20.0]
    for low in (-2.0, -0.5, 1.0):
        inside = (z > low) & (z < low + 0.1)
        odds = np.log(lost[inside].mean() / (1 - lost[inside].mean()))
        middle = np.log(lost[np.abs(z) < 0.05].mean() / (1 - lost[np.abs(z) < 0.05].mean()))
        assert odds - middle == pytest.approx(strength * (low + 0.05), abs=0.25)
    node, weight = np.polynomial.hermite_e.hermegauss(60)
    weight = weight / weight.sum()
    level = np.log(0.4 / 0.6)
    for _ in range(50):  # the level at which the Gaussian average of the probability is .4
        level += 2 * (0.4 - weight @ expit(level + strength * node))
    bias = -(weight @ (node * expit(level + strength * node))) / 0.6
    assert z[~lost].mean() == pytest.approx(bias, abs=0.02)
    assert np.sign(np.corrcoef(lost.ravel(), z.ravel())[0, 1]) == np.sign(strength)
    assert abs(z[~Random().mask(rng, value, 0.4)].mean()) < 0.02


def test_entries_that_are_missing_already_and_constant_variables_are_no_obstacle(rng):
    value = rng.normal(size=(500, 20, 3))
    value[:250, :, 0] = np.nan
    value[..., 1] = 7.0
    value[..., 2] = np.nan
    lost = NotAtRandom().mask(rng, value, 0.3)
    np.testing.assert_allclose(lost.mean((0, 1)), 0.3, atol=0.02)


def test_shares_out_of_reach_are_refused(rng):
    with pytest.raises(ConfigError, match=r"share: 1 outside \[0, 1\)"):
        Random().mask(rng, np.zeros((4, 1)), 1)
    with pytest.raises(ConfigError, match=r"share: 0\.9 in gaps of 4 steps\. Give at most 0\.800, or longer gaps\."):
        Block(4).mask(rng, np.zeros((4, 1)), 0.9)
    with pytest.raises(ConfigError, match=r"length: 0\.5 steps\. Give at least 1\."):
        Block(0.5)
    with pytest.raises(DataError, match=r"value: shape \(4,\)"):
        Random().mask(rng, np.zeros(4), 0.5)
