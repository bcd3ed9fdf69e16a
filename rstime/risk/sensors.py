"""Risk from the kind of sensor: the sd of a reading, the column sd of a whole table, and the sensors as a table.

Each figure is the worst that a standard or a maker admits; the figure of the device at hand beats it. Noise only:
bias and drift (SpO2 and skin pigmentation, cuff against arterial line) are not noise. Not for clinical decisions.

`python -m rstime.risk.sensors` prints the tables of docs/sensors.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime.cells import Cells, Columns
from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.risk.accuracy import WORST_QUALITY as WORST_QUALITY
from rstime.risk.accuracy import find, specified
from rstime.risk.accuracy import sd as sd
from rstime.risk.accuracy import with_resolution as with_resolution
from rstime.risk.sensor_table import SENSORS as SENSORS
from rstime.risk.sensor_table import Band as Band
from rstime.risk.sensor_table import Sensor as Sensor
from rstime.risk.sensor_table import flat as flat
from rstime.risk.units import convert, is_given
from rstime.types import Bools, Floats

Device: TypeAlias = str | Sensor | float
"""The name of a sensor, a sensor of your own, or the sd itself in the units of the values."""


def assign_risk(
    frame: pd.DataFrame,
    devices: Mapping[str, Device],
    *,
    columns: Columns | None = None,
    units: Mapping[str, str] | None = None,
    level: Literal["typical", "reading"] = "typical",
    overwrite: bool = False,
) -> pd.DataFrame:
    """Fill the column sd of a long table from what each row was measured with.

    Parameters
    ----------
    frame
        One row for each reading: item, time, variable, value, and where there are such columns `unit`, `device` and
        `quality` (in [0, 1], empty counts as 1). It is not changed. Rows without a value stay without sd.
    devices
        What measures a value of the column `device`, or else a variable: the name of a sensor, a `Sensor`, or an sd in
        the units of the values.
    columns
        Names of the columns of the table.
    units
        Unit of a variable, for rows whose column `unit` is empty or absent.
    level
        Where sensors whose figure depends on the reading are read: at the variable's typical level, the median over the
        item ("typical"), so that risk is independent of each reading's own error; or at each reading.
    overwrite
        Whether to replace an sd that a row has already; by default it is kept, with a warning that counts such rows.

    Returns
    -------
    pd.DataFrame
        A copy with the column sd.

    Raises
    ------
    DataError
        If a row has a device and a variable that `devices` lacks, no unit or one of another kind than the sensor's, a
        level that the sensor is not specified for, a quality outside [0, 1] or a negative sd.
    ConfigError
        If a sensor or a level is not known, or a number for an sd is negative.

    Examples
    --------
    >>> table = pd.DataFrame({"item_id": "a", "timestamp": 0, "variable": ["map", "hr"], "value": [70.0, 88.0]})
    >>> assign_risk(table, {"map": "cuff", "hr": 1.5}, units={"map": "mmHg"})["sd"].tolist()
    [8.0, 1.5]
    """
    if level not in ("typical", "reading"):
        raise ConfigError("level", f"{level!r} is not known", "Give 'typical' or 'reading'.")
    columns = columns or Columns()
    cells = Cells(frame, (columns.item_id, columns.timestamp, columns.variable))
    cells.require(columns.item_id, columns.timestamp, columns.variable, columns.value)
    value = cells.numbers(columns.value)
    given = cells.numbers(columns.sd) if columns.sd in frame.columns else np.full(len(frame), np.nan)
    cells.refuse(columns.sd, given < 0, "Risk is a standard deviation: 0 exact, inf missing.")
    quality = _quality(cells)
    todo = np.isfinite(value) & (overwrite | np.isnan(given))
    kept = int(np.sum(np.isfinite(value) & ~np.isnan(given) & (not overwrite)))
    if kept:
        text = f"{columns.sd}: {kept} rows keep the sd they have; overwrite=True replaces it."
        warnings.warn(RstimeWarning(text), stacklevel=2)
    unit = _units(frame, columns.variable, units or {})
    key = _keys(cells, devices, columns.variable, todo)
    at = value if level == "reading" else _typical(frame, columns, value, unit)
    result = given.copy()
    where = np.flatnonzero(todo)
    group = pd.DataFrame({"key": key[where], "unit": unit[where]}).groupby(["key", "unit"], dropna=False).ngroup()
    for number in group.unique():
        row = where[group == number]
        full = _assigned(cells, devices[key[row[0]]], unit[row[0]], row, value, at)
        result[row] = full * WORST_QUALITY ** (1 - quality[row])
    return frame.assign(**{columns.sd: result})


def table() -> pd.DataFrame:
    """Return the sensors, one a row, those whose figure was read in its source first.

    Not for clinical decisions.

    Examples
    --------
    >>> sensors = table()
    >>> sensors.loc[sensors["sensor"] == "cuff", ["unit", "sd", "verified"]].values.tolist()
    [['mm[Hg]', '8', True]]
    """
    rows = [
        {
            "sensor": name,
            "variable": one.variable,
            "unit": one.unit,
            "sd": "; ".join(_told(band) for band in one.bands),
            "figure": one.figure,
            "grade": one.grade,
            "source": one.source,
            "verified": one.verified,
        }
        for name, one in SENSORS.items()
    ]
    return pd.DataFrame(rows).sort_values("verified", ascending=False, kind="stable", ignore_index=True)


def markdown() -> str:
    """Return the tables of docs/sensors.md: verified and unverified figures apart."""
    frame, parts = table(), []
    for title, rows in (
        ("Figures read in their source", frame[frame["verified"]]),
        ("Figures not verified: quoted from memory, or a choice of this project", frame[~frame["verified"]]),
    ):
        rows = rows.drop(columns="verified")
        lines = [rows.columns, ["---"] * rows.shape[1], *rows.to_numpy()]
        parts.append(f"## {title}\n\n" + "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n")
    return "\n".join(parts)


def _told(band: Band) -> str:
    """Write the sd of a band: 2.3 or 2.3 % (to 40)."""
    figures = [f"{band.floor:g}"] if band.floor else []
    figures += [f"{band.percent:g} %"] if band.percent else []
    ends = [f"from {band.low:g}"] if np.isfinite(band.low) else []
    ends += [f"to {band.high:g}"] if np.isfinite(band.high) else []
    return " or ".join(figures) + (f" ({' '.join(ends)})" if ends else "")


def _quality(cells: Cells) -> Floats:
    """Return the quality of each row, (N,); 1 where it is empty or there is no such column."""
    if "quality" not in cells.frame.columns:
        return np.ones(len(cells.frame))
    quality = cells.numbers("quality")
    cells.refuse("quality", (quality < 0) | (quality > 1), "Scale the index to [0, 1]: 1 is the best quality.")
    return np.where(np.isnan(quality), 1.0, quality)


def _units(frame: pd.DataFrame, variable: str, units: Mapping[str, str]) -> NDArray[Any]:
    """Return the unit of each row as it is written, (N,); None where there is none."""
    named = [units.get(str(name)) for name in frame[variable]]
    if "unit" not in frame.columns:
        return np.array(named, dtype=object)
    cells = zip(frame["unit"].astype(object), named, strict=True)
    return np.array([unit if is_given(unit) else name for unit, name in cells], dtype=object)


def _keys(cells: Cells, devices: Mapping[str, Device], variable: str, todo: Bools) -> NDArray[Any]:
    """Return what of `devices` each row is measured with, (N,)."""
    names = cells.frame[variable].astype(str).to_numpy()
    found = np.array([name if name in devices else None for name in names], dtype=object)
    fields = [variable]
    if "device" in cells.frame.columns:
        tags = cells.frame["device"].astype(object).to_numpy()
        known = np.array([isinstance(tag, str) and tag in devices for tag in tags], dtype=bool)
        found = np.where(known, tags, found)
        fields.append("device")
    wrong = todo & np.array([one is None for one in found], dtype=bool)
    if np.any(wrong):
        row = int(np.argmax(wrong))
        told = " and ".join(f"{name} {cells.frame[name].iloc[row]!r}" for name in fields)
        remedy = f"Name a sensor or give an sd for it. Given: {', '.join(map(str, devices)) or 'nothing'}."
        raise DataError("devices", f"nothing for {told} in {cells.describe(row)}", remedy)
    return found


def _typical(frame: pd.DataFrame, columns: Columns, value: Floats, unit: NDArray[Any]) -> Floats:
    """Return the median of the variable over the item, in the unit of the row, (N,)."""
    keys = [frame[columns.item_id].to_numpy(), frame[columns.variable].to_numpy(), unit]
    series = pd.Series(np.where(np.isfinite(value), value, np.nan))
    return series.groupby(keys, dropna=False).transform("median").to_numpy(dtype=np.float64)


def _assigned(
    cells: Cells, device: Device, unit: object, row: NDArray[np.intp], value: Floats, at: Floats
) -> Floats | float:
    """Return the sd at full quality of rows with one device and one unit."""
    if not isinstance(device, str | Sensor):
        if not device >= 0:
            raise ConfigError("devices", f"an sd of {device}", "Give a standard deviation >= 0.")
        return float(device)
    sensor = find(device)
    if not is_given(unit):
        remedy = "Give it in the column unit, or as units={'variable': 'mm[Hg]'}; or give the sd itself as a number."
        raise DataError("unit", f"missing in {cells.describe(row[0])}", remedy)
    try:
        levels = convert(at[row], str(unit), sensor.unit, sensor.variable)
        readings = convert(value[row], str(unit), sensor.unit, sensor.variable)
    except DataError as error:
        raise DataError("unit", f"{error.problem}, in {cells.describe(row[0])}", error.remedy) from error
    outside = ~specified(sensor, levels)
    if np.any(outside):
        first = int(np.argmax(outside))
        problem = f"level {levels[first]:g} {sensor.unit} in {cells.describe(row[first])}"
        remedy = f"The sensor of {sensor.variable} is not specified there: give the sd as a number, or leave it out."
        raise DataError("value", problem, remedy)
    beyond = ~specified(sensor, readings)
    if np.any(beyond):
        place = cells.describe(row[int(np.argmax(beyond))])
        text = (
            f"value: {int(beyond.sum())} readings where their sensor of {sensor.variable} is not specified ({place})."
        )
        warnings.warn(RstimeWarning(text), stacklevel=3)
    return sd(sensor, at[row], unit=str(unit))


if __name__ == "__main__":
    print(markdown(), end="")
