"""RiskDiffusion: from a noisy, incomplete table to calibrated samples of the clean signal."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from rstime.axis import Axis, duration
from rstime.consistency import LOWEST
from rstime.diffusion.samplers import SAMPLERS
from rstime.errors import ConfigError, RstimeWarning
from rstime.fitting import Fitting, find_device, split
from rstime.frame import Columns
from rstime.future import extend
from rstime.inference import mean_items, sample_items
from rstime.last_draw import COVARIANCES
from rstime.model_scores import ScoringModel
from rstime.model_state import scaled_items
from rstime.noise_rule import NoiseRule, safe_levels
from rstime.posterior import SamplerConfig
from rstime.progress import Bar
from rstime.risk.families import Family
from rstime.risk_rule import RiskRule
from rstime.scaling import Scaler
from rstime.support import smallest_risks
from rstime.training import Run, Trainer
from rstime.transforms import suggest_transforms
from rstime.types import Posterior, Series

ENTRIES = ("all", "missing", "noisy")


class RiskDiffusion(ScoringModel):
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
        if steps is not None and (steps < 1 or steps % 1):
            raise ConfigError("steps", str(steps), "Give a whole number, at least 1.")
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
        items = scaled_items(series, scaler, axis)
        check = None if held_out is None else scaled_items(families.apply(held_out), scaler, axis)
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
        covariance: str = "gaussian",
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
        covariance
            Of the draw that ends a path: "gaussian", or "tweedie", with the variances of the network itself. That pays
            where all readings are noisy and the signal is not Gaussian, and takes some twice as long.
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
        if not joint and self._fitted()[2].prior.correlation is not None:
            raise ConfigError(
                "joint", "False where errors last", "Draw jointly, joint=True: samples share their errors."
            )
        series = [_ask(one, entries) for one in self._questions(data, static, known)]
        return self._sample(series, SamplerConfig(samples, seed, sampler, evaluations, joint, covariance))

    def forecast(
        self,
        data: pd.DataFrame | Sequence[Series],
        horizon: int | str,
        *,
        samples: int = 100,
        seed: int = 0,
        sampler: str = "multistep",
        evaluations: int = 13,
        covariance: str = "gaussian",
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
        samples, seed, sampler, evaluations, covariance
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
        config = SamplerConfig(samples, seed, sampler, evaluations, True, covariance)
        whole = self._sample([one for one, _ in asked], config)
        return [_rows(posterior, first) for posterior, (_, first) in zip(whole, asked, strict=True)]

    def point(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> list[Posterior]:
        """Return the posterior mean of the asked entries, as a Posterior of one sample, from one pass a window.

        The mean is taken in the coordinate of the model: a transformed variable gets its mean in logs, logits or
        asinhs, mapped back. Arguments and errors as for `impute`.
        """
        denoiser = self._fitted()[2]
        series = self._questions(data, static, known)
        means = mean_items(denoiser, self._wary_items(series), self.config.window)
        return [self._posterior(one, mean[None]) for one, mean in zip(series, means, strict=True)]

    def sample(
        self, count: int, *, seed: int = 0, evaluations: int = 13, covariance: str = "gaussian"
    ) -> list[Posterior]:
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
        return self._sample([empty], SamplerConfig(count, seed, evaluations=evaluations, covariance=covariance))

    def _sample(self, series: Sequence[Series], config: SamplerConfig) -> list[Posterior]:
        if config.samples < 1:
            raise ConfigError("samples", str(config.samples), "Give at least 1.")
        for name, known in (("sampler", SAMPLERS), ("covariance", COVARIANCES)):
            if (value := getattr(config, name)) not in known:
                raise ConfigError(name, f"{value!r} is unknown", f"Choose one of {', '.join(known)}.")
        denoiser = self._fitted()[2]
        drawn = sample_items(denoiser, self._wary_items(series), self.config.window, self._floor, config)
        return [self._posterior(one, x) for one, x in zip(series, drawn, strict=True)]

    def _posterior(self, series: Series, samples: Any) -> Posterior:
        scaler = self._fitted()[0]
        columns = [scaler.variables.index(name) for name in series.variables]
        values = scaler.unscale_samples(samples)[..., columns]
        exact = series.observed & (series.risk == 0) & np.asarray(series.asked)
        values[:, exact] = series.value[exact]
        values[:, ~np.asarray(series.asked)] = np.nan
        return Posterior(series, values)


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
