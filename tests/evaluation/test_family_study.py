"""What the family of the noise is worth: the figures of theory 5, and models that are told the family, or are not."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from rstime.errors import ConfigError
from rstime.evaluation import family_study
from rstime.evaluation.family_marginals import POWER, atoms, cauchy, denoised, draw_clean, marginals, total_variation
from rstime.evaluation.family_study import RISKS, Result, Size, Small, main, measure, prepare, study, table
from rstime.risk.families import Gaussian, Laplace, Outliers, StudentT, Uniform
from rstime.risk.tabulated import CutCauchy

# matched and ignored, as printed in theory 5
TOLD = [(0.001, 0.022), (0.0015, 0.016), (0.0002, 0.016), (0.043, 0.076), (0.147, 0.109)]


def test_total_variation_is_as_in_the_theory() -> None:
    for row, (matched, ignored) in zip(marginals().itertuples(), TOLD, strict=True):
        assert row.matched == pytest.approx(matched, abs=6e-5 if matched < 0.01 else 6e-4)
        assert row.ignored == pytest.approx(ignored, abs=6e-4)


def test_cauchy_readings_are_better_cut_than_not() -> None:
    """The rule of theory 5, a test on |m| only, leaves three quarters of the sd of D as error; cutting a tenth."""
    row = cauchy().set_index("level").loc[2.0]
    grid = np.linspace(-8, 8, 801)
    density = sum(p * stats.norm.pdf(grid, c, math.hypot(0.25, 2.0)) for p, c in ((0.3, -1), (0.7, 1)))
    mean = (density @ denoised(grid, 2.0)) / density.sum()
    sd = math.sqrt(density @ (denoised(grid, 2.0) - mean) ** 2 / density.sum())
    assert sd == pytest.approx(0.417, abs=0.005)
    assert row["not cut"] > 0.75 * sd
    assert row["cut, its shape"] < 0.1 * sd
    assert row["cut, its shape"] < row["cut, its sd"] < 0.2 * row["not cut"]


def test_the_distance_is_that_of_draws() -> None:
    """Half the mass that histograms of a million draws differ by, against quadrature."""
    rng, family, risk, tau = np.random.default_rng(0), Outliers(), 0.8, 1.0
    x = draw_clean(rng, 10**6)
    y = x + risk * family.draw(rng, x.shape) + tau * rng.standard_normal(x.shape)
    edges = np.linspace(-6, 6, 61)
    clean, noisy = (np.histogram(z, edges)[0] / len(z) for z in (x + tau * rng.standard_normal(x.shape), y))
    assert total_variation(family, risk, tau, matched=False) == pytest.approx(
        np.abs(clean - noisy).sum() / 2, abs=0.004
    )
    assert total_variation(StudentT(100.0), risk, 1.5) < 2e-4  # all but Gaussian
    with pytest.raises(ConfigError, match="family: no quantiles of cut-cauchy noise"):
        atoms(CutCauchy(3.0))


@pytest.mark.parametrize("family", [Laplace(), Uniform(), Outliers()], ids=lambda x: x.kind)
def test_quantiles_have_the_characteristic_function(family: Laplace) -> None:
    e, weight = atoms(family)
    assert weight.sum() == pytest.approx(1)
    assert abs(weight @ np.exp(1j * e)) == pytest.approx(math.exp(float(family.log_chi(1.0))), abs=1e-4)


def test_readings_have_the_noise_they_are_said_to_have() -> None:
    size = Size(rows=20000)
    for name in ("laplace", "outliers", "rounded to .5"):
        x, y, risk = measure(name, 0, size)
        assert (risk == 0).mean() == pytest.approx(size.exact, abs=0.01)
        assert np.array_equal(y[risk == 0], x[risk == 0])
        assert (y - x)[risk > 0].std() == pytest.approx(RISKS[name], rel=0.03)
    assert set(np.round(2 * y[risk > 0], 9)) <= set(range(-6, 7))
    assert np.array_equal(x, measure("laplace", 0, size)[0])
    assert (x.mean(), x.var()) == pytest.approx((0.4, POWER), abs=0.02)


def test_methods_see_what_they_may_see() -> None:
    size = Size(rows=400)
    family, ignore, drop, clean = (prepare("laplace", x, 0, size) for x in ("family", "ignore", "drop", "clean"))
    assert (family.family, ignore.family) == (Laplace(), Gaussian())
    assert float(family.risk.max()) * family.scaler.scale[0] == pytest.approx(0.6, rel=1e-5)
    assert float(ignore.risk.max()) == 0.0
    assert len(drop.value) == int((family.risk == 0).sum()) < 40
    assert len(clean.value) == 400
    cut = prepare("cauchy", "family", 0, size)
    assert isinstance(cut.family, CutCauchy)
    assert len(cut.value) < 400
    assert bool(torch.isfinite(cut.risk).all())


def test_networks_are_apart_and_do_not_see_an_absent_reading() -> None:
    torch.manual_seed(0)
    network = Small(2, width=4)
    for weight in network.weights:
        torch.nn.init.normal_(weight)
    m, tau = torch.randn(3, 1, 2), torch.tensor([0.5, 1.0, math.inf])[:, None, None].expand(3, 1, 2)
    out = network(m, tau)
    moved = network(m + torch.tensor([1.0, 0.0]), tau)
    assert torch.equal(out[..., 1], moved[..., 1])
    assert bool((out[:2, 0, 0] != moved[:2, 0, 0]).all())
    assert float(out[2, 0, 0].detach()) == float(moved[2, 0, 0].detach())


def test_knowing_the_noise_is_better_than_ignoring_it() -> None:
    results = study(["laplace"], [0], Size(rows=400, exact=0.2, steps=400, batch=128, count=500))
    assert [one.method for one in results] == ["family", "gaussian", "ignore", "drop", "clean"]
    found = {one.method: one.wasserstein for one in results}
    assert found["clean"] < found["family"] < found["ignore"]
    assert found["family"] < 0.8 * found["ignore"]


def test_a_table_has_mean_and_range_of_the_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    some = [Result("laplace", x, seed, 0.1 + seed / 10) for x in family_study.METHODS for seed in (0, 1)]
    assert table(some).to_dict("records")[0]["family"] == "0.150 (0.100-0.200)"
    monkeypatch.setattr(family_study, "study", lambda names, seeds, size: some if names == ["laplace"] else [])
    main(["laplace", "--seed", "0", "1", "--out", str(tmp_path / "f.json")])
    assert capsys.readouterr().out.split()[:3] == ["noise", "risk", "family"]
    assert [Result(**row) for row in json.loads((tmp_path / "f.json").read_text())] == some
