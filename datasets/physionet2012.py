"""PhysioNet/CinC Challenge 2012, set-a: the first 48 hours of 4,000 intensive-care stays (Silva et al. 2012)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.root import find
from rstime.errors import ConfigError
from rstime.types import Floats, Series

FILE = "physionet2012_set_a/observations.csv.gz"
HOURS = 48
STATIC = ("Age", "Gender", "Height", "ICUType")
_NAMES = (
    "Albumin ALP ALT AST Bilirubin BUN Cholesterol Creatinine DiasABP FiO2 GCS Glucose HCO3 HCT HR K Lactate MAP "
    "MechVent Mg Na NIDiasABP NIMAP NISysABP PaCO2 PaO2 pH Platelets RespRate SaO2 SysABP Temp TroponinI TroponinT "
    "Urine WBC Weight"
)
VARIABLES = tuple(_NAMES.split())
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


def load(root: str | Path | None = None, grid: str | None = "1h", clean: bool = True) -> list[Series]:
    """Load the stays in the order of their record number, each as one exact Series; about 3 seconds.

    Time is in hours since admission (float), without calendar. Clean-up: -1 means not recorded; readings outside
    PLAUSIBLE are dropped unless `clean` is False; of several readings of a variable at one stamp the last is kept;
    stays with fewer than two readings are left out (3 have none, 1 has a single one). Statics are age in years, gender
    (1 male), height in cm and type of unit (1-4), NaN where not recorded.

    Parameters
    ----------
    root
        Folder that holds `physionet2012_set_a/observations.csv.gz`; see `rstime.datasets.root.find`.
    grid
        "1h": 48 hourly bins, each with the last reading in it, readings at 48:00 in the last bin. None: the charted
        minutes as they are.
    clean
        Drop implausible readings.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there.
    ConfigError
        If `grid` is neither "1h" nor None.
    """
    if grid not in ("1h", None):
        raise ConfigError("grid", f"{grid!r}", 'Use "1h", or None for the charted minutes.')
    frame = _read(find(FILE, root))
    static = frame[frame["variable"].isin(STATIC)].pivot(index="stay", columns="variable", values="value")
    static = static.reindex(columns=list(STATIC)).replace(-1.0, np.nan)
    frame = _readings(frame, clean)
    if grid is not None:
        frame["time"] = np.minimum(frame["time"] // 60 * 60, (HOURS - 1) * 60)
    frame["channel"] = frame["variable"].cat.set_categories(list(VARIABLES)).cat.codes
    full = np.arange(HOURS) * 60 if grid is not None else None
    return [_stay(str(stay), rows, static.loc[stay].to_numpy(np.float64), full) for stay, rows in frame.groupby("stay")]


def _read(path: Path) -> pd.DataFrame:
    """All rows as stay, time in minutes, variable, value."""
    frame = pd.read_csv(path, dtype={"Time": "category", "Parameter": "category"})
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
    risk = np.where(np.isnan(value), np.inf, 0.0)
    return Series(name, stamps / 60.0, VARIABLES, value, risk, static=static, static_names=STATIC)
