"""The numbers of docs/theory_figures.py against closed forms; what docs/theory.md refers to exists."""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from scipy.stats import norm

from rstime.diffusion.sde import SDES, VP

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("theory_figures", DOCS / "theory_figures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


script = load()
X = np.linspace(-6, 6, 1201)


def test_noisy_samples_have_the_clean_density_from_the_start_time_on() -> None:
    sde, risk = VP(), 0.6
    start = math.sqrt(math.log1p(risk**2) / 9.95 + (0.1 / 19.9) ** 2) - 0.1 / 19.9  # 0.1 t + 9.95 t^2 = ln(1 + r^2)
    gaps = []
    for share in (0.5, 1.0, 1.5):
        clean, plain, sensitive = script.densities(sde, risk, share * start, X)
        assert clean.sum() * (X[1] - X[0]) == pytest.approx(1, abs=1e-6)
        gaps.append([script.distance(clean, other, X) for other in (plain, sensitive)])
    np.testing.assert_allclose(gaps, [[0.244, 0.213], [0.098, 0], [0.039, 0]], atol=6e-4)


@pytest.mark.parametrize("kind", SDES)
def test_a_reading_waits_at_its_risk_until_clean_data_are_there(kind: type) -> None:
    sde, t = kind(), torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    expected = torch.maximum(sde.level(t), torch.full_like(t, 0.5))
    torch.testing.assert_close(script.ratio(sde, 0.5, t), expected)


@pytest.mark.parametrize(("risk", "tau"), [(0.0, 0.5), (0.3, 0.31), (0.5, 2.0), (2.0, 20.0)])
def test_the_target_teaches_the_clean_gain_and_the_reading_another(risk: float, tau: float) -> None:
    right, wrong = 1 / (1 + tau**2), (1 + risk**2) / (1 + tau**2)
    assert script.regression(risk, tau) == pytest.approx((right, wrong), rel=1e-9)


@pytest.mark.parametrize("claimed", [0.3, 0.6, 0.9])
def test_wrong_risk_moves_the_target_towards_its_input(claimed: float) -> None:
    true, tau, signal = 0.6, 1.2, 1.5
    level = tau**2 + true**2 - claimed**2
    d = (true**2 - claimed**2) / level
    gain, _ = script.regression(claimed, tau, signal, true)
    assert gain == pytest.approx((1 - d) * signal / (signal + level) + d, rel=1e-12)


@pytest.mark.parametrize("risk", [0.1, 0.4, 0.6])
def test_estimates_taken_for_measurements_lose_twice_their_variance(risk: float) -> None:
    for tau in (0.7, 1.5, 5.0):
        assert script.learned_variance(risk, tau) == pytest.approx(1 - 2 * risk**2, abs=1e-12)


def test_weights_are_those_of_two_measurements() -> None:
    tau = np.array([0.5, 1.0, 2.0, 1e6])
    q, variance = 1 - 0.25 / tau**2, tau**2 / (1 + tau**2)
    found = script.efficiency(0.5, tau)
    np.testing.assert_allclose(found, variance * q / (variance * q + 0.25), rtol=1e-12)
    np.testing.assert_allclose(found, [0, 0.6, 0.75, 0.8], rtol=1e-9)


def test_paths_of_the_process_are_draws_of_its_posterior() -> None:
    law = script.process()
    clean, value, risk = script.readings(law)
    assert sorted({*risk.tolist()}) == [0.1, 0.6, math.inf]
    errors = [script.covariance_error(law, value, risk, evaluations) for evaluations in (13, 25)]
    np.testing.assert_allclose(errors, [0.0212, 0.0004], atol=1e-4)
    middle = script.sample_path(law, value, risk, torch.zeros(1, len(clean), dtype=torch.float64), 13)[0]
    np.testing.assert_allclose(middle, law.posterior(value, risk).mean, atol=1e-6)


@pytest.mark.parametrize("s", [0.3, 0.6, 1.0])
def test_the_draw_at_the_exit_is_exact_for_a_gaussian_and_the_mean_too_narrow(s: float) -> None:
    clean, alone, drawn = script.exit_laws(s, X, (0.0,), 1.0)
    band = np.array(0.9)
    assert float(script.coverage(drawn, clean, band)) == pytest.approx(0.9, abs=1e-3)
    narrow = 2 * norm.cdf(norm.ppf(0.95) / math.sqrt(1 + s**2)) - 1  # D has variance 1 / (1 + s^2)
    assert float(script.coverage(alone, clean, band)) == pytest.approx(narrow, abs=2e-3)


def test_the_draw_at_the_exit_of_two_peaks_is_as_the_text_says() -> None:
    found = []
    for s in (0.3, 0.6, 1.0):
        clean, *laws = script.exit_laws(s, X)
        found.append([float(script.coverage(law, clean, np.array(0.9))) for law in laws])
    np.testing.assert_allclose(found, [[0.818, 0.901], [0.716, 0.935], [0.613, 0.976]], atol=2e-3)


def test_moments_of_two_peaks_by_quadrature() -> None:
    x0 = np.linspace(-4, 4, 8001)
    law = (norm.pdf(x0, -1, 0.3) + norm.pdf(x0, 1, 0.3)) * norm.pdf(0.4, x0, 0.6)
    mean = law @ x0 / law.sum()
    got = script.believed(torch.tensor([0.4], dtype=torch.float64), 0.6, (-1.0, 1.0), 0.3)
    assert [float(one) for one in got] == pytest.approx([mean, law @ (x0 - mean) ** 2 / law.sum()], abs=1e-9)


@pytest.mark.parametrize("name", ["marginals", "levels", "loss"])
def test_figures_are_drawn(name: str, tmp_path: Path) -> None:
    script.FIGURES[name]().savefig(tmp_path / "one.png", dpi=50)
    assert (tmp_path / "one.png").stat().st_size > 5_000


def anchors(page: Path) -> set[str]:
    """Return the names by which headings of a page are linked."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings_that_exist() -> None:
    page = DOCS / "theory.md"
    links = re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    assert len(links) > 10
    for link in links:
        name, _, heading = link.partition("#")
        assert (DOCS / name).exists(), link
        assert not heading or heading in anchors(DOCS / name), link


def test_every_figure_is_shown_and_small_and_every_test_that_is_named_exists() -> None:
    text = (DOCS / "theory.md").read_text(encoding="utf-8")
    shown = re.findall(r"\(figures/(\w+)\.png\)", text)
    assert sorted(shown) == sorted(script.FIGURES) == sorted(path.stem for path in (DOCS / "figures").iterdir())
    assert max(path.stat().st_size for path in (DOCS / "figures").iterdir()) < 120_000
    tests = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "tests").rglob("test_*.py")))
    for name in re.findall(r"`(test_\w+)`", text):
        assert f"def {name}(" in tests, name
    for path in re.findall(r"`(tests/[\w/.]*)`", text):
        assert (ROOT / path).exists(), path
