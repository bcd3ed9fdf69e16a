"""Toy figures: the risk-sensitive SDE brings noisy samples to the clean marginal, exactly or nearly (Cauchy noise)."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from rstime.evaluation.paper_toy import LEVELS, MODE, RISKS, SPREAD, density, distances, main, marginal, taken_off
from rstime.risk.families import Cauchy, Gaussian


def test_densities_are_those_of_the_two_modes() -> None:
    x = np.linspace(-40, 40, 2001)
    sd = math.hypot(SPREAD, 0.5)
    expected = sum(np.exp(-0.5 * ((x - c) / sd) ** 2) for c in (-MODE, MODE)) / (2 * sd * math.sqrt(2 * math.pi))
    assert density(x, 0.3, Gaussian(), 0.4) == pytest.approx(expected, abs=1e-9)


def test_with_gaussian_noise_the_marginal_is_exact_from_the_risk_on_and_not_below() -> None:
    for level in LEVELS:
        one = marginal("gaussian", level)
        total, largest = distances(one.sensitive, one.clean, one.x)
        if level >= RISKS["gaussian"]:
            assert total < 1e-6
        else:
            assert total > 0.1
            assert largest > 0.03
        assert distances(one.plain, one.clean, one.x)[0] > max(total, 0.005)


def test_with_cauchy_noise_the_best_gaussian_helps_at_high_levels_only() -> None:
    low, high = marginal("cauchy", 0.8), marginal("cauchy", 3.0)
    for one, helps in ((low, False), (high, True)):
        plain, sensitive = (distances(x, one.clean, one.x)[0] for x in (one.plain, one.sensitive))
        assert (sensitive < plain) is helps
    kappa = 0.3 / math.sqrt(MODE**2 + SPREAD**2 + 9)
    assert taken_off(Gaussian(), 0.3, 0.5) == pytest.approx(0.4)
    c = 8 / (3 * math.sqrt(math.pi) * kappa)
    assert taken_off(Cauchy(), 0.3, 3.0) == pytest.approx(math.sqrt(9 - c * 0.09), rel=1e-4)


def test_the_figure_is_drawn_and_the_table_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--out", str(tmp_path)])
    assert (tmp_path / "paper-toy.png").stat().st_size > 20_000
    lines = capsys.readouterr().out.splitlines()
    line = next(text for text in lines if text.split()[:2] == ["gaussian", "0.4"])
    assert line.split()[2] == "0.1172"  # 0.1 t + 9.95 t^2 = ln(1 + 0.4^2)
