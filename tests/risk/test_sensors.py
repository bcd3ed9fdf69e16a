"""The sensor table gives the sd of its source, and refuses what it cannot know."""

import numpy as np
import pytest

from rstime.errors import ConfigError, DataError
from rstime.risk.sensors import SENSORS, WORST_QUALITY, Sensor, sd


@pytest.mark.parametrize(
    ("sensor", "value", "want"),
    [
        ("pulse_oximeter", 97.0, 2.0),
        ("cuff", 60.0, 8.0),
        ("cuff", 200.0, 8.0),
        ("arterial_line", 80.0, 4 / np.sqrt(3)),
        ("arterial_line", 200.0, 8 / np.sqrt(3)),
        ("hospital_meter", 60.0, 12 / 1.96),
        ("hospital_meter", 180.0, 0.12 * 180 / 1.96),
        ("laboratory_glucose", 150.0, 6.0),
        ("pulse_rate", 80.0, 3 / np.sqrt(3)),
        ("ecg", 80.0, 1 / np.sqrt(3)),
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
    assert sd(Sensor("lactate", "mmol/L", 0.1, 5.0, "ours", False), 4.0) == pytest.approx(0.2)


def test_every_sensor_names_its_source_and_has_a_positive_sd() -> None:
    for name, sensor in SENSORS.items():
        assert all((sensor.source, sensor.unit, sensor.variable)), name
        assert sd(name, 0.0) == sensor.floor > 0


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
