"""Options of fit and demo reach what they are for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from oracles.fake_model import FakeModel, run


def test_fit_hands_the_settings_to_the_model_and_saves_it(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    options = ["--grid", "30min", "--window", "48h", "--model", "gaussian", "--size", "tiny", "--seed", 7, "--steps", 9]
    transforms = ["--transform", "hr=log", "--transform", "NA=logit:0,300"]
    noise = ["--noise", "hr=laplace", "--noise", "NA=0.5@6h"]
    assert run("fit", table, "--out", tmp_path / "model", *options, *transforms, *noise) == 0
    calls = fake.calls
    assert (calls["model"], calls["size"], calls["window"], calls["grid"]) == ("gaussian", "tiny", 96, "30min")
    assert calls["transforms"] == {"hr": "log", "NA": "logit:0,300"}
    assert (calls["fit"].steps, calls["fit"].seed, calls["fit"].max_minutes) == (9, 7, float("inf"))
    assert calls["fit"].noise == {"hr": "laplace", "NA": "0.5@6h"}
    assert (tmp_path / "model" / "config.json").read_text() == '{"format": 1}'
    assert run("fit", table, "--out", tmp_path / "other", "--steps", 9, "--transform", "auto") == 0
    assert fake.calls["transforms"] == "auto"
    assert run("fit", table, "--out", tmp_path / "third", "--transform", "auto", "--transform", "hr=log") == 2


def test_an_unfinished_training_is_left_alone_by_a_gaussian_model(
    fake: type[FakeModel], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unfinished = tmp_path / "model.unfinished"
    unfinished.mkdir()
    assert run("fit", table, "--out", tmp_path / "model", "--model", "gaussian") == 0
    assert fake.calls["fit"].checkpoint is None
    assert unfinished.is_dir()
    assert "going on" not in capsys.readouterr().err
    assert run("fit", table, "--out", tmp_path / "model") == 0
    assert fake.calls["fit"].checkpoint == unfinished
    assert not unfinished.exists()
    assert f"going on from {unfinished}" in capsys.readouterr().err


def test_fit_limits_time_by_default(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    assert run("fit", table, "--out", tmp_path / "model") == 0
    assert (fake.calls["fit"].steps, fake.calls["fit"].max_minutes, fake.calls["window"]) == (None, 15.0, 48)


def test_window_as_a_duration_counts_median_gaps_without_a_grid(
    fake: type[FakeModel], table: Path, tmp_path: Path
) -> None:
    assert run("fit", table, "--out", tmp_path / "model", "--window", "2D") == 0
    assert fake.calls["window"] == 48


def test_a_window_in_hours_needs_stamps_that_are_dates(
    fake: type[FakeModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("item_id,timestamp,variable,value,sd\na,0,hr,5,1\na,1,hr,6,1\n")
    assert run("fit", path, "--out", tmp_path / "model", "--window", "48h") == 2
    assert "--window" in capsys.readouterr().err.splitlines()[-1]
    assert run("fit", path, "--out", tmp_path / "model", "--window", "6") == 0
    assert fake.calls["window"] == 6


def test_fit_reads_names_as_text(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    assert run("fit", table, "--out", tmp_path / "model") == 0
    first = next(one for one in fake.calls["series"] if one.item_id == "007")
    assert sorted(first.variables) == ["NA", "hr"]
    assert first.value[first.time == np.datetime64("2024-01-01T01:00"), first.variables.index("NA")] == 140


def test_fit_replaces_a_model_but_nothing_else(
    fake: type[FakeModel], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    foreign = tmp_path / "hf"
    foreign.mkdir()
    (foreign / "config.json").write_text('{"architectures": ["Bert"]}')
    (foreign / "pytorch_model.bin").touch()
    (tmp_path / "small.csv").touch()
    (tmp_path / "m.unfinished").mkdir()
    (tmp_path / "m.unfinished" / "notes.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    for name, problem in (
        ("hf", "--out: {}/hf exists and holds 'pytorch_model.bin'."),
        ("small.csv", "--out: {}/small.csv exists and is a file."),
        ("m", "--out: {}/m.unfinished exists and holds 'notes.txt'."),
    ):
        assert run("fit", table, "--out", tmp_path / name) == 2
        assert problem.format(tmp_path) in capsys.readouterr().err
    assert not fake.calls
    assert sorted(tmp_path.rglob("*")) == before
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"format": 1, "older": true}')
    assert run("fit", table, "--out", model) == 0
    assert (model / "config.json").read_text() == '{"format": 1}'


def test_fit_into_the_folder_one_works_in_is_refused(
    fake: type[FakeModel], table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(table.parent)
    assert run("fit", table, "--out", ".") == 2
    assert "--out: . is the folder you work in. Name a folder" in capsys.readouterr().err
    assert not fake.calls


def test_samplers_and_covariances_of_the_command_line_are_those_of_the_model() -> None:
    from rstime import last_draw, options
    from rstime.diffusion.samplers import SAMPLERS

    assert list(SAMPLERS) == list(options.SAMPLERS)
    assert options.COVARIANCES == last_draw.COVARIANCES


def test_demo_hands_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[object, ...]] = []
    module = ModuleType("rstime.demo")
    module.__dict__["run"] = lambda *arguments: calls.append(arguments)
    monkeypatch.setitem(sys.modules, "rstime.demo", module)
    assert run("demo", "--data", "physionet2012", "--root", tmp_path, "--out", tmp_path / "out", "--seed", 4) == 0
    assert calls == [("physionet2012", tmp_path, tmp_path / "out", 4, 1.5)]


@pytest.mark.parametrize(
    ("grid", "told"),
    [("1h", "5 measurements of NA, hr\n"), ("2h", "4 measurements of NA, hr, fused from 5 readings\n")],
)
def test_what_became_of_the_readings_is_told(
    grid: str, told: str, fake: type[FakeModel], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", table, "--out", tmp_path / "model", "--grid", grid) == 0
    assert f"{table}: 2 items, {told}" in capsys.readouterr().err
