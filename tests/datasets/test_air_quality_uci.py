"""UCI Air Quality: the table at hand against its provenance, and the official file."""

import re

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import air_quality_uci
from rstime.datasets.air_quality_uci import PAIRS, VARIABLES

OFFICIAL = """Date;Time;{names};;
10/03/2004;18.00.00;2,6;1360;150;11,9;1046;166;1056;113;1692;1268;13,6;48,9;0,7578;;
10/03/2004;19.00.00;-200;1292;112;9,4;955;103;1174;92;1559;972;13,3;47,7;0,7255;;
;;;;;;;;;;;;;;;;
"""


@pytest.fixture(scope="module")
def item(shared_data):
    return air_quality_uci.load(shared_data)


def column(item, name):
    return item.value[:, item.variables.index(name)]


def test_channels_have_the_numbers_of_the_provenance(item, shared_data):
    assert item.value.shape == (9357, 13)
    assert item.time[0] == np.datetime64("2004-03-10T18:00")
    assert item.time[-1] == np.datetime64("2005-04-04T14:00")
    assert np.all(np.diff(item.time) == np.timedelta64(1, "h"))
    assert set(np.unique(item.risk)) == {0, np.inf}
    provenance.check(shared_data / "air_quality_uci", dict(zip(item.variables, item.value.T, strict=True)))


def test_pairs_have_the_counts_and_correlations_of_the_provenance(item, shared_data):
    text = provenance.read(shared_data / "air_quality_uci")
    wanted = re.findall(r"^- (PT08\S+) vs (\S+): n=(\d+), Pearson (\S+),", text, flags=re.M)
    found = []
    for sensor, reference in PAIRS:
        both = np.stack([column(item, sensor), column(item, reference)])
        both = both[:, ~np.isnan(both).any(axis=0)]
        found.append((sensor, reference, str(both.shape[1]), f"{np.corrcoef(both)[0, 1]:.3f}"))
    assert found == wanted


def test_the_official_file_reads_the_same(item, tmp_path):
    (tmp_path / "air_quality_uci").mkdir()
    (tmp_path / air_quality_uci.FILE).write_text(OFFICIAL.format(names=";".join(VARIABLES)))
    official = air_quality_uci.load(tmp_path)
    wanted = item.value[:2].copy()
    assert wanted[1, 0] == 2.0
    wanted[1, 0] = np.nan
    np.testing.assert_array_equal(official.value, wanted)
    np.testing.assert_array_equal(official.time, item.time[:2])
