"""Backtest on a user's own table: forecasts of windows at its end, made from what came before, against its readings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import pandas as pd

from rstime import scores
from rstime.axis import Axis
from rstime.errors import ConfigError, DataError
from rstime.evaluation.baselines import Settings
from rstime.evaluation.classics import naive
from rstime.evaluation.protocol import Task
from rstime.evaluation.tally import Tally, difference, tally
from rstime.frame import Columns, from_long
from rstime.model import RiskDiffusion
from rstime.model_answers import horizon_steps
from rstime.types import Floats, Posterior, Series

CONTEXT = 4
"""Steps of the past in a window, in horizons."""

FEWEST = 8
"""Windows of a variable below which there is no interval."""

NEAR = 1e-6
METRICS = ("wql", "crps", "mase", "coverage90", "width90")


def backtest(
    table: pd.DataFrame,
    horizon: int | str | timedelta,
    *,
    origins: int = 3,
    grid: str | float | None = None,
    window: int | None = None,
    season: int = 1,
    model: str = "diffusion",
    minutes: float = 15.0,
    samples: int = 100,
    seed: int = 0,
    device: str = "auto",
    columns: Columns | None = None,
    static: pd.DataFrame | None = None,
    known: pd.DataFrame | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Fit to all but the end of each item, forecast the windows at its end one after another, and score them.

    The model is fitted once, to what comes before the first window; each forecast sees all readings before its own
    window, with their sd. Truth are the readings of the window; where they have an sd, noise of that size is added to
    the samples of all methods, which makes the scores proper for the clean value (`rstime.noisy_scores`).

    Parameters
    ----------
    table
        Long table as for `rstime.from_long`.
    horizon
        Steps of a window, or a duration; see `rstime.RiskDiffusion.forecast`.
    origins
        Number of windows.
    grid
        Bins of time; stamps as they are if None.
    window
        Steps the model sees at once, horizon included; five horizons if None.
    season
        Stamps in a season, for the naive forecast and for MASE.
    model
        "diffusion" or "gaussian".
    minutes, samples, seed
        Of training, of each forecast, of everything random.
    device
        As for `rstime.RiskDiffusion.fit`.
    columns, static, known
        Names of columns, tables of covariates; see `rstime.from_long`.
    progress
        Whether to show bars on stderr.

    Returns
    -------
    A row a variable and method (the model, "gaussian", "seasonal-naive"): windows, readings; wql over the levels .1 ...
    .9, crps, mase, coverage90, width90; and by how much its wql is behind that of the model, with a paired 95 %
    interval (low, high) over windows, where a variable has at least FEWEST of them.

    Raises
    ------
    DataError
        If the table breaks a rule, or no item is long enough.
    ConfigError
        If a setting is out of range.

    Examples
    --------
    >>> hours = pd.date_range("2026-01-01", periods=60, freq="h")
    >>> table = pd.DataFrame({"item_id": "a", "timestamp": hours, "variable": "x", "sd": 0.1, "value": range(60)})
    >>> backtest(table, 3, model="gaussian", progress=False)["method"].tolist()
    ['gaussian', 'seasonal-naive']
    """
    for name, value in (("origins", origins), ("season", season)):
        if value < 1:
            raise ConfigError(name, f"{value}", "Give at least 1.")
    series = from_long(table, columns, static=static, known=known, grid=grid)
    axis = Axis.fit(series, grid)
    steps = horizon_steps(horizon, axis, grid is not None)
    length = (CONTEXT + 1) * steps if window is None else window
    if length <= steps:
        raise ConfigError("window", f"{length} steps for a horizon of {steps}", "Give more steps than the horizon has.")
    task, risks = questions(series, axis, steps, origins, season, length)
    fitted = RiskDiffusion(model, window=length, grid=grid).fit(
        task.train, max_minutes=minutes, device=device, seed=seed, progress=progress
    )
    settings = Settings(seed=seed, samples=samples)
    answered = {model: list(_forecasts(fitted, task, axis, settings))}
    if model != "gaussian":
        answered["gaussian"] = list(_forecasts(fitted.baseline(), task, axis, settings))
    answered["seasonal-naive"] = list(naive(task, settings, season))
    return _table(task, risks, answered)


