"""Linear interpolation with bands: the right point, the right spread, calibrated on data of its kind."""

import numpy as np
import pytest

from rstime.errors import DataError
from rstime.evaluation.linear import GAPS, LinearBands
from rstime.types import Series


def walk(
    rng: np.random.Generator, noise: float = 0.0, hidden: float = 0.4, length: int = 60
) -> tuple[Series, np.ndarray]:
    """A random walk of unit steps; readings with noise, some hidden."""
    clean = np.cumsum(rng.normal(size=(length, 1)), axis=0) + 5
    risk = np.where(rng.random(clean.shape) < hidden, np.inf, noise)
    return Series("w", np.arange(float(length)), ("x",), clean + noise * rng.normal(size=clean.shape), risk), clean


def test_points_lie_on_the_line_and_constant_beyond_it() -> None:
    value = np.array([[0.0], [1.0], [np.nan], [np.nan], [4.0], [np.nan]])
    item = Series("a", np.arange(6.0), ("x",), value, np.where(np.isnan(value), np.inf, 0.0))
    drawn = LinearBands.fit([item]).impute(item, 5, np.random.default_rng(0)).samples
    np.testing.assert_array_equal(drawn[:, [0, 1, 4], 0], np.tile([0.0, 1.0, 4.0], (5, 1)))
    bands = LinearBands(("x",), np.zeros(1), [[np.zeros(1)] * len(GAPS)], [[np.zeros(1)] * len(GAPS)], [np.zeros(1)])
    np.testing.assert_allclose(bands.impute(item, 2, np.random.default_rng(0)).mean[:, 0], [0, 1, 2, 3, 4, 4])


def test_a_reading_answers_with_its_own_risk() -> None:
    item = Series("a", np.arange(3.0), ("x",), np.array([[1.0], [2.0], [3.0]]), np.array([[0.5], [2.0], [0.0]]))
    answer = LinearBands.fit([item]).impute(item, 4000, np.random.default_rng(0))
    np.testing.assert_allclose(answer.mean[:, 0], [1, 2, 3], atol=0.1)
    np.testing.assert_allclose(answer.std[:, 0], [0.5, 2.0, 0.0], rtol=0.05, atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_spread_of_a_random_walk_is_that_of_its_bridge_whatever_the_noise(noise: float) -> None:
    """Exact readings at distance d on both sides: variance d/2; from one side d. Noise in the readings comes on top."""
    rng = np.random.default_rng(1)
    bands = LinearBands.fit([walk(rng, noise, hidden=0.0, length=100)[0] for _ in range(200)])
    for place, gap in enumerate(GAPS):
        assert np.var(bands.between[0][place]) == pytest.approx(gap / 2 + noise**2 / 2, rel=0.2)
        assert np.var(bands.beyond[0][place]) == pytest.approx(gap + noise**2, rel=0.2)


def test_bands_are_calibrated_at_missing_and_future_entries() -> None:
    rng = np.random.default_rng(2)
    bands = LinearBands.fit([walk(rng, 0.5)[0] for _ in range(150)])
    inside: dict[str, list[np.ndarray]] = {"missing": [], "future": []}
    for _ in range(80):
        item, clean = walk(rng, 0.5)
        risk = item.risk.copy()
        risk[48:] = np.inf
        answer = bands.impute(Series("w", item.time, ("x",), item.value, risk), 100, rng)
        low, high = answer.interval(0.9)
        hit = (low <= clean) & (clean <= high)
        inside["missing"].append(hit[:48][np.isinf(risk[:48])])
        inside["future"].append(hit[48:].ravel())
    for name, hits in inside.items():
        assert np.concatenate(hits).mean() == pytest.approx(0.9, abs=0.06), name


def test_a_variable_without_any_reading_gets_the_training_readings() -> None:
    rng = np.random.default_rng(3)
    item, _ = walk(rng)
    empty = Series("e", np.arange(4.0), ("x",), np.full((4, 1), np.nan), np.full((4, 1), np.inf))
    answer = LinearBands.fit([item]).impute(empty, 2000, rng)
    seen = item.value[item.observed]
    assert answer.mean.mean() == pytest.approx(seen.mean(), abs=0.2)
    assert answer.std.mean() == pytest.approx(seen.std(), rel=0.1)


def test_no_items_and_other_variables_are_refused() -> None:
    item, _ = walk(np.random.default_rng(0))
    with pytest.raises(DataError, match="train"):
        LinearBands.fit([])
    with pytest.raises(DataError, match="variables"):
        LinearBands.fit([item]).impute(
            Series("a", item.time, ("y",), item.value, item.risk), 3, np.random.default_rng(0)
        )
