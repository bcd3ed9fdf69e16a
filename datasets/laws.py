"""Laws of clean windows whose posterior given noisy measurements is known exactly.

Gaussians, their mixtures, and the regimes of `rstime.datasets.regimes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from rstime.datasets.regimes import RegimeTruth
from rstime.errors import ConfigError
from rstime.types import Floats, Posterior, Series


@dataclass(frozen=True, eq=False)
class GaussianTruth:
    """A clean window x ~ N(mean, covariance), flattened to N = T C entries, time first.

    Attributes
    ----------
    mean
        (N,) mean.
    covariance
        (N, N) covariance.
    """

    mean: Floats
    covariance: Floats

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw (count, N) windows."""
        values, vectors = np.linalg.eigh(self.covariance)
        root = vectors * np.sqrt(np.maximum(values, 0))
        return np.asarray(self.mean + rng.standard_normal((count, len(self.mean))) @ root.T)

    def posterior(self, value: Floats, risk: Floats) -> GaussianTruth:
        """Law of x given y = x + r e: mean mu + K_o (K_oo + r^2)^-1 (y_o - mu_o), o the entries of finite risk.

        Parameters
        ----------
        value, risk
            (N,) measurements and their standard deviations; inf where missing.
        """
        seen = np.isfinite(risk)
        factor, error = self._condition(value, risk)
        gain = cho_solve(factor, self.covariance[seen]).T
        covariance = self.covariance - gain @ self.covariance[seen]
        return GaussianTruth(self.mean + gain @ error, (covariance + covariance.T) / 2)

    def log_density(self, value: Floats, risk: Floats) -> float:
        """Log density in nats of the measurements, log N(y_o; mu_o, K_oo + r^2)."""
        (triangle, lower), error = self._condition(value, risk)
        quadratic = error @ cho_solve((triangle, lower), error)
        return float(-quadratic / 2 - np.log(np.diag(triangle)).sum() - len(error) * np.log(2 * np.pi) / 2)

    def _condition(self, value: Floats, risk: Floats) -> tuple[tuple[Floats, bool], Floats]:
        seen = np.isfinite(risk)
        noisy = self.covariance[np.ix_(seen, seen)] + np.diag(risk[seen] ** 2 + 1e-10)
        return cho_factor(noisy, lower=True), value[seen] - self.mean[seen]


@dataclass(frozen=True, eq=False)
class MixtureTruth:
    """A clean window that follows one of several Gaussian laws.

    Attributes
    ----------
    weights
        (K,) probabilities of the laws.
    parts
        The K laws.
    """

    weights: Floats
    parts: tuple[GaussianTruth, ...]

    def draw(self, rng: np.random.Generator, count: int) -> Floats:
        """Draw (count, N) windows."""
        chosen = rng.choice(len(self.parts), count, p=self.weights)
        result = np.empty((count, len(self.parts[0].mean)))
        for index, part in enumerate(self.parts):
            rows = chosen == index
            if rows.any():
                result[rows] = part.draw(rng, int(rows.sum()))
        return result

    def posterior(self, value: Floats, risk: Floats) -> MixtureTruth:
        """Law of x given y = x + r e: the parts' posteriors, weighted by responsibilities ~ weight times p(y | part).

        Parameters
        ----------
        value, risk
            (N,) measurements and their standard deviations; inf where missing.
        """
        log = np.log(self.weights) + [part.log_density(value, risk) for part in self.parts]
        weights = np.exp(log - log.max())
        return MixtureTruth(weights / weights.sum(), tuple(part.posterior(value, risk) for part in self.parts))

    def moments(self) -> GaussianTruth:
        """Return the Gaussian of the same mean and covariance: the best that a Gaussian model can learn."""
        mean = self.weights @ np.stack([part.mean for part in self.parts])
        spread = [part.covariance + np.outer(part.mean - mean, part.mean - mean) for part in self.parts]
        return GaussianTruth(mean, np.tensordot(self.weights, np.stack(spread), axes=1))


KERNELS: Mapping[str, Callable[[Floats, float], Floats]] = {
    "ou": lambda lag, scale: np.exp(-lag / scale),
    "matern32": lambda lag, scale: (1 + np.sqrt(3) * lag / scale) * np.exp(-np.sqrt(3) * lag / scale),
    "seasonal": lambda lag, scale: (
        0.5 * np.exp(-((lag / scale) ** 2) / 2)
        + 0.5 * np.exp(-((lag / (12 * scale)) ** 2) / 2) * np.cos(2 * np.pi * lag / (2 * scale))
    ),
}
"""Correlation at a lag for a length scale, both in steps.

Ornstein-Uhlenbeck; Matern-3/2 (Rasmussen and Williams 2006, eq. 4.17); a smooth part plus a season of two length scales
that keeps its form over twelve.
"""


def kernel_truth(kernel: str, length: int = 48, scale: float = 8.0, channels: int = 1) -> GaussianTruth:
    """Stationary Gaussian process of mean 0 and variance 1, the same and independent in each channel.

    Parameters
    ----------
    kernel
        A name of KERNELS.
    length
        Number of steps T.
    scale
        Length scale, steps.
    channels
        Number of channels C.

    Raises
    ------
    ConfigError
        If no kernel has this name.

    Examples
    --------
    >>> kernel_truth("ou", length=3, scale=1.0).covariance[0].round(3).tolist()
    [1.0, 0.368, 0.135]
    """
    if kernel not in KERNELS:
        raise ConfigError("kernel", f"no kernel {kernel!r}", f"Known: {', '.join(KERNELS)}.")
    time = np.arange(length, dtype=np.float64)
    correlation = KERNELS[kernel](np.abs(time[:, None] - time), scale)
    covariance = np.kron(correlation, np.eye(channels)).astype(np.float64)
    return GaussianTruth(np.zeros(length * channels), covariance)


Truth = GaussianTruth | MixtureTruth | RegimeTruth


def answer(law: Truth, item: Series, samples: int, rng: np.random.Generator) -> Posterior:
    """Joint samples of the exact posterior of one item under its law."""
    drawn = law.posterior(item.value.ravel(), item.risk.ravel()).draw(rng, samples)
    return Posterior(item, drawn.reshape(samples, *item.value.shape))
