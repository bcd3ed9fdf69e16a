"""Units convert by published factors, both ways, and say what they cannot know."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstime.errors import DataError
from rstime.risk.units import ANALYTES, UNITS, canonical, convert, convert_sd, find


@pytest.mark.parametrize(
    ("value", "unit", "to", "variable", "want"),
    [
        (18.016, "mg/dL", "mmol/L", "glucose", 1.0),
        (1.0, "mg/dL", "umol/L", "creatinine", 88.42),
        (10.0, "mg/dL", "mmol/L", "urea nitrogen", 3.57),
        (10.0, "mg/dL", "mmol/L", "blood_urea", 1.665),
        (1.0, "mg/dL", "umol/L", "bilirubin, total", 17.1),
        (10.0, "g/dL", "mmol/L", "haemoglobin", 6.206),
        (200.0, "mg/dL", "mmol/L", "Cholesterol in HDL", 5.17),
        (2.5, "mmol/L", "mg/dL", "calcium", 10.02),
        (5.0, "meq/L", "mmol/L", "calcium", 2.5),
        (140.0, "mEq/L", "mmol/L", "laboratory_sodium", 140.0),
        (37.0, "Cel", "degF", None, 98.6),
        (0.0, "K", "°C", None, -273.15),
        (12.0, "kPa", "mmHg", "pco2", 90.0),
        (10.0, "cmH2O", "mm[Hg]", None, 7.356),
        (0.21, "1", "%", "fio2", 21.0),
        (1.2, "Hz", "beats/min", None, 72.0),
        (250.0, "K/uL", "10*9/L", None, 250.0),
        (4.5, "M/uL", "10*12/L", None, 4.5),
        (7000.0, "/uL", "10^3/uL", None, 7.0),
        (1.0, "ukat/L", "U/L", "alt", 60.0),
        (100.0, "lb", "kg", None, 45.359),
        (1.0, "g/L", "mg/dL", None, 100.0),
        (1.0, "ng/mL", "ug/L", None, 1.0),
    ],
)
def test_values_convert_by_published_factors_and_back(
    value: float, unit: str, to: str, variable: str | None, want: float
) -> None:
    got = convert(value, unit, to, variable)
    assert got == pytest.approx(want, rel=1e-3)
    assert convert(got, to, unit, variable) == pytest.approx(value, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("spelling", "code"),
    [
        ("mmHg", "mm[Hg]"),
        ("MM HG", "mm[Hg]"),
        ("MG/DL", "mg/dL"),
        ("µmol/L", "umol/L"),
        ("{beats}/min", "/min"),
        ("mg/dL{creat}", "mg/dL"),
        ("x10^9/L", "10*9/L"),
        ("{score}", "1"),
        ("K", "K"),
        ("k/ul", "10*9/L"),
    ],
)
def test_common_spellings_have_one_code(spelling: str, code: str) -> None:
    assert canonical(spelling) == code


def test_no_spelling_means_two_units() -> None:
    for unit in UNITS:
        for name in (unit.code, *unit.spellings):
            assert find(name).code == find(name.lower()).code == unit.code, name


def test_the_sd_takes_the_slope_and_not_the_offset() -> None:
    assert convert_sd(1.8, "degF", "Cel") == pytest.approx(1.0)
    assert convert_sd(18.0156, "mg/dL", "mmol/L", "glucose") == pytest.approx(1.0)
    np.testing.assert_allclose(convert_sd([0.0, np.inf], "kPa", "mmHg"), [0.0, np.inf])


SAME = [(one.code, two.code) for one in UNITS for two in UNITS if one.kind == two.kind]


@given(st.sampled_from(SAME), st.floats(-1e4, 1e4), st.floats(0, 1e3))
def test_a_shifted_value_stays_shifted_by_the_converted_sd(pair: tuple[str, str], value: float, sd: float) -> None:
    difference = convert(value + sd, *pair) - convert(value, *pair)
    assert difference == pytest.approx(convert_sd(sd, *pair), rel=1e-6, abs=1e-9 * abs(float(convert(1e5, *pair))))


def test_analytes_agree_with_the_sum_of_their_atoms() -> None:
    hydrogen, carbon, nitrogen, oxygen = 1.008, 12.011, 14.007, 15.999
    for name, atoms in {
        "glucose": (12, 6, 0, 6),
        "creatinine": (7, 4, 3, 1),
        "urea": (4, 1, 2, 1),
        "lactate": (6, 3, 0, 3),
        "cholesterol": (46, 27, 0, 1),
        "bilirubin": (36, 33, 4, 6),
    }.items():
        mass = np.dot(atoms, (hydrogen, carbon, nitrogen, oxygen))
        assert ANALYTES[name].molar_mass == pytest.approx(mass, rel=1e-4), name


@pytest.mark.parametrize("missing", [None, "", "  ", float("nan")])
def test_a_missing_unit_is_refused(missing: str | None) -> None:
    with pytest.raises(DataError, match="unit: missing"):
        convert(1.0, missing, "mg/dL")


def test_an_unknown_unit_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'furlong' is not known.*mm\[Hg\]"):
        canonical("furlong")


@pytest.mark.parametrize(
    ("unit", "to", "variable", "message"),
    [
        ("mm[Hg]", "Cel", "map", r"'mm\[Hg\]' \(pressure\) and 'Cel' \(temperature\) are of different kinds"),
        ("mg/dL", "mm[Hg]", "glucose", "different kinds"),
        ("mg/dL", "mmol/L", "albumin", "for a known analyte only, not for 'albumin'"),
        ("mg/dL", "mmol/L", None, "for a known analyte only"),
        ("meq/L", "mmol/L", "glucose", "'meq/L' has no meaning for 'glucose'"),
    ],
)
def test_units_of_different_kinds_are_refused(unit: str, to: str, variable: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        convert(1.0, unit, to, variable)
