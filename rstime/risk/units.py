"""Units of clinical measurements: UCUM codes and common spellings, conversions of values and of standard deviations.

Units are written in UCUM (The Unified Code for Units of Measure, version 2.1): mm[Hg], Cel, mg/dL, 10*9/L. Between mass
and amount of substance (mg/dL and mmol/L) a conversion needs the analyte, which is found in the name of the variable.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import DataError
from rstime.types import Floats


@dataclass(frozen=True)
class Unit:
    """A unit of a kind of quantity: value in the base unit of its kind = slope * value + offset.

    Attributes
    ----------
    code
        UCUM code.
    kind
        What it measures; only units of one kind convert into each other, save for amounts of an analyte.
    slope, offset
        The way to the base unit of the kind.
    spellings
        Other ways to write it, apart from upper and lower case.
    """

    code: str
    kind: str
    slope: float
    offset: float = 0.0
    spellings: tuple[str, ...] = ()


UNITS: tuple[Unit, ...] = (
    Unit("mm[Hg]", "pressure", 1.0, spellings=("mmHg", "mm Hg", "torr")),
    Unit("kPa", "pressure", 7.500617),
    Unit("cm[H2O]", "pressure", 0.735559, spellings=("cmH2O", "cm H2O")),
    Unit("mbar", "pressure", 0.7500617, spellings=("hPa",)),
    Unit("Cel", "temperature", 1.0, spellings=("C", "°C", "degC", "deg C", "℃", "celsius")),
    Unit("[degF]", "temperature", 5 / 9, -160 / 9, ("F", "°F", "degF", "deg F", "fahrenheit")),
    Unit("K", "temperature", 1.0, -273.15, ("kelvin",)),
    Unit("%", "fraction", 1.0, spellings=("percent", "pct")),
    Unit("1", "fraction", 100.0, spellings=("fraction",)),
    Unit("[pH]", "pH", 1.0, spellings=("pH", "pH units")),
    Unit(
        "/min",
        "frequency",
        1.0,
        spellings=("1/min", "bpm", "rpm", "cpm", "min-1", "beats/min", "breaths/min", "counts/min", "per minute"),
    ),
    Unit("Hz", "frequency", 60.0, spellings=("/s", "1/s")),
    Unit("mg/dL", "mass concentration", 1.0, spellings=("mg%",)),
    Unit("g/dL", "mass concentration", 1000.0),
    Unit("g/L", "mass concentration", 100.0),
    Unit("mg/L", "mass concentration", 0.1, spellings=("ug/mL", "mcg/mL")),
    Unit("ug/dL", "mass concentration", 1e-3, spellings=("mcg/dL",)),
    Unit("ug/L", "mass concentration", 1e-4, spellings=("ng/mL", "mcg/L")),
    Unit("ng/L", "mass concentration", 1e-7, spellings=("pg/mL",)),
    Unit("mmol/L", "amount concentration", 1.0),
    Unit("umol/L", "amount concentration", 1e-3, spellings=("mcmol/L",)),
    Unit("nmol/L", "amount concentration", 1e-6),
    Unit("meq/L", "charge concentration", 1.0),
    Unit(
        "10*9/L",
        "cell count",
        1.0,
        spellings=("10^9/L", "10e9/L", "x10^9/L", "K/uL", "10*3/uL", "10^3/uL", "x10^3/uL", "10*3/mm3", "K/mm3"),
    ),
    Unit("10*12/L", "cell count", 1e3, spellings=("10^12/L", "10e12/L", "M/uL", "10*6/uL", "10^6/uL")),
    Unit("/uL", "cell count", 1e-3, spellings=("cells/uL", "/mm3", "10*6/L", "10^6/L")),
    Unit("U/L", "activity", 1.0, spellings=("[IU]/L", "IU/L")),
    Unit("ukat/L", "activity", 60.0),
    Unit("L/min", "flow", 1.0),
    Unit("mL/min", "flow", 1e-3),
    Unit("mL/h", "flow", 1e-3 / 60, spellings=("mL/hr",)),
    Unit("mL", "volume", 1.0, spellings=("cc", "cm3")),
    Unit("L", "volume", 1000.0),
    Unit("kg", "mass", 1.0),
    Unit("g", "mass", 1e-3),
    Unit("[lb_av]", "mass", 0.45359237, spellings=("lb", "lbs", "pound")),
    Unit("cm", "length", 1.0),
    Unit("m", "length", 100.0),
    Unit("mm", "length", 0.1),
    Unit("[in_i]", "length", 2.54, spellings=("in", "inch", "inches")),
    Unit("mV", "voltage", 1.0),
    Unit("uV", "voltage", 1e-3),
    Unit("s", "time", 1.0, spellings=("sec", "second", "seconds")),
    Unit("ms", "time", 1e-3, spellings=("msec",)),
    Unit("min", "time", 60.0, spellings=("minute", "minutes")),
    Unit("h", "time", 3600.0, spellings=("hr", "hour", "hours")),
)
"""The table of units. Factors: NIST Special Publication 811, appendix B."""


@dataclass(frozen=True)
class Analyte:
    """A substance whose concentration is given by mass, by amount or by charge.

    Attributes
    ----------
    molar_mass
        g/mol, from the standard atomic weights (IUPAC 2021).
    charge
        Equivalents a mole; 0 where milliequivalents are not in use.
    """

    molar_mass: float
    charge: int = 0


ANALYTES: dict[str, Analyte] = {
    "glucose": Analyte(180.156),
    "creatinine": Analyte(113.120),
    "urea nitrogen": Analyte(28.014),  # two atoms of nitrogen in a molecule of urea: mmol/L count urea
    "bun": Analyte(28.014),
    "urea": Analyte(60.056),
    "uric acid": Analyte(168.112),
    "bilirubin": Analyte(584.673),
    "cholesterol": Analyte(386.664),
    "triglycerides": Analyte(885.45),  # as triolein, the convention of clinical chemistry
    "lactate": Analyte(90.078),  # as lactic acid
    "hemoglobin": Analyte(16114.5),  # the monomer
    "sodium": Analyte(22.990, 1),
    "potassium": Analyte(39.098, 1),
    "chloride": Analyte(35.45, 1),
    "bicarbonate": Analyte(61.017, 1),
    "calcium": Analyte(40.078, 2),
    "magnesium": Analyte(24.305, 2),
    "phosphate": Analyte(30.974),  # as phosphorus
    "iron": Analyte(55.845),
    "ammonia": Analyte(17.031),
}
"""Analytes whose name, as a word of the variable's name, converts mg/dL, mmol/L and meq/L into each other."""

