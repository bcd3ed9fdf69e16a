"""Errors that last: taken off as a draw, they leave white noise, and the posterior of the signal is the exact one."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rstime import RiskDiffusion
from rstime.belief import LEVEL_FLOOR
from rstime.correlation import Correlation, given, remove_errors
from rstime.denoiser import Denoiser
from rstime.errors import ConfigError
from rstime.gaussian import GaussianModel
from rstime.inference import mean_items, sample_items
from rstime.moments import variogram
from rstime.noise_rule import NoiseRule
from rstime.posterior import SamplerConfig
from rstime.risk.correlated import Correlated
from rstime.scores import crps_samples
from rstime.tokens import pack
from rstime.types import Batch, Floats, Series
from rstime.windows import Item

T, C = 10, 2
PARTS = [[[0.5, 4.0], [0.3, 50.0]], []]  # of the second variable all is white


def make_model(parts: object = PARTS) -> GaussianModel:
    torch.manual_seed(0)
    model = GaussianModel(C, 0, float(T), correlated=parts)  # type: ignore[arg-type]
    with torch.no_grad():
        model.loading.copy_(0.4 * torch.randn(model.loading.shape))
        model.weight.fill_(0.3)
    return model.requires_grad_(False)


def make_batch(value: Tensor | None = None) -> Batch:
    """One window: noisy, exact and missing entries of each variable."""
    rng = torch.Generator().manual_seed(1)
    risk = torch.full((1, T, C), 0.8, dtype=torch.float64)
    risk[0, 3], risk[0, 5, 0], risk[0, 6], risk[0, 8, 1] = math.inf, 1.5, 0.0, math.inf
    value = torch.randn((1, T, C), generator=rng, dtype=torch.float64) if value is None else value
    time = torch.arange(T, dtype=torch.float64)[None]
    key = torch.arange(T)[None]
    everywhere = torch.ones_like(risk, dtype=torch.bool)
    return Batch(value, risk, time, torch.zeros(1, T, 0, dtype=torch.float64), everywhere, key)


def exact(model: GaussianModel, batch: Batch) -> tuple[Floats, Floats]:
    """Posterior mean and covariance of all T C entries, by the textbook: R = K + noise."""
    tokens = pack(batch, torch.ones_like(batch.asked))
    k = model.covariance(tokens)[0].numpy()
    mu, y, r = model.mean(tokens)[0].numpy(), tokens.take(batch.value)[0].numpy(), tokens.take(batch.risk)[0].numpy()
    seen = np.isfinite(r)
    r = np.maximum(r[seen], LEVEL_FLOOR)
    time, channel = tokens.time[0].numpy()[seen], tokens.channel[0].numpy()[seen]
    lag = np.abs(time[:, None] - time[None])
    alike = np.where(channel[:, None] + channel[None] == 0, 0.5 * np.exp(-lag / 4) + 0.3 * np.exp(-lag / 50), 0.0)
    alike = alike * (r[:, None] > LEVEL_FLOOR) * (r[None] > LEVEL_FLOOR)
    np.fill_diagonal(alike, 1.0)
    noise = alike * r[:, None] * r[None]
    gain = np.linalg.solve(k[np.ix_(seen, seen)] + noise, k[seen]).T
    return mu + gain @ (y[seen] - mu[seen]), k - gain @ k[seen]


def condition(model: GaussianModel, batch: Batch) -> tuple[Floats, Floats]:
    """Posterior means, (S, T C), and covariance of all entries from measurements with white noise."""
    tokens = pack(batch, torch.ones_like(batch.asked))
    risk = tokens.take(batch.risk, math.inf)
    factor = model.factorise(tokens, risk)
    belief = factor.belief(tokens.take(batch.value).reshape(-1, *risk.shape))
    return belief.mean[:, 0].numpy(), factor.covariance()[0].numpy()


def test_the_mean_of_the_errors_taken_off_leaves_the_exact_posterior_mean() -> None:
    model, batch = make_model(), make_batch()
    left = remove_errors(model, batch)
    expected = exact(model, batch)[0]
    np.testing.assert_allclose(condition(model, left)[0][0], expected, atol=2e-4)
    assert abs(condition(model, batch)[0][0] - expected).max() > 0.1  # as white noise: another answer
    assert left.risk[0, 0, 0] == pytest.approx(0.8 * math.sqrt(0.2))
    assert torch.equal(left.risk[..., 1], batch.risk[..., 1])
    assert torch.equal(left.value[0, ..., 1], batch.value[..., 1])
    np.testing.assert_allclose(left.value[0, 0, 6], batch.value[0, 6], atol=1e-9)  # exact readings stay


def test_draws_of_the_errors_leave_the_exact_posterior_covariance() -> None:
    model, batch, count = make_model(), make_batch(), 20_000
    normal = torch.randn((count, 1, T, C), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    means, within = condition(model, remove_errors(model, batch, normal))
    expected = exact(model, batch)
    np.testing.assert_allclose(means.mean(0), expected[0], atol=0.02)
    found = within + np.cov(means.T)
    assert np.linalg.norm(found - expected[1]) / np.linalg.norm(expected[1]) < 0.02
    white = condition(model, batch)[1]
    assert np.linalg.norm(white - expected[1]) / np.linalg.norm(expected[1]) > 0.15


def test_values_drawn_before_tell_of_the_errors() -> None:
    model, batch = make_model(), make_batch()
    where = torch.zeros_like(batch.asked)
    where[0, :5] = True
    x = torch.randn((3, 1, T, C), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = remove_errors(model, batch, known=(x, where))
    for sample in range(3):  # a known value is a reading of another variable that is always alike: condition on both
        k, mu = (f(pack(batch, torch.ones_like(where))) for f in (model.covariance, model.mean))
        mean, cov = given(mu[None], k, x[sample : sample + 1].reshape(1, 1, -1), where.reshape(1, -1))
        y, r = batch.value.reshape(-1), batch.risk.reshape(-1)
        seen = torch.isfinite(r)
        tokens = pack(batch, torch.ones_like(where))
        error = model.correlation.lasting(tokens, r.masked_fill(~seen, 0.0)[None])[0]  # type: ignore[union-attr]
        white = torch.diag((r.clamp_min(LEVEL_FLOOR).square() - error.diagonal()).masked_fill(~seen, 0.0))
        total = (cov[0] + error + white)[seen][:, seen]
        expected = error[:, seen] @ torch.linalg.solve(total, (y - mean[0, 0])[seen])
        np.testing.assert_allclose((batch.value - found.value[sample]).reshape(-1)[seen], expected[seen], atol=1e-6)
    alone = remove_errors(model, batch)
    assert (alone.value[0] - found.value[0]).abs().max() > 0.1


def test_given_values_are_exact_and_the_rest_follows() -> None:
    k = torch.tensor([[[1.0, 0.6], [0.6, 1.0]]], dtype=torch.float64)
    where = torch.tensor([[True, False]])
    mean, cov = given(torch.zeros(1, 1, 2, dtype=torch.float64), k, torch.tensor([[[2.0, 9.0]]]).double(), where)
    np.testing.assert_allclose(mean[0, 0], [2.0, 1.2], atol=1e-3)
    np.testing.assert_allclose(cov[0].diagonal(), [LEVEL_FLOOR**2, 0.64], atol=1e-4)


def test_the_likelihood_is_that_of_correlated_noise() -> None:
    model, batch = make_model(), make_batch()
    tokens = pack(batch, torch.isfinite(batch.risk))
    y, r = tokens.take(batch.value), tokens.take(batch.risk)
    level = r.clamp_min(LEVEL_FLOOR)
    noise = model.correlation.matrix(tokens, r)[0] * level[0, :, None] * level[0]  # type: ignore[union-attr]
    law = torch.distributions.MultivariateNormal(model.mean(tokens)[0], model.covariance(tokens)[0] + noise)
    expected = -float(law.log_prob(y[0])) / y.shape[1]
    assert float(model.negative_log_likelihood(tokens, y, r)) == pytest.approx(expected, rel=1e-9)
    assert float(make_model(()).negative_log_likelihood(tokens, y, r)) != pytest.approx(expected, rel=1e-3)


def errors(rng: np.random.Generator, length: int, share: float, memory: float) -> Floats:
    """Unit errors of which a share decays with a memory in steps."""
    keep, e = math.exp(-1 / memory), np.empty(length)
    e[0] = rng.standard_normal()
    for t in range(1, length):
        e[t] = keep * e[t - 1] + math.sqrt(1 - keep**2) * rng.standard_normal()
    return np.asarray(math.sqrt(share) * e + math.sqrt(1 - share) * rng.standard_normal(length))


def test_the_variogram_takes_off_what_noise_that_lasts_adds() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([np.cumsum(rng.standard_normal(40)) * 0.1 for _ in range(400)])
    y = x + 0.7 * np.stack([errors(rng, 40, 0.9, 8.0) for _ in range(400)])
    value = torch.tensor(y, dtype=torch.float32)[..., None]
    risk, time = torch.full_like(value, 0.7), torch.arange(40.0).expand(400, -1)
    batch = Batch(value, risk, time, torch.zeros(400, 40, 0), torch.ones_like(value, dtype=torch.bool), time.long())
    found = variogram([batch], 12, Correlation.of([[(0.9, 8.0)]]))
    expected = 0.5 * 0.01 * np.arange(12)
    np.testing.assert_allclose((found.gamma * found.within)[1:], expected[1:], atol=0.01)
    plain = variogram([batch], 12)
    assert abs((plain.gamma * plain.within)[1:] - expected[1:]).max() > 0.05


def sensor(seed: int, items: int, parts: tuple[float, float] = (0.9, 20.0)) -> tuple[list[Series], list[Floats]]:
    """Series of a slow signal: half of the items exact, the others read by a sensor whose errors of .8 sd last."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for k in range(items):
        phase, time = rng.uniform(0, 2 * math.pi), np.arange(40)
        x = math.sqrt(2) * np.sin(2 * math.pi * time / 8 + phase)
        r = np.zeros(40) if k % 2 else np.full(40, 0.8)
        y = x + r * errors(rng, 40, *parts)
        found.append(Series(f"{k}", time, ("x",), y[:, None], r[:, None]))
        truth.append(x[:, None])
    return found, truth


