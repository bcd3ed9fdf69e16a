"""`rstime audit` on a small table: what is printed and written, and mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gmean

from rstime.cli import main


def table(first: int) -> pd.DataFrame:
    rng = np.random.default_rng(first)
    stamps = pd.date_range("2026-01-01", periods=12, freq="h")
    parts = []
    for place in range(first, first + 24):
        value = 80 + 5 * np.cumsum(rng.normal(size=12)) / 2 + rng.normal(size=12)
        value[rng.random(12) < 0.2] = np.nan
        rows = {"item_id": f"bed-{place}", "timestamp": stamps, "variable": "map", "value": value, "sd": 1.0}
        parts.append(pd.DataFrame(rows))
    return pd.concat(parts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    table(0).to_csv(tmp_path / "train.csv", index=False)
    table(100).to_csv(tmp_path / "other.csv", index=False)
    options = [
        "--out",
        str(tmp_path / "model"),
        "--model",
        "gaussian",
        "--grid",
        "1h",
        "--window",
        "12",
        "--steps",
        "20",
        "--quiet",
    ]
    assert main(["fit", str(tmp_path / "train.csv"), *options]) == 0
    return tmp_path


def test_a_model_is_audited(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["audit", str(folder / "model"), str(folder / "train.csv"), "--holdout", str(folder / "other.csv")]
    command += ["--out", str(folder / "scores.csv"), "--picture", str(folder / "audit.png"), "--halves", "2"]
    assert main([*command, "--weight", "fidelity=1", "--weight", "utility=3", "--quiet"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    lines = told.out.splitlines()
    assert lines[0] == "24 windows learned from, 24 held out; mean ± standard error"
    assert lines[2].split() == ["group", "score", "real", "gaussian", "white", "noise", "constant"]
    (last,) = (line.split() for line in lines if line.startswith("gaussian"))
    scores = pd.read_csv(folder / "scores.csv")
    mine = scores[(scores["set"] == "gaussian") & (scores["noise"] == 0)]
    fidelity, utility = (gmean(mine[mine["group"] == group]["level"]) for group in ("fidelity", "utility"))
    assert [float(text) for text in last[1:3]] == pytest.approx([fidelity, utility], abs=0.006)
    assert float(last[6]) == pytest.approx((fidelity * utility**3) ** 0.25, abs=0.006)
    assert (folder / "audit.png").stat().st_size > 10_000


def test_items_that_were_learned_from_are_not_held_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    same = str(folder / "train.csv")
    assert main(["audit", str(folder / "model"), same, "--holdout", same]) == 2
    told = capsys.readouterr()
    want = "rstime audit: error: holdout: 24 of 24 items were learned from, 'bed-0' the first."
    assert told.err.splitlines()[-1] == f"{want} Give items that the model did not see."
    assert told.out == ""


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--weight", "beauty=1"], "weights: 'beauty' is unknown. Groups: fidelity, utility, privacy, robustness."),
        (["--picture", "audit.txt"], "--picture: audit.txt ends in '.txt'. Name it .png or .pdf or .svg."),
        (["--out", "nothing.csv"], "--out: nothing.csv is another file of this command already."),
        (["--out", "audit.txt"], "--out: "),
    ],
)
def test_mistakes_are_found_before_the_work(options: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "nowhere", "nothing.csv", "--holdout", "nothing.csv", *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"rstime audit: error: {text}")


def test_a_weight_is_a_group_and_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["audit", "m", "t.csv", "--holdout", "h.csv", "--weight", "privacy"])
    assert "privacy is not of the form GROUP=WEIGHT" in capsys.readouterr().err
