from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstime.errors import ConfigError, DataError, ModelFileError, RstimeWarning
from rstime.scaling import Scaler, slips, within_blocks
from rstime.transforms import Transform
from rstime.types import Series


def series(value: Any, risk: Any = 0.0, variables: tuple[str, ...] | None = None, **more: Any) -> Series:
    value = np.atleast_2d(np.asarray(value, dtype=float).T).T
    names = variables or tuple("xyzw"[: value.shape[1]])
    return Series("a", np.arange(len(value)), names, value, np.broadcast_to(risk, value.shape).astype(float), **more)


def test_scale_is_the_spread_of_the_clean_signal() -> None:
    scaler = Scaler.fit([series([-2.0, 2.0] * 1000, 1.0)])
    assert scaler.location[0] == 0
    assert scaler.scale[0] == pytest.approx(np.sqrt(4 - 1))
    exact = Scaler.fit([series([-2.0, 2.0, -2.0, 2.0])])
    assert exact.scale[0] == pytest.approx(2)


def test_at_least_a_twentieth_of_the_variance_is_signal() -> None:
    assert Scaler.fit([series([-1.0, 1.0] * 1000, 3.0)]).scale[0] == pytest.approx(np.sqrt(0.05))


def test_of_few_values_at_least_the_standard_error_of_their_variance_is_signal() -> None:
    """Of 9 values the variance is known to sqrt(2 / 8) = 1/2 of itself."""
    value = [-1.0, 1.0] * 4 + [0.0]
    assert Scaler.fit([series(value, 3.0)]).scale[0] == pytest.approx(np.sqrt(0.5 * np.var(value)))


def test_simulated_noise_is_subtracted_and_nearly_missing_entries_do_not_spoil_it() -> None:
    rng = np.random.default_rng(0)
    clean = 10 + 3 * rng.standard_normal(40_000)
    risk = rng.choice([0.0, 2.0, 4.0, 1e5, np.inf], size=clean.shape)
    value = clean + np.where(np.isinf(risk), 0, risk) * rng.standard_normal(clean.shape)
    scaler = Scaler.fit([series(value, risk[:, None])])
    assert scaler.location[0] == pytest.approx(10, abs=0.1)
    assert scaler.scale[0] == pytest.approx(3, rel=0.02)


def test_channels_with_little_to_learn_from_get_scale_one() -> None:
    value = np.array([[5.0, 1.5, np.nan], [5.0, np.nan, np.nan]])
    one = series(value, np.where(np.isnan(value), np.inf, 0.0))
    scaler = Scaler.fit([one])
    np.testing.assert_array_equal(scaler.location, [5, 1.5, 0])
    np.testing.assert_array_equal(scaler.scale, 1)
    assert np.isfinite(scaler.scale_series(one).value[one.observed]).all()


