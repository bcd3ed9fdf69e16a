"""Plain-text tables for the terminal: aligned, grouped, readable without colour."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

import pandas as pd

from rstime.errors import ConfigError

NOTHING = "-"


def text_table(
    frame: pd.DataFrame,
    *,
    digits: int | Mapping[str, int] = 3,
    percent: tuple[str, ...] = (),
    group: tuple[str, ...] = (),
) -> str:
    """Return a data frame as aligned text: words to the left, numbers to the right, empty cells as a dash.

    Parameters
    ----------
    frame
        One row a line; its index is left out.
    digits
        Digits after the point of columns that are not whole numbers, for all columns or by name (others have 3).
    percent
        Columns of shares in [0, 1] to be written in percent with one digit.
    group
        Columns left blank while the first of them repeats; an empty line stands wherever it changes.

    Raises
    ------
    ConfigError
        If a name in `group` or `percent` is not a column.

    Examples
    --------
    >>> frame = pd.DataFrame({"at": ["missing", "noisy"], "n": [1200, 80], "hit": [0.9, None]})
    >>> print(text_table(frame, percent=("hit",)))
    at           n     hit
    ----------------------
    missing  1,200  90.0 %
    noisy       80       -
    """
    for name in (*percent, *group):
        if name not in frame.columns:
            raise ConfigError("column", f"no column {name!r}", f"Columns: {', '.join(map(str, frame.columns))}.")
    first = list(frame[group[0]]) if group else []
    repeats = [index > 0 and first[index] == first[index - 1] for index in range(len(first))]
    columns: list[list[str]] = []
    for name in frame.columns:
        places = digits.get(str(name), 3) if isinstance(digits, Mapping) else digits
        cells = [_cell(value, places, name in percent) for value in frame[name]]
        if name in group:
            cells = ["" if repeat else cell for repeat, cell in zip(repeats, cells, strict=True)]
        numeric = all(isinstance(value, Real) or pd.isna(value) for value in frame[name])
        width = max(len(text) for text in (str(name), *cells))
        columns.append([text.rjust(width) if numeric else text.ljust(width) for text in (str(name), *cells)])
    rows = ["  ".join(cells) for cells in zip(*columns, strict=True)]
    lines = [rows[0].rstrip(), "-" * len(rows[0])]
    for index, row in enumerate(rows[1:]):
        if group and index > 0 and not repeats[index]:
            lines.append("")
        lines.append(row.rstrip())
    return "\n".join(lines)


def scores_table(frame: pd.DataFrame) -> str:
    """Return scores by kind of entry and method as text, one block a kind of entry.

    Parameters
    ----------
    frame
        Columns `entries`, `count`, `method`, then scores; columns that begin with "inside" are shares.
    """
    shares = tuple(str(name) for name in frame.columns if str(name).startswith("inside"))
    return text_table(frame, percent=shares, group=("entries", "count"))


def support_table(frame: pd.DataFrame) -> str:
    """Return the support of a fitted model as text: per variable the smallest risk that training data can teach."""
    shares = tuple(str(name) for name in frame.columns if str(name).startswith("share"))
    return text_table(frame, percent=shares)


def _cell(value: object, digits: int, percent: bool) -> str:
    if value is None or value != value:  # NaN
        return NOTHING
    if isinstance(value, bool) or not isinstance(value, Real):
        return str(value)
    if percent:
        return f"{100 * float(value):.1f} %"
    return f"{int(value):,}" if isinstance(value, Integral) else f"{float(value):,.{digits}f}"
