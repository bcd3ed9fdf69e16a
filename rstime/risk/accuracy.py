"""The sd of a reading from the accuracy of its sensor, its level and its quality; and what rounding adds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError
from rstime.risk.sensor_table import SENSORS, Sensor
from rstime.risk.units import convert, convert_sd
from rstime.types import Bools, Floats

WORST_QUALITY = 3.0
"""How many times larger the noise is at quality 0 than at quality 1 (our choice, not a standard)."""


def sd(sensor: str | Sensor, value: ArrayLike, quality: ArrayLike = 1.0, unit: str | None = None) -> Floats:
    """Return the risk of a reading, max(floor, percent / 100 * |value|) * WORST_QUALITY ** (1 - quality).

    Risk has to be independent of the clean value given the rest, or training is biased. Where a sensor's figure depends
    on the reading, give the variable's typical level as `value`, not each reading; and let `quality` come from the
    device (perfusion, contact, motion), never from how surprising the reading is.

    Parameters
    ----------
    sensor
        A name in `SENSORS`, or a sensor of your own.
    value
        Typical level of the variable, in `unit`; any shape.
    quality
        Signal quality in [0, 1], 1 the best; broadcast against `value`.
    unit
        Unit of the value and of the result; by default the sensor's own.

    Returns
    -------
    Floats
        Standard deviation in `unit`, of the broadcast shape.

    Raises
    ------
    ConfigError
        If no sensor has this name.
    DataError
        If a value is not finite or outside the range that the sensor is specified for, if a quality is outside [0, 1],
        or if the unit is not known or of another kind than the sensor's.

    Examples
    --------
    >>> float(sd("cuff", 120.0)), float(sd("cuff", 16.0, unit="kPa").round(2))
    (8.0, 1.07)
    >>> float(sd("hospital_meter", 200.0).round(1)), float(sd("ecg", 80.0, quality=0.5).round(1))
    (12.2, 1.0)
    """
    sensor = find(sensor)
    own = unit or sensor.unit
    level = convert(value, own, sensor.unit, sensor.variable)
    good = np.asarray(quality, dtype=np.float64)
    if not np.all(np.isfinite(level)):
        raise DataError("value", "not finite", "Give the typical level of the variable, not each reading.")
    unspecified = ~specified(sensor, level)
    if np.any(unspecified):
        found = convert(level[unspecified].flat[0], sensor.unit, own, sensor.variable)
        problem = f"{found:g} {own} is outside the range that the sensor of {sensor.variable} is specified for"
        raise DataError("value", problem, "Give the sd as a number, or leave such readings out.")
    outside = ~((good >= 0) & (good <= 1))
    if np.any(outside):
        raise DataError("quality", f"{good[outside].flat[0]} outside [0, 1]", "Scale the index: 1 is the best quality.")
    bands = [(level >= band.low) & (level <= band.high) for band in sensor.bands]
    base = np.select(bands, [np.maximum(band.floor, band.percent / 100 * np.abs(level)) for band in sensor.bands])
    return convert_sd(base, sensor.unit, own, sensor.variable) * WORST_QUALITY ** (1 - good)


def with_resolution(sd: ArrayLike, step: ArrayLike) -> Floats:
    """Add the error of rounding to an sd, sqrt(sd^2 + step^2 / 12).

    It is noise only where the signal moves by half a step or more between readings.

    Parameters
    ----------
    sd
        Standard deviation, any shape.
    step
        Smallest difference between two readings, in the units of the sd.

    Raises
    ------
    DataError
        If an sd or a step is negative or NaN.

    Examples
    --------
    >>> float(with_resolution(0.0, 1.0).round(3)), float(with_resolution(1.0, 0.1).round(4))
    (0.289, 1.0004)
    """
    error, width = np.asarray(sd, dtype=np.float64), np.asarray(step, dtype=np.float64)
    for name, array in (("sd", error), ("step", width)):
        if not np.all(array >= 0):
            raise DataError(name, f"{array[~(array >= 0)].flat[0]} is not a number >= 0", "Give it as it is, or 0.")
    return np.asarray(np.sqrt(error**2 + width**2 / 12), dtype=np.float64)


def find(sensor: str | Sensor) -> Sensor:
    """Return the sensor of this name, or the sensor itself.

    Raises
    ------
    ConfigError
        If no sensor has this name.
    """
    if isinstance(sensor, Sensor):
        return sensor
    if sensor not in SENSORS:
        raise ConfigError("sensor", f"no sensor {sensor!r}", f"Known: {', '.join(SENSORS)}.")
    return SENSORS[sensor]


def specified(sensor: Sensor, level: Floats) -> Bools:
    """Where a level, in the unit of the sensor, lies in one of its bands."""
    return np.asarray(np.any([(level >= band.low) & (level <= band.high) for band in sensor.bands], axis=0))
