"""Samplers: from noise at the level s = inf to the posterior, by a few calls of a denoiser (theory 4).

The state is x(s) = x + s e, and a denoiser gives D(x(s), s) = E[x | x(s), measurements].  With a = 1 / s the
probability-flow ODE and the reverse SDE (unit noise) integrate D itself, over a and over a^2:

    ODE   d(x a) = D da              SDE   d(x a^2) = D d(a^2) + d(Brownian motion in a^2)

Both start at a = 0, that is s = inf, where x a = e is pure noise and D is the posterior mean: no largest level is to
be chosen, and the one-pass mean is the first evaluation.  Between levels D is interpolated linearly in the bounded
coordinate w = a / (1 + a) = 1 / (1 + s) and integrated in closed form.  Each step is predicted from the two newest
evaluations and corrected once the next one is there, which costs no evaluation (predictor-corrector, Zhao et al.
2023, UniPC; the integrals in place of DPM-Solver++'s exponentials, Lu et al. 2022, whose ln a is infinite at s = inf).

Every SDE of sde.py is the same process in this coordinate, so its schedule enters as `levels` only: sde.level(times).

A sampler is a function (denoise, x, levels, noise) -> x at the last level:

    denoise   (state, level) -> estimate of the clean signal, same shape; it must not look at the state at s = inf
    x         state at levels[0]; standard normal noise (the limit of x / s) where levels[0] is inf
    levels    decreasing, in units of the state; one evaluation at each but the last (unless its name says otherwise),
              the caller makes the last one when it draws from N(D(x, s), Cov[x | x(s)]) at the end
    noise     use -> standard normal noise for that use (0, 1, ...); only random samplers call it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from rstime.diffusion.ode import integrate
from rstime.errors import ConfigError

Denoise = Callable[[Tensor, float], Tensor]
Noise = Callable[[int], Tensor]
Sampler = Callable[[Denoise, Tensor, Sequence[float], Noise], Tensor]

SMALLEST_LEVEL = 0.02  # standard deviations of the data
RESTART = 0.1, 1.0  # levels between which `restart` goes back, in standard deviations of the data


def default_levels(evaluations: int, smallest: float = SMALLEST_LEVEL) -> tuple[float, ...]:
    """Levels s = smallest + (1 - t)^2 / t on an even grid of t in [0, 1]: from inf down to `smallest` [ours].

    Parameters
    ----------
    evaluations
        Calls of the denoiser by `multistep`, the one at s = inf and the one at the end counted: the number of levels.
    smallest
        Last level, in standard deviations of the data; the supported level where training data teach no lower one.

    Raises
    ------
    ConfigError
        If there are fewer than two evaluations or `smallest` is not positive and finite.

    Examples
    --------
    >>> default_levels(3, smallest=0.5)
    (inf, 1.0, 0.5)
    """
    if evaluations < 2:
        raise ConfigError("evaluations", f"{evaluations}", "Sampling takes at least 2: at infinity and at the end.")
    if not 0 < smallest < math.inf:
        raise ConfigError("smallest", f"{smallest}", "The last level must be positive and finite.")
    grid = [i / (evaluations - 1) for i in range(1, evaluations)]
    return (math.inf, *(smallest + (1 - t) ** 2 / t for t in grid))


def multistep(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise | None = None) -> Tensor:
    """Solve the probability-flow ODE to second order with one evaluation a level; the default."""
    return _predict_correct(denoise, x, levels, 1, None)


def multistep_sde(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise) -> Tensor:
    """Solve the reverse SDE to second (weak) order with one evaluation a level."""
    return _predict_correct(denoise, x, levels, 2, noise)


def euler(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise | None = None) -> Tensor:
    """Solve the probability-flow ODE to first order, D held over each step (DDIM, Song, Meng, Ermon 2021)."""
    for s, s_next in pairwise(levels):
        x = _advance(x, s, s_next, [(s, denoise(x, s))], 1)
    return x


def heun(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise | None = None) -> Tensor:
    """Solve the probability-flow ODE by Heun's rule, two evaluations a level (Karras et al. 2022)."""
    for s, s_next in pairwise(levels):
        here = (s, denoise(x, s))
        predicted = _advance(x, s, s_next, [here], 1)
        x = _advance(x, s, s_next, [(s_next, denoise(predicted, s_next)), here], 1)
    return x


def ancestral(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise) -> Tensor:
    """Draw x(s') from its Gaussian given x(s) and x = D, level by level (Ho et al. 2020): the SDE to first order."""
    for step, (s, s_next) in enumerate(pairwise(levels)):
        x = _advance(x, s, s_next, [(s, denoise(x, s))], 2) + _step_noise(noise, step, s, s_next)
    return x


def euler_maruyama(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise) -> Tensor:
    """Take the reverse SDE by plain steps, x + (s^2 - s'^2) score + sqrt(s^2 - s'^2) e (Song et al. 2021).

    Only from s = inf, where no such step exists, it is `ancestral`.
    """
    for step, (s, s_next) in enumerate(pairwise(levels)):
        kept = (s_next / s) ** 2
        spread = s_next if kept == 0 else math.sqrt(s * s - s_next * s_next)
        denoised = denoise(x, s)
        x = denoised + kept * (x - denoised) + spread * noise(step)
    return x


