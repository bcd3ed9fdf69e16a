"""Sampling the posterior of windows: which entries move, which are held, where to stop, and the draw at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from rstime.belief import Belief
from rstime.correlation import remove_errors
from rstime.denoiser import Denoiser, combine
from rstime.diffusion.levels import fuse
from rstime.diffusion.noise import keyed_normal
from rstime.diffusion.samplers import SAMPLERS, SMALLEST_LEVEL, default_levels
from rstime.last_draw import PROBES, leave
from rstime.tokens import Tokens, pack
from rstime.types import Batch

STILL = 0.5  # sd: a channel whose smallest training risk is larger does not move
HELD = math.sqrt(2)  # a measurement of risk below HELD x support is held at its risk, not fused
HOLD = 4  # levels for which the gates of the network are held
# Uses of noise: probes, errors that last, the last draw, settled entries, and the steps of the path from here on.
PROBE, ERRORS, EXIT, SETTLE, PATH = -2, -1, 0, 1, 2


@dataclass(frozen=True)
class SamplerConfig:
    """How to sample.

    Attributes
    ----------
    samples, seed
        Number of samples, and what their noise is drawn from.
    sampler
        A name of SAMPLERS.
    evaluations
        Levels of the path, the first (s = inf) and the last (the exit) counted, at least 2. The denoiser is asked once
        at each (Heun's rule and the corrector ask twice a step, restarts repeat some, "adaptive" has a number of its
        own); on a joint path the network computes its gates at every fourth of these calls ("adaptive": at each) and at
        the exit. A model without a network needs no path.
    joint
        Sample all entries together; False gives each missing entry its own marginal, in parallel.
    covariance
        Of the draw at the exit: "gaussian", the Gaussian model's, or "tweedie", the same with the variances of the
        denoiser itself, at PROBES + 1 evaluations there in place of one. Without a network both are the first.
    """

    samples: int = 100
    seed: int = 0
    sampler: str = "multistep"
    evaluations: int = 13
    joint: bool = True
    covariance: str = "gaussian"


@dataclass(frozen=True, eq=False)
class Settled:
    """Entries of a window that were drawn before.

    Attributes
    ----------
    value
        (S, B, T, C) their samples.
    where
        (B, T, C).
    """

    value: Tensor
    where: Tensor


def movable(support: Tensor) -> Tensor:
    """Return which channels take part in the path, (C,): those that training supports well enough, or all if none.

    One channel of noisy measurements must not end the path of the others early. Its entries stay out of the state
    (missing ones absent, measured ones held) and are drawn at the exit, given all the others.
    """
    moves = support <= STILL
    return moves if moves.any() else torch.ones_like(moves)


def exit_level(support: Tensor) -> float:
    """Return the state level, in sd, at which sampling stops: sqrt(2) times the largest support of a moving channel.

    A missing entry is supported down to its channel's smallest training risk f, a measurement of risk r down to
    f / sqrt(1 - f^2 / r^2), which is at most sqrt(2) f for r >= sqrt(2) f; closer ones are held at (y, r).

    Parameters
    ----------
    support
        (C,) smallest training risks in sd.
    """
    return max(SMALLEST_LEVEL, HELD * float(support[movable(support)].max()))


def draw_joint(
    denoiser: Denoiser, batch: Batch, support: Tensor, config: SamplerConfig, settled: Settled | None = None
) -> Tensor:
    """Draw joint samples of the clean signal at the asked and the measured entries of each window.

    Missing entries move with the state x(s); measurements are fused with it, or held at (y, r) where they are not
    asked for or not supported below their risk; channels that are hardly supported at all stay out of the state. At
    the exit level all are drawn from N(D(m, tau), Cov[x | m]), see `leave`. The Gaussian model alone exits at
    s = inf, exactly.

    Parameters
    ----------
    denoiser
        On the device of the batch.
    batch
        B windows; values may be (S, B, T, C), other ones for each sample.
    support
        (C,) smallest level that training data can teach, in sd, by channel.
    config
        Samples, seed, sampler.
    settled
        Entries drawn before; each sample takes its own as measurements at the level that is supported (exact ones for
        the Gaussian model alone), fused with those that were made: the sum lies below that level.

    Returns
    -------
    Tensor
        (S, B, T, C) scaled samples; 0 where nothing was asked or measured, the measurement itself where it is exact.

    Raises
    ------
    ConfigError
        If there are fewer than two evaluations, with a network.
    """
    tokens = pack(batch, torch.isfinite(batch.risk) | batch.asked)
    y, risk = tokens.take(batch.value), tokens.take(batch.risk, math.inf)
    floor = support[tokens.channel] if denoiser.network is not None else torch.zeros_like(risk)
    moving = tokens.take(batch.asked, False)
    normal = keyed(tokens, batch, config)
    if settled is not None:
        done = tokens.take(settled.where, False)
        drawn, tau = fuse(tokens.take(settled.value) + floor * normal(SETTLE), floor, y, risk)
        y, risk, moving = torch.where(done, drawn, y), torch.where(done, tau, risk), moving & ~done
    still = ~movable(support)[tokens.channel] | (torch.isfinite(risk) & (~moving | (risk <= HELD * floor)))

    def inputs(state: Tensor, s: float) -> tuple[Tensor, Tensor]:
        return fuse(state, torch.full_like(risk, s).masked_fill(still, math.inf), y, risk)

    stop = exit_level(support) if denoiser.network is not None else math.inf
    x = normal(PATH)
    if stop < math.inf:
        smooth = config.sampler == "adaptive"  # its steps are chosen as if D were
        source, hold = (denoiser.precise(), 1) if smooth else (denoiser, HOLD)
        step = Denoise(source, tokens, inputs, settled is None and y.ndim == risk.ndim, hold)
        levels = default_levels(config.evaluations, stop)
        x = SAMPLERS[config.sampler](step, x, levels, lambda k: normal(PATH + 1 + k))
    m, tau = inputs(x, stop)
    spread = denoiser.prior.condition(tokens.double(), tau.double()).noise(normal(EXIT).double())
    probes = PROBES if config.covariance == "tweedie" else 0
    end = leave(denoiser, lambda source, m: source(tokens, m, tau), m.expand_as(x), tau, lambda: normal(PROBE), probes)
    x = end.mean + (end.width * spread).to(x.dtype)
    return tokens.put(torch.where(risk == 0, y, x), x.new_zeros(len(x), *batch.risk.shape))


def draw_errors(denoiser: Denoiser, batch: Batch, config: SamplerConfig, settled: Settled | None = None) -> Batch:
    """Take a draw of the errors that last off the measurements, another for each sample; see `draw_joint`."""
    everything = pack(batch, torch.ones_like(batch.asked))
    normal = everything.put(
        keyed(everything, batch, config)(ERRORS), batch.value.new_zeros(config.samples, *batch.risk.shape)
    )
    known = None if settled is None else (settled.value, settled.where)
    return remove_errors(denoiser.prior, batch, normal, known)


class Denoise:
    """E[x | x(s), measurements] along a path: the prior anew at every level, the network at every fourth one.

    The prior carries what changes fast with the level; the gates of the network change slowly and are held between.

    Parameters
    ----------
    denoiser, tokens
        Prior and network; B windows of N entries.
    inputs
        (S, B, N) state and its level -> (S, B, N) m and (B, N) tau.
    alike
        Whether all samples see the same without a state.
    hold
        Calls for which the gates are held.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        tokens: Tokens,
        inputs: Callable[[Tensor, float], tuple[Tensor, Tensor]],
        alike: bool,
        hold: int = HOLD,
    ):
        self.denoiser, self.tokens, self.inputs, self.alike, self.hold = denoiser, tokens, inputs, alike, hold
        self.calls = 0
        self.gates: Tensor | None = None

    def __call__(self, state: Tensor, s: float) -> Tensor:
        """Return D for (S, B, N) states; without a state (s = inf) all samples that see the same are one."""
        m, tau = self.inputs(state, s)
        m = m[:1] if math.isinf(s) and self.alike else m
        belief = self.denoiser.prior.condition(self.tokens, tau).belief(m)
        features = self.denoiser.features(belief, m, tau)
        if self.gates is None or self.calls % self.hold == 0:
            self.gates = self.denoiser.gates(features, self.tokens)
        self.calls += 1
        return combine(belief, features, self.gates).expand_as(state)


