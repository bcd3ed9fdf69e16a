"""Hall et al. 2018: a glucose sensor on 57 adults, most of them without diabetes, for one to four weeks.

Dexcom G4, every 5 minutes, free living, one variable: the sensor alone, without reference (mean absolute relative
difference 9 to 13 % by the studies of this sensor). Wear periods of one person can lie months apart, so that each is
an item of its own. Readings below its range are the word Low in the file, and missing here: not at random. Clock time
of the place, without zone. No usual split: part people (`person`). Licence CC BY 4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.errors import ConfigError
from rstime.types import Series

FILE = "cgm_hall2018/pbio.2005143.s010"
UNITS = {"glucose_value_mg_dl": "mg/dL"}
STEP = np.timedelta64(5, "m")
GAP = np.timedelta64(1, "D")
"""A longer gap ends a wear period."""


def load(root: str | Path | None = None, grid: str | None = "5min") -> list[Series]:
    """Load one Series a wear period, named person/number; risk 0 where there is a value, for want of a figure.

    Parameters
    ----------
    root
        Folder that holds `cgm_hall2018/pbio.2005143.s010` (S1 Data of the paper), or the same as cgm_hall2018.csv.gz
        with the columns person_id, timestamp, glucose_value_mg_dl; see `rstime.datasets.root.find`.
    grid
        "5min": every 5 minutes since the first reading, each reading at the nearest stamp. None: the stamps of the
        file.

    Raises
    ------
    ConfigError
        If `grid` is neither "5min" nor None.
    DatasetNotFoundError
        If the file is not there: it has to be brought by hand.
    """
    if grid not in ("5min", None):
        raise ConfigError("grid", f"{grid!r}", 'Use "5min", or None for the stamps of the file.')
    path = find(FILE, root)
    official = path.name == Path(FILE).name  # with the columns time, glucose, person
    frame = pd.read_csv(path, sep="\t").iloc[:, [2, 0, 1]] if official else pd.read_csv(path)
    frame = frame.set_axis(["person", "time", "value"], axis=1)
    frame["time"] = pd.to_datetime(frame["time"])
    frame["value"] = pd.to_numeric(frame["value"], errors="coerce")
    frame = frame.sort_values(["person", "time"], kind="stable").drop_duplicates(["person", "time"], keep="last")
    frame["period"] = (frame.groupby("person")["time"].diff() > GAP).groupby(frame["person"]).cumsum()
    return [_series(f"{person}/{period}", rows, grid) for (person, period), rows in frame.groupby(["person", "period"])]


def person(series: Series) -> str:
    """Name of the person a wear period is of.

    Examples
    --------
    >>> person(exact("2133-004/1", np.arange(1.0), tuple(UNITS), np.array([[100.0]])))
    '2133-004'
    """
    return series.item_id.rsplit("/", 1)[0]


def _series(name: str, rows: pd.DataFrame, grid: str | None) -> Series:
    time, value = rows["time"].to_numpy("datetime64[ns]"), rows["value"].to_numpy(np.float64)
    if grid is not None:
        index = np.rint((time - time[0]) / STEP).astype(int)
        time, readings = time[0] + STEP * np.arange(index[-1] + 1), value
        value = np.full(len(time), np.nan)
        value[index] = readings  # the last one stays
    return exact(name, time, tuple(UNITS), value[:, None])
