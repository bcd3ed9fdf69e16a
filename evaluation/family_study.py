"""What the family of the noise is worth: marginals in closed form, and small models trained on each family.

    python -m rstime.evaluation.family_study NAME [--seed 0 1 2] [--steps 1500] [--rows 1000] [--exact .05]
                                             [--out FILE.json]

Clean values x ~ .3 N(-1, .25^2) + .7 N(1, .25^2), of sd .95, each in a window of its own. NAME is "marginals",
for closed forms (family_marginals.py), a kind of noise, or "all".
Of the readings, 1000 by default, a share is exact, one in twenty by default. A small network learns the denoiser by the
risk-sensitive loss, and the Wasserstein distance of what it generates to clean values is compared:

    family      the noise is known for what it is
    gaussian    it is taken for Gaussian noise of the same risk
    ignore      all readings are taken for exact
    drop        the noisy ones are left out
    clean       the same number of clean values: the best there is
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import stats
from torch import Tensor, nn

from rstime.datasets.noise import Quantised
from rstime.diffusion.levels import draw_levels
from rstime.diffusion.loss import perturb, risk_sensitive_loss, teaches
from rstime.diffusion.samplers import SAMPLERS, default_levels
from rstime.evaluation.family_marginals import cauchy, draw_clean, marginals
from rstime.noise_rule import NoiseRule, meet
from rstime.report import text_table
from rstime.risk.families import FAMILIES, Family, Gaussian
from rstime.robust import hold_back
from rstime.scaling import Scaler
from rstime.types import Floats, Series

RISKS = {name: 0.6 for name in FAMILIES if name not in ("quantised", "cauchy")}
RISKS |= {"cauchy": 0.3, "rounded to .5": 0.5 / math.sqrt(12), "rounded to 1": 1 / math.sqrt(12)}
"""Risk of the noisy readings: sd; half width for "cauchy"; step / sqrt(12) where values are rounded."""

METHODS = ("family", "gaussian", "ignore", "drop", "clean")


@dataclass(frozen=True)
class Size:
    """How much is trained: readings, share of exact ones, steps, readings a step, values generated."""

    rows: int = 1000
    exact: float = 0.05
    steps: int = 1500
    batch: int = 256
    count: int = 2000


@dataclass(frozen=True)
class Result:
    """The Wasserstein distance of one model.

    Attributes
    ----------
    noise, method, seed
        What was measured, how it was taken, seed of data and training.
    wasserstein
        Between generated and clean values, in their units (sd .95).
    """

    noise: str
    method: str
    seed: int
    wasserstein: float


@dataclass(frozen=True, eq=False)
class Data:
    """What one model learns from: (N,) scaled values and risks, exact ones first, the family of noise, the scale.

    Noisy readings teach from `teach_from` times their risk on (`rstime.robust`).
    """

    value: Tensor
    risk: Tensor
    family: Family
    scaler: Scaler
    teach_from: float = 1.0


class Small(nn.Module):
    """K denoisers, D = m / (1 + tau^2) + tau F / sqrt(1 + tau^2): EDM's scalars, F with two hidden layers."""

    def __init__(self, count: int, width: int = 32):
        super().__init__()
        sizes = (3, width, width, 1)
        self.weights = nn.ParameterList(
            [torch.randn(count, a, b) / math.sqrt(a) for a, b in itertools.pairwise(sizes[:-1])]
            + [torch.zeros(count, width, 1)]
        )
        self.biases = nn.ParameterList([torch.zeros(count, 1, b) for b in sizes[1:]])

    def forward(self, m: Tensor, tau: Tensor) -> Tensor:
        """Denoise (B, 1, K) inputs at their levels, shaped alike; at tau = inf they are not read."""
        absent = torch.isinf(tau)
        m, t = m.masked_fill(absent, 0.0), tau.clamp(1e-3, 1e3)
        size = torch.hypot(torch.ones_like(t), t)
        x = torch.stack([m / size, t / size, t.log() / 4], -1)[:, 0].transpose(0, 1)  # (K, B, 3)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, nn.functional.silu(x) if layer else x, weight)
        return torch.where(absent, 0.0, m / size**2) + t / size * x[..., 0].T[:, None]


