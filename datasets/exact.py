"""Series of data sets that say nothing about noise: every value is taken as it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rstime.types import Floats, Series


def exact(item_id: str, time: NDArray[Any], variables: tuple[str, ...], value: Floats, **others: Any) -> Series:
    """Return a Series whose risk is 0 where there is a value and inf where there is none.

    Risk 0 says that no figure for the noise comes with the data, not that there is no noise.

    Parameters
    ----------
    item_id, time, variables
        As in `Series`.
    value
        (T, C) values, NaN where missing.
    others
        Further fields of `Series`.
    """
    return Series(item_id, time, variables, value, np.where(np.isnan(value), np.inf, 0.0), **others)
