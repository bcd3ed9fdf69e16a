"""How well faulty readings are told from good ones: a table of areas under the ROC curve.

    python -m rstime.evaluation.faults [--seeds 0 1 2] [--steps 2000] [--windows 1600] [--out FILE]

Windows of two variables that switch between regimes are read with known noise, and in test windows one stretch of
readings is faulty in one of four ways. Every reading is ranked by its surprise given the others, and by its p, the tail
that it lies in: by a trained model, by the Gaussian model it started from, and by the law itself. Models learn from
good readings only; what they are told of risk is right.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import kstest, norm, rankdata

from rstime.datasets.regimes import RegimeTruth
from rstime.datasets.simulate import regime_series, regime_truth
from rstime.errors import RstimeWarning
from rstime.model import RiskDiffusion
from rstime.report import text_table
from rstime.training import TrainingConfig
from rstime.types import Bools, Floats, Series

LENGTH, STRETCH, SIZE, TEST = 48, 8, 2.0, 60
"""Stamps in a window and in a faulty stretch, size of a fault in sd of the first variable, test windows."""

FOLDS, BLOCK = 4, 8
"""What is left out together: blocks as long as a faulty stretch, one in four."""

TRAINING = TrainingConfig(batch=16, learning_rate=2e-3, warmup=20, validations=5, ema=0.97)

OFFSET, FACTOR = 1.0, 0.6
"""Of the second variable, so that it can be told from the first."""

SPREAD = np.array([1.0, FACTOR])
"""Standard deviation of the two variables."""

Fault = Callable[[np.random.Generator, Floats, Floats, int], tuple[Floats, Floats]]
"""(rng, value (T, 2), risk (T, 2), first stamp of the stretch) -> both with a fault."""


def spike(rng: np.random.Generator, value: Floats, risk: Floats, first: int) -> tuple[Floats, Floats]:
    """Move two readings of the stretch, one of each variable, by SIZE sd of the signal, up or down."""
    moved = value.copy()
    for column in range(2):
        moved[first + rng.integers(STRETCH), column] += SIZE * rng.choice([-1.0, 1.0])
    return moved, risk


def drift(rng: np.random.Generator, value: Floats, risk: Floats, first: int) -> tuple[Floats, Floats]:
    """Let the first variable run away by SIZE sd along the stretch, up or down."""
    ramp = np.linspace(1 / STRETCH, 1, STRETCH) * SIZE * rng.choice([-1.0, 1.0])
    moved = value.copy()
    moved[first : first + STRETCH, 0] += ramp
    return moved, risk


def stuck(rng: np.random.Generator, value: Floats, risk: Floats, first: int) -> tuple[Floats, Floats]:
    """Repeat the reading of the first variable before the stretch all along it; missing ones stay missing."""
    moved = value.copy()
    seen = np.flatnonzero(np.isfinite(value[:first, 0]))
    here = slice(first, first + STRETCH)
    moved[here, 0] = np.where(np.isfinite(value[here, 0]), value[seen[-1], 0], np.nan)
    return moved, risk


def swap(rng: np.random.Generator, value: Floats, risk: Floats, first: int) -> tuple[Floats, Floats]:
    """Exchange the two variables along the stretch, readings and risks."""
    here = slice(first, first + STRETCH)
    moved, told = value.copy(), risk.copy()
    moved[here], told[here] = value[here, ::-1], risk[here, ::-1]
    return moved, told


FAULTS: Mapping[str, Fault] = {"spike": spike, "drift": drift, "stuck": stuck, "swap": swap}


def break_windows(rng: np.random.Generator, series: Sequence[Series], fault: Fault) -> tuple[list[Series], list[Bools]]:
    """Return windows with one faulty stretch each, and which readings it changed."""
    broken, changed = [], []
    for one in series:
        first = int(rng.integers(STRETCH, LENGTH - STRETCH))
        value, risk = fault(rng, one.value, one.risk, first)
        broken.append(replace(one, value=value, risk=risk))
        changed.append(np.isfinite(risk) & ~np.isclose(value, one.value, rtol=0, atol=1e-12, equal_nan=True))
    return broken, changed


def law_scores(law: RegimeTruth, series: Sequence[Series], folds: int = FOLDS, block: int = BLOCK) -> Floats:
    """Return exact normal score and surprise of all readings, (2, N), in the order of RiskDiffusion.anomaly."""
    scores = []
    for one in series:
        place = (np.arange(LENGTH)[:, None] // block + np.arange(2)) % folds
        below, above, density = (np.full(one.value.shape, np.nan) for _ in range(3))
        risk = np.where(one.observed, one.risk, 1.0)
        for k in range(folds):
            out = place == k
            posterior = law.posterior(one.value.ravel(), np.where(out, np.inf, one.risk).ravel())
            chance = [posterior.start]
            for move in posterior.moves:
                chance.append(chance[-1] @ move)
            sd = np.sqrt(posterior.spread**2 + risk[:, None] ** 2)  # (T, K, C)
            z, weight = (one.value[:, None] - posterior.level) / sd, np.array(chance)[..., None]
            below[out], above[out] = (weight * ndtr(z)).sum(1)[out], (weight * ndtr(-z)).sum(1)[out]
            density[out] = (weight * norm.pdf(z) / sd).sum(1)[out]
        exact = np.where(below < 0.5, ndtri(np.maximum(below, 1e-300)), -ndtri(np.maximum(above, 1e-300)))
        surprise = -np.log(np.maximum(density, 1e-300) * np.hypot(SPREAD, risk))
        scores.append(np.stack([exact[one.observed], surprise[one.observed]]))
    return np.concatenate(scores, -1)


def simulate(rng: np.random.Generator, windows: int) -> list[Series]:
    """Return windows of the law, read with noise of known sd from .1 to 1 of that of the signal; a fifth is missing."""
    offset = np.array([0.0, OFFSET])
    plain = regime_series(rng, windows, LENGTH, 2, missing=0.2).series
    return [replace(one, value=one.value * SPREAD + offset, risk=one.risk * SPREAD) for one in plain]


def law() -> RegimeTruth:
    """Return the law of these windows."""
    plain = regime_truth(LENGTH, 2)
    return replace(plain, level=plain.level * SPREAD + np.array([0.0, OFFSET]), spread=plain.spread * SPREAD)


def roc_area(score: Floats, faulty: Bools) -> float:
    """Return the chance that a faulty reading has the larger score of a faulty and a good one; ties count half."""
    ranks = rankdata(score)
    bad, good = int(faulty.sum()), int((~faulty).sum())
    return float((ranks[faulty].sum() - bad * (bad + 1) / 2) / (bad * good))


def compare(seed: int, windows: int, steps: int) -> pd.DataFrame:
    """Return two rows for each scorer: KS distance of p from uniform on good readings, area for each fault by rank."""
    rng = np.random.default_rng(seed)
    train, test = (simulate(rng, count) for count in (windows, TEST))
    model = RiskDiffusion(size="tiny", window=LENGTH, training=TRAINING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        model.fit(train, steps=steps, max_minutes=60, seed=seed, progress=False)
    truth = law()
    scorers: dict[str, Callable[[Sequence[Series]], Floats]] = {
        "diffusion": lambda items: _scores(model, items),
        "gaussian": lambda items: _scores(model.baseline(), items),
        "law": lambda items: law_scores(truth, items),
    }
    cases = {name: break_windows(rng, test, fault) for name, fault in FAULTS.items()}
    rows = []
    for name, scorer in scorers.items():
        uniform = float(kstest(2 * ndtr(-np.abs(scorer(test)[0])), "uniform").statistic)
        ranked: list[dict[str, object]] = [
            {"seed": seed, "scorer": name, "ranked by": by, "KS, good": uniform} for by in ("surprise", "p")
        ]
        for fault, (broken, changed) in cases.items():
            faulty = np.concatenate([where[one.observed] for one, where in zip(broken, changed, strict=True)])
            score, surprise = scorer(broken)
            for row, rank in zip(ranked, (surprise, np.abs(score)), strict=True):
                row[fault] = roc_area(rank, faulty)
        rows += ranked
    return pd.DataFrame(rows)


def _scores(model: RiskDiffusion, items: Sequence[Series]) -> Floats:
    return np.asarray(model.anomaly(items, folds=FOLDS, block=BLOCK)[["score", "surprise"]].to_numpy().T)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write it to a file."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000, help="of training (default: 2000)")
    parser.add_argument("--windows", type=int, default=1600, help="to learn from (default: 1600)")
    parser.add_argument("--out", type=Path, help=".csv to write")
    options = parser.parse_args(arguments)
    table = pd.concat([compare(seed, options.windows, options.steps) for seed in options.seeds], ignore_index=True)
    print(text_table(table, digits=3))
    if options.out is not None:
        table.to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
