"""Tables on disk: what is read stays what it is, what is written is whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rstime.errors import ConfigError, DataError
from rstime.tables import check_suffix, read, read_verbatim, replacing, write

CSV = "item_id,timestamp,variable,value,sd,note\n007,2024-01-01,NA,140.10,NA,x\n007,2024-01-02,NA,,inf,\n"


def test_names_stay_text_and_numbers_become_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    frame = read(path, text=("item_id", "variable"), columns={"item_id", "variable", "value", "sd"})
    assert list(frame.columns) == ["item_id", "variable", "value", "sd"]
    assert frame["item_id"].tolist() == ["007", "007"]
    assert frame["variable"].tolist() == ["NA", "NA"]
    np.testing.assert_array_equal(frame["value"], [140.1, np.nan])
    np.testing.assert_array_equal(frame["sd"], [np.nan, np.inf])


def test_verbatim_csv_is_repeated_to_the_letter(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(CSV)
    write(read_verbatim(path), tmp_path / "b.csv")
    assert (tmp_path / "b.csv").read_text() == CSV


def test_floats_survive_csv_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=200) * 10.0 ** np.arange(-100, 100)
    write(pd.DataFrame({"value": values}), tmp_path / "a.csv")
    np.testing.assert_array_equal(read(tmp_path / "a.csv")["value"], values)


def test_parquet_keeps_types(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": [7, 8], "timestamp": pd.to_datetime(["2024-01-01", "2024-01-02"], utc=True)})
    write(frame, tmp_path / "a.parquet")
    pd.testing.assert_frame_equal(read(tmp_path / "a.parquet"), frame)
    assert list(read(tmp_path / "a.parquet", columns={"item_id"}).columns) == ["item_id"]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_all_columns_are_read_where_one_is_absent(tmp_path: Path, name: str) -> None:
    write(pd.DataFrame({"id": ["x"], "sd": [1.0], "note": ["y"]}), tmp_path / name)
    assert list(read(tmp_path / name, columns={"item_id", "sd"}).columns) == ["id", "sd", "note"]
    assert list(read(tmp_path / name, columns={"id", "sd"}).columns) == ["id", "sd"]


@pytest.mark.parametrize("name", ["absent.csv", "broken.parquet", "empty.csv"])
def test_unreadable_tables_name_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.parquet").write_text("text")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=name):
        read(tmp_path / name)


def test_other_suffixes_are_refused() -> None:
    with pytest.raises(ConfigError, match="xlsx"):
        check_suffix(Path("table.xlsx"))


def test_replacing_moves_files_into_place(tmp_path: Path) -> None:
    old, new = tmp_path / "a.csv", tmp_path / "b.csv"
    old.write_text("old")
    with replacing(old, new) as drafts:
        for draft in drafts:
            draft.write_text("new")
        assert old.read_text() == "old"
    assert (old.read_text(), new.read_text()) == ("new", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv"]


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("old")

    def interrupted() -> None:
        with replacing(file, tmp_path / "b.csv") as drafts:
            for draft in drafts:
                draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_output_in_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="absent"), replacing(tmp_path / "absent" / "a.csv"):
        pass