def test_a_model_that_knows_how_long_errors_last_is_nearer_and_as_sure_as_it_may_be() -> None:
    learn, _ = sensor(0, 60)
    test, truth = sensor(1, 30)
    noise = Correlated((0.9,), (20.0,))
    found: dict[str, tuple[float, float]] = {}
    for name, family in (("correlated", {"x": noise}), ("white", {})):
        model = RiskDiffusion("gaussian", window=20).fit(learn, noise=family, steps=60, progress=False)
        answers = model.impute(test, samples=99)
        crps, inside = [], []
        for answer, x in zip(answers[::2], truth[::2], strict=True):
            low, high = np.quantile(answer.samples, (0.05, 0.95), axis=0, method="weibull")
            crps.append(crps_samples(answer.samples, x).mean())
            inside.append(((low <= x) & (x <= high)).mean())
        found[name] = float(np.mean(crps)), float(np.mean(inside))
    assert found["correlated"][0] < 0.75 * found["white"][0], found
    assert found["correlated"][1] > 0.85 > found["white"][1], found


def test_files_keep_how_long_errors_last_and_marginals_are_refused(tmp_path: Path) -> None:
    learn, _ = sensor(0, 12)
    noise = Correlated((0.5, 0.3), (4.0, 40.0))
    model = RiskDiffusion(size="tiny", window=20).fit(learn, noise={"x": noise}, steps=3, progress=False, device="cpu")
    assert model.support.smallest_risk_sd[0] == 0.0  # half of the items are exact
    model.save(tmp_path / "m")
    back = RiskDiffusion.load(tmp_path / "m", device="cpu")
    assert back.noise.variables["x"].family == noise
    assert back._denoiser.prior.correlation.share.tolist()[0] == pytest.approx([0.5, 0.3])  # type: ignore[union-attr]
    one, two = (m.impute(learn[:1], samples=3)[0].samples for m in (model, back))
    np.testing.assert_array_equal(one, two)
    long = RiskDiffusion("gaussian", window=20).fit(learn[::2], noise={"x": noise}, steps=3, progress=False)
    scale = long._scaler.scale[0]  # type: ignore[union-attr]
    assert long.support.smallest_risk_sd[0] == pytest.approx(0.8 / scale * math.sqrt(0.2), rel=1e-5)
    with pytest.raises(ConfigError, match=r"joint: False where errors last\. Draw jointly"):
        back.impute(learn, entries="missing", joint=False)
    with pytest.raises(ConfigError, match="noise: correlated noise of 'x', with risk='scale'"):
        NoiseRule.learn({"x": noise}, learn, {}, "scale")


