"""What `rstime data convert` does: a clinical source becomes a long table, with risk from its devices."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rstime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rstime.readers import Reading
    from rstime.readers.reading import Variables

MAP = ("code", "name", "unit")
OWN_OPTIONS = {"keep_censored": ("omop", "fhir"), "quality": ("wfdb",)}
"""Options that only some formats have."""


def convert(options: argparse.Namespace) -> str:
    """Write the table, and return the report as text.

    Raises
    ------
    ConfigError
        If the format has no such option, the table cannot be written there, or a map is not what it should be.
    DataError
        If the source or a map cannot be read, or a row has no device or no unit.
    """
    from rstime.risk.sensors import assign_risk
    from rstime.tables import check_target, replacing, write

    for name, formats in OWN_OPTIONS.items():
        if getattr(options, name) and options.format not in formats:
            option = "--" + name.replace("_", "-")
            raise ConfigError(option, f"{options.format} has no such thing", f"It is for {' and '.join(formats)}.")
    check_target("--out", options.out, options.path, options.variables, options.devices)
    variables, units = (None, {}) if options.variables is None else variables_map(options.variables)
    devices = None if options.devices is None else devices_map(options.devices)
    reading = _read(options, variables, units)
    frame = reading.frame
    if devices is not None and len(frame):
        frame = assign_risk(frame, devices)
    with replacing(options.out) as (draft,):
        write(frame, draft)
    lines = [str(reading.report), f"{options.out}: {len(frame)} rows"]
    unknown = int(frame["sd"].isna().sum())
    if unknown:
        lines.append(f"sd is empty in {unknown} rows: fill it, or say with --devices what measured them")
    return "\n".join(lines)


def variables_map(path: Path) -> tuple[Variables, dict[str, str]]:
    """Read code -> (name, unit) from CSV or JSON, and code -> unit in the source where that is given.

    Raises
    ------
    ConfigError
        If an entry is not a name and a unit.
    DataError
        If the file cannot be read.
    """
    entries: dict[str, list[Any]]
    if path.suffix.lower() == ".json":
        entries = {code: entry if isinstance(entry, list) else [entry] for code, entry in _json(path).items()}
    else:
        from rstime.tables import read

        frame = read(path, text=(*MAP, "source_unit"))
        missing = [name for name in MAP if name not in frame]
        if missing:
            found = ", ".join(map(str, frame.columns))
            raise ConfigError("--variables", f"{path} has no column {missing[0]!r} among {found}", "Name it so.")
        names = [*MAP[1:], *(["source_unit"] if "source_unit" in frame else [])]
        cells = frame[names].astype(object).where(frame[names].notna(), None).to_numpy().tolist()
        entries = dict(zip(frame["code"].astype(str), cells, strict=True))
        if len(entries) < len(frame):
            twice = frame["code"][frame["code"].duplicated()].iloc[0]
            raise ConfigError("--variables", f"{path} has code {twice!r} twice", "Give each code once.")
    for code, entry in entries.items():
        if not (2 <= len(entry) <= 3 and all(cell is None or isinstance(cell, str) for cell in entry)):
            problem = f"{code!r} is mapped to {entry!r} in {path}"
            raise ConfigError(
                "--variables", problem, "Give name and unit, and where it differs the unit in the source."
            )
    units = {code: entry[2] for code, entry in entries.items() if len(entry) == 3 and entry[2]}
    return {code: (entry[0], entry[1]) for code, entry in entries.items()}, units


def devices_map(path: Path) -> Mapping[str, str | float]:
    """Read variable or device -> name of a sensor or sd, from JSON.

    Raises
    ------
    ConfigError
        If an entry is neither text nor a number.
    DataError
        If the file cannot be read.
    """
    entries = _json(path)
    for name, device in entries.items():
        if not isinstance(device, str | int | float) or isinstance(device, bool):
            problem = f"{name!r} is mapped to {device!r} in {path}"
            raise ConfigError("--devices", problem, "Give the name of a sensor (docs/sensors.md), or an sd.")
    return entries


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("map", f"{path} cannot be read ({error})", 'Give JSON such as {"map": "cuff"}.') from error
    if not isinstance(content, dict):
        raise DataError("map", f"{path} holds no object", 'Give JSON such as {"map": "cuff"}.')
    return content


def _read(options: argparse.Namespace, variables: Variables | None, units: Mapping[str, str]) -> Reading:
    """Call the reader of the format."""
    from rstime import readers

    if units and options.format not in ("meds", "wide"):
        problem = f"a source_unit, but {options.format} has units of its own"
        raise ConfigError("--variables", problem, "Leave that column out.")
    match options.format:
        case "meds":
            return readers.read_meds(options.path, variables, units=units)
        case "omop":
            return readers.read_omop(options.path, variables, keep_censored=options.keep_censored)
        case "fhir":
            return readers.read_fhir(options.path, variables, keep_censored=options.keep_censored)
        case "wfdb":
            return readers.read_wfdb(options.path, variables, quality=dict(options.quality))
    columns = {"item_id": options.id_col, "timestamp": options.time_col}
    return readers.read_wide(options.path, variables, units=units, **columns)
