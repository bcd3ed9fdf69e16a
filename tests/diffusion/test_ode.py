"""The adaptive solver against closed forms and torchdiffeq."""

from __future__ import annotations

import math

import pytest
import torch
import torchdiffeq
from torch import Tensor

from rstime.diffusion.ode import SHORTEST, integrate

START = torch.tensor([[1.0, 0.0], [0.3, -2.0]], dtype=torch.float64)


def turn(t: float, x: Tensor) -> Tensor:
    """A pendulum whose string is pulled."""
    return torch.stack([x[:, 1], -(1 + t) * torch.sin(x[:, 0])], 1)


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
@pytest.mark.parametrize(("start", "stop"), [(0.0, 6.0), (6.0, 0.0)])
def test_end_is_that_of_torchdiffeq(tolerance: float, start: float, stop: float) -> None:
    ends = torch.tensor([start, stop], dtype=torch.float64)
    theirs = torchdiffeq.odeint(lambda t, x: turn(float(t), x), START, ends, method="dopri5", rtol=1e-10, atol=1e-10)
    ours = integrate(turn, START, start, stop, tolerance)
    assert float((ours - theirs[-1]).abs().max()) < 100 * tolerance
    assert float((ours - theirs[-1]).abs().max()) > 1e-12  # an answer of steps, not of theirs


def test_no_row_is_less_exact_for_its_neighbours() -> None:
    """A thousand quiet rows beside a quick one: its error is what it is alone."""
    rate = torch.cat([torch.zeros(1000, 1), torch.full((1, 1), 30.0)]).double()
    x = integrate(lambda t, x: -rate * x, torch.ones_like(rate), 0.0, 1.0, 1e-5)
    alone = integrate(lambda t, x: -30.0 * x, torch.ones(1, 1, dtype=torch.float64), 0.0, 1.0, 1e-5)
    assert torch.equal(x[-1], alone[0])
    assert float(x[-1]) == pytest.approx(math.exp(-30), abs=1e-5)


def test_a_field_that_no_step_solves_comes_to_an_end() -> None:
    calls = []

    def noise(t: float, x: Tensor) -> Tensor:
        calls.append(t)
        return torch.full_like(x, 1e6 * (len(calls) % 2))

    integrate(noise, START, 0.0, 1.0, 1e-9)
    assert len(calls) < 7 / SHORTEST
    assert max(calls) == 1.0
