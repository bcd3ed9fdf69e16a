"""M4 hourly: lengths, values, the published seasonal-naive score."""

import re

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import m4_hourly
from rstime.errors import ConfigError


def test_series_have_the_numbers_of_the_provenance(shared_data):
    text = provenance.read(shared_data / "m4_hourly")
    train, test = (m4_hourly.load(shared_data, part) for part in ("train", "test"))
    lengths = [len(item.time) for item in train]
    counts = f"train {len(train)} series, length {min(lengths)} to {max(lengths)} (median {np.median(lengths):.0f})"
    assert f"{counts}; test {len(test)} x {len(test[0].time)} hours" in text
    value = np.concatenate([item.value[:, 0] for item in train])
    numbers = f"mean {value.mean():.1f}, sd {value.std(ddof=1):.1f}, min {value.min():.2f}, max {value.max():.1f}"
    assert f"train values: {numbers}" in text
    low, middle, high = np.quantile([item.value.mean() for item in train], [0.05, 0.5, 0.95])
    assert f"5 % {low:.1f}, median {middle:.1f}, 95 % {high:.1f}" in text


def test_train_and_test_fit_together_so_that_the_published_score_comes_out(shared_data):
    """Mean absolute scaled error of repeating the last day, 1.193 for Naive-S of M4 hourly."""
    scores = []
    for given, asked in zip(*(m4_hourly.load(shared_data, part) for part in ("train", "test")), strict=True):
        assert given.item_id == asked.item_id
        assert asked.time[0] == given.time[-1] + 1
        past, future = given.value[:, 0], asked.value[:, 0]
        scale = np.mean(np.abs(past[24:] - past[:-24]))
        scores.append(np.mean(np.abs(future - np.tile(past[-24:], 2))) / scale)
    assert f"{np.mean(scores):.3f}" == "1.193"
    text = provenance.read(shared_data / "m4_hourly")
    assert re.search(r"published Naive-S for M4 hourly: (\S+)\)", text)[1] == "1.193"


def test_the_official_files_have_quotes_and_no_compression(tmp_path):
    (tmp_path / "m4_hourly").mkdir()
    (tmp_path / m4_hourly.TRAIN).write_text('"V1","V2","V3","V4"\n"H1","605","586","5"\n"H2","3124","2990",\n')
    (tmp_path / m4_hourly.TEST).write_text('"V1","V2","V3"\n"H1","619","565"\n"H2","1","2"\n')
    first, second = m4_hourly.load(tmp_path, "all")
    np.testing.assert_array_equal(first.value[:, 0], [605, 586, 5, 619, 565])
    np.testing.assert_array_equal(second.value[:, 0], [3124, 2990, 1, 2])
    np.testing.assert_array_equal(m4_hourly.load(tmp_path, "test")[1].time, [2, 3])
    with pytest.raises(ConfigError, match="part: 'valid'"):
        m4_hourly.load(tmp_path, "valid")
