"""From a frozen protocol to its data: the same noise and the same masks from the same seed, on every machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rstime.datasets import beijing_pm25, etth, physionet2012
from rstime.evaluation.corruption import corruption
from rstime.evaluation.forecast_tasks import forecast_task
from rstime.evaluation.protocol import Corruption, Task
from rstime.evaluation.sensor_tasks import calibrated_air, calibrated_glucose
from rstime.evaluation.spec import Protocol
from rstime.types import Bools, Floats, Series

LEFT_OUT = ("MechVent", "Weight")
"""Variables of PhysioNet 2012 that CSDI (Tashiro et al. 2021) does not have: 35 are left."""

CHOICE_MONTHS = (2, 8)
"""Months of the Beijing data that are for validation; the test months are those of the data set."""


def build(protocol: Protocol, seed: int, root: str | Path | None = None) -> Task:
    """Make the data of one seed of a protocol: what to learn from, what is asked, and the clean answers.

    Parameters
    ----------
    protocol
        What to make.
    seed
        Of noise, masks and split.
    root
        Folder of the data sets; see `rstime.datasets.root.find`.

    Raises
    ------
    DatasetNotFoundError
        If a file is not there.
    """
    return told(protocol, _make(protocol, seed, root))


def told(protocol: Protocol, task: Task) -> Task:
    """Return the task with what models are told of the risk instead of the truth; values stay as they are.

    A constant risk is the root mean square over the readings of an item, or, where all items are of one kind
    (imputation), over the training readings of each variable.
    """
    if protocol.told == "true":
        return task
    pooled = _mean_square(task.train) if protocol.told == "constant" and protocol.task == "impute" else None

    def tell(item: Series) -> Series:
        if protocol.told == "constant":
            said = np.broadcast_to(_mean_square([item]) if pooled is None else pooled, item.risk.shape)
        else:
            said = protocol.factor * item.risk if protocol.told == "scaled" else np.zeros(item.risk.shape)
        return replace(item, risk=np.where(item.observed, said, np.inf))

    return task.shown(tell)


def _make(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    if protocol.task == "forecast":
        return forecast_task(protocol, seed, root)
    return _IMPUTATIONS[protocol.data](protocol, seed, root)


def _mean_square(items: Sequence[Series]) -> Floats:
    """(C,) root mean square of the risk of each variable; 0 where it has no reading."""
    risk = np.concatenate([item.risk for item in items])
    known = np.isfinite(risk)
    square: Floats = np.where(known, risk, 0.0) ** 2
    return np.asarray(np.sqrt(square.sum(0) / np.maximum(known.sum(0), 1)))


def cuts(split: Sequence[float], count: int) -> tuple[int, int, int]:
    """Return where training, validation and test part end, of so many rows or items; parts above 1 are counts."""
    parts = [part if part > 1 else part * count for part in split]
    first, second, third = np.minimum(np.cumsum(np.round(parts)), count).astype(int).tolist()
    return first, second, third


def _etth1(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Z-scored by the training rows; masks and noise once a point, so that a hidden point is seen in no split."""
    raw = etth.load(root)
    ends = cuts(protocol.split, len(raw.time))
    train = raw.value[: ends[0]]
    value = (raw.value[: ends[2]] - train.mean(0)) / train.std(0)
    drawn = corruption(protocol, np.random.default_rng(seed), value, np.ones(value.shape[1]))
    learned = _split_rows(protocol, raw, value, drawn, [slice(ends[0]), slice(ends[0], ends[1])], [], 3600.0)
    if protocol.test_noise:
        low, high = protocol.test_noise
        other = replace(protocol, grade="half", low=low, high=high) if high else replace(protocol, grade="none")
        drawn = corruption(other, np.random.default_rng(seed), value, np.ones(value.shape[1]))
    windows = _windows(protocol, ends[1], ends[2])
    asked = _split_rows(protocol, raw, value, drawn, [slice(1), slice(1)], windows, 3600.0)
    return replace(asked, train=learned.train, validation=learned.validation)


def _split_rows(
    protocol: Protocol,
    raw: Series,
    value: Floats,
    drawn: Corruption,
    spans: Sequence[slice],
    windows: Sequence[slice],
    step: float,
) -> Task:
    """Make the task of one long item: what is learned from, what is chosen by, and the windows that are scored."""
    seen = replace(drawn, hidden=drawn.hidden & (protocol.hidden_in == "all"))

    def measured(rows: slice, hidden: Corruption) -> Series:
        return hidden[rows].apply(raw.item_id, raw.time[rows], raw.variables, value[rows])

    known = np.isfinite(value)
    kept = [rows for rows in windows if (known & (drawn.hidden | drawn.noisy))[rows].any()]
    return Task(
        name=protocol.name,
        train=[measured(spans[0], seen)],
        validation=[measured(spans[1], seen)],
        test=[replace(measured(rows, drawn), item_id=f"{raw.item_id}@{rows.start}") for rows in kept],
        truth=[value[rows] for rows in kept],
        hidden=[(known & drawn.hidden)[rows] for rows in kept],
        noisy=[(known & drawn.noisy & ~drawn.hidden)[rows] for rows in kept],
        window=protocol.window,
        step=step,
    )


