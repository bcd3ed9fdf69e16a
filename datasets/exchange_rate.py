"""Exchange rates of eight currencies against the US dollar, daily (Lai et al. 2018, LSTNet).

Australia, United Kingdom, Canada, Switzerland, China, Japan, New Zealand and Singapore in the order of the source,
which gives neither dates nor which way round a rate is. Stamps are business days from 1990-01-01 on, as GluonTS has
them. The usual task there: the last five blocks of 30 days one by one. No figure for the noise; the source states no
licence: research use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.types import Series

FILE = "exchange_rate/exchange_rate.txt.gz"
VARIABLES = ("Australia", "United Kingdom", "Canada", "Switzerland", "China", "Japan", "New Zealand", "Singapore")
UNITS = dict.fromkeys(VARIABLES, "rate")


def load(root: str | Path | None = None) -> Series:
    """Load 7,588 days of 8 rates as one Series; nothing is missing, risk is 0.

    Parameters
    ----------
    root
        Folder that holds `exchange_rate/exchange_rate.txt.gz`; see `rstime.datasets.root.find`.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there and is not fetched.
    """
    value = pd.read_csv(find(FILE, root), header=None).to_numpy(np.float64)
    days = pd.bdate_range("1990-01-01", periods=len(value))
    return exact("exchange_rate", days.to_numpy("datetime64[ns]"), VARIABLES, value)
