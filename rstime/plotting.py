"""Pictures of posteriors: bands, readings with their error bars, truth; and of calibration.

Every function returns a matplotlib Figure without touching pyplot, so that it works without a display and leaves no
global state behind: `plot_posterior(answer).savefig("answer.png", dpi=150)`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError
from rstime.types import Floats, Posterior, Series

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND90, BAND50, MEDIAN, READING, TRUTH, FAINT = "#d3e3f3", "#93bfe2", "#1f5fa8", "#d9641e", "#26262a", "#77777d"
CYCLE = ("#1f5fa8", "#d9641e", "#3f8f5f", "#8a5aa8", "#a08020")


def plot_posterior(
    posterior: Posterior,
    truth: ArrayLike | None = None,
    *,
    variables: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw the posterior of one item: median, 50 and 90 % bands, readings with bars of one standard deviation.

    Parameters
    ----------
    posterior
        The answer for one item.
    truth
        (T, C) clean values where they are known, in the units of the variables; NaN elsewhere.
    variables
        The variables to draw, one panel each; all that were asked or read by default, twelve at most.
    units
        Unit of each variable, written beside its name.
    title
        Heading; the item's name by default.

    Returns
    -------
    Figure
        One panel a variable, on a common time axis.

    Raises
    ------
    ConfigError
        If a variable is not in the posterior or the truth has another shape.
    """
    series = posterior.series
    names = _chosen(variables, series, np.isfinite(posterior.samples[0]) | series.observed)
    clean = _aligned(truth, series)
    figure, panels = _panels(series, names, units or {}, title)
    for axes, column in panels:
        _draw_bands(axes, posterior, column)
        _draw_readings(axes, series, column)
        _draw_truth(axes, series, clean, column)
    return _legend(figure, panels)


