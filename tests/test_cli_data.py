"""`rstime data`: what is listed, fetched and described."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from oracles import provenance
from rstime.cli import main
from rstime.cli_data import extent, loaders, summary
from rstime.datasets import root as datasets_root
from rstime.datasets.catalogue import CATALOGUE
from rstime.types import Series


def run(*arguments: object) -> int:
    return main(["data", *map(str, arguments)])


def row(text: str, name: str) -> list[str]:
    """Cells of the line that begins with a name."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return re.split(r" {2,}", line.strip())


def test_list_has_every_data_set_with_size_licence_and_place(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("list", "--root", shared_data) == 0
    text = capsys.readouterr().out
    assert [line.split()[0] for line in text.splitlines()[2:]] == [data.name for data in CATALOGUE]
    assert row(text, "etth1")[2:] == ["2.6", "CC BY-ND 4.0", str(shared_data / "etth1")]
    assert row(text, "etth2")[2:] == ["2.4", "CC BY-ND 4.0", "no"]


def test_list_says_what_has_to_be_brought_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--root", tmp_path) == 0
    text = capsys.readouterr().out
    by_hand = [line.split()[0] for line in text.splitlines() if line.endswith("no (by hand)")]
    assert by_hand == ["shanghai_cgm", "hall2018_cgm"]


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rstime.cli", "data", "list", "--root", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == b""
    assert listing.returncode == 141


def test_fetch_brings_what_is_not_there_and_says_where_it_is(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def download(url: str, target: Path, sha256: str, size: int, progress: bool) -> None:
        asked.append(url)
        target.parent.mkdir(parents=True)
        shutil.copy(shared_data / "etth1" / "ETTh1.csv", target)

    monkeypatch.setattr(datasets_root, "download", download)
    for _ in range(2):
        assert run("fetch", "etth1", "--root", tmp_path) == 0
        assert capsys.readouterr().out == f"etth1: {tmp_path / 'etth1' / 'ETTh1.csv'}\n"
    assert len(asked) == 1
    assert re.fullmatch(r"https://raw\.githubusercontent\.com/zhouhaoyi/ETDataset/[0-9a-f]{40}/.*/ETTh1\.csv", asked[0])


def test_fetch_into_the_cache_leaves_alone_what_is_anywhere(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RSTIME_DATA", str(shared_data))
    monkeypatch.setattr(datasets_root, "download", None)
    assert run("fetch", "etth1", "m4_hourly") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        f"etth1: {shared_data}/etth1/ETTh1.csv",
        f"m4_hourly: {shared_data}/m4_hourly/Hourly-train.csv.gz",
        f"m4_hourly: {shared_data}/m4_hourly/Hourly-test.csv.gz",
    ]


def test_describe_prints_the_numbers_of_the_provenance(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("describe", "air_quality_uci", "--root", shared_data) == 0
    text = capsys.readouterr().out
    assert "items: 1, stamps: 9,357, variables: 13\n" in text
    assert "span: 2004-03-10 18:00 to 2005-04-04 14:00, usual step 60 minutes\n" in text
    assert "licence: CC BY 4.0\ncite: De Vito et al." in text
    for name, wanted in provenance.channels(shared_data / "air_quality_uci").items():
        _, unit, count, missing, *numbers = row(text, name)
        assert unit
        assert (count.replace(",", ""), missing) == (wanted["n"], f"{wanted['missing']} %")
        found = [f"{float(number.replace(',', '')):.4g}" for number in numbers]
        assert found == [wanted[key] for key in ("mean", "sd", "min", "max")]


def test_describe_counts_items_and_hours_without_calendar(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("describe", "m4_hourly", "--root", shared_data) == 0
    text = capsys.readouterr().out
    assert "items: 414, stamps: 700 to 960, variables: 1\nspan: 0 to 959, usual step 1\n" in text
    assert row(text, "value")[2:] == ["353,500", "0.0 %", "5,606.1694", "35,495.3047", "10.0000", "703,008.0000"]


def test_every_data_set_of_the_catalogue_has_a_loader() -> None:
    assert list(loaders()) == [data.name for data in CATALOGUE]


def test_a_variable_that_is_never_measured_has_no_mean() -> None:
    value = np.array([[1.0, np.nan], [3.0, np.nan]])
    series = [Series("a", np.array([0.0, 2.0]), ("x", "y"), value, np.where(np.isnan(value), np.inf, 0.0))]
    table = summary(series, {"x": "m"}).set_index("variable")
    assert table.loc["x"].tolist() == ["m", 2, 0, 2, pytest.approx(np.sqrt(2)), 1, 3]
    assert table.loc["y"].tolist()[:3] == ["", 0, 1]
    assert np.isnan(table.loc["y", "mean"])
    assert extent(series) == "items: 1, stamps: 2, variables: 2\nspan: 0 to 2, usual step 2"


@pytest.mark.parametrize("action", ["fetch", "describe"])
def test_unknown_names_are_answered_with_near_ones(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(action, "air_quality") == 2
    error = capsys.readouterr().err
    assert error == (
        "rstime data: error: data set: there is none called 'air_quality'. Did you mean air_quality_uci?\n"
    )


@pytest.mark.parametrize("action", ["fetch", "describe"])
def test_files_to_be_brought_by_hand_are_named(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(action, "hall2018_cgm", "--root", tmp_path) == 2
    error = capsys.readouterr().err
    assert "It comes from https://doi.org/10.1371/journal.pbio.2005143.s010 (CC BY 4.0)" in error
    assert f"Put the file at {tmp_path}/cgm_hall2018/pbio.2005143.s010 or " in error


def test_actions_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        run("fetch", "--help")
    assert "checked against their digests" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit, match="2"):
        run()
    assert "required: ACTION" in capsys.readouterr().err
