"""What the seasons before lead one to expect at each stamp of an item: profiles that forget as fits the item best."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from rstime.errors import RstimeWarning
from rstime.gluonts_data import period_offset
from rstime.scaling import within_blocks
from rstime.types import Floats, Series

KEEP = (0.25, 0.5, 0.7, 0.85, 1.0)
"""What a season may count beside the one after it; each is tried on the item's past."""

ROUNDS = 3
"""Times that a profile is found, each time from what the one before leaves of the level."""

QUIET = 0.25
"""Share of the readings, the least noisy ones, that tell how much is left."""

LONGEST = 2000
"""Stamps of the longest season that is looked for."""

ENOUGH = 2
"""Seasons that an item needs readings for, before anything is expected of them."""

BACK = 8
"""Seasons that are looked at, of the longest kind."""

COARSE = {"B": 5, "W": 52, "M": 12, "Q": 4}
"""Stamps in what repeats where these are no fixed time: a week of business days, a year."""


def seasons_of(freq: str) -> tuple[int, ...]:
    """Return the stamps in a day and in a week, or in what repeats where stamps are coarser; none for years.

    Examples
    --------
    >>> seasons_of("h"), seasons_of("15min"), seasons_of("D"), seasons_of("M")
    ((24, 168), (96, 672), (7,), (12,))
    """
    offset = period_offset(freq)
    if not isinstance(offset, pd.offsets.Tick | pd.offsets.Day):
        season = COARSE.get(offset.rule_code.split("-")[0].removesuffix("E"), 0)
        return (season,) if season and offset.n == 1 else ()
    step = pd.Timedelta(offset.nanos)
    lengths = [pd.Timedelta(days=days) / step for days in (1, 7)]
    return tuple(int(length) for length in lengths if 1 < length <= LONGEST and length == int(length))


def warn_of_seasons(series: Sequence[Series], seasons: tuple[int, ...]) -> None:
    """Warn of seasons that too few readings are there to expect anything of, see `expected`."""
    readings = np.array([int(one.observed.sum(0).max()) for one in series])
    for season in seasons:
        few = int(np.count_nonzero(readings < ENOUGH * season))
        if few:
            problem = f"{few} of {len(series)} items have fewer than {ENOUGH * season} readings"
            warnings.warn(f"{problem}: no season of {season} steps is learned of them", RstimeWarning, stacklevel=3)


def expected(value: Floats, risk: Floats, seasons: tuple[int, ...], ahead: int) -> Floats:
    """Return what each stamp is expected to add to the level of an item, (T + ahead,), from the seasons before its own.

    Of each kind of season in turn, from what the kinds before it leave. NaN where readings are to be left out: in the
    first season, of which nothing was expected, if later ones follow a profile.

    Parameters
    ----------
    value, risk
        (T,) of the past; risk inf where there is no reading.
    seasons
        Stamps in each kind of season.
    ahead
        Stamps after the past.
    """
    whole = np.zeros(len(value) + ahead)
    for season in seasons:
        if np.isfinite(value).sum() >= ENOUGH * season:
            more = _profile(value, risk, season, ahead)
            value, whole = value - more[: len(value)], whole + more
            risk = np.where(np.isfinite(value), risk, np.inf)
    return whole


def _profile(value: Floats, risk: Floats, season: int, ahead: int) -> Floats:
    """(T + ahead,) for one kind of season: of the best rate of forgetting, times how much of it came true.

    Readings weigh 1 / (v + r^2), v the variance around the level of their season, and that level is the mean of what is
    left of them; both of all at first, and then of what the profile leaves.
    """
    count, later = -(-len(value) // season), max(-(-ahead // season), 1)
    fill = (count * season - len(value), 0)
    y = np.pad(value, fill, constant_values=np.nan).reshape(count, season)
    r = np.pad(risk, fill, constant_values=np.inf).reshape(count, season)
    seen, found = np.isfinite(r), np.zeros((count + later, season))
    low, level = seen & (r <= np.quantile(r[seen], QUIET)), np.zeros(y.shape)
    for keep in (KEEP[-1:],) * (ROUNDS - 1) + (KEEP,):
        rest = y - np.nan_to_num(np.where(np.isnan(found[:count]), found[-1], found[:count]))
        spread = within_blocks((rest - level)[low], r[low], np.nonzero(low)[0])
        if not spread > 0:
            break
        weight = np.where(seen, 1 / (spread**2 + r**2), 0.0)
        level = _level(np.nan_to_num(rest), weight)
        found = _forecast(np.where(seen, y - level, 0.0), weight, keep, later)
    found[count:] = np.nan_to_num(found[count:])
    return found.ravel()[fill[0] : fill[0] + len(value) + ahead]


def _level(y: Floats, weight: Floats) -> Floats:
    """(K, P) lines through the means of the K seasons, the first and the last carried on."""
    total = weight.sum(1)
    some, place = total > 0, np.arange(y.size).reshape(y.shape)
    x, mean = ((weight * part).sum(1)[some] / total[some] for part in (place, y))
    if len(x) < 2:
        return np.full(y.shape, mean[0])
    left = np.clip(np.searchsorted(x, place) - 1, 0, len(x) - 2)
    line: Floats = mean[left] + np.diff(mean)[left] * (place - x[left]) / np.diff(x)[left]
    return line


def _forecast(beside: Floats, weight: Floats, keep: Sequence[float], later: int) -> Floats:
    """Forecast each season from those before it, (K + later, P); NaN where none of them has a reading.

    A stamp's readings have the precision `weight`, what it adds the variance of all that is beside the level before
    they are seen. Of the rates of forgetting the one that takes most off the squared error, times the share that came
    true, at most 1. Zeros if nothing is gained.
    """
    all_of_it = (weight * beside**2).sum()
    prior = weight.sum() / all_of_it if all_of_it > 0 else 1.0
    rates, nothing = np.array(keep)[:, None], np.zeros((len(keep), beside.shape[1]))
    states = [(nothing, nothing)]
    for values, sure in zip(beside, weight, strict=True):
        total, known = states[-1]
        states.append((rates * total + sure * values, rates * known + sure))
    total, known = (np.array(part) for part in zip(*states, *states[-1:] * (later - 1), strict=True))
    found = np.where(known > 0, total / (known + prior), np.nan)
    mean = np.nan_to_num(found[: len(beside)])
    hits, size = np.einsum("kp,krp->r", weight * beside, mean), np.einsum("kp,krp->r", weight, mean**2)
    share = np.clip(hits / np.where(size > 0, size, 1.0), 0.0, 1.0)
    best = int((share * (2 * hits - share * size)).argmax())
    return share[best] * found[:, best] if share[best] > 0 else np.zeros((len(found), beside.shape[1]))
