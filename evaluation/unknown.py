"""How well noise of unknown size is found.

    python -m rstime.evaluation.unknown [--seeds 0 1 2] [--parts PART ...] [--quick] [--out FILE]

Simulated Gaussian-process series, 20 of 500 points, signal of variance 1. Figures are estimate / truth.
"""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from rstime.datasets.noise import AR1, Noise, StudentT
from rstime.datasets.simulate import Simulated, device_series, gp_series
from rstime.errors import RstimeWarning
from rstime.model import RiskDiffusion
from rstime.noise_fit import estimate_risk
from rstime.report import text_table
from rstime.risk.estimation import ClassRisk, Estimate, relative, second_differences, wavelet_mad
from rstime.risk.expectation import expectation_maximisation
from rstime.types import Floats, Series

KERNELS = ("ou", "matern32", "seasonal")
RISKS = (0.2, 0.5, 1.0)
DEVICES = (0.2, 0.5, 1.0)
CORRELATED = (0.3, 0.6)
HARD = ("ou, scale 2", 0.2)


@dataclass(frozen=True)
class Size:
    """How much is simulated: series, and points in each."""

    items: int = 20
    length: int = 500


@dataclass(frozen=True)
class Found:
    """One estimate beside its truth.

    Attributes
    ----------
    setting, method
        What was simulated, and how the noise was estimated.
    seed
        Of the data.
    ratio, low, high
        Estimate and its 95 % interval, over the truth.
    note
        What the estimator says of it.
    """

    setting: str
    method: str
    seed: int
    ratio: float
    low: float
    high: float
    note: str

    @property
    def holds(self) -> bool:
        """Whether the interval holds the truth."""
        return self.low <= 1 <= self.high


def beside(setting: str, method: str, seed: int, found: ClassRisk, truth: float) -> Found:
    """Return an estimate over its truth."""
    return Found(setting, method, seed, found.factor / truth, found.low / truth, found.high / truth, found.note)


def pooled(method: Callable[[Floats], Estimate], series: Sequence[Series]) -> ClassRisk:
    """Return one estimate of several series: the mean of squares; the interval shrinks by the root of their number."""
    found = [method(one.value[:, 0]) for one in series]
    sd = math.sqrt(np.mean([one.sd**2 for one in found]))
    half = np.mean([math.log(one.high / one.sd) for one in found]) / math.sqrt(len(found))
    notes = [one.note for one in found if one.note]
    low = 0.0 if notes else sd * math.exp(-half)
    return ClassRisk("x", 0, len(found), sd, low, sd * math.exp(half), notes[0] if notes else "")


def unit(series: Sequence[Series]) -> list[Series]:
    """Return the items with nothing known of their risk."""
    return [relative(one) for one in series]


def gp(kernel: str, risk: float, seed: int, size: Size, missing: float = 0.0, scale: float = 8.0) -> Simulated:
    """Series with one risk everywhere."""
    rng = np.random.default_rng(seed)
    return gp_series(rng, size.items, size.length, kernel, scale, risk=(risk, risk), missing=missing)


def constant(seed: int, size: Size) -> Iterator[Found]:
    """One risk everywhere, by three methods; the likelihood with 30 % missing too."""
    for kernel in KERNELS:
        for risk in RISKS:
            setting, whole = f"{kernel}, sd {risk:g}", gp(kernel, risk, seed, size).series
            yield beside(setting, "second differences", seed, pooled(second_differences, whole), risk)
            yield beside(setting, "wavelet", seed, pooled(wavelet_mad, whole), risk)
            yield beside(setting, "likelihood", seed, estimate_risk(unit(whole)).classes[0], risk)
            holed = gp(kernel, risk, seed, size, 0.3).series
            yield beside(setting, "likelihood, 30 % missing", seed, estimate_risk(unit(holed)).classes[0], risk)


def devices(seed: int, size: Size) -> Iterator[Found]:
    """Three classes of devices, drawn anew for each reading."""
    for kernel in KERNELS:
        rng = np.random.default_rng(seed)
        simulated = device_series(rng, size.items, size.length, kernel, risks=DEVICES, missing=0.3)
        found = estimate_risk(unit(simulated.series), simulated.device).classes
        for one, risk in zip(found, DEVICES, strict=True):
            yield beside(f"{kernel}, device of sd {risk:g}", "likelihood, 30 % missing", seed, one, risk)


