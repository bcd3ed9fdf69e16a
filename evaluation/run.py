"""Run protocols with methods, write each result at once, and go on where an earlier run stopped."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rstime.errors import ConfigError, DataError
from rstime.evaluation.adjusting import adjustment
from rstime.evaluation.baselines import Settings
from rstime.evaluation.methods import METHODS
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import Protocol
from rstime.evaluation.tally import Tally, tally
from rstime.evaluation.tasks import build
from rstime.evaluation.treatments import TREATMENTS, treat
from rstime.tables import replacing, write

RUNS, MODELS = "runs", "models"
PACKAGES = ("rstime", "numpy", "scipy", "torch", "gluonts", "lightning", "statsforecast")


@dataclass(frozen=True, eq=False)
class Result:
    """One run: a method in a treatment on one seed of a protocol.

    Attributes
    ----------
    facts
        protocol, digest, method, treatment, seed, items, samples, minutes (budget of training, NaN for none), seconds
        (of fit and answers, also where an earlier run made the fit), factor (mean over variables of
        `rstime.adjustment`, NaN for none), command, versions; of ours fit_seconds, earlier_seconds
        (`rstime.evaluation.fitted`) and steps (of the network); of PyPOTS's what `rstime.evaluation.peers` tells.
    tally
        Sums of every item.
    """

    facts: dict[str, Any]
    tally: Tally

    @property
    def key(self) -> str:
        """Name of the file of this run."""
        return key(*(str(self.facts[name]) for name in ("protocol", "method", "treatment", "seed")))

    def rows(self) -> list[dict[str, Any]]:
        """Return a row of the tidy table for each metric."""
        return [{**self.facts, "metric": name, "value": float(x)} for name, x in self.tally.metrics().items()]

    def to_json(self) -> str:
        """Return facts and sums as JSON."""
        sums = {kind: part.tolist() for kind, part in self.tally.sums.items()}
        return json.dumps({"facts": self.facts, "sums": sums, "blocks": self.tally.blocks}) + "\n"

    @classmethod
    def read(cls, path: Path) -> Result:
        """Read the file of a run.

        Raises
        ------
        DataError
            If it is damaged.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            sums = {kind: np.array(part) for kind, part in found["sums"].items()}
            result = cls(found["facts"], Tally(sums, tuple(found.get("blocks", ()))))
            result.rows()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError("run", f"{path} cannot be read ({error})", "Delete it: it is then run again.") from error
        return result


def key(protocol: str, method: str, treatment: str, seed: str) -> str:
    """Name of the file of a run."""
    return f"{protocol}--{method}--{treatment}--{seed}.json"


def evaluate(
    protocol: Protocol,
    methods: Sequence[str],
    out: Path,
    *,
    treatments: Sequence[str] = (),
    seeds: Sequence[int] = (),
    minutes: float = 1.0,
    root: str | Path | None = None,
    command: str = "",
    quiet: bool = False,
) -> list[Result]:
    """Run every method in every treatment it has on every seed, unless its file is there already.

    Each run is written to out/runs at once; results.parquet and results.csv, a row a protocol, method, treatment, seed
    and metric, are made anew after each. Our fitted models are kept in out/models: protocols with the same training
    data share them.

    Parameters
    ----------
    protocol
        What to run.
    methods
        Names of `rstime.evaluation.methods.METHODS`.
    out
        Folder of the results; made if absent.
    treatments
        Those to run; all that a method has by default. Where data are exact there is only "clean".
    seeds
        Instead of those of the protocol.
    minutes
        Training of each trained method, in each run: the same for all.
    root
        Folder of the data sets.
    command
        What was typed, for the record.
    quiet
        No line of progress on stderr.

    Returns
    -------
    list of Result
        Those of this call, old and new.

    Raises
    ------
    ConfigError
        If a method or treatment is unknown or cannot do the task, or `out` has runs of another protocol of this name or
        of another budget.
    """
    for name in methods:
        if name not in METHODS:
            raise ConfigError("methods", f"{name!r} is unknown", f"Choose from {', '.join(METHODS)}.")
        if protocol.task not in METHODS[name].tasks:
            able = ", ".join(other for other, method in METHODS.items() if protocol.task in method.tasks)
            raise ConfigError("methods", f"{name!r} cannot {protocol.task}", f"Choose from {able}.")
    for name in treatments:
        if name not in TREATMENTS:
            raise ConfigError("treatments", f"{name!r} is unknown", f"Choose from {', '.join(TREATMENTS)}.")
    if not minutes > 0:
        raise ConfigError("minutes", str(minutes), "Give a positive time.")
    folder = out / RUNS
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(out / f"{protocol.name}.json") as (draft,):
        _same(protocol, out)
        draft.write_text(protocol.to_json(), encoding="utf-8")
    found = []
    for seed in seeds or protocol.seeds:
        task = None
        for method, treatment in _plan(protocol, methods, treatments):
            path = folder / key(protocol.name, method, treatment, str(seed))
            if not path.is_file():
                task = build(protocol, seed, root) if task is None else task
                _say(quiet, f"{protocol.name}, seed {seed}: {method}, {treatment} ...")
                shown = treat(task, treatment)
                fresh = _run(protocol, task, shown, method, treatment, seed, minutes, out)
                fresh.facts.update(command=command, versions=versions())
                with replacing(path) as (draft,):
                    draft.write_text(fresh.to_json(), encoding="utf-8")
                tabulate(out)
                _say(quiet, f"    {_main(fresh.tally)} in {fresh.facts['seconds']:.0f} s")
            found.append(_checked(Result.read(path), path, protocol, minutes))
    tabulate(out)
    return found


