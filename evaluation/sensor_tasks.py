"""Tasks with the noise that sensors really have: a sensor brought to its reference, which alone is the truth.

The line of the sensor and its risk are fitted on the training part (`rstime.risk.line.fit_line`). Models learn from
the reference where it is known, as exact, and from the calibrated sensor elsewhere; in the test part they see the
sensor alone, and are scored at the stamps of the reference: "hidden" where the reading of the sensor was taken away,
"noisy" where it is there. The reference has errors of its own (some 5 to 7 % for fingersticks), the same for all
methods.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from rstime.datasets import air_quality_uci, shanghai_cgm
from rstime.datasets.missing import PATTERNS
from rstime.evaluation.protocol import Task
from rstime.evaluation.spec import Protocol
from rstime.evaluation.study import rows_of
from rstime.risk.line import SensorLine, fit_line
from rstime.types import Bools, Floats, Series

GAS = ("CO", "PT08.S1(CO)", "CO(GT)")
"""Name of the variable, its sensor and its reference."""

CLIMATE = ("T", "RH")
GLUCOSE = ("glucose", "cgm_mg_dl", "cbg_mg_dl")


def calibrated_air(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Carbon monoxide: the metal-oxide sensor, corrected for temperature and humidity, beside the analyser, mg/m3."""
    raw = air_quality_uci.load(root)
    name, sensor, reference = _columns(raw, GAS)
    climate = raw.value[:, [raw.variables.index(variable) for variable in CLIMATE]]
    ends = np.cumsum([round(part if part > 1 else part * len(raw.time)) for part in protocol.split])
    line = _line(sensor[: ends[0]], reference[: ends[0]], climate[: ends[0]])
    reading = line.value(sensor, climate)
    lost = _mask(protocol, np.random.default_rng(seed), reading)
    item = Series(raw.item_id, raw.time, (name,), *_column(reading, line.sd))
    windows = range(ends[1], min(ends[2], len(raw.time)) - protocol.window + 1, protocol.stride or protocol.window)
    spans = [slice(start, start + protocol.window) for start in windows]
    tests = [
        (replace(rows_of(item, rows), item_id=f"{raw.item_id}@{rows.start}"), reference[rows], lost[rows])
        for rows in spans
    ]
    learn = [
        _with_reference(rows_of(item, rows), reference[rows]) for rows in (slice(ends[0]), slice(ends[0], ends[1]))
    ]
    return _task(protocol, [learn[0]], [learn[1]], tests, 3600.0)


def calibrated_glucose(protocol: Protocol, seed: int, root: str | Path | None) -> Task:
    """Glucose: a sensor in tissue beside fingersticks of other people than those learned from, mg/dL."""
    items = shanghai_cgm.load(root)
    rng = np.random.default_rng(seed)
    people = rng.permutation(sorted({shanghai_cgm.patient(item) for item in items}))
    ends = np.cumsum([round(part if part > 1 else part * len(people)) for part in protocol.split])
    place = {str(who): int(np.searchsorted(ends, number, side="right")) for number, who in enumerate(people)}
    parts: list[list[Series]] = [[], [], []]
    for item in items:
        part = place[shanghai_cgm.patient(item)]
        if part < len(parts):
            parts[part].append(item)
    pairs = [np.concatenate(columns) for columns in zip(*(_columns(one, GLUCOSE)[1:] for one in parts[0]), strict=True)]
    line = _line(pairs[0], pairs[1])

    def measured(item: Series) -> tuple[Series, Floats]:
        name, sensor, reference = _columns(item, GLUCOSE)
        return Series(item.item_id, item.time, (name,), *_column(line.value(sensor), line.sd)), reference

    learn = [[_with_reference(*measured(item)) for item in part] for part in parts[:2]]
    tests = []
    for item in parts[2]:
        one, reference = measured(item)
        tests.append((one, reference, _mask(protocol, rng, one.value[:, 0])))
    return _task(protocol, learn[0], learn[1], tests, 900.0)


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


def _task(
    protocol: Protocol,
    train: list[Series],
    validation: list[Series],
    tests: list[tuple[Series, Floats, Bools]],
    step: float,
) -> Task:
    """Hide readings of the sensor, and score where there is a reference and the item has at least one reading."""
    kept = []
    for item, reference, lost in tests:
        seen = replace(item, risk=np.where(lost[:, None], np.inf, item.risk), asked=np.isfinite(reference)[:, None])
        if seen.observed.any() and np.isfinite(reference).any():
            kept.append((seen, reference[:, None]))
    known = [np.isfinite(reference) for _, reference in kept]
    return Task(
        name=protocol.name,
        train=train,
        validation=validation,
        test=[item for item, _ in kept],
        truth=[reference for _, reference in kept],
        hidden=[mask & ~item.observed for mask, (item, _) in zip(known, kept, strict=True)],
        noisy=[mask & item.observed for mask, (item, _) in zip(known, kept, strict=True)],
        window=protocol.window,
        step=step,
    )
