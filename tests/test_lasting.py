"""Likelihood and anomaly scores of readings whose errors last: closed forms, mixtures, and what a network adds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp, ndtri_exp
from torch import Tensor

from rstime.correlation import Correlation, Parts, remove_errors
from rstime.datasets.laws import GaussianTruth, MixtureTruth, kernel_truth
from rstime.denoiser import Denoiser
from rstime.diffusion.likelihood import FLOOR
from rstime.gaussian import GaussianModel
from rstime.lasting import Ahead, corrected, log_density
from rstime.likelihood import likelihood_items, score_items
from rstime.network.transformer import SIZES, Transformer
from rstime.tokens import Tokens, pack
from rstime.types import Batch, Bools, Floats
from rstime.windows import Item
from tests.oracles.priors import exponential_prior

T, SHARE, MEMORY = 24, 0.5, 40.0
PARTS: Parts = [[(SHARE, MEMORY)]]


def true_prior(parts: Parts = PARTS) -> GaussianModel:
    """By default with errors half of whose variance lasts."""
    return exponential_prior(T, parts)


def signal(length: int = T) -> Floats:
    lag = np.abs(np.subtract.outer(np.arange(length), np.arange(length)))
    return np.asarray(np.exp(-lag / float(true_prior().log_scale[1].exp())) + 1e-3 * np.eye(length))


def noise(risk: Floats) -> Floats:
    """Covariance of the errors at these risks; exact readings count as of the floor."""
    lag = np.abs(np.subtract.outer(np.arange(len(risk)), np.arange(len(risk))))
    lasting = SHARE * np.exp(-lag / MEMORY) * np.outer(risk, risk)
    return np.asarray(lasting + np.diag(np.maximum(risk**2, FLOOR**2) - np.diag(lasting)))


def make_items(count: int, length: int = T, seed: int = 0, asked: Bools | None = None) -> list[Item]:
    """Items of that law, with risks of 0 to 1.2 and a fifth missing."""
    rng, found = np.random.default_rng(seed), []
    for k in range(count):
        risk = rng.uniform(0.3, 1.2, length)
        risk[::6] = 0.0
        root = np.linalg.cholesky(signal(length) + noise(risk))
        value = root @ rng.standard_normal(length)
        risk[rng.random(length) < 0.2] = np.inf
        some = np.ones(length, dtype=bool) if asked is None else asked
        parts = (np.where(np.isfinite(risk), value, 0.0).astype(np.float32), risk.astype(np.float32))
        columns = [part[:, None] for part in parts]
        empty = np.empty((length, 0), dtype=np.float32)
        found.append(Item(f"{k}", np.arange(float(length)), *columns, empty, some[:, None], np.arange(length)))
    return found


def height(item: Item, rows: Bools) -> float:
    """Log density of some readings of an item."""
    seen = rows & np.isfinite(item.risk[:, 0])
    risk = np.where(seen, item.risk[:, 0], 0.0).astype(float)
    covariance = (signal(len(risk)) + noise(risk))[np.ix_(seen, seen)]
    return float(stats.multivariate_normal.logpdf(item.value[seen, 0], np.zeros(seen.sum()), covariance))


def network(seed: int = 0) -> Transformer:
    """Return a network of random weights that corrects the prior by a few tenths of its sd."""
    torch.manual_seed(seed)
    made = Transformer(SIZES["tiny"], 1, 0, T).requires_grad_(False)
    torch.nn.init.normal_(made.head.weight, std=0.05)
    return made


def test_likelihood_of_the_gaussian_model_is_in_closed_form() -> None:
    denoiser = Denoiser(true_prior(), None)
    items, everywhere = make_items(6), np.ones(T, dtype=bool)
    nats, counts = likelihood_items(denoiser, items, float(T))
    for item, found, count in zip(items, nats, counts, strict=True):
        assert count == np.isfinite(item.risk).sum()
        assert found == pytest.approx(height(item, everywhere), abs=0.02)
    white = likelihood_items(Denoiser(true_prior(()), None), items, float(T))[0]
    assert (nats - white).mean() > 0.5


def test_likelihood_given_the_readings_that_are_not_asked() -> None:
    late = np.arange(T) >= 16
    items = make_items(4, seed=1, asked=late)
    nats, _ = likelihood_items(Denoiser(true_prior(), None), items, float(T))
    for item, found in zip(items, nats, strict=True):
        # exact readings that are a condition count as of a finer floor: hence the tolerance
        assert found == pytest.approx(height(item, np.ones(T, dtype=bool)) - height(item, ~late), abs=0.05)


def test_scores_of_the_gaussian_model_are_the_residuals_to_what_the_other_folds_predict() -> None:
    (item,) = make_items(1, seed=2)
    (found,) = score_items(Denoiser(true_prior(), None), [item], float(T), 3, 2)
    value, risk = (x[:, 0].astype(float) for x in (item.value, item.risk))
    seen = np.isfinite(risk)
    total = signal() + noise(np.where(seen, risk, 0.0))
    for i in np.flatnonzero(seen):
        others = seen & (np.arange(T) // 2 % 3 != i // 2 % 3)
        gain = np.linalg.solve(total[np.ix_(others, others)], total[others, i])
        mean, sd = gain @ value[others], math.sqrt(total[i, i] - gain @ total[others, i])
        assert found[0, i, 0] == pytest.approx((value[i] - mean) / sd, abs=0.01)
        want = -stats.norm.logpdf(value[i], mean, sd) - 0.5 * math.log1p(max(risk[i], FLOOR) ** 2)
        assert found[1, i, 0] == pytest.approx(want, abs=0.01)


def test_p_is_uniform_where_it_is_known_that_errors_last_and_not_where_they_are_taken_for_white() -> None:
    items = make_items(80, seed=3)

    def scores(parts: Parts) -> Floats:
        found = score_items(Denoiser(true_prior(parts), None), items, float(T), 4)
        whole = np.concatenate([x[0].ravel() for x in found])
        noisy = np.concatenate([x.risk.ravel() for x in items])
        return np.asarray(whole[np.isfinite(whole) & (noisy > 0)])

    told, white = scores(PARTS), scores(())
    assert len(told) > 1000
    assert stats.kstest(told, "norm").statistic < 0.03
    assert told.std() == pytest.approx(1.0, abs=0.05)
    assert white.std() < 0.92  # they foretell each other's errors, which is taken for the luck of good readings


def test_of_two_variables_one_of_which_has_lasting_errors_all_is_in_closed_form() -> None:
    """A joint prior, readings noisy, exact and missing at irregular stamps; the other variable's errors are white."""
    torch.manual_seed(0)
    prior = GaussianModel(2, 0, float(T), correlated=[[(SHARE, MEMORY)], []]).requires_grad_(False)
    prior.loading.copy_(0.4 * torch.randn(prior.loading.shape))
    rng, length = np.random.default_rng(0), 12
    steps = np.cumsum(rng.choice([0.5, 1.0, 2.0], length))
    risk = rng.uniform(0.4, 1.0, (length, 2))
    risk[3, 0], risk[5, 1], risk[rng.random((length, 2)) < 0.2] = 0.0, 0.0, np.inf
    seen = np.isfinite(risk).ravel()
    value = rng.standard_normal((length, 2)) * seen.reshape(-1, 2)
    numbers = (x.astype(np.float32) for x in (value, risk, np.empty((length, 0))))
    item = Item("a", steps, *numbers, np.ones((length, 2), dtype=bool), np.arange(length))
    time, channel = np.repeat(steps, 2), np.tile([0, 1], length)
    nothing = torch.zeros(1, 2 * length, 0, dtype=torch.float64)
    whole = Tokens(torch.tensor(time)[None], torch.tensor(channel)[None], nothing, torch.tensor(seen)[None] | True,
                   torch.arange(2 * length)[None])  # fmt: skip
    r = np.where(seen, risk.ravel(), 0.0)
    error = (
        SHARE
        * np.exp(-abs(time[:, None] - time) / MEMORY)
        * np.outer(r, r)
        * ((channel == 0)[:, None] & (channel == 0))
    )
    total = prior.covariance(whole)[0].numpy() + error + np.diag(np.maximum(r, FLOOR) ** 2 - np.diag(error))
    y, mean = value.ravel(), prior.mean(whole)[0].numpy()
    denoiser = Denoiser(prior, None)
    nats, counts = likelihood_items(denoiser, [item], float(2 * T))
    law = stats.multivariate_normal(mean[seen], total[np.ix_(seen, seen)])
    assert counts.tolist() == [seen.sum()]
    assert nats[0] == pytest.approx(law.logpdf(y[seen]), abs=0.02)
    scores = score_items(denoiser, [item], float(2 * T), 3)[0][0].ravel()
    fold = (np.repeat(np.arange(length), 2) + channel) % 3
    for i in np.flatnonzero(seen):
        others = seen & (fold != fold[i])
        gain = np.linalg.solve(total[np.ix_(others, others)], total[others, i])
        sd = math.sqrt(total[i, i] - gain @ total[others, i])
        assert scores[i] == pytest.approx((y[i] - mean[i] - gain @ (y - mean)[others]) / sd, abs=0.01)