def _run(
    protocol: Protocol, task: Task, shown: Task, method: str, treatment: str, seed: int, minutes: float, out: Path
) -> Result:
    """Ask a method, with the bands it has and with adjusted ones; of ours the model is fitted once, in `out`."""
    made = METHODS[method]
    answer = made.clean if treatment == "clean" else made.answers[treatment]
    settings = Settings(
        seed=seed, minutes=minutes, samples=protocol.samples, models=out / MODELS, transforms=protocol.transforms
    )
    adjust = adjustment(shown, settings, answer) if made.adjusted else None
    began = time.perf_counter()
    tallied = tally(task, answer(shown, settings), adjust=adjust)
    seconds = time.perf_counter() - began + settings.facts.pop("earlier_seconds", 0.0)
    facts = {
        "protocol": protocol.name,
        "digest": protocol.digest,
        "method": method,
        "treatment": treatment,
        "seed": seed,
        "items": len(task.test),
        "samples": protocol.samples,
        "minutes": minutes if made.trained else float("nan"),
        "seconds": round(seconds, 2),
        "factor": float("nan") if adjust is None else round(float(adjust.factor.mean()), 4),
        **settings.facts,
    }
    return Result(facts, tallied)


def read_runs(out: Path) -> list[Result]:
    """Read all runs of a folder, in the order of their names.

    Raises
    ------
    DataError
        If there is none, or one is damaged.
    """
    paths = sorted((out / RUNS).glob("*.json"))
    if not paths:
        raise DataError("out", f"no runs in {out / RUNS}", "Name the folder that `rstime evaluate --out` wrote.")
    return [Result.read(path) for path in paths]


def tabulate(out: Path) -> pd.DataFrame:
    """Write the tidy table of all runs of a folder as results.parquet and results.csv, and return it."""
    table = pd.DataFrame.from_records([row for run in read_runs(out) for row in run.rows()])
    with replacing(out / "results.parquet", out / "results.csv") as drafts:
        for draft in drafts:
            write(table, draft)
    return table


def versions() -> str:
    """Return what a figure depends on besides its settings, as one line."""
    found = [f"python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join([*found, f"{os.cpu_count()} processors", platform.machine()])


def _same(protocol: Protocol, out: Path) -> None:
    """Refuse to mix runs of different protocols of one name."""
    path = out / f"{protocol.name}.json"
    if path.is_file():
        old = Protocol.from_json(path.read_text(encoding="utf-8"))
        if replace(old, seeds=protocol.seeds) != protocol:
            problem = f"{path} is another protocol of the name {protocol.name!r}"
            raise ConfigError("--out", problem, "Give the protocol another name, or choose another folder.")


def _checked(run: Result, path: Path, protocol: Protocol, minutes: float) -> Result:
    """Refuse a run of other data or of another budget."""
    if run.facts["digest"] != protocol.digest:
        raise ConfigError("--out", f"{path} is a run of other data", "Choose another folder, or delete it.")
    if METHODS[run.facts["method"]].trained and run.facts["minutes"] != minutes:
        problem = f"{minutes:g}, but {path} had {run.facts['minutes']:g}"
        raise ConfigError("--minutes", problem, "Give the same to all, choose another folder, or delete the run.")
    return run


def _plan(protocol: Protocol, methods: Sequence[str], treatments: Sequence[str]) -> Iterable[tuple[str, str]]:
    """Yield what is to be run; without noise, or without any word of it, the treatments are the same."""
    for name in methods:
        if protocol.exact or protocol.told == "none":
            yield name, "clean" if protocol.exact else "keep"
            continue
        for treatment in TREATMENTS:
            if treatment in METHODS[name].answers and (not treatments or treatment in treatments):
                yield name, treatment


def _main(tallied: Tally) -> str:
    metrics = tallied.metrics()
    name = "wql" if "wql" in metrics else "denoise_wql"
    return f"{name} {float(metrics[name]):.5f}"


def _say(quiet: bool, text: str) -> None:
    if not quiet:
        print(text, file=sys.stderr, flush=True)
