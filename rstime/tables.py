"""Tables and models on disk: CSV and Parquet by suffix, and writing that leaves nothing half done."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from rstime.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
EMPTY = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]
"""What counts as an empty cell in a column of numbers."""


def check_suffix(path: Path, field: str = "table", suffixes: Sequence[str] = SUFFIXES) -> None:
    """Raise ConfigError unless the file is named .csv or .parquet, or has another of these suffixes."""
    if path.suffix.lower() not in suffixes:
        raise ConfigError(field, f"{path} ends in {path.suffix or 'no suffix'!r}", f"Name it {' or '.join(suffixes)}.")


def read(path: Path, *, text: Collection[str] = (), columns: Collection[str] | None = None) -> pd.DataFrame:
    """Read a table.

    Parameters
    ----------
    path
        A .csv or .parquet file.
    text
        Columns of names: read as text from CSV, so that item "007" and variable "NA" stay what they are.
    columns
        The only columns to read; all of them by default, and where one is absent, so that a complaint can list them.

    Raises
    ------
    ConfigError
        If the suffix is another one.
    DataError
        If there is no such file, or it cannot be read as what its suffix says.
    """
    import pandas as pd

    check_suffix(path)
    if not path.is_file():
        raise DataError("table", f"there is no file {path}", "Check the path.")
    try:
        if path.suffix.lower() == ".parquet":
            frame = pd.read_parquet(path)
            return frame[_wanted(frame.columns, columns)]
        header = pd.read_csv(path, nrows=0).columns
        return pd.read_csv(
            path,
            usecols=_wanted(header, columns),
            dtype={name: str for name in header if name in text},
            keep_default_na=False,
            na_values={name: [""] if name in text else EMPTY for name in header},
            float_precision="round_trip",
        )
    except (ValueError, OSError) as error:
        raise DataError(
            "table", f"{path} cannot be read ({error})", "Check that it is what its suffix says."
        ) from error


def _wanted(header: pd.Index[str], columns: Collection[str] | None) -> list[str]:
    """Return these columns, or all if any of them is absent."""
    return list(header) if columns is None or set(columns) - set(header) else [x for x in header if x in columns]


def read_verbatim(path: Path) -> pd.DataFrame:
    """Read a table cell by cell as it is written, to be repeated in a result: CSV stays text, nothing is empty."""
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        return read(path)
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet by its suffix."""
    if path.suffix.lower() == ".parquet":
        frame.to_parquet(path, index=False)
    else:
        frame.to_csv(path, index=False)


@contextmanager
def replacing(*targets: Path) -> Iterator[list[Path]]:
    """Hand out a draft path of the same name for each file; move all into place at the end, or none on any error.

    Raises
    ------
    ConfigError
        If the folder of a target does not exist.
    """
    check_folders(*targets)
    rooms = [Path(tempfile.mkdtemp(prefix=".rstime-", dir=target.absolute().parent)) for target in targets]
    drafts = [room / target.name for room, target in zip(rooms, targets, strict=True)]
    try:
        yield drafts
        for draft, target in zip(drafts, targets, strict=True):
            os.replace(draft, target)
    finally:
        for room in rooms:
            shutil.rmtree(room, ignore_errors=True)


def check_target(option: str, path: Path, *others: Path | None, suffixes: Sequence[str] = SUFFIXES) -> None:
    """Raise ConfigError unless a file can be written there, and is none of the other files of the command."""
    check_suffix(path, option, suffixes)
    check_folders(path)
    if path.is_dir():
        raise ConfigError(option, f"{path} is a folder", "Name a file.")
    if path.resolve() in [other.resolve() for other in others if other is not None]:
        raise ConfigError(option, f"{path} is another file of this command already", "Choose another name.")


def check_folders(*targets: Path) -> None:
    """Raise ConfigError unless the folder of each target exists."""
    for target in targets:
        if not target.absolute().parent.is_dir():
            raise ConfigError("output", f"the folder of {target} does not exist", "Create it first.")
