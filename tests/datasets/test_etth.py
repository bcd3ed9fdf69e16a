"""ETTh1 and the search for data files."""

import numpy as np
import pytest

from rstime.datasets import etth
from rstime.datasets.root import find
from rstime.errors import DatasetNotFoundError


def test_etth1_has_its_rows_variables_and_means(shared_data):
    item = etth.load(shared_data)
    assert item.value.shape == (17420, 7)
    assert item.variables[-1] == "OT"
    assert item.time[0] == np.datetime64("2016-07-01T00:00")
    assert item.time[-1] == np.datetime64("2018-06-26T19:00")
    assert np.all(np.diff(item.time) == np.timedelta64(1, "h"))
    assert np.all(item.risk == 0)
    np.testing.assert_allclose(item.value[:, -1].mean(), 13.32, atol=0.005)
    np.testing.assert_allclose(item.value[:, 0].std(ddof=1), 7.068, atol=0.0005)


def test_a_missing_file_is_named_with_where_to_put_it(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"ETTh1\.csv.*Put the file at"):
        etth.load(tmp_path)


def test_the_root_may_come_from_the_environment(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.csv").write_text("x\n")
    monkeypatch.setenv("RSTIME_DATA", str(tmp_path))
    assert find("a/b.csv") == tmp_path / "a" / "b.csv"
    with pytest.raises(DatasetNotFoundError):
        find("a/b.csv", root=tmp_path / "a")