def test_variables_of_few_readings_and_readings_that_count_as_missing_are_named() -> None:
    risk = np.full((30, 3), 1.0)
    risk[1:, 1], risk[:, 2], risk[[3, 5], 0], risk[7, 0] = np.inf, np.inf, 9e6, np.inf
    value = np.random.default_rng(0).standard_normal((30, 3))
    with pytest.warns(RstimeWarning) as told:
        Scaler.fit([series(np.where(np.isinf(risk), np.nan, value), risk)])
    assert [str(one.message) for one in told] == [
        "sd: more than 1e+06 times what the variable varies by in readings 2 of 29 of 'x'; these count as missing. "
        "Correct their sd.",
        "variable: few readings of 'y' (1); what a model answers there is hardly more than a guess. "
        "Fit to more of them, or leave them out.",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Scaler.fit([series(value[:20], 1.0)])
    with pytest.warns(RstimeWarning, match=r"few readings of 'x' \(19\), 'y' \(19\), 'z' \(19\); what"):
        Scaler.fit([series(value[:19], 1.0)])


@pytest.mark.parametrize("size", [1e-150, 1e-9, 1.0, 1e9, 1e100])
def test_units_do_not_matter(size: float) -> None:
    rng = np.random.default_rng(1)
    value, risk = rng.standard_normal((200, 2)), rng.uniform(0, 0.5, (200, 2))
    plain = Scaler.fit([series(value, risk)])
    other = Scaler.fit([series(size * value, size * risk)])
    np.testing.assert_allclose(other.scale, size * plain.scale)
    np.testing.assert_allclose(
        other.scale_series(series(size * value, size * risk)).risk, plain.scale_series(series(value, risk)).risk
    )


def test_risk_and_value_are_scaled_alike_and_the_series_keeps_the_rest() -> None:
    one = series([[1.0, 10.0], [3.0, 30.0]], [[0.5, np.inf], [0.0, 2.0]], asked=np.array([[1, 0], [1, 1]], dtype=bool))
    scaler = Scaler(
        ("y", "x"), ("none", "none"), np.array([20.0, 2.0]), np.array([5.0, 4.0]), *empty(), *2 * [np.zeros(2)]
    )
    scaled = scaler.scale_series(one)
    assert scaled.variables == ("y", "x")
    np.testing.assert_allclose(scaled.value, [[np.nan, -0.25], [2, 0.25]])
    np.testing.assert_allclose(scaled.risk, [[np.inf, 0.125], [0.4, 0]])
    np.testing.assert_array_equal(scaled.asked, [[False, True], [True, True]])
    np.testing.assert_array_equal(one.value[0], [1, np.nan])


@pytest.mark.parametrize("transform", ["log", "asinh:1,0.1", "none"])
def test_samples_of_transformed_variables_end_three_scales_beyond_the_readings(transform: str) -> None:
    value = np.exp(np.random.default_rng(0).standard_normal((500, 1)))
    scaler = Scaler.fit([series(value)], {"x": transform})
    drawn = scaler.unscale_samples(np.array([[-400.0], [0.0], [400.0]]))
    forward = Transform.parse(transform).apply
    if transform == "none":
        np.testing.assert_allclose(drawn, scaler.location + scaler.scale * np.array([[-400.0], [0.0], [400.0]]))
        return
    ends = [forward(value).min() - 3 * scaler.scale[0], forward(value).max() + 3 * scaler.scale[0]]
    np.testing.assert_allclose(forward(drawn)[[0, 2], 0], ends)
    back = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    np.testing.assert_array_equal(back.unscale_samples(np.array([[400.0]])), drawn[2:])
    inside = scaler.scale_series(series(value)).value
    np.testing.assert_allclose(scaler.unscale_samples(inside), value)
    for damage in ({"low": [9.0], "high": [1.0]}, {"low": [0.0, 0.0]}):
        with pytest.raises(ModelFileError, match="scaler: cannot be read"):
            Scaler.from_dict({**scaler.to_dict(), **damage})


def empty() -> tuple[Any, ...]:
    none = np.empty(0)
    return ((), none, none, (), none, none)


def test_variables_an_item_does_not_have_are_missing_and_not_asked() -> None:
    scaler = Scaler.fit([series([[1.0, 2.0], [2.0, 5.0]])])
    scaled = scaler.scale_series(series([2.0], variables=("y",)))
    np.testing.assert_array_equal(scaled.risk, [[np.inf, 0.0]])
    np.testing.assert_array_equal(scaled.asked, [[False, True]])


def test_an_unknown_variable_is_named_with_the_known_ones() -> None:
    scaler = Scaler.fit([series([[1.0, 2.0], [2.0, 5.0]])])
    with pytest.raises(DataError, match=r"unknown variable 'q' in item 'a'.*x, y"):
        scaler.scale_series(series([2.0], variables=("q",)))


def test_items_may_have_different_variables() -> None:
    scaler = Scaler.fit([series([0.0, 2.0], variables=("x",)), series([[5.0, 4.0], [7.0, 8.0]], variables=("y", "x"))])
    assert scaler.variables == ("x", "y")
    np.testing.assert_allclose(scaler.location, [3.5, 6])


@given(
    st.sampled_from(["none", "log", "logit:0,100", "logit:-5,200"]),
    st.lists(st.floats(1, 99), min_size=1, max_size=20),
)
def test_samples_come_back_in_the_units_of_the_variable(text: str, numbers: list[float]) -> None:
    one = series(numbers)
    scaler = Scaler.fit([one], {"x": text})
    scaled = scaler.scale_series(one)
    np.testing.assert_allclose(scaler.unscale_samples(scaled.value[None])[0], one.value, rtol=1e-8)


def test_samples_of_a_bounded_variable_stay_inside() -> None:
    scaler = Scaler.fit([series([[90.0, 1.0], [98.0, 2.0]])], {"x": "logit:0,100", "y": "log"})
    wild = scaler.unscale_samples(np.array([[-1e5, -1e3], [0.0, 0.0], [1e5, 1e3]]))
    assert ((wild[:, 0] >= 0) & (wild[:, 0] <= 100)).all()
    assert (wild[:, 1] >= 0).all()


def test_samples_can_be_picked_by_variable() -> None:
    scaler = Scaler.fit([series([[0.0, 10.0], [2.0, 30.0]])])
    samples = np.zeros((4, 1, 2))
    np.testing.assert_allclose(scaler.unscale_samples(samples, ["y"]), np.full((4, 1, 1), 20))


def test_picked_samples_keep_to_the_order_of_the_names() -> None:
    scaler = Scaler.fit([series([[0.0, 10.0], [2.0, 30.0]])])
    samples = np.array([[1.0, -2.0]])
    np.testing.assert_allclose(scaler.unscale_samples(samples), [[2, 0]])
    np.testing.assert_allclose(scaler.unscale_samples(samples, ["y", "x"]), [[0, 2]])


def test_a_log_turns_risk_into_relative_risk() -> None:
    scaler = Scaler.fit([series([1.0, np.e**2], [[0.1], [0.2]])], {"x": "log"})
    scaled = scaler.scale_series(series([10.0], 1.5))
    assert scaled.risk[0, 0] * scaler.scale[0] == pytest.approx(0.15)
    assert scaled.value[0, 0] * scaler.scale[0] + scaler.location[0] == pytest.approx(np.log(10))


@pytest.mark.parametrize("text", ["log", "logit:0,100"])
def test_transformed_noise_has_the_transformed_risk(text: str) -> None:
    rng, transform = np.random.default_rng(0), Transform.parse(text)
    for value, risk in ((3.0, 0.1), (60.0, 2.0), (97.0, 0.2)):
        noisy = transform.apply(value + risk * rng.standard_normal(200_000))
        assert risk * transform.slope(np.array(value)) == pytest.approx(noisy.std(), rel=0.02)


@pytest.mark.parametrize(
    ("text", "value", "risk", "field"),
    [
        ("log", 0.0, 0.0, "value"),
        ("log", -3.0, 0.0, "value"),
        ("logit:0,100", 100.0, 0.0, "value"),
        ("log", 10.0, 2.1, "sd"),
        ("logit:0,100", 98.0, 0.5, "sd"),
    ],
)
def test_a_transform_that_does_not_suit_is_refused(text: str, value: float, risk: float, field: str) -> None:
    with pytest.raises(DataError) as caught:
        Scaler.fit([series([value, 50.0], [[risk], [0.0]])], {"x": text})
    assert caught.value.field == field
    assert "'x'" in str(caught.value)
    assert str(value) in str(caught.value)


def test_missing_entries_have_no_domain() -> None:
    scaler = Scaler.fit([series([np.nan, 2.0, 4.0], [[np.inf], [0.0], [0.0]])], {"x": "log"})
    assert np.isfinite(scaler.scale).all()


@pytest.mark.parametrize("text", ["sqrt", "logit", "logit:1", "logit:5,2", "logit:0,inf", "logit:0,nan", "logit:a,b"])
def test_an_unknown_transform_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="transform"):
        Scaler.fit([series([1.0])], {"x": text})


