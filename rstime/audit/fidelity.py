"""Whether two sets of windows, measured alike, have one law: distances, neighbours, correlations, a classifier."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import rankdata, wasserstein_distance

from rstime.audit.windows import Windows
from rstime.types import Floats

LAGS = 4
"""Largest lag of the products in a description of a window."""

DIRECTIONS = 100
NEIGHBOURS = 5
FOLDS = 5
RIDGE = 0.3
FEWEST = 0.5
"""A mean counts in full from this many exact readings on; below, it shrinks to 0."""


def marginal(one: Windows, two: Windows) -> Floats:
    """(C,) Wasserstein-1 distance of the readings of each variable, in sd, each reading with its weight.

    NaN where either has no reading.
    """
    found = []
    for column in range(one.value.shape[2]):
        parts = [(x.value[..., column].ravel(), x.weight[..., column].ravel()) for x in (one, two)]
        (x, w), (y, v) = [(value[weight > 0], weight[weight > 0]) for value, weight in parts]
        found.append(wasserstein_distance(x, y, w, v) if len(x) and len(y) else np.nan)
    return np.array(found)


def sliced(one: Floats, two: Floats, rng: np.random.Generator) -> float:
    """Sliced Wasserstein-1 distance of two samples (n, K), (m, K): the mean over random directions of unit length.

    Bonneel, Rabin, Peyré and Pfister 2015.
    """
    directions = rng.standard_normal((one.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    pairs = zip((one @ directions).T, (two @ directions).T, strict=True)
    return float(np.mean([wasserstein_distance(x, y) for x, y in pairs]))


def describe(windows: Windows) -> Floats:
    """(N, K) what each window is like, whatever its gaps: means of functions of its weighted readings.

    With z the readings shrunk by their noise, for each variable the means of z, |z|, z |z|, z^4 (its root) and of the
    steps |z_t - z_t-1|; for each pair of variables those of z_t,a z_t-l,b at lags up to LAGS. Readings count by their
    weights, so that the same function is taken of real and generated windows that were measured alike.
    """
    z, weight = windows.shrunk, windows.weight
    steps = np.abs(z[:, 1:] * weight[:, :-1] - z[:, :-1] * weight[:, 1:])
    pairs = weight[:, 1:] * weight[:, :-1]
    parts = [_mean(z, weight), _mean(np.abs(z), weight), _mean(z * np.abs(z), weight)]
    parts += [np.sqrt(_mean(z**4, weight)), _mean(steps, pairs)]
    for lag in range(min(LAGS, z.shape[1] - 1) + 1):
        product, count = (
            np.einsum("nta,ntb->nab", x[:, lag:], x[:, : x.shape[1] - lag], optimize=True) for x in (z, weight)
        )
        mean = product / np.maximum(count, FEWEST)
        rows, columns = np.triu_indices(z.shape[2]) if lag == 0 else np.indices(mean.shape[1:]).reshape(2, -1)
        parts.append(mean[:, rows, columns])
    return np.concatenate(parts, axis=1)


def _mean(values: Floats, weight: Floats) -> Floats:
    return np.asarray(values.sum(1) / np.maximum(weight.sum(1), FEWEST))


def standardised(one: Floats, two: Floats) -> tuple[Floats, Floats]:
    """Return two samples in the sd of both together, whatever their labels."""
    both = np.concatenate([one, two])
    spread = both.std(0)
    both = (both - both.mean(0)) / np.where(spread > 1e-9, spread, 1.0)
    return both[: len(one)], both[len(one) :]


def gram(one: Floats, two: Floats) -> Floats:
    """(n + m, n + m) Gaussian kernel exp(-d^2 / 2 h^2) of two samples, h^2 the median of d^2 over all pairs."""
    square = cdist(np.concatenate([one, two]), np.concatenate([one, two]), "sqeuclidean")
    middle = float(np.median(square[np.triu_indices(len(square), 1)]))
    return np.asarray(np.exp(-square / (2 * middle if middle > 0 else 1.0)))


def mmd(kernel: Floats, first: int) -> float:
    """Squared maximum mean discrepancy of the first rows from the others; without bias, so that it may be below 0.

    E k(x, x') + E k(y, y') - 2 E k(x, y), equal indices left out (Gretton et al. 2012, eq. 3).
    """
    labels = np.arange(len(kernel)) < first
    return float(_mmd(kernel, labels[:, None].astype(np.float64))[0])


def _mmd(kernel: Floats, labels: Floats) -> Floats:
    """(k,) MMD^2 for each column of labels in {0, 1}."""
    off = kernel - np.diag(np.diag(kernel))
    others = 1 - labels
    n, m = labels.sum(0), others.sum(0)
    to_first, to_others = off @ labels, off @ others
    within = (labels * to_first).sum(0) / (n * (n - 1)) + (others * to_others).sum(0) / (m * (m - 1))
    return np.asarray(within - 2 * (others * to_first).sum(0) / (n * m))


def permutation_p(kernel: Floats, first: int, rng: np.random.Generator, draws: int = 999) -> float:
    """Share of random labels whose MMD is as large, the found one included."""
    labels = (np.arange(len(kernel)) < first).astype(np.float64)
    chance = _mmd(kernel, np.stack([rng.permutation(labels) for _ in range(draws)], axis=1))
    return float((1 + np.count_nonzero(chance >= mmd(kernel, first))) / (1 + draws))


def precision_recall(real: Floats, generated: Floats, neighbours: int = NEIGHBOURS) -> tuple[float, float]:
    """Share of generated points within the real ones' neighbourhoods, and of real points within the generated ones'.

    A point's neighbourhood is the ball to its k-th nearest fellow (Kynkäänniemi et al. 2019). Low precision: there are
    windows like none that is real; low recall: some kinds of real windows are never generated.
    """
    return _covered(generated, real, neighbours), _covered(real, generated, neighbours)


def _covered(points: Floats, by: Floats, neighbours: int) -> float:
    radius = np.sort(cdist(by, by), axis=1)[:, min(neighbours, len(by) - 1)]
    return float(np.mean((cdist(points, by) <= radius).any(1)))


def covariances(windows: Windows, lags: int) -> Floats:
    """(lags + 1, C, C) mean of (x_t,a - mean_a) (x_t-l,b - mean_b) over all pairs of readings, by their weights.

    At lag 0 of a variable with itself its mean r^2 is taken off. In sd of the real signal, of which it is the auto- and
    cross-correlation where errors are independent; errors that last add their own at all lags, the same to windows
    measured alike, so that it falls out of their difference. NaN where there is no pair.
    """
    weight = windows.weight
    risk = np.where(weight > 0, windows.risk, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (weight * windows.value).sum((0, 1)) / weight.sum((0, 1))
        z = weight * (windows.value - centre)
        found = []
        for lag in range(min(lags, z.shape[1] - 1) + 1):
            product, count = (
                np.einsum("nta,ntb->ab", x[:, lag:], x[:, : x.shape[1] - lag], optimize=True) for x in (z, weight)
            )
            if lag == 0:
                product[np.diag_indices_from(product)] = (z**2 - (weight * risk) ** 2).sum((0, 1))
                count[np.diag_indices_from(count)] = (weight**2).sum((0, 1))
            found.append(np.where(count > 0, product / count, np.nan))
    return np.array(found)


def correlation_errors(one: Windows, two: Windows, lags: int) -> tuple[float, float]:
    """Root mean squared difference of the autocorrelations from lag 1 on, and of the cross-correlations from lag 0 on.

    The second is NaN for one variable.
    """
    square = (covariances(one, lags) - covariances(two, lags)) ** 2
    own = np.eye(square.shape[1], dtype=bool)
    return _root(square[1:, own]), _root(square[:, ~own])


def _root(square: Floats) -> float:
    return float(np.sqrt(np.nanmean(square))) if np.isfinite(square).any() else float("nan")


def auc(positive: Floats, negative: Floats) -> float:
    """Return the chance that a positive has the larger score, ties half: the area under the ROC curve."""
    rank = rankdata(np.concatenate([positive, negative]))[: len(positive)].sum()
    return float((rank - len(positive) * (len(positive) + 1) / 2) / (len(positive) * len(negative)))


def discriminative(
    kernel: Floats, first: int, rng: np.random.Generator, item: NDArray[np.int64] | None = None
) -> float:
    """Area under the ROC curve of a classifier of first rows against the others, on windows it has not seen.

    Kernel ridge regression of the labels +-1, a mean over FOLDS folds. .5: nothing tells them apart; 1: all are told.
    `item` (n + m,) names the item of each row: those of one item, which are alike, are learned from or tested together.
    """
    labels = np.where(np.arange(len(kernel)) < first, 1.0, -1.0)
    fold = np.empty(len(kernel), dtype=np.int64)
    for some in (labels > 0, labels < 0):
        names, owner = np.unique(np.arange(some.sum()) if item is None else item[some], return_inverse=True)
        if len(names) < FOLDS:
            names = owner = np.arange(some.sum())
        fold[some] = rng.permutation(np.arange(len(names)) % FOLDS)[owner]
    found = []
    for index in range(FOLDS):
        learn, test = fold != index, fold == index
        ridge = kernel[np.ix_(learn, learn)] + RIDGE * np.eye(learn.sum())
        score = kernel[np.ix_(test, learn)] @ np.linalg.solve(ridge, labels[learn])
        found.append(auc(score[labels[test] > 0], score[labels[test] < 0]))
    return float(np.mean(found))


def fidelity(
    one: Windows, two: Windows, told: tuple[Floats, Floats], rng: np.random.Generator, lags: int
) -> dict[str, float]:
    """Return all scores of generated windows `two` beside real ones `one`, both described in `told`."""
    x, y = standardised(*told)
    kernel = gram(x, y)
    precision, recall = precision_recall(x, y)
    auto, cross = correlation_errors(one, two, lags)
    scores = {
        "marginal": float(np.nanmean(marginal(one, two))),
        "sliced": sliced(one.shrunk.reshape(len(x), -1), two.shrunk.reshape(len(y), -1), rng),
        "mmd": mmd(kernel, len(x)),
        "precision": precision,
        "recall": recall,
        "autocorrelation": auto,
        "cross-correlation": cross,
        "discriminative": discriminative(kernel, len(x), rng, np.concatenate([one.item, two.item])),
    }
    return {name: score for name, score in scores.items() if name != "cross-correlation" or one.value.shape[2] > 1}
