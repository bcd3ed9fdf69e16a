"""Samplers against the exact Gaussian posterior: covariances propagated through the affine map, no Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from oracles.gaussian import GaussianOracle, exponential_covariance, random_walk_covariance
from rstime.diffusion.levels import fuse
from rstime.diffusion.samplers import SAMPLERS, Sampler, default_levels, multistep
from rstime.errors import ConfigError

N = 48
COVARIANCES = {
    "short memory": exponential_covariance(N, 3.0),
    "long memory": exponential_covariance(N, 16.0),
    "random walk": random_walk_covariance(N),
}
CLASSES = ("clean", "noisy", "missing", "future")


@dataclass(frozen=True)
class Case:
    """Measurements of one window: risks 0, .3, .7, 1.5 and inf mixed, the last quarter future."""

    oracle: GaussianOracle
    y: Tensor
    r: Tensor

    def denoise(self, x: Tensor, s: float) -> Tensor:
        return self.oracle.denoise(*self.fused(x, s))

    def fused(self, x: Tensor, s: float) -> tuple[Tensor, Tensor]:
        m, tau = fuse(x, s, self.y, self.r)
        return m, tau.reshape(-1, N)[0]

    def members(self, name: str) -> Tensor:
        future = torch.arange(N) >= 3 * N // 4
        missing = torch.isinf(self.r)
        return {
            "clean": self.r == 0,
            "noisy": (self.r > 0) & ~missing,
            "missing": missing & ~future,
            "future": future,
        }[name]


def case(name: str) -> Case:
    generator = torch.Generator().manual_seed(1)
    oracle = GaussianOracle(torch.linspace(-1, 1, N, dtype=torch.float64), COVARIANCES[name])
    r = torch.tensor([0.0, 0.3, 0.7, 1.5, math.inf], dtype=torch.float64).repeat(N)[:N]
    r = r[torch.randperm(N, generator=generator)]
    r[3 * N // 4 :] = math.inf
    noise = torch.randn(N, generator=generator, dtype=torch.float64)
    y = oracle.draw(1, generator)[0] + torch.where(torch.isinf(r), 0.0, r) * noise
    return Case(oracle, y, r)


def propagate(
    problem: Case, sampler: Sampler, levels: tuple[float, ...], sde: bool = False
) -> tuple[Tensor, Tensor, int]:
    """Mean and covariance of the sampler's output, exit draw included, and the number of evaluations.

    With a linear denoiser the output is affine in the noise: send the origin and every basis vector through.
    """
    blocks = len(levels) if sde else 1  # the start, then one block a step
    basis = torch.zeros(1 + blocks * N, blocks, N, dtype=torch.float64)
    for block in range(blocks):
        basis[1 + block * N : 1 + (block + 1) * N, block] = torch.eye(N, dtype=torch.float64)
    calls = []

    def denoise(x: Tensor, s: float) -> Tensor:
        calls.append(s)
        return problem.denoise(x, s)

    x = sampler(denoise, basis[:, 0], levels, lambda step: basis[:, step + 1])
    _, exit_covariance = problem.oracle.gain(problem.fused(x, levels[-1])[1])
    out = denoise(x, levels[-1])
    linear = out[1:] - out[0]
    return out[0], linear.T @ linear + exit_covariance, len(calls)


def error(got: Tensor, want: Tensor) -> float:
    return float(torch.linalg.norm(got - want) / torch.linalg.norm(want))


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize(("evaluations", "tolerance"), [(13, 0.04), (32, 0.01)])
def test_default_sampler_gives_the_posterior(name: str, evaluations: int, tolerance: float) -> None:
    problem = case(name)
    mean, covariance, calls = propagate(problem, multistep, default_levels(evaluations))
    want_mean, want = problem.oracle.posterior(problem.y, problem.r)
    sd = want.diagonal().clamp_min(1e-12).sqrt()
    assert calls == evaluations
    assert float(((mean - want_mean).abs() / sd.clamp_min(1e-3)).max()) < 0.01
    assert error(covariance, want) < tolerance
    for member in CLASSES:
        inside = problem.members(member)
        got, block = covariance[inside][:, inside], want[inside][:, inside]
        if member == "clean":
            assert float(got.abs().max()) < 1e-8
        else:
            assert error(got, block) < tolerance, member


SDES = ("ancestral", "multistep_sde")
ORDERS = {"multistep": 2, "heun": 2, "ancestral": 1, "multistep_sde": 2}


def test_every_sampler_has_a_measured_order() -> None:
    assert set(ORDERS) == set(SAMPLERS)


@pytest.mark.parametrize("name", ORDERS)
def test_sampler_converges_to_the_posterior_covariance_at_its_order(name: str) -> None:
    problem = case("random walk")
    _, want = problem.oracle.posterior(problem.y, problem.r)
    sde = name in SDES
    steps = (24, 48, 96) if sde else (96, 192, 384)
    errors = [error(propagate(problem, SAMPLERS[name], default_levels(n), sde)[1], want) for n in steps]
    slope = math.log(errors[0] / errors[2]) / math.log(steps[2] / steps[0])
    assert slope > 0.9 * ORDERS[name], errors
    assert slope < 1.1 or ORDERS[name] > 1, errors


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("evaluations", [2, 5])
def test_mean_is_exact_at_any_number_of_steps(name: str, evaluations: int) -> None:
    problem = case("long memory")
    mean, _, _ = propagate(problem, SAMPLERS[name], default_levels(evaluations), name in SDES)
    torch.testing.assert_close(mean, problem.oracle.posterior(problem.y, problem.r)[0])


def test_starting_at_a_finite_level_is_the_same_flow() -> None:
    """From s = 2 with the exact marginal there, the sampler reaches the same posterior."""
    problem = case("short memory")
    _, want = problem.oracle.posterior(problem.y, problem.r)
    root = torch.linalg.cholesky(want + 4 * torch.eye(N, dtype=torch.float64))
    mean = problem.oracle.posterior(problem.y, problem.r)[0]
    levels = tuple(s for s in default_levels(60) if s < 2)
    x = multistep(problem.denoise, torch.cat([mean[None], mean + root.T]), (2.0, *levels))
    _, rest = problem.oracle.gain(problem.fused(x, levels[-1])[1])
    out = problem.denoise(x, levels[-1])
    linear = out[1:] - out[0]
    assert error(linear.T @ linear + rest, want) < 0.002


@dataclass(frozen=True)
class Mixture:
    """A mixture of normals on the line, where the flow from noise is the monotone map between quantiles."""

    weights: Tensor
    means: Tensor
    sds: Tensor

    def denoise(self, x: Tensor, s: float) -> Tensor:
        if math.isinf(s):
            return (self.weights * self.means).sum().expand_as(x)
        variance = self.sds**2 + s**2
        z = x[:, None] - self.means
        share = torch.softmax(self.weights.log() - 0.5 * variance.log() - 0.5 * z**2 / variance, -1)
        return (share * (self.means + self.sds**2 / variance * z)).sum(-1)

    def cdf(self, x: Tensor, s: float) -> Tensor:
        return (self.weights * torch.special.ndtr((x[:, None] - self.means) / (self.sds**2 + s**2).sqrt())).sum(-1)


MIXTURES = {
    "two far apart": ([0.5, 0.5], [-1.0, 1.0], [0.1, 0.1]),
    "uneven": ([0.8, 0.2], [-0.5, 2.0], [0.2, 0.3]),
    "two scales": ([0.5, 0.5], [0.0, 0.0], [0.1, 1.5]),
}


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize(("evaluations", "tolerance"), [(13, 0.03), (32, 0.005)])
def test_flow_of_a_mixture_keeps_every_quantile(name: str, evaluations: int, tolerance: float) -> None:
    mixture = Mixture(*(torch.tensor(part, dtype=torch.float64) for part in MIXTURES[name]))
    probability = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    levels = default_levels(evaluations)
    x = multistep(mixture.denoise, torch.special.ndtri(probability), levels)
    assert float((mixture.cdf(x, levels[-1]) - probability).abs().max()) < tolerance


def test_float32_agrees_with_float64() -> None:
    problem = case("random walk")
    e = torch.randn(8, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wide = multistep(problem.denoise, e, default_levels(32))
    narrow = multistep(lambda x, s: problem.denoise(x.double(), s).float(), e.float(), default_levels(32))
    torch.testing.assert_close(narrow.double(), wide, rtol=0, atol=1e-5)


@given(st.integers(2, 200), st.floats(1e-3, 3.0))
def test_default_levels_fall_from_infinity_to_the_smallest(evaluations: int, smallest: float) -> None:
    levels = default_levels(evaluations, smallest)
    assert len(levels) == evaluations
    assert math.isinf(levels[0])
    assert levels[-1] == pytest.approx(smallest)
    assert all(s > s_next for s, s_next in pairwise(levels))


@pytest.mark.parametrize(("evaluations", "smallest"), [(1, 0.02), (13, 0.0), (13, math.inf), (13, math.nan)])
def test_levels_that_cannot_be_are_refused(evaluations: int, smallest: float) -> None:
    with pytest.raises(ConfigError, match=r"evaluations|smallest"):
        default_levels(evaluations, smallest)
