"""EM over the clean signal: with the exact posterior it ends at the likeliest factor, and knows how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from rstime.datasets.laws import GaussianTruth, answer, kernel_truth
from rstime.datasets.simulate import Simulated, device_series, gp_series
from rstime.errors import ConfigError, DataError
from rstime.risk.estimation import RiskEstimate
from rstime.risk.expectation import expectation_maximisation
from rstime.types import Posterior, Series


@dataclass(frozen=True, eq=False)
class Exact:
    """The exact posterior in the place of a model."""

    law: GaussianTruth

    def impute(self, data: Sequence[Series], *, samples: int, seed: int, entries: str) -> list[Posterior]:
        assert entries == "noisy"
        rng = np.random.default_rng(seed)
        return [answer(self.law, one, samples, rng) for one in data]


def wrong_by(simulated: Simulated, factor: float) -> list[Series]:
    return [replace(one, risk=one.risk * factor) for one in simulated.series]


def minus_log_likelihood(log_factor: float, law: GaussianTruth, series: Sequence[Series]) -> float:
    factor = math.exp(log_factor)
    return -sum(law.log_density(one.value.ravel(), factor * one.risk.ravel()) for one in series)


def likeliest(law: GaussianTruth, series: Sequence[Series]) -> float:
    found = minimize_scalar(minus_log_likelihood, args=(law, series), bracket=(-0.5, 0.5), options={"xtol": 1e-6})
    return float(found.x)


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_em_ends_at_the_likeliest_factor_and_its_interval_is_that_of_the_likelihood(wrong: float) -> None:
    simulated = gp_series(np.random.default_rng(0), 12, 60, "ou")
    law, series = kernel_truth("ou", 60), wrong_by(simulated, wrong)
    best = likeliest(law, series)
    found = expectation_maximisation(Exact(law), series, samples=400).classes[0]
    assert math.log(found.factor) == pytest.approx(best, abs=0.02)
    around = [minus_log_likelihood(best + step, law, series) for step in (-0.01, 0.0, 0.01)]
    information = (around[0] - 2 * around[1] + around[2]) / 0.01**2
    assert math.log(found.high / found.factor) == pytest.approx(1.96 / math.sqrt(information), rel=0.15)
    assert math.log(found.high / found.factor) == pytest.approx(math.log(found.factor / found.low))
    assert (found.count, found.note) == (sum(int(one.observed.sum()) for one in series), "")


def test_steps_are_prolonged_by_the_information_that_is_missing() -> None:
    """Five plain steps at .3 of a rough signal leave a tenth of the way and more."""
    simulated = gp_series(np.random.default_rng(1), 12, 60, "ou", risk=(0.3, 0.3), missing=0.0)
    law, series = kernel_truth("ou", 60), wrong_by(simulated, 2.0)
    best, model = likeliest(law, series), Exact(law)
    found = expectation_maximisation(model, series, samples=400)
    assert math.log(found.factor[0]) == pytest.approx(best, abs=0.03)
    log_factor = 0.0
    for _ in range(5):
        now = [replace(one, risk=one.risk * math.exp(log_factor)) for one in series]
        answers = model.impute(now, samples=400, seed=0, entries="noisy")
        squares = [(found.samples - one.value) ** 2 / one.risk**2 for found, one in zip(answers, series, strict=True)]
        log_factor = 0.5 * math.log(np.mean(squares))
    assert log_factor - best > 0.1 * -best


def test_starting_at_the_answer_does_not_make_it_look_certain() -> None:
    """The steps are then short; how far they can be trusted does not come from their length."""
    simulated = gp_series(np.random.default_rng(1), 12, 60, "ou")
    far = expectation_maximisation(Exact(kernel_truth("ou", 60)), wrong_by(simulated, 2.0), samples=100)
    near = expectation_maximisation(Exact(kernel_truth("ou", 60)), [far.apply(one) for one in wrong_by(simulated, 2.0)])
    assert near.factor[0] == pytest.approx(1, abs=0.02)
    widths = [math.log(one.classes[0].high / one.classes[0].low) for one in (far, near)]
    assert widths[1] == pytest.approx(widths[0], rel=0.2)


def test_intervals_hold_the_truth_in_95_percent() -> None:
    """100 simulations of 6 series of 40; the share held has a standard error of 2.2 %."""
    law, held = kernel_truth("ou", 40), []
    for seed in range(100):
        simulated = gp_series(np.random.default_rng(seed), 6, 40, "ou", risk=(0.2, 1.0))
        found = expectation_maximisation(Exact(law), simulated.series, cycles=3).classes[0]
        held.append(found.low < 1 < found.high)
    assert 0.9 <= np.mean(held) <= 0.99


def test_each_class_gets_its_factor() -> None:
    simulated = device_series(np.random.default_rng(2), 30, 60, "matern32", risks=(0.2, 0.5, 1.0), missing=0.1)
    series = [replace(one, risk=np.where(one.observed, 0.5, np.inf)) for one in simulated.series]
    found = expectation_maximisation(Exact(kernel_truth("matern32", 60)), series, simulated.device)
    np.testing.assert_allclose(found.factor, [0.4, 1.0, 2.0], rtol=0.2)
    assert [one.label for one in found.classes] == [0, 1, 2]
    assert sum(one.count for one in found.classes) == sum(int(one.observed.sum()) for one in series)


def test_exact_entries_stay_exact_and_do_not_count() -> None:
    simulated = gp_series(np.random.default_rng(3), 16, 50, "ou")
    exact = np.arange(50)[:, None] % 2 == 0
    series = []
    for one, truth in zip(simulated.series, simulated.truth, strict=True):
        value, risk = np.where(exact, truth, one.value), np.where(exact, 0.0, one.risk)
        series.append(replace(one, value=value, risk=risk))
    found = expectation_maximisation(Exact(kernel_truth("ou", 50)), series)
    assert found.classes[0].count == sum(int((one.observed & (one.risk > 0)).sum()) for one in series)
    assert found.factor[0] == pytest.approx(1, abs=0.12)
    assert (found.apply(series[0]).risk[::2] == 0).all()


def test_noise_far_below_a_white_signal_is_called_open() -> None:
    """Values of variance 1 + r^2: a relative change of r shows by r^2 only, here one part in 400."""
    law = GaussianTruth(np.zeros(50), np.eye(50))
    value = np.random.default_rng(4).normal(size=(4, 50, 1))
    series = [Series(f"{i}", np.arange(50.0), ("x",), row, np.full((50, 1), 0.05)) for i, row in enumerate(value)]
    found = expectation_maximisation(Exact(law), series, cycles=1).classes[0]
    assert found.note == "not identified: 95 % of the information is missing"
    assert (found.low, found.high) == (0.0, math.inf)


def test_progress_is_told_after_each_cycle() -> None:
    simulated = gp_series(np.random.default_rng(5), 3, 30, "ou")
    told: list[tuple[int, RiskEstimate]] = []
    model = Exact(kernel_truth("ou", 30))
    found = expectation_maximisation(
        model, simulated.series, cycles=3, samples=10, progress=lambda *now: told.append(now)
    )
    assert [cycle for cycle, _ in told] == [0, 1, 2]
    assert told[-1][1] == found


def test_a_fitted_model_finds_the_factor_that_it_was_fitted_without() -> None:
    """Fitted at risks 1.5 times too large, where these vary: what the model calls signal is little changed by that."""
    from rstime.gaussian_fit import GaussianConfig
    from rstime.model import RiskDiffusion

    simulated = gp_series(np.random.default_rng(6), 30, 48, "matern32")
    given = wrong_by(simulated, 1.5)
    model = RiskDiffusion("gaussian", gaussian=GaussianConfig(moments=16)).fit(given, steps=60, progress=False)
    found = expectation_maximisation(model, given, samples=20).classes[0]
    assert found.factor * 1.5 == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize(("cycles", "samples"), [(0, 50), (3, 9)])
def test_too_little_work_is_refused(cycles: int, samples: int) -> None:
    series = gp_series(np.random.default_rng(0), 1, 10, "ou").series
    with pytest.raises(ConfigError, match=f"cycles, samples: {cycles}, {samples}. Give at least 1 cycle and 10 sam"):
        expectation_maximisation(Exact(kernel_truth("ou", 10)), series, cycles=cycles, samples=samples)


def test_exact_series_have_nothing_to_estimate() -> None:
    one = Series("a", np.arange(3.0), ("x",), np.zeros((3, 1)), np.array([[0.0], [np.inf], [0.0]]))
    with pytest.raises(DataError, match=r"risk: no measurement with a risk above 0\. Give relative risks: 1 where"):
        expectation_maximisation(Exact(kernel_truth("ou", 3)), [one])
