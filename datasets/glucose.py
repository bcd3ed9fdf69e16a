"""Glucose of simulated people with diabetes: the truth, a continuous sensor with its errors, and fingersticks at meals.

The physiology is a small model of rstime's own, in the manner of Bergman's minimal model (1979): glucose returns to a
wandering basal level, meals raise it, insulin clears it. Its parameters give curves of a plausible shape and are fitted
to nobody; no question of treatment can be asked of it. The sensor's errors follow the UVA/Padova simulator. They are
*not* what the method assumes: correlated over an hour, skewed, and on top of a bias that stays for a session.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.signal import lfilter

from rstime.datasets.icu import ornstein_uhlenbeck
from rstime.errors import ConfigError
from rstime.types import Bools, Floats, Series

SENSOR_SD = 11.6
"""Standard deviation of `sensor_noise` in the long run, mg/dL: the risk of the sensor's readings."""

METER_LIMIT = 15.0
"""ISO 15197:2013: 95 % of a meter's readings within 15 mg/dL below 100 mg/dL, within 15 % from there on."""

WARM_UP = 120
"""Minutes at the start of a session in which a sensor shows nothing (our choice)."""

GAIN_SD, OFFSET_SD = 0.06, 5.0
"""Spread of a session's gain around 1, in log, and of its offset in mg/dL (our choice)."""

DAY = 1440


@dataclass(frozen=True, eq=False)
class Cohort:
    """People with a continuous glucose sensor and a fingerstick before each meal; mg/dL throughout.

    Attributes
    ----------
    sensor
        One Series a person, variable "glucose", every `step` minutes; risk SENSOR_SD, inf while a sensor warms up.
    reference
        One Series a person, variable "glucose", at the meals, which are among the sensor's stamps; risk by ISO 15197
        at the meter's reading.
    truth, reference_truth
        One (T, 1) array a person: true glucose at the stamps of `sensor`, and of `reference`.
    bias
        One (T, 1) array a person: what a session's calibration adds to the sensor, (gain - 1) truth + offset.
    """

    sensor: list[Series]
    reference: list[Series]
    truth: list[Floats]
    reference_truth: list[Floats]
    bias: list[Floats]


def simulate(n_people: int = 20, *, days: int = 14, step: int = 5, session: int = 10, seed: int = 0) -> Cohort:
    """Simulate people with known glucose, named g000, g001, ...

    Parameters
    ----------
    n_people
        Number of people; person i is the same whatever their number.
    days
        Length of the record, days.
    step
        Minutes between the sensor's readings.
    session
        Days after which the sensor is changed; the first one is put on at a random time before the record starts.
    seed
        Seed of the cohort; one child stream a person.

    Raises
    ------
    ConfigError
        If a count is not positive.

    Examples
    --------
    >>> people = simulate(2, days=3)
    >>> people.sensor[0].value.shape, people.sensor[0].variables, len(people.reference)
    ((864, 1), ('glucose',), 2)
    """
    for name, number in (("n_people", n_people), ("days", days), ("step", step), ("session", session)):
        if number <= 0:
            raise ConfigError(name, f"{number} is not positive", "Give a count of at least 1.")
    rngs = [np.random.default_rng([seed, person]) for person in range(n_people)]
    plans = [_plan(rng, days, step) for rng in rngs]
    clean = _glucose(plans)
    cohort = Cohort([], [], [], [], [])
    for person, (rng, plan) in enumerate(zip(rngs, plans, strict=True)):
        minutes = np.arange(0, days * DAY, step)
        truth = clean[person, minutes]
        bias, warm = _sessions(rng, minutes, truth, session)
        value = truth + bias + sensor_noise(rng, minutes.astype(np.float64))
        risk = np.where(warm, np.inf, SENSOR_SD)
        meals = np.flatnonzero(plan.stick)
        reading, meter = fingerstick(rng, clean[person, meals])
        cohort.sensor.append(_series(person, minutes, value, risk))
        cohort.reference.append(_series(person, meals, reading, meter))
        cohort.truth.append(truth[:, None])
        cohort.reference_truth.append(clean[person, meals, None])
        cohort.bias.append(bias[:, None])
    return cohort