def test_windows_of_long_items_share_their_errors() -> None:
    """Over three windows the spread is that of the whole item, which one window alone would overstate or understate."""
    prior = make_model([[[0.95, 200.0]], []])
    risk = np.full((40, C), 0.8, dtype=np.float32)
    risk[:, 1] = np.inf
    asked = np.ones((40, C), dtype=bool)
    asked[:, 1] = False
    value = np.random.default_rng(0).standard_normal((40, C)).astype(np.float32)
    item = Item("a", np.arange(40.0), value, risk, np.zeros((40, 0), dtype=np.float32), asked, np.arange(40))
    denoiser = Denoiser(prior, None)
    x = sample_items(denoiser, [item], 20.0, torch.zeros(C), SamplerConfig(samples=2000))[0][..., 0]
    mean = mean_items(denoiser, [item], 40.0)[0][..., 0]
    whole = sample_items(denoiser, [item], 40.0, torch.zeros(C), SamplerConfig(samples=2000, seed=1))[0][..., 0]
    assert abs(whole.mean(0) - mean).max() < 0.06
    assert whole.mean(1).std() == pytest.approx(
        x.mean(1).std(), rel=0.15
    )  # of the path's mean: all that the errors share
    white = Denoiser(make_model(()), None)
    alone = sample_items(white, [item], 40.0, torch.zeros(C), SamplerConfig(samples=2000))[0][..., 0]
    assert alone.mean(1).std() < 0.7 * whole.mean(1).std()


def test_a_batch_without_such_errors_is_left_alone() -> None:
    batch = make_batch()
    assert remove_errors(make_model(()), batch) is batch
    plain = replace(batch, risk=torch.zeros_like(batch.risk))
    np.testing.assert_allclose(remove_errors(make_model(), plain).value[0], plain.value, atol=1e-9)