def predictor_corrector(
    denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise, ratio: float = 0.16
) -> Tensor:
    """Follow each step of `ancestral` by one of Langevin at the new level (Song et al. 2021, Alg. 2 and 4).

        x + h score + sqrt(2 h) e,     h = 2 (ratio |e| / |score|)^2,    |score| = |e| / s

    Theirs takes |score| from the batch; it is at most |e| / s for any data, so that h, here 2 (ratio s)^2, is never
    larger and no sample depends on another. Langevin keeps p(x(s) | y) up to a variance of (ratio s)^2, which goes
    with s. Two evaluations a level.
    """
    for step, (s, s_next) in enumerate(pairwise(levels)):
        x = _advance(x, s, s_next, [(s, denoise(x, s))], 2) + _step_noise(noise, 2 * step, s, s_next)
        push = denoise(x, s_next) - x  # s^2 score
        x = x + 2 * ratio**2 * push + 2 * ratio * s_next * noise(2 * step + 1)
    return x


def restart(denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise, rounds: int = 2) -> Tensor:
    """Go back from a low level to a high one by adding noise, and down again by the ODE, twice (Xu et al. 2023).

    The noise of the state is independent of the measurements, so that adding to it keeps p(x(s) | y) exactly, fused or
    not. The levels between are taken 1 + `rounds` times, by `multistep`.
    """
    low = min(sum(s > RESTART[0] for s in levels), len(levels) - 1)
    high = min(max(sum(s > RESTART[1] for s in levels), 1), low)
    spread = math.sqrt(levels[high] ** 2 - levels[low] ** 2)
    x = multistep(denoise, x, levels[: low + 1])
    for k in range(rounds if spread else 0):
        x = multistep(denoise, x + spread * noise(k), levels[high : low + 1])
    return multistep(denoise, x, levels[low:])


def adaptive(
    denoise: Denoise, x: Tensor, levels: Sequence[float], noise: Noise | None = None, tolerance: float = 1e-3
) -> Tensor:
    """Solve the probability-flow ODE with steps chosen by their error; of `levels` the first and last count.

    It is solved along the path of flow matching, q = w x(s) with w = 1 / (1 + s), whose velocity (D - q) / (1 - w) is
    finite from w = 0 on (Lipman et al. 2023). Six evaluations a step. All states take the same steps, so that what a
    state is batched with changes its answer, within the tolerance.
    """
    start, stop = (1 / (1 + s) for s in (levels[0], levels[-1]))

    def velocity(w: float, q: Tensor) -> Tensor:
        return (denoise(q / w, 1 / w - 1) if w else denoise(q, math.inf)).sub(q) / (1 - w)

    return integrate(velocity, start * x if start else x, start, stop, tolerance) / stop


SAMPLERS: dict[str, Sampler] = {
    "multistep": multistep,
    "euler": euler,
    "heun": heun,
    "adaptive": adaptive,
    "ancestral": ancestral,
    "euler_maruyama": euler_maruyama,
    "multistep_sde": multistep_sde,
    "predictor_corrector": predictor_corrector,
    "restart": restart,
}


def _predict_correct(denoise: Denoise, x: Tensor, levels: Sequence[float], power: int, noise: Noise | None) -> Tensor:
    """Two-point multistep: extrapolate D over each step, interpolate it when its end has been evaluated."""
    history: list[tuple[float, Tensor]] = []  # (level, D), newest first
    before: Tensor = x  # state at the start of the last step
    added: Tensor | float = 0.0  # noise added in it
    for step, (s, s_next) in enumerate(pairwise(levels)):
        history = [(s, denoise(x, s)), *history[:1]]
        if step > 0:  # correct the last step, now that D is known at both of its ends
            x = _advance(before, levels[step - 1], s, history, power) + added
        before, added = x, 0.0 if noise is None else _step_noise(noise, step, s, s_next)
        x = _advance(x, s, s_next, history, power) + added
    return x


def _advance(x: Tensor, s: float, s_next: float, history: Sequence[tuple[float, Tensor]], power: int) -> Tensor:
    """Take x a^power from a = 1/s to 1/s_next, with D constant or linear in w through one or two evaluations."""
    a, a_next = 1 / s, 1 / s_next
    kept = s_next * x if a == 0 and power == 1 else (a / a_next) ** power * x  # at s = inf, x stands for x / s
    total, moment = (f(a_next, power) - f(a, power) for f in (_integral_of_one, _integral_of_w))
    total, moment = total / a_next**power, moment / a_next**power
    if len(history) == 1:
        return kept + total * history[0][1]
    (s0, newest), (s1, oldest) = history
    w0, w1 = 1 / (1 + s0), 1 / (1 + s1)
    slope = (moment - w1 * total) / (w0 - w1)  # weight of the newest evaluation
    return kept + slope * newest + (total - slope) * oldest


def _integral_of_one(a: float, power: int) -> float:
    return a**power


def _integral_of_w(a: float, power: int) -> float:
    """Integral of w = a / (1 + a) over a^power from 0: a - ln(1 + a), or a^2 - 2 a + 2 ln(1 + a)."""
    return a - math.log1p(a) if power == 1 else a * a - 2 * (a - math.log1p(a))


def _step_noise(noise: Noise, step: int, s: float, s_next: float) -> Tensor:
    """Noise that the reverse SDE adds between two levels: variance s'^2 (1 - s'^2 / s^2)."""
    return s_next * math.sqrt(1 - (s_next / s) ** 2) * noise(step)
