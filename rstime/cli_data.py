"""What `rstime data` does: list, fetch and describe the data sets that have a loader; convert clinical sources."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import pandas as pd

    from rstime.types import Series

GLUONTS = "gluonts:"
"""What the name of a data set of GluonTS begins with."""


def run(options: argparse.Namespace) -> None:
    """Run one action: list, fetch, describe or convert."""
    if options.action == "list":
        print(listing(options.root))
    elif options.action == "convert":
        from rstime.cli_convert import convert

        print(convert(options))
    elif options.action == "fetch":
        fetch(options.names, options.root)
    else:
        print(describe(options.name, options.root))


def listing(root: Path | None = None) -> str:
    """Return all data sets as text: name, what it is, size, licence, and the folder it was found in."""
    import pandas as pd

    from rstime.datasets.catalogue import CATALOGUE
    from rstime.datasets.root import locate
    from rstime.report import text_table

    rows = []
    for data in CATALOGUE:
        found = [locate(file, root) for file in data.files]
        here = [path for path in found if path is not None]
        whole = len(here) == len(found)
        sizes = [path.stat().st_size for path in here] if whole else [file.size or math.nan for file in data.files]
        absent = "no" if all(file.sha256 for file in data.files) else "no (by hand)"
        rows.append(
            {
                "name": data.name,
                "what": data.title,
                "MB": sum(sizes) / 1e6,
                "licence": data.licence,
                "found": str(here[0].parent) if whole else absent,
            }
        )
    return text_table(pd.DataFrame(rows), digits=1)


def fetch(names: list[str], root: Path | None = None) -> None:
    """Bring the official files of data sets into `root`, or into the cache what is nowhere yet.

    Raises
    ------
    ConfigError
        If a name is not in the catalogue.
    DatasetNotFoundError
        If a file has to be brought by hand.
    DownloadError
        If one cannot be fetched, or is not the published one.
    """
    from rstime.datasets.catalogue import entry
    from rstime.datasets.root import CACHE, locate
    from rstime.datasets.root import fetch as bring

    for data in [entry(name) for name in names]:
        found = [locate(file, root) for file in data.files]
        if any(path is None for path in found):
            bring(data, CACHE.expanduser() if root is None else root)
            found = [locate(file, root) for file in data.files]
        for path in found:
            print(f"{data.name}: {path}")


def describe(name: str, root: Path | None = None) -> str:
    """Say what a data set holds: items, span, step, and a row a variable; licence and citation.

    `gluonts:NAME` is one of the GluonTS repository, which has its own terms and folder.

    Raises
    ------
    ConfigError
        If the name is not in the catalogue.
    DatasetNotFoundError
        If its files are not there and are not fetched.
    """
    from rstime.datasets.catalogue import entry

    if name.startswith(GLUONTS):
        from rstime.datasets.gluonts_name import load as load_by_name

        theirs = load_by_name(name.removeprefix(GLUONTS), root)
        return "\n".join([f"{name}: see gluonts.dataset.repository", extent(theirs), "", _table(theirs, {})])
    data = entry(name)
    load, units = loaders()[name]
    series = load(root)
    lines = [
        f"{name}: {data.title}",
        extent(series),
        f"licence: {data.licence}",
        f"cite: {data.citation}",
        f"page: {data.page}",
        "",
        _table(series, units),
    ]
    return "\n".join(lines)


def loaders() -> dict[str, tuple[Callable[[Path | None], Sequence[Series]], Mapping[str, str]]]:
    """Return loader and units of every data set, by its name in the catalogue."""
    from rstime.datasets import (
        air_quality_uci,
        beijing_pm25,
        etth,
        exchange_rate,
        hall2018_cgm,
        m4_hourly,
        physionet2012,
        shanghai_cgm,
        vic_elec,
    )

    return {
        "physionet2012-a": (lambda root: physionet2012.load(root, subset="a"), physionet2012.UNITS),
        "physionet2012-b": (lambda root: physionet2012.load(root, subset="b"), physionet2012.UNITS),
        "air_quality_uci": (lambda root: [air_quality_uci.load(root)], air_quality_uci.UNITS),
        "shanghai_cgm": (shanghai_cgm.load, shanghai_cgm.UNITS),
        "hall2018_cgm": (hall2018_cgm.load, hall2018_cgm.UNITS),
        "beijing_pm25": (lambda root: [beijing_pm25.load(root).series], beijing_pm25.UNITS),
        "etth1": (lambda root: [etth.load(root, "ETTh1")], etth.UNITS),
        "etth2": (lambda root: [etth.load(root, "ETTh2")], etth.UNITS),
        "ettm1": (lambda root: [etth.load(root, "ETTm1")], etth.UNITS),
        "ettm2": (lambda root: [etth.load(root, "ETTm2")], etth.UNITS),
        "exchange_rate": (lambda root: [exchange_rate.load(root)], exchange_rate.UNITS),
        "m4_hourly": (m4_hourly.load, m4_hourly.UNITS),
        "vic_elec": (lambda root: [vic_elec.load(root)], vic_elec.UNITS),
    }


def extent(series: Sequence[Series]) -> str:
    """Return number of items, stamps and variables, span and usual step, in one or two lines of text."""
    import numpy as np

    counts = [len(one.time) for one in series]
    length = f"{min(counts):,}" if min(counts) == max(counts) else f"{min(counts):,} to {max(counts):,}"
    first, last = min(one.time[0] for one in series), max(one.time[-1] for one in series)
    step = np.median(np.concatenate([np.diff(one.time) for one in series]))
    if isinstance(step, np.timedelta64):
        span = f"{_stamp(first)} to {_stamp(last)}"
        every = f"{step / np.timedelta64(1, 'm'):g} minutes"
    else:
        span, every = f"{first:g} to {last:g}", f"{step:g}"
    width = len(series[0].variables)
    return f"items: {len(series):,}, stamps: {length}, variables: {width}\nspan: {span}, usual step {every}"


def summary(series: Sequence[Series], units: Mapping[str, str]) -> pd.DataFrame:
    """Return count, missing share, mean, sd, least and greatest value of every variable, all items together."""
    import numpy as np
    import pandas as pd

    rows = []
    for column, name in enumerate(series[0].variables):
        value = np.concatenate([one.value[:, column] for one in series])
        known = value[~np.isnan(value)]
        row = {"variable": name, "unit": units.get(name, ""), "count": len(known)}
        row["missing"] = 1 - len(known) / len(value)
        if len(known) > 1:
            row |= {"mean": known.mean(), "sd": known.std(ddof=1), "min": known.min(), "max": known.max()}
        rows.append(row)
    return pd.DataFrame(rows, columns=["variable", "unit", "count", "missing", "mean", "sd", "min", "max"])


def _table(series: Sequence[Series], units: Mapping[str, str]) -> str:
    from rstime.report import text_table

    return text_table(summary(series, units), digits=4, percent=("missing",))


def _stamp(time: np.datetime64) -> str:
    return str(time.astype("datetime64[m]")).replace("T", " ")
