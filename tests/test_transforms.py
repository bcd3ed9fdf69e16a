"""The asinh and what of a table asks for it: affine maps of the data change nothing, noise and thin data forbid it."""

from __future__ import annotations

import doctest
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstime import RiskDiffusion, transforms
from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.scaling import Scaler
from rstime.transforms import Asinh, Transform, suggest_transforms
from rstime.types import Floats, Series


def one(value: Floats, risk: float | Floats = 0.0) -> Series:
    table = np.asarray(value, dtype=float).reshape(len(value), -1)
    return Series("a", np.arange(float(len(table))), ("x", "y")[: table.shape[1]], table, np.zeros_like(table) + risk)


@pytest.fixture
def normal() -> Floats:
    return np.random.default_rng(0).normal(size=2000)


def test_examples_of_the_docstrings() -> None:
    assert doctest.testmod(transforms).failed == 0


def test_an_asinh_is_a_line_near_its_centre_and_a_log_far_out() -> None:
    near, far = Transform.parse("asinh:10,2"), Transform.parse("asinh:0,1")
    assert near == Asinh(centre=10.0, width=2.0)
    np.testing.assert_allclose(near.apply(np.array([10.0, 10.02, 9.98])), [0, 0.01, -0.01], rtol=1e-4)
    np.testing.assert_allclose(far.apply(np.array([1e4, -1e4])), [np.log(2e4), -np.log(2e4)], rtol=1e-8)


@given(st.floats(-1e6, 1e6), st.floats(-100, 100), st.floats(0.01, 100))
def test_values_come_back_and_the_slope_is_the_derivative(value: float, centre: float, width: float) -> None:
    transform, y = Asinh(centre=centre, width=width), np.array(value)
    assert transform.invert(transform.apply(y)) == pytest.approx(value, rel=1e-9, abs=1e-6)
    step = 1e-4 * np.hypot(width, value - centre)
    difference = (transform.apply(y + step) - transform.apply(y - step)) / (2 * step)
    assert transform.slope(y) == pytest.approx(difference, rel=1e-3)


def test_noise_keeps_its_size_in_the_coordinate_and_one_that_is_too_large_is_refused(normal: Floats) -> None:
    transform = Transform.parse("asinh:5,3")
    for value, risk in ((5.0, 0.6), (8.0, 0.8), (-40.0, 9.0)):
        assert risk <= 0.2 * transform.distance(np.array(value))
        measured = transform.apply(value + risk * normal)
        assert risk * transform.slope(np.array(value)) == pytest.approx(measured.std(), rel=0.05)
    scaler = Scaler.fit([one([5.0, 9.0, 6.0])], {"x": "asinh:5,3"})
    assert scaler.scale_series(one([9.0], 1.0)).risk[0, 0] == pytest.approx(1 / 5 / scaler.scale[0])
    problem = "sd: 1.01 of variable 'x' in item 'a', above 0.2 times the width there of 5.0. Let it count as missing"
    with pytest.raises(DataError, match=problem):
        Scaler.fit([one([5.0, 9.0, 6.0], 1.01)], {"x": "asinh:5,3"})


def test_later_noise_that_is_too_large_counts_for_more_and_at_the_bound_for_all() -> None:
    """At 9 the width is 5: 8 is nearer to the centre than 10, so that y - r is the farther image."""
    scaler = Scaler.fit([one([5.0, 9.0, 6.0])], {"x": "asinh:5,3"})
    farther = math.asinh(4 / 3) - math.asinh(3 / 3)
    scaled = scaler.scale_series(one([9.0, 9.0, 9.0], [[1.01], [4.99], [5.0]]))
    assert scaled.risk[0, 0] * scaler.scale[0] == pytest.approx(farther, rel=0.02)
    assert scaled.risk[1, 0] * scaler.scale[0] == pytest.approx(math.asinh(4 / 3) - math.asinh(-0.99 / 3))
    assert not scaled.observed[2, 0]
    log = Transform.parse("log")
    assert log.carry(np.array([10.0]), np.array([6.0])) == pytest.approx(math.log(10 / 4))
    np.testing.assert_array_equal(log.carry(np.array([10.0]), np.array([10.0])), np.inf)


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_bands_hold_with_noise_too_large_for_the_map(spread: float) -> None:
    """Gaussian prior in the coordinate, noise of .2 to 1 widths: 90 % bands, and those of r transform'(y) beside."""
    rng, transform = np.random.default_rng(0), Transform.parse("asinh:0,1")
    u, r = spread * rng.standard_normal(100_000), rng.uniform(0.2, 1.0, 100_000)
    y = np.sinh(u) + r * rng.standard_normal(100_000)
    kept = r < transform.distance(y)

    def holds(risk: Floats) -> float:
        variance = 1 / (1 / spread**2 + 1 / risk[kept] ** 2)
        mean = variance * transform.apply(y[kept]) / risk[kept] ** 2
        return float(np.mean(np.abs(u[kept] - mean) < 1.645 * np.sqrt(variance)))

    assert kept.mean() > 0.99
    assert 0.88 < holds(transform.carry(y, r)) < 0.915
    assert holds(transform.carry(y, r)) > holds(r * transform.slope(y)) + 0.01


