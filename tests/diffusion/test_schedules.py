"""Schedules other than the model's own, and solvers of others, against the same posterior."""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch
import torchdiffeq
import torchsde
from torch import Tensor

from oracles.conditioned import Case, N, case, error
from rstime.diffusion.levels import fuse
from rstime.diffusion.samplers import adaptive, ancestral, default_levels, euler_maruyama, multistep
from rstime.diffusion.sde import SDE, SDES, LinearPath

EYE = torch.eye(N, dtype=torch.float64)
NOTHING = torch.zeros(N, dtype=torch.float64)


def finite_levels(evaluations: int, largest: float = 20.0) -> list[float]:
    return [s for s in default_levels(evaluations) if s < largest]


def exit_covariance(problem: Case, covariance: Tensor, s: float) -> Tensor:
    """Covariance of the draw from N(D(x), Cov[x | x(s)]) for a state of this covariance."""
    gain = problem.denoise(EYE, s) - problem.denoise(NOTHING, s)
    return gain.T @ covariance @ gain + problem.oracle.gain(problem.fused(NOTHING, s)[1])[1]


def simulate(problem: Case, sde: SDE, evaluations: int) -> tuple[Tensor, Tensor]:
    """Mean and covariance after plain steps of dx = (f x - g^2 score) dt + g dw, backward in the SDE's own time.

    Its state is u x + v e; the fused denoiser is asked at x(t) / u, level v / u.
    """
    levels = finite_levels(evaluations)
    times = sde.time(torch.tensor(levels, dtype=torch.float64))
    mean, covariance = problem.oracle.posterior(problem.y, problem.r)
    mean, covariance = sde.u(times[0]) * mean, sde.u(times[0]) ** 2 * covariance + sde.v(times[0]) ** 2 * EYE
    for t, t_next, s in zip(times[:-1], times[1:], levels[:-1], strict=True):
        u, f, g, dt = sde.u(t), sde.f(t), sde.g(t), t - t_next

        ends = torch.cat([NOTHING[None], EYE])
        score = sde.score_from_denoised(problem.denoise(ends / u, s), ends, t)
        ends = ends - (f * ends - g**2 * score) * dt
        shift, linear = ends[0], ends[1:] - ends[0]
        mean = mean @ linear + shift
        covariance = linear.T @ covariance @ linear + g**2 * dt * EYE
    u = sde.u(times[-1])
    return problem.denoise(mean / u, levels[-1]), exit_covariance(problem, covariance / u**2, levels[-1])


@pytest.mark.parametrize("sde", [kind() for kind in SDES], ids=lambda sde: type(sde).__name__)
def test_reverse_simulation_of_every_sde_gives_the_posterior(sde: SDE) -> None:
    problem = case("random walk")
    want_mean, want = problem.oracle.posterior(problem.y, problem.r)
    errors = []
    for evaluations in (50, 100, 200):
        mean, covariance = simulate(problem, sde, evaluations)
        errors.append(error(covariance, want))
        torch.testing.assert_close(mean, want_mean, rtol=0, atol=0.05)
    assert errors[-1] < 0.006
    assert math.log(errors[0] / errors[2]) / math.log(4) > 0.85


@pytest.mark.parametrize("sde", [kind() for kind in SDES], ids=lambda sde: type(sde).__name__)
def test_schedule_of_every_sde_drives_a_sampler(sde: SDE) -> None:
    """sde.level(times) are levels like any others; the linear path begins at infinity, the others far out."""
    problem = case("random walk")
    want_mean, want = problem.oracle.posterior(problem.y, problem.r)
    last = float(sde.time(torch.tensor(0.02, dtype=torch.float64)))
    times = last + (1 - last) * torch.linspace(1, 0, 48, dtype=torch.float64) ** 2
    levels = sde.level(times).tolist()
    assert math.isinf(levels[0]) == isinstance(sde, LinearPath)
    noise = torch.cat([NOTHING[None], EYE])
    start = noise if math.isinf(levels[0]) else want_mean + levels[0] * noise
    x = multistep(problem.denoise, start, levels)
    mean, linear = x[0], x[1:] - x[0]
    torch.testing.assert_close(problem.denoise(mean, 0.02), want_mean, rtol=0, atol=0.02)
    assert error(exit_covariance(problem, linear.T @ linear, levels[-1]), want) < 0.005


def dpm_solver(problem: Case, x: Tensor, levels: list[float]) -> Tensor:
    """DPM-Solver++(2M) as published (Lu et al. 2022, Alg. 2), alpha = 1, sigma = s: D linear in lambda = -ln s."""
    before: tuple[float, Tensor] | None = None
    for s, s_next in pairwise(levels):
        denoised, h = problem.denoise(x, s), math.log(s / s_next)
        if before is None:
            value = denoised
        else:
            r = before[0] / h
            value = (1 + 1 / (2 * r)) * denoised - before[1] / (2 * r)
        x = s_next / s * x - math.expm1(-h) * value
        before = h, denoised
    return x


