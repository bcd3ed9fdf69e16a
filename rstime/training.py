"""The training loop: AdamW, warm-up and decay, moving average, validation, a budget, checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rstime.consistency import consistency
from rstime.denoiser import Denoiser
from rstime.errors import ModelFileError
from rstime.examples import Example, example_loss
from rstime.network.transformer import Transformer
from rstime.storage import present, read_config, read_tensors, write_folder

PARTS = ("now", "average", "best", "adam")

SHORT = 60
"""Characters of a setting below which an error shows it."""


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Attributes
    ----------
    batch
        Windows a step; 0 (chosen when fitting) for as many as hold about 4096 measurements, 8 to 96.
    learning_rate, warmup, weight_decay, clip
        AdamW, linear warm-up in steps, largest gradient norm.
    ema
        Decay of the moving average of the weights, which is what is kept; less in the first steps.
    isolated
        Share of steps in which hidden entries do not see each other (the exact-marginal mode).
    patterns
        Weights of the mask patterns random, block, channel, horizon.
    validations, validation_batches
        Number of validations in a run, and of batches in each.
    patience
        Validations without improvement before stopping early; 0 for never.
    consistency
        Weight of the consistency loss, by which levels below the smallest training risk are learned from those above;
        0 for none.
    teach_from
        An entry of risk r teaches from the level `teach_from` r on: more than 1 where risks may be understated.
    outliers
        An input farther than this many sd from what the others say of it teaches nothing; 0 for no such test.
    """

    batch: int = 0
    learning_rate: float = 4e-3
    warmup: int = 100
    weight_decay: float = 1e-2
    clip: float = 1.0
    ema: float = 0.999
    isolated: float = 0.5
    patterns: tuple[float, float, float, float] = (0.55, 0.15, 0.15, 0.15)
    validations: int = 20
    validation_batches: int = 8
    patience: int = 6
    consistency: float = 0.0
    teach_from: float = 1.0
    outliers: float = 0.0


@dataclass
class Run:
    """What training reached.

    Attributes
    ----------
    steps
        Steps taken.
    planned
        Steps planned; --steps with this number replays the run, unless it was interrupted.
    history
        One row a validation: step, training loss, held-out loss (1 is what the prior expects of itself). The first is
        the prior's, with 1 in the place of a training loss.
    best
        Lowest held-out loss.
    interrupted
        Whether it was stopped by Ctrl-C.
    """

    steps: int = 0
    planned: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float = math.inf
    interrupted: bool = False


class Average:
    """Exponential moving average of a network's weights, faster while young."""

    def __init__(self, network: Transformer, decay: float):
        self.network = copy.deepcopy(network).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards the network's present weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for kept, new in zip(self.network.parameters(), network.parameters(), strict=True):
            kept.lerp_(new, 1 - decay)


