"""The paper's experiments: what each method teaches on Gaussians whose answer is known, sampler, distances, command."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rstime.diffusion.loss import perturb, target, weight
from rstime.errors import ConfigError, DataError
from rstime.evaluation.paper import Result, main, run, table, wanted
from rstime.evaluation.paper_distance import sliced_wasserstein, wasserstein
from rstime.evaluation.paper_methods import METHODS, at_level, from_draws, one_level, posterior_mean, told_risk
from rstime.evaluation.paper_network import SCHEDULES, Batch, Budget, Denoiser, generate, levels_of, loss_of
from rstime.evaluation.paper_prior import Factors, fit_factors
from rstime.evaluation.paper_sets import Rows

COUNT = 200_000
LEVEL = 1.5


def slope(batch: Batch, generator: torch.Generator) -> float:
    """Return the slope in m of the best linear denoiser, which for Gaussian data is the best of all."""
    noise = torch.randn(batch.y.shape, generator=generator)
    m = perturb(batch.y, batch.r, batch.tau, noise)
    value, _ = target(batch.y, batch.r, batch.tau, noise)
    use = weight(batch.r, batch.tau, torch.full_like(m, 0.5))
    use = use if batch.taught is None else use * batch.taught
    return float((use * m * value).sum() / (use * m**2).sum())


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def shown(name: str, generator: torch.Generator) -> Batch:
    """Return what a method shows of x ~ N(0, 1) measured with risk 1."""
    x = torch.randn((COUNT, 1), generator=generator)
    r = torch.ones_like(x)
    y = x + torch.randn(x.shape, generator=generator)
    index, s = torch.arange(COUNT), torch.full((COUNT, 1), LEVEL)
    views = {
        "standard": at_level(y, torch.zeros_like(r)),
        "denoise": at_level(y / 2, torch.zeros_like(r)),
        "ours": at_level(y, r),
        "ambient": one_level(torch.cat([y, x], 1), torch.cat([r, 0 * r], 1)),
        "conditional": told_risk(y, r),
    }
    return views[name](index, s, generator)


@pytest.mark.parametrize(
    ("name", "variance"),
    [("standard", 2.0), ("conditional", 2.0), ("denoise", 0.5), ("ours", 1.0), ("ambient", 1.0)],
)
def test_what_a_method_learns_of_noisy_gaussian_rows(name: str, variance: float, generator: torch.Generator) -> None:
    # variance P of the rows that it takes for clean: the best denoiser at the level s is m P / (P + s^2)
    assert slope(shown(name, generator), generator) == pytest.approx(variance / (variance + LEVEL**2), abs=0.01)


def test_below_its_risk_an_entry_is_context_and_teaches_nothing(generator: torch.Generator) -> None:
    y, r = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5, 0.0]])
    batch = at_level(y, r)(torch.tensor([0]), torch.tensor([[0.2]]), generator)
    torch.testing.assert_close(batch.tau, torch.tensor([[0.5, 0.2]]))
    denoised = torch.tensor([[100.0, 2.1]])
    loss = loss_of(denoised, torch.full((1, 2), 0.04), batch, torch.zeros(1, 2))
    assert loss.item() == pytest.approx(0.1**2 / 0.04, rel=1e-4)


def test_draws_are_shown_in_turn_and_do_not_teach(generator: torch.Generator) -> None:
    draws = torch.tensor([[[1.0, 7.0]], [[2.0, 7.0]]])
    draw = from_draws(draws, torch.tensor([[True, False]]))
    batch = draw(torch.zeros(1000, dtype=torch.long), torch.ones((1000, 1)), generator)
    assert batch.y[:, 0].mean().item() == pytest.approx(1.5, abs=0.05)
    assert batch.taught is not None
    assert batch.taught[0].tolist() == [False, True]


def test_a_fifth_of_the_rows_is_not_told_its_risk(generator: torch.Generator) -> None:
    batch = told_risk(torch.zeros(1, 1), torch.full((1, 1), 3.0))(
        torch.zeros(10_000, dtype=torch.long), torch.ones((10_000, 1)), generator
    )
    assert batch.condition is not None
    assert batch.condition.mean(0).tolist() == pytest.approx([2.4, 0.8], abs=0.04)


def test_the_posterior_mean_of_rows_is_that_of_their_gaussian() -> None:
    rng = np.random.default_rng(0)
    k = np.array([[1.0, 0.8], [0.8, 1.0]])
    x = rng.multivariate_normal([2.0, -1.0], k, size=20_000)
    risk = np.where(np.arange(20_000)[:, None] % 2 == [0, 1], 0.7, 0.0)
    y = x + risk * rng.standard_normal(x.shape)
    found = posterior_mean(y, risk)
    # the exact entry gives N(.8 z, .36), the reading N(y, .49): weights .49 / .85 and .36 / .85
    expected = 2 + (0.49 * 0.8 * (x[0, 1] + 1) + 0.36 * (y[0, 0] - 2)) / 0.85
    assert found[0] == pytest.approx([expected, y[0, 1]], abs=0.03)


def dense(prior: Factors) -> Tensor:
    return prior.loadings @ prior.loadings.T + torch.diag(prior.variance)


def test_the_factors_condition_as_the_dense_gaussian(generator: torch.Generator) -> None:
    parts = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((5,), (5, 2), (5,)))
    mean, loadings, spread = parts
    prior = Factors(mean, loadings, spread.square() + 0.1)
    tau = 2 * torch.rand((3, 5), generator=generator, dtype=torch.float64)
    tau[0, 1] = math.inf
    m = torch.randn((3, 5), generator=generator, dtype=torch.float64)
    found, variance = prior(m, tau)
    k = dense(prior)
    for row in range(3):
        there = torch.isfinite(tau[row])
        gain = k[:, there] @ torch.linalg.inv(k[there][:, there] + torch.diag(tau[row, there] ** 2))
        torch.testing.assert_close(found[row], mean + gain @ (m[row, there] - mean[there]))
        torch.testing.assert_close(variance[row], torch.diag(k - gain @ k[there]))


def test_the_fitted_factors_are_those_of_the_clean_rows() -> None:
    rng = np.random.default_rng(1)
    k = 0.7 * np.ones((4, 4)) + 0.3 * np.eye(4)
    x = rng.multivariate_normal(np.zeros(4), k, size=40_000)
    risk = rng.choice([0.0, 0.5, 1.0, np.inf], size=x.shape)
    y = np.where(np.isfinite(risk), x + np.where(np.isfinite(risk), risk, 0) * rng.standard_normal(x.shape), np.nan)
    assert dense(fit_factors(y, risk, most=1)).numpy() == pytest.approx(k, abs=0.05)


@pytest.mark.parametrize("sde", SCHEDULES)
def test_without_training_the_sampler_draws_the_gaussian(sde: str, generator: torch.Generator) -> None:
    mean, loadings = torch.tensor([1.0, -1.0]), torch.tensor([[0.8], [0.6]])
    network = Denoiser(Factors(mean, loadings, torch.tensor([0.2, 0.3])), Budget())
    with torch.no_grad():
        rows = generate(network.estimate, (5_000, 2), SCHEDULES[sde], 30, generator)
    assert rows.mean(0).tolist() == pytest.approx(mean.tolist(), abs=0.05)
    torch.testing.assert_close(torch.cov(rows.T), dense(network.prior), atol=0.06, rtol=0)


def test_levels_fall_from_the_largest_of_each_sde() -> None:
    for sde, largest in (("VE", 50.0), ("VP", math.sqrt(math.exp(10.05) - 1))):
        levels = levels_of(SCHEDULES[sde], 50)
        assert levels[0] == pytest.approx(largest, rel=1e-4)
        assert np.all(np.diff(levels) < 0)
        assert levels[-1] < 0.02


def test_wasserstein_distances_in_closed_form() -> None:
    rng = np.random.default_rng(0)
    one = rng.standard_normal((500, 3))
    shift = np.array([2.0, 1.0, 2.0])
    assert wasserstein(one, one[::-1]) == 0
    assert wasserstein(one, one + shift) == pytest.approx(3.0)
    assert sliced_wasserstein(one, one + shift, directions=20_000) == pytest.approx(3.0, rel=0.02)
    assert sliced_wasserstein(np.repeat(one, 3, axis=0), one) == 0
    with pytest.raises(DataError, match="whole number"):
        sliced_wasserstein(one, one[:300])
    line = rng.standard_normal((500, 1))
    assert sliced_wasserstein(line, 1.5 * line) == pytest.approx(wasserstein(line, 1.5 * line))  # on a line both sort
    assert wasserstein(line, 1.5 * line) == pytest.approx(0.5 * np.sqrt(np.mean(line**2)))
    with pytest.raises(DataError, match="samples"):
        wasserstein(one, one[:3])


def noisy_rows(count: int = 4000) -> Rows:
    """Return Gaussian rows of variance 1, half of their entries measured with risk 1."""
    rng = np.random.default_rng(3)
    clean, truth = rng.standard_normal((2, count, 4)) @ np.linalg.cholesky(0.5 * np.ones((4, 4)) + 0.5 * np.eye(4)).T
    risk = np.where(rng.random(clean.shape) < 0.5, 1.0, 0.0)
    value = clean + risk * rng.standard_normal(clean.shape)
    return Rows(value, risk, risk > 0, np.zeros((0, *clean.shape)), clean, truth)


@pytest.mark.parametrize(
    ("method", "variance"),
    [
        ("floor", 1.0),
        ("oracle", 1.0),
        ("standard", 1.5),
        ("clean", 1.0),
        ("denoise", 0.78),
        ("ambient", 1.0),
        ("ours", 1.0),
    ],
)
def test_the_variance_that_each_method_generates(method: str, variance: float, generator: torch.Generator) -> None:
    budget = Budget(steps=60, width=16, layers=2, evaluations=25)
    made = METHODS[method](noisy_rows(), SCHEDULES["VE"], budget, generator, 2000)
    assert made.var(0).mean().item() == pytest.approx(variance, abs=0.13)


@pytest.mark.parametrize("method", ["conditional", "variable", "regressor"])
def test_guidance_by_risk_goes_from_noisy_rows_towards_clean_ones(method: str, generator: torch.Generator) -> None:
    rng = np.random.default_rng(4)
    clean = rng.standard_normal((4000, 1))
    risk = np.where(rng.random(clean.shape) < 0.5, 3.0, 0.0)
    rows = Rows(clean + risk * rng.standard_normal(clean.shape), risk, risk > 0, np.zeros((0, 4000, 1)), clean, clean)
    budget = Budget(steps=250, width=32, layers=2, evaluations=25, rate=8e-3)
    made = METHODS[method](rows, SCHEDULES["VE"], budget, generator, 2000)
    assert 0.5 < made.var().item() < 4.8  # all rows have 5.5, the exact ones 1


def test_methods_that_have_no_rows_say_so(generator: torch.Generator) -> None:
    rows = noisy_rows(20)
    with pytest.raises(DataError, match="measurements"):
        METHODS["ours-drawn"](rows, SCHEDULES["VE"], Budget(), generator, 5)
    spoilt = replace(rows, spoilt=np.ones_like(rows.spoilt))
    with pytest.raises(DataError, match="0 without risk"):
        METHODS["clean"](spoilt, SCHEDULES["VE"], Budget(), generator, 5)


def result(method: str, seed: int, sliced: float) -> Result:
    return Result("diabetes-noisy", "VE", method, seed, sliced, 2 * sliced, 1.0, 1.0, 1.0, {})


def test_the_table_takes_ratios_seed_by_seed() -> None:
    found = [result("standard", 0, 1.0), result("standard", 1, 3.0), result("ours", 0, 0.5), result("ours", 1, 1.0)]
    line = next(text for text in table(found).splitlines() if " ours " in text)
    assert line.split()[:5] == ["ours", "0.750", "±", "0.354", "2.50"]


def test_only_fills_have_draws() -> None:
    assert wanted(["fair-filled", "fair-noisy"], ["ours-drawn"], ["VP"]) == [("fair-filled", "VP", "ours-drawn")]


def test_the_command_resumes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["diabetes-filled", "--sde", "VE", "--methods", "floor", "ours-missing", "--seed", "0", "--steps", "3"]
    main([*arguments, "--out", str(tmp_path)])
    first = capsys.readouterr().out
    assert "diabetes-filled VE ours-missing 0:" in first
    main([*arguments, "--out", str(tmp_path)])
    again = capsys.readouterr().out
    assert "ours-missing 0:" not in again
    assert first.endswith(again)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "diabetes-filled-VE-floor-0.json",
        "diabetes-filled-VE-ours-missing-0.json",
    ]


def test_a_run_is_reproduced_by_its_seed() -> None:
    budget = Budget(steps=3, evaluations=5)
    one, two = (run("diabetes-noisy", "VP", "ours", 4, budget) for _ in range(2))
    assert one.sliced == two.sliced
    assert one.exact == two.exact
    with pytest.raises(ConfigError, match="name"):
        run("iris-noisy", "VP", "ours", 4, budget)
