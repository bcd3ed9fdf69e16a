"""A start for the Gaussian model: non-negative least squares on the variogram of noisy, incomplete windows.

The likelihood has a local maximum for every season it might mistake for another; the moments, which are linear in the
shares of the components, show which periods are there. The semivariance (x_t - x_u)^2 / 2 knows no level, so that
series that wander far in the long run still show how little they move in the short. Noise adds (r_t^2 + r_u^2) / 2 to
it, which is subtracted (theory 3). Lags weigh by the precision of their estimate (Cressie 1985, Math. Geol. 17, 563).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from rstime.correlation import Correlation
from rstime.gaussian import GaussianModel
from rstime.types import Batch, Floats

CANDIDATES = 64  # periods tried
ROUNDS = 3
SMALLEST_SHARE = 3e-4  # of the variance within windows
LEAST_SEEN = 0.02  # of the noise: a signal that is smaller than that is not told from none
FEW = 200  # measurements at which moments and the usual shares weigh the same


@dataclass(frozen=True, eq=False)
class Variogram:
    """How channels vary: in all, and how their values differ by lag.

    Attributes
    ----------
    variance
        (C,) variance of each channel.
    within
        (C,) mean semivariance over the pairs of a window.
    gamma
        (L,) semivariance by lag, lag 0 first, over that mean; averaged over channels.
    weight
        (L,) square root of the precision of `gamma`, up to a factor; 0 where there is no pair.
    """

    variance: Floats
    within: Floats
    gamma: Floats
    weight: Floats


def variogram(batches: Sequence[Batch], lags: int, correlation: Correlation | None = None) -> Variogram:
    """Estimate semivariances of the clean signal, with the least noisy pairs counting most.

    Noise that lasts adds less to a difference: r_t^2 + r_u^2 - 2 a r_t r_u with a its correlation at that lag. A pair
    weighs 1 / (2 gamma + r_t^2 + r_u^2)^2, as the variance of its square goes; gamma is that of the round
    before, at first a tenth of the variance. Times are taken to the nearest step.
    """
    y, r, m = (torch.cat(parts) for parts in zip(*_padded([_on_grid(batch) for batch in batches]), strict=True))
    low = m & (r < 2)
    seen = low.sum((0, 1)).clamp_min(1)
    mean = (y * low).sum((0, 1)) / seen
    variance = (((y - mean).square() - r.square()) * low).sum((0, 1)) / seen
    variance = variance.clamp_min(0.05)
    gamma = (0.1 * variance).expand(lags, -1)
    alike = torch.zeros(lags, y.shape[-1]) if correlation is None else correlation.by_lag(torch.arange(lags)).float()
    for _ in range(ROUNDS):
        gamma, count, raw = _pairs(y, r, m, 2 * gamma.maximum(1e-6 * variance), alike)
    within, noise = ((count * x).sum(0) / count.sum(0).clamp_min(1e-9) for x in (gamma, raw - gamma))
    within = torch.where(count.sum(0) > 0, within.maximum(LEAST_SEEN * noise), variance)
    within = within.clamp(1e-6 * variance, 2 * variance)
    total = count.sum(1).clamp_min(1e-9)
    mixed, noisy = ((count * x / within).sum(1) / total for x in (gamma, raw))
    weight = (total / total.max()).sqrt() / noisy.clamp_min(1e-6)
    weight[0] = 0.0
    return Variogram(*(x.double().numpy() for x in (variance, within, mixed, weight * (count.sum(1) > 0))))


def _pairs(y: Tensor, r: Tensor, m: Tensor, level: Tensor, alike: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(L, C) semivariances, effective numbers of pairs, and semivariances with their noise; `level` is 2 gamma."""
    gamma, count, raw = (torch.zeros_like(level).contiguous() for _ in range(3))
    for lag in range(1, min(len(level), y.shape[1])):
        late, early = slice(lag, None), slice(None, y.shape[1] - lag)
        noise = r[:, late].square() + r[:, early].square() - 2 * alike[lag] * r[:, late] * r[:, early]
        weight = (level[lag] / (level[lag] + noise)).square() * (m[:, late] & m[:, early])
        square = (y[:, late] - y[:, early]).square()
        total = weight.sum((0, 1)).clamp_min(1e-9)
        gamma[lag] = 0.5 * (weight * (square - noise)).sum((0, 1)) / total
        raw[lag] = 0.5 * (weight * square).sum((0, 1)) / total
        count[lag] = total.square() / weight.square().sum((0, 1)).clamp_min(1e-9) * (total > 1e-6)
    return gamma, count, raw


