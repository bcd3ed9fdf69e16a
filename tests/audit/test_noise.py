"""Audits of readings whose noise lasts or is not Gaussian: the right law passes if the audit is told, and only then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rstime.audit.report import CONSTANT, REAL, WHITE, Audit
from rstime.audit.run import audit
from rstime.audit.windows import Drawn, Errors, Windows, drawn_by, measured
from rstime.datasets.simulate import gaussian_truth
from rstime.errors import ConfigError
from rstime.model import RiskDiffusion
from rstime.noise_rule import Noise, NoiseRule, noise_named
from rstime.risk.families import Cauchy, Laplace
from rstime.types import Floats, Series

ITEMS, LENGTH = 200, 24


def law(pieces: Sequence[Series], seed: int) -> list[Floats]:
    """A signal of sd 10 around 50."""
    drawn = gaussian_truth(LENGTH, 1).draw(np.random.default_rng([seed, 1]), len(pieces))
    return list(50 + 10 * drawn.reshape(len(pieces), LENGTH, 1))


def series(noise: Noise, risk: float, seed: int) -> list[Series]:
    """Readings of it, with errors of this law and risk."""
    errors = Errors((noise,), 1.0).draw(np.random.default_rng([seed, 2]), (ITEMS, LENGTH, 1))
    stamps, sd = np.arange(float(LENGTH)), np.full((LENGTH, 1), risk)
    clean = law([Series("a", stamps, ("x",), sd, sd)] * ITEMS, seed + 10)
    return [Series(f"{seed}-{k}", stamps, ("x",), clean[k] + risk * errors[k], sd) for k in range(ITEMS)]


def score(found: Audit, name: str, which: str) -> float:
    return float(found.mean(which)[[one.name for one in found.scores].index(name)])


@pytest.mark.parametrize(
    ("told", "noise", "risk"),
    [
        ("0.8@20", Noise(noise_named("0.8@20")), 10.0),
        ("laplace", Noise(Laplace()), 12.0),
        ("cauchy", Noise(Cauchy()), 5.0),
    ],
)
def test_the_right_law_passes_if_the_audit_is_told_of_the_noise(told: str, noise: Noise, risk: float) -> None:
    train, holdout = series(noise, risk, 0), series(noise, risk, 1)
    known, unknown = (
        audit(train, holdout, {"law": law}, window=LENGTH, rule=rule, noise=(), halves=2)
        for rule in (NoiseRule.learn({"x": told}, train, {}), NoiseRule())
    )
    assert known.p["law"] > 0.05
    assert known.p[REAL] > 0.05
    assert known.p[WHITE] == known.p[CONSTANT] == 0.001
    assert score(known, "discriminative", "law") == pytest.approx(0.5, abs=0.1)
    assert score(known, "autocorrelation", "law") < 0.2
    assert unknown.p["law"] < 0.01
    assert score(unknown, "discriminative", "law") > 0.6


def test_what_a_model_was_told_is_what_its_windows_are_measured_with() -> None:
    train, holdout = (
        series(Noise(noise_named("0.8@20")), 10.0, 0)[:40],
        series(Noise(noise_named("0.8@20")), 10.0, 1)[:40],
    )
    model = RiskDiffusion("gaussian", window=LENGTH).fit(train, noise={"x": "0.8@20"}, steps=5, progress=False)
    plain = RiskDiffusion("gaussian", window=LENGTH).fit(train, noise={"x": "0.5@20"}, steps=5, progress=False)
    said, told, other = (
        audit(train, holdout, {"mine": drawn_by(model)}, window=LENGTH, rule=rule, noise=(), halves=2)
        for rule in (None, model.noise, NoiseRule())
    )
    np.testing.assert_array_equal(said.halves["mine"], told.halves["mine"])
    assert np.abs(said.mean("mine") - other.mean("mine")).max() > 0.1
    with pytest.raises(ConfigError, match=r"models that were told of different noise\. Give the noise of the readings"):
        audit(train, holdout, {"one": Drawn(model, 5), "two": Drawn(plain, 5)}, window=LENGTH)


def test_errors_that_last_do_so_over_the_steps_and_cauchy_noise_is_cut() -> None:
    """Correlation .8 exp(-1 / 2) after a step of 10 where errors last for 20; of |y| <= 3 with h = 1, 80 % are left."""
    rng = np.random.default_rng(0)
    shape = 20_000, 3, 2
    still = Windows(np.zeros(shape), np.zeros(shape), np.arange(shape[0]))
    like = Windows(np.zeros(shape), np.ones(shape), np.arange(shape[0]))
    errors = Errors((Noise(noise_named("0.8@20")), Noise(Laplace(), 0.0, 3.0)), 10.0)
    found = measured(still, like, rng, errors)
    lasting, cut = found.value[..., 0], found.value[..., 1]
    assert np.mean(lasting**2) == pytest.approx(1, abs=0.03)
    assert np.mean(lasting[:, 1:] * lasting[:, :-1]) == pytest.approx(0.8 * np.exp(-0.5), abs=0.03)
    seen = np.isfinite(found.risk[..., 1])
    assert seen.mean() == pytest.approx(2 * np.arctan(3) / np.pi, abs=0.01)
    assert not cut[~seen].any()
    assert np.all(found.risk[..., 1][seen] == pytest.approx(np.std(cut[seen]), rel=0.02))
