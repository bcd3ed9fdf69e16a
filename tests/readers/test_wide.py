"""Wide tables become long; each cell of a variable is a row in or a row counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstime.errors import DataError
from rstime.readers import read_wide
from rstime.readers.rows import finish

CSV = """item_id,timestamp,hr,hr_sd,temp,temp_quality,ward
007,2026-01-01 00:00,80,2,98.6,0.5,A
007,2026-01-01 01:00,,,99.5,,A
B,2026-01-01 00:00,x,2,97.7,1.5,A
"""
MAPPING = {"hr": ("heart_rate", "/min"), "temp": ("temperature", "Cel")}


def table(path: Path, text: str = CSV) -> Path:
    file = path / "wide.csv"
    file.write_text(text)
    return file


def test_cells_become_rows_with_their_sd_and_quality(tmp_path: Path) -> None:
    reading = read_wide(table(tmp_path), MAPPING, units={"temp": "degF"})
    frame = reading.frame
    assert frame[["item_id", "variable", "unit"]].values.tolist() == [
        ["007", "heart_rate", "/min"],
        ["007", "temperature", "Cel"],
        ["007", "temperature", "Cel"],
    ]
    np.testing.assert_allclose(frame["value"], [80.0, 37.0, 37.5])
    np.testing.assert_allclose(frame["sd"], [2.0, np.nan, np.nan])
    np.testing.assert_allclose(frame["quality"], [np.nan, 0.5, np.nan])
    assert {one.reason: (one.count, one.example) for one in reading.report.drops} == {
        "variable not in the mapping": (3, "row 0, column 'ward'"),
        "no value": (1, "row 1, column 'hr'"),
        "not a number": (1, "row 2, column 'hr'"),
        "quality outside [0, 1]": (1, "row 2, column 'temp'"),
    }


def test_an_sd_converts_by_the_slope_alone(tmp_path: Path) -> None:
    path = table(tmp_path, "timestamp,t,t_sd\n0,98.6,1.8\n0.5,99.5,\nlater,99.5,1\n")
    reading = read_wide(path, {"t": ("temperature", "Cel")}, units={"t": "degF"})
    np.testing.assert_allclose(reading.frame["sd"], [1.0, np.nan])
    assert reading.frame["timestamp"].tolist() == [0.0, 0.5]
    assert reading.frame["item_id"].tolist() == ["series", "series"]
    assert reading.report.drops[0].reason == "time that cannot be read"


def test_tables_without_times_or_variables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'timestamp' among item_id, hr"):
        read_wide(table(tmp_path, "item_id,hr\na,1\n"))
    with pytest.raises(DataError, match="no column of values"):
        read_wide(table(tmp_path, "item_id,timestamp\na,1\n"))


CELLS = st.sampled_from([None, "", "70", 70.5, "x", np.inf, np.nan])
ROWS = st.tuples(
    st.sampled_from(["a", "b", "", None]),
    st.sampled_from(["2026-01-01T00:00", "2026-01-01", "2026-01-01T00:00Z", "2026", "soon", "", None]),
    st.sampled_from(["glu", "temp", "other", None]),
    CELLS,
    st.sampled_from(["mg/dL", "mmol/l", "Cel", "dram", "", None]),
    st.sampled_from([None, "", 1.0, -1.0, "x"]),
    st.sampled_from([None, 0.0, 0.5, 1.1]),
)


@settings(max_examples=60)
@given(st.lists(ROWS, min_size=1, max_size=12), st.booleans())
def test_every_row_is_either_in_the_table_or_counted_once(rows: list[tuple[object, ...]], noted: bool) -> None:
    names = ["item", "time", "code", "value", "unit", "sd", "quality"]
    raw = pd.DataFrame(rows, columns=names, dtype=object).assign(reason="")
    mapping = {"glu": ("glucose", "mg/dL"), "temp": ("temperature", "Cel")}
    mask = np.full(len(rows), noted)
    reading = finish(raw, "rows", mapping, notes={"noted": mask})
    report = reading.report
    assert report.rows == len(rows) == report.kept + report.dropped
    assert report.kept == len(reading.frame)
    assert all(one.count > 0 and int(one.example.split()[1]) < len(rows) for one in report.drops)
    assert sum(one.count for one in report.notes if one.reason == "noted") == (report.kept if noted else 0)
    assert np.isfinite(reading.frame["value"]).all()
    assert reading.frame["timestamp"].notna().all()
    assert set(reading.frame["unit"]) <= {"mg/dL", "Cel"}
    assert not reading.frame.assign(code=reading.frame["variable"]).duplicated().any()
