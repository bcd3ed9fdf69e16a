"""Tables for the terminal, compared line by line."""

import numpy as np
import pandas as pd
import pytest

from rstime.errors import ConfigError
from rstime.report import scores_table, support_table, text_table


def test_words_go_left_numbers_right_and_empty_cells_are_dashes() -> None:
    frame = pd.DataFrame({"name": ["a", "longer"], "n": [1234567, 2], "x": [np.nan, -1.5], "y": [0.25, 12345.678]})
    want = [
        "name            n       x           y",
        "-------------------------------------",
        "a       1,234,567       -       0.250",
        "longer          2  -1.500  12,345.678",
    ]
    assert text_table(frame).splitlines() == want


def test_digits_by_column_and_percent() -> None:
    frame = pd.DataFrame({"x": [1.26], "y": [2.0], "hit": [0.8984]})
    assert text_table(frame, digits={"x": 1}, percent=("hit",)).splitlines()[-1] == "1.3  2.000  89.8 %"


def test_scores_come_in_blocks() -> None:
    frame = pd.DataFrame(
        {
            "entries": ["missing", "missing", "noisy"],
            "count": [10, 10, 2000],
            "method": ["linear", "model", "linear"],
            "CRPS": [0.5, 0.25, 0.125],
            "inside 90 %": [0.7, 0.9, 1.0],
        }
    )
    want = [
        "entries  count  method   CRPS  inside 90 %",
        "------------------------------------------",
        "missing     10  linear  0.500       70.0 %",
        "                model   0.250       90.0 %",
        "",
        "noisy    2,000  linear  0.125      100.0 %",
    ]
    assert scores_table(frame).splitlines() == want


def test_support_writes_shares_in_percent() -> None:
    frame = pd.DataFrame({"variable": ["hr"], "smallest_risk": [1.7], "count": [4000], "share": [0.5]})
    assert support_table(frame).splitlines()[-1].split() == ["hr", "1.700", "4,000", "50.0", "%"]


def test_empty_frame_gives_its_header() -> None:
    assert text_table(pd.DataFrame({"a": [], "b": []})).splitlines() == ["a  b", "----"]


def test_unknown_column_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="a, b"):
        text_table(pd.DataFrame({"a": [1], "b": [2]}), percent=("c",))
