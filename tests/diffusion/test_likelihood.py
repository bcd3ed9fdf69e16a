"""Likelihoods and predictive quantiles by the flow, against closed forms of Gaussians and mixtures of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import MultivariateNormal

from oracles.conditioned import COVARIANCES
from oracles.gaussian import GaussianOracle, exponential_covariance
from rstime.diffusion.likelihood import FLOOR, differentiate, log_likelihood, predictive

N, WINDOWS = 48, 8
RISKS = {
    "clean": [FLOOR],
    "noisy": [0.5],
    "of all kinds": [FLOOR, 0.3, 0.7, 1.5, math.inf],
}


@dataclass(frozen=True)
class Mixture:
    """Gaussian laws, one of which each window follows."""

    parts: tuple[GaussianOracle, ...]
    weights: Tensor

    def log_density(self, y: Tensor, r: Tensor) -> Tensor:
        """log p(y) in nats, (B,), of the entries of finite r."""
        seen = torch.isfinite(r)
        each = []
        for part in self.parts:
            covariance = part.K[seen][:, seen] + torch.diag(r[seen] ** 2)
            each.append(MultivariateNormal(part.mu[seen], covariance).log_prob(y[..., seen]))
        return torch.logsumexp(torch.stack(each) + self.weights.log()[:, *(None,) * (y.ndim - 1)], 0)

    def denoise(self, m: Tensor, tau: Tensor) -> Tensor:
        """E[x | m] for m (..., N) at tau (N,), the responsibilities computed from m: differentiable."""
        seen = torch.isfinite(tau)
        log, each = [], []
        for part, weight in zip(self.parts, self.weights, strict=True):
            covariance = part.K[seen][:, seen] + torch.diag(tau[seen] ** 2)
            log.append(weight.log() + MultivariateNormal(part.mu[seen], covariance).log_prob(m[..., seen]))
            each.append(part.denoise(m, tau))
        return (torch.softmax(torch.stack(log), 0)[..., None] * torch.stack(each)).sum(0)

    def draw(self, count: int, r: Tensor, generator: torch.Generator) -> Tensor:
        """Measurements of risk r (N,)."""
        chosen = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        x = torch.stack([part.draw(count, generator) for part in self.parts])[chosen, torch.arange(count)]
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return x + torch.where(torch.isfinite(r), r, 0.0) * noise


def risks(name: str) -> Tensor:
    return torch.tensor(RISKS[name], dtype=torch.float64).repeat(N)[:N]


def gaussian(name: str) -> Mixture:
    oracle = GaussianOracle(torch.linspace(-1, 1, N, dtype=torch.float64), COVARIANCES[name])
    return Mixture((oracle,), torch.ones(1, dtype=torch.float64))


def two_laws(n: int = 12) -> Mixture:
    """Windows that lie high and smooth, or low and rough: far from Gaussian."""
    smooth = GaussianOracle(torch.full((n,), 1.0, dtype=torch.float64), 0.2 * exponential_covariance(n, 8.0))
    rough = GaussianOracle(torch.full((n,), -1.5, dtype=torch.float64), 0.6 * exponential_covariance(n, 1.0))
    return Mixture((smooth, rough), torch.tensor([0.7, 0.3], dtype=torch.float64))


def closed(law: Mixture) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """The denoiser of one Gaussian, its derivatives the diagonal of its gain."""
    (part,) = law.parts
    return lambda m, tau: (part.denoise(m, tau), part.gain(tau)[0].diagonal())


def traced(law: Mixture, probes: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    return lambda m, tau: differentiate(lambda x: law.denoise(x, tau), m, probes)


def unit(n: int, windows: int) -> Tensor:
    return torch.eye(n, dtype=torch.float64)[:, None].expand(n, windows, n)


@pytest.mark.parametrize("name", COVARIANCES)
@pytest.mark.parametrize("kind", RISKS)
def test_likelihood_of_correlated_gaussian_data_is_exact(name: str, kind: str) -> None:
    """Clean, noisy, and each entry at its own risk, missing ones marginalised: to .001 nat a measurement."""
    law, r = gaussian(name), risks(kind)
    y, scored = law.draw(WINDOWS, r, torch.Generator().manual_seed(3)), torch.isfinite(r)
    found = log_likelihood(closed(law), y, r, scored)
    error = (found - law.log_density(y, r)) / int(scored.sum())
    assert float(error.abs().max()) < 0.001


def test_a_steeper_tolerance_leaves_a_smaller_error() -> None:
    law, r = gaussian("random walk"), risks("noisy")
    y = law.draw(WINDOWS, r, torch.Generator().manual_seed(3))
    errors = [
        float((log_likelihood(closed(law), y, r, r > 0, tolerance) - law.log_density(y, r)).abs().max() / N)
        for tolerance in (1e-2, 1e-5)
    ]
    assert errors[1] < 1e-4
    assert errors[1] < 0.2 * errors[0]


@pytest.mark.parametrize("name", COVARIANCES)
def test_likelihood_of_the_last_part_given_the_rest(name: str) -> None:
    """By the conditional denoiser, in one run: the difference of two joint likelihoods, as closed forms and as runs."""
    law, r = gaussian(name), risks("of all kinds")
    y = law.draw(WINDOWS, r, torch.Generator().manual_seed(5))
    seen, late = torch.isfinite(r), torch.arange(N) >= 3 * N // 4
    before = torch.where(late, math.inf, r)
    found = log_likelihood(closed(law), y, r, seen & late)
    want = law.log_density(y, r) - law.log_density(y, before)
    joint, past = (log_likelihood(closed(law), y, risk, torch.isfinite(risk)) for risk in (r, before))
    count = int((seen & late).sum())
    assert float(((found - want) / count).abs().max()) < 0.002
    assert float(((joint - past - want) / count).abs().max()) < 0.005


def test_likelihood_of_a_mixture_with_exact_traces() -> None:
    law, r = two_laws(), torch.tensor([0.1, 0.4, math.inf] * 4, dtype=torch.float64)
    y = law.draw(WINDOWS, r, torch.Generator().manual_seed(1))
    found = log_likelihood(traced(law, unit(12, WINDOWS)), y, r, torch.isfinite(r))
    torch.testing.assert_close(found / 8, law.log_density(y, r) / 8, rtol=0, atol=0.002)
    moments = law.log_density(y, torch.where(torch.isfinite(r), 10.0, r))
    assert float((found - moments).abs().min()) > 1  # another risk, another likelihood


def test_random_signs_are_unbiased_and_their_spread_is_that_of_the_trace() -> None:
    law, r = two_laws(), torch.full((12,), 0.3, dtype=torch.float64)
    y = law.draw(1, r, torch.Generator().manual_seed(2)).expand(64, 12)
    generator = torch.Generator().manual_seed(0)
    probes = 2.0 * torch.randint(2, (2, 64, 12), generator=generator) - 1
    found = log_likelihood(traced(law, probes.double() / math.sqrt(2)), y, r, r > 0, 1e-3) / 12
    want = float(law.log_density(y[:1], r)) / 12
    spread = float(found.std())
    assert 0.001 < spread < 0.1
    assert abs(float(found.mean()) - want) < 3.5 * spread / 8


def test_derivatives_by_unit_vectors_are_the_jacobian_of_autograd() -> None:
    law, tau = two_laws(), torch.tensor([0.2, 0.9, math.inf] * 4, dtype=torch.float64)
    m = law.draw(2, tau, torch.Generator().manual_seed(2))
    value, found = differentiate(lambda x: law.denoise(x, tau), m, unit(12, 2))
    torch.testing.assert_close(value, law.denoise(m, tau))
    for row, diagonal in zip(m, found, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: law.denoise(x, tau), row)
        torch.testing.assert_close(diagonal, jacobian.diagonal())


WEIGHTS, MEANS, SDS = ([0.7, 0.3], [1.0, -1.5], [0.45, 0.2])


def denoise_peaks(m: Tensor, tau: Tensor) -> Tensor:
    """E[x | m] of single values that lie in one of two peaks, entry by entry."""
    weights, means, sds = (torch.tensor(x, dtype=torch.float64) for x in (WEIGHTS, MEANS, SDS))
    variance = sds**2 + tau[..., None] ** 2
    z = m[..., None] - means
    share = torch.softmax(weights.log() - 0.5 * variance.log() - 0.5 * z**2 / variance, -1)
    return (share * (means + sds**2 / variance * z)).sum(-1)


def peaks_with_slope(m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    return differentiate(lambda x: denoise_peaks(x, tau), m, torch.ones_like(m)[None])


def moments_of_peaks(y: Tensor) -> tuple[Tensor, Tensor]:
    mean = sum(w * a for w, a in zip(WEIGHTS, MEANS, strict=True))
    variance = sum(w * (sd**2 + a**2) for w, a, sd in zip(WEIGHTS, MEANS, SDS, strict=True)) - mean**2
    return torch.full_like(y, mean), torch.full_like(y, variance)


@pytest.mark.parametrize("risk", [FLOOR, 0.3, 1.0, 5.0])
def test_place_and_density_are_those_of_the_predictive_law(risk: float) -> None:
    """Between the peaks, in them, and far out on both sides."""
    y = torch.tensor([[-4.0, -1.5, -0.3, 0.4, 1.0, 4.0]], dtype=torch.float64)
    score, density = predictive(peaks_with_slope, y, torch.full_like(y, risk), *moments_of_peaks(y))
    laws = [stats.norm(a, math.hypot(sd, risk)) for a, sd in zip(MEANS, SDS, strict=True)]
    below, above, height = (
        sum(w * getattr(law, side)(y[0].numpy()) for w, law in zip(WEIGHTS, laws, strict=True))
        for side in ("cdf", "sf", "pdf")
    )
    want = np.where(below < 0.5, stats.norm.ppf(below), -stats.norm.ppf(above))
    np.testing.assert_allclose(score[0].numpy(), want, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(density[0].numpy(), np.log(height), rtol=2e-3, atol=2e-3)


def test_between_two_peaks_no_tail_but_a_low_density() -> None:
    y = torch.tensor([[-0.3, -1.5, 1.4]], dtype=torch.float64)
    score, density = predictive(peaks_with_slope, y, torch.full_like(y, 0.1), *moments_of_peaks(y))
    assert int(score[0].abs().argmin()) == 0  # the least far out
    assert float(density[0, 1:].min() - density[0, 0]) > 2


def test_density_of_one_entry_is_the_likelihood_given_the_others() -> None:
    """In closed form for a Gaussian law: -z^2 / 2 - log sd - log(2 pi) / 2."""
    y, r = torch.tensor([[2.0, -1.0, 0.1]], dtype=torch.float64), torch.tensor([[FLOOR, 0.5, 2.0]]).double()
    mean, variance = torch.tensor([[0.5, -0.2, 0.1]]).double(), torch.tensor([[0.3, 1.0, 0.05]]).double()

    def denoise(m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        gain = variance / (variance + tau.square())
        return mean + gain * (m - mean), gain

    score, density = predictive(denoise, y, r, mean, variance)
    sd = (variance + r.square()).sqrt()
    torch.testing.assert_close(score, (y - mean) / sd, rtol=1e-3, atol=1e-3)
    want = -0.5 * ((y - mean) / sd).square() - sd.log() - 0.5 * math.log(2 * math.pi)
    torch.testing.assert_close(density, want, rtol=1e-3, atol=1e-3)
    for i in range(3):
        one = torch.arange(3) == i
        alone = log_likelihood(denoise, y, torch.where(one, r, math.inf), one[None])
        torch.testing.assert_close(alone[0], density[0, i], rtol=0, atol=5e-3)