def test_with_a_network_errors_that_hardly_last_change_nothing() -> None:
    items = make_items(1, 6, seed=4)
    made = network()
    white, hardly = (Denoiser(true_prior(parts), made).eval() for parts in ((), [[(1e-7, MEMORY)]]))
    plain = Denoiser(true_prior(()), None)
    want, found, gaussian = (likelihood_items(x, items, float(T))[0] for x in (white, hardly, plain))
    np.testing.assert_allclose(found, want, atol=0.02)
    assert abs(want - gaussian).max() > 0.1
    pairs = zip(*(score_items(x, items, float(T), 3) for x in (hardly, white)), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, atol=0.02)


def test_with_a_network_the_density_of_two_readings_integrates_to_one() -> None:
    grid = np.linspace(-4.2, 4.2, 15, dtype=np.float32)
    first, second = (x.ravel() for x in np.meshgrid(grid, grid))
    empty = np.empty((2, 0), dtype=np.float32)
    level, asked = np.full((2, 1), 0.8, dtype=np.float32), np.ones((2, 1), dtype=bool)
    items = [
        Item(
            f"{k}", np.arange(2.0), np.array(y)[:, None], level, empty, asked, np.arange(2) + 2 * k
        )  # draws of its own
        for k, y in enumerate(zip(first, second, strict=True))
    ]
    denoiser = Denoiser(true_prior(), network()).eval()
    density = np.exp(likelihood_items(denoiser, items, float(T))[0])
    assert density.sum() * (grid[1] - grid[0]) ** 2 == pytest.approx(1, abs=0.04)
    gaussian = np.exp(likelihood_items(Denoiser(true_prior(), None), items, float(T))[0])
    assert abs(density - gaussian).max() > 0.03 * gaussian.max()


