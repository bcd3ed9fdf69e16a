"""MEDS shards become rows; static facts and events without a number are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rstime.errors import ConfigError, DataError
from rstime.readers import read_meds

MAPPING = {"LAB//GLU//mg/dL": ("glucose", "mg/dL"), "HR": ("hr", "/min")}


def shard(path: Path, **change: Any) -> Path:
    frame = pd.DataFrame(
        {
            "subject_id": np.array([1, 1, 1, 2, 2], dtype=np.int64),
            "time": np.array(["2150-01-01T08", "NaT", "2150-01-01T09", "2150-01-02", "2150-01-02"], dtype="M8[us]"),
            "code": ["LAB//GLU//mg/dL", "GENDER//F", "HR", "HR", "DIAGNOSIS//I10"],
            "numeric_value": np.array([90, np.nan, 80, np.nan, np.nan], dtype=np.float32),
        }
    ).assign(**change)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.astype({"time": "datetime64[us]"}).to_parquet(path, index=False)
    return path


def test_numeric_events_become_rows_and_others_are_counted(tmp_path: Path) -> None:
    reading = read_meds(shard(tmp_path / "0.parquet"), MAPPING)
    assert reading.frame[["item_id", "variable", "value", "unit"]].values.tolist() == [
        ["1", "glucose", 90.0, "mg/dL"],
        ["1", "hr", 80.0, "/min"],
    ]
    assert reading.frame["timestamp"].tolist() == [pd.Timestamp("2150-01-01 08:00"), pd.Timestamp("2150-01-01 09:00")]
    assert {one.reason: one.count for one in reading.report.drops} == {"variable not in the mapping": 2, "no value": 1}


def test_without_a_mapping_static_facts_have_no_time(tmp_path: Path) -> None:
    reading = read_meds(shard(tmp_path / "0.parquet"))
    assert reading.frame["variable"].tolist() == ["LAB//GLU//mg/dL", "HR"]
    assert {one.reason: one.count for one in reading.report.drops} == {"no time": 1, "no value": 2}


def test_shards_of_a_data_set_follow_their_names_and_metadata_is_no_shard(tmp_path: Path) -> None:
    shard(tmp_path / "data" / "train" / "0.parquet")
    shard(tmp_path / "data" / "held_out" / "0.parquet", subject_id=[7, 7, 7, 8, 8])
    pd.DataFrame({"code": ["HR"]}).to_parquet(tmp_path / "codes.parquet")
    reading = read_meds(tmp_path, MAPPING)
    assert reading.frame["item_id"].tolist() == ["7", "7", "1", "1"]
    assert reading.report.rows == 10
    example = {one.reason: one.example for one in reading.report.drops}["no value"]
    assert example == "0.parquet row 3, code 'HR'"


def test_sd_and_units_beyond_the_standard_are_used(tmp_path: Path) -> None:
    path = shard(tmp_path / "0.parquet", numeric_value_sd=[9.0, np.nan, 2.0, np.nan, np.nan])
    mapping = {"LAB//GLU//mg/dL": ("glucose", "mmol/L"), "HR": ("hr", "/min")}
    frame = read_meds(path, mapping, units={"LAB//GLU//mg/dL": "mg/dL"}).frame
    np.testing.assert_allclose(frame["value"], [90 / 18.0156, 80.0])
    np.testing.assert_allclose(frame["sd"], [9 / 18.0156, 2.0])
    path = shard(tmp_path / "1.parquet", unit=["mg/dL", None, None, None, None])
    np.testing.assert_allclose(read_meds(path, mapping).frame["value"], [90 / 18.0156, 80.0])
    path = shard(tmp_path / "2.parquet", numeric_value_sd=[-9.0, np.nan, 2.0, np.nan, np.nan])
    drops = {one.reason: one.count for one in read_meds(path, mapping).report.drops}
    assert drops["sd that is not a number >= 0"] == 1


def test_files_that_are_not_meds_are_refused_with_the_file(tmp_path: Path) -> None:
    pd.DataFrame({"patient_id": [1]}).to_parquet(tmp_path / "old.parquet")
    with pytest.raises(DataError, match=r"old.parquet has no column 'subject_id' among patient_id"):
        read_meds(tmp_path / "old.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(DataError, match=r"broken.parquet cannot be read .*whole Parquet file"):
        read_meds(tmp_path / "broken.parquet")
    with pytest.raises(DataError, match=r"no .parquet file at"):
        read_meds(tmp_path / "absent")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"HR": "hr"}, r"'HR' is mapped to 'hr'.*Give code: \(name, unit\)"),
        ({"HR": ("hr", "/min", "x")}, "'HR' is mapped to"),
        ({"HR": ("hr", "/min"), "PULSE": ("hr", "Hz")}, "'hr' in '/min' and 'Hz'"),
    ],
)
def test_a_mapping_that_contradicts_itself_is_refused(tmp_path: Path, mapping: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_meds(shard(tmp_path / "0.parquet"), mapping)


def test_a_mapping_to_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'furlong' is not known"):
        read_meds(shard(tmp_path / "0.parquet"), {"HR": ("hr", "furlong")})
