"""What wrong risk does to a model, and how a user sees it without the truth.

    python -m rstime.evaluation.failures [--model gaussian|diffusion] [--seeds 0 1 2] [--minutes M] [--out DIR]

Windows of a Gaussian process are measured with known noise, and the risk that the model is told is wrong in one way
after another. Two tables: what is lost, against the truth and the exact posterior; and the signature, from readings
that were held out of the answer: z = (y - mean) / sqrt(sd^2 + r^2) has mean square 1 at every risk where all is right.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from rstime import noisy_scores, scores
from rstime.datasets.laws import GaussianTruth, answer
from rstime.datasets.simulate import gaussian_truth
from rstime.errors import RstimeWarning
from rstime.model import RiskDiffusion
from rstime.noise_fit import SILENT, estimate_risk
from rstime.plotting import CYCLE, FAINT, tidy
from rstime.report import text_table
from rstime.risk.coverage import groups
from rstime.risk.quality import QualityCurve, fit_quality
from rstime.types import Bools, Floats, Posterior, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LENGTH, CHANNELS = 48, 2
MISSING, HELD = 0.3, 0.2
LOW, HIGH = 0.1, 1.0
"""Smallest and largest standard deviation of the noise, in sd of the signal; log-uniform between them."""

CONSTANT = float(np.sqrt((HIGH**2 - LOW**2) / (2 * np.log(HIGH / LOW))))
"""The constant of the same mean square."""

BINS, PANELS = 5, 3
PAIRS = 2000
"""Readings beside a reference that quality is tested with."""

Sds = Callable[[np.random.Generator, tuple[int, ...]], tuple[Floats, Floats]]


@dataclass(frozen=True)
class Failure:
    """One way for risk to be wrong.

    Attributes
    ----------
    name
        What is wrong.
    sds
        (rng, shape) -> the noise's standard deviation of each entry, and what the model is told.
    risk
        As in `rstime.RiskDiffusion.fit`.
    """

    name: str
    sds: Sds
    risk: str = "known"


def _varied(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(LOW * (HIGH / LOW) ** rng.random(shape))


def _times(factor: float) -> Sds:
    def sds(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        sd = _varied(rng, shape)
        return sd, factor * sd

    return sds


def _shuffled(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    sd = _varied(rng, shape)
    return sd, rng.permuted(sd, axis=1)


def _unrelated(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    return np.full(shape, CONSTANT), _varied(rng, shape)


def _turned(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
    claimed = _varied(rng, shape)
    quality = quality_of(claimed)
    middle = np.abs(quality - 0.5) < 0.25
    return np.where(middle, LOW * HIGH / claimed, claimed), claimed


def quality_of(claimed: Floats) -> Floats:
    """Return the index in [0, 1], 1 the best, of which the claimed sd is the falling function."""
    return np.asarray(np.log(HIGH / claimed) / np.log(HIGH / LOW))


FAILURES = (
    Failure("right", _times(1.0)),
    Failure("half", _times(0.5)),
    Failure("double", _times(2.0)),
    Failure("half, scale learned", _times(0.5), "scale"),
    Failure("double, scale learned", _times(2.0), "scale"),
    Failure("shuffled in time", _shuffled),
    Failure("shuffled, scale learned", _shuffled, "scale"),
    Failure("unrelated to the error", _unrelated),
    Failure("wrong way round in the middle", _turned),
    Failure("noise ignored", _times(0.0)),
)


@dataclass(frozen=True, eq=False)
class Readings:
    """Simulated windows, what is claimed of them and what is kept apart.

    Attributes
    ----------
    claimed, true
        The same readings with the risk that is claimed, and with that of the noise.
    truth
        (items, T, C) clean values.
    held
        (items, T, C) readings that a check without truth holds out.
    law
        That of the clean windows.
    """

    claimed: list[Series]
    true: list[Series]
    truth: Floats
    held: Bools
    law: GaussianTruth


def simulate(failure: Failure, seed: int, part: str, items: int) -> Readings:
    """Measure clean windows; signal, noise and missing entries of a seed are the same for every failure."""
    streams = np.random.default_rng([seed, part == "test"]).spawn(2)
    law, shape = gaussian_truth(LENGTH, CHANNELS), (items, LENGTH, CHANNELS)
    truth = law.draw(streams[0], items).reshape(shape)
    white, lot = streams[0].standard_normal(shape), streams[0].random(shape)
    sd, claim = failure.sds(streams[1], shape)
    gone = lot < MISSING
    value, time = truth + sd * white, np.arange(float(LENGTH))

    def series(risk: Floats) -> list[Series]:
        names = tuple(f"x{channel}" for channel in range(CHANNELS))
        rows = zip(value, np.where(gone, np.inf, risk), strict=True)
        return [Series(f"window-{i}", time, names, y, r) for i, (y, r) in enumerate(rows)]

    return Readings(series(claim), series(sd), truth, ~gone & (lot < MISSING + HELD * (1 - MISSING)), law)


def hide(series: Sequence[Series], held: Bools) -> list[Series]:
    """Return the items without the readings that are held out."""
    return [replace(one, risk=np.where(mask, np.inf, one.risk)) for one, mask in zip(series, held, strict=True)]


def run(
    failure: Failure, seed: int, model: str = "gaussian", minutes: float = 2.0, items: int = 300, scored: int = 200
) -> dict[str, Any]:
    """Fit to risk that is wrong in one way, answer, and return the scores and the signature."""
    train, test = simulate(failure, seed, "train", items), simulate(failure, seed, "test", scored)
    fitted = RiskDiffusion(model, window=LENGTH)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        fitted.fit(train.claimed, risk=failure.risk, max_minutes=minutes, seed=seed, progress=False)
        answers = fitted.impute(hide(test.claimed, test.held), samples=100, seed=seed)
    rng = np.random.default_rng([seed, 2])
    exact = [answer(test.law, one, 100, rng) for one in hide(test.true, test.held)]
    measured = np.array([one.observed for one in test.true]) & ~test.held
    row: dict[str, Any] = {"risk": failure.name, "seed": seed}
    for name, where in (("missing", ~measured), ("noisy", measured)):
        row |= {f"{name} {key}": x for key, x in against_truth(answers, exact, test.truth, where).items()}
    used = np.array([one.risk for one in fitted.risk.apply(test.claimed)])
    return row | signature(answers, test, used) | factors(train.claimed, fitted, seed)


def against_truth(
    answers: Sequence[Posterior], exact: Sequence[Posterior], truth: Floats, where: Bools
) -> dict[str, float]:
    """Return the CRPS, its ratio to the exact posterior's, and coverage and width of the 90 % bands at some entries."""
    mine, best = (np.stack([one.samples for one in some], axis=1)[:, where] for some in (answers, exact))
    low, high = np.quantile(mine, [0.05, 0.95], axis=0, method="weibull")
    crps = float(scores.crps_samples(mine, truth[where]).mean())
    ratio = crps / float(scores.crps_samples(best, truth[where]).mean())
    inside, width = scores.coverage(low, high, truth[where]), scores.width(low, high)
    return {"CRPS": crps, "ratio": ratio, "inside 90 %": inside, "width": width}


