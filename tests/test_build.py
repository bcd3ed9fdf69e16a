"""What decides whether variables are treated together."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.axis import Axis
from rstime.build import plan_prior
from rstime.config import ModelConfig
from rstime.types import Series
from rstime.windows import Windows, prepare


@pytest.mark.parametrize(
    ("model", "channels", "seen", "joint"),
    [
        ("diffusion", 29, 1.0, True),  # 696 measurements
        ("diffusion", 30, 1.0, False),
        ("diffusion", 120, 0.2, True),
        ("gaussian", 83, 1.0, True),  # 1,992 entries
        ("gaussian", 84, 1.0, False),
        ("gaussian", 84, 0.2, True),  # some 400 measurements
        ("gaussian", 200, 0.2, False),  # 960
    ],
)
def test_variables_are_joint_up_to_a_size_of_the_window(model: str, channels: int, seen: float, joint: bool) -> None:
    rng = np.random.default_rng(0)
    value = rng.normal(size=(24, channels))
    risk = np.where(rng.random(value.shape) < seen, 0.0, np.inf)
    one = Series("a", np.arange(24.0), tuple(f"x{i}" for i in range(channels)), value, risk)
    items = [prepare(one, Axis.fit([one]))]
    plan = plan_prior(items, Windows(items, 24.0), ModelConfig(model=model, window=24.0))
    assert plan["joint"] is joint
    assert plan["channels"] == channels
