"""Command line: rstime fit, impute, forecast, demo."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    argparse.ArgumentParser(prog="rstime", description=__doc__).parse_args(arguments)
    return 0
