"""Whether a model has learned where the noise was instead of the data.

    python -m rstime.evaluation.risk_pattern [--law slow|mixture] [--model gaussian|diffusion] [--seeds 0 1 2]

The same law of clean windows is measured with two patterns of risk, and a model is fitted to each. Windows that the two
generate, given no measurement, should be indistinguishable: a permutation test of the energy distance (Székely and
Rizzo 2013) of windows whitened together. Beside it the same test of two models of one pattern, which differ by chance
and in the data they saw, and of models that took the noise for signal.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.spatial.distance import cdist

from rstime.datasets.simulate import Simulated, gp_series, mixture_series
from rstime.errors import RstimeWarning
from rstime.model import RiskDiffusion
from rstime.report import text_table
from rstime.types import Bools, Floats, Series

LENGTH = 48
LAWS: dict[str, Callable[[np.random.Generator, int], Simulated]] = {
    "slow": lambda rng, items: gp_series(rng, items, LENGTH, "matern32", channels=2),
    "mixture": lambda rng, items: mixture_series(rng, items, LENGTH),
}
"""A Gaussian process in two channels; four regimes in one, which only a network can tell apart."""

QUIET, NOISY = (0.1, 0.2), (0.7, 1.4)
"""Ranges of the noise's standard deviation, log-uniform, in sd of the signal."""

RIDGE = 0.1
"""Variance below which a direction does not count, in mean variances."""

DRAWS = 999
"""Permutations of a test."""

Pattern = Callable[[tuple[int, ...]], Bools]