def test_multistep_is_dpm_solver_in_another_coordinate() -> None:
    """From one state at s = 20 both come to the same point, their difference of second order."""
    problem = case("random walk")
    x = torch.randn(4, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 20
    gaps = []
    for evaluations in (100, 200, 400):
        levels = [20.0, *finite_levels(evaluations)]
        apart = multistep(problem.denoise, x, levels) - dpm_solver(problem, x, levels)
        gaps.append(float(apart.square().mean().sqrt()))
    assert gaps[-1] < 1e-3
    assert math.log(gaps[0] / gaps[2]) / math.log(4) > 1.8


def test_euler_maruyama_takes_the_steps_of_torchsde() -> None:
    """In the clock -s^2, where the noise is of unit rate, along the same Brownian path."""
    problem = case("short memory")
    steps, first, last = 40, 2.0, 0.1
    clock = torch.linspace(-(first**2), -(last**2), steps + 1, dtype=torch.float64)
    brownian = torchsde.BrownianInterval(-(first**2), -(last**2), (3, N), dtype=torch.float64, entropy=1)

    class Reverse(torch.nn.Module):
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t: Tensor, x: Tensor) -> Tensor:
            return (problem.denoise(x, math.sqrt(-t)) - x) / -t

        def g(self, t: Tensor, x: Tensor) -> Tensor:
            return torch.ones_like(x)

    x = torch.randn(3, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * first
    dt = float(clock[1] - clock[0])
    theirs = torchsde.sdeint(Reverse(), x, clock, bm=brownian, method="euler", dt=dt)[-1]
    levels = (-clock).sqrt().tolist()
    ours = euler_maruyama(problem.denoise, x, levels, lambda k: brownian(clock[k], clock[k + 1]) / math.sqrt(dt))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)  # their clock is summed up


def test_flow_ends_where_torchdiffeq_ends() -> None:
    """dx/ds = (x - D)/s, their solver in s itself from the state at 20, ours at all samplers' default levels."""
    problem = case("random walk")
    x = torch.randn(4, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 20
    ends = torch.tensor([20.0, 0.02], dtype=torch.float64)

    def slope(s: Tensor, state: Tensor) -> Tensor:
        return (state - problem.denoise(state, float(s))) / s

    theirs = torchdiffeq.odeint(slope, x, ends, method="dopri5", rtol=1e-9, atol=1e-9)[-1]
    for sampler, tolerance in ((partial(adaptive, tolerance=1e-9), 1e-6), (multistep, 2e-3)):
        ours = sampler(problem.denoise, x, (20.0, *finite_levels(200)))
        torch.testing.assert_close(ours, theirs, rtol=0, atol=tolerance)


def test_fused_sde_from_infinity_is_the_short_start_from_the_measurements() -> None:
    """Step by step, with the same noise: the unconditional reverse SDE of (y, r) itself, as Resfusion would start it.

    There m at precision P moves to P' = P + 1/s'^2 - 1/s^2 by m' P' = m P + (P' - P) D + sqrt(P' - P) e.
    """
    problem = case("long memory")
    r = torch.where(torch.isinf(problem.r) | (problem.r == 0), 0.5, problem.r)
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(N, generator=generator, dtype=torch.float64)
    levels = default_levels(9)
    noise = torch.randn(len(levels) - 1, N, generator=generator, dtype=torch.float64)

    def conditional(x: Tensor, s: float) -> Tensor:
        m, tau = fuse(x, s, y, r)
        return problem.oracle.denoise(m, tau.reshape(-1, N)[0])

    x = ancestral(conditional, torch.randn(N, generator=generator, dtype=torch.float64), levels, lambda k: noise[k])
    m, precision = y, r**-2
    for k, (s, s_next) in enumerate(pairwise(levels)):
        gained = s_next**-2 - s**-2
        drawn = gained * problem.oracle.denoise(m, precision**-0.5) + math.sqrt(gained) * noise[k]
        m, precision = (precision * m + drawn) / (precision + gained), precision + gained
    torch.testing.assert_close(fuse(x, levels[-1], y, r)[0], m, rtol=0, atol=1e-12)


def test_probability_flow_from_the_measurements_gives_one_point() -> None:
    """Not fused, from (y, r) on, the ODE has no noise left to draw: its end is one value, off the posterior's law."""
    problem = case("short memory")
    y, r = problem.y, 0.7
    levels = [r, *(s for s in default_levels(60) if s < r)]
    ends = multistep(lambda x, s: problem.oracle.denoise(x, torch.full((N,), s)), y.expand(5, N), levels)
    assert float(ends.var(0).max()) < 1e-20
    want = problem.oracle.posterior(y, torch.full((N,), r))[1]
    assert float(want.diagonal().min()) > 0.1
