"""Answers of a fitted model: posteriors of what is missing, noisy or to come, and windows of its own."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from rstime.axis import Axis, duration
from rstime.diffusion.samplers import SAMPLERS
from rstime.errors import ConfigError, RstimeWarning
from rstime.future import extend
from rstime.inference import mean_items, sample_items
from rstime.last_draw import COVARIANCES
from rstime.model_state import ModelState
from rstime.posterior import SamplerConfig
from rstime.types import Posterior, Series

ENTRIES = ("all", "missing", "noisy")


class AnsweringModel(ModelState):
    """A model that draws the clean signal given measurements."""

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
        self._warn_of_invented(series)
        return self._sample(series, SamplerConfig(samples, seed, sampler, evaluations, joint, covariance))

    def forecast(
        self,
        data: pd.DataFrame | Sequence[Series],
        horizon: int | str | timedelta,
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
            Number of steps, or a duration: "24h", a timedelta. Without a grid, where a step is the typical gap of the
            training data, a duration that is no whole number of steps is rounded up.
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
        steps = horizon_steps(horizon, axis, self.config.grid is not None)
        series = self._questions(data, static, known)
        asked = [extend(one, steps, axis, self.config.window) for one in series]
        self._warn_of_invented([one for one, _ in asked])
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
        self._warn_of_invented(series)
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

    def _warn_of_invented(self, series: Sequence[Series]) -> None:
        """Warn of variables that are asked for and that training never saw."""
        asked = {name for one in series for name in np.array(one.variables)[np.asarray(one.asked).any(0)].tolist()}
        unseen = [n for n, count in zip(self.variables, self._counts, strict=True) if n in asked and not count]
        if unseen:
            problem = f"variable: training had no reading of {', '.join(map(repr, unseen))}"
            warnings.warn(f"{problem}; what is answered there is invented.", RstimeWarning, stacklevel=3)

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


def horizon_steps(horizon: int | str | timedelta, axis: Axis, gridded: bool) -> int:
    """Return the horizon as a positive number of steps.

    Parameters
    ----------
    horizon
        Number of steps, or a duration.
    axis
        Of the model.
    gridded
        Whether a grid says what a step is. Else it is only a typical gap, and a duration is rounded up to whole steps.

    Raises
    ------
    ConfigError
        If it is not a whole number of steps, at least 1, or a duration where stamps are numbers.
    """
    if isinstance(horizon, str | timedelta):
        seconds = duration(horizon) if isinstance(horizon, str) else horizon.total_seconds()
        if not axis.calendar:
            raise ConfigError("horizon", f"{horizon!r} where stamps are numbers", "Give a number of steps.")
        steps = seconds / axis.step if gridded else math.ceil(seconds / axis.step - 1e-6)
    else:
        try:
            steps = float(horizon)
        except TypeError as error:
            raise ConfigError("horizon", f"{horizon!r}", 'Give a number of steps, or a duration as "24h".') from error
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
