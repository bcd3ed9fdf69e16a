"""Progress on long work, on stderr."""

from __future__ import annotations

import math
import sys

from tqdm import tqdm

from rstime.training import Run


class Bar:
    """A progress bar with loss and time left."""

    def __init__(self, title: str, show: bool):
        self.bar = tqdm(desc=title, disable=not show, file=sys.stderr, unit="step", mininterval=1.0)

    def __call__(self, step: int, steps: int, score: float) -> None:
        """Show a step of the Gaussian model's fit."""
        self._move(step, steps, {"held-out nats": f"{score:.3f}"})

    def training(self, run: Run, loss: float) -> None:
        """Show a step of the network's training."""
        best = "" if math.isinf(run.best) else f"{run.best:.4f}"
        self._move(run.steps, run.planned, {"loss": f"{loss:.3f}", "held-out": best})

    def variables(self, done: int, total: int, name: str) -> None:
        """Show which variable is looked at."""
        self._move(done, total, {"variable": name})

    def _move(self, step: int, steps: int, told: dict[str, str]) -> None:
        if steps and self.bar.total != steps:
            self.bar.total = steps
        self.bar.set_postfix(told, refresh=False)
        self.bar.update(step - self.bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self.bar.close()
