"""A residual learned from pairs is the posterior mean of Gaussian data, and its chain ends at the posterior."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rstime.datasets.laws import GaussianTruth, MixtureTruth
from rstime.diffusion.levels import fuse
from rstime.evaluation import learned_residual
from rstime.evaluation.learned_residual import KAPPA, chain, compare, learn_pairs, learn_readings, main, shifts
from rstime.evaluation.short_starts import Conditional

LAW = GaussianTruth(np.zeros(3), np.array([[1.0, 0.8, 0.4], [0.8, 1.0, 0.7], [0.4, 0.7, 1.0]]))
RISK = 0.5


def own(y: torch.Tensor) -> Conditional:
    """Return the denoiser of the Gaussian itself, given readings."""
    return Conditional(MixtureTruth(np.ones(1), (LAW,)), y, torch.full((3,), RISK, dtype=torch.float64))


def test_learned_residual_of_gaussian_data_is_the_posterior_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """From pairs, and without: both learn E[x | y] and E[x | z, y] to a tenth of the posterior sd."""
    monkeypatch.setattr(learned_residual, "WIDTH", 128)
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    clean = torch.from_numpy(LAW.draw(rng, 20_000)).float()
    r = 0.3 * 3 ** torch.rand((len(clean), 1), generator=generator)
    read = clean + r * torch.randn(clean.shape, generator=generator)
    x = torch.from_numpy(LAW.draw(rng, 500))
    y = x + RISK * torch.randn(x.shape, generator=generator, dtype=torch.float64)
    state = x + torch.randn(x.shape, generator=generator, dtype=torch.float64)
    networks = {"pairs": learn_pairs(clean, RISK, 0, 800), "readings": learn_readings(read, r, 0, 200)}
    spread = math.sqrt(LAW.posterior(np.zeros(3), np.full(3, RISK)).covariance.trace() / 3)
    for name, network in networks.items():
        for s in (math.inf, 1.0):
            m, tau = fuse(state, s, y, torch.full((3,), RISK, dtype=torch.float64))
            found = network(m.float(), tau[:1, None].expand(500, 1).float())[0]
            error = (found - own(y)(state, s)).square().mean().sqrt() / spread
            assert error < 0.1, (name, s, float(error))
    plain = (y - own(y)(state, math.inf)).square().mean().sqrt() / spread
    assert plain > 0.5  # what is to be learned


def test_estimate_from_a_state_of_the_chain_and_the_reading_is_the_fused_denoiser() -> None:
    """E[x | z, y] by conditioning the joint Gaussian of (x, z, y), z = x + eta (y - x) + kappa sqrt(eta) e."""
    eta, one = shifts(4)[2], np.eye(3)
    noisy = LAW.covariance + RISK**2 * one
    across = LAW.covariance + eta * RISK**2 * one  # Cov(z, y)
    state = LAW.covariance + (eta**2 * RISK**2 + KAPPA**2 * eta) * one
    joint = np.block([[state, across], [across, noisy]])
    z, y = np.random.default_rng(1).standard_normal((2, 3))
    want = np.hstack([LAW.covariance, LAW.covariance]) @ np.linalg.solve(joint, np.concatenate([z, y]))
    measured = torch.from_numpy((z - eta * y) / (1 - eta))[None]
    found = own(torch.from_numpy(y)[None])(measured, KAPPA * math.sqrt(eta) / (1 - eta))
    np.testing.assert_allclose(found.numpy()[0], want, atol=1e-12)


def test_chain_of_many_steps_draws_from_the_posterior() -> None:
    y = torch.tensor([[0.5, -1.0, 2.0]], dtype=torch.float64).repeat(20_000, 1)
    noise = torch.randn((100, *y.shape), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    drawn = chain(own(y), y, noise, 100).numpy()
    want = LAW.posterior(y[0].numpy(), np.full(3, RISK))
    np.testing.assert_allclose(drawn.mean(0), want.mean, atol=0.01)
    off = np.linalg.norm(np.cov(drawn.T) - want.covariance) / np.linalg.norm(want.covariance)
    assert off < 0.06
    alone = chain(own(y), y, noise, 1).numpy()
    np.testing.assert_allclose(alone, np.broadcast_to(want.mean, alone.shape), atol=1e-12)


def test_spacing_is_the_published_one() -> None:
    """Of 15 steps, kappa = .5: sqrt(eta) from .0316 to 1, the second by the power .3 of 1 / 14 on the log scale."""
    roots = np.sqrt(shifts(15))
    assert roots[0] == 1
    assert roots[-1] == pytest.approx(math.sqrt(0.001))
    assert math.log(roots[-2] / roots[-1]) == pytest.approx(math.log(1 / roots[-1]) * (1 / 14) ** 0.3)
    assert shifts(1) == (1.0,)


def test_table_has_every_way_and_one_call_is_a_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"LENGTH": 4, "WINDOWS": 50, "TEST": 3, "SAMPLES": 40, "CALLS": (1, 8)}.items():
        monkeypatch.setattr(learned_residual, name, value)
    table = compare(RISK, 0, 2)
    assert table["variance, 1"].max() < 1e-20
    assert table["CRPS, 8"].iloc[[1, 4]].tolist() == pytest.approx([1, 1], abs=0.2)  # the law's own
    assert table["CRPS, 1"][1] == pytest.approx(table["CRPS, 1"][4])
    monkeypatch.setattr(learned_residual, "compare", lambda *asked: pd.DataFrame({"asked": [str(asked)]}))
    main(["--seeds", "1", "4", "--steps", "2", "--out", str(tmp_path / "f.csv")])
    assert pd.read_csv(tmp_path / "f.csv")["asked"].tolist() == ["(0.5, 1, 2)", "(0.5, 4, 2)"]
    assert "(0.5, 4, 2)" in capsys.readouterr().out
