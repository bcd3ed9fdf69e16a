"""Tasks with the noise that sensors really have: a sensor brought to its reference, which alone is the truth.

The line of the sensor is fitted on the training part (`rstime.risk.line.fit_line`); its risk, and how long its errors
last, are those of readings it was not fitted to: fifths of the time, or of the people, left out in turn. Models learn
from the reference where it is known, as exact, and from the calibrated sensor elsewhere; in the test part they see the
sensor alone, and are scored at the stamps of the reference: "hidden" where the reading of the sensor was taken away,
"noisy" where it is there. The validation part asks the same, for an adjustment of bands. The reference has errors of
its own (some 5 to 7 % for fingersticks), the same for all methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rstime.datasets import air_quality_uci, shanghai_cgm
from rstime.datasets.missing import PATTERNS
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import Protocol
from rstime.risk.correlated import fit_correlated
from rstime.risk.families import Family
from rstime.risk.line import SensorLine, fit_line
from rstime.types import Bools, Floats, Series

GAS = ("CO", "PT08.S1(CO)", "CO(GT)")
"""Name of the variable, its sensor and its reference."""

CLIMATE = ("T", "RH")
GLUCOSE = ("glucose", "cgm_mg_dl", "cbg_mg_dl")
FOLDS = 5

Question: TypeAlias = tuple[Series, Floats, Bools]
"""An item of calibrated readings, its (T,) references, and the readings that are hidden."""


def calibrated_air(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Carbon monoxide: the metal-oxide sensor, corrected for temperature and humidity, beside the analyser, mg/m3."""
    raw = air_quality_uci.load(root)
    name, sensor, reference = _columns(raw, GAS)
    climate = raw.value[:, [raw.variables.index(variable) for variable in CLIMATE]]
    ends = np.cumsum([round(part if part > 1 else part * len(raw.time)) for part in protocol.split])
    first = slice(ends[0])
    fifths = np.arange(ends[0]) * FOLDS // ends[0]
    line, errors = _held_out(sensor[first], reference[first], fifths, climate[first])
    reading, sd = line.value(sensor, climate), float(np.sqrt(np.nanmean(errors**2)))
    lost = _mask(protocol, np.random.default_rng(seed), reading)
    item = Series(raw.item_id, raw.time, (name,), *_column(reading, sd))

    def windows(first: int, last: int) -> list[Question]:
        starts = range(first, min(last, len(raw.time)) - protocol.window + 1, protocol.stride or protocol.window)
        spans = [slice(start, start + protocol.window) for start in starts]
        cut = [replace(item.rows(rows), item_id=f"{raw.item_id}@{rows.start}") for rows in spans]
        return [(one, reference[rows], lost[rows]) for one, rows in zip(cut, spans, strict=True)]

    spans = (first, slice(ends[0], ends[1]))
    learn = [[_with_reference(item.rows(rows), reference[rows])] for rows in spans]
    noise = _noise(name, [raw.time[first]], [errors / sd], 3600.0)
    return _task(protocol, learn, windows(ends[0], ends[1]), windows(ends[1], ends[2]), 3600.0, noise)


