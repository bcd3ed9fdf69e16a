"""Entries of GluonTS data sets, and quick estimators."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from rstime.errors import RstimeError
from rstime.gluonts import RiskDiffusionEstimator

QUIET = {"max_epochs": 2, "enable_progress_bar": False}
START = pd.Period("2026-01-01 00:00", freq="h")
Entry = dict[str, Any]


def gaussian(horizon: int = 4, steps: int = 30, freq: str = "h", **more: Any) -> RiskDiffusionEstimator:
    trainer = {"max_steps": steps, "enable_progress_bar": False}
    return RiskDiffusionEstimator(freq, horizon, model="gaussian", trainer_kwargs=trainer, **more)


def waves(items: int = 6, length: int = 80, noise: float = 0.0, seed: int = 0) -> tuple[list[Entry], list[Any]]:
    """Sines of levels and scales of their own: entries with field sd on half of the stamps, and the clean targets."""
    rng = np.random.default_rng(seed)
    entries, clean = [], []
    for k in range(items):
        truth = 10.0**k * (5 + np.sin(2 * np.pi * (np.arange(length) + 5 * k) / 12))
        sd = np.where(rng.random(length) < 0.5, noise * 10.0**k, 0.0)
        entries.append({"start": START + 7 * k, "item_id": f"i{k}", "target": truth + sd * rng.normal(size=length)})
        entries[-1]["sd"] = sd
        clean.append(truth)
    return entries, clean


def refuse(error: type[RstimeError], text: str, call: Any) -> None:
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
