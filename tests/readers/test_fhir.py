"""FHIR Observations become rows; what is no measurement is counted with its reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rstime.errors import DataError
from rstime.frame import from_long
from rstime.readers import read_fhir
from rstime.risk.sensors import assign_risk

UCUM = "http://unitsofmeasure.org"
MAPPING = {
    "8480-6": ("systolic", "mm[Hg]"),
    "8462-4": ("diastolic", "mm[Hg]"),
    "http://loinc.org|2339-0": ("glucose", "mg/dL"),
    "8310-5": ("temperature", "Cel"),
}


def coded(code: str, system: str = "http://loinc.org") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def quantity(value: Any, code: str, **more: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "unit": code, "system": UCUM, "code": code, **more}}


def observation(code: str = "2339-0", time: str = "2026-03-01T08:00:00+01:00", **more: Any) -> dict[str, Any]:
    head = {"resourceType": "Observation", "id": "o1", "status": "final", "subject": {"reference": "Patient/p1"}}
    return {**head, "code": coded(code), "effectiveDateTime": time, **more}


def bundle(path: Path, *resources: Any) -> Path:
    content = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": one} for one in resources]}
    path = path / "bundle.json"
    path.write_text(json.dumps(content))
    return path


def counts(reading: Any) -> dict[str, int]:
    return {one.reason: one.count for one in reading.report.drops}


PRESSURE = observation(
    "85354-9",
    component=[
        {"code": coded("8480-6"), **quantity(120, "mm[Hg]")},
        {"code": coded("8462-4"), **quantity(10.0, "kPa")},
        {"code": coded("8478-0"), **quantity(91, "mm[Hg]")},
    ],
)


def test_a_blood_pressure_panel_gives_a_row_for_each_component(tmp_path: Path) -> None:
    reading = read_fhir(bundle(tmp_path, PRESSURE), MAPPING)
    want = pd.DataFrame(
        {
            "item_id": ["p1", "p1"],
            "timestamp": pd.to_datetime(["2026-03-01T07:00Z"] * 2),
            "variable": ["systolic", "diastolic"],
            "value": [120.0, 75.00617],
            "sd": [np.nan, np.nan],
            "unit": ["mm[Hg]", "mm[Hg]"],
        }
    )
    pd.testing.assert_frame_equal(reading.frame, want, check_dtype=False)
    assert counts(reading) == {"variable not in the mapping": 1}
    assert reading.report.rows == 3


def test_what_is_no_measurement_is_left_out_and_counted(tmp_path: Path) -> None:
    absent = {"dataAbsentReason": coded("not-performed", "http://terminology.hl7.org/CodeSystem/data-absent-reason")}
    path = bundle(
        tmp_path,
        observation(**quantity(90, "mg/dL")),
        observation(**quantity(91, "mg/dL"), status="entered-in-error"),
        observation(**quantity(92, "mg/dL"), status="cancelled"),
        observation(**quantity(2, "mmol/L", comparator="<")),
        observation(**absent),
        observation(),
        observation(valueString="hemolysed"),
        observation(**quantity("high", "mg/dL")),
        observation(**quantity(93, "dram")),
        observation(**quantity(93, "mm[Hg]")),
        observation(valueInteger=94),
        {key: value for key, value in observation(**quantity(95, "mg/dL")).items() if key != "effectiveDateTime"},
        {key: value for key, value in observation(**quantity(95, "mg/dL")).items() if key != "subject"},
        observation(**quantity(96, "mg/dL"), time="2026-03"),
        observation(**quantity(96, "mg/dL"), time="yesterday"),
        observation(**quantity(90, "mg/dL")),
        {"resourceType": "Patient", "id": "p1"},
    )
    reading = read_fhir(path, MAPPING)
    assert counts(reading) == {
        "status entered-in-error": 1,
        "status cancelled": 1,
        "censored, <": 1,
        "data absent: not-performed": 1,
        "no value": 1,
        "valueString instead of a quantity": 1,
        "not a number": 1,
        "unknown unit 'dram'": 1,
        "unit 'mm[Hg]' does not convert to 'mg/dL' for 'glucose'": 1,
        "unit missing": 1,
        "no time": 1,
        "no item": 1,
        "date without a day": 1,
        "time that cannot be read": 1,
        "duplicate": 1,
        "Patient, not an Observation": 1,
    }
    assert (reading.report.rows, reading.report.kept, reading.report.dropped) == (17, 1, 16)
    assert "  dropped 1: unknown unit 'dram' (bundle.json entry 8, Observation/o1)" in str(reading.report).splitlines()


def test_censored_values_are_kept_when_asked(tmp_path: Path) -> None:
    path = bundle(tmp_path, observation(**quantity(2, "mmol/L", comparator="<")), observation(**quantity(90, "mg/dL")))
    frame = read_fhir(path, MAPPING, keep_censored=True).frame
    assert frame["censored"].tolist() == ["<", None]
    np.testing.assert_allclose(frame["value"], [36.0312, 90.0])


def test_a_period_counts_at_its_start_and_a_date_at_midnight_and_both_are_noted(tmp_path: Path) -> None:
    period = observation(effectivePeriod={"start": "2026-03-01T06:00:00Z"}, **quantity(1, "mg/dL"))
    del period["effectiveDateTime"]
    instant = observation(effectiveInstant="2026-03-01T09:00:00.250Z", **quantity(2, "mg/dL"))
    del instant["effectiveDateTime"]
    reading = read_fhir(bundle(tmp_path, period, instant), MAPPING)
    assert reading.frame["timestamp"].dt.hour.tolist() == [6, 9]
    assert [(one.reason, one.count) for one in reading.report.notes] == [("effectivePeriod, taken at its start", 1)]
    reading = read_fhir(bundle(tmp_path, observation(time="2026-03-02", **quantity(1, "mg/dL"))), MAPPING)
    assert reading.frame["timestamp"].tolist() == [pd.Timestamp("2026-03-02")]
    assert [one.reason for one in reading.report.notes] == ["date without a time of day, taken as 00:00"]
    both = bundle(tmp_path, observation(time="2026-03-02", **quantity(1, "mg/dL")), observation(**quantity(1, "mg/dL")))
    assert counts(read_fhir(both, MAPPING)) == {"time without a zone beside times with one": 1}


def test_without_a_mapping_codes_and_units_stay_and_two_units_are_refused(tmp_path: Path) -> None:
    local = {"coding": [{"system": "urn:ward", "code": "GLU"}, {"system": "http://loinc.org", "code": "2339-0"}]}
    plain = observation(device={"display": "meter 7"}, valueQuantity={"value": 5, "unit": "mmol/l"})
    plain["code"] = local
    frame = read_fhir(bundle(tmp_path, plain, PRESSURE)).frame
    assert frame["variable"].tolist()[:2] == ["2339-0", "8480-6"]
    assert frame["unit"].tolist()[:2] == ["mmol/L", "mm[Hg]"]
    assert frame["device"].tolist()[:2] == ["meter 7", None]
    path = bundle(tmp_path, plain, observation(**quantity(90, "mg/dL")))
    with pytest.raises(DataError, match=r"unit: variable '2339-0' has several: 'mmol/L', 'mg/dL'.*variables="):
        read_fhir(path)


def test_ndjson_folders_and_single_observations_read_alike(tmp_path: Path) -> None:
    rows = [observation(**quantity(value, "mg/dL"), note=[{"text": "a\u2028b"}]) for value in (80, 90, 100)]
    lines = [json.dumps(one, ensure_ascii=False) for one in rows]
    (tmp_path / "a.ndjson").write_text("\n".join(lines[:2]) + "\n\n")
    (tmp_path / "b.json").write_text(lines[2])
    (tmp_path / "note.txt").write_text("not FHIR")
    reading = read_fhir(tmp_path, MAPPING)
    assert reading.frame["value"].tolist() == [80.0, 90.0, 100.0]
    assert reading.report.rows == 3


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"resourceType": "Bundle", "entry": [', r"a.json is not JSON .*Check that the file is whole"),
        ("a.ndjson", '{"resourceType": "Patient"}\n{', r"a.ndjson line 2 is not JSON"),
        ("a.json", '{"entry": []}', r"a.json is no FHIR resource: it has no resourceType.*Give a Bundle"),
        ("a.json", '{"resourceType": "Bundle", "entry": [3]}', r"a.json entry 0 is no FHIR resource"),
        ("a.json", "[]", r"a.json holds no resource"),
    ],
)
def test_files_that_are_no_fhir_are_refused_with_the_file(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        read_fhir(tmp_path / name)


def test_elements_of_another_type_are_counted_and_never_stop_the_reading(tmp_path: Path) -> None:
    path = bundle(
        tmp_path,
        observation(**quantity(True, "mg/dL")),
        observation(**quantity({"x": 1}, "mg/dL")),
        observation(valueQuantity=[90]),
        observation(**quantity(90, "mg/dL"), time={"x": 1}),
        {**observation(**quantity(90, "mg/dL")), "subject": 3},
        {**observation(**quantity(90, "mg/dL")), "code": ["2339-0"]},
        observation(**quantity(90, "mg/dL"), component={}, device={"display": ["z"]}),
    )
    reading = read_fhir(path, MAPPING)
    assert counts(reading) == {
        "not a number": 2,
        "no value": 1,
        "time that cannot be read": 1,
        "no item": 1,
        "no code": 1,
    }
    assert reading.frame["value"].tolist() == [90.0]


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no .json or .ndjson file at"):
        read_fhir(tmp_path / "absent.json")


def test_from_a_bundle_to_a_series_with_risk(tmp_path: Path) -> None:
    hours = [f"2026-03-01T{hour:02d}:00:00Z" for hour in (6, 7, 8)]
    heat = [observation("8310-5", hour, **quantity(98.6, "[degF]")) for hour in hours[:2]]
    sugar = [
        observation("2339-0", hour, **quantity(value, "mmol/L")) for hour, value in zip(hours, (5, 8, 10), strict=True)
    ]
    reading = read_fhir(bundle(tmp_path, *heat, *sugar), MAPPING)
    table = assign_risk(reading.frame, {"temperature": "thermometer", "glucose": "hospital_meter"})
    (series,) = from_long(table)
    assert (series.item_id, series.timezone, series.variables) == ("p1", "UTC", ("temperature", "glucose"))
    np.testing.assert_array_equal(
        series.time, np.array([f"2026-03-01T0{h}" for h in (6, 7, 8)], dtype="datetime64[ns]")
    )
    np.testing.assert_allclose(series.value, 18.0156 * np.array([[37 / 18.0156, 5], [37 / 18.0156, 8], [np.nan, 10]]))
    risk = 0.061 * 8 * 18.0156
    np.testing.assert_allclose(series.risk, [[0.17, risk], [0.17, risk], [np.inf, risk]])
