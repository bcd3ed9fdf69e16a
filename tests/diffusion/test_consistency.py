"""Consistency against closed forms: 0 at the exact denoiser, and the squared error of a wrong one."""

from __future__ import annotations

import math
import statistics

import pytest
import torch
from torch import Tensor

from oracles.gaussian import GaussianOracle, exponential_covariance
from rstime.consistency import consistency
from rstime.denoiser import Denoiser
from rstime.diffusion.consistency import consistency_loss, descend
from rstime.diffusion.levels import fuse
from rstime.examples import Example, Part, example_loss, make_example
from rstime.gaussian import GaussianModel
from rstime.network.transformer import NetworkConfig, Transformer
from rstime.tokens import Tokens
from rstime.training import Trainer, TrainingConfig
from rstime.types import Batch

INF = math.inf
N = 8
ORACLE = GaussianOracle(torch.linspace(-1, 1, N, dtype=torch.float64), exponential_covariance(N, 3.0))
LEVELS = {
    "one": torch.full((N,), 0.5, dtype=torch.float64),
    "many": torch.tensor([0.05, 0.3, 1.0, INF, 0.3, 3.0, INF, 0.7], dtype=torch.float64),
    "none": torch.full((N,), INF, dtype=torch.float64),
}
STATES = (0.05, 0.5, 2.0, INF)


