"""Every network against attention written out with masks: what context, queries and padding see, and do not."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from rstime.lines import by_channel, by_step, regroup
from rstime.network.attention import rotate
from rstime.network.embedding import FEATURES
from rstime.network.transformer import NETWORKS, SIZES, Layer, Transformer
from rstime.tokens import Tokens

B, T, C, K = 3, 6, 4, 2
networks = pytest.mark.parametrize("attention", NETWORKS)


def make_network(attention: str) -> Transformer:
    torch.manual_seed(0)
    network = Transformer(replace(SIZES["tiny"], attention=attention), C, K, float(T)).double()
    torch.nn.init.normal_(network.head.weight)
    return network.requires_grad_(False)


def make_tokens(seed: int = 0, irregular: bool = False) -> tuple[Tokens, Tensor]:
    """Half of the cells of a grid in random order, a fifth of these padding; and random features."""
    generator = torch.Generator().manual_seed(seed)
    cell = torch.stack([torch.randperm(T * C, generator=generator)[: T * C // 2] for _ in range(B)])
    time = (cell // C).double()
    if irregular:
        time = time + 0.8 * torch.rand(time.shape, generator=generator).double() - 0.4
    covariates = torch.randn(*cell.shape, K, generator=generator).double()
    exists = torch.rand(cell.shape, generator=generator) > 0.2
    features = torch.randn(*cell.shape, FEATURES, generator=generator).double()
    return Tokens(time, cell % C, covariates, exists, cell), features


def pick(tokens: Tokens, index: Tensor | slice) -> Tokens:
    return Tokens(*(getattr(tokens, field.name)[:, index] for field in fields(tokens)))


def reference(network: Transformer, features: Tensor, tokens: Tokens, context: Tensor) -> Tensor:
    """All tokens at once: each sees those of the context, (B, N), that share its line, and itself."""
    same = {
        1: [torch.ones_like(tokens.exists)[:, :, None]],
        2: [
            tokens.channel[:, :, None] == tokens.channel[:, None],
            (tokens.time[:, :, None].round() == tokens.time[:, None].round()),
        ],
    }[len(network.arrangements)]
    x, turn = network.embedding(features, tokens), network.rotary(tokens.time)
    own = torch.eye(x.shape[1], dtype=torch.bool)
    for layer in network.layers:
        assert isinstance(layer, Layer)
        for attention, line in zip(layer.attentions, same, strict=True):
            y = attention.project(attention.norm(x)).reshape(*x.shape[:2], 3, attention.heads, -1)
            q, k, v = y.permute(2, 0, 3, 1, 4)
            scores = rotate(q, turn) @ rotate(k, turn).mT * q.shape[-1] ** -0.5
            visible = (line & context[:, None]) | own
            p = scores.masked_fill(~visible[:, None], -torch.inf).softmax(-1)
            x = x + attention.out((p @ v).permute(0, 2, 1, 3).flatten(2))
        x = x + layer.feed_forward(x)
    return network.read(x)


@networks
@pytest.mark.parametrize("irregular", [False, True])
def test_both_streams_equal_attention_with_masks(attention: str, irregular: bool) -> None:
    network = make_network(attention)
    tokens, features = make_tokens(irregular=irregular)
    half = tokens.cell.shape[1] // 2
    first, second = slice(0, half), slice(half, None)
    ahead = torch.arange(tokens.cell.shape[1]) < half
    expected = reference(network, features, tokens, tokens.exists & ahead)
    context, memory = network.context(features[:, first], pick(tokens, first))
    queries = network.query(features[:, second], pick(tokens, second), memory)
    found = torch.cat([context, queries], 1)
    torch.testing.assert_close(found[tokens.exists], expected[tokens.exists], rtol=1e-5, atol=1e-5)


@networks
def test_a_query_sees_no_other_query(attention: str) -> None:
    network = make_network(attention)
    (context, known), (queries, asked) = make_tokens(0), make_tokens(1)
    _, memory = network.context(known, context)
    together = network.query(asked, queries, memory)
    changed = asked.clone()
    changed[:, 0] += 1
    torch.testing.assert_close(network.query(changed, queries, memory)[:, 1:], together[:, 1:], rtol=0, atol=1e-6)
    assert float((network.query(changed, queries, memory)[:, 0] - together[:, 0]).abs().min()) > 1e-4
    fewer = network.query(asked[:, 1:], pick(queries, slice(1, None)), memory)
    torch.testing.assert_close(fewer, together[:, 1:], rtol=0, atol=1e-6)


@networks
def test_the_order_of_tokens_means_nothing(attention: str) -> None:
    network = make_network(attention)
    tokens, features = make_tokens()
    order = torch.randperm(tokens.cell.shape[1], generator=torch.Generator().manual_seed(2))
    straight, shuffled = (
        network.context(features, tokens)[0],
        network.context(features[:, order], pick(tokens, order))[0],
    )
    real = tokens.exists[:, order]
    torch.testing.assert_close(shuffled[real], straight[:, order][real], rtol=0, atol=1e-6)


@networks
def test_padding_is_not_seen(attention: str) -> None:
    network = make_network(attention)
    (tokens, features), (queries, asked) = make_tokens(0), make_tokens(1)
    padding = ~tokens.exists
    other = Tokens(
        tokens.time.masked_fill(padding, 3.0),
        tokens.channel.masked_fill(padding, 0),
        tokens.covariates.masked_fill(padding[..., None], 9.0),
        tokens.exists,
        tokens.cell,
    )
    straight, memory = network.context(features, tokens)
    changed, other_memory = network.context(features.masked_fill(padding[..., None], 5.0), other)
    torch.testing.assert_close(changed[tokens.exists], straight[tokens.exists], rtol=0, atol=1e-6)
    expected, found = network.query(asked, queries, memory), network.query(asked, queries, other_memory)
    torch.testing.assert_close(found[queries.exists], expected[queries.exists], rtol=0, atol=1e-6)


@networks
def test_absent_tokens_might_as_well_not_be_there(attention: str) -> None:
    network = make_network(attention)
    tokens, features = make_tokens()
    whole = network.context(features, tokens)[0]
    for b in range(B):
        here = tokens.exists[b]
        alone = pick(Tokens(*(getattr(tokens, field.name)[[b]] for field in fields(tokens))), here)
        found = network.context(features[[b]][:, here], alone)[0]
        torch.testing.assert_close(found[0], whole[b, here], rtol=0, atol=1e-6)


@networks
def test_one_remembered_context_serves_all_samples(attention: str) -> None:
    network = make_network(attention)
    (tokens, features), (queries, asked) = make_tokens(0), make_tokens(1)
    _, memory = network.context(features, tokens)
    _, own = network.context(features.repeat(2, 1, 1), tokens.repeat(2))
    asked = torch.cat([asked, 2 * asked])
    expected = network.query(asked, queries.repeat(2), own)
    torch.testing.assert_close(network.query(asked, queries.repeat(2), memory.repeat(2)), expected, rtol=0, atol=1e-6)


@networks
def test_queries_may_lie_beyond_the_context_or_have_none(attention: str) -> None:
    """A forecast: later steps than the context has, a variable it lacks; and a window without any context."""
    network = make_network(attention).requires_grad_(True)
    (tokens, features), (queries, asked) = make_tokens(0), make_tokens(1)
    exists = tokens.exists & (tokens.time < T // 2) & (tokens.channel < C - 1)
    exists[0] = False
    tokens = replace(tokens, exists=exists)
    everything = Tokens(*(torch.cat([getattr(tokens, f.name), getattr(queries, f.name)], 1) for f in fields(tokens)))
    seen = torch.cat([exists, torch.zeros_like(queries.exists)], 1)
    expected = reference(network, torch.cat([features, asked], 1), everything, seen)[:, exists.shape[1] :]
    out, memory = network.context(features, tokens)
    found = network.query(asked, queries, memory)
    torch.testing.assert_close(found[queries.exists], expected[queries.exists], rtol=1e-5, atol=1e-5)
    (out.sum() + found.sum()).backward()
    gradients = [p.grad for p in network.parameters()]
    assert all(g is not None and bool(torch.isfinite(g).all()) for g in gradients)


@networks
def test_an_untrained_network_says_nothing(attention: str) -> None:
    tokens, features = make_tokens()
    network = Transformer(replace(SIZES["tiny"], attention=attention), C, K, float(T)).double()
    assert not network.context(features, tokens)[0].any()


@pytest.mark.parametrize("arrange", [by_channel, by_step])
def test_lines_hold_their_tokens_in_order_of_time(arrange: object) -> None:
    tokens, _ = make_tokens(irregular=True)
    key = tokens.channel if arrange is by_channel else tokens.time.round().long().clamp_min(0)
    lines = regroup(tokens, key)
    time, name, mask = lines.put(tokens.time), lines.put(key), lines.mask()
    assert int(mask.sum()) == int(tokens.exists.sum())
    line = torch.arange(len(mask)).remainder(lines.exists.shape[1])[:, None].expand_as(mask)
    assert torch.equal(name[mask], line[mask])
    both = mask[:, 1:] & mask[:, :-1]
    assert bool((time.diff(dim=1)[both] >= 0).all())
    assert not (mask[:, 1:] & ~mask[:, :-1]).any()
    again = lines.take(lines.put(tokens.covariates))
    assert torch.equal(again[tokens.exists], tokens.covariates[tokens.exists])
