"""The Gaussian model against closed forms written out in NumPy, statsmodels and SciPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from statsmodels.tsa.statespace.kalman_smoother import KalmanSmoother
from torch import Tensor

from rstime.belief import COSINES, LEVEL_FLOOR, PARTS, update
from rstime.gaussian import LAG_STEP, GaussianModel
from rstime.tokens import Tokens

C, K, WINDOW = 3, 2, 24.0
Array = NDArray[np.float64]


def make_model(seed: int = 0, joint: bool = True) -> GaussianModel:
    generator = torch.Generator().manual_seed(seed)
    model = GaussianModel(C, K, WINDOW, joint=joint)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.4 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model.requires_grad_(False)


def make_tokens(seed: int, count: int, windows: int = 2, on_grid: bool = True, padding: bool = True) -> Tokens:
    """Entries at stamps of a quarter of a step, where the table has its lags, a tenth of them padding."""
    generator = torch.Generator().manual_seed(seed)
    shape = (windows, count)
    time = WINDOW * torch.rand(shape, generator=generator, dtype=torch.float64)
    time = ((time / LAG_STEP).round() * LAG_STEP if on_grid else time).sort(1).values
    channel = torch.randint(C, shape, generator=generator)
    covariates = torch.randn(*shape, K, generator=generator, dtype=torch.float64)
    exists = torch.rand(shape, generator=generator) < (0.9 if padding else 2.0)
    return Tokens(time, channel, covariates, exists, torch.arange(count).expand(windows, -1))


def written_out(model: GaussianModel, tokens: Tokens, others: Tokens, b: int) -> Array:
    """Covariances between tokens and others of window b by group of components, (P, N, M), in plain loops."""
    scale, period = model.log_scale.exp().numpy(), model.log_period.exp().numpy()
    own, loading = model.log_own.exp().numpy(), model.loading.numpy()
    groups = [0, 0, 1, 2, 2, 0, 1, 2, *range(3, 3 + COSINES)]
    result = np.zeros((PARTS, tokens.time.shape[1], others.time.shape[1]))
    for i, (t, c) in enumerate(zip(tokens.time[b].tolist(), tokens.channel[b].tolist(), strict=True)):
        for j, (u, d) in enumerate(zip(others.time[b].tolist(), others.channel[b].tolist(), strict=True)):
            lag = abs(t - u)
            rho = [math.exp(-lag / s) for s in scale[:5]]
            rho += [(1 + math.sqrt(3) * lag / s) * math.exp(-math.sqrt(3) * lag / s) for s in scale[5:8]]
            rho += [
                math.exp(-lag / s) * math.cos(2 * math.pi * lag / p) for s, p in zip(scale[8:], period, strict=True)
            ]
            for q, value in enumerate(rho):
                shared = float(loading[q, c] @ loading[q, d]) if model.joint else 0.0
                result[groups[q], i, j] += (shared + (own[q, c] if c == d else 0.0)) * value
    return result


def mean_of(model: GaussianModel, tokens: Tokens, b: int) -> Array:
    weight = model.weight.numpy()[:, tokens.channel[b].numpy()]
    return weight[0] + np.einsum("nk,kn->n", tokens.covariates[b].numpy(), weight[1:])


def white_of(model: GaussianModel, tokens: Tokens, b: int) -> Array:
    return model.log_white.exp().numpy()[tokens.channel[b].numpy()]


def dense(model: GaussianModel, tokens: Tokens, tau: Tensor, m: Tensor, b: int) -> dict[str, Array]:
    """Posterior of window b by inverting K_oo + tau^2, o the measured entries; surprises by leaving each one out."""
    parts = written_out(model, tokens, tokens, b)
    k = parts.sum(0) + np.diag(white_of(model, tokens, b))
    mu, risk = mean_of(model, tokens, b), np.maximum(tau[b].numpy(), LEVEL_FLOOR)
    seen = np.flatnonzero(np.isfinite(risk) & tokens.exists[b].numpy())
    error = m[:, b].numpy()[:, seen] - mu[seen]
    inverse = np.linalg.inv(k[np.ix_(seen, seen)] + np.diag(risk[seen] ** 2))
    surprise = np.zeros(m[:, b].shape)
    for place, i in enumerate(seen):
        rest, others = np.delete(seen, place), np.delete(np.arange(len(seen)), place)
        gain = k[i, rest] @ np.linalg.inv(k[np.ix_(rest, rest)] + np.diag(risk[rest] ** 2))
        variance = k[i, i] + risk[i] ** 2 - gain @ k[rest, i]
        surprise[:, i] = (error[:, place] - error[:, others] @ gain) / math.sqrt(variance)
    return {
        "mean": mu + error @ inverse @ k[seen],
        "covariance": k - k[:, seen] @ inverse @ k[seen],
        "surprise": surprise,
        "parts": np.einsum("pin,sn->psi", parts[:, :, seen], error @ inverse),
    }


def parts_of(model: GaussianModel, tokens: Tokens, others: Tokens) -> Tensor:
    """Covariances by group of components, (P, B, N, M), read off one token after the other."""
    windows, count = tokens.time.shape
    each = torch.eye(count, dtype=tokens.time.dtype)[:, None].expand(-1, windows, -1)
    return model.shares(model.along(tokens, others), tokens, others, each).transpose(1, 2)


def levels(seed: int, tokens: Tokens) -> Tensor:
    """A fifth at the floor, a fifth small, a third usual, the others absent."""
    u = torch.rand(tokens.time.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    tau = torch.where(u < 0.2, 0.0, torch.where(u < 0.4, 0.03, 3 * u))
    return tau.masked_fill(u > 0.75, math.inf)


def inputs(tokens: Tokens, samples: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(samples, *tokens.time.shape, generator=generator, dtype=torch.float64)


def close(found: Tensor, expected: Array, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(found.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("joint", [True, False])
def test_belief_is_the_posterior_written_out(joint: bool) -> None:
    model, tokens = make_model(joint=joint), make_tokens(1, 30)
    tau, m = levels(2, tokens), inputs(tokens)
    belief = model.factorise(tokens, tau).belief(m)
    for b in range(len(tau)):
        here, expected = tokens.exists[b], dense(model, tokens, tau, m, b)
        close(belief.mean[:, b, here], expected["mean"][:, here])
        close(belief.variance[b, here], np.diag(expected["covariance"])[here])
        close(belief.surprise[:, b, here], expected["surprise"][:, here], 1e-7)
        close(belief.parts[:, :, b][..., here], expected["parts"][..., here])


def test_draws_have_the_posterior_covariance() -> None:
    model, tokens = make_model(), make_tokens(1, 30)
    tau = levels(2, tokens)
    factor = model.factorise(tokens, tau)
    root = factor.noise(torch.eye(30, dtype=torch.float64)[:, None].expand(-1, 2, -1))
    for b in range(2):
        here = tokens.exists[b]
        expected = dense(model, tokens, tau, inputs(tokens), b)["covariance"][here][:, here]
        close(factor.covariance()[b][here][:, here], expected)
        close(root[:, b, here].T @ root[:, b, here], expected, 1e-7)


def test_prediction_of_other_entries_is_the_posterior_written_out() -> None:
    model, tokens, queries = make_model(), make_tokens(1, 25), make_tokens(7, 12, padding=False)
    tau, m = levels(2, tokens), inputs(tokens)
    found = model.factorise(tokens, tau).predict(queries, m)
    assert not found.surprise.any()
    for b in range(2):
        seen = np.flatnonzero(np.isfinite(tau[b].numpy()) & tokens.exists[b].numpy())
        k = written_out(model, tokens, tokens, b).sum(0) + np.diag(white_of(model, tokens, b))
        parts = written_out(model, tokens, queries, b)[:, seen]
        risk = np.maximum(tau[b].numpy()[seen], LEVEL_FLOOR)
        inverse = np.linalg.inv(k[np.ix_(seen, seen)] + np.diag(risk**2))
        weights = (m[:, b].numpy()[:, seen] - mean_of(model, tokens, b)[seen]) @ inverse
        close(found.mean[:, b], mean_of(model, queries, b) + weights @ parts.sum(0))
        prior = np.diag(written_out(model, queries, queries, b).sum(0)) + white_of(model, queries, b)
        cross = parts.sum(0)
        close(found.variance[b], prior - np.einsum("nm,nk,km->m", cross, inverse, cross))
        close(found.parts[:, :, b], np.einsum("sn,pnm->psm", weights, parts))


def test_own_measurement_adds_its_precision() -> None:
    """A query with a measurement of its own: predict, then update, is the belief with it among the others."""
    model, tokens = make_model(), make_tokens(1, 20, padding=False)
    tau, m = levels(2, tokens).clamp_min(LEVEL_FLOOR), inputs(tokens)
    tau[:, 4] = 0.4
    rest = [i for i in range(20) if i != 4]
    others, one = (Tokens(*(getattr(tokens, f)[:, at] for f in Tokens.__dataclass_fields__)) for at in (rest, [4]))
    prediction = model.factorise(others, tau[:, rest]).predict(one, m[..., rest])
    for s, level in (
        (m[..., 4:5], tau[:, 4:5]),
        (torch.full_like(m[..., 4:5], math.nan), torch.full((2, 1), math.inf)),
    ):
        everything = tau.clone()
        everything[:, 4:5] = level
        expected = model.factorise(tokens, everything).belief(m)
        found = update(prediction, s, level.double())
        close(found.mean, expected.mean[..., 4:5].numpy())
        close(found.variance, expected.variance[:, 4:5].numpy())
        close(found.surprise, expected.surprise[..., 4:5].numpy())


def test_float32_keeps_exact_entries_exact() -> None:
    """Levels of 1e-2 sd, where a naive float32 solve makes up to half of the variances negative."""
    model, tokens = make_model(), make_tokens(1, 60)
    tau = torch.where(torch.rand(tokens.time.shape, generator=torch.Generator().manual_seed(0)) < 0.6, 1e-2, math.inf)
    m = inputs(tokens)
    exact = model.factorise(tokens, tau.double()).belief(m)
    narrow = Tokens(tokens.time.float(), tokens.channel, tokens.covariates.float(), tokens.exists, tokens.cell)
    found = model.float().factorise(narrow, tau.float()).belief(m.float())
    here = tokens.exists
    torch.testing.assert_close(found.mean[:, here].double(), exact.mean[:, here], rtol=0, atol=5e-3)
    torch.testing.assert_close(found.variance[here].double(), exact.variance[here], rtol=0.02, atol=2e-5)
    assert bool((found.variance > 0).all())


@pytest.mark.parametrize("joint", [True, False])
def test_likelihood_is_that_of_scipy(joint: bool) -> None:
    model, tokens = make_model(joint=joint), make_tokens(3, 20)
    value = inputs(tokens, 1)[0]
    risk = levels(4, tokens).clamp(0.02, 2.0)
    found = float(model.negative_log_likelihood(tokens, value, risk))
    expected = []
    for b in range(2):
        here = tokens.exists[b].numpy()
        k = written_out(model, tokens, tokens, b).sum(0) + np.diag(white_of(model, tokens, b) + risk[b].numpy() ** 2)
        law = multivariate_normal(mean_of(model, tokens, b)[here], k[np.ix_(here, here)])
        expected.append(-law.logpdf(value[b].numpy()[here]) / here.sum())
    assert found == pytest.approx(np.mean(expected), rel=1e-9)


def test_table_of_correlations_is_exact_at_its_lags_and_close_between() -> None:
    """Between them an amplitude is lost: (2 pi h / period)^2 / 8 = 2 % of a season of four steps, at most."""
    model = make_model()
    model.log_period.clamp_(min=math.log(4.0))
    for on_grid, tolerance in ((True, 1e-12), (False, 0.02 * float(model.variance().max()))):
        tokens, others = make_tokens(1, 30, on_grid=on_grid), make_tokens(2, 20, on_grid=on_grid)
        found, whole = parts_of(model, tokens, others), model.between(tokens, others)
        for b in range(2):
            expected = written_out(model, tokens, others, b)
            np.testing.assert_allclose(found[:, b].numpy(), expected, rtol=0, atol=tolerance)
            np.testing.assert_allclose(whole[b].numpy(), expected.sum(0), rtol=0, atol=tolerance)
        np.testing.assert_allclose(found.sum(0).numpy(), whole.numpy(), rtol=0, atol=1e-12)


def test_interpolated_covariances_are_positive_definite() -> None:
    model, tokens = make_model(), make_tokens(1, 80, on_grid=False, padding=False)
    eigenvalues = torch.linalg.eigvalsh(model.between(tokens, tokens))
    assert float(eigenvalues.min()) > -1e-12


def test_table_reaches_longer_lags_when_asked() -> None:
    model, near = make_model(), make_tokens(1, 10)
    model.between(near, near)
    far = Tokens(10 * near.time, near.channel, near.covariates, near.exists, near.cell)
    np.testing.assert_allclose(
        parts_of(model, far, far)[:, 0].numpy(), written_out(model, far, far, 0), rtol=0, atol=1e-12
    )


def test_table_follows_the_parameters() -> None:
    model, tokens = make_model(0), make_tokens(1, 10)
    model.between(tokens, tokens)
    model.load_state_dict(make_model(1).state_dict())
    expected = written_out(make_model(1), tokens, tokens, 0)
    np.testing.assert_allclose(parts_of(model, tokens, tokens)[:, 0].numpy(), expected, rtol=0, atol=1e-12)


def test_covariance_and_variance_agree_with_the_parts() -> None:
    model, tokens = make_model(), make_tokens(1, 15)
    k = model.covariance(tokens)
    for b in range(2):
        close(k[b], written_out(model, tokens, tokens, b).sum(0) + np.diag(white_of(model, tokens, b)), 1e-12)
    close(k.diagonal(dim1=-2, dim2=-1), model.variance()[tokens.channel].numpy(), 1e-12)


@pytest.mark.parametrize("joint", [True, False])
def test_covariance_on_a_grid_is_the_one_off_it_with_its_gradient(joint: bool) -> None:
    """The other copy is off the grid by less than matters, and so takes the way of irregular stamps."""
    model, tokens = make_model(joint=joint).requires_grad_(True), make_tokens(1, 60, on_grid=True)
    assert int(tokens.time.max() / LAG_STEP) * C**2 < 60**2
    there = model.covariance(tokens)
    lone = replace(tokens, time=tokens.time * (1 + 1e-12))
    close(there.detach(), model.covariance(lone).detach().numpy(), 1e-9)
    weight = torch.randn(there.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    names = [name for name, p in model.named_parameters() if name != "weight"]
    parameters = [p for name, p in model.named_parameters() if name != "weight"]
    one, two = (
        torch.autograd.grad((weight * k).sum(), parameters, allow_unused=True) for k in (there, model.covariance(lone))
    )
    for name, a, b in zip(names, one, two, strict=True):
        assert (a is None) == (b is None), name
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("variance", [1.0, 2.5])
def test_white_model_gives_edms_scalars(variance: float) -> None:
    """D = P / (P + tau^2) m and V = P tau^2 / (P + tau^2): c_skip and c_out^2 of Karras et al. 2022, table 1."""
    model, tokens = make_model(), make_tokens(1, 20, padding=False)
    with torch.no_grad():
        model.weight.zero_()
    model.whiten(variance)
    tau, m = levels(2, tokens).clamp_min(0.02), inputs(tokens)
    belief = model.factorise(tokens, tau).belief(m)
    share = variance / (variance + tau.masked_fill(torch.isinf(tau), 1e9).square())
    torch.testing.assert_close(belief.mean, share * m, rtol=0, atol=1e-9)
    spread = torch.where(torch.isinf(tau), variance, share * tau.masked_fill(torch.isinf(tau), 0.0).square())
    torch.testing.assert_close(belief.variance, spread.double(), rtol=1e-9, atol=0)


def test_agrees_with_a_kalman_smoother_of_several_channels() -> None:
    """Coupled exponentials and white noise, each reading with a variance of its own: statsmodels' smoother."""
    rng = np.random.default_rng(0)
    n, scale, white = 40, 6.0, np.array([0.3, 0.05, 0.6])
    root = np.array([[1.0, 0.0, 0.0], [0.7, 0.5, 0.0], [-0.4, 0.3, 0.8]])
    gaps = LAG_STEP * rng.integers(1, 12, n)
    stamps, risk = np.cumsum(gaps), rng.uniform(0.05, 1.5, (n, C))
    risk[rng.random((n, C)) < 0.4] = np.inf
    value = rng.standard_normal((n, C))

    model = GaussianModel(C, 0, WINDOW).requires_grad_(False)
    model.log_own.fill_(-math.inf)
    model.loading.zero_()
    model.loading[1] = torch.tensor(root)
    model.log_scale[1] = math.log(scale)
    model.log_white.copy_(torch.tensor(white).log())
    cell = torch.arange(n * C)[None]
    time = torch.tensor(stamps)[cell // C]
    tokens = Tokens(time, cell % C, torch.zeros(1, n * C, 0, dtype=torch.float64), cell >= 0, cell)
    found = model.condition(tokens, torch.tensor(risk).reshape(1, -1)).belief(torch.tensor(value).reshape(1, 1, -1))

    decay = np.exp(-np.append(gaps[1:], 1.0) / scale)
    oracle = KalmanSmoother(k_endog=C, k_states=2 * C, k_posdef=2 * C)
    oracle.bind(np.where(np.isfinite(risk), value, np.nan).T)
    oracle["design"] = np.hstack([np.eye(C), np.eye(C)])  # the slow part and the white one are both clean signal
    oracle["selection"] = np.eye(2 * C)
    oracle["obs_cov"] = np.stack([np.diag(np.where(np.isfinite(r), r, 1.0) ** 2) for r in risk], -1)
    transition, noise = np.zeros((2 * C, 2 * C, n)), np.zeros((2 * C, 2 * C, n))
    transition[:C, :C] = np.eye(C)[..., None] * decay
    noise[:C, :C] = (root @ root.T)[..., None] * (1 - decay**2)
    noise[C:, C:] = np.diag(white)[..., None]
    oracle["transition"], oracle["state_cov"] = transition, noise
    oracle.initialize_known(
        np.zeros(2 * C), np.block([[root @ root.T, np.zeros((C, C))], [np.zeros((C, C)), np.diag(white)]])
    )
    smooth = oracle.smooth()
    both = np.hstack([np.eye(C), np.eye(C)])
    np.testing.assert_allclose(found.mean[0, 0].reshape(n, C), (both @ smooth.smoothed_state).T, rtol=0, atol=1e-7)
    expected = np.stack([np.diag(both @ smooth.smoothed_state_cov[..., t] @ both.T) for t in range(n)])
    np.testing.assert_allclose(found.variance[0].reshape(n, C), expected, rtol=0, atol=1e-7)
