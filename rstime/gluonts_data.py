"""Entries of GluonTS data sets as Series: field names, frequencies as even stamps, risk as named rows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime.errors import ConfigError, DataError
from rstime.gluonts_risk import NAMES
from rstime.types import Floats, Series

DAY = 86_400 * 10**9
LENGTHS = {
    "Week": 7 * DAY,
    "BusinessDay": 7 * DAY // 5,
    "MonthEnd": 36525 * DAY // 1200,
    "QuarterEnd": 36525 * DAY // 400,
    "YearEnd": 36525 * DAY // 100,
}
"""Mean length in nanoseconds of the periods that are not all of one length."""

ENDS = re.compile(r"^(\d*[MQY])(?:S|S-JAN|E|E-DEC)$")
"""Pandas' names of the first and last days of months, quarters and years; the period has the letter alone."""


@dataclass(frozen=True)
class Layout:
    """What the entries of a data set hold.

    Attributes
    ----------
    freq
        Frequency of their periods, as in `pandas.Period`.
    targets
        Number of rows of the target; 0 for a target of one dimension.
    risk
        Name of the rows of risk in past_feat_dynamic_real; None for exact values.
    dynamic, past, static
        Rows of feat_dynamic_real, of past_feat_dynamic_real without risk, and numbers in feat_static_real.
    cardinality
        Number of categories of each entry of feat_static_cat.
    """

    freq: str
    targets: int = 0
    risk: str | None = None
    dynamic: int = 0
    past: int = 0
    static: int = 0
    cardinality: tuple[int, ...] = ()

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the variables of the model: targets, then covariates of the past, which are known up to now only."""
        targets = tuple(f"target_{k}" for k in range(self.targets)) if self.targets else ("target",)
        return targets + tuple(f"past_{k}" for k in range(self.past))

    def read(self, entry: Mapping[str, Any], name: str, horizon: int = 0) -> Series:
        """Read an entry, with `horizon` steps after its target, of which the targets are asked.

        Parameters
        ----------
        entry
            An entry with the fields start and target, and those that this layout names.
        name
            Name of the item.
        horizon
            Steps to forecast; feat_dynamic_real has to reach as far.

        Raises
        ------
        DataError
            If a field is absent, of another frequency or shape, too short, not finite, or a risk is negative.
        """
        value = self._target(entry, name)
        time = stamps(entry.get("start"), len(value) + horizon, self.freq, name)
        risk = self._risk(entry, value, name)
        past = self._past(entry, len(value), name)
        value, risk = np.hstack([value, past]), np.hstack([risk, np.where(np.isnan(past), np.inf, 0.0)])
        shape = (horizon, value.shape[1])
        asked = np.zeros((len(time), shape[1]), dtype=bool)
        asked[len(value) :, : shape[1] - self.past] = True
        static = self._static(entry, name)
        known = self._dynamic(entry, len(value), horizon, name)
        return Series(
            name,
            time,
            self.variables,
            np.vstack([value, np.full(shape, np.nan)]),
            np.vstack([risk, np.full(shape, np.inf)]),
            asked,
            static,
            tuple(f"static_{k}" for k in range(len(static))),
            known,
            tuple(f"dynamic_{k}" for k in range(self.dynamic)),
        )

    def _target(self, entry: Mapping[str, Any], name: str) -> Floats:
        target = np.asarray(entry.get("target", np.nan), dtype=np.float64)
        if target.ndim != (2 if self.targets else 1) or (self.targets and len(target) != self.targets):
            want = f"({self.targets}, T)" if self.targets else "(T,)"
            found = f"shape {target.shape}" if "target" in entry else "absent"
            raise DataError("target", f"{found} in item {name!r} where {want} is expected")
        return _values("target", np.atleast_2d(target).T, name)

    def _risk(self, entry: Mapping[str, Any], value: Floats, name: str) -> Floats:
        """(T, C) risk of the target, inf where it is missing."""
        missing = np.isnan(value)
        if self.risk is None and NAMES in entry:
            problem = f"rows {', '.join(entry[NAMES])} in item {name!r}, and an estimator that takes values as exact"
            raise DataError("risk", problem, "Give the estimator the name of the risk, or do not wrap the data set.")
        if self.risk is None:
            return np.where(missing, np.inf, 0.0)
        rows = [k for k, row in enumerate(entry.get(NAMES, ())) if row == self.risk]
        if len(rows) not in (1, value.shape[1]):
            problem = f"{len(rows)} rows named {self.risk!r} in past_feat_dynamic_real of item {name!r}"
            raise DataError("risk", problem, "Wrap the data set by rstime.gluonts.with_risk, or set risk=None.")
        given = _rows(entry, "past_feat_dynamic_real", name)[rows].T
        _long_enough("past_feat_dynamic_real", len(given), len(value), name)
        risk = np.where(missing, np.inf, np.broadcast_to(given[: len(value)], value.shape))
        wrong = np.isnan(risk) | (risk < 0)
        if wrong.any():
            remedy = "Risk is a standard deviation: 0 exact, inf missing."
            raise DataError("risk", f"{risk[wrong][0]} in item {name!r}", remedy)
        return risk

    def _past(self, entry: Mapping[str, Any], length: int, name: str) -> Floats:
        """(T, P) covariates of the past; NaN where not known."""
        if not self.past:
            return np.empty((length, 0))
        rows = _rows(entry, "past_feat_dynamic_real", name)
        names = entry.get(NAMES, ("",) * len(rows))
        kept = rows[[k for k, row in enumerate(names) if row != self.risk]].T
        if kept.shape[1] != self.past:
            problem = f"{kept.shape[1]} rows beside risk in item {name!r} where {self.past} are expected"
            raise DataError("past_feat_dynamic_real", problem, "Set num_past_feat_dynamic_real.")
        _long_enough("past_feat_dynamic_real", len(kept), length, name)
        return _values("past_feat_dynamic_real", kept[:length], name)

    def _dynamic(self, entry: Mapping[str, Any], length: int, horizon: int, name: str) -> Floats:
        """(T + horizon, K) covariates known at every stamp."""
        if not self.dynamic:
            return np.empty((length + horizon, 0))
        rows = _rows(entry, "feat_dynamic_real", name).T
        if rows.shape[1] != self.dynamic:
            problem = f"{rows.shape[1]} rows in item {name!r} where {self.dynamic} are expected"
            raise DataError("feat_dynamic_real", problem, "Set num_feat_dynamic_real.")
        if len(rows) < length + horizon:
            problem = f"ends {len(rows) - length} steps after the target of item {name!r}, {horizon} are asked"
            raise DataError("feat_dynamic_real", problem, "Give the covariates of the whole horizon.")
        rows = rows[: length + horizon]
        if not np.isfinite(rows).all():
            problem = f"not finite in item {name!r}"
            raise DataError("feat_dynamic_real", problem, "Known covariates need a value at every stamp.")
        return rows

    def _static(self, entry: Mapping[str, Any], name: str) -> Floats:
        """(S,) numbers of an item, then a column a category; a category that is not known has NaN in all of them."""
        numbers = _field(entry, "feat_static_real", self.static, name)
        codes = _field(entry, "feat_static_cat", len(self.cardinality), name)
        parts = [numbers]
        for code, count in zip(codes, self.cardinality, strict=True):
            known = np.arange(count) == code
            parts.append(known.astype(np.float64) if known.any() else np.full(count, np.nan))
        return np.concatenate(parts)


def period_name(freq: str) -> str:
    """Return the period of dates that begin or end months, quarters or years; of other frequencies their own name.

    Examples
    --------
    >>> [period_name(freq) for freq in ("MS", "QE-DEC", "2YS", "h")]
    ['M', 'Q', '2Y', 'h']
    """
    return ENDS.sub(r"\1", freq)


def period_offset(freq: str) -> Any:
    """Return the offset of a period frequency, of which `period_name` says the names.

    Raises
    ------
    ConfigError
        If pandas has no period of this frequency.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        try:
            return pd.Period("2000-01-03", freq=period_name(freq)).freq
        except ValueError as error:
            raise ConfigError("freq", f"{freq!r} ({error})", 'Give a period such as "h", "D", "W", "M".') from error


