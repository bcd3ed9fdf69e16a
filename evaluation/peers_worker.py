"""Runs a model of PyPOTS in its own environment: `python peers_worker.py FOLDER`, with files in and out.

FOLDER holds task.json (model, minutes, samples, seed), train.npy and test.npy (N, steps, features; NaN is missing). It
writes answer.npy (samples, N, steps, features) and answer.json (epochs, seconds, versions). Imports nothing of rstime.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def model(name: str, steps: int, features: int, epochs: int) -> Any:
    """Return a fresh model of PyPOTS, in sizes near those of its papers' smaller settings."""
    from pypots import imputation

    shared = {"n_steps": steps, "n_features": features, "epochs": epochs, "verbose": False}
    if name == "saits":
        sizes = {"n_layers": 2, "d_model": 64, "n_heads": 4, "d_k": 16, "d_v": 16, "d_ffn": 128}
        return imputation.SAITS(**shared, **sizes)
    if name == "brits":
        return imputation.BRITS(**shared, rnn_hidden_size=64)
    sizes = {"n_layers": 4, "n_heads": 8, "n_channels": 64}
    embeddings = {"d_time_embedding": 128, "d_feature_embedding": 16, "d_diffusion_embedding": 128}
    return imputation.CSDI(**shared, **sizes, **embeddings)


def main(folder: Path) -> None:
    """Time one epoch, train for as many as fit into the minutes, and impute."""
    import torch

    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    train, test = (np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("train", "test"))
    np.random.seed(task["seed"])  # noqa: NPY002
    torch.manual_seed(task["seed"])
    steps, features = train.shape[1], train.shape[2]
    trial = model(task["model"], steps, features, 1)  # imports what is slow to import
    began = time.perf_counter()
    trial.fit({"X": train})
    one = time.perf_counter() - began
    epochs = max(int((60 * task["minutes"] - one) / one), 1)
    fitted = model(task["model"], steps, features, epochs)
    fitted.fit({"X": train})
    trained = time.perf_counter() - began
    options = {"n_sampling_times": task["samples"]} if task["model"] == "csdi" else {}
    answer = np.asarray(fitted.predict({"X": test}, **options)["imputation"], dtype=np.float64)
    answer = answer.reshape(len(test), -1, *test.shape[1:]).swapaxes(0, 1)
    np.save(folder / "answer.npy", answer, allow_pickle=False)
    said = {"epochs": epochs, "seconds": trained, "pypots": version("pypots"), "torch": str(torch.__version__)}
    (folder / "answer.json").write_text(json.dumps(said), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
