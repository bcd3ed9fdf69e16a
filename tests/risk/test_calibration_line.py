"""The classical line gives a measurement with the right posterior; the regression the other way round does not."""

import json

import numpy as np
import pytest

from rstime.errors import DataError, RstimeWarning
from rstime.risk.line import SensorLine, fit_line

MEAN, SPREAD = 100.0, 20.0
SLOPE, OFFSET, EFFECT, NOISE = 0.5, 3.0, 2.0, 8.0  # noise in the units of the reference


def simulated(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sensor, truth and temperature of a sensor with a known line."""
    rng = np.random.default_rng(seed)
    truth, warmth = rng.normal(MEAN, SPREAD, count), rng.normal(10, 5, count)
    sensor = OFFSET + SLOPE * truth + EFFECT * warmth + SLOPE * NOISE * rng.normal(size=count)
    return sensor, truth, warmth


def test_the_line_and_its_noise_come_back() -> None:
    sensor, truth, warmth = simulated(20_000, 0)
    line = fit_line(sensor, truth, warmth)
    assert line.slope == pytest.approx(SLOPE, abs=4 * line.slope_error)
    assert line.slope_error == pytest.approx(SLOPE * NOISE / SPREAD / np.sqrt(20_000), rel=0.05)
    assert line.offset == pytest.approx(OFFSET, abs=0.6)
    assert line.effects == pytest.approx((EFFECT,), abs=0.03)
    assert line.sd == pytest.approx(NOISE, rel=0.02)
    residual = line.value(sensor, warmth) - truth
    assert np.cov(residual, truth)[0, 1] == pytest.approx(0, abs=2.5)  # noise that does not depend on the truth
    assert residual.std() == pytest.approx(line.sd, rel=0.001)


def fused(value: np.ndarray, risk: float) -> tuple[np.ndarray, float]:
    """Posterior mean and variance of a measurement under the N(MEAN, SPREAD^2) of the truth."""
    variance = 1 / (1 / SPREAD**2 + 1 / risk**2)
    return variance * (MEAN / SPREAD**2 + value / risk**2), variance


def test_the_posterior_variance_is_right_with_the_line_and_short_with_the_regression_of_the_reference() -> None:
    sensor, truth, warmth = simulated(20_000, 1)
    fresh, unseen, heat = simulated(20_000, 2)
    line = fit_line(sensor, truth, warmth)
    mean, variance = fused(line.value(fresh, heat), line.sd)
    assert np.mean((mean - unseen) ** 2) / variance == pytest.approx(1, abs=0.03)

    design = np.column_stack([np.ones(sensor.size), sensor, warmth])
    berkson = np.linalg.lstsq(design, truth)[0]
    spread = float(np.std(truth - design @ berkson))
    mean, variance = fused(np.column_stack([np.ones(fresh.size), fresh, heat]) @ berkson, spread)
    # with P = 400 and R = 64 its error variance is V = P R / (P + R) and the claim 1 / (1 / P + 1 / V)
    shrunk = SPREAD**2 * NOISE**2 / (SPREAD**2 + NOISE**2)
    claimed = 1 / (1 / SPREAD**2 + 1 / shrunk)
    weight = claimed / shrunk
    true = (1 - weight) ** 2 * (SPREAD**2 - shrunk) + shrunk
    assert true / claimed == pytest.approx(1.2424, abs=1e-4)
    assert np.mean((mean - unseen) ** 2) / variance == pytest.approx(true / claimed, abs=0.04)


def test_an_error_of_the_reference_is_taken_off() -> None:
    sensor, truth, warmth = simulated(40_000, 3)
    reference = truth + np.random.default_rng(4).normal(0, 10, truth.size)
    naive = fit_line(sensor, reference, warmth)
    assert naive.slope == pytest.approx(SLOPE * 400 / 500, rel=0.01)  # attenuated by P / (P + 10^2)
    line = fit_line(sensor, reference, warmth, reference_sd=10)
    assert line.slope == pytest.approx(SLOPE, rel=0.01)
    assert line.sd == pytest.approx(NOISE, rel=0.03)
    each = fit_line(sensor, reference, warmth, reference_sd=np.full(truth.size, 10.0))
    assert each == line


def test_a_reference_worse_than_the_residual_leaves_no_risk_and_says_so() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(100, 20, 500)
    with pytest.warns(RstimeWarning, match="within the reference's own error, 5"):
        assert fit_line(truth + rng.normal(0, 3, 500), truth, slope=1.0, reference_sd=5).sd == 0


def test_with_a_known_slope_only_the_offset_is_fitted() -> None:
    rng = np.random.default_rng(6)
    truth = rng.normal(100, 20, 500)
    cuff = truth - 4 + rng.normal(0, 8, 500)
    line = fit_line(cuff, truth, slope=1.0)
    assert line.offset == pytest.approx(np.mean(cuff - truth), abs=1e-9)
    assert line.sd == pytest.approx(np.std(cuff - truth, ddof=1), rel=1e-9)
    assert (line.slope, line.slope_error) == (1.0, 0.0)


def test_the_robust_line_survives_outliers_of_the_sensor() -> None:
    sensor, truth, warmth = simulated(4000, 7)
    sensor[:100] += 300
    plain, robust = fit_line(sensor, truth, warmth), fit_line(sensor, truth, warmth, robust=True)
    assert plain.sd > 8 * NOISE
    assert robust.sd == pytest.approx(NOISE, rel=0.08)
    assert robust.slope == pytest.approx(SLOPE, rel=0.02)
    clean = simulated(4000, 8)
    assert fit_line(*clean, robust=True).sd == pytest.approx(fit_line(*clean).sd, rel=0.03)


def test_a_line_goes_through_json() -> None:
    line = fit_line(*simulated(100, 9))
    assert SensorLine.from_dict(json.loads(json.dumps(line.to_dict()))) == line


def test_a_missing_reading_stays_missing() -> None:
    line = fit_line(*simulated(100, 10))
    np.testing.assert_array_equal(np.isnan(line.value([np.nan, 60.0], [[1.0], [1.0]])), [True, False])


def test_bad_pairs_are_refused() -> None:
    sensor, truth, warmth = simulated(100, 11)
    with pytest.raises(DataError, match=r"19 pairs.*at least 20"):
        fit_line(sensor[:19], truth[:19])
    with pytest.raises(DataError, match="3 coefficients need at least 23 pairs"):
        fit_line(sensor[:22], truth[:22], warmth[:22])
    with pytest.raises(DataError, match="reference: nan among the pairs"):
        fit_line(sensor, np.where(truth > 100, np.nan, truth))
    with pytest.raises(DataError, match="covariates: not finite"):
        fit_line(sensor, truth, np.where(warmth > 10, np.nan, warmth))
    with pytest.raises(DataError, match="covariates: shape"):
        fit_line(sensor, truth, warmth[:50])
    with pytest.raises(DataError, match="reference_sd: negative"):
        fit_line(sensor, truth, reference_sd=-1)
    with pytest.raises(DataError, match="reference: does not vary"):
        fit_line(sensor, truth, reference_sd=25)
    with pytest.raises(DataError, match="reference: does not vary"):
        fit_line(sensor, truth, np.column_stack([warmth, 2 * truth]))
    with pytest.raises(DataError, match=r"slope: .* says nothing"):
        fit_line(np.random.default_rng(12).normal(size=100), truth)
    with pytest.raises(DataError, match="covariates: 0 where 1"):
        fit_line(sensor, truth, warmth).value(sensor)
