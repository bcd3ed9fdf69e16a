"""Fitting the Gaussian model by the likelihood of noisy, incomplete windows, stopped by held-out windows."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from rstime.gaussian import GaussianModel
from rstime.moments import start_from_moments
from rstime.tokens import Tokens, pack
from rstime.types import Batch

FEW_CHANNELS = 4  # up to so many, loadings are learned as fast as the rest
STEPS, MOST_STEPS = 300, 1000


@dataclass(frozen=True)
class GaussianConfig:
    """How to fit the Gaussian model.

    Attributes
    ----------
    steps, batch, tokens
        Adam steps (None for `usual_steps`), windows a step, and measurements kept of a window (drawn at random), or as
        many more in whole channels, where these are separate, as have a covariance of that size. With few of them
        noisy ones crowd out exact ones.
    moments
        Batches from which the start is taken.
    learning_rate
        Largest step of Adam, in log units of the parameters.
    validate_every
        Steps between held-out scores. The best are kept; those of early, large steps say nothing of the last.
    """

    steps: int | None = None
    batch: int = 8
    tokens: int = 256
    moments: int = 64
    learning_rate: float = 0.05
    validate_every: int = 25


def measurements(batch: Batch, limit: int, generator: torch.Generator) -> tuple[Tokens, Tensor, Tensor]:
    """Return at most `limit` measurements of each window, in float64: tokens, values and risks."""
    observed = torch.isfinite(batch.risk)
    flat = observed.flatten(1)
    lot = torch.rand(flat.shape, generator=generator).masked_fill(~flat, 2.0)
    bound = lot.kthvalue(min(limit, lot.shape[1]), dim=1, keepdim=True).values
    tokens = pack(batch, (flat & (lot <= bound)).reshape(observed.shape))
    return tokens.double(), tokens.take(batch.value).double(), tokens.take(batch.risk, 1.0).double()


def lone_channels(batch: Batch, limit: int, generator: torch.Generator) -> tuple[Tokens, Tensor, Tensor]:
    """Return measurements of whole channels drawn at random, each channel of a window as a window of its own.

    Channels of n measurements are drawn from each window until the sum of n^2 exceeds limit^2: as large a covariance
    as that of `limit` measurements together. A channel of more than `limit` is thinned at random.
    """
    observed = torch.isfinite(batch.risk)
    count = observed.sum(1)
    lot = torch.rand(count.shape, generator=generator).masked_fill(count == 0, 2.0).argsort(1)
    cost = count.gather(1, lot).clamp_max(limit).square().cumsum(1) - 1
    taken = (cost < limit**2) & (count.gather(1, lot) > 0)
    window, place = taken.nonzero(as_tuple=True)
    channel = lot[window, place]
    seen = observed[window, :, channel]
    length = int(seen.sum(1).clamp(1, limit).max())
    stamp = torch.rand(seen.shape, generator=generator).masked_fill(~seen, 2.0).argsort(1)[:, :length]
    at = (window[:, None], stamp, channel[:, None])
    exists, cell = observed[at], stamp * count.shape[1] + channel[:, None]
    covariates = batch.covariates[at[:2]].double()
    tokens = Tokens(batch.time[at[:2]].double(), at[2].expand_as(stamp), covariates, exists, cell)
    return tokens, batch.value[at].double(), batch.risk[at].double().masked_fill(~exists, 1.0)


def usual_steps(model: GaussianModel) -> int:
    """Return STEPS up to 2 FEW_CHANNELS of joint channels, for more of them in proportion, at most MOST_STEPS."""
    crowd = model.channels / (2 * FEW_CHANNELS) if model.joint else 1.0
    return min(round(STEPS * max(crowd, 1.0)), MOST_STEPS)


def adam(model: GaussianModel, rate: float, steps: int) -> tuple[Optimizer, LRScheduler]:
    """Return Adam and its pace, which rises over 20 steps and then falls as a cosine.

    A batch says little of any one pair of many channels. Adam then takes its steps at random, and those of the
    loadings, which add where others multiply, would only swell the variance: they are smaller in this proportion.
    """
    share = min(1.0, FEW_CHANNELS / model.channels)
    rest = [p for p in model.parameters() if p is not model.loading]
    groups: list[dict[str, Any]] = [{"params": rest}, {"params": [model.loading], "lr": share * rate}]
    optimiser = torch.optim.Adam(groups, lr=rate, betas=(0.9, 0.95))

    def pace(step: int) -> float:
        return min(1.0, (step + 1) / 20) * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))

    return optimiser, LambdaLR(optimiser, pace)


def fit_gaussian(
    model: GaussianModel,
    draw: Callable[[int], Batch],
    validation: Callable[[int], Batch],
    seed: int,
    window: float,
    day: float,
    count: int,
    config: GaussianConfig | None = None,
    progress: Callable[[int, int, float], None] = lambda step, steps, score: None,
) -> float:
    """Maximise the likelihood in place and keep the parameters that score best on held-out windows.

    Parameters
    ----------
    model
        Gets its parameters.
    draw, validation
        Step -> windows to learn from, index -> held-out windows.
    seed
        Of the choice of measurements.
    window, day
        Length of a window and of a day in steps, 0 for no calendar.
    count
        Number of measurements that the windows are drawn from.
    progress
        Called with the step, the number of steps and the held-out score.

    Returns
    -------
    float
        Best held-out negative log-likelihood a measurement, in nats.
    """
    config = config or GaussianConfig()
    generator = torch.Generator().manual_seed(seed)
    choose = measurements if model.joint else lone_channels
    held_out = [choose(validation(i), config.tokens, generator) for i in range(3)]
    model.double()
    start_from_moments(model, [draw(-1 - i) for i in range(config.moments)], window, day, count)
    model.requires_grad_(True)
    start = [p.detach().clone() for p in model.parameters()]
    steps = usual_steps(model) if config.steps is None else config.steps
    optimiser, pace = adam(model, config.learning_rate, steps)
    best, kept = math.inf, copy.deepcopy(model.state_dict())
    for step in range(steps):
        loss = model.negative_log_likelihood(*choose(draw(step), config.tokens, generator))
        away = sum((p - p0).square().sum() for p, p0 in zip(model.parameters(), start, strict=True))
        loss = loss + away / (2 * max(count, 1))  # a unit Gaussian prior around the start: it counts where data are few
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        pace.step()
        if (step + 1) % config.validate_every == 0:
            with torch.no_grad():
                score = sum(float(model.negative_log_likelihood(*part)) for part in held_out) / len(held_out)
            progress(step + 1, steps, score)
            if score < best:
                best, kept = score, copy.deepcopy(model.state_dict())
    model.load_state_dict(kept)
    model.float().requires_grad_(False)
    return best
