"""Tables and models on disk: CSV and Parquet by suffix, and writing that leaves nothing half done."""

from __future__ import annotations

import csv
import gzip
import os
import shutil
import tempfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rstime.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
"""What a table that is written may end in."""

SEPARATORS = {".csv": ",", ".csv.gz": ",", ".tsv": "\t"}
"""Columns of tables of text that are read, by what the file's name ends in."""

SAVE = "Save it as .csv (or .csv.gz), .tsv or .parquet."
UTF_8 = "Save it as UTF-8 (a spreadsheet: CSV UTF-8; pandas: read it with its encoding, and to_csv)."
LINE, FILE = "line", "file"
"""Of a table that was read from text: its index, the line at which each row begins, and in `attrs` the file's name."""

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
        A .csv, .csv.gz, .tsv or .parquet file. Rows of text have the number of their line in the file as index.
    text
        Columns of names: read as text from CSV, so that item "007" and variable "NA" stay what they are.
    columns
        The only columns to read; all of them by default, and where one is absent, so that a complaint can list them.

    Raises
    ------
    ConfigError
        If the suffix is another one.
    DataError
        If there is no such file, it cannot be read as what its suffix says, or a row has more fields than the header.
    """
    import pandas as pd

    _check_file(path)
    if path.suffix.lower() == ".parquet":
        with _naming(path):
            frame = pd.read_parquet(path)
        return frame[_wanted(frame.columns, columns)]
    lines = _lines(path)
    with _naming(path):
        header = pd.read_csv(path, sep=_separator(path), nrows=0, index_col=False).columns
        frame = pd.read_csv(
            path,
            sep=_separator(path),
            index_col=False,
            usecols=_wanted(header, columns),
            dtype={name: str for name in header if name in text},
            keep_default_na=False,
            na_values={name: [""] if name in text else EMPTY for name in header},
            float_precision="round_trip",
        )
    if len(lines) == len(frame):
        frame.index = pd.Index(lines, name=LINE)
        frame.attrs[FILE] = str(path)
    return frame


def _check_file(path: Path) -> None:
    """Raise unless there is a file of a kind that is read."""
    if not path.name.lower().endswith((*SEPARATORS, ".parquet")):
        raise ConfigError("table", f"{path} ends in {path.suffix or 'no suffix'!r}", SAVE)
    if not path.is_file():
        raise DataError("table", f"there is no file {path}", "Check the path.")


def _separator(path: Path) -> str:
    return next(sign for end, sign in SEPARATORS.items() if path.name.lower().endswith(end))


def _lines(path: Path) -> list[int]:
    """Return the line of the file at which each row begins, from the header's 1 on; every row must fit the header.

    Raises
    ------
    DataError
        If the file is not UTF-8, another sign separates its columns, or a row has more fields than the header.
    """
    with _naming(path), _opened(path, "rb") as file:
        if b"\0" in file.read(1000):
            raise DataError("table", f"{path} is not UTF-8 (zero bytes, as in UTF-16)", UTF_8)
    rows = _rows(path)
    header = next(rows, (1, []))[1]
    _check_header(path, header)
    widths = {line: len(row) for line, row in rows}
    long = {line: width for line, width in widths.items() if width > len(header)}
    if long:
        line, width = next(iter(long.items()))
        more = f" (and {len(long) - 1} more)" if len(long) > 1 else ""
        problem = f"line {line} of {path} has {width} fields{more}, the header {len(header)}"
        text = f"text that holds {_separator(path)!r} in double quotes"
        remedy = f"Write decimals with a point (1.5), {text}, and a name for every column."
        raise DataError("table", problem, remedy)
    return list(widths)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each row but empty ones, which pandas passes over, and the line at which it begins."""
    line = 1
    with _naming(path), _opened(path, "rt", encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=_separator(path))
        for row in rows:
            if len(row) > 1 or (row and row[0].strip()):
                yield line, row
            line = rows.line_num + 1


def _check_header(path: Path, header: list[str]) -> None:
    """Raise DataError if another sign than that of the suffix separates the columns."""
    other = next((sign for sign in ";\t|," if len(header) == 1 and sign in header[0]), None)
    if other is not None:
        name = {"\t": "tab", ",": "comma"}.get(other, repr(other))
        remedy = {"\t": "Name it .tsv.", ",": "Name it .csv."}.get(
            other, "Separate columns by commas, and write decimals with a point (pandas: sep=..., decimal=...)."
        )
        raise DataError("table", f"{path} separates its columns by {name}: {header[0]}", remedy)


def _opened(path: Path, mode: str, **settings: Any) -> Any:
    return gzip.open(path, mode, **settings) if path.suffix.lower() == ".gz" else path.open(mode, **settings)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Say which file cannot be read, and why."""
    try:
        yield
    except DataError:
        raise
    except UnicodeDecodeError as error:
        problem = f"{path} is not UTF-8 (byte {error.object[error.start]:#04x}, as in Latin-1 or Windows-1252)"
        raise DataError("table", problem, UTF_8) from error
    except (ValueError, OSError, EOFError, zlib.error, csv.Error) as error:
        remedy = "Check that it is what its suffix says, and text in UTF-8."
        raise DataError("table", f"{path} cannot be read ({error})", remedy) from error


def _wanted(header: pd.Index[str], columns: Collection[str] | None) -> list[str]:
    """Return these columns, or all if any of them is absent."""
    return list(header) if columns is None or set(columns) - set(header) else [x for x in header if x in columns]


def read_verbatim(path: Path) -> pd.DataFrame:
    """Read a table cell by cell as it is written, to be repeated in a result: CSV stays text, nothing is empty."""
    import pandas as pd

    if path.suffix.lower() == ".parquet":
        return read(path)
    _check_file(path)
    _lines(path)
    with _naming(path):
        return pd.read_csv(path, sep=_separator(path), index_col=False, dtype=str, keep_default_na=False)


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