def _windows(protocol: Protocol, first: int, end: int) -> list[slice]:
    stride = protocol.stride or protocol.window
    return [slice(start, start + protocol.window) for start in range(first, end - protocol.window + 1, stride)]


def _physionet(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Follow CSDI (Tashiro et al. 2021; its code, dataset_physio.py and utils.py), the seed being the fold.

    As there: 35 variables in 48 hourly bins, the last reading of each, implausible ones included; 70, 10 and 20 % of
    the stays, the test parts of seeds 0 to 4 being the five folds; training sees all readings; of each test stay
    floor(share n) of the n readings are hidden. "wql" is their CRPS, the mean over 19 levels of sum 2 pinball /
    sum |y|, sums over all hidden entries of z-scores, and "mae" their MAE, of the median.

    Otherwise than there: z-scores by the training stays, not by all stays, test included; another draw of folds and
    masks; 401 readings at 48:00 are in the last bin, not left out; stays with fewer than two readings (one with a
    single reading, three without any) are left out; quantiles of S samples have rank / (S + 1), not
    (rank - 1) / (S - 1).
    """
    keep = [k for k, name in enumerate(physionet2012.VARIABLES) if name not in LEFT_OUT]
    stays = physionet2012.load(root, clean=False)
    raw = np.stack([stay.value[:, keep] for stay in stays])
    ends = cuts(protocol.split, len(stays))
    order = np.roll(np.random.default_rng(0).permutation(len(stays)), -seed * (ends[2] - ends[1]))
    train = raw[order[: ends[0]]].reshape(-1, len(keep))
    value = (raw - np.nanmean(train, axis=0)) / np.nanstd(train, axis=0)
    drawn = corruption(protocol, np.random.default_rng(seed), value, np.ones(len(keep)))
    seen = replace(drawn, hidden=drawn.hidden & (protocol.hidden_in == "all"))
    names, known = tuple(physionet2012.VARIABLES[k] for k in keep), np.isfinite(value)

    def measured(index: int, hidden: Corruption) -> Series:
        return hidden[index].apply(stays[index].item_id, stays[index].time, names, value[index])

    scored = known & (drawn.hidden | drawn.noisy)
    test = [index for index in order[ends[1] : ends[2]] if scored[index].any()]
    return Task(
        name=protocol.name,
        train=[measured(index, seen) for index in order[: ends[0]]],
        validation=[measured(index, seen) for index in order[ends[0] : ends[1]]],
        test=[measured(index, drawn) for index in test],
        truth=[value[index] for index in test],
        hidden=[known[index] & drawn.hidden[index] for index in test],
        noisy=[known[index] & drawn.noisy[index] & ~drawn.hidden[index] for index in test],
        window=protocol.window,
        step=1.0,
    )


def _beijing(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Score windows of the test months, at the mask of the data set, and learn from the other months."""
    found = beijing_pm25.load(root)
    raw = found.series
    value = np.where(np.isfinite(found.truth), found.truth, raw.value)
    month = raw.time.astype("datetime64[M]").astype(int) % 12 + 1
    learned = ~np.isin(month, (*beijing_pm25.TEST_MONTHS, *CHOICE_MONTHS))
    drawn = corruption(protocol, np.random.default_rng(seed), value, np.nanstd(raw.value[learned], axis=0))
    if protocol.pattern == "given":
        drawn = replace(drawn, hidden=np.isfinite(found.truth))
    # What the data set hides is hidden from training, too.
    hide = protocol if protocol.pattern != "given" else replace(protocol, hidden_in="all")

    def pieces(rows: Bools) -> list[Series]:
        return [_split_rows(hide, raw, value, drawn, [run, run], [], 3600.0).train[0] for run in _runs(rows)]

    tested = np.isin(month, beijing_pm25.TEST_MONTHS)
    windows = [rows for run in _runs(tested) for rows in _windows(protocol, run.start, run.stop)]
    task = _split_rows(hide, raw, value, drawn, [slice(1), slice(1)], windows, 3600.0)
    return replace(task, train=pieces(learned), validation=pieces(np.isin(month, CHOICE_MONTHS)))


def _runs(where: Bools) -> list[slice]:
    """Return the stretches of rows where it holds."""
    edges = np.flatnonzero(np.diff(np.r_[False, where, False].astype(int)))
    return [slice(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


_IMPUTATIONS: Mapping[str, Callable[[Protocol, int, str | Path | None], Task]] = {
    "etth1": _etth1,
    "physionet2012": _physionet,
    "beijing_pm25": _beijing,
    "air_quality_uci": calibrated_air,
    "shanghai_cgm": calibrated_glucose,
}