def measure(noise: str, seed: int, size: Size) -> tuple[Floats, Floats, Floats]:
    """Return clean values, readings and risks, (N,) each; the clean values depend on the seed only."""
    rng = np.random.default_rng([seed, 0])
    x = draw_clean(rng, size.rows)
    risk = np.where(rng.random(size.rows) < size.exact, 0.0, RISKS[noise])
    if noise.startswith("rounded"):
        return x, Quantised().apply(rng, x[:, None], risk[:, None])[:, 0], risk
    return x, x + risk * FAMILIES[noise].draw(rng, x.shape), risk


def prepare(noise: str, method: str, seed: int, size: Size) -> Data:
    """Return what a method learns from."""
    x, y, risk = measure(noise, seed, size)
    if method == "drop":
        y, risk = y[risk == 0], risk[risk == 0]
    elif method == "clean":
        y, risk = x, np.zeros_like(x)
    elif method == "ignore":
        risk = np.zeros_like(x)
    family = "quantised" if noise.startswith("rounded") else noise
    return as_data(y, risk, family if method == "family" else "gaussian")


def as_data(y: Floats, risk: Floats, family: str = "gaussian", teach_from: float = 1.0) -> Data:
    """Return readings and their risks, (N,) each, as a model learns from them."""
    series = [Series("x", np.arange(len(y)), ("x",), y[:, None], risk[:, None])]
    rule = NoiseRule.learn({"x": family}, series, {})
    series = rule.apply(series)
    scaler = Scaler.fit(series)
    one = scaler.scale_series(series[0])
    seen = one.observed[:, 0]
    order = np.argsort(one.risk[seen, 0], kind="stable")
    value, risks = (torch.from_numpy(a[seen, 0][order]).float() for a in (one.value, one.risk))
    families = rule.families(("x",)) or (Gaussian(),)
    return Data(value, risks, families[0], scaler, teach_from)


def train(data: Sequence[Data], seed: int, size: Size) -> Small:
    """Train one network on each of K sets of readings, all of them together."""
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    network, average = Small(len(data)), Small(len(data)).requires_grad_(False)
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)
    values, risks = (nn.utils.rnn.pad_sequence([getattr(x, a) for x in data]) for a in ("value", "risk"))
    counts, families = torch.tensor([len(x.value) for x in data]), [x.family for x in data]
    exact = torch.tensor([int((x.risk == 0).sum()) for x in data])
    k = torch.tensor([x.teach_from for x in data])
    for step in range(size.steps):
        pick = (torch.rand((size.batch, len(data)), generator=generator) * counts).long()
        y, r = (x.gather(0, pick)[:, None] for x in (values, risks))
        tau, s = draw_levels(r, torch.ones_like(r, dtype=torch.bool), generator, isolated=True)
        r, tau = meet(families, r, hold_back(r, tau, k))
        idle = ~teaches(r, tau)  # their levels are left to exact readings, so that these are trained as often as alone
        pick = (torch.rand(pick.shape, generator=generator) * exact).long()
        y = torch.where(idle, values.gather(0, pick)[:, None], y)
        r, tau = r.masked_fill(idle, 0.0), torch.where(idle, s, tau)
        e = torch.randn(r.shape, generator=generator)
        denoised = network(perturb(y, r, tau, e), tau)
        variance = 1 / (1 + tau.square().reciprocal())
        loss = risk_sensitive_loss(denoised, y, r, tau, e, variance).sum(0) / teaches(r, tau).sum(0).clamp_min(1)
        optimiser.param_groups[0]["lr"] = 4e-3 * 0.5 * (1 + math.cos(math.pi * step / size.steps))
        optimiser.zero_grad()
        loss.sum().backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        with torch.no_grad():
            for kept, new in zip(average.parameters(), network.parameters(), strict=True):
                kept.lerp_(new, 1 - min(0.995, (1 + step) / (10 + step)))
    return average


