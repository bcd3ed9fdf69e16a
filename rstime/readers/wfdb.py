"""WFDB: records of PhysioNet, numerics or waveforms, with a channel of signal quality where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rstime.errors import ConfigError, DataError
from rstime.readers.reading import Reading, Variables
from rstime.readers.rows import finish
from rstime.types import Floats


def read_wfdb(
    path: str | Path, variables: Variables | None = None, *, quality: Mapping[str, str] | None = None
) -> Reading:
    """Read a WFDB record: a header .hea beside its signal files (WFDB Applications Guide, header(5) and signal(5)).

    The item is the name of the record. Times are dates if the header has a base date, else seconds since its start.
    Each sample of a signal counts as a row; samples marked invalid are counted as "no value". Needs the package wfdb:
    pip install 'rstime[clinical]'.

    Parameters
    ----------
    path
        The record, with or without .hea.
    variables
        Name of a signal -> (name, unit).
    quality
        Name of a signal -> name of the channel with its quality, in [0, 1] or in percent; such channels are no
        variables.

    Raises
    ------
    ConfigError
        If wfdb is not installed, or the record lacks a channel of quality.
    DataError
        If there is no such record or it cannot be read.
    """
    base = Path(path).with_suffix("") if Path(path).suffix == ".hea" else Path(path)
    record = _record(base)
    names = [str(name) for name in record.sig_name]
    signals, judged = np.asarray(record.p_signal, dtype=np.float64), dict(quality or {})
    for channel in judged.values():
        if channel not in names:
            remedy = f"Signals of {base.name}: {', '.join(names)}."
            raise ConfigError("quality", f"no channel {channel!r}", remedy)
    chosen = [number for number, name in enumerate(names) if name not in judged.values()]
    time: Any = np.arange(len(signals)) / record.fs
    if record.base_datetime is not None:
        time = np.datetime64(record.base_datetime, "ns") + np.round(time * 1e9).astype("timedelta64[ns]")
    frames = []
    for number in chosen:
        cells: dict[str, Any] = {"item": record.record_name, "time": time, "code": names[number], "reason": ""}
        cells |= {"value": signals[:, number], "unit": _unit(record.units[number])}
        if judged:
            judge = judged.get(names[number])
            cells["quality"] = np.nan if judge is None else _share(signals, record, names.index(judge))
        frames.append(pd.DataFrame(cells))
    count = len(signals)
    rows = pd.concat(frames, ignore_index=True)
    return finish(rows, str(base), variables, lambda row: f"sample {row % count} of {names[chosen[row // count]]!r}")


def _record(base: Path) -> Any:
    """Read header and signals in physical units."""
    try:
        import wfdb
    except ImportError as error:
        raise ConfigError("wfdb", "the package is not installed", "pip install 'rstime[clinical]'.") from error
    if not base.with_name(base.name + ".hea").is_file():
        raise DataError("WFDB", f"no header {base}.hea", "Name a record: the path of its header, with or without .hea.")
    try:
        record = wfdb.rdrecord(str(base.absolute()))
    except (OSError, ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        remedy = "Check that its header and its signal files are whole and beside each other."
        raise DataError("WFDB", f"{base} cannot be read ({error})", remedy) from error
    if not isinstance(record, wfdb.Record) or record.p_signal is None:
        raise DataError("WFDB", f"{base} has no signals", "Name a record that has some.")
    return record


def _unit(text: str | None) -> str | None:
    """Return the unit of a header; None where it says that there is none."""
    return None if text in (None, "", "NU", "nd") else text


def _share(signals: Floats, record: Any, number: int) -> Floats:
    """Return a channel of quality as a share."""
    return signals[:, number] / (100 if record.units[number] in ("%", "percent", "pct") else 1)
