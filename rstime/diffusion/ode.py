"""Ordinary differential equations with steps that their own error chooses."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

NODES = (0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
TABLE = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
"""The pair of orders 5 and 4 of Dormand and Prince 1980; ERROR is the difference of the two."""

FIRST, SHORTEST = 0.02, 1e-3  # steps, as shares of the way

Field = Callable[[float, Tensor], Tensor]


def integrate(field: Field, x: Tensor, start: float, stop: float, tolerance: float) -> Tensor:
    """Solve dx/dt = field(t, x) from x at `start` to `stop`.

    A step is taken where the root mean square over the last axis of error / (1 + |x|) is below the tolerance for
    every row, so that no row is less exact for its neighbours. Steps are never shorter than SHORTEST of the way, so
    that any field comes to an end.

    Parameters
    ----------
    field
        (t, x) -> dx/dt of the shape of x.
    x
        (..., N).
    start, stop
        Ends of the way, in either direction.
    tolerance
        Error of a step, relative to 1 + |x|.

    Examples
    --------
    >>> import torch
    >>> round(float(integrate(lambda t, x: -x, torch.ones(1, dtype=torch.float64), 0.0, 1.0, 1e-6)), 6)
    0.367879
    """
    length = stop - start
    done, step = 0.0, FIRST  # in shares of the way
    slope = field(start, x)
    while done < 1:
        step = min(max(step, SHORTEST), 1 - done)
        slopes = [slope]
        moved = x
        for node, row in zip(NODES[1:], TABLE[1:], strict=True):
            moved = x + step * length * _weighted(row, slopes)
            slopes.append(field(start + (done + node * step) * length, moved))
        scale = 1 + x.abs().maximum(moved.abs())
        error = step * abs(length) * float((_weighted(ERROR, slopes) / scale).square().mean(-1).sqrt().max())
        if error <= tolerance or step <= SHORTEST:
            done = 1.0 if step >= 1 - done else done + step
            x, slope = moved, slopes[-1]
        step *= min(max(0.9 * (tolerance / max(error, 1e-300)) ** 0.2, 0.2), 5.0)
    return x


def _weighted(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = total + weight * slope
    return total
