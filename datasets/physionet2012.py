"""PhysioNet/CinC Challenge 2012: the first 48 hours of 4,000 intensive-care stays a set, a and b (Silva et al. 2012).

Cuff pressures (NISysABP, NIDiasABP, NIMAP) are a noisy device, those of the arterial line (SysABP, DiasABP, MAP) the
better one beside it; no figure for the noise of any variable is given. Methods are usually compared on set-a, split
at random by stay. Licence ODC-By 1.0.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.download import members
from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.errors import ConfigError
from rstime.types import Floats, Series

SUBSETS = ("a", "b")
HOURS = 48
STATIC = ("Age", "Gender", "Height", "ICUType")
_UNITS = """
Albumin g/dL, ALP IU/L, ALT IU/L, AST IU/L, Bilirubin mg/dL, BUN mg/dL, Cholesterol mg/dL, Creatinine mg/dL, DiasABP
mmHg, FiO2 0-1, GCS 3-15, Glucose mg/dL, HCO3 mmol/L, HCT %, HR bpm, K mEq/L, Lactate mmol/L, MAP mmHg, MechVent 0/1,
Mg mmol/L, Na mEq/L, NIDiasABP mmHg, NIMAP mmHg, NISysABP mmHg, PaCO2 mmHg, PaO2 mmHg, pH -, Platelets 1000/nL,
RespRate bpm, SaO2 %, SysABP mmHg, Temp °C, TroponinI ug/L, TroponinT ug/L, Urine mL, WBC 1000/nL, Weight kg
"""
UNITS: Mapping[str, str] = dict(text.split() for text in _UNITS.split(","))
VARIABLES = tuple(UNITS)
"""The 37 time-varying variables, in alphabetical order."""

PLAUSIBLE: Mapping[str, tuple[float, float]] = {
    "DiasABP": (5, 200),
    "HR": (10, 300),
    "MAP": (20, 250),
    "NIDiasABP": (5, 200),
    "NIMAP": (20, 250),
    "NISysABP": (30, 300),
    "PaCO2": (5, 150),
    "PaO2": (10, 600),
    "pH": (6.5, 8),
    "RespRate": (1, 98),
    "SysABP": (30, 300),
    "Temp": (25, 45),
    "Weight": (25, 300),
}
"""Closed ranges outside which a reading is an error of charting or a detached sensor."""


def load(
    root: str | Path | None = None, grid: str | None = "1h", clean: bool = True, subset: str = "a"
) -> list[Series]:
    """Load the stays in the order of their record number, each as one exact Series; some seconds.

    Time is in hours since admission (float), without calendar. Clean-up: -1 means not recorded; readings outside
    PLAUSIBLE are dropped unless `clean` is False; of several readings of a variable at one stamp the last is kept;
    stays with fewer than two readings are left out (in set-a 3 have none, 1 has one). Statics are age in years,
    gender (1 male), height in cm and type of unit (1-4), NaN where not recorded.

    Parameters
    ----------
    root
        Folder that holds `physionet2012_set_a/set-a.tar.gz` (and the like for set-b), or its rows in
        observations.csv.gz with the columns RecordID, Time, Parameter, Value; see `rstime.datasets.root.find`.
    grid
        "1h": 48 hourly bins, each with the last reading in it, readings at 48:00 in the last bin. None: the charted
        minutes as they are.
    clean
        Drop implausible readings.
    subset
        "a" or "b": which set of 4,000 stays.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there and is not fetched.
    ConfigError
        If `grid` is neither "1h" nor None, or there is no such set.
    """
    if subset not in SUBSETS:
        raise ConfigError("subset", f"{subset!r}", "Use a or b.")
    if grid not in ("1h", None):
        raise ConfigError("grid", f"{grid!r}", 'Use "1h", or None for the charted minutes.')
    path = find(f"physionet2012_set_{subset}/set-{subset}.tar.gz", root)
    frame = _read(path if path.name == "observations.csv.gz" else _joined(path, f"*set-{subset}/*.txt"))
    static = frame[frame["variable"].isin(STATIC)].pivot(index="stay", columns="variable", values="value")
    static = static.reindex(columns=list(STATIC)).replace(-1.0, np.nan)
    frame = _readings(frame, clean)
    if grid is not None:
        frame["time"] = np.minimum(frame["time"] // 60 * 60, (HOURS - 1) * 60)
    frame["channel"] = frame["variable"].cat.set_categories(list(VARIABLES)).cat.codes
    full = np.arange(HOURS) * 60 if grid is not None else None
    return [_stay(str(stay), rows, static.loc[stay].to_numpy(np.float64), full) for stay, rows in frame.groupby("stay")]


def _joined(archive: Path, pattern: str) -> io.BytesIO:
    """Rows of all records of the archive, with the number of the record in front, as one CSV file."""
    table = io.BytesIO()
    table.write(b"RecordID,Time,Parameter,Value\n")
    for name, text in members(archive, pattern):
        record = Path(name).stem.encode()
        rows = text.replace(b"\r\n", b"\n").strip().split(b"\n")[1:]
        table.writelines(record + b"," + row + b"\n" for row in rows)
    table.seek(0)
    return table


def _read(table: Path | io.BytesIO) -> pd.DataFrame:
    """All rows as stay, time in minutes, variable, value."""
    frame = pd.read_csv(table, dtype={"Time": "category", "Parameter": "category"})
    minutes = [int(stamp[:2]) * 60 + int(stamp[3:]) for stamp in frame["Time"].cat.categories]
    frame["Time"] = np.asarray(minutes)[frame["Time"].cat.codes]
    return frame.set_axis(["stay", "time", "variable", "value"], axis=1)


def _readings(frame: pd.DataFrame, clean: bool) -> pd.DataFrame:
    """Rows of time-varying variables that are recorded and plausible, of stays that have at least two."""
    value = frame["value"].to_numpy()
    keep = frame["variable"].isin(VARIABLES).to_numpy() & (value != -1)
    if clean:
        for name, (low, high) in PLAUSIBLE.items():
            keep &= (frame["variable"] != name).to_numpy() | ((value >= low) & (value <= high))
    frame = frame[keep]
    return frame[frame.groupby("stay")["value"].transform("size") > 1].copy()


def _stay(name: str, rows: pd.DataFrame, static: Floats, stamps: np.ndarray | None) -> Series:
    minute = rows["time"].to_numpy()
    stamps = np.unique(minute) if stamps is None else stamps
    value = np.full((len(stamps), len(VARIABLES)), np.nan)
    value[np.searchsorted(stamps, minute), rows["channel"].to_numpy()] = rows["value"].to_numpy()  # the last one stays
    return exact(name, stamps / 60.0, VARIABLES, value, static=static, static_names=STATIC)