def signature(answers: Sequence[Posterior], test: Readings, risk: Floats) -> dict[str, Any]:
    """Return what held-out readings tell without the truth: the mean square of z by bins of risk, and the PIT.

    `ends` and `centre` are the shares of the PIT below .05 or above .95 and in .4 to .6, over those of a flat one.
    """
    held = test.held
    y = np.array([one.value for one in test.claimed])[held]
    samples, r = np.stack([one.samples for one in answers], axis=1)[:, held], risk[held]
    square = (y - samples.mean(0)) ** 2 / (samples.var(0, ddof=1) + r**2)
    bins = groups(r, BINS)
    chance = noisy_scores.pit(samples, y, r)
    return {
        "z2": float(square.mean()),
        "bins": [float(np.median(r[chosen])) for chosen in bins],
        "z2 by bin": [float(square[chosen].mean()) for chosen in bins],
        "ends": float(np.mean(np.abs(chance - 0.5) > 0.45) / 0.1),
        "centre": float(np.mean(np.abs(chance - 0.5) < 0.1) / 0.2),
    }


def factors(series: Sequence[Series], fitted: RiskDiffusion, seed: int) -> dict[str, float]:
    """Return the factor that the readings ask for: geometric mean over the variables, and the widest ends.

    And the share of variables for which one sd for all explains the readings as well as those given.
    """
    estimate = fitted.risk.estimate or estimate_risk(series, window=LENGTH, seed=seed)
    rows = [one for one in estimate.classes if one.note != "every sd is 0"]
    if not rows:
        return {"factor": np.nan, "low": np.nan, "high": np.nan, "one sd as good": np.nan}
    factor = float(np.exp(np.mean([np.log(one.factor) for one in rows])))
    silent = float(np.mean([one.note == SILENT for one in rows]))
    ends = {"low": min(one.low for one in rows), "high": max(one.high for one in rows)}
    return {"factor": factor, **ends, "one sd as good": silent}


