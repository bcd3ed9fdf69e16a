"""Tables on disk: what is read stays what it is, what is written is whole or absent."""

from __future__ import annotations

import gzip
from collections.abc import Callable
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


@pytest.mark.parametrize("name", ["absent.csv", "broken.parquet", "empty.csv", "broken.csv.gz", "short.csv.gz"])
def test_unreadable_tables_name_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / "broken.parquet").write_text("text")
    (tmp_path / "broken.csv.gz").write_text("text")
    (tmp_path / "short.csv.gz").write_bytes(gzip.compress(CSV.encode())[:-10])
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=name):
        read(tmp_path / name)


@pytest.mark.parametrize("reader", [read, read_verbatim])
@pytest.mark.parametrize("columns", [None, {"a", "b"}])
@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("1,2,3,4\n5,6,7,8\n", "line 2 of {} has 4 fields (and 1 more), the header 3."),
        ("1,2,3\n\n5,6,7,8\n", "line 4 of {} has 4 fields, the header 3."),
        ('1,"2\n2",3\n5,6,7,8\n', "line 4 of {} has 4 fields, the header 3."),
        ("1,2,3,\n", "line 2 of {} has 4 fields, the header 3."),
    ],
)
def test_a_row_with_more_fields_than_the_header_is_refused(
    tmp_path: Path, rows: str, told: str, columns: set[str] | None, reader: Callable[..., pd.DataFrame]
) -> None:
    """Such as an unquoted decimal comma, by which all later fields move to the next column."""
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\n" + rows)
    with pytest.raises(DataError, match="Write decimals with a point") as caught:
        reader(path) if reader is read_verbatim else reader(path, columns=columns)
    assert caught.value.problem + "." == told.format(path)


def test_rows_know_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n1,"x\r\ny"\r\n\r\n  \r\n2,\r\n3\r\n')
    frame = read(path, text=("b",))
    assert list(frame.index) == [2, 6, 7]
    assert frame["a"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(("name", "separator"), [("a.tsv", "\t"), ("a.csv.gz", ","), ("A.CSV", ",")])
def test_other_tables_of_text_are_read(tmp_path: Path, name: str, separator: str) -> None:
    text = CSV.replace(",", separator)
    (tmp_path / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    frame = read(tmp_path / name, text=("item_id", "variable"))
    assert frame["item_id"].tolist() == ["007", "007"]
    np.testing.assert_array_equal(frame["value"], [140.1, np.nan])
    assert read_verbatim(tmp_path / name)["value"].tolist() == ["140.10", ""]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", b"a;b\n1;2\n", "{} separates its columns by ';': a;b. Separate columns by commas"),
        ("a.csv", b"a\tb\n1\t2\n", "{} separates its columns by tab: a\tb. Name it .tsv."),
        ("a.tsv", b"a,b\n1,2\n", "{} separates its columns by comma: a,b. Name it .csv."),
        ("a.csv", "a,b\n1,°C\n".encode("latin-1"), "{} is not UTF-8 (byte 0xb0, as in Latin-1 or Windows-1252). Save"),
        ("a.csv", "a,b\n1,2\n".encode("utf-16"), "{} is not UTF-8 (zero bytes, as in UTF-16). Save it as UTF-8"),
    ],
)
def test_separators_and_encodings_are_named(tmp_path: Path, name: str, content: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        read(tmp_path / name)
    assert told.format(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("name", ["a.txt", "a.xlsx", "a.gz"])
def test_tables_of_other_kinds_are_to_be_saved_as_one_that_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"Save it as \.csv \(or \.csv\.gz\), \.tsv or \.parquet\."):
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
