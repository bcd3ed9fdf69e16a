"""Training of the network by a Lightning trainer, for its callbacks, loggers and strategies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch.nn import Module

from rstime.errors import ConfigError
from rstime.examples import Example
from rstime.training import Run, Trainer, learning_rate


def lightning_loop(batches: int, options: Mapping[str, Any]) -> Callable[[Trainer, int | None, float], Run]:
    """Return a loop for `rstime.RiskDiffusion.fit` that leaves the steps to `lightning.pytorch.Trainer`.

    Examples, optimiser, schedule, moving average and held-out score are those of our own loop; "train_loss" and
    "val_loss" are logged, and the best moving average is kept. `fit` has to be given the number of steps.

    Parameters
    ----------
    batches
        Steps an epoch.
    options
        Arguments of Lightning's trainer; it keeps no checkpoints unless asked to.

    Raises
    ------
    ConfigError
        By the loop, if it is given no number of steps, or a folder for our own checkpoints.
    """

    def loop(inner: Trainer, steps: int | None, minutes: float) -> Run:
        if steps is None:
            raise ConfigError("trainer_kwargs", "no number of steps", "Give max_epochs or max_steps.")
        if inner.checkpoint is not None:
            remedy = "Use Lightning's own checkpoints, or trainer='rstime'."
            raise ConfigError("ckpt_path", "given beside a Lightning trainer", remedy)
        import lightning.pytorch as pl

        network, device = inner.denoiser.network, inner.denoiser.device
        assert network is not None
        inner.run.planned = steps
        inner.validate(1.0)
        length = {} if "max_steps" in options else {"max_epochs": -(-steps // batches)}
        usual = {"enable_checkpointing": False, "logger": False, "gradient_clip_val": inner.config.clip}
        trainer = pl.Trainer(**{**usual, **length, "limit_train_batches": batches, **options})
        trainer.fit(_module(pl.LightningModule, inner, network), _Examples(inner.make))
        network.load_state_dict(inner.best)
        network.to(device).eval().requires_grad_(False)
        return inner.run

    return loop


class _Examples:
    """All examples of a run, one after another, over the epochs."""

    def __init__(self, make: Callable[[int], Example]) -> None:
        self.make, self.step = make, 0

    def __iter__(self) -> Iterator[Example]:
        while True:
            yield self.make(self.step)
            self.step += 1


def _module(base: type[Any], inner: Trainer, network: Module) -> Any:
    """Return our trainer as a LightningModule (the class is handed in, so that Lightning is imported when used)."""

    class Loop(base):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def training_step(self, example: Example, index: int) -> Any:
            loss = inner.loss(example)
            self.log("train_loss", loss.detach(), batch_size=1)
            return loss

        def on_train_batch_end(self, outputs: Any, example: Example, index: int) -> None:
            inner.average.update(network, inner.run.steps)
            inner.run.steps += 1
            if inner.due():
                inner.validate(float(outputs["loss"]))
                self.log("val_loss", inner.run.history[-1]["held_out"], batch_size=1)

        def configure_optimizers(self) -> Any:
            from torch.optim.lr_scheduler import LambdaLR

            rate = LambdaLR(inner.optimiser, lambda step: learning_rate(step, inner.run.planned, inner.config))
            return {"optimizer": inner.optimiser, "lr_scheduler": {"scheduler": rate, "interval": "step"}}

        def transfer_batch_to_device(self, batch: Example, device: Any, dataloader_idx: int) -> Example:
            return batch  # made where it is used

    return Loop()
