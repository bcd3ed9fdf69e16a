"""ETTh1, ETTh2, ETTm1, ETTm2: load and oil temperature of electricity transformers (Zhou et al. 2021, Informer).

Two transformer stations in China (1 and 2), two years from July 2016, every hour (h) or every 15 minutes (m). HUFL,
HULL, MUFL, MULL, LUFL, LULL are high, middle and low, useful and useless load, for which the source states no unit; OT
is the oil temperature in °C. The usual split is by time: 12 months of 30 days to train, 4 to validate, 4 to test. No
figure for the noise is given. Licence CC BY-ND 4.0: altered copies may not be shared.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.errors import ConfigError
from rstime.types import Series

NAMES = ("ETTh1", "ETTh2", "ETTm1", "ETTm2")
UNITS = {"OT": "°C"}


def load(root: str | Path | None = None, name: str = "ETTh1") -> Series:
    """Load the 17,420 rows (69,680 every 15 minutes) of 7 variables as one Series; nothing is missing, risk is 0.

    Parameters
    ----------
    root
        Folder that holds `etth1/ETTh1.csv` and the like; see `rstime.datasets.root.find`.
    name
        One of `NAMES`.

    Raises
    ------
    ConfigError
        If there is no such name.
    DatasetNotFoundError
        If the file is not there and is not fetched.
    """
    if name not in NAMES:
        raise ConfigError("name", f"{name!r}", f"Use one of {', '.join(NAMES)}.")
    frame = pd.read_csv(find(f"{name.lower()}/{name}.csv", root), parse_dates=["date"])
    variables = tuple(str(column) for column in frame.columns if column != "date")
    return exact(name, frame["date"].to_numpy("datetime64[ns]"), variables, frame[list(variables)].to_numpy(np.float64))
