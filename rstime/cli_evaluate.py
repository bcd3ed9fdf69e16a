"""What `rstime evaluate`, `leaderboard` and `backtest` do."""

from __future__ import annotations

import argparse
import shlex
import sys
from typing import TYPE_CHECKING

from rstime.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from rstime.frame import Columns


def evaluate(options: argparse.Namespace) -> str:
    """Run protocols with methods, or list what there is; return text to print."""
    from dataclasses import replace

    from rstime.evaluation.methods import METHODS
    from rstime.evaluation.run import evaluate as run
    from rstime.evaluation.spec import find_protocol

    if not options.protocols:
        return listing()
    if options.out is None:
        raise ConfigError("--out", "absent", "Name a folder for the results.")
    if options.samples is not None and options.samples < 2:
        raise ConfigError("--samples", f"{options.samples}", "Give at least 2.")
    for name in options.protocols:
        protocol = find_protocol(name)
        if options.samples is not None:
            protocol = replace(protocol, samples=options.samples)
        able = [method for method, made in METHODS.items() if protocol.task in made.tasks]
        run(
            protocol,
            options.methods or able,
            options.out,
            treatments=options.treatments,
            seeds=options.seeds,
            minutes=options.minutes,
            root=options.root,
            command=shlex.join(["rstime", *sys.argv[1:]]),
            quiet=options.quiet,
        )
    return leaderboard(options)


def leaderboard(options: argparse.Namespace) -> str:
    """Return the ranking of a folder of results as text."""
    from rstime.evaluation.leaderboard import leaderboard as rank

    return rank(options.out, options.metric)


def listing() -> str:
    """Return protocols and methods as text."""
    import pandas as pd

    from rstime.evaluation.methods import METHODS
    from rstime.evaluation.spec import NAMED
    from rstime.report import text_table

    protocols = pd.DataFrame(
        [
            {"protocol": name, "data": one.data, "task": one.task, "hidden": one.hidden, "noise": one.grade}
            for name, one in NAMED.items()
        ]
    )
    methods = pd.DataFrame(
        [
            {"method": name, "tasks": ", ".join(one.tasks), "treatments of noise": ", ".join(one.answers)}
            for name, one in METHODS.items()
        ]
    )
    return f"{text_table(protocols, digits=1)}\n\n{text_table(methods)}\n"


def backtest(options: argparse.Namespace, table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """Score forecasts of the model on the table's own past."""
    from rstime.evaluation.backtest import backtest as run
    from rstime.tables import read

    static, known = (path and read(path, text=(columns.item_id,)) for path in (options.static, options.known))

    return run(
        table,
        options.horizon,
        origins=options.origins,
        grid=options.grid,
        window=options.window,
        season=options.season,
        model=options.model,
        minutes=options.max_minutes,
        samples=options.samples,
        seed=options.seed,
        device=options.device,
        columns=columns,
        static=static,
        known=known,
        progress=not options.quiet,
    )
