"""Real sensors beside their references, as columns of pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rstime.datasets import air_quality_uci, physionet2012, shanghai_cgm
from rstime.types import Floats, Series

CUFFS = {"SysABP": ("NISysABP", 40.0), "MAP": ("NIMAP", 20.0)}
"""Reference of the arterial line to its cuff, and the least reading of the line that is not a fault, mmHg."""

GASES = {
    "CO": ("PT08.S1(CO)", "CO(GT)", False),
    "C6H6": ("PT08.S2(NMHC)", "C6H6(GT)", False),
    "NOx": ("PT08.S3(NOx)", "NOx(GT)", False),
    "log NOx": ("PT08.S3(NOx)", "NOx(GT)", True),
    "NO2": ("PT08.S4(NO2)", "NO2(GT)", False),
}
"""Sensor, reference and whether both are in logs; C6H6 is not independent (almost a function of its sensor)."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Readings of a sensor and its reference at the same stamps, sorted by device and time.

    Attributes
    ----------
    sensor, reference
        (n,) readings; for the gases in the sensor's own response, else both in `unit`.
    time
        (n,) hours, from a common start within each device.
    device
        (n,) session, stay or station.
    person
        (n,) what a split must keep together.
    covariates
        (n, K) numbers that the sensor responds to as well.
    unit
        Unit of the reference.
    """

    sensor: Floats
    reference: Floats
    time: Floats
    device: np.ndarray
    person: np.ndarray
    covariates: Floats
    unit: str


def glucose(root: str | Path | None = None) -> Pairs:
    """Return Shanghai's sensor beside fingersticks up to 600 mg/dL; a device is a recording."""
    items = shanghai_cgm.load(root)
    names = [shanghai_cgm.patient(series) for series in items]
    return _joined(items, names, "cgm_mg_dl", "cbg_mg_dl", "mg/dL")


def pressures(root: str | Path | None = None) -> dict[str, Pairs]:
    """Return PhysioNet 2012's cuff beside the arterial line ("SysABP" and "MAP") at the same minute.

    Pairs are left out where the line reads a fault (systolic below 40, diastolic 0 or less, mean below 20 mmHg) or a
    reading is outside the plausible range of `rstime.datasets.physionet2012`.
    """
    stays = physionet2012.load(root, grid=None)
    at = {name: physionet2012.VARIABLES.index(name) for name in ("DiasABP", *CUFFS)}
    found = {}
    for reference, (cuff, least) in CUFFS.items():
        faults = [(s.value[:, at[reference]] < least) | np.isnan(s.value[:, at["DiasABP"]]) for s in stays]
        found[reference] = _joined(stays, [stay.item_id for stay in stays], cuff, reference, "mmHg", faults)
    return found


def air(gas: str, root: str | Path | None = None) -> Pairs:
    """Return UCI's metal-oxide sensor beside the analyser for a gas of `GASES`, with temperature and humidity."""
    sensor, reference, logs = GASES[gas]
    unit = air_quality_uci.UNITS[reference]
    series = air_quality_uci.load(root)
    found = _joined([series], ["station"], sensor, reference, unit, covariates=("T", "RH"))
    if not logs:
        return found
    return replace(found, sensor=np.log(found.sensor), reference=np.log(found.reference), unit=f"log {unit}")


def _joined(
    items: list[Series],
    persons: list[str],
    sensor: str,
    reference: str,
    unit: str,
    faults: list[np.ndarray] | None = None,
    covariates: tuple[str, ...] = (),
) -> Pairs:
    columns = []
    for index, series in enumerate(items):
        names = (sensor, reference, *covariates)
        value = series.value[:, [series.variables.index(name) for name in names]]
        whole = np.isfinite(value).all(1)
        if faults is not None:
            whole &= ~faults[index]
        time = series.time - series.time[0]
        hours = time / np.timedelta64(1, "h") if np.issubdtype(time.dtype, np.timedelta64) else time
        columns.append((value[whole], np.asarray(hours, dtype=np.float64)[whole], whole.sum()))
    value = np.concatenate([column[0] for column in columns])
    count = [int(column[2]) for column in columns]
    return Pairs(
        value[:, 0],
        value[:, 1],
        np.concatenate([column[1] for column in columns]),
        np.repeat([series.item_id for series in items], count),
        np.repeat(persons, count),
        value[:, 2:],
        unit,
    )