def stamps(start: Any, length: int, freq: str, name: str) -> NDArray[np.datetime64]:
    """(length,) even stamps of an item: for periods of one length their start, else a calendar of mean lengths.

    Months count as a twelfth of 365.25 days, business days as 7/5 of a day, so that every step is one step of the
    model, and a year, or a week, has a whole number of them.

    Raises
    ------
    DataError
        If the item has no start, or one that is no period or of another frequency, or its dates are outside 1685 to
        2255.
    """
    offset = period_offset(freq)
    if not isinstance(start, pd.Period):
        problem = "absent" if start is None else f"{str(start)!r}, a {type(start).__name__} and no period,"
        raise DataError("start", f"{problem} in item {name!r}", f"Give pd.Period(start, {period_name(freq)!r}).")
    if start.freq != offset:
        problem = f"frequency {start.freqstr} in item {name!r} where {period_name(freq)} is expected"
        raise DataError("start", problem, "Give the estimator the frequency of the data.")
    unit = LENGTHS.get(type(offset).__name__) or offset.nanos // offset.n
    first = start.ordinal
    if max(abs(first), abs(first + offset.n * length)) > 9.1e18 / unit:
        raise DataError("start", f"{start} in item {name!r}", "Give dates between 1685 and 2255.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        origin = pd.Period(ordinal=0, freq=offset).start_time.value  # 1970, or the start of the first week of it
    ordinals = first + offset.n * np.arange(length, dtype=np.int64)
    return np.asarray((origin + ordinals * unit).view("datetime64[ns]"))


def _values(field: str, value: Floats, name: str) -> Floats:
    """Return (T, K) numbers in which NaN is missing and nothing is infinite."""
    wrong = np.argwhere(np.isinf(value))
    if len(wrong):
        step, row = wrong[0]
        place = f"place {step}" if value.shape[1] == 1 else f"place {step} of row {row}"
        problem = f"{value[step, row]} at {place} in item {name!r}, the first of {len(wrong)}"
        raise DataError(field, problem, "Give NaN where a value is missing.")
    return value


def _rows(entry: Mapping[str, Any], field: str, name: str) -> Floats:
    """Return a field as (K, T) numbers."""
    if field not in entry:
        raise DataError(field, f"absent in item {name!r}", "Give it, or do not ask the estimator for it.")
    return np.atleast_2d(np.asarray(entry[field], dtype=np.float64))


def _field(entry: Mapping[str, Any], field: str, count: int, name: str) -> Floats:
    """Return a static field of `count` numbers; none is read where none is expected."""
    if not count:
        return np.empty(0)
    values: Floats = _rows(entry, field, name)[0]
    if len(values) != count:
        raise DataError(field, f"{len(values)} numbers in item {name!r} where {count} are expected")
    return values


def _long_enough(field: str, have: int, want: int, name: str) -> None:
    if have < want:
        raise DataError(field, f"{have} steps in item {name!r} beside a target of {want}", "Give one a step.")
