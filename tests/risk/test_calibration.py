"""Spread, scales, conformal factors and coverage do what they claim, in numbers."""

import doctest
import importlib
import json

import numpy as np
import pytest
from scipy import stats

from rstime.errors import ConfigError, DataError
from rstime.risk.calibration import Recalibration, components, recalibrate, spread
from rstime.risk.conformal import conformal, online_conformal
from rstime.risk.coverage import coverage, pit

Z90 = float(stats.norm.ppf(0.95))


@pytest.mark.parametrize("name", ["line", "quality", "calibration", "coverage", "replicates"])
def test_examples_of_the_docstrings_run(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"rstime.risk.{name}"))
    assert found.failed == 0
    assert found.attempted > 0


def heavy(count: int, seed: int) -> np.ndarray:
    """Student-t errors with 3 degrees of freedom, sd 1."""
    return np.random.default_rng(seed).standard_t(3, count) / np.sqrt(3)


@pytest.mark.parametrize("match", ["sd", "central", "robust"])
def test_all_spreads_agree_for_gaussian_errors(match: str) -> None:
    residual = np.random.default_rng(0).normal(0, 3, 50_000)
    assert spread(residual, match) == pytest.approx(3, rel=0.02)  # type: ignore[arg-type]


def test_with_heavy_tails_central_holds_its_level_and_the_sd_more() -> None:
    fit, fresh = heavy(100_000, 1), heavy(100_000, 2)
    central, sd = spread(fit, "central"), spread(fit, "sd")
    assert np.mean(np.abs(fresh) <= Z90 * central) == pytest.approx(0.9, abs=0.004)
    assert np.mean(np.abs(fresh) <= Z90 * sd) == pytest.approx(2 * stats.t.cdf(Z90 * np.sqrt(3), 3) - 1, abs=0.01)
    assert spread(fit, "robust") < central < sd


def test_for_fusion_the_sd_is_the_best_risk_even_with_heavy_tails() -> None:
    rng = np.random.default_rng(3)
    truth, noise = rng.normal(0, 1, 400_000), 0.8 * heavy(400_000, 4)

    def error(risk: float) -> float:
        weight = 1 / (1 + risk**2)
        return float(np.mean((weight * (truth + noise) - truth) ** 2))

    risks = np.linspace(0.4, 1.4, 101)
    best = risks[np.argmin([error(risk) for risk in risks])]
    assert best == pytest.approx(spread(noise, "sd"), abs=0.03)
    assert error(spread(noise, "sd")) < error(spread(noise, "central")) < error(spread(noise, "robust"))


def test_a_wrong_spread_is_refused() -> None:
    with pytest.raises(ConfigError, match="match"):
        spread(np.ones(30), "variance")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="level"):
        spread(np.arange(30.0), "central", 1.0)
    with pytest.raises(DataError, match=r"25 pairs for level 0\.99\. Give at least 99 pairs"):
        spread(np.arange(25.0), "central", 0.99)


def test_a_scale_a_bin_mends_claims_that_are_wrong_by_a_power() -> None:
    rng = np.random.default_rng(5)
    claimed = np.exp(rng.uniform(0, 2, 20_000))
    true = 2 * claimed**1.5
    found = recalibrate(true * rng.normal(size=20_000) + 0.5, claimed, bins=10, bias=True)
    at = np.exp([0.3, 0.8, 1.2, 1.7])
    np.testing.assert_allclose(found.sd(at), 2 * at**1.5, rtol=0.05)
    assert found.bias == pytest.approx(0.5, abs=0.1)
    assert found.sd([0.0, np.inf]).tolist() == [0.0, np.inf]
    assert Recalibration.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_bins_never_have_fewer_than_twenty_pairs() -> None:
    rng = np.random.default_rng(6)
    assert len(recalibrate(rng.normal(size=59), rng.uniform(1, 2, 59), bins=5).scale) == 2
    few_of_one = np.array([1.0] * 5 + [2.0] * 60)
    assert len(recalibrate(rng.normal(size=65), few_of_one, bins=3).scale) == 1


def test_bad_claims_are_refused() -> None:
    rng = np.random.default_rng(7)
    residual, claimed = rng.normal(size=100), rng.uniform(1, 2, 100)
    for rule in (recalibrate, conformal, coverage, pit):
        with pytest.raises(DataError, match=r"residual: 19 pairs\. Collect at least 20"):
            rule(residual[:19], claimed[:19])
        with pytest.raises(DataError, match="sd: -1 among the pairs"):
            rule(residual, np.where(np.arange(100) == 5, -1.0, claimed))
        with pytest.raises(DataError, match="residual: nan among the pairs"):
            rule(np.where(np.arange(100) == 5, np.nan, residual), claimed)
    with pytest.raises(DataError, match="all 0 in a bin"):
        recalibrate(np.zeros(100), claimed)
    with pytest.raises(ConfigError, match="bins"):
        recalibrate(residual, claimed, bins=0)
    with pytest.raises(DataError, match="sd: -1"):
        recalibrate(residual, claimed).sd([-1.0])


