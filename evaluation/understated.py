"""What it is worth to let readings of understated risk teach at high levels only (`rstime.robust.hold_back`).

    python -m rstime.evaluation.understated [--seeds 0 1 ... 9] [--steps 1500]

The two-humped law of `family_study`, of sd .95, 1000 readings each in a window of its own, a share of them exact; the
others are said to have a risk, and have it, or twice as much. Wasserstein distance of generated to clean values, by k,
beside "drop", the exact readings alone. Where risks are right, k should cost nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from scipy.stats import wasserstein_distance

from rstime.evaluation.family_marginals import draw_clean
from rstime.evaluation.family_study import Size, as_data, generate, train
from rstime.report import text_table

KNOBS = (1.0, 1.5, 2.0, 3.0, 4.0)
CASES = {
    "twice the risk, 5 % exact": (0.3, 2.0, 0.05),
    "twice the risk, 20 % exact": (0.3, 2.0, 0.2),
    "risk right, 5 % exact": (0.6, 1.0, 0.05),
    "risk right, 20 % exact": (0.6, 1.0, 0.2),
}
"""Risk that is said, in units of the values, the factor of the true one, and the share of exact readings."""


def distances(case: str, seed: int, size: Size) -> dict[str, float]:
    """Return the distance for each k, and of the exact readings alone; one network each, trained side by side."""
    risk, factor, exact = CASES[case]
    rng = np.random.default_rng([seed, 0])
    x = draw_clean(rng, size.rows)
    told = np.where(rng.random(size.rows) < exact, 0.0, risk)
    y = x + factor * told * rng.standard_normal(x.shape)
    data = {f"k = {k:g}": as_data(y, told, teach_from=k) for k in KNOBS}
    data["drop"] = as_data(y[told == 0], told[told == 0])
    values = generate(train(list(data.values()), seed, size), list(data.values()), size.count)
    truth = draw_clean(np.random.default_rng(12345), 200_000)
    return {name: float(wasserstein_distance(one, truth)) for name, one in zip(data, values.T, strict=True)}


def table(case: str, found: Sequence[dict[str, float]]) -> pd.DataFrame:
    """Return a row for each k: mean, range, and what is gained against k = 1, seed by seed, with its standard error."""
    rows = []
    for name in found[0]:
        one, first = (np.array([each[key] for each in found]) for key in (name, "k = 1"))
        gain = first - one
        rows.append(
            {
                "case": case,
                "method": name,
                "mean": one.mean(),
                "least": one.min(),
                "most": one.max(),
                "gain": gain.mean(),
                "error": gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else np.nan,
            }
        )
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.understated", description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)))
    parser.add_argument("--steps", type=int, default=Size.steps)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    size = replace(Size(), steps=options.steps)
    parts = [table(case, [distances(case, seed, size) for seed in options.seeds]) for case in CASES]
    print(text_table(pd.concat(parts), digits=3, group=("case",)))


if __name__ == "__main__":
    main()
