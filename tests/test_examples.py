"""Training examples: nothing leaks from hidden values, and the loss is what theory says it must be."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from rstime.denoiser import Denoiser
from rstime.diffusion.loss import target, teaches, weight
from rstime.examples import Example, Part, example_loss, make_example
from rstime.gaussian import GaussianModel
from rstime.network.transformer import SIZES, Transformer
from rstime.tokens import Tokens
from rstime.types import Batch

T, C = 12, 2
PATTERNS = (0.55, 0.15, 0.15, 0.15)


def make_prior() -> GaussianModel:
    return GaussianModel(C, 0, float(T)).requires_grad_(False)


def make_denoiser(spread: float = 0.0) -> Denoiser:
    torch.manual_seed(0)
    network = Transformer(SIZES["tiny"], C, 0, float(T))
    torch.nn.init.normal_(network.head.weight, std=spread)
    return Denoiser(make_prior(), network)


def make_batch(windows: int = 6, seed: int = 0, lost: float = 0.3) -> Batch:
    """Draws of the prior's own law, measured with risks .1, .5 and 1."""
    generator = torch.Generator().manual_seed(seed)
    cell = torch.arange(T * C)[None]
    tokens = Tokens((cell // C).double(), cell % C, torch.zeros(1, T * C, 0), cell >= 0, cell)
    root = torch.linalg.cholesky(make_prior().covariance(tokens)[0])
    x = torch.randn(windows, T * C, generator=generator, dtype=torch.float64) @ root.T
    risk = torch.tensor([0.1, 0.5, 1.0])[torch.randint(3, (windows, T, C), generator=generator)]
    value = x.reshape(risk.shape).float() + risk * torch.randn(risk.shape, generator=generator)
    missing = torch.rand(risk.shape, generator=generator) < lost
    risk, value = risk.masked_fill(missing, math.inf), value.masked_fill(missing, 0.0)
    time, key = torch.arange(T).float().expand(windows, -1), torch.zeros(windows, T, dtype=torch.long)
    return Batch(value, risk, time, torch.zeros(windows, T, 0), torch.ones_like(missing), key)


def example(batch: Batch, seed: int = 0, isolated: float = 0.0, spread: float = 0.0) -> Example:
    return make_example(make_denoiser(spread), batch, torch.Generator().manual_seed(seed), isolated, PATTERNS)


def parts(made: Example) -> list[Part]:
    return [made.context] if made.queries is None else [made.context, made.queries]


@pytest.mark.parametrize("isolated", [0.0, 1.0])
def test_every_measurement_enters_exactly_once(isolated: float) -> None:
    batch = make_batch()
    counts = torch.zeros_like(batch.risk)
    for part in parts(example(batch, isolated=isolated)):
        counts += part.tokens.put(torch.ones_like(part.y), torch.zeros_like(batch.risk))
        here = part.tokens.exists
        for name, grid in (("y", batch.value), ("risk", batch.risk)):
            assert torch.equal(getattr(part, name)[here], part.tokens.take(grid)[here])
        assert bool((part.tau[here] >= part.risk[here]).all())
    assert torch.equal(counts, torch.isfinite(batch.risk).float())


@pytest.mark.parametrize("isolated", [0.0, 1.0])
def test_inputs_are_measurements_raised_to_their_levels(isolated: float) -> None:
    """m - y has variance tau^2 - r^2, by level; nothing of a measurement that is absent reaches its input."""
    batch = make_batch(400)
    for part in parts(example(batch, isolated=isolated)):
        here = part.tokens.exists & torch.isfinite(part.tau)
        v2 = (part.tau.square() - part.risk.square())[here]
        added = (part.m - part.y)[here]
        for low, high in ((0.05, 0.5), (0.5, 2.0), (2.0, 20.0)):
            some = (v2 > low) & (v2 <= high)
            if some.sum() > 100:
                ratio = float((added[some].square() / v2[some]).mean())
                assert abs(ratio - 1) < 5 * (2 / int(some.sum())) ** 0.5
        assert torch.equal(added[v2 == 0], torch.zeros_like(added[v2 == 0]))
        assert not part.m[part.tokens.exists & torch.isinf(part.tau)].any()


def test_queries_and_what_is_believed_of_them_do_not_see_each_other() -> None:
    """Change every hidden value: the context, its belief and the belief of the queries stay as they were."""
    batch = make_batch()
    made = example(batch, isolated=1.0)
    assert made.queries is not None
    hidden = made.queries.tokens.put(torch.ones_like(made.queries.y), torch.zeros_like(batch.risk)) > 0
    other = example(Batch(torch.where(hidden, batch.value + 5, batch.value), *list(fields(batch))[1:]), isolated=1.0)
    assert other.queries is not None
    assert torch.equal(made.context.m, other.context.m)
    for one, two in ((made.context, other.context), (made.queries, other.queries)):
        assert torch.equal(one.belief.mean, two.belief.mean)
        assert torch.equal(one.belief.variance, two.belief.variance)
    assert not torch.equal(made.queries.m, other.queries.m)


def fields(batch: Batch) -> list[Tensor]:
    return [getattr(batch, name) for name in batch.__dataclass_fields__]


@pytest.mark.parametrize("isolated", [0.0, 1.0])
def test_loss_is_the_weighted_error_of_the_denoiser(isolated: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against target and weight written out entry by entry, with a network that has something to say."""
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser, batch = make_denoiser(0.3), make_batch()
    made = make_example(denoiser, batch, torch.Generator().manual_seed(3), isolated, PATTERNS)
    with torch.no_grad():
        found = float(example_loss(denoiser, made))
        context = made.context
        if made.queries is None:
            outputs = [denoiser(context.tokens, context.m[None], context.tau)]
        else:
            q = made.queries
            out, memory = denoiser.remember(context.tokens, context.belief, context.m[None], context.tau)
            outputs = [(out, context.belief), denoiser.answer(q.tokens, q.belief, q.m[None], q.tau, memory)]
        total, count = 0.0, 0
        for part, (out, belief) in zip(parts(made), outputs, strict=True):
            value, _ = target(part.y, part.risk, part.tau, part.noise)
            w = weight(part.risk, part.tau, belief.variance)
            total += float((w * (out[0] - value).square())[teaches(part.risk, part.tau)].sum())
            count += int((teaches(part.risk, part.tau) & part.tokens.exists).sum())
    assert found == pytest.approx(total / count, rel=1e-5)


@pytest.mark.parametrize("isolated", [0.0, 1.0])
def test_the_exact_prior_expects_a_loss_of_one(isolated: float) -> None:
    """E[weight (D - target)^2] = weight (V + r^2 / q) = 1 where D and V are exact; noisy targets included."""
    with torch.no_grad():
        losses = [example_loss(make_denoiser(), example(make_batch(200, seed), seed, isolated)) for seed in range(12)]
    assert float(sum(losses)) / 12 == pytest.approx(1.0, abs=0.02)


def test_ignoring_the_risk_is_seen_by_the_loss() -> None:
    """The same data with risks called 0: the prior's errors are larger than it expects."""
    total = 0.0
    for seed in range(4):
        batch = make_batch(200, seed)
        blind = Batch(batch.value, torch.where(torch.isfinite(batch.risk), 1e-3, math.inf), *fields(batch)[2:])
        total += float(example_loss(make_denoiser(), example(blind, seed)).detach()) / 4
    assert total > 1.3


@pytest.mark.parametrize("isolated", [0.0, 1.0])
def test_error_of_the_exact_denoiser_has_nothing_left_to_learn(isolated: float) -> None:
    """target - D is uncorrelated with D, the own input, the own risk, and a neighbour's input where that is seen."""
    errors, features = [], []
    for seed in range(8):
        denoiser = make_denoiser()
        made = make_example(denoiser, make_batch(200, seed), torch.Generator().manual_seed(seed), isolated, PATTERNS)
        part = made.context if made.queries is None else made.queries
        with torch.no_grad():
            if made.queries is None:
                out, belief = denoiser(part.tokens, part.m[None], part.tau)
            else:
                c = made.context
                _, memory = denoiser.remember(c.tokens, c.belief, c.m[None], c.tau)
                out, belief = denoiser.answer(part.tokens, part.belief, part.m[None], part.tau, memory)
        use = teaches(part.risk, part.tau) & part.tokens.exists
        value, _ = target(part.y, part.risk, part.tau, part.noise)
        error = (weight(part.risk, part.tau, belief.variance).sqrt() * (value - out[0]))[use]
        shift = torch.where(torch.isfinite(part.tau), part.m - belief.mean[0], 0.0) / (
            1 + part.tau.nan_to_num(posinf=9)
        )
        seen = part.m / (1 + part.tau.square()) if made.queries is None else torch.zeros_like(part.m)
        errors.append(error)
        features.append(torch.stack([out[0][use], shift[use], seen.roll(1, 1)[use], part.risk[use] - 0.5], 1))
    error, feature = torch.cat(errors), torch.cat(features)
    product = error[:, None] * feature
    z = product.mean(0) / product.std(0).clamp_min(1e-9) * len(error) ** 0.5
    assert float(z.abs().max()) < 4.5, z


def test_gradients_are_finite_and_reach_every_weight() -> None:
    denoiser = make_denoiser(0.1)
    assert denoiser.network is not None
    for seed, isolated in ((0, 0.0), (1, 1.0)):
        batch = make_batch(seed=seed)
        batch.risk[0, :3] = 0.0  # exact entries
        batch.risk[1] = math.inf  # a window without any
        made = make_example(denoiser, batch, torch.Generator().manual_seed(seed), isolated, PATTERNS)
        denoiser.zero_grad()
        loss = example_loss(denoiser, made)
        loss.backward()
        gradients = [p.grad for p in denoiser.network.parameters()]
        assert math.isfinite(float(loss.detach()))
        assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)
        assert sum(float(g.abs().sum()) > 0 for g in gradients if g is not None) > 0.9 * len(gradients)


def test_examples_depend_on_the_generator_alone() -> None:
    batch = make_batch()
    one, again, other = (example(batch, seed) for seed in (1, 1, 2))
    assert torch.equal(one.context.m, again.context.m)
    assert one.context.m.shape != other.context.m.shape or not torch.equal(one.context.m, other.context.m)


def test_share_of_isolated_steps() -> None:
    batch = make_batch(1)
    kinds = [example(batch, seed, isolated=0.3).queries is not None for seed in range(200)]
    assert sum(kinds) / 200 == pytest.approx(0.3, abs=0.1)
