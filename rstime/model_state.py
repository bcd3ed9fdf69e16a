"""What a fitted model is: its settings, scales and weights, its files, and how it reads data."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rstime.axis import Axis
from rstime.build import build_denoiser, restore
from rstime.cells import told
from rstime.config import ModelConfig
from rstime.denoiser import Denoiser
from rstime.errors import ConfigError, DataError, NotFittedError, RstimeWarning
from rstime.fitting import find_device
from rstime.frame import Columns, from_long
from rstime.gaussian_fit import GaussianConfig
from rstime.noise_rule import NoiseRule
from rstime.posterior import exit_level
from rstime.risk_rule import RiskRule
from rstime.scaling import Scaler, slips
from rstime.storage import read_config, read_tensors, write_folder
from rstime.support import read_support
from rstime.training import Run, TrainingConfig
from rstime.types import Series
from rstime.windows import Item, prepare


class ModelState:
    """Settings of a model, and what was learned once it is fitted or loaded; see `rstime.RiskDiffusion`."""

    def __init__(
        self,
        model: str = "diffusion",
        *,
        size: str = "small",
        prior: str = "gaussian",
        window: float = 48,
        grid: str | float | None = None,
        transforms: Mapping[str, str] | Literal["auto"] | None = None,
        training: TrainingConfig | None = None,
        gaussian: GaussianConfig | None = None,
    ):
        try:
            length = float(window)
        except (TypeError, ValueError) as error:
            raise ConfigError("window", f"{window!r}", "Give a number of steps.") from error
        self.config = ModelConfig(model, size, prior, length, grid)
        if isinstance(transforms, str) and transforms != "auto":
            raise ConfigError("transforms", f"{transforms!r}", 'Give variable -> transform, or "auto".')
        self._suggest, self.transforms = transforms == "auto", {} if transforms == "auto" else dict(transforms or {})
        self.training, self.gaussian = training or TrainingConfig(), gaussian or GaussianConfig()
        self.columns = Columns()
        self.run = Run()
        self._scaler: Scaler | None = None
        self._axis: Axis | None = None
        self._denoiser: Denoiser | None = None
        self._floor: Tensor = torch.zeros(0)
        self._counts: list[int] = []
        self._prior: dict[str, Any] = {}
        self.risk, self.noise = RiskRule(), NoiseRule()

    # ---- what was learned ----------------------------------------------------------------------------------------

    @property
    def variables(self) -> tuple[str, ...]:
        """Variables of the model."""
        if self._scaler is None:
            raise NotFittedError("model", "not fitted", "Call fit() or load() first.")
        return self._scaler.variables

    @property
    def grid(self) -> str | float | None:
        """Bins of time, None where stamps are left as they are."""
        return self.config.grid

    @property
    def support(self) -> pd.DataFrame:
        """Per variable: measurements, and the smallest risk that enough of them have (in its units, and in sd).

        Of noise that is not Gaussian, and with `teach_from`, it is the level from which that risk teaches; with the
        consistency loss at most the level to which that reaches (`TrainingConfig`). Units are those of the transformed
        variable. Sampling below that level would extrapolate; with a network it exits at `exit_level`, in sd, the same
        for all variables. The Gaussian model alone has no such limit. NaN where there are no measurements.
        """
        scaler = self._fitted()[0]
        smallest = np.where(np.array(self._counts) > 0, self._floor.numpy(), np.nan)
        return pd.DataFrame(
            {
                "variable": scaler.variables,
                "measurements": self._counts,
                "smallest_risk": smallest * scaler.scale,
                "smallest_risk_sd": smallest,
                "exit_level": exit_level(self._floor),
            }
        )

    @property
    def risk_table(self) -> pd.DataFrame:
        """Per variable: measurements, factor of the given risks, its 95 % interval, and a note where it is open.

        With risk="estimate" the column is `sd`, in the units of the variable: that of a reading of relative risk 1, as
        all are that come from a table. No rows where the risks were known.
        """
        self._fitted()
        rows = () if self.risk.estimate is None else self.risk.estimate.classes
        size = "sd" if self.risk.mode == "estimate" else "factor"
        names = {"variable": "variable", "measurements": "count", size: "factor"}
        names |= {name: name for name in ("low", "high", "note")}
        return pd.DataFrame({name: [getattr(row, part) for row in rows] for name, part in names.items()})

    def baseline(self) -> Self:
        """Return the Gaussian model that the network started from, as a model of its own: the baseline to beat."""
        scaler, axis, denoiser = self._fitted()
        other = type(self)(**{**asdict(self.config), "model": "gaussian"}, transforms=self.transforms)
        other.columns, other._scaler, other._axis = self.columns, scaler, axis
        other._floor, other._counts, other._prior = self._floor, self._counts, self._prior
        other.risk, other.noise = self.risk, self.noise
        other._denoiser = Denoiser(denoiser.prior, None)
        return other

    def same(self, other: ModelState) -> bool:
        """Whether both answer alike: the same settings, rules, scales and weights, on whatever device.

        Raises
        ------
        NotFittedError
            If either was not fitted.
        """
        (scaler, axis, denoiser), (scaler_, axis_, denoiser_) = self._fitted(), other._fitted()
        weights, weights_ = denoiser.state_dict(), denoiser_.state_dict()
        return (
            (self.config, self.transforms, axis) == (other.config, other.transforms, axis_)
            and scaler.to_dict() == scaler_.to_dict()
            and (self.risk, self.noise) == (other.risk, other.noise)
            and torch.equal(self._floor, other._floor)
            and weights.keys() == weights_.keys()
            and all(torch.equal(value.cpu(), weights_[name].cpu()) for name, value in weights.items())
        )

    def _fitted(self) -> tuple[Scaler, Axis, Denoiser]:
        if self._scaler is None or self._axis is None or self._denoiser is None:
            raise NotFittedError("model", "not fitted", "Call fit() or load() first.")
        return self._scaler, self._axis, self._denoiser

    # ---- files ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model into a folder: config.json and weights.safetensors; an older model is replaced.

        Nothing else is: a file, or a folder that holds anything more, is refused. Names of columns are kept: a loaded
        model reads tables of the same kind.

        Raises
        ------
        ModelFileError
            If something other than a model stands there.
        NotFittedError
            If the model was not fitted.
        """
        scaler, axis, denoiser = self._fitted()
        tensors = denoiser.state_dict()
        config = {
            "model": asdict(self.config),
            "transforms": self.transforms,
            "columns": asdict(self.columns),
            "scaler": scaler.to_dict(),
            "axis": axis.to_dict(),
            "prior": self._prior,
            "risk": self.risk.to_dict(),
            "noise": self.noise.to_dict(),
            "support": {"smallest_risk": self._floor.tolist(), "measurements": self._counts},
            "network": denoiser.network is not None,
            "training": asdict(self.training),
            "run": asdict(self.run),
        }
        write_folder(Path(path), tensors, config)

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> Self:
        """Read a saved model.

        Parameters
        ----------
        path
            Folder that `save` wrote.
        device
            Where it answers, as for `fit`.

        Raises
        ------
        ModelFileError
            If the folder is not a model, or its weights are not what its settings say.
        ConfigError
            If the device cannot be used.
        """
        config = read_config(Path(path))
        with restore(Path(path)):
            settings = ModelConfig(**config["model"])
            training = TrainingConfig(**{**config["training"], "patterns": tuple(config["training"]["patterns"])})
            model = cls(**asdict(settings), transforms=config["transforms"], training=training)
            model._scaler, model._axis = Scaler.from_dict(config["scaler"]), Axis.from_dict(config["axis"])
            model.columns = Columns(**config["columns"])
            model._prior = config["prior"]
            model.risk = RiskRule.from_dict(config["risk"])
            model.noise = NoiseRule.from_dict(config.get("noise", {}))
            model._floor = read_support(config["support"]["smallest_risk"], len(model.variables))
            model._counts = list(config["support"]["measurements"])
            model.run = Run(**config["run"])
            kept = settings if config["network"] else replace(settings, model="gaussian")
            with torch.device("meta"):
                shapes = {k: tuple(v.shape) for k, v in build_denoiser(model._prior, kept, 0).state_dict().items()}
        tensors = read_tensors(Path(path), shapes)
        model._denoiser = build_denoiser(model._prior, kept, 0)
        model._denoiser.load_state_dict(tensors)
        model._denoiser.eval().requires_grad_(False).to(find_device(device))
        return model

    # ---- data ----------------------------------------------------------------------------------------------------

    def _read(
        self,
        data: pd.DataFrame | Sequence[Series],
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
        columns: Columns | None = None,
        rule: RiskRule | None = None,
        fitting: bool = False,
    ) -> list[Series]:
        """Read data to Series with the risks that the model works with."""
        rule = rule or self.risk
        if isinstance(data, pd.DataFrame):
            data, columns = rule.table(data, columns or self.columns)
            series = from_long(data, columns, static=static, known=known, grid=self.config.grid, fitting=fitting)
            return rule.apply(series)
        if static is not None or known is not None:
            raise ConfigError("static/known", "given beside Series", "Series carry their own covariates.")
        return rule.apply(_listed(data))

    def _questions(
        self, data: pd.DataFrame | Sequence[Series], static: pd.DataFrame | None, known: pd.DataFrame | None
    ) -> list[Series]:
        """Read data to be answered, and warn of items that can only be answered by the prior (tables warn as read)."""
        series = self.noise.apply(self._read(data, static, known))
        empty = [repr(one.item_id) for one in series if not one.observed.any()]
        if empty and not isinstance(data, pd.DataFrame):
            problem = f"items without observation: {', '.join(empty[:5])}; their answer is the prior"
            warnings.warn(problem, RstimeWarning, stacklevel=3)
        return series

    def _wary_items(self, series: Sequence[Series]) -> list[Item]:
        """Return series in the coordinate of the model, readings astray with less trust, and warn of these."""
        scaler, axis, _ = self._fitted()
        scaled = scale(series, scaler)
        wary = [scaler.wary(one) for one in scaled]
        found = []
        for one, before, after in zip(series, scaled, wary, strict=True):
            found += [(one, *at) for at in np.argwhere(after.risk > before.risk)]
        if found:
            one, row, place = found[0]
            name = scaler.variables[place]
            low, high = scaler.seen(name)
            problem = f"value: {_reading(one, row, name)} is far from all that training saw, {low:g} to {high:g}"
            remedy = "It is hardly believed: mend or leave out what is wrong, or fit a model to more data."
            _warn(problem, len(found), remedy)
        return [prepare(one, axis) for one in wary]


