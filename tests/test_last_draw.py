"""The last draw by the denoiser's own variances: Gaussian laws, a law of two peaks, absent and exact entries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from rstime.denoiser import Denoiser
from rstime.evaluation.noise_floor import LAWS, distance, exact, half_difference
from rstime.gaussian import Belief, GaussianModel, update
from rstime.last_draw import leave
from rstime.network.embedding import SIGNS
from rstime.network.transformer import SIZES, Memory, Transformer
from rstime.posterior import SamplerConfig, draw_isolated, draw_joint
from rstime.tokens import Tokens, pack
from rstime.types import Batch, Floats

C = 2
Draw = Callable[..., Tensor]
SUPPORTS = [(0.3, 0.3), (0.5, 0.05), (0.02, 0.9), (0.9, 0.9)]
TWO = LAWS["levels"]


def make_denoiser(trained: float = 0.0, network: bool = True, joint: bool = True) -> Denoiser:
    torch.manual_seed(0)
    prior = GaussianModel(C, 0, 12.0, joint=joint).requires_grad_(False)
    transformer = Transformer(SIZES["tiny"], C, 0, 12.0).requires_grad_(False)
    torch.nn.init.normal_(transformer.head.weight, std=trained)
    return Denoiser(prior, transformer if network else None).eval()


def make_batch(windows: int = 2, length: int = 12, seed: int = 1) -> Batch:
    """Risks 0, .3, .7, 1.5 and inf mixed."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.tensor([0.0, 0.3, 0.7, 1.5, math.inf])
    risk = kinds[torch.randint(5, (windows, length, C), generator=generator)]
    value = torch.randn(risk.shape, generator=generator).masked_fill(torch.isinf(risk), 0.0)
    key = torch.randint(2**60, (windows, length), generator=generator)
    time = torch.arange(length).float().expand(windows, -1)
    return Batch(value, risk, time, torch.zeros(windows, length, 0), torch.ones_like(risk, dtype=torch.bool), key)


@pytest.mark.parametrize("draw", [draw_joint, draw_isolated])
@pytest.mark.parametrize("support", SUPPORTS)
@pytest.mark.parametrize("network", [True, False])
def test_gaussian_laws_are_drawn_as_by_the_gaussian_covariance(
    draw: Draw, support: tuple[float, float], network: bool
) -> None:
    """A network that says nothing, or none: absent, held, exact and moving entries get the same numbers."""
    denoiser, batch = make_denoiser(network=network), make_batch()
    found, usual = (
        draw(
            denoiser, batch, torch.tensor(support), SamplerConfig(samples=4, covariance=name, joint=draw is draw_joint)
        )
        for name in ("tweedie", "gaussian")
    )
    assert torch.equal(found, usual)


@pytest.mark.parametrize("joint", [True, False])
def test_widths_are_those_of_the_jacobian_of_the_denoiser(monkeypatch: pytest.MonkeyPatch, joint: bool) -> None:
    """By a probe for each entry, beside automatic differentiation; 1 where the level is 0 or infinite."""
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser, batch = make_denoiser(trained=0.1, joint=joint), make_batch(1)
    tokens = pack(batch, torch.ones_like(batch.asked))
    tau, m = tokens.take(batch.risk), tokens.take(batch.value)[None] + 0.1
    n = m.shape[-1]
    end = leave(denoiser, lambda source, m: source(tokens, m, tau), m, tau, lambda: torch.ones_like(m), n)

    def correction(m: Tensor) -> Tensor:
        belief = denoiser.prior.condition(tokens, tau).belief(m[None, None])
        features = denoiser.features(belief, m[None, None], tau)
        gates = denoiser.gates(features, tokens)
        moved = gates[..., 0] + (gates[..., 1:] * features[..., -gates.shape[-1] + 1 :]).sum(-1)
        return (belief.variance.sqrt() * moved)[0, 0]

    slopes = torch.autograd.functional.jacobian(correction, m[0, 0]).diagonal()
    inside = torch.isfinite(tau[0]) & (tau[0] > 0)
    level = tau[0].masked_fill(~inside, 0.0)
    expected = (1 + level.square() * slopes / end.belief.variance[0]).clamp_min(0).sqrt()
    torch.testing.assert_close(end.width[0, 0], expected, rtol=0.02, atol=0.02)
    assert bool((end.width[0, 0][~inside] == 1).all())
    assert float((expected[inside] - 1).abs().max()) > 0.05


