"""Fitting the Gaussian model by the likelihood of noisy, incomplete windows, stopped by held-out windows."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rstime.gaussian import GaussianModel
from rstime.tokens import Tokens, pack
from rstime.types import Batch


@dataclass(frozen=True)
class GaussianConfig:
    """How to fit the Gaussian model.

    Attributes
    ----------
    steps, batch, tokens
        Adam steps, windows a step, and measurements kept of a window (drawn at random).
    learning_rate
        Largest step of Adam, in log units of the parameters.
    validate_every, patience
        Steps between held-out scores, and scores without improvement before stopping.
    """

    steps: int = 300
    batch: int = 8
    tokens: int = 144
    learning_rate: float = 0.05
    validate_every: int = 25
    patience: int = 4


def measurements(batch: Batch, limit: int, generator: torch.Generator) -> tuple[Tokens, Tensor, Tensor]:
    """Return at most `limit` measurements of each window, in float64: tokens, values and risks."""
    observed = torch.isfinite(batch.risk)
    flat = observed.flatten(1)
    lot = torch.rand(flat.shape, generator=generator).masked_fill(~flat, 2.0)
    bound = lot.kthvalue(min(limit, lot.shape[1]), dim=1, keepdim=True).values
    tokens = pack(batch, (flat & (lot <= bound)).reshape(observed.shape))
    return tokens.double(), tokens.take(batch.value).double(), tokens.take(batch.risk, 1.0).double()


def fit_gaussian(
    model: GaussianModel,
    draw: Callable[[int], Batch],
    validation: Callable[[int], Batch],
    seed: int,
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
    progress
        Called with the step, the number of steps and the held-out score.

    Returns
    -------
    float
        Best held-out negative log-likelihood a measurement, in nats.
    """
    config = config or GaussianConfig()
    generator = torch.Generator().manual_seed(seed)
    held_out = [measurements(validation(i), config.tokens, generator) for i in range(3)]
    model.double().requires_grad_(True)
    optimiser = torch.optim.Adam(model.parameters(), lr=config.learning_rate, betas=(0.9, 0.95))
    best, kept, worse = math.inf, copy.deepcopy(model.state_dict()), 0
    for step in range(config.steps):
        rise = min(1.0, (step + 1) / 20)
        fall = 0.5 * (1 + math.cos(math.pi * step / config.steps))
        optimiser.param_groups[0]["lr"] = config.learning_rate * rise * fall
        loss = model.negative_log_likelihood(*measurements(draw(step), config.tokens, generator))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % config.validate_every == 0:
            with torch.no_grad():
                score = sum(float(model.negative_log_likelihood(*part)) for part in held_out) / len(held_out)
            progress(step + 1, config.steps, score)
            worse = 0 if score < best else worse + 1
            if score < best:
                best, kept = score, copy.deepcopy(model.state_dict())
            if worse >= config.patience:
                break
    model.load_state_dict(kept)
    model.float().requires_grad_(False)
    return best
