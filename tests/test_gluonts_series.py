"""Covariates, several targets, series of any length and scale, stamps, in the GluonTS face."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.model.forecast import SampleForecast

from oracles.entries import START, Entry, gaussian, waves
from rstime.errors import RstimeWarning
from rstime.gluonts import with_risk
from rstime.gluonts_data import stamps
from rstime.gluonts_scale import ItemScale
from rstime.types import Series

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore:.*did not beat:rstime.errors.RstimeWarning")


def test_covariates_of_the_future_the_past_and_the_item_each_inform_the_forecast() -> None:
    rng = np.random.default_rng(0)

    def entry(ahead: int, length: int = 48) -> Entry:
        known, group = rng.normal(size=(1, length + ahead)), int(rng.integers(3))
        twin = np.convolve(rng.normal(size=length + 6), np.ones(6) / 6, "valid")[:length]
        real = rng.normal(size=1)
        target = 3 * known[0, :length] + 4 * group + 2 * real + twin
        future = 3 * known[0, length:] + 4 * group + 2 * real
        static = {"feat_static_cat": np.array([group]), "feat_static_real": real, "future": future}
        return {
            "start": START,
            "target": target,
            "feat_dynamic_real": known,
            "past_feat_dynamic_real": twin[None],
        } | static

    names = ("num_feat_dynamic_real", "num_feat_static_real", "num_feat_static_cat", "num_past_feat_dynamic_real")
    predictor = gaussian(4, 80, scaling=False, **dict.fromkeys(names, 1)).train([entry(0) for _ in range(40)])
    assert predictor.layout.cardinality == (3,)
    test = [entry(4) for _ in range(20)]
    forecasts = list(predictor.predict(test))
    error = np.array([f.mean - e["future"] for f, e in zip(forecasts, test, strict=True)])
    spread = np.std([e["future"] for e in test])
    assert np.sqrt(np.mean(error**2)) < 0.2 * spread
    cold = [{**e, "target": np.full(48, np.nan), "past_feat_dynamic_real": np.full((1, 48), np.nan)} for e in test]
    with pytest.warns(RstimeWarning, match="items without observation"):
        forecasts = list(predictor.predict(cold))
    error = np.array([f.mean - e["future"] for f, e in zip(forecasts, test, strict=True)])
    assert np.sqrt(np.mean(error**2)) < 0.3 * spread  # static and known covariates alone


def test_several_targets_have_joint_samples() -> None:
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(8, 60)), axis=1)
    entries = [{"start": START, "target": np.stack([w, 100 - 2 * w + 0.05 * rng.normal(size=60)])} for w in walk]
    entries[0]["target"][1, -20:] = np.nan
    forecasts = list(gaussian(3, 120, scaling=False).train(entries).predict(entries, num_samples=200))
    assert {f.samples.shape for f in forecasts} == {(200, 3, 2)}
    assert all(isinstance(f, SampleForecast) for f in forecasts)
    last = [np.corrcoef(f.samples[:, -1].T)[0, 1] for f in forecasts]
    assert np.mean(last) < -0.8
    np.testing.assert_allclose(forecasts[0].mean[0, 1], 100 - 2 * walk[0, -1], atol=4)


def test_series_of_any_length_and_scale_are_forecast_in_their_own_units() -> None:
    entries, clean = waves(7, 84)
    entries = [{**e, "target": e["target"][: 72 - 11 * k]} for k, e in enumerate(entries)]
    predictor = gaussian(12, 100, context_length=36).train(entries)
    short = [{**entries[2], "target": entries[2]["target"][:n]} for n in (1, 3, 6)]
    for k, forecast in enumerate(predictor.predict(entries)):
        truth = clean[k][72 - 11 * k : 84 - 11 * k] / 10.0**k
        assert np.abs(forecast.mean / 10.0**k - truth).mean() < (0.35 if k < 5 else 1.0), k
    for entry, forecast in zip(short, predictor.predict(short), strict=True):
        low, high = (forecast.quantile(q) / 100 for q in (0.05, 0.95))
        assert forecast.start_date == entry["start"] + len(entry["target"])
        assert ((low < 6.5) & (high > 3.5)).all()
        assert (high - low < 8).all()


def test_days_that_repeat_are_forecast_nearly_as_well_as_they_repeat() -> None:
    """Hourly, each item with days of its own that repeat up to .1; half of the readings have an error of 1.

    Root mean square error: .1 is what the days allow, .14 what yesterday would say if it were clean.
    """
    rng, start = np.random.default_rng(0), pd.Period("2026-03-02 00:00", "h")
    clean = np.tile(rng.normal(size=(8, 24)), 13) + 0.1 * rng.normal(size=(8, 13 * 24))
    risk = np.where(rng.random(clean.shape) < 0.5, 1.0, 0.0)
    noisy = 50 + 7 * (clean + risk * rng.normal(size=clean.shape))
    entries = [{"start": start, "target": y[:288], "sd": 7 * r[:288]} for y, r in zip(noisy, risk, strict=True)]
    known, ignored = with_risk(entries, "sd"), with_risk(entries, 0.0)

    def error(data: list[Entry], seasons: bool = True) -> tuple[float, float]:
        answers = list(
            gaussian(24, 60, risk="risk", freq="h", seasons=seasons).train(data).predict(data, num_samples=200)
        )
        ends = np.array([[f.quantile(q) for q in (0.05, 0.5, 0.95)] for f in answers]) / 7 - 50 / 7
        truth = clean[:, 288:]
        return float(np.sqrt(np.square(ends[:, 1] - truth).mean())), float(
            np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 2]))
        )

    (mine, holds), (naive, _), (without, _) = error(known), error(ignored), error(known, seasons=False)
    assert mine < 0.16
    assert 0.8 < holds < 0.99
    assert naive > 1.5 * mine
    assert without > 1.5 * mine


def test_missing_values_at_the_end_do_not_move_the_forecast() -> None:
    entries, clean = waves(4, 84)
    predictor = gaussian(12, 100, context_length=36).train(entries)
    cut = [{**e, "target": np.append(e["target"][:66], np.full(6, np.nan))} for e in entries]
    for k, forecast in enumerate(predictor.predict(cut)):
        assert forecast.start_date == entries[k]["start"] + 72
        assert np.abs(forecast.mean - clean[k][72:]).mean() / 10.0**k < 0.35


def test_answers_do_not_depend_on_the_other_items_and_names_are_returned() -> None:
    entries, _ = waves(70, 30)
    for k, entry in enumerate(entries):
        entry["target"], entry["info"] = entry["target"] / 10.0**k, {"k": k}
    predictor = gaussian(4).train(entries)
    whole = list(predictor.predict(entries, num_samples=3))
    assert [f.item_id for f in whole] == [e["item_id"] for e in entries]
    assert [f.info["k"] for f in whole] == list(range(70))
    np.testing.assert_allclose(next(predictor.predict(entries[:1], num_samples=3)).samples, whole[0].samples, rtol=1e-5)
    assert predictor.predict(entries[:1]) is not None
    assert next(predictor.predict(entries[:1])).samples.shape == (100, 4)


@pytest.mark.parametrize(
    ("freq", "start", "year"),
    [
        ("h", "2026-03-01 05:00", 8766),
        ("15min", "2026-03-01", 35064),
        ("D", "2026-03-01", 365.25),
        ("2D", "2026-03-01", 182.625),
        ("W", "2026-03-01", 365.25 / 7),
        ("M", "2026-03", 12),
        ("Q", "2026-03", 4),
        ("Y", "2026", 1),
        ("B", "2026-03-02", 365.25 * 5 / 7),
    ],
)
def test_stamps_are_even_and_near_the_real_dates(freq: str, start: str, year: float) -> None:
    period = pd.Period(start, freq=freq)
    time = stamps(period, 50, freq, "x")
    gaps = np.diff(time).astype(np.int64)
    assert len(set(gaps.tolist())) == 1
    assert 365.25 * 86400e9 / gaps[0] == pytest.approx(year)
    away = np.abs(time - np.array([(period + k).start_time for k in range(50)], dtype="datetime64[ns]"))
    assert away.max() <= np.timedelta64(0 if freq in ("h", "15min", "D", "2D") else 6, "D")


def test_item_scale_takes_noise_off_and_borrows_where_readings_are_few() -> None:
    rng = np.random.default_rng(0)

    def series(level: float, sd: float, length: int, risk: float = 0.0) -> Series:
        value = level + sd * rng.normal(size=length) + risk * rng.normal(size=length)
        return Series("x", np.arange(float(length)), ("y",), value[:, None], np.full((length, 1), risk))

    levels = 10.0 ** np.arange(-2, 4)
    scale = ItemScale.fit([series(level, 0.2 * level, 200) for level in levels], 50, 10000)
    assert scale.relative.tolist() == [1.0]
    assert scale.scale[0] == pytest.approx(0.2, rel=0.15)

    def units(one: Series) -> tuple[float, float]:
        found = scale.of(one, ahead=1)
        assert (found.centre == found.centre[0]).all()
        return float(found.centre[-1, 0]), float(found.scale[0])

    assert units(series(1000, 200, 3000, risk=300)) == pytest.approx((1000, 200), rel=0.1)
    assert units(series(50, 0, 1)) == pytest.approx((50, 50 * scale.scale[0] * (8 / 9) ** 0.5), rel=1e-6)
    assert units(series(50, 0, 1, risk=30))[1] > 30
    location, spread = units(series(0, 1, 0))
    assert location == pytest.approx(scale.location[0])
    assert spread > 0.9 * np.std(levels)
    one = series(1000, 200, 20, risk=300)
    np.testing.assert_allclose(scale.of(one).scaled(one).risk, 300 / units(one)[1])
    alike = ItemScale.fit([series(level, 2.0, 200) for level in (-1.0, 0.5, 0.1, 2.0)], 50, 10000)
    assert alike.relative.tolist() == [0.0]
    assert ItemScale.from_dict(alike.to_dict()).to_dict() == alike.to_dict()


def test_holes_in_covariates_of_the_past_are_missing_readings() -> None:
    entries, _ = waves(2, 40, noise=1.0)
    tell = [{**e, "past_feat_dynamic_real": np.sin(np.arange(40.0) + k)[None]} for k, e in enumerate(entries)]
    predictor = gaussian(num_past_feat_dynamic_real=1, risk="risk", steps=2).train(with_risk(tell, "sd"))
    nothing = [{**e, "past_feat_dynamic_real": np.full((1, 40), np.nan)} for e in entries]
    whole, bare = (next(iter(predictor.predict(with_risk(data, "sd")))).samples for data in (tell, nothing))
    assert np.isfinite(bare).all()
    assert not np.allclose(whole, bare)


def test_lists_of_gluonts_are_read() -> None:
    data = ListDataset([{"start": "2026-01-01", "target": np.arange(40.0) % 7}], freq="D")
    with warnings.catch_warnings():
        warnings.simplefilter("error", RstimeWarning)
        (forecast,) = gaussian(7, freq="D").train(data).predict(data)
    assert forecast.samples.shape == (100, 7)
    assert str(forecast.start_date) == "2026-02-10"
