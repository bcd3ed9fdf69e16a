"""A simulated ICU ward with known truth: eight vital signs, device noise of known size, dropouts.

Physiology is a handful of hidden drives (arousal, fever, hypotension, desaturation, the hour of the day) that move all
vital signs together, so that one variable tells something about the others. The measurements follow `y = x + sd e` with
sd from the sensor table at the *typical* level of the variable times a quality signal that does not depend on x: the
independence that unbiased training rests on. Raw readings are not clipped: a noisy oximeter may read 101 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from rstime.errors import ConfigError
from rstime.risk.sensors import sd
from rstime.types import Bools, Floats

VARIABLES = ("heart_rate", "systolic", "diastolic", "mean_pressure", "spo2", "respiration", "temperature", "glucose")
UNITS = dict(zip(VARIABLES, ("bpm", "mmHg", "mmHg", "mmHg", "%", "rpm", "°C", "mg/dL"), strict=True))
TYPICAL = dict(zip(VARIABLES, (85.0, 118.0, 62.0, 80.0, 96.5, 18.0, 37.2, 140.0), strict=True))
"""Level at which sensors in percent are read: one figure a variable, so that risk tells nothing about x."""

BLANK = 0.2
"""Quality below which a device shows nothing."""

PRESSURES = ("systolic", "diastolic", "mean_pressure")


@dataclass(frozen=True, eq=False)
class Ward:
    """A ward of patients on one regular grid: what was measured, and what was true.

    Attributes
    ----------
    table
        Long frame item_id, timestamp, variable, value, sd: one row for every grid entry, value and sd empty (NaN) where
        nothing was read, so that each such row is a question.
    clean
        Long frame with the same rows in the same order, item_id, timestamp, variable, value: the clean value.
    truth
        (N, T, C) clean values, axes patient, stamp, variable.
    value, risk
        (N, T, C) readings and their standard deviation; NaN and inf where nothing was read.
    quality
        (N, T, C) signal quality in [0, 1] of the device behind each entry.
    """

    table: pd.DataFrame
    clean: pd.DataFrame
    truth: Floats
    value: Floats
    risk: Floats
    quality: Floats


def simulate(n_patients: int = 120, *, hours: int = 48, step: int = 60, seed: int = 0) -> Ward:
    """Simulate a ward of patients with known clean values.

    Parameters
    ----------
    n_patients
        Number of patients, named p000, p001, ...; patient i is the same whatever the number of patients.
    hours
        Length of each stay on the grid, hours.
    step
        Grid step, minutes.
    seed
        Seed of the ward; one child stream a patient.

    Returns
    -------
    Ward
        The long table with its truth.

    Raises
    ------
    ConfigError
        If a count is not positive.

    Examples
    --------
    >>> ward = simulate(2, hours=24)
    >>> ward.truth.shape, len(ward.table), bool((ward.truth[..., 4] <= 100).all())
    ((2, 24, 8), 384, True)
    """
    for name, number in (("n_patients", n_patients), ("hours", hours), ("step", step)):
        if number <= 0:
            raise ConfigError(name, f"{number} is not positive", "Give a count of at least 1.")
    dt, n_steps = step / 60, max(hours * 60 // step, 1)
    truth, value, risk, quality = np.empty((4, n_patients, n_steps, len(VARIABLES)))
    starts: list[pd.Timestamp] = []
    for i in range(n_patients):
        rng = np.random.default_rng([seed, i])
        starts.append(pd.Timestamp("2026-01-05") + pd.Timedelta(hours=int(rng.integers(14 * 24))))
        truth[i] = physiology(rng, n_steps, dt, hour=starts[i].hour)
        value[i], risk[i], quality[i] = measure(rng, truth[i], dt)
    rows = _rows(starts, n_steps, step)
    table = rows.assign(value=value.reshape(-1), sd=np.where(np.isinf(risk), np.nan, risk).reshape(-1))
    return Ward(table, rows.assign(value=truth.reshape(-1)), truth, value, risk, quality)


def physiology(rng: np.random.Generator, n_steps: int, dt: float, hour: float) -> Floats:
    """Draw the clean vital signs of one patient, (n_steps, 8) in the units of `UNITS`.

    Hidden drives: arousal and a slow drift (Ornstein-Uhlenbeck), fever (degrees above normal), hypotension and
    desaturation (episodes that come on in minutes and leave in an hour or two), the hour of the day.
    """
    clock = hour + dt * np.arange(n_steps)
    day = np.cos(2 * np.pi * (clock - 16) / 24)  # highest at four in the afternoon, lowest at four in the morning

    def wander(hours: float) -> Floats:
        return ornstein_uhlenbeck(rng, n_steps, dt / hours)

    arousal, drift = wander(2.5), wander(14)
    fever = 1.6 * episodes(rng, n_steps, dt, rate=0.9 / 48, length=10, rise=3, fall=4)
    shock = episodes(rng, n_steps, dt, rate=2.0 / 48, length=2.5, rise=0.4, fall=1.5)
    apnoea = episodes(rng, n_steps, dt, rate=1.5 / 48, length=1.5, rise=0.3, fall=1.0)
    meal = episodes(rng, n_steps, dt, rate=4.0 / 48, length=1.5, rise=1.0, fall=2.0)

    frail = rng.normal()  # one number of the patient that ties the base lines together
    heart = 82 + 9 * (0.5 * frail + rng.normal()) + 4 * day + 6 * arousal + 4 * drift + 9 * fever + 20 * shock
    heart = heart + 8 * apnoea + 1.5 * wander(1)
    middle = 82 + 7 * (rng.normal() - 0.4 * frail) + 3 * day + 5 * arousal - 2.5 * fever - 25 * shock + 4 * drift
    middle = 30 + np.logaddexp(0, (middle + 2 * wander(4) - 30) / 8) * 8  # never below 30 mmHg
    pulse = np.exp(np.log(54) + 0.15 * rng.normal() + 0.06 * arousal - 0.45 * shock + 0.10 * wander(6))
    form = 0.36 + 0.02 * wander(10)  # share of the pulse pressure by which the mean lies above the diastolic
    breath = 17.5 + 2 * rng.normal() + 1.5 * arousal + 2.2 * fever + 5 * apnoea + 1.5 * shock + 0.8 * wander(1.5)
    deficit = np.exp(np.log(3.2) + 0.25 * frail + 1.3 * apnoea + 0.12 * fever + 0.3 * wander(5))
    heat = 36.9 + 0.2 * rng.normal() + 0.25 * day + fever + 0.12 * wander(4)
    sugar = np.log(128) + 0.12 * rng.normal() + 0.35 * meal + 0.10 * fever + 0.05 * arousal + 0.16 * wander(8)
    return np.stack(
        [
            np.maximum(heart, 35),
            middle + (1 - form) * pulse,
            middle - form * pulse,
            middle,
            100 - np.minimum(deficit, 28),
            np.maximum(breath, 6),
            heat,
            np.exp(sugar),
        ],
        axis=-1,
    )


def ornstein_uhlenbeck(rng: np.random.Generator, n_steps: int, decay: float) -> Floats:
    """Draw a stationary path of unit variance with correlation exp(-decay * lag), (n_steps,)."""
    keep = np.exp(-decay)
    noise = rng.normal(size=n_steps) * np.where(np.arange(n_steps) == 0, 1, np.sqrt(1 - keep**2))
    return _filter(noise, np.full(n_steps, keep))


def episodes(
    rng: np.random.Generator, n_steps: int, dt: float, *, rate: float, length: float, rise: float, fall: float
) -> Floats:
    """Draw a drive >= 0 of episodes that begin at `rate` an hour, last `length` hours on average, (n_steps,).

    The drive relaxes to the strength of the running episode within `rise` hours and to 0 within `fall` hours.
    """
    strength = np.zeros(n_steps)
    for start in np.flatnonzero(rng.random(n_steps) < -np.expm1(-rate * dt)):
        stop = start + 1 + int(rng.exponential(length) / dt)
        strength[start:stop] = rng.uniform(0.5, 1.2)
    keep = np.exp(-dt / np.where(strength > 0, rise, fall))
    return _filter((1 - keep) * strength, keep)


def measure(rng: np.random.Generator, clean: Floats, dt: float) -> tuple[Floats, Floats, Floats]:
    """Read the clean values of one patient through devices; return value, risk and quality, each (n_steps, 8).

    One device serves one or several variables, fails as a whole, and has one quality signal. Pressures come from an
    arterial line in three of five patients, else from a cuff; temperature and glucose are taken now and then.
    """
    n_steps = len(clean)
    risk = np.full(clean.shape, np.inf)
    quality = np.ones(clean.shape)
    line = rng.random() < 0.6
    plan = (  # device, variables, hours between readings (0: every step), whether this bed has it
        ("ecg", ("heart_rate",), 0.0, rng.random() < 0.5),
        ("pulse_rate", ("heart_rate",), 0.0, True),
        ("arterial_line", PRESSURES, 0.0, line),
        ("cuff", PRESSURES, 1.5, not line),
        ("pulse_oximeter", ("spo2",), 0.0, True),
        ("impedance", ("respiration",), 0.0, True),
        ("thermometer", ("temperature",), 1.5, True),
        ("ear_thermometer", ("temperature",), 4.0, True),
        ("hospital_meter", ("glucose",), 3.0, True),
        ("laboratory_glucose", ("glucose",), 8.0, True),
    )
    signal = {device: quality_signal(rng, n_steps, dt) for device, *_ in plan}
    signal["pulse_rate"] = signal["pulse_oximeter"]  # the same probe on the same finger
    for device, variables, hours, present in plan:
        kept = (signal[device] > BLANK) & (rng.random(n_steps) > 0.06)
        on = visits(rng, n_steps, dt, hours) & kept & ~switched_off(rng, n_steps, dt)
        for name in variables if present else ():
            column = VARIABLES.index(name)
            error = np.where(on, sd(device, TYPICAL[name], signal[device]), np.inf)
            better = error < risk[:, column]
            risk[better, column], quality[better, column] = error[better], signal[device][better]
    noise = rng.normal(size=clean.shape)
    read = np.isfinite(risk)
    value = np.where(read, clean + np.where(read, risk, 0) * noise, np.nan)
    return value, risk, quality


def quality_signal(rng: np.random.Generator, n_steps: int, dt: float) -> Floats:
    """Draw a quality in [0, 1], (n_steps,): good for hours, poor in spells of movement or low perfusion."""
    spell = episodes(rng, n_steps, dt, rate=0.12, length=2.0, rise=0.2, fall=0.2) > 0.2
    return np.where(spell, rng.beta(2, 3, n_steps), rng.beta(9, 1.2, n_steps))


def switched_off(rng: np.random.Generator, n_steps: int, dt: float) -> Bools:
    """Draw where a device is off or disconnected for hours, (n_steps,): transport, procedures, a lost sensor."""
    return episodes(rng, n_steps, dt, rate=0.02, length=4.0, rise=0.01, fall=0.01) > 0.1


def visits(rng: np.random.Generator, n_steps: int, dt: float, hours: float) -> Bools:
    """Draw irregular visits on average every so many hours, (n_steps,): gamma intervals; at 0 hours, every step."""
    if hours == 0:
        return np.ones(n_steps, dtype=bool)
    gaps = rng.gamma(3.0, hours / 3.0, size=int(3 * n_steps * dt / hours) + 8)
    stamps = np.unique((np.cumsum(gaps) / dt).astype(int))
    return np.isin(np.arange(n_steps), stamps)


def _filter(drive: Floats, keep: Floats) -> Floats:
    """Return the recursion out[i] = keep[i] out[i - 1] + drive[i] from out = 0."""
    out = np.empty_like(drive)
    last = 0.0
    for index, (step, share) in enumerate(zip(drive, keep, strict=True)):
        last = share * last + step
        out[index] = last
    return out


def _rows(starts: list[pd.Timestamp], n_steps: int, step: int) -> pd.DataFrame:
    """Return item_id, timestamp and variable of every entry, in the order of the (N, T, C) arrays."""
    grid = pd.to_timedelta(step * np.arange(n_steps), unit="min").to_numpy()
    stamps = np.stack([start.to_datetime64() + grid for start in starts])
    n_items, n_variables = len(starts), len(VARIABLES)
    return pd.DataFrame(
        {
            "item_id": np.repeat([f"p{i:03d}" for i in range(n_items)], n_steps * n_variables),
            "timestamp": np.repeat(stamps.reshape(-1), n_variables).astype("datetime64[ns]"),
            "variable": np.tile(np.array(VARIABLES, dtype=object), n_items * n_steps),
        }
    )
