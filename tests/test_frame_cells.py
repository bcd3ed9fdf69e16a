"""Cells and columns that are wrong, renamed, absent, or of another kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oracles.tables import one, table
from rstime.errors import DataError, RstimeWarning
from rstime.frame import Columns, from_long
from rstime.tables import read

pytestmark = pytest.mark.filterwarnings("error")


def bad(field: str, value: Any, **cells: Any) -> pd.DataFrame:
    frame = table(("p", 1.0, "x", 1.0, 0.5), ("q", 2.0, "y", 5.0, 0.5), ("q", 3.0, "y", 5.0, 0.5)).astype(object)
    frame.loc[1, field] = value
    return frame.assign(**cells)


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("sd", -0.5, "-0.5"),
        ("sd", np.nan, "empty"),
        ("sd", None, "empty"),
        ("sd", "", "empty"),
        ("sd", " ", "empty"),
        ("sd", "wide", "'wide'"),
        ("sd", -np.inf, "-inf"),
        ("value", "high", "'high'"),
        ("value", "1,5", "'1,5'"),
        ("value", np.inf, "inf"),
        ("value", "-inf", "'-inf'"),
        ("timestamp", np.nan, "empty"),
        ("timestamp", np.inf, "inf"),
        ("item_id", None, "empty"),
        ("variable", np.nan, "empty"),
    ],
)
def test_a_bad_cell_is_named_with_its_row_and_a_remedy(field: str, value: Any, shown: str) -> None:
    with pytest.raises(DataError) as caught:
        from_long(bad(field, value))
    assert caught.value.field == field
    assert caught.value.problem.startswith(f"{shown} in row 1 (")
    assert caught.value.remedy
    if field != "item_id":
        assert "item_id 'q'" in str(caught.value)


def test_rows_that_are_wrong_too_are_counted() -> None:
    """A frame that was read by other means has no lines: its rows count from 0, whatever its index says."""
    frame = table(*(("p", float(k), "x", 1.0, -1.0 if k > 2 else 1.0) for k in range(6))).set_index(np.arange(10, 16))
    told = r"sd: -1.0 in row 3 \(item_id 'p', timestamp 3.0, variable 'x'; rows count from 0\) and 2 more rows\. Give"
    with pytest.raises(DataError, match=told):
        from_long(frame)
    with pytest.raises(DataError, match=r"rows count from 0\) and 1 more row\."):
        from_long(frame[:5])


def test_rows_of_a_file_are_named_by_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("item_id,timestamp,variable,value,sd\np,0,x,1,1\n\np,1,x,1,\n")
    with pytest.raises(DataError) as caught:
        from_long(read(path, text=("item_id", "variable")).assign(note="kept"))
    assert caught.value.problem == f"empty in line 4 of {path} (item_id 'p', timestamp 1, variable 'x')"
    assert caught.value.remedy.endswith('Or let a fit learn it: risk="estimate", on the command line --risk estimate.')


def test_without_sd_everything_is_exact_with_a_warning() -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0), ("p", 1.0, "x", np.nan, 1.0)).drop(columns="sd")
    with pytest.warns(RstimeWarning, match="sd: no such column"):
        series = one(frame)
    np.testing.assert_array_equal(series.risk[:, 0], [0, np.inf])


def test_columns_can_be_renamed_and_variance_given_instead_of_sd() -> None:
    frame = table(("p", 0.0, "x", 1.0, 9.0)).set_axis(["bed", "when", "what", "much", "var"], axis=1)
    series = one(frame, columns=Columns("bed", "when", "what", "much", variance="var"))
    assert series.risk[0, 0] == 3
    with pytest.raises(DataError, match=r"var: -9.0 in row 0 \(bed 'p', when 0.0, what 'x'; rows count from 0\)"):
        from_long(frame.assign(var=-9.0), Columns("bed", "when", "what", "much", variance="var"))


@pytest.mark.parametrize("name", ["item_id", "timestamp", "variable", "value"])
def test_an_absent_column_is_named_beside_those_present(name: str) -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0)).rename(columns={name: "other"})
    with pytest.raises(DataError, match=rf"columns: no column '{name}' among .*other.*Columns\(") as caught:
        from_long(frame)
    assert "--id-col" in str(caught.value)


def test_a_column_of_sd_that_was_named_must_exist() -> None:
    frame = table(("p", 0.0, "x", 1.0, 1.0))
    for columns in (Columns(sd="error"), Columns(variance="error")):
        with pytest.raises(DataError, match="no column 'error'"):
            from_long(frame, columns)


def test_doubled_columns_are_refused() -> None:
    frame = pd.concat([table(("p", 0.0, "x", 1.0, 1.0))] * 2, axis=1)
    with pytest.raises(DataError, match="2 columns 'item_id'"):
        from_long(frame)


@pytest.mark.parametrize("frame", [table(), pd.DataFrame()])
def test_an_empty_table_is_refused(frame: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="no rows"):
        from_long(frame)


@pytest.mark.parametrize(
    "kinds",
    [
        {"value": "Float64", "sd": "Float64", "item_id": "string", "variable": "category"},
        {"value": "float32", "sd": "float32", "timestamp": "int64"},
        {"value": str, "sd": str, "item_id": "category"},
        {"value": "Int64", "timestamp": "Float64"},
        {"value": "double[pyarrow]", "sd": "double[pyarrow]", "variable": "string[pyarrow]"},
    ],
)
def test_every_kind_of_column_is_read_alike(kinds: dict[str, Any]) -> None:
    frame = table(("p", 0.0, "x", 1.0, 0.5), ("p", 2.0, "y", 2.0, np.inf), ("p", 2.0, "x", np.nan, 0.5))
    plain, other = one(frame), one(frame.astype(kinds))
    np.testing.assert_array_equal(plain.value, other.value)
    np.testing.assert_array_equal(plain.risk, other.risk)
    assert (plain.item_id, plain.variables) == (other.item_id, other.variables)


def test_item_names_that_are_numbers_become_text() -> None:
    series = one(table((7, 0.0, 3, 1.0, 1.0)))
    assert (series.item_id, series.variables) == ("7", ("3",))