class TwoPeaks(Denoiser):
    """The exact denoiser of windows of one stamp that lie at one of two narrow levels, in place of a network."""

    def features(self, belief: Belief, m: Tensor, tau: Tensor) -> Tensor:
        self.correction = (exact(TWO, m, tau) - belief.mean) / belief.variance.sqrt()
        return super().features(belief, m, tau)

    def gates(self, features: Tensor, tokens: Tokens) -> Tensor:
        return torch.cat([self.correction[..., None], features.new_zeros(*features.shape[:-1], SIGNS)], -1)

    def answer(
        self, queries: Tokens, prediction: Belief, m: Tensor, s: Tensor, memory: Memory
    ) -> tuple[Tensor, Belief]:
        belief = update(prediction, m, s)
        return (belief.mean if bool(torch.isinf(s).all()) else exact(TWO, m, s)), belief


def two_peaks(windows: int, risk: float) -> tuple[TwoPeaks, Batch, Floats]:
    """A Gaussian model of the law's moments, windows read with one risk, and draws of their exact posterior."""
    prior = GaussianModel(1, 0, 1.0).requires_grad_(False)
    prior.whiten()
    rng = np.random.default_rng(2)
    y = TWO.draw(rng, windows) + risk * rng.standard_normal((windows, 1))
    best = np.stack([TWO.posterior(one, np.array([risk])).draw(rng, 400) for one in y], 1)
    value = torch.from_numpy(y).float()[..., None]
    everywhere = torch.ones(value.shape, dtype=torch.bool)
    key = torch.arange(windows)[:, None]
    time, covariates = torch.zeros(windows, 1), torch.zeros(windows, 1, 0)
    network = Transformer(SIZES["tiny"], 1, 0, 1.0).requires_grad_(False)
    batch = Batch(value, torch.full_like(value, risk), time, covariates, everywhere, key)
    return TwoPeaks(prior, network).eval(), batch, best


def excess(draw: Draw, denoiser: Denoiser, batch: Batch, best: Floats, covariance: str, samples: int = 100) -> float:
    """CRPS above that of the exact posterior, in its units, of paths that end at .71 sd."""
    config = SamplerConfig(samples, covariance=covariance, joint=draw is draw_joint)
    drawn = draw(denoiser, batch, torch.tensor([0.5]), config)[..., 0].double().numpy()
    return float(distance(drawn, best).mean() / half_difference(best).mean())


def test_last_draw_of_a_law_of_two_peaks_loses_little_where_the_gaussian_covariance_loses_much() -> None:
    """All readings of risk .5, read by the exact denoiser."""
    case = two_peaks(200, 0.5)
    gaussian = excess(draw_joint, *case, "gaussian")
    assert gaussian == pytest.approx(0.23, abs=0.04)
    assert gaussian > 4 * excess(draw_joint, *case, "tweedie")


def test_marginals_of_missing_entries_gain_too() -> None:
    """What is left is that x given m has two peaks, and the draw one."""
    denoiser, batch, _ = two_peaks(40, 0.5)
    batch = replace(batch, risk=torch.full_like(batch.risk, math.inf), value=torch.zeros_like(batch.value))
    best = TWO.draw(np.random.default_rng(0), 16000).reshape(400, 40, 1)
    gaussian = excess(draw_isolated, denoiser, batch, best, "gaussian", 400)
    assert gaussian > 0.03
    assert gaussian > 2.5 * excess(draw_isolated, denoiser, batch, best, "tweedie", 400) > 0


def test_batching_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser, batch = make_denoiser(trained=0.1), make_batch(3)
    config, support = SamplerConfig(samples=4, covariance="tweedie"), torch.full((C,), 0.2)
    whole = draw_joint(denoiser, batch, support, config)
    one = Batch(*(getattr(batch, name)[1:2] for name in batch.__dataclass_fields__))
    torch.testing.assert_close(draw_joint(denoiser, one, support, config)[:, 0], whole[:, 1], rtol=0, atol=1e-3)
