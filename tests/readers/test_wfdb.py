"""WFDB records become rows; invalid samples are counted and quality travels along."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from rstime.errors import ConfigError, DataError
from rstime.readers import read_wfdb

SIGNALS = np.array([[80.0, 97.0, 1.0], [82.0, np.nan, 0.5], [np.nan, 96.0, 0.0]])


def record(
    path: Path, fmt: str = "16", start: dt.datetime | None = dt.datetime(2026, 1, 1, 8), **change: object
) -> Path:
    """Write numerics at one sample a minute: heart rate, saturation, quality of the saturation."""
    settings = {
        "fs": 1 / 60,
        "units": ["bpm", "%", "NU"],
        "sig_name": ["HR", "SpO2", "SQI"],
        "p_signal": SIGNALS,
        "fmt": [fmt] * 3,
        "adc_gain": [10.0, 10.0, 100.0],
        "baseline": [0, 0, 0],
        "base_datetime": start,
        "write_dir": str(path),
    } | change
    wfdb.wrsamp("n001", **settings)
    return path / "n001"


@pytest.mark.parametrize("fmt", ["16", "212"])
def test_samples_become_rows_in_both_common_formats(tmp_path: Path, fmt: str) -> None:
    mapping = {"HR": ("hr", "/min"), "SpO2": ("spo2", "%")}
    reading = read_wfdb(record(tmp_path, fmt), mapping, quality={"SpO2": "SQI"})
    frame = reading.frame
    assert frame["item_id"].tolist() == ["n001"] * 4
    assert frame["variable"].tolist() == ["hr", "hr", "spo2", "spo2"]
    assert frame["unit"].tolist() == ["/min", "/min", "%", "%"]
    np.testing.assert_allclose(frame["value"], [80, 82, 97, 96])
    np.testing.assert_allclose(frame["quality"], [np.nan, np.nan, 1.0, 0.0])
    minutes = (frame["timestamp"] - pd.Timestamp("2026-01-01 08:00")).dt.total_seconds() / 60
    np.testing.assert_allclose(minutes, [0, 1, 0, 2])
    assert reading.report.rows == 6
    assert [(one.reason, one.count, one.example) for one in reading.report.drops] == [
        ("no value", 2, "sample 2 of 'HR'")
    ]


def test_without_a_base_date_time_is_in_seconds(tmp_path: Path) -> None:
    frame = read_wfdb(record(tmp_path, start=None).with_suffix(".hea")).frame
    np.testing.assert_allclose(frame["timestamp"], [0, 60, 0, 120, 0, 60, 120])
    assert frame["unit"].tolist()[-1] is None


def test_quality_in_percent_becomes_a_share(tmp_path: Path) -> None:
    path = record(tmp_path, units=["bpm", "%", "%"], p_signal=SIGNALS * [1, 1, 100], adc_gain=[10.0, 10.0, 10.0])
    frame = read_wfdb(path, {"HR": ("hr", "/min")}, quality={"HR": "SQI"}).frame
    np.testing.assert_allclose(frame["quality"], [1.0, 0.5])


def test_a_record_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no header .*absent.hea"):
        read_wfdb(tmp_path / "absent")
    path = record(tmp_path)
    with pytest.raises(ConfigError, match=r"no channel 'Q'.*Signals of n001: HR, SpO2, SQI"):
        read_wfdb(path, quality={"HR": "Q"})
    path.with_suffix(".dat").unlink()
    with pytest.raises(DataError, match=r"n001 cannot be read .*beside each other"):
        read_wfdb(path)
    path.with_suffix(".hea").write_text("")
    with pytest.raises(DataError, match="n001 cannot be read"):
        read_wfdb(path)


def test_without_the_package_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = record(tmp_path)
    monkeypatch.setitem(sys.modules, "wfdb", None)
    with pytest.raises(ConfigError, match=r"pip install 'rstime\[clinical\]'"):
        read_wfdb(path)
