"""Likelihood and anomaly scores of whole items under a fitted denoiser, window by window (theory 4)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstime.belief import LEVEL_FLOOR
from rstime.denoiser import Denoiser, combine
from rstime.diffusion.likelihood import FLOOR, Traced, differentiate, log_likelihood, predictive
from rstime.diffusion.noise import keyed_normal
from rstime.lasting import Ahead, corrected, log_density
from rstime.posterior import SamplerConfig, draw_errors
from rstime.scaling import Scaler
from rstime.tokens import Tokens, pack
from rstime.transforms import Transform
from rstime.types import Batch, Floats, Series
from rstime.windows import Item, collate, cut, tile

TOKENS = 2048  # of windows taken together
PROBES = 16  # taken together
DRAWS = 16  # of the errors that last, with a network


@torch.no_grad()
def likelihood_items(
    denoiser: Denoiser, items: Sequence[Item], window: float, probes: int | None = None, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Return log p(asked measurements | those not asked) of each item, (I,), in nats, and their number.

    In the coordinate of the model, exact measurements at the risk FLOOR. An item longer than a window is taken by the
    chain rule, each window's new measurements given those before in it: half a window of the past.

    Parameters
    ----------
    denoiser
        On any device.
    items
        Scaled, of any length.
    window
        Length of a window in steps.
    probes
        Random signs for the trace of the network's Jacobian; None for the exact trace, a pass for each measurement.
    seed
        Of the signs.
    """
    nats, counts = np.zeros(len(items)), np.zeros(len(items), dtype=np.int64)
    for group, batch in _batches(items, window):
        scored = torch.isfinite(batch.risk) & batch.asked
        for b, (_, start, known) in enumerate(group):
            scored[b] &= (batch.time[b] + start >= known - 1e-3)[:, None]
        batch, scored = batch.to(denoiser.device), scored.to(denoiser.device)
        found = _nats(denoiser, batch, scored, probes, seed)
        for (i, _, _), value, count in zip(group, found.tolist(), scored.sum((1, 2)).tolist(), strict=True):
            nats[i] += value
            counts[i] += count
    return nats, counts