AMOUNTS = ("mass concentration", "amount concentration", "charge concentration")


def _spelled(text: str) -> str:
    """One spelling of many: without annotations, spaces and signs for micro that look alike."""
    text = text.replace("µ", "u").replace("μ", "u").replace("²", "2").replace("³", "3").replace("⁹", "9")
    return re.sub(r"\s+", "", re.sub(r"\{[^}]*\}", "", text)) or "1"


_EXACT = {_spelled(name): unit for unit in UNITS for name in (unit.code, *unit.spellings)}
_LOOSE = {name.casefold(): unit for name, unit in _EXACT.items()}


def find(unit: str | None) -> Unit:
    """Return the unit of this name.

    Parameters
    ----------
    unit
        UCUM code or a common spelling; annotations in braces, spaces and case do not matter where nothing else does.

    Raises
    ------
    DataError
        If the unit is missing or not known.
    """
    if not is_given(unit):
        raise DataError("unit", "missing", "Say in which unit the values are, in UCUM, such as mm[Hg] or mmol/L.")
    text = _spelled(str(unit))
    found = _EXACT.get(text) or _LOOSE.get(text.casefold())
    if found is None:
        remedy = f"Write it in UCUM. Known: {', '.join(one.code for one in UNITS)}."
        raise DataError("unit", f"{unit!r} is not known", remedy)
    return found


