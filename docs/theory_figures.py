"""The figures of docs/theory.md, from closed forms and the functions of rstime: no network, nothing trained.

    python docs/theory_figures.py [--out docs/figures]

Every number that a figure shows comes from a function above the pictures; tests/test_theory_figures.py compares them
with closed forms.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.stats import norm

from rstime.datasets.laws import GaussianTruth
from rstime.diffusion.levels import fuse
from rstime.diffusion.loss import perturb, target, weight
from rstime.diffusion.samplers import default_levels, multistep
from rstime.diffusion.sde import SDE, SDES, VP
from rstime.evaluation.family_marginals import total_variation
from rstime.plotting import BAND90, CYCLE, FAINT, READING, TRUTH, tidy
from rstime.risk.families import Cauchy, Family, Laplace, StudentT, Uniform
from rstime.types import Floats

BLUE, ORANGE, GREEN = CYCLE[:3]
DASHED = (0, (4, 2))
PEAKS, SPREAD = (-1.0, 1.0), 0.3
"""Clean values of figures 1 and 5: two equal Gaussians of sd SPREAD."""


def tensor(*values: float) -> torch.Tensor:
    """Return float64 values as a tensor."""
    return torch.tensor(values, dtype=torch.float64)


# -- numbers ----------------------------------------------------------------------------------------------------------


def densities(sde: SDE, risk: float, t: float, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the densities at time t of clean samples, and of noisy ones in the plain and the risk-sensitive SDE."""
    u, v, added = (float(part(tensor(t))) for part in (sde.u, sde.v, lambda time: sde.v_risk(tensor(risk), time)))
    spreads = (math.hypot(u * SPREAD, v), math.hypot(u * SPREAD, u * risk, v), math.hypot(u * SPREAD, u * risk, added))
    clean, plain, sensitive = (sum(norm.pdf(x, u * peak, sd) for peak in PEAKS) / 2 for sd in spreads)
    return np.asarray(clean), np.asarray(plain), np.asarray(sensitive)


def distance(one: Floats, two: Floats, x: Floats) -> float:
    """Return the total variation between two densities on a grid."""
    return float(np.abs(one - two).sum() * (x[1] - x[0]) / 2)


def ratio(sde: SDE, risk: float, t: torch.Tensor) -> torch.Tensor:
    """Return noise over signal of a reading of this risk at the times t, sqrt(r^2 + v(r, t)^2 / u^2)."""
    return torch.hypot(tensor(risk), sde.v_risk(tensor(risk), t) / sde.u(t))


def regression(risk: float, tau: float, signal: float = 1.0, noise: float | None = None) -> tuple[float, float]:
    """Return the gains of the best linear predictions from m of the target and of y itself.

    Parameters
    ----------
    risk
        What the loss is told.
    tau
        Level, above the risk.
    signal, noise
        Variance of the clean value and sd of the reading's independent error; the risk itself by default.
    """
    basis = torch.eye(3, dtype=torch.float64)  # clean value, error of the reading, added noise
    y = math.sqrt(signal) * basis[0] + (risk if noise is None else noise) * basis[1]
    r, level = tensor(risk), tensor(tau)
    m, taught = perturb(y, r, level, basis[2]), target(y, r, level, basis[2])[0]
    return float(taught @ m / (m @ m)), float(y @ m / (m @ m))


def learned_variance(risk: float, tau: float = 1.5) -> float:
    """Return the variance of clean data that estimates x = m + r e of data of variance 1 teach (Berkson).

    The gain k of the target belongs to data of variance k tau^2 / (1 - k).
    """
    gain, _ = regression(risk, tau, signal=1 - risk**2, noise=0.0)
    return gain * tau**2 / (1 - gain)


def efficiency(risk: float, tau: Floats) -> Floats:
    """Return the weight of a reading over that of an exact one, V q / (q V + r^2), of white data of variance 1."""
    variance = torch.from_numpy(tau**2 / (1 + tau**2))
    levels = torch.from_numpy(tau)
    return np.asarray(weight(torch.full_like(levels, risk), levels, variance) * variance)