def _padded(grids: Sequence[tuple[Tensor, Tensor, Tensor]]) -> list[list[Tensor]]:
    """Bring grids (B, L, C) to one length."""
    length = max(y.shape[1] for y, _, _ in grids)
    return [[torch.nn.functional.pad(x, (0, 0, 0, length - x.shape[1])) for x in grid] for grid in grids]


def _on_grid(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Put measurements on whole steps, (B, L, C): values, risks and which there are."""
    step = batch.time.round().long().clamp_min(0)
    shape = (len(step), int(step.max()) + 1, batch.risk.shape[-1])
    use = torch.isfinite(batch.risk)
    b, t, c = use.nonzero(as_tuple=True)
    place = (b, step[b, t], c)
    y, r, m = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape, dtype=torch.bool)
    y[place], r[place], m[place] = batch.value[b, t, c], batch.risk[b, t, c], True
    return y, r, m


def start_from_moments(model: GaussianModel, batches: Sequence[Batch], window: float, day: float, count: int) -> None:
    """Set periods, shares and the white part of a model, in place.

    Parameters
    ----------
    model
        As constructed.
    batches
        Windows to take moments of.
    window, day
        Length of a window and of a day in steps, 0 for no calendar.
    count
        Measurements behind the windows; of few, the moments say little, and the usual shares are kept.
    """
    found = variogram(batches, int(window), model.correlation)
    periods = np.geomspace(2.5, 1.5 * window, CANDIDATES)
    periods = np.sort(np.append(periods, [p for p in (day, day / 2) if 2.5 < p < 1.5 * window]))
    chosen = peaks(periods, _shares(model, found, periods, window)[-len(periods) :], model.cosines)
    white, *share = _shares(model, found, chosen, window)
    trust = count / (count + FEW)
    usual = model.log_own.detach().exp().mean(1).numpy()  # as constructed
    share = trust * np.array(share).clip(SMALLEST_SHARE) + (1 - trust) * usual / usual.sum()
    within = found.within**trust  # of few measurements nearly 1, the variance of a scaled variable
    share, white = share[:, None] * within, trust * max(white, SMALLEST_SHARE) * within
    with torch.no_grad():
        model.log_period.copy_(torch.tensor(chosen).log())
        own = torch.tensor(share)
        model.log_own.copy_((0.8 * own).log())
        model.loading.copy_(torch.sign(model.loading) * (0.2 * own / model.loading.shape[-1]).sqrt()[..., None])
        model.log_white.copy_(torch.tensor(white).clamp_min(1e-6).log())


def _shares(model: GaussianModel, found: Variogram, periods: Floats, window: float) -> Floats:
    """Shares of the white part, the model's exponentials and Materns, and seasons of these periods."""
    lag = torch.arange(len(found.gamma), dtype=torch.float64)
    plain = model.correlations(lag).detach().numpy()[: model.exponentials + model.materns]
    damped = np.exp(-lag.numpy() / (4 * window))
    waves = damped * np.cos(2 * math.pi * lag.numpy() / periods[:, None])
    columns = 1 - np.concatenate([np.eye(1, len(lag)), plain, waves]).T
    columns = np.concatenate([columns, np.ones((1, columns.shape[1]))])  # the last row: shares add up to the variance
    # the median: a channel that hardly moves within windows has a huge ratio
    total = float(np.median(found.variance / found.within))
    weight = np.append(found.weight, math.sqrt(len(lag)) / total)
    share: Floats = nnls(columns * weight[:, None], np.append(found.gamma, total) * weight)[0]
    return share


def peaks(periods: Floats, weight: Floats, count: int) -> Floats:
    """Return the heaviest `count` periods, each the mean of its neighbours within a tenth by their weights."""
    left = weight.copy()
    chosen: list[float] = []
    for _ in range(count):
        top = int(left.argmax()) if left.max() > 0 else int(len(periods) * (len(chosen) + 0.5) / count)
        near: NDArray[np.bool_] = np.abs(np.log(periods / periods[top])) < 0.1
        mass = left[near].sum()
        chosen.append(float((left[near] * periods[near]).sum() / mass) if mass > 0 else float(periods[top]))
        left[near] = 0.0
    return np.array(chosen)
