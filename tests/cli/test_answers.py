"""Results of impute and forecast repeat the table; its columns and covariates reach the series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from oracles.fake_model import LEVELS, FakeModel, run
from rstime.pictures import draw
from rstime.types import Posterior, Series


def test_result_repeats_every_row_to_the_letter_and_adds_the_answer(
    fake: type[FakeModel], table: Path, tmp_path: Path
) -> None:
    out = tmp_path / "result.csv"
    options = ["--samples", 40, "--seed", 3, "--sampler", "restart", "--evaluations", 9, "--covariance", "tweedie"]
    assert run("impute", tmp_path / "model", table, "--out", out, *options) == 0
    asked = tuple(fake.calls[name] for name in ("sampler", "evaluations", "covariance"))
    assert asked == ("restart", 9, "tweedie")
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


def test_pictures_of_the_first_items(
    fake: type[FakeModel], table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files have the item's number and name, without what a name of a file cannot hold; the longest past is cut."""
    folder, out = tmp_path / "pictures", tmp_path / "r.csv"
    assert run("impute", "model", table, "--out", out, "--pictures", folder) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["01-007.png", "02-A.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
    many = tmp_path / "many.csv"
    rows = [f"ward/{i},2024-01-01 {t:02d}:00,hr,{60 + t},1\n" for i in range(14) for t in range(24)]
    many.write_text("item_id,timestamp,variable,value,sd\n" + "".join(rows))
    assert run("forecast", "model", many, "--horizon", 2, "--out", out, "--pictures", folder) == 0
    assert capsys.readouterr().err.splitlines()[-1] == f"{folder}: 12 pictures, of the first 12 of 14 items"
    assert (folder / "12-ward_11.png").exists()
    assert len(list(folder.iterdir())) == 14


def test_a_forecast_is_drawn_after_four_horizons_of_readings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    time = np.arange(40.0)
    history = Series("a", time, ("hr",), time[:, None], np.ones((40, 1)))
    future = Series("a", 40 + np.arange(3.0), ("hr",), np.full((3, 1), np.nan), np.full((3, 1), np.inf))
    drawn: list[Series] = []

    def plot(past: Series, answer: Posterior) -> Figure:
        drawn.append(past)
        return Figure()

    monkeypatch.setattr("rstime.pictures.plot_forecast", plot)
    assert draw(tmp_path, [Posterior(future, np.zeros((2, 3, 1)))], [history]) == [tmp_path / "01-a.png"]
    assert drawn[0].time.tolist() == list(range(28, 40))
