"""RiskDiffusion: from a noisy, incomplete table to calibrated samples of the clean signal."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rstime.answers import anomaly_frame
from rstime.axis import Axis, duration
from rstime.build import build_denoiser, restore
from rstime.config import ModelConfig
from rstime.consistency import LOWEST
from rstime.denoiser import Denoiser
from rstime.diffusion.samplers import SAMPLERS
from rstime.errors import ConfigError, DataError, NotFittedError, RstimeWarning
from rstime.fitting import Fitting, find_device, split
from rstime.frame import Columns, from_long
from rstime.future import extend
from rstime.gaussian_fit import GaussianConfig
from rstime.inference import mean_items, sample_items
from rstime.likelihood import likelihood_items, log_units, score_items
from rstime.noise_rule import NoiseRule, safe_levels
from rstime.posterior import SamplerConfig, exit_level
from rstime.progress import Bar
from rstime.risk.correlated import Correlated
from rstime.risk.families import Family
from rstime.risk_rule import RiskRule
from rstime.scaling import Scaler
from rstime.storage import read_config, read_tensors, write_folder
from rstime.support import read_support, smallest_risks
from rstime.training import Run, Trainer, TrainingConfig
from rstime.transforms import suggest_transforms
from rstime.types import Posterior, Series
from rstime.windows import Item, prepare

ENTRIES = ("all", "missing", "noisy")


class RiskDiffusion:
    """Risk-sensitive diffusion model of multivariate time series (Li, Ruiz Luyten, van der Schaar, ICLR 2025).

    Parameters
    ----------
    model, size, prior, window, grid
        See ModelConfig.
    transforms
        Variable -> "log", "logit:low,high" or "asinh:centre,width", for bounded variables and heavy tails; risk is
        carried through. "auto": what `rstime.suggest_transforms` says of the training data; a warning names it.
    training, gaussian
        How to train the network and to fit the Gaussian model.

    Raises
    ------
    ConfigError
        If a setting is unknown or out of range.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"item_id": "a", "timestamp": range(6), "variable": "x", "sd": 0.1,
    ...                       "value": [1.0, 1.2, None, 1.1, 0.9, 1.0]})
    >>> model = RiskDiffusion("gaussian", window=6).fit(table, steps=5, progress=False)
    >>> model.impute(table, samples=10)[0].samples.shape
    (10, 6, 1)
    """

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
        self.config = ModelConfig(model, size, prior, float(window), grid)
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

    # ---- fitting -------------------------------------------------------------------------------------------------

    def fit(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        risk: str = "known",
        noise: Mapping[str, str | Family] | None = None,
        validation: pd.DataFrame | Sequence[Series] | None = None,
        steps: int | None = None,
        max_minutes: float = 15.0,
        device: str = "auto",
        seed: int = 0,
        progress: bool = True,
        columns: Columns | None = None,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
        checkpoint: str | Path | None = None,
        loop: Callable[[Trainer, int | None, float], Run] = Trainer.train,
    ) -> RiskDiffusion:
        """Fit to noisy, incomplete data as they are.

        A network that does not beat the Gaussian model on held-out data is dropped, with a warning. Ctrl-C ends the
        training of the network and keeps the best so far.

        Parameters
        ----------
        data
            Long table with item_id, timestamp, variable, value, sd, in the units of each variable; or Series.
        risk
            "known": sd as given. "scale": sd times one factor a variable, learned first by the Gaussian model's
            likelihood (`risk_table`). "estimate": one sd a variable, learned; the table needs no sd. A warning names
            variables whose noise the data do not tell from their signal.
        noise
            Variable -> family of its noise, where that is not Gaussian: a name of `rstime.risk.families.FAMILIES` or a
            family. The network then learns from such readings what the family allows, from a safe level on; in answers
            and in the Gaussian model a reading counts as Gaussian noise of its risk. Of "cauchy" noise the risk given
            is half the width at half height, and outlying readings are taken for missing (`rstime.noise_rule`).
            "0.5@6h+0.3@10d", or a `rstime.risk.correlated.Correlated`: Gaussian errors half of whose variance lasts for
            some six hours, three tenths for ten days (numbers: in the unit of stamps that are numbers).
        validation
            Held-out data of the same kind, noisy too; part of `data` if None (see `rstime.fitting.split`).
        steps, max_minutes
            Steps of the network, or of the Gaussian model where that is all. Where steps is None the network trains for
            what is left of the minutes, at least for its warm-up; the fit of the Gaussian model is not cut short.
        device
            "auto" (a GPU if there is one), "cpu", "cuda"; the model answers there, too.
        seed
            Of everything random.
        progress
            Whether to show bars on stderr.
        columns, static, known
            Names of columns, tables of covariates; see `rstime.from_long`.
        checkpoint
            Folder in which an interrupted training goes on.
        loop
            (trainer, steps, minutes) -> run: what trains the network, if not `rstime.training.Trainer.train`.

        Returns
        -------
        RiskDiffusion
            The model itself.

        Raises
        ------
        DataError, ConfigError
            If the data or settings break a rule; nothing is changed then.
        ModelFileError
            If the checkpoint is damaged or belongs to other data or settings; nothing is changed then.
        """
        if steps is not None and steps < 1:
            raise ConfigError("steps", str(steps), "Give at least 1.")
        if not max_minutes > 0:
            raise ConfigError("max_minutes", str(max_minutes), "Give a positive time.")
        began, columns = time.monotonic(), columns or self.columns
        rule = RiskRule(risk)
        series = self._read(data, static, known, columns, rule, fitting=True)
        rule = self._learn_risk(rule, series, seed, progress)
        series = series if rule.estimate is None else [rule.estimate.apply(one) for one in series]
        transforms = suggest_transforms(series, tuple(noise or ())) if self._suggest else self.transforms
        families = NoiseRule.learn(noise or {}, series, transforms, risk)
        series = families.apply(series)
        held_out = None if validation is None else self._read(validation, static, known, columns, rule)
        scaler, axis = Scaler.fit(series, transforms), Axis.fit(series, self.config.grid)
        items = _items(series, scaler, axis)
        check = None if held_out is None else _items(families.apply(held_out), scaler, axis)
        learn, check = split(items, self.config.window) if check is None else (items, check)
        channels = families.families(scaler.variables)
        until = began + 60 * max_minutes
        lasting = families.correlated(scaler.variables, axis.step)
        fitting = Fitting(
            self.config, self.training, self.gaussian, steps, until, seed, progress, loop, channels, lasting
        )
        place = None if checkpoint is None else Path(checkpoint)
        self._denoiser, self._prior, self.run = fitting.fit(learn, check, axis, find_device(device), place)
        self.columns, self._scaler, self._axis, self.risk, self.noise = columns, scaler, axis, rule, families
        self.transforms = transforms
        smallest, self._counts = smallest_risks(items, len(self.variables))
        smallest = smallest * families.white(self.variables)
        floor = torch.maximum(safe_levels(channels, smallest), self.training.teach_from * smallest)
        self._floor = floor.clamp_max(LOWEST) if self.training.consistency else floor
        if self._suggest and transforms:
            text = ", ".join(f"{name}={transform}" for name, transform in transforms.items())
            warnings.warn(f"heavy tails, transformed: {text}", RstimeWarning, stacklevel=2)
        if self._denoiser.network is None and self.config.model == "diffusion":
            text = f"the network did not beat the Gaussian model on held-out data in {self.run.steps} steps"
            warnings.warn(f"{text}: the Gaussian model answers alone", RstimeWarning, stacklevel=2)
        return self

    def _learn_risk(self, rule: RiskRule, series: Sequence[Series], seed: int, progress: bool) -> RiskRule:
        bar = Bar("size of the noise", progress and rule.mode != "known")
        rule = rule.learn(series, self.config.window, self.config.grid, seed, bar.variables)
        bar.close()
        return rule

    # ---- answers -------------------------------------------------------------------------------------------------

    def impute(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        samples: int = 100,
        seed: int = 0,
        entries: str = "all",
        joint: bool = True,
        sampler: str = "multistep",
        evaluations: int = 13,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> list[Posterior]:
        """Sample the clean signal at the asked entries of each item, given all of its measurements.

        Parameters
        ----------
        data
            Long table (rows are what is asked) or Series.
        samples, seed
            Number of samples, and what their noise is drawn from.
        entries
            "all", "missing" (without a value) or "noisy" (with one, of risk > 0).
        joint
            Joint paths; False gives each missing entry its own marginal, in parallel (entries="missing").
        sampler, evaluations
            A name of SAMPLERS, and the number of its levels; see SamplerConfig.
        static, known
            Tables of covariates beside a table, as in `fit`.

        Returns
        -------
        list of Posterior
            One an item, in the order of the data: (S, T, C) samples in the units of the variables, NaN where nothing
            was asked. Exact measurements are their own answer.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        DataError
            If the data break a rule, or have variables or covariates that the model does not know.
        ConfigError
            If a setting is unknown or out of range.
        """
        if entries not in ENTRIES:
            raise ConfigError("entries", f"{entries!r} is unknown", f"Choose one of {', '.join(ENTRIES)}.")
        if not joint and entries != "missing":
            raise ConfigError("joint", f"False with entries={entries!r}", 'Marginals need entries="missing".')
        if not joint:
            self._white_only("joint=False")
        series = [_ask(one, entries) for one in self._questions(data, static, known)]
        return self._sample(series, samples, seed, sampler, evaluations, joint)

    def forecast(
        self,
        data: pd.DataFrame | Sequence[Series],
        horizon: int | str,
        *,
        samples: int = 100,
        seed: int = 0,
        sampler: str = "multistep",
        evaluations: int = 13,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> list[Posterior]:
        """Sample the clean signal at the stamps after each item's last measurement.

        Parameters
        ----------
        data
            Long table or Series, as for `impute`; what is asked in them does not matter.
        horizon
            Number of steps, or a duration such as "24h".
        samples, seed, sampler, evaluations
            As for `impute`.
        static, known
            Tables of covariates beside a table; known ones with the future, where the model has any: the answers are
            then at their stamps, else a step apart.

        Returns
        -------
        list of Posterior
            One an item, of the future stamps only.

        Raises
        ------
        NotFittedError
            If the model was not fitted.
        DataError
            As `impute`, and if known covariates end before the horizon.
        ConfigError
            If the horizon is not a whole, positive number of steps, or a setting is unknown or out of range.
        """
        axis = self._fitted()[1]
        steps = horizon_steps(horizon, axis)
        series = self._questions(data, static, known)
        asked = [extend(one, steps, axis, self.config.window) for one in series]
        whole = self._sample([one for one, _ in asked], samples, seed, sampler, evaluations, True)
        return [_rows(posterior, first) for posterior, (_, first) in zip(whole, asked, strict=True)]

    def point(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> list[Posterior]:
        """Return the posterior mean of the asked entries, as a Posterior of one sample, from one pass a window.

        The mean is taken in the coordinate of the model: a transformed variable gets its mean in logs or logits, mapped
        back. Arguments and errors as for `impute`.
        """
        scaler, axis, denoiser = self._fitted()
        series = self._questions(data, static, known)
        means = mean_items(denoiser, _items(series, scaler, axis), self.config.window)
        return [self._posterior(one, mean[None]) for one, mean in zip(series, means, strict=True)]

    def sample(self, count: int, *, seed: int = 0, evaluations: int = 13) -> list[Posterior]:
        """Generate windows of the clean signal, given no measurement: one Posterior of `count` samples.

        Covariates have the mean that they had in the training data; dates begin in 1970. Errors as for `impute`.
        """
        scaler, axis, _ = self._fitted()
        length = round(self.config.window)
        scale = axis.step * 1e9
        stamps = (
            (np.arange(length) * scale).astype("int64").view("datetime64[ns]")
            if axis.calendar
            else (np.arange(length) * axis.step)
        )
        shape = (length, len(scaler.variables))
        empty = Series(
            "sample",
            stamps,
            scaler.variables,
            np.full(shape, np.nan),
            np.full(shape, np.inf),
            static=np.full(len(scaler.static_names), np.nan),
            static_names=scaler.static_names,
            known=np.tile(scaler.known_location, (length, 1)),
            known_names=scaler.known_names,
        )
        return self._sample([empty], count, seed, "multistep", evaluations, True)

    def log_likelihood(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        probes: int | None = None,
        seed: int = 0,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return log p(asked measurements | those not asked) of each item, in nats per measurement.

        It is the density of the noisy measurements themselves, in the units of the variables. Measurements of less
        risk than `support` are beyond what training teaches: there the prior and the network's smoothness decide.
        Exact ones count as of risk .02 sd; items longer than a window go by the chain rule over half-window pasts.

        Parameters
        ----------
        data
            Long table, whose measurements are all asked, or Series.
        probes, seed
            Random signs that estimate the trace of the network's Jacobian, and their seed; None for the exact trace.
        static, known
            As for `impute`; so are the errors, and ConfigError if there are fewer than 1 probes.

        Returns
        -------
        pandas.DataFrame
            Columns item (by its name in the data), measurements, log_likelihood (NaN without a measurement).
        """
        if probes is not None and probes < 1:
            raise ConfigError("probes", str(probes), "Give at least 1, or None for the exact trace.")
        self._white_only("log_likelihood")
        scaler, axis, denoiser = self._fitted()
        series = self._questions(data, static, known)
        items = _items(series, scaler, axis)
        nats, counts = likelihood_items(denoiser, items, self.config.window, probes, seed)
        nats += [log_units(scaler, one, item) for one, item in zip(series, items, strict=True)]
        each = np.divide(nats, counts, out=np.full(len(nats), np.nan), where=counts > 0)
        names = [one.item_id for one in series]
        return pd.DataFrame({self.columns.item_id: names, "measurements": counts, "log_likelihood": each})

    def anomaly(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        folds: int = 8,
        block: int = 1,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return how far out each asked measurement lies in what the others of its window predict for it.

        p is the chance of a reading at least as far out on either side, its known noise included: uniform on [0, 1]
        where model and risks are right, tiny for faults. Of 1000 good readings one has p below .001.

        Parameters
        ----------
        data
            Long table or Series.
        folds, block
            Every `folds`-th block of stamps of a variable is left out together. A block as long as the faults that are
            expected sees past them; one stamp sees most of the context.
        static, known
            As for `impute`; so are the errors, and ConfigError if there are fewer than 2 folds or 1 stamp a block.

        Returns
        -------
        pandas.DataFrame
            A row for each measurement: item, stamp, variable, value, sd, score (normal: below 0 is too low), p.
        """
        if folds < 2:
            raise ConfigError("folds", str(folds), "Give at least 2.")
        if block < 1:
            raise ConfigError("block", str(block), "Give at least 1.")
        self._white_only("anomaly")
        scaler, axis, denoiser = self._fitted()
        series = self._questions(data, static, known)
        scores = score_items(denoiser, _items(series, scaler, axis), self.config.window, folds, block)
        own = [s[:, [scaler.variables.index(v) for v in one.variables]] for s, one in zip(scores, series, strict=True)]
        return anomaly_frame(series, own, self.columns)

    def _sample(
        self, series: Sequence[Series], samples: int, seed: int, sampler: str, evaluations: int, joint: bool
    ) -> list[Posterior]:
        if samples < 1:
            raise ConfigError("samples", str(samples), "Give at least 1.")
        if sampler not in SAMPLERS:
            raise ConfigError("sampler", f"{sampler!r} is unknown", f"Choose one of {', '.join(SAMPLERS)}.")
        scaler, axis, denoiser = self._fitted()
        config = SamplerConfig(samples, seed, sampler, evaluations, joint)
        drawn = sample_items(denoiser, _items(series, scaler, axis), self.config.window, self._floor, config)
        return [self._posterior(one, x) for one, x in zip(series, drawn, strict=True)]

    def _posterior(self, series: Series, samples: Any) -> Posterior:
        scaler = self._fitted()[0]
        columns = [scaler.variables.index(name) for name in series.variables]
        values = scaler.unscale_samples(samples)[..., columns]
        exact = series.observed & (series.risk == 0) & np.asarray(series.asked)
        values[:, exact] = series.value[exact]
        values[:, ~np.asarray(series.asked)] = np.nan
        return Posterior(series, values)

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
        for all variables. The Gaussian model alone has no such limit.
        """
        scaler = self._fitted()[0]
        smallest = self._floor.numpy()
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

        Of estimated risks the factor is the sd in the units of the variable. No rows where the risks were known.
        """
        self._fitted()
        rows = () if self.risk.estimate is None else self.risk.estimate.classes
        names = {"variable": "variable", "measurements": "count", **{x: x for x in ("factor", "low", "high", "note")}}
        return pd.DataFrame({name: [getattr(row, part) for row in rows] for name, part in names.items()})

    def baseline(self) -> RiskDiffusion:
        """Return the Gaussian model that the network started from, as a model of its own: the baseline to beat."""
        scaler, axis, denoiser = self._fitted()
        other = RiskDiffusion(**{**asdict(self.config), "model": "gaussian"}, transforms=self.transforms)
        other.columns, other._scaler, other._axis = self.columns, scaler, axis
        other._floor, other._counts, other._prior = self._floor, self._counts, self._prior
        other.risk, other.noise = self.risk, self.noise
        other._denoiser = Denoiser(denoiser.prior, None)
        return other

    def same(self, other: RiskDiffusion) -> bool:
        """Whether both answer alike: the same settings, scales and weights, on whatever device.

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
            and self.noise == other.noise
            and weights.keys() == weights_.keys()
            and all(torch.equal(value.cpu(), weights_[name].cpu()) for name, value in weights.items())
        )

    def _white_only(self, what: str) -> None:
        """Refuse what does not know of errors that last."""
        if self._fitted()[2].prior.correlation is not None:
            names = [name for name, noise in self.noise.variables.items() if isinstance(noise.family, Correlated)]
            problem = f"{what} with correlated noise of {', '.join(names)}"
            raise ConfigError(
                "noise", problem, "Fit a model without it: impute and forecast alone know of errors that last."
            )

    def _fitted(self) -> tuple[Scaler, Axis, Denoiser]:
        if self._scaler is None or self._axis is None or self._denoiser is None:
            raise NotFittedError("model", "not fitted", "Call fit() or load() first.")
        return self._scaler, self._axis, self._denoiser

    # ---- files ---------------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the model into a folder: config.json and weights.safetensors; an older one is replaced.

        Names of columns are kept: a loaded model reads tables of the same kind.

        Raises
        ------
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
    def load(cls, path: str | Path, device: str = "auto") -> RiskDiffusion:
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
        series = list(data)
        if not series:
            raise DataError("data", "no series", "Give at least one.")
        return rule.apply(series)

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


