"""The paper's toy figures: marginals of the risk-sensitive SDE and of the plain one, for noisy samples.

    python -m rstime.evaluation.paper_toy [--out docs]

Clean samples come from two modes, noisy ones have Gaussian or Cauchy noise of known size. At each level tau = v / u the
density of the noisy samples is compared with that of the clean ones by total variation and Kolmogorov-Smirnov distance,
which do not depend on the scale u: they are the same for VP and VE at the times at which these reach the level. Nothing
is simulated: densities are inverted from characteristic functions.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from rstime.diffusion.sde import SDE, VE, VP
from rstime.plotting import CYCLE, FAINT, tidy
from rstime.report import text_table
from rstime.risk.families import FAMILIES, Family
from rstime.risk.matching import coefficient
from rstime.types import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODE, SPREAD = 1.0, 0.3
"""Clean samples: two equal Gaussians at -MODE and MODE, of standard deviation SPREAD."""

POWER = MODE**2 + SPREAD**2
RISKS: Mapping[str, float] = {"gaussian": 0.6, "cauchy": 0.3}
"""Standard deviation of the Gaussian noise; half width at half height of the Cauchy noise."""

LEVELS = (0.4, 0.8, 1.5, 3.0)
SDES: Mapping[str, SDE] = {"VP": VP(), "VE": VE()}
HALF_WIDTH, POINTS = 40.0, 2001
FREQUENCIES = np.linspace(0, 40, 1601)


@dataclass(frozen=True, eq=False)
class Marginal:
    """Densities of x(t) / u at one level.

    Attributes
    ----------
    family, level
        Noise, and v / u.
    x
        (n,) grid.
    clean, plain, sensitive
        (n,) densities: of clean samples; of noisy ones in the plain, and in the risk-sensitive SDE.
    """

    family: str
    level: float
    x: Floats
    clean: Floats
    plain: Floats
    sensitive: Floats


def density(x: Floats, added: float, noise: Family | None, risk: float) -> Floats:
    """Return the density of x0 + r e + added n at each x, by the inverse cosine transform of its even chi.

    Parameters
    ----------
    added
        Standard deviation of the Gaussian part n.
    noise, risk
        Law of e, None for clean samples, and r.
    """
    w = FREQUENCIES
    log_chi = -0.5 * w**2 * (SPREAD**2 + added**2)
    if noise is not None:
        log_chi = log_chi + noise.log_chi(risk * w)
    chi = np.cos(MODE * w) * np.exp(log_chi)
    chi[0] /= 2
    return np.asarray(np.cos(np.outer(x, w)) @ chi * (w[1] - w[0]) / np.pi)


def taken_off(family: Family, risk: float, level: float) -> float:
    """Return v(r, t) / u = sqrt(max(tau^2 - c r^2, 0)), with c of the family (theory 5); c = 1 for Gaussian noise."""
    c = coefficient(family, risk / math.sqrt(POWER + level**2))
    return math.sqrt(max(level**2 - c * risk**2, 0.0))


def marginal(name: str, level: float) -> Marginal:
    """Return the densities of one family of noise at one level."""
    family, risk = FAMILIES[name], RISKS[name]
    x = np.linspace(-HALF_WIDTH, HALF_WIDTH, POINTS)
    clean, plain = density(x, level, None, 0.0), density(x, level, family, risk)
    return Marginal(name, level, x, clean, plain, density(x, taken_off(family, risk, level), family, risk))


def distances(one: Floats, two: Floats, x: Floats) -> tuple[float, float]:
    """Return total variation and Kolmogorov-Smirnov distance of two densities on a grid."""
    gap = (one - two) * (x[1] - x[0])
    return float(np.abs(gap).sum() / 2), float(np.abs(np.cumsum(gap)).max())


def table(found: Sequence[Marginal]) -> str:
    """Return one line a family and level: distances to the clean marginal, and when the SDEs are there."""
    lines = []
    for one in found:
        line: dict[str, str | float] = {"noise": one.family, "level": f"{one.level:g}"}
        for name, sde in SDES.items():
            line[f"t {name}"] = sde.time(torch.tensor(one.level)).item()
        for name in ("plain", "sensitive"):
            line[f"TV {name}"], line[f"KS {name}"] = distances(getattr(one, name), one.clean, one.x)
        lines.append(line)
    return text_table(pd.DataFrame(lines), digits=4, group=("noise",))


def picture(found: Sequence[Marginal]) -> Figure:
    """Draw a row a family, a column a level: clean marginal shaded, noisy samples in both SDEs."""
    from matplotlib.figure import Figure

    rows = list(dict.fromkeys(one.family for one in found))
    figure = Figure(figsize=(10, 2.4 * len(rows) + 0.5), layout="constrained")
    panels = figure.subplots(len(rows), len(LEVELS), squeeze=False)
    for one in found:
        axes = panels[rows.index(one.family), LEVELS.index(one.level)]
        axes.fill_between(one.x, one.clean, color=FAINT, alpha=0.5, linewidth=0, label="clean samples")
        axes.plot(one.x, one.plain, color=CYCLE[1], linewidth=1.2, linestyle=(0, (4, 2)), label="noisy, plain SDE")
        axes.plot(one.x, one.sensitive, color=CYCLE[0], linewidth=1.4, label="noisy, risk-sensitive SDE")
        reach = 3.5 * math.hypot(1, one.level)
        axes.set(xlim=(-reach, reach), ylim=(0, None), yticks=[])
        shown = [distances(getattr(one, name), one.clean, one.x)[0] for name in ("plain", "sensitive")]
        tidy(axes, f"{one.family}, level {one.level:g}\nTV {shown[0]:.3f} plain, {shown[1]:.3f} sensitive")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how far noisy samples are from clean ones in the plain and in the risk-sensitive SDE, and draw it."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.paper_toy", description=main.__doc__)
    parser.add_argument("--out", type=Path, help="folder for paper-toy.png")
    options = parser.parse_args(arguments)
    found = [marginal(name, level) for name in RISKS for level in LEVELS]
    print(table(found))
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        picture(found).savefig(options.out / "paper-toy.png", dpi=110)


if __name__ == "__main__":
    main()
