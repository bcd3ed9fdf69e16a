"""The experiments of Li et al. (2025) on real data: distance to clean rows after learning from rows with risk.

    python -m rstime.evaluation.paper NAME [NAME ...] [--sde VE VP] [--methods M ...] [--seeds 0 1 2] [--out DIR]

Names are sets of `paper_sets`, such as diabetes-filled. Each run is a file in DIR, written when it ends; the same
command goes on where it was stopped, then prints the table.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rstime.evaluation.paper_distance import sliced_wasserstein, wasserstein
from rstime.evaluation.paper_methods import METHODS
from rstime.evaluation.paper_network import SCHEDULES, Budget
from rstime.evaluation.paper_sets import NAMES, WAYS, paper_set
from rstime.report import text_table

PAIRED = 1000
"""Most rows that the exact distance is taken of."""

GENERATED = 2000
"""Least number of rows to generate."""


@dataclass(frozen=True)
class Result:
    """One run.

    Attributes
    ----------
    name, sde, method, seed
        What was run.
    sliced, exact
        Wasserstein distances of generated rows to the clean rows behind the training rows: sliced, of all rows, and
        exact, of as many as there are clean rows, at most PAIRED.
    others
        Sliced distance to clean rows that the training rows do not come from.
    variance
        Variance of the generated rows over that of the clean ones.
    seconds
        Of processor time.
    budget
        Size of network and training.
    """

    name: str
    sde: str
    method: str
    seed: int
    sliced: float
    exact: float
    others: float
    variance: float
    seconds: float
    budget: dict[str, Any]


def run(name: str, sde: str, method: str, seed: int, budget: Budget, root: Path | None = None) -> Result:
    """Learn one set by one method, generate as many rows as there are clean ones, and measure the distance."""
    import torch

    began = time.process_time()
    rows = paper_set(name, seed, root)
    torch.set_num_threads(1)  # the networks are small
    torch.manual_seed(seed)  # first weights of the networks
    generator = torch.Generator().manual_seed(seed)
    clean, count = rows.clean, len(rows.clean)
    made = METHODS[method](rows, SCHEDULES[sde], budget, generator, count * -(-GENERATED // count)).double().numpy()
    return Result(
        name,
        sde,
        method,
        seed,
        sliced=sliced_wasserstein(made, clean),
        exact=wasserstein(made[: min(count, PAIRED)], clean[:PAIRED]),
        others=sliced_wasserstein(made, rows.others),
        variance=float(made.var(0).mean() / clean.var(0).mean()),
        seconds=time.process_time() - began,
        budget=asdict(budget),
    )


def kept(path: Path, budget: Budget) -> Result | None:
    """Return the run that was written there with the same budget, if any."""
    if not path.is_file():
        return None
    found = Result(**json.loads(path.read_text(encoding="utf-8")))
    return found if found.budget == asdict(budget) else None


def write(result: Result, path: Path) -> None:
    """Write a run, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def table(results: Sequence[Result]) -> str:
    """Return one line a set, SDE and method: mean and sd over the seeds; ratio, the distance of standard over it."""
    lines = []
    for name, sde, method in dict.fromkeys((one.name, one.sde, one.method) for one in results):
        here = [one for one in results if (one.name, one.sde) == (name, sde)]
        some = [one for one in here if one.method == method]
        plain = {one.seed: one for one in here if one.method == "standard"}
        line: dict[str, Any] = {"set": f"{name} {sde}", "method": method}
        for key in ("sliced", "exact", "others"):
            found = np.array([getattr(one, key) for one in some])
            line[key] = f"{found.mean():.3f} ± {found.std(ddof=1):.3f}" if len(found) > 1 else f"{found.mean():.3f}"
            ratios = [getattr(plain[one.seed], key) / getattr(one, key) for one in some if one.seed in plain]
            line[f"ratio {key}"] = float(np.mean(ratios)) if ratios else np.nan
        line |= {"variance": float(np.mean([one.variance for one in some])), "seeds": str(len(some))}
        lines.append(line)
    return text_table(pd.DataFrame(lines), digits=2, group=("set",))


def wanted(names: Sequence[str], methods: Sequence[str], sdes: Sequence[str]) -> list[tuple[str, str, str]]:
    """Return the (set, SDE, method) that can be run: only fills have draws."""
    return [
        (name, sde, method)
        for name, sde, method in product(names, sdes, methods)
        if method != "ours-drawn" or name.endswith(WAYS[0])
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn from rows with risk by several methods, and print how far from clean rows they end."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.paper", description=main.__doc__)
    add = parser.add_argument
    add("names", nargs="+", choices=NAMES, metavar="NAME", help=f"one or more of {', '.join(NAMES)}")
    add("--sde", nargs="+", choices=SCHEDULES, default=list(SCHEDULES))
    add("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    add("--seeds", "--seed", type=int, nargs="+", default=[0, 1, 2])
    add("--steps", type=int, default=Budget.steps, help=f"of training (default: {Budget.steps})")
    add("--out", type=Path, default=Path("paper-results"), help="folder of the runs (default: paper-results)")
    add("--root", type=Path, help="folder with the data of PhysioNet")
    options = parser.parse_args(arguments)
    budget, results = Budget(steps=options.steps), []
    for seed in options.seeds:
        for name, sde, method in wanted(options.names, options.methods, options.sde):
            path = options.out / f"{name}-{sde}-{method}-{seed}.json"
            result = kept(path, budget)
            if result is None:
                result = run(name, sde, method, seed, budget, options.root)
                write(result, path)
                print(f"{name} {sde} {method} {seed}: {result.sliced:.3f}, {result.seconds:.1f} s", flush=True)
            results.append(result)
    order = wanted(options.names, options.methods, options.sde)
    print(table(sorted(results, key=lambda one: order.index((one.name, one.sde, one.method)))))


if __name__ == "__main__":
    main()
