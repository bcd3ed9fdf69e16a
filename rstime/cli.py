"""Command line: one function a command; heavy imports inside functions."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from rstime.cli_answers import anomalies, forecast, impute
from rstime.cli_input import columns_of, load, naming, read_series, read_table, say, say_support
from rstime.errors import ConfigError, RstimeError, RstimeWarning
from rstime.options import parser

if TYPE_CHECKING:
    from rstime.types import Series


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0: it worked, 2: bad input or settings, 130: interrupted, 141: nobody reads its output."""
    all_of_them = (demo, data, fit, impute, forecast, anomalies, audit, backtest, evaluate, leaderboard)
    commands = {command.__name__: command for command in all_of_them}
    options = parser(commands).parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", RstimeWarning)
        warnings.showwarning = _show_warning
        try:
            commands[options.command](options)
            sys.stdout.flush()
        except BrokenPipeError:  # who reads the output has left, as in `rstime data list | head -1`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except (RstimeError, OSError) as error:
            print(f"rstime {options.command}: error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            kept = "runs that ended are kept" if options.command == "evaluate" else "nothing written"
            print(f"rstime {options.command}: interrupted, {kept}", file=sys.stderr)
            return 130
    return 0


def fit(options: argparse.Namespace) -> None:
    """Fit a model to a table and save it in a folder."""
    from rstime.risk_rule import RiskRule
    from rstime.storage import check_place
    from rstime.tables import check_folders

    target: Path = options.out.expanduser()
    check_folders(target)
    check_place(target, "--out")
    unfinished = None if options.model == "gaussian" else target.with_name(f"{target.name}.unfinished")
    if unfinished is not None:
        check_place(unfinished, "--out")
    with naming("--grid", options.grid):
        _, series = read_series(options, options.grid, RiskRule(options.risk), fitting=True)
    with naming("--window", options.window):
        window = _window(options.window, series, options.grid)
    if unfinished is not None and unfinished.exists():
        say(options, f"going on from {unfinished}")

    from rstime.model import RiskDiffusion
    from rstime.report import text_table

    model = RiskDiffusion(
        options.model,
        size=options.size,
        window=window,
        grid=options.grid,
        transforms=_transforms(options.transform),
    )
    model.fit(
        series,
        risk=options.risk,
        noise=dict(options.noise),
        steps=options.steps,
        max_minutes=options.max_minutes if options.steps is None else float("inf"),
        device=options.device,
        seed=options.seed,
        progress=not options.quiet,
        checkpoint=unfinished,
    )
    if len(model.risk_table):
        say(options, f"size of the noise, by variable:\n{text_table(model.risk_table)}")
    say_support(options, model)
    model.save(target)
    if model.run.interrupted:
        say(options, f"interrupted: the same command goes on from {unfinished}")
    elif unfinished is not None:
        shutil.rmtree(unfinished, ignore_errors=True)
    steps = f" after {model.run.steps} steps of training" if model.run.steps else ""
    say(options, f"{target}: model saved{steps}")


def _transforms(given: Sequence[tuple[str, str]]) -> Mapping[str, str] | Literal["auto"]:
    if ("", "auto") not in given:
        return dict(given)
    if len(given) > 1:
        raise ConfigError("--transform", "auto beside others", "Give auto alone, or name each variable.")
    return "auto"


def audit(options: argparse.Namespace) -> None:
    """Compare windows that a model generates with those of TABLE, which it learned from, and of held-out items."""
    from rstime import cli_audit

    cli_audit.check(options)
    model = load(options)
    train = read_series(options, model.grid, model.risk)[1]
    options.table = options.holdout
    holdout = read_series(options, model.grid, model.risk)[1]
    print(cli_audit.run(options, model, train, holdout), end="")


def demo(options: argparse.Namespace) -> None:
    """Fit, impute, denoise and forecast on simulated or public data, with a table and pictures."""
    from rstime.demo import run

    run(options.data, options.root, options.out, options.seed, options.max_minutes)


def data(options: argparse.Namespace) -> None:
    """List, fetch and describe public data sets; convert clinical sources to tables."""
    from rstime.cli_data import run

    run(options)


def backtest(options: argparse.Namespace) -> None:
    """Score forecasts on the past of the table itself, beside a seasonal naive forecast and the Gaussian model."""
    from rstime.cli_evaluate import backtest as run
    from rstime.report import text_table
    from rstime.risk_rule import RiskRule
    from rstime.tables import check_target, replacing, write

    if options.out is not None:
        check_target("--out", options.out, options.table, options.static, options.known)
    columns = columns_of(options)
    with naming("--horizon", options.horizon):
        result = run(options, read_table(options, columns, RiskRule())[0], columns)
    print(text_table(result, digits=4))
    if options.out is not None:
        with replacing(options.out) as (draft,):
            write(result, draft)


def evaluate(options: argparse.Namespace) -> None:
    """Run a frozen protocol with our model and baselines; results go into a folder, and a run that stopped goes on."""
    from rstime.cli_evaluate import evaluate as run

    print(run(options), end="")


def leaderboard(options: argparse.Namespace) -> None:
    """Rank all methods of a folder of results, with paired intervals of the differences to the best."""
    from rstime.cli_evaluate import leaderboard as run

    print(run(options), end="")


def _window(extent: int | str, series: Sequence[Series], grid: str | None) -> float:
    """Length of a window in steps of the model."""
    from rstime.axis import Axis, duration

    if isinstance(extent, str):
        axis = Axis.fit(series, grid)
        if not axis.calendar:
            raise ConfigError("--window", f"{extent!r} beside stamps that are numbers", "Give a count of stamps.")
        return duration(extent) / axis.step
    return extent


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print warnings meant for the user as one line, others with their place."""
    place = "" if issubclass(category, RstimeWarning) else f" ({filename}:{lineno})"
    print(f"warning: {message}{place}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
