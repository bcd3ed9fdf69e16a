"""What kind of model to fit."""

from __future__ import annotations

from dataclasses import dataclass

from rstime.errors import ConfigError
from rstime.network.transformer import SIZES


@dataclass(frozen=True)
class ModelConfig:
    """What kind of model to fit.

    Attributes
    ----------
    model
        "diffusion", or "gaussian" for the Gaussian model alone: fast, and the baseline to beat.
    size
        "tiny", "small" or "base" network.
    prior
        "gaussian" preconditions the network by the fitted Gaussian model, "white" by EDM's scalars.
    window
        Length of the windows in steps: context and horizon together.
    grid
        Bins of time ("1h"), or None to leave stamps as they are.
    """

    model: str = "diffusion"
    size: str = "small"
    prior: str = "gaussian"
    window: float = 48.0
    grid: str | float | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("model", self.model, ("diffusion", "gaussian")),
            ("size", self.size, tuple(SIZES)),
            ("prior", self.prior, ("gaussian", "white")),
        ):
            if value not in known:
                raise ConfigError(name, f"{value!r} is unknown", f"Choose one of {', '.join(known)}.")
        if not self.window >= 2:
            raise ConfigError("window", f"{self.window} steps", "A window needs at least 2 steps.")
