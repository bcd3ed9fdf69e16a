"""The audit: real and generated windows scored on the same random halves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rstime.audit.fidelity import describe, fidelity, gram, permutation_p, standardised
from rstime.audit.privacy import privacy
from rstime.audit.report import CONSTANT, REAL, WHITE, Audit, Score
from rstime.audit.utility import utility
from rstime.audit.windows import Drawn, Errors, Source, Windows, cut, generated, measured, noisier, on_grid
from rstime.axis import Axis
from rstime.errors import ConfigError, DataError
from rstime.noise_rule import NoiseRule
from rstime.scaling import Scaler
from rstime.types import Series

FEWEST = 20
"""Windows of each kind below which nothing is said."""

FEWEST_ITEMS = 8
"""Items below which halves are made of windows instead of items."""

SHORTEST = 8
"""Steps of a window below which there is no past to predict from."""

NOISE = (0.5, 1.0)
"""Sd of the noise that is added to all readings, in sd of the signal, to see which scores last."""

Pair = tuple[Windows, Windows]


def audit(
    train: Sequence[Series],
    holdout: Sequence[Series],
    sources: Mapping[str, Source],
    *,
    window: int = 48,
    grid: str | float | None = None,
    rule: NoiseRule | None = None,
    noise: Sequence[float] = NOISE,
    halves: int = 10,
    most: int = 400,
    seed: int = 0,
) -> Audit:
    """Compare windows that sources generate with real ones that are noisy and incomplete themselves.

    For each real window a source draws a clean one at the same stamps and covariates, given no measurement. Generated
    windows are then measured as the real ones were that the source learned from: the same gaps, and noise of the same
    risk and law. If the source is right, both kinds have one law, however noisy and incomplete, and every score may
    compare them. The real windows learned from, beside those held out, show what can be reached.

    Parameters
    ----------
    train
        What the sources learned from.
    holdout
        Items of the same kind that they did not see.
    sources
        Name -> what draws clean windows; `rstime.audit.windows.drawn_by` makes one of a model.
    window, grid
        Those of the model: steps of a window, and the grid of time.
    rule
        Noise of the readings, where it lasts or is not Gaussian, such as `NoiseRule.learn({"x": "0.5@6h"}, train, {})`;
        what the models among the sources were told if None.
    noise
        Sd of noise that is added to all readings, in sd of the signal, for the robustness of the scores.
    halves
        Random halves of the items on which all is scored.
    most
        Windows of each kind, drawn at random where there are more.
    seed
        Of everything random.

    Raises
    ------
    DataError
        If there are fewer than 20 windows of either kind, variables differ, an item held out was learned from, or a
        source gives something else.
    ConfigError
        If a setting is out of range, a source has the name of a reference, or models were told of different noise.
    """
    _check(sources, window, noise, halves, most)
    _check_unseen(train, holdout)
    rng = np.random.default_rng(seed)
    rule = _told(sources) if rule is None else rule
    scaler, axis = Scaler.fit(rule.apply(train)), Axis.fit(train, grid)
    errors = Errors.of(rule, scaler, axis)
    cuts = [_some(*cut(series, axis, window), most, rng) for series in (train, holdout)]
    given, other = (on_grid(*one, axis, window, scaler) for one in cuts)
    real, unseen = errors.taken(given), errors.taken(other)
    clean: dict[str, Pair] = {
        WHITE: _drawn(real, unseen, rng),
        CONSTANT: (_exact(real, np.zeros(real.value.shape)), _exact(unseen, np.zeros(unseen.value.shape))),
    }
    for name, source in sources.items():
        first, second = (
            on_grid(generated(source, pieces, seed + place), item, axis, window, scaler)
            for place, (pieces, item) in enumerate(cuts)
        )
        clean[name] = first, second
    sets = {REAL: real, **{name: measured(pair[0], given, rng, errors) for name, pair in clean.items()}}
    draws = [(_half(real.item, rng), _half(unseen.item, rng)) for _ in range(halves)]
    scores: list[Score] = []
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in sets}
    for added in (0.0, *noise):
        raised = {name: noisier(one, added, rng) for name, one in sets.items()}
        names, columns = _scored(raised, noisier(unseen, added, rng), draws, rng)
        scores += [Score(*name, added) for name in names]
        for name in sets:
            found[name].append(columns[name])
    scores += [Score("privacy", name) for name in ("closest", "membership")]
    for name in sets:
        found[name].append(_private(name, real, unseen, clean, draws))
    p = {name: _p(unseen, one, rng) for name, one in sets.items()}
    whole = {name: np.concatenate(parts, axis=1) for name, parts in found.items()}
    return Audit(tuple(scores), whole, p, (len(real), len(unseen)))


def _check(sources: Mapping[str, Source], window: int, noise: Sequence[float], halves: int, most: int) -> None:
    for name in sources:
        if name in (REAL, WHITE, CONSTANT):
            raise ConfigError("sources", f"{name!r} is a reference", "Choose another name.")
    if not sources:
        raise ConfigError("sources", "none", "Give at least one.")
    if window < SHORTEST:
        raise ConfigError("window", f"{window} steps", f"Give at least {SHORTEST}.")
    if not all(0 < sd < np.inf for sd in noise):
        raise ConfigError("noise", f"{tuple(noise)}", "Give positive sd.")
    if halves < 2:
        raise ConfigError("halves", f"{halves}", "Give at least 2.")
    if most < FEWEST:
        raise ConfigError("most", f"{most} windows", f"Give at least {FEWEST}.")


def _check_unseen(train: Sequence[Series], holdout: Sequence[Series]) -> None:
    """Refuse items of the same name and values: what they say of privacy would be wrong."""
    known = {one.item_id: one for one in train}
    same = [one.item_id for one in holdout if one.item_id in known and _same(one, known[one.item_id])]
    if same:
        problem = f"{len(same)} of {len(holdout)} items were learned from, {same[0]!r} the first"
        raise DataError("holdout", problem, "Give items that the model did not see.")


def _same(one: Series, other: Series) -> bool:
    pairs = ((one.time, other.time), (np.where(one.observed, one.value, 0), np.where(other.observed, other.value, 0)))
    return one.variables == other.variables and all(np.array_equal(x, y) for x, y in pairs)


def _told(sources: Mapping[str, Source]) -> NoiseRule:
    """Return the noise that the models among the sources were told of, those that were."""
    rules = [source.model.noise for source in sources.values() if isinstance(source, Drawn)]
    told = [rule for rule in rules if rule.variables]
    if any(rule != told[0] for rule in told):
        raise ConfigError(
            "sources", "models that were told of different noise", "Give the noise of the readings: rule."
        )
    return told[0] if told else NoiseRule()


def _some(
    pieces: list[Series], item: NDArray[np.int64], most: int, rng: np.random.Generator
) -> tuple[list[Series], NDArray[np.int64]]:
    if len(pieces) < FEWEST:
        raise DataError("windows", f"{len(pieces)} windows", f"Give at least {FEWEST} to learn from and held out.")
    chosen = np.sort(rng.permutation(len(pieces))[:most])
    return [pieces[place] for place in chosen], item[chosen]


def _exact(like: Windows, value: NDArray[np.float64]) -> Windows:
    return Windows(value, np.zeros(value.shape), like.item)


def _drawn(real: Windows, unseen: Windows, rng: np.random.Generator) -> Pair:
    return _exact(real, rng.standard_normal(real.value.shape)), _exact(unseen, rng.standard_normal(unseen.value.shape))


def _half(item: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Rows of a random half of the items, or of the windows where items are few."""
    names = np.unique(item)
    if len(names) < FEWEST_ITEMS:
        return np.sort(rng.permutation(len(item))[: len(item) // 2])
    return np.flatnonzero(np.isin(item, rng.permutation(names)[: len(names) // 2]))


def _scored(
    sets: Mapping[str, Windows],
    unseen: Windows,
    draws: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    rng: np.random.Generator,
) -> tuple[list[tuple[str, str]], dict[str, NDArray[np.float64]]]:
    """Names of the scores, and of each set (H, K) scores on each half beside the held-out windows."""
    told, told_unseen = {name: describe(one) for name, one in sets.items()}, describe(unseen)
    lags = unseen.value.shape[1] // 2
    names: list[tuple[str, str]] = []
    columns: dict[str, NDArray[np.float64]] = {}
    for name, one in sets.items():
        rows = []
        for some, others in draws:
            here, there = one.rows(some), unseen.rows(others)
            like = fidelity(there, here, (told_unseen[others], told[name][some]), rng, lags)
            use = utility(here, there)
            names = [*(("fidelity", key) for key in like), *(("utility", key) for key in use)]
            rows.append([*like.values(), *use.values()])
        columns[name] = np.array(rows)
    return names, columns


def _private(
    name: str,
    real: Windows,
    unseen: Windows,
    clean: Mapping[str, Pair],
    draws: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
) -> NDArray[np.float64]:
    """(H, 2) privacy of the clean windows drawn for each half; of the real ones, were they given away."""
    rows = []
    for some, others in draws:
        here, there = real.rows(some), unseen.rows(others)
        given = here if name == REAL else _joined(clean[name][0].rows(some), clean[name][1].rows(others))
        rows.append(list(privacy(given, here, there).values()))
    return np.array(rows)


def _joined(one: Windows, two: Windows) -> Windows:
    return Windows(*(np.concatenate(pair) for pair in zip(vars(one).values(), vars(two).values(), strict=True)))


def _p(unseen: Windows, one: Windows, rng: np.random.Generator) -> float:
    return permutation_p(gram(*standardised(describe(unseen), describe(one))), len(unseen), rng)
