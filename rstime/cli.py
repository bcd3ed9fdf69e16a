"""Command line: one function a command; heavy imports inside functions."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from rstime.errors import ConfigError, DataError, RstimeError, RstimeWarning
from rstime.options import parser

if TYPE_CHECKING:
    import pandas as pd

    from rstime.frame import Columns
    from rstime.model import RiskDiffusion
    from rstime.risk_rule import RiskRule
    from rstime.types import Posterior, Series


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
    from rstime.tables import check_folders

    target: Path = options.out
    check_folders(target)
    if target.exists() and not (target / "config.json").is_file():
        raise ConfigError("--out", f"{target} exists and is not a model", "Choose another name.")
    with _naming("--grid", options.grid):
        _, series = _series(options, options.grid, RiskRule(options.risk), fitting=True)
    with _naming("--window", options.window):
        window = _window(options.window, series, options.grid)
    unfinished = None if options.model == "gaussian" else target.with_name(f"{target.name}.unfinished")
    if unfinished is not None and unfinished.exists():
        _say(options, f"going on from {unfinished}")

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
        _say(options, f"size of the noise, by variable:\n{text_table(model.risk_table)}")
    _say_support(options, model)
    model.save(target)
    if model.run.interrupted:
        _say(options, f"interrupted: the same command goes on from {unfinished}")
    elif unfinished is not None:
        shutil.rmtree(unfinished, ignore_errors=True)
    steps = f" after {model.run.steps} steps of training" if model.run.steps else ""
    _say(options, f"{target}: model saved{steps}")


def _transforms(given: Sequence[tuple[str, str]]) -> Mapping[str, str] | Literal["auto"]:
    if ("", "auto") not in given:
        return dict(given)
    if len(given) > 1:
        raise ConfigError("--transform", "auto beside others", "Give auto alone, or name each variable.")
    return "auto"


def impute(options: argparse.Namespace) -> None:
    """Write the table's rows with the posterior of each one's clean value."""
    from rstime.answers import answer, level_names
    from rstime.tables import read_verbatim

    _check_outputs(options)
    model = _load(options)
    columns, series = _series(options, model.grid, model.risk)
    result = read_verbatim(options.table)
    names = level_names(options.quantiles)
    for name in names:
        if name in result.columns:
            raise DataError(name, "the table already has a column of this name", "Rename or drop it.")
    posteriors = model.impute(series, entries=options.entries, **_sampling(options))
    settings = {"quantiles": options.quantiles, "entries": options.entries, "grid": model.grid}
    answered = answer(_table(options, columns, model.risk)[0], posteriors, columns, **settings)
    result[names] = answered[names].to_numpy()
    _write(options, result, posteriors, columns)


def forecast(options: argparse.Namespace) -> None:
    """Write rows for the stamps after each item's last one."""
    _check_outputs(options)
    model = _load(options)
    columns, series = _series(options, model.grid, model.risk)
    with _naming("--horizon", options.horizon):
        posteriors = model.forecast(series, options.horizon, **_sampling(options))

    from rstime.answers import future_rows

    _write(options, future_rows(posteriors, columns, options.quantiles), posteriors, columns)


def anomalies(options: argparse.Namespace) -> None:
    """Write each measurement with the chance of one as far out, given the others of its window."""
    from rstime.tables import replacing, write

    _check_outputs(options)
    model = _load(options)
    _, series = _series(options, model.grid, model.risk)
    model.columns = _columns(options)
    result = model.anomaly(series, folds=options.folds, block=options.block)
    with replacing(options.out) as (draft,):
        write(result, draft)
    _say(options, f"{options.out}: {len(result)} rows, {(result['p'] < 0.001).sum()} of them with p below .001")


def audit(options: argparse.Namespace) -> None:
    """Compare windows that a model generates with those of TABLE, which it learned from, and of held-out items."""
    from rstime import cli_audit

    cli_audit.check(options)
    model = _load(options)
    train = _series(options, model.grid, model.risk)[1]
    options.table = options.holdout
    holdout = _series(options, model.grid, model.risk)[1]
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
    columns = _columns(options)
    with _naming("--horizon", options.horizon):
        result = run(options, _table(options, columns, RiskRule())[0], columns)
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


