"""UCI Air Quality: five metal-oxide gas sensors beside a reference analyser, hourly (De Vito et al. 2008).

One multisensor device at road level in a polluted Italian city for 13 months. Channels with (GT) are the certified
analyser; PT08.* are raw responses of the sensors, not concentrations (S3 falls as NOx rises); T, RH and AH are
temperature, relative and absolute humidity of the air. The sensors react to other gases too and drift over the year:
calibrate on the first weeks. C6H6(GT) is almost a function of PT08.S2(NMHC), so that this pair is not independent;
PT08.S5(O3) has no reference. Where the device failed, sensors, T, RH, AH and C6H6 are missing together. Clock time of
the place, without zone. No usual split, no figure for the noise. Licence CC BY 4.0; a note of the authors asks for
research use only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.types import Series

FILE = "air_quality_uci/AirQualityUCI.csv"
UNITS = {
    "CO(GT)": "mg/m3",
    "PT08.S1(CO)": "response",
    "NMHC(GT)": "ug/m3",
    "C6H6(GT)": "ug/m3",
    "PT08.S2(NMHC)": "response",
    "NOx(GT)": "ppb",
    "PT08.S3(NOx)": "response",
    "NO2(GT)": "ug/m3",
    "PT08.S4(NO2)": "response",
    "PT08.S5(O3)": "response",
    "T": "°C",
    "RH": "%",
    "AH": "not stated",
}
VARIABLES = tuple(UNITS)
PAIRS = (
    ("PT08.S1(CO)", "CO(GT)"),
    ("PT08.S2(NMHC)", "C6H6(GT)"),
    ("PT08.S2(NMHC)", "NMHC(GT)"),
    ("PT08.S3(NOx)", "NOx(GT)"),
    ("PT08.S4(NO2)", "NO2(GT)"),
)
"""Noisy sensor and its reference."""


def load(root: str | Path | None = None) -> Series:
    """Load the 9,357 hours of 13 variables as one Series, risk 0 where there is a value; -200 means missing.

    Parameters
    ----------
    root
        Folder that holds `air_quality_uci/AirQualityUCI.csv`, or the same as air_quality_uci.csv.gz with a column
        timestamp and empty cells; see `rstime.datasets.root.find`.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there and is not fetched.
    """
    path = find(FILE, root)
    if path.name == Path(FILE).name:
        frame = (
            pd.read_csv(path, sep=";", decimal=",").dropna(how="all").dropna(how="all", axis=1).replace(-200, np.nan)
        )
        time = pd.to_datetime(frame["Date"] + " " + frame["Time"], format="%d/%m/%Y %H.%M.%S")
    else:
        frame = pd.read_csv(path)
        time = pd.to_datetime(frame["timestamp"])
    value = frame[list(VARIABLES)].to_numpy(np.float64)
    return exact("air_quality_uci", time.to_numpy("datetime64[ns]"), VARIABLES, value)