# ---- a mixture of Gaussian laws, whose likelihood is known, in place of a network ------------------------------------

RISK = 0.5
LAW = MixtureTruth(
    np.array([0.4, 0.3, 0.3]),
    tuple(
        GaussianTruth(np.full(T, mean), size * kernel_truth("matern32", T, scale).covariance + 0.005 * np.eye(T))
        for mean, size, scale in ((-1.0, 0.05, 2.0), (0.0, 1.2, 8.0), (1.2, 0.1, 30.0))
    ),
)
LASTING = noise(np.full(T, RISK)) - (1 - SHARE) * RISK**2 * np.eye(T)
WHITE = (1 - SHARE) * RISK**2 * np.eye(T)


class Moments:
    """The Gaussian model of the same mean and covariance as LAW."""

    correlation = Correlation.of(PARTS)

    def __init__(self) -> None:
        law = LAW.moments()
        self.mu, self.k = torch.tensor(law.mean), torch.tensor(law.covariance)

    def mean(self, tokens: Tokens) -> Tensor:
        return self.mu[tokens.time.long()]

    def covariance(self, tokens: Tokens) -> Tensor:
        return self.between(tokens, tokens)

    def between(self, tokens: Tokens, others: Tokens) -> Tensor:
        return self.k[tokens.time.long()[:, :, None], others.time.long()[:, None, :]]

    def variance(self) -> Tensor:
        return self.k.diagonal().mean()[None]


