"""The GluonTS face: an estimator and a predictor that take noisy, incomplete series and return sample forecasts."""

# Annotations are evaluated here, unlike elsewhere: `validated` makes a pydantic model of the constructor's.
import math
from pathlib import Path
from typing import Any

import numpy as np

from rstime.errors import ConfigError, DataError
from rstime.gluonts_base import Estimator, validated
from rstime.gluonts_data import Layout, period_offset
from rstime.gluonts_lightning import lightning_loop
from rstime.gluonts_predictor import RiskDiffusionPredictor as RiskDiffusionPredictor
from rstime.gluonts_risk import with_risk as with_risk
from rstime.gluonts_scale import ItemScale, instances, recent_stamps
from rstime.gluonts_season import seasons_of, warn_of_seasons
from rstime.model import RiskDiffusion
from rstime.training import Trainer, TrainingConfig
from rstime.types import Series

CONTEXTS = 4
"""Default length of the context, in horizons."""

PATTERNS = (0.15, 0.1, 0.1, 0.65)
"""Weights of what training hides (random, block, channel, horizon): mostly the end of the window, as in a forecast."""

FEW = 10
"""With fewer entries, and no validation data, the end of each is held out."""

BLOCKS, SHORTEST = 4, 4
"""Blocks in a horizon, within which the spread of an item is taken; stamps of a block at least."""

INSTANCES = 5000
"""Windows that are cut from long data, about."""

LITTLE = 5000
"""Readings below which the network is tiny by default: a larger one learns them by heart."""

TRAINERS = ("rstime", "lightning")
KNOWN = {"max_epochs", "max_steps", "max_minutes", "accelerator", "enable_progress_bar"}
UNUSED = {"logger", "callbacks", "enable_checkpointing", "enable_model_summary"}
DEVICES = {"auto": "auto", "cpu": "cpu", "gpu": "cuda", "cuda": "cuda"}


