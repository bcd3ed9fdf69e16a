"""Rows of MEASUREMENT become rows of a long table; limits, units and dates are told apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rstime.errors import DataError
from rstime.readers import read_omop

MAPPING = {3004249: ("systolic", "mm[Hg]"), 3004501: ("glucose", "mg/dL"), 3020891: ("temperature", "Cel")}


def measurement(**change: Any) -> pd.DataFrame:
    frame = pd.DataFrame(
        {
            "measurement_id": range(5),
            "person_id": [1, 1, 2, 2, 2],
            "measurement_concept_id": [3004249, 3004501, 3004501, 3020891, 3020891],
            "measurement_date": ["2026-03-01"] * 5,
            "measurement_datetime": [f"2026-03-01 0{hour}:30:00" for hour in range(5)],
            "operator_concept_id": [0, 4172703, 4171756, np.nan, 4172704],
            "value_as_number": [120.0, 5.0, 40.0, 98.6, 37.5],
            "unit_concept_id": [8876, 8753, 8840, 9289, 0],
            "unit_source_value": ["mmHg", "mmol/L", "mg/dL", "F", "degC"],
        }
    )
    return frame.assign(**change)


def drops(reading: Any) -> dict[str, int]:
    return {one.reason: one.count for one in reading.report.drops}


def test_values_convert_and_limits_are_left_out() -> None:
    reading = read_omop(measurement(), MAPPING)
    assert reading.frame[["item_id", "variable", "unit"]].values.tolist() == [
        ["1", "systolic", "mm[Hg]"],
        ["1", "glucose", "mg/dL"],
        ["2", "temperature", "Cel"],
    ]
    np.testing.assert_allclose(reading.frame["value"], [120.0, 5 * 18.0156, 37.0])
    assert reading.frame["timestamp"].dt.hour.tolist() == [0, 1, 3]
    assert drops(reading) == {"censored, <": 1, "censored, >": 1}
    assert reading.report.drops[0].example == "row 2, concept 3004501"


def test_limits_are_kept_when_asked() -> None:
    frame = read_omop(measurement(), MAPPING, keep_censored=True).frame
    assert frame["censored"].tolist() == [None, None, "<", None, ">"]
    np.testing.assert_allclose(frame["value"], [120.0, 90.078, 40.0, 37.0, 37.5])


@pytest.mark.parametrize("name", ["m.csv", "m.parquet"])
@pytest.mark.parametrize("upper", [False, True])
def test_files_read_as_the_table_does(tmp_path: Path, name: str, upper: bool) -> None:
    frame = measurement().rename(columns=str.upper if upper else str)
    path = tmp_path / name
    frame.to_csv(path, index=False) if name.endswith("csv") else frame.to_parquet(path)
    pd.testing.assert_frame_equal(read_omop(path, MAPPING).frame, read_omop(measurement(), MAPPING).frame)


def test_a_date_stands_in_for_a_time_and_is_noted() -> None:
    reading = read_omop(measurement(measurement_datetime=["2026-03-01 05:00:00", None, None, "", None]), MAPPING)
    assert reading.frame["timestamp"].dt.hour.tolist() == [5, 0, 0]
    assert [(one.reason, one.count) for one in reading.report.notes] == [
        ("date without a time of day, taken as 00:00", 2)
    ]
    dates = read_omop(measurement().drop(columns="measurement_datetime"), MAPPING)
    assert dates.frame["timestamp"].dt.hour.tolist() == [0, 0, 0]


def test_rows_that_tell_nothing_are_counted() -> None:
    frame = measurement(
        operator_concept_id=[0, 0, 0, 0, 99],
        value_as_number=[np.nan, 5, 5, 98.6, 1],
        unit_concept_id=[8876, 0, 0, 8876, 0],
        unit_source_value=["", None, "spoon", "", "degC"],
    )
    assert drops(read_omop(frame, MAPPING)) == {
        "no value": 1,
        "unit missing": 1,
        "unknown unit 'spoon'": 1,
        "unit 'mm[Hg]' does not convert to 'Cel' for 'temperature'": 1,
        "unknown operator": 1,
    }


def test_rows_without_a_concept_go_by_their_source() -> None:
    frame = measurement(measurement_concept_id=0, measurement_source_value=["NBPs", "x", "x", "x", "x"])
    reading = read_omop(frame, {"NBPs": ("systolic", "mm[Hg]")})
    assert reading.frame["value"].tolist() == [120.0]
    assert drops(reading)["variable not in the mapping"] == 2


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no column 'value_as_number' among person_id.*MEASUREMENT of OMOP CDM 5.4"):
        read_omop(measurement()[["person_id", "measurement_concept_id", "measurement_date"]])
    bare = measurement().drop(columns=["measurement_date", "measurement_datetime"])
    with pytest.raises(DataError, match="no column 'measurement_datetime or measurement_date'"):
        read_omop(bare)
    (tmp_path / "broken.parquet").write_text("text")
    with pytest.raises(DataError, match=r"broken.parquet cannot be read"):
        read_omop(tmp_path / "broken.parquet")
