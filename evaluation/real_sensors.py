"""Real sensors as they would be used: calibrated by the few references that are shown, the others hidden.

A sensor's reading is brought to the units of its reference by a line that follows the references shown so far
(`rstime.risk.adaptive`). Its risk comes from the errors that those claims had, in two forms: *constant*, their root
mean square, and *calibrated*, a product of curves of indices of quality (`rstime.risk.quality`), the claim of the
adaptive line among them. No index of a reading uses the reading itself.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime.datasets import air_quality_uci, shanghai_cgm
from rstime.errors import RstimeWarning
from rstime.risk.adaptive import Adapted, adaptive, from_devices
from rstime.risk.line import SensorLine, fit_line
from rstime.risk.quality import DOUBT, fit_quality
from rstime.types import Bools, Floats, Series

WEEKS = 4
"""Weeks in which the analyser is shown throughout; after them on `VISITS` days a week."""

VISITS = 2
HALF_LIFE, DELAY, WEIGHT = 28 * 24.0, 24.0, 50.0
"""Of the station's line: hours after which a pair counts half, until it is known, and pairs its start counts for."""

GLUCOSE = ("cgm_mg_dl", "cbg_mg_dl")
"""Sensor and fingerstick."""

RESOLUTION_SD = 0.1 / np.sqrt(12)
"""Risk of the CO analyser, mg/m3: its last digit alone, for want of a figure."""

METER_SD = 0.06
"""Risk of the log of a fingerstick: the middle of the 5 to 7 % that the standard for meters (ISO 15197) allows."""

FIRST_DAY = 24.0
"""Hours in which all fingersticks of a person are shown; after them one a day."""

SMALLEST = 0.3
"""Risk that is left, at least, of the spread of errors once the reference's own is taken off."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One sensor over time, in the coordinate of the model: the units of its reference, or their logs.

    Attributes
    ----------
    name
        Of the recording.
    time
        (n,) stamps on a regular grid, datetime64.
    reading
        (n,) calibrated readings; NaN where there is none.
    risk
        By treatment, (n,) risk of the readings; inf where there is none.
    shown, hidden
        (n,) references that a model may see, and those it is scored on; NaN elsewhere.
    reference_sd
        Risk of either.
    block
        (n,) what the paired test takes as one: person, week.
    """

    name: str
    time: NDArray[np.datetime64]
    reading: Floats
    risk: dict[str, Floats]
    shown: Floats
    hidden: Floats
    reference_sd: float
    block: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Case:
    """Recordings to fit a model to, and recordings to ask it for the hidden references of (maybe the same).

    Attributes
    ----------
    variable, unit
        What is asked.
    grid
        Step of the stamps, as a duration.
    logs
        Whether the recordings are in logs.
    train, test
        The recordings.
    """

    variable: str
    unit: str
    grid: str
    logs: bool
    train: list[Recording]
    test: list[Recording]


