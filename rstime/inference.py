"""From a fitted denoiser to answers for whole items: windows that agree at their seams, batched over items."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstime.correlation import remove_errors
from rstime.denoiser import Denoiser
from rstime.posterior import SamplerConfig, Settled, draw_errors, draw_isolated, draw_joint
from rstime.tokens import pack
from rstime.windows import Item, collate, cut, tile

Job = TypeVar("Job")
TOKENS_AT_ONCE = 1 << 15


@torch.no_grad()
def sample_items(
    denoiser: Denoiser,
    items: Sequence[Item],
    window: float,
    support: Tensor,
    config: SamplerConfig,
    progress: Callable[[int], None] = lambda windows: None,
) -> list[NDArray[np.float32]]:
    """Draw (S, T, C) joint samples of the asked entries of each item; NaN elsewhere.

    An item longer than a window is answered window after window, each half over the last: entries before the middle
    of the overlap are final, and the next window takes them, sample by sample, as measurements at the level that is
    supported. Paths are continuous at the seams, and every entry is drawn given what follows it in its window.

    Parameters
    ----------
    denoiser
        On any device.
    items
        Of any length, scaled.
    window
        Length of a window in steps.
    support
        (C,) smallest level that training data can teach, in sd.
    config
        Samples, seed, sampler.
    progress
        Called with the number of windows answered since the last call.

    Raises
    ------
    ConfigError
        If there are fewer than two evaluations, with a network.
    """
    answers = [np.full((config.samples, *item.value.shape), np.nan, dtype=np.float32) for item in items]
    spans = [tile(item, window, window / 2) for item in items]
    for k in range(max((len(s) for s in spans), default=0)):
        jobs = [i for i, s in enumerate(spans) if k < len(s)]
        jobs.sort(key=lambda i: _entries(cut(items[i], *spans[i][k])))
        for group in _groups(jobs, [_entries(cut(items[i], *spans[i][k])) for i in jobs], config.samples):
            _answer_windows(denoiser, items, answers, spans, k, group, support, config)
            progress(len(group))
    return answers


def _entries(item: Item) -> int:
    return int((np.isfinite(item.risk) | item.asked).sum())


def _groups(jobs: Sequence[Job], sizes: Sequence[int], samples: int) -> list[list[Job]]:
    """Cut jobs, ordered by size, into groups whose padded tokens fit in memory."""
    groups: list[list[Job]] = []
    for job, size in zip(jobs, sizes, strict=True):
        if not groups or (len(groups[-1]) + 1) * max(size, 1) * min(samples, 32) > 4 * TOKENS_AT_ONCE:
            groups.append([])
        groups[-1].append(job)
    return groups


def _answer_windows(
    denoiser: Denoiser,
    items: Sequence[Item],
    answers: list[NDArray[np.float32]],
    spans: Sequence[Sequence[tuple[float, float]]],
    k: int,
    group: Sequence[int],
    support: Tensor,
    config: SamplerConfig,
) -> None:
    """Sample window k of a group of items and write it into their answers."""
    parts = [cut(items[i], *spans[i][k]) for i in group]
    rows = [int(np.searchsorted(items[i].steps, part.steps[0])) for i, part in zip(group, parts, strict=True)]
    batch = collate(parts).to(denoiser.device)
    settled = torch.zeros_like(batch.asked)
    past = batch.value.new_zeros(config.samples, *batch.value.shape)
    for b, (i, part, row) in enumerate(zip(group, parts, rows, strict=True)):
        if k > 0:
            count = int(np.searchsorted(part.steps, _boundary(spans[i], k - 1)))
            before = torch.from_numpy(answers[i][:, row : row + count])
            settled[b, :count] = torch.isfinite(before[0]).to(settled.device)
            past[:, b, :count] = before.nan_to_num().to(past.device)
    sampler = draw_joint if config.joint else draw_isolated
    config = replace(config, seed=config.seed + (k << 32))  # entries drawn again get new noise: the past knows the old
    known = Settled(past, settled) if k > 0 else None
    if denoiser.prior.correlation is not None:
        batch = draw_errors(denoiser, batch, config, known)
    drawn = sampler(denoiser, batch, support.to(denoiser.device), config, known).cpu().numpy()
    for b, (i, part, row) in enumerate(zip(group, parts, rows, strict=True)):
        fresh = part.asked & ~settled[b, : len(part)].cpu().numpy()
        block = answers[i][:, row : row + len(part)]
        block[:, fresh] = drawn[:, b, : len(part)][:, fresh]


def _boundary(spans: Sequence[tuple[float, float]], k: int) -> float:
    """Return the step before which window k is final: the middle of its overlap with the next."""
    return math.inf if k + 1 == len(spans) else (spans[k + 1][0] + spans[k][1]) / 2


@torch.no_grad()
def mean_items(denoiser: Denoiser, items: Sequence[Item], window: float) -> list[NDArray[np.float32]]:
    """Return the (T, C) posterior mean of the asked entries of each item from one pass (s = inf); NaN elsewhere.

    Where windows overlap, an entry is read from the one in which it lies farther from the edge. Arguments as for
    `sample_items`; means are scaled, as the items are.
    """
    answers = [np.full(item.value.shape, np.nan, dtype=np.float32) for item in items]
    spans = [tile(item, window, window / 2) for item in items]
    jobs = [(i, k) for i, s in enumerate(spans) for k in range(len(s))]
    jobs.sort(key=lambda job: _entries(cut(items[job[0]], *spans[job[0]][job[1]])))
    sizes = [_entries(cut(items[i], *spans[i][k])) for i, k in jobs]
    for group in _groups(jobs, sizes, 1):
        parts = [cut(items[i], *spans[i][k]) for i, k in group]
        batch = collate(parts).to(denoiser.device)
        batch = remove_errors(denoiser.prior, batch)
        tokens = pack(batch, torch.isfinite(batch.risk) | batch.asked)
        y, risk = tokens.take(batch.value).reshape(-1, *tokens.time.shape), tokens.take(batch.risk, math.inf)
        mean = torch.where(risk == 0, y, denoiser(tokens, y, risk)[0])
        grid = tokens.put(mean, mean.new_zeros(1, *batch.risk.shape))[0].cpu().numpy()
        for b, ((i, k), part) in enumerate(zip(group, parts, strict=True)):
            row = int(np.searchsorted(items[i].steps, part.steps[0]))
            begin, end = _boundary(spans[i], k - 1) if k else -math.inf, _boundary(spans[i], k)
            mine = part.asked & ((part.steps >= begin) & (part.steps < end))[:, None]
            answers[i][row : row + len(part)][mine] = grid[b, : len(part)][mine]
    return answers
