"""Laws of clean windows whose posterior given noisy measurements is known exactly: Gaussians and their mixtures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

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


Truth = GaussianTruth | MixtureTruth


def answer(law: Truth, item: Series, samples: int, rng: np.random.Generator) -> Posterior:
    """Joint samples of the exact posterior of one item under its law."""
    drawn = law.posterior(item.value.ravel(), item.risk.ravel()).draw(rng, samples)
    return Posterior(item, drawn.reshape(samples, *item.value.shape))
