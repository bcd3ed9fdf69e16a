"""All methods of `rstime evaluate`: what each can be asked, and how it treats noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rstime.errors import PackageError
from rstime.evaluation import baselines, classics, forecasters, peers
from rstime.evaluation.baselines import Settings
from rstime.evaluation.fitted import fitted
from rstime.evaluation.gluonts_entries import answers, entries, horizon
from rstime.evaluation.local_level import local_level, local_level_unknown
from rstime.evaluation.protocol import Task
from rstime.types import Posterior

if TYPE_CHECKING:
    from rstime.model import RiskDiffusion

Answer: TypeAlias = Callable[[Task, Settings], Iterator[Posterior]]


@dataclass(frozen=True)
class Method:
    """A baseline, or ours.

    Attributes
    ----------
    tasks
        "forecast", "impute", or both.
    answers
        Treatment of noise -> what answers a task that is already treated so (`rstime.evaluation.treatments`).
    trained
        Whether it trains for the minutes of the settings; others take the time they take.
    adjusted
        Whether it is scored with adjusted bands, too (`rstime.evaluation.adjusting`): asked twice, it is fitted once.
    """

    tasks: tuple[str, ...]
    answers: Mapping[str, Answer]
    trained: bool = False
    adjusted: bool = False

    @property
    def clean(self) -> Answer:
        """What answers a task without noise: the method as it takes exact readings."""
        return next(self.answers[name] for name in ("known", "keep") if name in self.answers)


def ours(task: Task, settings: Settings, model: str, seasons: bool = False) -> Iterator[Posterior]:
    """Fit our model, "diffusion" or "gaussian", and answer: forecasts of many series by the GluonTS face.

    With `seasons` each series to be forecast is expected to do what its days and weeks before did.

    Raises
    ------
    PackageError
        If something is to be forecast and GluonTS is not installed.
    """
    if task.future:
        yield from _forecasts(task, settings, model, seasons)
        return

    def fit(checkpoint: Path | None) -> RiskDiffusion:
        return _whole(baselines.fit(task, settings, model, progress=False, checkpoint=checkpoint))

    found = fitted(task, settings, model, fit, lambda fresh, place: fresh.save(place), baselines.load)
    settings.facts["steps"] = found.run.steps
    yield from baselines.impute(found, task.test, settings)


def _forecasts(task: Task, settings: Settings, model: str, seasons: bool) -> Iterator[Posterior]:
    try:
        from rstime.gluonts import RiskDiffusionEstimator, RiskDiffusionPredictor, with_risk
    except ImportError as error:
        raise PackageError("gluonts", f"not installed ({error})", 'Run: pip install "rstime[gluonts]".') from error
    ahead = horizon(task)
    estimator = RiskDiffusionEstimator(
        task.freq,
        ahead,
        task.window - ahead,
        risk="risk",
        model=model,
        seasons=seasons,
        trainer_kwargs={"max_minutes": settings.minutes, "enable_progress_bar": False},
        seed=settings.seed,
    )

    def fit(checkpoint: Path | None) -> RiskDiffusionPredictor:
        known = with_risk(entries(task.train, task.freq), "sd")
        predictor: RiskDiffusionPredictor = estimator.train(known, ckpt_path=checkpoint)
        _whole(predictor.model)
        return predictor

    def save(predictor: RiskDiffusionPredictor, place: Path) -> None:
        place.mkdir()
        predictor.serialize(place)

    name = f"{model}-seasons" if seasons else model
    predictor = fitted(task, settings, name, fit, save, RiskDiffusionPredictor.deserialize)
    settings.facts["steps"] = predictor.model.run.steps
    asked = with_risk(entries(task.test, task.freq, ahead), "sd")
    yield from answers(task, predictor.predict(asked, num_samples=settings.samples))


def _whole(model: RiskDiffusion) -> RiskDiffusion:
    """Return the model unless its training was interrupted: that would be a run of another budget."""
    if model.run.interrupted:
        raise KeyboardInterrupt
    return model


def _both(answer: Answer) -> dict[str, Answer]:
    return dict.fromkeys(("keep", "drop"), answer)


def _ours(model: str, seasons: bool = False) -> Method:
    found = dict.fromkeys(("known", "keep", "drop"), partial(ours, model=model, seasons=seasons))
    tasks = ("forecast",) if seasons else ("forecast", "impute")
    return Method(tasks, found, trained=True, adjusted=True)


def _network(name: str, covariate: bool = False) -> Method:
    found = _both(partial(forecasters.network, name=name))
    if covariate:
        found["covariate"] = partial(forecasters.network, name=name, covariate=True)
    return Method(("forecast",), found, trained=True)


def _peer(name: str) -> Method:
    found = _both(partial(peers.peer, name=name))
    found["covariate"] = partial(peers.peer, name=name, covariate=True)
    return Method(("impute",), found, trained=True)


METHODS: Mapping[str, Method] = {
    "diffusion": _ours("diffusion"),
    "gaussian": _ours("gaussian"),
    "diffusion-seasons": _ours("diffusion", seasons=True),
    "gaussian-seasons": _ours("gaussian", seasons=True),
    "local-level": Method(
        ("forecast", "impute"), {"known": local_level, "keep": local_level_unknown, "drop": local_level}
    ),
    "naive": Method(("forecast",), _both(classics.naive)),
    "seasonal-naive": Method(("forecast",), _both(classics.seasonal_naive)),
    "autoets": Method(("forecast",), _both(partial(forecasters.automatic, name="AutoETS"))),
    "autoarima": Method(("forecast",), _both(partial(forecasters.automatic, name="AutoARIMA"))),
    "deepar": _network("deepar", covariate=True),
    "tft": _network("tft", covariate=True),
    "patchtst": _network("patchtst"),
    "feedforward": _network("feedforward"),
    "locf": Method(("impute",), _both(classics.carried)),
    "linear": Method(("impute",), _both(classics.interpolated)),
    "linear-bands": Method(("impute",), _both(baselines.linear_bands)),
    "saits": _peer("saits"),
    "brits": _peer("brits"),
    "csdi": _peer("csdi"),
}
"""Methods by name. A local level that keeps all readings takes one unknown size of noise."""
