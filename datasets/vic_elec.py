"""Electricity demand of Victoria (Australia), half-hourly, 2012 to 2014 (R package tsibbledata).

Demand is the operational demand in MWh a half hour, Temperature that of Melbourne in °C, nothing is missing; whether
a day is a public holiday is known ahead. Stamps are UTC, the clock of the place is Australia/Melbourne. No usual
split, no figure for the noise. Licence of the package GPL-3; the source, Australian Energy Market Operator, asks to
be named.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.rdata import read_frame
from rstime.datasets.root import find
from rstime.types import Series

FILE = "vic_elec/vic_elec.rda"
UNITS = {"Demand": "MWh", "Temperature": "°C"}
VARIABLES = tuple(UNITS)


def load(root: str | Path | None = None) -> Series:
    """Load 52,608 half hours of demand and temperature as one Series with the holidays as known covariate; risk is 0.

    Parameters
    ----------
    root
        Folder that holds `vic_elec/vic_elec.rda`, or the same as vic_elec.csv.gz; see `rstime.datasets.root.find`.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there and is not fetched.
    """
    path = find(FILE, root)
    if path.name == Path(FILE).name:
        frame = pd.DataFrame(read_frame(path, "vic_elec"))
        time = pd.to_datetime(frame["Time"], unit="s")
    else:
        frame = pd.read_csv(path)
        time = pd.to_datetime(frame["Time"])
    return exact(
        "vic_elec",
        time.to_numpy("datetime64[ns]"),
        VARIABLES,
        frame[list(VARIABLES)].to_numpy(np.float64),
        known=frame[["Holiday"]].to_numpy(np.float64),
        known_names=("Holiday",),
        timezone="Australia/Melbourne",
    )
