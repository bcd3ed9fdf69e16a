"""Samples of windows against the closed Gaussian posterior: moments propagated exactly, no Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from oracles.gaussian import GaussianOracle
from rstime import posterior
from rstime.denoiser import Denoiser
from rstime.diffusion.samplers import SMALLEST_LEVEL
from rstime.gaussian import GaussianModel
from rstime.network.transformer import SIZES, Transformer
from rstime.posterior import EXIT, PATH, SETTLE, SamplerConfig, Settled, draw_isolated, draw_joint, exit_level
from rstime.tokens import Tokens
from rstime.types import Batch

T, C = 20, 2
N = T * C
CLASSES = ("noisy", "missing", "future")


def make_prior() -> GaussianModel:
    generator = torch.Generator().manual_seed(3)
    model = GaussianModel(C, 0, float(T))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model.requires_grad_(False)


def make_denoiser(network: bool = True, trained: float = 0.0) -> Denoiser:
    """The Gaussian model alone, with a network that says nothing, or with one of random weights."""
    if not network:
        return Denoiser(make_prior(), None).eval()
    torch.manual_seed(0)
    transformer = Transformer(SIZES["tiny"], C, 0, float(T)).requires_grad_(False)
    torch.nn.init.normal_(transformer.head.weight, std=trained)
    return Denoiser(make_prior(), transformer).eval()


def make_batch(windows: int = 1, seed: int = 1) -> Batch:
    """Risks 0, .3, .7, 1.5 and inf mixed, the last quarter of the window future."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.tensor([0.0, 0.3, 0.7, 1.5, math.inf])
    risk = kinds[torch.randint(5, (windows, T, C), generator=generator)]
    risk[:, 3 * T // 4 :] = math.inf
    value = torch.randn(windows, T, C, generator=generator).masked_fill(torch.isinf(risk), 0.0)
    key = torch.randint(2**60, (windows, T), generator=generator)
    time = torch.arange(T).float().expand(windows, -1)
    return Batch(value, risk, time, torch.zeros(windows, T, 0), torch.ones(windows, T, C, dtype=torch.bool), key)


def oracle(batch: Batch) -> tuple[Tensor, Tensor]:
    """Mean (N,) and covariance (N, N) of the clean signal of the first window."""
    cell = torch.arange(N)[None]
    tokens = Tokens((cell // C).double(), cell % C, torch.zeros(1, N, 0), cell >= 0, cell)
    law = GaussianOracle(make_prior().mean(tokens)[0].double(), make_prior().covariance(tokens)[0])
    return law.posterior(batch.value[0].flatten().double(), batch.risk[0].flatten().double())


def members(batch: Batch) -> dict[str, Tensor]:
    risk = batch.risk[0].flatten()
    future = torch.arange(N) >= 3 * N // 4
    return {
        "clean": risk == 0,
        "noisy": (risk > 0) & torch.isfinite(risk),
        "missing": torch.isinf(risk) & ~future,
        "future": future,
    }


def basis(steps: tuple[int, ...]) -> Callable[[Tokens, Batch, SamplerConfig], Callable[[int], Tensor]]:
    """Stand in for keyed noise: nothing in the first sample, then one use of one entry's noise in each."""

    def keyed(tokens: Tokens, batch: Batch, config: SamplerConfig) -> Callable[[int], Tensor]:
        def normal(step: int) -> Tensor:
            if step not in steps:
                return torch.zeros(1 + len(steps) * N, *tokens.cell.shape)
            sample = torch.arange(1 + len(steps) * N)[:, None, None]
            return (sample == 1 + steps.index(step) * N + tokens.cell).float()

        return normal

    return keyed


@dataclass(frozen=True)
class Law:
    """Mean (N,) and covariance (N, N) of what a sampler gives: affine in the noise where the denoiser is."""

    mean: Tensor
    covariance: Tensor


Draw = Callable[[Denoiser, Batch, Tensor, SamplerConfig], Tensor]


def propagate(
    monkeypatch: pytest.MonkeyPatch,
    batch: Batch,
    support: tuple[float, ...] = (0.0,) * C,
    draw: Draw = draw_joint,
    steps: tuple[int, ...] = (PATH, EXIT),
    denoiser: Denoiser | None = None,
    **config: object,
) -> Law:
    monkeypatch.setattr(posterior, "keyed", basis(steps))
    settings = SamplerConfig(samples=1 + len(steps) * N, **config)  # type: ignore[arg-type]
    drawn = draw(denoiser or make_denoiser(), batch, torch.tensor(support), settings)[:, 0].flatten(1).double()
    linear = drawn[1:] - drawn[0]
    return Law(drawn[0], linear.T @ linear)


def error(got: Tensor, want: Tensor) -> float:
    return float(torch.linalg.norm(got - want) / torch.linalg.norm(want))


def assert_posterior(found: Law, batch: Batch, tolerance: float, mean: float = 0.01) -> None:
    """Mean within .01 posterior sd; covariance of each kind of entry, and of all, within the tolerance."""
    expected, covariance = oracle(batch)
    sd = covariance.diagonal().clamp_min(1e-12).sqrt()
    kinds = members(batch)
    uncertain = ~kinds["clean"]
    assert float(((found.mean - expected).abs() / sd)[uncertain].max()) < mean
    assert float((found.mean - expected).abs()[kinds["clean"]].max()) < 1e-6
    assert float(found.covariance[kinds["clean"]].abs().max()) < 1e-10
    assert error(found.covariance, covariance) < tolerance
    for name in CLASSES:
        here = kinds[name]
        assert error(found.covariance[here][:, here], covariance[here][:, here]) < tolerance, name


def test_gaussian_model_alone_draws_the_posterior_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch()
    found = propagate(monkeypatch, batch, steps=(EXIT,), denoiser=make_denoiser(network=False))
    assert_posterior(found, batch, 1e-3, mean=1e-3)


@pytest.mark.parametrize(("evaluations", "tolerance"), [(13, 0.04), (32, 0.01)])
def test_path_of_the_exact_denoiser_ends_in_the_posterior(
    monkeypatch: pytest.MonkeyPatch, evaluations: int, tolerance: float
) -> None:
    """A network that says nothing leaves the exact denoiser of the prior: every kind of entry, at the default."""
    batch = make_batch()
    assert_posterior(propagate(monkeypatch, batch, evaluations=evaluations), batch, tolerance)


@pytest.mark.parametrize(("sampler", "tolerance"), [("heun", 0.04), ("multistep_sde", 0.08), ("ancestral", 0.4)])
def test_other_samplers_end_there_too(monkeypatch: pytest.MonkeyPatch, sampler: str, tolerance: float) -> None:
    """Each step of an SDE has noise of its own."""
    batch = make_batch()
    steps = (PATH, EXIT, *range(PATH + 1, PATH + 16))
    found = propagate(monkeypatch, batch, steps=steps, sampler=sampler, evaluations=16)
    assert_posterior(found, batch, tolerance)


SUPPORTS = [(0.3, 0.3), (0.5, 0.05), (0.02, 0.9), (0.9, 0.9)]


@pytest.mark.parametrize("support", SUPPORTS)
def test_early_exit_keeps_the_posterior(monkeypatch: pytest.MonkeyPatch, support: tuple[float, ...]) -> None:
    """Held entries, channels that stay out of the state, and the draw at the exit lose nothing in the Gaussian case."""
    batch = make_batch()
    assert_posterior(propagate(monkeypatch, batch, support), batch, 0.04)


def test_without_the_draw_at_the_exit_the_posterior_is_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch()
    found = propagate(monkeypatch, batch, (0.5, 0.5), steps=(PATH,))
    missing = members(batch)["missing"]
    share = found.covariance.diagonal()[missing] / oracle(batch)[1].diagonal()[missing]
    assert float(share.max()) < 0.9


class Witness(Denoiser):
    """A denoiser that notes at which levels the network is asked."""

    def __init__(self, denoiser: Denoiser):
        super().__init__(denoiser.prior, denoiser.network)
        self.seen: list[Tensor] = []

    def features(self, belief: object, m: Tensor, tau: Tensor) -> Tensor:
        self.seen.append(tau)
        return super().features(belief, m, tau)  # type: ignore[arg-type]


@pytest.mark.parametrize("support", SUPPORTS)
def test_network_is_never_asked_below_what_training_taught(support: tuple[float, ...]) -> None:
    """Levels stay at or above the support of their channel, or at the entry's own risk where that is lower."""
    witness, batch = Witness(make_denoiser()), make_batch(3)
    draw_joint(witness, batch, torch.tensor(support), SamplerConfig(samples=2))
    floor = torch.minimum(torch.tensor(support).expand(T, C), batch.risk).flatten(1)
    assert len(witness.seen) == 13
    for tau in witness.seen:
        assert bool((tau >= floor * (1 - 1e-5)).all())
    assert math.isinf(float(witness.seen[0][torch.isinf(batch.risk).flatten(1)].min()))
    moving = [c for c in range(C) if support[c] <= posterior.STILL] or [*range(C)]
    stop = max(SMALLEST_LEVEL, math.sqrt(2) * max(support[c] for c in moving))
    assert exit_level(torch.tensor(support)) == pytest.approx(stop)
    last = witness.seen[-1].reshape(3, T, C)[..., moving][torch.isinf(batch.risk)[..., moving]]
    torch.testing.assert_close(last, torch.full_like(last, stop))


def test_measurements_that_are_not_asked_inform_at_their_risk(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch()
    asked = torch.isinf(batch.risk)
    held = replace(batch, asked=asked)
    found, (mean, covariance) = propagate(monkeypatch, held), oracle(batch)
    here = asked[0].flatten()
    assert float(((found.mean - mean) / covariance.diagonal().clamp_min(1e-12).sqrt())[here].abs().max()) < 0.01
    assert error(found.covariance[here][:, here], covariance[here][:, here]) < 0.04
    witness = Witness(make_denoiser())
    draw_joint(witness, held, torch.zeros(C), SamplerConfig(samples=2))
    for tau in witness.seen:
        torch.testing.assert_close(tau[0][~here], batch.risk[0].flatten()[~here], rtol=1e-6, atol=0)


# ---- marginals in parallel -----------------------------------------------------------------------------------------


def test_marginals_are_those_of_the_joint_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch()
    mean, covariance = oracle(batch)
    for support, denoiser in (((0.0, 0.0), None), ((0.5, 0.1), None), ((0.0, 0.0), make_denoiser(network=False))):
        found = propagate(monkeypatch, batch, support, draw_isolated, denoiser=denoiser, evaluations=32)
        uncertain = ~members(batch)["clean"]
        sd = covariance.diagonal()[uncertain].sqrt()
        assert float(((found.mean - mean)[uncertain] / sd).abs().max()) < 0.01
        torch.testing.assert_close(found.covariance.diagonal()[uncertain].sqrt(), sd, rtol=0.01, atol=0)
        assert float(found.covariance[~uncertain].abs().max()) < 1e-10


def test_marginals_do_not_depend_on_what_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing leaks from where the other hidden measurements are, however much the network makes of its inputs."""
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser, batch = make_denoiser(trained=0.3), make_batch(2)
    config, support = SamplerConfig(samples=3, joint=False), torch.zeros(C)
    whole = draw_isolated(denoiser, batch, support, config)
    generator = torch.Generator().manual_seed(0)
    missing = torch.isinf(batch.risk)
    for _ in range(3):
        asked = missing & (torch.rand(missing.shape, generator=generator) < 0.3)
        found = draw_isolated(denoiser, replace(batch, asked=asked), support, config)
        torch.testing.assert_close(found[:, asked], whole[:, asked], rtol=0, atol=2e-5)
    joint = draw_joint(denoiser, replace(batch, asked=asked), support, config)
    changed = draw_joint(denoiser, batch, support, config)
    assert float((joint - changed)[:, asked].abs().max()) > 0.01  # joint paths do depend on it


# ---- batching ------------------------------------------------------------------------------------------------------


def rows(batch: Batch, index: list[int]) -> Batch:
    return Batch(*(getattr(batch, name)[index] for name in batch.__dataclass_fields__))


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("sampler", ["multistep", "ancestral"])
def test_batching_changes_nothing(monkeypatch: pytest.MonkeyPatch, joint: bool, sampler: str) -> None:
    """Windows alone, in another order, beside longer ones, with fewer samples: the same numbers in float32."""
    monkeypatch.setenv("RSTIME_FLOAT32", "1")
    denoiser, batch = make_denoiser(trained=0.1), make_batch(5)
    batch.risk[1, 4:], batch.asked[1, 9:] = math.inf, False  # a short window, padded to the others
    draw, support = draw_joint if joint else draw_isolated, torch.full((C,), 0.1)
    config = SamplerConfig(samples=6, seed=4, sampler=sampler)
    whole = draw(denoiser, batch, support, config)
    order = [3, 1, 0]
    found = draw(denoiser, rows(batch, order), support, config)
    torch.testing.assert_close(found, whole[:, order], rtol=0, atol=1e-5)
    for b in range(5):
        alone = draw(denoiser, rows(batch, [b]), support, replace(config, samples=2))
        torch.testing.assert_close(alone[:, 0], whole[:2, b], rtol=0, atol=1e-5)


def test_samples_differ_by_seed_sample_and_entry() -> None:
    denoiser, batch = make_denoiser(), make_batch(2)
    one, other = (draw_joint(denoiser, batch, torch.zeros(C), SamplerConfig(samples=3, seed=s)) for s in (0, 1))
    uncertain = batch.risk > 0
    assert not torch.isclose(one, other, atol=1e-4)[:, uncertain].all(1).any()
    assert float((one[0] - one[1])[uncertain].abs().min()) > 1e-6
    again = draw_joint(denoiser, batch, torch.zeros(C), SamplerConfig(samples=3, seed=0))
    assert torch.equal(one, again)


# ---- entries drawn before ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "support", "tolerance"), [(True, 0.0, 0.01), (True, 0.3, 0.02), (True, 0.9, 0.1), (False, 0.9, 0.001)]
)
def test_drawing_a_window_in_two_parts_gives_its_joint_law(
    monkeypatch: pytest.MonkeyPatch, network: bool, support: float, tolerance: float
) -> None:
    """The first half is drawn from the whole window, then the second half given that.

    Where training supports no small levels, the tie between the halves is looser; each half keeps its exact law.
    """
    batch = make_batch()
    done = torch.zeros(1, T, C, dtype=torch.bool)
    done[:, : T // 2] = True
    denoiser = make_denoiser(network)
    first, second = (PATH, EXIT), (PATH, EXIT, SETTLE)
    count = 1 + (len(first) + len(second)) * N
    both = tuple(range(100, 100 + len(first))) + tuple(range(200, 200 + len(second)))

    def keyed(names: dict[int, int]) -> object:
        whole = basis(both)
        return lambda *arguments: lambda step: whole(*arguments)(names.get(step, -1))

    config = SamplerConfig(samples=count, evaluations=32)
    monkeypatch.setattr(posterior, "keyed", keyed({step: 100 + i for i, step in enumerate(first)}))
    past = draw_joint(denoiser, batch, torch.full((C,), support), config)
    monkeypatch.setattr(posterior, "keyed", keyed({step: 200 + i for i, step in enumerate(second)}))
    fresh = draw_joint(denoiser, batch, torch.full((C,), support), config, Settled(past, done))
    drawn = torch.where(done, past, fresh)[:, 0].flatten(1).double()
    linear = drawn[1:] - drawn[0]
    mean, covariance = oracle(batch)
    found = linear.T @ linear
    assert error(found, covariance) < tolerance
    uncertain = ~members(batch)["clean"]
    sd = covariance.diagonal()[uncertain].sqrt()
    assert float(((drawn[0] - mean)[uncertain] / sd).abs().max()) < 0.01
    torch.testing.assert_close(found.diagonal()[uncertain].sqrt(), sd, rtol=0.01, atol=0)
