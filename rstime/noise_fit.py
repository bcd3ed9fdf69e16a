"""Unknown noise: the factor of each variable's risk, by the likelihood of the Gaussian model (noise_likelihood.py).

What can be told apart: where r varies within a variable, noise and white fluctuations of the signal (theory 6,
"unidentified unless r varies, replicates exist, or the prior is fixed"). Where it does not vary, whatever is white
counts as noise, and a signal that moves within two steps leaves k open: the interval is then wide, down to 0. Where
r varies but one sd for all would be as likely, the given sizes say nothing, and count as if they did not vary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from rstime.axis import Axis
from rstime.errors import DataError
from rstime.noise_likelihood import LIMIT, NoiseConfig, NoiseFit, Run, Tiles, varies
from rstime.risk.estimation import SECURE, ClassRisk, RiskEstimate
from rstime.types import Series

FEWEST = 20  # measurements
TYPICAL = 0.3  # sd of the noise in sd of the values, where there are fewer
OPEN = "not identified: signal and noise cannot be told apart"
SILENT = "not identified: one sd for all explains the readings as well as sd that differ"


def estimate_risk(
    series: Sequence[Series],
    classes: Sequence[NDArray[np.intp]] | None = None,
    *,
    window: float = 48.0,
    grid: str | float | None = None,
    seed: int = 0,
    config: NoiseConfig | None = None,
    progress: Callable[[int, int, str], None] = lambda done, total, name: None,
) -> RiskEstimate:
    """Estimate by how much the risks of each variable, or of each class of its measurements, have to be multiplied.

    Where the risk is not known at all, give 1 for every measurement (`rstime.risk.estimation.relative`): the factor is
    then the standard deviation in the units of the variable. A signal with white fluctuations of its own is told from
    noise only where the risks of a variable vary; else these fluctuations count as noise.

    Parameters
    ----------
    series
        Items; about 500 measurements of a variable are enough for 10 % where the signal is slow.
    classes
        (T, C) labels 0, 1, ... of each item's entries: device, quality level; all the same by default.
    window, grid
        As in `rstime.RiskDiffusion`: length in which seasons are looked for, and step of the time axis.
    seed
        Of the choice of measurements where there are more than `config.tile * config.tiles`.
    config
        Effort.
    progress
        Called with the number of variables done, their total, and the name of the next.

    Raises
    ------
    DataError
        If labels and items differ in shape.
    """
    config = config or NoiseConfig()
    series = list(series)
    labels = [np.zeros(one.risk.shape, dtype=np.intp) for one in series] if classes is None else list(classes)
    shapes = [(np.shape(label), one.risk.shape) for label, one in zip(labels, series, strict=True)]
    for found, want in shapes:
        if found != want:
            raise DataError("classes", f"shape {found} where {want} was expected", "Give one label an entry.")
    axis, rng = Axis.fit(series, grid), np.random.default_rng(seed)
    names = tuple(dict.fromkeys(name for one in series for name in one.variables))
    rows: list[ClassRisk] = []
    for place, name in enumerate(names):
        progress(place, len(names), name)
        runs = []
        for one, label in zip(series, labels, strict=True):
            if name in one.variables:
                c = one.variables.index(name)
                at = np.flatnonzero(one.observed[:, c])
                runs.append((axis.steps(one.time[at]), one.value[at, c], one.risk[at, c], np.asarray(label)[at, c]))
        rows += _variable(name, runs, window, rng, config)
    progress(len(names), len(names), "")
    return RiskEstimate(tuple(rows))


def _variable(
    name: str, runs: Sequence[Run], window: float, rng: np.random.Generator, config: NoiseConfig
) -> list[ClassRisk]:
    """Estimate each class of one variable."""
    value, risk, label = (np.concatenate([run[i] for run in runs]) for i in (1, 2, 3))
    kinds, count = (x.tolist() for x in np.unique(label, return_counts=True))
    spread = float(np.std(value)) if len(value) else 0.0
    noisy = [bool((risk[label == kind] > 0).any()) for kind in kinds]
    why = "every sd is 0" if not any(noisy) else "constant" if spread == 0 else ""
    why = f"only {len(value)} measurements" if len(value) < FEWEST else why
    if why:
        factor = 1.0 if not any(noisy) or varies(risk[risk > 0]) else TYPICAL * spread / float(risk[risk > 0].mean())
        return [ClassRisk(name, kind, n, factor or 1.0, note=why) for kind, n in zip(kinds, count, strict=True)]
    centre = float(np.mean(value))
    scaled = [(t, (y - centre) / spread, r / spread, np.searchsorted(kinds, k)) for t, y, r, k in runs]
    fit = NoiseFit(Tiles.cut(scaled, rng, config), len(kinds), window, config)
    fit.maximise(config.steps)
    rows = []
    for place, (kind, n) in enumerate(zip(kinds, count, strict=True)):
        if not noisy[place]:
            rows.append(ClassRisk(name, kind, n, 1.0, note="every sd is 0"))
            continue
        (factor, low, high), note = fit.factor(place), ""
        if high > SECURE * low:
            note = OPEN
            low = 0.0 if fit.equal else low  # all of the noise might be a signal faster than noise_likelihood.FASTEST
            flat = None if fit.equal or len(kinds) > 1 else fit.levelled()
            if flat is not None and flat.likelihood() > fit.likelihood() - LIMIT:
                (factor, _, high), low, note = flat.factor(0), 0.0, SILENT
        rows.append(ClassRisk(name, kind, n, factor, low, high, note))
    return rows
