"""A law of windows that switch between regimes: a hidden Markov chain whose posterior is again such a law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rstime.types import Floats


@dataclass(frozen=True, eq=False)
class RegimeTruth:
    """A clean window x_t = level_t[s_t] + spread_t[s_t] e_t, e ~ N(0, 1), with a Markov chain s_t of K regimes.

    All C channels are in the same regime, and independent given it.

    Attributes
    ----------
    start
        (K,) probabilities of s_0.
    moves
        (T - 1, K, K) probabilities of s_t+1 (last axis) given s_t.
    level, spread
        (T, K, C) mean and standard deviation of x_t in each regime.
    """

    start: Floats
    moves: Floats
    level: Floats
    spread: Floats

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw (count, N) windows, flattened to N = T C entries, time first."""
        regime = self.draw_regimes(rng, count)
        time = np.arange(len(self.level))
        clean = self.level[time, regime] + self.spread[time, regime] * rng.standard_normal(
            (*regime.shape, self.level.shape[-1])
        )
        return clean.reshape(count, -1)

    def draw_regimes(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw (count, T) paths of the chain, int64."""
        uniform = rng.random((count, len(self.level), 1))
        path = np.empty((count, len(self.level)), dtype=np.int64)
        chance = np.broadcast_to(self.start, (count, len(self.start)))
        for step in range(len(self.level)):
            path[:, step] = (uniform[:, step] > np.cumsum(chance[:, :-1], axis=1)).sum(1)
            if step < len(self.moves):
                chance = self.moves[step, path[:, step]]
        return path

    def posterior(self, value: Floats, risk: Floats) -> RegimeTruth:
        """Law of x given y = x + r e: messages of the chain run backward, then p(s_t+1 | s_t, y) forward.

        With b_t(k) = p(y_t | s_t = k) and beta_t(j) = b_t(j) sum_k moves_t(j, k) beta_t+1(k), the moves become
        moves_t(j, k) beta_t+1(k) / sum_k; level and spread are those of x_t given s_t and y_t (Rabiner 1989, sec. III).

        Parameters
        ----------
        value, risk
            (N,) measurements and their standard deviations; inf where missing.
        """
        shape = (len(self.level), 1, self.level.shape[-1])
        seen = np.isfinite(risk).reshape(shape)
        read = np.where(seen, value.reshape(shape), 0.0)
        noise = np.where(seen, risk.reshape(shape), 0.0) ** 2
        total = np.maximum(self.spread**2 + noise, 1e-12)
        density = -((read - self.level) ** 2 / total + np.log(2 * np.pi * total)) / 2
        gain = np.where(seen, self.spread**2 / total, 0.0)
        ahead = np.where(seen, density, 0.0).sum(-1)  # (T, K), becomes log beta
        moves = np.empty_like(self.moves)
        for step in reversed(range(len(self.moves))):
            onward = np.where(self.moves[step] > 0, ahead[step + 1], -np.inf)
            best = onward.max(1, keepdims=True)
            joint = self.moves[step] * np.exp(onward - best)
            reach = joint.sum(1, keepdims=True)
            moves[step] = joint / reach
            ahead[step] += (np.log(reach) + best)[:, 0]
        start = self.start * np.exp(ahead[0] - ahead[0].max())
        level = self.level + gain * (read - self.level)
        return RegimeTruth(start / start.sum(), moves, level, self.spread * np.sqrt(1 - gain))
