"""The likelihood of noisy readings of one variable, as a function of the size of their noise.

y_i = x_i + k r_i e_i with known relative risks r_i, and x a Gaussian process with correlations of fixed length scales
whose shares are free: they maximise the likelihood together with the factor k, and again for other values of k. This
profile of the likelihood says how far k may lie from the best one (Pawitan, In All Likelihood, ch. 3). Free length
scales would not do: one below a step explains the noise as well as k does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstime.gaussian import GaussianModel
from rstime.moments import start_from_moments
from rstime.risk.estimation import second_differences
from rstime.types import Batch, Floats

LOOSE = 0.2  # precision of the prior of the parameters, which are logs, around their start
SYSTEMATIC = 0.03  # sd of log k that a signal outside the list of correlations causes, measured on three kernels
LIMIT = 1.92  # half of the 95 % point of chi^2 with one degree of freedom
SMALLEST_RISK = 1e-3  # in sd of the values
SMALLEST_WHITE = 1e-8  # in variances, where nothing white may be signal
LARGEST = 14.0  # logs of variances of the signal, of readings of variance 1; a line search tries even e^90
FASTEST = 2.0  # steps: nothing in the signal is faster
EXPONENTIALS, MATERNS = (FASTEST, 5.0, 16.0, 128.0, 1e5), (2 * FASTEST, 12.0, 48.0)  # length scales in steps
EVEN = 0.25  # share of the variance that all components start with alike, beside what the moments say
EQUAL = 0.1  # relative spread of the risks below which they count as all the same
PLACES = 32.0  # stamps a step that are told apart; lags rounded by themselves would not be positive definite

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


def varies(risk: Floats | NDArray[Any]) -> bool:
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
        self.tiles, self.window, self.config, self.count = tiles, window, config, int(tiles.exists.sum())
        self.model = GaussianModel(1, 0, window, joint=False)
        noisy = tiles.risk[tiles.exists & (tiles.risk > 0)]
        self.equal = not varies(noisy.numpy())  # then nothing white is signal: the prior is fixed
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
        time = (tiles.time * PLACES).round() / PLACES
        lags, self.place = torch.unique((time[:, :, None] - time[:, None, :]).abs(), return_inverse=True)
        self.parameters = [model.log_own, model.weight, *([] if self.equal else [model.log_white])]
        model.requires_grad_(False)
        self.correlations = smooth_seasons(model, lags)
        self.start = [p.detach().clone() for p in (*self.parameters, self.log_factor)]

    def negative_log_likelihood(self) -> Tensor:
        """Return -log p(y), summed over all tiles, up to a constant."""
        tiles, model = self.tiles, self.model
        own, white = (part.clamp_max(LARGEST).exp() for part in (model.log_own, model.log_white))
        k = (own[:, 0] @ self.correlations)[self.place] + torch.diag_embed(white.expand(tiles.exists.shape))
        sd = (tiles.risk * self.log_factor.exp()[tiles.label]).clamp_min(SMALLEST_RISK)
        root = torch.where(tiles.exists, 1 / sd, 0.0)
        eye = torch.eye(k.shape[-1], dtype=k.dtype)
        chol = torch.linalg.cholesky(eye + root[:, :, None] * k * root[:, None, :])
        centred = (root * (tiles.value - model.weight[0, 0]))[..., None]
        plain = torch.linalg.solve_triangular(chol, centred, upper=False)
        half: Tensor = 0.5 * plain.square().sum() + chol.diagonal(dim1=-2, dim2=-1).log().sum()
        return half + torch.where(tiles.exists, sd, 1.0).log().sum()

    def likelihood(self) -> float:
        """Return log p(y), summed over all tiles, up to a constant."""
        return -float(self.negative_log_likelihood())

    def levelled(self) -> NoiseFit:
        """Return the best fit to the same tiles with their root mean square risk everywhere, but for exact values."""
        risk, noisy = self.tiles.risk, self.tiles.exists & (self.tiles.risk > 0)
        even = torch.where(noisy, risk[noisy].square().mean().sqrt(), risk)
        other = NoiseFit(replace(self.tiles, risk=even), len(self.log_factor), self.window, self.config)
        other.maximise(self.config.steps)
        return other

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

    def factor(self, place: int) -> tuple[float, float, float]:
        """Return a factor and its interval."""
        return math.exp(float(self.log_factor[place])), *self.interval(place)

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
