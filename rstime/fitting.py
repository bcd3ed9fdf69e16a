"""Fitting a denoiser: hold windows out, fit the Gaussian prior, train the network on what it leaves."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rstime.axis import DAY, Axis
from rstime.build import batch_size, build_denoiser, plan_prior
from rstime.config import ModelConfig
from rstime.correlation import Parts
from rstime.denoiser import Denoiser
from rstime.errors import ConfigError
from rstime.examples import Example, make_example
from rstime.gaussian_fit import GaussianConfig, fit_gaussian
from rstime.progress import Bar
from rstime.risk.families import Family
from rstime.training import Run, Trainer, TrainingConfig
from rstime.types import Batch
from rstime.windows import Item, Windows


def split(items: Sequence[Item], window: float) -> tuple[list[Item], list[Item]]:
    """Hold out every tenth item, or the last eighth of each where there are fewer than ten.

    An eighth is held out only where it spans a window of this many steps and holds a measurement, so that nothing may
    be held out.

    Returns
    -------
    learn, check
        Items to learn from, and held-out ones.
    """
    if len(items) >= 10:
        return [x for i, x in enumerate(items) if i % 10 != 9], list(items[9::10])
    learn, check = [], []
    for item in items:
        cut = len(item) - len(item) // 8
        tail = item.rows(slice(cut, None))
        if len(item) and item.steps[-1] - item.steps[cut - 1] >= window and np.isfinite(tail.risk).any():
            check.append(tail)
            item = item.rows(slice(0, cut))
        learn.append(item)
    return learn, check


@dataclass(frozen=True)
class Fitting:
    """How to fit: settings, length, seed.

    Attributes
    ----------
    model, training, gaussian
        What to fit, and how its parts are trained.
    steps
        Steps of the network (of the Gaussian model, where that is all); None for as many as fit before `until` (those
        of `gaussian`).
    until
        Monotonic time at which the training of the network should end.
    seed, progress
        Of everything random; whether to show progress.
    loop
        (trainer, steps, minutes) -> run: what trains the network.
    families
        Of the noise, one a channel; none where all is Gaussian.
    correlated
        Errors that last, as GaussianModel takes them.
    """

    model: ModelConfig
    training: TrainingConfig
    gaussian: GaussianConfig
    steps: int | None
    until: float
    seed: int
    progress: bool
    loop: Callable[[Trainer, int | None, float], Run] = Trainer.train
    families: tuple[Family, ...] = ()
    correlated: Parts = ()

    def fit(
        self, learn: Sequence[Item], check: Sequence[Item], axis: Axis, device: torch.device, checkpoint: Path | None
    ) -> tuple[Denoiser, dict[str, Any], Run]:
        """Return the denoiser, the arguments of its prior, and what training reached.

        A network that never beat the prior on held-out data is dropped: the answer is then the Gaussian model's.

        Parameters
        ----------
        learn, check
            Items to learn from, and held-out ones; without any of these the first are scored.
        axis
            Of the items.
        device
            Where the network is trained and left; the Gaussian model is fitted on the CPU.
        checkpoint
            Folder for resuming, or None.

        Raises
        ------
        DataError
            If no window holds a measurement.
        ModelFileError
            If the checkpoint is damaged, or of other data or settings.
        """
        windows, held = Windows(learn, self.model.window), Windows(check or learn, self.model.window)
        prior = plan_prior(learn, windows, self.model, self.correlated)
        denoiser = build_denoiser(prior, self.model, self.seed)
        if self.model.prior == "gaussian":
            self.fit_prior(denoiser, windows, held, axis)
        if denoiser.network is None:
            return denoiser, prior, Run()
        denoiser.to(device)
        run = self.train(denoiser, windows, held, prior, checkpoint)
        if run.best >= run.history[0]["held_out"]:
            denoiser.network = None
        return denoiser, prior, run

    def fit_prior(self, denoiser: Denoiser, windows: Windows, held: Windows, axis: Axis) -> None:
        """Fit the Gaussian model in place."""
        alone = self.model.model == "gaussian" and self.steps is not None
        config = replace(self.gaussian, steps=self.steps or 0) if alone else self.gaussian
        day = DAY / axis.step if axis.calendar else 0.0
        bar = Bar("Gaussian model", self.progress)
        learn, check = self.draws(windows, config.batch, 1), self.draws(held, 32, 2)
        count = sum(int(np.isfinite(item.risk).sum()) for item in windows.items)
        fit_gaussian(denoiser.prior, learn, check, self.seed, self.model.window, day, count, config, bar)
        bar.close()

    def train(
        self, denoiser: Denoiser, windows: Windows, held: Windows, prior: dict[str, Any], checkpoint: Path | None
    ) -> Run:
        """Train the network in place."""
        config = replace(self.training, batch=self.training.batch or batch_size(windows))
        learn, check = self.draws(windows, config.batch, 3), self.draws(held, 2 * config.batch, 4)

        def example(batch: Batch, stream: int, step: int, isolated: float) -> Example:
            generator = torch.Generator().manual_seed(self.mixed(stream, step))
            robust = config.teach_from, config.outliers
            return make_example(denoiser, batch, generator, isolated, config.patterns, self.families, *robust)

        mode = [i % 2 if 0 < config.isolated < 1 else config.isolated for i in range(config.validation_batches)]
        validation = [example(check(i), 6, i, apart) for i, apart in enumerate(mode)]
        bar = Bar("network", self.progress)
        data = hashlib.sha256()
        for item in (*windows.items, *held.items):
            for array in (item.key, item.value, item.risk, item.covariates):
                data.update(array.tobytes())
        noise = self.families, self.correlated
        settings = {**vars(self.model), **vars(self.training), "seed": self.seed, "noise": noise}
        identity = {name: repr(value) for name, value in settings.items()}
        identity |= {"data": data.hexdigest(), "the Gaussian model": repr(prior)}
        trainer = Trainer(
            denoiser,
            lambda step: example(learn(step), 5, step, config.isolated),
            validation,
            config,
            checkpoint,
            identity,
            bar.training,
        )
        run = self.loop(trainer, self.steps, max((self.until - time.monotonic()) / 60, 0.05))
        bar.close()
        return run

    def mixed(self, *numbers: int) -> int:
        """Return a seed of its own for each use."""
        return int(np.random.SeedSequence([self.seed, *numbers]).generate_state(1)[0])

    def draws(self, windows: Windows, count: int, stream: int) -> Callable[[int], Batch]:
        """Return step -> windows, the same for the same step."""
        return lambda step: windows.draw(count, np.random.default_rng([self.seed, stream, step % (1 << 32)]))


def find_device(name: str) -> torch.device:
    """Return the device of a name; "auto" takes a GPU if there is one.

    Raises
    ------
    ConfigError
        If the device cannot be used.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError("device", f"{name!r} cannot be used", 'Choose "auto" or "cpu".') from error
    return device
