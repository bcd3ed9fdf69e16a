"""The imputation twin of the forecast evaluator: posteriors against hidden or clean values, item after item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from rstime import noisy_scores, scores
from rstime.errors import DataError
from rstime.types import Bools, Floats, Posterior, Series


@dataclass(frozen=True)
class ImputationEvaluator:
    """Scores of posteriors at missing and at noisy entries, in total, by variable and by risk.

    Truths are clean values, or measurements with a risk of their own that the model has not seen. Against those the
    squared error has r^2 taken off, and all other scores are of the samples with noise of that size added: proper
    for the clean value, but not unbiased for the score against it (`rstime.noisy_scores`). `noisy_truth` says for which
    share of the entries that was so.

    Attributes
    ----------
    levels
        Levels of the quantile losses.
    band
        What the central interval should hold.
    risk_bins
        Increasing edges of the bins of risk at noisy entries; none for no bins.
    scale
        Unit of the edges for each variable, such as its standard deviation; 1 if not named.
    seed
        Of the noise that is added.
    """

    levels: tuple[float, ...] = scores.LEVELS
    band: float = 0.9
    risk_bins: tuple[float, ...] = ()
    scale: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __call__(
        self, truths: Iterable[Series | NDArray[Any]], posteriors: Iterable[Posterior]
    ) -> tuple[dict[str, float], pd.DataFrame]:
        """Score answers against what is known of the clean values.

        Parameters
        ----------
        truths
            One an item: (T, C) clean values, NaN where not known; or a Series of the same stamps and variables, whose
            risk says how noisy the truth is.
        posteriors
            One an item, in the same order; what was asked and has a truth is scored, except exact readings.

        Returns
        -------
        aggregate, items
            "missing/...", "noisy/..." and "all/..." (both together), "missing[variable]/..." and "noisy[risk a-b]/...":
            entries, mae of the median, rmse of the mean, nd, wql (mean over the levels of sum 2 pinball / sum |y|),
            crps, coverage and width of the band, noisy_truth. Sums run over all entries of all items. And a row
            for each item and kind of entry.

        Raises
        ------
        DataError
            If there are more of one than of the other, none at all, shapes differ, or a truth is the noisy reading that
            the model was shown.
        """
        totals: dict[str, Floats] = {}
        rows = []
        for number, (truth, answer) in enumerate(pairs(truths, posteriors)):
            value, risk = _truth(truth, answer)
            sums = self._sums(value, risk, answer, np.random.default_rng([self.seed, number]))
            for kind, where in _kinds(value, answer).items():
                if where.any():
                    rows.append({"item_id": answer.series.item_id, "kind": kind, **self._scores(sums[:, where].sum(1))})
                for name, group in self._groups(kind, where, answer.series):
                    totals[name] = totals.get(name, 0.0) + sums[:, group].sum(1)
        total = {f"{name}/{key}": x for name, part in totals.items() for key, x in self._scores(part).items()}
        return total, pd.DataFrame.from_records(rows)

    def _sums(self, truth: Floats, risk: Floats, answer: Posterior, rng: np.random.Generator) -> Floats:
        """(9, T, C) what is summed for each entry; NaN where nothing was asked."""
        samples = np.asarray(answer.samples, dtype=np.float64)
        noisy = noisy_scores.convolve(samples, risk, rng) if (risk > 0).any() else samples
        ends = ((1 - self.band) / 2, (1 + self.band) / 2)
        low, median, high, *rest = np.quantile(noisy, (ends[0], 0.5, ends[1], *self.levels), axis=0, method="weibull")
        return np.stack(
            [
                np.ones_like(truth),
                np.abs(median - truth),
                noisy_scores.squared_error(samples.mean(0), truth, risk),
                np.abs(truth),
                scores.crps_levels(np.stack(rest), truth, self.levels),
                scores.crps_samples(noisy, truth),
                ((low <= truth) & (truth <= high)).astype(np.float64),
                high - low,
                (risk > 0).astype(np.float64),
            ]
        )

    def _scores(self, sums: Floats) -> dict[str, float]:
        """Turn sums over entries into scores."""
        count, error, square, size, pinball, crps, inside, wide, noisy = sums.tolist()
        band = round(100 * self.band)
        return {
            "entries": count,
            "mae": error / count,
            "rmse": max(square / count, 0.0) ** 0.5,
            "nd": ratio(error, size),
            "wql": ratio(pinball, size),
            "crps": crps / count,
            f"coverage{band}": inside / count,
            f"width{band}": wide / count,
            "noisy_truth": noisy / count,
        }

    def _groups(self, kind: str, where: Bools, series: Series) -> Iterator[tuple[str, Bools]]:
        """Yield names and entries of a kind: all, each variable, each bin of risk."""
        if where.any():
            yield kind, where
        for column, name in enumerate(series.variables):
            alone = where & (np.arange(where.shape[1]) == column)
            if alone.any():
                yield f"{kind}[{name}]", alone
        if kind == "noisy":
            size = series.risk / np.array([self.scale.get(name, 1.0) for name in series.variables])
            for low, high in zip(self.risk_bins[:-1], self.risk_bins[1:], strict=True):
                inside = where & (size >= low) & (size < high)
                if inside.any():
                    yield f"noisy[risk {low:g}-{high:g}]", inside


def pairs(truths: Iterable[Any], answers: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield pairs of equally many truths and answers, at least one.

    Raises
    ------
    DataError
        If there are more of one than of the other, or none at all.
    """
    count, nothing, others = 0, object(), iter(answers)
    for truth in truths:
        answer = next(others, nothing)
        if answer is nothing:
            raise DataError("answers", f"only {count}, fewer than truths", "Give one for each truth.")
        count += 1
        yield truth, answer
    if next(others, nothing) is not nothing:
        raise DataError("answers", f"more than the {count} truths", "Give one for each truth.")
    if not count:
        raise DataError("answers", "none", "Give at least one; an iterator that was used up is empty.")


def ratio(part: float, whole: float) -> float:
    """Return part / whole, NaN where the whole is 0."""
    return part / whole if whole > 0 else float("nan")


def _truth(truth: Series | NDArray[Any], answer: Posterior) -> tuple[Floats, Floats]:
    """Values and risks (T, C) of the truth; NaN where not known."""
    series = answer.series
    value = truth.value if isinstance(truth, Series) else np.asarray(truth, dtype=np.float64)
    if value.shape != series.value.shape:
        problem = f"shape {value.shape} beside an answer of shape {series.value.shape} in item {series.item_id!r}"
        raise DataError("truth", problem, "Give the stamps and variables of the answer.")
    risk = np.zeros(value.shape)
    if isinstance(truth, Series):
        risk = np.where(truth.observed, truth.risk, 0.0)
        shown = truth.observed & series.observed & (risk > 0) & (value == series.value)
        if shown.any():
            problem = f"{int(shown.sum())} noisy readings of item {series.item_id!r} are those that the model was shown"
            raise DataError("truth", problem, "Score against other readings, or against clean values.")
    return value, risk


def _kinds(truth: Floats, answer: Posterior) -> dict[str, Bools]:
    """Return the entries to be scored, by kind."""
    series = answer.series
    scored = np.isfinite(truth) & np.asarray(series.asked) & np.isfinite(answer.samples[0])
    missing, noisy = scored & ~series.observed, scored & series.observed & (series.risk > 0)
    return {"missing": missing, "noisy": noisy, "all": missing | noisy}
