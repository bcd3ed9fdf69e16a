from __future__ import annotations

import subprocess
import sys
import time as clock
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rstime.errors import ConfigError, DataError
from rstime.types import Batch, Series
from rstime.windows import (
    PATTERNS,
    Axis,
    Item,
    Windows,
    collate,
    cut,
    draw_hidden,
    hide_block,
    hide_channel,
    hide_horizon,
    hide_random,
    prepare,
    stamp_keys,
    tile,
)

UNIT = Axis(1.0, False)


def item(steps: np.ndarray, channels: int = 2, name: str = "a", risk: np.ndarray | None = None) -> Item:
    steps = np.asarray(steps, dtype=np.float64)
    value = steps[:, None] + 1000.0 * np.arange(channels)
    risk = np.full(value.shape, 0.5) if risk is None else risk
    return prepare(Series(name, steps, tuple("xyzuvw"[:channels]), value, risk), UNIT)


def test_prepare_keeps_real_stamps_and_sets_missing_values_to_zero() -> None:
    risk = np.array([[0.0, np.inf], [1.0, 2.0]])
    series = Series(
        "a",
        np.array([0.5, 3.0]),
        ("x", "y"),
        np.array([[1.0, 7.0], [3.0, 4.0]]),
        risk,
        np.array([[True, False], [True, True]]),
        static=np.array([5.0]),
        static_names=("s",),
        known=np.array([[6.0], [8.0]]),
        known_names=("k",),
    )
    one = prepare(series, Axis(0.5, False))
    np.testing.assert_array_equal(one.steps, [1.0, 6.0])
    np.testing.assert_array_equal(one.value, [[1, 0], [3, 4]])
    np.testing.assert_array_equal(one.risk, risk)
    np.testing.assert_array_equal(one.covariates, [[5, 6], [5, 8]])
    np.testing.assert_array_equal(one.asked, series.asked)
    assert one.value.dtype == one.risk.dtype == one.covariates.dtype == np.float32


def test_keys_differ_by_item_and_stamp_and_are_the_same_in_every_process() -> None:
    stamps = np.datetime64("2026-01-01", "ns") + np.arange(1000) * np.timedelta64(1, "h")
    keys = np.concatenate([stamp_keys(name, stamps) for name in ("a", "b", "ab")])
    assert len(np.unique(keys)) == len(keys)
    bits = (keys.view(np.uint64)[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(0) - 0.5).max() < 0.06  # every bit is fair: 6 standard errors of 3000 draws
    code = "import numpy as np; from rstime.windows import stamp_keys as k; print(k('a', np.array([0.5]))[0])"
    told = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env={"PYTHONHASHSEED": seed})
        for seed in ("1", "2")
    ]
    assert {int(one.stdout) for one in told} == {int(stamp_keys("a", np.array([0.5]))[0])}


def test_cut_takes_the_start_and_leaves_the_stop() -> None:
    np.testing.assert_array_equal(cut(item(np.arange(10)), 3, 6).steps, [3, 4, 5])


def test_cut_is_not_misled_by_rounding() -> None:
    axis = Axis(0.1, False)
    time = np.arange(2000) * 0.1
    one = prepare(Series("a", time, ("x",), np.zeros((2000, 1)), np.zeros((2000, 1))), axis)
    assert {len(cut(one, start, start + 48)) for start in one.steps[:1952]} == {48}


