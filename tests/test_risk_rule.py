"""fit(risk=...): what is learned of the noise goes into the fit, the answers and the files, and nowhere else."""

from __future__ import annotations

import copy
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from oracles.series import two_levels
from rstime.cells import Columns
from rstime.cli import main
from rstime.datasets.simulate import gp_series
from rstime.errors import ConfigError, ModelFileError, RstimeWarning
from rstime.gaussian_fit import GaussianConfig
from rstime.model import RiskDiffusion
from rstime.risk.estimation import ClassRisk, RiskEstimate
from rstime.risk_rule import RiskRule
from rstime.training import TrainingConfig
from rstime.types import Series

QUICK = GaussianConfig(steps=20, tokens=40, moments=8)
FEW = TrainingConfig(batch=16, learning_rate=1e-3, warmup=5, validations=3, validation_batches=2, ema=0.9)
FOUND = RiskEstimate((ClassRisk("x0", 0, 100, 2.0, 1.9, 2.1), ClassRisk("x1", 0, 100, 0.5, 0.1, 3.0, "why")))


def ward(wrong: float = 1.0, items: int = 24, seed: int = 0) -> list[Series]:
    """Windows of two variables, their noise claimed wrong by a factor."""
    series = gp_series(np.random.default_rng(seed), items, 24, "matern32", channels=2, risk=(0.2, 1.0)).series
    return [replace(one, risk=one.risk * wrong) for one in series]


def table(series: list[Series]) -> pd.DataFrame:
    rows = [
        {"item_id": one.item_id, "timestamp": t, "variable": name, "value": one.value[i, c], "sd": one.risk[i, c]}
        for one in series
        for i, t in enumerate(one.time)
        for c, name in enumerate(one.variables)
        if one.observed[i, c]
    ]
    return pd.DataFrame(rows)


def fitted(data: Any, **settings: Any) -> RiskDiffusion:
    return RiskDiffusion("gaussian", window=24, gaussian=QUICK).fit(data, progress=False, **settings)


@pytest.fixture(scope="module")
def scaled() -> RiskDiffusion:
    return fitted(ward(0.5), risk="scale")


@pytest.fixture(scope="module")
def estimated() -> RiskDiffusion:
    return fitted(table(ward()).drop(columns="sd"), risk="estimate")


# ---- the rule alone --------------------------------------------------------------------------------------------------


def test_an_unknown_mode_is_refused_with_those_known() -> None:
    with pytest.raises(ConfigError, match=r"risk: 'guess' is unknown\. Choose one of known, scale, estimate\."):
        RiskRule("guess")
    with pytest.raises(ConfigError, match="risk: 'guess' is unknown"):
        RiskDiffusion("gaussian").fit(ward(items=1), risk="guess")


def test_known_risks_pass_as_they_are() -> None:
    rule, series = RiskRule(), ward(items=2)
    frame, columns = table(series), Columns()
    assert rule.table(frame, columns) == (frame, columns)
    assert rule.apply(series) == series
    assert rule.learn(series, 24, None, 0, lambda *told: None) is rule


def test_estimated_risks_read_no_sd_and_no_variance() -> None:
    frame = pd.DataFrame({"value": [1.0, 2.0], "var": [0.1, np.nan]})
    read, columns = RiskRule("estimate").table(frame, Columns(variance="var"))
    assert read["sd"].tolist() == [1.0, 1.0]
    assert (columns.variance, "sd" in frame) == (None, False)
    assert RiskRule("scale").table(frame, Columns(variance="var"))[1].variance == "var"


def test_factors_multiply_what_is_given_and_exact_ones_count_as_one_where_estimated() -> None:
    one = Series("a", np.arange(2.0), ("x0", "x1"), np.zeros((2, 2)), np.array([[0.0, 3.0], [0.2, np.inf]]))
    assert RiskRule("scale", FOUND).apply([one])[0].risk.tolist() == [[0.0, 1.5], [0.4, np.inf]]
    assert RiskRule("estimate", FOUND).apply([one])[0].risk.tolist() == [[2.0, 1.5], [0.4, np.inf]]
    assert RiskRule("estimate").apply([one])[0].risk.tolist() == [[1.0, 3.0], [0.2, np.inf]]


