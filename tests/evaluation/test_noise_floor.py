"""The study below the noise floor: its scores and its exact denoiser, against closed forms."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from rstime import scores
from rstime.evaluation.noise_floor import (
    LAWS,
    STUDIES,
    Small,
    distance,
    exact,
    half_difference,
    joined,
    moments,
    sample,
)


def test_distance_is_the_crps_above_that_of_the_law_of_the_truth() -> None:
    """For N(0, 1) and N(d, 1): E|X - Y| - 2 / sqrt(pi), with X - Y ~ N(d, 2)."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 60, 4000))
    assert half_difference(a).mean() == pytest.approx(1 / np.sqrt(np.pi), abs=5e-3)
    assert distance(a, b).mean() == pytest.approx(0.0, abs=2e-3)
    truth = rng.standard_normal(4000) + 1.0
    expected = scores.crps_gaussian(0.0, 1.0, truth).mean() - 1 / np.sqrt(np.pi)
    assert distance(a, b + 1.0).mean() == pytest.approx(expected, abs=0.02)
    assert expected == pytest.approx(0.27, abs=0.02)


@pytest.mark.parametrize("name", LAWS)
def test_exact_denoiser_is_the_mean_of_the_exact_posterior(name: str) -> None:
    law, rng = LAWS[name], np.random.default_rng(1)
    m = law.draw(rng, 4)
    tau = np.exp(rng.uniform(np.log(0.1), np.log(2.0), m.shape))
    found = exact(law, torch.from_numpy(m).float()[None], torch.from_numpy(tau).float())[0]
    expected = [law.posterior(*pair).moments().mean for pair in zip(m, tau, strict=True)]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_second_order_tweedie_at_the_exit_removes_most_of_what_the_gaussian_covariance_costs() -> None:
    """One reading of two narrow levels, all of risk .5: path ended at .71, exact denoiser."""
    setting = replace(STUDIES["levels"][0], lowest=0.5)
    law, K = setting.law, moments(setting)
    r = torch.full((200, 1), 0.5)
    rng = np.random.default_rng(2)
    y = torch.from_numpy(law.draw(rng, 200) + 0.5 * rng.standard_normal((200, 1))).float()
    pairs = zip(y.double().numpy(), r.double().numpy(), strict=True)
    best = np.stack([law.posterior(*pair).draw(rng, 400) for pair in pairs], 1)
    denoise = partial(exact, law)
    gaussian, tweedie = (distance(sample(denoise, prior, y, r, 0.5, 0), best).mean() for prior in (K, None))
    own = distance(sample(denoise, K, y, r, 0.5, 0, own=True), best).mean()
    assert gaussian > 4 * tweedie > 0
    assert own == pytest.approx(tweedie, rel=0.1)
    assert gaussian / half_difference(best).mean() == pytest.approx(0.23, abs=0.03)


def test_joined_takes_each_denoiser_at_its_levels() -> None:
    m, tau = torch.ones(2, 3, 1), torch.tensor([[0.1], [0.3], [0.5]])
    found = joined(0.3, lambda m, tau: 2 * m, lambda m, tau: 3 * m, m, tau)
    assert found[0, :, 0].tolist() == [3.0, 2.0, 2.0]


def test_network_starts_as_the_gaussian_model_but_for_a_shift_whatever_it_is_told() -> None:
    K = torch.tensor([[1.0, 0.5], [0.5, 1.0]])
    m, tau = torch.tensor([[[1.0, -2.0]]]), torch.tensor([[0.5, 1.0]])
    gain = torch.linalg.solve(K + torch.diag(tau[0] ** 2), K).T
    sd = (K - gain @ K).diagonal().sqrt()
    for model in (Small(K), Small(K, gain=5.0), Small(K, ratio=True)):
        shift = sd * model.net[-1].bias.detach()
        torch.testing.assert_close(model.denoise(m, tau)[0, 0].detach(), gain @ m[0, 0] + shift, rtol=0, atol=1e-5)
