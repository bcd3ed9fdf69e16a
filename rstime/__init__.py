"""rstime: calibrated samples of the clean signal behind noisy, incomplete time series."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rstime.errors import (
        ConfigError,
        DataError,
        DatasetNotFoundError,
        ModelFileError,
        NotFittedError,
        RstimeError,
        RstimeWarning,
    )
    from rstime.frame import Columns, answer, from_long, from_wide, future_rows, joint_samples, to_long
    from rstime.model import RiskDiffusion
    from rstime.transforms import suggest_transforms
    from rstime.types import Batch, Posterior, Series

__version__ = "0.1.0"

# Where each public name lives; its module is imported when the name is first asked for.
_HOME = {
    "Batch": "types",
    "Columns": "frame",
    "ConfigError": "errors",
    "DataError": "errors",
    "DatasetNotFoundError": "errors",
    "ModelFileError": "errors",
    "NotFittedError": "errors",
    "Posterior": "types",
    "RiskDiffusion": "model",
    "RstimeError": "errors",
    "RstimeWarning": "errors",
    "Series": "types",
    "answer": "frame",
    "from_long": "frame",
    "from_wide": "frame",
    "future_rows": "frame",
    "joint_samples": "frame",
    "suggest_transforms": "transforms",
    "to_long": "frame",
}

__all__ = [
    "Batch",
    "Columns",
    "ConfigError",
    "DataError",
    "DatasetNotFoundError",
    "ModelFileError",
    "NotFittedError",
    "Posterior",
    "RiskDiffusion",
    "RstimeError",
    "RstimeWarning",
    "Series",
    "__version__",
    "answer",
    "from_long",
    "from_wide",
    "future_rows",
    "joint_samples",
    "suggest_transforms",
    "to_long",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'rstime' has no attribute {name!r}")
    value = getattr(import_module(f"rstime.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
