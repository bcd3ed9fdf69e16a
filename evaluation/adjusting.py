"""Questions about held-out readings of a task, from which a method's bands are adjusted (`rstime.adjustment`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from rstime.adjustment import SpreadFactor
from rstime.evaluation.baselines import Settings
from rstime.evaluation.protocol import Task
from rstime.types import Posterior, Series

WINDOWS = 100
"""Forecasts at least, from as many windows of each training item as that takes, but at most MOST."""

MOST = 20
LEAST_SHARE = 0.1
"""Readings of the validation part that are hidden, where more of them are not needed to make it like the test part."""


def adjustment(
    task: Task, settings: Settings, answer: Callable[[Task, Settings], Iterator[Posterior]]
) -> SpreadFactor | None:
    """Return the factors that the spread of a method's answers needs on held-out readings, if there are any.

    Parameters
    ----------
    task
        As the method is shown it: readings that it drops are not held out, risks that it ignores not known.
    settings, answer
        The method; it is asked once more, of the same training data.
    """
    asked, readings = held_out(task, settings.seed)
    return None if not readings else SpreadFactor.fit(answer(asked, replace(settings, facts={})), readings)


def held_out(task: Task, seed: int) -> tuple[Task, list[Series]]:
    """Return questions about readings that are known, with the training data of the task, and these readings.

    They are the task's own checks where it has any. Of a forecast they are the last windows of the training items,
    which training may have seen; of an imputation, readings of the validation part taken away at random, as many as
    leave the share of readings of the test items, and LEAST_SHARE at least.
    """
    found = task.checks or list(_futures(task) if task.future else _hidden(task, np.random.default_rng([seed, 3])))
    test, readings = [item for item, _ in found], [reading for _, reading in found]
    where = [np.asarray(item.asked) for item in test]
    nothing = [np.zeros_like(mask) for mask in where]
    hidden, future = (nothing, where) if task.future else (where, [])
    truth = [reading.value for reading in readings]
    return replace(task, test=test, truth=truth, hidden=hidden, noisy=nothing, future=future, scale=[]), readings


def _futures(task: Task) -> Iterator[tuple[Series, Series]]:
    ahead = int(task.future[0].any(1).sum())
    windows = min(-(-WINDOWS // len(task.train)), MOST)
    for item in task.train:
        for end in range(len(item.time), max(len(item.time) - windows * ahead, task.window - 1), -ahead):
            whole = item.rows(slice(end))
            late = np.zeros(whole.risk.shape, dtype=bool)
            late[-ahead:] = True
            if whole.observed[~late].any():
                yield _apart(whole, late)


def _hidden(task: Task, rng: np.random.Generator) -> Iterator[tuple[Series, Series]]:
    share = max(1 - _density(task.test) / max(_density(task.validation), 1e-9), LEAST_SHARE)
    for item in task.validation:
        for start in range(0, len(item.time), task.window):
            whole = item.rows(slice(start, start + task.window))
            lost = whole.observed & (rng.random(whole.risk.shape) < share)
            if lost.any():
                yield _apart(whole, lost)


def _density(items: Sequence[Series]) -> float:
    return float(np.mean(np.concatenate([item.observed.ravel() for item in items]))) if items else 0.0


def _apart(whole: Series, where: np.ndarray) -> tuple[Series, Series]:
    """Return the item without these readings, asked for them, and them alone."""
    shown = replace(whole, risk=np.where(where, np.inf, whole.risk), asked=where)
    return shown, replace(whole, risk=np.where(where, whole.risk, np.inf))
