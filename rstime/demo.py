"""The demo: from a noisy table to calibrated samples of the clean signal, judged against the truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.answers import answer, future_rows
from rstime.datasets import icu
from rstime.errors import ConfigError
from rstime.evaluation.linear import LinearBands
from rstime.evaluation.study import HORIZON, NOMINAL, Answers, Study, judge, physionet_study, silenced
from rstime.frame import from_long, to_long
from rstime.model import RiskDiffusion
from rstime.plotting import plot_coverage, plot_forecast, plot_posterior
from rstime.report import scores_table, support_table, text_table
from rstime.types import Floats, Posterior

SAMPLES, PICTURES, SIZE = 100, 3, "tiny"
LINEAR, GAUSSIAN, DIFFUSION = "linear interpolation", "Gaussian", "diffusion"


def run(
    data: str | None = None,
    root: Path | None = None,
    out: Path = Path("demo"),
    seed: int = 0,
    max_minutes: float = 1.5,
) -> None:
    """Fit, impute, denoise and forecast; print tables against truth, and write pictures and CSV files.

    Parameters
    ----------
    data
        None for the simulated ward, "physionet2012" for the real set.
    root
        Folder of the data sets; looked for in the usual places if None.
    out
        Folder for pictures and tables; made if it does not exist.
    seed
        Seed of the data, of training and of sampling.
    max_minutes
        Time limit of the diffusion model's training.

    Raises
    ------
    ConfigError
        If there is no demo on these data.
    DatasetNotFoundError
        If the real set is not where it was looked for.
    """
    say = _Clock()
    studies: dict[str | None, Callable[[], Study]] = {
        None: lambda: ward_study(seed),
        "physionet2012": lambda: physionet_study(root, seed),
    }
    if data not in studies:
        raise ConfigError("data", f"no demo on {data!r}", "Use physionet2012, or none for the simulated ward.")
    out.mkdir(parents=True, exist_ok=True)
    study = studies[data]()
    say(study.what)
    say(f"{len(study.train)} patients to learn from, {len(study.test)} kept apart to be judged")

    answers = {LINEAR: answer_linear(study, seed)}
    say(f"fitting the Gaussian model, then the diffusion model that starts from it: {max_minutes:g} minutes")
    model = RiskDiffusion("diffusion", size=SIZE).fit(study.train, max_minutes=max_minutes, seed=seed)
    say("what the training data can teach: below the smallest risk of a variable nothing is learned")
    print(support_table(model.support), end="\n\n")
    for name, one in ((GAUSSIAN, model.baseline()), (DIFFUSION, model)):
        say(f"{name}: {SAMPLES} samples of each of {len(study.test)} stays, and of their last {HORIZON} hours")
        answers[name] = answer_model(study, one, seed)

    pooled, detail, curves = judge(study, answers)
    say("CRPS and absolute error in standard deviations of each variable; share of truth inside the 90 % band")
    print(scores_table(pooled), end="\n\n")
    say("mean absolute error in the units of each variable")
    print(text_table(detail, digits=2, group=("entries",)), end="\n\n")
    write(study, answers[DIFFUSION], (pooled, detail), curves, out)
    say(f"pictures and tables are in {out}/")


def ward_study(seed: int, n_train: int = 160, n_test: int = 16) -> Study:
    """Simulate a ward and read it from its long table, as any user's."""
    ward = icu.simulate(n_train + n_test, seed=seed)
    series, clean = from_long(ward.table), from_long(ward.clean.assign(sd=0.0))
    what = "a simulated ward: 48 hours, 8 vital signs, devices of known noise that fall silent at times"
    return Study(what, series[:n_train], series[n_train:], [item.value for item in clean[n_train:]], icu.UNITS)


def answer_linear(study: Study, seed: int) -> Answers:
    """Answer by linear interpolation, with bands of its own errors on the training patients."""
    bands, rng = LinearBands.fit(study.train), np.random.default_rng(seed)
    whole = [bands.impute(item, SAMPLES, rng) for item in study.test]
    late = [bands.impute(silenced(item), SAMPLES, rng) for item in study.test]
    return whole, [Posterior(p.series.rows(slice(-HORIZON, None)), p.samples[:, -HORIZON:]) for p in late]


def answer_model(study: Study, model: RiskDiffusion, seed: int) -> Answers:
    """Answer by a fitted model: impute and denoise the stay, and forecast its last hours from the others.

    A forecast begins after the last reading; it is asked for long enough to reach the end of every stay.
    """
    whole = model.impute(study.test, samples=SAMPLES, seed=seed)
    history = [item.rows(slice(None, -HORIZON)) for item in study.test]
    quiet = [len(item.time) - 1 - int(np.flatnonzero(item.observed.any(1))[-1]) for item in history]
    late = model.forecast(history, HORIZON + max(quiet), samples=SAMPLES, seed=seed)
    parts = [slice(hours, hours + HORIZON) for hours in quiet]
    return whole, [Posterior(p.series.rows(rows), p.samples[:, rows]) for p, rows in zip(late, parts, strict=True)]


def write(
    study: Study,
    answers: Answers,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    curves: Mapping[str, Mapping[str, Floats]],
    out: Path,
) -> None:
    """Write the tables as CSV and the pictures as PNG into a folder."""
    whole, late = answers
    for name, table in zip(("scores", "errors_by_variable"), tables, strict=True):
        table.to_csv(out / f"{name}.csv", index=False)
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    answer(to_long(study.test), whole, quantiles=levels).to_csv(out / "answers.csv", index=False, float_format="%.6g")
    future_rows(late, quantiles=levels).to_csv(out / "forecast.csv", index=False, float_format="%.6g")
    for item, now, future, truth in list(zip(study.test, whole, late, study.truth, strict=True))[:PICTURES]:
        history = item.rows(slice(None, -HORIZON))
        label = f"{item.item_id}: everything measured, and the posterior of the clean signal"
        figure = plot_posterior(now, truth, units=study.units, title=label)
        figure.savefig(out / f"posterior_{item.item_id}.png", dpi=120)
        label = f"{item.item_id}: the last {HORIZON} hours, forecast from the hours before"
        past, coming = truth[:-HORIZON], truth[-HORIZON:]
        figure = plot_forecast(history, future, coming, past_truth=past, units=study.units, title=label)
        figure.savefig(out / f"forecast_{item.item_id}.png", dpi=120)
    figure = plot_coverage(curves, NOMINAL, title="How often the truth lies inside the band")
    figure.savefig(out / "coverage.png", dpi=120)


class _Clock:
    """Print a line with the seconds since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self.start:4.0f} s] {text}", flush=True)
