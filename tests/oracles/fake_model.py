"""A model that remembers how the command line called it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from rstime.cli import main
from rstime.risk_rule import RiskRule
from rstime.types import Posterior, Series

LEVELS = [f"{round(0.05 * step, 2):g}" for step in range(1, 20)]
TABLE = """item_id,timestamp,variable,value,sd,note
007,2024-01-01 00:00,hr,80.10,2,first
007,2024-01-01 01:00,hr,,,
007,2024-01-01 02:00,hr,84,0,
A,2024-01-01 01:00,hr,60,1,
007,2024-01-01 01:00,NA,140,3,
A,2024-01-01 00:00,hr,61,1,last
"""


class FakeModel:
    """Answers every entry with the value 100 + entry number, plus or minus 1; remembers how it was called."""

    calls: ClassVar[dict[str, Any]] = {}
    fail: BaseException | None = None
    grid: str | None = None
    run = SimpleNamespace(steps=9, interrupted=False)
    support = pd.DataFrame({"variable": ["hr"], "smallest_risk": [0.0]})
    risk, risk_table = RiskRule(), pd.DataFrame()

    def __init__(self, model: str = "diffusion", **settings: Any) -> None:
        self.calls.update(model=model, **settings)

    def fit(self, series: Sequence[Series], **settings: Any) -> FakeModel:
        self.calls.update(series=series, fit=SimpleNamespace(**settings))
        if self.fail is not None:
            raise self.fail
        return self

    def save(self, path: Path) -> None:
        path.mkdir(exist_ok=True)
        (path / "config.json").write_text('{"format": 1}')

    @classmethod
    def load(cls, path: Path, device: str = "auto") -> FakeModel:
        cls.calls.update(loaded=path, device=device)
        return cls()

    def impute(self, series: Sequence[Series], *, samples: int, entries: str, **settings: Any) -> list[Posterior]:
        self.calls.update(series=series, samples=samples, entries=entries, **settings)
        if self.fail is not None:
            raise self.fail
        return [answers(one, samples) for one in series]

    def forecast(
        self, series: Sequence[Series], horizon: int | str, *, samples: int, **settings: Any
    ) -> list[Posterior]:
        self.calls.update(horizon=horizon, samples=samples, **settings)
        count = horizon if isinstance(horizon, int) else 3
        hour = np.timedelta64(1, "h")
        return [
            answers(
                replace(
                    one,
                    time=one.time[-1] + hour * np.arange(1, count + 1),
                    value=np.full((count, len(one.variables)), np.nan),
                    risk=np.full((count, len(one.variables)), np.inf),
                    asked=None,
                    known=None,
                    known_names=(),
                ),
                samples,
            )
            for one in series
        ]


def answers(series: Series, samples: int) -> Posterior:
    """Samples 100 + entry number - 1 and + 1 by turns."""
    centre = 100 + np.arange(series.value.size, dtype=np.float64).reshape(series.value.shape)
    signs = np.where(np.arange(samples) % 2, 1.0, -1.0)[:, None, None]
    return Posterior(series, centre + signs)


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])
