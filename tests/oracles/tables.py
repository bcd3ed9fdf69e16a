"""Small tables for tests that read them."""

from __future__ import annotations

from typing import Any

import pandas as pd

from rstime.frame import from_long
from rstime.types import Series


def table(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["item_id", "timestamp", "variable", "value", "sd"])


def covariates(*rows: tuple[Any, ...]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["item_id", "timestamp", "temp"])


def one(frame: pd.DataFrame, **settings: Any) -> Series:
    (series,) = from_long(frame, **settings)
    return series
