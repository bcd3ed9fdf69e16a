"""Runs a model of PyPOTS in its own environment: `python peers_worker.py FOLDER`, with files in and out.

FOLDER holds task.json (model, seconds, samples, seed, threads) and train, chosen, whole and test .npy (N, steps,
features; NaN is missing): `whole` is what epochs are chosen by, `chosen` the same with readings hidden. It writes
answer.npy (samples, N, steps, features) and facts.json. Imports nothing of rstime.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 32
EPOCHS = 10**9
"""More than can be: time ends the training."""


@dataclass
class Budget:
    """Time to train, as a learning rate schedule of PyPOTS, which calls it after each step.

    The rate falls to a tenth after 75 % of the time and to a hundredth after 90 %, as CSDI's does by epochs (Tashiro et
    al. 2021, appendix E). When the time is over an interrupt ends the training. PyPOTS then takes its best whole epoch;
    therefore the first one always goes to its end.

    Attributes
    ----------
    seconds, batches
        Time there is, and steps of an epoch.
    began, steps
        Time at the start, and steps done since.
    """

    seconds: float
    batches: int
    began: float = 0.0
    steps: int = 0

    def start(self) -> None:
        """Begin to count."""
        self.began, self.steps = time.perf_counter(), 0

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.began

    def __call__(self, _: int) -> float:
        """Return the factor of the learning rate after one more step.

        Raises
        ------
        KeyboardInterrupt
            When the time is over and the first epoch has ended.
        """
        self.steps += 1
        share = self.spent / self.seconds
        if share >= 1 and self.steps > self.batches:
            raise KeyboardInterrupt
        return 1.0 if share < 0.75 else 0.1 if share < 0.9 else 0.01

    @property
    def epochs(self) -> int:
        """Whole epochs, those that count: the last step was in one that was broken off."""
        return max(self.steps - 1, 0) // self.batches


def affordable(windows: int, batch_seconds: float, seconds: float) -> int:
    """Return of how many windows an epoch takes at most the time there is: all, or whole batches."""
    return min(windows, max(int(seconds / batch_seconds), 1) * BATCH)


def model(name: str, steps: int, features: int, budget: Budget, epochs: int = EPOCHS) -> Any:
    """Return a fresh model of PyPOTS: SAITS and BRITS of 64 units, CSDI in the size of its paper."""
    from pypots import imputation
    from pypots.optim import Adam
    from pypots.optim.lr_scheduler import LambdaLR

    shared = {"n_steps": steps, "n_features": features, "batch_size": BATCH, "epochs": epochs, "verbose": False}
    shared["optimizer"] = Adam(lr=1e-3, lr_scheduler=LambdaLR(budget))
    if name == "saits":
        sizes = {"n_layers": 2, "d_model": 64, "n_heads": 4, "d_k": 16, "d_v": 16, "d_ffn": 128}
        return imputation.SAITS(**shared, **sizes)
    if name == "brits":
        return imputation.BRITS(**shared, rnn_hidden_size=64)

    class LastCSDI(imputation.CSDI):  # type: ignore[misc]
        """CSDI as it is when training ends, as in its authors' code: one epoch's loss at random levels is no choice."""

        def _train_model(self, *loaders: Any) -> None:
            super()._train_model(*loaders)
            self.best_model_dict = self.model.state_dict()

    sizes = {"n_layers": 4, "n_heads": 8, "n_channels": 64}
    embeddings = {"d_time_embedding": 128, "d_feature_embedding": 16, "d_diffusion_embedding": 128}
    return LastCSDI(**shared, **sizes, **embeddings)


def train(task: dict[str, Any], parts: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Any:
    """Return a model trained for the seconds of the task on as many windows as an epoch can have; add the facts."""
    import torch

    name, whole = task["model"], parts["train"]
    steps, features = whole.shape[1:]
    order = np.random.default_rng(task["seed"]).permutation(len(whole))

    def sets(count: int) -> list[dict[str, NDArray[Any]]]:
        some = {"X": whole[order[:count]]}
        first = -(-len(parts["whole"]) * count // len(whole))
        # PyPOTS would ask CSDI at all its 50 levels in every epoch, which takes several times the training.
        chosen = {"X": parts["chosen"][:first], "X_ori": parts["whole"][:first]}
        return [some] if name == "csdi" or not first else [some, chosen]

    trial = Budget(float("inf"), 1)
    tried = model(name, steps, features, trial, epochs=1)
    for _ in range(2):  # the first one warms up
        trial.start()
        tried.fit(*sets(min(BATCH, len(whole))))
        one = trial.spent
    count = affordable(len(whole), one, task["seconds"])
    budget = Budget(task["seconds"], -(-count // BATCH))
    np.random.seed(task["seed"])  # noqa: NPY002
    torch.manual_seed(task["seed"])
    fitted = model(name, steps, features, budget)
    cpu = time.process_time()
    budget.start()
    fitted.fit(*sets(count))
    facts.update(fit_seconds=round(budget.spent, 2), fit_cpu_seconds=round(time.process_time() - cpu, 2))
    best = budget.epochs if name == "csdi" else fitted.best_epoch
    facts.update(epochs=budget.epochs, best_epoch=best, windows=count, windows_left_out=len(whole) - count)
    return fitted


def impute(fitted: Any, test: NDArray[Any], name: str, samples: int) -> NDArray[Any]:
    """Return (S, N, steps, features) answers: the model's own reconstruction of readings too, where it learns one.

    CSDI learns none (what it draws at given readings is not trained): its readings come back as they are.
    """
    found = fitted.predict({"X": test}, **({"n_sampling_times": samples} if name == "csdi" else {}))
    answer = np.asarray(found["imputation"], dtype=np.float64)
    if name != "csdi":
        answer = np.where(np.isnan(test), answer, np.asarray(found["reconstruction"]))
    return answer.reshape(len(test), -1, *test.shape[1:]).swapaxes(0, 1)


def main(folder: Path) -> None:
    """Train, impute, and say what it took."""
    import torch

    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    parts = {name: np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("train", "chosen", "whole", "test")}
    torch.set_num_threads(task["threads"])
    facts: dict[str, Any] = {"peer_versions": f"pypots {version('pypots')}, torch {torch.__version__}"}
    fitted = train(task, parts, facts)
    began = time.perf_counter()
    answer = impute(fitted, parts["test"], task["model"], task["samples"])
    facts["answer_seconds"] = round(time.perf_counter() - began, 2)
    np.save(folder / "answer.npy", answer, allow_pickle=False)
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
