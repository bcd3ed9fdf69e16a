"""Keyed noise: normal, independent across everything that names it, and the same in any batch."""

from __future__ import annotations

import pytest
import torch
from scipy import stats

from rstime.diffusion.noise import keyed_normal
from rstime.windows import stamp_keys

COUNT = 100_000


def streams() -> dict[str, torch.Tensor]:
    """Return numbers in a row along each thing that names them, the others held."""
    few, many = torch.arange(1), torch.arange(COUNT)
    stamps = torch.from_numpy(stamp_keys("a", torch.arange(COUNT).double().numpy()))
    return {
        "samples": keyed_normal(0, few, many, 0).flatten(),
        "keys": keyed_normal(0, many, few, 0).flatten(),
        "stamps": keyed_normal(0, stamps, few, 0).flatten(),
        "steps": torch.cat([keyed_normal(0, torch.arange(1000), few, step).flatten() for step in range(100)]),
        "seeds": torch.cat([keyed_normal(seed, torch.arange(1000), few, 0).flatten() for seed in range(100)]),
    }


@pytest.mark.parametrize("name", streams())
def test_numbers_are_standard_normal_and_uncorrelated(name: str) -> None:
    z = streams()[name].double()
    assert len(z) == COUNT
    assert stats.kstest(z.numpy(), "norm").pvalue > 1e-3
    assert abs(float(z.mean())) < 4 / COUNT**0.5
    assert float(z.square().mean()) == pytest.approx(1, abs=4 * (2 / COUNT) ** 0.5)
    assert float(z.pow(4).mean()) == pytest.approx(3, abs=4 * (96 / COUNT) ** 0.5)
    for lag in (1, 2, 3, 1000):
        assert abs(float((z[lag:] * z[:-lag]).mean())) < 4.5 / COUNT**0.5, lag
        assert abs(float((z[lag:].square() * z[:-lag].square()).mean()) - 1) < 4.5 * (8 / COUNT) ** 0.5, lag


def test_no_two_names_share_a_number() -> None:
    """Neighbours in seed, key, sample and step: 20^4 numbers, hardly any twice."""
    keys, samples = torch.arange(20), torch.arange(20)
    z = torch.stack([keyed_normal(seed, keys, samples, step) for seed in range(20) for step in range(20)])
    assert len(z.flatten().unique()) > 0.99 * z.numel()


def test_a_number_depends_on_its_name_only() -> None:
    keys = torch.tensor([[5, -7, 2**62], [0, -(2**62), 99]])
    whole = keyed_normal(3, keys, torch.arange(10), 4)
    assert whole.shape == (10, 2, 3)
    assert whole.dtype == torch.float32
    part = keyed_normal(3, keys[1:, [2, 0]], torch.tensor([7, 1]), 4)
    assert torch.equal(part, whole[[7, 1], 1:][..., [2, 0]])
    for other in (keyed_normal(4, keys, torch.arange(10), 4), keyed_normal(3, keys, torch.arange(10), 5)):
        assert not torch.isclose(other, whole).any()


def test_numbers_are_the_same_on_every_machine() -> None:
    """Frozen: a saved seed keeps its samples across versions."""
    found = keyed_normal(2026, torch.tensor([-5, 2**62]), torch.arange(2), 3)
    expected = torch.tensor([[-1.2576599, -0.7512176], [-0.3942080, 0.8803957]])
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
