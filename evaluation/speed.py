"""Speed: CPU-seconds to impute ETTh1. What risk costs a training step is measured by `overhead.py`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rstime.evaluation import baselines
from rstime.evaluation.baselines import Clock, Settings
from rstime.evaluation.protocol import etth1_noisy

STEPS = 5  # of a model that is fitted for its shape alone


def measure_speed(root: Path | None, settings: Settings, saved: Path | None = None) -> dict[str, Any]:
    """Measure and print the CPU-seconds that 20 joint samples of 24 ETTh1 windows take, missing and noisy entries.

    Parameters
    ----------
    root
        Folder of the data sets.
    settings
        Of the model.
    saved
        Folder with the saved model of ETTh1; without one a few training steps are made, and the network may be
        dropped after so few.
    """
    task, settings = etth1_noisy(root), replace(settings, samples=20)
    model = (
        baselines.fit(task, replace(settings, steps=STEPS), quick=True)
        if saved is None
        else baselines.load(saved / task.name)
    )
    list(baselines.impute(model, task.test[:1], settings))  # what is done once: kernels, caches
    clock = Clock()
    list(baselines.impute(model, task.test, settings, clock))
    print(f"24 ETTh1 windows x 20 samples: {clock.cpu:.2f} CPU-seconds, {clock.wall:.2f} s; wanted 6 CPU-seconds")
    return {"cpu_seconds": clock.cpu, "wall_seconds": clock.wall}
