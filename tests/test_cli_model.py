"""The command line with a real (Gaussian) model: from a noisy table to bands that hold the truth, again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rstime.cli import main
from rstime.training import Trainer

ITEMS, HOURS, NOISE = 12, 60, {"map": 6.0, "hr": 2.0}


def ward() -> tuple[pd.DataFrame, pd.Series]:
    """Two correlated stationary signals, exp(-hours/6) in time, read with error; a third of the readings missing."""
    rng = np.random.default_rng(5)
    hours = np.arange(HOURS)
    root = np.linalg.cholesky(np.exp(-np.abs(hours[:, None] - hours) / 6) + 1e-9 * np.eye(HOURS))
    mix = np.linalg.cholesky(np.array([[1.0, 0.7], [0.7, 1.0]]))
    stamps = pd.date_range("2026-01-01", periods=HOURS, freq="h")
    frames = []
    for item in range(ITEMS):
        signal = 80 + 8 * (root @ rng.normal(size=(HOURS, 2)) @ mix.T)
        for column, (variable, sd) in enumerate(NOISE.items()):
            value = signal[:, column] + sd * rng.normal(size=HOURS)
            value[rng.random(HOURS) < 1 / 3] = np.nan
            rows = {"item_id": f"bed-{item}", "timestamp": stamps, "variable": variable, "value": value, "sd": sd}
            frames.append(pd.DataFrame({**rows, "truth": signal[:, column]}))
    table = pd.concat(frames, ignore_index=True)
    return table.drop(columns="truth"), table["truth"]


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    ward()[0].to_csv(folder / "table.csv", index=False)
    options = ["--model", "gaussian", "--grid", "1h", "--window", "24h", "--steps", 200, "--quiet"]
    assert run("fit", folder / "table.csv", "--out", folder / "model", *options) == 0
    assert run("impute", folder / "model", folder / "table.csv", "--out", folder / "clean.csv", "--quiet") == 0
    return folder


@pytest.mark.parametrize("missing", [True, False], ids=["missing", "noisy"])
@pytest.mark.parametrize("variable", list(NOISE))
def test_bands_hold_the_truth_as_often_as_they_say(folder: Path, variable: str, missing: bool) -> None:
    table, truth = ward()
    clean = pd.read_csv(folder / "clean.csv")
    rows = (table["variable"] == variable) & (table["value"].isna() == missing)
    inside = ((clean["0.05"] < truth) & (truth < clean["0.95"]))[rows]
    assert 0.8 < inside.mean() < 0.97


def test_noisy_readings_come_out_cleaner(folder: Path) -> None:
    table, truth = ward()
    clean = pd.read_csv(folder / "clean.csv")
    rows = (table["variable"] == "map") & table["value"].notna()
    before, after = (np.sqrt(((values - truth)[rows] ** 2).mean()) for values in (table["value"], clean["mean"]))
    assert before == pytest.approx(NOISE["map"], rel=0.1)
    assert after < 0.65 * before


def test_anomalies_are_rare_among_good_readings_and_found_where_one_is_changed(folder: Path, tmp_path: Path) -> None:
    table, _ = ward()
    spike = int(np.flatnonzero((table["variable"] == "hr") & table["value"].notna())[40])
    table.loc[spike, "value"] += 30
    table.to_csv(tmp_path / "spiked.csv", index=False)
    assert run("anomalies", folder / "model", tmp_path / "spiked.csv", "--out", tmp_path / "a.csv", "--quiet") == 0
    found = pd.read_csv(tmp_path / "a.csv")
    assert found.columns.tolist() == ["item_id", "timestamp", "variable", "value", "sd", "score", "p", "surprise"]
    assert len(found) == table["value"].notna().sum()
    assert 0.03 < (found["p"] < 0.05).mean() < 0.08
    worst = found.loc[found["p"].idxmin()]
    assert worst["value"] == pytest.approx(table["value"][spike])
    assert worst["p"] < 1e-5
    given = (folder / "model", tmp_path / "spiked.csv", "--out", tmp_path / "spiked.csv", "--quiet")
    assert run("anomalies", *given) == 2  # the table itself is not overwritten


def test_the_same_command_writes_the_same_files(folder: Path, tmp_path: Path) -> None:
    options = ["--model", "gaussian", "--grid", "1h", "--window", "24h", "--steps", 200, "--quiet"]
    assert run("fit", folder / "table.csv", "--out", tmp_path / "model", *options) == 0
    for name in ("weights.safetensors", "config.json"):
        assert (tmp_path / "model" / name).read_bytes() == (folder / "model" / name).read_bytes()
    for out in ("a.csv", "b.csv"):
        given = (tmp_path / "model", folder / "table.csv", "--out", tmp_path / out, "--joint-samples")
        assert run("impute", *given, tmp_path / f"{out}.parquet", "--samples", 5, "--seed", 1, "--quiet") == 0
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert (tmp_path / "a.csv.parquet").read_bytes() == (tmp_path / "b.csv.parquet").read_bytes()


def test_forecasts_go_on_from_the_last_measurement_and_widen(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "future.csv"
    assert run("forecast", folder / "model", folder / "table.csv", "--horizon", "12h", "--out", out, "--quiet") == 0
    future = pd.read_csv(out, parse_dates=["timestamp"])
    assert len(future) == ITEMS * 12 * 2
    last = ward()[0].dropna(subset="value").groupby("item_id")["timestamp"].max()
    first = future.groupby("item_id")["timestamp"].min()
    assert (first - last == pd.Timedelta("1h")).all()
    spread = future.groupby(future.groupby(["item_id", "variable"]).cumcount())["std"].mean()
    assert spread.iloc[-1] > 1.3 * spread.iloc[0]
    assert spread.iloc[-1] < 12


def test_results_agree_with_python(folder: Path) -> None:
    from rstime import RiskDiffusion, from_long

    table = ward()[0]
    model = RiskDiffusion.load(folder / "model")
    posterior = model.impute(from_long(table[table["item_id"] == "bed-3"], grid="1h"), samples=100, seed=0)[0]
    clean = pd.read_csv(folder / "clean.csv")
    rows = (clean["item_id"] == "bed-3") & (clean["variable"] == "hr")
    column = posterior.series.variables.index("hr")
    np.testing.assert_allclose(clean["mean"][rows], posterior.mean[:, column], rtol=1e-4)
    np.testing.assert_allclose(clean["0.95"][rows], posterior.quantile(0.95)[:, column], rtol=1e-4)


def test_an_unknown_variable_is_named_with_those_known(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = ward()[0].replace({"variable": {"hr": "spo2"}})
    table.to_csv(tmp_path / "t.csv", index=False)
    assert run("impute", folder / "model", tmp_path / "t.csv", "--out", tmp_path / "r.csv", "--quiet") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert all(name in error for name in ("spo2", "map", "hr"))
    assert not (tmp_path / "r.csv").exists()


def test_an_item_without_readings_gets_the_prior_and_a_warning(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = tmp_path / "t.csv", tmp_path / "r.csv"
    path.write_text("item_id,timestamp,variable,value,sd\nnew,2026-01-01 05:00,hr,,\n")
    assert run("impute", folder / "model", path, "--out", out, "--quiet", "--samples", 400) == 0
    assert "'new'" in capsys.readouterr().err
    answer = pd.read_csv(out).iloc[0]
    assert answer["mean"] == pytest.approx(80, abs=4)
    assert answer["std"] == pytest.approx(8, rel=0.3)


@pytest.mark.parametrize("horizon", ["0h", "soon", "1.5"])
def test_a_horizon_that_is_no_duration_is_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], horizon: str
) -> None:
    out = tmp_path / "future.csv"
    assert run("forecast", folder / "model", folder / "table.csv", "--horizon", horizon, "--out", out, "--quiet") == 2
    assert f"error: --horizon: '{horizon}'" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_is_no_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("item_id,timestamp,variable,value,sd\na,2026-01-01,hr,5,1\n")
    assert run("impute", tmp_path / "absent", tmp_path / "t.csv", "--out", tmp_path / "r.csv") == 2
    assert "absent" in capsys.readouterr().err


def test_a_killed_fit_goes_on_and_ends_as_if_it_had_not_been_killed(tmp_path: Path) -> None:
    """Ctrl-C leaves a model and what the same command needs to go on; the end is the same to the bit."""
    table = tmp_path / "table.csv"
    rng = np.random.default_rng(0)
    rows = {"item_id": np.repeat(list("abc"), 40), "timestamp": np.tile(np.arange(40), 3), "variable": "x", "sd": 0.3}
    pd.DataFrame({**rows, "value": rng.standard_normal(120).cumsum()}).to_csv(table, index=False)
    settings = ["--size", "tiny", "--window", "12", "--steps", "24", "--quiet"]
    assert main(["fit", str(table), "--out", str(tmp_path / "whole"), *settings]) == 0

    step = Trainer.step
    calls = iter(range(1000))

    def killed(self: Trainer, *arguments: Any) -> float:
        if next(calls) == 15:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", killed)
        assert main(["fit", str(table), "--out", str(tmp_path / "model"), *settings]) == 0
    assert (tmp_path / "model.unfinished").is_dir()
    assert main(["fit", str(table), "--out", str(tmp_path / "model"), *settings]) == 0
    assert not (tmp_path / "model.unfinished").exists()
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "model")]
    assert weights[0] == weights[1]
