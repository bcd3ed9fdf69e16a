"""Forecasts of a frozen protocol: rolling windows at the end of series, noise on all that came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rstime import scores
from rstime.datasets import exchange_rate, m4_hourly
from rstime.evaluation.corruption import corruption
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import GLUONTS, Protocol
from rstime.types import Bools, Floats, Series


def forecast_task(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Make the data of one seed of a forecast: items of one variable, noise drawn once a stamp, a clean future."""
    return _forecast(protocol, seed, *_series(protocol, root))


def _series(protocol: Protocol, root: str | Path | None) -> tuple[list[Series], str]:
    """Items of one variable each, with their future, and the frequency."""
    if protocol.data == "m4_hourly":
        items, freq = m4_hourly.load(root, "all"), "h"
    elif protocol.data == "exchange_rate":
        whole, freq = exchange_rate.load(root), "B"
        rows = slice(6071 + 5 * 30)  # GluonTS's part of the data
        items = [
            Series(name, whole.time[rows], ("rate",), whole.value[rows, [k]], whole.risk[rows, [k]])
            for k, name in enumerate(whole.variables)
        ]
    else:
        items, freq = _gluonts(protocol.data.removeprefix(GLUONTS), root)
    if protocol.items:
        chosen = np.unique(np.linspace(0, len(items) - 1, protocol.items).round().astype(int))
        items = [items[index] for index in chosen]
    return items, freq


def _gluonts(name: str, root: str | Path | None) -> tuple[list[Series], str]:
    from rstime.datasets import gluonts_name

    train = gluonts_name.load(name, root)
    items = gluonts_name.load(name, root, "test")[-len(train) :]  # windows one after another: the last is whole
    items = [replace(item, known=np.empty((len(item.time), 0)), known_names=()) for item in items]
    from gluonts.dataset.repository import get_dataset
    from gluonts.dataset.repository.datasets import default_dataset_path

    folder = Path(default_dataset_path if root is None else root).expanduser()
    return items, str(get_dataset(name, path=folder).metadata.freq)


def _forecast(protocol: Protocol, seed: int, items: Sequence[Series], freq: str) -> Task:
    """Cut rolling windows off the end: noise on all of the past, drawn once a stamp; the clean future is the truth."""
    ahead, origins = protocol.horizon, protocol.origins
    train, tests = [], []
    for number, item in enumerate(items):
        first = len(item.time) - ahead * origins
        past = item.value[:first]
        drawn = corruption(protocol, np.random.default_rng([seed, number]), item.value, np.nanstd(past, axis=0))
        measured = drawn.apply(item.item_id, item.time, item.variables, item.value)
        train.append(measured.rows(slice(first)))
        for origin in range(origins):
            cut = first + origin * ahead
            tests.append(_window(measured, item.value, cut, ahead, f"{item.item_id}@{origin}", protocol.season))
    test, truth, future, scale = (list(part) for part in zip(*tests, strict=True))
    nothing = [np.zeros_like(mask) for mask in future]
    return Task(
        name=protocol.name,
        train=train,
        validation=[],
        test=test,
        truth=truth,
        hidden=nothing,
        noisy=nothing,
        window=protocol.window + ahead,
        step=1.0,
        future=future,
        season=protocol.season,
        freq=freq,
        scale=scale,
    )


def _window(
    measured: Series, clean: Floats, cut: int, ahead: int, name: str, season: int
) -> tuple[Series, Floats, Bools, Floats]:
    """One question: the past up to `cut`, the stamps after it asked; its truth, where it is scored, and MASE's unit."""
    rows = slice(cut + ahead)
    risk = measured.risk[rows].copy()
    risk[cut:] = np.inf
    future = np.zeros(risk.shape, dtype=bool)
    future[cut:] = np.isfinite(clean[cut : cut + ahead])
    asked = replace(measured.rows(rows), item_id=name, risk=risk, asked=future)
    unit = np.array([scores.seasonal_error(column, season) for column in clean[:cut].T])
    return asked, clean[rows], future, unit
