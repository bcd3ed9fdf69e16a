"""FHIR R4: Observations from bundles, bulk exports and single files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from rstime.errors import DataError
from rstime.readers.reading import Reading, Variables
from rstime.readers.rows import finish

LOINC, UCUM = "http://loinc.org", "http://unitsofmeasure.org"
VOID = ("entered-in-error", "cancelled")
"""Status of an Observation that is no measurement (FHIR R4, ObservationStatus)."""

PERIOD = "effectivePeriod, taken at its start"


def read_fhir(path: str | Path, variables: Variables | None = None, *, keep_censored: bool = False) -> Reading:
    """Read the numeric Observations of FHIR R4 (4.0.1): valueQuantity or valueInteger, of the whole and of components.

    The item is the id of the subject. The code is that of the first coding that `variables` knows, as "system|code" or
    "code"; without a mapping, the LOINC code or else the first one. A panel counts one row a component, and one for its
    own value if it has one. The device is the column `device`. Status entered-in-error and cancelled, data that are
    absent for a reason, values with a comparator and resources of other kinds are left out and counted.

    Parameters
    ----------
    path
        A Bundle, an Observation or a list of them as .json; .ndjson with a resource a line; or a folder of such files.
    variables
        Code -> (name, unit).
    keep_censored
        Keep values with a comparator <, <=, > or >= at their limit, with the comparator in a column `censored`.

    Raises
    ------
    DataError
        If there is no such file, or it is not JSON or holds no FHIR resources.
    """
    known = {str(code) for code in variables or {}}
    found: list[dict[str, Any]] = []
    for where, resource in _resources(Path(path)):
        rows = _rows(resource, known, keep_censored)
        found += [{"place": where, **{name: _plain(cell) for name, cell in row.items()}} for row in rows]
    if not found:
        raise DataError("FHIR", f"{path} holds no resource", "Give a Bundle or NDJSON with Observations.")
    columns = ["item", "time", "code", "value", "unit", "reason", "place", "period", "device", "censored"]
    table = pd.DataFrame(found, columns=columns, dtype=object)
    table = table.where(table.notna(), None)
    table = table.assign(reason=[one or "" for one in table["reason"]])
    places, period = table["place"].tolist(), table["period"].eq(PERIOD).to_numpy(dtype=bool)
    empty = [name for name in ("device", "censored") if table[name].isna().all()]
    return finish(table.drop(columns=empty), str(path), variables, places.__getitem__, {PERIOD: period})


def _resources(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield every resource with its place, those in bundles one by one."""
    files = sorted(one for one in path.iterdir() if one.suffix in (".json", ".ndjson")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise DataError("FHIR", f"no .json or .ndjson file at {path}", "Check the path.")
    for file in files:
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError("FHIR", f"{file} cannot be read ({error})", "Give JSON in UTF-8.") from error
        if file.suffix == ".ndjson":
            for number, line in enumerate(text.split("\n"), 1):
                if line.strip():
                    yield from _unpacked(_parsed(line, f"{file} line {number}"), f"{file.name} line {number}")
        else:
            yield from _unpacked(_parsed(text, str(file)), file.name)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        remedy = "Check that the file is whole; a resource a line belongs in a file named .ndjson."
        raise DataError("FHIR", f"{where} is not JSON ({error})", remedy) from error


def _unpacked(content: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Yield the resources of a bundle or a list, or the one that it is."""
    if isinstance(content, list):
        inner = enumerate(content)
    elif isinstance(content, dict) and content.get("resourceType") == "Bundle":
        entries = content.get("entry", [])
        inner = enumerate(one.get("resource") if isinstance(one, dict) else None for one in _list(entries))
    elif isinstance(content, dict) and isinstance(content.get("resourceType"), str):
        named = f"{content['resourceType']}/{content['id']}" if "id" in content else content["resourceType"]
        yield f"{where}, {named}", content
        return
    else:
        remedy = "Give a Bundle, an Observation, a list of them, or NDJSON with a resource a line."
        raise DataError("FHIR", f"{where} is no FHIR resource: it has no resourceType", remedy)
    for number, one in inner:
        yield from _unpacked(one, f"{where} entry {number}")


def _rows(resource: dict[str, Any], known: set[str], keep_censored: bool) -> Iterator[dict[str, Any]]:
    """Yield a row for the value of an Observation and for each of its components."""
    if resource["resourceType"] != "Observation":
        yield {"reason": f"{resource['resourceType']}, not an Observation"}
        return
    time, period = _time(resource)
    status = resource.get("status")
    head = {
        "item": str(_dict(resource.get("subject")).get("reference") or "").split("/_history/")[0].rpartition("/")[2],
        "time": time,
        "period": period,
        "device": _dict(resource.get("device")).get("display") or _dict(resource.get("device")).get("reference"),
    }
    parts = [one for one in _list(resource.get("component")) if isinstance(one, dict)]
    if not parts or any(key.startswith("value") for key in resource):
        parts = [resource, *parts]
    for part in parts:
        row = {**head, "code": _code(part.get("code"), known), **_value(part, keep_censored)}
        yield {**row, "reason": f"status {status}"} if status in VOID else row


def _time(resource: dict[str, Any]) -> tuple[Any, str | None]:
    """Return the time of an Observation, and a note where it is the start of a period."""
    start = _dict(resource.get("effectivePeriod")).get("start")
    instant = resource.get("effectiveDateTime") or resource.get("effectiveInstant")
    return (instant, None) if instant else (start, None if start is None else PERIOD)


def _code(concept: Any, known: set[str]) -> str | None:
    """Return the code under which a variable is known, or the one to name it by."""
    codings = [one for one in _list(_dict(concept).get("coding")) if isinstance(one, dict) and one.get("code")]
    for one in codings:
        for name in (f"{one.get('system')}|{one['code']}", str(one["code"])):
            if name in known:
                return name
    codings.sort(key=lambda one: one.get("system") != LOINC)
    return str(codings[0]["code"]) if codings else _dict(concept).get("text")


def _value(part: dict[str, Any], keep_censored: bool) -> dict[str, Any]:
    """Return value, unit and comparator of an Observation or a component, or the reason why there is none."""
    if "valueQuantity" in part:
        quantity = _dict(part["valueQuantity"])
        unit = quantity.get("code") if quantity.get("system") == UCUM else None
        row = {"value": quantity.get("value"), "unit": unit or quantity.get("unit") or quantity.get("code")}
        comparator = quantity.get("comparator")
        if comparator is None:
            return row
        return {**row, "censored": comparator} if keep_censored else {**row, "reason": f"censored, {comparator}"}
    if "valueInteger" in part:
        return {"value": part["valueInteger"], "unit": None}
    other = next((key for key in part if key.startswith("value")), None)
    if other is not None:
        return {"reason": f"{other} instead of a quantity"}
    absent = _dict(part.get("dataAbsentReason"))
    if absent:
        return {"reason": f"data absent: {_code(absent, set()) or 'no reason given'}"}
    return {}


def _plain(cell: Any) -> Any:
    """Return text and numbers as they are, and what does not belong into a cell as text."""
    return cell if cell is None or (isinstance(cell, str | int | float) and not isinstance(cell, bool)) else str(cell)


def _dict(content: Any) -> dict[str, Any]:
    return content if isinstance(content, dict) else {}


def _list(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []
