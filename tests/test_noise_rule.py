"""Noise that is not Gaussian in training: what a reading teaches, from which level, what is cut, what is kept."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rstime.diffusion.loss import perturb, target, teaches
from rstime.errors import ConfigError, ModelFileError
from rstime.model import RiskDiffusion
from rstime.noise_rule import CUT, Noise, NoiseRule, clean_spread, meet, safe_levels
from rstime.risk.correlated import Correlated
from rstime.risk.families import Cauchy, Family, Gaussian, Laplace, StudentT, Uniform
from rstime.risk.matching import effective, safe_level
from rstime.risk.tabulated import CutCauchy, cut_sd, from_samples
from rstime.types import Series


def two_humps(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draws of .3 N(-1, .25^2) + .7 N(1, .25^2), of sd .95."""
    return np.where(rng.random(n) < 0.3, -1.0, 1.0) + 0.25 * rng.standard_normal(n)


def series(y: np.ndarray, risk: np.ndarray | float, name: str = "x") -> Series:
    return Series("a", np.arange(len(y)), (name,), y[:, None], np.broadcast_to(risk, y.shape)[:, None].astype(float))


def test_nothing_changes_for_gaussian_noise() -> None:
    risk, tau = torch.rand(2, 3, 4), 1 + torch.rand(2, 3, 4)
    assert meet((), risk, tau) == (risk, tau)
    met = meet((Gaussian(),) * 4, risk, tau)
    assert torch.equal(met[0], risk)
    assert torch.equal(met[1], tau)
    rule = NoiseRule.learn({"x": "gaussian"}, [series(np.ones(3), 1.0)], {})
    assert rule == NoiseRule()
    assert rule.families(("x",)) == ()
    assert torch.equal(safe_levels((), torch.tensor([0.5])), torch.tensor([0.5]))


def test_entries_meet_the_loss_by_channel_from_the_safe_level_on() -> None:
    inf = math.inf
    risk = torch.tensor([[[0.5, 0.5], [0.5, 0.5], [0.0, 0.5], [inf, inf], [0.5, 0.5]]])
    tau = torch.tensor([[[0.6, 0.6], [1.0, 1.0], [0.1, 0.5], [inf, inf], [inf, inf]]])
    met, level = meet((Gaussian(), Laplace()), risk, tau)
    assert torch.equal(met[..., 0], risk[..., 0])
    assert torch.equal(level[..., 0], tau[..., 0])
    matched = float(effective(Laplace(), 0.5, 1.0))
    assert matched < 0.49
    torch.testing.assert_close(met[0, :, 1], torch.tensor([0.5, matched, 0.5, inf, 0.5]))
    torch.testing.assert_close(level[0, :, 1], torch.tensor([0.5, 1.0, 0.5, inf, inf]))  # .6 is too close: held
    assert teaches(met, level)[0, :, 1].tolist() == [False, True, False, False, True]


def test_channels_are_supported_from_the_safe_level_on() -> None:
    found = safe_levels((Gaussian(), Laplace(), Laplace()), torch.tensor([0.3, 0.3, 0.0]))
    assert found.tolist() == pytest.approx([0.3, safe_level(Laplace(), 0.3), 0.0])
    assert 0.42 < found[1] < 0.45


@pytest.mark.parametrize("family", [Laplace(), Uniform(), StudentT(3.0)], ids=lambda x: x.kind)
def test_targets_teach_the_clean_mean_where_risk_ignored_does_not(family: Family) -> None:
    """E[target | m] against E[x | x + tau e = m] of the closed form, in the densest half of m, at twice the risk."""
    rng, n, risk, tau = np.random.default_rng(0), 400_000, 0.6, 1.2
    x = two_humps(rng, n)
    y = torch.from_numpy(x + risk * family.draw(rng, (n,)))
    e = torch.from_numpy(rng.standard_normal(n))
    r, t = torch.full((1, n, 1), risk, dtype=torch.float64), torch.full((1, n, 1), tau, dtype=torch.float64)
    met, level = (part[0, :, 0] for part in meet((family,), r, t))
    errors = {}
    for name, used in (("matched", met), ("ignored", torch.zeros_like(met))):
        m = perturb(y, used, level, e).numpy()
        told = target(y, used, level, e)[0].numpy()
        edges = np.quantile(m, np.linspace(0.02, 0.98, 25))
        place = np.digitize(m, edges)
        found = np.array([told[place == k].mean() for k in range(1, 25)])
        want = np.array([clean_mean(m[place == k], tau).mean() for k in range(1, 25)])
        errors[name] = math.sqrt(np.mean((found - want) ** 2))
    assert errors["matched"] < 0.02
    assert errors["ignored"] > 0.06


def clean_mean(m: np.ndarray, tau: float) -> np.ndarray:
    spread = 0.25**2 + tau**2
    logits = [math.log(p) - (m - centre) ** 2 / (2 * spread) for p, centre in ((0.3, -1.0), (0.7, 1.0))]
    one = 1 / (1 + np.exp(logits[0] - logits[1]))
    means = [centre + 0.25**2 / spread * (m - centre) for centre in (-1.0, 1.0)]
    return np.asarray((1 - one) * means[0] + one * means[1])


def test_the_clean_spread_shows_behind_cauchy_noise() -> None:
    rng = np.random.default_rng(0)
    for half in (0.0, 0.3, 1.0):
        centre, spread = clean_spread(
            3 + 2 * rng.standard_normal(4000) + half * rng.standard_cauchy(4000), np.full(4000, half)
        )
        assert (centre, spread) == pytest.approx((3, 2), abs=0.15)
    mixed = np.where(np.arange(4000) % 2, 0.0, 0.8)
    y = two_humps(rng, 4000) + mixed * rng.standard_cauchy(4000)
    assert clean_spread(y, mixed)[1] == pytest.approx(0.95, abs=0.2)
    assert clean_spread(np.ones(5), np.zeros(5)) == (1.0, math.sqrt(0.05))


def test_cauchy_readings_are_cut_and_the_rest_has_a_standard_deviation() -> None:
    rng = np.random.default_rng(0)
    half = np.where(np.arange(4000) % 10 == 0, 0.0, 0.3)
    x = two_humps(rng, 4000)
    one = series(x + half * rng.standard_cauchy(4000), half)
    rule = NoiseRule.learn({"x": "cauchy"}, [one], {})
    noise = rule.variables["x"]
    assert noise.bound == pytest.approx(CUT * 0.95, rel=0.15)
    assert noise.family == CutCauchy(noise.bound / 0.3)
    (kept,) = rule.apply([one])
    out = np.isinf(kept.risk[:, 0])
    assert out.mean() == pytest.approx(0.9 * 2 / math.pi * math.atan(0.3 / noise.bound), rel=0.2)
    assert np.array_equal(out, np.abs(one.value[:, 0] - noise.location) > noise.bound)
    assert set(kept.risk[~out, 0]) == {0.0, float(cut_sd(0.3, noise.bound))}
    error = (kept.value[:, 0] - x)[~out & (half > 0)]
    assert error.std() == pytest.approx(float(cut_sd(0.3, noise.bound)), rel=0.1)
    exact = series(np.array([1e6, 0.0]), 0.0)
    assert rule.apply([exact])[0].risk.tolist() == [[0.0], [0.0]]  # exact readings are no outliers
    other = series(np.ones(2), 5.0, "z")
    assert rule.apply([other])[0].risk.tolist() == [[5.0], [5.0]]


def test_rules_come_back_from_json() -> None:
    samples = from_samples(np.random.default_rng(0).laplace(size=200))
    rule = NoiseRule({"a": Noise(StudentT(4.0)), "b": Noise(CutCauchy(9.0), 1.0, 3.0), "c": Noise(samples)})
    back = NoiseRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    assert back.variables["a"] == Noise(StudentT(4.0))
    assert back.variables["b"] == Noise(CutCauchy(9.0), 1.0, 3.0)
    np.testing.assert_allclose(back.variables["c"].family.samples, samples.samples)  # type: ignore[attr-defined]
    assert back.families(("b", "z")) == (CutCauchy(9.0), Gaussian())
    for damaged in ({"a": {}}, {"a": {"family": {"kind": "x"}, "location": 0, "bound": 1}}, {"a": 3}):
        with pytest.raises(ModelFileError, match="noise: cannot be read"):
            NoiseRule.from_dict(damaged)  # type: ignore[arg-type]


def test_wrong_requests_are_refused() -> None:
    some = [series(np.ones(3), 1.0)]
    with pytest.raises(ConfigError, match=r"noise: unknown variable 'q'\. Known ones: x\."):
        NoiseRule.learn({"q": "laplace"}, some, {})
    with pytest.raises(ConfigError, match="noise: 'odd' is unknown"):
        NoiseRule.learn({"x": "odd"}, some, {})
    with pytest.raises(ConfigError, match="noise: cauchy noise of 'x', which is transformed"):
        NoiseRule.learn({"x": Cauchy()}, some, {"x": "log"})
    with pytest.raises(ConfigError, match="noise: cauchy noise of 'x', with risk='scale'"):
        NoiseRule.learn({"x": Cauchy()}, some, {}, "scale")
    assert NoiseRule.learn({"x": Laplace()}, some, {"x": "log"}).families(("x",)) == (Laplace(),)


def test_errors_that_last_are_written_as_shares_and_memories() -> None:
    some = [dated(series(np.ones(3), 1.0))]
    rule = NoiseRule.learn({"x": "0.5@6h+0.3@2min"}, some, {})
    assert rule.variables["x"].family == Correlated((0.5, 0.3), (21600.0, 120.0))
    assert rule.correlated(("x", "z"), 3600.0) == [[[0.5, 6.0], [0.3, 120 / 3600]], []]
    assert rule.white(("x", "z")).tolist() == pytest.approx([0.2**0.5, 1.0])
    assert NoiseRule({}).correlated(("x",), 1.0) == []
    assert NoiseRule.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule
    with pytest.raises(ConfigError, match=r"noise: 'half@6h' has a share that is not a number\. Write SHARE@MEMORY"):
        NoiseRule.learn({"x": "half@6h"}, some, {})
    with pytest.raises(ConfigError, match="duration: 'soon' is not a positive one"):
        NoiseRule.learn({"x": "0.5@soon"}, some, {})


def dated(one: Series) -> Series:
    return replace(one, time=np.datetime64("2026-01-01", "ns") + one.time.astype("timedelta64[h]"))


def test_memories_in_the_unit_of_other_stamps_are_refused() -> None:
    numbers = series(np.ones(3), 1.0)
    assert NoiseRule.learn({"x": "0.5@20+0.2@1e3"}, [numbers], {}).variables["x"].family.memories == (20, 1000)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError) as told:
        NoiseRule.learn({"x": "0.5@20+0.3@20h"}, [numbers], {})
    problem = "noise: memory '20h' in '0.5@20+0.3@20h' of 'x' where stamps are numbers."
    assert str(told.value) == f"{problem} Give a number, in the unit of the stamps."
    with pytest.raises(ConfigError) as told:
        NoiseRule.learn({"x": "0.8@20"}, [dated(numbers)], {})
    problem = "noise: memory '20' in '0.8@20' of 'x' without a unit, where stamps are dates."
    assert str(told.value) == f"{problem} Give a count and a unit, such as 30min or 6h."


def test_a_model_learns_with_families_and_keeps_them_on_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    items = []
    for k in range(12):
        x = two_humps(rng, 32)
        y = np.stack([x + 0.4 * rng.standard_cauchy(32), x + 0.5 * Laplace().draw(rng, (32,))], axis=1)
        items.append(Series(f"{k}", np.arange(32), ("c", "l"), y, np.full((32, 2), [0.4, 0.5])))
    model = RiskDiffusion(size="tiny", window=8, prior="white")
    model.fit(items, noise={"c": "cauchy", "l": Laplace()}, steps=3, progress=False, device="cpu")
    assert model.noise.variables["l"] == Noise(Laplace())
    assert [type(family) for family in model.noise.families(model.variables)] == [CutCauchy, Laplace]
    risk = 0.5 / model._scaler.scale[1]  # type: ignore[union-attr]
    assert model.support.smallest_risk_sd[1] == pytest.approx(safe_level(Laplace(), risk), rel=1e-5)
    assert model.support.measurements[0] < 12 * 32  # those cut are missing
    model.save(tmp_path / "m")
    back = RiskDiffusion.load(tmp_path / "m", device="cpu")
    assert back.noise == model.noise
    assert back.same(model)
    wild = replace(items[0], value=np.where(np.arange(32)[:, None] == 5, 1e5, items[0].value))
    one, two = (x.impute([wild], samples=2, entries="missing")[0] for x in (model, back))
    np.testing.assert_array_equal(one.samples, two.samples)
    assert np.isinf(one.series.risk[5, 0])  # an outlying reading is missing, and is answered
    assert np.abs(one.samples[:, 5, 0]).max() < 100
    assert model.baseline().noise == model.noise
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["noise"]["l"]["family"] == {"kind": "laplace"}
    del config["noise"]  # of a model that was saved before there were families
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    assert RiskDiffusion.load(tmp_path / "m", device="cpu").noise == NoiseRule()
