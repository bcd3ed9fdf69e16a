"""What a model does with the risks it is given: take them as they are, scale them, or estimate them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from rstime.cells import Columns
from rstime.errors import ConfigError, ModelFileError
from rstime.noise_fit import estimate_risk
from rstime.risk.estimation import RiskEstimate
from rstime.types import Series

MODES = ("known", "scale", "estimate")


@dataclass(frozen=True)
class RiskRule:
    """How given risks become the model's, the same in fit and answers.

    Attributes
    ----------
    mode
        "known": as given. "scale": times one factor a variable, learned. "estimate": one sd a variable, learned; what a
        table says of sd is not read, and the risks of Series count as relative ones (0 as 1).
    estimate
        What was learned; None before, and where the risks are known.

    Raises
    ------
    ConfigError
        If the mode is unknown.
    """

    mode: str = "known"
    estimate: RiskEstimate | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError("risk", f"{self.mode!r} is unknown", f"Choose one of {', '.join(MODES)}.")

    def table(self, frame: pd.DataFrame, columns: Columns) -> tuple[pd.DataFrame, Columns]:
        """Return the table with what it says of sd replaced by 1 where sd is to be estimated."""
        if self.mode != "estimate":
            return frame, columns
        return frame.assign(**{columns.sd: 1.0}), replace(columns, variance=None)

    def apply(self, series: Sequence[Series]) -> list[Series]:
        """Return items with the model's risks."""
        if self.mode == "estimate":
            series = [replace(one, risk=np.where(one.risk == 0, 1.0, one.risk)) for one in series]
        return list(series) if self.estimate is None else [self.estimate.apply(one) for one in series]

    def learn(
        self,
        series: Sequence[Series],
        window: float,
        grid: str | float | None,
        seed: int,
        progress: Callable[[int, int, str], None],
    ) -> RiskRule:
        """Return the rule with what these items, already under it, teach; warn of variables that they leave open."""
        if self.mode == "known":
            return self
        estimate = estimate_risk(series, window=window, grid=grid, seed=seed, progress=progress).rounded()
        estimate.warn()
        return replace(self, estimate=estimate)

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {"mode": self.mode, "estimate": None if self.estimate is None else self.estimate.to_dict()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> RiskRule:
        """Read the rule back.

        Raises
        ------
        ModelFileError
            If an entry is absent or of another kind.
        """
        try:
            found = state["estimate"]
            return cls(state["mode"], None if found is None else RiskEstimate.from_dict(found))
        except (KeyError, TypeError, ConfigError) as error:
            raise ModelFileError("risk", f"cannot be read ({error})", "Save the model again.") from error
