"""Sets of the paper's experiments: fills, gaps, noise, and what is clean."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rstime.evaluation.paper_sets import CLEAN_ROWS, HIGH, LOW, MASKED, TABLES, fill_neighbours, measure, paper_set
from rstime.evaluation.paper_windows import (
    CHARTED,
    VARIABLES,
    autocovariance,
    fill_gaps,
    physionet_windows,
    ward_masks,
)


def test_a_masked_entry_is_the_median_of_its_neighbours_and_their_spread_is_its_risk() -> None:
    value = np.array([[0.0, 99.0], [0.1, 1.0], [0.2, 4.0], [-0.3, 2.0], [9.0, 50.0]])
    gone = np.zeros_like(value, dtype=bool)
    gone[0, 1] = True
    filled, risk, draws = fill_neighbours(value, gone, neighbours=3)
    assert filled[0].tolist() == [0.0, 2.0]
    assert risk[0].tolist() == [0.0, 1.0]
    assert sorted(draws[:, 0, 1]) == [1.0, 2.0, 4.0]
    assert np.array_equal(filled[1:], value[1:])
    assert not risk[1:].any()


def test_a_neighbour_is_near_in_the_entries_that_both_rows_have() -> None:
    value = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 5.0], [0.0, 9.0, 7.0]])
    gone = np.array([[False, False, True], [False, False, False], [False, True, False]])
    filled, _, _ = fill_neighbours(value, gone, neighbours=1)
    assert filled[0, 2] == 7.0  # at distance 0 in the one column that both have


def test_measured_rows_have_the_noise_that_is_claimed() -> None:
    clean = np.zeros((20_000, 8))
    value, risk = measure(clean, np.random.default_rng(0))
    noisy = risk > 0
    assert noisy.mean() == pytest.approx((1 - CLEAN_ROWS) / 2, abs=0.01)
    assert np.mean(~noisy.any(1)) == pytest.approx(CLEAN_ROWS + (1 - CLEAN_ROWS) / 2**8, abs=0.01)
    assert np.std(value[noisy] / risk[noisy]) == pytest.approx(1.0, abs=0.01)
    assert not value[~noisy].any()
    assert np.mean(risk[noisy] ** 2) == pytest.approx((HIGH**2 - LOW**2) / (2 * np.log(HIGH / LOW)), rel=0.02)


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_split_scaled_and_masked(name: str) -> None:
    rows = paper_set(f"{name}-filled", 0)
    assert rows.clean.mean(0) == pytest.approx(0, abs=1e-9)
    assert rows.clean.std(0) == pytest.approx(1, abs=1e-9)
    assert rows.others.shape == rows.value.shape == rows.draws.shape[1:]
    assert rows.spoilt.mean() == pytest.approx(MASKED, abs=0.01)
    assert np.array_equal(rows.value[~rows.spoilt], rows.clean[~rows.spoilt])
    assert rows.value[rows.spoilt].std() < rows.draws[:, rows.spoilt].std()  # the fill is an estimate: shrunk


def test_gaps_are_filled_as_by_the_gaussian_of_the_variable() -> None:
    rng = np.random.default_rng(0)
    hours = np.arange(12)
    k = np.exp(-np.abs(hours[:, None] - hours) / 4.0)
    window = rng.multivariate_normal(np.zeros(12), k, size=(3000, len(VARIABLES)))
    gone = (rng.random(window.shape) < 0.3) & (np.arange(3000) < 200)[:, None, None]
    gone[0, 0] = hours == 5
    assert autocovariance(window, gone) == pytest.approx(np.broadcast_to(k, (len(VARIABLES), 12, 12)), abs=0.05)
    flat, hole = window.reshape(3000, -1), gone.reshape(3000, -1)
    filled, risk, draws = fill_gaps(flat, hole, 100, rng)
    a = np.exp(-1 / 4.0)  # of an exponential kernel only the two neighbours matter
    assert filled[0, 5] == pytest.approx(a / (1 + a**2) * (window[0, 0, 4] + window[0, 0, 6]), abs=0.1)
    assert risk[0, 5] == pytest.approx(np.sqrt((1 - a**2) / (1 + a**2)), abs=0.05)
    assert draws[:, hole].mean(0) == pytest.approx(filled[hole], abs=0.35)
    assert np.mean(draws[:, hole].var(0) / risk[hole] ** 2) == pytest.approx(1.0, abs=0.1)
    assert np.std(((flat - filled) / np.where(hole, risk, 1.0))[hole]) == pytest.approx(
        1.0, abs=0.05
    )  # x = m + e: the error is that of the estimate


def test_masks_are_those_of_stays_but_for_complete_windows() -> None:
    masks = np.array([[True, False], [False, True]])
    gone = ward_masks(masks, 4000, 0.25, np.random.default_rng(0))
    assert np.mean(~gone.any(1)) == pytest.approx(0.25, abs=0.03)
    assert set(map(tuple, gone.tolist())) == {(False, False), (True, False), (False, True)}


def test_windows_of_physionet(shared_data: Path) -> None:
    clean, masks = physionet_windows(shared_data)
    assert clean.shape == (1120, 240)
    assert masks.shape[1] == 240
    assert np.isfinite(clean).all()
    assert np.min(masks.reshape(len(masks), 5, 48).mean(-1), axis=1).max() < CHARTED
    rows = paper_set("physionet-filled", 0, shared_data)
    hidden = rows.spoilt
    assert 0.3 < hidden.mean() < 0.4
    assert np.var(rows.value[hidden]) < 0.4  # a third of the clean entries' variance or so: x = m + e
    z = (rows.clean[hidden] - rows.value[hidden]) / rows.risk[hidden]
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.1)
