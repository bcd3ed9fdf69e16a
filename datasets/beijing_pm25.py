"""PM2.5 of 36 stations in Beijing, hourly, May 2014 to April 2015, with the mask of ST-MVL (Yi et al. 2016; "AQI-36").

Government stations of reference grade, no sensor beside them. The source has each value twice: all that is known, and
the same with a part hidden whose pattern is that of the natural gaps; papers score the hidden part. Months 3, 6, 9
and 12 are the usual test months (`TEST_MONTHS`). ug/m3; clock time of the place, without zone. The source states no
licence: research use.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.types import Floats, Series

GROUND = "beijing_pm25_36/pm25_ground.txt"
MISSING = "beijing_pm25_36/pm25_missing.txt"
TEST_MONTHS = (3, 6, 9, 12)
STATIONS = tuple(f"{1000 + number:06d}" for number in range(1, 37))
UNITS = dict.fromkeys(STATIONS, "ug/m3")


@dataclass(frozen=True, eq=False)
class HiddenTruth:
    """What is measured, and what is hidden from it to be scored.

    Attributes
    ----------
    series
        The measurements that may be seen, risk 0; asked are the hidden entries alone.
    truth
        (T, C) the hidden values, NaN at all other entries.
    """

    series: Series
    truth: Floats


def load(root: str | Path | None = None) -> HiddenTruth:
    """Load 8,759 hours of 36 stations and, apart from them, the 35,737 values that are hidden.

    Parameters
    ----------
    root
        Folder that holds `beijing_pm25_36/pm25_ground.txt` and `pm25_missing.txt`, plain or .gz; see
        `rstime.datasets.root.find`.

    Raises
    ------
    DatasetNotFoundError
        If a file is not there and is not fetched.
    """
    ground, shown = (pd.read_csv(find(name, root), index_col="datetime") for name in (GROUND, MISSING))
    time = pd.to_datetime(shown.index, format="%Y/%m/%d %H:%M:%S").to_numpy("datetime64[ns]")
    value = shown[list(STATIONS)].to_numpy(np.float64)
    truth = np.where(np.isnan(value), ground.loc[shown.index, list(STATIONS)].to_numpy(np.float64), np.nan)
    return HiddenTruth(exact("beijing_pm25", time, STATIONS, value, asked=~np.isnan(truth)), truth)
