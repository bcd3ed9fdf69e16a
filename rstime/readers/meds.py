"""MEDS, the Medical Event Data Standard: Parquet shards of events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.errors import DataError
from rstime.readers.reading import Reading, Variables, checked
from rstime.readers.rows import finish

NEEDED = ("subject_id", "time", "code", "numeric_value")
OPTIONAL = ("numeric_value_sd", "unit")


def read_meds(
    path: str | Path, variables: Variables | None = None, *, units: Mapping[str, str] | None = None
) -> Reading:
    """Read the numeric measurements of a MEDS data set.

    Schema of MEDS 0.3 and 0.4: subject_id, time, code, numeric_value. MEDS has no units and no sd. Values are taken to
    be in the unit that `variables` names, unless `units` says otherwise; an extra column numeric_value_sd becomes the
    sd, in the unit of the value, and an extra column unit its unit. Rows without a time (static facts) and without a
    number (diagnoses, text) are left out and counted.

    Parameters
    ----------
    path
        A .parquet file, or a folder of shards: all those in its folder `data`, or else below it, except `metadata`.
    variables
        MEDS code -> (name, unit).
    units
        MEDS code -> unit of its values, where it is another one.

    Raises
    ------
    DataError
        If there is no such file, it cannot be read, or it lacks a column.
    """
    files = _files(Path(path))
    frames = [_shard(file) for file in files]
    starts = np.cumsum([0, *map(len, frames)])
    table = pd.concat(frames, ignore_index=True)
    assumed = {code: unit for code, (_, unit) in (checked(variables) or {}).items() if unit} | dict(units or {})
    code = table["code"].astype(str)
    unit = code.map(assumed).astype(object)
    if "unit" in table:
        unit = table["unit"].astype(object).where(table["unit"].notna(), unit)
    rows = pd.DataFrame({"item": table["subject_id"], "time": table["time"], "code": table["code"], "reason": ""})
    rows = rows.assign(value=table["numeric_value"], unit=unit)
    if "numeric_value_sd" in table:
        rows = rows.assign(sd=table["numeric_value_sd"])

    def place(row: int) -> str:
        shard = int(np.searchsorted(starts, row, side="right")) - 1
        return f"{files[shard].name} row {row - starts[shard]}, code {code[row]!r}"

    return finish(rows, str(path), variables, place)


def _files(path: Path) -> list[Path]:
    """Return the shards of a data set, in order of their names."""
    if path.is_file():
        return [path]
    root = path / "data" if (path / "data").is_dir() else path
    files = sorted(one for one in root.rglob("*.parquet") if "metadata" not in one.relative_to(root).parts)
    if not files:
        raise DataError("MEDS", f"no .parquet file at {path}", "Name a shard, or the folder of the data set.")
    return files


def _shard(file: Path) -> pd.DataFrame:
    """Read the columns that are used."""
    import pyarrow.parquet as parquet

    try:
        names = parquet.read_schema(file).names
        missing = [name for name in NEEDED if name not in names]
        if missing:
            problem = f"{file} has no column {missing[0]!r} among {', '.join(names)}"
            raise DataError("MEDS", problem, "Name files in the schema of MEDS 0.3 or 0.4.")
        return pd.read_parquet(file, columns=[name for name in (*NEEDED, *OPTIONAL) if name in names])
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError("MEDS", f"{file} cannot be read ({error})", "Check that it is a whole Parquet file.") from error
