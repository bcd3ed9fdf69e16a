"""Where the files of the data sets lie on this machine, and how they get there."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rstime.datasets.catalogue import DataSet, File, origin
from rstime.datasets.download import download, extract
from rstime.errors import DatasetNotFoundError

CACHE = Path("~/.cache/rstime")


def find(path: str, root: str | Path | None = None) -> Path:
    """Path of one file of a data set, in whichever form of it is there.

    Looked for under `root` if it is given, else under RSTIME_DATA, ../shared/data and ~/.cache/rstime, in this order.
    If it is in none of these, `root` is not given, RSTIME_OFFLINE is not set and the catalogue knows address and
    digest, the whole data set is fetched into ~/.cache/rstime, which a line on stderr says.

    Parameters
    ----------
    path
        File relative to the root, such as "etth1/ETTh1.csv"; as in the catalogue, if it is there.
    root
        Folder that holds one folder a data set.

    Raises
    ------
    DatasetNotFoundError
        If the file is in none of these places and is not fetched.
    DownloadError
        If it cannot be fetched.
    """
    known = origin(path)
    file = File(path) if known is None else known[1]
    found = locate(file, root)
    if found is not None:
        return found
    if known is None or root is not None or not file.sha256 or os.environ.get("RSTIME_OFFLINE"):
        raise _missing(file, None if known is None else known[0], root)
    cache = CACHE.expanduser()
    fetch(known[0], cache)
    return cache / path


def locate(file: File, root: str | Path | None = None) -> Path | None:
    """Path of a file where it lies now, the first of its forms in the first place that has one; None if nowhere."""
    forms = (place / form for place in places(root) for form in file.forms)
    return next((path for path in forms if path.is_file()), None)


def places(root: str | Path | None = None) -> list[Path]:
    """Folders to look in: `root` alone if given, else RSTIME_DATA, ../shared/data and the cache."""
    if root is not None:
        return [Path(root).expanduser()]
    named = os.environ.get("RSTIME_DATA")
    chosen = [Path(named)] if named else []
    return [place.expanduser() for place in (*chosen, Path("../shared/data"), CACHE)]


def fetch(data: DataSet, root: Path, progress: bool = True) -> list[Path]:
    """Bring those official files of a data set that are not under `root` yet; return the new ones.

    Raises
    ------
    DatasetNotFoundError
        If a file has to be brought by hand.
    DownloadError
        If one cannot be fetched, or is not the published one.
    """
    absent = [file for file in data.files if locate(file, root) is None]
    for file in absent:
        if not file.sha256:
            raise _missing(file, data, root)
    archives: set[Path] = set()
    try:
        for file in absent:
            target = root / file.path
            archive = target.parent / file.url.rsplit("/", 1)[-1]
            if not file.member or archive not in archives:
                print(f"{data.name}: fetching {file.url}{_length(file)}; licence: {data.licence}", file=sys.stderr)
            if not file.member:
                download(file.url, target, file.sha256, file.size, progress)
                continue
            if archive not in archives:
                download(file.url, archive, None, progress=progress)
                archives.add(archive)
            extract(archive, file.member, target, file.sha256)
    finally:
        for archive in archives:
            archive.unlink(missing_ok=True)
    return [root / file.path for file in absent]


def _length(file: File) -> str:
    return "" if file.member or file.size is None else f" ({file.size / 1e6:.1f} MB)"


def _missing(file: File, data: DataSet | None, root: str | Path | None) -> DatasetNotFoundError:
    """Say which file is not there, where it comes from and where it goes."""
    looked = places(root)
    advice = [] if data is None else [f"It comes from {data.page} ({data.licence})."]
    if data is not None and data.by_hand:
        advice.append(data.by_hand)
    if data is not None and file.sha256:
        advice.append(f"`rstime data fetch {data.name}` brings it.")
    names = " or ".join(str(looked[-1] / form) for form in reversed(file.forms))
    folder = file.path.split("/")[0]
    advice.append(f"Put the file at {names}, or set RSTIME_DATA to the folder that holds {folder}.")
    where = ", ".join(str(place / file.path) for place in looked)
    return DatasetNotFoundError(file.path, f"not found at {where}", " ".join(advice))
