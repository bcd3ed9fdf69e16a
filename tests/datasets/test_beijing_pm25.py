"""Beijing PM2.5: what is shown, what is hidden, against the provenance."""

import re

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import beijing_pm25
from rstime.datasets.beijing_pm25 import GROUND, MISSING, STATIONS


@pytest.fixture(scope="module")
def loaded(shared_data):
    return beijing_pm25.load(shared_data)


def test_hidden_and_shown_values_have_the_numbers_of_the_provenance(loaded, shared_data):
    text = provenance.read(shared_data / "beijing_pm25_36")
    item, truth = loaded.series, loaded.truth
    ground = np.where(item.observed, item.value, truth)
    hidden, known = np.isfinite(truth), np.isfinite(ground)
    assert item.value.shape == truth.shape == (8759, 36)
    assert item.time[0] == np.datetime64("2014-05-01T01:00")
    assert item.time[-1] == np.datetime64("2015-04-30T23:00")
    assert np.all(np.diff(item.time) == np.timedelta64(1, "h"))
    shares = f'ground {100 * np.mean(~known):.2f} %, "missing" file {100 * np.mean(~item.observed):.2f} %'
    assert shares in text
    assert f"{hidden.sum()} = {100 * hidden.sum() / known.sum():.2f} % of known" in text
    values = ground[known]
    assert f"mean {values.mean():.2f}, sd {values.std(ddof=1):.2f}, min {values.min()}, max {values.max()}" in text
    stations = re.findall(r"^- (station .*)$", text, flags=re.M)
    assert stations == [
        f"station {name}: mean {np.nanmean(one):.1f}, sd {np.nanstd(one, ddof=1):.1f}, "
        f"missing {100 * np.mean(np.isnan(one)):.1f} %"
        for name, one in zip(STATIONS, ground.T, strict=True)
    ]


def test_only_hidden_entries_are_asked_and_none_of_them_is_shown(loaded):
    item, hidden = loaded.series, np.isfinite(loaded.truth)
    np.testing.assert_array_equal(item.asked, hidden)
    assert not np.any(item.observed & hidden)
    assert np.all(item.risk[item.observed] == 0)


def test_the_official_files_are_plain_text(tmp_path):
    (tmp_path / "beijing_pm25_36").mkdir()
    head = f"datetime,{','.join(STATIONS)}\n"
    full, cut = ["7"] * 36, ["7"] * 34 + ["", ""]
    (tmp_path / GROUND).write_text(head + f"2014/05/01 01:00:00,{','.join([*full[:35], ''])}\n")
    (tmp_path / MISSING).write_text(head + f"2014/05/01 01:00:00,{','.join(cut)}\n")
    small = beijing_pm25.load(tmp_path)
    np.testing.assert_array_equal(small.truth[0, -3:], [np.nan, 7, np.nan])
    np.testing.assert_array_equal(small.series.value[0, -3:], [7, np.nan, np.nan])