def _columns(options: argparse.Namespace) -> Columns:
    from rstime.frame import Columns

    return Columns(
        options.id_col, options.time_col, options.variable_col, options.value_col, options.sd_col, options.variance_col
    )


def _table(options: argparse.Namespace, columns: Columns, rule: RiskRule) -> tuple[pd.DataFrame, Columns]:
    """Read the columns of TABLE that mean something to the model."""
    from rstime.tables import read

    unused = "sd" if columns.variance else "variance"
    names = {name for role, name in vars(columns).items() if role != unused}
    return rule.table(read(options.table, text=(columns.item_id, columns.variable), columns=names), columns)


def _series(
    options: argparse.Namespace, grid: str | float | None, rule: RiskRule, fitting: bool = False
) -> tuple[Columns, list[Series]]:
    """Read TABLE and the covariates."""
    from rstime.frame import from_long
    from rstime.tables import read

    columns = _columns(options)
    static, known = (path and read(path, text=(columns.item_id,)) for path in (options.static, options.known))
    table, read_as = _table(options, columns, rule)
    series = from_long(table, read_as, static=static, known=known, grid=grid, fitting=fitting)
    entries, rows = sum(int(one.observed.sum()) for one in series), int(table[columns.value].notna().sum())
    names = sorted({name for one in series for name in one.variables})
    fused = f", fused from {rows} readings" if entries < rows else ""
    _say(options, f"{options.table}: {len(series)} items, {entries} measurements of {', '.join(names)}{fused}")
    return columns, series


def _sampling(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("samples", "seed", "sampler", "evaluations", "covariance")}


def _window(extent: int | str, series: Sequence[Series], grid: str | None) -> float:
    """Length of a window in steps of the model."""
    from rstime.axis import Axis, duration

    if isinstance(extent, str):
        axis = Axis.fit(series, grid)
        if not axis.calendar:
            raise ConfigError("--window", f"{extent!r} beside stamps that are numbers", "Give a count of stamps.")
        return duration(extent) / axis.step
    return extent


def _load(options: argparse.Namespace) -> RiskDiffusion:
    from rstime.model import RiskDiffusion

    model = RiskDiffusion.load(options.saved, device=options.device)
    _say_support(options, model)
    return model


def _check_outputs(options: argparse.Namespace) -> None:
    """Find out before the long work whether the results can be written, and whether counts make sense."""
    from rstime.tables import check_target

    taken = options.table, options.static, options.known
    check_target("--out", options.out, *taken)
    if options.joint_samples is not None:
        check_target("--joint-samples", options.joint_samples, *taken, options.out)
    if options.samples < 1:
        raise ConfigError("--samples", f"{options.samples}", "Give a positive count.")
    if options.command == "forecast" and isinstance(options.horizon, int) and options.horizon < 1:
        raise ConfigError("--horizon", f"{options.horizon}", "Give a positive count, or a duration such as 24h.")


@contextmanager
def _naming(option: str, extent: int | str | None) -> Iterator[None]:
    """Say which option a duration that cannot be read was given to."""
    try:
        yield
    except ConfigError as error:
        if error.field != "duration":
            raise
        remedy = "Give a positive count, or a duration of fixed length, such as 30min, 24h or 2D."
        raise ConfigError(option, f"{extent!r} is not a positive duration", remedy) from error


def _write(
    options: argparse.Namespace, result: pd.DataFrame, posteriors: Sequence[Posterior], columns: Columns
) -> None:
    from rstime.answers import joint_samples
    from rstime.tables import replacing, write

    tables = {options.out: result}
    if options.joint_samples is not None:
        tables[options.joint_samples] = joint_samples(posteriors, columns)
    with replacing(*tables) as drafts:
        for draft, table in zip(drafts, tables.values(), strict=True):
            write(table, draft)
    for path, table in tables.items():
        _say(options, f"{path}: {len(table)} rows")


def _say_support(options: argparse.Namespace, model: RiskDiffusion) -> None:
    from rstime.report import support_table

    _say(options, f"smallest risk that the training data teach, by variable:\n{support_table(model.support)}")


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.quiet:
        print(text, file=sys.stderr)


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
