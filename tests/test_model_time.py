"""Long items, irregular stamps, covariates, calendar and time zones."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oracles.models import QUICK, WINDOW
from rstime import scores
from rstime.axis import HOUR, Axis
from rstime.datasets.laws import answer
from rstime.datasets.simulate import Simulated, gaussian_series, shifted_series
from rstime.errors import ConfigError
from rstime.model import RiskDiffusion
from rstime.model_answers import horizon_steps
from rstime.types import Posterior, Series


@pytest.fixture(scope="module")
def long() -> tuple[RiskDiffusion, Simulated]:
    """A model of windows of 24 steps, and items of 96."""
    rng = np.random.default_rng(3)
    model = RiskDiffusion("gaussian", window=WINDOW, gaussian=replace(QUICK, steps=150))
    model.fit(gaussian_series(rng, 40, 96, 1).series, progress=False)
    return model, gaussian_series(rng, 25, 96, 1, horizon=6)


def crps(posterior: Posterior, truth: Any) -> Any:
    return scores.crps_samples(posterior.samples, truth)


def test_long_items_are_answered_as_well_as_they_can_be(long: tuple[RiskDiffusion, Simulated]) -> None:
    """CRPS against the exact posterior of all 96 steps; energy of whole paths, which sees the seams."""
    model, simulated = long
    rng = np.random.default_rng(0)
    answers = model.impute(simulated.series, samples=100)
    best = [answer(law, item, 100, rng) for law, item in zip(simulated.laws, simulated.series, strict=True)]
    found, exact = (
        [np.mean(crps(one, truth)) for one, truth in zip(side, simulated.truth, strict=True)]
        for side in (answers, best)
    )
    assert np.mean(found) / np.mean(exact) < 1.04
    energy = [
        np.mean(
            [scores.energy_score(one.samples[..., 0], t[:, 0]) for one, t in zip(side, simulated.truth, strict=True)]
        )
        for side in (answers, best)
    ]
    assert energy[0] / energy[1] < 1.04
    points = [np.mean(np.abs(p.mean - q.mean)) for p, q in zip(model.point(simulated.series), best, strict=True)]
    assert np.mean(points) < 0.1


def test_steps_across_seams_are_no_wider_than_others(long: tuple[RiskDiffusion, Simulated]) -> None:
    model, simulated = long
    answers = np.stack([one.samples[..., 0] for one in model.impute(simulated.series, samples=100)])
    spread = np.var(np.diff(answers, axis=2), axis=1).mean(0)  # of each step, over samples
    truth = np.mean(np.diff(np.stack(simulated.truth)[..., 0]) ** 2)
    seams = [18 + 12 * k - 1 for k in range(7) if 18 + 12 * k < 90]  # into the first entry of a later window
    inner = [k for k in range(90) if k not in seams]
    assert spread[seams].mean() / spread[inner].mean() == pytest.approx(1, abs=0.12)
    whole = np.mean(np.diff(answers, axis=2)[..., :90] ** 2)  # posterior draws of all items follow the prior's law
    assert whole / truth == pytest.approx(1, abs=0.15)


def test_irregular_stamps_are_used_as_they_are() -> None:
    """Stamps at random times: near the exact posterior, which binning to whole steps would not be."""
    rng = np.random.default_rng(0)

    def draw(count: int) -> tuple[list[Series], list[Any], list[Any]]:
        items, truths, posteriors = [], [], []
        for i in range(count):
            time = np.cumsum(rng.exponential(size=30) + 0.05)
            k = np.exp(-np.abs(time[:, None] - time) / 2.0)
            x = np.linalg.cholesky(k) @ rng.standard_normal(30)
            risk = np.where(rng.random(30) < 0.5, np.inf, 0.1)
            value = np.where(np.isinf(risk), np.nan, x + 0.1 * rng.standard_normal(30))
            seen = np.isfinite(risk)
            gain = np.linalg.solve(k[np.ix_(seen, seen)] + 0.01 * np.eye(seen.sum()), k[seen]).T
            posteriors.append((gain @ value[seen], np.sqrt(np.diag(k - gain @ k[seen]))))
            items.append(Series(f"{i}", time, ("x",), value[:, None], risk[:, None]))
            truths.append(x)
        return items, truths, posteriors

    model = RiskDiffusion("gaussian", window=WINDOW, gaussian=replace(QUICK, steps=120))
    model.fit(draw(120)[0], progress=False)
    items, truths, posteriors = draw(60)
    found = np.mean([crps(p, x[:, None]).mean() for p, x in zip(model.impute(items, samples=100), truths, strict=True)])
    exact = np.mean([scores.crps_gaussian(*p, x).mean() for p, x in zip(posteriors, truths, strict=True)])
    assert found / exact < 1.06


def test_a_known_covariate_that_shifts_a_series_improves_its_forecast() -> None:
    """By 30 % or more in CRPS, near the exact answer; shown with Series and the future known."""
    rng = np.random.default_rng(0)
    train, test = shifted_series(rng, 120, WINDOW, horizon=0), shifted_series(rng, 60, WINDOW, horizon=6)
    total = {}
    for name in ("with", "without"):
        learn, ask = train.series, test.series
        if name == "without":
            learn, ask = (
                [replace(one, known=np.empty((WINDOW, 0)), known_names=()) for one in side] for side in (learn, ask)
            )
        model = RiskDiffusion("gaussian", window=WINDOW, gaussian=replace(QUICK, steps=150)).fit(learn, progress=False)
        future = model.forecast(ask, 4, samples=100)
        # Horizons count from the last measurement of each item; the last stamps are not always measured.
        total[name] = np.mean(
            [
                crps(one, truth[one.series.time.astype(int)]).mean()
                for one, truth in zip(future, test.truth, strict=True)
            ]
        )
    best = []
    rng = np.random.default_rng(1)
    for one, truth, law, item in zip(future, test.truth, test.laws, test.series, strict=True):
        rows = one.series.time.astype(int)
        best.append(crps(answer(law, item, 100, rng), truth)[rows].mean())
    assert total["with"] < 0.7 * total["without"]
    assert total["with"] < 1.1 * np.mean(best)


def table(zone: str | None = None, days: int = 12, items: int = 12) -> pd.DataFrame:
    """A daily rhythm in local time, hourly, over a change of the clocks in Berlin (29 March 2026)."""
    rng = np.random.default_rng(0)
    stamps = pd.date_range("2026-03-20", periods=24 * days, freq="h", tz="UTC").tz_convert(zone or "UTC")
    hour = stamps.hour.to_numpy() + stamps.minute.to_numpy() / 60
    frames = []
    for i in range(items):
        value = 10 + 3 * np.cos(2 * np.pi * (hour - 15) / 24) + 0.3 * rng.standard_normal(len(stamps))
        rows = {"item_id": f"i{i}", "timestamp": stamps if zone else stamps.tz_localize(None)}
        frames.append(pd.DataFrame({**rows, "variable": "load", "value": value, "sd": 0.3}))
    return pd.concat(frames, ignore_index=True)


def test_calendar_follows_local_time_across_a_change_of_the_clocks() -> None:
    data = table("Europe/Berlin")
    model = RiskDiffusion("gaussian", window=48, gaussian=replace(QUICK, steps=150)).fit(data, progress=False)
    start = pd.Timestamp("2026-03-28 12:00", tz="Europe/Berlin")
    before = data[
        (data["item_id"] == "i0") & (data["timestamp"] < start) & (data["timestamp"] >= start - pd.Timedelta("2D"))
    ]
    (future,) = model.forecast(before, "36h", samples=50)
    stamps = pd.DatetimeIndex(future.series.time).tz_localize("UTC").tz_convert(future.series.timezone)
    assert len(stamps) == 36
    assert stamps[0] == start
    assert str(stamps[-1]) == "2026-03-30 00:00:00+02:00"
    expected = 10 + 3 * np.cos(2 * np.pi * (stamps.hour.to_numpy() - 15) / 24)
    assert np.sqrt(np.mean((future.mean[:, 0] - expected) ** 2)) < 0.35  # an hour off would be up to .78 wrong


def test_the_same_instants_in_another_zone_are_the_same_stamps() -> None:
    data = table("Europe/Berlin", days=6, items=4)
    model = RiskDiffusion("gaussian", window=24, gaussian=QUICK).fit(data, progress=False)
    part = data[data["item_id"] == "i1"].iloc[:30]
    moved = part.assign(timestamp=part["timestamp"].dt.tz_convert("Europe/Paris"))  # the same wall clock as Berlin
    one, other = (model.impute(x, samples=3)[0] for x in (part, moved))
    assert np.array_equal(one.series.time, other.series.time)
    np.testing.assert_allclose(other.samples, one.samples, rtol=0, atol=1e-9)
    naive = part.assign(timestamp=part["timestamp"].dt.tz_localize(None))
    assert model.impute(naive, samples=3)[0].series.timezone is None


def test_horizons_are_counts_or_durations() -> None:
    model = RiskDiffusion("gaussian", window=24, grid="1h", gaussian=QUICK)
    model.fit(table(days=4, items=3), steps=20, progress=False)
    part = table(days=2, items=1)
    count, text = (model.forecast(part, horizon, samples=2)[0] for horizon in (6, "6h"))
    assert np.array_equal(count.series.time, text.series.time)
    assert count.series.time[0] == np.datetime64("2026-03-22")
    with pytest.raises(ConfigError, match="whole number of steps"):
        model.forecast(part, "90min")
    model.config = replace(model.config, grid=None)
    assert len(model.forecast(part, timedelta(minutes=90), samples=2)[0].series.time) == 2


@pytest.mark.parametrize("horizon", ["6h", timedelta(hours=6), pd.Timedelta("6h")])
def test_a_duration_is_rounded_up_to_whole_steps_where_a_step_is_a_typical_gap(horizon: str | timedelta) -> None:
    axis = Axis(17 * 60, calendar=True)  # 21.18 steps
    assert horizon_steps(horizon, axis, gridded=False) == 22
    assert horizon_steps(horizon, replace(axis, step=HOUR), gridded=False) == 6
    assert horizon_steps(horizon, replace(axis, step=HOUR), gridded=True) == 6
    with pytest.raises(ConfigError, match=r"horizon: .* is 21\.1765 steps\. Give a whole number of steps"):
        horizon_steps(horizon, axis, gridded=True)
    with pytest.raises(ConfigError, match=r"horizon: .* where stamps are numbers"):
        horizon_steps(horizon, Axis(1.0, calendar=False), gridded=False)
    with pytest.raises(ConfigError, match=r"horizon: .* is -22 steps"):
        horizon_steps(-pd.Timedelta(horizon) - timedelta(minutes=17), axis, gridded=False)
