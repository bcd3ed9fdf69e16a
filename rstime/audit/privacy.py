"""Whether generated windows lie closer to those learned from than to others of the same law."""

from __future__ import annotations

import numpy as np

from rstime.audit.fidelity import auc
from rstime.audit.windows import Windows
from rstime.types import Floats

PRIOR = 0.1
"""Share of a window whose entries count as those of two independent windows, so that a few readings are no likeness."""


def distances(one: Windows, two: Windows) -> Floats:
    """(n, m) root mean squared difference of windows over the entries that both have, by the product of the weights.

    A tenth of a window counts beside them as a squared difference of 2, that of independent values of variance 1.
    """
    (x, w), (y, v) = [(z.value.reshape(len(z), -1), z.weight.reshape(len(z), -1)) for z in (one, two)]
    square = np.maximum((w * x**2) @ v.T + w @ (v * y**2).T - 2 * (w * x) @ (v * y).T, 0)
    prior = PRIOR * x.shape[1]
    return np.asarray(np.sqrt((square + 2 * prior) / (w @ v.T + prior)))


def privacy(generated: Windows, train: Windows, holdout: Windows) -> dict[str, float]:
    """Return two scores that are .5 where nothing of the training windows but their law is known, and 1 for copies.

    `closest`: the share of generated windows whose closest real one is a training window, of as many as of others.
    `membership`: the chance that a training window is closer to its closest generated one than another real window is
    to its own; the area under the ROC curve of an attacker who tells members so. By chance both differ from .5, and
    alike for all generated windows, where the training windows are more usual or less than the others.
    """
    count = min(len(train), len(holdout))
    to_train, to_holdout = (distances(generated, real.rows(np.arange(count))) for real in (train, holdout))
    near, far = to_train.min(1), to_holdout.min(1)
    return {
        "closest": float(np.mean((near < far) + 0.5 * (near == far))),
        "membership": auc(-to_train.min(0), -to_holdout.min(0)),
    }
