"""PhysioNet 2012 set-a: stays, bins, clean-up."""

import time

import numpy as np
import pytest

from rstime.datasets import physionet2012
from rstime.errors import ConfigError, DatasetNotFoundError

ROWS = """RecordID,Time,Parameter,Value
7,00:00,RecordID,7.0
7,00:00,Age,54.0
7,00:00,Gender,-1.0
7,00:00,Height,170.0
7,00:00,ICUType,4.0
7,00:00,Weight,-1.0
7,00:07,HR,73.0
7,00:37,HR,77.0
7,00:37,pH,735.0
7,48:00,Temp,36.6
8,00:00,RecordID,8.0
8,00:00,Age,31.0
8,03:10,HCT,30.0
"""


@pytest.fixture
def tiny(tmp_path):
    (tmp_path / "physionet2012_set_a").mkdir()
    import gzip

    with gzip.open(tmp_path / physionet2012.FILE, "wt") as file:
        file.write(ROWS)
    return tmp_path


def at(item, name):
    return item.value[:, item.variables.index(name)]


def test_bins_keep_the_last_reading_and_the_last_bin_holds_the_end(tiny):
    (item,) = physionet2012.load(tiny)
    assert item.item_id == "7"
    assert item.value.shape == (48, 37)
    assert at(item, "HR")[0] == 77
    assert at(item, "Temp")[47] == 36.6
    assert item.observed.sum() == 2
    np.testing.assert_array_equal(item.time, np.arange(48))


def test_charted_minutes_stay_as_they_are_without_a_grid(tiny):
    (item,) = physionet2012.load(tiny, grid=None, clean=False)
    np.testing.assert_allclose(item.time, [7 / 60, 37 / 60, 48])
    np.testing.assert_array_equal(at(item, "HR"), [73, 77, np.nan])
    np.testing.assert_array_equal(at(item, "pH"), [np.nan, 735, np.nan])
    assert np.all(np.isnan(at(item, "Weight")))


def test_statics_are_carried_and_nan_where_not_recorded(tiny):
    (item,) = physionet2012.load(tiny)
    assert item.static_names == ("Age", "Gender", "Height", "ICUType")
    np.testing.assert_array_equal(item.static, [54, np.nan, 170, 4])


def test_bad_grid_and_missing_file_are_named(tiny, tmp_path):
    with pytest.raises(ConfigError, match="grid: '2h'"):
        physionet2012.load(tiny, grid="2h")
    with pytest.raises(DatasetNotFoundError, match="observations"):
        physionet2012.load(tmp_path / "nowhere")


def test_the_whole_set_loads_in_seconds_with_its_counts(shared_data):
    start = time.perf_counter()
    stays = physionet2012.load(shared_data, clean=False)
    assert time.perf_counter() - start < 30
    assert len(stays) == 3996
    missing = 1 - np.mean([item.observed[:, [v != "MechVent" for v in item.variables]] for item in stays])
    assert missing == pytest.approx(0.796, abs=0.001)
    weights = np.concatenate([at(item, "Weight") for item in stays])
    assert np.nanmin(weights) >= 0
    clean = physionet2012.load(shared_data)
    temperatures = np.concatenate([at(item, "Temp") for item in clean])
    assert np.nanmin(temperatures) >= 25
