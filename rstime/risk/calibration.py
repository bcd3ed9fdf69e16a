"""Claimed risk corrected by residual pairs: a spread for all, a scale per bin, bias between devices.

Beside it: `line.py` (raw sensor to reference), `quality.py` (quality index to sd), `adaptive.py` (drift),
`conformal.py` (intervals without a law), `coverage.py` (is it right?), `replicates.py` (without a reference).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError
from rstime.risk.checks import FEWEST, half_width, pairs, ranked, robust_sd
from rstime.risk.coverage import groups
from rstime.types import Floats

Match = Literal["sd", "central", "robust"]


def spread(residual: ArrayLike, match: Match = "sd", level: float = 0.9) -> float:
    """Return one standard deviation for residuals whose bias was taken off, in their units.

    For Gaussian errors all three agree. With heavy tails they do not, and the purpose chooses:

    - "sd", the root mean square, is right for *fusion*: of all weights of a linear update, that of the true variance
      has the smallest squared error, whatever the law. Its 90 % intervals hold more than 90 %.
    - "central" is the Gaussian whose central interval of `level` holds that share: right for *intervals* at `level`.
    - "robust" (Huber's scale) is right where the tails are mistakes that are dropped before fusion.

    Parameters
    ----------
    residual
        (n,) reading minus reference.
    match
        What is matched.
    level
        Share that "central" matches, with the finite-sample rank of `rstime.risk.conformal.conformal`.

    Raises
    ------
    ConfigError
        If `match` is none of these or the level is outside (0, 1).
    DataError
        If there are fewer than 20 pairs, too few for the level, or numbers are not finite.
    """
    (error,) = pairs(residual=residual)
    if match == "central":
        return ranked(np.abs(error), level) / half_width(level)
    if match == "robust":
        return robust_sd(error)
    if match != "sd":
        raise ConfigError("match", f"{match!r}", 'Use "sd", "central" or "robust".')
    return float(np.sqrt(np.mean(error**2)))


@dataclass(frozen=True)
class Recalibration:
    """Claimed risk to risk: sd * scale, the scale interpolated in log against log sd between the centres of bins.

    Attributes
    ----------
    claimed
        Centre of each bin of claimed sd (geometric mean), rising, in the units of the reading.
    scale
        What to multiply the claim by there.
    bias
        To be taken off the readings, in their units.
    """

    claimed: tuple[float, ...]
    scale: tuple[float, ...]
    bias: float

    def sd(self, claimed: ArrayLike) -> Floats:
        """Return the corrected risk of each claimed one, of the same shape; 0 stays 0 and inf stays inf.

        Raises
        ------
        DataError
            If a claim is negative or NaN.
        """
        given = np.asarray(claimed, dtype=np.float64)
        if not np.all(given >= 0):
            raise DataError("sd", f"{given[~(given >= 0)].flat[0]}", "A claimed standard deviation is not negative.")
        with np.errstate(divide="ignore"):
            position = np.log(given)
        return np.asarray(given * np.exp(np.interp(position, np.log(self.claimed), np.log(self.scale))))

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Recalibration:
        """Return the recalibration that `to_dict` wrote."""
        return cls(tuple(stored["claimed"]), tuple(stored["scale"]), stored["bias"])


def recalibrate(
    residual: ArrayLike,
    sd: ArrayLike,
    bins: int = 5,
    *,
    match: Match = "sd",
    level: float = 0.9,
    bias: bool = False,
) -> Recalibration:
    """Learn one scale per bin of claimed risk: the `spread` of residual / sd there.

    Whether larger claims go with larger errors at all is what `rstime.risk.quality.fit_quality` tests, with the claim
    as the quality.

    Parameters
    ----------
    residual
        (n,) reading minus reference.
    sd
        (n,) claimed risk.
    bins
        Bins of equal count; as many as have 20 pairs each, at most this number.
    match, level
        As in `spread`.
    bias
        Take the mean residual, weighted by 1 / sd^2, off first and return it.

    Raises
    ------
    ConfigError
        If there is no bin, or `match` or `level` is wrong.
    DataError
        If there are fewer than 20 pairs, numbers are not finite, an sd is not positive, or a bin has residuals of 0
        only.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> claimed = rng.uniform(1, 2, 2000)
    >>> found = recalibrate(3 * claimed * rng.normal(size=2000), claimed, bins=1)
    >>> found.sd([1.0, 2.0]).round().tolist()
    [3.0, 6.0]
    """
    if bins < 1:
        raise ConfigError("bins", f"{bins}", "Give at least one bin.")
    error, claimed = pairs(residual=residual, sd=sd)
    shift = float(np.average(error, weights=claimed**-2)) if bias else 0.0
    score = (error - shift) / claimed
    chosen = _merged(groups(claimed, min(bins, error.size // FEWEST)))
    scale = tuple(spread(score[index], match, level) for index in chosen)
    if not min(scale) > 0:
        raise DataError("residual", "all 0 in a bin of claimed sd", "Give pairs that disagree, or use fewer bins.")
    centre = tuple(float(np.exp(np.log(claimed[index]).mean())) for index in chosen)
    return Recalibration(centre, scale, shift)


@dataclass(frozen=True)
class Components:
    """A residual's spread, taken apart by device (person, session): in the units of the residual.

    Attributes
    ----------
    bias
        Mean residual over devices.
    between
        Standard deviation of the devices' own biases.
    within
        Standard deviation of the noise around them: the risk once each device's bias is removed.
    """

    bias: float
    between: float
    within: float


def components(residual: ArrayLike, device: ArrayLike) -> Components:
    """Take the part of the error that stays within a device apart from its noise (analysis of variance by moments).

    between^2 = (mean square between - within^2) / n0 with n0 the effective number of pairs a device (Searle, Casella
    and McCulloch 1992, ch. 3). A device's own bias repeats from reading to reading and is not noise (theory 6): the
    mean of its readings keeps it, and a risk that holds it is too wide for differences and too narrow for means.

    Parameters
    ----------
    residual
        (n,) reading minus reference.
    device
        (n,) which device, person or session each pair is from.

    Raises
    ------
    DataError
        If there are fewer than 20 pairs, numbers are not finite, or no two devices with one of them twice.
    """
    (error,) = pairs(residual=residual)
    names, member = np.unique(np.asarray(device), return_inverse=True)
    if member.shape != error.shape or len(names) < 2 or len(names) == error.size:
        raise DataError(
            "device", f"{len(names)} devices in {member.size} rows", "Give two or more, with several pairs."
        )
    count = np.bincount(member)
    mean = np.bincount(member, error) / count
    within = float(((error - mean[member]) ** 2).sum()) / (error.size - len(names))
    square = float((count * (mean - error.mean()) ** 2).sum()) / (len(names) - 1)
    effective = (error.size - (count**2).sum() / error.size) / (len(names) - 1)
    between = max((square - within) / effective, 0.0)
    bias = float(np.average(mean, weights=1 / (between + within / count))) if within > 0 else float(mean.mean())
    return Components(bias, float(np.sqrt(between)), float(np.sqrt(within)))


def _merged(chosen: list[np.ndarray]) -> list[np.ndarray]:
    """Return the groups with those of fewer than `FEWEST` pairs joined to a neighbour."""
    joined: list[np.ndarray] = []
    for index in chosen:
        if joined and (joined[-1].size < FEWEST or index.size < FEWEST):
            joined[-1] = np.concatenate([joined[-1], index])
        else:
            joined.append(index)
    return joined
