"""Fitted models and series for tests of what a user does with them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from rstime.build import build_denoiser
from rstime.datasets.simulate import gaussian_series
from rstime.gaussian_fit import GaussianConfig
from rstime.model import RiskDiffusion
from rstime.training import TrainingConfig
from rstime.types import Posterior, Series

WINDOW = 24
QUICK = GaussianConfig(steps=60, tokens=60, moments=16)
FEW = TrainingConfig(batch=16, learning_rate=1e-3, warmup=5, validations=3, validation_batches=2, ema=0.9)
kinds = pytest.mark.parametrize("model", ["gaussian", "diffusion"], indirect=True)


def in_units(series: Series) -> Series:
    """Two variables in units of their own: around 1000 and -3, sd 50 and .2."""
    location, scale = np.array([1000.0, -3.0]), np.array([50.0, 0.2])
    return replace(series, value=series.value * scale + location, risk=series.risk * scale)


def ward(seed: int = 0, items: int = 60) -> list[Series]:
    return [in_units(one) for one in gaussian_series(np.random.default_rng(seed), items, WINDOW, 2).series]


def gaussian_model() -> RiskDiffusion:
    return RiskDiffusion("gaussian", window=WINDOW, gaussian=QUICK).fit(ward(), progress=False)


def outspoken(model: RiskDiffusion) -> RiskDiffusion:
    """The same model with a network of small random weights instead of its own, so that its path is walked."""
    other = copy.copy(model)
    other.config = replace(model.config, model="diffusion", size="tiny")
    denoiser = build_denoiser(model._prior, other.config, 0)
    denoiser.prior.load_state_dict(model.baseline()._denoiser.prior.state_dict())  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(0)
    torch.nn.init.normal_(denoiser.network.head.weight, std=0.01, generator=generator)  # type: ignore[union-attr]
    other._denoiser = denoiser.eval().requires_grad_(False)
    return other


def series(value: Any, risk: Any, names: tuple[str, ...] = ("x0", "x1"), time: Any = None, **more: Any) -> Series:
    value, risk = np.asarray(value, float), np.asarray(risk, float)
    return Series("a", np.arange(float(len(value))) if time is None else time, names, value, risk, **more)


GOOD = series([[1000.0, -3.0]] * 4, [[10.0, 0.1]] * 4)


def nothing(length: int = 10, **more: Any) -> Series:
    return series(np.full((length, 2), np.nan), np.full((length, 2), np.inf), **more)


def assert_prior(found: Posterior) -> None:
    """Mean and sd of both variables over all stamps are those of the data."""
    np.testing.assert_allclose((found.samples.mean((0, 1)) - [1000, -3]) / [50, 0.2], 0, rtol=0, atol=0.2)
    np.testing.assert_allclose(found.samples.std((0, 1)), [50, 0.2], rtol=0.15)
