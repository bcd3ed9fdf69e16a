"""The ranking of all runs in a folder, with paired intervals of the differences to the best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.errors import ConfigError
from rstime.evaluation.run import Result, read_runs
from rstime.evaluation.tally import difference
from rstime.report import text_table
from rstime.tables import replacing, write

SHOWN = (
    "mase",
    "mae",
    "coverage90",
    "width90",
    "wql_adjusted",
    "coverage90_adjusted",
    "width90_adjusted",
    "denoise_wql",
    "denoise_coverage90",
    "denoise_coverage90_adjusted",
)
"""Metrics beside the one that ranks, where a protocol has them."""

PLACES = {"sd": 5, "behind": 5, "low": 5, "high": 5, "minutes": 1, "seconds": 0, "wql_adjusted": 5, "denoise_wql": 5}
"""Digits after the point; others have 3."""


def ranking(runs: Sequence[Result], metric: str = "wql") -> pd.DataFrame:
    """Rank methods and treatments of each protocol by the mean of a metric over the seeds, best first.

    Parameters
    ----------
    runs
        As `rstime.evaluation.run.read_runs` returns them.
    metric
        What ranks, lower is better; "denoise_" + metric for protocols that have this alone.

    Returns
    -------
    Columns protocol, rank, method, treatment, seeds (how many), the metric and its sd over seeds, behind (difference to
    the best one), low and high (its paired 95 % interval, over the seeds that both have), minutes, seconds (mean), and
    further metrics.

    Raises
    ------
    ConfigError
        If no run has the metric.
    """
    parts = []
    for protocol in dict.fromkeys(run.facts["protocol"] for run in runs):
        own = [run for run in runs if run.facts["protocol"] == protocol]
        names = own[0].tally.metrics()
        chosen = metric if metric in names else f"denoise_{metric}"
        if chosen in names:
            parts.append(_ranked(own, chosen).rename(columns={chosen: metric}))
    if not parts:
        known = sorted({name for run in runs for name in run.tally.metrics()})
        raise ConfigError("metric", f"{metric!r} is unknown", f"Choose one of {', '.join(known)}.")
    return pd.concat(parts, ignore_index=True)


def _ranked(runs: Sequence[Result], metric: str) -> pd.DataFrame:
    groups: dict[tuple[str, str], dict[int, Result]] = {}
    for run in runs:
        groups.setdefault((run.facts["method"], run.facts["treatment"]), {})[run.facts["seed"]] = run
    means = {
        name: float(np.mean([run.tally.metrics()[metric] for run in part.values()])) for name, part in groups.items()
    }
    order = sorted(groups, key=lambda name: means[name])
    best = groups[order[0]]
    rows = []
    for rank, name in enumerate(order, 1):
        part = groups[name]
        values = [float(run.tally.metrics()[metric]) for run in part.values()]
        shared = sorted(part.keys() & best.keys())
        gap = (float("nan"),) * 3
        if rank > 1 and shared:
            gap = difference([part[seed].tally for seed in shared], [best[seed].tally for seed in shared])[metric]
        first = next(iter(part.values())).facts
        row = {"protocol": first["protocol"], "rank": rank, "method": name[0], "treatment": name[1], "seeds": len(part)}
        row |= {metric: means[name], "sd": float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")}
        row |= dict(zip(("behind", "low", "high"), gap, strict=True)) | {"minutes": first["minutes"]}
        row["seconds"] = float(np.mean([run.facts["seconds"] for run in part.values()]))
        for other in SHOWN:
            found = [run.tally.metrics()[other] for run in part.values() if other in run.tally.metrics()]
            if found and other != metric:
                row[other] = float(np.mean(found))
        rows.append(row)
    return pd.DataFrame.from_records(rows)


def leaderboard(out: Path, metric: str = "wql") -> str:
    """Write leaderboard.csv, .txt and .md of a folder's runs, and return the text.

    Raises
    ------
    DataError
        If there are no runs, or one is damaged.
    ConfigError
        If no run has the metric.
    """
    table = ranking(read_runs(out), metric)
    shares = tuple(name for name in table.columns if "coverage" in name)
    text = text_table(table, digits={metric: 5, **PLACES}, percent=shares, group=("protocol",)) + "\n"
    with replacing(*(out / f"leaderboard{suffix}" for suffix in (".csv", ".txt", ".md"))) as (csv, txt, page):
        write(table, csv)
        txt.write_text(text, encoding="utf-8")
        page.write_text(as_markdown(table, metric), encoding="utf-8")
    return text


def as_markdown(table: pd.DataFrame, metric: str = "wql") -> str:
    """Return a ranking as one Markdown table a protocol, without columns that are empty there."""
    parts = []
    for protocol, rows in table.groupby("protocol", sort=False):
        shown = rows.drop(columns="protocol").dropna(axis=1, how="all")
        lines = [list(shown.columns), ["---"] * len(shown.columns)]
        for _, row in shown.iterrows():
            lines.append([_cell(value, {metric: 5, **PLACES}.get(str(name), 3)) for name, value in row.items()])
        parts.append(f"### {protocol}\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def _cell(value: object, places: int) -> str:
    if value != value:  # NaN
        return ""
    return f"{value:.{places}f}" if isinstance(value, float) else str(value)