def draw_isolated(
    denoiser: Denoiser, batch: Batch, support: Tensor, config: SamplerConfig, settled: Settled | None = None
) -> Tensor:
    """Draw each missing entry that is asked from its marginal, all in parallel, the context computed once.

    Queries see the measurements, held at (y, r), and themselves: nothing leaks from where the others are. All of them
    go down to the common exit level, and are drawn there from N(D, W V W), see `leave`. Measured entries come back as
    one draw from N(D, V) at their own risk. Arguments, result and errors as in `draw_joint`; windows that overlap do
    not depend on each other, so `settled` is not used.
    """
    observed = torch.isfinite(batch.risk)
    context, queries = pack(batch, observed), pack(batch, batch.asked & ~observed)
    y, risk = context.take(batch.value)[None], context.take(batch.risk, math.inf)
    factor = denoiser.prior.condition(context, risk)
    belief = factor.belief(y)
    mean, memory = denoiser.remember(context, belief, y, risk)
    prediction = factor.predict(queries, y)
    normal = keyed(queries, batch, config)

    def level(s: float) -> Tensor:
        return torch.full(queries.time.shape, s, dtype=risk.dtype, device=risk.device)

    def ask(source: Denoiser, state: Tensor, s: float) -> tuple[Tensor, Belief]:
        return source.answer(queries, prediction, state, level(s), memory)

    stop = exit_level(support) if denoiser.network is not None else math.inf
    x = normal(PATH)
    if stop < math.inf:
        sample = SAMPLERS[config.sampler]
        levels = default_levels(config.evaluations, stop)
        x = sample(lambda state, s: ask(denoiser, state, s)[0], x, levels, lambda k: normal(PATH + 1 + k))
    probes = 1 if config.covariance == "tweedie" else 0  # entries do not see each other
    end = leave(denoiser, lambda source, m: ask(source, m, stop), x, level(stop), lambda: normal(PROBE), probes)
    x = end.mean + end.width * end.belief.variance.sqrt() * normal(EXIT)
    own = mean + belief.variance.sqrt() * keyed(context, batch, config)(EXIT)
    grid = context.put(torch.where(risk == 0, y, own), x.new_zeros(len(x), *batch.risk.shape))
    return queries.put(x, grid)


def keyed(tokens: Tokens, batch: Batch, config: SamplerConfig) -> Callable[[int], Tensor]:
    """Return step -> (S, B, N) noise that depends on seed, entry, sample and step only."""
    stamps = batch.key[..., None] * 1000003 + torch.arange(batch.risk.shape[-1], device=batch.key.device)
    key = tokens.take(stamps, 0)
    samples = torch.arange(config.samples, device=batch.key.device)
    return lambda step: keyed_normal(config.seed, key, samples, step)
