"""Wide tables: a column a variable, and beside it columns of its sd and quality where there are such."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.errors import DataError
from rstime.readers.reading import Reading, Variables, checked
from rstime.readers.rows import drop, finish
from rstime.tables import read


def read_wide(
    path: str | Path,
    variables: Variables | None = None,
    *,
    item_id: str = "item_id",
    timestamp: str = "timestamp",
    units: Mapping[str, str] | None = None,
    sd_suffix: str = "_sd",
    quality_suffix: str = "_quality",
) -> Reading:
    """Read a wide table: columns such as hr, hr_sd and hr_quality; each cell of a variable counts as a row.

    Empty cells are counted as "no value". Without a column of items all rows are one item named "series".

    Parameters
    ----------
    path
        A .csv or .parquet file.
    variables
        Column -> (name, unit); other columns are counted as not in the mapping.
    item_id, timestamp
        Columns of items and time stamps.
    units
        Column -> unit of its values and sd; where it is not given, values are in the unit of `variables`.
    sd_suffix, quality_suffix
        Ends of the names of the columns of sd and of quality in [0, 1].

    Raises
    ------
    DataError
        If there is no such file, it cannot be read, or it has no time stamps or no variable.
    """
    table = read(Path(path), text=(item_id, timestamp))
    if timestamp not in table:
        problem = f"{path} has no column {timestamp!r} among {', '.join(map(str, table.columns))}"
        raise DataError("columns", problem, "Say which column it is: timestamp=..., item_id=...")
    others = [str(name) for name in table.columns if name not in (item_id, timestamp)]
    beside = {name + end for name in others for end in (sd_suffix, quality_suffix)}
    names = [name for name in others if name not in beside]
    if not names:
        raise DataError("columns", f"{path} has no column of values", "Give one column for each variable.")
    found = {code: unit for code, (_, unit) in (checked(variables) or {}).items() if unit} | dict(units or {})
    parts = pd.DataFrame({"item": table.get(item_id, "series"), "time": table[timestamp], "reason": ""})
    if parts["time"].dtype == object:  # numbers come as text from CSV
        numbers = pd.to_numeric(parts["time"], errors="coerce")
        if numbers.notna().mean() > 0.5:
            parts = drop(parts, numbers.isna() & parts["time"].notna(), "time that cannot be read").assign(time=numbers)
    frames = []
    for name in names:
        part = parts.assign(code=name, value=table[name], unit=found.get(name), sd=np.nan)
        if name + sd_suffix in table:
            part = part.assign(sd=table[name + sd_suffix])
        if any(one + quality_suffix in table for one in names):
            part = part.assign(quality=table.get(name + quality_suffix, np.nan))
        frames.append(part.astype({"value": object, "sd": object, "unit": object}))
    count = len(table)
    rows = pd.concat(frames, ignore_index=True)
    return finish(rows, str(path), variables, lambda row: f"row {row % count}, column {names[row // count]!r}")