@pytest.mark.parametrize("rule", [RiskRule(), RiskRule("scale", FOUND), RiskRule("estimate", FOUND)])
def test_rules_survive_a_round_trip(rule: RiskRule) -> None:
    found = RiskRule.from_dict(rule.to_dict())
    assert (found.mode, found.estimate) == (rule.mode, rule.estimate)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"mode": "scale"},
        {"mode": "guess", "estimate": None},
        {"mode": "scale", "estimate": {"classes": [{"variable": "x"}]}},
        {"mode": "scale", "estimate": []},
        [],
    ],
)
def test_damaged_rules_are_refused(state: Any) -> None:
    with pytest.raises(ModelFileError, match=r"risk: cannot be read \(.*\)\. Save the model again\."):
        RiskRule.from_dict(state)


# ---- in a model ------------------------------------------------------------------------------------------------------


def under(rule: RiskRule, model: RiskDiffusion) -> RiskDiffusion:
    """Return the same model that takes the risks it is given by another rule."""
    other = copy.copy(model)
    other.risk = rule
    return other


def test_a_claim_of_half_the_noise_is_doubled(scaled: RiskDiffusion) -> None:
    found = scaled.risk_table
    assert found["variable"].tolist() == ["x0", "x1"]
    np.testing.assert_allclose(found["factor"], 2.0, rtol=0.2)
    assert (found["low"] < found["factor"]).all()
    assert (found["high"] > found["factor"]).all()
    assert found["measurements"].sum() == sum(int(one.observed.sum()) for one in ward())
    assert found["factor"].tolist() == [float(f"{x:.3g}") for x in found["factor"]]


def test_the_model_is_the_one_of_the_scaled_risks(scaled: RiskDiffusion) -> None:
    """Scaled by hand and taken as known they give the same weights and the same answers."""
    assert scaled.risk.estimate is not None
    given = ward(0.5)
    by_hand = [scaled.risk.estimate.apply(one) for one in given]
    other = fitted(by_hand)
    assert under(scaled.risk, other).same(scaled)
    assert not other.same(scaled)
    assert len(other.risk_table) == 0
    first, second = scaled.impute(given[:1], samples=5), other.impute(by_hand[:1], samples=5)
    assert np.array_equal(first[0].samples, second[0].samples)
    assert not np.array_equal(first[0].samples, scaled.impute(by_hand[:1], samples=5)[0].samples)
    for one, two in ((scaled.point(given[:1]), other.point(by_hand[:1])),):
        assert np.array_equal(one[0].samples, two[0].samples)
    ahead = scaled.forecast(given[:1], 3, samples=5)[0], other.forecast(by_hand[:1], 3, samples=5)[0]
    assert np.array_equal(ahead[0].samples, ahead[1].samples)


def test_held_out_data_are_scaled_too(scaled: RiskDiffusion) -> None:
    assert scaled.risk.estimate is not None
    check = ward(0.5, 10, seed=1)
    whole = fitted(ward(0.5), risk="scale", validation=check)
    by_hand = [[scaled.risk.estimate.apply(one) for one in part] for part in (ward(0.5), check)]
    assert whole.same(under(whole.risk, fitted(by_hand[0], validation=by_hand[1])))


@pytest.mark.parametrize("name", ["scaled", "estimated"])
def test_a_loaded_model_answers_as_the_saved_one(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    model: RiskDiffusion = request.getfixturevalue(name)
    model.save(tmp_path / "model")
    loaded = RiskDiffusion.load(tmp_path / "model")
    for data in (ward(0.5, 2), table(ward(0.5, 2))):
        first, second = (one.impute(data, samples=6, seed=3) for one in (model, loaded))
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.samples, b.samples)
            np.testing.assert_array_equal(a.series.risk, b.series.risk)
    pd.testing.assert_frame_equal(loaded.risk_table, model.risk_table)
    assert loaded.baseline().risk.estimate == model.risk.estimate


def test_a_table_without_sd_is_fitted_without_a_word_of_sd(estimated: RiskDiffusion) -> None:
    bare = table(ward()).drop(columns="sd")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "sd")
        again = fitted(bare, risk="estimate")
        answers = again.impute(bare, samples=3)
    assert again.same(estimated)
    assert [one.samples.shape[::2] for one in answers] == [(3, 2)] * 24
    with pytest.warns(RstimeWarning, match="sd"):
        fitted(bare.head(200))


def test_what_a_table_says_of_sd_is_not_read(estimated: RiskDiffusion) -> None:
    bare = table(ward()).drop(columns="sd")
    loud = bare.assign(sd=np.where(np.arange(len(bare)) % 2, -1.0, np.nan))
    assert fitted(loud, risk="estimate").same(estimated)
    first, second = (estimated.impute(data, samples=4)[0].samples for data in (bare, loud))
    np.testing.assert_array_equal(first, second)


