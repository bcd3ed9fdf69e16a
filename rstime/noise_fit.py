"""Unknown noise: the factor of each variable's risk, by the likelihood of the Gaussian model.

Each variable alone is a Gaussian process with the correlations of gaussian.py, read as y_i = x_i + k r_i e_i with known
relative risks r_i and an unknown factor k. The shares of correlations of fixed length scales are maximised together
with k, and then again for other values of k: the profile likelihood says how far k may lie from the best one (Pawitan,
In All Likelihood, ch. 3). Free length scales would not do: one below a step explains the noise as well as k does.

What can be told apart: where r varies within a variable, noise and white fluctuations of the signal (theory 6,
"unidentified unless r varies, replicates exist, or the prior is fixed"). Where it does not vary, whatever is white
counts as noise, and a signal that moves within FASTEST steps leaves k open: the interval is then wide, down to 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstime.axis import Axis
from rstime.errors import DataError
from rstime.gaussian import GaussianModel
from rstime.moments import start_from_moments
from rstime.risk.estimation import SECURE, ClassRisk, RiskEstimate, second_differences
from rstime.types import Batch, Floats, Series

LOOSE = 0.2  # precision of the prior of the parameters, which are logs, around their start
SYSTEMATIC = 0.03  # sd of log k that a signal outside the list of correlations causes, measured on three kernels
LIMIT = 1.92  # half of the 95 % point of chi^2 with one degree of freedom
SMALLEST_RISK = 1e-3  # in sd of the values
SMALLEST_WHITE = 1e-8  # in variances, where nothing white may be signal
FASTEST = 2.0  # steps: nothing in the signal is faster
EXPONENTIALS, MATERNS = (FASTEST, 5.0, 16.0, 128.0), (2 * FASTEST, 12.0, 48.0)  # length scales in steps
EVEN = 0.25  # share of the variance that all components start with alike, beside what the moments say
EQUAL = 0.1  # relative spread of the risks below which they count as all the same
LAGS = 16.0  # lags a step that are told apart
FEWEST = 20  # measurements
TYPICAL = 0.3  # sd of the noise in sd of the values, where there are fewer

Run: TypeAlias = tuple[Floats, Floats, Floats, NDArray[np.intp]]
"""Measurements of one variable of an item: steps, values, risks, classes, each (n,)."""


@dataclass(frozen=True)
class NoiseConfig:
    """How to estimate risk.

    Attributes
    ----------
    tile, tiles
        Consecutive measurements treated together, and most such tiles of a variable, drawn at random.
    steps, profile_steps
        Iterations of L-BFGS for the best factor, and for each other one.
    reach
        How far, in logs, the interval is followed; beyond, the factor counts as open.
    """

    tile: int = 64
    tiles: int = 160
    steps: int = 200
    profile_steps: int = 25
    reach: float = 1.6


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
        factor = 1.0 if not any(noisy) or _varies(risk[risk > 0]) else TYPICAL * spread / float(risk[risk > 0].mean())
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
        factor, (low, high) = math.exp(float(fit.log_factor[place])), fit.interval(place)
        note = "" if high <= SECURE * low else "not identified: signal and noise cannot be told apart"
        open_below = bool(note) and fit.equal  # then all of the noise might be a signal faster than FASTEST
        rows.append(ClassRisk(name, kind, n, factor, 0.0 if open_below else low, high, note))
    return rows


def _varies(risk: Floats | NDArray[Any]) -> bool:
    """Whether risks, positive ones, differ enough to tell noise from white fluctuations of the signal."""
    return bool(np.std(np.log(risk)) >= EQUAL)


@dataclass(frozen=True, eq=False)
class Tiles:
    """B runs of up to N consecutive measurements of one variable.

    Attributes
    ----------
    time, value, risk
        (B, N) steps from the start of each tile, scaled values and risks (1 where padded).
    label
        (B, N) class of each measurement.
    exists
        (B, N) False for padding.
    """

    time: Tensor
    value: Tensor
    risk: Tensor
    label: Tensor
    exists: Tensor

    @classmethod
    def cut(cls, runs: Sequence[Run], rng: np.random.Generator, config: NoiseConfig) -> Tiles:
        """Cut items into tiles and keep some of these, at random where there are more than enough."""
        tiles = [
            tuple(part[first : first + config.tile] for part in run)
            for run in runs
            for first in range(0, len(run[0]), config.tile)
        ]
        if len(tiles) > config.tiles:
            tiles = [tiles[i] for i in np.sort(rng.choice(len(tiles), config.tiles, replace=False))]
        shape = (len(tiles), max(len(tile[0]) for tile in tiles))
        time, value, risk, label = np.zeros(shape), np.zeros(shape), np.ones(shape), np.zeros(shape, dtype=np.int64)
        for row, (t, y, r, k) in enumerate(tiles):
            n = len(t)
            time[row, :n], value[row, :n], risk[row, :n], label[row, :n] = t - t[0], y, r, k
        exists = np.arange(shape[1]) < np.array([len(tile[0]) for tile in tiles])[:, None]
        return cls(*(torch.from_numpy(part) for part in (time, value, risk, label, exists)))

    def batch(self, risk: Tensor) -> Batch:
        """Return the tiles as windows of one variable with these risks."""
        return Batch(
            self.value.float()[..., None],
            risk.masked_fill(~self.exists, math.inf).float()[..., None],
            self.time.float(),
            self.time.new_zeros(*self.time.shape, 0).float(),
            self.exists[..., None],
            torch.zeros(self.time.shape, dtype=torch.int64),
        )

    def differences(self) -> float:
        """Mean square of the noise as second differences have it, an upper bound where the signal is rough."""
        rows = [v[e].numpy() for v, e in zip(self.value, self.exists, strict=True)]
        squares = [(second_differences(row).sd ** 2, len(row) - 2) for row in rows if len(row) >= 3]
        total = sum(n for _, n in squares)
        return max(sum(s * n for s, n in squares) / total, 1e-4) if total else 1.0


def smooth_seasons(model: GaussianModel, lag: Tensor) -> Tensor:
    """Return the (Q, ...) correlations of the model, but cosines damped by exp(-(lag / scale)^2 / 2).

    With exp(-lag / scale) a season is rough, by as much as little noise is white, and noise of .2 sd came out 7 % low.
    """
    rho, cosines = model.correlations(lag), model.cosines
    scale, period = (x.exp().reshape(-1, *(1,) * lag.ndim) for x in (model.log_scale[-cosines:], model.log_period))
    return torch.cat([rho[:-cosines], torch.exp(-0.5 * (lag / scale) ** 2) * torch.cos(2 * math.pi * lag / period)])


class NoiseFit:
    """The likelihood of tiles of one variable, as a function of the Gaussian model and of the factors of risk.

    Parameters
    ----------
    tiles
        Measurements.
    classes
        Number of their classes.
    window
        Length in steps in which seasons are looked for.
    config
        Effort.
    """

    def __init__(self, tiles: Tiles, classes: int, window: float, config: NoiseConfig):
        self.tiles, self.config, self.count = tiles, config, int(tiles.exists.sum())
        self.model = GaussianModel(1, 0, window, joint=False)
        noisy = tiles.risk[tiles.exists & (tiles.risk > 0)]
        self.equal = not _varies(noisy.numpy())  # then nothing white is signal: the prior is fixed
        batch = tiles.batch(torch.zeros_like(tiles.risk) if self.equal else tiles.risk)
        with torch.no_grad():
            self.model.log_scale[: len(EXPONENTIALS + MATERNS)] = torch.tensor(EXPONENTIALS + MATERNS).log()
        start_from_moments(self.model, [batch], window, 0.0, self.count)
        self.log_factor = torch.zeros(classes, dtype=torch.float64)
        with torch.no_grad():
            own = self.model.log_own.exp()
            self.model.log_own.copy_(((1 - EVEN) * own + EVEN * own.mean()).log())
            if self.equal:
                upper = 2.25 * tiles.differences()
                variance = float(self.model.log_white.exp().clamp(min(0.0025, upper), upper))
                self.log_factor += 0.5 * math.log(variance) - noisy.log().mean()
                self.model.log_white.fill_(math.log(SMALLEST_WHITE))
        model = self.model
        lag = (tiles.time[:, :, None] - tiles.time[:, None, :]).abs()
        lags, self.place = torch.unique((lag * LAGS).round() / LAGS, return_inverse=True)
        self.parameters = [model.log_own, model.weight, *([] if self.equal else [model.log_white])]
        model.requires_grad_(False)
        self.correlations = smooth_seasons(model, lags)
        self.start = [p.detach().clone() for p in (*self.parameters, self.log_factor)]

    def negative_log_likelihood(self) -> Tensor:
        """Return -log p(y), summed over all tiles, up to a constant."""
        tiles, model = self.tiles, self.model
        share = model.log_own.exp()[:, 0] @ self.correlations
        k = share[self.place] + torch.diag_embed(model.log_white.exp().expand(tiles.exists.shape))
        sd = (tiles.risk * self.log_factor.exp()[tiles.label]).clamp_min(SMALLEST_RISK)
        root = torch.where(tiles.exists, 1 / sd, 0.0)
        eye = torch.eye(k.shape[-1], dtype=k.dtype)
        chol = torch.linalg.cholesky(eye + root[:, :, None] * k * root[:, None, :])
        centred = (root * (tiles.value - model.weight[0, 0]))[..., None]
        white = torch.linalg.solve_triangular(chol, centred, upper=False)
        half: Tensor = 0.5 * white.square().sum() + chol.diagonal(dim1=-2, dim2=-1).log().sum()
        return half + torch.where(tiles.exists, sd, 1.0).log().sum()

    def loss(self) -> Tensor:
        """Return -log p(y) with a wide Gaussian prior around the start, in nats a measurement."""
        now = (*self.parameters, self.log_factor)
        away = torch.stack([(p - q).square().sum() for p, q in zip(now, self.start, strict=True)]).sum()
        return (self.negative_log_likelihood() + 0.5 * LOOSE * away) / self.count

    def maximise(self, steps: int, fixed: int | None = None) -> float:
        """Maximise the likelihood in place, all factors or all but one; return its negative log."""
        free = torch.ones_like(self.log_factor)
        if fixed is not None:
            free[fixed] = 0.0
        for parameter in (*self.parameters, self.log_factor):
            parameter.requires_grad_(True)
        optimiser = torch.optim.LBFGS(
            [*self.parameters, self.log_factor],
            max_iter=steps,
            history_size=20,
            line_search_fn="strong_wolfe",
            tolerance_grad=1e-5,
            tolerance_change=1e-7,
        )

        def closure() -> Tensor:
            optimiser.zero_grad()
            loss = self.loss()
            loss.backward()  # type: ignore[no-untyped-call]
            assert self.log_factor.grad is not None
            self.log_factor.grad *= free
            return loss

        optimiser.step(closure)  # type: ignore[no-untyped-call]
        for parameter in (*self.parameters, self.log_factor):
            parameter.requires_grad_(False)
        return float(self.loss()) * self.count

    def interval(self, place: int) -> tuple[float, float]:
        """Return the 95 % interval of one factor, (0, inf) where it is open.

        The ends of the profile of the likelihood, moved out by SYSTEMATIC, as independent errors add.
        """
        best, kept = float(self.loss()) * self.count, [p.clone() for p in (*self.parameters, self.log_factor)]
        centre, ends = float(self.log_factor[place]), []
        for sign in (-1, 1):
            self._restore(kept)
            step, near, rise = 0.03, 0.0, 0.0
            while True:
                far = step
                with torch.no_grad():
                    self.log_factor[place] = centre + sign * far
                risen = max(self.maximise(self.config.profile_steps, place) - best, 0.0)
                if risen > LIMIT or far > self.config.reach:
                    break
                near, rise, step = far, risen, 2 * step
            if risen <= LIMIT:
                ends.append(sign * math.inf)
                continue
            part = (math.sqrt(LIMIT) - math.sqrt(rise)) / (math.sqrt(risen) - math.sqrt(rise))
            ends.append(sign * math.hypot(near + part * (far - near), 1.96 * SYSTEMATIC))
        self._restore(kept)
        return math.exp(centre + ends[0]), math.exp(centre + ends[1])

    def _restore(self, kept: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip((*self.parameters, self.log_factor), kept, strict=True):
                parameter.copy_(value)
