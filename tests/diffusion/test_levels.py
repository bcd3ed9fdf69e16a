"""Fusion of a measurement with the state of the sampler, and the levels that training meets."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rstime.diffusion.levels import (
    EDGE,
    LOG_LEVEL_MEAN,
    LOG_LEVEL_SD,
    NO_STATE,
    draw_levels,
    draw_states,
    fuse,
    shuffle_risks,
)

LEVEL = st.floats(1e-6, 1e6)
VALUE = st.floats(-100, 100)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


@given(VALUE, LEVEL, VALUE, LEVEL)
def test_precisions_add(x: float, s: float, y: float, r: float) -> None:
    m, tau = fuse(numbers(x), s, numbers(y), numbers(r))
    precision = 1 / r**2 + 1 / s**2
    assert float(tau) == pytest.approx(precision**-0.5, rel=1e-12)
    assert float(m) == pytest.approx((y / r**2 + x / s**2) / precision, rel=1e-9, abs=1e-9)


@given(LEVEL, LEVEL, LEVEL)
def test_fusing_twice_is_fusing_once_in_any_order(a: float, b: float, c: float) -> None:
    """Three measurements of one value: the level, and the mean, do not depend on which two come first."""
    first = fuse(*fuse(numbers(1.0), a, numbers(-2.0), numbers(b)), numbers(0.5), numbers(c))
    other = fuse(*fuse(numbers(0.5), c, numbers(-2.0), numbers(b)), numbers(1.0), numbers(a))
    torch.testing.assert_close(first, other, rtol=1e-9, atol=1e-9)


def test_limits() -> None:
    """Missing, no state, neither, exact, finished: (x, s), (y, r), absent, (y, 0), (x, 0)."""
    inf, nan = math.inf, math.nan
    r = numbers(inf, 0.7, inf, 0.0, 0.0, 0.7, 0.0)
    s = numbers(2.0, inf, inf, 2.0, inf, 0.0, 0.0)
    x = numbers(5.0, nan, nan, 5.0, nan, 5.0, 5.0)
    y = numbers(nan, -3.0, nan, -3.0, -3.0, -3.0, -3.0)
    m, tau = fuse(x, s, y, r)
    assert m.tolist() == [5.0, -3.0, 0.0, -3.0, -3.0, 5.0, -3.0]
    assert tau.tolist() == [2.0, 0.7, inf, 0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("other", [1e-30, 1e-3, 1.0, 1e3, 1e30])
@pytest.mark.parametrize("r", [1e-30, 1e-3, 1.0, 1e3, 1e30])
def test_far_apart_levels_are_finite_in_float32(r: float, other: float) -> None:
    """A risk of 1e30 is as good as missing, one of 1e-30 as good as exact; their squares leave float32."""
    m, tau = fuse(torch.tensor([2.0]), other, torch.tensor([-1.0]), torch.tensor([r]))
    assert float(tau) == pytest.approx(1 / math.hypot(1 / r, 1 / other), rel=1e-5)
    assert float(m) == pytest.approx((2.0 / other**2 - 1.0 / r**2) / (1 / r**2 + 1 / other**2), rel=1e-5)


def test_levels_are_shared_by_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, generator=generator)
    y, r = torch.randn(3, generator=generator), torch.tensor([0.0, 0.5, math.inf])
    m, tau = fuse(x, 0.8, y, r)
    assert tau.shape == (3,)
    for row, state in zip(m, x, strict=True):
        torch.testing.assert_close(row, fuse(state, 0.8, y, r)[0], rtol=0, atol=0)


def test_fused_measurement_is_sufficient() -> None:
    """E[x | x(s), y] of a Gaussian x is its denoiser at (m, tau)."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(400_000, generator=generator, dtype=torch.float64)
    y, state = (x + sd * torch.randn(x.shape, generator=generator, dtype=torch.float64) for sd in (0.6, 0.9))
    m, tau = fuse(state, 0.9, y, torch.full_like(x, 0.6))
    error = x - m / (1 + tau.square())
    for seen in (state, y, m):
        assert abs(float((error * seen).mean())) < 4 * float((error * seen).std()) / 400_000**0.5
    assert float(error.var()) == pytest.approx(1 / (1 + 1 / 0.36 + 1 / 0.81), rel=0.01)


def test_states_are_log_normal_with_an_atom_at_infinity() -> None:
    s = draw_states((100_000,), torch.Generator().manual_seed(0))
    gone = torch.isinf(s)
    assert float(gone.float().mean()) == pytest.approx(NO_STATE, abs=0.004)
    log = s[~gone].log()
    assert float(log.mean()) == pytest.approx(LOG_LEVEL_MEAN, abs=0.02)
    assert float(log.std()) == pytest.approx(LOG_LEVEL_SD, abs=0.02)


