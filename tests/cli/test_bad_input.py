"""Errors of the command line name what is wrong, and nothing is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from oracles.fake_model import FakeModel, run
from rstime.cli import main
from rstime.errors import DataError, RstimeWarning


def test_a_folder_is_no_output(fake: type[FakeModel], table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.with_name("result.csv")
    out.mkdir()
    assert run("impute", "model", table, "--out", out) == 2
    assert "--out" in capsys.readouterr().err.splitlines()[-1]
    assert not fake.calls


def test_a_file_is_no_folder_for_pictures(
    fake: type[FakeModel], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, problem in ((table, f"--pictures: {table} is a file"), (tmp_path / "no" / "p", "the folder of")):
        assert run("impute", "model", table, "--out", tmp_path / "r.csv", "--pictures", name) == 2
        assert problem in capsys.readouterr().err.splitlines()[-1]
    assert not fake.calls


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ("a,2024-01-01,hr,5,-1", ["sd", "-1"]),
        ("a,2024-01-01,hr,5,", ["sd"]),
        ("a,2024-01-01,hr,five,1", ["value", "five"]),
        ("a,2024-01-01,hr,inf,1", ["value", "inf"]),
        (None, ["no rows"]),
    ],
)
@pytest.mark.parametrize("command", ["fit", "impute"])
def test_bad_rows_are_named_and_nothing_is_written(
    fake: type[FakeModel],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    row: str | None,
    names: list[str],
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("item_id,timestamp,variable,value,sd\n" + (f"{row}\n" if row else ""))
    out = tmp_path / ("model" if command == "fit" else "result.csv")
    given = (path,) if command == "fit" else ("model", path)
    assert run(command, *given, "--out", out) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"rstime {command}: error: ")
    assert all(name in error for name in names)
    assert [file.name for file in tmp_path.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("command", ["fit", "impute"])
def test_a_decimal_comma_is_named_with_its_line(
    fake: type[FakeModel], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("item_id,timestamp,variable,value,sd,note\nP00,2024-01-01,hr,80,8,1.5,n3\n")
    given = (path,) if command == "fit" else ("model", path)
    assert run(command, *given, "--out", tmp_path / "out.csv") == 2
    assert f"line 2 of {path} has 7 fields, the header 6. Write decimals" in capsys.readouterr().err
    assert "fit" not in fake.calls


def test_an_absent_column_is_named_beside_all_that_are_there(
    fake: type[FakeModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("bed;timestamp;variable;value;sd\na;2024-01-01;hr;5;1\n")
    assert run("fit", path, "--out", tmp_path / "model") == 2
    assert "separates its columns by ';': bed;timestamp;variable;value;sd" in capsys.readouterr().err
    path.write_text("bed,timestamp,variable,value,sd\na,2024-01-01,hr,5,1\n")
    assert run("fit", path, "--out", tmp_path / "model") == 2
    assert "among bed, timestamp, variable, value, sd." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["impute", "model", "absent.csv", "--out", "r.csv"], "absent.csv"),
        (["impute", "model", "table.csv", "--out", "r.xlsx"], "xlsx"),
        (["impute", "model", "table.csv", "--out", "absent/r.csv"], "absent"),
        (["impute", "model", "table.csv", "--out", "../"], "--out"),
        (["forecast", "model", "table.csv", "--horizon", "2", "--out", "./table.csv"], "table.csv is another file"),
        (["impute", "model", "table.csv", "--out", "r.csv", "--joint-samples", "r.csv"], "--joint-samples"),
        (["impute", "model", "table.csv", "--out", "r.csv", "--known", "k.csv", "--joint-samples", "k.csv"], "k.csv"),
        (["impute", "model", "table.csv", "--out", "r.csv", "--samples", "0"], "--samples"),
        (["forecast", "model", "table.csv", "--out", "r.csv", "--horizon", "0"], "--horizon"),
        (["forecast", "model", "table.csv", "--out", "r.csv", "--horizon", "-5"], "--horizon"),
        (["backtest", "table.csv", "--horizon", "2", "--out", "table.csv"], "table.csv is another file"),
        (["fit", "table.csv", "--out", "m", "--window", "soon"], "--window: 'soon'"),
        (["fit", "table.csv", "--out", "m", "--window", "2.5"], "--window: '2.5'"),
        (["fit", "table.csv", "--out", "m", "--grid", "soon"], "--grid: 'soon'"),
        (["fit", "table.csv", "--out", "m", "--grid", "0h"], "--grid: '0h'"),
        (["fit", "table.csv", "--out", "m", "--value-col", "reading"], "reading"),
    ],
)
def test_bad_settings_are_named(
    fake: type[FakeModel],
    table: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    name: str,
) -> None:
    monkeypatch.chdir(table.parent)
    assert main(arguments) == 2
    assert name in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in table.parent.iterdir()] == ["table.csv"]


@pytest.mark.parametrize(
    "options",
    [
        ["--quantiles", "0,0.5"],
        ["--quantiles", "half"],
        ["--entries", "some"],
        ["--quantiles", ""],
        ["--seed", "x"],
        ["--seed=-1"],
    ],
)
def test_options_that_cannot_be_read_stop_with_usage(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["impute", "model", "table.csv", "--out", "r.csv", *options])
    assert stop.value.code == 2
    assert options[0].partition("=")[0] in capsys.readouterr().err


def test_the_help_of_anomalies_says_what_its_columns_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["anomalies", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "score, how far it is from what the others say, in standard deviations of a normal law (below 0: too" in told
    assert "surprise, minus the log of how likely it is" in told
    assert "other columns of TABLE are left out." in told


def test_steps_and_minutes_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "table.csv", "--out", "m", "--steps", "5", "--max-minutes", "1"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(("failure", "code"), [(DataError("value", "odd", "Mend it."), 2), (KeyboardInterrupt(), 130)])
def test_failures_inside_the_model_keep_the_old_result(
    fake: type[FakeModel],
    table: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    failure: BaseException,
    code: int,
) -> None:
    out = tmp_path / "result.csv"
    out.write_text("old")
    fake.fail = failure
    assert run("impute", "model", table, "--out", out) == code
    assert out.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["result.csv", "table.csv"]
    assert "Traceback" not in capsys.readouterr().err


def test_warnings_are_one_line_each(fake: type[FakeModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_text("item_id,timestamp,variable,value\na,0,hr,5\n")
    assert run("impute", "model", path, "--out", tmp_path / "r.csv", "--quiet") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("warning: ")
    assert "sd" in lines[0]
    assert issubclass(RstimeWarning, UserWarning)
