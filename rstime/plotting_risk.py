"""A picture of whether claimed risk is what it says: coverage by bins, and the probability integral transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError
from rstime.plotting import CYCLE, FAINT, tidy
from rstime.risk.coverage import coverage, pit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Claim: TypeAlias = tuple[ArrayLike, ArrayLike]
"""Residuals (reading minus reference) and their claimed sd, each (n,)."""

CELLS = 20


def plot_risk(
    panels: Mapping[str, Mapping[str, Claim]],
    level: float = 0.9,
    bins: int = 5,
    *,
    by: Mapping[str, ArrayLike] | None = None,
    label: str = "claimed sd",
    title: str = "",
) -> Figure:
    """Draw, for each panel, the coverage of central intervals by bins and the histogram of the PIT.

    Parameters
    ----------
    panels
        One row of the figure a key; in it one line a claim, by its name.
    level
        Nominal coverage of the intervals.
    bins
        Bins of equal count.
    by
        For each panel (n,) numbers to bin by, those of all its claims; the claimed sd by default.
    label
        What is binned by, with its unit.
    title
        Heading.

    Returns
    -------
    Figure
        To the left, coverage with its 95 % interval for independent pairs: on the dashed line if calibrated, below it
        if the claims are too small. To the right, the PIT: flat if calibrated, high in the middle if the claims are too
        large, at the ends if they are too small, sloped if the readings are biased.

    Raises
    ------
    ConfigError
        If there is nothing to draw.
    DataError
        As `rstime.risk.coverage.coverage`.
    """
    from matplotlib.figure import Figure

    if not panels or not all(panels.values()):
        raise ConfigError("panels", "nothing to draw", "Give at least one panel with one claim.")
    figure = Figure(figsize=(8.5, 1.0 + 2.3 * len(panels)), layout="constrained")
    rows = figure.subplots(len(panels), 2, squeeze=False, width_ratios=(1.5, 1))
    names = list(dict.fromkeys(name for claims in panels.values() for name in claims))
    for (left, right), (heading, claims) in zip(rows, panels.items(), strict=True):
        for name, claim in claims.items():
            colour = CYCLE[names.index(name) % len(CYCLE)]
            _draw_coverage(left, claim, level, bins, None if by is None else by[heading], colour, name)
            density = np.histogram(pit(*claim), bins=CELLS, range=(0, 1), density=True)[0]
            right.stairs(density, np.linspace(0, 1, CELLS + 1), color=colour, linewidth=1.4)
        left.axhline(level, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
        right.axhline(1, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
        tidy(left, f"{heading}: share inside {100 * level:g} % intervals")
        tidy(right, "PIT of the reference")
        left.set(ylim=(min(left.get_ylim()[0], 0.7), 1.02))
        right.set(xlim=(0, 1), ylim=(0, None))
    rows[-1][0].set_xlabel(label, fontsize=8)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    handles, labels = rows[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _draw_coverage(
    axes: Axes, claim: Claim, level: float, bins: int, by: ArrayLike | None, colour: str, name: str
) -> None:
    table = coverage(*claim, level=level, bins=bins, by=by)
    middle = (table.low + table.high) / 2
    bars = np.stack([table.coverage - table.lower, table.upper - table.coverage])
    axes.errorbar(
        middle, table.coverage, yerr=bars, color=colour, marker="o", markersize=3.4, linewidth=1.4, label=name
    )
