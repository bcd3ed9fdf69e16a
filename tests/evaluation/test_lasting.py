"""The study of errors that last: its exact posterior is exact, and a model that is told reaches it."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.datasets.laws import kernel_truth
from rstime.evaluation.lasting import LASTING, LENGTH, RISK, exact, noise_root, picture, read, score, trial


def test_noise_has_the_covariance_of_its_law() -> None:
    root = noise_root(LASTING["0.9 for 20 steps"])
    found = (root @ root.T) / RISK**2
    assert found[0, 0] == pytest.approx(1)
    assert found[3, 8] == pytest.approx(0.9 * np.exp(-5 / 20))
    np.testing.assert_allclose(noise_root(None), RISK * np.eye(LENGTH))


def test_the_exact_posterior_is_calibrated_and_white_noise_in_its_place_is_not() -> None:
    rng, truth = np.random.default_rng(0), kernel_truth("matern32", LENGTH)
    root = noise_root(LASTING["0.9 for 20 steps"])
    clean, y = read(rng, truth, root, 400)
    right = score((exact(truth, root, one, rng, 99) for one in y), clean)
    wrong = score((exact(truth, noise_root(None), one, rng, 99) for one in y), clean)
    assert right[1] == pytest.approx(0.9, abs=0.015)
    assert wrong[1] < 0.6
    assert right[0] < 0.8 * wrong[0]


def test_the_picture_shows_what_white_noise_claims_and_what_is_known() -> None:
    white, told = picture().axes
    edges = [axes.collections[0].get_paths()[0].vertices for axes in (white, told)]
    heights = [np.ptp(vertices[vertices[:, 0] == 24, 1]) for vertices in edges]
    assert heights[1] > 1.5 * heights[0] > 0.5
    np.testing.assert_array_equal(white.lines[2].get_ydata(), told.lines[2].get_ydata())


def test_a_model_that_is_told_reaches_the_exact_posterior() -> None:
    frame = trial("0.4 for ever", 0, windows=90, asked=30, steps=80).set_index("told")
    assert frame.ratio["exact"] == 1
    assert frame.ratio["how long"] < 1.08
    assert frame.ratio["white"] > frame.ratio["how long"] + 0.08
    assert frame.holds["how long"] > 0.84 > frame.holds["white"]
