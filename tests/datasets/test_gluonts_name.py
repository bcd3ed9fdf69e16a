"""Data sets of GluonTS by name, from a small one in its own file format."""

import sys

import numpy as np
import pandas as pd
import pytest

from rstime.cli import main
from rstime.datasets import gluonts_name
from rstime.errors import ConfigError, DatasetNotFoundError


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """What GluonTS writes for a data set of two items, one of them with features and a gap."""
    from gluonts.dataset.common import MetaData, TrainDatasets
    from gluonts.dataset.jsonl import JsonLinesWriter

    folder = tmp_path_factory.mktemp("gluonts")
    start = pd.Period("2020-03-01 05:00", freq="h")
    target = np.array([1.5, np.nan, 2.5, 4.0, 8.0])
    features = {"feat_static_real": np.array([7.0, 9.0]), "feat_static_cat": np.array([3])}
    parts = {}
    for part, length in (("train", 3), ("test", 5)):
        dynamic = np.arange(2.0 * length).reshape(2, length)
        full = {"item_id": "A", "start": start, "target": target[:length], "feat_dynamic_real": dynamic, **features}
        parts[part] = [full, {"start": start, "target": 10 * target[2:length]}]
    made = TrainDatasets(metadata=MetaData(freq="h", prediction_length=2), **parts)
    made.save(str(folder / "m4_hourly"), JsonLinesWriter(use_gzip=False))
    return folder


def test_items_become_series_with_gaps_and_features(root):
    first, second = gluonts_name.load("m4_hourly", root)
    assert (first.item_id, second.item_id) == ("A", "1")
    assert first.variables == ("target",)
    np.testing.assert_array_equal(first.value[:, 0], [1.5, np.nan, 2.5])
    np.testing.assert_array_equal(first.risk[:, 0], [0, np.inf, 0])
    assert first.time[0] == np.datetime64("2020-03-01T05:00")
    assert np.all(np.diff(first.time) == np.timedelta64(1, "h"))
    np.testing.assert_array_equal(first.static, [7, 9])
    np.testing.assert_array_equal(first.known, [[0, 3], [1, 4], [2, 5]])
    assert first.known_names == ("dynamic_real_0", "dynamic_real_1")
    assert second.value.tolist() == [[25]]
    assert second.known.shape == (1, 0)


def test_the_test_part_goes_on(root):
    first, second = gluonts_name.load("m4_hourly", root, part="test")
    np.testing.assert_array_equal(first.value[:, 0], [1.5, np.nan, 2.5, 4, 8])
    np.testing.assert_array_equal(second.value[:, 0], [25, 40, 80])


def test_the_command_line_describes_it(root, capsys):
    assert main(["data", "describe", "gluonts:m4_hourly", "--root", str(root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("items: 2, stamps: 1 to 3, variables: 1")
    assert lines[-1].split()[:2] == ["target", "3"]
    assert lines[-1].split()[-4:] == ["9.6667", "13.2885", "1.5000", "25.0000"]
    assert main(["data", "describe", "gluonts:m4_hourley", "--root", str(root)]) == 2
    assert "GluonTS has none called 'm4_hourley'. Did you mean m4_hourly" in capsys.readouterr().err


def test_business_days_are_dates():
    entry = {"start": pd.Period("1990-01-05", freq="D"), "target": [1.0, 2.0]}
    assert gluonts_name._series(entry, "x").time[1] == np.datetime64("1990-01-06")
    with pytest.warns(FutureWarning):
        start = pd.Period("1990-01-05", freq="B")
    weekend = gluonts_name._series({"start": start, "target": [1.0, 2.0]}, "x")
    assert weekend.time.tolist() == pd.to_datetime(["1990-01-05", "1990-01-08"]).to_numpy("datetime64[ns]").tolist()


def test_wrong_names_and_parts_are_named(root):
    with pytest.raises(ConfigError, match=r"GluonTS has none called 'm4_hurly'. Did you mean m4_hourly, "):
        gluonts_name.load("m4_hurly", root)
    with pytest.raises(ConfigError, match="part: 'all'"):
        gluonts_name.load("m4_hourly", root, part="all")


def test_what_is_not_there_is_not_fetched_offline_or_from_a_given_root(root, tmp_path, monkeypatch):
    with pytest.raises(DatasetNotFoundError, match=r"m4_daily: not found at .*m4_daily\. Load it once without"):
        gluonts_name.load("m4_daily", root)
    monkeypatch.setattr("gluonts.dataset.repository.datasets.default_dataset_path", tmp_path)
    monkeypatch.setenv("RSTIME_OFFLINE", "1")
    with pytest.raises(DatasetNotFoundError, match="m4_hourly: not found"):
        gluonts_name.load("m4_hourly")


def test_without_gluonts_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "gluonts.dataset.repository", None)
    with pytest.raises(ConfigError, match=r"gluonts: not installed .*pip install \"rstime\[gluonts\]\""):
        gluonts_name.load("m4_hourly")
