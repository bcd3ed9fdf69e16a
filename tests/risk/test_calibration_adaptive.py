"""The running calibration equals its definition, knows no future, and keeps coverage where a static one loses it."""

import numpy as np
import pytest
from scipy import stats

from rstime.errors import ConfigError, DataError
from rstime.risk.adaptive import adaptive, from_devices
from rstime.risk.line import fit_line

Z90 = float(stats.norm.ppf(0.95))


def drifting(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sensor, truth, covariate and time; slope, offset and noise drift over the second half."""
    rng = np.random.default_rng(seed)
    time = np.arange(float(count))
    late = np.clip(time / count - 0.3, 0, None)
    truth, warmth = rng.normal(10, 3, count), rng.normal(0, 1, count)
    noise = (1 + 3 * late) * rng.normal(size=count)
    return 5 + 20 * late + (2 - late) * truth + warmth + noise, truth, warmth, time


def test_coverage_stays_under_drift_where_the_static_line_loses_it() -> None:
    sensor, truth, warmth, time = drifting(6000, 0)
    first = slice(0, 1000)
    line = fit_line(sensor[first], truth[first], warmth[first])
    found = adaptive(line, sensor, truth, time, warmth, half_life=100, delay=24)
    late = slice(2500, None)
    low, high = found.interval(0.9)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.9, abs=0.02)
    assert np.mean((low <= truth)[late] & (truth <= high)[late]) == pytest.approx(0.9, abs=0.02)
    assert np.mean(np.abs(line.value(sensor, warmth) - truth)[late] <= Z90 * line.sd) < 0.3
    noise = (1 + 3 * 0.7) / (2 - 0.7)  # at the end, in the units of the truth
    assert np.median(found.risk[-100:]) == pytest.approx(noise, rel=0.15)


def test_a_claim_does_not_change_with_what_comes_after_it_or_within_the_delay() -> None:
    sensor, truth, warmth, time = drifting(400, 1)
    line = fit_line(sensor[:100], truth[:100], warmth[:100])
    found = adaptive(line, sensor, truth, time, warmth, half_life=50, delay=10)
    for reference in (np.where(time >= 290, 99.0, truth), np.where(time >= 290, np.nan, truth)):
        again = adaptive(line, sensor, reference, time, warmth, half_life=50, delay=10)
        np.testing.assert_array_equal(again.value[:300], found.value[:300])
        np.testing.assert_array_equal(again.risk[:300], found.risk[:300])
        assert again.risk[300] != found.risk[300]


def slowly(sensor: np.ndarray, truth: np.ndarray, warmth: np.ndarray, settings: dict[str, float]) -> np.ndarray:
    """Values and risks (2, n) by the definition: each claim from weighted least squares over all pairs known then."""
    half_life, delay, weight = settings["half_life"], settings["delay"], settings["weight"]
    line = fit_line(sensor[:40], truth[:40], warmth[:40])
    rows = np.column_stack([np.ones(sensor.size), warmth, truth])
    start = np.linalg.cholesky(np.array(line.moments)).T  # rows whose mean products are those of the start
    claims, scores = [], []
    for now in range(sensor.size):
        past = np.arange(max(now - int(max(delay, 1)) + 1, 0))
        age = 0.5 ** ((now - past) / half_life)
        begin = weight * 0.5 ** (now / half_life)
        design = np.vstack([rows[past] * np.sqrt(age)[:, None], np.sqrt(begin) * start])
        target = np.append(
            sensor[past] * np.sqrt(age), np.sqrt(begin) * start @ [line.offset, *line.effects, line.slope]
        )
        offset, effect, slope = coefficients = np.linalg.lstsq(design, target)[0]
        noise = (age @ np.array(scores)[past] if now else 0) + begin * (line.sd * line.slope) ** 2
        spread = np.linalg.inv(design.T @ design)
        value = (sensor[now] - offset - effect * warmth[now]) / slope
        row = np.array([1, warmth[now], value])
        claims.append((value, np.sqrt(noise / (age.sum() + begin) * (1 + row @ spread @ row)) / abs(slope)))
        error = sensor[now] - rows[now] @ coefficients
        scores.append(error**2 / (1 + rows[now] @ spread @ rows[now]))
    return np.array(claims).T


@pytest.mark.parametrize("delay", [0.0, 3.0])
def test_every_claim_is_weighted_least_squares_over_the_past_and_the_start(delay: float) -> None:
    sensor, truth, warmth, time = drifting(80, 2)
    settings = {"half_life": 15.0, "delay": delay, "weight": 7.0, "risk_weight": 7.0}
    found = adaptive(fit_line(sensor[:40], truth[:40], warmth[:40]), sensor, truth, time, warmth, **settings)  # type: ignore[arg-type]
    value, risk = slowly(sensor, truth, warmth, settings)
    np.testing.assert_allclose(found.value, value, rtol=1e-8)
    np.testing.assert_allclose(found.risk, risk, rtol=1e-8)


def test_without_pairs_the_start_stands_and_risk_grows_with_a_gap() -> None:
    rng = np.random.default_rng(3)
    truth = rng.normal(100, 20, 500)
    line = fit_line(truth + rng.normal(0, 8, 500), truth, slope=1.0)
    time = np.array([0.0, 10.0, 1000.0])
    found = adaptive(line, np.full(3, 90.0), np.full(3, np.nan), time, half_life=10, weight=4, offset_only=True)
    np.testing.assert_allclose(found.value, 90 - line.offset)
    np.testing.assert_allclose(found.risk[:2], line.sd * np.sqrt([1 + 1 / 4, 1 + 1 / 2]))
    assert found.risk[2] == pytest.approx(line.sd * np.sqrt(1 + 2**20 / 4))  # forgotten, as far as a gap goes
    never = adaptive(line, np.full(3, 90.0), np.full(3, np.nan), time, weight=4, offset_only=True)
    np.testing.assert_allclose(never.risk, line.sd * np.sqrt(1.25))


def test_a_new_device_is_calibrated_from_others_and_its_own_pairs() -> None:
    rng = np.random.default_rng(4)
    device = np.repeat(np.arange(200), 30)
    truth = rng.normal(100, 20, device.size)
    sensor = 2 + truth + rng.normal(0, 6, 200)[device] + rng.normal(0, 3, device.size)
    train = device < 100
    line = fit_line(sensor[train], truth[train], slope=1.0)
    start, weight = from_devices(line, sensor[train], truth[train], device[train])
    assert start.sd == pytest.approx(3, rel=0.05)
    assert weight == pytest.approx(0.25, rel=0.3)
    scores, late = [], []
    for number in range(100, 200):
        own = device == number
        found = adaptive(start, sensor[own], truth[own], np.arange(30.0), weight=weight, offset_only=True)
        scores.append((found.value - truth[own]) / found.risk)
        late.append(found.risk[-1])
    score = np.array(scores)
    assert np.mean(np.abs(score[:, 0]) <= Z90) == pytest.approx(0.9, abs=0.07)  # before any pair of its own
    assert np.mean(np.abs(score) <= Z90) == pytest.approx(0.9, abs=0.015)
    assert np.mean(late) == pytest.approx(3 * np.sqrt(1 + 1 / 29), rel=0.05)
    with pytest.raises(DataError, match="no difference between devices"):
        from_devices(line, truth + np.tile([1, -1], device.size // 2), truth, np.arange(device.size) // 2)


def test_a_sensor_that_stops_answering_counts_as_missing() -> None:
    rng = np.random.default_rng(5)
    truth, time = rng.normal(10, 3, 2000), np.arange(2000.0)
    sensor = np.where(time < 1000, 2 * truth, 20.0) + rng.normal(size=2000)
    sensor[5] = np.nan
    line = fit_line(sensor[100:400], truth[100:400])
    found = adaptive(line, sensor, truth, time, half_life=50)
    assert np.isinf(found.risk[:1000]).sum() == 1
    assert np.isinf(found.risk[1500:]).mean() > 0.8
    np.testing.assert_array_equal(np.isnan(found.value), np.isinf(found.risk))
    np.testing.assert_array_equal(np.isnan(found.interval()[0]), np.isinf(found.risk))


def test_bad_input_is_refused() -> None:
    sensor, truth, warmth, time = drifting(100, 6)
    line = fit_line(sensor, truth, warmth)
    with pytest.raises(ConfigError, match="half_life: 2 forgets faster than pairs come"):
        adaptive(line, sensor, truth, time, warmth, half_life=2)
    for name in ("half_life", "weight", "risk_weight"):
        with pytest.raises(ConfigError, match=f"{name}: 0"):
            adaptive(line, sensor, truth, time, warmth, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="delay: -1"):
        adaptive(line, sensor, truth, time, warmth, delay=-1)
    with pytest.raises(DataError, match="time: falls"):
        adaptive(line, sensor, truth, time[::-1], warmth)
    with pytest.raises(DataError, match=r"reference: shape \(99,\)"):
        adaptive(line, sensor, truth[1:], time, warmth)
    with pytest.raises(DataError, match="covariates: 0 where 1"):
        adaptive(line, sensor, truth, time)
