"""Simulated glucose: the sensor's error process against its published figures, the meter against ISO 15197."""

import numpy as np
import pytest
from scipy import stats

from rstime.datasets import glucose
from rstime.datasets.glucose import SENSOR_SD, Cohort, simulate
from rstime.errors import ConfigError


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return simulate(30, days=14, seed=4)


@pytest.fixture(scope="module")
def error() -> np.ndarray:
    """A year of the sensor's error every three minutes."""
    return glucose.sensor_noise(np.random.default_rng(0), np.arange(0, 365 * 1440, 3.0))


def test_sensor_errors_have_the_published_size_and_skew(error):
    """Standard deviation 11.3 mg/dL and skewed to the right, as measured on simglucose 0.2.11."""
    blocks = error[: 360 * 480].reshape(30, -1).std(1)
    spread = blocks.std() / np.sqrt(len(blocks))
    assert spread < 0.15
    assert error.std() == pytest.approx(SENSOR_SD, abs=3 * spread)
    assert error.std() == pytest.approx(11.3, abs=0.35)
    assert stats.skew(error) == pytest.approx(0.7, abs=0.15)


@pytest.mark.parametrize(("minutes", "published"), [(3, 0.98), (15, 0.73), (30, 0.48), (60, 0.22)])
def test_sensor_errors_have_the_published_autocorrelation(minutes, published, error):
    centred, lag = error - error.mean(), minutes // 3
    found = np.mean(centred[lag:] * centred[:-lag]) / centred.var()
    assert found == pytest.approx(published, abs=0.025)


def test_every_quarter_of_an_hour_the_error_is_the_transform_of_an_autoregression():
    rng = np.random.default_rng(1)
    error = np.stack([glucose.sensor_noise(rng, np.array([0.0, 15.0])) for _ in range(4000)])
    hidden = -0.5444 + 1.6898 * np.arcsinh((error + 5.47) / 15.9574)
    for column in hidden.T:
        assert stats.kstest(column, stats.norm(scale=0.7 / np.sqrt(0.51)).cdf).pvalue > 0.001
    assert np.corrcoef(hidden.T)[0, 1] == pytest.approx(0.7, abs=0.03)
    assert np.std(hidden[:, 1] - 0.7 * hidden[:, 0]) == pytest.approx(0.7, abs=0.03)


def test_glucose_moves_as_that_of_people_with_diabetes(cohort):
    truth = np.concatenate(cohort.truth)
    assert 130 < truth.mean() < 170
    assert 0.25 < np.mean([person.std() / person.mean() for person in cohort.truth]) < 0.4
    assert 0.7 < np.mean((truth > 70) & (truth < 180)) < 0.9
    assert 0.002 < np.mean(truth < 70) < 0.05
    assert truth.min() > 40
    assert truth.max() < 600
    slope = np.abs(np.diff(np.stack(cohort.truth)[..., 0], axis=1)) / 5
    assert np.quantile(slope, 0.99) < 4  # mg/dL a minute


def test_glucose_rises_after_meals(cohort):
    rises = []
    for sensor, reference, truth in zip(cohort.sensor, cohort.reference, cohort.truth, strict=True):
        row = np.searchsorted(sensor.time, reference.time)
        row = row[row + 12 < len(truth)]
        rises.append(truth[row + 12, 0] - truth[row, 0])  # an hour later
    assert 10 < np.mean(np.concatenate(rises)) < 60


def test_readings_are_truth_plus_bias_plus_noise(cohort):
    z = []
    for sensor, truth, bias in zip(cohort.sensor, cohort.truth, cohort.bias, strict=True):
        z.append((sensor.value - truth - bias)[sensor.observed])
        assert set(sensor.risk[sensor.observed]) == {SENSOR_SD}
    assert np.concatenate(z).std() == pytest.approx(SENSOR_SD, rel=0.03)
    assert stats.skew(np.concatenate(z)) == pytest.approx(0.7, abs=0.15)


def test_bias_is_a_gain_and_an_offset_that_last_a_session():
    drawn = simulate(150, days=6, step=30, session=2, seed=2)
    gains, offsets = [], []
    for sensor, truth, bias in zip(drawn.sensor, drawn.truth, drawn.bias, strict=True):
        starts = np.flatnonzero(np.diff(np.isinf(sensor.risk[:, 0]).astype(int)) == 1) + 1
        assert np.all(np.diff(starts) == 96)  # two days
        assert len(starts) in (2, 3)
        assert np.all(np.isinf(sensor.risk[starts[:2, None] + np.arange(4)]))  # two hours of warming up
        assert np.all(sensor.observed[starts[:2] + 4])
        rows = slice(starts[0], starts[1])
        (gain, offset), residual, *_ = np.polyfit(truth[rows, 0], bias[rows, 0], 1, full=True)
        assert residual.sum() == pytest.approx(0, abs=1e-12)
        gains.append(gain + 1)
        offsets.append(offset)
    assert np.std(np.log(gains)) == pytest.approx(0.06, rel=0.2)
    assert np.std(offsets) == pytest.approx(5, rel=0.2)
    assert abs(np.corrcoef(gains, offsets)[0, 1]) < 0.25


def test_fingersticks_just_meet_iso_15197_at_every_level():
    rng = np.random.default_rng(3)
    for level, limit in ((60.0, 15.0), (99.0, 15.0), (250.0, 37.5)):
        truth = np.full(20_000, level)
        reading, risk = glucose.fingerstick(rng, truth)
        assert np.mean(np.abs(reading - truth) <= limit) == pytest.approx(0.95, abs=0.006)
        assert np.mean(reading) == pytest.approx(level, abs=0.02 * level / np.sqrt(20))
        np.testing.assert_allclose(risk, np.maximum(15, 0.15 * reading) / 1.96)


def test_fingersticks_lie_at_stamps_of_the_sensor_three_or_four_a_day(cohort):
    for sensor, reference, truth, level in zip(
        cohort.sensor, cohort.reference, cohort.truth, cohort.reference_truth, strict=True
    ):
        row = np.searchsorted(sensor.time, reference.time)
        np.testing.assert_array_equal(sensor.time[row], reference.time)
        np.testing.assert_array_equal(truth[row], level)
        assert 2.9 < len(reference.time) / 14 < 4.01
        assert np.isfinite(reference.risk).all()


def test_a_person_does_not_depend_on_the_others():
    small, large = simulate(1, days=2, seed=5), simulate(3, days=2, seed=5)
    np.testing.assert_array_equal(small.sensor[0].value, large.sensor[0].value)
    np.testing.assert_array_equal(small.reference[0].value, large.reference[0].value)
    assert not np.array_equal(large.truth[0], large.truth[1])
    assert not np.array_equal(small.truth[0], simulate(1, days=2, seed=6).truth[0])
    assert small.sensor[0].time[1] - small.sensor[0].time[0] == np.timedelta64(5, "m")


@pytest.mark.parametrize("name", ["n_people", "days", "step", "session"])
def test_counts_must_be_positive(name):
    with pytest.raises(ConfigError, match=f"{name}: 0 is not positive. Give a count of at least 1."):
        simulate(**{name: 0})
