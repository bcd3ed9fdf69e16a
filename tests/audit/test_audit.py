"""The audit as a whole: the right law passes, each failure shows where it should, and all of it is reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rstime.audit.report import CONSTANT, REAL, WHITE, Audit, Score
from rstime.audit.run import audit
from rstime.audit.windows import blank, drawn_by
from rstime.datasets.simulate import gaussian_series, gaussian_truth
from rstime.errors import ConfigError, DataError
from rstime.model import RiskDiffusion
from rstime.plotting_audit import plot_audit
from rstime.types import Floats, Series

ITEMS, LENGTH = 80, 24


def series(seed: int) -> list[Series]:
    return gaussian_series(np.random.default_rng(seed), ITEMS, LENGTH, channels=2).series


def law(pieces: Sequence[Series], seed: int) -> list[Floats]:
    drawn = gaussian_truth(LENGTH, 2).draw(np.random.default_rng([seed, 1]), len(pieces))
    return list(drawn.reshape(len(pieces), LENGTH, 2))


def noisy(pieces: Sequence[Series], seed: int) -> list[Floats]:
    """The law with noise of .6 sd, as if readings had been taken for the signal."""
    rng = np.random.default_rng([seed, 2])
    return [x + 0.6 * rng.normal(size=x.shape) for x in law(pieces, seed)]


def copies(pieces: Sequence[Series], seed: int) -> list[Floats]:
    truth = gaussian_series(np.random.default_rng(0), ITEMS, LENGTH, channels=2).truth
    return [truth[place] for place in range(len(pieces))]


@pytest.fixture(scope="module")
def found() -> Audit:
    sources = {"law": law, "noisy": noisy, "copies": copies}
    return audit(series(0), series(1), sources, window=LENGTH, noise=(1.0,), halves=5, seed=3)


def level(found: Audit, name: str) -> dict[str, float]:
    rows = zip(found.scores, found.levels(name), strict=True)
    return {score.name: float(value) for score, value in rows if score.noise == 0}


def test_the_right_law_passes_though_the_real_windows_are_noisy_and_have_gaps(found: Audit) -> None:
    assert found.counts == (ITEMS, ITEMS)
    assert found.p["law"] > 0.05
    assert found.p[REAL] > 0.05
    assert min(found.groups("law").values()) > 0.85
    value, spread = found.index("law")
    assert value > 0.9
    assert 0 < spread < 0.1


def test_each_failure_shows_where_it_should(found: Audit) -> None:
    noise, copied = level(found, "noisy"), level(found, "copies")
    assert noise["discriminative"] < 0.7
    assert found.p["noisy"] <= 0.01
    assert noise["membership"] > 0.8
    assert copied["membership"] < 0.4
    assert copied["discriminative"] > 0.8
    assert found.index("noisy")[0] < found.index("law")[0]
    assert found.index("copies", {"privacy": 1})[0] < 0.6
    assert found.index("copies", {"fidelity": 1, "utility": 1})[0] > 0.9


def test_the_references_are_the_ends_of_every_scale(found: Audit) -> None:
    assert set(found.groups(REAL).values()) == {1.0, 0.0}
    assert found.groups(REAL)["privacy"] == 0
    for name in (WHITE, CONSTANT):
        assert level(found, name)["discriminative"] < 0.15
        assert level(found, name)["next step"] < 0.2
    assert level(found, WHITE)["autocorrelation"] == 0
    assert level(found, CONSTANT)["recall"] == 0
    assert min(level(found, WHITE)["membership"], level(found, CONSTANT)["membership"]) > 0.7


def test_the_table_and_the_text_hold_the_same_numbers(found: Audit) -> None:
    table = found.table()
    assert len(table) == len(found.scores) * 6
    assert list(table.columns) == ["group", "score", "noise", "set", "value", "sd", "level"]
    (row,) = table[(table["score"] == "mmd") & (table["noise"] == 0) & (table["set"] == "noisy")].itertuples()
    column = found.scores.index(Score("fidelity", "mmd"))
    assert row.value == pytest.approx(found.halves["noisy"][:, column].mean())
    assert row.sd == pytest.approx(found.halves["noisy"][:, column].std(ddof=1))
    text = found.text({"fidelity": 2, "privacy": 1})
    assert text.splitlines()[0] == "80 windows learned from, 80 held out; mean ± standard error"
    assert f"{row.value:.3f} ± {row.sd:.3f}" in text
    value, spread = found.index("noisy", {"fidelity": 2, "privacy": 1})
    assert f"{value:.2f} ± {spread:.2f}" in text


def test_groups_are_geometric_means_of_levels_and_robustness_is_that_under_noise() -> None:
    """Best 0 and worst 1, under noise best 0 and worst 2, of privacy best .5 and worst 1; the last tells nothing."""
    names = ("fidelity", "a", 0.0), ("fidelity", "a", 1.0), ("privacy", "b", 0.0), ("fidelity", "c", 0.0)
    scores = (*(Score(*name) for name in names), Score("fidelity", "d"))
    flat = {REAL: [0, 0, 1, 0.3, 0], WHITE: [1, 2, 0.3, 0.3, 1], CONSTANT: [0.5, 0, 0, 0.3, 0]}
    flat["mine"] = [0.25, 0.5, 0.6, 0.9, 0.97]
    halves = {name: np.array([row, row], dtype=np.float64) for name, row in flat.items()}
    halves["mine"] += np.array([[0.05], [-0.05]])
    made = Audit(scores, halves, dict.fromkeys(flat, 0.5), (20, 20))
    assert "differ themselves" not in made.text()
    assert "differ themselves (p = 0.010)" in replace(made, p=dict.fromkeys(flat, 0.01)).text()
    np.testing.assert_allclose(made.levels("mine"), [0.75, 0.75, 0.8, np.nan, 0.03])
    groups = made.groups("mine")
    assert groups == pytest.approx(
        {"fidelity": 0.15, "utility": np.nan, "privacy": 0.8, "robustness": 0.75}, nan_ok=True
    )
    np.testing.assert_allclose(made.spread("mine"), np.sqrt(2) * 0.05)
    value, spread = made.index("mine", {"fidelity": 1})
    assert value == pytest.approx(0.15)
    each = 0.0, np.sqrt(0.8 * 0.08)  # in the half in which d is not better than its worst reference, nothing is
    assert spread == pytest.approx(np.std(each, ddof=1))


def test_a_classifier_worse_than_chance_is_chance() -> None:
    flat = {REAL: 0.4, WHITE: 1.0, CONSTANT: 0.9, "mine": 0.6}
    halves = {name: np.array([[value], [value]]) for name, value in flat.items()}
    made = Audit((Score("fidelity", "discriminative"),), halves, dict.fromkeys(flat, 0.5), (20, 20))
    assert made.levels("mine") == pytest.approx([0.8])
    assert made.levels(REAL) == pytest.approx([1.0])


def test_windows_are_generated_at_the_covariates_of_the_real_ones() -> None:
    """A signal that follows a known covariate: right where the covariate of each window is used, else not."""
    rng = np.random.default_rng(4)

    def signal(known: Floats) -> Floats:
        return 2 * known + gaussian_truth(LENGTH, 1).draw(rng, 1).reshape(LENGTH, 1)

    def real(place: int) -> Series:
        known = np.full((LENGTH, 1), rng.normal())
        noise = 0.5 * rng.normal(size=known.shape)
        stamps = np.arange(float(LENGTH))
        value, risk = signal(known) + noise, np.full(known.shape, 0.5)
        return Series(f"a{place}", stamps, ("x",), value, risk, known=known, known_names=("z",))

    train, holdout = ([real(place) for place in range(60)] for _ in range(2))
    sources = {
        "with": lambda pieces, seed: [signal(one.known) for one in pieces],
        "without": lambda pieces, seed: [signal(0 * one.known) for one in pieces],
    }
    found = audit(train, holdout, sources, window=LENGTH, noise=(), halves=2)
    assert found.p["without"] == 0.001 < found.p["with"]
    assert level(found, "without")["marginal"] < 0.7 < level(found, "with")["marginal"]
    assert np.isnan(found.groups("with")["robustness"])


def test_a_model_draws_the_prior_of_its_law() -> None:
    """Windows of variance 1 in units of 10 around 50, whatever their measurements; two seeds differ."""
    scaled = [replace(one, value=50 + 10 * one.value, risk=10 * one.risk) for one in series(0)[:40]]
    model = RiskDiffusion("gaussian", window=LENGTH).fit(scaled, steps=20, progress=False)
    one, other = (np.array(drawn_by(model)([blank(x) for x in scaled], seed)) for seed in (0, 1))
    assert one.shape == (40, LENGTH, 2)
    assert one.mean() == pytest.approx(50, abs=2)
    assert one.std() == pytest.approx(10, rel=0.2)
    assert np.abs(one - other).min() > 0


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"sources": {REAL: law}}, ConfigError, "'real' is a reference"),
        ({"sources": {}}, ConfigError, "Give at least one."),
        ({"window": 7}, ConfigError, "7 steps. Give at least 8."),
        ({"noise": (0.0,)}, ConfigError, "Give positive sd."),
        ({"halves": 1}, ConfigError, "Give at least 2."),
        ({"most": 19}, ConfigError, "19 windows. Give at least 20."),
        ({"holdout": series(1)[:19]}, DataError, "19 windows. Give at least 20"),
        (
            {"holdout": series(1)[:20] + series(0)[3:5]},
            DataError,
            "holdout: 2 of 22 items were learned from, 'window-00003'",
        ),
    ],
)
def test_settings_that_do_not_work_are_refused(change: dict, error: type[Exception], text: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(error, match=text):
        audit(**{"train": series(0), "holdout": series(1), "sources": {"law": law}, "window": LENGTH, **change})


def test_the_picture_shows_the_levels(found: Audit, tmp_path: Path) -> None:
    figure = plot_audit(found, {"fidelity": 1}, title="ward")
    left, right = figure.axes
    names = [score.name for score in found.scores if score.noise == 0]
    assert [label.get_text() for label in left.get_yticklabels()] == names
    lines = {container.get_label(): container.lines[0] for container in left.containers}
    value, spread = found.index("law", {"fidelity": 1})
    np.testing.assert_allclose(
        lines[f"law: trust index {value:.2f} ± {spread:.2f}"].get_xdata(), list(level(found, "law").values())
    )
    points = [line for line in right.lines if len(line.get_xdata()) == 4]
    np.testing.assert_allclose(points[1].get_xdata(), list(found.groups("law").values()))
    figure.savefig(tmp_path / "audit.png")
    assert (tmp_path / "audit.png").stat().st_size > 10_000
