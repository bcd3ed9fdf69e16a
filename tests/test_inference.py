"""Items longer than a window: seams, batching and tiling, against the exact posterior of the whole item."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from rstime import inference, posterior
from rstime.denoiser import Denoiser
from rstime.gaussian import GaussianModel
from rstime.inference import mean_items, sample_items
from rstime.network.embedding import SIGNS
from rstime.network.transformer import SIZES, Transformer
from rstime.posterior import EXIT, PATH, SETTLE, SamplerConfig
from rstime.tokens import Tokens
from rstime.types import Batch
from rstime.windows import Item

WINDOW, LONG = 24.0, 72
Array = NDArray[np.float64]
WINDOWS = 6  # at most, in the items below


def make_prior(memory: str) -> GaussianModel:
    """One channel of variance 1: an exponential of three steps, a smooth one of six, or a mix with a long tail."""
    model = GaussianModel(1, 0, WINDOW).requires_grad_(False)
    model.loading.zero_()
    model.log_own.fill_(-math.inf)
    model.log_white.fill_(math.log(1e-4))
    shares = {"short": {1: 1.0}, "smooth": {5: 1.0}, "mix": {1: 0.4, 2: 0.4, 7: 0.2}}[memory]
    for component, share in shares.items():
        model.log_own[component] = math.log(share)
    return model


class Silent(Denoiser):
    """A denoiser whose network says nothing, at no cost: the exact one of the prior, sampled along the path."""

    def gates(self, features: Tensor, tokens: Tokens) -> Tensor:
        return torch.zeros(*features.shape[:3], 1 + SIGNS)


def make_denoiser(memory: str, network: bool, spread: float = 0.0) -> Denoiser:
    torch.manual_seed(0)
    transformer = Transformer(SIZES["tiny"], 1, 0, WINDOW).requires_grad_(False)
    torch.nn.init.normal_(transformer.head.weight, std=spread)
    kind = Denoiser if spread else Silent
    return kind(make_prior(memory), transformer if network else None).eval()


def make_item(length: int = LONG, seed: int = 0, measured: float = 0.6, name: str = "a", gap: float = 1.0) -> Item:
    """Noisy, incomplete measurements at stamps a step apart (or irregular, for a gap of 0)."""
    rng = np.random.default_rng(seed)
    steps = np.arange(length) * gap if gap else np.cumsum(rng.exponential(size=length) + 0.05)
    risk = rng.uniform(0.2, 1.2, (length, 1)).astype(np.float32)
    risk[rng.random((length, 1)) > measured] = np.inf
    value = np.where(np.isinf(risk), 0, rng.standard_normal((length, 1))).astype(np.float32)
    key = np.arange(length, dtype=np.int64) + 1000 * sum(name.encode())
    none, asked = np.empty((length, 0), dtype=np.float32), np.ones((length, 1), dtype=bool)
    return Item(name, steps, value, risk, none, asked, key)


def exact(memory: str, item: Item) -> tuple[Array, Array]:
    """Posterior mean and covariance of the whole item."""
    n = len(item)
    zero, time = torch.zeros(1, n, dtype=torch.long), torch.tensor(item.steps)[None]
    tokens = Tokens(time, zero, torch.zeros(1, n, 0, dtype=torch.float64), zero == 0, torch.arange(n)[None])
    k = make_prior(memory).covariance(tokens)[0].numpy()
    seen = np.isfinite(item.risk[:, 0])
    gain = np.linalg.solve(k[np.ix_(seen, seen)] + np.diag(item.risk[seen, 0].astype(float) ** 2), k[seen]).T
    return gain @ item.value[seen, 0], k - gain @ k[seen]


def propagate(
    monkeypatch: pytest.MonkeyPatch, denoiser: Denoiser, item: Item, support: float = 0.0
) -> tuple[Array, Array]:
    """Mean and covariance of the sampled paths, exactly: nothing in the first sample, then one number in each.

    A number is named by its use, its entry and the seed; windows may have seeds of their own.
    """
    first, names = int(item.key[0]), [(seed, use) for seed in range(WINDOWS) for use in (EXIT, SETTLE, PATH)]
    seeds: list[int] = []
    count = 1 + len(names) * len(item)

    def keyed(tokens: Tokens, batch: Batch, config: SamplerConfig) -> Callable[[int], Tensor]:
        entry = tokens.take(batch.key[..., None], 0) - first
        if config.seed not in seeds:
            seeds.append(config.seed)

        def normal(step: int) -> Tensor:
            hit = 1 + names.index((seeds.index(config.seed), step)) * len(item) + entry
            return ((torch.arange(count)[:, None, None] == hit) & tokens.exists).float()

        return normal

    monkeypatch.setattr(posterior, "keyed", keyed)
    config = SamplerConfig(samples=count, evaluations=20)
    drawn = sample_items(denoiser, [item], WINDOW, torch.tensor([support]), config)[0][..., 0].astype(float)
    linear = drawn[1:] - drawn[0]
    return drawn[0], linear.T @ linear


def error(got: Array, want: Array) -> float:
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def increments(covariance: Array) -> Array:
    return np.diag(covariance)[1:] + np.diag(covariance)[:-1] - 2 * np.diag(covariance, 1)


@pytest.mark.parametrize(
    ("memory", "network", "support", "tolerance"),
    [
        ("short", False, 0.0, 0.01),
        ("smooth", False, 0.0, 0.04),
        ("short", True, 0.0, 0.02),
        ("smooth", True, 0.0, 0.05),
        ("short", True, 0.4, 0.06),
    ],
)
@pytest.mark.parametrize("measured", [0.6, 0.0])
def test_long_paths_have_the_law_of_the_whole_item(
    monkeypatch: pytest.MonkeyPatch, memory: str, network: bool, support: float, tolerance: float, measured: float
) -> None:
    """Measured, and from the prior: covariance at all lags, across seams too; steps at seams as wide as elsewhere."""
    item = make_item(measured=measured)
    mean, covariance = propagate(monkeypatch, make_denoiser(memory, network), item, support)
    want_mean, want = exact(memory, item)
    assert error(covariance, want) < tolerance
    sd = np.sqrt(np.diag(want))
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)) / sd, 1, atol=0.03)
    assert np.max(np.abs(mean - want_mean) / sd) < 0.1
    ratio = increments(covariance) / increments(want)
    assert ratio.min() > 0.93
    assert ratio.max() < 1.07 + support  # the tie across a seam is as loose as the support


def test_autocovariance_of_a_long_memory_is_kept_up_to_a_quarter_of_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window sees a quarter of a window of the path before it: correlations beyond are its own only."""
    item = make_item(measured=0.0)
    _, covariance = propagate(monkeypatch, make_denoiser("mix", False), item)
    want = exact("mix", item)[1]
    for lag in range(int(WINDOW) // 4):
        found, expected = np.diag(covariance, lag), np.diag(want, lag)
        np.testing.assert_allclose(found.mean(), expected.mean(), rtol=0.02)
        assert np.abs(found - expected).max() < 0.05


def test_seams_of_irregular_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    item = make_item(60, gap=0.0)
    mean, covariance = propagate(monkeypatch, make_denoiser("short", False), item)
    want_mean, want = exact("short", item)
    assert error(covariance, want) < 0.02
    assert np.max(np.abs(mean - want_mean) / np.sqrt(np.diag(want))) < 0.05


def test_windows_drawn_alone_would_not_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the seams are for: with nothing handed from window to window, the path jumps between them."""
    monkeypatch.setattr(inference, "Settled", lambda value, where: posterior.Settled(value, torch.zeros_like(where)))
    item = make_item(measured=0.0)
    # In the prior, without ties, entries of different windows are as good as independent.
    _, covariance = propagate(monkeypatch, make_denoiser("smooth", False), item)
    ratio = increments(covariance) / increments(exact("smooth", item)[1])
    assert ratio.max() > 1.5


def test_one_pass_means_of_long_items_are_close_to_the_exact_ones() -> None:
    for gap in (1.0, 0.0):
        item = make_item(gap=gap)
        want, covariance = exact("short", item)
        found = mean_items(make_denoiser("short", True), [item], WINDOW)[0][:, 0]
        assert np.max(np.abs(found - want) / np.sqrt(np.diag(covariance))) < 0.05


def test_answers_do_not_depend_on_the_other_items(monkeypatch: pytest.MonkeyPatch) -> None:
    """Items of many lengths together, in another order, in small groups, and alone: the same numbers."""
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser = make_denoiser("mix", True, spread=0.1)
    items = [make_item(n, seed=n, name=f"item {n}") for n in (40, 3, 24, 72, 1, 60)]
    config, support = SamplerConfig(samples=5, seed=1), torch.tensor([0.1])
    whole = sample_items(denoiser, items, WINDOW, support, config)
    means = mean_items(denoiser, items, WINDOW)
    backwards = sample_items(denoiser, items[::-1], WINDOW, support, config)[::-1]
    monkeypatch.setattr(inference, "TOKENS_AT_ONCE", 20)
    groups = sample_items(denoiser, items, WINDOW, support, config)
    for i, item in enumerate(items):
        (alone,) = sample_items(denoiser, [item], WINDOW, support, config)
        for other in (backwards[i], groups[i], alone):
            np.testing.assert_allclose(other, whole[i], rtol=0, atol=2e-5)
        np.testing.assert_allclose(mean_items(denoiser, [item], WINDOW)[0], means[i], rtol=0, atol=1e-5)


def test_entries_that_are_not_asked_stay_empty() -> None:
    item = make_item()
    item.asked[::3] = False
    denoiser = make_denoiser("short", True)
    for answer in (
        *sample_items(denoiser, [item], WINDOW, torch.zeros(1), SamplerConfig(samples=2))[0],
        mean_items(denoiser, [item], WINDOW)[0],
    ):
        assert np.array_equal(np.isfinite(answer), item.asked)


def test_items_and_windows_without_questions_or_stamps() -> None:
    """Nothing asked at all; nothing asked nor measured in the middle; no stamp."""
    silent, gap, empty = make_item(30, name="x"), make_item(90, name="y"), make_item(30, name="z").rows(slice(0, 0))
    silent.asked[:] = False
    gap.asked[20:70], gap.risk[20:70], gap.value[20:70] = False, np.inf, 0
    denoiser = make_denoiser("short", True)
    answers = sample_items(denoiser, [silent, gap, empty], WINDOW, torch.zeros(1), SamplerConfig(samples=2))
    assert not np.isfinite(answers[0]).any()
    assert np.array_equal(np.isfinite(answers[1][0]), gap.asked)
    assert answers[2].shape == (2, 0, 1)
    assert mean_items(denoiser, [silent, gap, empty], WINDOW)[2].shape == (0, 1)


def test_progress_counts_every_window() -> None:
    counts: list[int] = []
    items = [make_item(LONG), make_item(10, name="b")]
    sample_items(make_denoiser("short", False), items, WINDOW, torch.zeros(1), SamplerConfig(samples=1), counts.append)
    assert sum(counts) == 5 + 1  # 24 steps, then 12 new ones a window


def test_marginals_of_long_items_are_those_of_their_windows() -> None:
    """Mean and sd of each missing entry of a long item, many samples, against the exact posterior."""
    item = make_item(72)
    item.asked[:] = np.isinf(item.risk)
    config = SamplerConfig(samples=4000, joint=False)
    drawn = sample_items(make_denoiser("short", False), [item], WINDOW, torch.zeros(1), config)[0][
        :, item.asked[:, 0], 0
    ]
    mean, covariance = exact("short", item)
    sd = np.sqrt(np.diag(covariance))[item.asked[:, 0]]
    assert np.max(np.abs(drawn.mean(0) - mean[item.asked[:, 0]]) / sd) < 0.12
    np.testing.assert_allclose(drawn.std(0) / sd, 1, atol=0.06)
