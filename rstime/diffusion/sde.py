"""Risk-sensitive SDEs: how a noisy measurement joins the diffusion of clean data (Li et al. 2024, Sec. 3 and App. E).

Clean data under dx = f(t) x dt + g(t) dw are at time t distributed as u(t) x + v(t) e, where

    f = d ln u / dt          g^2 = u^2 d(v^2 / u^2) / dt

A measurement y = x + r e of risk r follows the same f, but is diffused only after its start time t*(r):

    v(r, t)^2 = max(v^2 - r^2 u^2, 0)          g(r, t) = g(t) 1[t > t*(r)]          t*(r): v(t*) / u(t*) = r

From t*(r) on, u y + v(r, t) e has exactly the marginal of u x + v e: the measurement is a clean value that has already
diffused up to the noise-to-signal ratio r.  That ratio, the level tau = v / u, is the one coordinate that the denoiser
and the samplers know; an SDE is a schedule tau(t), so `sde.level(times)` gives levels to sample on.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from rstime.errors import ConfigError


class SDE(ABC):
    """A linear SDE by its kernel (u, v), its drift and diffusion (f, g), and the inverse of its level.

    t is a tensor of diffusion times in [0, 1], r one of risks in units of the data; they broadcast.
    """

    @abstractmethod
    def u(self, t: Tensor) -> Tensor:
        """Return the scale of the signal at time t."""

    @abstractmethod
    def v(self, t: Tensor) -> Tensor:
        """Return the standard deviation of the noise that clean data carry at time t."""

    @abstractmethod
    def f(self, t: Tensor) -> Tensor:
        """Return the drift coefficient d ln u / dt."""

    @abstractmethod
    def g(self, t: Tensor) -> Tensor:
        """Return the diffusion coefficient, g^2 = u^2 d(v^2 / u^2) / dt."""

    @abstractmethod
    def time(self, level: Tensor) -> Tensor:
        """Return the time at which v / u is `level`; past 1 where the SDE never gets there."""

    def level(self, t: Tensor) -> Tensor:
        """Return tau = v / u, the noise relative to the signal."""
        return self.v(t) / self.u(t)

    def start(self, r: Tensor) -> Tensor:
        """Return t*(r), from when on a measurement of risk r is distributed as clean data (Li et al., Sec. 3)."""
        return self.time(r)

    def v_risk(self, r: Tensor, t: Tensor) -> Tensor:
        """Return v(r, t) = sqrt(max(v^2 - r^2 u^2, 0)), the noise to add to a measurement of risk r."""
        u, v = self.u(t), self.v(t)
        return ((v - r * u) * (v + r * u)).clamp_min(0).sqrt()

    def g_risk(self, r: Tensor, t: Tensor) -> Tensor:
        """Return g(r, t) = g(t) 1[t > t*(r)], the diffusion coefficient of a measurement of risk r."""
        return torch.where(t > self.start(r), self.g(t), 0.0)

    def perturb(self, y: Tensor, r: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """Return x(t) = u y + v(r, t) e, the state at time t of a measurement y of risk r."""
        return self.u(t) * y + self.v_risk(r, t) * noise

    def score_from_denoised(self, denoised: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Return the score (u D - x) / v^2 of the state x = x(t), t > 0, from D = E[x | x(t)] (Tweedie)."""
        return (self.u(t) * denoised - x) / self.v(t) ** 2

    def noise_from_denoised(self, denoised: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Return the expected noise (x - u D) / v in the state x = x(t), t > 0."""
        return (x - self.u(t) * denoised) / self.v(t)

    def denoised_from_score(self, score: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Return D = (x + v^2 score) / u, where u > 0."""
        return (x + self.v(t) ** 2 * score) / self.u(t)


@dataclass(frozen=True)
class _LinearBeta(SDE):
    """u = exp(-B / 2), B the integral of beta = beta_min + t (beta_max - beta_min) (Song et al. 2021, App. C)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise ConfigError("beta", f"{self.beta_min}, {self.beta_max}", "It takes 0 < beta_min <= beta_max.")

    def beta(self, t: Tensor) -> Tensor:
        """Return the rate beta(t)."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def integral(self, t: Tensor) -> Tensor:
        """Return B(t)."""
        return t * (self.beta_min + 0.5 * t * (self.beta_max - self.beta_min))

    def _time_of_integral(self, integral: Tensor) -> Tensor:
        """Solve B(t) = integral: the quadratic formula in its stable form, right at 0 and inf too."""
        inverse = 1 / integral
        linear = self.beta_min * inverse
        return 2 / (linear + torch.sqrt(linear**2 + 2 * (self.beta_max - self.beta_min) * inverse))

    def u(self, t: Tensor) -> Tensor:
        """Return u = exp(-B / 2)."""
        return torch.exp(-0.5 * self.integral(t))

    def f(self, t: Tensor) -> Tensor:
        """Return f = -beta / 2."""
        return -0.5 * self.beta(t)


@dataclass(frozen=True)
class VP(_LinearBeta):
    """Variance-preserving SDE: v^2 = 1 - a, a = u^2; t* solves a = 1 / (1 + r^2), that is B = ln(1 + r^2)."""

    def v(self, t: Tensor) -> Tensor:
        """Return v = sqrt(1 - a)."""
        return torch.sqrt(-torch.expm1(-self.integral(t)))

    def g(self, t: Tensor) -> Tensor:
        """Return g = sqrt(beta)."""
        return torch.sqrt(self.beta(t))

    def time(self, level: Tensor) -> Tensor:
        """Return the time at which B = ln(1 + level^2)."""
        return self._time_of_integral(torch.log1p(level**2))


@dataclass(frozen=True)
class SubVP(_LinearBeta):
    """Sub-variance-preserving SDE: v = 1 - a; t* solves u = (sqrt(r^2 + 4) - r) / 2, that is B = 2 asinh(r / 2)."""

    def v(self, t: Tensor) -> Tensor:
        """Return v = 1 - a."""
        return -torch.expm1(-self.integral(t))

    def g(self, t: Tensor) -> Tensor:
        """Return g = sqrt(beta (1 - a^2))."""
        return torch.sqrt(-self.beta(t) * torch.expm1(-2 * self.integral(t)))

    def time(self, level: Tensor) -> Tensor:
        """Return the time at which B = 2 asinh(level / 2)."""
        return self._time_of_integral(2 * torch.asinh(level / 2))


@dataclass(frozen=True)
class VE(SDE):
    """Variance-exploding SDE: u = 1, v^2 = s(t)^2 - s(0)^2, s geometric; t* solves s^2 = s(0)^2 + r^2."""

    s_min: float = 0.01
    s_max: float = 50.0

    def __post_init__(self) -> None:
        if not 0 < self.s_min < self.s_max < math.inf:
            raise ConfigError("s", f"{self.s_min}, {self.s_max}", "It takes 0 < s_min < s_max.")

    @property
    def _rate(self) -> float:
        return math.log(self.s_max / self.s_min)

    def u(self, t: Tensor) -> Tensor:
        """Return u = 1."""
        return torch.ones_like(t)

    def v(self, t: Tensor) -> Tensor:
        """Return v = sqrt(s(t)^2 - s(0)^2)."""
        return self.s_min * torch.sqrt(torch.expm1(2 * self._rate * t))

    def f(self, t: Tensor) -> Tensor:
        """Return f = 0."""
        return torch.zeros_like(t)

    def g(self, t: Tensor) -> Tensor:
        """Return g = s(t) sqrt(2 ln(s_max / s_min))."""
        return self.s_min * torch.exp(self._rate * t) * math.sqrt(2 * self._rate)

    def time(self, level: Tensor) -> Tensor:
        """Return the time at which s^2 = s(0)^2 + level^2."""
        return torch.log1p((level / self.s_min) ** 2) / (2 * self._rate)


@dataclass(frozen=True)
class LinearPath(SDE):
    """The path of flow matching: u = 1 - t, v = t; t* = r / (1 + r). Its level is infinite at t = 1."""

    def u(self, t: Tensor) -> Tensor:
        """Return u = 1 - t."""
        return 1 - t

    def v(self, t: Tensor) -> Tensor:
        """Return v = t."""
        return t

    def f(self, t: Tensor) -> Tensor:
        """Return f = -1 / (1 - t)."""
        return -1 / (1 - t)

    def g(self, t: Tensor) -> Tensor:
        """Return g = sqrt(2 t / (1 - t))."""
        return torch.sqrt(2 * t / (1 - t))

    def time(self, level: Tensor) -> Tensor:
        """Return the time level / (1 + level)."""
        return 1 / (1 + 1 / level)

    def velocity_from_denoised(self, denoised: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """Return the velocity of flow matching, expected noise - D (Lipman et al. 2023)."""
        return self.noise_from_denoised(denoised, x, t) - denoised


SDES: tuple[type[SDE], ...] = (VP, SubVP, VE, LinearPath)
