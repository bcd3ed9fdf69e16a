"""From rows as a source has them to a long table: names, times, numbers and units checked, units converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from rstime.errors import DataError
from rstime.readers.reading import Count, Reading, Report, Variables, checked
from rstime.risk.units import canonical, find, is_given, line
from rstime.types import Bools, Floats

EXTRAS = ("device", "quality", "censored")
DAY = r"^\d{4}-\d{2}-\d{2}$"
PARTIAL = r"^\d{4}(-\d{2})?$"
ZONED = r"\d{2}:\d{2}.*(?:Z|[+-]\d{2}(?::?\d{2})?)$"


def drop(rows: pd.DataFrame, wrong: ArrayLike, reason: str | NDArray[Any]) -> pd.DataFrame:
    """Return the rows with a reason to leave out those that are wrong and have none yet."""
    return rows.assign(reason=np.where((rows["reason"] == "") & np.asarray(wrong), reason, rows["reason"]))


def finish(
    rows: pd.DataFrame,
    source: str,
    variables: Variables | None,
    place: Callable[[int], str] = "row {}".format,
    notes: Mapping[str, Bools] | None = None,
) -> Reading:
    """Make a table of rows: names, times, numbers and units checked, units converted, repeats left out.

    Parameters
    ----------
    rows
        Columns item, time, code, value and unit as the source has them; sd, device, quality, censored where it has; and
        reason, "" for rows that are fine so far.
    source
        Name of the file, for the report.
    variables
        Codes to names and units.
    place
        Names a row by its number, for the report.
    notes
        Rows, (N,), that are kept but not as they stood, by what happened to them.

    Raises
    ------
    DataError
        If a variable without a unit to convert to is found in two units.
    """
    mapping = checked(variables)
    rows = rows.reset_index(drop=True)
    if rows["time"].dtype.kind not in "iufM":
        rows = rows.assign(time=rows["time"].astype(object))
    time, notes = _times(rows["time"]), dict(notes or {})
    rows, value, sd = _named(rows, mapping), _numbers(rows["value"]), np.full(len(rows), np.nan)
    rows, time = _timed(rows, time, notes)
    rows = drop(rows, _blank(rows["value"]), "no value")
    rows = drop(rows, ~np.isfinite(value), "not a number")
    if "sd" in rows:
        sd = _numbers(rows["sd"])
        rows = drop(rows, ~_blank(rows["sd"]) & ~(sd >= 0), "sd that is not a number >= 0")
    if "quality" in rows:
        quality = _numbers(rows["quality"])
        wrong = ~_blank(rows["quality"]) & ~((quality >= 0) & (quality <= 1))
        rows = drop(rows, wrong, "quality outside [0, 1]").assign(quality=quality)
    rows, value, sd = _converted(rows, mapping, value, sd)
    frame = pd.DataFrame(
        {"item_id": rows["item"], "timestamp": time, "variable": rows["name"], "value": value, "sd": sd}
    )
    frame = frame.assign(unit=rows["unit"], **{name: rows[name] for name in EXTRAS if name in rows})
    alive = (rows["reason"] == "").to_numpy()
    again = np.zeros(len(rows), dtype=bool)
    again[alive] = frame.assign(code=rows["code"])[alive].duplicated()
    rows = drop(rows, again, "duplicate")
    alive &= ~again
    if mapping is None or any(unit is None for _, unit in mapping.values()):
        _check_units(frame[alive])
    noted = [_count(reason, mask & alive, place) for reason, mask in notes.items() if np.any(mask & alive)]
    report = Report(source, len(rows), int(alive.sum()), _counts(rows["reason"], place), tuple(noted))
    return Reading(frame[alive].reset_index(drop=True), report)


def _named(rows: pd.DataFrame, mapping: Mapping[str, tuple[str, str | None]] | None) -> pd.DataFrame:
    """Add the name of the variable; items and codes become text."""
    for column in ("item", "code"):
        text = _text(rows[column])
        rows = drop(rows.assign(**{column: text}), text == "", f"no {column}")
    if mapping is None:
        return rows.assign(name=rows["code"])
    rows = drop(rows, ~rows["code"].isin(list(mapping)), "variable not in the mapping")
    return rows.assign(name=rows["code"].map({code: name for code, (name, _) in mapping.items()}))


def _times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Stamps as dates, with the zone UTC if any has a zone, or as numbers; NaT or NaN where they cannot be read."""
    if column.dtype.kind in "iuf":
        return column.astype(np.float64)
    if column.dtype.kind == "M":
        return column.where(column.dt.year.between(1678, 2261))  # what datetime64[ns] holds
    text = _text(column)
    parsed = pd.to_datetime(text.mask(text.str.match(PARTIAL)), format="ISO8601", errors="coerce", utc=True)
    zoned = text.str.contains(ZONED, regex=True)
    return parsed if bool((zoned & parsed.notna()).any()) else parsed.dt.tz_localize(None)


