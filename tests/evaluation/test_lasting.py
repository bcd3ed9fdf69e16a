"""The study of errors that last: its exact posterior is exact, and a model that is told reaches it."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.evaluation.lasting import (
    LASTING,
    LAWS,
    LENGTH,
    RISK,
    TRIES,
    by_errors,
    exact,
    noise_root,
    picture,
    read,
    score,
    trial,
)
from rstime.types import Floats


def test_noise_has_the_covariance_of_its_law() -> None:
    root = noise_root(LASTING["0.9 for 20 steps"])
    found = (root @ root.T) / RISK**2
    assert found[0, 0] == pytest.approx(1)
    assert found[3, 8] == pytest.approx(0.9 * np.exp(-5 / 20))
    np.testing.assert_allclose(noise_root(None), RISK * np.eye(LENGTH))


def covariance(noise: str) -> Floats:
    root = noise_root(LASTING[noise])
    return np.asarray(root @ root.T)


@pytest.mark.parametrize("name", LAWS)
def test_the_exact_posterior_is_calibrated_and_white_noise_in_its_place_is_not(name: str) -> None:
    rng, truth = np.random.default_rng(0), LAWS[name](LENGTH)
    clean, y = read(rng, truth, noise_root(LASTING["0.9 for 20 steps"]), 400)
    found = []
    for noise, low, high in (("0.9 for 20 steps", 0.885, 0.915), ("white", 0.3, 0.8)):
        drawn, height = zip(*(exact(truth, covariance(noise), one, rng, 99) for one in y), strict=True)
        crps, holds = score(drawn, clean)
        assert low < holds < high
        found.append((crps, -np.mean(height)))
    assert (np.array(found[0]) < 0.95 * np.array(found[1])).all()


def test_errors_drawn_by_the_gaussian_law_cost_where_the_law_is_not_and_their_weights_mend_it() -> None:
    noise, found = "0.4 for ever", {}
    for name in LAWS:
        rng, law = np.random.default_rng(1), LAWS[name](LENGTH)
        clean, y = read(rng, law, noise_root(LASTING[noise]), 80)
        best = score((exact(law, covariance(noise), one, rng, 99)[0] for one in y), clean)[0]
        for tries in (1, TRIES):
            drawn = (by_errors(rng, law, LASTING[noise], one, 99, tries) for one in y)
            found[name, tries] = score(drawn, clean)[0] / best
    assert found.pop(("mixture", 1)) > 1.12
    assert list(found.values()) == pytest.approx([1.0] * 3, abs=0.04)


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
