"""What decides whether entries are treated together."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.axis import Axis
from rstime.build import build_denoiser, plan_prior
from rstime.config import ModelConfig
from rstime.types import Series
from rstime.windows import Windows, prepare


@pytest.mark.parametrize(
    ("channels", "seen", "joint", "attention"),
    [
        (29, 1.0, True, "joint"),  # 696 measurements
        (30, 1.0, True, "axial"),
        (83, 1.0, True, "axial"),  # 1,992 entries
        (84, 1.0, False, "axial"),
        (84, 0.2, True, "joint"),  # some 400 measurements
        (200, 0.2, False, "axial"),  # 960
    ],
)
def test_entries_are_treated_together_up_to_a_size_of_the_window(
    channels: int, seen: float, joint: bool, attention: str
) -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=(24, channels))
    risk = np.where(rng.random(value.shape) < seen, 0.0, np.inf)
    one = Series("a", np.arange(24.0), tuple(f"x{i}" for i in range(channels)), value, risk)
    items = [prepare(one, Axis.fit([one]))]
    config = ModelConfig(window=24.0, size="tiny")
    plan = plan_prior(items, Windows(items, 24.0), config)
    assert (plan["joint"], plan["attention"], plan["channels"]) == (joint, attention, channels)
    denoiser = build_denoiser(plan, config, 0)
    assert denoiser.prior.joint is joint
    assert denoiser.network is not None
    assert len(denoiser.network.arrangements) == (1 if attention == "joint" else 2)
