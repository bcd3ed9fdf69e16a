"""Benchmarks on simulated windows, where the exact posterior is known, the limit for every model."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from rstime.datasets.simulate import Simulated, gaussian_series, mixture_series, regime_series, shifted_series
from rstime.evaluation.protocol import Task

HORIZON = 12
"""Steps at the end of half of the scored windows that are forecast."""

SIMULATORS: Mapping[str, Callable[..., Simulated]] = {
    "gaussian": gaussian_series,
    "mixture": mixture_series,
    "covariate": shifted_series,
    "regimes": regime_series,
}


def simulated(
    name: str,
    seed: int = 2026,
    risk: tuple[float, float] = (0.1, 1.0),
    part: str = "test",
    train: int = 4000,
    scored: int = 200,
) -> Task:
    """Windows of 48 steps measured with noise everywhere: 30 % missing, and half of the scored ones end in a forecast.

    Parameters
    ----------
    name
        A name of SIMULATORS.
    seed
        Seed of the data; training, validation and test windows are drawn from streams of their own.
    risk
        Smallest and largest standard deviation of the noise, in units of the clean signal's.
    part
        "test", or "validation" for making choices: then the scored windows are others.
    train, scored
        Numbers of windows to learn from and to score; a tenth of `train` again is for validation.
    """
    simulate = SIMULATORS[name]
    streams = dict(zip(("train", "chosen", "validation", "test"), np.random.default_rng(seed).spawn(4), strict=True))
    learned = simulate(streams["train"], train, risk=risk, horizon=0)
    chosen = simulate(streams["chosen"], train // 10, risk=risk, horizon=0)
    rng = streams[part]
    whole = simulate(rng, scored // 2, risk=risk, horizon=0)
    ahead = simulate(rng, scored - scored // 2, risk=risk, horizon=HORIZON)
    test = whole.series + ahead.series
    late = [np.zeros_like(item.observed) for item in test]
    for mask in late[len(whole.series) :]:
        mask[-HORIZON:] = True
    return Task(
        name=name,
        train=learned.series,
        validation=chosen.series,
        test=test,
        truth=whole.truth + ahead.truth,
        hidden=[~item.observed & ~mask for item, mask in zip(test, late, strict=True)],
        noisy=[item.observed for item in test],
        window=test[0].value.shape[0],
        step=1.0,
        future=late,
        laws=whole.laws + ahead.laws,
    )
