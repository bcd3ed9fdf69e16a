"""From windows to the risk-sensitive loss: what is hidden, at which level each entry is met, and what it teaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from rstime.correlation import remove_errors
from rstime.denoiser import Denoiser
from rstime.diffusion.levels import draw_levels
from rstime.diffusion.loss import perturb, risk_sensitive_loss, teaches
from rstime.gaussian import Belief
from rstime.noise_rule import meet
from rstime.risk.families import Family
from rstime.robust import hold_back, trusted
from rstime.tokens import Tokens, pack
from rstime.types import Batch
from rstime.windows import draw_hidden


@dataclass(frozen=True, eq=False)
class Part:
    """Entries that are denoised together, with all that the loss needs.

    Attributes
    ----------
    tokens
        (B, N) entries.
    y, risk, tau, noise, m
        (B, N) measurement, its risk, the level it is raised to, the standard normal noise drawn for that, the input it
        became; in sd of each channel.
    belief
        What the prior makes of the inputs, as one sample; of queries, given the context alone.
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
    """A training batch: a context, queries that see it and themselves only (None: all is context).

    Only inputs within `outliers` sd of what the others say of them teach; 0 for all.
    """

    context: Part
    queries: Part | None = None
    outliers: float = 0.0


def make_example(
    denoiser: Denoiser,
    batch: Batch,
    generator: torch.Generator,
    isolated: float,
    patterns: Sequence[float],
    families: Sequence[Family] = (),
    teach_from: float = 1.0,
    outliers: float = 0.0,
) -> Example:
    """Hide entries, draw levels, perturb, and ask the prior: everything of a step that has no gradient.

    Parameters
    ----------
    denoiser
        Gives the prior; the example is made on its device.
    batch
        Windows, on the CPU; entries without a measurement are left out.
    generator
        Of masks, levels and noise, on the CPU.
    isolated
        Probability that hidden entries do not see each other.
    patterns
        Weights of the mask patterns random, block, channel, horizon.
    families
        Of the noise, one a channel; none where all is Gaussian.
    teach_from, outliers
        See TrainingConfig.
    """
    batch = without_errors(denoiser, batch, generator)
    observed = torch.isfinite(batch.risk)
    hidden = draw_hidden(observed, batch.time, generator, weights=patterns)
    apart = bool(torch.rand((), generator=generator) < isolated)
    tau, _ = draw_levels(batch.risk, hidden, generator, apart)
    met, tau = meet(families, batch.risk, hold_back(batch.risk, tau, teach_from))
    batch = replace(batch, risk=met)
    noise = torch.randn(tau.shape, generator=generator)
    batch, device = batch.to(denoiser.device), denoiser.device
    observed, hidden, tau, noise = (x.to(device) for x in (observed, hidden, tau, noise))

    def part(wanted: Tensor) -> tuple[Tokens, Tensor, Tensor, Tensor, Tensor]:
        tokens = pack(batch, wanted)
        y, risk = tokens.take(batch.value), tokens.take(batch.risk, math.inf)
        return tokens, y, risk, tokens.take(tau, math.inf), tokens.take(noise)

    with torch.no_grad():
        if not apart:
            tokens, y, r, t, e = part(observed)
            m = perturb(y, r, t, e)
            everything = Part(tokens, y, r, t, e, m, denoiser.prior.condition(tokens, t).belief(m[None]))
            return Example(everything, outliers=outliers)
        tokens, y, r, t, e = part(observed & ~hidden)
        m = perturb(y, r, t, e)
        factor = denoiser.prior.condition(tokens, t)
        context = Part(tokens, y, r, t, e, m, factor.belief(m[None]))
        tokens, y, r, t, e = part(hidden)
        prediction = factor.predict(tokens, context.m[None])
        return Example(context, Part(tokens, y, r, t, e, perturb(y, r, t, e), prediction), outliers)


def without_errors(denoiser: Denoiser, batch: Batch, generator: torch.Generator) -> Batch:
    """Take a draw of the errors that last, if any do, off the measurements of a batch on the CPU."""
    if denoiser.prior.correlation is None:
        return batch
    with torch.no_grad():
        normal = torch.randn((1, *batch.risk.shape), generator=generator).to(denoiser.device)
        found = remove_errors(denoiser.prior, batch.to(denoiser.device), normal).to("cpu")
    return replace(found, value=found.value[0])


def example_loss(denoiser: Denoiser, example: Example) -> Tensor:
    """Return the risk-sensitive loss, averaged over the entries that teach; 0 if none does.

    1 is what the prior expects of itself, if its law is that of the data.
    """
    context = example.context
    out, memory = denoiser.remember(context.tokens, context.belief, context.m[None], context.tau)
    terms = [(context, out[0], context.belief)]
    if example.queries is not None:
        q = example.queries
        out, belief = denoiser.answer(q.tokens, q.belief, q.m[None], q.tau, memory)
        terms.append((q, out[0], belief))
    total, count = torch.zeros(()), 0
    for p, denoised, belief in terms:
        use = trusted(belief.surprise[0], example.outliers)
        loss = risk_sensitive_loss(denoised, p.y, p.risk, p.tau, p.noise, belief.variance)
        total = total + loss.masked_fill(~use, 0.0).sum()
        count = count + int((teaches(p.risk, p.tau) & use).sum())
    return total / max(count, 1)
