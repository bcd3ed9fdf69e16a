"""What commands on a table share: reading it and the model, and saying what was read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rstime.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from rstime.frame import Columns
    from rstime.model import RiskDiffusion
    from rstime.risk_rule import RiskRule
    from rstime.types import Series


def columns_of(options: argparse.Namespace) -> Columns:
    """Return the names of the columns, as the options have them."""
    from rstime.frame import Columns

    return Columns(
        options.id_col, options.time_col, options.variable_col, options.value_col, options.sd_col, options.variance_col
    )


def read_table(options: argparse.Namespace, columns: Columns, rule: RiskRule) -> tuple[pd.DataFrame, Columns]:
    """Read the columns of TABLE that mean something to the model."""
    from rstime.tables import read

    unused = "sd" if columns.variance else "variance"
    names = {name for role, name in vars(columns).items() if role != unused}
    return rule.table(read(options.table, text=(columns.item_id, columns.variable), columns=names), columns)


def read_series(
    options: argparse.Namespace, grid: str | float | None, rule: RiskRule, fitting: bool = False
) -> tuple[Columns, list[Series]]:
    """Read TABLE and the covariates."""
    from rstime.frame import from_long
    from rstime.tables import read

    columns = columns_of(options)
    static, known = (path and read(path, text=(columns.item_id,)) for path in (options.static, options.known))
    table, read_as = read_table(options, columns, rule)
    series = from_long(table, read_as, static=static, known=known, grid=grid, fitting=fitting)
    entries, rows = sum(int(one.observed.sum()) for one in series), int(table[columns.value].notna().sum())
    names = sorted({name for one in series for name in one.variables})
    fused = f", fused from {rows} readings" if entries < rows else ""
    say(options, f"{options.table}: {len(series)} items, {entries} measurements of {', '.join(names)}{fused}")
    return columns, series


def load(options: argparse.Namespace) -> RiskDiffusion:
    """Read the saved model, and say what it can tell."""
    from rstime.model import RiskDiffusion

    model = RiskDiffusion.load(options.saved, device=options.device)
    say_support(options, model)
    return model


@contextmanager
def naming(option: str, extent: int | str | None) -> Iterator[None]:
    """Say which option a duration that cannot be read was given to."""
    try:
        yield
    except ConfigError as error:
        if error.field != "duration":
            raise
        remedy = "Give a positive count, or a duration of fixed length, such as 30min, 24h or 2D."
        raise ConfigError(option, f"{extent!r} is not a positive duration", remedy) from error


def say_support(options: argparse.Namespace, model: RiskDiffusion) -> None:
    """Say what the training data of a model teach."""
    from rstime.report import support_table

    say(options, f"smallest risk that the training data teach, by variable:\n{support_table(model.support)}")


def say(options: argparse.Namespace, text: str) -> None:
    """Tell what goes on, on the error stream, unless asked to be quiet."""
    if not options.quiet:
        print(text, file=sys.stderr)
