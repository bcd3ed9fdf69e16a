"""Fitted models on disk: one fit serves every protocol with the same training data, and goes on where it was killed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from rstime.evaluation.baselines import Settings
from rstime.evaluation.protocol import Task

Model = TypeVar("Model")

RECORD, CHECKPOINT, MODEL = "fit.json", "checkpoint", "model"


def digest(task: Task, settings: Settings, name: str) -> str:
    """Name what a fit depends on: training and validation data as treated, settings, the version of rstime.

    Test items, hidden or not, do not count, nor does the number of samples.
    """
    name = name if settings.transforms == "none" else f"{name}, transforms {settings.transforms}"
    said = (name, settings.seed, settings.minutes, settings.steps, settings.size, settings.prior, version("rstime"))
    ahead = int(task.future[0].any(1).sum()) if task.future else 0
    found = hashlib.sha256(repr((said, task.window, task.step, ahead, task.freq, sorted(task.noise.items()))).encode())
    for part in (task.train, task.validation):
        found.update(f"{len(part)} items".encode())
        for item in part:
            names = (item.variables, item.static_names, item.known_names, str(item.time.dtype), item.value.shape)
            found.update(repr(names).encode())
            for array in (item.time, item.value, item.risk, item.static, item.known):
                found.update(array.tobytes())
    return found.hexdigest()[:16]


def fitted(
    task: Task,
    settings: Settings,
    name: str,
    fit: Callable[[Path | None], Model],
    save: Callable[[Model, Path], None],
    load: Callable[[Path], Model],
) -> Model:
    """Return the model of these training data from the folder of the settings, or fit it and put it there.

    Written to the facts of the settings: fit_seconds, all that the fit took, whenever it was made, and earlier_seconds,
    what of it was spent by earlier calls. Of a killed fit that is the time up to its last checkpoint.

    Parameters
    ----------
    task, settings, name
        What `digest` names.
    fit
        Folder of a checkpoint, or None -> fitted model.
    save, load
        Write a model into a folder that is not there yet, and read it back.
    """
    if settings.models is None:
        began = time.perf_counter()
        model = fit(None)
        settings.facts.update(fit_seconds=round(time.perf_counter() - began, 2), earlier_seconds=0.0)
        return model
    done = settings.models / f"{name}-{digest(task, settings, name)}"
    if done.is_dir():
        seconds = json.loads((done / RECORD).read_text(encoding="utf-8"))["seconds"]
        settings.facts.update(fit_seconds=seconds, earlier_seconds=seconds)
        return load(done / MODEL)
    part = done.with_name(f"{done.name}.part")
    part.mkdir(parents=True, exist_ok=True)
    earlier, began = _spent(part), time.time()
    _write(part, seconds=earlier, began=began)
    model = fit(part / CHECKPOINT)
    seconds = round(earlier + time.time() - began, 2)
    shutil.rmtree(part / MODEL, ignore_errors=True)
    save(model, part / MODEL)
    shutil.rmtree(part / CHECKPOINT, ignore_errors=True)
    _write(part, seconds=seconds)
    os.replace(part, done)
    settings.facts.update(fit_seconds=seconds, earlier_seconds=round(earlier, 2))
    return model


def _spent(part: Path) -> float:
    """Seconds that lie in the checkpoint of a fit that was killed; 0 where there is none."""
    state = part / CHECKPOINT / "config.json"
    if not (state.is_file() and (part / RECORD).is_file()):
        return 0.0
    record = json.loads((part / RECORD).read_text(encoding="utf-8"))
    return float(record["seconds"] + max(state.stat().st_mtime - record["began"], 0.0))


def _write(part: Path, **record: float) -> None:
    draft = part / f".{RECORD}"
    draft.write_text(json.dumps(record) + "\n", encoding="utf-8")
    os.replace(draft, part / RECORD)