def test_one_sd_is_learned_for_each_variable() -> None:
    """Noise of .3 and .8 times the signal's sd, in units of 50 and .2."""
    rng = np.random.default_rng(0)
    clean = gp_series(rng, 20, 64, "matern32", channels=2)
    unit, sd = np.array([50.0, 0.2]), np.array([0.3, 0.8])
    data = [
        Series(one.item_id, one.time, ("a", "b"), (x + sd * rng.normal(size=x.shape)) * unit, np.zeros(x.shape))
        for one, x in zip(clean.series, clean.truth, strict=True)
    ]
    found = fitted(data, risk="estimate").risk_table
    assert list(found.columns) == ["variable", "measurements", "sd", "low", "high", "note"]
    np.testing.assert_allclose(found["sd"] / unit, sd, rtol=0.1)


def test_variables_that_stay_open_are_warned_of() -> None:
    rng = np.random.default_rng(0)
    series = [Series("a", np.arange(15.0), ("x",), rng.normal(size=(15, 1)), np.ones((15, 1)))]
    with pytest.warns(RstimeWarning, match="the data do not tell the size of the noise of x .*only 15 measurements"):
        fitted(series, risk="estimate")


def test_a_killed_fit_with_scaled_risks_goes_on(tmp_path: Path) -> None:
    """What is learned of the noise is learned again, to the same digits: the checkpoint still belongs to the data."""
    data = [replace(one, risk=one.risk * 0.5) for one in two_levels(0, 40)]

    def fit(steps: int, place: Path | None) -> RiskDiffusion:
        model = RiskDiffusion(size="tiny", window=12, gaussian=QUICK, training=FEW)
        return model.fit(data, risk="scale", steps=steps, seed=0, progress=False, checkpoint=place)

    from rstime.training import Trainer

    whole, step, calls = fit(12, None), Trainer.step, iter(range(100))

    def killed(self: Trainer, *arguments: Any) -> float:
        if next(calls) == 7:
            raise KeyboardInterrupt
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "step", killed)
        assert fit(12, tmp_path / "c").run.interrupted
    again = fit(12, tmp_path / "c")
    assert again.risk.estimate == whole.risk.estimate
    assert again.same(whole)
    with pytest.raises(ModelFileError):
        RiskDiffusion(size="tiny", window=12, gaussian=QUICK, training=FEW).fit(
            data, steps=12, seed=0, progress=False, checkpoint=tmp_path / "c"
        )


# ---- on the command line ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("risk", ["scale", "estimate"])
def test_the_command_line_learns_noise_says_its_size_and_answers(
    risk: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = table(ward(0.5))
    frame = frame.drop(columns="sd") if risk == "estimate" else frame
    path, model, out = tmp_path / "t.csv", tmp_path / "model", tmp_path / "clean.csv"
    frame.to_csv(path, index=False)
    settings = ["--model", "gaussian", "--window", "24", "--steps", "20", "--risk", risk]
    assert main(["fit", str(path), "--out", str(model), *settings]) == 0
    told = capsys.readouterr().err
    factors = RiskDiffusion.load(model).risk_table["sd" if risk == "estimate" else "factor"]
    assert "size of the noise, by variable:" in told
    lines = [line for line in told.splitlines() if line.split()[:1] in (["x0"], ["x1"])]
    assert [float(line.split()[2]) for line in lines[:2]] == pytest.approx(factors.tolist(), rel=0.01)
    assert "no column" not in told
    assert main(["impute", str(model), str(path), "--out", str(out), "--samples", "20"]) == 0
    assert "no column" not in capsys.readouterr().err
    clean, answers = pd.read_csv(out), RiskDiffusion.load(model).impute(frame, samples=20)
    one = answers[0]
    rows = (clean["item_id"] == one.series.item_id) & (clean["variable"] == "x0")
    np.testing.assert_allclose(clean["mean"][rows], one.mean[one.series.observed[:, 0], 0], rtol=1e-4, atol=1e-6)


def test_the_command_line_knows_its_modes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["fit", "t.csv", "--out", str(tmp_path / "m"), "--risk", "guess"])
    assert stop.value.code == 2
    assert "invalid choice: 'guess' (choose from" in capsys.readouterr().err