@torch.no_grad()
def generate(network: Small, data: Sequence[Data], count: int) -> Floats:
    """Return (N, K) values in their units, of noise that is spread evenly over its law."""
    start = torch.from_numpy(stats.norm.ppf((np.arange(count) + 0.5) / count)).float()
    levels = default_levels(30)

    def denoise(state: Tensor, s: float) -> Tensor:
        found: Tensor = network(state, torch.full_like(state, s))
        return found

    state = start[:, None, None].expand(-1, 1, len(data))
    state = SAMPLERS["multistep"](denoise, state, levels, lambda use: torch.empty(0))
    x = denoise(state, levels[-1])[:, 0].numpy()
    return np.stack([one.scaler.unscale_samples(x[:, [k]])[:, 0] for k, one in enumerate(data)], axis=1)


def study(names: Sequence[str], seeds: Sequence[int], size: Size) -> list[Result]:
    """Train all methods on all kinds of noise; those that do not see the noise once for all kinds."""
    truth = draw_clean(np.random.default_rng(12345), 200_000)
    found = []
    for seed in seeds:
        cases = [(name, method) for name in names for method in METHODS[:3]] + [(names[0], x) for x in METHODS[3:]]
        data = [prepare(name, method, seed, size) for name, method in cases]
        values = generate(train(data, seed, size), data, size.count)
        for (name, method), column in zip(cases, values.T, strict=True):
            shared = names if method in METHODS[3:] else (name,)
            distance = float(stats.wasserstein_distance(column, truth))
            found += [Result(noise, method, seed, distance) for noise in shared]
    return found


def table(results: Sequence[Result]) -> pd.DataFrame:
    """Return mean and range over the seeds, a row a kind of noise and a column a method; and what is gained on "drop".

    The gain is the mean over the seeds of the distance of drop less that of family, with its standard error.
    """
    rows = []
    for name in dict.fromkeys(one.noise for one in results):
        row: dict[str, object] = {"noise": name, "risk": RISKS[name]}
        found = {
            x: np.array([one.wasserstein for one in results if (one.noise, one.method) == (name, x)]) for x in METHODS
        }
        row |= {x: f"{some.mean():.3f} ({some.min():.3f}-{some.max():.3f})" for x, some in found.items()}
        gain = found["drop"] - found["family"]
        error = gain.std(ddof=1) / math.sqrt(len(gain)) if len(gain) > 1 else math.nan
        row |= {"gain on drop": f"{gain.mean():.3f} ± {error:.3f}", "in seeds": f"{(gain > 0).sum()} of {len(gain)}"}
        rows.append(row)
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the family of the noise is worth."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.family_study", description=main.__doc__)
    parser.add_argument("name", choices=("marginals", "all", *RISKS))
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=Size.steps)
    parser.add_argument("--rows", type=int, default=Size.rows, help=f"readings (default: {Size.rows})")
    parser.add_argument("--exact", type=float, default=Size.exact, help="share of exact readings (default: .05)")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    told: object
    if options.name == "marginals":
        frames = {"total variation": marginals(), "rms error of what Cauchy readings teach": cauchy()}
        print("\n\n".join(f"{title}\n\n{text_table(frame, digits=4)}" for title, frame in frames.items()))
        told = {title: frame.to_dict("records") for title, frame in frames.items()}
    else:
        names = list(RISKS) if options.name == "all" else [options.name]
        results = study(names, options.seed, Size(rows=options.rows, steps=options.steps, exact=options.exact))
        print(text_table(table(results)))
        told = [asdict(one) for one in results]
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
