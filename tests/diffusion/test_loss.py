"""The loss against Gaussian closed forms: what its target estimates, how precisely, and what a regression learns."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from oracles.gaussian import GaussianOracle, exponential_covariance
from rstime.diffusion.loss import perturb, risk_sensitive_loss, target, teaches, weight
from rstime.diffusion.samplers import default_levels, multistep

INF = math.inf
N = 12
RISK = torch.tensor([0.0, 0.3, 0.7, 1.5, 0.3, 0.7, INF, 0.5, 0.0, 1.0, 0.4, 0.2], dtype=torch.float64)
LEVEL = torch.tensor([0.4, 0.8, 0.7, 2.0, INF, 0.70001, INF, 0.5, 0.0, INF, 0.41, 3.0], dtype=torch.float64)
ORACLE = GaussianOracle(torch.zeros(N, dtype=torch.float64), exponential_covariance(N, 4.0))


def joint() -> tuple[Tensor, Tensor, Tensor]:
    """x, m and target as linear functions of independent standard normals: one row a normal, (3 N, N) each."""
    basis = torch.eye(3 * N, dtype=torch.float64)
    x = basis[:, :N] @ torch.linalg.cholesky(ORACLE.K).T
    y = x + RISK.nan_to_num(posinf=0.0) * basis[:, N : 2 * N]
    e = basis[:, 2 * N :]
    return x, perturb(y, RISK, LEVEL, e), target(y, RISK, LEVEL, e)[0]


def test_entries_reach_their_levels() -> None:
    x, m, _ = joint()
    seen = torch.isfinite(LEVEL)
    covariance = ORACLE.K + torch.diag(LEVEL.nan_to_num(posinf=0.0) ** 2)
    torch.testing.assert_close((m.T @ m)[seen][:, seen], covariance[seen][:, seen])
    torch.testing.assert_close((m.T @ x)[seen], ORACLE.K[seen])
    assert float(m[:, ~seen].abs().max()) == 0


def test_target_has_the_mean_of_the_clean_value_given_all_inputs() -> None:
    """Cov(target, m) = Cov(x, m), other entries noisy, exact, held at their own risk or absent."""
    x, m, taught = joint()
    use = teaches(RISK, LEVEL)
    assert use.tolist() == [True, True, False, True, True, True, False, False, False, True, True, True]
    torch.testing.assert_close((taught.T @ m)[use], (x.T @ m)[use], rtol=0, atol=1e-9)
    y = x + RISK.nan_to_num(posinf=0.0) * torch.eye(3 * N, dtype=torch.float64)[:, N : 2 * N]
    assert float(((y.T @ m) - (x.T @ m))[use].abs().max()) > 0.05  # y itself as target would be wrong


def test_variance_of_the_target_is_that_of_the_clean_value_plus_its_own() -> None:
    _, m, taught = joint()
    use, seen = teaches(RISK, LEVEL), torch.isfinite(LEVEL)
    m, taught = m[:, seen], taught[:, use]
    residual = taught - m @ torch.linalg.lstsq(m.T @ m, m.T @ taught).solution
    posterior = ORACLE.gain(LEVEL)[1].diagonal()[use]
    _, own = target(*(torch.zeros(N, dtype=torch.float64), RISK, LEVEL, torch.zeros(N, dtype=torch.float64)))
    torch.testing.assert_close(residual.square().sum(0), posterior + own[use], rtol=1e-6, atol=0)
    torch.testing.assert_close(weight(RISK, LEVEL, torch.zeros(N) + 1.0)[use], 1 / (1 + own[use]))
    assert torch.isinf(own[~use]).all()


entries = st.tuples(
    st.floats(-5, 5),  # y
    st.sampled_from([0.0, 1e-4, 0.1, 0.5, 3.0, INF]),  # r
    st.sampled_from([0.0, 1e-7, 1e-3, 1.0, 50.0, INF]),  # v, the noise added
    st.floats(-4, 4),  # e
    st.sampled_from([0.0, 1e-8, 1e-3, 1.0]),  # V
)


@given(st.lists(entries, min_size=1, max_size=20), st.sampled_from([torch.float32, torch.float64]))
def test_everything_is_finite_at_every_edge(rows: list[tuple[float, ...]], dtype: torch.dtype) -> None:
    y, r, v, e, variance = (torch.tensor(column, dtype=dtype) for column in zip(*rows, strict=True))
    tau = torch.hypot(r, v)
    y = y.masked_fill(torch.isinf(r), torch.nan)  # a missing value must not reach anything
    denoised = torch.zeros_like(y, requires_grad=True)
    loss = risk_sensitive_loss(denoised, y, r, tau, e, variance)
    (gradient,) = torch.autograd.grad(loss.sum(), denoised)
    use = teaches(r, tau)
    for result in (loss, gradient, weight(r, tau, variance), perturb(y, r, tau, e), target(y, r, tau, e)[0]):
        assert torch.isfinite(result).all()
    for result in (loss, gradient, weight(r, tau, variance)):
        assert (result[~use] == 0).all()
    assert not use[torch.isinf(r)].any()


@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(1.05, 10), st.floats(-3, 3), st.floats(0.01, 2))
def test_loss_is_the_weighted_square(y: float, r: float, ratio: float, e: float, variance: float) -> None:
    y_, r_, tau, e_, v_ = (torch.tensor([q], dtype=torch.float64) for q in (y, r, ratio * r, e, variance))
    denoised = torch.tensor([0.3], dtype=torch.float64)
    want = weight(r_, tau, v_) * (denoised - target(y_, r_, tau, e_)[0]) ** 2
    torch.testing.assert_close(risk_sensitive_loss(denoised, y_, r_, tau, e_, v_), want)


def test_weight_vanishes_towards_the_edge_and_float32_agrees_there() -> None:
    r = torch.full((4,), 0.5)
    tau = torch.tensor([0.5, 0.5000001, 0.5001, 0.6])
    values = weight(r, tau, torch.ones(4))
    assert float(values[0]) == 0
    assert (values.diff() > 0).all()
    arguments = (torch.full((4,), 0.2), torch.full((4,), 0.7), r, tau, -r, r)
    exact = risk_sensitive_loss(*(argument.double() for argument in arguments))
    got = risk_sensitive_loss(*arguments)
    torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=1e-6)


def test_loss_of_clean_white_data_is_that_of_edm() -> None:
    """At r = 0 with V = P tau^2 / (P + tau^2): EDM's weight (tau^2 + P) / (tau^2 P), Karras et al. 2022, table 1."""
    tau = torch.tensor([0.01, 0.5, 5.0], dtype=torch.float64)
    power, clean, denoised = 0.25, torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    variance = power * tau**2 / (power + tau**2)
    loss = risk_sensitive_loss(denoised, clean, torch.zeros_like(tau), tau, torch.ones_like(tau), variance)
    torch.testing.assert_close(loss, (tau**2 + power) / (tau**2 * power))