def learning_rate(step: int, steps: int, config: TrainingConfig) -> float:
    """Return the factor on the learning rate: linear warm-up, then a cosine to 0 over the rest."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    return 0.5 * (1 + math.cos(math.pi * (step - config.warmup) / max(steps - config.warmup, 1)))


def prefetch(make: Callable[[int], Example], first: int) -> Generator[Example, None, None]:
    """Make examples one step ahead, in another thread; endless."""
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(make, first)
        while True:
            example = ahead.result()
            first += 1
            ahead = pool.submit(make, first)
            yield example


class Trainer:
    """Trains the network of a denoiser in place, leaving the best moving average in it.

    Parameters
    ----------
    denoiser
        Prior and network.
    make
        Step -> example; must depend on the step alone, so that a run can be resumed and replayed.
    validation
        Held-out, noisy examples: the weighted error is a proper score of D and needs no clean data.
    config
        How to train.
    checkpoint
        Folder for resuming, written at every validation; None to keep nothing.
    identity
        Names settings and data, each with a text; a checkpoint of another identity is refused.
    report
        Called with the run and the recent training loss at every step.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        make: Callable[[int], Example],
        validation: list[Example],
        config: TrainingConfig,
        checkpoint: Path | None = None,
        identity: Mapping[str, str] | None = None,
        report: Callable[[Run, float], None] = lambda run, loss: None,
    ):
        assert denoiser.network is not None
        self.denoiser, self.make, self.validation, self.config = denoiser, make, validation, config
        self.checkpoint, self.identity, self.report = checkpoint, dict(identity or {}), report
        self.average = Average(denoiser.network, config.ema)
        self.best = copy.deepcopy(self.average.network.state_dict())
        self.optimiser = torch.optim.AdamW(
            denoiser.network.parameters(), config.learning_rate, (0.9, 0.99), weight_decay=config.weight_decay
        )
        self.run = Run()

    def train(self, steps: int | None, minutes: float) -> Run:
        """Train for a number of steps, or for as many as fit in the minutes; Ctrl-C keeps the best so far.

        With minutes, the number of steps is planned once, at the end of the warm-up, from the speed until then; a run
        that is resumed keeps its plan. A network that never beats the prior is left as it was at the start.

        Raises
        ------
        ModelFileError
            If the checkpoint is damaged, or of other data or settings.
        """
        config, network = self.config, self.denoiser.network
        assert network is not None
        self.run.planned = steps or 0
        self.resume()
        run = self.run
        if not run.history:
            self.validate(1.0)
        began, first, recent = time.monotonic(), run.steps, run.history[-1]["loss"]
        network.train()
        examples = prefetch(self.make, first)
        try:
            while not self.finished():
                example = next(examples)
                if not run.planned and run.steps - first >= config.warmup:
                    pace = (time.monotonic() - began) / (run.steps - first)
                    run.planned = max(config.warmup + 1, int(minutes * 60 / pace))
                loss = self.step(example, learning_rate(run.steps, run.planned or config.warmup + 1, config))
                recent += (loss - recent) / min(run.steps + 1, 100)
                run.steps += 1
                if self.due():
                    self.validate(recent)
                self.report(run, recent)
        except KeyboardInterrupt:
            run.planned, run.interrupted = run.steps, True
        finally:
            examples.close()
        network.load_state_dict(self.best)
        network.eval().requires_grad_(False)
        return run

    def step(self, example: Example, factor: float) -> float:
        """Take one step of AdamW and of the moving average; return the loss."""
        network = self.denoiser.network
        assert network is not None
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * factor
        loss = self.loss(example)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), self.config.clip)
        self.optimiser.step()
        self.average.update(network, self.run.steps)
        return float(loss.detach())

    def loss(self, example: Example) -> Tensor:
        """Return the risk-sensitive loss of an example, and the consistency loss where it is asked for."""
        loss = example_loss(self.denoiser, example)
        if not self.config.consistency:
            return loss
        generator = torch.Generator().manual_seed(self.run.steps)
        return loss + self.config.consistency * consistency(self.denoiser, example, generator)

    def validate(self, loss: float) -> None:
        """Score the moving average on the held-out examples; keep it if it is the best, and write the checkpoint.

        The first score is the prior's: a network that never beats it is not used.
        """
        denoiser = Denoiser(self.denoiser.prior, self.average.network)
        with torch.no_grad():
            score = sum(float(example_loss(denoiser, x)) for x in self.validation) / max(len(self.validation), 1)
        self.run.history.append({"step": self.run.steps, "loss": loss, "held_out": score})
        if score < self.run.best:
            self.run.best, self.best = score, copy.deepcopy(self.average.network.state_dict())
        self.save()

    def due(self) -> bool:
        """Whether to validate: at the end, and at even distances after the warm-up (before, a plan may be lacking)."""
        run, every = self.run, max(self.run.planned // self.config.validations, 1)
        return 0 < run.planned <= run.steps or (run.steps > self.config.warmup and run.steps % every == 0)

    def finished(self) -> bool:
        """Whether the steps planned are taken, or nothing is to be gained from more."""
        return 0 < self.run.planned <= self.run.steps or self.stale()

    def stale(self) -> bool:
        """Whether the last `patience` validations brought nothing."""
        scores = [row["held_out"] for row in self.run.history]
        wait = self.config.patience
        return wait > 0 and len(scores) > wait and min(scores[-wait:]) > self.run.best

    # ---- checkpoints ---------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Return all that a run needs to go on, by name."""
        network = self.denoiser.network
        assert network is not None
        state: dict[str, Tensor] = {}
        parts = (network.state_dict(), self.average.network.state_dict(), self.best)
        for name, part in zip(PARTS, parts, strict=False):
            state |= {f"{name}/{key}": value for key, value in part.items()}
        for i, values in self.optimiser.state_dict()["state"].items():
            state |= {f"adam/{i}/{key}": torch.as_tensor(value) for key, value in values.items()}
        return state

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        if self.checkpoint is not None:
            write_folder(self.checkpoint, self.tensors(), {"run": asdict(self.run), "identity": self.identity})

    def _differing(self, found: Any) -> str:
        """Say what is the first to differ from the identity of a checkpoint, and how if that is short."""
        there = found if isinstance(found, dict) else {}
        for name, text in self.identity.items():
            if there.get(name) != text:
                other = str(there.get(name))
                return f"{name}, {other} there and {text} here" if max(len(text), len(other)) < SHORT else name
        return "another version"

    def resume(self) -> None:
        """Go on from the checkpoint if there is one.

        Raises
        ------
        ModelFileError
            If it is damaged, or of other data or settings.
        """
        if self.checkpoint is None or not present(self.checkpoint):
            return
        config = read_config(self.checkpoint)
        if config.get("identity") != self.identity:
            raise ModelFileError(
                "checkpoint",
                f"{self.checkpoint} belongs to other data or settings: {self._differing(config.get('identity'))}",
                "Delete it to start afresh, or give the data and settings it was made with.",
            )
        planned = self.run.planned
        self.run = Run(**config["run"])
        self.run.planned = planned or self.run.planned
        state = read_tensors(self.checkpoint)
        part = {
            name: {k.removeprefix(f"{name}/"): v for k, v in state.items() if k.startswith(f"{name}/")}
            for name in PARTS
        }
        assert self.denoiser.network is not None
        self.denoiser.network.load_state_dict(part["now"])
        self.average.network.load_state_dict(part["average"])
        self.best = part["best"]
        adam: dict[int, dict[str, Tensor]] = {}
        for name, value in part["adam"].items():
            index, key = name.split("/")
            adam.setdefault(int(index), {})[key] = value
        groups = self.optimiser.state_dict()["param_groups"]
        self.optimiser.load_state_dict({"state": adam, "param_groups": groups})
