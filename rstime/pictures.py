"""Pictures of answers as files, one an item."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rstime.plotting import plot_forecast, plot_posterior
from rstime.types import Posterior, Series

MOST = 12
"""Items that are drawn; who wants others asks for them alone."""

PAST = 4
"""Horizons of readings that are drawn before a forecast."""


def draw(folder: Path, posteriors: Sequence[Posterior], histories: Sequence[Series] | None = None) -> list[Path]:
    """Draw the first items into PNG files of a folder, named by number and item; return their paths.

    Parameters
    ----------
    folder
        Made if it is not there.
    posteriors
        Answers at the stamps of the items; forecasts, where there are histories.
    histories
        What the forecasts were made from, in the same order.
    """
    folder.mkdir(exist_ok=True)
    paths = []
    for number, posterior in enumerate(posteriors[:MOST]):
        name = re.sub(r"[^\w.-]+", "_", posterior.series.item_id)[:60]
        paths.append(folder / f"{number + 1:02d}-{name}.png")
        if histories is None:
            figure = plot_posterior(posterior)
        else:
            history, time = histories[number], posterior.series.time
            first = time[0] - PAST * (time[-1] - time[0] + (time[0] - history.time[-1]))
            figure = plot_forecast(history.rows(slice(int((history.time < first).sum()), None)), posterior)
        figure.savefig(paths[-1], dpi=120)
    return paths
