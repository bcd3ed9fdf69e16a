"""Audits of models whose data are simulated or public, beside the law itself, copies, and noise ignored.

    python -m rstime.evaluation.audited [--data gp|mixture|ward|etth1] [--minutes M] [--items N] [--out DIR]

`rstime.audit` scores what the Gaussian model and the network generate. Windows drawn from the law, where it is known,
show what a right model reaches; the clean training windows given away, what privacy catches; a Gaussian model that
takes all readings as exact, what fidelity catches.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rstime.audit.report import Audit
from rstime.audit.run import audit
from rstime.audit.windows import Source, drawn_by
from rstime.datasets import etth, icu
from rstime.datasets.simulate import Simulated, gp_series, mixture_series
from rstime.errors import RstimeWarning
from rstime.frame import from_long
from rstime.model import RiskDiffusion
from rstime.plotting_audit import plot_audit
from rstime.types import Floats, Series

LENGTH = 48
HOURS, FORTNIGHT = 20 * 30 * 24, 14 * 24
SIMULATORS: Mapping[str, Callable[[np.random.Generator, int], Simulated]] = {
    "gp": lambda rng, items: gp_series(rng, items, LENGTH, channels=2),
    "mixture": lambda rng, items: mixture_series(rng, items, LENGTH),
}


@dataclass(frozen=True, eq=False)
class Case:
    """Data to audit models on.

    Attributes
    ----------
    train, holdout
        What models learn from, and what they do not see.
    sources
        Windows to compare with, other than those of models.
    grid
        Of the models.
    """

    train: list[Series]
    holdout: list[Series]
    sources: Mapping[str, Source]
    grid: str | None = None


def case(name: str, items: int, seed: int, root: Path | None = None) -> Case:
    """Return simulated windows, a simulated ward, or 20 months of ETTh1, every second fortnight held out."""
    if name == "etth1":
        whole = etth.load(root)
        parts = [_span(whole, start, start + FORTNIGHT) for start in range(0, HOURS - FORTNIGHT, FORTNIGHT)]
        return Case(parts[::2], parts[1::2], {}, "1h")
    if name == "ward":
        ward = icu.simulate(2 * items, hours=LENGTH, seed=seed)
        series = from_long(ward.table, grid="1h")
        return Case(series[:items], series[items:], {"copies": copies(list(ward.truth[:items]))}, "1h")
    one, other = (SIMULATORS[name](np.random.default_rng([seed, stream]), items) for stream in (0, 1))
    law = one.laws[0]

    def truth(pieces: Sequence[Series], at: int) -> list[Floats]:
        drawn = law.draw(np.random.default_rng([at, 2]), len(pieces))
        return list(drawn.reshape(len(pieces), LENGTH, -1))

    return Case(one.series, other.series, {"the law": truth, "copies": copies(one.truth)})


def copies(truth: Sequence[Floats]) -> Source:
    """Return what gives away the clean windows (T, C) that were learned from, again and again."""
    return lambda pieces, seed: [truth[place % len(truth)] for place in range(len(pieces))]


def _span(series: Series, start: int, stop: int) -> Series:
    fields = ("time", "value", "risk", "asked", "known")
    item = f"{series.item_id}-{start}"
    return replace(series, item_id=item, **{name: getattr(series, name)[start:stop] for name in fields})


def study(data: Case, minutes: float, seed: int, halves: int = 10) -> Audit:
    """Fit a network, the Gaussian model it starts from and one that ignores the noise, and audit what they generate."""
    noisy = any(np.any(one.risk[one.observed] > 0) for one in data.train)
    exact = [replace(one, risk=np.where(one.observed, 0.0, np.inf)) for one in data.train]
    sources = dict(data.sources)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        model = RiskDiffusion(window=LENGTH, grid=data.grid)
        model.fit(data.train, max_minutes=minutes, seed=seed, progress=False)
        sources |= {f"diffusion ({model.run.steps} steps)": drawn_by(model), "gaussian": drawn_by(model.baseline())}
        if noisy:
            plain = RiskDiffusion("gaussian", window=LENGTH, grid=data.grid).fit(exact, seed=seed, progress=False)
            sources["noise ignored"] = drawn_by(plain)
    return audit(data.train, data.holdout, sources, window=LENGTH, grid=data.grid, halves=halves, seed=seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Audit what models generate, beside the law itself, copies, and noise ignored."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.audited", description=main.__doc__)
    add = parser.add_argument
    add("--data", choices=(*SIMULATORS, "ward", "etth1"), default="gp")
    add("--root", type=Path, help="folder of the data sets (etth1)")
    add("--items", type=int, default=200, help="simulated items to learn from, and as many held out (default: 200)")
    add("--minutes", type=float, default=5.0, help="of training the network (default: 5)")
    add("--seed", type=int, default=0)
    add("--halves", type=int, default=10, help="on which all is scored (default: 10)")
    add("--out", type=Path, help="folder for the scores and the picture")
    options = parser.parse_args(arguments)
    found = study(
        case(options.data, options.items, options.seed, options.root), options.minutes, options.seed, options.halves
    )
    print(found.text(), flush=True)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        found.table().to_csv(options.out / f"{options.data}.csv", index=False)
        plot_audit(found, title=options.data).savefig(options.out / f"{options.data}.png", dpi=110)


if __name__ == "__main__":
    main()
