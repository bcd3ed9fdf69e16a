"""The training loop: windows to examples, examples to the risk-sensitive loss, with EMA, validation and a budget."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rstime.denoiser import Denoiser
from rstime.diffusion.levels import draw_levels
from rstime.diffusion.loss import perturb, risk_sensitive_loss, teaches
from rstime.gaussian import Belief
from rstime.tokens import Tokens, pack
from rstime.types import Batch
from rstime.windows import draw_hidden

Draw = Callable[[int, torch.Generator], Batch]


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes
    ----------
    batch
        Windows a step.
    learning_rate, warmup, weight_decay, clip
        AdamW, linear warm-up in steps, largest gradient norm.
    ema
        Decay of the moving average of the weights, which is what is kept.
    isolated
        Share of steps in which hidden entries do not see each other (the exact-marginal mode).
    patterns
        Weights of the mask patterns random, block, channel, horizon.
    validate_every
        Steps between validations, as a share of all steps.
    patience
        Validations without improvement before stopping; 0 never stops early.
    """

    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema: float = 0.999
    isolated: float = 0.5
    patterns: tuple[float, float, float, float] = (0.55, 0.15, 0.15, 0.15)
    validate_every: float = 0.05
    patience: int = 0


@dataclass(frozen=True, eq=False)
class Part:
    """Entries that are denoised together, with all that the loss needs.

    Attributes
    ----------
    tokens
        (B, N) entries.
    y, risk, tau, noise, m
        (B, N) measurement, its risk, the level it is raised to, the noise added for that, the input it became.
    belief
        What the prior makes of the inputs; of queries, given the context alone.
    """

    tokens: Tokens
    y: Tensor
    risk: Tensor
    tau: Tensor
    noise: Tensor
    m: Tensor
    belief: Belief


@dataclass(frozen=True, eq=False)
class Example:
    """A training batch: a context, and queries that see it and themselves only (None: all is context)."""

    context: Part
    queries: Part | None = None


def make_example(denoiser: Denoiser, batch: Batch, generator: torch.Generator, config: TrainingConfig) -> Example:
    """Hide entries, draw levels, perturb, and ask the prior: everything of a step that has no gradient."""
    observed = torch.isfinite(batch.risk)
    hidden = draw_hidden(observed, batch.time, generator, weights=config.patterns)
    isolated = bool(torch.rand((), generator=generator) < config.isolated)
    tau, _ = draw_levels(batch.risk, hidden, generator, isolated)
    noise = torch.randn(tau.shape, generator=generator)

    def part(wanted: Tensor) -> tuple[Tokens, Tensor, Tensor, Tensor, Tensor]:
        tokens = pack(batch, wanted)
        read = [tokens.take(x, fill) for x, fill in ((batch.value, 0.0), (batch.risk, math.inf), (tau, math.inf))]
        return tokens, *read, tokens.take(noise)

    with torch.no_grad():
        if not isolated:
            tokens, y, r, t, e = part(observed)
            m = perturb(y, r, t, e)
            return Example(Part(tokens, y, r, t, e, m, denoiser.prior.condition(tokens, t).belief(m[None])))
        tokens, y, r, t, e = part(observed & ~hidden)
        m = perturb(y, r, t, e)
        factor = denoiser.prior.condition(tokens, t)
        context = Part(tokens, y, r, t, e, m, factor.belief(m[None]))
        tokens, y, r, t, e = part(hidden)
        prediction = factor.predict(tokens, context.m[None])
        return Example(context, Part(tokens, y, r, t, e, perturb(y, r, t, e), prediction))


def example_loss(denoiser: Denoiser, example: Example) -> Tensor:
    """Return the risk-sensitive loss, averaged over the entries that teach."""
    context = example.context
    out, memory = denoiser.remember(context.tokens, context.belief, context.m[None], context.tau)
    terms = [(context, out[0], context.belief.variance)]
    if example.queries is not None:
        q = example.queries
        out, belief = denoiser.answer(q.tokens, q.belief, q.m[None], q.tau, context.tokens.exists, memory)
        terms.append((q, out[0], belief.variance))
    total, count = torch.zeros(()), 0
    for p, denoised, variance in terms:
        total = total + risk_sensitive_loss(denoised, p.y, p.risk, p.tau, p.noise, variance).sum()
        count = count + int(teaches(p.risk, p.tau).sum())
    return total / max(count, 1)


def prefetch(make: Callable[[int], Example], steps: int) -> Iterator[Example]:
    """Make examples one step ahead, in another thread."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, 0)
        for step in range(steps):
            example = ahead.result()
            if step + 1 < steps:
                ahead = pool.submit(make, step + 1)
            yield example


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Return the factor on the learning rate: linear warm-up, then a cosine to 0 over the rest."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / max(steps - config.warmup, 1)))


class Average(nn.Module):
    """Exponential moving average of a network's weights, faster while young."""

    def __init__(self, network: nn.Module, decay: float):
        super().__init__()
        self.kept = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        for kept, new in zip(self.kept.parameters(), network.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)