def plot_forecast(
    history: Series,
    forecast: Posterior,
    truth: ArrayLike | None = None,
    *,
    past_truth: ArrayLike | None = None,
    variables: Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    title: str | None = None,
) -> Figure:
    """Draw what was measured, and the bands of the future after it.

    Parameters
    ----------
    history
        What the forecast was made from; its variables are those of the forecast.
    forecast
        Posterior at the future stamps.
    truth, past_truth
        (T, C) clean values at the future stamps and at those of the history, where they are known.
    variables, units, title
        As in `plot_posterior`.

    Returns
    -------
    Figure
        One panel a variable; a line marks where the future begins.

    Raises
    ------
    ConfigError
        If a variable is not in the forecast or a truth has another shape.
    """
    names = _chosen(variables, forecast.series, np.isfinite(forecast.samples[0]))
    pieces = ((history, _aligned(past_truth, history)), (forecast.series, _aligned(truth, forecast.series)))
    figure, panels = _panels(forecast.series, names, units or {}, title)
    for axes, column in panels:
        _draw_bands(axes, forecast, column)
        _draw_readings(axes, history, history.variables.index(forecast.series.variables[column]))
        for series, clean in pieces:
            _draw_truth(axes, series, clean, series.variables.index(forecast.series.variables[column]))
        axes.axvline(forecast.series.time[0], color=FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
    return _legend(figure, panels)


def plot_coverage(curves: Mapping[str, Mapping[str, ArrayLike]], levels: ArrayLike, *, title: str = "") -> Figure:
    """Draw the share of truth inside the central band against the band's nominal coverage.

    Parameters
    ----------
    curves
        One panel a key ("missing", "noisy", ...); in it one line a method: (L,) shares in [0, 1].
    levels
        (L,) nominal coverages in (0, 1).
    title
        Heading.

    Returns
    -------
    Figure
        Lines below the diagonal are overconfident, lines above it too careful.

    Raises
    ------
    ConfigError
        If there is nothing to draw or a line has another length than `levels`.
    """
    from matplotlib.figure import Figure

    if not curves:
        raise ConfigError("curves", "nothing to draw", "Give at least one panel.")
    nominal = np.asarray(levels, dtype=np.float64)
    figure = Figure(figsize=(0.8 + 3.1 * len(curves), 4.1), layout="constrained")
    methods = list(dict.fromkeys(name for panel in curves.values() for name in panel))
    for axes, (heading, panel) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.9, linestyle=(0, (4, 3)), label="exact")
        for name, shares in panel.items():
            if np.shape(shares) != nominal.shape:
                raise ConfigError("curves", f"{name!r} has shape {np.shape(shares)}, levels {nominal.shape}")
            colour = CYCLE[methods.index(name) % len(CYCLE)]
            axes.plot(nominal, np.asarray(shares), color=colour, linewidth=1.6, marker="o", markersize=3.2, label=name)
        tidy(axes, heading)
        axes.set(xlim=(0, 1), ylim=(0, 1), box_aspect=1, xlabel="nominal coverage")
        axes.set(xticks=np.linspace(0, 1, 6), yticks=np.linspace(0, 1, 6))
    figure.axes[0].set_ylabel("share of truth inside")
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.legend(*_labels(figure.axes), loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return figure


def _chosen(variables: Sequence[str] | None, series: Series, shown: Any, most: int = 12) -> list[str]:
    """Return the names to draw: those asked for, else those with anything to show."""
    if variables is None:
        names = [name for name, any_shown in zip(series.variables, shown.any(0), strict=True) if any_shown][:most]
        variables = names or list(series.variables[:most])
    for name in variables:
        if name not in series.variables:
            raise ConfigError("variables", f"no variable {name!r}", f"Known: {', '.join(series.variables)}.")
    return list(variables)


def _aligned(truth: ArrayLike | None, series: Series) -> Floats | None:
    if truth is None:
        return None
    clean = np.asarray(truth, dtype=np.float64)
    if clean.shape != series.value.shape:
        raise ConfigError("truth", f"shape {clean.shape} where {series.value.shape} was expected")
    return clean


def _panels(
    series: Series, names: Sequence[str], units: Mapping[str, str], title: str | None
) -> tuple[Figure, list[tuple[Axes, int]]]:
    """Return a figure with one tidy panel a variable, each with the column it shows."""
    from matplotlib.figure import Figure

    columns = 1 if len(names) < 4 else 2
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(5.6 * columns if columns > 1 else 8.5, 1.1 + 1.75 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False)
    for axes in grid.flat[len(names) :]:
        axes.remove()
    panels = [(axes, series.variables.index(name)) for axes, name in zip(grid.flat, names, strict=False)]
    for (axes, _), name in zip(panels, names, strict=True):
        tidy(axes, name.replace("_", " "), units.get(name, ""))
    _time_axis([axes for axes, _ in panels], series, columns)
    figure.suptitle(series.item_id if title is None else title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    return figure, panels


def tidy(axes: Axes, heading: str, unit: str = "") -> None:
    """Give a panel its heading and the plain look that all pictures share."""
    axes.set_title(f"{heading} [{unit}]" if unit else heading, loc="left", fontsize=9.5, color=TRUTH, pad=4)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=8, color=FAINT, labelcolor=TRUTH)
    axes.grid(axis="y", color="#ececef", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.margins(x=0.015)


def _time_axis(panels: Sequence[Axes], series: Series, columns: int) -> None:
    """Write calendar stamps in the series' own time zone, and ticks under the lowest panel of each column."""
    calendar = np.issubdtype(series.time.dtype, np.datetime64)
    for index, axes in enumerate(panels):
        if calendar:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            locator = AutoDateLocator(tz=series.timezone, minticks=3, maxticks=7)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            formatter = ConciseDateFormatter(locator, tz=series.timezone)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_formatter(formatter)
            axes.xaxis.get_offset_text().set_fontsize(8)
        lowest = index + columns >= len(panels)
        axes.tick_params(labelbottom=lowest)
        axes.xaxis.get_offset_text().set_visible(lowest)
        if lowest and not calendar:
            axes.set_xlabel("time", fontsize=8)


def _draw_bands(axes: Axes, posterior: Posterior, column: int) -> None:
    time = posterior.series.time
    samples = posterior.samples[:, :, column]
    q05, q25, q50, q75, q95 = np.quantile(samples, (0.05, 0.25, 0.5, 0.75, 0.95), axis=0, method="weibull")
    axes.fill_between(time, q05, q95, color=BAND90, linewidth=0, label="90 % band")
    axes.fill_between(time, q25, q75, color=BAND50, linewidth=0, label="50 % band")
    axes.plot(time, q50, color=MEDIAN, linewidth=1.4, label="median")


def _draw_readings(axes: Axes, series: Series, column: int) -> None:
    seen = series.observed[:, column]
    style: dict[str, Any] = {"fmt": "o", "color": READING, "markersize": 2.6, "elinewidth": 0.8}
    spread = series.risk[seen, column]
    axes.errorbar(series.time[seen], series.value[seen, column], yerr=spread, alpha=0.75, label="reading ± sd", **style)


def _draw_truth(axes: Axes, series: Series, truth: Floats | None, column: int) -> None:
    """Draw a line where the truth is known throughout, else a cross at each known value."""
    if truth is None:
        return
    style: dict[str, Any] = {"linewidth": 1.0}
    if np.isnan(truth[:, column]).any():
        style = {"linewidth": 0, "marker": "x", "markersize": 3.2, "markeredgewidth": 0.9}
    axes.plot(series.time, truth[:, column], color=TRUTH, label="truth", **style)


def _labels(panels: Sequence[Axes]) -> tuple[list[Any], list[str]]:
    """Return each thing drawn in any panel once."""
    pairs = [pair for axes in panels for pair in zip(*axes.get_legend_handles_labels(), strict=True)]
    once = {label: handle for handle, label in reversed(pairs)}
    names = list(dict.fromkeys(label for _, label in pairs))
    return [once[name] for name in names], names


def _legend(figure: Figure, panels: Sequence[tuple[Axes, int]]) -> Figure:
    handles, names = _labels([axes for axes, _ in panels])
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9)
    return figure
