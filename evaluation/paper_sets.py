"""Data sets of the paper's experiments: rows with a risk beside each entry, and clean rows apart to compare with.

Two ways to spoil the training rows:

- filled: entries are masked and filled from the others, and the spread of the fill is taken for risk, as Li et al.
  (2025) do. Such an entry is an estimate m with x = m + e (Berkson), not a measurement y = x + e (theory 6).
- noisy: entries are measured, y = x + r e, with known r: what risk means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rstime.errors import ConfigError
from rstime.evaluation.paper_windows import fill_gaps, physionet_windows, ward_masks
from rstime.types import Bools, Floats

MASKED = 0.05
"""Share of the entries of a table that are masked and filled."""

NEIGHBOURS = 10
CLEAN_ROWS = 0.25
"""Share of rows without noise (noisy), or of windows without gaps (filled)."""

LOW, HIGH = 0.5, 2.0
"""Smallest and largest risk of noisy entries, in standard deviations of the column; log-uniform between them."""

MOST_ROWS = 4000


@dataclass(frozen=True, eq=False)
class Rows:
    """Training rows as they are given to a method, and clean rows that it never sees.

    Attributes
    ----------
    value
        (n, N) entries, in standard deviations of the clean column around its mean.
    risk
        (n, N) their risk, in the same units; 0 where the entry is exact.
    spoilt
        (n, N) entries that are not the clean value.
    draws
        (K, n, N) K fills of which `value` is the centre, equal to `value` where the entry is exact; K = 0 where spoilt
        entries are measurements.
    clean
        (n, N) the clean rows behind them, which no method sees.
    others
        (n, N) other clean rows.
    """

    value: Floats
    risk: Floats
    spoilt: Bools
    draws: Floats
    clean: Floats
    others: Floats


def fill_neighbours(value: Floats, gone: Bools, neighbours: int = NEIGHBOURS) -> tuple[Floats, Floats, Floats]:
    """Fill masked entries by the median of the nearest rows, with their median absolute deviation as risk.

    The distance of two rows is the root mean square over the entries that both have.

    Parameters
    ----------
    value
        (n, N) rows; not read where masked.
    gone
        (n, N) masked entries.
    neighbours
        K, how many of the rows that have the entry are used.

    Returns
    -------
    filled, risk, draws
        (n, N), (n, N) and (K, n, N): rows, risk, and the entries of the neighbours themselves.
    """
    seen = (~gone).astype(np.float64)
    y = np.where(gone, 0.0, value)
    square = (y**2) @ seen.T
    apart = (square + square.T - 2 * y @ y.T) / np.maximum(seen @ seen.T, 0.5)
    np.fill_diagonal(apart, np.inf)
    draws = np.repeat(y[None], neighbours, axis=0)
    for row, column in np.argwhere(gone):
        nearest = np.argsort(np.where(gone[:, column], np.inf, apart[row]), kind="stable")[:neighbours]
        draws[:, row, column] = y[nearest, column]
    filled = np.median(draws, axis=0)
    return filled, np.median(np.abs(draws - filled), axis=0), draws


def measure(clean: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Measure rows: y = x + r e, r log-uniform in [LOW, HIGH] for half of the entries of three quarters of the rows."""
    noisy = (rng.random(clean.shape) < 0.5) & (rng.random((len(clean), 1)) > CLEAN_ROWS)
    risk = np.where(noisy, LOW * (HIGH / LOW) ** rng.random(clean.shape), 0.0)
    return clean + risk * rng.standard_normal(clean.shape), risk


def _diabetes() -> Floats:
    from sklearn.datasets import load_diabetes

    return np.asarray(load_diabetes(scaled=False).data, dtype=np.float64)


def _breast_cancer() -> Floats:
    from sklearn.datasets import load_breast_cancer

    return np.asarray(load_breast_cancer().data[:, :10], dtype=np.float64)  # means; the rest are their errors and worst


def _statsmodels(name: str) -> Callable[[], Floats]:
    def load() -> Floats:
        import statsmodels.datasets as shipped

        return np.asarray(getattr(shipped, name).load_pandas().data.to_numpy(), dtype=np.float64)

    return load


TABLES: Mapping[str, Callable[[], Floats]] = {
    "diabetes": _diabetes,
    "breast_cancer": _breast_cancer,
    "anes96": _statsmodels("anes96"),
    "fair": _statsmodels("fair"),
}
"""Tables of numbers that scikit-learn and statsmodels ship (442, 569, 944 and 6,366 rows of 9 to 11 columns)."""

WINDOWS = "physionet"
WAYS = ("filled", "noisy")
NAMES = tuple(f"{name}-{way}" for way in WAYS for name in (WINDOWS, *TABLES))


def paper_set(name: str, seed: int, root: Path | None = None) -> Rows:
    """Load a data set, keep half of its rows apart, and spoil the other half.

    Parameters
    ----------
    name
        One of NAMES: a table of TABLES or "physionet", and the way it is spoilt.
    seed
        Of the split, masks and noise.
    root
        Folder with the data of PhysioNet; see `rstime.datasets.root.find`.

    Raises
    ------
    ConfigError
        If there is no such set.
    DatasetNotFoundError
        If the data of PhysioNet are not there.
    """
    if name not in NAMES:
        raise ConfigError("name", f"{name!r}", f"Choose one of {', '.join(NAMES)}.")
    base, way = name.rsplit("-", 1)
    rng = np.random.default_rng([seed, 5])
    windows, masks = physionet_windows(root) if base == WINDOWS else (TABLES[base](), None)
    clean = rng.permutation(windows)[: 2 * MOST_ROWS]
    half = len(clean) // 2
    centre, scale = clean[:half].mean(0), clean[:half].std(0)
    train, others = ((part - centre) / scale for part in (clean[:half], clean[half : 2 * half]))
    if way == "noisy":
        value, risk = measure(train, rng)
        return Rows(value, risk, risk > 0, np.zeros((0, *value.shape)), train, others)
    if masks is None:
        gone = rng.random(train.shape) < MASKED
        value, risk, draws = fill_neighbours(train, gone)
    else:
        gone = ward_masks(masks, len(train), CLEAN_ROWS, rng)
        value, risk, draws = fill_gaps(train, gone, NEIGHBOURS, rng)
    return Rows(value, risk, gone, draws, train, others)
