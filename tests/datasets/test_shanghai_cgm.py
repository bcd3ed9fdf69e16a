"""Shanghai glucose: recordings, people, sensor beside fingersticks."""

import re

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import shanghai_cgm
from rstime.datasets.shanghai_cgm import VARIABLES, patient
from rstime.errors import DatasetNotFoundError


@pytest.fixture(scope="module")
def raw(shared_data):
    return shanghai_cgm.load(shared_data, clean=False)


def columns(items):
    return dict(zip(VARIABLES, np.concatenate([item.value for item in items]).T, strict=True))


def compared(items, pattern, text):
    """Count, bias, RMSE, sd, correlation of sensor minus fingerstick; and the same numbers of the line of the text."""
    wanted = re.search(rf"^- {pattern}CGM vs CBG: (n=.*?corr [\d.]+)", text, flags=re.M)
    wanted = re.sub(r"robust sd \S+ MAD\) \S+, ", "", wanted[1])
    all_columns = columns(items)
    pairs = np.stack([all_columns["cgm_mg_dl"], all_columns["cbg_mg_dl"]])
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    off = pairs[0] - pairs[1]
    found = f"n={len(off)}, bias {off.mean():.3f}, RMSE {np.sqrt(np.mean(off**2)):.3f}, "
    return found + f"sd of difference {off.std(ddof=1):.3f}, corr {np.corrcoef(pairs)[0, 1]:.3f}", wanted


def test_recordings_have_the_numbers_of_the_provenance(raw, shared_data):
    assert len(raw) == 125
    assert len({item.item_id for item in raw}) == 125
    assert len({patient(item) for item in raw}) == 112
    assert sum(len(item.time) for item in raw) == 128170
    assert min(item.time[0] for item in raw) == np.datetime64("2020-09-07T11:23")
    assert max(item.time[-1] for item in raw) == np.datetime64("2022-01-29T12:18")
    steps = np.concatenate([np.diff(item.time) for item in raw])
    assert np.median(steps) == np.timedelta64(15, "m")
    provenance.check(shared_data / "shanghai_cgm_cbg", columns(raw))


def test_pairs_of_sensor_and_reference_have_the_numbers_of_the_provenance(raw, shared_data):
    text = provenance.read(shared_data / "shanghai_cgm_cbg")
    clean = shanghai_cgm.load(shared_data)
    for items, pattern in (
        (raw, "all "),
        ([item for item in raw if item.static[0] == 1], "T1DM "),
        ([item for item in raw if item.static[0] == 2], "T2DM "),
        (clean, "CBG under 600 only: "),
    ):
        found, wanted = compared(items, pattern, text)
        assert found == wanted


def test_only_the_impossible_fingerstick_is_dropped(raw, shared_data):
    clean = shanghai_cgm.load(shared_data)
    lost = [before.value[before.observed & ~after.observed] for before, after in zip(raw, clean, strict=True)]
    assert np.concatenate(lost).tolist() == [2044.8]
    assert all(set(np.unique(item.risk)) <= {0, np.inf} for item in clean)
    assert {len({item.static[0] for item in clean if patient(item) == name}) for name in map(patient, clean)} == {1}


def test_the_file_has_to_be_brought_by_hand(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"doi\.org/10\.6084.*one workbook a recording.*cgm_mg_dl"):
        shanghai_cgm.load(tmp_path)
