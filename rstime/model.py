"""RiskDiffusion: from a noisy, incomplete table to calibrated samples of the clean signal."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from rstime.axis import Axis
from rstime.consistency import LOWEST
from rstime.errors import ConfigError, RstimeWarning
from rstime.fitting import Fitting, find_device, split
from rstime.frame import Columns
from rstime.model_answers import AnsweringModel
from rstime.model_scores import ScoringModel
from rstime.model_state import scale, scaled_items, warn_of_slips
from rstime.noise_rule import NoiseRule, safe_levels
from rstime.progress import Bar
from rstime.risk.families import Family
from rstime.risk_rule import RiskRule
from rstime.scaling import Scaler
from rstime.support import smallest_risks
from rstime.training import Run, Trainer
from rstime.transforms import suggest_transforms
from rstime.types import Series
from rstime.windows import prepare


class RiskDiffusion(AnsweringModel, ScoringModel):
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
            some six hours, three tenths for ten days. A memory has a unit where stamps are dates, and none, being in
            their unit, where they are numbers ("0.5@20").
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
        scaled = scale(series, scaler)
        warn_of_slips(series, scaled)
        items = [prepare(one, axis) for one in scaled]
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
