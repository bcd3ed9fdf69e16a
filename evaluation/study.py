"""Patients to learn from and patients to be judged on, and scores by kind of entry: missing, noisy, future."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from rstime import scores
from rstime.datasets import physionet2012
from rstime.types import Bools, Floats, Posterior, Series

HORIZON = 12
"""Hours at the end of each stay that are forecast from the hours before."""

NOMINAL = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
PHYSIONET_UNITS = {
    "HR": "bpm",
    "SysABP": "mmHg",
    "DiasABP": "mmHg",
    "MAP": "mmHg",
    "NISysABP": "mmHg",
    "NIDiasABP": "mmHg",
    "NIMAP": "mmHg",
    "RespRate": "rpm",
    "Temp": "°C",
    "Glucose": "mg/dL",
}
Answers: TypeAlias = tuple[list[Posterior], list[Posterior]]
"""Posteriors of the whole stay, and of its last hours given what came before them."""


@dataclass(frozen=True, eq=False)
class Study:
    """Patients to learn from, and patients kept apart whose truth is known.

    Attributes
    ----------
    what
        One sentence about the data.
    train, test
        Noisy, incomplete series on an hourly grid.
    truth
        One (T, C) array a patient of `test`; NaN where the truth is not known.
    units
        Unit of each variable.
    """

    what: str
    train: list[Series]
    test: list[Series]
    truth: list[Floats]
    units: Mapping[str, str]


def physionet_study(root: Path | None, seed: int, n_train: int = 600, n_test: int = 16) -> Study:
    """Take stays of PhysioNet 2012, hide a fifth of the readings, and add known noise to half of the rest.

    The readings as charted stand for the truth. The noise has a standard deviation of .5 to 1 times the variable's.
    """
    keep = [physionet2012.VARIABLES.index(name) for name in PHYSIONET_UNITS]
    stays = [_columns(stay, keep) for stay in physionet2012.load(root)]
    stays = [stay for stay in stays if stay.observed.sum() >= 100 and stay.observed[:-HORIZON].sum() >= 50]
    rng = np.random.default_rng(seed)
    chosen = [stays[i] for i in rng.permutation(len(stays))[: n_train + n_test]]
    spread = _spread([stay.value for stay in chosen[:n_train]])
    noisy = [_worsen(stay, spread, rng) for stay in chosen]
    what = "PhysioNet 2012: 48 hours, 10 vital signs; a fifth of the readings hidden, noise on half of the others"
    return Study(what, noisy[:n_train], noisy[n_train:], [stay.value for stay in chosen[n_train:]], PHYSIONET_UNITS)


def judge(
    study: Study, answers: Mapping[str, Answers]
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, dict[str, Floats]]]:
    """Score every method at missing, noisy and future entries.

    Returns
    -------
    Pooled scores (entries, count, method, CRPS, MAE, inside 90 %), mean absolute error by variable with one column a
    method, and the coverage of central bands of the `NOMINAL` levels by entries and method.
    """
    spread = _spread(study.truth)
    pooled: list[dict[str, object]] = []
    detail: list[dict[str, object]] = []
    curves: dict[str, dict[str, Floats]] = {}
    for kind, part, truths, masks in _kinds(study):
        truth = np.concatenate([t[mask] for t, mask in zip(truths, masks, strict=True)])
        column = np.concatenate([np.nonzero(mask)[1] for mask in masks])
        errors, curves[kind] = {}, {}
        for method, answer in answers.items():
            samples = np.concatenate([p.samples[:, mask] for p, mask in zip(answer[part], masks, strict=True)], axis=1)
            errors[method] = np.abs(np.median(samples, axis=0) - truth)
            curves[kind][method] = np.array([_inside(samples, truth, level) for level in NOMINAL])
            row: dict[str, object] = {"entries": kind, "count": len(truth), "method": method}
            row["CRPS"] = float(np.mean(scores.crps_samples(samples, truth) / spread[column]))
            row["MAE"] = float(np.mean(errors[method] / spread[column]))
            pooled.append(row | {"inside 90 %": _inside(samples, truth, 0.9)})
        for index, name in enumerate(study.test[0].variables):
            if np.any(column == index):
                means = {method: float(error[column == index].mean()) for method, error in errors.items()}
                detail.append({"entries": kind, "variable": name, "unit": study.units[name], **means})
    return pd.DataFrame(pooled), pd.DataFrame(detail), curves


def silenced(item: Series) -> Series:
    """Return a series with nothing read in its last hours."""
    risk = item.risk.copy()
    risk[-HORIZON:] = np.inf
    return replace(item, risk=risk)


def _spread(arrays: Sequence[Floats]) -> Floats:
    """Return the standard deviation of each column over its known entries; 1 where there is none."""
    columns = np.concatenate(arrays).T
    return np.array([np.nanstd(column) if np.isfinite(column).any() else 1.0 for column in columns])


def _kinds(study: Study) -> Iterator[tuple[str, int, list[Floats], list[Bools]]]:
    """Yield each kind of entry with its place in Answers, the truth there, and where it is judged."""
    known = [np.isfinite(truth) for truth in study.truth]
    pairs = list(zip(known, study.test, strict=True))
    yield "missing", 0, study.truth, [k & ~item.observed for k, item in pairs]
    yield "noisy", 0, study.truth, [k & item.observed & (item.risk > 0) for k, item in pairs]
    yield "future", 1, [truth[-HORIZON:] for truth in study.truth], [k[-HORIZON:] for k in known]


def _inside(samples: Floats, truth: Floats, level: float) -> float:
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    return scores.coverage(low, high, truth)


def _columns(item: Series, columns: Sequence[int]) -> Series:
    """Return some variables of a series."""
    names = tuple(item.variables[c] for c in columns)
    assert item.asked is not None
    parts = {name: getattr(item, name)[:, columns] for name in ("value", "risk", "asked")}
    return replace(item, variables=names, **parts)


def _worsen(item: Series, spread: Floats, rng: np.random.Generator) -> Series:
    """Hide a fifth of the readings; add noise of .5 to 1 standard deviations to half of the others."""
    shape = item.value.shape
    risk = np.where(rng.random(shape) < 0.5, rng.uniform(0.5, 1.0, shape) * spread, 0.0)
    value = item.value + risk * rng.normal(size=shape)
    return replace(item, value=value, risk=np.where((rng.random(shape) < 0.2) | ~item.observed, np.inf, risk))
