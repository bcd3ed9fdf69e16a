"""What `rstime audit` does: windows that a model generates, beside those it learned from and held-out ones."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rstime.tables import check_target, replacing, write

if TYPE_CHECKING:
    from rstime.model import RiskDiffusion
    from rstime.types import Series


def check(options: argparse.Namespace) -> None:
    """Find out before the long work whether the results can be written and the weights be used.

    Raises
    ------
    ConfigError
        If not.
    """
    from rstime.audit.trust import check_weights

    check_weights(dict(options.weights))
    if options.out is not None:
        check_target("--out", options.out, options.table, options.holdout, options.static, options.known)
    if options.picture is not None:
        check_target("--picture", options.picture, suffixes=(".png", ".pdf", ".svg"))


def run(options: argparse.Namespace, model: RiskDiffusion, train: Sequence[Series], holdout: Sequence[Series]) -> str:
    """Audit the model, and the Gaussian model that its network started from; write files, return text to print."""
    from rstime.audit.run import audit
    from rstime.audit.windows import drawn_by

    sources = {model.config.model: drawn_by(model)}
    if model.config.model == "diffusion":
        sources["gaussian"] = drawn_by(model.baseline())
    window = round(model.config.window)
    found = audit(
        train,
        holdout,
        sources,
        window=window,
        grid=model.grid,
        halves=options.halves,
        most=options.most,
        seed=options.seed,
    )
    weights = dict(options.weights) or None
    if options.out is not None:
        with replacing(options.out) as (draft,):
            write(found.table(), draft)
    if options.picture is not None:
        from rstime.plotting_audit import plot_audit

        with replacing(options.picture) as (draft,):
            plot_audit(found, weights).savefig(draft, dpi=110)
    return found.text(weights)