def scale(series: Sequence[Series], scaler: Scaler) -> list[Series]:
    """Return series in the coordinate of the model, and warn of readings too noisy for the transform of a variable."""
    scaled = [scaler.scale_series(one) for one in series]
    found = [(one, *at) for one in series for at in np.argwhere(scaler.too_noisy(one))]
    if found:
        one, row, column = found[0]
        name, risk = one.variables[column], one.risk[row, column]
        problem = f"sd: {risk:g} of {_reading(one, row, name)} is large where the transform of {name!r} bends"
        remedy = "It is believed less than it says, or not at all: fit to data as noisy, or without the transform."
        _warn(problem, len(found), remedy)
    return scaled


def warn_of_slips(series: Sequence[Series], scaled: Sequence[Series]) -> None:
    """Warn of readings to learn from, of risk below the sd of their variable, that lie far from all others of it.

    Given are the series, and the same in the coordinate of the model.
    """
    value, risk = (np.concatenate([getattr(one, name) for one in scaled]) for name in ("value", "risk"))
    odd = np.zeros(risk.shape, dtype=bool)
    for column, rows in enumerate((risk < 1).T):
        odd[rows, column] = slips(value[rows, column])
    if odd.any():
        row, column = np.argwhere(odd)[0]
        starts = np.cumsum([0, *(len(one.time) for one in series)])
        place = int(np.searchsorted(starts, row, side="right")) - 1
        reading = _reading(series[place], int(row - starts[place]), scaled[0].variables[column])
        remedy = "What is learned from it may be wrong everywhere: mend or leave out what is wrong."
        _warn(f"value: {reading} is far from all others", int(odd.sum()), remedy)


