"""The simulated ward: plausible physiology, noise of the stated size, and risk that tells nothing about the truth."""

import numpy as np
import pytest

from rstime.datasets.icu import BLANK, PRESSURES, VARIABLES, Ward, simulate
from rstime.errors import ConfigError


@pytest.fixture(scope="module")
def ward() -> Ward:
    return simulate(150, seed=3)


def column(name: str) -> int:
    return VARIABLES.index(name)


def test_same_seed_same_ward_and_each_patient_has_a_stream_of_its_own() -> None:
    small, large, other = simulate(2, seed=5), simulate(4, seed=5), simulate(2, seed=6)
    np.testing.assert_array_equal(small.value, large.value[:2])
    np.testing.assert_array_equal(small.truth, large.truth[:2])
    assert not np.array_equal(small.truth, other.truth)


def test_levels_stay_within_what_a_ward_sees(ward: Ward) -> None:
    lowest = np.quantile(ward.truth, 0.001, axis=(0, 1))
    highest = np.quantile(ward.truth, 0.999, axis=(0, 1))
    assert np.all(lowest > [35, 40, 15, 30, 70, 5, 35.5, 50])
    assert np.all(highest < [170, 200, 120, 140, 100, 40, 41.5, 450])
    assert ward.truth[..., column("spo2")].max() <= 100
    systolic, diastolic, middle = (ward.truth[..., column(name)] for name in PRESSURES)
    assert np.all(systolic > middle)
    assert np.all(middle > diastolic)


def test_the_heart_answers_hypotension_and_fever(ward: Ward) -> None:
    """Within a patient, the hours of lowest pressure and of highest temperature have the faster heart."""
    heart = ward.truth[..., 0] - ward.truth[..., 0].mean(1, keepdims=True)
    low = ward.truth[..., column("mean_pressure")] < 58
    fever = ward.truth[..., column("temperature")] > 38
    assert 0.01 < low.mean() < 0.15
    assert 0.02 < fever.mean() < 0.25
    assert heart[low].mean() > 5
    assert heart[fever].mean() > 3


def test_temperature_follows_the_clock() -> None:
    ward = simulate(300, seed=1)
    hour = ward.table["timestamp"].dt.hour.to_numpy().reshape(ward.truth.shape)[..., 0]
    heat = ward.truth[..., column("temperature")]
    heat = heat - heat.mean(1, keepdims=True)
    assert 0.25 < heat[hour == 16].mean() - heat[hour == 4].mean() < 0.75  # 2 x 0.25 in the simulator


def test_noise_has_the_stated_sd_at_every_size(ward: Ward) -> None:
    read = np.isfinite(ward.risk)
    z = (ward.value - ward.truth)[read] / ward.risk[read]
    assert abs(z.mean()) < 4 / np.sqrt(z.size)
    for part in np.array_split(np.argsort(ward.risk[read]), 5):
        assert np.mean(z[part] ** 2) == pytest.approx(1, abs=6 * np.sqrt(2 / part.size))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.005)


def test_risk_and_mask_tell_nothing_about_the_truth(ward: Ward) -> None:
    """Per variable, the truth has the same mean where it was read and where not, at low and at high risk.

    The bound is five standard errors over patients, since entries of one patient are not independent.
    """
    for name in VARIABLES:
        x, r = ward.truth[..., column(name)], ward.risk[..., column(name)]
        read = np.isfinite(r)
        x = (x - x.mean()) / x.std()
        for part in (read, read & (r > np.median(r[read]))):
            per_patient = np.mean(x * (part - part.mean()), axis=1)
            assert abs(per_patient.mean()) < 5 * per_patient.std() / np.sqrt(len(per_patient)), name


def test_poor_quality_means_larger_risk(ward: Ward) -> None:
    spo2 = column("spo2")
    read = np.isfinite(ward.risk[..., spo2])
    quality, risk = ward.quality[..., spo2][read], ward.risk[..., spo2][read]
    np.testing.assert_allclose(risk, 2.0 * 3.0 ** (1 - quality))
    assert quality.min() == pytest.approx(BLANK, abs=0.02)
    assert quality.max() > 0.95


def test_devices_fail_for_hours_and_labs_are_irregular(ward: Ward) -> None:
    share = np.isfinite(ward.risk).mean((0, 1))
    assert share[0] > 0.85
    assert 0.2 < share[column("glucose")] < 0.5
    assert 0.5 < share[column("temperature")] < 0.8
    gone = np.isinf(ward.risk[..., column("spo2")])
    runs = np.lib.stride_tricks.sliding_window_view(gone, 4, axis=1).all(-1)
    assert 0.02 < runs.mean() < 0.2  # four hours without a reading in a row; single random losses give 0.00004
    patient = ward.risk[0, :, column("glucose")]
    assert len(set(np.diff(np.flatnonzero(np.isfinite(patient))))) > 2


def test_tables_repeat_the_arrays_row_by_row(ward: Ward) -> None:
    size = ward.truth.size
    assert list(ward.table.columns) == ["item_id", "timestamp", "variable", "value", "sd"]
    assert len(ward.table) == size
    np.testing.assert_array_equal(ward.table["value"].to_numpy(), ward.value.reshape(-1))
    np.testing.assert_array_equal(ward.clean["value"].to_numpy(), ward.truth.reshape(-1))
    np.testing.assert_array_equal(ward.table["sd"].isna().to_numpy(), np.isinf(ward.risk).reshape(-1))
    row = ward.table.iloc[(7 * 48 + 5) * 8 + 3]
    assert (row["item_id"], row["variable"]) == ("p007", "mean_pressure")
    assert (row["timestamp"] - ward.table["timestamp"].iloc[7 * 48 * 8]).total_seconds() == 5 * 3600


def test_half_hour_steps_move_half_as_far() -> None:
    """Mean squared change over an hour does not depend on the grid it was simulated on."""
    hourly, finer = simulate(120, step=60, seed=2).truth, simulate(120, step=30, seed=2).truth
    assert finer.shape == (120, 96, 8)
    change = np.var(finer[:, 2:] - finer[:, :-2], axis=(0, 1)) / np.var(np.diff(hourly, axis=1), axis=(0, 1))
    assert np.all((change > 0.6) & (change < 1.5)), change  # about 1.9 if the step were ignored


@pytest.mark.parametrize("wrong", [{"n_patients": 0}, {"hours": -1}, {"step": 0}])
def test_counts_must_be_positive(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        simulate(**wrong)
