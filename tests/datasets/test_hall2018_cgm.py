"""Hall 2018 glucose: wear periods, grid, the official file."""

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import hall2018_cgm
from rstime.datasets.hall2018_cgm import person
from rstime.errors import ConfigError, DatasetNotFoundError

OFFICIAL = """DisplayTime\tGlucoseValue\tsubjectId
2014-02-03 03:42:00\t93\tp1
2014-02-03 03:47:30\t94\tp1
2014-02-03 03:58:00\tLow\tp1
2014-02-05 10:00:00\t99\tp1
2014-02-03 03:00:00\t80\tp2
"""


@pytest.fixture(scope="module")
def raw(shared_data):
    return hall2018_cgm.load(shared_data, grid=None)


def test_readings_have_the_numbers_of_the_provenance(raw, shared_data):
    value = np.concatenate([item.value[:, 0] for item in raw])
    assert len(value) == 105426
    provenance.check(shared_data / "cgm_hall2018", {"glucose_value_mg_dl": value})
    people = [person(item) for item in raw]
    assert len(set(people)) == 57
    counts = [sum(len(item.time) for item in raw if person(item) == name) for name in sorted(set(people))]
    assert (min(counts), np.median(counts), max(counts)) == (1584, 1822, 2361)
    assert min(item.time[0] for item in raw) == np.datetime64("2014-02-03T03:42")
    assert max(item.time[-1] for item in raw) == np.datetime64("2017-07-11T20:41")


def test_wear_periods_on_the_grid_have_the_missing_share_of_the_provenance(raw, shared_data):
    assert len(raw) == 70
    assert max(np.diff(item.time).max() for item in raw) <= np.timedelta64(1, "D")
    grid = hall2018_cgm.load(shared_data)
    assert [item.item_id for item in grid] == [item.item_id for item in raw]
    assert all(np.all(np.diff(item.time) == np.timedelta64(5, "m")) for item in grid)
    missing = 1 - np.mean(np.concatenate([item.observed for item in grid]))
    assert f"{100 * missing:.1f}" == "9.4"
    assert "about 9.4 % missing" in provenance.read(shared_data / "cgm_hall2018")


def test_the_official_file_is_split_at_gaps_and_put_on_the_grid(tmp_path):
    (tmp_path / "cgm_hall2018").mkdir()
    (tmp_path / hall2018_cgm.FILE).write_text(OFFICIAL)
    first, second, other = hall2018_cgm.load(tmp_path)
    assert [item.item_id for item in (first, second, other)] == ["p1/0", "p1/1", "p2/0"]
    np.testing.assert_array_equal(first.value[:, 0], [93, 94, np.nan, np.nan])
    assert first.time[-1] == np.datetime64("2014-02-03T03:57")
    exact = hall2018_cgm.load(tmp_path, grid=None)[0]
    np.testing.assert_array_equal(exact.value[:, 0], [93, 94, np.nan])
    assert exact.time[1] == np.datetime64("2014-02-03T03:47:30")


def test_bad_grid_and_missing_file_are_named(tmp_path):
    with pytest.raises(ConfigError, match="grid: '1h'"):
        hall2018_cgm.load(tmp_path, grid="1h")
    with pytest.raises(DatasetNotFoundError, match=r"pbio\.2005143\.s010.*S1 Data"):
        hall2018_cgm.load(tmp_path)
