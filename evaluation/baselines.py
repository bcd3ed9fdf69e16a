"""Methods that answer a Task: linear interpolation, the fitted models, and the exact posterior where it is known."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from rstime.datasets.laws import MixtureTruth, answer
from rstime.evaluation.linear import LinearBands
from rstime.evaluation.protocol import Task
from rstime.types import Floats, Posterior, Series

if TYPE_CHECKING:
    from torch import Tensor

    from rstime.model import RiskDiffusion

CHUNK = 64
"""Items answered at once, so that samples of many items need not be held together."""


@dataclass(frozen=True)
class Settings:
    """How models are fitted and asked.

    Attributes
    ----------
    seed
        Seed of fitting and sampling.
    minutes, steps
        Length of training of the network; steps go before minutes.
    samples
        Samples an item.
    size, prior
        See `rstime.RiskDiffusion`.
    joint
        Joint samples; False for exact marginals of the missing entries.
    models
        Folder in which fitted models are kept and found again; None to keep none.
    transforms
        "none", or "auto" for `rstime.suggest_transforms` of the training data.
    facts
        What a method tells of its fit, for the record of the run.
    """

    seed: int = 0
    minutes: float = 15.0
    steps: int | None = None
    samples: int = 100
    size: str = "small"
    prior: str = "gaussian"
    joint: bool = True
    models: Path | None = None
    transforms: str = "none"
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass
class Clock:
    """Seconds spent on answers: of the wall clock and of all processors."""

    wall: float = 0.0
    cpu: float = 0.0


def interpolate(item: Series, drop_noisy: bool = False) -> Floats:
    """Linear interpolation in time of each variable, constant beyond its ends, 0 where it has no reading: (T, C).

    Parameters
    ----------
    item
        Measurements in standardised units, so that 0 is the mean.
    drop_noisy
        Use exact readings only.
    """
    use = item.observed & (item.risk == 0 if drop_noisy else True)
    time = (item.time - item.time[0]).astype(np.float64)
    result = np.zeros(item.value.shape)
    for channel in np.flatnonzero(use.any(0)):
        rows = use[:, channel]
        result[:, channel] = np.interp(time, time[rows], item.value[rows, channel])
    return result


def linear(item: Series, drop_noisy: bool = False) -> Posterior:
    """Answer of linear interpolation as a Posterior of one sample, whose CRPS is its absolute error."""
    return Posterior(item, interpolate(item, drop_noisy)[None])


def linear_bands(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Answer by linear interpolation with bands from its own errors on the training readings."""
    bands, rng = LinearBands.fit(task.train), np.random.default_rng(settings.seed)
    return (bands.impute(item, settings.samples, rng) for item in task.test)


def exact(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Answer by the exact posterior of a simulated task."""
    rng = np.random.default_rng([settings.seed, 1])
    return (answer(law, item, settings.samples, rng) for law, item in zip(task.laws, task.test, strict=True))


def best_gaussian(task: Task, settings: Settings) -> Iterator[Posterior]:
    """Answer mixtures by the Gaussian of the same mean and covariance: the most that a Gaussian model can learn."""
    laws = {id(law): law.moments() for law in task.laws if isinstance(law, MixtureTruth)}
    return exact(replace(task, laws=[laws[id(law)] for law in task.laws]), settings)


def fit(
    task: Task,
    settings: Settings,
    model: str = "diffusion",
    quick: bool = False,
    progress: bool = True,
    checkpoint: Path | None = None,
) -> RiskDiffusion:
    """Fit a model ("diffusion" or "gaussian") to a task's training data, choosing by its validation data.

    `quick` validates once, hardly fits the Gaussian model and shows no progress: to time steps. In the folder
    `checkpoint` an interrupted training goes on.
    """
    from rstime.gaussian_fit import GaussianConfig
    from rstime.model import RiskDiffusion
    from rstime.training import TrainingConfig

    training = TrainingConfig(validations=1, validation_batches=1) if quick else TrainingConfig()
    gaussian = GaussianConfig(steps=1) if quick else GaussianConfig()
    fresh = RiskDiffusion(
        model,
        size=settings.size,
        prior=settings.prior,
        window=task.window,
        transforms="auto" if settings.transforms == "auto" else None,
        training=training,
        gaussian=gaussian,
    )
    steps = settings.steps if model == "diffusion" else None
    return fresh.fit(
        task.train,
        noise=task.noise,
        validation=task.validation,
        steps=steps,
        max_minutes=settings.minutes,
        seed=settings.seed,
        progress=progress and not quick,
        checkpoint=checkpoint,
    )


def load(path: Path) -> RiskDiffusion:
    """Read a saved model."""
    from rstime.model import RiskDiffusion

    return RiskDiffusion.load(path)


def impute(
    model: RiskDiffusion, items: Sequence[Series], settings: Settings, clock: Clock | None = None
) -> Iterator[Posterior]:
    """Answer items by a fitted model, some at a time, and add the time it takes to the clock."""
    clock = clock or Clock()
    for first in range(0, len(items), CHUNK):
        wall, cpu = time.perf_counter(), time.process_time()
        some = _answers(model, items[first : first + CHUNK], settings)
        clock.wall, clock.cpu = clock.wall + time.perf_counter() - wall, clock.cpu + time.process_time() - cpu
        yield from some


def _answers(model: RiskDiffusion, items: Sequence[Series], settings: Settings) -> list[Posterior]:
    if settings.joint:
        return model.impute(items, samples=settings.samples, seed=settings.seed)
    missing = model.impute(items, samples=settings.samples, seed=settings.seed, entries="missing", joint=False)
    noisy = model.impute(items, samples=settings.samples, seed=settings.seed, entries="noisy")
    return [
        Posterior(item, np.where(item.observed, np.where(item.risk > 0, two.samples, item.value), one.samples))
        for item, one, two in zip(items, missing, noisy, strict=True)
    ]


def impute_beyond_support(model: RiskDiffusion, items: Sequence[Series], settings: Settings) -> Iterator[Posterior]:
    """Answer without the exit at the supported level: sample down to the end, where training taught nothing."""
    other = copy.copy(model)
    other._floor = model._floor * 0
    return impute(other, items, settings)


def impute_bare_mean(model: RiskDiffusion, items: Sequence[Series], settings: Settings) -> Iterator[Posterior]:
    """Answer with the mean at the exit instead of the draw from N(D, Cov[x | m]): under-dispersed (theory 4)."""
    from rstime import posterior

    keyed = posterior.keyed

    def silent(*arguments: Any) -> Callable[[int], Tensor]:
        normal = keyed(*arguments)
        return lambda step: normal(step) * (step != posterior.EXIT)

    with mock.patch.object(posterior, "keyed", silent):
        yield from impute(model, items, settings)


def without_covariates(items: Sequence[Series]) -> list[Series]:
    """Return the items with their known covariates taken away."""
    return [replace(item, known=np.empty((len(item.time), 0)), known_names=()) for item in items]