def test_a_transform_of_an_unknown_variable_is_refused() -> None:
    with pytest.raises(ConfigError, match="'q'"):
        Scaler.fit([series([1.0])], {"q": "log"})


def test_covariates_are_scaled_and_static_numbers_not_known_become_the_mean() -> None:
    def one(static: float) -> Series:
        known = np.array([[0.0], [4.0]])
        parts = {"static_names": ("age",), "known": known, "known_names": ("temp",)}
        return series([1.0, 2.0], static=np.array([static]), **parts)

    scaler = Scaler.fit([one(40.0), one(60.0), one(np.nan)])
    scaled = scaler.scale_series(one(60.0))
    np.testing.assert_allclose(scaled.static, [1])
    np.testing.assert_allclose(scaled.known, [[-1], [1]])
    np.testing.assert_array_equal(scaler.scale_series(one(np.nan)).static, [0])
    with pytest.raises(DataError, match="static"):
        scaler.scale_series(series([1.0, 2.0]))
    with pytest.raises(DataError, match="known"):
        Scaler.fit([series([1.0])]).scale_series(series([1.0], known=np.ones((1, 1)), known_names=("temp",)))


def test_nothing_to_fit_is_refused() -> None:
    with pytest.raises(DataError, match="no item"):
        Scaler.fit([])


@pytest.mark.parametrize(("risk", "share"), [(0.0, 1.0), (2.0, 0.5), (0.8, 1.0)])
def test_spread_within_blocks_of_a_walk_is_that_of_its_steps_whatever_the_noise(risk: float, share: float) -> None:
    """n values of a walk with steps of variance 1 vary by (n + 1) / 6 around their mean."""
    rng = np.random.default_rng(0)
    walk = 1000 + rng.standard_normal(40_000).cumsum()
    r = np.where(rng.random(walk.shape) < share, risk, 0.0)
    y, block = walk + r * rng.standard_normal(walk.shape), np.arange(40_000) // 8
    assert within_blocks(y, r, block) == pytest.approx((9 / 6) ** 0.5, rel=0.03)
    kept = rng.random(walk.shape) < 0.5
    assert within_blocks(y[kept], r[kept], block[kept]) == pytest.approx((9 / 6) ** 0.5, rel=0.04)


