"""Steps against accuracy where every entry is read with noise: the start at the risk beside the start far out.

    python -m rstime.evaluation.short_starts [--risk 0.5] [--windows 12] [--samples 200]

The law is a mixture of four Gaussian processes and the denoiser its own, so that what is measured is the sampler alone.
The SDE fused with the measurements from s = inf on is, step by step, the reverse SDE of (y, r) itself: the start at the
risk of ResShift (Yue et al. 2023) and Resfusion (Shi et al. 2024), given by theory, without pairs to learn from.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from rstime import scores
from rstime.datasets.laws import MixtureTruth
from rstime.datasets.simulate import mixture_truth
from rstime.diffusion.levels import fuse
from rstime.diffusion.samplers import SAMPLERS, Denoise, default_levels
from rstime.report import text_table

EVALUATIONS = (1, 2, 4, 8, 16)
FAR = 20.0  # level of the start far out, in sd of the signal
LAST = 0.02


class Conditional:
    """E[x | x(s), y] of a mixture and windows read at one risk, and E[x | y] where there is no state.

    Parameters
    ----------
    law
        The mixture.
    y, r
        (N,) measurements and their risks.
    """

    def __init__(self, law: MixtureTruth, y: Tensor, r: Tensor):
        self.law, self.y, self.r, self.calls = law, y, r, 0

    def __call__(self, x: Tensor, s: float) -> Tensor:
        """Return D for (S, N) states at level s."""
        self.calls += 1
        m, tau = fuse(x, s, self.y, self.r)
        log, means = [], []
        for weight, part in zip(self.law.weights, self.law.parts, strict=True):
            mean, covariance = torch.from_numpy(part.mean), torch.from_numpy(part.covariance)
            noisy = covariance + torch.diag(tau.square())
            density = MultivariateNormal(mean, noisy).log_prob(m)  # type: ignore[no-untyped-call]
            log.append(math.log(weight) + density)
            means.append(mean + torch.linalg.solve(noisy, (m - mean).T).T @ covariance)
        share = torch.softmax(torch.stack(log), 0)[..., None]
        return (share * torch.stack(means)).sum(0)


def answer(kind: str, denoise: Denoise, noise: Tensor, evaluations: int) -> Tensor:
    """Return (S, N) samples from a number of calls; one call is the posterior mean, a point."""
    if evaluations == 1:
        return denoise(noise[0], math.inf).expand_as(noise[0])
    if kind == "far":
        root = np.linspace(FAR ** (1 / 7), LAST ** (1 / 7), evaluations)  # Karras et al. 2022
        levels: Sequence[float] = tuple((root**7).tolist())
        start = FAR * noise[0]
    else:
        levels, start = default_levels(evaluations, LAST), noise[0]
    sampler = SAMPLERS["multistep" if kind == "flow" else "multistep_sde"]
    return denoise(sampler(denoise, start, levels, lambda k: noise[1 + k]), levels[-1])


KINDS = {"short": "SDE from the risk", "far": f"SDE from {FAR:g} sd", "flow": "ODE, fused, from s = inf"}


def compare(risk: float, windows: int, samples: int, seed: int = 0) -> pd.DataFrame:
    """Return a row for each way: CRPS over that of the exact posterior, and the error of the variance, by calls."""
    law, rng = mixture_truth(), np.random.default_rng(seed)
    clean = law.draw(rng, windows)
    measured = clean + risk * rng.standard_normal(clean.shape)
    told = np.full(clean.shape[1], risk)
    exact = [law.posterior(y, told) for y in measured]
    limit = np.mean([scores.crps_samples(p.draw(rng, samples), x).mean() for p, x in zip(exact, clean, strict=True)])
    variance = np.array([p.moments().covariance.diagonal() for p in exact])
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for kind, text in KINDS.items():
        row: dict[str, object] = {"start": text}
        for evaluations in EVALUATIONS:
            crps, spread = [], []
            for x, y in zip(clean, measured, strict=True):
                denoise = Conditional(law, torch.from_numpy(y), torch.from_numpy(told))
                shape = (evaluations, samples, len(y))
                noise = torch.randn(shape, generator=generator, dtype=torch.float64)
                drawn = answer(kind, denoise, noise, evaluations).numpy()
                crps.append(scores.crps_samples(drawn, x).mean())
                spread.append(drawn.var(0))
            row[f"CRPS, {evaluations}"] = float(np.mean(crps) / limit)
            row[f"variance, {evaluations}"] = float(np.mean(spread) / variance.mean())
        rows.append(row)
    columns = [f"{name}, {calls}" for name in ("CRPS", "variance") for calls in EVALUATIONS]
    return pd.DataFrame(rows)[["start", *columns]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--risk", type=float, default=0.5, help="of every reading, in sd of the signal (default: 0.5)")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--samples", type=int, default=200)
    options = parser.parse_args(arguments)
    print(text_table(compare(options.risk, options.windows, options.samples), digits=2))


if __name__ == "__main__":
    main()