def read(count: int, held_out: Bools) -> tuple[Batch, Floats]:
    """Windows of LAW, read with errors that last."""
    rng = np.random.default_rng(0)
    y = LAW.draw(rng, count) + rng.standard_normal((count, T)) @ np.linalg.cholesky(LASTING + WHITE).T
    risk = torch.tensor(np.where(held_out, np.inf, RISK)).expand(count, -1)[..., None]
    time = torch.arange(T, dtype=torch.float64).expand(count, -1)
    everywhere = torch.ones_like(risk, dtype=torch.bool)
    return Batch(torch.tensor(y)[..., None], risk, time, time[..., None][..., :0], everywhere, time.long()), y


def parts_of(y: Floats, added: Floats) -> Floats:
    """Log of weight times density of each part, (K, ...), of windows with noise of this covariance."""
    some = [stats.multivariate_normal(part.mean, part.covariance + added).logpdf(y) for part in LAW.parts]
    return np.asarray(np.log(LAW.weights)[:, None] + np.stack(some).reshape(len(some), -1))


def normal(count: int, windows: int) -> Tensor:
    return torch.randn((count, windows, T, 1), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_draws_of_the_errors_carry_the_likelihood_of_a_mixture() -> None:
    """The Gaussian model is off by a nat a window; a thousand draws meet the mixture, sixteen are .1 off."""
    prior: Any = Moments()
    batch, y = read(120, np.zeros(T, dtype=bool))
    tokens = pack(batch, torch.isfinite(batch.risk))
    level, asked = tokens.take(batch.risk) * math.sqrt(1 - SHARE), torch.ones_like(tokens.exists)
    error = prior.correlation.lasting(tokens, tokens.take(batch.risk))
    gaussian = log_density(prior, tokens, tokens.take(batch.value)[None], level, asked, error)[0].numpy()
    exact = logsumexp(parts_of(y, LASTING + WHITE), axis=0)
    assert (exact - gaussian).mean() > 0.7
    left = remove_errors(prior, batch, normal(1000, len(y))).value[..., 0]
    plain = log_density(prior, tokens, left, level, asked).numpy()
    gain = logsumexp(parts_of(left.reshape(-1, T).numpy(), WHITE), axis=0).reshape(plain.shape) - plain
    for count, bias, spread in ((1000, 0.01, 0.08), (16, 0.15, 0.5)):
        found = gaussian + logsumexp(gain[:count], axis=0) - math.log(count)
        assert abs((found - exact).mean()) < bias
        assert (found - exact).std() < spread


def ahead(y: Floats, value: Floats, noises: tuple[Floats, Floats, Floats], rows: Bools, gaussian: bool) -> Any:
    """Normal score and log density of left-out readings given the others, with covariances of the three noises."""
    law = MixtureTruth(np.ones(1), (LAW.moments(),)) if gaussian else LAW
    weights, scores, heights = [], [], []
    for weight, part in zip(law.weights, law.parts, strict=True):
        mean, k = part.mean, part.covariance
        seen = stats.multivariate_normal(mean[rows], k[np.ix_(rows, rows)] + noises[0])
        cross = k[np.ix_(rows, ~rows)] + noises[1]
        gain = np.linalg.solve(seen.cov, cross)
        sd = np.sqrt(np.diag(k)[~rows] + noises[2] - (gain * cross).sum(0))
        z = (value - mean[~rows] - (y[:, rows] - mean[rows]) @ gain) / sd
        weights.append(math.log(weight) + seen.logpdf(y[:, rows]))
        scores.append(z)
        heights.append(stats.norm.logpdf(z) - np.log(sd))
    share = (np.array(weights) - logsumexp(weights, axis=0))[..., None]
    below, above = (logsumexp(share + side(scores), axis=0) for side in (stats.norm.logcdf, stats.norm.logsf))
    score = np.where(below < above, ndtri_exp(below), -ndtri_exp(above))
    return torch.tensor(score), torch.tensor(logsumexp(share + np.array(heights), axis=0))


def test_tails_and_densities_ahead_of_readings_whose_errors_last() -> None:
    """Of the mixture's own tails and densities given each draw, sixteen are enough to be nearer than the Gaussian."""
    prior: Any = Moments()
    out = np.arange(T) // 3 % 4 == 1
    rows = ~out
    beside, y = read(200, out)
    whole = read(200, np.zeros(T, dtype=bool))[0]
    context, queries = pack(beside, torch.isfinite(beside.risk)), pack(whole, torch.isinf(beside.risk))
    law = Ahead(prior, prior.correlation, context, queries, context.take(beside.risk), queries.take(whole.risk))
    value = queries.take(whole.value)
    block = LASTING + WHITE
    both = block[np.ix_(rows, rows)], LASTING[np.ix_(rows, out)], np.diag(block)[out]
    gaussian = law.gaussian(context.take(whole.value), value)
    for found, want in zip(gaussian, ahead(y, y[:, out], both, rows, True), strict=True):
        np.testing.assert_allclose(found, want, atol=1e-6)
    draws = []
    for left in remove_errors(prior, beside, normal(16, len(y))).value:
        shift, rho = law.follow(context.take(whole.value - left))
        noises = WHITE[np.ix_(rows, rows)], np.zeros((rows.sum(), out.sum())), rho[0].numpy() ** 2
        asked = left[..., 0].numpy(), (value - shift).numpy(), noises, rows
        draws.append((ahead(*asked, False), ahead(*asked, True)))
    exact = ahead(y, y[:, out], both, rows, False)
    for found, plain, want in zip(corrected(gaussian, draws), gaussian, exact, strict=True):
        assert _rms(found - want) < 0.65 * _rms(plain - want)
        assert _rms(plain - want) > 0.2
    same = corrected(gaussian, [(one, one) for _, one in draws])  # where there is nothing to correct, any draws will do
    for found, want in zip(same, gaussian, strict=True):
        np.testing.assert_allclose(found, want, atol=1e-9)


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def test_given_its_neighbours_errors_the_error_of_a_reading_is_that_of_the_chain() -> None:
    """An exponential correlation is Markov: the error after the last one is exp(-lag / memory) times it."""
    prior: Any = Moments()
    out = np.arange(T) >= T - 3
    beside, _ = read(2, out)
    whole = replace(beside, risk=torch.full_like(beside.risk, RISK))
    context, queries = pack(beside, torch.isfinite(beside.risk)), pack(whole, torch.isinf(beside.risk))
    law = Ahead(prior, prior.correlation, context, queries, context.take(beside.risk), queries.take(whole.risk))
    error = torch.randn((2, T - 3), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    shift, rho = law.follow(error)
    keep = np.exp(-np.arange(1, 4) / MEMORY)
    np.testing.assert_allclose(shift, error[:, -1:].numpy() * keep, atol=1e-4)
    want = RISK * np.sqrt(1 - SHARE * keep**2)
    np.testing.assert_allclose(rho, np.broadcast_to(want, (2, 3)), atol=1e-4)
