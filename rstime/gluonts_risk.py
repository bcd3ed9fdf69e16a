"""Risk in GluonTS data sets: rows of past_feat_dynamic_real with a name, which GluonTS cuts along with the target."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rstime.errors import DataError

NAMES = "past_feat_names"
"""Field of an entry that names the rows of its past_feat_dynamic_real; no splitter cuts it."""


@dataclass(frozen=True)
class RiskDataset:
    """A data set whose entries carry the risk of the target as rows of past_feat_dynamic_real, named in `NAMES`.

    GluonTS's split, generate_instances and make_evaluation_predictions cut these rows as they cut the target.
    """

    dataset: Any
    risk: str | float | Sequence[Any]
    name: str
    columns: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names of the rows, or of the field, that hold the risk; none where numbers were given."""
        if isinstance(self.risk, str):
            return (self.risk,)
        if isinstance(self.risk, (int, float)) or not all(isinstance(name, str) for name in self.risk):
            return ()
        return tuple(self.risk)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for k, entry in enumerate(self.dataset):
            yield self._with_rows(dict(entry), k)

    def __len__(self) -> int:
        return len(self.dataset)

    def _with_rows(self, entry: dict[str, Any], k: int) -> dict[str, Any]:
        where = f"item {entry.get('item_id', k)!r}"
        if "target" not in entry:
            raise DataError("target", f"absent in {where}")
        target, old = np.asarray(entry["target"]), np.asarray(entry.get("past_feat_dynamic_real", ()))
        given: Any
        names = list(entry.get(NAMES, self.columns)) or [""] * len(old)
        if self.wanted and all(column in names for column in self.wanted):
            chosen = [names.index(column) for column in self.wanted]
            others = [row for row in range(len(names)) if row not in chosen]
            given, old, names = old[chosen], old[others], [names[row] for row in others]
        elif self.wanted:
            absent = next(column for column in self.wanted if column not in names)
            if self.wanted != (absent,) or absent not in entry:
                problem = f"no row or field {absent!r} in {where}"
                raise DataError("risk", problem, "Name it in past_feat_dynamic_real, or give numbers.")
            given = entry.pop(absent)
        else:
            given = self.risk if isinstance(self.risk, (int, float)) else self.risk[k]
        rows = np.atleast_2d(np.asarray(given, dtype=np.float64))
        if rows.size == 1:
            rows = np.full((1, target.shape[-1]), rows.item())
        if len(rows) not in (1, len(np.atleast_2d(target))) or rows.shape[1] != target.shape[-1]:
            raise DataError("risk", f"shape {rows.shape} beside a target of shape {target.shape} in {where}")
        if (rows < 0).any():
            raise DataError("risk", f"{rows[rows < 0][0]} in {where}", "Risk is a standard deviation, at least 0.")
        table = np.vstack([old, rows]) if old.size else rows
        return {**entry, "past_feat_dynamic_real": table, NAMES: (*names, *[self.name] * len(rows))}


def with_risk(dataset: Any, risk: str | float | Sequence[Any], name: str = "risk") -> RiskDataset:
    """Say how noisy each value of a GluonTS data set is, in a way that GluonTS cuts along with the target.

    Parameters
    ----------
    dataset
        Any iterable of entries, such as a list or a PandasDataset.
    risk
        Standard deviation of the error of the target, in its units: the name of a column of a PandasDataset's
        past_feat_dynamic_real (or names, one a target) or of a field of the entries; a number for all; or one array an
        item, (T,) or (C, T).
    name
        Name of the row, for the estimator's `risk`.

    Raises
    ------
    DataError
        While iterating, if there is no such row or field, its shape is not the target's, or a number is negative.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> data = [{"start": pd.Period("2026-01-01", "D"), "target": np.ones(5), "sd": np.full(5, .1)}]
    >>> next(iter(with_risk(data, "sd")))["past_feat_names"]
    ('risk',)
    """
    whole = RiskDataset(dataset, risk, name, tuple(getattr(dataset, "past_feat_dynamic_real", None) or ()))
    if not whole.wanted and not isinstance(risk, (int, float)) and len(risk) != len(dataset):
        raise DataError("risk", f"{len(risk)} arrays for {len(dataset)} items", "Give one an item.")
    return whole