class RiskDiffusionEstimator(Estimator):  # type: ignore[misc]  # GluonTS has no types
    """Risk-sensitive diffusion as a GluonTS estimator: one global model of noisy, incomplete series.

    Training values are taken at their risk and missing ones (NaN) as missing; forecasts are of the clean signal.
    Covariates of the past are modelled along with the target; those of the future and static ones are given to it.

    Parameters
    ----------
    freq
        Frequency of the data, as in `pandas.Period`; "MS", "ME", "QS", "QE", "YS" and "YE" count as "M", "Q" and "Y".
    prediction_length
        Steps to forecast.
    context_length
        Steps looked at before; four horizons if None.
    risk
        Name of the rows of risk that `with_risk` adds; None if values are exact.
    model, size
        "diffusion" or "gaussian", and the size of the network; see `rstime.RiskDiffusion`. If None it is "tiny" below
        `LITTLE` readings, else "small".
    num_feat_dynamic_real, num_feat_static_real, num_feat_static_cat, num_past_feat_dynamic_real
        How many rows or numbers to use of the field of this name (of the past: without risk); others are ignored.
    cardinality
        Number of categories of each static category; counted in the training data if None.
    scaling
        Scale each window by what its item did before the forecast (`rstime.gluonts_scale.ItemScale`).
    seasons
        With scaling, expect what the days and weeks before did (of coarser stamps, the years), each item for itself
        (`rstime.gluonts_season`). A gain for most items with a season; where a few large ones prevail, compare.
    batch_size
        Windows a step, as other estimators have it; 0 for a number that suits their length.
    num_batches_per_epoch
        Steps an epoch, where `trainer_kwargs` counts epochs.
    trainer
        "rstime", or "lightning" to have the network trained by a `lightning.pytorch.Trainer`.
    trainer_kwargs
        Of Lightning's trainer whatever it takes (max_epochs is 100 if not given). Of ours max_epochs or max_steps of
        the network, or max_minutes (15 if none is given); accelerator ("auto", "cpu", "gpu"); enable_progress_bar.
        `logger`, `callbacks`, `enable_checkpointing` and `enable_model_summary` may be switched off, as there are none.
    seed
        Of everything random.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> rng, start = np.random.default_rng(0), pd.Period("2026-01-01", "D")
    >>> data = [{"start": start, "target": np.sin(np.arange(60.0)) + 0.3 * rng.normal(size=60)} for _ in range(3)]
    >>> estimator = RiskDiffusionEstimator("D", 4, risk="risk", model="gaussian", trainer_kwargs={"max_steps": 5})
    >>> next(estimator.train(with_risk(data, 0.3)).predict(with_risk(data, 0.3), num_samples=7)).samples.shape
    (7, 4)
    """

    @validated()  # type: ignore[no-untyped-call, untyped-decorator]
    def __init__(
        self,
        freq: str,
        prediction_length: int,
        context_length: int | None = None,
        risk: str | None = None,
        model: str = "diffusion",
        size: str | None = None,
        num_feat_dynamic_real: int = 0,
        num_feat_static_real: int = 0,
        num_feat_static_cat: int = 0,
        num_past_feat_dynamic_real: int = 0,
        cardinality: list[int] | None = None,
        scaling: bool = True,
        seasons: bool = False,
        batch_size: int = 32,
        trainer: str = "rstime",
        num_batches_per_epoch: int = 50,
        trainer_kwargs: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        context = CONTEXTS * prediction_length if context_length is None else context_length
        for name, value in (("prediction_length", prediction_length), ("context_length", context)):
            if value < 1:
                raise ConfigError(name, str(value), "Give at least 1.")
        if cardinality is not None and len(cardinality) != num_feat_static_cat:
            problem = f"{len(cardinality)} numbers for num_feat_static_cat={num_feat_static_cat}"
            raise ConfigError("cardinality", problem, "Give one number a category, or None.")
        period_offset(freq)
        self.freq, self.prediction_length, self.context_length, self.risk = freq, prediction_length, context, risk
        self.model, self.size, self.seed = model, size, seed
        self.scaling, self.seasons = scaling, seasons_of(freq) if seasons else ()
        self.dynamic, self.static, self.past = num_feat_dynamic_real, num_feat_static_real, num_past_feat_dynamic_real
        self.categories, self.cardinality = num_feat_static_cat, cardinality
        self.batch_size, self.num_batches_per_epoch = batch_size, num_batches_per_epoch
        if seasons and not scaling:
            raise ConfigError(
                "seasons", "given with scaling=False", "Leave one out: seasons are a part of the scaling."
            )
        if seasons and not self.seasons:
            raise ConfigError("seasons", f"none is known at the frequency {freq!r}", "Leave it out.")
        if trainer not in TRAINERS:
            raise ConfigError("trainer", f"{trainer!r} is unknown", f"Choose one of {', '.join(TRAINERS)}.")
        self.trainer, self.trainer_kwargs = trainer, dict(trainer_kwargs or {})
        if trainer == "rstime":
            self.trainer_kwargs = _checked(self.trainer_kwargs)
        self._new()

    def train(
        self,
        training_data: Any,
        validation_data: Any = None,
        shuffle_buffer_length: int | None = None,
        cache_data: bool = False,
        ckpt_path: str | Path | None = None,
        num_workers: int | None = None,
        num_prefetch: int | None = None,
    ) -> RiskDiffusionPredictor:
        """Fit to noisy, incomplete entries and return the predictor.

        Parameters
        ----------
        training_data
            Entries in GluonTS's fields, read once; `with_risk` adds their risk.
        validation_data
            Entries of which the last window, context and horizon, is scored. If None every tenth entry of the training
            data is held out; of fewer than ten the last eighth of each that has four horizons, or its last horizon if
            that is more.
        shuffle_buffer_length, cache_data, num_workers, num_prefetch
            As other estimators have them, and without effect: windows are always drawn at random, from memory, one step
            ahead.
        ckpt_path
            Folder in which an interrupted training goes on: the same call takes it up.

        Raises
        ------
        DataError
            If the entries break a rule, such as another frequency, no row of risk, or covariates that are not finite.
        """
        entries = list(training_data)
        if not entries:
            raise DataError("training_data", "no entry", "Give at least one.")
        layout = self._layout(entries)
        series = _read(layout, entries)
        readings = sum(int(one.observed.sum()) for one in series)
        model = self._new("tiny" if readings < LITTLE else "small")
        block = max(self.prediction_length // BLOCKS, SHORTEST)
        recent = recent_stamps(self.context_length, self.prediction_length)
        warn_of_seasons(series, self.seasons)
        scale = ItemScale.fit(series, block, recent, self.seasons) if self.scaling else None
        held_out = None if validation_data is None else _read(layout, list(validation_data))
        options = self.trainer_kwargs
        epochs = options.get("max_epochs", 100 if self.trainer == "lightning" else None)
        steps = options.get("max_steps")
        if steps is None and epochs is not None and self.model == "diffusion":
            steps = epochs * self.num_batches_per_epoch
        learn, check = self._instances(series, held_out, scale)
        if not learn:
            remedy = "Give items with values before the part held out, NaN where one is missing."
            raise DataError("training_data", f"no value to learn from in {len(series)} items", remedy)
        model.fit(
            learn,
            validation=check or None,
            steps=steps,
            max_minutes=options.get("max_minutes", 15.0),
            device=DEVICES.get(options.get("accelerator", "auto"), "auto"),
            seed=self.seed,
            progress=options.get("enable_progress_bar", True),
            checkpoint=ckpt_path,
            loop=lightning_loop(self.num_batches_per_epoch, options) if self.trainer == "lightning" else Trainer.train,
        )
        return RiskDiffusionPredictor(model, layout, self.prediction_length, self.context_length, scale, self.seed)

    def _new(self, size: str = "small") -> RiskDiffusion:
        training = TrainingConfig(batch=self.batch_size, isolated=0.0, patterns=PATTERNS)
        window = self.context_length + self.prediction_length
        return RiskDiffusion(self.model, size=self.size or size, window=window, training=training)

    def _instances(
        self, series: list[Series], validation: list[Series] | None, scale: ItemScale | None
    ) -> tuple[list[Series], list[Series]]:
        """Cut series into windows to learn from, and held-out ones."""
        horizon, alone = self.prediction_length, validation is None and len(series) < FEW
        stride = max(sum(len(one.time) for one in series) // INSTANCES, 1)
        learn: list[tuple[Series, range]] = []
        check = [(one, range(max(len(one.time) - horizon, 1), 0, -len(one.time) - 1)) for one in validation or []]
        for k, one in enumerate(series):
            length = len(one.time)
            late = max(length // 8, horizon) if alone and length >= 4 * horizon else 0
            cuts = range(max(length - late - horizon, 1), 0, -stride)
            held_out = validation is None and not alone and k % FEW == FEW - 1
            (check if held_out else learn).append((one, cuts))
            check.append((one, range(length - horizon, length - late - 1, -stride)))
        return self._windows(learn, scale), self._windows(check, scale)

    def _windows(self, parts: list[tuple[Series, range]], scale: ItemScale | None) -> list[Series]:
        """Cut items as often as asked, but only once where less than a context comes before."""
        found: list[Series] = []
        for one, cuts in parts:
            whole = [cut for cut in cuts if cut >= self.context_length]
            found += instances(one, cuts[: len(whole) + 1], self.context_length, self.prediction_length, scale)
        return found

    def _layout(self, entries: list[dict[str, Any]]) -> Layout:
        """Return what the entries hold, with targets and categories counted."""
        target = np.asarray(entries[0].get("target"))
        counts = self.cardinality
        if counts is None:
            counts = [0] * self.categories
            for entry in entries:
                codes = np.asarray(entry.get("feat_static_cat", ()), dtype=np.float64)[: len(counts)]
                counts[: len(codes)] = [max(c, int(code) + 1) for c, code in zip(counts, codes, strict=False)]
        targets = len(target) if target.ndim == 2 else 0
        return Layout(self.freq, targets, self.risk, self.dynamic, self.past, self.static, tuple(counts))


def _checked(given: dict[str, Any]) -> dict[str, Any]:
    """Check what is said of the trainer, and leave out what asks for nothing."""
    kept = {name: value for name, value in given.items() if name not in UNUSED or value}
    for name in kept:
        if name not in KNOWN:
            raise ConfigError("trainer_kwargs", f"{name!r} is unknown", f"Known: {', '.join(sorted(KNOWN))}.")
    for name in ("max_epochs", "max_steps", "max_minutes"):
        value = kept.get(name, 1)
        if not (value > 0 and math.isfinite(value)):
            raise ConfigError("trainer_kwargs", f"{name} is {value}", "Give a positive number.")
    if kept.get("accelerator", "auto") not in DEVICES:
        problem = f"accelerator {kept['accelerator']!r} is unknown"
        raise ConfigError("trainer_kwargs", problem, f"Choose one of {', '.join(DEVICES)}.")
    return kept


def _read(layout: Layout, entries: list[dict[str, Any]]) -> list[Series]:
    return [layout.read(entry, f"{k}: {entry.get('item_id', '')}") for k, entry in enumerate(entries)]
