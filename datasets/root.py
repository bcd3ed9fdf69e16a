"""Where the files of the data sets lie on this machine."""

from __future__ import annotations

import os
from pathlib import Path

from rstime.errors import DatasetNotFoundError

CACHE = Path("~/.cache/rstime")


def find(name: str, root: str | Path | None = None) -> Path:
    """Path of one file of a data set.

    Looked for under `root` if it is given, else under RSTIME_DATA, ../shared/data and ~/.cache/rstime, in this order.

    Parameters
    ----------
    name
        File relative to the root, such as "etth1/ETTh1.csv".
    root
        Folder that holds one folder a data set.

    Raises
    ------
    DatasetNotFoundError
        If the file is in none of these places.
    """
    named = os.environ.get("RSTIME_DATA")
    roots: list[str | Path] = [*([named] if named else []), "../shared/data", CACHE] if root is None else [root]
    places = [Path(place).expanduser() / name for place in roots]
    for place in places:
        if place.is_file():
            return place
    raise DatasetNotFoundError(
        name,
        f"not found at {', '.join(map(str, places))}",
        f"Put the file at {places[-1]}, or set RSTIME_DATA to the folder that holds {name}.",
    )