@pytest.mark.parametrize("text", ["asinh", "asinh:1", "asinh:1,0", "asinh:1,-2", "asinh:nan,1", "asinh:0,inf"])
def test_a_width_is_positive_and_all_is_finite(text: str) -> None:
    with pytest.raises(ConfigError, match="is not one"):
        Transform.parse(text)


def test_heavy_tails_ask_for_an_asinh_from_the_side_where_readings_are_dense(normal: Floats) -> None:
    skewed = np.exp(normal)
    low, middle = np.quantile(skewed, [0.05, 0.5])
    assert suggest_transforms([one(skewed)]) == {"x": f"asinh:{low:.4g},{middle - low:.4g}"}
    assert suggest_transforms([one(-skewed)]) == {"x": f"asinh:{-low:.4g},{middle - low:.4g}"}
    both = np.sinh(1.5 * normal)
    first, middle, third = np.quantile(both, [0.25, 0.5, 0.75])
    assert suggest_transforms([one(both)]) == {"x": f"asinh:{middle:.4g},{(third - first) / 1.349:.4g}"}
    assert suggest_transforms([one(normal), one(normal[::-1])]) == {}


def test_values_that_are_zero_or_far_off_are_no_obstacle(normal: Floats) -> None:
    rain = np.maximum(np.exp(normal) - 1.0, 0.0)
    spoilt = np.where(np.arange(2000) % 400 == 0, -1e3, normal)
    found = suggest_transforms([one(np.stack([rain, spoilt], 1))])
    assert set(found) == {"x", "y"}
    assert np.std(Transform.parse(found["y"]).apply(spoilt)) < 1.2
    assert np.isfinite(Scaler.fit([one(np.stack([rain, spoilt], 1))], found).scale).all()


def test_units_and_origin_do_not_matter(normal: Floats) -> None:
    skewed = np.exp(normal)
    plain = Transform.parse(suggest_transforms([one(skewed)])["x"]).apply(skewed)
    moved = Transform.parse(suggest_transforms([one(7 * skewed - 30)])["x"]).apply(7 * skewed - 30)
    np.testing.assert_allclose(moved, plain, atol=2e-3)


@pytest.mark.parametrize("origin", [33_333.0, -1e6])
def test_readings_far_from_zero_get_the_centre_that_they_have_near_it(origin: float, normal: Floats) -> None:
    skewed = np.exp(normal)
    near, far = (Transform.parse(suggest_transforms([one(skewed + shift)])["x"]) for shift in (0.0, origin))
    assert isinstance(near, Asinh)
    assert isinstance(far, Asinh)
    assert far.centre - origin == pytest.approx(near.centre, abs=1e-3 * near.width)
    assert far.width == near.width


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0.123456, -7.654321, 33_333.333])
def test_a_constant_read_with_noise_stays_as_it_is(level: float) -> None:
    assert suggest_transforms([one(np.full(200, level), 0.5)]) == {}


def test_few_readings_large_noise_and_variables_left_out_stay_as_they_are(normal: Floats) -> None:
    skewed = np.exp(normal)
    assert suggest_transforms([one(skewed[:99])]) == {}
    assert set(suggest_transforms([one(skewed[:50]), one(skewed[50:100])])) == {"x"}
    assert suggest_transforms([one(skewed)], without=["x"]) == {}
    assert suggest_transforms([one(np.full(200, 3.0))]) == {}
    (mild,) = suggest_transforms([one(skewed, 0.3)]).values()
    assert mild == f"asinh:{np.quantile(skewed, 0.05):.4g},1.65"
    later = replace(one(skewed, 0.329), value=np.full((2000, 1), Transform.parse(mild).centre))
    assert Scaler.fit([one(skewed, 0.3)], {"x": mild}).scale_series(later).risk[0, 0] > 0
    assert suggest_transforms([one(skewed, 20.0)]) == {}
    missing = np.where(np.arange(2000) % 2 == 0, np.inf, 0.0)[:, None]
    assert suggest_transforms([one(skewed, missing)]) == suggest_transforms([one(skewed[1::2])])


