"""Evaluation protocols: which points are hidden, which are noisy, how the data are split, what is scored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rstime import scores
from rstime.datasets import etth, physionet2012
from rstime.datasets.laws import Truth
from rstime.risk.families import Family
from rstime.types import Bools, Floats, Posterior, Series


@dataclass(frozen=True, eq=False)
class Task:
    """One benchmark: noisy, incomplete data to learn from, and questions whose clean answers are kept apart.

    Attributes
    ----------
    name
        Name of the benchmark.
    train, validation
        What a model may learn and choose by: hidden entries are missing, noisy ones carry their risk.
    test
        Items to impute.
    truth
        One (T, C) array an item of `test`: clean values, NaN where there is none.
    hidden
        One (T, C) array an item: entries taken away from `test`, whose truth is known.
    noisy
        One (T, C) array an item: entries left in `test` with noise, to be denoised.
    window
        Length in steps of the windows that are scored.
    step
        Length of one step: seconds for calendar stamps, else in the unit of `Series.time`.
    future
        One (T, C) array an item: entries to forecast, after the last reading; empty where nothing is forecast.
    laws
        The law of each item where data are simulated, for the exact posterior; else empty.
    season, freq
        Steps in a season, and the frequency as GluonTS has it ("" for none), where something is forecast.
    scale
        One (C,) array an item: `rstime.scores.seasonal_error` of its clean past, for MASE; empty for none.
    noise
        Family of the noise of a variable, where it is known to be another than white and Gaussian.
    checks
        Questions about the validation part like those of `test`, and their answers as exact readings; empty where
        readings of `validation` taken away at random are like them (`rstime.evaluation.adjusting`).
    """

    name: str
    train: list[Series]
    validation: list[Series]
    test: list[Series]
    truth: list[Floats]
    hidden: list[Bools]
    noisy: list[Bools]
    window: int
    step: float
    future: list[Bools] = field(default_factory=list)
    laws: list[Truth] = field(default_factory=list)
    season: int = 1
    freq: str = ""
    scale: list[Floats] = field(default_factory=list)
    noise: Mapping[str, Family] = field(default_factory=dict)
    checks: list[tuple[Series, Series]] = field(default_factory=list)

    def shown(self, change: Callable[[Series], Series]) -> Task:
        """Return the task with another look of every item that models see; truths and scored entries stay."""
        train, validation, test = ([change(item) for item in part] for part in (self.train, self.validation, self.test))
        checks = [(change(item), answer) for item, answer in self.checks]
        return replace(self, train=train, validation=validation, test=test, checks=checks)


@dataclass(frozen=True, eq=False)
class Corruption:
    """What is done to clean values: hidden where `hidden`, else read with an error of sd `risk` where `noisy`.

    Attributes
    ----------
    hidden, noisy
        Entries taken away, and entries read with noise; `noisy` may overlap `hidden`.
    risk
        Standard deviation of the noise, 0 where not noisy.
    noise
        The noise itself, of standard deviation `risk`.
    """

    hidden: Bools
    noisy: Bools
    risk: Floats
    noise: Floats

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, ...], clean: bool = False) -> Corruption:
        """Hide half of all points, then make half of all points noisy with sd ~ U(.5, 1); no noise if `clean`."""
        hidden = rng.random(shape) < 0.5
        noisy = rng.random(shape) < 0.5
        sd = rng.uniform(0.5, 1.0, shape)
        normal = rng.standard_normal(shape)
        noisy = noisy & (not clean)
        risk = np.where(noisy, sd, 0.0)
        return cls(hidden, noisy, risk, risk * normal)

    def __getitem__(self, rows: slice | int) -> Corruption:
        """Return what is done to these rows, or to this item."""
        return Corruption(self.hidden[rows], self.noisy[rows], self.risk[rows], self.noise[rows])

    def apply(self, name: str, time: NDArray[Any], variables: tuple[str, ...], truth: Floats) -> Series:
        """Return the item as it would have been measured; asked is every entry that has a truth."""
        known = np.isfinite(truth)
        risk = np.where(known & ~self.hidden, self.risk, np.inf)
        return Series(name, time, variables, truth + self.noise, risk, asked=known)


def etth1_noisy(root: str | Path | None = None, seed: int = 2026, clean: bool = False, part: str = "test") -> Task:
    """Noisy imputation on ETTh1: half of the points hidden, half of all points with noise of sd U(.5, 1).

    First 14,400 rows, split 8,640 / 2,880 / 2,880 and z-scored by the training rows. Masks and noise are drawn once per
    point of the whole series, so that a hidden point is never seen in any split. Scored are windows of 48 rows at
    stride 120, 24 of them in each of the last two parts.

    Parameters
    ----------
    root
        Folder of the data sets.
    seed
        Seed of masks and noise.
    clean
        Hide the same points, but add no noise.
    part
        "test", or "validation" for making choices.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there.
    """
    rows, window, stride = 14400, 48, 120
    raw = etth.load(root)
    train = slice(0, 8640)
    location, scale = raw.value[train].mean(0), raw.value[train].std(0)
    value = (raw.value[:rows] - location) / scale
    drawn = Corruption.draw(np.random.default_rng(seed), value.shape, clean)

    def measured(piece: slice) -> Series:
        return drawn[piece].apply(raw.item_id, raw.time[piece], raw.variables, value[piece])

    first = {"validation": 8640, "test": 11520}[part]
    windows = [slice(start, start + window) for start in range(first, first + 2880 - window + 1, stride)]
    return Task(
        name="etth1-clean" if clean else "etth1-noisy",
        train=[measured(train)],
        validation=[measured(slice(8640, 11520))],
        test=[measured(piece) for piece in windows],
        truth=[value[piece] for piece in windows],
        hidden=[drawn.hidden[piece] for piece in windows],
        noisy=[(drawn.noisy & ~drawn.hidden)[piece] for piece in windows],
        window=window,
        step=3600.0,
    )


def physionet_noisy(root: str | Path | None = None, seed: int = 2026, clean: bool = False, part: str = "test") -> Task:
    """Noisy imputation on PhysioNet 2012 set-a: half of the readings hidden, noise of sd U(.5, 1) on half of the rest.

    3,996 stays of 48 hourly bins (the last reading of each) and 37 variables, split 2,800 / 400 / 796 by stay; values
    clipped at the .1 and 99.9 percentiles of the training stays and z-scored by them. Drawn in this order: the
    permutation of the stays, then masks and noise for the whole set in the order of the record numbers.

    Parameters
    ----------
    root
        Folder of the data sets.
    seed
        Seed of the split, the masks and the noise.
    clean
        Hide the same readings, but add no noise.
    part
        "test", or "validation" for making choices.

    Raises
    ------
    DatasetNotFoundError
        If the file is not there.
    """
    stays = physionet2012.load(root, grid="1h", clean=False)
    raw = np.stack([stay.value for stay in stays])
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(stays))
    drawn = Corruption.draw(rng, raw.shape, clean)
    split = {"train": order[:2800], "validation": order[2800:3200], "test": order[3200:]}
    train = raw[split["train"]].reshape(-1, raw.shape[-1])
    low, high = np.nanpercentile(train, [0.1, 99.9], axis=0)
    train = np.clip(train, low, high)
    scale = np.nanstd(train, axis=0)
    value = (np.clip(raw, low, high) - np.nanmean(train, axis=0)) / np.where(scale > 0, scale, 1.0)

    def measured(index: int) -> Series:
        return drawn[index].apply(stays[index].item_id, stays[index].time, stays[index].variables, value[index])

    known = np.isfinite(value)
    return Task(
        name="physionet-clean" if clean else "physionet-noisy",
        train=[measured(index) for index in split["train"]],
        validation=[measured(index) for index in split["validation"]],
        test=[measured(index) for index in split[part]],
        truth=[value[index] for index in split[part]],
        hidden=[known[index] & drawn.hidden[index] for index in split[part]],
        noisy=[known[index] & drawn.noisy[index] & ~drawn.hidden[index] for index in split[part]],
        window=physionet2012.HOURS,
        step=1.0,
    )


def score(task: Task, posteriors: Iterable[Posterior], levels: Sequence[float] = scores.LEVELS) -> dict[str, float]:
    """Score answers against the clean truth, item after item.

    Parameters
    ----------
    task
        The benchmark.
    posteriors
        One Posterior an item of `task.test`, in its order; may be a generator.
    levels
        Quantile levels of the CRPS.

    Returns
    -------
    At hidden entries: `crps` (mean over the levels of sum 2 pinball / sum |y|), `mae` of the median, `rmse` of the
    mean, `coverage90` and `width90` of the central 90 % band, `crps_mean` (fair CRPS an entry, in the units of the
    truth) and `energy` (fair energy score an item). The same at noisy entries, named `denoise_...`, and at future ones,
    named `future_...`.
    """
    wanted = {"": task.hidden, "denoise_": task.noisy, "future_": task.future}
    masks = {name: where for name, where in wanted.items() if any(mask.any() for mask in where)}
    parts: dict[str, list[_Part]] = {name: [] for name in masks}
    for index, (answer, truth) in enumerate(zip(posteriors, task.truth, strict=True)):
        for name, where in masks.items():
            if where[index].any():
                samples = np.asarray(answer.samples[:, where[index]], dtype=np.float64)
                parts[name].append(_part(samples, truth[where[index]], levels))
    return {f"{name}{key}": value for name, rows in parts.items() for key, value in _summary(rows, levels).items()}


@dataclass(frozen=True, eq=False)
class _Part:
    """What is kept of one item: quantiles (3 + L, N), the others (N,), one energy score."""

    quantiles: Floats
    mean: Floats
    truth: Floats
    crps: Floats
    energy: float


def _part(samples: Floats, truth: Floats, levels: Sequence[float]) -> _Part:
    quantiles = np.quantile(samples, (0.05, 0.5, 0.95, *levels), axis=0, method="weibull")
    energy = float(scores.energy_score(samples, truth))
    return _Part(quantiles, samples.mean(0), truth, scores.crps_samples(samples, truth), energy)


def _summary(rows: Sequence[_Part], levels: Sequence[float]) -> dict[str, float]:
    quantiles, mean, truth, crps = (
        np.concatenate([getattr(row, name) for row in rows], axis=-1) for name in ("quantiles", "mean", "truth", "crps")
    )
    low, median, high = quantiles[:3]
    return {
        "crps": scores.weighted_quantile_loss(quantiles[3:], truth, levels),
        "mae": scores.mae(median, truth),
        "rmse": scores.rmse(mean, truth),
        "coverage90": scores.coverage(low, high, truth),
        "width90": scores.width(low, high),
        "crps_mean": float(crps.mean()),
        "energy": float(np.mean([row.energy for row in rows])),
    }
