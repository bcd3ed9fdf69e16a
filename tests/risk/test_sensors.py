"""The sensor table gives the sd of its source; a table gets its risk from devices; what cannot be known is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.risk.sensors import SENSORS, WORST_QUALITY, Sensor, assign_risk, flat, markdown, sd, table, with_resolution
from rstime.risk.units import canonical


@pytest.mark.parametrize(
    ("sensor", "value", "want"),
    [
        ("pulse_oximeter", 97.0, 2.0),
        ("pulse_oximeter_iso", 70.0, 4.0),
        ("cuff", 60.0, 8.0),
        ("cuff", 200.0, 8.0),
        ("arterial_line", 80.0, 4 / np.sqrt(3)),
        ("arterial_line", 200.0, 8 / np.sqrt(3)),
        ("ecg", 80.0, 1 / np.sqrt(3)),
        ("ecg_standard", 40.0, 5 / np.sqrt(3)),
        ("ecg_standard", 120.0, 12 / np.sqrt(3)),
        ("pulse_rate", 80.0, 3 / np.sqrt(3)),
        ("impedance", 20.0, 2 / np.sqrt(3)),
        ("impedance", 180.0, 0.04 * 180 / np.sqrt(3)),
        ("capnometer", 35.0, 2 / np.sqrt(3)),
        ("capnometer", 60.0, 0.05 * 60 / np.sqrt(3)),
        ("capnometer", 90.0, 0.08 * 90 / np.sqrt(3)),
        ("thermometer", 38.0, 0.3 / np.sqrt(3)),
        ("thermometer_astm", 38.0, 0.1 / np.sqrt(3)),
        ("thermometer_astm", 40.0, 0.3 / np.sqrt(3)),
        ("ear_thermometer_laboratory", 38.0, 0.2 / np.sqrt(3)),
        ("glucose_meter", 60.0, 15 / 1.96),
        ("glucose_meter", 250.0, 0.15 * 250 / 1.96),
        ("hospital_meter", 60.0, 12 / 1.96),
        ("hospital_meter", 90.0, 0.12 * 90 / 1.96),
        ("hospital_meter", 180.0, 0.12 * 180 / 1.96),
        ("cgm", 50.0, 10.0),
        ("cgm", 200.0, 1.25 * 0.10 * 200),
        ("laboratory_glucose", 150.0, 6.0),
        ("laboratory_sodium", 140.0, 2.0),
        ("laboratory_potassium", 4.0, 0.15),
        ("laboratory_creatinine", 1.0, 0.1),
        ("laboratory_creatinine", 4.0, 0.2),
        ("laboratory_hemoglobin", 10.0, 0.2),
        ("blood_gas_ph", 7.4, 0.02),
        ("blood_gas_pco2", 40.0, 2.5),
        ("blood_gas_po2", 200.0, 15.0),
    ],
)
def test_sd_is_the_bound_of_the_source_turned_into_a_standard_deviation(sensor: str, value: float, want: float) -> None:
    assert sd(sensor, value) == pytest.approx(want, rel=0.05)


def test_poor_quality_multiplies_the_sd_geometrically() -> None:
    ratio = sd("ecg", 80.0, [1.0, 0.5, 0.0]) / sd("ecg", 80.0)
    np.testing.assert_allclose(ratio, [1.0, np.sqrt(WORST_QUALITY), WORST_QUALITY])


def test_value_and_quality_broadcast() -> None:
    got = sd("hospital_meter", [[50.0], [200.0]], [1.0, 0.0])
    np.testing.assert_allclose(got, [[6.1, 18.3], [12.2, 36.6]])


def test_a_sensor_of_your_own_works() -> None:
    assert sd(Sensor("lactate", "mmol/L", flat(0.1, 5.0)), 4.0) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("sensor", "value", "unit", "want"),
    [
        ("cuff", 16.0, "kPa", 8 / 7.500617),
        ("thermometer", 98.6, "degF", 0.17 * 1.8),
        ("hospital_meter", 10.0, "mmol/L", 0.061 * 10.0),
        ("hospital_meter", 3.0, "mmol/L", 6.1 / 18.0156),
        ("laboratory_creatinine", 88.4, "umol/L", 8.84),
        ("laboratory_sodium", 140.0, "mEq/L", 2.0),
        ("pulse_oximeter", 0.97, "1", 0.02),
    ],
)
def test_another_unit_gives_the_sd_in_that_unit(sensor: str, value: float, unit: str, want: float) -> None:
    assert sd(sensor, value, unit=unit) == pytest.approx(want, rel=1e-3)


def test_every_sensor_names_its_source_and_has_a_positive_sd_and_a_known_unit() -> None:
    for name, sensor in SENSORS.items():
        assert all((sensor.source, sensor.figure, sensor.variable)), name
        assert canonical(sensor.unit) == sensor.unit
        assert sensor.grade in ("standard", "device", "ours")
        assert not (sensor.grade == "ours" and sensor.verified), name
        assert all(max(band.floor, band.percent) > 0 and band.low < band.high for band in sensor.bands), name


def test_a_reading_that_the_figure_does_not_cover_is_refused() -> None:
    with pytest.raises(DataError, match=r"69 % is outside the range .* SpO2"):
        sd("pulse_oximeter", [97.0, 69.0])
    with pytest.raises(DataError, match=r"14 kPa is outside"):
        sd("capnometer", 14.0, unit="kPa")


@pytest.mark.parametrize("quality", [-0.1, 1.1, np.nan])
def test_quality_outside_its_range_is_refused(quality: float) -> None:
    with pytest.raises(DataError, match="quality"):
        sd("ecg", 80.0, quality)


def test_an_unknown_sensor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="cuff"):
        sd("abacus", 80.0)


def test_a_value_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match="value"):
        sd("ecg", np.nan)


def test_a_unit_of_another_kind_is_refused() -> None:
    with pytest.raises(DataError, match="different kinds"):
        sd("cuff", 100.0, unit="mg/dL")


@given(st.floats(0, 50), st.floats(0.01, 10))
def test_resolution_adds_the_variance_of_rounding(error: float, step: float) -> None:
    assert with_resolution(error, step) ** 2 - error**2 == pytest.approx(step**2 / 12, rel=1e-6, abs=1e-9)


def test_rounding_a_moving_signal_has_the_sd_that_resolution_says() -> None:
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 20, 40_000)
    read = np.round((signal + rng.normal(0, 0.5, signal.shape)) / 2) * 2
    assert np.std(read - signal) == pytest.approx(with_resolution(0.5, 2.0), rel=0.01)


@pytest.mark.parametrize(("error", "step"), [(-1.0, 1.0), (1.0, -1.0), (np.nan, 1.0)])
def test_resolution_refuses_what_is_no_width(error: float, step: float) -> None:
    with pytest.raises(DataError, match="not a number >= 0"):
        with_resolution(error, step)


def readings(**columns: Any) -> pd.DataFrame:
    """Two beds with two variables; each keyword is a further column."""
    frame = pd.DataFrame(
        {
            "item_id": ["a", "a", "a", "b", "a"],
            "timestamp": [0.0, 1.0, 2.0, 0.0, 0.0],
            "variable": ["glucose", "glucose", "glucose", "glucose", "hr"],
            "value": [100.0, 200.0, 120.0, 300.0, 80.0],
            "unit": ["mg/dL"] * 4 + ["bpm"],
        }
    )
    return frame.assign(**columns)


DEVICES = {"glucose": "hospital_meter", "hr": 1.5}


def test_risk_is_read_at_the_typical_level_of_the_item() -> None:
    frame = readings()
    got = assign_risk(frame, DEVICES)
    np.testing.assert_allclose(got["sd"], [0.061 * 120] * 3 + [0.061 * 300, 1.5])
    assert "sd" not in frame.columns
    assert list(got.columns) == [*frame.columns, "sd"]


def test_risk_can_be_read_at_each_reading() -> None:
    got = assign_risk(readings(), DEVICES, level="reading")
    np.testing.assert_allclose(got["sd"], [6.1, 12.2, 0.061 * 120, 18.3, 1.5])


@given(st.lists(st.floats(80, 400), min_size=2, max_size=9), st.floats(-30, 30))
def test_typical_risk_does_not_depend_on_the_error_of_an_extreme_reading(values: list[float], error: float) -> None:
    values = [*values, 500.0, 501.0]
    frame = pd.DataFrame({"item_id": "a", "timestamp": range(len(values)), "variable": "glucose", "value": values})
    moved = frame.assign(value=[*values[:-1], values[-1] + abs(error)])
    first, second = (assign_risk(one, DEVICES, units={"glucose": "mg/dL"})["sd"] for one in (frame, moved))
    np.testing.assert_array_equal(first, second)


def test_units_of_rows_convert_to_the_sensor_and_back() -> None:
    frame = readings(value=[100.0, 200.0, 120.0, 300 / 18.0156, 80.0], unit=["mg/dL"] * 3 + ["mmol/l", "bpm"])
    got = assign_risk(frame, DEVICES)
    np.testing.assert_allclose(got["sd"], [7.32] * 3 + [0.061 * 300 / 18.0156, 1.5], rtol=1e-6)


def test_a_device_beats_the_variable_and_the_variable_stands_in_for_other_devices() -> None:
    frame = readings(device=["lab", None, "meter-7", "lab", "lab-hr"])
    got = assign_risk(frame, {**DEVICES, "lab": "laboratory_glucose"})
    np.testing.assert_allclose(got["sd"], [4.8, 7.32, 7.32, 12.0, 1.5])


def test_quality_widens_and_an_empty_one_counts_as_good() -> None:
    got = assign_risk(readings(quality=[1.0, 0.0, np.nan, 1.0, 0.5]), DEVICES)
    np.testing.assert_allclose(got["sd"], [7.32, 3 * 7.32, 7.32, 18.3, 1.5 * np.sqrt(3)])


def test_questions_stay_without_sd_and_given_ones_are_kept_and_counted() -> None:
    frame = readings(value=[100.0, np.nan, 140.0, 300.0, 80.0], sd=[1.0, np.nan, np.nan, np.inf, 0.0])
    with pytest.warns(RstimeWarning, match=r"3 rows keep the sd they have; overwrite=True"):
        got = assign_risk(frame, DEVICES)
    np.testing.assert_allclose(got["sd"], [1.0, np.nan, 7.32, np.inf, 0.0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = assign_risk(frame, DEVICES, overwrite=True)
    np.testing.assert_allclose(got["sd"], [7.32, np.nan, 7.32, 18.3, 1.5])


def test_readings_beyond_the_specified_range_are_counted_and_a_level_beyond_it_is_refused() -> None:
    rows = {"item_id": "a", "timestamp": [0, 1, 2], "variable": "spo2", "unit": "%"}
    frame = pd.DataFrame({**rows, "value": [97.0, 65.0, 96.0]})
    with pytest.warns(RstimeWarning, match=r"1 readings where their sensor of SpO2 is not specified \(row 1 "):
        assert assign_risk(frame, {"spo2": "pulse_oximeter"})["sd"].tolist() == [2.0, 2.0, 2.0]
    with pytest.raises(
        DataError, match=r"level 65 % in row 1 \(item_id 'a', timestamp 1, variable 'spo2'; rows count from 0\).*SpO2"
    ):
        assign_risk(frame, {"spo2": "pulse_oximeter"}, level="reading")


@pytest.mark.parametrize(
    ("change", "devices", "message"),
    [
        ({}, {"hr": 1.5}, r"devices: nothing for variable 'glucose' in row 0 \(item_id 'a'.*Given: hr"),
        ({"device": "x"}, {"hr": 1.5}, r"nothing for variable 'glucose' and device 'x' in row 0"),
        ({"unit": ["mg/dL"] * 3 + ["", "bpm"]}, DEVICES, r"unit: missing in row 3 \(item_id 'b'"),
        ({"unit": ["mg/dL"] * 3 + ["mm[Hg]", "bpm"]}, DEVICES, r"unit: .*different kinds, in row 3"),
        ({"unit": ["mg/dL"] * 3 + ["dram", "bpm"]}, DEVICES, r"unit: 'dram' is not known, in row 3"),
        ({"quality": [1, 1, 1.2, 1, 1]}, DEVICES, r"quality: 1.2 in row 2 .*Scale the index"),
        ({"sd": [1, -2.0, 1, 1, 1]}, DEVICES, r"sd: -2.0 in row 1 .*standard deviation"),
        ({}, {**DEVICES, "hr": -1.0}, r"devices: an sd of -1.0"),
        ({}, {**DEVICES, "hr": "abacus"}, r"sensor: no sensor 'abacus'"),
    ],
)
def test_what_is_not_known_is_refused_with_its_row(change: dict[str, Any], devices: Any, message: str) -> None:
    with pytest.raises((DataError, ConfigError), match=message):
        assign_risk(readings(**change), devices)


def test_an_unknown_way_to_read_the_level_is_refused() -> None:
    with pytest.raises(ConfigError, match="'mean' is not known"):
        assign_risk(readings(), DEVICES, level="mean")  # type: ignore[arg-type]


def test_the_table_shows_every_sensor_with_verified_figures_first() -> None:
    frame = table()
    assert set(frame["sensor"]) == set(SENSORS)
    verified = frame["verified"].to_numpy(dtype=bool)
    assert verified.sum() == sum(one.verified for one in SENSORS.values()) > 0
    assert verified[: verified.sum()].all()
    cuff = frame[frame["sensor"] == "capnometer"].iloc[0]
    assert cuff["sd"] == "1.2 (to 40); 2.9 % (to 70); 4.6 % (to 100)"


def test_the_documentation_holds_the_table(repository: Path) -> None:
    text = (repository / "docs" / "sensors.md").read_text()
    assert text.endswith(markdown()), "run: python -m rstime.risk.sensors, and put it below the preface"
    assert "Not for clinical decisions" in text
