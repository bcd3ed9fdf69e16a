"""Each SDE against its own definition: derivatives, roots, and a simulation in x(t)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import kstest, norm
from torch import Tensor

from rstime.diffusion.sde import SDE, SDES, VE, VP, LinearPath, SubVP
from rstime.errors import ConfigError

sdes = st.sampled_from(SDES).map(lambda kind: kind())
times = st.floats(1e-3, 0.95)
risks = st.floats(1e-3, 20.0)


def tensor(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def derivative(function, t: float) -> float:  # type: ignore[no-untyped-def]
    h = 1e-5 * t
    return float((function(tensor(t + h)) - function(tensor(t - h))) / (2 * h))


@given(sdes, times)
def test_drift_and_diffusion_follow_from_the_kernel(sde: SDE, t: float) -> None:
    drift = derivative(lambda t: sde.u(t).log(), t)
    square = float(sde.u(tensor(t)) ** 2) * derivative(lambda t: sde.level(t) ** 2, t)
    assert float(sde.f(tensor(t))) == pytest.approx(drift, rel=1e-5, abs=1e-8)
    assert float(sde.g(tensor(t)) ** 2) == pytest.approx(square, rel=1e-5)


@given(sdes, risks)
def test_start_time_is_the_root_of_level_equal_to_risk(sde: SDE, r: float) -> None:
    root = brentq(lambda t: float(sde.level(tensor(t))) - r, 1e-9, 1 - 1e-9, xtol=1e-14, rtol=1e-14)
    assert float(sde.start(tensor(r))) == pytest.approx(root, rel=1e-9)


@given(sdes, times)
def test_time_inverts_level(sde: SDE, t: float) -> None:
    assert float(sde.time(sde.level(tensor(t)))) == pytest.approx(t, rel=1e-9)


def test_start_times_of_the_table() -> None:
    r = tensor(0.2, 1.0, 3.0)
    torch.testing.assert_close(VP().u(VP().start(r)) ** 2, 1 / (1 + r**2))
    torch.testing.assert_close(SubVP().u(SubVP().start(r)), ((r**2 + 4).sqrt() - r) / 2)
    ve = VE(s_min=0.01, s_max=50.0)
    torch.testing.assert_close((0.01 * 5000 ** ve.start(r)) ** 2, 0.01**2 + r**2)
    torch.testing.assert_close(LinearPath().start(r), r / (1 + r))


@pytest.mark.parametrize("kind", SDES)
def test_exact_and_missing_entries_are_the_limits(kind: type[SDE]) -> None:
    start = kind().start(tensor(0.0, math.inf))
    assert float(start[0]) == 0
    assert float(start[1]) >= 1
    assert float(kind().v_risk(tensor(math.inf), tensor(0.5))) == 0


@given(sdes, risks, times)
def test_noise_of_measurement_and_added_noise_make_up_the_clean_noise(sde: SDE, r: float, t: float) -> None:
    risk, when = tensor(r), tensor(t)
    added, needed = sde.v_risk(risk, when), sde.v(when)
    if t >= float(sde.start(risk)):
        torch.testing.assert_close(added**2 + (risk * sde.u(when)) ** 2, needed**2)
        assert float(sde.g_risk(risk, when)) in (0.0, float(sde.g(when)))
    else:
        assert float(added) == 0
        assert float(sde.g_risk(risk, when)) == 0


@given(sdes, times, st.floats(-3, 3), st.floats(-3, 3))
def test_score_noise_and_denoised_are_one_thing(sde: SDE, t: float, clean: float, noise: float) -> None:
    when, x0, e = tensor(t), tensor(clean), tensor(noise)
    x = sde.perturb(x0, tensor(0.0), when, e)
    score = sde.score_from_denoised(x0, x, when)
    torch.testing.assert_close(score, -e / sde.v(when), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sde.noise_from_denoised(x0, x, when), e, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(sde.denoised_from_score(score, x, when), x0, rtol=1e-6, atol=1e-6)


def test_velocity_of_the_linear_path_is_its_time_derivative() -> None:
    path, x0, e, t = LinearPath(), tensor(0.7), tensor(-1.2), tensor(0.4)
    x = path.perturb(x0, tensor(0.0), t, e)
    torch.testing.assert_close(path.velocity_from_denoised(x0, x, t), e - x0)


# -- simulation in x(t) -----------------------------------------------------------------------------------------------

RISK = 0.5
COUNT = 20_000
MEANS, SD = np.array([-1.0, 1.0]), 0.15  # clean data: two narrow peaks


def simulate(sde: SDE, stops: list[float], risk: float, steps: int = 400) -> list[NDArray[np.float64]]:
    """Run dx = f x dt + g(r, t) dw by Euler-Maruyama from noisy measurements; x at each stop."""
    rng = np.random.default_rng(3)
    clean = rng.choice(MEANS, COUNT) + SD * rng.standard_normal(COUNT)
    x, now, out = clean + RISK * rng.standard_normal(COUNT), 0.0, []
    for stop in stops:
        dt = (stop - now) / steps
        middle = tensor(*(now + dt * (np.arange(steps) + 0.5)))
        f, g = sde.f(middle).numpy(), sde.g_risk(tensor(risk), middle).numpy()
        for i in range(steps):
            x = x + f[i] * dt * x + g[i] * math.sqrt(dt) * rng.standard_normal(COUNT)
        now = stop
        out.append(x)
    return out


def distance_to_clean_marginal(sde: SDE, t: float, x: NDArray[np.float64]) -> float:
    u, v = float(sde.u(tensor(t))), float(sde.v(tensor(t)))
    spread = math.hypot(u * SD, v)
    return float(kstest(x, lambda z: norm.cdf((z[:, None] - u * MEANS) / spread).mean(1)).statistic)


@pytest.mark.parametrize("kind", SDES)
def test_noisy_sample_has_the_clean_marginal_from_its_start_time_on(kind: type[SDE]) -> None:
    sde = kind()
    start = float(sde.start(tensor(RISK)))
    stops = [0.4 * start, start, 1.1 * start, 1.4 * start, 0.5 * start + 0.5]
    stops = sorted(min(t, 0.9) for t in stops)
    floor = 1.63 / math.sqrt(COUNT)  # 1 % point of the Kolmogorov-Smirnov statistic
    distances = [distance_to_clean_marginal(sde, t, x) for t, x in zip(stops, simulate(sde, stops, RISK), strict=True)]
    assert distances[0] > 5 * floor  # before t*: more noise than clean data have
    assert max(distances[1:]) < floor, distances
    ignored = simulate(sde, stops[:2], risk=0.0)[1]
    assert distance_to_clean_marginal(sde, stops[1], ignored) > 2.5 * floor


@pytest.mark.parametrize("kind", SDES)
def test_perturbation_in_one_step_has_the_clean_marginal(kind: type[SDE]) -> None:
    sde, rng = kind(), np.random.default_rng(5)
    t = 1.2 * float(sde.start(tensor(RISK)))
    y = rng.choice(MEANS, COUNT) + math.hypot(SD, RISK) * rng.standard_normal(COUNT)
    x = sde.perturb(torch.from_numpy(y), tensor(RISK), tensor(t), torch.from_numpy(rng.standard_normal(COUNT)))
    assert distance_to_clean_marginal(sde, t, x.numpy()) < 1.63 / math.sqrt(COUNT)


@pytest.mark.parametrize("wrong", [lambda: VP(beta_min=0.0), lambda: SubVP(2.0, 1.0), lambda: VE(1.0, 1.0)])
def test_schedules_that_cannot_be_are_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=r"beta|s: "):
        wrong()