def inputs(tau: Tensor, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    x = ORACLE.draw(count, generator)
    e = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    return x + tau.nan_to_num(posinf=0.0) * e


@pytest.mark.parametrize("s", STATES)
@pytest.mark.parametrize("name", LEVELS)
def test_the_exact_denoiser_is_consistent_at_every_pair_of_levels(name: str, s: float) -> None:
    """Both are linear, so that the mean over draws is the answer at the mean of the draws."""
    tau = LEVELS[name]
    m = inputs(tau, 5)
    above = ORACLE.denoise(m, tau)
    below, lowered = fuse(above, s, m, tau)
    torch.testing.assert_close(1 / lowered**2, 1 / tau**2 + 1 / s**2)
    torch.testing.assert_close(ORACLE.denoise(below, lowered), above, rtol=0, atol=1e-9)


@pytest.mark.parametrize("s", [0.1, 0.4])
def test_paths_have_the_law_of_the_reverse_process(s: float) -> None:
    """m'' is linear in the noise of the path: its mean is m fused with D, its covariance that of m fused with x + s e.

    Gaussian, of one entry a window, with K = 1: the covariance is share^2 (Var[x | m] + s^2).
    """
    tau = torch.tensor([[0.5]], dtype=torch.float64)
    m, e = torch.full((1, 1, 1), 1.0, dtype=torch.float64), torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    below, lowered = descend(lambda m, tau: m / (1 + tau**2), m, tau, s, e[:, None, None])
    share = float(lowered) ** 2 / s**2
    mean, variance = 1 / 1.25, 0.2
    assert float(lowered) == pytest.approx(1 / math.sqrt(4 + 1 / s**2))
    assert float(below[1]) == pytest.approx(share * mean + (1 - share) * 1.0, abs=2e-3)
    assert float(below[2] - below[0]) / 2 == pytest.approx(share * math.sqrt(variance + s**2), rel=0.02)


def peaks(m: Tensor, tau: Tensor) -> Tensor:
    """E[x | m] where x is near -1 or 1, equally likely, sd .2."""
    total = 0.04 + tau**2
    return (0.04 * m + tau**2 * torch.tanh(m / total)) / total


@pytest.mark.parametrize("s", [0.1, 0.2, 0.4])
def test_a_path_keeps_the_martingale_between_two_peaks_where_a_gaussian_draw_does_not(s: float) -> None:
    """E[D''] = D, integrated over quantiles of the noise; one draw of x from N(D, V) of the Gaussian model is off."""
    tau, m = torch.tensor([[0.5]], dtype=torch.float64), torch.full((1, 1, 1), 0.2, dtype=torch.float64)
    ranks = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    e = torch.distributions.Normal(0.0, 1.0).icdf(ranks)[:, None, None]
    mean = float(peaks(m, tau))
    assert mean == pytest.approx(0.5429, abs=1e-4)
    assert float(peaks(*descend(peaks, m, tau, s, e)).mean()) == pytest.approx(mean, abs=0.004)
    drawn = mean + math.sqrt(0.2 + s**2) * e  # V = tau^2 / (1 + tau^2) = .2
    assert float(peaks(*fuse(drawn, s, m, tau)).mean()) > mean + 0.03


def product(wrong: float, count: int = 40000) -> tuple[Tensor, Tensor]:
    """Loss of a denoiser that is exact at tau' and off by a factor at tau'', per entry, and the square it estimates."""
    generator = torch.Generator().manual_seed(1)
    tau, s = LEVELS["one"], 0.4
    m = inputs(tau, 1).expand(count, N)
    above, root = ORACLE.denoise(m, tau), torch.linalg.cholesky(ORACLE.gain(tau)[1])
    answers = []
    for _ in range(2):
        clean = above + torch.randn(count, N, generator=generator, dtype=torch.float64) @ root.T
        e = torch.randn(count, N, generator=generator, dtype=torch.float64)
        below, lowered = fuse(clean + s * e, s, m, tau)
        answers.append(wrong * ORACLE.denoise(below, lowered))
    first, second = answers
    loss = consistency_loss(above, first, second, torch.ones(N, dtype=torch.float64))
    return loss, ((1 - wrong) * above[0]).square()


def test_the_product_of_two_draws_is_an_unbiased_square() -> None:
    loss, square = product(1.0)
    error = loss.std(0) / math.sqrt(len(loss))
    assert float((loss.mean(0) / error).abs().max()) < 3.5
    loss, square = product(1.5)
    error = loss.std(0) / math.sqrt(len(loss))
    assert float(((loss.mean(0) - square) / error).abs().max()) < 3.5
    assert float(loss.mean()) > 0.05


def test_another_law_is_consistent_with_itself() -> None:
    """Consistency alone does not tell laws apart: the levels above, which data teach, must."""
    other = GaussianOracle(ORACLE.mu, 2 * ORACLE.K)
    tau, s = LEVELS["one"], 0.4
    m = inputs(tau, 3)
    above = other.denoise(m, tau)
    below, lowered = fuse(above, s, m, tau)
    torch.testing.assert_close(other.denoise(below, lowered), above)
    exact = ORACLE.denoise(m, tau)
    below, lowered = fuse(exact, s, m, tau)
    assert float((other.denoise(below, lowered) - exact).abs().max()) > 0.02


def test_gradient_is_that_of_the_square_and_reaches_one_draw_only() -> None:
    above, first, second = (torch.tensor([x], requires_grad=True) for x in (1.0, 0.5, 0.8))
    loss = consistency_loss(above, first, second, torch.tensor([0.5]))
    assert loss.item() == pytest.approx(0.5 * 0.2 / 0.5)
    loss.backward()  # type: ignore[no-untyped-call]
    assert above.grad is None
    assert second.grad is None
    assert first.grad is not None
    assert float(first.grad) == pytest.approx(-2 * 0.2 / 0.5)


T = 6


def make_example_at(levels: float) -> tuple[Denoiser, Example]:
    """Draws of the prior's own law at one level, and a network that says nothing yet."""
    torch.manual_seed(0)
    prior = GaussianModel(1, 0, float(T))
    denoiser = Denoiser(prior, Transformer(NetworkConfig(16, 1, 1), 1, 0, float(T)))
    cell = torch.arange(T).expand(160, -1)
    tokens = Tokens(cell.float(), torch.zeros_like(cell), torch.zeros(160, T, 0), cell >= 0, cell)
    with torch.no_grad():
        root = torch.linalg.cholesky(prior.covariance(tokens)[0])
        m = torch.randn(160, T) @ root.T.float() + levels * torch.randn(160, T)
        tau = torch.full_like(m, levels)
        belief = prior.condition(tokens, tau).belief(m[None])
    return denoiser, Example(Part(tokens, m, tau, tau, torch.zeros_like(m), m, belief))


def estimate(denoiser: Denoiser, example: Example) -> tuple[float, float]:
    """Mean of the loss over draws, and its standard error."""
    losses = [consistency(denoiser, example, torch.Generator().manual_seed(i)).item() for i in range(12)]
    return statistics.fmean(losses), statistics.stdev(losses) / math.sqrt(len(losses))


def test_model_is_consistent_as_long_as_it_is_gaussian() -> None:
    denoiser, example = make_example_at(0.5)
    mean, error = estimate(denoiser, example)
    assert error < 0.02
    assert abs(mean) < 3.5 * error
    assert denoiser.network is not None
    torch.nn.init.normal_(denoiser.network.head.weight, std=1.0)  # a network that says anything
    mean, error = estimate(denoiser, example)
    assert mean > 3.5 * error


def test_loss_of_training_is_unchanged_without_it_and_moves_the_network_with_it() -> None:
    denoiser, example = make_example_at(0.5)
    assert denoiser.network is not None
    torch.nn.init.normal_(denoiser.network.head.weight, std=0.3)
    plain = Trainer(denoiser, lambda step: example, [], TrainingConfig())
    torch.testing.assert_close(plain.loss(example), example_loss(denoiser, example), rtol=0, atol=0)
    asked = Trainer(denoiser, lambda step: example, [], TrainingConfig(consistency=1.0))
    loss = asked.loss(example)
    torch.testing.assert_close(asked.loss(example), loss, rtol=0, atol=0)
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = denoiser.network.head.weight.grad
    assert gradient is not None
    assert float(gradient.norm()) > 0


@pytest.mark.parametrize("readings", [1, T])
def test_windows_whose_readings_are_all_hidden_ask_nothing(readings: int) -> None:
    """A window of one reading has it hidden in every step."""
    denoiser, _ = make_example_at(0.5)
    assert denoiser.network is not None
    torch.nn.init.normal_(denoiser.network.head.weight, std=0.3)
    generator, time = torch.Generator().manual_seed(0), torch.arange(T).expand(8, -1)
    risk = torch.where(time < readings, 0.3, INF)[..., None].clone()
    risk[2:] = 0.3
    value = torch.randn(8, T, 1, generator=generator)
    batch = Batch(value, risk, time.float(), torch.zeros(8, T, 0), torch.ones(8, T, 1) > 0, time)
    example = make_example(denoiser, batch, generator, 1.0, TrainingConfig().patterns)
    loss = consistency(denoiser, example, generator)
    assert bool(loss == 0) == (readings == 1)
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = denoiser.network.head.weight.grad
    assert gradient is not None
    assert bool(gradient.isfinite().all())
    assert bool(gradient.norm() > 0) == (readings > 1)