def wrong(seed: int, size: Size) -> Iterator[Found]:
    """Risks from .1 to 1 that are all wrong by one factor."""
    for kernel in KERNELS:
        simulated = gp_series(np.random.default_rng(seed), size.items, size.length, kernel)
        for factor in (0.5, 2.0):
            given = [replace(one, risk=one.risk * factor) for one in simulated.series]
            found = estimate_risk(given).classes[0]
            yield beside(f"{kernel}, risks times {factor:g}", "likelihood, 30 % missing", seed, found, 1 / factor)


def trained(seed: int, size: Size) -> Iterator[Found]:
    """EM with a Gaussian model that was fitted at 1.5 times the right risk; refitted with the result, up to twice."""
    for name, risk in (("matern32, sd .5", (0.5, 0.5)), ("matern32, sd .1 to 1", (0.1, 1.0))):
        rng = np.random.default_rng(seed)
        simulated = gp_series(rng, size.items, size.length, "matern32", risk=risk, missing=0.0)
        truth = 1 / 1.5
        given = [replace(one, risk=one.risk * 1.5) for one in simulated.series]
        now = given
        for turn in range(3):
            model = RiskDiffusion("gaussian").fit(now, seed=seed, progress=False)
            found = expectation_maximisation(model, given, samples=20, cycles=4, seed=seed)
            yield beside(
                name, ("EM", "EM, fitted again", "EM, fitted twice again")[turn], seed, found.classes[0], truth
            )
            now = [found.apply(one) for one in given]


def broken(seed: int, size: Size) -> Iterator[Found]:
    """Break what estimators assume: a signal as fast as noise, noise with memory, heavy tails."""
    name, risk = HARD
    fast = gp("ou", risk, seed, size, scale=2.0).series
    yield beside(f"{name}, sd {risk:g}", "likelihood", seed, estimate_risk(unit(fast)).classes[0], risk)
    yield beside(f"{name}, sd {risk:g}", "second differences", seed, pooled(second_differences, fast), risk)
    laws: dict[str, Noise] = {f"AR(1) noise, {keep:g}": AR1(keep) for keep in CORRELATED}
    for name, law in (laws | {"Student-t noise, 3": StudentT(3.0)}).items():
        simulated, rng = gp("matern32", 0.5, seed, size), np.random.default_rng([seed, 1])
        series = [
            replace(one, value=law.apply(rng, truth, one.risk))
            for one, truth in zip(simulated.series, simulated.truth, strict=True)
        ]
        yield beside(f"matern32, sd .5, {name}", "likelihood", seed, estimate_risk(unit(series)).classes[0], 0.5)
        yield beside(f"matern32, sd .5, {name}", "second differences", seed, pooled(second_differences, series), 0.5)
        yield beside(f"matern32, sd .5, {name}", "wavelet", seed, pooled(wavelet_mad, series), 0.5)


PARTS: dict[str, Callable[[int, Size], Iterator[Found]]] = {
    "one risk everywhere": constant,
    "devices": devices,
    "wrong by a factor": wrong,
    "a trained model": trained,
    "assumptions broken": broken,
}


def table(found: Sequence[Found]) -> pd.DataFrame:
    """Return a row a setting and method: the ratios of all seeds, and how many intervals hold the truth."""
    rows = []
    for setting, method in dict.fromkeys((one.setting, one.method) for one in found):
        some = [one for one in found if (one.setting, one.method) == (setting, method)]
        notes = sorted({one.note.split(":")[0] for one in some if one.note})
        rows.append(
            {
                "setting": setting,
                "method": method,
                "estimate / truth": " ".join(f"{one.ratio:.2f}" for one in some),
                "interval": " ".join(f"{one.low:.2f}-{one.high:.2f}" for one in some),
                "hold": f"{sum(one.holds for one in some)} of {len(some)}",
                "note": ", ".join(notes),
            }
        )
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print how well noise of unknown size is found."""
    parser = argparse.ArgumentParser(prog="python -m rstime.evaluation.unknown", description=main.__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true", help="5 series of 100 points")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args(arguments)
    size, every = Size(5, 100) if options.quick else Size(), []
    for part in options.parts:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RstimeWarning)
            found = [one for seed in options.seeds for one in PARTS[part](seed, size)]
        print(f"{part}\n\n{text_table(table(found), group=('setting',))}\n", flush=True)
        every += found
    if options.out is not None:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps([asdict(one) for one in every], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
