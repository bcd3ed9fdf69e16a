"""Speed: time to impute ETTh1, and what risk costs in time and memory against the same network trained without it."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rstime.evaluation import baselines
from rstime.evaluation.baselines import Clock, Settings
from rstime.evaluation.protocol import Task, etth1_noisy
from rstime.types import Floats, Series

CHANNELS = (7, 36, 370)
VARIANTS = {"risk": ("gaussian", True), "no risk": ("gaussian", False), "no risk, white": ("white", False)}
"""Prior of the network, and whether the measurements carry their risk."""

SHORT, LONG = 5, 25
"""Steps of two runs, whose difference in time is that of training steps alone."""


def measure_speed(
    root: Path | None, settings: Settings, saved: Path | None = None, channels: Sequence[int] = CHANNELS
) -> dict[str, Any]:
    """Measure and print CPU-seconds to impute 24 ETTh1 windows x 20 samples, and the overhead of risk in training.

    Parameters
    ----------
    root
        Folder of the data sets.
    settings
        Of the model.
    saved
        Folder with the saved model of ETTh1; without one a few training steps are made, which changes no shape.
    channels
        Numbers of channels for the overhead.
    """
    task, settings = etth1_noisy(root), replace(settings, samples=20)
    model = (
        baselines.fit(task, replace(settings, steps=SHORT), quick=True)
        if saved is None
        else baselines.load(saved / task.name)
    )
    list(baselines.impute(model, task.test[:1], settings))  # what is done once: kernels, caches
    clock = Clock()
    list(baselines.impute(model, task.test, settings, clock))
    print(f"24 ETTh1 windows x 20 samples: {clock.cpu:.2f} CPU-seconds, {clock.wall:.2f} s; wanted 6 CPU-seconds")
    rows = []
    for count, name in itertools.product(channels, VARIANTS):
        rows.append(overhead(count, name, settings))
        text = "{channels:4d} channels, {variant:15s} {step_cpu_seconds:.3f} CPU-seconds a step, {peak_mb:.0f} MB"
        print(text.format(**rows[-1]), flush=True)
    return {"cpu_seconds": clock.cpu, "wall_seconds": clock.wall, "overhead": rows}


def overhead(channels: int, variant: str, settings: Settings) -> dict[str, Any]:
    """Time a training step and measure the peak memory of a fit, in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        seconds, peak = pool.submit(_train, channels, variant, settings).result()
    return {"channels": channels, "variant": variant, "step_cpu_seconds": seconds, "peak_mb": peak}


def _train(channels: int, variant: str, settings: Settings) -> tuple[float, float]:
    prior, risky = VARIANTS[variant]
    task = wide(channels, risky)
    elapsed = []
    for steps in (SHORT, LONG):
        began = time.process_time()
        baselines.fit(task, replace(settings, prior=prior, steps=steps), quick=True)
        elapsed.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return (elapsed[1] - elapsed[0]) / (LONG - SHORT), peak


def wide(channels: int, risky: bool, items: int = 40, length: int = 48, readings: int = 336) -> Task:
    """Windows of many channels driven by three slow factors, with some `readings` readings a window at any width."""
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.standard_normal((items, length, 3)), axis=1) / np.sqrt(length)
    truth = walk @ rng.standard_normal((3, channels)) + 0.5 * rng.standard_normal((items, length, channels))
    sd = rng.uniform(0.1, 1.0, truth.shape)
    value = truth + sd * rng.standard_normal(truth.shape)
    gone = rng.random(truth.shape) > readings / (length * channels)
    risk: Floats = np.where(gone, np.inf, sd if risky else 0.0)
    names = tuple(f"x{index}" for index in range(channels))
    series = [
        Series(f"item-{index}", np.arange(float(length)), names, value[index], risk[index], asked=~gone[index])
        for index in range(items)
    ]
    return Task("wide", series[:-8], series[-8:], [], [], [], [], length, 1.0)
