"""Smoothing along time equals the dense posterior of separate channels, and a Kalman smoother written by others."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother
from torch import Tensor

from rstime import gaussian
from rstime.belief import Belief
from rstime.gaussian import GaussianModel
from rstime.statespace import Chain, Smoother
from rstime.tokens import Tokens

B, N, C, K, S = 3, 40, 4, 2, 5
FINE = 1 / 256  # steps between stamps


def make_model(seed: int = 0, channels: int = C) -> GaussianModel:
    generator = torch.Generator().manual_seed(seed)
    model = GaussianModel(channels, K, 48.0, joint=False)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


@pytest.fixture(autouse=True)
def finely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the dense model tabulate its correlations at the stamps' own distances, where the table is exact."""
    monkeypatch.setattr(gaussian, "LAG_STEP", FINE)


def make_tokens(count: int, generator: torch.Generator) -> Tokens:
    """Irregular stamps, some of them shared by variables, a tenth of the tokens padding."""
    stamps = (48 * torch.rand(B, count, generator=generator, dtype=torch.float64) / FINE).round() * FINE
    whole = torch.rand(B, count, generator=generator) < 0.4
    stamps = torch.where(whole, stamps.round(), stamps).sort(dim=1).values
    channel = torch.randint(C, (B, count), generator=generator)
    covariates = torch.randn(B, count, K, generator=generator, dtype=torch.float64)
    exists = torch.rand(B, count, generator=generator) < 0.9
    return Tokens(stamps, channel, covariates, exists, torch.arange(count).expand(B, -1))


LEVELS = {
    "usual": lambda u: 2 * u,
    "small": lambda u: 0.02 * u,
    "none": lambda u: torch.full_like(u, math.inf),
    "all": lambda u: torch.where(u < 0.2, 0.0, torch.where(u > 0.7, math.inf, 10 ** (10 * u - 4))),
}


