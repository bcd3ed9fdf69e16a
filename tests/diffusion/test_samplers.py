"""Samplers against the exact Gaussian posterior: covariances propagated through the affine map, no Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from oracles.conditioned import CLASSES, COVARIANCES, Case, N, case, error, propagate
from rstime.diffusion.samplers import SAMPLERS, adaptive, default_levels, multistep, predictor_corrector
from rstime.errors import ConfigError


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


ORDERS = {
    "multistep": 2,
    "euler": 1,
    "heun": 2,
    "adaptive": 5,
    "ancestral": 1,
    "euler_maruyama": 1,
    "multistep_sde": 2,
    "predictor_corrector": 1,
    "restart": 2,
}
"""Orders of convergence of the covariance; of `adaptive` that of one over its number of evaluations."""

UNAIDED = ("euler", "ancestral", "euler_maruyama")  # of order 1, without a corrector that mends what the step did


def noises(name: str, levels: int) -> int:
    """How many uses of noise a sampler makes on a path of so many levels, its start left out."""
    by_step = {"ancestral": 1, "euler_maruyama": 1, "multistep_sde": 1, "predictor_corrector": 2}
    return 2 if name == "restart" else by_step.get(name, 0) * (levels - 1)


def covariance_error(problem: Case, name: str, evaluations: int) -> float:
    _, want = problem.oracle.posterior(problem.y, problem.r)
    levels = default_levels(evaluations)
    return error(propagate(problem, SAMPLERS[name], levels, noises(name, evaluations))[1], want)


def test_every_sampler_has_a_measured_order() -> None:
    assert set(ORDERS) == set(SAMPLERS)


@pytest.mark.parametrize("name", [name for name in ORDERS if name != "adaptive"])
def test_sampler_converges_to_the_posterior_covariance_at_its_order(name: str) -> None:
    steps = {0: (96, 192, 384), 2: (96, 192, 384), 16: (16, 32, 64)}.get(noises(name, 9), (24, 48, 96))
    errors = [covariance_error(case("random walk"), name, n) for n in steps]
    slope = math.log(errors[0] / errors[2]) / math.log(steps[2] / steps[0])
    assert slope > 0.9 * ORDERS[name], errors
    assert slope < 1.25 or name not in UNAIDED, errors


def test_adaptive_steps_meet_the_tolerance_at_fifth_order() -> None:
    """A fifth order makes the error of the covariance fall as the number of calls to the power -5."""
    problem = case("random walk")
    want = problem.oracle.posterior(problem.y, problem.r)[1]
    errors, counts = [], []
    for tolerance in (1e-3, 1e-5, 1e-7):
        solve = partial(adaptive, tolerance=tolerance)
        _, covariance, calls = propagate(problem, solve, (math.inf, 0.02))
        errors.append(error(covariance, want))
        counts.append(calls)
        assert errors[-1] < 30 * tolerance
    assert counts[0] < 40
    assert math.log(errors[0] / errors[2]) / math.log(counts[2] / counts[0]) > 0.9 * ORDERS["adaptive"]


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("evaluations", [2, 5])
def test_mean_is_exact_at_any_number_of_steps(name: str, evaluations: int) -> None:
    problem = case("long memory")
    mean, _, _ = propagate(problem, SAMPLERS[name], default_levels(evaluations), noises(name, evaluations))
    torch.testing.assert_close(mean, problem.oracle.posterior(problem.y, problem.r)[0])


def test_a_corrector_and_restarts_mend_what_the_steps_before_did_wrong() -> None:
    """At equal levels: fewer errors than without, which is what their further evaluations are for."""
    problem = case("random walk")
    assert covariance_error(problem, "predictor_corrector", 48) < 0.9 * covariance_error(problem, "ancestral", 48)
    assert covariance_error(problem, "restart", 13) < 0.6 * covariance_error(problem, "multistep", 13)


@pytest.mark.parametrize("ratio", [0.16, 0.08])
def test_langevin_at_a_level_adds_no_more_than_the_square_of_its_step(ratio: float) -> None:
    """From the exact state at s to a level just below: h^2 / s^2 is added where the value is known, less elsewhere."""
    problem = case("short memory")
    want = problem.oracle.posterior(problem.y, problem.r)[1] + 0.25 * torch.eye(N, dtype=torch.float64)
    basis = torch.zeros(1 + 3 * N, 3, N, dtype=torch.float64)
    basis[1 : 1 + N, 0] = torch.linalg.cholesky(want).T
    for use in (1, 2):
        basis[1 + use * N : 1 + (use + 1) * N, use] = torch.eye(N, dtype=torch.float64)
    levels = (0.5, 0.5 - 1e-9)
    x = predictor_corrector(problem.denoise, basis[:, 0], levels, lambda use: basis[:, 1 + use], ratio=ratio)
    linear = x[1:] - x[0]
    added = torch.linalg.eigvalsh(linear.T @ linear - want)
    assert float(added.min()) > -1e-8
    assert float(added.max()) == pytest.approx((2 * ratio**2 * 0.5) ** 2, rel=1e-3)


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
