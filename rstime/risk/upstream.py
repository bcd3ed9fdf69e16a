"""Values that somebody imputed or smoothed before us: estimates, not measurements (theory 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from rstime.errors import ConfigError, DataError
from rstime.types import Floats


def undo_imputation(
    value: ArrayLike,
    sd: ArrayLike,
    imputed: ArrayLike,
    *,
    treatment: str,
    mean: ArrayLike | None = None,
    variance: ArrayLike | None = None,
) -> tuple[Floats, Floats]:
    """Turn estimates m of standard deviation r back into what they are worth as measurements.

    An estimate obeys x = m + e with e independent of m (Berkson), a measurement y = x + e. Taken for a measurement, the
    estimate counts the prior twice, and the variance comes out short by 2 r^2. So:

    - "missing": forget it, r = inf. Right for everything that was interpolated, filled or smoothed from other entries,
      which are in the table themselves.
    - "deshrink": 1/rho^2 = 1/r^2 - 1/P and y = mu + (m - mu) rho^2 / r^2. Only for an estimate made from that entry's
      own measurement alone, with the prior N(mu, P) that its maker used: it gives the measurement back. Of
      interpolated values it counts the neighbours twice (claimed sd .71 of the true one).

    Parameters
    ----------
    value, sd
        Values and their standard deviations, of one shape; NaN and inf where missing.
    imputed
        Which of them are estimates.
    treatment
        "missing" or "deshrink"; there is no default, so that nobody does either unknowingly.
    mean, variance
        mu and P, broadcast against `value`; for "deshrink".

    Returns
    -------
    value, sd
        Arrays of the same shape; NaN and inf where nothing is known.

    Raises
    ------
    ConfigError
        If the treatment is unknown, or "deshrink" has no prior.
    DataError
        If an estimate claims an sd that is not positive, or not below the prior's.

    Examples
    --------
    >>> y, r = undo_imputation([1.5, 2.0], [0.6, 0.1], [True, False], treatment="deshrink", mean=1.0, variance=1.0)
    >>> y.round(3).tolist(), r.round(3).tolist()
    ([1.781, 2.0], [0.75, 0.1])
    """
    m, r = np.broadcast_arrays(np.asarray(value, dtype=np.float64), np.asarray(sd, dtype=np.float64))
    chosen = np.broadcast_to(np.asarray(imputed, dtype=np.bool_), m.shape)
    if treatment == "missing":
        return np.where(chosen, np.nan, m), np.where(chosen, np.inf, r)
    if treatment != "deshrink":
        raise ConfigError("treatment", f"{treatment!r} is unknown", 'Choose "missing" or "deshrink".')
    if mean is None or variance is None:
        remedy = 'Give the mean and variance that the values were shrunk towards, or treatment="missing".'
        raise ConfigError("mean, variance", 'absent for treatment="deshrink"', remedy)
    mu, prior = (np.broadcast_to(np.asarray(x, dtype=np.float64), m.shape) for x in (mean, variance))
    wrong = chosen & ~((r > 0) & (r**2 < prior))
    if np.any(wrong):
        problem = f"{r[wrong][0]:g} of an estimate under a prior of sd {np.sqrt(prior[wrong][0]):g}"
        raise DataError("sd", problem, 'It has to lie between 0 and that of the prior; else use treatment="missing".')
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = 1 / np.sqrt(1 / r**2 - 1 / prior)
        y = mu + (m - mu) * (rho / r) ** 2
    return np.where(chosen, y, m), np.where(chosen, rho, r)
