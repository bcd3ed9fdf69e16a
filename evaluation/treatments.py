"""The honest ways to treat noisy readings, for methods that know no risk and for those that do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rstime.evaluation.protocol import Task
from rstime.types import Bools, Series

TREATMENTS = ("clean", "known", "keep", "drop", "covariate")
"""clean: there is no noise. known: the method takes the risk of each reading, and the family of the noise where that is
known. keep: all readings as if exact. drop: the risky ones as if missing. covariate: as keep, with the risk as one more
input, 0 in the future."""


def treat(task: Task, treatment: str) -> Task:
    """Return the task as a method of this treatment is shown it; truths and scored entries stay.

    Dropped is every noisy reading where an item has exact readings of the variable, else the riskier half of them
    (above the median of the item's variable: none, where all risks are the same). Who takes risk as a covariate gets it
    and has to take values as exact.
    """
    if treatment in ("clean", "known", "covariate"):
        return task

    def show(item: Series) -> Series:
        if treatment == "keep":
            return replace(item, risk=np.where(item.observed, 0.0, np.inf))
        return replace(item, risk=np.where(item.observed & ~risky(item), 0.0, np.inf))

    return replace(task.shown(show), noise={})


def risky(item: Series) -> Bools:
    """(T, C) readings that `treat` drops."""
    found = np.zeros(item.risk.shape, dtype=bool)
    for column, risk in enumerate(item.risk.T):
        read = risk[np.isfinite(risk)]
        if read.size:
            limit = 0.0 if (read == 0).any() else float(np.median(read))
            found[:, column] = np.isfinite(risk) & (risk > limit)
    return found


def noisy(items: Sequence[Series]) -> bool:
    """Whether any reading has a risk above 0."""
    return any(bool((item.risk[item.observed] > 0).any()) for item in items)
