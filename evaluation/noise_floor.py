"""Below the noise floor, and training where risks are wrong: what the options of TrainingConfig for them bring.

    python -m rstime.evaluation.noise_floor NAME      floor, levels, ratio, understated, outliers, correct

Windows of eight stamps of the mixture of `rstime.datasets.simulate`, 30 % missing, the others of risk .3 to 1 sd; of
"levels", one stamp at two narrow levels, whose shape lies below the noise; of "ratio" the same with risks of .5 to 1 sd
and a network that is told m / tau. A small network in place of the transformer, on the exact moments of what its data
look like, so that a fit takes seconds. Scores are the excess of CRPS over the exact posterior's at noisy and at missing
points, in per cent. Studies of the floor split it: where the path ends and by which covariance the last draw is made,
and the network above the smallest risk or below it, with the exact denoiser for the other.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from rstime import scores
from rstime.consistency import HIGHEST, LOWEST, SHARE
from rstime.datasets.laws import GaussianTruth, MixtureTruth
from rstime.datasets.simulate import measure, mixture_truth
from rstime.diffusion.consistency import consistency_loss, descend
from rstime.diffusion.levels import draw_levels, fuse
from rstime.diffusion.loss import perturb, risk_sensitive_loss, teaches
from rstime.diffusion.samplers import default_levels, multistep
from rstime.diffusion.tweedie import covariance
from rstime.last_draw import PROBES, own_width
from rstime.posterior import HELD
from rstime.robust import hold_back, trusted
from rstime.types import Floats

WINDOWS, SCORED, SAMPLES, BATCH = 4000, 300, 100, 128
LARGEST = 1.0  # risk, sd
LEVELS = [GaussianTruth(np.array([centre]), np.array([[0.04]])) for centre in (-math.sqrt(0.96), math.sqrt(0.96))]
LAWS = {"mixture": mixture_truth(8), "levels": MixtureTruth(np.full(2, 0.5), tuple(LEVELS))}
Denoise = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    """How to train, as in TrainingConfig, and what is wrong with data: factor of the risks, share of gross errors.

    Smallest risk; factor of the first layer's initial weights, which narrow levels need to be larger; whether the
    network is told m / tau, which is out of the range of training below the smallest risk.
    """

    consistency: float = 0.0
    teach_from: float = 1.0
    outliers: float = 0.0
    understated: float = 1.0
    gross: float = 0.0
    name: str = "mixture"
    lowest: float = 0.3
    gain: float = 1.0
    ratio: bool = False

    @property
    def law(self) -> MixtureTruth:
        """The law of the clean windows."""
        return LAWS[self.name]


STUDIES = {
    "floor": [Setting(), Setting(consistency=0.1)],
    "levels": [Setting(name="levels", gain=5.0, consistency=weight) for weight in (0.0, 0.1)],
    "ratio": [Setting(name="levels", lowest=0.5, gain=2.0, ratio=True, consistency=weight) for weight in (0.0, 0.1)],
    "understated": [Setting(understated=2.0, teach_from=k) for k in (1.0, 2.0, 3.0)],
    "outliers": [Setting(gross=0.02, outliers=bound) for bound in (0.0, 4.0)],
    "correct": [Setting(), Setting(teach_from=2.0), Setting(teach_from=3.0), Setting(outliers=4.0)],
}

LEARNED = ("floor", "levels", "ratio")  # studies of the levels below the smallest risk


def condition(K: Tensor, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return root = 1 / tau, (I + root K root)^-1 and the posterior covariance of x ~ N(0, K) at (B, N) levels."""
    root = 1 / tau.clamp_min(1e-2)
    scaled = root[..., None] * K
    inverse = torch.linalg.inv(torch.eye(len(K), dtype=K.dtype) + scaled * root[:, None, :])
    return root, inverse, K - scaled.mT @ inverse @ scaled


