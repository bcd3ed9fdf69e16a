"""A window with measurements of all kinds, its exact conditional denoiser, and samplers run through it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oracles.gaussian import GaussianOracle, exponential_covariance, random_walk_covariance
from rstime.diffusion.levels import fuse
from rstime.diffusion.samplers import Sampler

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
    problem: Case, sampler: Sampler, levels: tuple[float, ...], noises: int = 0
) -> tuple[Tensor, Tensor, int]:
    """Mean and covariance of the sampler's output, exit draw included, and the number of evaluations.

    With a linear denoiser the output is affine in the noise: send the origin and every basis vector through.
    """
    blocks = 1 + noises  # the start, then one block a use of noise
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
