"""PhysioNet 2012: stays, bins, clean-up, the numbers of set-a, the official archives."""

import gzip
import io
import re
import tarfile
import time

import numpy as np
import pytest

from oracles import provenance
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
    with gzip.open(tmp_path / "physionet2012_set_a/observations.csv.gz", "wt") as file:
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
    with pytest.raises(ConfigError, match="subset: 'c'"):
        physionet2012.load(tiny, subset="c")
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


@pytest.mark.parametrize("subset", ["a", "b"])
def test_the_official_archive_reads_the_same(tiny, tmp_path, subset):
    """Records in any order, with the head line of each, beside files that are no records."""
    records = {name: [] for name in ("8", "7")}
    for row in ROWS.splitlines()[1:]:
        name, rest = row.split(",", 1)
        records[name].append(rest)
    (tmp_path / f"official/physionet2012_set_{subset}").mkdir(parents=True)
    archive = tmp_path / f"official/physionet2012_set_{subset}/set-{subset}.tar.gz"
    with tarfile.open(archive, "w:gz") as box:
        for path, text in [("index.html", "<html>")] + [
            (f"set-{subset}/{name}.txt", "\n".join(["Time,Parameter,Value", *rows, ""]))
            for name, rows in records.items()
        ]:
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            box.addfile(entry, io.BytesIO(text.encode()))
    (item,) = physionet2012.load(tmp_path / "official", subset=subset)
    (wanted,) = physionet2012.load(tiny)
    np.testing.assert_array_equal(item.value, wanted.value)
    np.testing.assert_array_equal(item.static, wanted.static)
    assert (item.item_id, item.time.tolist()) == (wanted.item_id, wanted.time.tolist())


def test_the_whole_set_has_the_numbers_of_its_provenance(shared_data):
    """Of each variable the charted values, and the share of hourly cells of all 4,000 stays without one."""
    text = provenance.read(shared_data / "physionet2012_set_a")
    line = r"^- (\w+): (\d+) values, (\S+) % of hourly cells missing, mean (\S+), sd (\S+), median (\S+)$"
    wanted = re.findall(line, text, flags=re.M)
    assert sorted(row[0] for row in wanted) == sorted(set(physionet2012.VARIABLES) - {"MechVent"})
    stays = physionet2012.load(shared_data, clean=False)
    cells = np.sum([item.observed.sum(axis=0) for item in stays], axis=0)
    rows = physionet2012._read(shared_data / "physionet2012_set_a/observations.csv.gz")
    assert f"observations: {len(rows)} rows, {rows['stay'].nunique()} stays" in text
    for name, *numbers in wanted:
        value = rows.loc[rows["variable"] == name, "value"].to_numpy()
        value = value[value > 0] if name == "Weight" else value[value != -1]
        missing = 1 - cells[physionet2012.VARIABLES.index(name)] / (4000 * 48)
        found = [str(len(value)), f"{100 * missing:.1f}"]
        found += [f"{number:.4g}" for number in (value.mean(), value.std(ddof=1), np.median(value))]
        assert (name, found) == (name, numbers)


def test_cuff_and_line_differ_as_the_provenance_says(shared_data):
    """Means of the same hour, where both are above what a detached line reads."""
    text = provenance.read(shared_data / "physionet2012_set_a")
    rows = physionet2012._read(shared_data / "physionet2012_set_a/observations.csv.gz")
    rows["hour"] = np.minimum(rows["time"] // 60, 47)
    line = r"same-hour pair (\w+) vs (\w+): (n=\d+, bias \S+, RMSE \S+, sd of difference \S+),"
    pairs = re.findall(line, text)
    assert len(pairs) == 3
    for (cuff, reference, wanted), low in zip(pairs, (40, 10, 20), strict=True):
        hours = rows[rows["variable"].isin([cuff, reference]) & (rows["value"] != -1)]
        means = hours.groupby(["stay", "hour", "variable"], observed=True)["value"].mean().unstack()
        off = (means[cuff] - means[reference])[(means > low).all(axis=1)].to_numpy()
        found = f"n={len(off)}, bias {off.mean():.3f}, RMSE {np.sqrt(np.mean(off**2)):.3f}, "
        assert found + f"sd of difference {off.std(ddof=1):.3f}" == wanted