def calibrated_glucose(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Glucose: a sensor in tissue beside fingersticks of other people than those learned from, mg/dL."""
    items = shanghai_cgm.load(root)
    rng = np.random.default_rng(seed)
    people = rng.permutation(sorted({shanghai_cgm.patient(item) for item in items}))
    ends = np.cumsum([round(part if part > 1 else part * len(people)) for part in protocol.split])
    number = {str(who): place for place, who in enumerate(people)}
    parts: list[list[Series]] = [[], [], []]
    for item in items:
        part = int(np.searchsorted(ends, number[shanghai_cgm.patient(item)], side="right"))
        if part < len(parts):
            parts[part].append(item)
    sensor, reference = (
        np.concatenate(columns) for columns in zip(*(_columns(one, GLUCOSE)[1:] for one in parts[0]), strict=True)
    )
    folds = [np.full(len(one.time), number[shanghai_cgm.patient(one)] % FOLDS) for one in parts[0]]
    line, errors = _held_out(sensor, reference, np.concatenate(folds))
    sd = float(np.sqrt(np.nanmean(errors**2)))

    def measured(item: Series) -> tuple[Series, Floats]:
        name, sensor, reference = _columns(item, GLUCOSE)
        return Series(item.item_id, item.time, (name,), *_column(line.value(sensor), sd)), reference

    def questions(part: list[Series]) -> list[Question]:
        return [(one, truth, _mask(protocol, rng, one.value[:, 0])) for one, truth in map(measured, part)]

    ends = np.cumsum([len(one.time) for one in parts[0]])[:-1]
    noise = _noise(GLUCOSE[0], [one.time for one in parts[0]], np.split(errors / sd, ends), 900.0)
    learn = [[_with_reference(*measured(item)) for item in part] for part in parts[:2]]
    tests = questions(parts[2])
    return _task(protocol, learn, questions(parts[1]), tests, 900.0, noise)


def _columns(item: Series, names: tuple[str, str, str]) -> tuple[str, Floats, Floats]:
    """Return the name of the variable, the sensor and the reference (T,)."""
    sensor, reference = (item.value[:, item.variables.index(name)] for name in names[1:])
    return names[0], sensor, reference


def _line(sensor: Floats, reference: Floats, covariates: Floats | None = None) -> SensorLine:
    whole = np.isfinite(sensor) & np.isfinite(reference)
    if covariates is None:
        return fit_line(sensor[whole], reference[whole])
    whole &= np.isfinite(covariates).all(1)
    return fit_line(sensor[whole], reference[whole], covariates[whole])


def _column(reading: Floats, sd: float) -> tuple[Floats, Floats]:
    return reading[:, None], np.where(np.isfinite(reading), sd, np.inf)[:, None]


def _mask(protocol: Protocol, rng: np.random.Generator, reading: Floats) -> Bools:
    return PATTERNS[protocol.pattern].mask(rng, reading[:, None], protocol.hidden)[:, 0]


def _with_reference(item: Series, reference: Floats) -> Series:
    known = np.isfinite(reference)[:, None]
    value, risk = np.where(known, reference[:, None], item.value), np.where(known, 0.0, item.risk)
    return replace(item, value=value, risk=risk)


def _held_out(
    sensor: Floats,
    reference: Floats,
    fold: NDArray[np.int64],
    covariates: Floats | None = None,
) -> tuple[SensorLine, Floats]:
    """Return the line of all pairs, and each fold's errors by the line of the others; NaN where there is no pair."""
    errors = np.full(len(sensor), np.nan)
    for number in np.unique(fold):
        mine = fold == number
        rest = None if covariates is None else covariates[~mine]
        line = _line(sensor[~mine], reference[~mine], rest)
        errors[mine] = line.value(sensor[mine], None if covariates is None else covariates[mine]) - reference[mine]
    return _line(sensor, reference, covariates), errors


def _noise(
    variable: str, stamps: Sequence[NDArray[Any]], errors: Sequence[Floats], interval: float
) -> dict[str, Family]:
    """Learn how long standardised errors of readings at this interval last."""
    family = fit_correlated(stamps, errors, interval)
    return {} if family is None else {variable: family}


def _task(
    protocol: Protocol,
    learn: list[list[Series]],
    checks: list[Question],
    tests: list[Question],
    step: float,
    noise: dict[str, Family],
) -> Task:
    """Hide readings of the sensor, and score where there is a reference and the item has at least one reading."""
    asked, kept = _asked(checks), _asked(tests)
    known = [np.isfinite(truth) for _, truth in kept]
    return Task(
        name=protocol.name,
        train=learn[0],
        validation=learn[1],
        test=[item for item, _ in kept],
        truth=[truth for _, truth in kept],
        hidden=[mask & ~item.observed for mask, (item, _) in zip(known, kept, strict=True)],
        noisy=[mask & item.observed for mask, (item, _) in zip(known, kept, strict=True)],
        window=protocol.window,
        step=step,
        noise=noise,
        checks=[
            (item, replace(item, value=truth, risk=np.where(np.isfinite(truth), 0.0, np.inf))) for item, truth in asked
        ],
    )


def _asked(questions: list[Question]) -> list[tuple[Series, Floats]]:
    """Return what is shown of items that have a reading and a reference, and the (T, 1) references."""
    found = []
    for item, reference, lost in questions:
        seen = replace(item, risk=np.where(lost[:, None], np.inf, item.risk), asked=np.isfinite(reference)[:, None])
        if seen.observed.any() and np.isfinite(reference).any():
            found.append((seen, reference[:, None]))
    return found