def sensor_noise(rng: np.random.Generator, minutes: Floats) -> Floats:
    """Draw the error of a continuous glucose sensor at these minutes, mg/dL, (T,): the UVA/Padova simulator's process.

    Every 15 minutes e <- .7 (e + N(0, 1)), stationary from the start; error = xi + lambda sinh((e - gamma) / delta)
    (Johnson's SU) with xi = -5.47, lambda = 15.9574, gamma = -.5444, delta = 1.6898; a cubic spline in between. The
    figures are those of simglucose 0.2.11, a public form of that simulator. The mean of the error is .7 mg/dL.

    Parameters
    ----------
    rng
        Source of randomness.
    minutes
        (T,) increasing stamps, minutes.
    """
    start = float(minutes[0])
    knots = start + 15.0 * np.arange(int((minutes[-1] - start) // 15) + 4)
    keep = 0.7
    fresh = keep * rng.standard_normal(len(knots))
    fresh[0] /= np.sqrt(1 - keep**2)
    hidden = lfilter([1.0], [1.0, -keep], fresh)
    error = -5.47 + 15.9574 * np.sinh((hidden + 0.5444) / 1.6898)
    return np.asarray(CubicSpline(knots, error)(minutes), dtype=np.float64)


def fingerstick(rng: np.random.Generator, truth: Floats) -> tuple[Floats, Floats]:
    """Read true glucose by a meter that just meets ISO 15197: Gaussian errors of sd METER_LIMIT / 1.96.

    Parameters
    ----------
    rng
        Source of randomness.
    truth
        True glucose, mg/dL; any shape.

    Returns
    -------
    Readings, and the standard deviation that their own level implies, as a user knows it; in the shape of `truth`.
    """
    reading = truth + _meter_sd(truth) * rng.standard_normal(truth.shape)
    return reading, _meter_sd(reading)


def _meter_sd(level: Floats) -> Floats:
    return METER_LIMIT / 1.96 * np.maximum(level / 100, 1.0)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a person is and does, minute by minute: all arrays (M,).

    `carbs` in grams and `dose` in units are eaten and injected; `stick` marks fingersticks; `basal` in mg/dL is what
    glucose returns to at `pull` a minute; `rise` is mg/dL a gram and `fall` the log change a unit.
    """

    carbs: Floats
    dose: Floats
    stick: Bools
    basal: Floats
    pull: float
    rise: float
    fall: float


def _plan(rng: np.random.Generator, days: int, step: int) -> _Plan:
    """Draw one person: three meals a day and sometimes a fourth, with insulin that is misjudged or forgotten."""
    minute = np.arange(days * DAY)
    ratio, rise = 10 * np.exp(0.2 * rng.normal()), 5.0 * np.exp(0.15 * rng.normal())  # grams a unit, mg/dL a gram
    fall = ratio * rise / 140 * np.exp(0.15 * rng.normal())
    carbs, dose, stick = np.zeros(len(minute)), np.zeros(len(minute)), np.zeros(len(minute), dtype=bool)
    for day in range(days):
        for hour, grams, chance in ((7.5, 45, 1.0), (12.5, 65, 1.0), (16.0, 25, 0.4), (19.0, 70, 1.0)):
            eaten, guess = grams * np.exp(0.3 * rng.normal(size=2) * [1.0, 1.2])
            when = int((day * 24 + hour + 0.7 * rng.normal()) * 60) // step * step
            taken, given = rng.random(2) < (chance, 0.9)
            if taken and 0 <= when < len(minute):
                carbs[when] += eaten
                dose[when] += given * eaten * guess / grams / ratio
                stick[when] = True
    wander = ornstein_uhlenbeck(rng, len(minute), 1 / 480)  # eight hours
    dawn = np.exp(4 * (np.cos(2 * np.pi * (minute / DAY - 6.5 / 24)) - 1))
    basal = (145 + 15 * rng.normal()) * np.exp(0.2 * wander) + 20 * dawn
    return _Plan(carbs, dose, stick, basal, 0.005 * np.exp(0.2 * rng.normal()), rise, fall)


def _glucose(plans: list[_Plan]) -> Floats:
    """Integrate all people by minutes, (people, M), mg/dL.

    Food and insulin pass two compartments each, of 35 and 50 minutes; glucose G' = pull (basal - G) + rise food' -
    fall insulin' G, and the kidneys spill .6 % a minute of what is above 200. A dose is corrected for high glucose, and
    low glucose is answered with 15 g of sugar.
    """
    carbs, dose, basal = (np.stack([getattr(plan, name) for plan in plans]) for name in ("carbs", "dose", "basal"))
    pull, rise, fall = (np.array([getattr(plan, name) for plan in plans]) for name in ("pull", "rise", "fall"))
    people, length = carbs.shape
    glucose = np.empty((people, length))
    level = basal[:, 0].copy()
    food, insulin = np.zeros((2, people)), np.zeros((2, people))
    rested = np.zeros(people)  # minutes until sugar may be taken again
    for minute in range(length):
        glucose[:, minute] = level
        sugar = np.where((level < 60) & (rested <= 0), 15.0, 0.0)
        rested = np.where(sugar > 0, 20, rested - 1)
        food[0] += carbs[:, minute] + sugar
        insulin[0] += dose[:, minute] + (dose[:, minute] > 0) * 0.5 * np.maximum(level - 130, 0) / (130 * fall)
        absorbed, acting = food[1] / 35, insulin[1] / 50
        spilled = 0.006 * np.maximum(level - 200, 0)
        level = level + pull * (basal[:, minute] - level) + rise * absorbed - fall * acting * level - spilled
        food[1] += food[0] / 35 - absorbed
        insulin[1] += insulin[0] / 50 - acting
        food[0] *= 1 - 1 / 35
        insulin[0] *= 1 - 1 / 50
    return glucose


def _sessions(
    rng: np.random.Generator, minutes: NDArray[np.int64], truth: Floats, session: int
) -> tuple[Floats, Bools]:
    """Bias of the sensor at each stamp, and where it warms up, both (T,)."""
    worn = minutes + rng.integers(WARM_UP, session * DAY)  # since the first sensor was put on
    number, age = worn // (session * DAY), worn % (session * DAY)
    gain = np.exp(GAIN_SD * rng.standard_normal(number[-1] + 1))
    offset = OFFSET_SD * rng.standard_normal(number[-1] + 1)
    return (gain[number] - 1) * truth + offset[number], age < WARM_UP


def _series(person: int, minutes: NDArray[np.int64], value: Floats, risk: Floats) -> Series:
    time = np.datetime64("2026-01-05", "m") + minutes.astype("timedelta64[m]")
    return Series(f"g{person:03d}", time, ("glucose",), value[:, None], risk[:, None])
