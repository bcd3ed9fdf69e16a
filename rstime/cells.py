"""The columns of a data frame as checked arrays; every complaint names the column, the value and the row."""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime.axis import grid_step, is_calendar, nanoseconds
from rstime.errors import DataError, RstimeWarning
from rstime.tables import FILE, LINE
from rstime.types import Bools, Floats

ZONE = r":\d{2}\S*?\s*(Z|UTC|[+-]\d{2}(?::?\d{2})?)$"
"""The zone at the end of a stamp that is text."""

DAY_AND_MONTH = r"^(\d{1,2})[./-](\d{1,2})[./-]\d{2,4}\b"
"""Dates that begin with the day, or with the month."""


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table.

    Attributes
    ----------
    item_id, timestamp, variable, value
        What was measured: where, when, which, how much.
    sd
        Standard deviation of the measurement error, in the units of the value; 0 exact, inf or empty value missing.
    variance
        A column of error variances, used instead of `sd` where it is given.
    """

    item_id: str = "item_id"
    timestamp: str = "timestamp"
    variable: str = "variable"
    value: str = "value"
    sd: str = "sd"
    variance: str | None = None


@dataclass(frozen=True, eq=False)
class Stamps:
    """Time stamps of rows.

    Attributes
    ----------
    time
        (N,) datetime64[ns] (UTC where `timezone` is set) or float64.
    timezone
        Name of the zone; None for naive dates and for numbers.
    """

    time: NDArray[Any]
    timezone: str | None = None

    @property
    def kind(self) -> str:
        """Dates with a zone, dates without, or numbers: what may not be mixed."""
        if self.time.dtype.kind != "M":
            return "numbers"
        return "dates without time zone" if self.timezone is None else "dates with time zone"


@dataclass(frozen=True)
class Clock:
    """Stamps as whole numbers (ticks) that can be compared exactly: bins of a grid, or the stamps themselves.

    Attributes
    ----------
    calendar
        Whether stamps are dates.
    step
        Width of a bin, in seconds for dates; None without a grid.
    """

    calendar: bool
    step: float | None = None

    @classmethod
    def of(cls, stamps: Stamps, grid: str | float | None) -> Clock:
        """Make the clock of stamps on a grid."""
        calendar = is_calendar(stamps.time)
        return cls(calendar, None if grid is None else grid_step(grid, calendar))

    def ticks(self, time: NDArray[Any]) -> NDArray[np.int64]:
        """(N,) increasing with time; the number of the bin on a grid."""
        if self.calendar:
            whole = nanoseconds(time)
            return whole if self.step is None else whole // round(self.step * 1e9)
        if self.step is not None:  # rounded first, so that 0.3 falls in bin 3 of width 0.1
            bins = np.floor(np.round(time / self.step, 6))
            if np.any(np.abs(bins) > 2**53):
                raise DataError("grid", f"{self.step} is too fine for stamps such as {time[0]}", "Use a coarser grid.")
            return bins.astype(np.int64)
        bits = (time + 0.0).view(np.int64)  # + 0.0 makes -0.0 and 0.0 one stamp
        return np.where(bits < 0, np.int64(-(2**63)) - bits, bits)  # floats sort as their bits, negative ones reversed

    def time(self, ticks: NDArray[np.int64]) -> NDArray[Any]:
        """Stamps (starts of bins) of ticks."""
        if self.calendar:
            return (ticks if self.step is None else ticks * round(self.step * 1e9)).view("datetime64[ns]")
        if self.step is not None:
            return ticks * self.step
        return np.where(ticks < 0, np.int64(-(2**63)) - ticks, ticks).view(np.float64)

    def filled(self, ticks: NDArray[np.int64]) -> NDArray[np.int64]:
        """All bins from the first to the last; without a grid the ticks as they are."""
        return ticks if self.step is None else np.arange(ticks[0], ticks[-1] + 1)


@dataclass(frozen=True, eq=False)
class Cells:
    """A frame read column by column.

    Attributes
    ----------
    frame
        The table.
    labels
        Columns that tell which row is meant, in messages.
    """

    frame: pd.DataFrame
    labels: tuple[str, ...] = ()

    def require(self, *names: str) -> None:
        """Raise DataError unless the table has rows and each of these columns exactly once."""
        if not len(self.frame):
            raise DataError("table", "no rows", "Give at least one measurement or question.")
        for name in names:
            count = sum(column == name for column in self.frame.columns)
            if count != 1:
                problem = f"no column {name!r}" if count == 0 else f"{count} columns {name!r}"
                present = ", ".join(map(str, self.frame.columns)) or "(none)"
                remedy = (
                    "Rename it, or say which column it is: Columns(...), on the command line --id-col, --time-col ..."
                )
                raise DataError("columns", f"{problem} among {present}", remedy)

    def codes(self, name: str) -> tuple[NDArray[np.intp], tuple[str, ...]]:
        """Return the names in a column as text, in order of appearance, and which one each row has, (N,)."""
        first, unique = pd.factorize(self.frame[name])
        self.refuse(name, first < 0, "Name the item and the variable in every row.")
        second, names = pd.factorize(np.array([str(one) for one in unique], dtype=object))
        return second[first], tuple(str(one) for one in names)

    def numbers(self, name: str) -> Floats:
        """(N,) float64 of a column; NaN where it is empty.

        Raises
        ------
        DataError
            If a cell holds text or a date.
        """
        column = self.frame[name]
        if column.dtype.kind in "mM":
            raise DataError(name, f"dates ({column.dtype}) instead of numbers", "Give numbers.")
        if column.dtype.kind in "biuf":
            return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        text = column.astype(object).where(column.notna(), "nan").astype(str).str.strip()
        found = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
        wrong = np.isnan(found) & ~text.str.lower().isin(("", "nan")).to_numpy()
        self.refuse(name, wrong, "Give a number, or leave it empty where nothing was measured.")
        return np.asarray(found)

    def measured(self, value_name: str, sd_name: str | None, variance: bool = False) -> tuple[Floats, Floats]:
        """(N,) values and risks: NaN and inf where the value is empty or its sd is inf; risk 0 without a column of sd.

        Raises
        ------
        DataError
            If a value is infinite or text, or the sd beside a value is negative, empty or text.
        """
        value = self.numbers(value_name)
        seen = ~np.isnan(value)
        self.refuse(value_name, np.isinf(value), "Leave it empty where nothing was measured.")
        if sd_name is None:
            return value, np.where(seen, 0.0, np.inf)
        sd = self.numbers(sd_name)
        remedy = "Give the error of the value: 0 if exact, inf if not known (the value then counts as missing). "
        remedy += 'Or let a fit learn it: risk="estimate", on the command line --risk estimate.'
        self.refuse(sd_name, seen & (np.isnan(sd) | (sd < 0)), remedy)
        risk = np.where(seen, np.sqrt(np.abs(sd)) if variance else np.abs(sd), np.inf)
        return np.where(np.isinf(risk), np.nan, value), risk

    def stamps(self, name: str) -> Stamps:
        """Read a column of dates (with or without time zones), of numbers, or of dates as text.

        Dates of several offsets from UTC, as on both sides of a clock change, become UTC.

        Raises
        ------
        DataError
            If a stamp is empty, not finite or not a date, or if only some have a time zone.
        """
        column = self.frame[name]
        if column.dtype.kind in "iuf" or _all_numbers(column):
            time = column.to_numpy(dtype=np.float64, na_value=np.nan)
            self.refuse(name, ~np.isfinite(time), "Give every row a finite time.")
            return Stamps(time)
        if not isinstance(column.dtype, pd.DatetimeTZDtype) and not isinstance(column.dtype, np.dtypes.DateTime64DType):
            column = _parsed(column, name)
        self.refuse(name, column.isna().to_numpy(), "Give every row a date or a number.")
        if not isinstance(column.dtype, pd.DatetimeTZDtype):
            return Stamps(column.to_numpy(dtype="datetime64[ns]"))
        utc = column.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
        return Stamps(utc, _zone_name(column.dtype.tz, name))

    def refuse(self, name: str, wrong: Bools, remedy: str) -> None:
        """Raise DataError for the first row that is wrong, with the count of the others."""
        if np.any(wrong):
            row, more = int(np.argmax(wrong)), int(np.sum(wrong)) - 1
            others = f" and {more} more row{'s' * (more > 1)}" if more else ""
            raise DataError(name, f"{_shown(self.frame[name].iloc[row])} in {self.describe(row)}{others}", remedy)

    def describe(self, row: int) -> str:
        """Name a row by its line in the file that it was read from, else by its number, from 0; and by its labels."""
        cells = [f"{name} {_shown(self.frame[name].iloc[row])}" for name in self.labels if name in self.frame]
        labels = ", ".join(cells)
        if self.frame.index.name == LINE and FILE in self.frame.attrs:
            return f"line {self.frame.index[row]} of {self.frame.attrs[FILE]}" + (f" ({labels})" if labels else "")
        return f"row {row} ({labels}{'; ' if labels else ''}rows count from 0)"


def sd_column(cells: Cells, columns: Columns) -> str | None:
    """Name the column of sd or variance; None, with a warning, where the table has no sd (all readings exact)."""
    if columns.variance is not None:
        cells.require(columns.variance)
        return columns.variance
    if columns.sd in cells.frame.columns or columns.sd != Columns.sd:
        cells.require(columns.sd)
        return columns.sd
    remedy = "Add it, or say which column it is: Columns(sd=...), on the command line --sd-col."
    warn(f"sd: no such column, so every value is taken as exact (sd 0). {remedy}")
    return None


def localized(time: NDArray[Any], timezone: str | None) -> Any:
    """Stamps as a frame holds them: back in their time zone."""
    return time if timezone is None else pd.DatetimeIndex(time, tz="UTC").tz_convert(timezone)


def told(time: NDArray[Any], timezone: str | None) -> str:
    """Name the first of these stamps, for messages."""
    first = localized(time[:1], timezone)[0]
    return str(pd.Timestamp(first) if is_calendar(time) else first)


def warn(text: str) -> None:
    """Warn the user."""
    warnings.warn(RstimeWarning(text), stacklevel=4)


def _shown(cell: Any) -> str:
    if isinstance(cell, str):
        return repr(cell) if cell.strip() else "empty"
    return "empty" if pd.api.types.is_scalar(cell) and pd.isna(cell) else str(cell)


def _all_numbers(column: pd.Series[Any]) -> bool:
    return column.dtype == object and all(isinstance(one, Number) for one in column)


def _parsed(column: pd.Series[Any], name: str) -> pd.Series[Any]:
    """Dates of a column of text or of date objects, each distinct one parsed once; UTC where offsets differ."""
    place, unique = pd.factorize(column.astype(object))
    cells = pd.Series(unique, dtype=object)
    texts = cells[[isinstance(one, str) for one in unique]].str.strip()
    zones = texts.str.extract(ZONE)[0].fillna("none").replace({"Z": "UTC", "+00:00": "UTC"}).tolist()
    zones += [str(getattr(one, "tzinfo", None) or "none") for one in unique if not isinstance(one, (str, Number))]
    several = len(set(zones)) > 1
    if several and "none" in zones:
        raise _mixed_zones(name, list(dict.fromkeys(zones)))
    strange: list[Any] = [one for one in unique if isinstance(one, Number)]
    strange += list(texts[texts.str.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?")])
    if strange:
        raise DataError(name, f"{_shown(strange[0])} is not a date", "Give dates with times, or numbers in all rows.")
    day_first = _day_first(texts, name)
    dates = None
    for form in ("ISO8601", None):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                warnings.filterwarnings("error", "Parsed string .* un-recognized timezone", FutureWarning)
                dates = pd.to_datetime(cells, format=form, dayfirst=day_first, utc=several)
            break
        except FutureWarning as error:
            remedy = "Write the offset instead: 2026-01-31 13:05+01:00."
            raise DataError(name, f"the time zone of {cells.iloc[0]!r} is not known", remedy) from error
        except (ValueError, TypeError, OverflowError) as error:
            if "tz-aware" in str(error).lower() or "mixed timezones" in str(error).lower():
                raise _mixed_zones(name, ["several"]) from error
    if dates is None:
        raise DataError(name, _strange(cells, day_first), "Give dates such as 2026-01-31 13:05, or numbers.")
    if dates.dtype == object:
        raise _mixed_zones(name, ["several"])
    return dates.reindex(place).reset_index(drop=True)


def _strange(cells: pd.Series[Any], day_first: bool) -> str:
    """Say which of these cells is no date, or if all are, which is not written as the first one is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bad = cells[pd.to_datetime(cells, format="mixed", errors="coerce", utc=True).isna()]
        odd = cells[pd.to_datetime(cells, errors="coerce", dayfirst=day_first).isna()]
    if len(bad):
        return f"{bad.iloc[0]!r} cannot be read as a date"
    return f"{odd.iloc[0]!r} is not written as {cells.iloc[0]!r} is"


