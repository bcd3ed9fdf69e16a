"""Choosing the structure of a model from its data, and building it from its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rstime.config import ModelConfig
from rstime.correlation import Parts
from rstime.denoiser import Denoiser
from rstime.errors import ConfigError, ModelFileError
from rstime.gaussian import GaussianModel
from rstime.network.transformer import SIZES, Transformer
from rstime.windows import Item, Windows

JOINT = 700  # measurements a window up to which all of them are treated together, by the prior and by the network
CELLS = 2000  # entries a window, missing ones included, up to which the prior treats them so


def plan_prior(items: Sequence[Item], windows: Windows, config: ModelConfig, correlated: Parts = ()) -> dict[str, Any]:
    """Choose the structure by size: all entries together, or each variable (and, of the network, each step) on its own.

    Parameters
    ----------
    items, windows
        What is learned from, whole and as windows.
    config
        Gives the length of a window in steps.
    correlated
        Errors that last, as GaussianModel takes them.

    Returns
    -------
    dict
        Arguments of GaussianModel, and the attention of the network, as plain numbers and text.
    """
    plan = {
        "channels": items[0].value.shape[1],
        "covariates": items[0].covariates.shape[1],
        "window": config.window,
        **structure(measurements(windows, 0.9), cells(windows)),
    }
    return {**plan, "correlated": correlated} if correlated else plan


def structure(measured: float, entries: int) -> dict[str, Any]:
    """Return whether the prior is joint, and the attention, for windows of so many measurements and entries in all."""
    few = measured <= JOINT
    return {"joint": few or entries <= CELLS, "attention": "joint" if few else "axial"}


def batch_size(windows: Windows) -> int:
    """Return how many windows make a training step of a few thousand measurements."""
    return round(min(max(4096 / max(measurements(windows, 0.5), 1.0), 8), 96))


def measurements(windows: Windows, quantile: float) -> float:
    """Return a quantile of the number of measurements in a window, from a draw of 64."""
    batch = windows.draw(64, np.random.default_rng(0))
    return float(torch.isfinite(batch.risk).flatten(1).sum(-1).float().quantile(quantile))


def cells(windows: Windows) -> int:
    """Return the number of entries in the longest of 64 windows, measured or not."""
    return windows.draw(64, np.random.default_rng(0)).risk[0].numel()


def build_denoiser(plan: Mapping[str, Any], config: ModelConfig, seed: int) -> Denoiser:
    """Build an untrained denoiser; its network's output is zero, so that it is the prior.

    Parameters
    ----------
    plan
        As `plan_prior` gives it.
    config
        What kind of model.
    seed
        Of the network's weights.
    """
    prior = {name: value for name, value in plan.items() if name != "attention"}
    gaussian = GaussianModel(**prior)
    if config.prior == "white":
        gaussian.whiten()
    if config.model == "gaussian":
        return Denoiser(gaussian, None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        size = replace(SIZES[config.size], attention=plan["attention"])
        network = Transformer(size, prior["channels"], prior["covariates"], config.window)
    return Denoiser(gaussian, network)


@contextmanager
def restore(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong with the settings of a saved model into one clear error.

    Raises
    ------
    ModelFileError
        If a setting is absent or wrong.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, ConfigError, RuntimeError) as error:
        problem = f"settings in {path} are incomplete or wrong: {error}"
        raise ModelFileError("model", problem, "Save the model again with this version.") from error
