"""A picture of an audit: where each score lies between its references, and the groups with the trust index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from rstime.audit.report import REAL, Audit
from rstime.audit.trust import GROUPS
from rstime.plotting import CYCLE, FAINT, TRUTH, tidy
from rstime.types import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_audit(audit: Audit, weights: Mapping[str, float] | None = None, *, title: str = "") -> Figure:
    """Draw the level of each score and of each group, of all candidates and of the real windows.

    Parameters
    ----------
    audit
        What `rstime.audit.run.audit` found.
    weights
        Of the groups in the trust index, written beside each set's name; equal by default.
    title
        Heading.

    Returns
    -------
    Figure
        To the left the scores without added noise, with bars of one standard error; 1 is as good as real windows, 0 as
        bad as white noise or a constant. To the right the groups.
    """
    from matplotlib.figure import Figure

    shown = [k for k, score in enumerate(audit.scores) if score.noise == 0]
    sets = (REAL, *audit.candidates)
    figure = Figure(figsize=(9, 1.4 + 0.3 * len(shown)), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    for place, name in enumerate(sets):
        colour = TRUTH if name == REAL else CYCLE[(place - 1) % len(CYCLE)]
        value, spread = audit.index(name, weights)
        shift = 0.6 * ((place + 0.5) / len(sets) - 0.5)
        error = {"fmt": "o", "markersize": 4, "elinewidth": 1, "color": colour}
        label = f"{name}: trust index {value:.2f} ± {spread:.2f}"
        rows = np.arange(len(shown)) + shift
        left.errorbar(audit.levels(name)[shown], rows, xerr=_bars(audit, name)[shown], label=label, **error)
        groups = audit.groups(name)
        right.plot([groups[group] for group in GROUPS], np.arange(len(GROUPS)) + shift, "o", color=colour, markersize=6)
    _rows(left, [audit.scores[k].name for k in shown], "scores: 0 as the worst reference, 1 as real windows")
    _rows(right, list(GROUPS), "groups")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    return figure


def _bars(audit: Audit, name: str) -> Floats:
    """(K,) standard errors in levels."""
    best, worst = audit.references
    return np.asarray(audit.spread(name) / np.where(best == worst, np.nan, np.abs(best - worst)))


def _rows(axes: Axes, names: list[str], heading: str) -> None:
    tidy(axes, heading)
    for level in (0, 1):
        axes.axvline(level, color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)))
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(-0.08, 1.08), ylim=(len(names) - 0.5, -0.5))
