"""SAITS, BRITS and CSDI of PyPOTS, in an environment of their own (`make peers`), by a subprocess with files."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from rstime.errors import PackageError
from rstime.evaluation.baselines import Settings
from rstime.evaluation.protocol import Task
from rstime.types import Floats, Posterior, Series

WORKER = Path(__file__).with_name("peers_worker.py")
HOME = ".venv-peers/bin/python"
"""Interpreter of the environment that `make peers` makes; RSTIME_PEERS names another one."""

HIDDEN = 0.2
"""Share of the validation readings by which epochs are chosen."""


def peer(task: Task, settings: Settings, name: str, covariate: bool = False) -> Iterator[Posterior]:
    """Train a model of PyPOTS on the windows of the training part and impute the test items.

    Values are z-scored by the training readings; SAITS and BRITS give one sample, CSDI those of the settings. At
    readings SAITS and BRITS answer with their own reconstruction. CSDI learns none: its answer is the reading.
    Of the epochs that fit into the minutes that one is taken which is best on the validation windows, a fifth of whose
    readings is hidden for this; for CSDI, which takes long to validate, the last, as in its authors' code.

    Parameters
    ----------
    task, settings
        What is asked; seed, minutes and samples. The facts of the settings get epochs, best_epoch, windows,
        windows_left_out (where not all fit into an epoch within the minutes), fit_seconds and
        fit_cpu_seconds (of training alone), answer_seconds (not part of the budget) and peer_versions.
    name
        "saits", "brits" or "csdi".
    covariate
        Add a channel with the risk of each variable, in the units of the z-scores, 0 where missing.

    Raises
    ------
    PackageError
        If the environment is not there, or the subprocess fails.
    """
    python = Path(os.environ.get("RSTIME_PEERS", HOME)).absolute()  # not resolved: the link is the environment
    if not python.is_file():
        raise PackageError("pypots", f"no interpreter {python}", "Run `make peers`, or set RSTIME_PEERS.")
    value = np.concatenate([item.value for item in task.train])
    location, scale = np.nanmean(value, axis=0), np.nanstd(value, axis=0)
    scale = np.where(scale > 0, scale, 1.0)

    def channels(item: Series) -> Floats:
        scaled = (item.value - location) / scale
        risk = np.where(item.observed, item.risk, 0.0) / scale
        return np.concatenate([scaled, risk], axis=1) if covariate else scaled

    def learned(items: Sequence[Series], stride: int) -> Floats:
        found, _ = windows([channels(item) for item in items], task.window, stride)
        return found[np.isfinite(found[..., : len(location)]).any((1, 2))]

    train = learned(task.train, max(task.window // 2, 1))
    whole = learned(task.validation, task.window) if task.validation else train[:0]
    chosen = hide(whole, len(location), np.random.default_rng(settings.seed))
    asked, places = windows([channels(item) for item in task.test], task.window, task.window)
    answer = _run(python, name, settings, {"train": train, "whole": whole, "chosen": chosen, "test": asked})
    answer = answer[..., : len(location)] * scale + location
    for number, item in enumerate(task.test):
        pieces = answer[:, np.array(places) == number]
        path = pieces.reshape(len(answer), -1, len(location))[:, : len(item.time)]
        yield Posterior(item, path)


def hide(whole: Floats, variables: int, rng: np.random.Generator) -> Floats:
    """Take away a share HIDDEN of the readings, with their risk: (N, length, C) windows, values before risks."""
    hidden = rng.random((*whole.shape[:2], variables)) < HIDDEN
    shown = whole.copy()
    shown[..., :variables][hidden] = np.nan
    if whole.shape[2] > variables:
        shown[..., variables:][hidden] = 0.0
    return shown


def windows(items: Sequence[Floats], length: int, stride: int) -> tuple[Floats, list[int]]:
    """Cut items into windows (N, length, C), the last one filled up with NaN, and say of which item each is."""
    pieces, places = [], []
    for number, item in enumerate(items):
        for start in range(0, max(len(item) - length, 0) + stride, stride):
            piece = item[start : start + length]
            if len(piece):
                pieces.append(np.pad(piece, ((0, length - len(piece)), (0, 0)), constant_values=np.nan))
                places.append(number)
    return np.stack(pieces), places


def _run(python: Path, name: str, settings: Settings, parts: dict[str, Floats]) -> Floats:
    """(S, N, steps, features) answers of the worker."""
    import torch

    said = {
        "model": name,
        "seconds": 60 * settings.minutes,
        "samples": settings.samples,
        "seed": settings.seed,
        "threads": torch.get_num_threads(),
    }
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "task.json").write_text(json.dumps(said), encoding="utf-8")
        for part, array in parts.items():
            np.save(folder / f"{part}.npy", array.astype(np.float32), allow_pickle=False)
        done = subprocess.run([str(python), str(WORKER), place], capture_output=True, text=True, cwd=place)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise PackageError("pypots", f"{name} failed ({last})", "Run `make peers` again, or leave it out.")
        found: Floats = np.load(folder / "answer.npy", allow_pickle=False)
        settings.facts.update(json.loads((folder / "facts.json").read_text(encoding="utf-8")))
    return found
