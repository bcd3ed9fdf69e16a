"""Copies are caught, fresh draws are not; a few readings in common are no likeness."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.audit.privacy import PRIOR, distances, privacy
from rstime.audit.windows import Windows, measured
from rstime.types import Floats


def exact(value: Floats) -> Windows:
    return Windows(value, np.zeros(value.shape), np.arange(len(value)))


def noisy(clean: Windows, rng: np.random.Generator) -> Windows:
    risk = rng.uniform(0.1, 0.6, clean.value.shape)
    risk[rng.random(risk.shape) < 0.3] = np.inf
    return measured(clean, Windows(clean.value, risk, clean.item), rng)


def test_copies_are_caught_and_fresh_draws_are_not() -> None:
    rng = np.random.default_rng(0)
    clean, other, fresh = (exact(x) for x in rng.normal(size=(3, 150, 12, 2)))
    train, holdout = noisy(clean, rng), noisy(other, rng)
    copied = privacy(clean, train, holdout)
    assert copied["closest"] > 0.95
    assert copied["membership"] > 0.95
    free = privacy(fresh, train, holdout)
    assert free["closest"] == pytest.approx(0.5, abs=0.12)
    assert free["membership"] == pytest.approx(0.5, abs=0.08)


def test_half_of_the_training_windows_copied_among_fresh_ones() -> None:
    """Members whose copy is given away are surely told, the others not at all: the area is 1/2 1 + 1/2 1/2."""
    rng = np.random.default_rng(1)
    train, holdout, fresh = (exact(x) for x in rng.normal(size=(3, 200, 20, 1)))
    given = Windows(
        *(np.concatenate([a[:100], b[:100]]) for a, b in zip(vars(train).values(), vars(fresh).values(), strict=True))
    )
    scores = privacy(given, train, holdout)
    assert scores["membership"] == pytest.approx(0.75, abs=0.05)
    assert scores["closest"] == pytest.approx(0.75, abs=0.08)


def test_as_many_windows_are_held_against_each_other() -> None:
    rng = np.random.default_rng(2)
    train, holdout, fresh = (exact(rng.normal(size=(count, 12, 1))) for count in (400, 100, 200))
    assert privacy(fresh, train, holdout)["closest"] == pytest.approx(0.5, abs=0.15)


def test_distance_by_hand() -> None:
    """Weights 1 and 1/2 on differences 1 and 2; a missing third entry; a tenth of three entries at 2."""
    one = exact(np.array([[[0.0], [0.0], [0.0]]]))
    two = Windows(np.array([[[1.0], [2.0], [50.0]]]), np.array([[[0.0], [1.0], [np.inf]]]), np.zeros(1, int))
    prior = 3 * PRIOR
    assert distances(one, two)[0, 0] == pytest.approx(np.sqrt((1 + 0.5 * 4 + 2 * prior) / (1.5 + prior)))
    empty = Windows(np.zeros((1, 3, 1)), np.full((1, 3, 1), np.inf), np.zeros(1, int))
    assert distances(one, empty)[0, 0] == pytest.approx(np.sqrt(2))
