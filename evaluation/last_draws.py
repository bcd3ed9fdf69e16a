"""The last draw of a path, by the Gaussian model's covariance and by the network's variances, on trained models.

    python -m rstime.evaluation.last_draws NAME [--seed 0] [--steps 1000] [--draws 0 1 2] [--model DIR]

Simulated windows of 48 steps, 30 % missing, the others of risk .3 to 1 sd, so that paths end at .45 sd; half of those
that are scored lack their last 12 steps. Figures are the excess of CRPS over that of the exact posterior at noisy and
at missing points, and of the energy score of windows, in per cent; the share of the exact posterior that 90 % bands
hold; and CPU-seconds of the answers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rstime.datasets.laws import answer
from rstime.evaluation import baselines
from rstime.evaluation.noise_floor import distance, half_difference
from rstime.evaluation.protocol import Task
from rstime.evaluation.simulations import simulated
from rstime.last_draw import COVARIANCES
from rstime.model import RiskDiffusion
from rstime.types import Floats

NAMES = ("mixture", "regimes")
RISK = (0.3, 1.0)
SAMPLES, BEST = 100, 400


def energy_excess(samples: Floats, best: Floats) -> float:
    """Return how far the energy score of (S, B, N) samples of windows lies above that of (R, B, N) draws of the truth.

    E|X - Y| - E|X - X'| / 2 - E|Y - Y'| / 2 with the norm of windows, over E|Y - Y'| / 2, without bias.
    """

    def mean(a: Floats, b: Floats) -> float:
        """Mean norm of the differences of (., N) draws, of different ones if both are the same."""
        total = float(np.linalg.norm(a[:, None] - b, axis=-1).sum())
        return total / (len(a) * (len(b) - (a is b)))

    each = [(samples[:, b], best[:, b]) for b in range(best.shape[1])]
    limit = [mean(y, y) / 2 for _, y in each]
    above = [mean(x, y) - mean(x, x) / 2 - half for (x, y), half in zip(each, limit, strict=True)]
    return float(np.sum(above) / np.sum(limit))


def compare(model: RiskDiffusion, task: Task, draws: Sequence[int]) -> list[dict[str, float | str]]:
    """Score both covariances on the windows of a task; one row a seed of sampling and a covariance."""
    rng = np.random.default_rng(7)
    exact = (answer(law, item, BEST, rng) for law, item in zip(task.laws, task.test, strict=True))
    best = np.stack([one.samples.reshape(BEST, -1) for one in exact], 1)
    seen, limit = np.stack([item.observed.ravel() for item in task.test]), half_difference(best)
    rows: list[dict[str, float | str]] = []
    for seed in draws:
        for name in COVARIANCES:
            began = time.process_time()
            found = model.impute(task.test, samples=SAMPLES, seed=seed, covariance=name)
            took = time.process_time() - began
            samples = np.stack([one.samples.reshape(SAMPLES, -1) for one in found], 1)
            low, high = np.quantile(samples, [0.05, 0.95], axis=0)
            excess, held = distance(samples, best), ((best >= low) & (best <= high)).mean(0)
            row: dict[str, float | str] = {"draw": seed, "covariance": name}
            for kind, part in (("noisy", seen), ("missing", ~seen)):
                row[kind] = 100 * float(excess[part].mean() / limit[part].mean())
                row[f"{kind} held"] = 100 * float(held[part].mean())
            rows.append({**row, "energy": 100 * energy_excess(samples, best), "seconds": took})
            print("  ".join(f"{key} {x:.2f}" if isinstance(x, float) else f"{x:>8}" for key, x in rows[-1].items()))
    return rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Train or load a model, and print the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("name", choices=NAMES)
    add("--seed", type=int, default=0, help="of training")
    add("--steps", type=int, default=1000, help="of training")
    add("--draws", type=int, nargs="+", default=[0, 1, 2], help="seeds of sampling")
    add("--windows", type=int, default=100, help="to answer")
    add("--model", type=Path, help="folder of the model: read if it is there, else written")
    options = parser.parse_args(arguments)
    task = simulated(options.name, risk=RISK, scored=options.windows)
    if options.model is not None and options.model.exists():
        model = RiskDiffusion.load(options.model)
    else:
        model = baselines.fit(task, baselines.Settings(seed=options.seed, steps=options.steps), progress=False)
        if options.model is not None:
            model.save(options.model)
    compare(model, task, options.draws)


if __name__ == "__main__":
    main()
