"""Calibrated risk holds on real pairs: other people, later months; and the command prints what it measured."""

from pathlib import Path

import numpy as np
import pytest

from rstime.evaluation import pair_data, pairs
from rstime.evaluation.pair_data import Pairs
from rstime.evaluation.pairs import by_bin, by_month, inside, main, months, persons, summary

SEEDS = range(5)


@pytest.fixture(scope="module")
def glucose(shared_data: Path) -> Pairs:
    return pair_data.glucose(shared_data)


@pytest.fixture(scope="module")
def pressures(shared_data: Path) -> dict[str, Pairs]:
    return pair_data.pressures(shared_data)


def test_glucose_of_other_people(glucose: Pairs) -> None:
    assert glucose.sensor.size == 4018
    assert np.mean(glucose.sensor - glucose.reference) == pytest.approx(-14.699, abs=5e-4)  # as PROVENANCE.md
    trials = [persons(glucose, seed) for seed in SEEDS]
    for trial in trials:
        assert 0.87 <= inside(trial.claims["adaptive"]) <= 0.93
        assert 0.87 <= inside(trial.claims["adaptive, central"]) <= 0.93
    static = [inside(trial.claims["static"]) for trial in trials]
    assert np.mean(static) == pytest.approx(0.886, abs=0.002)
    assert min(static) == pytest.approx(0.809, abs=0.002)  # a sensor's own bias is no noise: one line for all is off
    bins = by_bin(trials, "adaptive")
    assert bins["coverage"].between(0.87, 0.93).all()
    assert bins["count"].sum() == sum(int(trial.test.sum()) for trial in trials)


@pytest.mark.parametrize(("slope", "seeds"), [(None, (0, 1)), (1.0, (2, 3))])
@pytest.mark.parametrize("reference", ["SysABP", "MAP"])
def test_pressure_of_other_stays(
    pressures: dict[str, Pairs], reference: str, slope: float | None, seeds: tuple[int, ...]
) -> None:
    for seed in seeds:
        trial = persons(pressures[reference], seed, slope)
        names = [set(pressures[reference].person[rows]) for rows in (trial.test, ~trial.test)]
        assert not names[0] & names[1]
        for method in ("central", "adaptive", "adaptive, central"):
            assert 0.87 <= inside(trial.claims[method]) <= 0.93, method
        if reference == "SysABP":
            assert 0.87 <= inside(trial.claims["static"]) <= 0.93


def test_pressures_leave_faults_of_the_line_out(pressures: dict[str, Pairs]) -> None:
    assert pressures["SysABP"].reference.min() >= 40
    assert pressures["MAP"].reference.min() >= 20
    assert {name: found.sensor.size for name, found in pressures.items()} == {"SysABP": 16574, "MAP": 16246}


STATIC = {"CO": 0.377, "C6H6": 0.894, "NOx": 0.700, "log NOx": 0.729, "NO2": 0.428}


@pytest.mark.parametrize("gas", STATIC)
def test_gases_of_later_months(shared_data: Path, gas: str) -> None:
    found = pair_data.air(gas, shared_data)
    trials = {str(weeks): months(found, weeks) for weeks in (3, 4, 6)}
    for trial in trials.values():
        assert 0.85 <= inside(trial.claims["adaptive"]) <= 0.95
        assert inside(trial.claims["online"]) == pytest.approx(0.9, abs=0.005)
        assert np.isfinite(trial.claims["adaptive"][1]).all()
    assert inside(trials["4"].claims["static"]) == pytest.approx(STATIC[gas], abs=0.001)
    table = by_month(found, trials["4"])
    assert table["tested"].sum() == trials["4"].test.sum()
    long = table[table["tested"] >= 100]
    assert len(long) == 12
    assert long["online"].between(0.85, 0.95).all()
    rows = summary(trials)
    assert rows["split"].tolist() == ["3", "4", "6", "mean"]
    assert rows["adaptive"].iloc[-1] == pytest.approx(rows["adaptive"].iloc[:3].mean())


def test_the_command_prints_tables_and_writes_a_picture(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "SEEDS", (0, 1))
    picture = tmp_path / "risk.png"
    main(["shanghai", "--root", str(shared_data), "--picture", str(picture)])
    text = capsys.readouterr().out
    row = next(line.split() for line in text.splitlines() if line.startswith("seed 0"))
    assert row[:4] == ["seed", "0", "2,288", "1,730"]
    assert "glucose, slope 1, offset fitted, mg/dL" in text
    assert picture.read_bytes()[:4] == b"\x89PNG"
