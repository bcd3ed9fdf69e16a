"""The options of the command line, described for argparse."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rstime import __version__

COLUMNS = {"id": "item_id", "time": "timestamp", "variable": "variable", "value": "value", "sd": "sd"}
SAMPLERS = (
    "multistep",
    "euler",
    "heun",
    "adaptive",
    "ancestral",
    "euler_maruyama",
    "multistep_sde",
    "predictor_corrector",
    "restart",
)
COVARIANCES = ("gaussian", "tweedie")
LEVELS = tuple(round(0.05 * step, 2) for step in range(1, 20))
TABLE = (
    "TABLE is CSV or Parquet with one measurement a row: item_id, timestamp, variable, value, sd. sd is the standard "
    "deviation of the measurement error in the units of value (0: exact). A row with an empty value is a question."
)


def parser(commands: Mapping[str, Callable[[argparse.Namespace], None]]) -> argparse.ArgumentParser:
    """Describe all options of the commands, whose docstrings are their description."""
    top = argparse.ArgumentParser(
        prog="rstime", description="Calibrated samples of the clean signal behind noisy, incomplete time series."
    )
    top.add_argument("--version", action="version", version=f"rstime {__version__}")
    choices = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, run in commands.items():
        text = (run.__doc__ or name).strip()
        command = choices.add_parser(name, help=text, description=text if name in OWN else f"{text} {TABLE}")
        if name in OWN:
            OWN[name](command)
            continue
        if name not in ("fit", "backtest"):
            command.add_argument("saved", type=Path, metavar="MODEL", help="folder that `rstime fit` wrote")
        command.add_argument("table", type=Path, metavar="TABLE", help=".csv, .csv.gz, .tsv or .parquet")
        if name == "fit":
            _add_fit(command)
        elif name == "backtest":
            _add_backtest(command)
        elif name == "anomalies":
            _add_anomalies(command)
        elif name == "audit":
            _add_audit(command)
        else:
            _add_answers(command, name)
        _add_common(command)
    return top


def _add_demo(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--data", metavar="NAME", help="a public data set, such as physionet2012 (default: a simulated ward)")
    add("--root", type=Path, metavar="DIR", help="folder that holds the data set")
    add("--out", type=Path, default=Path("demo-out"), metavar="DIR", help="folder for pictures (default: demo-out)")
    add("--seed", type=seed, default=0, help="the same seed gives the same data (default: 0)")
    add("--max-minutes", type=minutes, default=1.5, metavar="MINUTES", help="time limit of training (default: 1.5)")


def _add_data(command: argparse.ArgumentParser) -> None:
    actions = command.add_subparsers(dest="action", metavar="ACTION", required=True)
    place: dict[str, Any] = {
        "type": Path,
        "metavar": "DIR",
        "help": "folder of data sets (default: RSTIME_DATA, then ~/.cache/rstime)",
    }
    text = "Name, content, size and licence of every data set, and where it was found."
    actions.add_parser("list", help=text, description=text).add_argument("--root", **place)
    text = "Fetch the official files of data sets, checked against their digests, into the cache or DIR."
    fetch = actions.add_parser("fetch", help=text, description=text)
    fetch.add_argument("names", nargs="+", metavar="NAME", help="as `rstime data list` has it")
    fetch.add_argument("--root", **place)
    text = "Shape, span, step, missing share and size of the variables, licence and citation of a data set."
    describe = actions.add_parser("describe", help=text, description=text)
    describe.add_argument("name", metavar="NAME", help="as `rstime data list` has it, or gluonts:NAME of theirs")
    describe.add_argument("--root", **place)
    _add_convert(actions)


def _add_convert(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    text = "Write a clinical source as a table item_id, timestamp, variable, value, sd, unit; say what was left out."
    command = actions.add_parser("convert", help=text, description=text)
    add = command.add_argument
    add(
        "format",
        choices=("meds", "omop", "fhir", "wfdb", "wide"),
        metavar="FORMAT",
        help="meds, omop, fhir, wfdb, wide",
    )
    add("path", type=Path, metavar="PATH", help="file, or folder of shards (meds) or resources (fhir)")
    add("--out", type=Path, required=True, metavar="TABLE", help=".csv or .parquet to write")
    text = (
        "CSV with columns code, name, unit, or JSON {code: [name, unit]}; a fourth one, source_unit, for meds and wide"
    )
    add("--variables", type=Path, metavar="MAP", help=text)
    text = "JSON {variable or device: name of a sensor, or an sd}, to fill sd (docs/sensors.md)"
    add("--devices", type=Path, metavar="MAP.json", help=text)
    add("--keep-censored", action="store_true", help="keep values such as < 5 at their limit (omop, fhir)")
    text = "channel with the quality of a signal (wfdb); may be repeated"
    add("--quality", action="append", default=[], type=pair, metavar="SIGNAL=CHANNEL", help=text)
    add("--id-col", default="item_id", metavar="NAME", help="column of items (wide; default: item_id)")
    add("--time-col", default="timestamp", metavar="NAME", help="column of time stamps (wide; default: timestamp)")


def _add_fit(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--out", type=Path, required=True, metavar="MODEL", help="folder to save the model in")
    add("--grid", metavar="1h", help="bin times to this grid (default: times as they are)")
    add("--window", type=extent, default=48, metavar="48", help="stamps, or a duration such as 48h (default: 48)")
    add("--model", choices=("diffusion", "gaussian"), default="diffusion", help="(default: diffusion)")
    add("--size", choices=("tiny", "small", "base"), default="small", help="(default: small)")
    text = "sd as given, times a factor for each variable that is learned, or one sd for each, learned (default: known)"
    add("--risk", choices=("known", "scale", "estimate"), default="known", help=text)
    text = "model a variable in logs, or a bounded one as VARIABLE=logit:0,100; may be repeated; auto: for heavy tails"
    add("--transform", action="append", default=[], type=transform, metavar="VARIABLE=log", help=text)
    text = "family of a variable's noise, as laplace, or how errors last, as VARIABLE=0.5@6h+0.3@10d; may be repeated"
    add("--noise", action="append", default=[], type=noise, metavar="VARIABLE=FAMILY", help=text)
    length = command.add_mutually_exclusive_group()
    length.add_argument("--steps", type=int, metavar="N", help="training steps, instead of a time limit")
    text = "time limit of training (default: 15)"
    length.add_argument("--max-minutes", type=minutes, default=15.0, metavar="MINUTES", help=text)


def _add_backtest(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    text = "stamps to forecast, or a duration such as 24h"
    add("--horizon", type=extent, required=True, metavar="24", help=text)
    add("--origins", type=int, default=3, metavar="N", help="windows one after another at the end (default: 3)")
    add("--grid", metavar="1h", help="bin times to this grid (default: times as they are)")
    add("--window", type=int, metavar="48", help="stamps the model sees at once (default: four horizons more)")
    add("--season", type=int, default=1, metavar="24", help="stamps in a season, for the naive forecast (default: 1)")
    add("--model", choices=("diffusion", "gaussian"), default="diffusion", help="(default: diffusion)")
    add("--max-minutes", type=minutes, default=15.0, metavar="MINUTES", help="time limit of training (default: 15)")
    add("--samples", type=int, default=100, metavar="N", help="samples of each forecast (default: 100)")
    add("--out", type=Path, metavar="RESULT", help=".csv or .parquet to write the scores to")


def _add_anomalies(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    add("--out", type=Path, required=True, metavar="RESULT", help=".csv or .parquet to write")
    text = "every N-th block of stamps of a variable is left out together, 2 or more (default: 8)"
    add("--folds", type=int, default=8, metavar="N", help=text)
    text = "stamps in a block; as many as faults last, to see past them (default: 1)"
    add("--block", type=int, default=1, metavar="N", help=text)
    command.set_defaults(samples=1, joint_samples=None, pictures=None)
    command.epilog = (
        "RESULT has a row for each measurement: item, stamp, variable, value, sd; score, how far it is from what the "
        "others say, in standard deviations of a normal law (below 0: too low); p, the chance of one as far, its known "
        "noise included; surprise, minus the log of how likely it is, which ranks faults best. Readings of one time or "
        "bin are fused to one, sd is the model's, and other columns of TABLE are left out."
    )


def _add_audit(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    text = "items of the same kind that the model did not see, columns as in TABLE"
    add("--holdout", type=Path, required=True, metavar="TABLE", help=text)
    text = "weight of fidelity, utility, privacy or robustness in the trust index; may be repeated (default: 1 each)"
    add("--weight", dest="weights", action="append", default=[], type=weight, metavar="GROUP=WEIGHT", help=text)
    text = "random halves of the items on which all is scored (default: 10)"
    add("--halves", type=int, default=10, metavar="N", help=text)
    add("--most", type=int, default=400, metavar="N", help="windows of each kind, at most (default: 400)")
    add("--out", type=Path, metavar="RESULT", help=".csv or .parquet to write the scores to")
    add("--picture", type=Path, metavar="FILE.png", help="picture of the levels to write")


def _add_evaluate(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    text = "a protocol, or a .json file of one (default: list protocols and methods)"
    add("protocols", nargs="*", metavar="NAME|FILE.json", help=text)
    add("--methods", nargs="+", default=[], metavar="METHOD", help="(default: all that can do the task)")
    text = "known, keep, drop, covariate (default: all that a method has)"
    add("--treatments", nargs="+", default=[], metavar="TREATMENT", help=text)
    add("--out", type=Path, metavar="DIR", help="folder for the results; runs that are there are not run again")
    text = "training of each trained method in each run (default: 1)"
    add("--minutes", type=minutes, default=1.0, metavar="MINUTES", help=text)
    text = "seeds of noise, masks, fitting and sampling (default: those of the protocol)"
    add("--seeds", nargs="+", type=seed, default=[], metavar="SEED", help=text)
    add("--samples", type=int, metavar="N", help="samples of each answer (default: those of the protocol)")
    add("--root", type=Path, metavar="DIR", help="folder of the data sets")
    add("--quiet", action="store_true", help="no progress, only warnings and errors")
    _add_metric(command)


def _add_leaderboard(command: argparse.ArgumentParser) -> None:
    command.add_argument("out", type=Path, metavar="DIR", help="folder that `rstime evaluate --out` wrote")
    _add_metric(command)


def _add_metric(command: argparse.ArgumentParser) -> None:
    command.add_argument("--metric", default="wql", help="what ranks: wql, crps, mae, rmse ... (default: wql)")


def _add_answers(command: argparse.ArgumentParser, name: str) -> None:
    add = command.add_argument
    add("--out", type=Path, required=True, metavar="RESULT", help=".csv or .parquet to write")
    if name == "impute":
        text = "rows to answer: all, only those without a value, or only those with sd > 0 (default: all)"
        add("--entries", choices=("all", "missing", "noisy"), default="all", help=text)
    else:
        text = "stamps to forecast, or a duration such as 24h"
        add("--horizon", type=extent, required=True, metavar="24", help=text)
    add("--samples", type=int, default=100, metavar="N", help="samples of each item's signal (default: 100)")
    add("--sampler", choices=SAMPLERS, default="multistep", help="of a model with a network (default: multistep)")
    add("--evaluations", type=int, default=13, metavar="N", help="levels of the sampler's path (default: 13)")
    text = "of the draw that ends a path: the Gaussian model's, or with the network's variances (default: gaussian)"
    add("--covariance", choices=COVARIANCES, default="gaussian", help=text)
    text = "levels, such as 0.05,0.5,0.95 (default: 0.05, 0.1, ... 0.95)"
    add("--quantiles", type=quantiles, default=LEVELS, metavar="LEVELS", help=text)
    text = "write every sample too: item, time, variable, sample, value"
    add("--joint-samples", type=Path, metavar="FILE.parquet", help=text)
    add("--pictures", type=Path, metavar="DIR", help="folder to draw the first 12 items into, a PNG file each")


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    command.add_argument("--seed", type=seed, default=0, help="the same seed gives the same answer (default: 0)")
    command.add_argument("--quiet", action="store_true", help="no progress, only warnings and errors")
    names = command.add_argument_group("columns of TABLE")
    for option, column in COLUMNS.items():
        names.add_argument(f"--{option}-col", default=column, metavar="NAME", help=f"(default: {column})")
    names.add_argument("--variance-col", metavar="NAME", help="a column of error variances, instead of sd")
    covariates = command.add_argument_group("covariates")
    covariates.add_argument("--static", type=Path, metavar="TABLE", help="one row an item: item_id and numbers")
    text = "numbers known ahead of time: item_id, timestamp and a column each, future stamps included"
    covariates.add_argument("--known", type=Path, metavar="TABLE", help=text)


def extent(text: str) -> int | str:
    """Read a count of stamps; a duration stays text until the time axis is known."""
    try:
        return int(text)
    except ValueError:
        return text


def minutes(text: str) -> float:
    """Read a positive number of minutes."""
    value = _number(text)
    if not value > 0:
        raise argparse.ArgumentTypeError(f"{text} is not positive")
    return value


def seed(text: str) -> int:
    """Read a whole number that every generator takes."""
    if not (text.isdecimal() and int(text) < 2**63):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def quantiles(text: str) -> tuple[float, ...]:
    """Read quantile levels between 0 and 1, separated by commas."""
    levels = tuple(sorted({_number(level) for level in text.split(",")}))
    if not all(0 < level < 1 for level in levels):
        raise argparse.ArgumentTypeError(f"{text} has a level that is not between 0 and 1")
    return levels


def transform(text: str) -> tuple[str, str]:
    """Read VARIABLE=log, VARIABLE=logit:low,high or VARIABLE=asinh:centre,width; "auto" becomes ("", "auto")."""
    variable, found, kind = text.rpartition("=")
    if not found and kind != "auto":
        raise argparse.ArgumentTypeError(f"{text} is not auto, nor of the form VARIABLE=log or VARIABLE=logit:low,high")
    return variable, kind


def noise(text: str) -> tuple[str, str]:
    """Read VARIABLE=FAMILY."""
    variable, found, family = text.rpartition("=")
    if not found or not variable or not family:
        raise argparse.ArgumentTypeError(f"{text} is not of the form VARIABLE=FAMILY")
    return variable, family


def pair(text: str) -> tuple[str, str]:
    """Read SIGNAL=CHANNEL."""
    signal, _, channel = text.partition("=")
    if not signal or not channel:
        raise argparse.ArgumentTypeError(f"{text} is not of the form SIGNAL=CHANNEL")
    return signal, channel


def weight(text: str) -> tuple[str, float]:
    """Read GROUP=WEIGHT."""
    group, found, number = text.partition("=")
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is not of the form GROUP=WEIGHT")
    return group, _number(number)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None


OWN: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "demo": _add_demo,
    "data": _add_data,
    "evaluate": _add_evaluate,
    "leaderboard": _add_leaderboard,
}
"""Commands that take no TABLE, with what describes their options."""
