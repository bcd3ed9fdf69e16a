"""The study of last draws on trained models: its scores, against closed forms and the exact posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest

from rstime.datasets.laws import answer
from rstime.datasets.simulate import mixture_truth
from rstime.evaluation.last_draws import compare, energy_excess
from rstime.evaluation.noise_floor import distance, half_difference
from rstime.evaluation.simulations import simulated
from rstime.model import RiskDiffusion
from rstime.types import Posterior, Series


def test_energy_of_one_entry_is_the_crps() -> None:
    rng = np.random.default_rng(0)
    samples, best = 0.5 + rng.standard_normal((50, 3, 1)), rng.standard_normal((60, 3, 1))
    expected = distance(samples, best).sum() / half_difference(best).sum()
    assert energy_excess(samples, best) == pytest.approx(expected, rel=1e-9)


class Oracle:
    """Answers "tweedie" by the exact posterior, and "gaussian" by that with twice the spread."""

    def impute(self, data: Sequence[Series], *, samples: int, seed: int, covariance: str) -> list[Posterior]:
        rng, law = np.random.default_rng(seed), mixture_truth(48)
        found = [answer(law, item, samples, rng).samples for item in data]
        wide = 2.0 if covariance == "gaussian" else 1.0
        return [Posterior(item, x.mean(0) + wide * (x - x.mean(0))) for item, x in zip(data, found, strict=True)]


def test_exact_posterior_has_no_excess_and_too_wide_a_one_has(capsys: pytest.CaptureFixture[str]) -> None:
    task = simulated("mixture", risk=(0.3, 1.0), train=10, scored=12)
    wide, exact = compare(cast("RiskDiffusion", Oracle()), task, [3])
    assert [exact[kind] for kind in ("noisy", "missing", "energy")] == pytest.approx([0, 0, 0], abs=1.0)
    assert [exact["noisy held"], exact["missing held"]] == pytest.approx([88.5, 88.5], abs=2.5)
    assert min(float(wide[kind]) for kind in ("noisy", "missing", "energy")) > 10
    assert "tweedie  noisy" in capsys.readouterr().out
