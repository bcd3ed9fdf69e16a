"""Training where the risks are not to be trusted: entries that teach at high levels only, or not at all (theory 6)."""

from __future__ import annotations

from torch import Tensor


def hold_back(risk: Tensor, tau: Tensor, k: float | Tensor) -> Tensor:
    """Return levels at which an entry teaches from k r only: below, it is held at r, where it teaches nothing.

    With true sd q and assumed r the target's mean is (1 - d) E[x | m] + d m, d = (q^2 - r^2) / (tau^2 + q^2 - r^2)
    (theory 6): from k r on, d is at most (f - 1) / (f - 1 + k^2) where q^2 = f r^2, .75 for k = 1 and f = 4, .43 for
    k = 2, .25 for k = 3.

    Parameters
    ----------
    risk, tau
        Scaled risks, inf where there is no entry, and levels of at least the risk.
    k
        At least 1, which changes nothing; one for all, or shaped to go with them.
    """
    return tau.where(~(tau < k * risk), risk)


def trusted(surprise: Tensor, bound: float) -> Tensor:
    """Return which entries teach: those whose input lies within `bound` sd of what the others say of it; 0 for all.

    The test is on m, so that what is learned at the inputs that pass is E[x | m] as before; a test on y would bias it.

    Parameters
    ----------
    surprise
        Standardised leave-one-out residual of each input (`Belief.surprise`).
    bound
        In sd of the residual.
    """
    return surprise.abs() <= bound if bound else surprise.isfinite()