class Small(nn.Module):
    """D = G + sqrt(V) F, with F two hidden layers on G, V, the levels and the leave-one-out residuals."""

    def __init__(self, K: Tensor, gain: float = 1.0, ratio: bool = False):
        super().__init__()
        self.K, self.ratio, n = K, ratio, len(K)
        last, first = nn.Linear(96, n), nn.Linear((4 + ratio) * n, 96)
        nn.init.zeros_(last.weight)
        first.weight.data.mul_(gain)
        self.net = nn.Sequential(first, nn.SiLU(), nn.Linear(96, 96), nn.SiLU(), last)

    def forward(self, m: Tensor, tau: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return D and the residuals of (S, B, N) inputs at (B, N) levels, and V."""
        root, inverse, covariance = condition(self.K, tau)
        whitened = (inverse @ (root * m)[..., None])[..., 0]
        mean = (root * whitened) @ self.K
        variance = covariance.diagonal(dim1=-2, dim2=-1).clamp_min(1e-6)
        surprise = whitened * inverse.diagonal(dim1=-2, dim2=-1).rsqrt()
        level = (root / (1 + root)).expand_as(m)
        features = [mean, surprise.clamp(-6, 6), variance.sqrt().expand_as(m), level]
        features += [(root * m).clamp(-6, 6)] if self.ratio else []
        return mean + variance.sqrt() * self.net(torch.cat(features, -1)), surprise, variance

    def denoise(self, m: Tensor, tau: Tensor) -> Tensor:
        """Return D alone."""
        return torch.as_tensor(self(m, tau)[0])


def exact(law: MixtureTruth, m: Tensor, tau: Tensor) -> Tensor:
    """Return E[x | m] under the law itself, of parts that are equally likely."""
    logs, means = [], []
    for part in law.parts:
        K, centre = torch.from_numpy(part.covariance).float(), torch.from_numpy(part.mean).float()
        root, inverse, _ = condition(K, tau)
        z = root * (m - centre)
        whitened = (inverse @ z[..., None])[..., 0]
        logs.append((inverse.logdet() - (z * whitened).sum(-1)) / 2)
        means.append(centre + (root * whitened) @ K)
    return (torch.softmax(torch.stack(logs), 0)[..., None] * torch.stack(means)).sum(0)


def windows(count: int, setting: Setting, seed: int) -> tuple[Floats, Tensor, Tensor]:
    """Draw clean windows, and readings and risks as a user would give them, 0 and inf where missing."""
    rng = np.random.default_rng([5, seed, count])
    clean = setting.law.draw(rng, count)
    value, risk = (x[..., 0] for x in measure(rng, clean[..., None], (setting.lowest, LARGEST)))
    value = clean + setting.understated * (value - clean)
    sign = np.where(rng.random(value.shape) < 0.5, -8.0, 8.0)
    value = value + np.where(rng.random(value.shape) < setting.gross, sign, 0.0)
    return clean, torch.from_numpy(np.nan_to_num(value)).float(), torch.from_numpy(risk).float()


def moments(setting: Setting) -> Tensor:
    """Return the covariance that noisy moments would show: what the risks do not explain counts as signal."""
    low, high = setting.lowest, LARGEST
    known = (high**2 - low**2) / (2 * math.log(high / low))
    extra = (setting.understated**2 - 1) * known + 64 * setting.gross
    covariance = torch.from_numpy(setting.law.moments().covariance).float()
    return covariance + extra * torch.eye(len(covariance))


def train(setting: Setting, seed: int, steps: int) -> Small:
    """Train a small network on noisy windows."""
    torch.manual_seed(seed)
    model, generator = Small(moments(setting), setting.gain, setting.ratio), torch.Generator().manual_seed(seed)
    _, value, risk = windows(WINDOWS, setting, seed)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = torch.randint(WINDOWS, (BATCH,), generator=generator)
        y, r = value[rows], risk[rows]
        hidden = (torch.rand((*y.shape, 1), generator=generator) < 0.3) & r.isfinite()[..., None]
        tau = hold_back(r, draw_levels(r[..., None], hidden, generator)[0][..., 0], setting.teach_from)
        e = torch.randn(y.shape, generator=generator)
        m = perturb(y, r, tau, e)
        denoised, surprise, variance = model(m[None], tau)
        use = trusted(surprise[0], setting.outliers) & teaches(r, tau)
        loss = risk_sensitive_loss(denoised[0], y, r, tau, e, variance)[use].mean()
        if setting.consistency:
            loss = loss + setting.consistency * consistent(model, m[: BATCH // SHARE], tau[: BATCH // SHARE], generator)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        rate.step()
    return model.eval().requires_grad_(False)


def consistent(model: Small, m: Tensor, tau: Tensor, generator: torch.Generator) -> Tensor:
    """Return the loss of `rstime.consistency` for the small network."""
    s = LOWEST * (HIGHEST / LOWEST) ** float(torch.rand((), generator=generator))
    with torch.no_grad():
        above, _, variance = model(m[None], tau)
        below, level = descend(model.denoise, m[None], tau, s, torch.randn((2, *tau.shape), generator=generator))
        second = model.denoise(below[1:], level)
    return consistency_loss(above, model.denoise(below[:1], level), second, variance).mean()


def spread(K: Tensor, tau: Tensor, normal: Tensor) -> Tensor:
    """Return (S, B, N) draws from N(0, Cov[x | m]) of the Gaussian model."""
    values, vectors = torch.linalg.eigh(condition(K.double(), tau.double())[2])
    root: Tensor = (vectors * values.clamp_min(0).sqrt()[..., None, :]).float()
    return (root @ normal[..., None])[..., 0]


def widths(denoise: Denoise, K: Tensor, m: Tensor, tau: Tensor, signs: Tensor) -> Tensor:
    """Return the factor of `rstime.last_draw.leave` on draws from the covariance of the Gaussian model K."""
    root, inverse, posterior = condition(K, tau)

    def rest(m: Tensor) -> Tensor:
        return denoise(m, tau) - (root * (inverse @ (root * m)[..., None])[..., 0]) @ K

    return own_width(rest, rest(m), posterior.diagonal(dim1=-2, dim2=-1), m, tau, signs, PROBES)


def sample(
    denoise: Denoise, K: Tensor | None, y: Tensor, r: Tensor, floor: float, seed: int, own: bool = False
) -> Floats:
    """Draw (S, B, N) samples as `rstime.posterior.draw_joint` does, of data supported down to `floor`.

    The last draw is made by the covariance of the Gaussian model K, with the denoiser's own variances if asked for, or
    by that of the denoiser itself without K.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    held = r <= HELD * floor

    def inputs(x: Tensor, s: float) -> tuple[Tensor, Tensor]:
        return fuse(x, torch.full_like(r, s).masked_fill(held, math.inf), y, r)

    x = torch.randn((SAMPLES, *r.shape), generator=generator)
    x = multistep(lambda x, s: denoise(*inputs(x, s)), x, default_levels(13, HELD * floor))
    m, tau = inputs(x, HELD * floor)
    e = torch.randn(x.shape, generator=generator)
    if K is not None:
        width = widths(denoise, K, m, tau, torch.randn(x.shape, generator=generator)) if own else 1.0
        return (denoise(m, tau) + width * spread(K, tau, e)).double().numpy()
    denoised, root = covariance(lambda m: denoise(m, tau), m, tau)
    return (denoised + (root @ e.double()[..., None])[..., 0]).numpy()


def joined(split: float, above: Denoise, below: Denoise, m: Tensor, tau: Tensor) -> Tensor:
    """Return D by one denoiser at levels from `split` on, and by another below."""
    return torch.where(tau >= split, above(m, tau), below(m, tau))


def half_difference(samples: Floats) -> Floats:
    """Return E|X - X'| / 2 of each entry without bias: the CRPS that a law expects of itself."""
    return np.asarray(np.abs(samples).mean(0) - scores.crps_samples(samples, 0.0))


def distance(samples: Floats, best: Floats) -> Floats:
    """Return E|X - Y| - E|X - X'| / 2 - E|Y - Y'| / 2 of each entry without bias.

    It is the CRPS of the first law above that of the second, where the truth follows the second (Gneiting, Raftery
    2007, sec. 5), without the noise of drawing one.
    """
    a, b = half_difference(samples), half_difference(best)
    s, r = len(samples), len(best)
    total = (s + r) * (s + r - 1) * half_difference(np.concatenate([samples, best]))
    return np.asarray((total - s * (s - 1) * a - r * (r - 1) * b) / (s * r) - a - b)


@dataclass(frozen=True, eq=False)
class Test:
    """Windows to answer, and (R, B, N) draws of the exact posterior.

    The risks told at the test are right where `right` is set, and else as wrong as in training; no gross errors.
    """

    y: Tensor
    r: Tensor
    best: Floats

    @classmethod
    def draw(cls, setting: Setting, seed: int, right: bool) -> Test:
        """Draw windows and their exact posterior."""
        wrong = 1.0 if right else setting.understated
        _, y, r = windows(SCORED, replace(setting, gross=0.0, understated=wrong), seed + 100)
        rng = np.random.default_rng(seed)
        pairs = zip(y.double().numpy(), wrong * r.double().numpy(), strict=True)
        return cls(y, r, np.stack([setting.law.posterior(*pair).draw(rng, 400) for pair in pairs], 1))

    def show(self, text: str, denoise: Denoise, K: Tensor | None, floor: float, seed: int, own: bool = False) -> None:
        """Print the excess of CRPS of samples, at noisy and at missing points."""
        drawn = sample(denoise, K, self.y, self.r, floor, seed, own)
        excess, limit = distance(drawn, self.best), half_difference(self.best)
        seen = self.r.isfinite().numpy()
        noisy, missing = (100 * excess[part].mean() / limit[part].mean() for part in (seen, ~seen))
        draw = "Tweedie" if K is None else "own variances" if own else "Gaussian"
        end = f"exit {HELD * floor:.2f} {draw:13s}"
        print(f"seed {seed}  noisy {noisy:6.1f}  missing {missing:6.1f}  {end}  {text}", flush=True)


def study_floor(name: str, seed: int, steps: int) -> None:
    """Print the excess where risks are right, by denoiser, end of the path and last draw."""
    told = STUDIES[name][0]
    test, K, law = Test.draw(told, seed, True), moments(told), partial(exact, told.law)

    def show(text: str, denoise: Denoise) -> None:
        for prior, floor, own in ((K, told.lowest, False), (K, told.lowest, True), (None, told.lowest, False)):
            test.show(text, denoise, prior, floor, seed, own)
        test.show(text, denoise, K, LOWEST, seed)

    show("exact denoiser", law)
    for setting in STUDIES[name]:
        model = train(setting, seed, steps)
        show(f"{setting}", model.denoise)
        split = told.lowest * (1 - 1e-3)
        for text, above, below in (("above", model.denoise, law), ("below", law, model.denoise)):
            test.show(f"the same {text} the floor only", partial(joined, split, above, below), K, LOWEST, seed)


def study(name: str, seed: int, steps: int) -> None:
    """Print the excess in per cent of each way to train."""
    told = STUDIES[name][0]
    tests = {right: Test.draw(told, seed, right) for right in (True, False)[: 1 + (told.understated != 1)]}
    for setting in STUDIES[name]:
        model = train(setting, seed, steps)
        for right, test in tests.items():
            text = f"{setting}" if right else f"{setting}, told wrong risks"
            test.show(text, model.denoise, model.K, setting.lowest * setting.teach_from, seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one study."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=2000)
    options = parser.parse_args(arguments)
    for seed in options.seeds:
        (study_floor if options.name in LEARNED else study)(options.name, seed, options.steps)


if __name__ == "__main__":
    main()