@torch.no_grad()
def score_items(denoiser: Denoiser, items: Sequence[Item], window: float, folds: int, block: int = 1) -> list[Floats]:
    """Return normal score Phi^-1(P(Y <= y)) and surprise of each measurement, (2, T, C), NaN elsewhere.

    The surprise is -log p(y) - ln(1 + r^2) / 2 in the coordinate of the model, where variables have sd 1: nats, per sd
    that readings of this risk have with nothing else known, so that variables and risks compare (theory 4).

    Y is what is predicted from the others in its window, except every `folds`-th block of stamps: those of one fold
    are left out together, and each variable's folds are shifted by one, so that the others at the same stamp are
    known. Where windows overlap, a measurement is scored in the one in which it lies farther from the edge.

    Parameters
    ----------
    denoiser, items, window
        As for `likelihood_items`.
    folds
        At least 2.
    block
        Stamps in a block, at least 1; a fault as long as that is seen past.
    """
    answers = [np.full((2, *item.value.shape), np.nan) for item in items]
    for group, batch in _batches(items, window):
        observed, parts = torch.isfinite(batch.risk), [items[i].steps for i, _, _ in group]
        rows = [int(np.searchsorted(steps, start - 1e-3)) for steps, (_, start, _) in zip(parts, group, strict=True)]
        place = torch.tensor(rows)[:, None, None] + torch.arange(observed.shape[1])[:, None]
        fold = (place // block + torch.arange(observed.shape[2])) % folds
        whole = torch.full((2, *observed.shape), math.nan, dtype=torch.float64)
        for k in range(folds):
            out = observed & (fold == k)
            whole[:, out] = _held_out(denoiser, batch, out)[:, out]
        for b, (i, start, _) in enumerate(group):
            item, row = items[i], rows[b]
            mine = _owner(item, window)[row : row + observed.shape[1]] == start
            here = slice(row, row + len(mine))
            answers[i][:, here][:, mine] = whole[:, b, : len(mine)].numpy()[:, mine]
    return answers


def log_units(scaler: Scaler, series: Series, item: Item) -> float:
    """Return the sum over asked measurements of ln d(coordinate of the model) / d(value)."""
    total = 0.0
    for column, name in enumerate(series.variables):
        place = scaler.variables.index(name)
        rows = np.isfinite(item.risk[:, place]) & item.asked[:, place]
        slope = Transform.parse(scaler.transform[place]).slope(series.value[rows, column])
        total += float(np.log(slope / scaler.scale[place]).sum())
    return total


def _batches(items: Sequence[Item], window: float) -> Iterator[tuple[list[tuple[int, float, float]], Batch]]:
    """Yield windows that hold a measurement, of like size: (item, start, end of the window before), and the batch."""
    jobs = []
    for i, item in enumerate(items):
        before = -math.inf
        for start, stop in tile(item, window, window / 2):
            part = cut(item, start, stop)
            if np.isfinite(part.risk).any():
                jobs.append((int(np.isfinite(part.risk).sum()), i, float(part.steps[0]), before, part))
            before = stop
    jobs.sort(key=lambda job: -job[0])
    while jobs:
        count = max(TOKENS // jobs[0][0], 1)
        group, jobs = jobs[:count], jobs[count:]
        yield [(i, start, before) for _, i, start, before, _ in group], collate([part for *_, part in group])


def _owner(item: Item, window: float) -> Floats:
    """Return the first stamp of the window that each stamp lies deepest in, (T,)."""
    spans = [s for s in tile(item, window, window / 2) if len(cut(item, *s))]
    depth = [np.minimum(item.steps - start, stop - 1 - item.steps) for start, stop in spans]
    first = np.array([cut(item, *span).steps[0] for span in spans])
    return np.asarray(first[np.argmax(depth, axis=0)])


def _nats(denoiser: Denoiser, batch: Batch, scored: Tensor, probes: int | None, seed: int) -> Tensor:
    """Return log p(scored readings of each window | the others in it), (B,)."""
    tokens = pack(batch, torch.isfinite(batch.risk))
    asked = tokens.take(scored, False)

    def level(risk: Tensor, floor: float) -> Tensor:
        risk = tokens.take(risk, math.inf).double()
        return torch.where(asked, risk.clamp_min(FLOOR), risk.clamp_min(floor))

    vectors = _probes(tokens, batch, asked, probes, seed)

    def white(batch: Batch) -> Tensor:
        y = tokens.take(batch.value).double()
        return log_likelihood(_traced(denoiser, tokens, vectors), y, level(batch.risk, 0.0), asked)

    correlation = denoiser.prior.correlation
    if correlation is None:
        return white(batch)
    some, y = _without_errors(denoiser, batch, seed), tokens.take(batch.value)[None]
    size = tokens.take(batch.risk).double()
    sd = level(some[0].risk, LEVEL_FLOOR).masked_fill(~tokens.exists, 1.0)
    found = log_density(denoiser.prior, tokens, y, sd, asked, correlation.lasting(tokens.double(), size))[0]
    if denoiser.network is None:
        return found
    plain = log_density(denoiser.prior, tokens, torch.stack([tokens.take(one.value) for one in some]), sd, asked)
    gain = torch.stack([white(one) for one in some]) - plain
    return found + gain.logsumexp(0) - math.log(len(some))


def _without_errors(denoiser: Denoiser, batch: Batch, seed: int) -> list[Batch]:
    """Return the batch with draws of the errors that last taken off, DRAWS times; once without a network."""
    count = DRAWS if denoiser.network is not None else 1
    left = draw_errors(denoiser, batch, SamplerConfig(samples=count, seed=seed))
    return [replace(left, value=value) for value in left.value]


def _traced(denoiser: Denoiser, tokens: Tokens, vectors: Tensor) -> Traced:
    """Return (m, tau) -> D and its derivatives: V / tau^2 of the prior, exactly, plus the network's by probes."""
    wide = tokens.double()

    def estimate(m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        conditioned = denoiser.prior.condition(wide, tau)
        belief = conditioned.belief(m[None])
        mean, derivative = belief.mean[0], (belief.variance / tau.square()).masked_fill(torch.isinf(tau), 0.0)
        if denoiser.network is None:
            return mean, derivative

        def correction(x: Tensor) -> Tensor:
            own = conditioned.belief(x)
            features = denoiser.features(own, x, tau).float()
            return combine(own, features, denoiser.gates(features, tokens)) - own.mean

        parts = [differentiate(correction, m, some) for some in torch.split(vectors, PROBES)]
        return mean + parts[0][0], derivative + sum(part for _, part in parts)

    return estimate


def _probes(tokens: Tokens, batch: Batch, asked: Tensor, probes: int | None, seed: int) -> Tensor:
    """Return (K, B, N) vectors at asked entries: unit vectors, or random signs over sqrt(K) by seed and entry only."""
    if probes is None:
        return torch.eye(asked.shape[1], device=asked.device)[asked.any(0), None] * asked
    stamps = batch.key[..., None] * 1000003 + torch.arange(batch.risk.shape[-1], device=batch.key.device)
    count = torch.arange(probes, device=batch.key.device)
    return keyed_normal(seed, tokens.take(stamps, 0), count, 0).sign() / math.sqrt(probes) * asked


def _held_out(denoiser: Denoiser, batch: Batch, out: Tensor) -> Tensor:
    """Return normal score and surprise, (2, B, T, C), of some measurements given those that are not among them."""
    denoiser, batch, out = denoiser.precise(), batch.to(denoiser.device), out.to(denoiser.device)
    context, queries = pack(batch, torch.isfinite(batch.risk) & ~out), pack(batch, out)
    value, own = queries.take(batch.value).double(), queries.take(batch.risk, 1.0).double()
    correlation, gaussian = denoiser.prior.correlation, Denoiser(denoiser.prior, None)
    if correlation is None:
        score, density = _ahead(denoiser, context, queries, batch, value, own.clamp_min(FLOOR))
    else:
        beside = replace(batch, risk=batch.risk.masked_fill(out, math.inf))
        law = Ahead(denoiser.prior, correlation, context, queries, context.take(batch.risk), own)
        score, density = law.gaussian(context.take(batch.value), value)
        if denoiser.network is not None:
            draws = []
            for one in _without_errors(denoiser, beside, 0):
                shift, rho = law.follow(context.take(batch.value - one.value))
                ahead = context, queries, one, value - shift, rho
                draws.append((_ahead(denoiser, *ahead), _ahead(gaussian, *ahead)))
            score, density = corrected((score, density), draws)
    height = density + 0.5 * own.clamp_min(FLOOR).square().log1p()
    found = torch.stack([score, -height])
    return queries.put(found, batch.risk.new_full((2, *out.shape), math.nan, dtype=torch.float64)).cpu()


def _ahead(
    denoiser: Denoiser, context: Tokens, queries: Tokens, batch: Batch, value: Tensor, own: Tensor
) -> tuple[Tensor, Tensor]:
    """Return normal score and log density of readings at queries, (B, M), each given the context in the batch."""
    y, risk = context.take(batch.value)[None], context.take(batch.risk, math.inf)
    factor = denoiser.prior.condition(context, risk)
    _, memory = denoiser.remember(context, factor.belief(y), y, risk)
    prediction = factor.predict(queries, y)

    def answer(m: Tensor, tau: Tensor) -> Tensor:
        return denoiser.answer(queries, prediction, m.float(), tau.float(), memory)[0].double()

    def denoise(m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
        return differentiate(lambda x: answer(x, tau), m, torch.ones_like(m)[None])

    mean = answer(torch.zeros_like(value)[None], torch.full_like(own, math.inf))[0]
    return predictive(denoise, value, own, mean, prediction.variance.double())
