"""Any data set of the GluonTS repository by its name, as series (pip install "rstime[gluonts]").

Names, sources and terms are GluonTS's own (`gluonts.dataset.repository`); it fetches and keeps the files itself,
without digests. The test part repeats the train part and goes on by the time to be forecast, once or in
rolling windows.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rstime.datasets.exact import exact
from rstime.errors import ConfigError, DatasetNotFoundError
from rstime.types import Series


def load(name: str, root: str | Path | None = None, part: str = "train") -> list[Series]:
    """Load one Series an item with the variable `target`; risk 0 where there is a value, for want of a figure.

    Real static features become static numbers, real dynamic ones known covariates; categories are left out.

    Parameters
    ----------
    name
        A name of the repository, such as "m4_hourly".
    root
        Folder in which GluonTS keeps its data sets, one folder each; its own by default, where it fetches what is not
        there unless RSTIME_OFFLINE is set.
    part
        "train" or "test".

    Raises
    ------
    ConfigError
        If GluonTS is not installed or has no such name, or there is no such part.
    DatasetNotFoundError
        If the data set is not there and is not fetched.
    """
    if part not in ("train", "test"):
        raise ConfigError("part", f"{part!r}", "Use train or test.")
    try:
        from gluonts.dataset.repository import get_dataset
        from gluonts.dataset.repository.datasets import dataset_recipes, default_dataset_path
    except ImportError as error:
        raise ConfigError("gluonts", f"not installed ({error})", 'Run: pip install "rstime[gluonts]".') from error
    if name not in dataset_recipes:
        near = get_close_matches(name, dataset_recipes, n=3, cutoff=0.5) or sorted(dataset_recipes)
        raise ConfigError("data set", f"GluonTS has none called {name!r}", f"Did you mean {', '.join(near)}?")
    folder = Path(default_dataset_path if root is None else root).expanduser()
    if not (folder / name / "metadata.json").is_file() and (root is not None or os.environ.get("RSTIME_OFFLINE")):
        remedy = "Load it once without `root` and without RSTIME_OFFLINE: GluonTS then fetches it."
        raise DatasetNotFoundError(name, f"not found at {folder / name}", remedy)
    chosen = getattr(get_dataset(name, path=folder), part)
    return [_series(entry, str(entry.get("item_id", index))) for index, entry in enumerate(chosen)]


def _series(entry: Mapping[str, Any], name: str) -> Series:
    value = np.asarray(entry["target"], dtype=np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # pandas will drop periods of business days, which GluonTS uses
        time = pd.period_range(entry["start"], periods=len(value)).to_timestamp()
    static = np.asarray(entry.get("feat_static_real", ()), dtype=np.float64)
    known = np.asarray(entry.get("feat_dynamic_real", np.empty((0, len(value)))), dtype=np.float64)[:, : len(value)]
    return exact(
        name,
        time.to_numpy("datetime64[ns]"),
        ("target",),
        value[:, None],
        static=static,
        static_names=tuple(f"static_real_{index}" for index in range(len(static))),
        known=known.T,
        known_names=tuple(f"dynamic_real_{index}" for index in range(len(known))),
    )