def training_case(windows: int = 4000) -> tuple[Tensor, Tensor]:
    """Risks .2, .5, 1 and missing in equal shares, a third of the measurements hidden."""
    generator = torch.Generator().manual_seed(1)
    kinds = torch.tensor([0.2, 0.5, 1.0, math.inf])
    risk = kinds[torch.randint(4, (windows, 5, 2), generator=generator)]
    hidden = torch.isfinite(risk) & (torch.rand(risk.shape, generator=generator) < 1 / 3)
    return risk, hidden


@pytest.mark.parametrize("isolated", [False, True])
def test_levels_never_fall_below_the_risk_and_absent_entries_have_none(isolated: bool) -> None:
    risk, hidden = training_case()
    tau, s = draw_levels(risk, hidden, torch.Generator().manual_seed(2), isolated)
    seen = torch.isfinite(risk)
    assert tau.shape == risk.shape
    assert not tau.isnan().any()
    assert bool((tau[seen] >= risk[seen]).all())
    assert bool(torch.isinf(tau[~seen]).all())
    assert not torch.isinf(tau[seen & ~hidden]).any()
    s = s.expand_as(risk)
    torch.testing.assert_close(tau[hidden], torch.maximum(s, risk)[hidden], rtol=0, atol=0)
    gone = torch.isinf(tau[hidden]).float().mean()
    assert float(gone) == pytest.approx(NO_STATE, abs=0.02)


def test_hidden_entries_of_a_window_share_one_state_unless_isolated() -> None:
    risk, hidden = torch.full((300, 6, 1), 1e-3), torch.ones(300, 6, 1, dtype=torch.bool)
    together, _ = draw_levels(risk, hidden, torch.Generator().manual_seed(0))
    apart, _ = draw_levels(risk, hidden, torch.Generator().manual_seed(0), isolated=True)
    spread = [tau.clamp(max=1e3).log().flatten(1).std(1) for tau in (together, apart)]
    assert float(spread[0].max()) < 1e-6
    assert float(spread[1].min()) > 0.05


def test_context_is_met_exact_or_at_virtual_risks_fused_with_the_state() -> None:
    """Without states (s = inf) and edges, a nearly exact entry is met at 0 or at the risk of another entry."""
    risk = torch.tensor([1e-6, 0.5]).repeat(4000, 3, 1)
    hidden = torch.zeros_like(risk, dtype=torch.bool)
    tau, s = draw_levels(risk, hidden, torch.Generator().manual_seed(0))
    free = torch.isinf(s).flatten()
    levels = tau[free, :, 0].flatten()
    edge = ((levels - 0.5).abs() > 1e-6) & (levels > 1e-5)
    assert float(edge.float().mean()) == pytest.approx(EDGE, abs=0.06)
    exact = (levels[~edge] < 1e-5).float().mean()  # half are exact by choice, half of the others by the pool
    assert float(exact) == pytest.approx(0.75, abs=0.06)
    finite = ~free
    state = s[finite].expand(-1, 3, 1)[..., 0]
    at_half = torch.sqrt(0.25 * state.square() / (0.25 + state.square()))
    known = (tau[finite, :, 0] < 1e-5) | ((tau[finite, :, 0] - at_half).abs() < 1e-6)
    assert float((~known).float().mean()) == pytest.approx(EDGE, abs=0.03)


def test_edges_lie_a_log_normal_step_above_the_risk() -> None:
    risk = torch.full((8000, 1, 1), 0.5)
    tau, _ = draw_levels(risk, torch.zeros_like(risk, dtype=torch.bool), torch.Generator().manual_seed(0))
    above = tau > 0.5 + 1e-7  # no virtual risk, fused or not, exceeds .5 here
    assert float(above.float().mean()) == pytest.approx(EDGE, abs=0.015)
    log = torch.sqrt(tau[above].double().square() - 0.25).log()
    assert float(log.median()) == pytest.approx(LOG_LEVEL_MEAN, abs=0.1)


def test_virtual_risks_are_those_of_the_batch() -> None:
    risk = torch.tensor([[[0.1, math.inf, 0.4, 0.4]]]).repeat(1000, 1, 1)
    drawn = shuffle_risks(risk, torch.Generator().manual_seed(0))
    shares = {round(float(v), 3): float((drawn == v).float().mean()) for v in drawn.unique()}
    assert shares == {0.1: pytest.approx(1 / 3, abs=0.03), 0.4: pytest.approx(2 / 3, abs=0.03)}


def test_a_batch_without_measurements_has_no_levels() -> None:
    risk = torch.full((2, 3, 1), math.inf)
    tau, _ = draw_levels(risk, torch.zeros_like(risk, dtype=torch.bool), torch.Generator().manual_seed(0))
    assert bool(torch.isinf(tau).all())