def quality_test(failure: Failure, seed: int) -> QualityCurve:
    """Fit sd to the quality index behind the claims, from readings beside their truth."""
    some = simulate(failure, seed, "train", 100)
    seen = np.array([one.observed for one in some.claimed])
    error = (np.array([one.value for one in some.claimed]) - some.truth)[seen][:PAIRS]
    claimed = np.array([one.risk for one in some.claimed])[seen][:PAIRS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        return fit_quality(error, np.clip(quality_of(claimed), 0, 1), direction="falling", seed=seed)


def tables(rows: Sequence[dict[str, Any]]) -> str:
    """Return the two tables as text, means over the seeds: against the truth, and what shows without it."""
    names = list(dict.fromkeys(row["risk"] for row in rows))
    lost, shown = [], []
    for name in names:
        some = [row for row in rows if row["risk"] == name]
        mean = pd.DataFrame(some).drop(columns=["risk", "bins", "z2 by bin"]).mean()
        parts = ("CRPS", "ratio", "inside 90 %", "width")
        lost.append(
            {"risk": name, **{f"{k} {part}": mean[f"{k} {part}"] for k in ("missing", "noisy") for part in parts}}
        )
        by_bin = np.mean([row["z2 by bin"] for row in some], axis=0)
        bins = {f"z2 {i + 1}": x for i, x in enumerate(by_bin)} if len(by_bin) == BINS else {}
        columns = ("z2", "ends", "centre", "factor", "low", "high", "one sd as good")
        shown.append({"risk": name, **bins, **{key: mean[key] for key in columns}})
    shares = tuple(f"{kind} inside 90 %" for kind in ("missing", "noisy"))
    signs = text_table(pd.DataFrame(shown), digits=2, percent=("one sd as good",))
    return f"{text_table(pd.DataFrame(lost), percent=shares)}\n\n{signs}"


def picture(rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw for each failure the mean square of z by bins of risk, one line a seed; 1 is right."""
    from matplotlib.figure import Figure

    names = [name for name in dict.fromkeys(row["risk"] for row in rows) if name != "noise ignored"]
    lines = -(-len(names) // PANELS)
    figure = Figure(figsize=(9, 0.6 + 2.3 * lines), layout="constrained")
    panels = figure.subplots(lines, PANELS, sharey=True, squeeze=False).ravel()
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    for axes, name in zip(panels, names, strict=False):
        some = [row for row in rows if row["risk"] == name]
        for row in some:
            axes.plot(row["bins"], row["z2 by bin"], color=CYCLE[0], marker="o", markersize=3, linewidth=1)
        axes.axhline(1, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.set(xscale="log", yscale="log", ylim=(0.2, 5))
        axes.set_yticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        axes.minorticks_off()
        ticks = (0.05, 0.1, 0.2, 0.5, 1, 2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.set_xlim(0.045, 2.2)
        inside = np.mean([row["noisy inside 90 %"] for row in some])
        tidy(axes, f"{name}\nnoisy: 90 % band holds {100 * inside:.0f} %")
    figure.suptitle("mean z^2 of held-out readings by the risk that is claimed", x=0.01, ha="left", fontsize=11)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is lost by wrong risk and how it shows, and draw it."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.failures", description=main.__doc__)
    add = parser.add_argument
    add("--model", choices=("gaussian", "diffusion"), default="gaussian")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--minutes", type=float, default=2.0, help="of training a network (default: 2)")
    add("--items", type=int, default=300, help="windows to learn from, with two thirds as many scored (default: 300)")
    add("--out", type=Path, help="folder for the picture and the figures")
    options = parser.parse_args(arguments)
    size = (options.items, max(2 * options.items // 3, 1))
    rows = [run(failure, seed, options.model, options.minutes, *size) for failure in FAILURES for seed in options.seeds]
    print(tables(rows))
    for failure in FAILURES:
        if failure.sds in (FAILURES[0].sds, _turned):
            curves = [quality_test(failure, seed) for seed in options.seeds]
            told = ", ".join(f"{curve.p_monotone:.3f}" for curve in curves)
            print(f"{failure.name}: p of a monotone relation between quality and error {told}")
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "failures.json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        picture(rows).savefig(options.out / "failures.png", dpi=110)


if __name__ == "__main__":
    main()
