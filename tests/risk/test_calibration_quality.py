"""A quality index becomes a monotone sd, with tests that keep their level and find what is wrong."""

import json
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.risk.quality import QualityCurve, fit_quality, from_confidence

Law = Callable[[np.ndarray], np.ndarray]
LAWS: dict[str, Law] = {
    "flat": lambda q: np.ones_like(q),
    "step": lambda q: np.where(q > 0.5, 1.0, 2.0),
    "falling": lambda q: np.exp(-2 * q),
    "valley": lambda q: np.exp(6 * (q - 0.5) ** 2),
}


def drawn(law: Law, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    quality = rng.uniform(size=count)
    return law(quality) * rng.normal(size=count), quality


def quiet(residual: np.ndarray, quality: np.ndarray) -> QualityCurve:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        return fit_quality(residual, quality)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_sd_comes_back_at_unseen_qualities_in_either_direction(sign: int) -> None:
    residual, quality = drawn(lambda q: np.exp(1 - 2 * q), 8000, 0)
    curve = fit_quality(residual, quality if sign > 0 else 1 - quality)
    at = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
    got = curve.sd(at if sign > 0 else 1 - at)
    np.testing.assert_allclose(got, np.exp(1 - 2 * at), rtol=0.1)
    fine = curve.sd(np.linspace(0, 1, 200))
    assert np.all(np.diff(fine) * sign <= 1e-12)
    assert curve.p_absent == pytest.approx(1 / 500)


def test_the_fit_is_the_isotonic_maximum_likelihood_of_the_bins() -> None:
    quality = np.repeat([0.1, 0.5, 0.9], 20)
    residual = np.concatenate([np.full(20, 1.0), np.full(20, 3.0), np.full(20, 0.5)]) * np.tile([1, -1], 30)
    with pytest.warns(RstimeWarning, match=r"1 at 0\.1, 3 at 0\.5, 0\.5 at 0\.9"):
        curve = fit_quality(residual, quality, direction="falling")
    # means of squares 1, 9, .25: falling pools the first two to 5
    assert curve.quality == pytest.approx((0.3, 0.9))
    assert curve.spread == pytest.approx((np.sqrt(5), 0.5))
    assert curve.sd(0.6) == pytest.approx(np.sqrt(np.sqrt(5) * 0.5))  # halfway in log sd
    assert curve.pooled == pytest.approx(np.sqrt((1 + 9 + 0.25) / 3))


@pytest.mark.parametrize(
    ("name", "absent", "not_monotone"),
    [
        ("flat", (0, 0.15), (0, 0.2)),
        ("step", (1, 1), (0, 0.2)),
        ("falling", (1, 1), (0, 0.2)),
        ("valley", (0, 1), (1, 1)),
    ],
)
def test_both_tests_keep_their_level_and_have_power(
    name: str, absent: tuple[float, float], not_monotone: tuple[float, float]
) -> None:
    curves = [quiet(*drawn(LAWS[name], 400, seed)) for seed in range(25)]
    found = np.mean([curve.p_absent < 0.05 for curve in curves]), np.mean([curve.p_monotone < 0.05 for curve in curves])
    assert absent[0] <= found[0] <= absent[1]
    assert not_monotone[0] <= found[1] <= not_monotone[1]


def test_the_user_is_told_what_is_wrong_with_the_bins() -> None:
    with pytest.warns(
        RstimeWarning, match=r"not (rising|falling) throughout \(p = 0\.002\): 4 at 0\.029, 2\.51 at .*pooled"
    ):
        fit_quality(*drawn(LAWS["valley"], 1000, 1))
    with pytest.warns(RstimeWarning, match="not rising throughout"):
        fit_quality(*drawn(LAWS["falling"], 1000, 1), direction="rising")
    with pytest.warns(RstimeWarning, match=r"says nothing of the size of the residuals \(p = 0\.\d\d\)"):
        fit_quality(*drawn(LAWS["flat"], 1000, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit_quality(*drawn(LAWS["falling"], 1000, 1))


def test_a_few_mistakes_do_not_set_the_robust_sd() -> None:
    residual, quality = drawn(LAWS["falling"], 4000, 2)
    residual[:80] *= 20
    at = np.array([0.2, 0.5, 0.8])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RstimeWarning)
        plain, robust = (fit_quality(residual, quality, robust=flag).sd(at) for flag in (False, True))
    np.testing.assert_allclose(robust / LAWS["falling"](at), 1.05, atol=0.1)
    assert np.all(plain / LAWS["falling"](at) > 1.9)


def test_few_levels_of_quality_are_bins_of_their_own() -> None:
    rng = np.random.default_rng(3)
    quality = rng.choice([1.0, 2.0, 3.0], 3000)
    curve = fit_quality(rng.normal(size=3000) * 6 / quality, quality, low=1, high=3)
    assert curve.quality == pytest.approx((1, 2, 3))
    assert curve.spread == pytest.approx((6, 3, 2), rel=0.06)


def test_a_curve_goes_through_json_and_missing_quality_has_no_risk() -> None:
    curve = quiet(*drawn(LAWS["falling"], 200, 4))
    assert QualityCurve.from_dict(json.loads(json.dumps(curve.to_dict()))) == curve
    assert curve.sd([0.5, np.nan]).tolist()[1] == np.inf


def test_the_seed_decides() -> None:
    pairs = drawn(LAWS["flat"], 100, 5)
    assert quiet(*pairs) == quiet(*pairs)


def test_bad_input_is_refused() -> None:
    residual, quality = drawn(LAWS["falling"], 100, 6)
    with pytest.raises(DataError, match="residual: 19 pairs"):
        fit_quality(residual[:19], quality[:19])
    with pytest.raises(DataError, match=r"quality: 1.5 outside \[0, 1\]"):
        fit_quality(residual, np.where(np.arange(100) == 3, 1.5, quality))
    with pytest.raises(DataError, match="quality: nan among the pairs"):
        fit_quality(residual, np.where(np.arange(100) == 3, np.nan, quality))
    with pytest.raises(DataError, match="residual: all 0 at some qualities"):
        fit_quality(np.zeros(100), quality)
    with pytest.raises(ConfigError, match="low"):
        fit_quality(residual, quality, low=1, high=0)
    with pytest.raises(ConfigError, match="direction"):
        fit_quality(residual, quality, direction="up")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"quality: -0\.1 outside"):
        quiet(residual, quality).sd(-0.1)


def test_confidence_is_geometric_between_best_and_worst() -> None:
    np.testing.assert_allclose(from_confidence([0, 0.25, 1], 1.0, 16.0), [16, 8, 1])
    with pytest.raises(DataError, match=r"confidence: 1.2 outside \[0, 1\]"):
        from_confidence(1.2, 1.0, 2.0)
    with pytest.raises(DataError, match="confidence: nan"):
        from_confidence(np.nan, 1.0, 2.0)
    with pytest.raises(ConfigError, match="sd_best"):
        from_confidence(0.5, 2.0, 1.0)
