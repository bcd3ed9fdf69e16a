"""OMOP CDM: the table MEASUREMENT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rstime.errors import DataError
from rstime.readers.reading import Reading, Variables
from rstime.readers.rows import drop, finish
from rstime.risk.units import is_given
from rstime.tables import read

CENSORED = {"4171756": "<", "4171754": "<=", "4172704": ">", "4171755": ">="}
EXACT = ("", "0", "4172703")
"""Operators: none, no matching concept, "="."""

UNITS = {
    "8554": "%",
    "8541": "/min",
    "8483": "/min",
    "8581": "/min",
    "8840": "mg/dL",
    "8713": "g/dL",
    "8636": "g/L",
    "8751": "mg/L",
    "8837": "ug/dL",
    "8842": "ng/mL",
    "8845": "pg/mL",
    "8725": "ng/L",
    "8753": "mmol/L",
    "8749": "umol/L",
    "8736": "nmol/L",
    "9557": "meq/L",
    "8876": "mm[Hg]",
    "586323": "Cel",
    "9289": "[degF]",
    "8848": "10*3/uL",
    "9444": "10*9/L",
    "8815": "10*6/uL",
    "8784": "/uL",
    "8645": "U/L",
    "8923": "[IU]/L",
    "8587": "mL",
    "8519": "L",
    "8795": "mL/min",
    "9529": "kg",
    "8582": "cm",
    "8588": "mm",
}
"""Standard concepts of units (OHDSI vocabularies, domain Unit) that `rstime.risk.units` knows."""

NEEDED = ("person_id", "measurement_concept_id", "value_as_number")
NAMES = ("person_id", "measurement_concept_id", "operator_concept_id", "unit_concept_id", "unit_source_value")
STAMPS = ("measurement_datetime", "measurement_date")


def read_omop(
    source: str | Path | pd.DataFrame, variables: Variables | None = None, *, keep_censored: bool = False
) -> Reading:
    """Read a table MEASUREMENT of the OMOP Common Data Model 5.4.

    The unit is that of unit_concept_id where it is a known one, else unit_source_value. The time is
    measurement_datetime, else measurement_date at 00:00, which is noted. A row without a standard concept
    (measurement_concept_id 0) has measurement_source_value as its code.

    Parameters
    ----------
    source
        A .csv or .parquet file, or the table itself; upper or lower case of its columns does not matter.
    variables
        measurement_concept_id -> (name, unit).
    keep_censored
        Keep values with an operator <, <=, > or >= at their limit, with the operator in a column `censored`; by default
        they are left out and counted, because a limit is not a measurement with an error.

    Raises
    ------
    DataError
        If there is no such file, it cannot be read, or it lacks a column.
    """
    table, name = _table(source)
    missing = [column for column in NEEDED if column not in table]
    if missing or not set(STAMPS) & set(table):
        absent = missing[0] if missing else " or ".join(STAMPS)
        problem = f"{name} has no column {absent!r} among {', '.join(map(str, table.columns))}"
        raise DataError("OMOP", problem, "Give a table MEASUREMENT of OMOP CDM 5.4.")
    code = _ids(table["measurement_concept_id"])
    if "measurement_source_value" in table:
        code = code.mask(code.isin(("", "0")), table["measurement_source_value"])
    rows = pd.DataFrame({"item": _ids(table["person_id"]), "time": _times(table), "code": code, "reason": ""})
    rows = rows.assign(value=table["value_as_number"], unit=_units(table))
    if "operator_concept_id" in table:
        rows = _operators(rows, _ids(table["operator_concept_id"]), keep_censored)
    return finish(rows, name, variables, lambda row: f"row {row}, concept {code.iloc[row]}")


def _table(source: str | Path | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return the table with lower-case columns, and its name."""
    if isinstance(source, pd.DataFrame):
        return source.rename(columns=lambda name: str(name).lower()).reset_index(drop=True), "measurement"
    text = (*NAMES, *STAMPS, "measurement_source_value")
    table = read(Path(source), text=(*text, *map(str.upper, text)))
    return table.rename(columns=lambda name: str(name).lower()), str(source)


def _ids(column: pd.Series[Any]) -> pd.Series[Any]:
    """Write identifiers as text, whole numbers without a decimal point, empty ones as ""."""
    text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return text.str.replace(r"^(-?\d+)\.0+$", r"\1", regex=True)


def _times(table: pd.DataFrame) -> pd.Series[Any]:
    """Return the time stamp of each row as text, or the date where there is no time."""
    columns = [
        table[name].astype(object).where(table[name].notna(), "").astype(str) for name in STAMPS if name in table
    ]
    first = columns[0].str.strip()
    return first if len(columns) == 1 else first.mask(first == "", columns[1].str.strip())


def _units(table: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Return the unit of each row as text; None where there is none."""
    empty = pd.Series(None, index=table.index, dtype=object)
    written = table.get("unit_source_value", empty).astype(object)
    concept = _ids(table.get("unit_concept_id", empty)).map(UNITS)
    pairs = zip(concept, written, strict=True)
    return np.array(
        [one if is_given(one) else other if is_given(other) else None for one, other in pairs], dtype=object
    )


def _operators(rows: pd.DataFrame, operator: pd.Series[Any], keep: bool) -> pd.DataFrame:
    """Leave out limits, or keep them with their sign; operators that are not known are left out."""
    sign = operator.map(CENSORED)
    rows = drop(rows, sign.isna() & ~operator.isin(EXACT), "unknown operator")
    if keep:
        return rows.assign(censored=sign.where(sign.notna(), None))
    return drop(rows, sign.notna(), "censored, " + sign.fillna("").to_numpy(dtype=object))
