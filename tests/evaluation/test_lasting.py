"""The study of errors that last: its exact posterior is exact, and a model that is told reaches it."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.evaluation.lasting import LASTING, LAWS, LENGTH, RISK, exact, noise_root, picture, read, score, trial


def test_noise_has_the_covariance_of_its_law() -> None:
    root = noise_root(LASTING["0.9 for 20 steps"])
    found = (root @ root.T) / RISK**2
    assert found[0, 0] == pytest.approx(1)
    assert found[3, 8] == pytest.approx(0.9 * np.exp(-5 / 20))
    np.testing.assert_allclose(noise_root(None), RISK * np.eye(LENGTH))


@pytest.mark.parametrize("name", LAWS)
def test_the_exact_posterior_is_calibrated_and_white_noise_in_its_place_is_not(name: str) -> None:
    rng, truth = np.random.default_rng(0), LAWS[name](LENGTH)
    root = noise_root(LASTING["0.9 for 20 steps"])
    clean, y = read(rng, truth, root, 400)
    heights = []
    for law, low, high in ((root, 0.885, 0.915), (noise_root(None), 0.3, 0.8)):
        found = [exact(truth, law, one) for one in y]
        crps, holds = score((posterior.draw(rng, 99) for posterior, _ in found), clean)
        assert low < holds < high
        heights.append((crps, -np.mean([height for _, height in found])))
    assert (np.array(heights[0]) < 0.95 * np.array(heights[1])).all()


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
    assert frame.nats["how long"] == pytest.approx(frame.nats["exact"], abs=0.03)
    assert frame.nats["how long"] > frame.nats["white"] + 0.02
    assert frame.alarms["how long"] == pytest.approx(0.05, abs=0.02)
