"""Second-order Tweedie against the posterior covariances of a Gaussian and of a mixture."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from oracles.gaussian import GaussianOracle, exponential_covariance
from rstime.datasets.laws import GaussianTruth, MixtureTruth
from rstime.diffusion.tweedie import covariance, variances

N = 5
TAU = torch.linspace(0.2, 2.0, N, dtype=torch.float64).expand(2, N)
M = torch.randn(3, 2, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_gaussian_posterior() -> None:
    oracle = GaussianOracle(torch.linspace(-1, 1, N, dtype=torch.float64), exponential_covariance(N, 3.0))
    denoised, root = covariance(lambda m: oracle.denoise(m, TAU[0]), M, TAU)
    torch.testing.assert_close(denoised, oracle.denoise(M, TAU[0]))
    exact = oracle.gain(TAU[0])[1]
    torch.testing.assert_close(root @ root.mT, exact.expand(3, 2, N, N))


PARTS = tuple(
    GaussianTruth(np.full(N, centre), np.asarray(exponential_covariance(N, scale)) / 4)
    for centre, scale in ((-0.8, 2.0), (0.8, 6.0))
)
LAW = MixtureTruth(np.array([0.3, 0.7]), PARTS)


def denoise(m: Tensor) -> Tensor:
    """E[x | m] of the mixture, at the levels of TAU."""
    oracles = [GaussianOracle(torch.from_numpy(p.mean), torch.from_numpy(p.covariance)) for p in PARTS]
    logs = []
    for oracle, weight in zip(oracles, LAW.weights, strict=True):
        noisy = torch.distributions.MultivariateNormal(oracle.mu, oracle.K + torch.diag(TAU[0] ** 2))
        logs.append(noisy.log_prob(m) + float(np.log(weight)))
    shares = torch.softmax(torch.stack(logs), 0)
    return (shares[..., None] * torch.stack([oracle.denoise(m, TAU[0]) for oracle in oracles])).sum(0)


def test_mixture_posterior_which_depends_on_the_input() -> None:
    denoised, root = covariance(denoise, M, TAU)
    for i, j in np.ndindex(3, 2):
        exact = LAW.posterior(M[i, j].numpy(), TAU[j].numpy()).moments()
        np.testing.assert_allclose(denoised[i, j], exact.mean, atol=1e-7)
        np.testing.assert_allclose((root @ root.mT)[i, j], exact.covariance, atol=1e-7)
    assert float((root @ root.mT).diagonal(dim1=-2, dim2=-1).std(0).max()) > 0.05


def test_what_cannot_be_a_covariance_is_cut_to_one_that_can() -> None:
    """A rotation has no symmetric part, and a falling answer a negative variance."""
    turned = torch.tensor([[0.5, 1.0], [-1.0, -0.5]], dtype=torch.float64)
    _, root = covariance(lambda m: m @ turned.T, M[..., :2], torch.ones(2, 2, dtype=torch.float64))
    expected = torch.tensor([[0.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close((root @ root.mT)[0, 0], expected)


def signs(samples: int) -> Tensor:
    return torch.randn(samples, 2, N, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_variances_of_a_mixture_by_a_probe_for_each_entry_are_those_of_its_posterior() -> None:
    found = variances(denoise, denoise(M), M, TAU, signs(3), probes=N)
    exact = [[LAW.posterior(m.numpy(), TAU[0].numpy()).moments().covariance.diagonal() for m in row] for row in M]
    np.testing.assert_allclose(found, np.array(exact), rtol=0.03)


@pytest.mark.parametrize("probes", [1, 2, 4])
def test_fewer_probes_have_the_right_mean_and_fall_apart_less_the_more_they_are(probes: int) -> None:
    """The error of an entry is the sum of v_i v_j A_ij tau_i tau_j over the others that moved with it."""
    turned = torch.randn(N, N, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    m = M[:1].expand(4000, -1, -1)
    found = variances(lambda m: m @ turned.T, m @ turned.T, m, TAU, signs(4000), probes)
    together = (torch.arange(N)[:, None] - torch.arange(N)) % probes == 0
    error = (turned * torch.outer(TAU[0], TAU[0])).masked_fill(~together, 0.0)
    error.fill_diagonal_(0.0)
    torch.testing.assert_close(found.mean((0, 1)), TAU[0].square() * turned.diagonal(), rtol=0, atol=0.15)
    torch.testing.assert_close(found.std((0, 1)), error.norm(dim=1), rtol=0.05, atol=1e-8)


def test_exact_and_absent_entries_have_no_variance_from_the_denoiser() -> None:
    tau = torch.tensor([[0.0, math.inf, 0.5]], dtype=torch.float64)
    m = torch.ones(1, 1, 3, dtype=torch.float64)
    assert variances(lambda m: 2 * m, 2 * m, m, tau, m, 1).tolist() == [[[0.0, 0.0, pytest.approx(0.5)]]]
