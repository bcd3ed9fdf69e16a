"""Robust training: entries below k r teach nothing, the test on inputs does not bias, and defaults change nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from rstime.denoiser import Denoiser
from rstime.diffusion.loss import perturb, target, teaches
from rstime.examples import example_loss, make_example
from rstime.gaussian import GaussianModel
from rstime.model import RiskDiffusion
from rstime.robust import hold_back, trusted
from rstime.training import TrainingConfig
from rstime.types import Batch, Series

RISK = torch.tensor([0.0, 0.0, 0.5, 0.5, 0.5, 1.0, math.inf])
LEVEL = torch.tensor([0.0, 0.3, 0.5, 0.9, 1.0, math.inf, math.inf])


def test_entries_teach_from_k_times_their_risk() -> None:
    held = hold_back(RISK, LEVEL, 2.0)
    assert held.tolist() == [0.0, pytest.approx(0.3), 0.5, 0.5, 1.0, math.inf, math.inf]
    assert teaches(RISK, held).tolist() == [False, True, False, False, True, True, False]
    assert hold_back(RISK, LEVEL, 1.0).tolist() == LEVEL.tolist()


def linear(level: float, true: float = 0.6, assumed: float = 0.3, count: int = 400_000) -> float:
    """d in E[target | m] = (1 - d) E[x | m] + d m for white x of variance 1, by regression of the target on m."""
    generator = torch.Generator().manual_seed(0)
    x, noise, e = torch.randn(3, count, generator=generator, dtype=torch.float64)
    r, tau = (torch.full_like(x, value) for value in (assumed, level))
    y = x + true * noise
    m, taught = perturb(y, r, tau, e), target(y, r, tau, e)[0]
    slope, exact = float((m * taught).mean() / (m * m).mean()), 1 / (1 + level**2 + true**2 - assumed**2)
    return (slope - exact) / (1 - exact)


@pytest.mark.parametrize(("k", "d"), [(1.2, 0.676), (2.0, 0.429), (3.0, 0.25)])
def test_risk_understated_by_two_biases_by_no_more_than_k_allows(k: float, d: float) -> None:
    assert linear(0.3 * k) == pytest.approx(d, abs=0.02)


def test_test_on_inputs_leaves_what_is_learned_and_a_test_on_readings_does_not() -> None:
    """Slope of the target on m among inputs within 1 sd, where E[x | m] = m / 1.5^2 still, at x of variance 1."""
    generator = torch.Generator().manual_seed(0)
    x, noise, e = torch.randn(3, 400_000, generator=generator, dtype=torch.float64)
    r, tau = torch.full_like(x, 0.8), torch.full_like(x, math.sqrt(1.25))
    y = x + r * noise
    m, taught = perturb(y, r, tau, e), target(y, r, tau, e)[0]

    def slope(use: Tensor) -> float:
        return float((m * taught)[use].sum() / (m * m)[use].sum())

    assert slope(trusted(m / 1.5, 1.0)) == pytest.approx(1 / 2.25, abs=0.01)
    assert slope(trusted(y / math.sqrt(1.64), 1.0)) < 0.35


def test_without_a_bound_every_input_teaches() -> None:
    surprise = torch.tensor([0.0, -3.9, 4.1, -80.0])
    assert trusted(surprise, 0.0).all()
    assert trusted(surprise, 4.0).tolist() == [True, True, False, False]


def make_loss(isolated: float, teach_from: float = 1.0, outliers: float = 0.0) -> float:
    """Loss of the prior on windows of its own kind, one reading of each off by 40 sd."""
    generator = torch.Generator().manual_seed(0)
    risk = torch.full((50, 8, 1), 0.5)
    value = 0.5 * torch.randn(risk.shape, generator=generator)
    value[:, 3] += 40
    time, key = torch.arange(8).float().expand(50, -1), torch.zeros(50, 8, dtype=torch.long)
    batch = Batch(value, risk, time, torch.zeros(50, 8, 0), torch.ones_like(risk, dtype=torch.bool), key)
    denoiser, pattern = Denoiser(GaussianModel(1, 0, 8.0), None), (1.0, 0.0, 0.0, 0.0)
    made = make_example(denoiser, batch, generator, isolated, pattern, (), teach_from, outliers)
    return float(example_loss(denoiser, made))


@pytest.mark.parametrize(("isolated", "times"), [(0.0, 3), (1.0, 20)])
def test_gross_errors_teach_less(isolated: float, times: int) -> None:
    """Where all see each other, entries without an input, tau = inf, cannot be tested, and teach."""
    assert make_loss(isolated) > times * make_loss(isolated, outliers=3.0)
    assert make_loss(isolated, outliers=1e6) == make_loss(isolated)


def test_support_says_from_where_training_reaches() -> None:
    rng = np.random.default_rng(0)
    value = rng.standard_normal((40, 8, 1))
    series = [Series(f"{i}", np.arange(8.0), ("x",), x, np.full(x.shape, 0.4)) for i, x in enumerate(value)]

    def support(training: TrainingConfig) -> tuple[float, float]:
        model = RiskDiffusion("gaussian", window=8, training=training).fit(series, steps=2, progress=False)
        row = model.support.iloc[0]
        return float(row["smallest_risk"]), float(row["exit_level"] / row["smallest_risk_sd"])

    assert support(TrainingConfig()) == pytest.approx((0.4, math.sqrt(2)))
    assert support(TrainingConfig(teach_from=3.0)) == pytest.approx((1.2, math.sqrt(2)))
    low, ratio = support(TrainingConfig(consistency=1.0))
    assert low < 0.06
    assert ratio == pytest.approx(math.sqrt(2))
