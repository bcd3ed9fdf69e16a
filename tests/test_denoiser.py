"""The preconditioned denoiser: the prior where the network is silent, and the same numbers in every grouping."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rstime import denoiser as module
from rstime.denoiser import Denoiser, combine
from rstime.gaussian import GaussianModel
from rstime.network.embedding import SIGNS, token_features
from rstime.network.transformer import SIZES, Transformer
from rstime.tokens import Tokens

B, N, C, K, S = 3, 14, 2, 1, 4
WINDOW = 12.0


def make_prior(white: bool = False) -> GaussianModel:
    generator = torch.Generator().manual_seed(0)
    model = GaussianModel(C, K, WINDOW)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        if white:
            model.weight.zero_()
            model.whiten()
    return model


def make_denoiser(spread: float | None, white: bool = False) -> Denoiser:
    """None: no network; 0: one that is silent; else one of random weights."""
    if spread is None:
        return Denoiser(make_prior(white), None)
    torch.manual_seed(0)
    network = Transformer(SIZES["tiny"], C, K, WINDOW).requires_grad_(False)
    torch.nn.init.normal_(network.head.weight, std=spread)
    return Denoiser(make_prior(white), network)


def make_tokens(seed: int, count: int = N) -> Tokens:
    generator = torch.Generator().manual_seed(seed)
    cell = torch.stack([torch.randperm(12 * C, generator=generator)[:count].sort().values for _ in range(B)])
    exists = torch.rand(cell.shape, generator=generator) < 0.85
    return Tokens((cell // C).float(), cell % C, torch.randn(B, count, K, generator=generator), exists, cell)


def case(seed: int = 1) -> tuple[Tokens, Tensor, Tensor]:
    """Tokens, inputs and levels: exact, noisy and absent ones."""
    generator, tokens = torch.Generator().manual_seed(seed), make_tokens(seed)
    kinds = torch.tensor([0.0, 0.1, 0.8, 3.0, math.inf])
    return tokens, torch.randn(S, B, N, generator=generator), kinds[torch.randint(5, (B, N), generator=generator)]


@pytest.mark.parametrize("spread", [None, 0.0])
def test_silent_network_leaves_the_prior(spread: float | None) -> None:
    tokens, m, tau = case()
    found, belief = make_denoiser(spread)(tokens, m, tau)
    exact = make_prior().requires_grad_(False).condition(tokens.double(), tau.double()).belief(m.double())
    here = tokens.exists
    torch.testing.assert_close(found[:, here].double(), exact.mean[:, here], rtol=0, atol=1e-4)
    torch.testing.assert_close(belief.variance[here].double(), exact.variance[here], rtol=1e-3, atol=1e-6)


def test_silent_network_over_a_white_prior_is_edms_skip_connection() -> None:
    tokens, m, tau = case()
    found, _ = make_denoiser(0.0, white=True)(tokens, m, tau)
    skip = 1 / (1 + tau.clamp(0.01, 1e6).square())
    here = tokens.exists
    torch.testing.assert_close(found[:, here], (skip * m)[:, here], rtol=0, atol=1e-5)


def test_network_is_scaled_by_the_sd_that_the_prior_leaves() -> None:
    denoiser, (tokens, m, tau) = make_denoiser(0.5), case()
    assert denoiser.network is not None
    found, belief = denoiser(tokens, m, tau)
    features = token_features(belief, m, tau)
    out, _ = denoiser.network.context(features.flatten(0, 1), tokens.repeat(S))
    out = out.reshape(S, B, N, 1 + SIGNS)
    expected = belief.mean.clone()
    for sign in range(SIGNS):
        expected += belief.variance.sqrt() * out[..., 1 + sign] * features[..., features.shape[-1] - SIGNS + sign]
    expected += belief.variance.sqrt() * out[..., 0]
    here = tokens.exists
    torch.testing.assert_close(found[:, here], expected[:, here], rtol=0, atol=2e-3)
    torch.testing.assert_close(combine(belief, features, out)[:, here], expected[:, here], rtol=0, atol=1e-5)
    assert float((found - belief.mean)[:, here].abs().max()) > 0.1


def test_features_are_finite_and_know_the_level_but_no_absent_measurement() -> None:
    denoiser, (tokens, m, _) = make_denoiser(0.0), case()
    tau = torch.tensor([0.0, 1e-6, 1e-2, 1.0, 1e3, 1e18, math.inf]).repeat(2).expand(B, N)
    _, belief = denoiser(tokens, m, tau)
    features = token_features(belief, m, tau)
    here = tokens.exists
    assert bool(torch.isfinite(features[:, here]).all())
    assert float(features[:, here].abs().max()) < 50
    gone = here & torch.isinf(tau)
    other = token_features(belief, torch.where(torch.isinf(tau), m + 9, m), tau)
    torch.testing.assert_close(other[:, gone], features[:, gone], rtol=0, atol=0)


def test_absent_inputs_are_not_read() -> None:
    denoiser, (tokens, m, tau) = make_denoiser(0.5), case()
    found, _ = denoiser(tokens, m, tau)
    other, _ = denoiser(tokens, torch.where(torch.isinf(tau), math.nan, m), tau)
    here = tokens.exists
    torch.testing.assert_close(other[:, here], found[:, here], rtol=0, atol=0)


def test_groups_of_windows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser, (tokens, m, tau) = make_denoiser(0.5), case()
    with torch.no_grad():
        whole, _ = denoiser(tokens, m, tau)
        monkeypatch.setattr(module, "AT_ONCE", 2 * N + 1)
        groups, _ = denoiser(tokens, m, tau)
    here = tokens.exists
    torch.testing.assert_close(groups[:, here], whole[:, here], rtol=0, atol=1e-5)


def test_low_precision_stays_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """bfloat16 in the network, where it pays, against float32: far below the sd that the network is scaled by."""
    denoiser, (tokens, m, tau) = make_denoiser(0.1), case()
    with torch.no_grad():
        monkeypatch.setattr(module, "bf16_pays", lambda device: False)
        exact, belief = denoiser(tokens, m, tau)
        monkeypatch.setattr(module, "bf16_pays", lambda device: True)
        found, _ = denoiser(tokens, m, tau)
    here = tokens.exists
    error = ((found - exact) / belief.variance.sqrt())[:, here]
    assert 0 < float(error.square().mean().sqrt()) < 0.02


@pytest.mark.parametrize("s", [0.3, math.inf])
def test_one_query_is_answered_as_if_it_were_among_the_context(s: float) -> None:
    """Without a network: predict from the context, add the own state; against the window with that entry in it."""
    denoiser, (tokens, m, tau) = make_denoiser(None), case()
    tokens = Tokens(tokens.time, tokens.channel, tokens.covariates, torch.ones_like(tokens.exists), tokens.cell)
    whole = tau.clone()
    whole[:, 5] = s
    expected, belief = denoiser(tokens, m, whole)
    rest = [i for i in range(N) if i != 5]
    context, query = (Tokens(*(getattr(tokens, f)[:, at] for f in Tokens.__dataclass_fields__)) for at in (rest, [5]))
    factor = denoiser.prior.condition(context, tau[:, rest])
    _, memory = denoiser.remember(context, factor.belief(m[..., rest]), m[..., rest], tau[:, rest])
    prediction = factor.predict(query, m[..., rest])
    found, at = denoiser.answer(query, prediction, m[..., 5:6], torch.full((B, 1), s), memory)
    torch.testing.assert_close(found[..., 0], expected[..., 5], rtol=0, atol=1e-4)
    torch.testing.assert_close(at.variance[:, 0], belief.variance[:, 5], rtol=1e-3, atol=1e-6)


def test_one_remembered_context_serves_many_samples_of_queries() -> None:
    denoiser, (tokens, m, tau) = make_denoiser(0.5), case()
    queries, state = make_tokens(9, 6), torch.randn(S, B, 6, generator=torch.Generator().manual_seed(2))
    level = torch.full((B, 6), 0.7)
    factor = denoiser.prior.condition(tokens, tau)
    one = m[:1]
    _, memory = denoiser.remember(tokens, factor.belief(one), one, tau)
    together, _ = denoiser.answer(queries, factor.predict(queries, one), state, level, memory)
    here = queries.exists
    for i in range(S):
        alone, _ = denoiser.answer(queries, factor.predict(queries, one), state[i : i + 1], level, memory)
        torch.testing.assert_close(together[i, here], alone[0, here], rtol=0, atol=1e-5)


def test_prior_is_not_trained() -> None:
    denoiser = make_denoiser(0.5)
    assert not any(p.requires_grad for p in denoiser.prior.parameters())
    assert all(p.dtype == torch.float32 for p in denoiser.parameters())