def _timed(rows: pd.DataFrame, time: pd.Series[Any], notes: dict[str, Bools]) -> tuple[pd.DataFrame, pd.Series[Any]]:
    """Leave out rows without a time that can be read; note those that are dated to the day."""
    rows = drop(rows, _blank(rows["time"]), "no time")
    if rows["time"].dtype == object:
        text = _text(rows["time"])
        rows = drop(rows, text.str.match(PARTIAL), "date without a day")
        if isinstance(time.dtype, pd.DatetimeTZDtype):
            naive = ~text.str.contains(ZONED, regex=True)
            rows = drop(rows, naive & time.notna(), "time without a zone beside times with one")
        notes["date without a time of day, taken as 00:00"] = text.str.match(DAY).to_numpy(dtype=bool)
    rows = drop(rows, time.isna(), "time that cannot be read")
    return rows, time.dt.as_unit("ns") if time.dtype.kind == "M" else time


def _text(column: pd.Series[Any]) -> pd.Series[Any]:
    """(N,) cells as text without spaces around it, each distinct one written once; "" where they are empty."""
    place, unique = pd.factorize(column.astype(object))
    return pd.Series(np.array([*(str(one).strip() for one in unique), ""], dtype=object)[place], index=column.index)


def _blank(column: pd.Series[Any]) -> Bools:
    """(N,) where a cell is empty, or nothing but spaces."""
    return np.asarray(_text(column) == "" if column.dtype == object else column.isna(), dtype=np.bool_)


def _numbers(column: pd.Series[Any]) -> Floats:
    """(N,) float64 of a column, NaN where a cell is no number."""
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))


def _converted(
    rows: pd.DataFrame, mapping: Mapping[str, tuple[str, str | None]] | None, value: Floats, sd: Floats
) -> tuple[pd.DataFrame, Floats, Floats]:
    """Convert values and sd of the rows that are left, and write units in UCUM."""
    unit = np.array([one if is_given(one) else None for one in rows["unit"]], dtype=object)
    reason = rows["reason"].to_numpy(dtype=object, copy=True)
    value, sd = value.copy(), sd.copy()
    alive = np.flatnonzero(reason == "")
    group = pd.DataFrame({"code": rows["code"].to_numpy()[alive], "unit": unit[alive]})
    for where in group.groupby(["code", "unit"], dropna=False).indices.values():
        row = alive[where]
        code, found = str(group["code"].iloc[where[0]]), unit[row[0]]
        name, to = (code, None) if mapping is None else mapping[code]
        problem, slope, offset, to = _conversion(found, to, name)
        reason[row], unit[row] = problem, to
        value[row], sd[row] = slope * value[row] + offset, abs(slope) * sd[row]
    return rows.assign(reason=reason, unit=unit), value, sd


def _conversion(unit: str | None, to: str | None, name: str) -> tuple[str, float, float, str | None]:
    """Return why a unit does not convert ("" where it does), slope, offset and the unit after it."""
    known = unit
    try:
        known = canonical(unit)
    except DataError:
        if to is not None:
            return ("unit missing" if unit is None else f"unknown unit {unit!r}"), 1.0, 0.0, unit
    if to is None:
        return "", 1.0, 0.0, known
    try:
        slope, offset = line(unit, to, name)
    except DataError:
        return f"unit {find(unit).code!r} does not convert to {to!r} for {name!r}", 1.0, 0.0, known
    return "", slope, offset, to


def _check_units(frame: pd.DataFrame) -> None:
    """Refuse two units in one variable."""
    units = frame[["variable", "unit"]].drop_duplicates()
    twice = units[units["variable"].duplicated(keep=False)]
    if len(twice):
        name = twice["variable"].iloc[0]
        found = [repr(one) if is_given(one) else "none" for one in twice.loc[twice["variable"] == name, "unit"]]
        remedy = "Say which unit it should have: variables={code: (name, unit)}."
        raise DataError("unit", f"variable {name!r} has several: {', '.join(found)}", remedy)


def _count(reason: str, rows: Bools, place: Callable[[int], str]) -> Count:
    return Count(reason, int(np.sum(rows)), place(int(np.argmax(rows))))


def _counts(reasons: pd.Series[str], place: Callable[[int], str]) -> tuple[Count, ...]:
    """Count each reason, the most frequent one first."""
    totals: Sequence[tuple[str, int]] = [(str(k), int(n)) for k, n in reasons[reasons != ""].value_counts().items()]
    return tuple(_count(reason, (reasons == reason).to_numpy(), place) for reason, _ in totals)
