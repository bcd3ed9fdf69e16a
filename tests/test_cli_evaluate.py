"""Command line: evaluate, leaderboard, backtest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rstime.cli import main
from rstime.evaluation.spec import NAMED


@pytest.fixture
def protocol(tmp_path):
    path = tmp_path / "mine.json"
    small = replace(NAMED["etth1-noisy"], name="mine", split=(1000, 300, 600), seeds=(1,), samples=20)
    path.write_text(small.to_json())
    return str(path)


def test_without_a_protocol_all_are_listed(capsys):
    assert main(["evaluate"]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert [line[0] for line in lines if line and line[0] in NAMED] == list(NAMED)
    assert ["deepar", "forecast", "keep,", "drop,", "covariate"] in lines


def test_a_protocol_of_a_file_is_run_and_ranked_and_goes_on(protocol, tmp_path, shared_data, capsys):
    out = tmp_path / "out"
    command = [
        "evaluate",
        protocol,
        "--methods",
        "linear",
        "local-level",
        "--out",
        str(out),
        "--root",
        str(shared_data),
    ]
    assert main([*command, "--seeds", "3"]) == 0
    first = capsys.readouterr()
    assert first.err.count("...") == 5
    assert first.out.splitlines()[2].split()[:5] == ["mine", "1", "local-level", "known", "1"]
    assert main(command) == 0
    second = capsys.readouterr()
    assert second.err.count("seed 1:") == 5
    assert second.err.count("seed 3:") == 0
    table = pd.read_parquet(out / "results.parquet")
    assert sorted(set(table["seed"])) == [1, 3]
    assert main(["leaderboard", str(out), "--metric", "denoise_mae"]) == 0
    assert "denoise_mae" in capsys.readouterr().out.splitlines()[0]
    assert main([*command, "--seeds", "3", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_mistakes_are_one_line_that_names_the_remedy(protocol, tmp_path, capsys):
    for command, text in (
        (["evaluate", "exchange"], "--out: absent. Name a folder for the results."),
        (
            ["evaluate", "exchange", "--out", str(tmp_path)],
            "protocol: 'exchange' is unknown. Choose one of exchange-clean",
        ),
        (["evaluate", protocol, "--out", str(tmp_path), "--samples", "1"], "--samples: 1. Give at least 2."),
        (["leaderboard", str(tmp_path)], f"out: no runs in {tmp_path / 'runs'}."),
    ):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"rstime {command[0]}: error: {text}")


def test_backtest_scores_a_table(tmp_path, capsys):
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2026-01-01", periods=40, freq="h")
    parts = []
    for k in range(4):
        value = 20 + np.cumsum(0.3 * rng.normal(size=40)) + 0.5 * rng.normal(size=40)
        parts.append(pd.DataFrame({"who": f"i{k}", "timestamp": stamps, "variable": "x", "value": value, "sd": 0.5}))
    path, out = tmp_path / "table.csv", tmp_path / "scores.csv"
    pd.concat(parts).to_csv(path, index=False)
    command = ["backtest", str(path), "--horizon", "3h", "--origins", "2", "--model", "gaussian", "--id-col", "who"]
    assert main([*command, "--out", str(out), "--quiet"]) == 0
    table = pd.read_csv(out)
    assert table["method"].tolist() == ["gaussian", "seasonal-naive"]
    assert table["readings"].tolist() == [24, 24]
    assert table["low"][1] < table["behind"][1] < table["high"][1]
    assert f"{table['wql'][0]:.4f}" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "scores.xls")]) == 2
    assert main([*command[:2], "--horizon", "soon", "--id-col", "who", "--quiet"]) == 2
    assert "--horizon: 'soon' is not a positive duration" in capsys.readouterr().err