def uci(root: str | Path | None, seed: int, validate: bool = False) -> Case:
    """Return UCI's CO: the sensor S1, and an analyser that visits two days a week after the first four weeks.

    The indices of quality are the disagreement of S1 with S2 and with S4 and the level that the other sensors see, each
    the median of the three hours before and after, and what the adaptive line claims; all sensors are calibrated to CO
    by the same references. Blocks are weeks.

    Parameters
    ----------
    root
        Folder of the data sets.
    seed
        Of the days of the visits.
    validate
        Hide every third day of the visits instead, of which nothing else is then used, to choose settings on.
    """
    station = air_quality_uci.load(root)
    hour, day = np.arange(float(len(station.time))), np.arange(len(station.time)) // 24
    truth, rest = _column(station, "CO(GT)"), np.stack([_column(station, name) for name in ("T", "RH")], axis=1)
    visits = _visits(int(day.max()) // 7 + 1, seed)
    scored = np.isin(day, visits[1::3]) if validate else (day >= 7 * WEEKS) & ~np.isin(day, visits)
    shown = np.where(((day < 7 * WEEKS) | np.isin(day, visits)) & ~scored, truth, np.nan)

    def follow(name: str) -> Adapted:
        raw = _column(station, name)
        first = (day < 7 * WEEKS) & np.isfinite(shown) & np.isfinite(raw) & np.isfinite(rest).all(1)
        line = fit_line(raw[first], shown[first], rest[first])
        return adaptive(
            line, raw, shown, hour, rest, half_life=HALF_LIFE, delay=DELAY, weight=WEIGHT, risk_weight=WEIGHT
        )

    own = follow("PT08.S1(CO)")
    others = [follow(name).value for name in ("PT08.S2(NMHC)", "PT08.S4(NO2)", "PT08.S5(O3)")]
    level = np.median(others, axis=0)
    indices = [around(index, 3) for index in (np.abs(own.value - others[0]), level, np.abs(own.value - others[1]))]
    indices.append(own.risk)
    there = np.isfinite(own.value) & np.isfinite(indices).all(0)
    reading, error = np.where(there, own.value, np.nan), np.where(there, own.value - shown, np.nan)
    risk = risks(error, indices, RESOLUTION_SD)
    hidden = np.where(scored & there, truth, np.nan)
    one = Recording("station", station.time, reading, risk, shown, hidden, RESOLUTION_SD, day // 7)
    return Case("CO", "mg/m3", "1h", False, [one], [one])


def shanghai(root: str | Path | None, seed: int, validate: bool = False) -> Case:
    """Return Shanghai's glucose: half of the people to learn from, the others asked for their fingersticks.

    Everything is in logs, where the sensor's error hardly depends on the level. Everyone's sensor follows the
    fingersticks of the first day and one a day after it, by its offset. Risk is calibrated on the other fingersticks of
    the people learnt from; the indices are what the adaptive line claims, and the level within half an hour. "constant"
    is the same share of every reading, "constant mg/dL" the same sd in mg/dL. Blocks are people.

    Parameters
    ----------
    root
        Folder of the data sets.
    seed
        Of the split, and of the fingersticks shown.
    validate
        Take every third person learnt from as those who are asked, and leave the others out.
    """
    rng = np.random.default_rng(seed)
    items = [_logs(item) for item in shanghai_cgm.load(root)]
    names = rng.permutation(sorted({shanghai_cgm.patient(item) for item in items}))
    learn, ask = names[: len(names) // 2], names[len(names) // 2 :]
    if validate:
        learn, ask = np.delete(learn, np.s_[::3]), learn[::3]
    items = [item for item in items if shanghai_cgm.patient(item) in {*learn, *ask}]
    taught = [shanghai_cgm.patient(item) in learn for item in items]
    shown = [_first_and_daily(item, rng) for item in items]
    start, weight = _start([item for item, here in zip(items, taught, strict=True) if here])
    found = [_follow(start, weight, item, known) for item, known in zip(items, shown, strict=True)]
    finger = [_column(item, "cbg_mg_dl") for item in items]
    later = [
        np.where(np.isnan(known) & np.isfinite(one.value), truth, np.nan)
        for known, one, truth in zip(shown, found, finger, strict=True)
    ]
    error = [one.value - (truth if here else np.nan) for one, truth, here in zip(found, later, taught, strict=True)]
    level = [_filled(around(one.value, 2)) for one in found]
    indices = [np.concatenate([one.risk for one in found]), np.concatenate(level)]
    ends = np.cumsum([len(one) for one in level])[:-1]
    risk = risks(np.concatenate(error), indices, METER_SD)
    risk["constant mg/dL"] = _same_in_units(np.concatenate(error), np.concatenate(level), np.isfinite(indices[0]))
    parts = {name: np.split(one, ends) for name, one in risk.items()}
    recordings = [
        Recording(
            item.item_id,
            item.time,
            found[i].value,
            {name: part[i] for name, part in parts.items()},
            finger[i] if taught[i] else shown[i],
            np.full(len(item.time), np.nan) if taught[i] else later[i],
            METER_SD,
            np.full(len(item.time), int(shanghai_cgm.patient(item))),
        )
        for i, item in enumerate(items)
    ]
    train, test = (
        [one for one, here in zip(recordings, taught, strict=True) if here == side] for side in (True, False)
    )
    return Case("glucose", "mg/dL", "15min", True, train, test)


def risks(error: Floats, indices: Sequence[Floats], known: float) -> dict[str, Floats]:
    """Return calibrated and constant risk of readings, both from the same errors.

    Constant risk is the root mean square, calibrated risk a product of one curve an index (`fit_quality`), each fitted
    to the errors over the product so far. An index that says nothing (p > .05) counts with one factor. The reference's
    own error comes off either.

    Parameters
    ----------
    error
        (n,) reading minus reference; NaN where it is not known.
    indices
        (n,) each; not finite where there is no reading.
    known
        Risk of the reference.
    """
    there = np.isfinite(indices).all(0)
    seen = np.isfinite(error) & there
    risk = np.ones(len(error))
    for index in indices:
        inside = np.where(there, index, np.median(index[there]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RstimeWarning)
            curve = fit_quality((error / risk)[seen], inside[seen], inside.min(), inside.max())
        risk = risk * (curve.sd(inside) if curve.p_absent <= DOUBT else curve.pooled)
    pooled = np.full(len(error), np.sqrt(np.mean(error[seen] ** 2)))
    return {
        name: np.where(there, np.sqrt(np.maximum(sd**2 - known**2, (SMALLEST * sd) ** 2)), np.inf)
        for name, sd in (("calibrated", risk), ("constant", pooled))
    }


def _same_in_units(error: Floats, level: Floats, there: Bools) -> Floats:
    """Return the risk in logs of readings that share one sd in their units, by the level around each."""
    seen = np.isfinite(error) & there
    size = np.exp(level)
    square = np.mean((size * error)[seen] ** 2)
    sd = np.sqrt(max(square - np.mean((METER_SD * size)[seen] ** 2), SMALLEST**2 * square))
    return np.where(there, sd / size, np.inf)


def around(value: Floats, steps: int) -> Floats:
    """Return the median (n,) of the values at most `steps` before and after each, without itself; NaN where all are."""
    column = pd.Series(value)
    return pd.concat([column.shift(k) for k in range(-steps, steps + 1) if k], axis=1).median(axis=1).to_numpy()


def _column(series: Series, name: str) -> Floats:
    return series.value[:, series.variables.index(name)]


def _visits(weeks: int, seed: int) -> NDArray[np.int64]:
    """Return the days of the visits after the first weeks, rising."""
    rng = np.random.default_rng(seed)
    return np.array([7 * week + day for week in range(WEEKS, weeks) for day in sorted(rng.choice(7, VISITS, False))])


def _logs(series: Series) -> Series:
    """Return sensor and fingersticks in logs."""
    both = [series.variables.index(name) for name in GLUCOSE]
    value = np.log(series.value[:, both])
    return Series(series.item_id, series.time, GLUCOSE, value, series.risk[:, both])


def _hours(series: Series) -> Floats:
    return np.asarray((series.time - series.time[0]) / np.timedelta64(1, "h"), dtype=np.float64)


def _first_and_daily(series: Series, rng: np.random.Generator) -> Floats:
    """Return the fingersticks (n,) of the first day and one a day after it, drawn at random; NaN elsewhere."""
    hour, finger = _hours(series), _column(series, "cbg_mg_dl")
    there = np.isfinite(finger) & np.isfinite(_column(series, "cgm_mg_dl"))
    keep = there & (hour < FIRST_DAY)
    for day in range(1, int(hour[-1] // FIRST_DAY) + 1):
        rows = np.flatnonzero(there & (hour // FIRST_DAY == day))
        if rows.size:
            keep[rng.choice(rows)] = True
    return np.where(keep, finger, np.nan)


def _start(items: Sequence[Series]) -> tuple[SensorLine, float]:
    """Return the offset of the sensors of these recordings, and the pairs it stands for."""
    raw, truth = ([_column(item, name) for item in items] for name in GLUCOSE)
    there = [np.isfinite(a) & np.isfinite(b) for a, b in zip(raw, truth, strict=True)]
    sensor, reference = (np.concatenate([c[m] for c, m in zip(part, there, strict=True)]) for part in (raw, truth))
    device = np.repeat([item.item_id for item in items], [int(m.sum()) for m in there])
    line = fit_line(sensor, reference, reference_sd=METER_SD)
    return from_devices(line, sensor, reference, device)


def _follow(start: SensorLine, weight: float, item: Series, known: Floats) -> Adapted:
    raw = _column(item, "cgm_mg_dl")
    return adaptive(start, raw, known, _hours(item), weight=weight, risk_weight=5.0, offset_only=True)


def _filled(index: Floats) -> Floats:
    return np.where(np.isfinite(index), index, np.nanmedian(index))
