"""The two training steps that are compared: both losses are what their prior expects, and both are measured."""

from __future__ import annotations

import pytest
import torch

from rstime.denoiser import Denoiser
from rstime.evaluation import overhead
from rstime.gaussian import GaussianModel
from rstime.network.transformer import SIZES, Transformer


@pytest.mark.parametrize("channels", [7, 36])
def test_an_untrained_network_costs_what_a_white_prior_expects(channels: int) -> None:
    """Entries have variance 1: at any level (D - x)^2 / V is 1 in the mean, and so is the weighted loss."""
    generator = torch.Generator().manual_seed(0)
    network = Transformer(SIZES["tiny"], channels, 0, 48.0)
    batch = overhead.make_batch(channels, False, generator)
    assert float(overhead.plain_loss(network, batch, generator).detach()) == pytest.approx(1.0, abs=0.1)
    prior = GaussianModel(channels, 0, 48.0, joint=channels == 7)
    prior.whiten()
    with torch.no_grad():
        loss = overhead.risky_loss(Denoiser(prior, network), batch, generator)
    assert float(loss) == pytest.approx(1.0, abs=0.1)


def test_the_measure_counts_time_and_memory() -> None:
    cost = overhead.measure(2, True, "tiny", 1)
    assert 0 < cost.seconds < 30
    assert cost.megabytes >= 0
