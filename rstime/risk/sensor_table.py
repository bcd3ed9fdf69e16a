"""Accuracy of clinical sensors as data: the figure of a standard or a maker, and the standard deviation made of it.

How a figure becomes a standard deviation: root mean square (Arms) as it is; a 95 % limit / 1.96; a bound / sqrt(3); a
limit that a laboratory must keep in proficiency tests / 2. Bias and drift are not noise. Not for clinical decisions.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Band:
    """A range of readings with one figure: sd = max(floor, percent / 100 * |value|) for low <= value <= high.

    Attributes
    ----------
    floor
        Standard deviation in the unit of the sensor.
    percent
        Standard deviation in percent of the reading.
    low, high
        The range, in the unit of the sensor; where bands meet, the first one holds.
    """

    floor: float
    percent: float = 0.0
    low: float = -inf
    high: float = inf


@dataclass(frozen=True)
class Sensor:
    """Accuracy of one kind of sensor.

    Attributes
    ----------
    variable
        What it measures.
    unit
        Unit of the readings and of the standard deviation, in UCUM.
    bands
        The figure by range of readings; outside all of them nothing is specified.
    figure
        What the source says.
    source
        Where it says so.
    grade
        "standard": the worst that a standard or a regulator admits; "device": what makers state for theirs; "ours": a
        choice of this project.
    verified
        Whether the figure was read in its source; False where it is quoted from memory.
    """

    variable: str
    unit: str
    bands: tuple[Band, ...]
    figure: str = ""
    source: str = ""
    grade: str = "device"
    verified: bool = False


def flat(floor: float, percent: float = 0.0) -> tuple[Band, ...]:
    """Return one band for all readings."""
    return (Band(floor, percent),)


MANUALS = "makers' manuals"
CLIA = "CLIA proficiency testing, 42 CFR 493, limits from 2025"

SENSORS: dict[str, Sensor] = {
    "pulse_oximeter": Sensor(
        "SpO2",
        "%",
        (Band(2.0, low=70),),
        "Arms 2 % in adults, 70-100 %; below 70 % not specified",
        MANUALS + " (Mindray uMEC, BeneHeart D60; Weinmann MEDUCORE Standard2)",
        "device",
        True,
    ),
    "pulse_oximeter_neonate": Sensor(
        "SpO2",
        "%",
        (Band(3.0, low=70),),
        "Arms 3 % in neonates, 70-100 %; below 70 % not specified",
        MANUALS + " (Mindray uMEC, BeneHeart D60)",
        "device",
        True,
    ),
    "pulse_oximeter_low_perfusion": Sensor(
        "SpO2",
        "%",
        (Band(4.0, low=70),),
        "twice the device's figure below a perfusion index of .3 %",
        "a choice of this project: makers test down to .3 % modulation and state nothing below",
        "ours",
        False,
    ),
    "pulse_oximeter_iso": Sensor(
        "SpO2", "%", (Band(4.0, low=70),), "Arms <= 4 %, 70-100 %", "ISO 80601-2-61", "standard", False
    ),
    "pulse_oximeter_fda": Sensor(
        "SpO2", "%", (Band(3.0, low=70),), "Arms <= 3 %, transmittance", "FDA guidance of 2013", "standard", False
    ),
    "pulse_oximeter_fda_reflectance": Sensor(
        "SpO2",
        "%",
        (Band(3.5, low=70),),
        "Arms <= 3.5 %, ear or reflectance",
        "FDA guidance of 2013",
        "standard",
        False,
    ),
    "cuff": Sensor(
        "blood pressure",
        "mm[Hg]",
        flat(8.0),
        "mean error <= 5 mmHg, sd <= 8 mmHg",
        "ISO 81060-2:2013",
        "standard",
        True,
    ),
    "arterial_line": Sensor(
        "blood pressure",
        "mm[Hg]",
        flat(2.3, 2.3),
        "bound 4 mmHg or 4 %, the larger",
        "IEC 60601-2-34",
        "standard",
        False,
    ),
    "ecg": Sensor("heart rate", "/min", flat(0.6), "bound 1 bpm", MANUALS, "device", True),
    "ecg_standard": Sensor(
        "heart rate", "/min", flat(3.0, 5.8), "bound 5 bpm or 10 %, the larger", "IEC 60601-2-27", "standard", False
    ),
    "pulse_rate": Sensor(
        "heart rate",
        "/min",
        flat(1.7),
        "bound 3 bpm",
        MANUALS + " (Weinmann MEDUCORE Standard2)",
        "device",
        True,
    ),
    "capnography": Sensor("respiratory rate", "/min", flat(0.6), "bound 1 rpm", MANUALS, "device", True),
    "impedance": Sensor(
        "respiratory rate",
        "/min",
        (Band(1.2, 1.2, high=150), Band(0.0, 2.3, high=199)),
        "bound 2 rpm or 2 %, the larger, to 150 rpm; 4 % to 199 rpm",
        "maker's manual (Mindray V Series)",
        "device",
        True,
    ),
    "capnometer": Sensor(
        "EtCO2",
        "mm[Hg]",
        (Band(1.2, high=40), Band(0.0, 2.9, high=70), Band(0.0, 4.6, high=100)),
        "bound 2 mmHg to 40 mmHg, 5 % to 70, 8 % to 100; above not specified",
        "maker's manual",
        "device",
        True,
    ),
    "thermometer": Sensor("temperature", "Cel", flat(0.17), "bound .3 degrees", "ISO 80601-2-56", "standard", False),
    "thermometer_astm": Sensor(
        "temperature",
        "Cel",
        (Band(0.06, low=37, high=39), Band(0.17)),
        "bound .1 degrees from 37 to 39, .3 degrees elsewhere",
        "ASTM E1112",
        "standard",
        False,
    ),
    "ear_thermometer": Sensor(
        "temperature",
        "Cel",
        flat(0.3),
        "2.5 times the laboratory's figure, for use at the bedside",
        "a choice of this project",
        "ours",
        False,
    ),
    "ear_thermometer_laboratory": Sensor(
        "temperature", "Cel", flat(0.12), "bound .2 degrees in the laboratory", "ASTM E1965", "standard", False
    ),
    "glucose_meter": Sensor(
        "glucose",
        "mg/dL",
        (Band(7.7, high=100), Band(0.0, 7.7)),
        "95 % within 15 mg/dL to 100 mg/dL, 15 % above",
        "ISO 15197:2013",
        "standard",
        True,
    ),
    "hospital_meter": Sensor(
        "glucose",
        "mg/dL",
        (Band(6.1, high=75), Band(0.0, 6.1)),
        "95 % within 12 mg/dL to 75 mg/dL, 12 % above",
        "FDA guidance on meters at the point of care",
        "standard",
        True,
    ),
    "cgm": Sensor(
        "glucose",
        "mg/dL",
        flat(10.0, 12.5),
        "MARD 8-10 %, sd 1.25 times it; the error is correlated over an hour",
        "makers' studies",
        "device",
        False,
    ),
    "laboratory_glucose": Sensor(
        "glucose", "mg/dL", flat(3.0, 4.0), "6 mg/dL or 8 %, the larger", CLIA, "standard", False
    ),
    "laboratory_sodium": Sensor("sodium", "mmol/L", flat(2.0), "4 mmol/L", CLIA, "standard", True),
    "laboratory_potassium": Sensor("potassium", "mmol/L", flat(0.15), ".3 mmol/L", CLIA, "standard", False),
    "laboratory_creatinine": Sensor(
        "creatinine", "mg/dL", flat(0.1, 5.0), ".2 mg/dL or 10 %, the larger", CLIA, "standard", False
    ),
    "laboratory_hemoglobin": Sensor("hemoglobin", "g/dL", flat(0.0, 2.0), "4 %", CLIA, "standard", False),
    "blood_gas_ph": Sensor("pH", "[pH]", flat(0.02), ".04", CLIA, "standard", False),
    "blood_gas_pco2": Sensor("pCO2", "mm[Hg]", flat(2.5, 4.0), "5 mmHg or 8 %, the larger", CLIA, "standard", False),
    "blood_gas_po2": Sensor("pO2", "mm[Hg]", flat(7.5, 7.5), "15 mmHg or 15 %, the larger", CLIA, "standard", False),
}
"""The sensors by name. Where a device and a standard differ, the device at hand beats the standard."""
