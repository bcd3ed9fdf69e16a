"""Forecasts of a fitted model in GluonTS's manner, and their files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from rstime.errors import ModelFileError
from rstime.gluonts_base import Predictor, SampleForecast
from rstime.gluonts_data import Layout
from rstime.gluonts_scale import ItemScale, units
from rstime.model import RiskDiffusion

CHUNK = 64
"""Items forecast at once."""

SETTINGS = "predictor.json"


class RiskDiffusionPredictor(Predictor):  # type: ignore[misc]  # GluonTS has no types
    """Forecasts of a fitted model as GluonTS's SampleForecast; made by `RiskDiffusionEstimator.train`.

    Parameters
    ----------
    model
        Fitted to items scaled by `scale`.
    layout
        What entries hold.
    prediction_length, context_length
        Steps ahead and behind.
    scale
        How items are scaled; None for not at all.
    seed
        What the noise of samples is drawn from.
    """

    def __init__(
        self,
        model: RiskDiffusion,
        layout: Layout,
        prediction_length: int,
        context_length: int,
        scale: ItemScale | None,
        seed: int = 0,
    ) -> None:
        super().__init__(prediction_length)
        self.model, self.layout, self.scale = model, layout, scale
        self.context_length, self.seed = context_length, seed

    def predict(self, dataset: Any, num_samples: int | None = None) -> Iterator[Any]:
        """Yield one SampleForecast an entry, of (S, T) or (S, T, C) joint samples of the clean future.

        Only `context_length` steps before the end of an entry are looked at, and its whole past for its scale.

        Raises
        ------
        DataError
            If an entry lacks a field, ends before the horizon in feat_dynamic_real, or breaks another rule.
        """
        entries, first = iter(dataset), 0
        while chunk := list(islice(entries, CHUNK)):
            yield from self._forecasts(chunk, first, 100 if num_samples is None else num_samples)
            first += len(chunk)

    def _forecasts(self, entries: list[dict[str, Any]], first: int, samples: int) -> Iterator[Any]:
        names = [f"{first + k}: {entry.get('item_id', '')}" for k, entry in enumerate(entries)]
        horizon, targets = self.prediction_length, max(self.layout.targets, 1)
        whole = [self.layout.read(entry, name, horizon) for entry, name in zip(entries, names, strict=True)]
        scales = [units(one.rows(slice(-horizon)), self.scale, horizon) for one in whole]
        last = slice(-(self.context_length + horizon), None)
        asked = [unit.scaled(one.rows(last)) for one, unit in zip(whole, scales, strict=True)]
        answers = self.model.impute(asked, samples=samples, seed=self.seed, entries="missing")
        for entry, answer, unit in zip(entries, answers, scales, strict=True):
            path = (answer.samples[:, -horizon:] * unit.scale + unit.centre[-horizon:])[..., :targets]
            yield SampleForecast(
                samples=(path if self.layout.targets else path[..., 0]).astype(np.float32),
                start_date=entry["start"] + np.shape(entry["target"])[-1],
                item_id=entry.get("item_id"),
                info=entry.get("info"),
            )

    def serialize(self, path: Path) -> None:
        """Write the predictor into a folder that exists: GluonTS's file, our settings, and the saved model."""
        super().serialize(Path(path))
        self.model.save(Path(path) / "model")
        text = json.dumps(self._settings(), indent=1, sort_keys=True)
        (Path(path) / SETTINGS).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def deserialize(cls, path: Path, device: Any = None) -> RiskDiffusionPredictor:
        """Read a predictor back, on any device, whatever the one it was trained on.

        Parameters
        ----------
        path
            Folder that `serialize` wrote.
        device
            "cpu", "cuda" or "auto" (a GPU if there is one; the default).

        Raises
        ------
        ModelFileError
            If the folder is not a predictor, or damaged.
        """
        model = RiskDiffusion.load(Path(path) / "model", device="auto" if device is None else str(device))
        try:
            state = json.loads((Path(path) / SETTINGS).read_text(encoding="utf-8"))
            layout = Layout(**{**state["layout"], "cardinality": tuple(state["layout"]["cardinality"])})
            scale = None if state["scale"] is None else ItemScale.from_dict(state["scale"])
            return cls(model, layout, state["prediction_length"], state["context_length"], scale, state["seed"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            problem = f"{Path(path) / SETTINGS} cannot be read: {error}"
            raise ModelFileError("predictor", problem, "Serialize the predictor again.") from error

    def __eq__(self, other: object) -> bool:
        """Whether both have the same settings and the same weights."""
        if not isinstance(other, RiskDiffusionPredictor):
            return NotImplemented
        return self._settings() == other._settings() and self.model.same(other.model)

    __hash__ = None  # type: ignore[assignment]  # as GluonTS's predictors: compared by what they hold

    def _settings(self) -> dict[str, Any]:
        layout = {**asdict(self.layout), "cardinality": list(self.layout.cardinality)}
        scale = None if self.scale is None else self.scale.to_dict()
        lengths = {"prediction_length": self.prediction_length, "context_length": self.context_length}
        return {"layout": layout, "scale": scale, "seed": self.seed, **lengths}
