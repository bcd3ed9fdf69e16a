"""Noise that is not Gaussian, by variable: what a model takes its readings for, and what they may teach (theory 5).

Every reading counts as Gaussian noise of its risk, in context, fusion and the Gaussian model. The family matters only
where it teaches: it is raised to a level with the effective risk sqrt(c) r in the place of r, from a safe level on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rstime.axis import duration, is_calendar
from rstime.errors import ConfigError, ModelFileError
from rstime.risk.correlated import Correlated
from rstime.risk.families import Family, Gaussian, family_named
from rstime.risk.matching import effective, safe_level
from rstime.risk.tabulated import CutCauchy, cut_sd, read_family
from rstime.types import Floats, Series

CUT = 4.0
"""Readings of a law without variance are missing farther than this many sd of the clean signal from its median."""

LARGEST_RATIO = 200.0
"""Of that to the half width, for the shape of what is left; noise that is smaller still hardly matters."""


@dataclass(frozen=True)
class Noise:
    """The noise of one variable.

    Attributes
    ----------
    family
        Its law.
    location, bound
        Readings farther than `bound` from `location`, in the units of the variable, are missing. Where the bound is
        finite, risks given are half widths of Cauchy noise, and become the sd of what is left of it.
    """

    family: Family
    location: float = 0.0
    bound: float = math.inf

    def taken(self, y: Floats, risk: Floats) -> Floats:
        """Return the risks that readings are taken at, of their shape: inf beyond a finite bound."""
        if math.isinf(self.bound):
            return risk
        kept = np.isfinite(risk) & ((np.abs(y - self.location) <= self.bound) | (risk == 0))
        return np.where(kept, cut_sd(np.where(kept, risk, 0.0), self.bound), np.inf)


@dataclass(frozen=True)
class NoiseRule:
    """Families of noise, the same in fit and answers.

    Attributes
    ----------
    variables
        Noise by variable; Gaussian where nothing is said.
    """

    variables: Mapping[str, Noise] = field(default_factory=dict)

    @classmethod
    def learn(
        cls,
        families: Mapping[str, str | Family],
        series: Sequence[Series],
        transforms: Mapping[str, str],
        mode: str = "known",
    ) -> NoiseRule:
        """Return the rule of these families, with bounds found in the data for laws that have no variance.

        Such readings are cut where |y - median| exceeds CUT sd of the clean signal. That this is a test on y, which the
        theory forbids, biases by less than the tails would: the chance to be cut hardly depends on the clean value, if
        this lies well inside.

        Raises
        ------
        ConfigError
            If a family or variable is unknown; if a memory has a unit where stamps are numbers, or none where they are
            dates; if a law has no variance where a variable is transformed, or where risk is not known (`mode`, see
            RiskRule) but learned by a Gaussian likelihood.
        """
        known = tuple(dict.fromkeys(name for one in series for name in one.variables))
        found = {}
        for name, given in families.items():
            if name not in known:
                raise ConfigError("noise", f"unknown variable {name!r}", f"Known ones: {', '.join(known)}.")
            family = noise_named(given)
            _check_units(name, given, is_calendar(series[0].time))
            if math.isinf(family.variance):
                if transforms.get(name, "none") != "none" or mode != "known":
                    why = "which is transformed" if mode == "known" else f"with risk={mode!r}"
                    raise ConfigError("noise", f"{family.kind} noise of {name!r}, {why}", "Leave one of the two out.")
                found[name] = _cut([one for one in series if name in one.variables], name)
            elif isinstance(family, Correlated) and mode != "known":
                problem = f"{family.kind} noise of {name!r}, with risk={mode!r}"
                raise ConfigError("noise", problem, "Leave one of the two out: noise that lasts looks like signal.")
            elif type(family) is not Gaussian:
                found[name] = Noise(family)
        return cls(found)

    def apply(self, series: Sequence[Series]) -> list[Series]:
        """Return items with the risks that the model works with; what is cut is missing."""
        cut = any(noise.bound < math.inf for noise in self.variables.values())
        return [self._apply(one) for one in series] if cut else list(series)

    def _apply(self, one: Series) -> Series:
        risk = one.risk.copy()
        for column, name in enumerate(one.variables):
            noise = self.variables.get(name)
            if noise is not None:
                risk[:, column] = noise.taken(one.value[:, column], one.risk[:, column])
        return replace(one, risk=risk)

    def families(self, variables: Sequence[str]) -> tuple[Family, ...]:
        """Return the family of each channel; none at all where all are Gaussian."""
        return tuple(self._laws(variables)) if self.variables else ()

    def _laws(self, variables: Sequence[str]) -> list[Family]:
        return [self.variables[name].family if name in self.variables else Gaussian() for name in variables]

    def correlated(self, variables: Sequence[str], step: float) -> list[list[list[float]]]:
        """Return by channel (share, memory in steps) pairs of its errors that last; [] where none do."""
        laws = self._laws(variables)
        parts = [
            [[share, memory / step] for share, memory in zip(law.shares, law.memories, strict=True)]
            if isinstance(law, Correlated)
            else []
            for law in laws
        ]
        return parts if any(parts) else []

    def white(self, variables: Sequence[str]) -> Tensor:
        """Return by channel, (C,), the share of its risk that is left when errors that last are taken off."""
        laws = self._laws(variables)
        return torch.tensor([math.sqrt(law.white) if isinstance(law, Correlated) else 1.0 for law in laws])

    def to_dict(self) -> dict[str, Any]:
        """Return what JSON can hold."""
        return {
            name: {"family": one.family.to_dict(), "location": one.location, "bound": one.bound}
            for name, one in self.variables.items()
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> NoiseRule:
        """Read the rule back.

        Raises
        ------
        ModelFileError
            If an entry is absent or of another kind.
        """
        try:
            return cls(
                {
                    name: Noise(read_family(one["family"]), float(one["location"]), float(one["bound"]))
                    for name, one in state.items()
                }
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelFileError("noise", f"cannot be read ({error})", "Save the model again.") from error


def noise_named(given: str | Family) -> Family:
    """Return the family of a name, of errors that last written as SHARE@MEMORY+..., or the family itself.

    Raises
    ------
    ConfigError
        If the name is unknown, or a share or memory is not one.

    Examples
    --------
    >>> noise_named("0.5@6h+0.3@10d")
    Correlated(shares=(0.5, 0.3), memories=(21600.0, 864000.0))
    """
    if isinstance(given, Family) or "@" not in given:
        return family_named(given)
    parts = [part.partition("@") for part in given.split("+")]
    try:
        shares = tuple(float(share) for share, _, _ in parts)
    except ValueError:
        remedy = "Write SHARE@MEMORY, such as 0.5@6h, joined by +."
        raise ConfigError("noise", f"{given!r} has a share that is not a number", remedy) from None
    return Correlated(shares, tuple(_memory(memory) for _, _, memory in parts))


def _memory(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return duration(text)


def _check_units(name: str, given: str | Family, calendar: bool) -> None:
    """Refuse memories of a variable that are written for stamps of the other kind."""
    parts = given.split("+") if isinstance(given, str) and "@" in given else []
    for memory in (part.partition("@")[2] for part in parts):
        unit = memory.strip()[-1:].isalpha()
        if unit == calendar:
            continue
        problem, remedy = "where stamps are numbers", "Give a number, in the unit of the stamps."
        if calendar:
            problem, remedy = "without a unit, where stamps are dates", "Give a count and a unit, such as 30min or 6h."
        raise ConfigError("noise", f"memory {memory!r} in {given!r} of {name!r} {problem}", remedy)


def meet(families: Sequence[Family], risk: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """Return the risks and levels at which entries meet the loss: sqrt(c) r at tau where tau is safe, else r at r.

    Parameters
    ----------
    families
        Of the C channels; none for Gaussian noise, of which nothing changes.
    risk, tau
        (B, T, C) scaled risks, inf where there is no entry, and levels of at least the risk.
    """
    if not families:
        return risk, tau
    met, level = risk.clone(), tau.clone()
    for channel, family in enumerate(families):
        seen = torch.isfinite(risk[..., channel]) & (risk[..., channel] > 0)
        if not isinstance(family, Gaussian) and bool(seen.any()):
            r, t = risk[..., channel][seen], tau[..., channel][seen]
            matched = torch.from_numpy(effective(family, r.numpy(), t.numpy())).to(r.dtype)
            safe = t >= family.margin * matched
            met[..., channel][seen] = torch.where(safe, matched, r)
            level[..., channel][seen] = torch.where(safe, t, r)
    return met, level


def safe_levels(families: Sequence[Family], smallest: Tensor) -> Tensor:
    """Return the level from which each channel teaches, (C,), of its smallest risk in sd."""
    if not families:
        return smallest
    pairs = zip(families, smallest.tolist(), strict=True)
    return torch.tensor([safe_level(family, risk) for family, risk in pairs], dtype=smallest.dtype)


def _cut(series: Sequence[Series], name: str) -> Noise:
    """Bound the readings of a variable with Cauchy noise by the location and spread of its clean values."""
    columns = [(one.value[:, i], one.risk[:, i]) for one in series for i in [one.variables.index(name)]]
    y, h = (np.concatenate(part) for part in zip(*columns, strict=True))
    seen = np.isfinite(h)
    location, spread = clean_spread(y[seen], h[seen]) if seen.any() else (0.0, 1.0)
    bound, noisy = CUT * spread, h[seen & (h > 0)]
    ratio = min(bound / float(np.median(noisy)), LARGEST_RATIO) if len(noisy) else CUT
    return Noise(CutCauchy(ratio), location, bound)


def clean_spread(y: Floats, half_width: Floats) -> tuple[float, float]:
    """Return median and sd of the clean values behind readings with Cauchy noise.

    E exp(i w y + w h) is the clean chi(w), whose modulus is about exp(-w^2 sd^2 / 2) at w = 1 / (robust sd of y). The
    result is kept between a twentieth of that in variance, as in `rstime.scaling`, and twice that.

    Parameters
    ----------
    y, half_width
        (N,) readings and half widths h of their noise, 0 where exact; N at least 1.
    """
    centre = float(np.median(y))
    robust = 1.4826 * float(np.median(np.abs(y - centre))) or 1.0
    damp = np.exp(-half_width / robust)
    chi = abs(np.sum(damp * np.exp(1j * (y - centre) / robust))) / np.sum(damp**2)
    variance = -2 * math.log(max(chi, 1e-300)) * robust**2
    return centre, math.sqrt(min(max(variance, 0.05 * robust**2), 4 * robust**2))