def process(stamps: int = 60, length: float = 5.0) -> GaussianTruth:
    """Return a Gaussian process of variance 1 with a Matern-3/2 correlation."""
    lag = np.abs(np.subtract.outer(np.arange(stamps), np.arange(stamps))) / length
    return GaussianTruth(np.zeros(stamps), (1 + lag) * np.exp(-lag))


def readings(law: GaussianTruth, seed: int = 4) -> tuple[Floats, Floats, Floats]:
    """Return a clean path, its readings and their risks: close, noisy, none in a gap and at the end."""
    rng = np.random.default_rng(seed)
    stamp = np.arange(len(law.mean))
    clean = law.draw(rng, 1)[0]
    risk = np.select(
        [(stamp % 3 != 0) | ((stamp > 22) & (stamp < 34)) | (stamp > 50), stamp % 2 == 0], [np.inf, 0.6], 0.1
    )
    return clean, clean + np.where(np.isfinite(risk), risk, 0) * rng.standard_normal(len(clean)), risk


def conditioned(law: GaussianTruth, tau: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return gain and covariance (N, N) of a process of mean 0 seen through m = x + tau e; tau inf where absent."""
    covariance = torch.from_numpy(law.covariance)
    root = torch.diag(1 / tau)
    gain = covariance @ root @ torch.linalg.solve(root @ covariance @ root + torch.eye(len(tau)), root)
    return gain, covariance - gain @ covariance


def sample_path(law: GaussianTruth, y: Floats, risk: Floats, noise: torch.Tensor, evaluations: int) -> torch.Tensor:
    """Return where the default sampler, fused with the readings, takes each noise (S, N), but for the last draw."""
    value, r = torch.from_numpy(y), torch.from_numpy(risk)

    def denoise(state: torch.Tensor, s: float) -> torch.Tensor:
        m, tau = fuse(state, s, value, r)
        return m @ conditioned(law, tau)[0].T

    levels = default_levels(evaluations)
    return denoise(multistep(denoise, noise, levels), levels[-1])


def covariance_error(law: GaussianTruth, y: Floats, risk: Floats, evaluations: int) -> float:
    """Return the relative error of the sampler's covariance: it is affine in its noise, so nothing is drawn."""
    n = len(y)
    ends = sample_path(law, y, risk, torch.cat([torch.zeros(1, n), torch.eye(n)]).double(), evaluations)
    linear = ends[1:] - ends[0]
    last = torch.full((n,), default_levels(evaluations)[-1], dtype=torch.float64)
    _, tau = fuse(torch.zeros(n).double(), last, torch.from_numpy(y), torch.from_numpy(risk))
    found = linear.T @ linear + conditioned(law, tau)[1]
    want = torch.from_numpy(law.posterior(y, risk).covariance)
    return float(torch.linalg.norm(found - want) / torch.linalg.norm(want))


def believed(x: torch.Tensor, s: float, peaks: Sequence[float], spread: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and variance of x0 given x0 + s e = x, x0 of equal Gaussians at the peaks."""
    centre = tensor(*peaks)
    if math.isinf(s):
        return centre.mean().expand_as(x), (spread**2 + centre.var(unbiased=False)).expand_as(x)
    total = spread**2 + s**2
    share = torch.softmax(-((x[:, None] - centre) ** 2) / (2 * total), -1)
    means = centre + spread**2 / total * (x[:, None] - centre)
    mean = (share * means).sum(-1)
    return mean, (share * means**2).sum(-1) - mean**2 + spread**2 * s**2 / total


def exit_laws(
    s: float, x: Floats, peaks: Sequence[float] = PEAKS, spread: float = SPREAD
) -> tuple[Floats, Floats, Floats]:
    """Return the distribution functions on a grid: of clean values, of D alone at the exit s, of the draw from there.

    A thousand quantiles of pure noise go down to the level s; D keeps their order, and the draw adds Var[x | x(s)].
    """
    noise = torch.from_numpy(norm.ppf((np.arange(1000) + 0.5) / 1000))
    state = multistep(lambda z, level: believed(z, level, peaks, spread)[0], noise, default_levels(65, s))
    mean, variance = (part.numpy() for part in believed(state, s, peaks, spread))
    clean = np.mean([norm.cdf(x, peak, spread) for peak in peaks], axis=0)
    alone = np.interp(x, mean, (np.arange(1000) + 0.5) / 1000)
    return clean, alone, norm.cdf(x[:, None], mean, np.sqrt(variance)).mean(1)


def coverage(law: Floats, clean: Floats, nominal: Floats) -> Floats:
    """Return the share of clean values inside the central bands of a law, both as distribution functions on a grid."""
    low, high = (np.interp((1 + sign * nominal) / 2, law, clean) for sign in (-1, 1))
    return np.asarray(high - low)


# -- pictures ---------------------------------------------------------------------------------------------------------


def marginals() -> Figure:
    """Draw noisy samples before, at and after t*(r), beside clean ones."""
    figure, panels = _figure(3, 3.0)
    sde, risk, x = VP(), 0.6, np.linspace(-6, 6, 1201)
    start = float(sde.start(tensor(risk)))
    for axes, (name, t) in zip(panels, (("before: .5", 0.5), ("at", 1.0), ("after: 1.5", 1.5)), strict=True):
        clean, plain, sensitive = densities(sde, risk, t * start, x)
        axes.fill_between(x, clean, color=FAINT, alpha=0.4, linewidth=0, label="clean samples")
        axes.plot(x, plain, color=ORANGE, linestyle=DASHED, label="noisy, plain SDE")
        axes.plot(x, sensitive, color=BLUE, label="noisy, risk-sensitive SDE")
        far = (distance(clean, plain, x), distance(clean, sensitive, x))
        tidy(axes, f"{name} t*\ntotal variation {far[0]:.3f} plain, {far[1]:.3f} sensitive")
        axes.set(xlim=(-3, 3), ylim=(0, None), yticks=[])
    return _legend(figure, panels[0])


def levels() -> Figure:
    """Draw noise over signal in time: clean data, and readings of three risks that wait for their start."""
    figure, panels = _figure(4, 3.0)
    for axes, kind in zip(panels, SDES, strict=True):
        sde, t = kind(), torch.linspace(1e-4, 0.999, 800, dtype=torch.float64)
        axes.plot(t, sde.level(t), color=TRUTH, linewidth=3, alpha=0.35, label="clean data: tau = v / u")
        for risk, colour in zip((0.1, 0.5, 2.0), CYCLE, strict=False):
            axes.plot(t, ratio(sde, risk, t), color=colour, label=f"risk {risk:g}")
            axes.plot(float(sde.start(tensor(risk))), risk, "o", color=colour, markersize=4)
        axes.set(yscale="log", ylim=(0.02, 30), xlabel="t")
        tidy(axes, f"{kind.__name__}: noise over signal")
    return _legend(figure, panels[0])


def loss() -> Figure:
    """Draw what an entry teaches over the level: gain of the target, its sd, its weight."""
    figure, panels = _figure(3, 3.1)
    tau = np.geomspace(0.05, 20, 400)
    risks = (0.2, 0.5, 1.0)
    panels[0].plot(tau, 1 / (1 + tau**2), color=TRUTH, linewidth=3, alpha=0.35, label="exact entry")
    panels[1].plot(tau, 0 * tau, color=TRUTH, linewidth=3, alpha=0.35)
    panels[2].plot(tau, 0 * tau + 1, color=TRUTH, linewidth=3, alpha=0.35)
    for risk, colour in zip(risks, CYCLE, strict=False):
        above = tau[tau > risk * 1.0001]
        gains = np.array([regression(risk, level) for level in above.tolist()])
        panels[0].plot(above, gains[:, 0], color=colour, label=f"risk {risk:g}")
        panels[0].plot(above, gains[:, 1], color=colour, linestyle=DASHED)
        panels[1].plot(above, risk / np.sqrt(1 - (risk / above) ** 2), color=colour)
        panels[2].plot(above, efficiency(risk, above), color=colour)
    names = (
        "gain learned from m\n(dashed: y itself as target)",
        "sd of the target around x",
        "weight over that of an exact entry",
    )
    for axes, name in zip(panels, names, strict=True):
        axes.set(xscale="log", xlabel="level tau")
        tidy(axes, name)
    panels[1].set(ylim=(-0.1, 4))
    return _legend(figure, panels[0])


def fusion() -> Figure:
    """Draw fusion of one entry, and paths of the fused sampler in the exact posterior band."""
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    x, (y, r), (state, s) = np.linspace(-2.5, 3, 500), (1.2, 0.6), (0.2, 0.8)
    m, tau = (float(part) for part in fuse(tensor(state), s, tensor(y), tensor(r)))
    for centre, sd, colour, name in (
        (0.0, 1.0, FAINT, "prior"),
        (y, r, READING, "measurement (y, r)"),
        (state, s, GREEN, "state (x(s), s)"),
        (m, tau, BLUE, "fused (m, tau)"),
        (m / (1 + tau**2), tau / math.hypot(1, tau), TRUTH, "posterior, mean D"),
    ):
        left.plot(x, norm.pdf(x, centre, sd), color=colour, label=name)
    tidy(left, "one entry")
    left.set(yticks=[], ylim=(0, 1.25))
    left.legend(frameon=False, fontsize=8, loc="upper left")
    law = process()
    clean, value, risk = readings(law)
    exact, stamp, seen = law.posterior(value, risk), np.arange(len(clean)), np.isfinite(risk)
    spread = 1.645 * np.sqrt(exact.covariance.diagonal())
    right.fill_between(
        stamp, exact.mean - spread, exact.mean + spread, color=BAND90, linewidth=0, label="exact 90 % band"
    )
    noise = torch.randn(3, len(clean), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for index, path in enumerate(sample_path(law, value, risk, noise, 13)):
        right.plot(stamp, path, color=BLUE, linewidth=1, alpha=0.8, label=None if index else "samples, 13 evaluations")
    right.plot(stamp, clean, color=TRUTH, linewidth=1.4, label="truth")
    style = {"fmt": "o", "color": READING, "markersize": 3, "elinewidth": 0.8}
    right.errorbar(stamp[seen], value[seen], yerr=risk[seen], label="reading ± risk", **style)
    tidy(right, f"a process: error of the covariance {covariance_error(law, value, risk, 13):.3f}")
    right.set(xlabel="time", ylim=(-3.2, 3.6))
    right.legend(frameon=False, fontsize=8, ncols=4, loc="upper left")
    return figure


def leaving() -> Figure:
    """Draw what is returned at the exit: D alone, and the draw around it."""
    figure, panels = _figure(2, 3.3)
    x = np.linspace(-4, 4, 1601)
    middle = (x[1:] + x[:-1]) / 2
    clean, alone, drawn = exit_laws(0.6, x)
    panels[0].fill_between(
        middle, np.diff(clean) / np.diff(x), color=FAINT, alpha=0.4, linewidth=0, label="clean values"
    )
    panels[0].plot(middle, np.diff(alone) / np.diff(x), color=ORANGE, linestyle=DASHED, label="D alone")
    panels[0].plot(middle, np.diff(drawn) / np.diff(x), color=BLUE, label="draw from N(D, Var)")
    tidy(panels[0], "exit at level .6: density")
    panels[0].set(xlim=(-2.5, 2.5), ylim=(0, 1.6), yticks=[])
    stops = np.linspace(0.05, 1.2, 9)
    for name, law in (("two peaks", (PEAKS, SPREAD)), ("one Gaussian", ((0.0,), 1.0))):
        laws = [exit_laws(s, x, *law) for s in stops.tolist()]
        for part, colour, style in ((1, ORANGE, DASHED), (2, BLUE, "-")):
            found = [float(coverage(one[part], one[0], np.array(0.9))) for one in laws]
            marker = "o" if name == "two peaks" else "s"
            panels[1].plot(stops, found, color=colour, linestyle=style, marker=marker, markersize=4)
    panels[1].axhline(0.9, color=FAINT, linewidth=0.8)
    tidy(panels[1], "share of clean values inside 90 % bands\n(circles: the two peaks; squares: one Gaussian of sd 1)")
    panels[1].set(xlabel="level of the exit, sd", ylim=(0.5, 1))
    return _legend(figure, panels[0])


NOISES: tuple[tuple[str, Family, float], ...] = (
    ("uniform, sd .46", Uniform(), 0.8 / math.sqrt(3)),
    ("Laplace, sd .57", Laplace(), 0.4 * math.sqrt(2)),
    ("Student-t 3, sd .52", StudentT(3.0), 0.3 * math.sqrt(3)),
    ("Cauchy, half width .3", Cauchy(), 0.3),
)


def families() -> Figure:
    """Draw the total variation to the clean marginal over the level, with c(kappa) taken off and with nothing."""
    figure, panels = _figure(4, 3.0)
    grid = np.geomspace(0.5, 4, 9)
    for axes, (name, family, risk) in zip(panels, NOISES, strict=True):
        for matched, colour, label in ((False, ORANGE, "noise ignored"), (True, BLUE, "c r² taken off")):
            found = [total_variation(family, risk, level, matched) for level in grid.tolist()]
            axes.plot(grid, found, color=colour, linestyle="-" if matched else DASHED, label=label)
        axes.set(xscale="log", yscale="log", ylim=(1e-6, 0.5), xlabel="level tau", xticks=[0.5, 1, 2, 4])
        axes.set_xticklabels(["0.5", "1", "2", "4"])
        axes.minorticks_off()
        tidy(axes, name)
    panels[0].set_ylabel("total variation", fontsize=9)
    return _legend(figure, panels[0])


def berkson() -> Figure:
    """Draw what estimates teach that were taken for measurements."""
    figure, panels = _figure(2, 3.1)
    risk = np.linspace(0, 0.7, 71)
    panels[0].axhline(1, color=TRUTH, linewidth=3, alpha=0.35)
    panels[0].plot(risk, 1 - risk**2, color=GREEN, linestyle=DASHED)
    panels[0].plot(risk, 1 - 2 * risk**2, color=ORANGE)
    dots = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    panels[0].plot(dots, [learned_variance(one) for one in dots], "o", color=ORANGE, markersize=4)
    tidy(panels[0], "variance of the clean law that is learned\n(dots: rstime's target and input)")
    panels[0].set(xlabel="sd r of the estimates, x = m + r e", ylim=(0, 1.1))
    x = np.linspace(-3, 3, 400)
    panels[1].plot(x, norm.pdf(x), color=TRUTH, linewidth=3, alpha=0.35, label="the truth: 1")
    panels[1].plot(x, norm.pdf(x, scale=0.8), color=GREEN, linestyle=DASHED, label="estimates taken as exact: 1 - r²")
    short = math.sqrt(learned_variance(0.6))
    panels[1].plot(x, norm.pdf(x, scale=short), color=ORANGE, label="taken for measurements: 1 - 2 r²")
    tidy(panels[1], "densities at r = .6")
    panels[1].set(yticks=[], ylim=(0, None))
    return _legend(figure, panels[1])


FIGURES: dict[str, Callable[[], Figure]] = {
    "marginals": marginals,
    "levels": levels,
    "loss": loss,
    "fusion": fusion,
    "exit": leaving,
    "families": families,
    "berkson": berkson,
}


def _figure(columns: int, height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(10, height), layout="constrained")
    return figure, list(figure.subplots(1, columns))


def _legend(figure: Figure, axes: Axes) -> Figure:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures of docs/theory.md."""
    parser = argparse.ArgumentParser(prog="python docs/theory_figures.py", description=main.__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "figures", help="folder for the pictures")
    folder: Path = parser.parse_args(arguments).out
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        draw().savefig(folder / f"{name}.png", dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main()