def _half(shape: tuple[int, ...]) -> Bools:
    return np.broadcast_to(np.arange(shape[1])[:, None] < shape[1] // 2, shape)


def _channel(shape: tuple[int, ...]) -> Bools:
    return np.broadcast_to(np.arange(shape[2]) == 0, shape)


PATTERNS: dict[str, Pattern] = {"half": _half, "channel": _channel}
"""Where the noise is in one of the two, the first half or the first channel; in the other it is everywhere else."""


@dataclass(frozen=True)
class Comparison:
    """Windows of two models compared.

    Attributes
    ----------
    pattern, models, seed
        Where the noise was; which models; seed of data, fits and windows.
    distance
        Energy distance of the whitened windows.
    null
        95 % point of the distance where labels are drawn at random.
    p
        Share of random labels that separate as well.
    """

    pattern: str
    models: str
    seed: int
    distance: float
    null: float
    p: float


def energy_test(one: Floats, two: Floats, rng: np.random.Generator, draws: int = DRAWS) -> tuple[float, float, float]:
    """Compare two samples by D = 2 E|X - Y| - E|X - X'| - E|Y - Y'|: distance, 95 % point and p by permutation.

    Parameters
    ----------
    one, two
        (n, N) and (m, N) samples.
    rng
        Of the permutations.
    draws
        Their number.
    """
    both = np.concatenate([one, two])
    apart = cdist(both, both)

    def distance(labels: Floats) -> Floats:
        share = labels / labels.sum(0) - (1 - labels) / (1 - labels).sum(0)
        return np.asarray(-np.einsum("nk,nk->k", share, apart @ share))

    labels = np.repeat([1.0, 0.0], [len(one), len(two)])
    found = float(distance(labels[:, None])[0])
    chance = distance(np.stack([rng.permutation(labels) for _ in range(draws)], axis=1))
    p = (1 + np.count_nonzero(chance >= found)) / (1 + draws)
    return found, float(np.quantile(chance, 0.95)), float(p)


def whitened(one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Return two samples scaled by their pooled covariance plus a tenth of its mean variance, whatever their labels.

    Differences count in sd of the direction they are in: of white noise that a model took for signal, most lies where a
    slow signal has nothing. The tenth leaves out directions of less variance than that.
    """
    both = np.concatenate([one, two])
    centred = both - both.mean(0)
    covariance = centred.T @ centred / len(both)
    ridge = RIDGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    white = solve_triangular(np.linalg.cholesky(covariance + ridge), centred.T, lower=True).T
    return white[: len(one)], white[len(one) :]


def measured(law: str, name: str, turned: bool, seed: int, stream: int, items: int) -> list[Series]:
    """Measure windows with noise where the pattern says, or everywhere else; another stream has other windows."""
    rng = np.random.default_rng([seed, stream])
    clean = LAWS[law](rng, items)
    truth = np.array(clean.truth)
    pattern = PATTERNS[name](truth.shape) ^ turned
    lot = rng.random(truth.shape)
    low, high = (np.where(pattern, NOISY[end], QUIET[end]) for end in (0, 1))
    sd = low * (high / low) ** lot
    value = truth + sd * rng.standard_normal(truth.shape)
    rows = zip(clean.series, value, sd, strict=True)
    return [replace(one, value=y, risk=np.where(one.observed, r, np.inf)) for one, y, r in rows]


def generated(series: Sequence[Series], model: str, minutes: float, seed: int, count: int) -> Floats:
    """Fit a model and return (count, T C) windows that it generates."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        fitted = RiskDiffusion(model, window=LENGTH)
        fitted.fit(series, max_minutes=minutes, seed=seed, progress=False)
    return np.asarray(fitted.sample(count, seed=seed)[0].samples, dtype=np.float64).reshape(count, -1)


def compare(
    law: str, name: str, seed: int, model: str = "gaussian", minutes: float = 2.0, items: int = 1000, count: int = 200
) -> list[Comparison]:
    """Compare models of the two patterns, of one pattern twice, and of both with the noise ignored."""
    data = {"one": measured(law, name, False, seed, 0, items), "other": measured(law, name, True, seed, 1, items)}
    data["one again"] = measured(law, name, False, seed, 2, items)
    for key in ("one", "other"):
        data[f"{key}, ignored"] = [replace(x, risk=np.where(x.observed, 0.0, np.inf)) for x in data[key]]
    windows = {
        key: generated(series, model, minutes, seed + 1000 * place, count)
        for place, (key, series) in enumerate(data.items())
    }
    rows = []
    for title, pair in (
        ("two patterns", ("one", "other")),
        ("one pattern twice", ("one", "one again")),
        ("two patterns, noise ignored", ("one, ignored", "other, ignored")),
    ):
        rng = np.random.default_rng([seed, 9])
        found = energy_test(*whitened(*(windows[key] for key in pair)), rng)
        rows.append(Comparison(name, title, seed, *found))
    return rows


def table(rows: Sequence[Comparison]) -> str:
    """Return one line a pattern and pair of models: distances, their 95 % points and p of all seeds."""
    lines = []
    for pattern, models in dict.fromkeys((one.pattern, one.models) for one in rows):
        some = [one for one in rows if (one.pattern, one.models) == (pattern, models)]
        told = {"noise in": pattern, "models of": models}
        for name, digits in (("distance", 3), ("null", 3), ("p", 3)):
            told[name] = " ".join(f"{getattr(one, name):.{digits}f}" for one in some)
        lines.append(told)
    return text_table(pd.DataFrame(lines), group=("noise in",))


def main(arguments: Sequence[str] | None = None) -> None:
    """Test whether models of one law but two patterns of risk generate the same windows."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.risk_pattern", description=main.__doc__)
    add = parser.add_argument
    add("--model", choices=("gaussian", "diffusion"), default="gaussian")
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--law", choices=LAWS, default="slow")
    add("--patterns", nargs="+", choices=PATTERNS, default=["half"], help="channel needs two (default: half)")
    add("--minutes", type=float, default=2.0, help="of training a network (default: 2)")
    add("--items", type=int, default=1000, help="windows to learn from (default: 1000)")
    add("--count", type=int, default=200, help="windows to generate (default: 200)")
    add("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    size = (options.items, options.count)
    rows = [
        one
        for name in options.patterns
        for seed in options.seeds
        for one in compare(options.law, name, seed, options.model, options.minutes, *size)
    ]
    print(table(rows))
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps([asdict(one) for one in rows], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
