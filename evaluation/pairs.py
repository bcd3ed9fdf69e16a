"""Calibrated risk on real pairs, tested on other people or on later months.

    python -m rstime.evaluation.pairs shanghai|physionet|uci [--picture FILE.png]

Glucose and pressure are calibrated on half of the people and tested on the others; gases on the first weeks and tested
on all later ones. Intervals are reading +- 1.645 risk, for 90 %.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from rstime.evaluation.pair_data import GASES, Pairs, air, glucose, pressures
from rstime.plotting_risk import plot_risk
from rstime.report import text_table
from rstime.risk.adaptive import adaptive, from_devices
from rstime.risk.calibration import spread
from rstime.risk.checks import half_width
from rstime.risk.conformal import online_conformal
from rstime.risk.coverage import coverage
from rstime.risk.line import fit_line
from rstime.types import Bools, Floats

LEVEL = 0.9
Z = half_width(LEVEL)
SEEDS = tuple(range(10))
WEEKS = (3, 4, 6)
RISK_WEIGHT = 5.0
"""Pairs that the risk of the kind counts for, for a new person."""

START = pd.Timestamp("2004-03-10 18:00")
"""First hour of the station."""

HALF_LIFE, DELAY = 14 * 24.0, 24.0
"""Hours after which a pair of the station counts half, and until its reference is known."""


@dataclass(frozen=True, eq=False)
class Trial:
    """One split, scored on its test pairs.

    Attributes
    ----------
    calibration
        Number of pairs calibrated on.
    bias, sd
        Mean residual of the test pairs, and the risk claimed by the line, in the units of the reference.
    claims
        By name of the method the residuals and risks of the test pairs; risk times the factor of an interval where the
        method is an interval only.
    test
        (n,) which pairs are tested.
    """

    calibration: int
    bias: float
    sd: float
    claims: dict[str, tuple[Floats, Floats]]
    test: Bools


def persons(pairs: Pairs, seed: int, slope: float | None = None) -> Trial:
    """Calibrate on a random half of the people and test on the others.

    "static" and "central" are one line with the root mean square and the central 90 % of the residuals as its risk;
    "adaptive" starts from that line and follows each device's own earlier pairs; "adaptive, central" multiplies its
    risk by one factor, found on the people calibrated on.

    Parameters
    ----------
    pairs
        Sorted by device and time.
    seed
        Of the split.
    slope
        As in `rstime.risk.line.fit_line`.
    """
    names = np.random.default_rng(seed).permutation(np.unique(pairs.person))
    train = np.isin(pairs.person, names[: len(names) // 2])
    test = ~train
    line = fit_line(pairs.sensor[train], pairs.reference[train], slope=slope)
    residual = line.value(pairs.sensor) - pairs.reference
    central = spread(residual[train], "central", LEVEL)
    start, weight = from_devices(line, pairs.sensor[train], pairs.reference[train], pairs.device[train])
    moved, risk = np.empty(len(test)), np.empty(len(test))
    for device in np.unique(pairs.device):
        own = pairs.device == device
        columns = (pairs.sensor[own], pairs.reference[own], pairs.time[own])
        found = adaptive(start, *columns, weight=weight, risk_weight=RISK_WEIGHT, offset_only=True)
        moved[own], risk[own] = found.value - pairs.reference[own], found.risk
    factor = spread((moved / risk)[train], "central", LEVEL)
    claims = {
        "static": (residual[test], np.full(test.sum(), line.sd)),
        "central": (residual[test], np.full(test.sum(), central)),
        "adaptive": (moved[test], risk[test]),
        "adaptive, central": (moved[test], factor * risk[test]),
    }
    return Trial(int(train.sum()), float(residual[test].mean()), line.sd, claims, test)


def months(pairs: Pairs, weeks: int) -> Trial:
    """Calibrate on the first weeks and test on all later ones.

    "static" keeps the line; "adaptive" follows the pairs, each known a day late; "online" has the intervals of
    `online_conformal` around it.

    Parameters
    ----------
    pairs
        One station, sorted by time.
    weeks
        Weeks to calibrate on.
    """
    train = pairs.time < weeks * 7 * 24
    test = ~train
    line = fit_line(pairs.sensor[train], pairs.reference[train], pairs.covariates[train])
    residual = (line.value(pairs.sensor, pairs.covariates) - pairs.reference)[test]
    columns = (pairs.sensor[test], pairs.reference[test], pairs.time[test], pairs.covariates[test])
    count = int(train.sum())
    found = adaptive(line, *columns, half_life=HALF_LIFE, delay=DELAY, weight=count, risk_weight=count)
    moved = found.value - pairs.reference[test]
    factor = online_conformal(moved, found.risk, pairs.time[test], LEVEL, delay=DELAY) / Z
    claims = {
        "static": (residual, np.full(residual.size, line.sd)),
        "adaptive": (moved, found.risk),
        "online": (moved, factor * found.risk),
    }
    return Trial(count, float(residual.mean()), line.sd, claims, test)


def inside(claim: tuple[Floats, Floats]) -> float:
    """Return the share of references inside the claimed intervals; a reading that claims nothing is left out."""
    residual, risk = claim
    told = np.isfinite(risk)
    return float(np.mean(np.abs(residual[told]) <= Z * risk[told]))


def summary(trials: dict[str, Trial]) -> pd.DataFrame:
    """Return one row a trial: sizes, bias, sd, root mean square error, and coverage of each method."""
    rows = []
    for name, trial in trials.items():
        methods = {method: inside(claim) for method, claim in trial.claims.items()}
        first, moved = trial.claims[next(iter(trial.claims))][0], trial.claims["adaptive"][0]
        errors = {"rmse": np.sqrt(np.mean(first**2)), "rmse adaptive": np.sqrt(np.nanmean(moved**2))}
        sizes = {"pairs": trial.calibration, "tested": int(trial.test.sum())}
        rows.append({"split": name, **sizes, "bias": trial.bias, "sd": trial.sd} | errors | methods)
    frame = pd.DataFrame(rows)
    mean = frame.mean(numeric_only=True).to_frame().T.assign(split="mean", pairs=None, tested=None)
    return pd.concat([frame.astype({"pairs": object, "tested": object}), mean], ignore_index=True)


def by_bin(trials: Sequence[Trial], method: str, by: Floats | None = None) -> pd.DataFrame:
    """Return the coverage table of a method over the test pairs of all trials, by claimed risk or by `by` (n,)."""
    residual, risk = (np.concatenate([trial.claims[method][side] for trial in trials]) for side in (0, 1))
    told = np.isfinite(risk)
    key = None if by is None else np.concatenate([by[trial.test] for trial in trials])[told]
    return pd.DataFrame(asdict(coverage(residual[told], risk[told], LEVEL, by=key))).drop(columns=["lower", "upper"])


def by_month(pairs: Pairs, trial: Trial) -> pd.DataFrame:
    """Return coverage of each method by calendar month."""
    stamps = START + pd.to_timedelta(pairs.time[trial.test], unit="h")
    month = stamps.strftime("%Y-%m")
    rows = []
    for name in month.unique():
        own = np.asarray(month == name)
        claims = {method: inside((res[own], risk[own])) for method, (res, risk) in trial.claims.items()}
        rows.append({"month": name, "tested": int(own.sum()), **claims})
    return pd.DataFrame(rows)


def show_persons(name: str, pairs: Pairs) -> dict[str, dict[str, tuple[Floats, Floats]]]:
    """Print the tables of a set split by person, with the slope fitted and with slope 1; return what to draw."""
    panels = {}
    for slope, heading in ((None, "slope fitted"), (1.0, "slope 1, offset fitted")):
        trials = {f"seed {seed}": persons(pairs, seed, slope) for seed in SEEDS}
        _print(f"{name}, {heading}, {pairs.unit}", summary(trials))
        every = list(trials.values())
        _print("static, all splits, by reading", by_bin(every, "static", pairs.sensor))
        _print("adaptive, all splits, by claimed risk", by_bin(every, "adaptive"))
        panels[f"{name}, {heading}"] = every[0].claims
    return panels


def show_months(name: str, pairs: Pairs) -> dict[str, dict[str, tuple[Floats, Floats]]]:
    """Print the tables of a station calibrated on its first weeks; return what to draw."""
    trials = {f"{weeks} weeks": months(pairs, weeks) for weeks in WEEKS}
    trial = trials[f"{WEEKS[1]} weeks"]
    _print(f"{name}, {pairs.unit}", summary(trials))
    _print(f"{WEEKS[1]} weeks, by month", by_month(pairs, trial))
    _print(f"{WEEKS[1]} weeks, adaptive, by claimed risk", by_bin([trial], "adaptive"))
    return {name: trial.claims}


def _print(heading: str, frame: pd.DataFrame) -> None:
    shares = ("static", "central", "adaptive", "adaptive, central", "online", "coverage")
    print(f"\n{heading}\n")
    print(text_table(frame, percent=tuple(name for name in shares if name in frame.columns)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of one data set and write its picture."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.pairs", description=__doc__)
    parser.add_argument("name", choices=("shanghai", "physionet", "uci"))
    parser.add_argument("--root", help="folder that holds the data sets")
    parser.add_argument("--picture", help="PNG to write; NAME-risk.png by default")
    chosen = parser.parse_args(arguments)
    by, label = None, "claimed sd"
    if chosen.name == "shanghai":
        panels = show_persons("glucose", glucose(chosen.root))
    elif chosen.name == "physionet":
        sets = pressures(chosen.root)
        panels = {key: value for name, pairs in sets.items() for key, value in show_persons(name, pairs).items()}
    else:
        gases = {gas: air(gas, chosen.root) for gas in GASES}
        panels = {key: value for gas, pairs in gases.items() for key, value in show_months(gas, pairs).items()}
        by = {gas: pairs.time[pairs.time >= WEEKS[1] * 7 * 24] / 24 for gas, pairs in gases.items()}
        label = "days since the start"
    picture = chosen.picture or f"{chosen.name}-risk.png"
    plot_risk(panels, LEVEL, 12 if by else 5, by=by, label=label).savefig(picture, dpi=130)
    print(f"\npicture: {picture}")


if __name__ == "__main__":
    main()