# ---- in a model ----------------------------------------------------------------------------------------------------


def walks(seed: int, count: int = 20, length: int = 24) -> list[Series]:
    """Return skewed, positive series with a memory, and one variable that is Gaussian."""
    rng = np.random.default_rng(seed)
    state, found = rng.normal(size=(count, 2)), []
    for _ in range(length):
        state = 0.9 * state + np.sqrt(1 - 0.81) * rng.normal(size=state.shape)
        found.append(state * [1.2, 1.0])
    path = np.stack(found, 1)
    path[..., 0] = np.exp(path[..., 0])
    return [replace(one(values), item_id=f"i{k}") for k, values in enumerate(path)]


def test_auto_transforms_what_has_heavy_tails_says_so_and_raises_the_likelihood(tmp_path: Path) -> None:
    train, test = walks(0), walks(1)
    plain = RiskDiffusion("gaussian", window=24).fit(train, steps=20, progress=False)
    fresh = RiskDiffusion("gaussian", window=24, transforms="auto")
    with pytest.warns(RstimeWarning, match=r"heavy tails, transformed: x=asinh:"):
        model = fresh.fit(train, steps=20, progress=False)
    assert model.transforms == suggest_transforms(train)
    assert list(model.transforms) == ["x"]
    gain = model.log_likelihood(test)["log_likelihood"] - plain.log_likelihood(test)["log_likelihood"]
    assert gain.mean() > 0.2
    model.save(tmp_path / "model")
    loaded = RiskDiffusion.load(tmp_path / "model")
    assert loaded.transforms == model.transforms
    samples = [m.impute(test[:1], samples=4)[0].samples for m in (model, loaded)]
    np.testing.assert_array_equal(samples[0], samples[1])


def test_auto_decides_again_at_each_fit_and_leaves_other_families_of_noise_alone() -> None:
    model = RiskDiffusion("gaussian", window=24, transforms="auto")
    with pytest.warns(RstimeWarning, match="x=asinh"):
        model.fit(walks(0), steps=1, progress=False)
    other = [replace(item, value=item.value[:, ::-1]) for item in walks(0)]
    with pytest.warns(RstimeWarning, match="y=asinh"):
        model.fit(other, steps=1, progress=False)
    assert list(model.transforms) == ["y"]
    assert model.fit(other, steps=1, progress=False, noise={"y": "laplace"}).transforms == {}
    with pytest.raises(ConfigError, match=r"transforms: 'log'. Give variable -> transform, or"):
        RiskDiffusion(transforms="log")  # type: ignore[arg-type]


def test_a_slip_far_beyond_all_of_training_moves_no_sample_beyond_their_end() -> None:
    model = RiskDiffusion("gaussian", window=24, transforms={"x": "log"}).fit(walks(0), steps=5, progress=False)
    value = walks(1)[0].value
    value[5, 0] = 3000.0
    item = replace(walks(1)[0], value=value, risk=np.full_like(value, 0.01))
    with pytest.warns(RstimeWarning, match="3000 of 'x' of item 'i0' at 5.0 is far from all that training saw"):
        samples = model.impute([item], samples=50)[0].samples[..., 0]
    most = max(one.value[:, 0].max() for one in walks(0))
    assert samples.max() < most * np.exp(3 * Scaler.fit(walks(0), {"x": "log"}).scale[0]) * (1 + 1e-9)


def test_readings_noisier_than_the_transform_suits_are_answered_with_a_warning() -> None:
    """Exact, too noisy and far too noisy readings of one value: spreads grow, the last being that of a missing one."""
    model = RiskDiffusion("gaussian", window=24, transforms={"x": "log"}).fit(walks(0), steps=5, progress=False)
    item = walks(1)[0]
    value = float(item.value[5, 0])

    def width(risk: float, at: float = value) -> float:
        values, risks = item.value.copy(), item.risk.copy()
        values[5, 0], risks[5, 0] = at, risk
        ends = np.quantile(
            model.impute([replace(item, value=values, risk=risks)], samples=400)[0].samples, [0.05, 0.95], 0
        )
        return float(ends[1, 5, 0] - ends[0, 5, 0])

    small = width(0.1 * value)
    problem = (
        rf"sd: {0.6 * value:g} of {value:g} of 'x' of item 'i0' at 5.0 is large where the transform of 'x' bends. It is"
    )
    with pytest.warns(RstimeWarning, match=problem):
        large = width(0.6 * value)
    with pytest.warns(RstimeWarning, match="is large where"):
        none = width(1.1 * value)
    assert 1.5 * small < large < none
    assert none == pytest.approx(width(np.inf, np.nan), rel=1e-6)
