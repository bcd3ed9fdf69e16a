"""What risk costs a training step, in time and memory, against the same network trained plainly.

With risk: a level for every entry, the Gaussian prior, the risk-sensitive loss. Plainly (EDM, Karras et al. 2022): one
level a window, the scalars of a white prior, clean targets. Both on the same tokens, with the structure that the number
of channels asks for: everything joint where windows are small, axial attention beyond that, and a prior of separate
channels where they are large.

    python -m rstime.evaluation.overhead [--steps 5] [--channels 7 36 370]
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rstime.belief import PARTS, Belief, update
from rstime.build import structure
from rstime.denoiser import Denoiser, combine
from rstime.diffusion.levels import draw_states
from rstime.examples import example_loss, make_example
from rstime.gaussian import GaussianModel
from rstime.network.embedding import token_features
from rstime.network.transformer import SIZES, Transformer
from rstime.tokens import pack
from rstime.types import Batch

STAMPS = 48
PATTERNS = (0.55, 0.15, 0.15, 0.15)
TOKENS = 6000  # measurements a step, about: more windows of few channels, fewer of many
MEGABYTE = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss, bytes there and kilobytes elsewhere


@dataclass(frozen=True)
class Cost:
    """CPU-seconds of a training step, and megabytes that training needs at its peak beyond the model itself."""

    seconds: float
    megabytes: float


def make_batch(channels: int, risky: bool, generator: torch.Generator) -> Batch:
    """Draw windows of unit variance, half of it a constant; a fifth missing, half of the rest of risk .5 if `risky`."""
    windows = max(TOKENS // (channels * STAMPS), 1)
    shape = (windows, STAMPS, channels)
    risk = torch.where(torch.rand(shape, generator=generator) < 0.5 * risky, 0.5, 0.0)
    risk = risk.masked_fill(torch.rand(shape, generator=generator) < 0.2, math.inf)
    level = torch.randn(windows, 1, channels, generator=generator)
    value = math.sqrt(0.5) * (level + torch.randn(shape, generator=generator))
    value = value + risk.masked_fill(torch.isinf(risk), 0.0) * torch.randn(shape, generator=generator)
    value = value.masked_fill(torch.isinf(risk), 0.0)
    time_ = torch.arange(STAMPS, dtype=torch.float32).expand(shape[:2])
    covariates, key = torch.zeros(*shape[:2], 0), torch.zeros(shape[:2], dtype=torch.long)
    return Batch(value, risk, time_, covariates, torch.isfinite(risk), key)


def plain_loss(network: Transformer, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return EDM's loss of clean windows, each at one level s: the mean of (D - x)^2 / V under a white prior."""
    tokens = pack(batch, torch.isfinite(batch.risk))
    x = tokens.take(batch.value)
    level = draw_states((len(x), 1), generator).clamp_max(80.0).expand_as(x)
    m = (x + level * torch.randn(x.shape, generator=generator))[None]
    belief = update(Belief(torch.zeros_like(m), torch.ones_like(x), m, m.new_zeros(PARTS, *m.shape)), m, level)
    features = token_features(belief, m, level)
    denoised = combine(belief, features, network.context(features[0], tokens)[0][None])[0]
    return ((denoised - x).square() / belief.variance)[tokens.exists].mean()


def risky_loss(denoiser: Denoiser, batch: Batch, generator: torch.Generator) -> Tensor:
    """Return the risk-sensitive loss of noisy windows, with all that it takes from level to prior."""
    return example_loss(denoiser, make_example(denoiser, batch, generator, 0.0, PATTERNS))


def training_step(channels: int, risky: bool, size: str) -> Callable[[], float]:
    """Build a network and return a function that takes one training step and returns the loss."""
    plan = structure(channels * STAMPS, channels * STAMPS)
    torch.manual_seed(0)
    config = replace(SIZES[size], attention=plan["attention"])
    network = Transformer(config, channels, 0, float(STAMPS))
    denoiser = Denoiser(GaussianModel(channels, 0, float(STAMPS), joint=plan["joint"]), network)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-3)
    generator = torch.Generator().manual_seed(0)
    batch = make_batch(channels, risky, generator)

    def step() -> float:
        loss = risky_loss(denoiser, batch, generator) if risky else plain_loss(network, batch, generator)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return float(loss.detach())

    return step


def measure(channels: int, risky: bool, size: str = "small", steps: int = 5) -> Cost:
    """Take training steps on one core; run it in a process of its own, so that the peak of memory is theirs."""
    torch.set_num_threads(1)
    step = training_step(channels, risky, size)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step()
    began = time.process_time()
    for _ in range(steps):
        step()
    seconds = (time.process_time() - began) / steps
    return Cost(seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / MEGABYTE)


def main() -> None:
    """Print both costs and their ratios, one line a number of channels."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--channels", type=int, nargs="+", default=[7, 36, 370])
    parser.add_argument("--size", choices=SIZES, default="small")
    options = parser.parse_args()
    print("channels  attention   seconds a step: plain   risk  ratio   MB: plain    risk  ratio")
    for channels in options.channels:
        costs = []
        for risky in (False, True):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                costs.append(pool.apply(measure, (channels, risky, options.size, options.steps)))
        plain, risk = costs
        attention = structure(channels * STAMPS, channels * STAMPS)["attention"]
        times = f"{plain.seconds:24.3f} {risk.seconds:6.3f} {risk.seconds / plain.seconds:6.2f}"
        memory = f"{plain.megabytes:11.0f} {risk.megabytes:7.0f} {risk.megabytes / plain.megabytes:6.2f}"
        print(f"{channels:8d}  {attention:9s} {times} {memory}", flush=True)


if __name__ == "__main__":
    main()
