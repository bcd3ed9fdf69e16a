"""Steps against accuracy: many steps reach the exact posterior from every start, one call gives its mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rstime.datasets.simulate import mixture_truth
from rstime.evaluation import short_starts
from rstime.evaluation.short_starts import FAR, KINDS, Conditional, answer, compare


def test_every_way_makes_the_calls_it_is_given_and_ends_near_the_posterior() -> None:
    law, rng = mixture_truth(), np.random.default_rng(0)
    clean = law.draw(rng, 1)[0]
    y, told = clean + 0.5 * rng.standard_normal(48), np.full(48, 0.5)
    want = law.posterior(y, told).moments()
    sd = np.sqrt(want.covariance.diagonal())
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(64, 200, 48, generator=generator, dtype=torch.float64)
    for kind in KINDS:
        denoise = Conditional(law, torch.from_numpy(y), torch.from_numpy(told))
        found = answer(kind, denoise, noise, 40).numpy()
        assert denoise.calls == 40
        assert np.abs((found.mean(0) - want.mean) / sd).max() < 0.35
        assert found.var(0).mean() / (sd**2).mean() == pytest.approx(1, abs=0.1)


def test_one_call_is_the_posterior_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(short_starts, "EVALUATIONS", (1, 4))
    table = compare(0.5, 2, 50)
    assert table["start"].tolist() == list(KINDS.values())
    assert f"{FAR:g}" in table["start"][1]
    assert table["variance, 1"].max() < 1e-20
    assert np.ptp(table["CRPS, 1"]) < 1e-9
    assert table["CRPS, 1"][0] > 1.2  # the mean alone has the absolute error as its CRPS
    assert (table["variance, 4"] > 0.2).all()
