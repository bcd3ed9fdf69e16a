"""Whether what is learned from generated windows serves on real ones: train on synthetic, test on real."""

from __future__ import annotations

import numpy as np

from rstime.audit.windows import Windows
from rstime.types import Floats

TASKS = {"next step": (6, 0), "gap": (3, 3)}
"""Steps before and after a reading from which it is predicted."""

PENALTY = 1.0
"""Of the ridge: as if each coefficient had been seen once, as 0, with an error of one sd."""


def examples(windows: Windows, before: int, after: int) -> tuple[Floats, Floats, Floats]:
    """Return what each reading is predicted from, the reading and its risk.

    Returns
    -------
    (M, F) a constant and the shrunk readings of all variables in the steps before and after; (M, C) values and (M, C)
    risks of all variables in the step between.
    """
    length = windows.value.shape[1]
    before, after = min(before, length // 3), min(after, length // 3)
    middle = slice(before, length - after)
    shifts = [*range(before), *range(before + 1, before + after + 1)]
    count = length - before - after
    seen = np.concatenate([windows.shrunk[:, shift : shift + count] for shift in shifts], axis=2)
    features = np.concatenate([np.ones((*seen.shape[:2], 1)), seen], axis=2)
    columns = windows.value.shape[2]
    value, risk = (x[:, middle].reshape(-1, columns) for x in (windows.value, windows.risk))
    return features.reshape(-1, features.shape[2]), value, risk


def ridge(features: Floats, value: Floats, risk: Floats) -> Floats:
    """(F, C) coefficients of a linear prediction, readings weighted by 1 / (1 + r^2)."""
    found = np.empty((features.shape[1], value.shape[1]))
    for column in range(value.shape[1]):
        weight = 1 / (1 + risk[:, column] ** 2)
        some = weight > 0
        weighted = features[some] * weight[some, None]
        normal = weighted.T @ features[some] + PENALTY * np.eye(features.shape[1])
        found[:, column] = np.linalg.solve(normal, weighted.T @ value[some, column])
    return found


def explained(predicted: Floats, value: Floats, risk: Floats) -> float:
    """Share of the clean signal's variance that is predicted, a mean over the variables.

    1 - mean[(y - prediction)^2 - r^2] / mean[(y - mean)^2 - r^2]: r^2 is what noise adds to both. Errors that last are
    predicted too, which may bring it above 1, for all windows measured alike. NaN for a variable whose readings are not
    wider spread than their noise.
    """
    weight = 1 / (1 + risk**2)
    noise = weight * np.where(weight > 0, risk, 0.0) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = (weight * value).sum(0) / weight.sum(0)
        error = (weight * (value - predicted) ** 2 - noise).sum(0)
        spread = (weight * (value - centre) ** 2 - noise).sum(0)
        share = np.where(spread > 0, 1 - error / spread, np.nan)
    return float(np.nanmean(share)) if np.isfinite(share).any() else float("nan")


def utility(learned: Windows, test: Windows) -> dict[str, float]:
    """Return the share of the variance of real readings that each linear predictor explains, learned elsewhere."""
    scores = {}
    for name, (before, after) in TASKS.items():
        coefficients = ridge(*examples(learned, before, after))
        features, value, risk = examples(test, before, after)
        scores[name] = explained(features @ coefficients, value, risk)
    return scores