def test_spread_within_blocks_of_lone_values_is_unknown() -> None:
    assert within_blocks(np.arange(5.0), np.zeros(5), np.arange(5)) == 0.0
    assert within_blocks(np.ones(6), np.zeros(6), np.arange(6) // 2) == 0.0


def test_a_scaler_survives_json() -> None:
    scaler = Scaler.fit([series([[1.0, 2.0], [2.0, 5.0]], known=np.ones((2, 1)), known_names=("k",))], {"y": "log"})
    back = Scaler.from_dict(json.loads(json.dumps(scaler.to_dict())))
    for name in scaler.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(back, name), getattr(scaler, name))
    assert isinstance(back.variables, tuple)


@pytest.mark.parametrize(
    "change",
    [
        {"scale": [0.0, 1.0]},
        {"scale": [1.0]},
        {"location": [1.0, float("nan")]},
        {"location": ["a", "b"]},
        {"transform": ["none"]},
        {"transform": ["none", "cube"]},
        {"variables": None},
    ],
)
def test_a_damaged_scaler_is_refused(change: dict[str, Any]) -> None:
    state = Scaler.fit([series([[1.0, 2.0], [2.0, 5.0]])]).to_dict()
    with pytest.raises(ModelFileError, match="scaler"):
        Scaler.from_dict(state | change)
    with pytest.raises(ModelFileError, match="scaler"):
        Scaler.from_dict({name: part for name, part in state.items() if name not in change})


@pytest.mark.parametrize(
    ("values", "risks", "astray"),
    [
        ([0.0, 10.0, 1.0], [0.0, 0.0, 0.5], [0.0, 1.0, 0.0]),  # 10 is 4 beyond 6: 1 beyond the three scales
        ([10.0, 10.5, -10.0], [0.0, 0.0, 0.0], [0.0, 0.0, 1.0]),  # most say 10
        ([10.0, 99.0], [0.0, 0.0], [1.0, 90.0]),  # two are too few to tell
        ([8.9, -11.9, 12.5], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]),  # within 6 of 8.9
        ([0.0, -12.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.5, 0.0]),  # three risks more
        ([0.0, 0.0, 99.0, 99.0, 0.0, 0.0], [0.0] * 6, [0.0, 0.0, 90.0, 90.0, 0.0, 0.0]),  # a slip made twice
        ([50.0 + 2.5 * k for k in range(7)], [0.0] * 7, [0.0] * 7),  # a series that has wandered off
        ([99.0, 99.0, 0.0], [np.inf, 40.0, 0.0], [0.0, 0.0, 0.0]),
    ],
)
def test_readings_far_beyond_training_are_believed_less(
    values: list[float], risks: list[float], astray: list[float]
) -> None:
    """Training between -6 and 6, of scale 1; the variable is the second of the item's and the first of training's."""
    scaler = Scaler.fit([series([[1.0, 0.0], [-1.0, 1.0]] * 100_000 + [[6.0, 0.0], [-6.0, 0.0]])])
    assert scaler.scale[0] == pytest.approx(1.0, abs=1e-3)
    other = [0.0] * len(values)
    one = series(np.transpose([other, values]), np.transpose([other, risks]), ("y", "x"))
    scaled = scaler.scale_series(one)
    np.testing.assert_allclose(scaler.astray(scaled), np.transpose([astray, other]), atol=0.02)
    np.testing.assert_allclose(scaler.wary(scaled).risk[:, 0], np.hypot(risks, astray), atol=0.02)
    assert scaler.seen("x") == pytest.approx((-6.0, 6.0))


def test_ends_of_training_are_in_the_units_of_a_transformed_variable() -> None:
    assert Scaler.fit([series([1.0, 10.0, 5.0])], {"x": "log"}).seen("x") == pytest.approx((1.0, 10.0))


def test_of_a_constant_nothing_is_astray() -> None:
    scaler = Scaler.fit([series([70.0] * 5)])
    assert not scaler.astray(scaler.scale_series(series([90.0]))).any()


def test_slips_are_what_lies_apart_and_heavy_tails_are_none() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(80, 8, 600)
    y[[5, 77]], y[300] = (981.0, 867.0), -300.0
    assert np.flatnonzero(slips(y)).tolist() == [5, 77, 300]
    for heavy in (rng.normal(80, 8, 600), rng.standard_t(2, 600), rng.lognormal(0, 1.5, 600), np.full(50, 3.0)):
        assert not slips(heavy).any()
    y[:20] = 981.0  # too many to be slips
    assert not slips(y)[:20].any()
    assert not slips(np.append(np.ones(10), 1e6)).any()
