"""Benchmarks of the core: `python -m rstime.evaluation.core NAME` prints a table beside baselines, and writes JSON."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rstime import scores
from rstime.datasets.laws import MixtureTruth
from rstime.evaluation import baselines
from rstime.evaluation.baselines import Clock, Settings
from rstime.evaluation.protocol import Task, etth1_noisy, physionet_noisy, score
from rstime.evaluation.simulations import simulated
from rstime.evaluation.speed import measure_speed
from rstime.types import Floats, Posterior

LAGS = 12
KINDS = ("", "denoise_", "future_")
Scores = dict[str, float]
Table = dict[str, Scores]
Range = tuple[float, float]

EQUAL = (0.5, 0.5)
COVERED: Mapping[str, Range] = {f"{kind}coverage90": (0.85, 0.95) for kind in KINDS}
LIMIT: Mapping[str, Range] = {
    **{f"{kind}ratio": (0, 1.02) for kind in KINDS},
    **{f"{kind}coverage90": (0.88, 0.92) for kind in KINDS},
}


@dataclass(frozen=True)
class Benchmark:
    """One row of the list: its tasks, the time to train, and the ranges in which the model's scores should lie.

    Attributes
    ----------
    tasks
        (root, part) -> tasks.
    minutes
        Minutes of training.
    goals
        Score of "diffusion" -> lowest and highest value wanted.
    ablations
        Also answer without the exit at the supported level, and with its bare mean.
    covariates
        Also fit and answer without the known covariates.
    """

    tasks: Callable[[Path | None, str], list[Task]]
    minutes: float
    goals: Mapping[str, Range]
    ablations: bool = False
    covariates: bool = False


BENCHMARKS: Mapping[str, Benchmark] = {
    "etth1-noisy": Benchmark(
        lambda root, part: [etth1_noisy(root, part=part)],
        15,
        {"crps": (0, 0.270), "denoise_mae": (0, 0.230), "coverage90": (0.85, 0.94)},
    ),
    "etth1-clean": Benchmark(
        lambda root, part: [etth1_noisy(root, clean=True, part=part)], 15, {"crps": (0, 0.222), "mae": (0, 0.230)}
    ),
    "physionet-noisy": Benchmark(
        lambda root, part: [physionet_noisy(root, part=part)], 20, {"crps": (0, 0.43), "denoise_mae": (0, 0.33)}
    ),
    "gaussian": Benchmark(lambda root, part: [simulated("gaussian", part=part)], 10, LIMIT),
    "mixture": Benchmark(lambda root, part: [simulated("mixture", part=part)], 15, {"closed": (0.5, math.inf)}),
    "support": Benchmark(
        lambda root, part: [simulated(name, risk=EQUAL, part=part) for name in ("gaussian", "mixture")],
        10,
        COVERED,
        ablations=True,
    ),
    "covariate": Benchmark(
        lambda root, part: [simulated("covariate", part=part)], 5, {"future_gain": (0.3, math.inf)}, covariates=True
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one benchmark; choices are made on validation, and --test opens the test windows."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.core", description=main.__doc__)
    add = parser.add_argument
    add("name", choices=[*BENCHMARKS, "speed"])
    add("--test", action="store_true", help="score the test windows (default: the validation windows)")
    add("--seed", type=int, default=0, help="seed of fitting and sampling (default: 0)")
    add("--minutes", type=float, help="minutes of training (default: those of the benchmark)")
    add("--steps", type=int, help="steps of training instead: replays a run")
    add("--samples", type=int, default=100)
    add("--size", default="small", choices=("tiny", "small", "base"))
    add("--prior", default="gaussian", choices=("gaussian", "white"))
    add("--marginal", action="store_true", help="exact marginals of missing entries instead of joint samples")
    add("--root", type=Path, help="folder of the data sets (default: RSTIME_DATA, ../shared/data)")
    add("--save", type=Path, help="folder to save the fitted model in, under the name of its task")
    add("--model", type=Path, help="that folder, to use the saved model instead of fitting")
    add("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    minutes = options.minutes or (BENCHMARKS[options.name].minutes if options.name in BENCHMARKS else 1.0)
    settings = Settings(
        options.seed,
        minutes,
        options.steps,
        options.samples,
        options.size,
        options.prior,
        not options.marginal,
    )
    part = "test" if options.test else "validation"
    if options.name == "speed":
        results = [measure_speed(options.root, settings, options.model)]
    else:
        benchmark = BENCHMARKS[options.name]
        tasks = benchmark.tasks(options.root, part)
        results = [run(task, benchmark, settings, part, options.save, options.model) for task in tasks]
    record = {
        "benchmark": options.name,
        "part": part,
        "settings": asdict(settings),
        "versions": versions(),
        "results": results,
    }
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(record, indent=1, default=float) + "\n", encoding="utf-8")


def versions() -> dict[str, Any]:
    """Return what the figures depend on besides the settings."""
    import torch

    packages = {name: version(name) for name in ("rstime", "torch", "numpy", "scipy", "pandas")}
    threads = {"threads": torch.get_num_threads(), "processors": os.cpu_count()}
    return {"python": platform.python_version(), **packages, **threads, "machine": platform.machine()}


def run(
    task: Task,
    benchmark: Benchmark,
    settings: Settings,
    part: str,
    save: Path | None = None,
    saved: Path | None = None,
) -> dict[str, Any]:
    """Fit the models to one task, score all methods, print the table, and return everything for the record."""
    clocks = {"gaussian": Clock(), "diffusion": Clock()}
    began = time.perf_counter()
    model = baselines.load(saved / task.name) if saved is not None else baselines.fit(task, settings)
    took = time.perf_counter() - began
    if save is not None:
        model.save(save / task.name)
    methods: dict[str, Iterable[Posterior]] = {
        "linear": (baselines.linear(item) for item in task.test),
        "linear bands": baselines.linear_bands(task, settings),
        "gaussian": baselines.impute(model.baseline(), task.test, settings, clocks["gaussian"]),
        "diffusion": baselines.impute(model, task.test, settings, clocks["diffusion"]),
    }
    if benchmark.ablations:
        methods["no exit"] = baselines.impute_beyond_support(model, task.test, settings)
        methods["bare mean"] = baselines.impute_bare_mean(model, task.test, settings)
    if benchmark.covariates:
        bare = [baselines.without_covariates(part) for part in (task.train, task.validation, task.test)]
        blind = replace(task, train=bare[0], validation=bare[1], test=bare[2])
        methods["blind"] = baselines.impute(baselines.fit(blind, settings), blind.test, settings)
    if task.laws and all(isinstance(law, MixtureTruth) for law in task.laws):
        methods["best gaussian"] = baselines.best_gaussian(task, settings)
    if task.laws:
        methods["exact"] = baselines.exact(task, settings)
    paths: dict[str, list[Floats]] = {name: [] for name in methods}
    table = {name: score(task, watched(answers, paths[name], bool(task.laws))) for name, answers in methods.items()}
    relate(table, paths)
    show(f"{task.name}, {part}", table, benchmark.goals)
    return {
        "task": task.name,
        "scores": table,
        "goals": {name: list(bounds) for name, bounds in benchmark.goals.items()},
        "fit_seconds": took,
        "impute_seconds": {name: asdict(clock) for name, clock in clocks.items()},
        "training": asdict(model.run),
        "support": model.support.to_dict("records"),
    }


def watched(answers: Iterable[Posterior], paths: list[Floats], keep: bool) -> Iterator[Posterior]:
    """Pass answers on, keeping the autocovariance of their joint samples."""
    for posterior in answers:
        if keep and len(posterior.samples) > 1:
            paths.append(scores.autocovariance(posterior.samples, LAGS))
        yield posterior


def relate(table: Table, paths: Mapping[str, list[Floats]]) -> None:
    """Add what compares methods.

    `ratio` divides the fair CRPS by that of the exact posterior, `energy_ratio` the fair energy score; `closed` is the
    share of the gap of a Gaussian (the best there is, else the fitted one) that is closed, `gain` what known covariates
    take off; `path_error` is the sum over lags of the absolute difference between the autocovariances of joint
    samples, relative to the exact ones.
    """
    exact, blind, single = table.get("exact"), table.get("blind"), table.get("best gaussian", table["gaussian"])
    for name, row in table.items():
        for kind in [kind for kind in KINDS if f"{kind}crps_mean" in row]:
            key = f"{kind}crps_mean"
            if blind is not None:
                row[f"{kind}gain"] = 1 - row[key] / blind[key]
            if exact is None:
                continue
            row[f"{kind}ratio"] = row[key] / exact[key]
            row[f"{kind}energy_ratio"] = row[f"{kind}energy"] / exact[f"{kind}energy"]
            row[f"{kind}closed"] = (single[key] - row[key]) / (single[key] - exact[key])
        if exact is not None and paths[name]:
            mine, true = np.mean(paths[name], axis=0), np.mean(paths["exact"], axis=0)
            row["path_error"] = float(np.abs(mine - true).sum() / np.abs(true).sum())


def show(title: str, table: Table, goals: Mapping[str, Range]) -> None:
    """Print scores, one column a method, and whether the goals are met."""
    print(f"\n{title}\n{pd.DataFrame(table).to_string(float_format='{:.4f}'.format, na_rep='-')}\n")
    for name, (low, high) in goals.items():
        if name in table["diffusion"]:
            value = table["diffusion"][name]
            print(f"{'met   ' if low <= value <= high else 'MISSED'} {name} {value:.4f}, wanted {low:g} to {high:g}")


if __name__ == "__main__":
    main()
