"""Commands that ask a saved model about a table: impute, forecast, anomalies."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rstime.cli_input import columns_of, load, naming, read_series, read_table, say
from rstime.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

    from rstime.frame import Columns
    from rstime.types import Posterior, Series


def impute(options: argparse.Namespace) -> None:
    """Write the table's rows with the posterior of each one's clean value."""
    from rstime.answers import answer, level_names
    from rstime.tables import read_verbatim

    _check_outputs(options)
    model = load(options)
    columns, series = read_series(options, model.grid, model.risk)
    result = read_verbatim(options.table)
    names = level_names(options.quantiles)
    for name in names:
        if name in result.columns:
            raise DataError(name, "the table already has a column of this name", "Rename or drop it.")
    posteriors = model.impute(series, entries=options.entries, **_sampling(options))
    settings = {"quantiles": options.quantiles, "entries": options.entries, "grid": model.grid}
    answered = answer(read_table(options, columns, model.risk)[0], posteriors, columns, **settings)
    result[names] = answered[names].to_numpy()
    _write(options, result, posteriors, columns)
    _draw(options, posteriors)


def forecast(options: argparse.Namespace) -> None:
    """Write rows for the stamps after each item's last one."""
    _check_outputs(options)
    model = load(options)
    columns, series = read_series(options, model.grid, model.risk)
    with naming("--horizon", options.horizon):
        posteriors = model.forecast(series, options.horizon, **_sampling(options))

    from rstime.answers import future_rows

    _write(options, future_rows(posteriors, columns, options.quantiles), posteriors, columns)
    _draw(options, posteriors, series)


def anomalies(options: argparse.Namespace) -> None:
    """Write each measurement with the chance of one as far out, given the others of its window."""
    from rstime.tables import replacing, write

    _check_outputs(options)
    model = load(options)
    _, series = read_series(options, model.grid, model.risk)
    model.columns = columns_of(options)
    result = model.anomaly(series, folds=options.folds, block=options.block)
    with replacing(options.out) as (draft,):
        write(result, draft)
    say(options, f"{options.out}: {len(result)} rows, {(result['p'] < 0.001).sum()} of them with p below .001")


def _sampling(options: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(options, name) for name in ("samples", "seed", "sampler", "evaluations", "covariance")}


def _check_outputs(options: argparse.Namespace) -> None:
    """Find out before the long work whether the results can be written, and whether counts make sense."""
    from rstime.tables import check_folders, check_target

    taken = options.table, options.static, options.known
    check_target("--out", options.out, *taken)
    if options.joint_samples is not None:
        check_target("--joint-samples", options.joint_samples, *taken, options.out)
    if options.pictures is not None:
        check_folders(options.pictures)
        if options.pictures.exists() and not options.pictures.is_dir():
            raise ConfigError("--pictures", f"{options.pictures} is a file", "Name a folder.")
    if options.samples < 1:
        raise ConfigError("--samples", f"{options.samples}", "Give a positive count.")
    if options.command == "forecast" and isinstance(options.horizon, int) and options.horizon < 1:
        raise ConfigError("--horizon", f"{options.horizon}", "Give a positive count, or a duration such as 24h.")


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
        say(options, f"{path}: {len(table)} rows")


def _draw(
    options: argparse.Namespace, posteriors: Sequence[Posterior], histories: Sequence[Series] | None = None
) -> None:
    if options.pictures is not None:
        from rstime.pictures import draw

        paths = draw(options.pictures, posteriors, histories)
        rest = f", of the first {len(paths)} of {len(posteriors)} items" if len(paths) < len(posteriors) else ""
        say(options, f"{options.pictures}: {len(paths)} pictures{rest}")