def test_collate_pads_with_absent_rows_and_counts_time_from_the_start() -> None:
    batch = collate([item(np.array([10.0, 11.5, 13.0])), item(np.array([4.0]), name="b")], starts=[9.0, 4.0])
    np.testing.assert_array_equal(batch.time, [[1.0, 2.5, 4.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(batch.value[0, :, 1], [1010, 1011.5, 1013])
    assert torch.isinf(batch.risk[1, 1:]).all()
    assert not batch.asked[1, 1:].any()
    assert batch.asked[1, 0].all()
    assert batch.key.dtype == torch.int64
    np.testing.assert_array_equal(batch.time[:, 0], [1.0, 0.0])


def test_windows_of_a_regular_item_are_all_full_ones_equally_often() -> None:
    windows = Windows([item(np.arange(50))], 48)
    assert len(windows) == 3
    batch = windows.draw(3000, np.random.default_rng(0))
    assert batch.value.shape == (3000, 48, 2)
    starts, counts = np.unique(batch.value[:, 0, 0], return_counts=True)
    np.testing.assert_array_equal(starts, [0, 1, 2])
    assert np.abs(counts - 1000).max() < 5 * np.sqrt(3000 * 2 / 9)
    np.testing.assert_array_equal(batch.time, np.broadcast_to(np.arange(48), (3000, 48)))


def test_an_item_is_drawn_in_proportion_to_its_windows() -> None:
    windows = Windows([item(np.arange(57)), item(np.arange(20), name="b"), item(np.arange(48), name="c")], 48)
    assert np.bincount(windows.table[:, 0]).tolist() == [10, 1, 1]
    batch = Windows(windows.items, 48).draw(500, np.random.default_rng(1))
    assert batch.value.shape == (500, 48, 2)


def test_a_short_item_comes_whole() -> None:
    batch = Windows([item(np.arange(5.0, 12.0))], 48).draw(4, np.random.default_rng(0))
    np.testing.assert_array_equal(batch.value[:, :, 0], np.broadcast_to(np.arange(5, 12), (4, 7)))


def test_windows_without_observation_are_never_drawn() -> None:
    risk = np.full((100, 2), np.inf)
    risk[60, 1] = 0.5
    windows = Windows([item(np.arange(100), risk=risk), item(np.arange(3), name="b", risk=risk[:3])], 10)
    batch = windows.draw(200, np.random.default_rng(0))
    assert len(windows) == 10
    assert torch.isfinite(batch.risk).flatten(1).any(1).all()
    with pytest.raises(DataError, match=r"in any window\. Give items with a value whose sd is below 1e\+06 times"):
        Windows([item(np.arange(3), risk=risk[:3])], 10)


@given(st.lists(st.floats(0.01, 30), min_size=0, max_size=40), st.floats(1.5, 20))
def test_windows_of_irregular_items_cover_every_stamp_and_are_not_too_long(gaps: list[float], length: float) -> None:
    one = item(np.cumsum([0.0, *gaps]))
    table = Windows([one], length).table
    covered = np.zeros(len(one), dtype=bool)
    for _, low, high in table:
        covered[low:high] = True
        assert one.steps[high - 1] - one.steps[low] < length
    assert covered.all()


def test_the_same_generator_gives_the_same_windows() -> None:
    windows = Windows([item(np.arange(100))], 10)
    first, second = (windows.draw(8, np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(first.key, second.key)


def test_drawing_is_fast() -> None:
    windows = Windows([item(np.arange(8640), channels=6)], 48)
    rng, start = np.random.default_rng(0), clock.perf_counter()
    for _ in range(50):
        windows.draw(16, rng)
    assert (clock.perf_counter() - start) / 50 < 5e-3


def test_tiles_of_a_regular_item() -> None:
    assert tile(item(np.arange(10.0, 110.0)), 48, 12) == [(10, 58), (46, 94), (62, 110)]
    assert tile(item(np.arange(7)), 48, 12) == [(0, 48)]
    assert tile(item(np.arange(48)), 48, 12) == [(0, 48)]


@given(
    st.lists(st.floats(0.01, 100), max_size=40),
    st.floats(2, 30),
    st.floats(0, 0.9),
)
def test_tiles_cover_all_stamps_and_overlap(gaps: list[float], length: float, share: float) -> None:
    one = item(np.cumsum([0.0, *gaps]))
    spans = tile(one, length, share * length)
    covered = np.zeros(len(one), dtype=bool)
    for start, stop in spans:
        assert stop - start == pytest.approx(length)
        covered |= (one.steps >= start - 1e-3) & (one.steps < stop - 1e-3)
        assert len(cut(one, start, stop))
    assert covered.all()
    for (before, end), (start, _) in pairwise(spans):
        assert start > before
        missed = (one.steps >= end - 1e-3) & (one.steps < start + share * length - 1e-3)
        assert end - start >= share * length - 1e-6 or not missed.any()  # less overlap only where there is a gap


def test_an_overlap_must_be_less_than_the_window() -> None:
    with pytest.raises(ConfigError, match="overlap"):
        tile(item(np.arange(9)), 4, 4)


def observed(batch: int = 400, length: int = 20, channels: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    seen = torch.rand((batch, length, channels), generator=torch.Generator().manual_seed(7)) < 0.6
    seen[:, -3:] = False  # padding
    time = torch.arange(length).float().repeat(batch, 1)
    time[:, -3:] = 0
    return seen, time


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_hide_their_share_of_what_was_observed(pattern) -> None:  # type: ignore[no-untyped-def]
    seen, time = observed()
    for share in (0.2, 0.5, 0.8):
        hidden = pattern(seen, time, torch.Generator().manual_seed(1), torch.full((400,), share))
        assert hidden.dtype == torch.bool
        assert not (hidden & ~seen).any()
        assert hidden.sum() / seen.sum() == pytest.approx(share, abs=0.06)


def test_shapes_of_patterns() -> None:
    full, time = torch.ones((300, 20, 5), dtype=torch.bool), torch.arange(20.0).repeat(300, 1)
    share, generator = torch.full((300,), 0.5), torch.Generator().manual_seed(0)
    random = hide_random(full, time, generator, share)
    assert 0 < (random[:, 1:] != random[:, :-1]).float().mean() < 1
    channel = hide_channel(full, time, generator, share)
    assert (channel == channel[:, :1]).all()
    horizon = hide_horizon(full, time, generator, share)
    assert (horizon == (time >= 10)[..., None]).all()
    block = hide_block(full, time, generator, share)
    assert (block.sum(1) == 10).float().mean() > 0.99  # half of the 20 steps
    edges = (block[:, 1:] != block[:, :-1]).sum(1)
    assert edges.max() <= 2
    together = (block == block[..., :1]).all(2).all(1).float().mean()
    assert together == pytest.approx(0.5, abs=0.1)


def test_a_block_is_measured_in_time_not_in_rows() -> None:
    time = torch.tensor([[0.0, 1.0, 2.0, 3.0, 99.0]])
    hidden = hide_horizon(torch.ones((1, 5, 1), dtype=torch.bool), time, torch.Generator(), torch.tensor([0.5]))
    assert hidden.flatten().tolist() == [False, False, False, False, True]


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 6), st.integers(1, 3), st.floats(0, 1))
def test_something_is_hidden_wherever_something_was_seen(
    seed: int, batch: int, length: int, channels: int, density: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    seen = torch.rand((batch, length, channels), generator=generator) < density
    hidden = draw_hidden(seen, torch.arange(length).float().repeat(batch, 1), generator, share=(0.0, 0.3))
    assert not (hidden & ~seen).any()
    assert torch.equal(hidden.flatten(1).any(1), seen.flatten(1).any(1))


def test_weights_choose_the_pattern() -> None:
    seen, time = torch.ones((50, 12, 3), dtype=torch.bool), torch.arange(12.0).repeat(50, 1)
    hidden = draw_hidden(seen, time, torch.Generator().manual_seed(0), weights=(0, 0, 0, 1), share=(0.25, 0.25))
    assert torch.equal(hidden, (time >= 9)[..., None].expand_as(seen))


def test_draws_are_reproducible_and_shares_spread() -> None:
    seen, time = observed()
    first, second = (draw_hidden(seen, time, torch.Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first, second)
    shares = first.flatten(1).sum(1) / seen.flatten(1).sum(1)
    assert shares.mean() == pytest.approx(0.5, abs=0.06)
    assert shares.std() > 0.2


def test_a_batch_moves_as_a_whole() -> None:
    batch = Windows([item(np.arange(9))], 4).draw(2, np.random.default_rng(0))
    moved = batch.to("cpu")
    assert isinstance(moved, Batch)
    assert torch.equal(moved.value, batch.value)
