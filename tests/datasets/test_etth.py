"""ETTh1 and its sisters."""

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import etth
from rstime.errors import ConfigError, DatasetNotFoundError


def test_etth1_has_the_numbers_of_its_provenance(shared_data):
    item = etth.load(shared_data)
    assert item.item_id == "ETTh1"
    assert item.value.shape == (17420, 7)
    assert item.variables[-1] == "OT"
    assert item.time[0] == np.datetime64("2016-07-01T00:00")
    assert item.time[-1] == np.datetime64("2018-06-26T19:00")
    assert np.all(np.diff(item.time) == np.timedelta64(1, "h"))
    assert np.all(item.risk == 0)
    provenance.check(shared_data / "etth1", dict(zip(item.variables, item.value.T, strict=True)))


def test_the_sisters_lie_in_folders_of_their_own(tmp_path):
    (tmp_path / "ettm2").mkdir()
    rows = "date,HUFL,OT\n2016-07-01 00:00:00,1.5,2\n2016-07-01 00:15:00,,3\n"
    (tmp_path / "ettm2" / "ETTm2.csv").write_text(rows)
    item = etth.load(tmp_path, "ETTm2")
    assert item.item_id == "ETTm2"
    np.testing.assert_array_equal(item.value, [[1.5, 2], [np.nan, 3]])
    np.testing.assert_array_equal(item.risk, [[0, 0], [np.inf, 0]])
    with pytest.raises(ConfigError, match="name: 'ETTh3'"):
        etth.load(tmp_path, "ETTh3")


def test_a_missing_file_is_named_with_where_to_put_it(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"ETTh1\.csv.*`rstime data fetch etth1`.*Put the file at"):
        etth.load(tmp_path)
