"""What training can support: the smallest risk of each variable that enough measurements have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rstime.windows import Item

SHARE, COUNT = 0.05, 20  # "enough": this share of a variable's measurements, and this many


def smallest_risks(items: Sequence[Item], channels: int) -> tuple[Tensor, list[int]]:
    """Return the smallest supported risk of each channel in sd, (C,), and its number of measurements.

    An entry of risk r teaches only at levels above r (theory 4), so a channel is supported down to the risk that
    enough of its entries have. A channel without measurements asks for nothing: its risk is 0 and its count too.
    """
    smallest, counts = torch.zeros(channels), []
    for c in range(channels):
        risks = np.concatenate([x.risk[:, c][np.isfinite(x.risk[:, c])] for x in items])
        counts.append(len(risks))
        if len(risks):
            rank = min(max(int(SHARE * len(risks)), COUNT), len(risks)) - 1
            smallest[c] = float(np.partition(risks, rank)[rank])
    return smallest, counts


def read_support(smallest: Sequence[float], channels: int) -> Tensor:
    """Return saved smallest risks, (C,), after a check.

    Raises
    ------
    ValueError
        If they are not one finite, non-negative number a channel.
    """
    floor = torch.tensor(smallest, dtype=torch.float32)
    if floor.shape != (channels,) or not bool(torch.isfinite(floor).all()) or bool((floor < 0).any()):
        raise ValueError(f"smallest risks {smallest} of {channels} variables")
    return floor