def questions(
    series: Sequence[Series], axis: Axis, steps: int, origins: int, season: int, window: int
) -> tuple[Task, list[Floats]]:
    """Cut the windows off the end of each item; also return the risk of the readings that are the truth.

    Raises
    ------
    DataError
        If no item has readings before its first window and in a window.
    """
    train, test, truth, future, scale, risks = [], [], [], [], [], []
    for item in series:
        at = axis.steps(item.time)
        read = np.flatnonzero(item.observed.any(1))
        if not read.size:
            continue
        cuts = at[read[-1]] - steps * np.arange(origins, -1, -1) + NEAR
        if not item.observed[at <= cuts[0]].any():
            continue
        train.append(item.rows(slice(int((at <= cuts[0]).sum()))))
        for origin, (cut, end) in enumerate(pairwise(cuts)):
            whole = item.rows(slice(int((at <= end).sum())))
            late = (at[: len(whole.time)] > cut)[:, None] & whole.observed
            hidden = (at[: len(whole.time)] > cut)[:, None]
            if not late.any() or not whole.observed[~hidden[:, 0]].any():
                continue
            shown = replace(whole, risk=np.where(hidden, np.inf, whole.risk), asked=late)
            test.append(replace(shown, item_id=f"{item.item_id}@{origin}"))
            truth.append(whole.value)
            future.append(late)
            risks.append(np.where(late, whole.risk, 0.0))
            scale.append(np.array([scores.seasonal_error(column, season) for column in shown.value.T]))
    if not test:
        problem = f"no item has readings before and in {origins} windows of {steps} steps"
        raise DataError("table", problem, "Give longer items, a shorter horizon or fewer origins.")
    nothing = [np.zeros_like(mask) for mask in future]
    task = Task("backtest", train, [], test, truth, nothing, nothing, window, axis.step, future, season=season)
    return replace(task, scale=scale), risks


def _forecasts(model: RiskDiffusion, task: Task, axis: Axis, settings: Settings) -> Iterator[Posterior]:
    """Answer each question from the last steps of a window."""
    for item in task.test:
        at = axis.steps(item.time)
        first = int((at <= at[-1] - task.window + NEAR).sum())
        (answer,) = model.impute(
            [item.rows(slice(first, None))], samples=settings.samples, seed=settings.seed, entries="missing"
        )
        before = np.full((settings.samples, first, item.value.shape[1]), np.nan)
        yield Posterior(item, np.concatenate([before, answer.samples], axis=1))


def _table(task: Task, risks: Sequence[Floats], answered: dict[str, list[Posterior]]) -> pd.DataFrame:
    rows = []
    variables = list(dict.fromkeys(name for item in task.test for name in item.variables))
    ours = next(iter(answered))
    for variable in variables:
        own = [mask & (np.array(item.variables) == variable) for mask, item in zip(task.future, task.test, strict=True)]
        kept = [index for index, mask in enumerate(own) if mask.any()]
        if not kept:
            continue
        asked = replace(
            task,
            test=[task.test[k] for k in kept],
            truth=[task.truth[k] for k in kept],
            future=[own[k] for k in kept],
            scale=[task.scale[k] for k in kept],
            hidden=task.hidden[: len(kept)],
            noisy=task.noisy[: len(kept)],
        )
        tallies: dict[str, Tally] = {
            name: tally(asked, [found[k] for k in kept], [risks[k] for k in kept]) for name, found in answered.items()
        }
        for name, found in tallies.items():
            metrics = {metric: float(value) for metric, value in found.metrics().items() if metric in METRICS}
            row = {"variable": variable, "method": name, "windows": len(kept)}
            row["readings"] = int(sum(mask.sum() for mask in own))
            gap = (float("nan"),) * 3
            if name != ours:
                gap = difference([found], [tallies[ours]])["wql"]
                gap = gap if len(kept) >= FEWEST else (gap[0], float("nan"), float("nan"))
            rows.append(row | metrics | dict(zip(("behind", "low", "high"), gap, strict=True)))
    return pd.DataFrame.from_records(rows)
