"""Evaluators in GluonTS's manner: truths and answers in, aggregate scores and a row for each item out.

Both take any iterables and look at one pair at a time: memory grows by the rows of the table alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from rstime import scores
from rstime.errors import DataError
from rstime.evaluation.imputation import ImputationEvaluator as ImputationEvaluator
from rstime.evaluation.imputation import pairs, ratio
from rstime.types import Floats

NINE: tuple[float, ...] = tuple(round(0.1 * k, 1) for k in range(1, 10))
"""The nine levels .1 ... .9 of GluonTS's Evaluator."""

MEANS = ("MSE", "abs_target_mean", "seasonal_error", "MASE", "MAPE", "sMAPE", "MSIS", "CRPS")
SUMS = ("abs_error", "abs_target_sum", "num_masked_target_values")


@dataclass(frozen=True)
class Evaluator:
    """Scores of forecasts under the names of `gluonts.evaluation.Evaluator`, and the CRPS of their samples.

    They differ from it in three points: MAE_Coverage is the mean over levels of |coverage - level|; scores over a
    seasonal error of 0 are NaN, which means leave out, where GluonTS has infinity; CRPS is the fair one in the units of
    the target. Forecasts of several variables have a row for each (`dim`) and one for their sum, whose scores
    are prefixed by "m_sum_", as GluonTS's MultivariateEvaluator does with np.sum: "m_sum_mean_wQuantileLoss" is
    the CRPS-sum.

    Attributes
    ----------
    quantiles
        Levels of the quantile losses.
    seasonality
        Steps in a season, for MASE and MSIS; that of the frequency if None.
    alpha
        MSIS is of the central interval that holds 1 - alpha.
    """

    quantiles: tuple[float, ...] = NINE
    seasonality: int | None = None
    alpha: float = 0.05

    def __call__(
        self, ts_iterator: Iterable[Any], fcst_iterator: Iterable[Any]
    ) -> tuple[dict[str, float], pd.DataFrame]:
        """Score forecasts against the series that they forecast.

        Parameters
        ----------
        ts_iterator
            pandas Series, or DataFrames with a column a variable, over past and future; NaN is not known.
        fcst_iterator
            Forecasts of GluonTS, one a series, in the same order.

        Returns
        -------
        aggregate, items
            Scores over all items by name, and a row for each item.

        Raises
        ------
        DataError
            If there are more of one than of the other, none at all, or a series does not cover its forecast.
        """
        rows = [row for ts, forecast in pairs(ts_iterator, fcst_iterator) for row in self._rows(ts, forecast)]
        table = pd.DataFrame.from_records(rows)
        single = table["dim"] != "sum"
        total = self._aggregate(table[single])
        dims = [name for name in table["dim"].unique() if name != ""]
        for name in dims:
            prefix = "m_sum_" if name == "sum" else f"{name}_"
            part = self._aggregate(table[table["dim"] == name])
            total |= {f"{prefix}{key}": value for key, value in part.items()}
        return total, table if dims else table.drop(columns="dim")

    def _rows(self, ts: Any, forecast: Any) -> Iterator[dict[str, Any]]:
        """Yield a row for each variable, and for their sum where there are several."""
        index = forecast.index
        if not index.isin(ts.index).all():
            problem = f"ends before the forecast of item {forecast.item_id!r} from {forecast.start_date}"
            raise DataError("ts_iterator", problem, "Give each series with its future.")
        future, past = (np.asarray(x, dtype=np.float64) for x in (ts.loc[index], ts.loc[ts.index < index[0]]))
        if forecast.dim() == 1:
            yield self._row("", forecast, past.reshape(-1), future.reshape(-1))
            return
        for dim in range(forecast.dim()):
            yield self._row(str(dim), forecast.copy_dim(dim), past[:, dim], future[:, dim])
        yield self._row("sum", forecast.copy_aggregate(np.sum), past.sum(-1), future.sum(-1))

    def _row(self, dim: str, forecast: Any, past: Floats, truth: Floats) -> dict[str, Any]:
        known = np.isfinite(truth)
        y, quantile = truth[known], {q: np.asarray(forecast.quantile(q))[known] for q in self.quantiles}
        median, mean = np.asarray(forecast.quantile(0.5))[known], np.asarray(forecast.mean)[known]
        low, high = (np.asarray(forecast.quantile(q))[known] for q in (self.alpha / 2, 1 - self.alpha / 2))
        scale = scores.seasonal_error(past, self._season(forecast.start_date.freqstr))
        error, size = np.abs(y - median), np.abs(y)
        samples = getattr(forecast, "samples", None)
        with np.errstate(divide="ignore", invalid="ignore"):
            relative = {"MAPE": _mean(error / size), "sMAPE": _mean(2 * error / (size + np.abs(median)))}
        row = {
            "item_id": forecast.item_id,
            "forecast_start": forecast.start_date,
            "dim": dim,
            "MSE": _mean((y - mean) ** 2),
            "abs_error": float(error.sum()),
            "abs_target_sum": float(size.sum()),
            "abs_target_mean": _mean(size),
            "seasonal_error": scale,
            "MASE": scores.mase(median, y, scale),
            **relative,
            "ND": scores.nd(median, y),
            "MSIS": scores.msis(low, high, y, scale, self.alpha),
            "num_masked_target_values": int((~known).sum()),
            "CRPS": float("nan") if samples is None else _mean(scores.crps_samples(samples[:, known], y)),
        }
        for q, value in quantile.items():
            row[f"QuantileLoss[{q}]"] = float(scores.quantile_loss(value, y, q).sum())
            row[f"Coverage[{q}]"] = _mean((y <= value).astype(np.float64))
        return row

    def _season(self, freq: str) -> int:
        from gluonts.time_feature import get_seasonality

        return self.seasonality or int(get_seasonality(freq))

    def _aggregate(self, table: pd.DataFrame) -> dict[str, float]:
        total = {name: float(table[name].mean()) for name in MEANS} | {name: float(table[name].sum()) for name in SUMS}
        total["RMSE"] = float(np.sqrt(total["MSE"]))
        total["NRMSE"] = ratio(total["RMSE"], total["abs_target_mean"])
        total["ND"] = ratio(total["abs_error"], total["abs_target_sum"])
        losses = {q: float(table[f"QuantileLoss[{q}]"].sum()) for q in self.quantiles}
        covered = {q: float(table[f"Coverage[{q}]"].mean()) for q in self.quantiles}
        for q in self.quantiles:
            total[f"QuantileLoss[{q}]"], total[f"Coverage[{q}]"] = losses[q], covered[q]
            total[f"wQuantileLoss[{q}]"] = ratio(losses[q], total["abs_target_sum"])
        total["mean_absolute_QuantileLoss"] = float(np.mean(list(losses.values())))
        total["mean_wQuantileLoss"] = ratio(total["mean_absolute_QuantileLoss"], total["abs_target_sum"])
        total["MAE_Coverage"] = float(np.mean([abs(share - q) for q, share in covered.items()]))
        return total


def _mean(values: Floats) -> float:
    return float(values.mean()) if values.size else float("nan")
