"""Fitted models on disk: one fit for the same training data, told what it took, gone on with where it was killed."""

import json
import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from rstime import gaussian_fit
from rstime.errors import RstimeWarning
from rstime.evaluation.baselines import Settings
from rstime.evaluation.fitted import digest, fitted
from rstime.evaluation.methods import METHODS, ours
from rstime.evaluation.protocol import Task
from rstime.evaluation.run import evaluate
from rstime.evaluation.spec import NAMED
from rstime.evaluation.tally import tally
from rstime.evaluation.tasks import build
from rstime.model import RiskDiffusion
from rstime.training import Trainer
from rstime.types import Series

CLEAN = replace(
    NAMED["etth1-clean"], name="few", split=(600, 200, 400), hidden=0.1, hidden_in="test", seeds=(1,), samples=20
)


def waves(count=3, steps=120, ahead=0):
    rng = np.random.default_rng(0)
    clean = [np.sin(np.arange(steps) / 4 + k)[:, None] for k in range(count)]
    parts = [(f"w{k}", np.arange(float(steps)), ("x",)) for k in range(count)]
    risk = [np.where(rng.random(x.shape) < 0.5, 0.3, 0.0) for x in clean]
    noisy = [x + r * rng.normal(size=x.shape) for x, r in zip(clean, risk, strict=True)]
    late = np.arange(steps)[:, None] >= steps - (ahead or 10)
    tests = [Series(*p, y, np.where(late, np.inf, r), asked=late) for p, y, r in zip(parts, noisy, risk, strict=True)]
    past = slice(steps - ahead)
    train = [Series(*p, y, r).rows(past) for p, y, r in zip(parts, noisy, risk, strict=True)]
    late = [late] * count
    nothing = [np.zeros_like(mask) for mask in late]
    hidden, future = (nothing, late) if ahead else (late, [])
    return Task("w", train, train[:1], tests, clean, hidden, nothing, 24, 1.0, future, freq="h" if ahead else "")


@pytest.fixture
def fits(monkeypatch):
    """Count the fits."""
    calls, fit = [], RiskDiffusion.fit

    def counted(self, *arguments, **options):
        calls.append(options.get("checkpoint"))
        return fit(self, *arguments, **options)

    monkeypatch.setattr(RiskDiffusion, "fit", counted)
    return calls


def test_protocols_that_hide_in_the_test_part_only_share_one_fit_and_answer_as_if_fitted_anew(
    tmp_path, shared_data, fits, monkeypatch
):
    monkeypatch.setattr(gaussian_fit, "GaussianConfig", partial(gaussian_fit.GaussianConfig, steps=3, moments=8))

    def go(protocol, out):
        return evaluate(protocol, ["gaussian"], tmp_path / out, root=shared_data, quiet=True)[0]

    half = replace(CLEAN, name="many", hidden=0.5)
    first, second = go(CLEAN, "a"), go(half, "a")
    assert len(fits) == 1
    assert first.facts["fit_seconds"] == second.facts["fit_seconds"] > 0
    assert first.facts["seconds"] > first.facts["fit_seconds"]
    assert second.facts["seconds"] > second.facts["fit_seconds"]
    (folder,) = (tmp_path / "a" / "models").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["fit.json", "model"]
    task = build(half, 1, shared_data)
    alone = tally(task, METHODS["gaussian"].clean(task, Settings(seed=1, samples=20))).metrics()
    assert len(fits) == 2
    for name, value in alone.items():
        assert float(second.tally.metrics()[name]) == pytest.approx(float(value), rel=1e-5)
    assert second.tally.metrics()["coverage90_adjusted"] < 1


def test_a_fit_is_named_by_training_data_and_settings_and_not_by_what_is_asked():
    task, settings = waves(), Settings(seed=1)
    name = digest(task, settings, "gaussian")
    assert digest(replace(task, test=task.test[:1]), replace(settings, samples=7), "gaussian") == name
    values = [replace(task.train[0], value=task.train[0].value + 1e-9), *task.train[1:]]
    risks = [replace(task.train[0], risk=task.train[0].risk + 1e-9), *task.train[1:]]
    others = [
        digest(task, settings, "diffusion"),
        digest(replace(task, train=values), settings, "gaussian"),
        digest(replace(task, train=risks), settings, "gaussian"),
        digest(replace(task, validation=[]), settings, "gaussian"),
        digest(task, replace(settings, seed=2), "gaussian"),
        digest(task, replace(settings, minutes=2.0), "gaussian"),
        digest(task, replace(settings, transforms="auto"), "gaussian"),
        digest(replace(task, window=25), settings, "gaussian"),
    ]
    assert len({name, *others}) == 9


def test_forecasts_share_a_fit_too(tmp_path, fits):
    task, settings = waves(ahead=6), Settings(minutes=0.01, samples=10, models=tmp_path)
    first = [p.samples for p in ours(task, settings, "gaussian")]
    again = [p.samples for p in METHODS["gaussian"].answers["known"](task, replace(settings, facts={}))]
    assert len(fits) == 1
    np.testing.assert_allclose(np.array(again), np.array(first), atol=1e-6)


def test_a_killed_training_goes_on_from_its_checkpoint(tmp_path, monkeypatch):
    task, settings = waves(), Settings(steps=12, samples=5, size="tiny", models=tmp_path)
    taken, step = [], Trainer.step

    def killed(self, example, factor):
        taken.append(self.run.steps)
        if len(taken) == 8:
            raise SystemExit
        return step(self, example, factor)

    monkeypatch.setattr(Trainer, "step", killed)
    monkeypatch.setattr(Trainer, "due", lambda self: self.run.steps in (5, 12))
    with pytest.raises(SystemExit):
        list(ours(task, settings, "diffusion"))
    (part,) = tmp_path.glob("*.part")
    assert (part / "checkpoint" / "config.json").is_file()
    list(ours(task, settings, "diffusion"))
    assert taken == [0, 1, 2, 3, 4, 5, 6, 7, 5, 6, 7, 8, 9, 10, 11]
    assert settings.facts["steps"] == 12
    (done,) = tmp_path.iterdir()
    assert done.name.startswith("diffusion-")


def test_an_interrupted_training_is_no_run(tmp_path, monkeypatch):
    def stop(self, example, factor):
        raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "step", stop)
    with pytest.raises(KeyboardInterrupt), pytest.warns(RstimeWarning, match="did not beat"):
        list(ours(waves(), Settings(steps=12, size="tiny", models=tmp_path), "diffusion"))
    assert not list(tmp_path.rglob("model"))


def test_the_time_of_a_killed_fit_counts_up_to_its_last_checkpoint(tmp_path):
    task, settings = waves(), Settings(models=tmp_path)

    def killed(place):
        place.mkdir()
        (place / "config.json").write_text("{}")
        record = json.loads((place.parent / "fit.json").read_text())
        os.utime(place / "config.json", (0, record["began"] + 50))
        raise SystemExit

    def whole(place):
        return "model"

    options = {"save": lambda model, place: place.write_text(model), "load": lambda place: place.read_text()}
    for fit in (killed, whole):
        try:
            found = fitted(task, settings, "m", fit, **options)
        except SystemExit:
            continue
    assert found == "model"
    assert settings.facts["earlier_seconds"] == pytest.approx(50, abs=0.01)
    assert settings.facts["fit_seconds"] == pytest.approx(50, abs=1)
    assert fitted(task, settings, "m", killed, **options) == "model"
    assert settings.facts["earlier_seconds"] == settings.facts["fit_seconds"]