def learned_gain(y: Tensor, r: Tensor, s: float, power: float, generator: torch.Generator) -> float:
    """Best k of the denoiser D = k m at level s under the loss (a parabola in k), the level raised to r where below."""
    tau = torch.full_like(y, s).maximum(r)
    e = torch.randn(y.shape, generator=generator, dtype=y.dtype)
    m = perturb(y, r, tau, e)
    variance = power * tau**2 / (power + tau**2)
    k = torch.zeros((), dtype=y.dtype, requires_grad=True)
    (slope,) = torch.autograd.grad(risk_sensitive_loss(k * m, y, r, tau, e, variance).sum(), k, create_graph=True)
    (curvature,) = torch.autograd.grad(slope, k)
    return -float(slope.detach()) / float(curvature)


@pytest.mark.parametrize("used", [True, False])
def test_regression_on_noisy_data_generates_clean_variance_only_if_risk_is_used(used: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    power, count = 1.0, 200_000
    r = torch.rand(count, generator=generator, dtype=torch.float64)  # mean square 1/3
    normal = torch.randn(2, count, generator=generator, dtype=torch.float64)
    y = math.sqrt(power) * normal[0] + r * normal[1]
    told = r if used else torch.zeros_like(r)
    levels = default_levels(32, smallest=0.1)
    gains = {s: learned_gain(y, told, s, power, generator) for s in levels[1:]}
    x = multistep(lambda x, s: gains.get(s, 0.0) * x, torch.ones(1, dtype=torch.float64), levels)
    s = levels[-1]
    generated = float((gains[s] * x) ** 2) + gains[s] * s**2  # exit draw: Cov[x | m] = dD/dm s^2
    assert generated == pytest.approx(power if used else power + 1 / 3, rel=0.02)


def test_regression_is_unbiased_at_every_level() -> None:
    """Each learned gain is within three standard errors of P / (P + s^2); with y as target it would be far off."""
    generator = torch.Generator().manual_seed(7)
    r = torch.full((200_000,), 0.5, dtype=torch.float64)
    normal = torch.randn(2, len(r), generator=generator, dtype=torch.float64)
    for s in (0.52, 0.7, 1.0, 3.0):
        gain = learned_gain(normal[0] + 0.5 * normal[1], r, s, 1.0, generator)
        q, v = 1 - 0.25 / s**2, s**2 / (1 + s**2)
        spread = math.sqrt((v + 0.25 / q) / (1 + s**2) / len(r))
        assert abs(gain - 1 / (1 + s**2)) < 3 * spread
        assert spread < 0.02