def _items(series: Sequence[Series], scaler: Scaler, axis: Axis) -> list[Item]:
    return [prepare(scaler.scale_series(one), axis) for one in series]


def horizon_steps(horizon: int | str, axis: Axis) -> int:
    """Return the horizon as a positive number of steps.

    Raises
    ------
    ConfigError
        If it is not a whole number of steps, at least 1, or a duration where stamps are numbers.
    """
    steps = duration(horizon) / axis.step if isinstance(horizon, str) else float(horizon)
    if isinstance(horizon, str) and not axis.calendar:
        raise ConfigError("horizon", f"{horizon!r} where stamps are numbers", "Give a number of steps.")
    if not (math.isfinite(steps) and steps >= 1 and abs(steps - round(steps)) < 1e-6):
        raise ConfigError("horizon", f"{horizon!r} is {steps:g} steps", "Give a whole number of steps, at least 1.")
    return round(steps)


def _ask(series: Series, entries: str) -> Series:
    asked = np.asarray(series.asked)
    if entries == "missing":
        asked = asked & ~series.observed
    if entries == "noisy":
        asked = asked & series.observed & (series.risk > 0)
    return replace(series, asked=asked)


def _rows(posterior: Posterior, first: int) -> Posterior:
    """Keep the stamps of a posterior from `first` on."""
    one = posterior.series
    fields = ("time", "value", "risk", "asked", "known")
    kept = replace(one, **{name: getattr(one, name)[first:] for name in fields})
    return Posterior(kept, posterior.samples[:, first:])
