"""ShanghaiT1DM and ShanghaiT2DM: a glucose sensor beside fingersticks (Zhao et al. 2023).

FreeStyle Libre H on 12 people with type-1 and 100 with type-2 diabetes, 125 recordings of 3 to 14 days, every 15
minutes. cgm_mg_dl is the noisy sensor (in tissue, 5 to 10 minutes late, lower than blood on average), cbg_mg_dl the
reference: capillary blood several times a day, itself right to some 5 to 7 %. The sensor's error grows with the
level. Clock time of the place, without zone. No usual split: part people, not recordings (`patient`). Licence CC BY
4.0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.types import Series

FILE = "shanghai_cgm_cbg/shanghai_cgm_cbg.csv.gz"
UNITS = {"cgm_mg_dl": "mg/dL", "cbg_mg_dl": "mg/dL", "blood_ketone_mmol_l": "mmol/L"}
VARIABLES = tuple(UNITS)
HIGHEST = 600.0
"""Fingersticks above this are typing errors, mg/dL."""


def load(root: str | Path | None = None, clean: bool = True) -> list[Series]:
    """Load one Series a recording, named patient_visit; risk 0 where there is a value, of the sensor too.

    The static number is diabetes_type, 1 or 2.

    Parameters
    ----------
    root
        Folder that holds `shanghai_cgm_cbg/shanghai_cgm_cbg.csv.gz`; see `rstime.datasets.root.find`.
    clean
        Drop fingersticks above `HIGHEST` (there is one, 2,044.8 mg/dL).

    Raises
    ------
    DatasetNotFoundError
        If the file is not there: it has to be brought by hand.
    """
    frame = pd.read_csv(find(FILE, root), parse_dates=["timestamp"])
    if clean:
        frame["cbg_mg_dl"] = frame["cbg_mg_dl"].where(frame["cbg_mg_dl"] <= HIGHEST)
    return [
        exact(
            f"{patient}_{visit}",
            rows["timestamp"].to_numpy("datetime64[ns]"),
            VARIABLES,
            rows[list(VARIABLES)].to_numpy(np.float64),
            static=np.array([1.0 if cohort == "T1DM" else 2.0]),
            static_names=("diabetes_type",),
        )
        for (cohort, patient, visit), rows in frame.groupby(["cohort", "patient", "visit"])
    ]


def patient(series: Series) -> str:
    """Name of the person a recording is of.

    Examples
    --------
    >>> patient(exact("1002_1", np.arange(1.0), ("cgm_mg_dl",), np.array([[100.0]])))
    '1002'
    """
    return series.item_id.split("_")[0]
