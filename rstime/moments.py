"""A start for the Gaussian model: non-negative least squares on the autocovariance of noisy, incomplete windows.

The likelihood has a local maximum for every season it might mistake for another; the moments, which are linear in the
shares of the components, show which periods are there. Products of different entries are unbiased whatever their
noise; at lag 0 the mean of r^2 is subtracted (theory 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from torch import Tensor

from rstime.gaussian import GaussianModel
from rstime.types import Batch, Floats

CANDIDATES = 64  # periods tried
SMALLEST_SHARE = 3e-3
FEW = 200  # measurements at which moments and the usual shares weigh the same


def autocovariance(batches: Sequence[Batch], lags: int) -> tuple[Floats, Floats, Floats]:
    """Return the variance of each channel, (C,), and the mean autocorrelation by lag with the pairs behind it, (L,).

    Times are taken to the nearest step; entries with risk above twice the sd of the data are left out.
    """
    grids = [_on_grid(batch) for batch in batches]
    seen = torch.stack([m.sum((0, 1)) for _, _, m in grids]).sum(0).clamp_min(1)
    mean = torch.stack([(y * m).sum((0, 1)) for y, _, m in grids]).sum(0) / seen
    squares = [(((y - mean).square() - r.square()) * m).sum((0, 1)) for y, r, m in grids]
    power = torch.stack(squares).sum(0) / seen
    variance = power.clamp_min(0.05)
    total, pairs = torch.zeros(lags), torch.zeros(lags)
    for y, r, m in grids:
        z = (y - mean) * m / variance.sqrt()
        for lag in range(min(lags, z.shape[1])):
            late, early = slice(lag, None), slice(None, z.shape[1] - lag)
            noise = (r.square() / variance * m).sum() if lag == 0 else 0.0
            total[lag] += (z[:, late] * z[:, early]).sum() - noise
            pairs[lag] += (m[:, late] & m[:, early]).sum()
    correlation = (total / pairs.clamp_min(1)).numpy()
    return variance.double().numpy(), correlation.astype(np.float64), pairs.double().numpy()


def _on_grid(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Put measurements on whole steps, (B, L, C): values, risks and which there are."""
    step = batch.time.round().long().clamp_min(0)
    shape = (len(step), int(step.max()) + 1, batch.risk.shape[-1])
    use = torch.isfinite(batch.risk) & (batch.risk < 2)
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
    variance, correlation, pairs = autocovariance(batches, int(window))
    lag = torch.arange(len(correlation), dtype=torch.float64)
    plain = model.correlations(lag).detach().numpy()[: model.exponentials + model.materns]
    periods = np.geomspace(2.5, 1.5 * window, CANDIDATES)
    periods = np.sort(np.append(periods, [p for p in (day, day / 2) if 2.5 < p < 1.5 * window]))
    damped = np.exp(-lag.numpy() / (4 * window))
    waves = damped * np.cos(2 * math.pi * lag.numpy() / periods[:, None])
    columns = np.concatenate([np.eye(1, len(lag)), plain, waves]).T
    weight = np.sqrt(pairs / max(pairs.max(), 1.0))
    share, _ = nnls(columns * weight[:, None], correlation * weight)
    white, share, wave = share[0], share[1 : 1 + len(plain)], share[1 + len(plain) :]
    chosen, shares = peaks(periods, wave, model.cosines)
    trust = count / (count + FEW)
    usual = model.log_own.detach().exp().mean(1).numpy()  # as constructed
    share = trust * np.append(share, shares).clip(SMALLEST_SHARE) + (1 - trust) * usual / usual.sum()
    variance, white = trust * variance + (1 - trust), trust * white
    with torch.no_grad():
        model.log_period.copy_(torch.tensor(chosen).log())
        own = torch.tensor(share)[:, None] * torch.tensor(variance)
        model.log_own.copy_((0.8 * own).log())
        model.loading.copy_(torch.sign(model.loading) * (0.2 * own / model.loading.shape[-1]).sqrt()[..., None])
        model.log_white.copy_((torch.tensor(variance) * max(white, SMALLEST_SHARE)).log())


def peaks(periods: Floats, weight: Floats, count: int) -> tuple[Floats, Floats]:
    """Return the heaviest `count` periods and their weights, each with its neighbours within a tenth added."""
    left = weight.copy()
    chosen: list[float] = []
    shares: list[float] = []
    for _ in range(count):
        top = int(left.argmax()) if left.max() > 0 else int(len(periods) * (len(chosen) + 0.5) / count)
        near: NDArray[np.bool_] = np.abs(np.log(periods / periods[top])) < 0.1
        mass = left[near].sum()
        centre = float((left[near] * periods[near]).sum() / mass) if mass > 0 else float(periods[top])
        chosen.append(centre)
        shares.append(float(mass))
        left[near] = 0.0
    return np.array(chosen), np.array(shares)
