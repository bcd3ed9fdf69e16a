"""The command line: options reach the model, results repeat the table, errors name what is wrong and write nothing."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from rstime.cli import main
from rstime.errors import DataError, RstimeWarning
from rstime.risk_rule import RiskRule
from rstime.types import Posterior, Series

LEVELS = [f"{round(0.05 * step, 2):g}" for step in range(1, 20)]
TABLE = """item_id,timestamp,variable,value,sd,note
007,2024-01-01 00:00,hr,80.10,2,first
007,2024-01-01 01:00,hr,,,
007,2024-01-01 02:00,hr,84,0,
A,2024-01-01 01:00,hr,60,1,
007,2024-01-01 01:00,NA,140,3,
A,2024-01-01 00:00,hr,61,1,last
"""


class FakeModel:
    """Answers every entry with the value 100 + entry number, plus or minus 1; remembers how it was called."""

    calls: ClassVar[dict[str, Any]] = {}
    fail: BaseException | None = None
    grid: str | None = None
    run = SimpleNamespace(steps=9, interrupted=False)
    support = pd.DataFrame({"variable": ["hr"], "smallest_risk": [0.0]})
    risk, risk_table = RiskRule(), pd.DataFrame()

    def __init__(self, model: str = "diffusion", **settings: Any) -> None:
        self.calls.update(model=model, **settings)

    def fit(self, series: Sequence[Series], **settings: Any) -> FakeModel:
        self.calls.update(series=series, fit=SimpleNamespace(**settings))
        if self.fail is not None:
            raise self.fail
        return self

    def save(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text("{}")

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> FakeModel:
        cls.calls.update(loaded=path, device=device)
        return cls()

    def impute(self, series: Sequence[Series], *, samples: int, entries: str, **settings: Any) -> list[Posterior]:
        self.calls.update(series=series, samples=samples, entries=entries, **settings)
        if self.fail is not None:
            raise self.fail
        return [answers(one, samples) for one in series]

    def forecast(
        self, series: Sequence[Series], horizon: int | str, *, samples: int, **settings: Any
    ) -> list[Posterior]:
        self.calls.update(horizon=horizon, samples=samples, **settings)
        count = horizon if isinstance(horizon, int) else 3
        hour = np.timedelta64(1, "h")
        return [
            answers(
                replace(
                    one,
                    time=one.time[-1] + hour * np.arange(1, count + 1),
                    value=np.full((count, len(one.variables)), np.nan),
                    risk=np.full((count, len(one.variables)), np.inf),
                    asked=None,
                    known=None,
                    known_names=(),
                ),
                samples,
            )
            for one in series
        ]


def answers(series: Series, samples: int) -> Posterior:
    """Samples 100 + entry number - 1 and + 1 by turns."""
    centre = 100 + np.arange(series.value.size, dtype=np.float64).reshape(series.value.shape)
    signs = np.where(np.arange(samples) % 2, 1.0, -1.0)[:, None, None]
    return Posterior(series, centre + signs)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakeModel]:
    module = ModuleType("rstime.model")
    module.__dict__["RiskDiffusion"] = FakeModel
    monkeypatch.setitem(sys.modules, "rstime.model", module)
    monkeypatch.setattr(FakeModel, "calls", {})
    monkeypatch.setattr(FakeModel, "fail", None)
    return FakeModel


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


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
    assert (tmp_path / "model" / "config.json").read_text() == "{}"
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
    other = tmp_path / "pictures"
    other.mkdir()
    (other / "a.png").touch()
    assert run("fit", table, "--out", other) == 2
    assert "is not a model" in capsys.readouterr().err
    assert [path.name for path in other.iterdir()] == ["a.png"]
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("old")
    assert run("fit", table, "--out", model) == 0
    assert (model / "config.json").read_text() == "{}"


def test_samplers_of_the_command_line_are_those_of_the_model() -> None:
    from rstime.diffusion.samplers import SAMPLERS
    from rstime.options import SAMPLERS as NAMES

    assert list(SAMPLERS) == list(NAMES)


def test_result_repeats_every_row_to_the_letter_and_adds_the_answer(
    fake: type[FakeModel], table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "result.csv"
    options = ["--samples", 40, "--seed", 3, "--sampler", "restart", "--evaluations", 9]
    assert run("impute", tmp_path / "model", table, "--out", out, *options) == 0
    assert (fake.calls["sampler"], fake.calls["evaluations"]) == ("restart", 9)
    result = pd.read_csv(out, dtype=str, keep_default_na=False)
    before = pd.read_csv(table, dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(result[before.columns], before)
    assert list(result.columns) == [*before.columns, "mean", "std", *LEVELS]
    means = result["mean"].astype(float)
    assert means.between(100, 106).all()
    np.testing.assert_allclose(result["0.05"].astype(float), means - 1)
    np.testing.assert_allclose(result["0.95"].astype(float), means + 1)
    assert (fake.calls["samples"], fake.calls["seed"], fake.calls["entries"]) == (40, 3, "all")


def test_entries_left_out_stay_empty(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    out = tmp_path / "result.csv"
    assert run("impute", "model", table, "--out", out, "--entries", "missing", "--quantiles", "0.5,0.25") == 0
    result = pd.read_csv(out)
    assert list(result.columns[-4:]) == ["mean", "std", "0.25", "0.5"]
    assert result["mean"].notna().tolist() == [False, True, False, False, False, False]
    assert run("impute", "model", table, "--out", out, "--entries", "noisy") == 0
    assert pd.read_csv(out)["mean"].notna().tolist() == [True, False, False, True, True, True]


def test_a_table_that_was_answered_before_is_refused(
    fake: type[FakeModel], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "result.csv"
    assert run("impute", "model", table, "--out", out) == 0
    assert run("impute", "model", out, "--out", tmp_path / "again.csv") == 2
    assert "mean" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "again.csv").exists()


def test_parquet_and_joint_samples(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    out, joint = tmp_path / "result.parquet", tmp_path / "joint.parquet"
    assert run("impute", "model", table, "--out", out, "--joint-samples", joint, "--samples", 4) == 0
    assert len(pd.read_parquet(out)) == 6
    samples = pd.read_parquet(joint)
    assert list(samples.columns) == ["item_id", "timestamp", "variable", "sample", "value"]
    assert len(samples) == 6 * 4
    assert samples.groupby("sample").size().tolist() == [6] * 4


def test_columns_can_have_other_names(fake: type[FakeModel], tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    names = {"item_id": "stay", "timestamp": "time", "variable": "what", "value": "reading", "sd": "error"}
    frame = pd.DataFrame(
        {"item_id": [1, 1], "timestamp": [0.0, 1.0], "variable": "hr", "value": [5.0, None], "sd": 0.5}
    )
    frame.rename(columns=names).to_parquet(other)
    options = ["--id-col", "stay", "--time-col", "time", "--variable-col", "what", "--value-col", "reading"]
    assert run("impute", "model", other, "--out", tmp_path / "r.csv", *options, "--sd-col", "error") == 0
    assert list(pd.read_csv(tmp_path / "r.csv").columns[:5]) == list(names.values())
    assert fake.calls["series"][0].risk[0, 0] == 0.5


def test_a_column_of_variances_is_turned_into_risk(fake: type[FakeModel], tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("item_id,timestamp,variable,value,var\na,0,hr,5,4\n")
    assert run("impute", "model", path, "--out", tmp_path / "r.csv", "--variance-col", "var") == 0
    assert fake.calls["series"][0].risk[0, 0] == 2


def test_forecast_writes_the_future_rows(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    out = tmp_path / "future.csv"
    assert run("forecast", "model", table, "--horizon", 2, "--out", out, "--quantiles", "0.5") == 0
    result = pd.read_csv(out, dtype={"item_id": str}, parse_dates=["timestamp"], keep_default_na=False)
    assert list(result.columns) == ["item_id", "timestamp", "variable", "mean", "std", "0.5"]
    first = result[(result["item_id"] == "007") & (result["variable"] == "hr")]
    assert first["timestamp"].tolist() == [pd.Timestamp("2024-01-01 03:00"), pd.Timestamp("2024-01-01 04:00")]
    assert run("forecast", "model", table, "--horizon", "3h", "--out", out) == 0
    assert fake.calls["horizon"] == "3h"


def test_a_folder_is_no_output(fake: type[FakeModel], table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.with_name("result.csv")
    out.mkdir()
    assert run("impute", "model", table, "--out", out) == 2
    assert "--out" in capsys.readouterr().err.splitlines()[-1]
    assert not fake.calls


def test_covariates_reach_the_series(fake: type[FakeModel], table: Path, tmp_path: Path) -> None:
    static, known = tmp_path / "static.csv", tmp_path / "known.csv"
    static.write_text("item_id,age\n007,61\nA,44\n")
    stamps = [f"2024-01-01 0{hour}:00" for hour in range(6)]
    known.write_text("item_id,timestamp,dose\n" + "".join(f"{i},{t},1.5\n" for i in ("007", "A") for t in stamps))
    options = ["--static", static, "--known", known]
    assert run("fit", table, "--out", tmp_path / "model", *options) == 0
    first = next(one for one in fake.calls["series"] if one.item_id == "007")
    assert (first.static_names, first.static.tolist()) == (("age",), [61.0])
    assert first.known_names == ("dose",)
    assert first.known is not None
    assert np.all(first.known == 1.5)


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


def test_an_absent_column_is_named_beside_all_that_are_there(
    fake: type[FakeModel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    path.write_text("bed;timestamp;variable;value;sd\na;2024-01-01;hr;5;1\n")
    assert run("fit", path, "--out", tmp_path / "model") == 2
    assert "no column 'item_id' among bed;timestamp;variable;value;sd" in capsys.readouterr().err
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


def test_demo_hands_its_options_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls: list[tuple[object, ...]] = []
    module = ModuleType("rstime.demo")
    module.__dict__["run"] = lambda *arguments: calls.append(arguments)
    monkeypatch.setitem(sys.modules, "rstime.demo", module)
    assert run("demo", "--data", "physionet2012", "--root", tmp_path, "--out", tmp_path / "out", "--seed", 4) == 0
    assert calls == [("physionet2012", tmp_path, tmp_path / "out", 4, 1.5)]
