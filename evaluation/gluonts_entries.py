"""A Task as a data set of GluonTS, and its forecasts as answers."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rstime.evaluation.classics import centres, fill
from rstime.evaluation.protocol import Task
from rstime.types import Posterior, Series

START = "2000-01-03"
"""First stamp of series whose time is a number."""


def horizon(task: Task) -> int:
    """Return the number of steps that are forecast."""
    return int(task.future[0].any(1).sum())


def entries(
    items: Sequence[Series],
    freq: str,
    ahead: int = 0,
    covariate: bool = False,
    filled: bool = False,
    kind: type = np.float64,
) -> list[dict[str, Any]]:
    """Return an entry for each item of one variable: target (NaN where missing) and sd, the risk (0 where missing).

    Parameters
    ----------
    items
        Series; the last `ahead` stamps are the future.
    freq
        Frequency of the periods.
    ahead
        Steps that are cut off the target.
    covariate
        Add feat_dynamic_real: the risk in standard deviations of the item's readings, 0 in the future.
    filled
        Fill missing targets linearly, for networks without a mask.
    kind
        Type of the target.
    """
    found = []
    for item in items:
        past = len(item.time) - ahead
        value = fill(item, centres([item])) if filled else item.value
        risk = np.where(item.observed, item.risk, 0.0)[:, 0]
        entry: dict[str, Any] = {"start": _period(item.time[0], freq), "item_id": item.item_id}
        entry["target"], entry["sd"] = value[:past, 0].astype(kind), risk[:past]
        if covariate:
            unit = float(np.nanstd(item.value[:past]))
            entry["feat_dynamic_real"] = (risk / (unit if unit > 0 else 1.0))[None].astype(np.float32)
        found.append(entry)
    return found


def answers(task: Task, forecasts: Iterable[Any]) -> Iterator[Posterior]:
    """Yield the forecasts of the items as posteriors: samples (S, T, 1), NaN in the past.

    Forecasts that are distributions are asked for their quantiles at rank / (S + 1), S = 100.
    """
    for item, forecast in zip(task.test, forecasts, strict=True):
        samples = getattr(forecast, "samples", None)
        if samples is None:
            samples = np.stack([forecast.quantile(rank / 101) for rank in range(1, 101)])
        whole = np.full((len(samples), *item.value.shape), np.nan)
        whole[:, len(item.time) - samples.shape[1] :, 0] = samples
        yield Posterior(item, whole)


def _period(stamp: Any, freq: str) -> pd.Period:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pandas will drop periods of business days
        return pd.Period(pd.Timestamp(stamp if isinstance(stamp, np.datetime64) else START), freq=freq)
