"""The benchmark command: answers, comparisons and the record, with exact posteriors standing in for fitted models."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rstime import suggest_transforms
from rstime.datasets.laws import answer
from rstime.errors import RstimeWarning
from rstime.evaluation import baselines, core
from rstime.evaluation.baselines import Settings
from rstime.evaluation.simulations import simulated
from rstime.training import Run
from rstime.types import Series


class Oracle:
    """Stands in for RiskDiffusion: answers by a given law."""

    def __init__(self, law):
        self.law, self.run, self.support = law, Run(steps=7, planned=7), pd.DataFrame({"variable": ["x0"]})

    def baseline(self):
        return Oracle(self.law.moments() if hasattr(self.law, "moments") else self.law)

    def impute(self, items, samples, seed):
        rng = np.random.default_rng(seed)
        return [answer(self.law, item, samples, rng) for item in items]


@pytest.fixture
def oracles(monkeypatch):
    def fit(task, settings):
        return Oracle(task.laws[0])

    monkeypatch.setattr(baselines, "fit", fit)


def test_a_run_of_the_mixture_finds_the_gap_and_that_the_exact_answer_closes_it(oracles, monkeypatch, tmp_path, capsys):
    quick = core.Benchmark(
        lambda root, part: [simulated("mixture", part=part, train=20, scored=60)], 1, {"closed": (0.5, 2)}
    )
    monkeypatch.setattr(core, "BENCHMARKS", {"mixture": quick})
    core.main(["mixture", "--samples", "60", "--seed", "3", "--out", str(tmp_path / "new" / "a.json")])
    record = json.loads((tmp_path / "new" / "a.json").read_text())
    table = record["results"][0]["scores"]
    assert table["gaussian"]["ratio"] > 1.3
    assert table["best gaussian"]["closed"] == 0
    assert abs(table["gaussian"]["closed"]) < 0.05
    assert table["diffusion"]["ratio"] == pytest.approx(1, abs=0.02)
    assert table["diffusion"]["closed"] == pytest.approx(1, abs=0.05)
    assert table["diffusion"]["energy_ratio"] == pytest.approx(1, abs=0.03)
    assert table["diffusion"]["path_error"] < 0.1 < table["gaussian"]["path_error"]
    assert table["linear bands"]["crps_mean"] > table["gaussian"]["crps_mean"]
    assert record["part"] == "validation"
    assert record["settings"]["seed"] == 3
    assert record["results"][0]["training"]["steps"] == 7
    assert "met    closed" in capsys.readouterr().out


def test_comparisons_are_ratios_shares_and_gains():
    table = {
        name: {"crps_mean": crps, "energy": 2 * crps}
        for name, crps in {"gaussian": 3.0, "diffusion": 1.5, "blind": 2.0, "exact": 1.0}.items()
    }
    one, two = np.array([4.0, 2.0]), np.array([4.0, 1.0])
    core.relate(table, {"gaussian": [two], "diffusion": [one, two], "blind": [], "exact": [one]})
    row = table["diffusion"]
    assert (row["ratio"], row["energy_ratio"], row["closed"], row["gain"]) == pytest.approx((1.5, 1.5, 0.75, 0.25))
    assert row["path_error"] == pytest.approx(0.5 / 6)
    assert table["gaussian"]["path_error"] == pytest.approx(1 / 6)


def test_a_goal_outside_its_range_is_said(capsys):
    core.show("x", {"diffusion": {"crps": 0.3}}, {"crps": (0, 0.27), "future_crps": (0, 1)})
    out = capsys.readouterr().out
    assert "MISSED crps 0.3000, wanted 0 to 0.27" in out
    assert "future" not in out


def test_marginals_and_noisy_answers_are_put_together_and_exact_readings_stay():
    value = np.array([[1.0], [2.0], [np.nan]])
    item = Series("a", np.arange(3.0), ("x",), value, np.array([[0.0], [0.5], [np.inf]]))

    class Model:
        def impute(self, items, samples, seed, entries, joint=True):
            fill = {"missing": 30.0, "noisy": 20.0}[entries]
            assert joint == (entries == "noisy")
            return [baselines.Posterior(one, np.full((samples, 3, 1), fill)) for one in items]

    (posterior,) = baselines.impute(Model(), [item], Settings(samples=2, joint=False))
    np.testing.assert_array_equal(posterior.samples[1, :, 0], [1, 20, 30])


def test_linear_interpolation_of_a_channel_without_readings_is_the_mean_and_dropping_uses_exact_ones():
    value = np.array([[1.0, np.nan], [9.0, np.nan], [np.nan, np.nan], [4.0, np.nan]])
    risk = np.array([[0.0, np.inf], [0.7, np.inf], [np.inf, np.inf], [0.0, np.inf]])
    item = Series("a", np.array([0.0, 1.0, 2.0, 3.0]), ("x", "y"), value, risk)
    np.testing.assert_allclose(baselines.interpolate(item), [[1, 0], [9, 0], [6.5, 0], [4, 0]])
    np.testing.assert_allclose(baselines.interpolate(item, drop_noisy=True)[:, 0], [1, 2, 3, 4])


def test_heavy_tails_are_transformed_where_the_settings_say_so():
    def spoilt(item):
        return replace(item, value=np.exp(2 * item.value), risk=np.where(item.observed, 0.0, np.inf))

    task = simulated("mixture", train=20, scored=2).shown(spoilt)
    assert baselines.fit(task, Settings(), "gaussian", quick=True).transforms == {}
    with pytest.warns(RstimeWarning, match="heavy tails"):
        model = baselines.fit(task, Settings(transforms="auto"), "gaussian", quick=True)
    assert model.transforms == suggest_transforms(task.train)
    assert len(model.transforms) == len(task.train[0].variables)


def test_the_bare_mean_leaves_out_the_draw_at_the_exit_and_only_then():
    task = simulated("mixture", train=20, scored=2)
    model = baselines.fit(task, Settings(), "gaussian", quick=True)
    bare = next(baselines.impute_bare_mean(model, task.test, Settings(samples=5)))
    drawn = next(baselines.impute(model, task.test, Settings(samples=5)))
    assert bare.std.max() < 1e-5
    assert drawn.std.min() > 1e-3
