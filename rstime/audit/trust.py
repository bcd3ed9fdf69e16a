"""From scores to levels between two references, to groups, to one index whose weights the user sets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError
from rstime.types import Floats

GROUPS = ("fidelity", "utility", "privacy", "robustness")


def levels(score: ArrayLike, best: ArrayLike, worst: ArrayLike) -> Floats:
    """(score - worst) / (best - worst), held in [0, 1]: 0 at the worst reference, 1 at the best or beyond it.

    Whether large or small scores are good is told by the references. NaN where they are equal.

    Examples
    --------
    >>> levels([0.5, 0.6, 1.0], best=0.5, worst=1.0)
    array([1. , 0.8, 0. ])
    """
    score, best, worst = (np.asarray(x, dtype=np.float64) for x in (score, best, worst))
    with np.errstate(invalid="ignore", divide="ignore"):
        place = np.where(best == worst, np.nan, (worst - score) / (worst - best))
    return np.asarray(np.clip(place, 0, 1))


def trust_index(groups: Mapping[str, float], weights: Mapping[str, float] | None = None) -> float:
    """Weighted geometric mean of the groups: exp(sum w ln level / sum w), as Belgodere et al. 2023 combine groups.

    A group of level 0 and positive weight makes the index 0: no other makes up for it. Groups that are NaN, not
    measured, do not count. All weights are 1 by default; a group that is not named has weight 0.

    Raises
    ------
    ConfigError
        If a weight is negative or its group unknown, or no group with a weight was measured.

    Examples
    --------
    >>> round(trust_index({"fidelity": 0.81, "privacy": 0.25}), 2)
    0.45
    >>> round(trust_index({"fidelity": 0.81, "privacy": 0.25}, {"fidelity": 3, "privacy": 1}), 2)
    0.6
    """
    weights = dict.fromkeys(groups, 1.0) if weights is None else check_weights(weights)
    used = {name: weights.get(name, 0.0) for name, level in groups.items() if not np.isnan(level)}
    if not sum(used.values()) > 0:
        raise ConfigError("weights", f"{dict(weights)}", f"Give a measured group a weight: {', '.join(used)}.")
    if any(groups[name] == 0 and weight > 0 for name, weight in used.items()):
        return 0.0
    logs = sum(weight * np.log(groups[name]) for name, weight in used.items() if weight > 0)
    return float(np.exp(logs / sum(used.values())))


def check_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights if all are of known groups and at least 0.

    Raises
    ------
    ConfigError
        Otherwise.
    """
    for name, weight in weights.items():
        if name not in GROUPS:
            raise ConfigError("weights", f"{name!r} is unknown", f"Groups: {', '.join(GROUPS)}.")
        if not 0 <= weight < np.inf:
            raise ConfigError("weights", f"{name}={weight}", "Give 0 or more.")
    return dict(weights)