def _day_first(texts: pd.Series[Any], name: str) -> bool:
    """Whether dates such as 13/02/2026 begin with the day; one of them must tell, and no other contradict it."""
    pairs = texts.astype(str).str.extract(DAY_AND_MONTH).dropna().astype(int)
    day_first, month_first = bool((pairs[0] > 12).any()), bool((pairs[1] > 12).any())
    if len(pairs) and day_first == month_first:
        problem = f"{texts[pairs.index[0]]!r} may begin with the day or with the month"
        raise DataError(name, problem, "Write dates as 2026-01-31 13:05.")
    return day_first


def _mixed_zones(name: str, zones: list[str]) -> DataError:
    remedy = "Give all stamps their offset from UTC, as 2026-01-31 13:05+01:00, or none of them."
    return DataError(name, f"mixed time zones ({', '.join(zones[:4])})", remedy)


def _zone_name(zone: Any, name: str) -> str:
    """Name of a time zone: Europe/Berlin, UTC, UTC+02:00."""
    given = getattr(zone, "key", None) or getattr(zone, "zone", None)
    offset = zone.utcoffset(None)
    if given is None and offset is None:
        raise DataError(name, f"time zone {zone} has no name", "Convert it to a zone such as Europe/Berlin or UTC.")
    return str(given or dt.timezone(offset))