@pytest.fixture(params=LEVELS)
def case(request: pytest.FixtureRequest) -> tuple[GaussianModel, Tokens, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    tokens = make_tokens(N, generator)
    tau = LEVELS[request.param](torch.rand(B, N, generator=generator, dtype=torch.float64))
    return make_model(), tokens, tau, torch.randn(S, B, N, generator=generator, dtype=torch.float64)


def assert_same(one: Belief, other: Belief, tokens: Tokens) -> None:
    for name in ("mean", "variance", "surprise", "parts"):
        a, b = getattr(one, name)[..., tokens.exists], getattr(other, name)[..., tokens.exists]
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


def test_belief_equals_the_dense_one(case: tuple[GaussianModel, Tokens, Tensor, Tensor]) -> None:
    model, tokens, tau, m = case
    smoother = model.condition(tokens, tau)
    assert isinstance(smoother, Smoother)
    with torch.no_grad():
        assert_same(smoother.belief(m), model.factorise(tokens, tau).belief(m), tokens)


def test_prediction_equals_the_dense_one(case: tuple[GaussianModel, Tokens, Tensor, Tensor]) -> None:
    model, tokens, tau, m = case
    queries = make_tokens(25, torch.Generator().manual_seed(2))
    with torch.no_grad():
        found, expected = (x.predict(queries, m) for x in (model.condition(tokens, tau), model.factorise(tokens, tau)))
    assert_same(found, expected, queries)


def test_covariance_of_draws_is_the_posterior_covariance(case: tuple[GaussianModel, Tokens, Tensor, Tensor]) -> None:
    model, tokens, tau, _ = case
    units = torch.eye(N, dtype=torch.float64)[:, None].expand(N, B, N)
    with torch.no_grad():
        root = model.condition(tokens, tau).noise(units)
        expected = model.factorise(tokens, tau).covariance()
    real = tokens.exists[:, :, None] & tokens.exists[:, None]
    found = torch.einsum("kbi,kbj->bij", root, root)
    torch.testing.assert_close(found[real], expected[real], rtol=1e-9, atol=1e-9)


def test_a_draw_does_not_depend_on_the_other_windows() -> None:
    generator = torch.Generator().manual_seed(1)
    tokens, model = make_tokens(N, generator), make_model()
    tau = torch.rand(B, N, generator=generator, dtype=torch.float64)
    normal = torch.randn(S, B, N, generator=generator, dtype=torch.float64)
    alone = Tokens(*(getattr(tokens, name)[1:2] for name in Tokens.__dataclass_fields__))
    with torch.no_grad():
        together = model.condition(tokens, tau).noise(normal)[:, 1:2]
        found = model.condition(alone, tau[1:2]).noise(normal[:, 1:2])
    torch.testing.assert_close(found[..., alone.exists], together[..., alone.exists], rtol=1e-12, atol=1e-12)


def test_float32_loses_nothing_at_small_levels(case: tuple[GaussianModel, Tokens, Tensor, Tensor]) -> None:
    model, tokens, tau, m = case
    with torch.no_grad():
        exact = model.condition(tokens, tau).belief(m)
        found = model.float().condition(tokens, tau.float()).belief(m.float())
    here = tokens.exists
    assert found.mean.dtype == torch.float32
    torch.testing.assert_close(found.variance[here].double(), exact.variance[here], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.mean[:, here].double(), exact.mean[:, here], rtol=1e-4, atol=1e-4)


def test_each_correlation_is_that_of_its_states() -> None:
    """With h picking one component, k decays as the correlation does: A(gap)'s first entry."""
    model = make_model()
    gap = torch.tensor([0.0, 0.3, 1.0, 5.0, 60.0], dtype=torch.float64)
    with torch.no_grad():
        move = model.chain().over(gap)
        count = len(model.log_scale)
        torch.testing.assert_close(move.same[:count], model.correlations(gap), rtol=1e-12, atol=1e-12)
        eye = torch.eye(len(move.same), dtype=torch.float64)[..., None]
        twice = model.chain().over(2 * gap).forward(eye.expand(-1, -1, 5))
        torch.testing.assert_close(move.forward(move.forward(eye.expand(-1, -1, 5))), twice, rtol=1e-10, atol=1e-10)
        across = move.back(eye.expand(-1, -1, 5)).transpose(0, 1)
        torch.testing.assert_close(across, move.forward(eye.expand(-1, -1, 5)), rtol=0, atol=0)


def local_level(white: float) -> Chain:
    """Return a slow exponential, over short spans a random walk with steps of variance 1, and white noise."""
    empty = torch.zeros(0, dtype=torch.float64)
    scale, amplitude = torch.tensor([1e4], dtype=torch.float64), torch.tensor([[0.5e4]], dtype=torch.float64).sqrt()
    return Chain(scale, empty, empty, empty, amplitude, torch.tensor([white], dtype=torch.float64), torch.tensor([0]))


@pytest.mark.parametrize("white", [0.3, 0.0])
def test_agrees_with_statsmodels(white: float) -> None:
    """A local level (nearly) with gaps, missing entries and a noise variance of its own at every stamp."""
    rng = np.random.default_rng(0)
    n = 60
    gaps = rng.exponential(size=n) + 0.1
    stamps, risk = np.cumsum(gaps), rng.uniform(0.05, 2.0, n)
    risk[rng.random(n) < 0.3] = np.inf
    value = np.cumsum(rng.normal(size=n) * np.sqrt(gaps)) + rng.normal(size=n)

    states = 2 if white else 1  # level, and white noise as a state, since it is part of x
    decay = np.exp(-np.append(gaps[1:], 1.0) / 1e4)
    oracle = KalmanSmoother(k_endog=1, k_states=states, k_posdef=states)
    oracle.bind(np.where(np.isfinite(risk), value, np.nan)[None])
    oracle["design"] = np.ones((1, states))
    oracle["selection"] = np.eye(states)
    oracle["obs_cov"] = np.where(np.isfinite(risk), risk, 1.0)[None, None] ** 2
    transition, noise = np.zeros((states, states, n)), np.zeros((states, states, n))
    transition[0, 0], noise[0, 0] = decay, 0.5e4 * (1 - decay**2)
    start = np.diag([0.5e4, white][:states])
    if white:
        noise[1, 1] = white
    oracle["transition"], oracle["state_cov"] = transition, noise
    oracle.initialize_known(np.zeros(states), start)
    smooth = oracle.smooth()
    mean = smooth.smoothed_state.sum(0)
    variance = smooth.smoothed_state_cov.sum((0, 1))

    exists = torch.ones(1, n, dtype=torch.bool)
    zero = torch.zeros(1, n, dtype=torch.long)
    tokens = Tokens(torch.tensor(stamps)[None], zero, torch.zeros(1, n, 0, dtype=torch.float64), exists, zero)
    smoother = Smoother(local_level(white), lambda t: torch.zeros_like(t.time), tokens, torch.tensor(risk)[None])
    belief = smoother.belief(torch.tensor(value)[None, None])
    np.testing.assert_allclose(belief.mean[0, 0], mean, rtol=0, atol=1e-7)
    np.testing.assert_allclose(belief.variance[0], variance, rtol=0, atol=1e-7)


def full_grid(stamps: int, channels: int) -> Tokens:
    n = stamps * channels
    cell = torch.arange(n)[None]
    covariates = torch.zeros(1, n, K, dtype=torch.float64)
    return Tokens((cell // channels).double(), cell % channels, covariates, cell >= 0, cell)


def test_cost_is_linear_in_time() -> None:
    """Eight times the stamps take about eight times as long; a dense posterior would take 64 to 512 times."""
    model = make_model(channels=20).requires_grad_(False)

    def seconds(stamps: int) -> float:
        tokens = full_grid(stamps, 20)
        shape = tokens.time.shape
        began = time.process_time()
        smoother = model.condition(tokens, torch.ones(shape, dtype=torch.float64))
        smoother.belief(torch.zeros(1, *shape, dtype=torch.float64))
        smoother.noise(torch.zeros(4, *shape, dtype=torch.float64))
        return time.process_time() - began

    seconds(50)
    assert min(seconds(800) for _ in range(2)) < 16 * min(seconds(100) for _ in range(3))


def test_370_channels_of_48_steps() -> None:
    model = make_model(channels=370).requires_grad_(False)
    tokens = full_grid(48, 370)
    tau = torch.ones(tokens.time.shape, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    m = torch.randn(1, *tau.shape, generator=generator, dtype=torch.float64)
    smoother = model.condition(tokens, tau)
    belief = smoother.belief(m)
    draws = smoother.noise(torch.randn(30, *tau.shape, generator=generator, dtype=torch.float64))
    few = tokens.channel[0] < 3
    part = Tokens(*(getattr(tokens, name)[:, few] for name in Tokens.__dataclass_fields__))
    dense = model.factorise(part, tau[:, few]).belief(m[..., few])
    torch.testing.assert_close(belief.mean[..., few], dense.mean, rtol=0, atol=1e-9)
    torch.testing.assert_close(belief.variance[..., few], dense.variance, rtol=0, atol=1e-9)
    ratio = draws.square().mean() / belief.variance.mean()
    assert abs(float(ratio) - 1) < 0.02
