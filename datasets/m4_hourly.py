"""M4 competition, hourly: 414 series with the 48 hours that were to be forecast (Makridakis et al. 2020).

700 or 960 hours to learn from and 48 to forecast; period 24. Units differ and are not stated, and neither are dates:
time is in hours since the first value. No figure for the noise; the source states no licence: research use.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.datasets.root import find
from rstime.errors import ConfigError
from rstime.types import Series

TRAIN = "m4_hourly/Hourly-train.csv"
TEST = "m4_hourly/Hourly-test.csv"
HORIZON = 48
UNITS = {"value": "not stated"}


def load(root: str | Path | None = None, part: str = "train") -> list[Series]:
    """Load the series H1 to H414, one variable each; nothing is missing, risk is 0.

    Parameters
    ----------
    root
        Folder that holds `m4_hourly/Hourly-train.csv` and `Hourly-test.csv`, plain or .gz; see
        `rstime.datasets.root.find`.
    part
        "train": what was given. "test": the 48 hours after it, on the same clock. "all": both, one after the other.

    Raises
    ------
    ConfigError
        If there is no such part.
    DatasetNotFoundError
        If a file is not there and is not fetched.
    """
    if part not in ("train", "test", "all"):
        raise ConfigError("part", f"{part!r}", "Use train, test or all.")
    train, test = (pd.read_csv(find(name, root), index_col=0).astype(np.float64) for name in (TRAIN, TEST))
    return [
        _series(str(name), train.loc[name].dropna().to_numpy(), test.loc[name].to_numpy(), part) for name in train.index
    ]


def _series(name: str, train: np.ndarray, test: np.ndarray, part: str) -> Series:
    chosen = {"train": slice(0, len(train)), "test": slice(len(train), None), "all": slice(None)}[part]
    value = np.concatenate([train, test])
    return exact(name, np.arange(float(len(value)))[chosen], tuple(UNITS), value[chosen, None])
