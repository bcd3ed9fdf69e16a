"""The hidden reference from a noisy sensor: calibrated risk against constant risk and noise ignored, in one model.

    python -m rstime.evaluation.real_pairs uci|shanghai [--seeds 0 1 2] [--model gaussian] [--out DIR]

All treatments give the same readings to the same model with the same seeds; only the risk beside the readings differs.
The error of a real sensor lasts from reading to reading, while risk is of independent error: readings are therefore
thinned, and each stamp is answered from a copy of the recording that keeps every `thin`-th reading, its own among them.
*Correlated* is the other way: calibrated risk, all readings, and a model that is told how long their errors last.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon

from rstime import noisy_scores, scores
from rstime.axis import duration
from rstime.errors import RstimeWarning
from rstime.evaluation.real_sensors import Case, Recording, shanghai, uci
from rstime.model import RiskDiffusion
from rstime.plotting import BAND90, FAINT, MEDIAN, READING, TRUTH
from rstime.report import text_table
from rstime.risk.correlated import Correlated, fit_correlated
from rstime.types import Floats, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES = 200
DRAWS = 10_000
IGNORED = "ignored"
CORRELATED = "correlated"
ALONE = "sensor alone"


@dataclass(frozen=True)
class Setting:
    """How a case is answered, chosen on validation (`--validate`).

    Attributes
    ----------
    load
        (root, seed, validate) -> case.
    thin
        Every how many stamps a reading is kept.
    window
        Of the model, in stamps.
    factor
        What every risk is multiplied by, since thinned errors are not quite independent.
    """

    load: Callable[[str | Path | None, int, bool], Case]
    thin: int
    window: float
    factor: float = 1.0


SETTINGS: Mapping[str, Setting] = {
    "uci": Setting(uci, 24, 96, 1.25),
    "shanghai": Setting(shanghai, 96, 192),
}


def thinned(recording: Recording, treatment: str, thin: int, factor: float = 1.0) -> list[Series]:
    """Return the `thin` copies of a recording, each with its share of the readings and all references shown.

    A shown reference takes the place of the reading at its stamp; hidden ones are asked in the copy that has their
    reading. A treatment that the recording has no risk for has risk 0.
    """
    stamp, shown = np.arange(len(recording.time)), np.isfinite(recording.shown)
    risk = factor * recording.risk.get(treatment, np.zeros(len(stamp)))
    copies = []
    for phase in range(thin):
        read = (stamp % thin == phase) & np.isfinite(recording.reading) & ~shown
        asked = read & np.isfinite(recording.hidden)
        keep = shown | read
        value = np.where(shown, recording.shown, recording.reading)[keep, None]
        level = np.where(shown, recording.reference_sd, risk)[keep, None]
        if keep.any():
            name = f"{recording.name}/{phase}"
            copies.append(Series(name, recording.time[keep], ("x",), value, level, asked[keep, None]))
    return copies


def answers(
    case: Case,
    treatment: str,
    setting: Setting,
    seed: int,
    model: str = "gaussian",
    minutes: float = 3.0,
    noise: Correlated | None = None,
) -> pd.DataFrame:
    """Fit a model to one treatment and return the scores of the hidden references, one a row (see `scored`)."""
    fitted = RiskDiffusion(model, window=setting.window, grid=case.grid)
    copies = [copy for one in case.train for copy in thinned(one, treatment, setting.thin, setting.factor)]
    family = {} if noise is None else {"x": noise}
    fitted.fit(copies, noise=family, seed=seed, progress=False, max_minutes=minutes)
    rows = []
    for one in case.test:
        asked = [copy for copy in thinned(one, treatment, setting.thin, setting.factor) if copy.asked.any()]
        for answer in fitted.impute(asked, samples=SAMPLES, seed=seed) if asked else []:
            chosen = answer.series.asked[:, 0]
            stamp = np.searchsorted(one.time, answer.series.time[chosen])
            rows.append(scored(case, one, stamp, answer.samples[:, chosen, 0], seed))
    return pd.concat(rows, ignore_index=True)


def lasting(case: Case) -> Correlated | None:
    """Learn how long the errors of calibrated readings last where their reference is shown."""
    errors = [(one.reading - one.shown) / one.risk["calibrated"] for one in case.train]
    return fit_correlated([one.time for one in case.train], errors, duration(case.grid))


def alone(case: Case, treatment: str, seed: int) -> pd.DataFrame:
    """Return the scores of reading +- risk without a model (see `scored`)."""
    rows = []
    for one in case.test:
        stamp = np.flatnonzero(np.isfinite(one.hidden))
        noise = np.random.default_rng(seed).standard_normal((SAMPLES, len(stamp)))
        drawn = one.reading[stamp] + one.risk[treatment][stamp] * noise
        rows.append(scored(case, one, stamp, drawn, seed))
    return pd.concat(rows, ignore_index=True)


def scored(case: Case, recording: Recording, stamp: np.ndarray, samples: Floats, seed: int) -> pd.DataFrame:
    """Return a row a hidden reference: CRPS, absolute error of the median, whether the 90 % interval holds it, width.

    The reference's own error is added to the samples, (S, n) at the stamps (n,); scores are in its units.
    """
    unit = np.exp if case.logs else np.asarray
    drawn = unit(noisy_scores.convolve(samples, recording.reference_sd, np.random.default_rng([seed, len(stamp)])))
    truth = unit(recording.hidden[stamp])
    low, middle, high = np.quantile(drawn, [0.05, 0.5, 0.95], axis=0, method="weibull")
    columns = {"crps": scores.crps_samples(drawn, truth), "error": np.abs(middle - truth)}
    columns |= {
        "inside": (low <= truth) & (truth <= high),
        "width": high - low,
        "low": low,
        "median": middle,
        "high": high,
    }
    place = {"recording": recording.name, "stamp": stamp, "block": recording.block[stamp]}
    return pd.DataFrame(place | columns).sort_values("stamp", ignore_index=True)


def trials(
    setting: Setting, root: str | Path | None, seed: int, validate: bool, model: str, minutes: float
) -> tuple[Case, dict[str, pd.DataFrame]]:
    """Return the case of a seed and the scores of each treatment, the sensor alone among them."""
    case = setting.load(root, seed, validate)
    found = {}
    for name in (*case.test[0].risk, IGNORED):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RstimeWarning)
            found[name] = answers(case, name, setting, seed, model, minutes)
    whole = replace(setting, thin=1, factor=1.0)
    found[CORRELATED] = answers(case, "calibrated", whole, seed, model, minutes, lasting(case))
    found[f"{ALONE}, calibrated"] = alone(case, "calibrated", seed)
    found[f"{ALONE}, constant"] = alone(case, "constant", seed)
    return case, found


def summary(every: Mapping[int, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """Return mean scores a seed and treatment, and over all seeds."""
    seeds = {f"seed {seed}": found for seed, found in every.items()}
    first = next(iter(every.values()))
    pooled = {name: pd.concat([found[name] for found in every.values()]) for name in first}
    rows = []
    for split, found in {**seeds, "all": pooled}.items():
        for name, frame in found.items():
            means = frame[["crps", "error", "inside", "width"]].mean()
            rows.append({"split": split, "risk": name, "asked": len(frame), **means})
    return pd.DataFrame(rows)


def paired(every: Mapping[int, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """Compare "calibrated" with each other treatment on the same references, by blocks pooled over the seeds.

    Returns
    -------
    DataFrame
        A row a treatment: mean difference in CRPS (above 0: calibrated is better), its 95 % interval (bootstrap of
        blocks), the share of the other's CRPS, blocks, the share in which calibrated is better, and the two-sided p of
        Wilcoxon's signed-rank test on the mean differences of the blocks.
    """
    rng, rows = np.random.default_rng(0), []
    pooled = {
        name: pd.concat([_sorted(found[name]) for found in every.values()]) for name in next(iter(every.values()))
    }
    mine = pooled.pop("calibrated")
    for name, other in pooled.items():
        gain = other["crps"].to_numpy() - mine["crps"].to_numpy()
        blocks = pd.Series(gain).groupby(mine["block"].to_numpy()).agg(["sum", "count"])
        total, count = blocks["sum"].to_numpy(), blocks["count"].to_numpy()
        drawn = rng.integers(len(blocks), size=(DRAWS, len(blocks)))
        low, high = np.quantile(total[drawn].sum(1) / count[drawn].sum(1), [0.025, 0.975])
        means = total / count
        row = {
            "against": name,
            "gain": gain.mean(),
            "low": low,
            "high": high,
            "share": gain.mean() / other["crps"].mean(),
        }
        row |= {"blocks": len(blocks), "better": float(np.mean(means > 0)), "p": float(wilcoxon(means).pvalue)}
        rows.append(row)
    return pd.DataFrame(rows)


def _sorted(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values(["recording", "stamp"])


def picture(case: Case, found: Mapping[str, pd.DataFrame], length: int) -> Figure:
    """Draw the stretch of `length` stamps with most hidden references: sensor, reference, and a band a treatment."""
    from matplotlib.figure import Figure

    unit = np.exp if case.logs else np.asarray
    asked = [np.convolve(np.isfinite(one.hidden), np.ones(length), "valid") for one in case.test]
    best = int(np.argmax([count.max() for count in asked]))
    one, begin = case.test[best], int(asked[best].argmax())
    names = ("calibrated", "constant", IGNORED)
    figure = Figure(figsize=(9, 7.2), layout="constrained")
    panels = figure.subplots(len(names), 1, sharex=True, sharey=True)
    rows = slice(begin, begin + length)
    for axes, name in zip(panels, names, strict=True):
        frame = found[name]
        frame = frame[(frame["recording"] == one.name) & frame["stamp"].between(begin, begin + length - 1)]
        time = one.time[frame["stamp"]]
        middle = frame["median"].to_numpy()
        bars = np.stack([middle - frame["low"], frame["high"] - middle])
        axes.errorbar(time, middle, bars, fmt="o", ms=3, color=MEDIAN, ecolor=BAND90, elinewidth=4, label="model, 90 %")
        axes.plot(one.time[rows], unit(one.reading[rows]), color=READING, lw=0.8, label="sensor")
        axes.plot(one.time[rows], unit(one.hidden[rows]), "x", color=TRUTH, ms=4, label="hidden reference")
        axes.plot(one.time[rows], unit(one.shown[rows]), ".", color=FAINT, label="shown reference")
        axes.set_ylabel(f"{case.variable}, {case.unit}")
        axes.set_title(f"{name}: CRPS {found[name]['crps'].mean():.3g}", loc="left", fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), ncols=4, fontsize=8, frameon=False, loc="outside upper right")
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of one set and write its picture."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.real_pairs", description=main.__doc__)
    add = parser.add_argument
    add("name", choices=SETTINGS)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--model", default="gaussian", choices=("gaussian", "diffusion"))
    add("--minutes", type=float, default=3.0, help="minutes of training of each diffusion model (default: 3)")
    add(
        "--validate",
        action="store_true",
        help="score references that calibration would be shown, to choose settings on",
    )
    add("--thin", type=int, help="every how many stamps a reading is kept")
    add("--factor", type=float, help="what every risk is multiplied by")
    add("--root", help="folder that holds the data sets")
    add("--out", type=Path, default=Path(), help="folder for the picture (default: here)")
    options = parser.parse_args(arguments)
    chosen = SETTINGS[options.name]
    setting = Setting(chosen.load, options.thin or chosen.thin, chosen.window, options.factor or chosen.factor)
    runs = {
        seed: trials(setting, options.root, seed, options.validate, options.model, options.minutes)
        for seed in options.seeds
    }
    every, case = {seed: found for seed, (_, found) in runs.items()}, runs[options.seeds[0]][0]
    print(f"\n{case.variable}, {case.unit}; {options.model} model\n")
    print(text_table(summary(every), percent=("inside",), group=("split",)))
    print("\ncalibrated risk against the others: CRPS of the other less its own\n")
    print(text_table(paired(every), digits={"p": 5}, percent=("share", "better")))
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"{options.name}-pairs.png"
    picture(case, every[options.seeds[0]], setting.thin * 4).savefig(path, dpi=130)
    print(f"\npicture: {path}")


if __name__ == "__main__":
    main()
