"""Second-order Tweedie against the posterior covariances of a Gaussian and of a mixture."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from oracles.gaussian import GaussianOracle, exponential_covariance
from rstime.datasets.laws import GaussianTruth, MixtureTruth
from rstime.diffusion.tweedie import covariance

N = 5
TAU = torch.linspace(0.2, 2.0, N, dtype=torch.float64).expand(2, N)
M = torch.randn(3, 2, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_gaussian_posterior() -> None:
    oracle = GaussianOracle(torch.linspace(-1, 1, N, dtype=torch.float64), exponential_covariance(N, 3.0))
    denoised, root = covariance(lambda m: oracle.denoise(m, TAU[0]), M, TAU)
    torch.testing.assert_close(denoised, oracle.denoise(M, TAU[0]))
    exact = oracle.gain(TAU[0])[1]
    torch.testing.assert_close(root @ root.mT, exact.expand(3, 2, N, N))


def test_mixture_posterior_which_depends_on_the_input() -> None:
    parts = [
        GaussianTruth(np.full(N, centre), np.asarray(exponential_covariance(N, scale)) / 4)
        for centre, scale in ((-0.8, 2.0), (0.8, 6.0))
    ]
    law = MixtureTruth(np.array([0.3, 0.7]), tuple(parts))
    oracles = [GaussianOracle(torch.from_numpy(p.mean), torch.from_numpy(p.covariance)) for p in parts]

    def denoise(m: Tensor) -> Tensor:
        logs = []
        for oracle, weight in zip(oracles, law.weights, strict=True):
            noisy = torch.distributions.MultivariateNormal(oracle.mu, oracle.K + torch.diag(TAU[0] ** 2))
            logs.append(noisy.log_prob(m) + float(np.log(weight)))
        shares = torch.softmax(torch.stack(logs), 0)
        return (shares[..., None] * torch.stack([oracle.denoise(m, TAU[0]) for oracle in oracles])).sum(0)

    denoised, root = covariance(denoise, M, TAU)
    for i, j in np.ndindex(3, 2):
        exact = law.posterior(M[i, j].numpy(), TAU[j].numpy()).moments()
        np.testing.assert_allclose(denoised[i, j], exact.mean, atol=1e-7)
        np.testing.assert_allclose((root @ root.mT)[i, j], exact.covariance, atol=1e-7)
    assert float((root @ root.mT).diagonal(dim1=-2, dim2=-1).std(0).max()) > 0.05


def test_what_cannot_be_a_covariance_is_cut_to_one_that_can() -> None:
    """A rotation has no symmetric part, and a falling answer a negative variance."""
    turned = torch.tensor([[0.5, 1.0], [-1.0, -0.5]], dtype=torch.float64)
    _, root = covariance(lambda m: m @ turned.T, M[..., :2], torch.ones(2, 2, dtype=torch.float64))
    expected = torch.tensor([[0.5, 0.0], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close((root @ root.mT)[0, 0], expected)
