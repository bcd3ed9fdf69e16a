"""`rstime data convert` writes the long table, says what was left out, and refuses maps that say nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from rstime.cli import main
from rstime.frame import from_long
from rstime.tables import read

WIDE = """bed,when,HR,temp
7,2026-01-01 00:00,80,98.6
7,2026-01-01 01:00,,99.5
"""
MAP = "code,name,unit,source_unit\nHR,hr,/min,\ntemp,temperature,Cel,degF\n"


@pytest.fixture
def wide(tmp_path: Path) -> list[str]:
    (tmp_path / "wide.csv").write_text(WIDE)
    (tmp_path / "map.csv").write_text(MAP)
    (tmp_path / "devices.json").write_text('{"hr": 1.5, "temperature": "thermometer"}')
    source = ["data", "convert", "wide", str(tmp_path / "wide.csv"), "--id-col", "bed", "--time-col", "when"]
    return [*source, "--variables", str(tmp_path / "map.csv"), "--out", str(tmp_path / "out.csv")]


def test_a_source_becomes_a_table_that_models_read(
    wide: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*wide, "--devices", str(tmp_path / "devices.json")]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"{tmp_path / 'wide.csv'}: 4 rows read, 3 kept, 1 dropped",
        "  dropped 1: no value (row 1, column 'HR')",
        f"{tmp_path / 'out.csv'}: 3 rows",
    ]
    table = read(tmp_path / "out.csv", text=("item_id", "variable"))
    assert list(table.columns) == ["item_id", "timestamp", "variable", "value", "sd", "unit"]
    (series,) = from_long(table)
    assert series.item_id == "7"
    np.testing.assert_allclose(series.value, [[80, 37.0], [np.nan, 37.5]])
    np.testing.assert_allclose(series.risk, [[1.5, 0.17], [np.inf, 0.17]])


def test_without_devices_the_empty_sd_is_pointed_out(wide: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(wide) == 0
    assert "sd is empty in 3 rows: fill it, or say with --devices" in capsys.readouterr().out


def test_the_other_formats_reach_their_reader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = pd.DataFrame(
        {"subject_id": [1], "time": pd.to_datetime(["2150-01-01"]), "code": "HR", "numeric_value": [80.0]}
    )
    frame.to_parquet(tmp_path / "meds.parquet")
    row = {
        "person_id": [1],
        "measurement_concept_id": "HR",
        "measurement_date": "2026-01-01",
        "value_as_number": [80.0],
    }
    pd.DataFrame({**row, "operator_concept_id": 4171756, "unit_concept_id": 8541}).to_csv(tmp_path / "omop.csv")
    subject = {"subject": {"reference": "Patient/1"}, "effectiveDateTime": "2026-01-01T00:00:00Z"}
    value = {"code": {"text": "HR"}, "valueQuantity": {"value": 80, "unit": "bpm", "comparator": "<"}}
    (tmp_path / "fhir.json").write_text(json.dumps({"resourceType": "Observation", **subject, **value}))
    samples = {"units": ["bpm", "NU"], "sig_name": ["HR", "Q"], "p_signal": np.array([[80.0, 1.0], [80.0, 0.5]])}
    wfdb.wrsamp(
        "wfdb", fs=1, fmt=["16", "16"], adc_gain=[10.0, 10.0], baseline=[0, 0], write_dir=str(tmp_path), **samples
    )
    (tmp_path / "map.json").write_text('{"HR": ["hr", "/min"]}')
    out = tmp_path / "out.parquet"
    for name, extra, count in (
        ("meds.parquet", [], 1),
        ("omop.csv", ["--keep-censored"], 1),
        ("fhir.json", ["--keep-censored"], 1),
        ("wfdb", ["--quality", "HR=Q"], 2),
    ):
        command = [
            "data",
            "convert",
            name.split(".")[0],
            str(tmp_path / name),
            "--variables",
            str(tmp_path / "map.json"),
        ]
        assert main([*command, "--out", str(out), *extra]) == 0, capsys.readouterr().err
        table = pd.read_parquet(out)
        assert table[["variable", "value", "unit"]].values.tolist() == [["hr", 80.0, "/min"]] * count, name
    assert table["quality"].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("map.csv", "code,name\nHR,hr\n", "--variables: .* has no column 'unit' among code, name"),
        ("map.csv", MAP + "HR,pulse,/min,\n", "has code 'HR' twice"),
        ("devices.json", '{"hr": ["ecg"]}', r"--devices: 'hr' is mapped to \['ecg'\]"),
        ("devices.json", '{"hr": ', r"devices.json cannot be read .*Give JSON such as"),
        ("devices.json", "[]", "devices.json holds no object"),
        ("devices.json", '{"hr": 1}', "devices: nothing for variable 'temperature'"),
    ],
)
def test_maps_that_say_nothing_are_refused_and_nothing_is_written(
    wide: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str, message: str
) -> None:
    (tmp_path / file).write_text(text)
    assert main([*wide, "--devices", str(tmp_path / "devices.json")]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["wide", "w.csv", "--out", "o.csv", "--keep-censored"],
            "--keep-censored: wide has no such thing. It is for omop and fhir",
        ),
        (["omop", "w.csv", "--out", "o.csv", "--quality", "a=b"], "--quality: omop has no such thing"),
        (["omop", "w.csv", "--out", "o.txt"], "--out: o.txt ends in '.txt'"),
        (["omop", "w.csv", "--out", "w.csv"], "--out: w.csv is another file of this command already"),
        (["omop", "w.csv", "--out", "no/o.csv"], "the folder of no/o.csv does not exist"),
        (["omop", "w.csv", "--out", "o.csv", "--variables", "m.csv"], "a source_unit, but omop has units of its own"),
        (["wide", "absent.csv", "--out", "o.csv"], "there is no file absent.csv"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text(MAP)
    assert main(["data", "convert", *arguments]) == 2
    assert message in capsys.readouterr().err
