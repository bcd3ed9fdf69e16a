"""Default risk of clinical sensors, as a table of datasheet figures.

Each figure is the worst that a standard or a maker admits; the figure of the device at hand beats it. Noise only:
bias and drift (SpO2 and skin pigmentation, cuff against arterial line) are not noise. Not for clinical decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError
from rstime.types import Floats

WORST_QUALITY = 3.0
"""How many times larger the noise is at quality 0 than at quality 1 (our choice, not a standard)."""


@dataclass(frozen=True)
class Sensor:
    """Accuracy of one kind of sensor: sd = max(floor, percent / 100 * |value|).

    Attributes
    ----------
    variable
        What it measures.
    unit
        Unit of the variable and of `floor`.
    floor
        Standard deviation that does not depend on the reading, in `unit`; for an absolute figure the whole sd.
    percent
        Standard deviation in percent of the reading; 0 for an absolute figure.
    source
        Where the figure is from, and how it was turned into a standard deviation.
    verified
        Whether the figure was read in its source; False where it is quoted from memory.
    """

    variable: str
    unit: str
    floor: float
    percent: float
    source: str
    verified: bool


SENSORS: dict[str, Sensor] = {
    "pulse_oximeter": Sensor("SpO2", "%", 2.0, 0.0, "makers' manuals: Arms 2 % in adults, 70-100 %", True),
    "pulse_rate": Sensor("heart rate", "bpm", 1.7, 0.0, "maker's manual: +-3 bpm, bound / sqrt(3)", True),
    "ecg": Sensor("heart rate", "bpm", 0.6, 0.0, "maker's manual: +-1 bpm, bound / sqrt(3)", True),
    "arterial_line": Sensor("pressure", "mmHg", 2.3, 2.3, "IEC 60601-2-34: +-4 mmHg or 4 %, bound / sqrt(3)", False),
    "cuff": Sensor("pressure", "mmHg", 8.0, 0.0, "ISO 81060-2:2013: sd <= 8 mmHg", True),
    "impedance": Sensor("respiration", "rpm", 1.2, 0.0, "makers' manuals: +-2 rpm, bound / sqrt(3)", False),
    "capnography": Sensor("respiration", "rpm", 0.6, 0.0, "makers' manuals: +-1 rpm, bound / sqrt(3)", True),
    "thermometer": Sensor("temperature", "C", 0.17, 0.0, "ISO 80601-2-56: +-0.3 C, bound / sqrt(3)", False),
    "ear_thermometer": Sensor("temperature", "C", 0.3, 0.0, "ASTM E1965, widened for use at the bedside", False),
    "hospital_meter": Sensor("glucose", "mg/dL", 6.1, 6.1, "FDA: 95 % within 12 mg/dL or 12 %, limit / 1.96", True),
    "laboratory_glucose": Sensor("glucose", "mg/dL", 3.0, 4.0, "CLIA 2025: +-6 mg/dL or 8 %, half of it", False),
}
"""The sensors by name."""


def sd(sensor: str | Sensor, value: ArrayLike, quality: ArrayLike = 1.0) -> Floats:
    """Return the risk of a reading, max(floor, percent / 100 * |value|) * WORST_QUALITY ** (1 - quality).

    Risk has to be independent of the clean value given the rest, or training is biased. Where a sensor's figure is in
    percent, give the variable's typical level as `value`, not each reading; and let `quality` come from the device
    (perfusion, contact, motion), never from how surprising the reading is.

    Parameters
    ----------
    sensor
        A name in `SENSORS`, or a sensor of your own.
    value
        Typical level of the variable, in the sensor's unit; any shape.
    quality
        Signal quality in [0, 1], 1 the best; broadcast against `value`.

    Returns
    -------
    Floats
        Standard deviation in the sensor's unit, of the broadcast shape.

    Raises
    ------
    ConfigError
        If no sensor has this name.
    DataError
        If a value is not finite or a quality is outside [0, 1].

    Examples
    --------
    >>> float(sd("cuff", 120.0))
    8.0
    >>> float(sd("hospital_meter", 200.0).round(1)), float(sd("ecg", 80.0, quality=0.5).round(1))
    (12.2, 1.0)
    """
    if isinstance(sensor, str):
        if sensor not in SENSORS:
            raise ConfigError("sensor", f"no sensor {sensor!r}", f"Known: {', '.join(SENSORS)}.")
        sensor = SENSORS[sensor]
    level = np.asarray(value, dtype=np.float64)
    good = np.asarray(quality, dtype=np.float64)
    if not np.all(np.isfinite(level)):
        raise DataError("value", "not finite", "Give the typical level of the variable, not each reading.")
    outside = ~((good >= 0) & (good <= 1))
    if np.any(outside):
        raise DataError("quality", f"{good[outside].flat[0]} outside [0, 1]", "Scale the index: 1 is the best quality.")
    base = np.maximum(sensor.floor, sensor.percent / 100 * np.abs(level))
    return np.asarray(base * WORST_QUALITY ** (1 - good), dtype=np.float64)