def _reading(one: Series, row: int, name: str) -> str:
    """Name a reading by its value, variable, item and stamp."""
    value = one.value[row, one.variables.index(name)]
    return f"{value:g} of {name!r} of item {one.item_id!r} at {told(one.time[[row]], one.timezone)}"


def _warn(problem: str, count: int, remedy: str) -> None:
    """Warn of the first of so many readings."""
    more = f" (and {count - 1} more)" if count > 1 else ""
    warnings.warn(f"{problem}{more}. {remedy}", RstimeWarning, stacklevel=6)


def _listed(data: Sequence[Series]) -> list[Series]:
    """Return the series, or say what was given in their place."""
    remedy = "Give a long table (a DataFrame) or a list of Series."
    if isinstance(data, Series):
        raise DataError("data", "one Series", "Give a list, [series].")
    series = list(data)
    for one in series:
        if not isinstance(one, Series):
            raise DataError("data", f"{type(data).__name__} of {type(one).__name__}", remedy)
    if not series:
        raise DataError("data", "no series", "Give at least one.")
    return series


def scaled_items(series: Sequence[Series], scaler: Scaler, axis: Axis) -> list[Item]:
    """Return series in the coordinate of the model, ready to be cut into windows."""
    return [prepare(one, axis) for one in scale(series, scaler)]
