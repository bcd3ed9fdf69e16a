"""Errors that last: models that are told how long, or take them for white noise, and the exact answers.

    python -m rstime.evaluation.lasting [--seeds 0 1 2] [--law gaussian|mixture] [--model gaussian|diffusion]
                                        [--noises NAME ...] [--windows 240] [--minutes 3] [--picture FILE.png]

Windows of a law of unit variance, a third of them read exactly, the others by a sensor with errors of sd RISK, of which
a share lasts for some time, or none does. How long is learned from pairs: the sensor beside the truth in windows of
their own. Where nothing lasts, being told what was learned should cost nothing. With a diffusion model, the Gaussian
one that it starts from is asked, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from rstime import scores
from rstime.datasets.laws import GaussianTruth, MixtureTruth, kernel_truth
from rstime.datasets.simulate import mixture_truth
from rstime.model import RiskDiffusion
from rstime.plotting import BAND90, MEDIAN, READING, TRUTH, tidy
from rstime.report import text_table
from rstime.risk.correlated import Correlated, fit_correlated
from rstime.types import Floats, Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RISK = 0.8
LENGTH = 48
TRIES = 16  # draws of the errors, of which one is taken by its weight
LAWS: Mapping[str, Callable[[int], MixtureTruth]] = {
    "gaussian": lambda length: MixtureTruth(np.ones(1), (kernel_truth("matern32", length),)),
    "mixture": mixture_truth,
}
"""Of the clean windows: one Gaussian process, or one of four a window."""

LASTING: Mapping[str, Correlated | None] = {
    "white": None,
    "0.5 for 6 steps": Correlated((0.5,), (6.0,)),
    "0.9 for 20 steps": Correlated((0.9,), (20.0,)),
    "0.4 for ever": Correlated((0.4,), (1e4,)),
}
"""Share of the variance that lasts, and its memory."""


def noise_root(law: Correlated | None) -> Floats:
    """(T, T) root of the covariance of the errors of a window."""
    found = np.eye(LENGTH)
    if law is not None:
        lag = np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH)))
        found = np.where(lag == 0, 1.0, law.correlation(lag))
    return RISK * np.asarray(np.linalg.cholesky(found))


def read(rng: np.random.Generator, law: MixtureTruth, root: Floats, count: int) -> tuple[Floats, Floats]:
    """Draw clean windows and their readings, (count, T) each."""
    signal = law.draw(rng, count)
    return signal, signal + rng.standard_normal((count, LENGTH)) @ root.T


def heights(law: MixtureTruth, noise: Floats, y: Floats) -> Floats:
    """Return log of weight times density of readings (..., T) with a covariance of noise, (K, ...), by part."""
    some = [multivariate_normal.logpdf(y, part.mean, part.covariance + noise) for part in law.parts]
    return np.asarray([np.log(weight) + one for weight, one in zip(law.weights, some, strict=True)])


def exact(law: MixtureTruth, noise: Floats, y: Floats, rng: np.random.Generator, samples: int) -> tuple[Floats, float]:
    """Draw (S, T) from p(x | y), and return log p(y); K (K + R)^-1 y and K - K (K + R)^-1 K by part, R of the noise.

    Readings are (T,), or one for each sample, (S, T), whose mean log density it is.
    """
    height = np.broadcast_to(heights(law, noise, y).reshape(len(law.parts), -1), (len(law.parts), samples))
    total = logsumexp(height, axis=0)
    chosen = (rng.random(samples) > np.cumsum(np.exp(height - total), axis=0)[:-1]).sum(0)
    found = np.empty((samples, LENGTH))
    for index, part in enumerate(law.parts):
        rows = chosen == index
        gain = np.linalg.solve(part.covariance + noise, part.covariance).T
        around = GaussianTruth(np.zeros(LENGTH), part.covariance - gain @ part.covariance)
        centre = part.mean + (np.broadcast_to(y, found.shape)[rows] - part.mean) @ gain.T
        found[rows] = centre + around.draw(rng, int(rows.sum()))
    return found, float(total.mean())


def by_errors(
    rng: np.random.Generator, law: MixtureTruth, noise: Correlated | None, y: Floats, samples: int, tries: int
) -> Floats:
    """Draw (S, T) of x by the law itself given y - e, the errors e drawn as `rstime.correlation` draws them.

    e ~ G(e | y) by the Gaussian law of the same moments. Of `tries` draws for each sample one is taken, by the weight
    p_w(y - e) / G_w(y - e) that it has in p(e | y), p_w and G_w the densities of readings with the white noise alone;
    1 takes them as they come.
    """
    white = RISK**2 * (1.0 if noise is None else noise.white) * np.eye(LENGTH)
    moments, root = law.moments(), noise_root(noise)
    lasting = root @ root.T - white
    gain = np.linalg.solve(moments.covariance + root @ root.T, lasting).T
    left = y - GaussianTruth(gain @ (y - moments.mean), lasting - gain @ lasting).draw(rng, samples * tries)
    if tries > 1:
        plain = heights(MixtureTruth(np.ones(1), (moments,)), white, left)[0]
        weight = logsumexp(heights(law, white, left), axis=0) - plain
        left = left[rng.choice(len(left), samples, p=np.exp(weight - logsumexp(weight)))]
    return exact(law, white, left, rng, samples)[0]


def table(value: Floats, risk: float) -> list[Series]:
    """Return a Series a window."""
    level = np.full((LENGTH, 1), risk)
    return [Series(f"{k}/{risk}", np.arange(LENGTH), ("x",), one[:, None], level) for k, one in enumerate(value)]


def score(draws: Iterable[Floats], clean: Floats) -> tuple[float, float]:
    """Mean CRPS of (S, T) samples a window, and what their 90 % bands hold."""
    crps, inside = [], []
    for drawn, truth in zip(draws, clean, strict=True):
        low, high = np.quantile(drawn, (0.05, 0.95), axis=0, method="weibull")
        crps.append(scores.crps_samples(drawn, truth).mean())
        inside.append(((low <= truth) & (truth <= high)).mean())
    return float(np.mean(crps)), float(np.mean(inside))


def trial(
    name: str,
    seed: int,
    law: str = "gaussian",
    model: str = "gaussian",
    windows: int = 240,
    asked: int = 60,
    samples: int = 99,
    **fit: float,
) -> pd.DataFrame:
    """Return a row for the exact answers, and for models told what was learned of the errors, or nothing.

    Columns: told, crps and holds of samples, nats a reading of log p(y), alarms (share of good readings with p < .05,
    each given the others), noise, seed, ratio (of crps to the exact posterior's).

    Parameters
    ----------
    name, law
        Of LASTING and LAWS.
    seed
        Of data, fit and samples.
    model, fit
        See `rstime.RiskDiffusion`; steps and max_minutes.
    windows, asked, samples
        To learn from, a third of them exact; to answer; and draws of each.
    """
    rng, truth, root = np.random.default_rng([seed, 7]), LAWS[law](LENGTH), noise_root(LASTING[name])
    signal, noisy = read(rng, truth, root, windows)
    paired, beside = read(rng, truth, root, windows // 4)
    clean, y = read(rng, truth, root, asked)
    learned = fit_correlated([np.arange(LENGTH)] * len(paired), list((beside - paired) / RISK))
    third = windows // 3
    learn, ask = table(signal[:third], 0.0) + table(noisy[third:], RISK), table(y, RISK)
    rows = _known_law(truth, LASTING[name], y, clean, rng, samples)
    for told, family in (("how long", {} if learned is None else {"x": learned}), ("white", {})):
        found = RiskDiffusion(model, window=LENGTH, size="tiny")
        found.fit(learn, noise=family, seed=seed, progress=False, **fit)  # type: ignore[arg-type]
        rows.append((told, *_answers(found, ask, clean, samples, seed)))
        if model != "gaussian":
            rows.append((f"{told}, Gaussian", *_answers(found.baseline(), ask, clean, samples, seed)))
    frame = pd.DataFrame(rows, columns=["told", "crps", "holds", "nats", "alarms"])
    return frame.assign(noise=name, seed=seed, ratio=frame["crps"] / frame["crps"][0])


def _known_law(
    law: MixtureTruth, noise: Correlated | None, y: Floats, clean: Floats, rng: np.random.Generator, samples: int
) -> list[tuple[str, float, float, float, float]]:
    """Return the rows of what is known of the law: exactly, and by draws of the errors."""
    root = noise_root(noise)
    drawn, height = zip(*(exact(law, root @ root.T, one, rng, samples) for one in y), strict=True)
    rows = [("exact", *score(drawn, clean), float(np.mean(height) / LENGTH), np.nan)]
    for text, tries in (("exact given drawn errors", 1), ("exact given weighed errors", TRIES)):
        found = score((by_errors(rng, law, noise, one, samples, tries) for one in y), clean)
        rows.append((text, *found, np.nan, np.nan))
    return rows


def _answers(
    model: RiskDiffusion, ask: Sequence[Series], clean: Floats, samples: int, seed: int
) -> tuple[float, float, float, float]:
    """Return CRPS and what 90 % bands hold, nats a reading, and how often a good reading has p < .05."""
    answers = model.impute(ask, samples=samples, seed=seed)
    nats = model.log_likelihood(ask, probes=4)["log_likelihood"].mean()
    alarms = (model.anomaly(ask)["p"] < 0.05).mean()
    return *score((one.samples[..., 0] for one in answers), clean), float(nats), float(alarms)


def picture(name: str = "0.9 for 20 steps", seed: int = 5) -> Figure:
    """Draw one window, its readings, and the exact posterior with the errors as they are, and taken for white noise."""
    from matplotlib.figure import Figure

    rng, truth, root = np.random.default_rng(seed), LAWS["gaussian"](LENGTH), noise_root(LASTING[name])
    clean, y = read(rng, truth, root, 1)
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, title, law in zip(
        panels, ("taken for white noise", "told how long errors last"), (noise_root(None), root), strict=True
    ):
        drawn = exact(truth, law @ law.T, y[0], rng, 2000)[0]
        low, middle, high = np.quantile(drawn, (0.05, 0.5, 0.95), axis=0)
        axes.fill_between(np.arange(LENGTH), low, high, color=BAND90, linewidth=0, label="90 % band")
        axes.plot(middle, color=MEDIAN, label="median")
        axes.plot(clean[0], color=TRUTH, linewidth=1.2, label="truth")
        axes.plot(y[0], "o", color=READING, markersize=2.6, label="readings")
        tidy(axes, title)
    figure.legend(
        *panels[0].get_legend_handles_labels(), ncols=4, fontsize=8, frameon=False, loc="outside lower center"
    )
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Print CRPS, its ratio to the exact posterior's, what 90 % bands hold, nats and alarms, over the seeds."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.lasting", description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--law", default="gaussian", choices=LAWS)
    parser.add_argument("--model", default="gaussian", choices=("gaussian", "diffusion"))
    parser.add_argument("--noises", nargs="+", default=list(LASTING), choices=LASTING)
    parser.add_argument("--windows", type=int, default=240, help="to learn from (default: 240)")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training of a diffusion model (default: 3)")
    parser.add_argument("--picture", type=Path, help="draw one window instead, into this file")
    options = parser.parse_args(arguments)
    if options.picture is not None:
        picture().savefig(options.picture, dpi=110)
        return
    rows = [
        trial(name, seed, options.law, options.model, options.windows, max_minutes=options.minutes)
        for name in options.noises
        for seed in options.seeds
    ]
    every = pd.concat(rows)
    found = every.groupby(["noise", "told"], sort=False)[["crps", "ratio", "holds", "nats", "alarms"]].agg(
        ["mean", "min", "max"]
    )
    found.columns = [" ".join(name) for name in found.columns]
    shares = tuple(column for column in found.columns if column.startswith(("holds", "alarms")))
    print(text_table(found.reset_index(), percent=shares, group=("noise",)))


if __name__ == "__main__":
    main()
