"""Profiles of seasons: what repeats is expected, what does not is not, and known noise counts for what it is."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from rstime import gluonts_season
from rstime.errors import ConfigError
from rstime.gluonts_scale import ItemScale, Units
from rstime.gluonts_season import expected, seasons_of
from rstime.types import Floats, Series

WAVE = np.array([3.0, -1.0, 0.5, -2.5, 0.0, 0.0])
P = len(WAVE)


def exact(value: Floats) -> Floats:
    return np.zeros(len(value))


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(gluonts_season).failed == 0


@pytest.mark.parametrize(
    ("freq", "seasons"),
    [
        ("min", (1440,)),
        ("2h", (12, 84)),
        ("5h", ()),
        ("2D", ()),
        ("s", ()),
        ("B", (5,)),
        ("W-SUN", (52,)),
        ("Q", (4,)),
        ("3M", ()),
        ("Y", ()),
    ],
)
def test_stamps_in_what_repeats(freq: str, seasons: tuple[int, ...]) -> None:
    assert seasons_of(freq) == seasons


def test_an_unknown_frequency_is_named() -> None:
    with pytest.raises(ConfigError, match="freq: 'noon'"):
        seasons_of("noon")


@pytest.mark.parametrize("slope", [0.0, 0.7])
@pytest.mark.parametrize("odd", [0, 4])
def test_what_repeats_exactly_is_expected_whatever_the_trend(slope: float, odd: int) -> None:
    """After the first season, of which nothing was expected; the first one may be cut short."""
    wave = np.tile(WAVE, 9)[odd:]
    value = 40.0 + slope * np.arange(len(wave)) + wave
    found = expected(value, exact(value), (P,), 2 * P)
    assert np.isnan(found[: P - odd]).all()
    assert np.isfinite(found[2 * P :]).all()
    np.testing.assert_allclose(found[-2 * P :], np.tile(WAVE, 2), atol=0.05 if odd else 1e-3)
    np.testing.assert_allclose((value - found[: len(value)])[-P:], value[-P:] - WAVE, atol=0.05 if odd else 1e-3)


def test_a_trend_alone_and_too_few_seasons_add_nothing() -> None:
    line = 3.0 + 0.4 * np.arange(60)
    np.testing.assert_allclose(expected(line, exact(line), (P,), P), 0, atol=1e-12)
    short = np.tile(WAVE, 2)[1:]
    np.testing.assert_array_equal(expected(short, exact(short), (P,), P), 0)
    np.testing.assert_array_equal(expected(short, exact(short), (), P), 0)


def test_chance_is_hardly_taken_for_a_season() -> None:
    """White noise of 12 seasons: a mean of all before would have a variance of 1/12, of the last alone 1."""
    rng = np.random.default_rng(0)
    ahead = [expected(x, exact(x), (P,), P)[-P:] for x in rng.normal(size=(300, 12 * P))]
    assert np.mean(np.square(ahead)) < 0.03
    walks = [expected(x, exact(x), (P,), P)[-P:] for x in rng.normal(size=(300, 12 * P)).cumsum(1)]
    assert np.mean(np.square(walks)) < 0.1  # of a walk that moves by a variance of P in a season


def test_a_season_that_wanders_is_followed_and_one_that_stays_is_averaged() -> None:
    """Root mean square error of the season ahead, over that of the last season carried on."""
    rng = np.random.default_rng(1)

    def ratio(moves: float, noise: float) -> float:
        errors = []
        for _ in range(200):
            season = WAVE + moves * rng.normal(size=(21, P)).cumsum(0)
            season -= season.mean(1, keepdims=True)
            value = (season[:20] + noise * rng.normal(size=(20, P))).ravel()
            error = expected(value, exact(value), (P,), P)[-P:] - season[20]
            errors.append((np.square(error).mean(), np.square(value[-P:] - season[20]).mean()))
        mine, naive = np.sqrt(np.mean(errors, axis=0))
        return float(mine / naive)

    assert ratio(0.0, 1.0) < 0.45  # the mean of 20 has 1 / sqrt(20) = .22 of the error
    assert ratio(1.0, 0.0) < 1.5  # the last alone is best; the level is found from the same readings
    assert ratio(0.3, 0.5) < 0.85


def test_known_noise_counts_for_what_it_is() -> None:
    """Half of the readings with errors of 5: told so, the season is found as from the others alone; else it is not."""
    rng = np.random.default_rng(2)
    errors = {"known": 0.0, "ignored": 0.0, "missing": 0.0}
    for _ in range(100):
        clean = np.tile(WAVE, 16) + 0.2 * rng.normal(size=16 * P)
        risk = np.where(rng.random(16 * P) < 0.5, 5.0, 0.0)
        value = clean + risk * rng.normal(size=16 * P)
        absent = np.where(risk > 0, np.inf, 0.0)
        cases = {"known": (value, risk), "ignored": (value, exact(value))}
        cases["missing"] = (np.where(risk > 0, np.nan, value), absent)
        for name, (y, r) in cases.items():
            errors[name] += float(np.square(expected(y, r, (P,), P)[-P:] - WAVE).mean()) / 100
    assert errors["known"] < 1.2 * errors["missing"]
    assert errors["ignored"] > 5 * errors["known"]


def test_a_stamp_that_was_never_read_is_expected_at_the_level() -> None:
    value, risk = np.tile(WAVE, 8), np.zeros(8 * P)
    value[2::P], risk[2::P] = np.nan, np.inf
    found = expected(value, risk, (P,), P)
    assert found[-P + 2] == 0
    assert np.isnan(found[2 : 8 * P : P]).all()
    assert np.isfinite(np.delete(found, np.arange(2, 8 * P, P))[P:]).all()


def test_the_second_kind_of_season_explains_what_the_first_leaves() -> None:
    """Days of 4 stamps, weeks of 7 days whose last two lie 6 lower."""
    day = np.array([1.0, -1.0, 2.0, -2.0])
    week = np.repeat([0.0] * 5 + [-6.0] * 2, 4)
    value = np.tile(np.tile(day, 7) + week, 8)
    error = [np.abs(expected(value, exact(value), seasons, 28)[-28:] - (np.tile(day, 7) + week - week.mean())).max()
             for seasons in ((4,), (4, 28))]  # fmt: skip
    assert error[0] > 3
    assert error[1] < 0.5


def test_units_of_an_item_follow_its_season_and_come_back() -> None:
    wave = 100 + 10 * np.tile(WAVE, 12) + np.random.default_rng(0).normal(size=12 * P)
    item = Series("a", np.arange(12.0 * P), ("x",), wave[:, None], np.full((12 * P, 1), 0.5))
    plain, seasonal = (ItemScale.fit([item], 4, 6 * P, seasons) for seasons in ((), (P,)))
    assert seasonal.behind == 8 * P
    assert ItemScale.from_dict(seasonal.to_dict()).to_dict() == seasonal.to_dict()
    assert seasonal.of(item).scale[0] < 0.12 * plain.of(item).scale[0]
    units = seasonal.of(item, ahead=3)
    assert units.centre.shape == (12 * P + 3, 1)
    np.testing.assert_allclose(units.centre[-3:, 0], 100 + 10 * WAVE[:3], atol=2)
    late = item.rows(slice(-P, None))
    scaled = Units(units.centre[:-3], units.scale).scaled(late)
    np.testing.assert_allclose(scaled.value * units.scale + units.centre[-P - 3 : -3], late.value)
    np.testing.assert_allclose(scaled.risk, 0.5 / units.scale[0])
    assert (
        not units.scaled(
            Series("a", np.arange(12.0 * P + 3), ("x",), np.pad(wave, (0, 3))[:, None], np.zeros((12 * P + 3, 1)))
        )
        .observed[:P]
        .any()
    )