def test_the_conformal_factor_has_its_finite_sample_coverage() -> None:
    assert conformal(np.arange(1.0, 21.0), 1.0, 0.9) == 19  # ceil(21 * .9)
    assert conformal(np.arange(1.0, 20.5, 0.5), 2.0, 0.9) == 9.25  # of 39 scores .5, .75 ... the 36th, not the 37th
    held = []
    for seed in range(3000):
        draw = heavy(25, seed)
        held.append(abs(draw[-1]) <= conformal(draw[:-1], 1.0, 0.8))
    assert np.mean(held) == pytest.approx(20 / 25, abs=0.025)


def test_online_intervals_hold_their_level_while_the_noise_grows() -> None:
    rng = np.random.default_rng(8)
    time = np.arange(6000.0)
    residual = rng.normal(size=6000) * np.where(time < 3000, 1.0, 4.0)
    factor = online_conformal(residual, np.ones(6000), time, 0.9, delay=10)
    held = np.abs(residual) <= factor
    assert np.abs(residual[3500:] <= Z90).mean() < 0.7
    assert held[500:3000].mean() == pytest.approx(0.9, abs=0.015)
    assert held[3200:].mean() == pytest.approx(0.9, abs=0.015)


def test_online_factors_follow_the_rule_and_know_no_future() -> None:
    residual = np.concatenate([np.full(30, 5.0), np.full(30, 0.1)])
    residual[3] = np.nan
    factor = online_conformal(residual, np.ones(60), np.arange(60.0), 0.9, rate=0.1, delay=2)
    steps = np.diff(np.log(factor))
    assert factor[:3].tolist() == pytest.approx([Z90] * 2 + [Z90 * np.exp(0.09)])
    assert steps[4] == 0  # stamp 5 knows that 3 has no reference
    assert steps[-1] == pytest.approx(-0.01)
    changed = np.where(np.arange(60) >= 40, 9.0, residual)
    again = online_conformal(changed, np.ones(60), np.arange(60.0), 0.9, rate=0.1, delay=2)
    np.testing.assert_array_equal(again[:42], factor[:42])
    with pytest.raises(ConfigError, match="rate"):
        online_conformal(residual, np.ones(60), np.arange(60.0), rate=0)
    with pytest.raises(DataError, match="time: falls"):
        online_conformal(residual, np.ones(60), -np.arange(60.0))


def test_components_tell_the_bias_of_devices_from_noise() -> None:
    rng = np.random.default_rng(9)
    device = rng.integers(0, 300, 9000)
    residual = 5 + rng.normal(0, 3, 300)[device] + rng.normal(0, 2, 9000)
    parts = components(residual, device)
    assert parts.within == pytest.approx(2, rel=0.03)
    assert parts.between == pytest.approx(3, rel=0.1)
    assert parts.bias == pytest.approx(5, abs=0.5)
    assert components(rng.normal(size=9000), device).between < 0.1
    with pytest.raises(DataError, match="device: 1 devices"):
        components(residual, np.zeros(9000))


def test_coverage_by_bin_finds_where_the_claim_is_wrong() -> None:
    rng = np.random.default_rng(10)
    claimed = np.repeat([1.0, 2.0], 5000)
    residual = rng.normal(size=10_000) * np.repeat([1.0, 4.0], 5000) + np.repeat([0.0, 1.0], 5000)
    table = coverage(residual, claimed, bins=2)
    assert table.count.tolist() == [5000, 5000]
    wide = Z90 * 2
    expected = stats.norm.cdf((wide - 1) / 4) - stats.norm.cdf((-wide - 1) / 4)
    np.testing.assert_allclose(table.coverage, [0.9, expected], atol=0.015)
    np.testing.assert_allclose(table.width, [2 * Z90, 4 * Z90])
    np.testing.assert_allclose(table.pit, [0.5, stats.norm.cdf(-1 / np.sqrt(4 + 16))], atol=0.015)
    exact = stats.binomtest(round(table.coverage[0] * 5000), 5000).proportion_ci(0.95, "exact")
    assert (table.lower[0], table.upper[0]) == pytest.approx((exact.low, exact.high))
    assert coverage(residual, claimed, bins=2, by=-claimed).coverage.tolist() == table.coverage[::-1].tolist()


def test_coverage_at_its_ends() -> None:
    table = coverage(np.zeros(30), 1.0)
    assert (table.coverage.tolist(), table.upper.tolist()) == ([1.0], [1.0])
    assert table.lower[0] == pytest.approx(0.025 ** (1 / 30))
    table = coverage(np.full(30, 9.0), 1.0)
    assert (table.coverage.tolist(), table.lower.tolist()) == ([0.0], [0.0])


def test_pit_is_uniform_if_and_only_if_the_claim_is_right() -> None:
    rng = np.random.default_rng(11)
    claimed = rng.uniform(1, 5, 5000)
    residual = claimed * rng.normal(size=5000)
    assert stats.kstest(pit(residual, claimed), "uniform").pvalue > 0.01
    assert stats.kstest(pit(residual, claimed / 2), "uniform").pvalue < 1e-6
    assert pit(np.full(20, 1.645), 1.0)[0] == pytest.approx(0.05, abs=1e-4)  # a reading above the reference: low
