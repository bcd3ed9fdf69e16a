"""Windows of real items: which stamps, which steps, and measured so that nothing tells them from generated ones."""

from __future__ import annotations

import numpy as np
import pytest

from rstime.audit.windows import Windows, blank, cut, generated, measured, noisier, on_grid
from rstime.axis import Axis
from rstime.errors import DataError
from rstime.scaling import Scaler
from rstime.types import Series

AXIS = Axis(1.0, False)


def item(name: str, stamps: list[float], missing: tuple[int, ...] = ()) -> Series:
    time = np.array(stamps)
    risk = np.full((len(time), 1), 0.5)
    risk[list(missing)] = np.inf
    return Series(name, time, ("x",), 10 * time[:, None], risk, known=time[:, None], known_names=("hour",))


def test_items_are_cut_from_their_first_stamp_on_and_ends_left_out() -> None:
    long = item("long", [*map(float, range(3, 13))])
    short = item("short", [0.0, 1.0])
    silent = item("silent", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], missing=(0, 1, 2, 3))
    pieces, owner = cut([long, short, silent], AXIS, 4)
    assert [(one.item_id, one.time.tolist()) for one in pieces] == [
        ("long/0", [3, 4, 5, 6]),
        ("long/1", [7, 8, 9, 10]),
        ("short/0", [0, 1]),
    ]
    assert owner.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(pieces[1].known[:, 0], [7, 8, 9, 10])
    with pytest.raises(DataError, match="no measurement in any window"):
        cut([item("none", [0.0, 1.0], missing=(0, 1))], AXIS, 4)


def test_stamps_go_to_the_nearest_step_in_sd_of_the_signal() -> None:
    piece = item("a", [2.0, 3.1, 3.3, 5.0], missing=(3,))
    scaler = Scaler.fit([item("b", [0.0, 1.0, 2.0, 3.0, 4.0])])
    found = on_grid([piece], np.array([4]), AXIS, 4, scaler)
    location, scale = scaler.location[0], scaler.scale[0]
    np.testing.assert_allclose(found.value[0, :, 0], [(20 - location) / scale, (33 - location) / scale, 0, 0])
    np.testing.assert_allclose(found.risk[0, :, 0], [0.5 / scale, 0.5 / scale, np.inf, np.inf])
    np.testing.assert_allclose(found.weight, 1 / (1 + found.risk**2))
    np.testing.assert_allclose(found.shrunk, found.value / (1 + found.risk**2))
    assert found.item.tolist() == [4]


def test_a_source_sees_stamps_and_covariates_only() -> None:
    piece = item("a", [2.0, 3.0])
    empty = blank(piece)
    assert not empty.observed.any()
    assert empty.asked.all()
    np.testing.assert_array_equal(empty.known, piece.known)
    (drawn,) = generated(lambda pieces, seed: [pieces[0].known + seed], [piece], 7)
    np.testing.assert_array_equal(drawn.value[:, 0], [9, 10])
    assert not drawn.risk.any()
    with pytest.raises(DataError, match="0 windows for 1 real ones"):
        generated(lambda pieces, seed: [], [piece], 7)
    with pytest.raises(DataError, match="not finite"):
        generated(lambda pieces, seed: [np.full((2, 1), np.nan)], [piece], 7)


def test_generated_windows_are_measured_as_the_real_ones_were() -> None:
    rng = np.random.default_rng(0)
    risk = np.where(rng.random((2000, 5, 2)) < 0.3, np.inf, np.array([0.5, 2.0]))
    clean = Windows(np.ones((2000, 5, 2)), np.zeros((2000, 5, 2)), np.arange(2000))
    like = Windows(np.zeros((2000, 5, 2)), risk, np.arange(2000) // 2)
    found = measured(clean, like, rng)
    np.testing.assert_array_equal(found.risk, risk)
    np.testing.assert_array_equal(found.item, like.item)
    seen = np.isfinite(risk)
    assert not found.value[~seen].any()
    raised = noisier(found, 1.5, rng)
    for column, sd in enumerate((0.5, 2.0)):
        for windows, total in ((found, sd), (raised, np.hypot(sd, 1.5))):
            readings = windows.value[..., column][seen[..., column]]
            assert readings.mean() == pytest.approx(1, abs=0.1)
            assert readings.std() == pytest.approx(total, rel=0.03)
            assert np.all(windows.risk[..., column][seen[..., column]] == total)
    assert noisier(found, 0.0, rng) is found
