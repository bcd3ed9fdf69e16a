"""Forecasting baselines of other packages: networks of GluonTS, exponential smoothing and ARIMA of statsforecast.

Networks have their package's default sizes and train for the minutes of the settings, on the same data as ours.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
from scipy.special import ndtri

from rstime.errors import PackageError
from rstime.evaluation.baselines import Settings
from rstime.evaluation.classics import centres, fill, gaussian_answer
from rstime.evaluation.gluonts_entries import answers, entries, horizon
from rstime.evaluation.protocol import Task
from rstime.types import Posterior

LONGEST = 1000
"""Last steps of a series that statsforecast's models are fitted to."""

LEVEL = 80
"""Central interval, in percent, that the deviation of their Gaussian forecasts is read from."""


def network(task: Task, settings: Settings, name: str, covariate: bool = False) -> Iterator[Posterior]:
    """Train a network of GluonTS and forecast.

    Parameters
    ----------
    task, settings
        Univariate series with a future; seed, minutes and samples.
    name
        A name of NETWORKS.
    covariate
        Give the risk as a dynamic feature, known to be 0 in the future.

    Raises
    ------
    PackageError
        If GluonTS is not installed.
    """
    try:
        import lightning  # noqa: F401
        from gluonts.torch import model  # noqa: F401
    except ImportError as error:
        raise PackageError("gluonts", f"not installed ({error})", 'Run: pip install "rstime[gluonts]".') from error
    ahead, make = horizon(task), NETWORKS[name]
    given = partial(entries, freq=task.freq, covariate=covariate, filled=name in MASKLESS, kind=np.float32)
    with tempfile.TemporaryDirectory() as folder, seeded(settings.seed):
        trainer = {
            "max_epochs": -1,
            "max_time": {"seconds": 60 * settings.minutes},
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "logger": False,
            "default_root_dir": folder,
            "accelerator": "cpu",
        }
        train, asked = given(task.train), given(task.test, ahead=ahead)
        predictor = make(task.freq, ahead, task.window - ahead, int(covariate), trainer).train(train)
        yield from answers(task, predictor.predict(asked, num_samples=settings.samples))


def _deepar(freq: str, ahead: int, context: int, features: int, trainer: dict[str, Any]) -> Any:
    from gluonts.torch.model.deepar import DeepAREstimator

    sizes = {"prediction_length": ahead, "context_length": context}
    return DeepAREstimator(freq, **sizes, num_feat_dynamic_real=features, trainer_kwargs=trainer)


def _tft(freq: str, ahead: int, context: int, features: int, trainer: dict[str, Any]) -> Any:
    from gluonts.torch.model.tft import TemporalFusionTransformerEstimator

    sizes = {"prediction_length": ahead, "context_length": context}
    dims = [1] * features or None
    return TemporalFusionTransformerEstimator(freq, **sizes, dynamic_dims=dims, trainer_kwargs=trainer)


def _patchtst(freq: str, ahead: int, context: int, features: int, trainer: dict[str, Any]) -> Any:
    from gluonts.torch.model.patch_tst import PatchTSTEstimator

    return PatchTSTEstimator(ahead, patch_len=16, context_length=context, trainer_kwargs=trainer)


def _feedforward(freq: str, ahead: int, context: int, features: int, trainer: dict[str, Any]) -> Any:
    from gluonts.torch.model.simple_feedforward import SimpleFeedForwardEstimator

    return SimpleFeedForwardEstimator(ahead, context_length=context, trainer_kwargs=trainer)


NETWORKS: dict[str, Callable[[str, int, int, int, dict[str, Any]], Any]] = {
    "deepar": _deepar,
    "tft": _tft,
    "patchtst": _patchtst,
    "feedforward": _feedforward,
}
MASKLESS = ("patchtst", "feedforward")
"""Networks that do not look at a mask of the past: what is missing is filled linearly."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the generators that GluonTS draws from, numpy's and torch's global ones, and put them back."""
    import torch

    before = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002


def automatic(task: Task, settings: Settings, name: str) -> Iterator[Posterior]:
    """Forecast each series by AutoETS or AutoARIMA of statsforecast; missing readings are filled linearly.

    Parameters
    ----------
    task, settings
        Univariate series with a future; only the samples of the settings matter.
    name
        "AutoETS" or "AutoARIMA".

    Raises
    ------
    PackageError
        If statsforecast is not installed.
    """
    try:
        from statsforecast import models
    except ImportError as error:
        remedy = 'Run: pip install "rstime[baselines]".'
        raise PackageError("statsforecast", f"not installed ({error})", remedy) from error
    ahead = horizon(task)
    for item in task.test:
        past = fill(item, centres([item]))[: len(item.time) - ahead, 0][-LONGEST:]
        found = getattr(models, name)(season_length=task.season).forecast(y=past, h=ahead, level=[LEVEL])
        mean, sd = np.zeros(item.value.shape), np.zeros(item.value.shape)
        mean[-ahead:, 0] = found["mean"]
        sd[-ahead:, 0] = (found[f"hi-{LEVEL}"] - found["mean"]) / ndtri(0.5 + LEVEL / 200)
        yield gaussian_answer(item, mean, sd, settings.samples)
