"""ETTh1: hourly load and oil temperature of an electricity transformer, two years (Zhou et al. 2021, Informer)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.root import find
from rstime.types import Series

FILE = "etth1/ETTh1.csv"


def load(root: str | Path | None = None) -> Series:
    """Load the 17,420 hourly rows of 7 variables as one exact Series.

    Six loads (HUFL, HULL, MUFL, MULL, LUFL, LULL) and the oil temperature OT in degrees Celsius; nothing is missing,
    every risk is 0.

    Parameters
    ----------
    root
        Folder that holds `etth1/ETTh1.csv`; see `rstime.datasets.root.find`.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there.
    """
    frame = pd.read_csv(find(FILE, root), parse_dates=["date"])
    variables = tuple(str(name) for name in frame.columns if name != "date")
    value = frame[list(variables)].to_numpy(np.float64)
    time = frame["date"].to_numpy("datetime64[ns]")
    return Series("ETTh1", time, variables, value, risk=np.zeros_like(value))
