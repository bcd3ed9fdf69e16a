"""Risk of unknown size: the Gaussian model's likelihood finds it where it can, and says where it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from rstime.datasets.simulate import Simulated, device_series, gp_series
from rstime.errors import DataError
from rstime.gaussian import GaussianModel
from rstime.noise_fit import estimate_risk
from rstime.noise_likelihood import NoiseConfig, NoiseFit, Tiles, smooth_seasons
from rstime.risk.estimation import relative
from rstime.types import Series

QUICK = NoiseConfig(tiles=80, profile_steps=15)


def constant(kernel: str, risk: float, seed: int, items: int = 20, length: int = 500) -> Simulated:
    return gp_series(np.random.default_rng(seed), items, length, kernel, risk=(risk, risk), missing=0.0)


@pytest.mark.parametrize(("kernel", "risk"), [("matern32", 0.2), ("ou", 0.5), ("seasonal", 1.0)])
def test_a_constant_risk_is_found_within_ten_percent(kernel: str, risk: float) -> None:
    """20 series of 500 points; `python -m rstime.evaluation.unknown` repeats it for more seeds, kernels and risks."""
    found = estimate_risk([relative(one) for one in constant(kernel, risk, 0).series]).classes[0]
    assert found.factor == pytest.approx(risk, rel=0.1)
    assert found.low < found.factor < found.high
    assert found.high < 1.2 * found.low
    assert found.note == ""


def test_the_risk_of_each_device_class_is_found_within_twenty_percent() -> None:
    risks = np.array([0.2, 0.5, 1.0])
    simulated = device_series(np.random.default_rng(0), 20, 500, "matern32", risks=tuple(risks), missing=0.0)
    found = estimate_risk([relative(one) for one in simulated.series], simulated.device, config=QUICK)
    np.testing.assert_allclose(found.factor, risks, rtol=0.2)
    assert [one.label for one in found.classes] == [0, 1, 2]
    assert sum(one.count for one in found.classes) == 20 * 500


@pytest.mark.parametrize("wrong", [0.5, 2.0])
def test_risks_that_are_wrong_by_a_factor_are_set_right(wrong: float) -> None:
    simulated = gp_series(np.random.default_rng(3), 20, 200, "ou")
    given = [replace(one, risk=one.risk * wrong) for one in simulated.series]
    found = estimate_risk(given, config=QUICK).classes[0]
    assert found.factor == pytest.approx(1 / wrong, rel=0.08)
    assert found.low < 1 / wrong < found.high * 1.03
    assert found.note == ""


def test_given_sizes_that_say_nothing_are_told_and_count_as_one() -> None:
    """The same readings with their own risks, and with the same risks in another order."""
    simulated = gp_series(np.random.default_rng(4), 20, 150, "matern32", missing=0.0)
    rng = np.random.default_rng(5)
    shuffled = [replace(one, risk=rng.permuted(one.risk, axis=0)) for one in simulated.series]
    right, wrong = (estimate_risk(some, config=QUICK).classes[0] for some in (simulated.series, shuffled))
    assert (right.note, right.factor) == ("", pytest.approx(1, rel=0.1))
    assert wrong.note == "not identified: one sd for all explains the readings as well as sd that differ"
    assert wrong.factor == pytest.approx(1, rel=0.15)  # of the same mean square
    assert wrong.low == 0


def test_white_fluctuations_of_the_signal_are_not_noise_where_risks_vary() -> None:
    """Values of variance 1 that are white, half of them read with risk .5 and half with .05."""
    rng = np.random.default_rng(0)
    risk = rng.choice([0.05, 0.5], (10, 300))
    value = rng.standard_normal((10, 300)) + 2 * risk * rng.standard_normal((10, 300))
    time = np.arange(300.0)
    series = [Series(f"i{i}", time, ("x",), value[i][:, None], risk[i][:, None]) for i in range(10)]
    found = estimate_risk(series, config=QUICK).classes[0]
    assert found.factor == pytest.approx(2.0, rel=0.2)


def test_what_cannot_be_told_apart_is_said() -> None:
    """An OU signal of 2 steps in noise of .2: nothing distinguishes its fast part from noise."""
    found = estimate_risk([relative(one) for one in _fast(0.2).series], config=QUICK)
    assert found.classes[0].low == 0
    assert found.classes[0].high > 0.3
    assert found.classes[0].note == "not identified: signal and noise cannot be told apart"
    with pytest.warns(match="the data do not tell the size of the noise of x0 "):
        found.warn()


def _fast(risk: float) -> Simulated:
    return gp_series(np.random.default_rng(0), 4, 100, "ou", scale=2.0, risk=(risk, risk), missing=0.0)


def test_variables_without_enough_to_tell_are_named() -> None:
    time = np.arange(30.0)
    rng = np.random.default_rng(0)
    value = np.column_stack([rng.standard_normal(30), np.full(30, 7.0), rng.standard_normal(30)])
    risk = np.column_stack([np.where(time < 12, 1.0, np.inf), np.ones(30), np.zeros(30)])
    found = estimate_risk([Series("a", time, ("few", "constant", "exact"), value, risk)]).classes
    assert [one.note for one in found] == ["only 12 measurements", "constant", "every sd is 0"]
    assert [one.factor for one in found[1:]] == [1.0, 1.0]
    assert found[0].factor == pytest.approx(0.3 * value[:12, 0].std())


def test_the_likelihood_equals_that_of_the_gaussian_model() -> None:
    """The table of correlations over distinct lags is a short cut."""
    one = constant("ou", 0.5, 0, items=1, length=40).series[0]
    time = np.sort(np.random.default_rng(0).choice(200, 40, replace=False)) / 4.0
    runs = [(time, one.value[:, 0], np.full(40, 0.5), np.zeros(40, dtype=np.intp))]
    fit = NoiseFit(Tiles.cut(runs, np.random.default_rng(0), NoiseConfig()), 1, 48.0, NoiseConfig())
    fit.log_factor += 0.3
    model, tiles = fit.model, fit.tiles
    assert isinstance(model, GaussianModel)
    lag = np.abs(tiles.time[0].numpy()[:, None] - tiles.time[0].numpy())
    with torch.no_grad():
        k = (model.log_own.exp()[:, :1, None] * smooth_seasons(model, torch.from_numpy(lag))).sum(0)
        k += torch.eye(40) * (model.log_white.exp() + (0.5 * fit.log_factor.exp()) ** 2)
        law = torch.distributions.MultivariateNormal(torch.zeros(40, dtype=torch.float64), k)
        expected = -float(law.log_prob(tiles.value[0])) - 20 * np.log(2 * np.pi)
        assert float(fit.negative_log_likelihood()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("given", "factor"), [(1.0, 1.5), (3.0, 0.5)])
def test_a_smooth_signal_at_irregular_stamps_leaves_covariances_positive_definite(given: float, factor: float) -> None:
    """Seasons of an amplitude of ten at random stamps. Lags rounded by themselves had an eigenvalue of -.012."""
    rng, series = np.random.default_rng(0), []
    for phase in range(6):
        time = np.sort(rng.uniform(0, 48, 40))
        value = 90 + 10 * np.sin(2 * np.pi * time / 12 + phase) + rng.normal(0, 1.5, 40)
        series.append(Series(str(phase), time, ("hr",), value[:, None], np.full((40, 1), given)))
    steps = [one.time / np.median(np.diff(one.time)) for one in series]
    runs = [(t, one.value[:, 0] / 7, one.risk[:, 0], np.zeros(40, int)) for t, one in zip(steps, series, strict=True)]
    fit = NoiseFit(Tiles.cut(runs, rng, NoiseConfig()), 1, 48.0, NoiseConfig())
    smallest = torch.linalg.eigvalsh((fit.model.log_own.exp()[:, 0] @ fit.correlations)[fit.place]).min()
    assert float(smallest) > -1e-10
    found = estimate_risk(series).classes[0]
    assert found.factor == pytest.approx(factor, rel=0.1)
    assert found.note == ""


def test_a_line_search_that_tries_absurd_variances_goes_on() -> None:
    """One tried e^88 for readings at stamps that nearly coincide; no covariance of that size is positive definite."""
    time = np.array([0.0, 1e-9, 1e-2, 1.0, 1.5, 2.0])
    runs = [(time, np.sin(time), np.full(6, 0.1), np.zeros(6, dtype=np.intp))]
    fit = NoiseFit(Tiles.cut(runs, np.random.default_rng(0), NoiseConfig()), 1, 48.0, NoiseConfig())
    usual = fit.likelihood()
    fit.model.log_own.fill_(88.0)
    assert -1000 < fit.likelihood() < usual


def test_labels_of_another_shape_are_refused() -> None:
    series = constant("ou", 0.5, 0, items=1, length=40).series
    with pytest.raises(DataError, match=r"classes: shape \(40,\) where \(40, 1\) was expected"):
        estimate_risk(series, [np.zeros(40, dtype=np.intp)])
