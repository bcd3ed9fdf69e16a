"""Scores item by item, so that they pool over items and differences between methods have paired intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rstime import scores
from rstime.errors import DataError
from rstime.evaluation.imputation import pairs
from rstime.evaluation.protocol import Task
from rstime.noisy_scores import convolve
from rstime.types import Floats, Posterior

NINE: tuple[float, ...] = tuple(round(0.1 * k, 1) for k in range(1, 10))
"""Levels of the quantile loss of forecasts; imputations have the nineteen of `rstime.scores.LEVELS`."""

SUMS = ("count", "loss", "size", "error", "square", "crps", "inside", "width", "scaled", "scaled_count")
"""What is kept of an item: number of entries, 2 pinball (mean over levels), |y|, |median - y|, (mean - y)^2, CRPS, hits
and width of the central 90 % band, |median - y| over the seasonal error and the number of entries that have one."""

KINDS = ("hidden", "noisy", "future")
ADJUSTED = "_adjusted"
BANDS = ("wql", "coverage90", "width90")
"""What an adjustment of bands changes."""

RATIOS: Mapping[str, tuple[str, str]] = {
    "wql": ("loss", "size"),
    "crps": ("crps", "count"),
    "mae": ("error", "count"),
    "rmse": ("square", "count"),
    "coverage90": ("inside", "count"),
    "width90": ("width", "count"),
    "mase": ("scaled", "scaled_count"),
}
"""Metric -> sums whose totals it is the ratio of (rmse: its root)."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums of every item of a task, by kind of entry.

    Attributes
    ----------
    sums
        Kind of entry -> (N, len(SUMS)) sums of the N items; kinds that the task does not score are absent. Of adjusted
        answers the kind ends in ADJUSTED.
    blocks
        One number an item (`blocks`): items of the same one depend on each other, and are resampled together. Each item
        for itself if empty.
    """

    sums: Mapping[str, Floats]
    blocks: tuple[int, ...] = ()

    def metrics(self, weights: Floats | None = None) -> dict[str, Floats]:
        """Return every metric over all items: wql ... at hidden or future entries, denoise_wql ... at noisy ones.

        Of adjusted answers there are those of BANDS, named wql_adjusted, denoise_wql_adjusted ...

        Parameters
        ----------
        weights
            (B, N) how often each item counts, for B resamples; once each by default.

        Returns
        -------
        Metric -> (B,) values, of shape () without weights; NaN where nothing counts.
        """
        found = {}
        for kind, sums in self.sums.items():
            total = sums.sum(0) if weights is None else weights @ sums
            part = {name: total[..., column] for column, name in enumerate(SUMS)}
            for metric, (above, below) in RATIOS.items():
                if (metric == "mase" and not part[below].any()) or (kind.endswith(ADJUSTED) and metric not in BANDS):
                    continue
                with np.errstate(divide="ignore", invalid="ignore"):
                    value = np.asarray(part[above] / part[below])
                name = f"{'denoise_' * kind.startswith('noisy')}{metric}{ADJUSTED * kind.endswith(ADJUSTED)}"
                found[name] = np.sqrt(value) if metric == "rmse" else value
        return found


def tally(
    task: Task,
    posteriors: Iterable[Posterior],
    risks: Sequence[Floats] | None = None,
    adjust: Callable[[Posterior], Posterior] | None = None,
) -> Tally:
    """Score answers against the clean truth, item after item.

    Quantiles of samples are those of rank / (S + 1).

    Parameters
    ----------
    task
        The questions.
    posteriors
        One an item of `task.test`, in its order; may be a generator.
    risks
        One (T, C) array an item, where the truth is itself measured with this risk: the samples get noise of that size,
        and the scores are proper for the clean value, not equal to those against it (`rstime.noisy_scores`).
    adjust
        Answer -> answer that is scored beside it.

    Raises
    ------
    DataError
        If there are more of one than of the other, or an answer is not finite where it is scored.
    """
    levels = NINE if any(mask.any() for mask in task.future) else scores.LEVELS
    where = {"hidden": task.hidden, "noisy": task.noisy, "future": task.future}
    kinds = [kind for kind in KINDS if any(mask.any() for mask in where[kind])]
    rows: dict[str, list[Floats]] = {}
    for number, (truth, answer) in enumerate(pairs(task.truth, posteriors)):
        unit = task.scale[number] if task.scale else np.full(truth.shape[1], np.nan)
        scale = np.broadcast_to(unit, truth.shape)
        versions = {"": answer} if adjust is None else {"": answer, ADJUSTED: adjust(answer)}
        for name, version in versions.items():
            for kind in kinds:
                mask = where[kind][number]
                samples = np.asarray(version.samples[:, mask], dtype=np.float64)
                if not np.isfinite(samples).all():
                    problem = f"not finite in item {answer.series.item_id!r}"
                    raise DataError("samples", problem, "Answer all that is asked.")
                if risks is not None and samples.size:
                    samples = convolve(samples, risks[number][mask], np.random.default_rng([0, number]))
                rows.setdefault(kind + name, []).append(_sums(samples, truth[mask], scale[mask], levels))
    return Tally({kind: np.array(part) for kind, part in rows.items()}, blocks([item.item_id for item in task.test]))


def blocks(names: Sequence[str]) -> tuple[int, ...]:
    """Give items that depend on each other the same number: windows of one series, named SERIES@START.

    Windows of a single series, where these names are all there is, are in blocks of n^(1/3) windows one after another
    (Lahiri 2003, ch. 7).

    Examples
    --------
    >>> blocks(["a@0", "a@1", "b@0"]), blocks(["a", "b"]), blocks([f"a@{k}" for k in range(8)])
    ((0, 0, 1), (0, 1), (0, 0, 1, 1, 2, 2, 3, 3))
    """
    series = [name.rpartition("@")[0] or name for name in names]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(series))}
    if len(numbers) > 1:
        return tuple(numbers[name] for name in series)
    length = math.ceil(len(names) ** (1 / 3) - 1e-9)
    return tuple(number // length for number in range(len(names)))


def _sums(samples: Floats, truth: Floats, scale: Floats, levels: Sequence[float]) -> Floats:
    if not truth.size:
        return np.zeros(len(SUMS))
    quantiles = np.quantile(samples, (0.05, 0.5, 0.95, *levels), axis=0, method="weibull")
    low, median, high = quantiles[:3]
    error, usable = np.abs(median - truth), scale > 0
    return np.array(
        [
            truth.size,
            scores.crps_levels(quantiles[3:], truth, levels).sum(),
            np.abs(truth).sum(),
            error.sum(),
            ((samples.mean(0) - truth) ** 2).sum(),
            scores.crps_samples(samples, truth).sum(),
            ((low <= truth) & (truth <= high)).sum(),
            (high - low).sum(),
            (error[usable] / scale[usable]).sum(),
            usable.sum(),
        ],
        dtype=np.float64,
    )


def difference(
    first: Sequence[Tally], second: Sequence[Tally], draws: int = 1000, seed: int = 0, level: float = 0.95
) -> dict[str, tuple[float, float, float]]:
    """Paired bootstrap of a metric's difference, first - second, with its mean over seeds in the middle.

    Blocks of items are drawn with replacement, the same for both and for all seeds of a draw, and the metric is pooled
    over them within each seed (Efron and Tibshirani 1993, percentile interval). It tells how far the difference depends
    on the items at hand; with few blocks (below some twenty) it is too narrow.

    Parameters
    ----------
    first, second
        One a seed, the same seeds in the same order, of the same items.
    draws, seed
        Number of resamples, and of their generator.
    level
        Share of the resamples inside the interval.

    Returns
    -------
    Metric -> (difference, low, high).

    Raises
    ------
    DataError
        If the items or seeds of both differ in number.

    Examples
    --------
    >>> one = Tally({"hidden": np.ones((4, len(SUMS)))})
    >>> difference([one], [one])["wql"]
    (0.0, 0.0, 0.0)
    """
    if len(first) != len(second):
        raise DataError("seeds", f"{len(first)} beside {len(second)}", "Compare the same seeds.")
    rng = np.random.default_rng(seed)
    counts: dict[int, Floats] = {}
    middle: dict[str, list[Floats]] = {}
    spread: dict[str, list[Floats]] = {}
    for one, two in zip(first, second, strict=True):
        lengths = [{len(sums) for sums in tallied.sums.values()} for tallied in (one, two)]
        if lengths[0] != lengths[1]:
            raise DataError("items", f"{lengths[0]} beside {lengths[1]} in one seed", "Compare answers to one task.")
        member = np.array(one.blocks or range(lengths[0].pop()))
        size = int(member.max()) + 1
        if size not in counts:
            counts[size] = rng.multinomial(size, np.full(size, 1 / size), draws).astype(np.float64)
        weights = counts[size][:, member]
        whole, other = one.metrics(), two.metrics()
        drawn, others = one.metrics(weights), two.metrics(weights)
        for metric in whole.keys() & other.keys():
            middle.setdefault(metric, []).append(whole[metric] - other[metric])
            spread.setdefault(metric, []).append(drawn[metric] - others[metric])
    found = {}
    for metric in sorted(middle):
        low, high = np.nanquantile(np.mean(spread[metric], axis=0), [(1 - level) / 2, (1 + level) / 2])
        found[metric] = (float(np.mean(middle[metric])), float(low), float(high))
    return found