def is_given(unit: object) -> bool:
    """Whether a cell holds a unit at all: neither None, nor NaN, nor blank."""
    return isinstance(unit, str) and bool(unit.strip())


def canonical(unit: str | None) -> str:
    """Return the UCUM code of a unit.

    Raises
    ------
    DataError
        If the unit is missing or not known.

    Examples
    --------
    >>> canonical("mmHg"), canonical("beats/min"), canonical("K/uL"), canonical("µmol/l")
    ('mm[Hg]', '/min', '10*9/L', 'umol/L')
    """
    return find(unit).code


def line(unit: str | None, to: str | None, variable: str | None = None) -> tuple[float, float]:
    """Return slope and offset of the conversion, value in `to` = slope * value in `unit` + offset.

    Raises
    ------
    DataError
        If a unit is missing or not known, if the two measure different kinds of quantity, or if they are amounts of an
        analyte that the variable does not name.
    """
    one, two = find(unit), find(to)
    if one.code == two.code:
        return 1.0, 0.0
    slope, offset = one.slope, one.offset
    if one.kind != two.kind:
        slope = slope * _moles(one, two, variable) / _moles(two, one, variable)
    return slope / two.slope, (offset - two.offset) / two.slope


def _moles(unit: Unit, other: Unit, variable: str | None) -> float:
    """Millimoles a litre in the base unit of a kind of concentration."""
    if unit.kind not in AMOUNTS or other.kind not in AMOUNTS:
        problem = f"{unit.code!r} ({unit.kind}) and {other.code!r} ({other.kind}) are of different kinds"
        raise DataError("unit", problem, "Check the unit and the variable.")
    analyte = _analyte(variable)
    if analyte is None:
        problem = f"{unit.code!r} and {other.code!r} convert for a known analyte only, not for {variable!r}"
        raise DataError("unit", problem, f"Name the analyte in the variable. Known: {', '.join(ANALYTES)}.")
    if unit.kind == "mass concentration":
        return 10 / analyte.molar_mass
    if unit.kind == "amount concentration":
        return 1.0
    if not analyte.charge:
        raise DataError("unit", f"{unit.code!r} has no meaning for {variable!r}", "Give mmol/L or mg/dL.")
    return 1 / analyte.charge


def _analyte(variable: str | None) -> Analyte | None:
    """Return the analyte named by the words of a variable, the longest name first."""
    words = f" {re.sub(r'[^a-z]+', ' ', (variable or '').lower().replace('haemo', 'hemo'))} "
    named = [name for name in ANALYTES if f" {name} " in words]
    return ANALYTES[max(named, key=len)] if named else None


def convert(values: ArrayLike, unit: str | None, to: str | None, variable: str | None = None) -> Floats:
    """Convert values from one unit to another, slope * value + offset.

    Parameters
    ----------
    values
        Any shape, in `unit`.
    unit, to
        UCUM codes or common spellings.
    variable
        Name of what was measured, with the analyte in it: for mg/dL to mmol/L and the like.

    Returns
    -------
    Floats
        The values in `to`, of the same shape.

    Raises
    ------
    DataError
        As `line`.

    Examples
    --------
    >>> float(convert(98.6, "degF", "Cel").round(2)), float(convert(90.0, "mg/dL", "mmol/L", "glucose").round(2))
    (37.0, 5.0)
    """
    slope, offset = line(unit, to, variable)
    return np.asarray(slope * np.asarray(values, dtype=np.float64) + offset, dtype=np.float64)


def convert_sd(sd: ArrayLike, unit: str | None, to: str | None, variable: str | None = None) -> Floats:
    """Convert standard deviations: |slope| * sd, because the offset shifts all readings alike.

    Raises
    ------
    DataError
        As `line`.

    Examples
    --------
    >>> float(convert_sd(0.9, "degF", "Cel").round(3))
    0.5
    """
    slope, _ = line(unit, to, variable)
    return np.asarray(abs(slope) * np.asarray(sd, dtype=np.float64), dtype=np.float64)
