"""The likelihood of separate channels: what is drawn of a window, and that the fit reaches the truth."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rstime.evaluation.spec import NAMED
from rstime.evaluation.tasks import build
from rstime.gaussian import GaussianModel
from rstime.gaussian_fit import GaussianConfig, adam, fit_gaussian, lone_channels, measurements, usual_steps
from rstime.model import RiskDiffusion
from rstime.types import Batch

B, T, C = 4, 30, 6


def make_batch(seed: int = 0, share: float = 0.7, white: float = 0.3, channels: int = C) -> Batch:
    """Windows of Ornstein-Uhlenbeck channels with white noise, mean 1, partly noisy, partly missing."""
    generator = torch.Generator().manual_seed(seed)
    shape = (B, T, channels)
    normal = torch.randn(shape, generator=generator)
    x = normal.clone()
    for t in range(1, T):
        x[:, t] = 0.9 * x[:, t - 1] + math.sqrt(1 - 0.9**2) * normal[:, t]
    x = 1 + x + math.sqrt(white) * torch.randn(shape, generator=generator)
    risk = torch.where(torch.rand(shape, generator=generator) < 0.5, 0.0, 0.5)
    y = x + risk * torch.randn(shape, generator=generator)
    missing = torch.rand(shape, generator=generator) > share
    missing[..., 0] |= torch.arange(T)[:, None].T > 3  # a channel that is hardly ever measured
    time = torch.arange(T, dtype=torch.float32).expand(B, T)
    covariates = torch.randn(B, T, 2, generator=generator)
    key = torch.zeros(B, T, dtype=torch.long)
    return Batch(y.masked_fill(missing, 0.0), risk.masked_fill(missing, math.inf), time, covariates, ~missing, key)


def every(batch: Batch) -> tuple[Tensor, ...]:
    return lone_channels(batch, 10**6, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("limit", [1, 7, 25, 40, 10**6])
def test_whole_channels_are_drawn_within_the_budget(limit: int) -> None:
    batch = make_batch()
    tokens, value, risk = lone_channels(batch, limit, torch.Generator().manual_seed(1))
    count = tokens.exists.sum(1)
    assert int(count.min()) > 0
    assert int(count.max()) <= limit
    stamp, channel = tokens.cell // C, tokens.channel
    assert torch.equal(tokens.cell % C, channel)
    seen = torch.isfinite(batch.risk).sum(1)
    cost = 0
    for row in range(len(count)):
        here = tokens.exists[row]
        assert len(set(channel[row].tolist())) == 1
        assert len(set(stamp[row, here].tolist())) == int(here.sum())
        owner = [b for b in range(B) if torch.equal(batch.covariates[b, stamp[row]].double(), tokens.covariates[row])]
        (b,) = owner
        at = (b, stamp[row, here], channel[row, here])
        assert torch.equal(value[row, here], batch.value[at].double())
        assert torch.equal(risk[row, here], batch.risk[at].double())
        assert int(here.sum()) == min(int(seen[b, channel[row, 0]]), limit)
        cost += int(count[row]) ** 2
    assert cost <= B * limit**2
    if limit == 10**6:
        assert int(count.sum()) == int(seen.sum())


def test_likelihood_of_lone_channels_is_that_of_all_together() -> None:
    batch, model = make_batch(), GaussianModel(C, 2, float(T), joint=False)
    tokens, value, risk = every(batch)
    count = tokens.exists.sum(1)
    with torch.no_grad():
        alone = torch.stack(
            [
                model.negative_log_likelihood(
                    type(tokens)(*(getattr(tokens, f)[[i]] for f in tokens.__dataclass_fields__)), value[[i]], risk[[i]]
                )
                for i in range(len(count))
            ]
        )
        together = measurements(batch, 10**6, torch.Generator().manual_seed(0))
        per_window = [
            model.negative_log_likelihood(
                type(tokens)(*(getattr(together[0], f)[[b]] for f in tokens.__dataclass_fields__)),
                together[1][[b]],
                together[2][[b]],
            )
            * together[0].exists[b].sum()
            for b in range(B)
        ]
    assert float((alone * count).sum()) == pytest.approx(float(sum(per_window)), rel=1e-9)


def test_fit_finds_the_law_of_separate_channels() -> None:
    """The fitted prior variance, and its correlation over one step, of x = 1 + AR(1) of .9 + white noise of .3."""
    model = GaussianModel(C, 2, float(T), joint=False)
    config = GaussianConfig(steps=120, batch=B, tokens=60)
    fit_gaussian(model, make_batch, lambda i: make_batch(1000 + i), 0, float(T), 0.0, 10**6, config)
    assert float((model.variance()[1:] / 1.3).log().abs().max()) < math.log(1.35)
    near = torch.einsum("qcd,q->cd", model.coregionalisation(), model.correlations(torch.tensor(1.0))).diagonal()
    torch.testing.assert_close((near / model.variance())[1:].mean(), torch.tensor(0.9 / 1.3), rtol=0.08, atol=0)
    torch.testing.assert_close(model.weight[0, 1:].mean(), torch.tensor(1.0), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    ("channels", "joint", "steps", "share"),
    [
        (1, True, 300, 1.0),
        (4, True, 300, 1.0),
        (8, True, 300, 0.5),
        (16, True, 600, 0.25),
        (64, True, 1000, 0.0625),
        (16, False, 300, 0.25),
    ],
)
def test_many_joint_channels_have_more_steps_and_smaller_ones(
    channels: int, joint: bool, steps: int, share: float
) -> None:
    model = GaussianModel(channels, 0, 24.0, joint=joint)
    assert usual_steps(model) == steps
    optimiser, pace = adam(model, 0.1, 40)
    rates = []
    for _ in range(40):
        rest, loading = (group["lr"] for group in optimiser.param_groups)
        assert loading == pytest.approx(share * rest, rel=1e-12)
        rates.append(rest)
        optimiser.step()
        pace.step()
    assert rates[0] == pytest.approx(0.1 / 20, rel=1e-12)
    assert rates[19] == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * 19 / 40)), rel=1e-12)
    assert rates[-1] == pytest.approx(0.1 * 0.5 * (1 + math.cos(math.pi * 39 / 40)), rel=1e-12)


def test_variance_of_many_channels_is_theirs(shared_data: Path) -> None:
    """Intensive care, 35 channels of variance 1: loadings learned as fast as the rest swell it to 1.25 (median)."""
    task = build(NAMED["physionet-90-noisy"], 0, shared_data)
    model = RiskDiffusion(model="gaussian", window=48)
    model.fit(task.train[:400], validation=task.validation[:50], steps=100, seed=0, progress=False)
    assert model._denoiser is not None
    assert float(model._denoiser.prior.variance().median()) == pytest.approx(1.0, abs=0.15)
