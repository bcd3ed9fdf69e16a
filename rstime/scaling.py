"""Location and scale per channel, learned from noisy, incomplete data; risk is carried along.

The model's coordinate of a variable is (transform(value) - location) / scale. Noise must be Gaussian there
(theory, section 1), so the transform comes first and the risk is taken through it: r -> r |transform'(y)|.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rstime.errors import ConfigError, DataError, ModelFileError, RstimeWarning
from rstime.transforms import LARGEST_RELATIVE_RISK, Transform
from rstime.types import Bools, Floats, Series
from rstime.windows import LARGEST_RISK

SMALLEST_SHARE = 0.05
"""The clean variance is taken as at least this share of the variance of the values, and as its standard error."""

REACH = 3.0
"""Scales beyond the training readings within which samples of a transformed variable stay, and beyond which readings
are astray."""

FEW = 20
"""Readings of a variable below which a warning names it: to 1 / sqrt(2 (n - 1)), a sixth, its spread is then known."""

NEAR = 5
"""Readings around one, itself included, that tell whether it is astray."""


@dataclass(frozen=True, eq=False)
class Scaler:
    """Location and scale of every variable and covariate.

    Attributes
    ----------
    variables
        The C variables of the model, in its order.
    transform
        (C,) texts that Transform.parse reads.
    location, scale
        (C,) in transformed units.
    static_names, static_location, static_scale
        (S,) of the numbers that describe an item.
    known_names, known_location, known_scale
        (K,) of the covariates known at every stamp.
    low, high
        (C,) smallest and largest training reading in transformed units; samples of transformed variables stay within
        REACH scales of them, and readings farther off are astray.
    """

    variables: tuple[str, ...]
    transform: tuple[str, ...]
    location: Floats
    scale: Floats
    static_names: tuple[str, ...]
    static_location: Floats
    static_scale: Floats
    known_names: tuple[str, ...]
    known_location: Floats
    known_scale: Floats
    low: Floats
    high: Floats

    @classmethod
    def fit(cls, series: Sequence[Series], transforms: Mapping[str, str] | None = None) -> Scaler:
        """Learn location and scale from all observations, each channel by itself.

        scale^2 = var(y) - mean(r^2), both with weights 1 / (V + r^2)^2, so that nearly missing entries do not spoil
        them; V is the variance of the less noisy half. At least 5 % of var(y); a constant channel has scale 1. Warnings
        name variables of fewer than FEW readings, and those with readings whose sd is above LARGEST_RISK scales.

        Parameters
        ----------
        series
            Items; a variable counts if any item names it.
        transforms
            "log", "logit:low,high" or "asinh:centre,width" by variable; all others "none".

        Raises
        ------
        DataError
            If there is no item, covariates differ between items, or a transform does not suit a value or its risk.
        ConfigError
            If a transform is unknown, or names an unknown variable.
        """
        if not series:
            raise DataError("series", "no item", "Give at least one.")
        transforms = transforms or {}
        variables = tuple(dict.fromkeys(name for one in series for name in one.variables))
        for name in transforms:
            if name not in variables:
                raise ConfigError("transforms", f"unknown variable {name!r}", f"Known ones: {_listed(variables)}.")
        transform = tuple(transforms.get(name, "none") for name in variables)
        first = series[0]
        for one in series:
            _columns("static", one.static_names, first.static_names, one.item_id)
            _columns("known", one.known_names, first.known_names, one.item_id)
        aligned = [_aligned(one, variables, transform) for one in series]
        for one in series:
            _refuse_noisy(one, transforms)
        value, risk = (np.concatenate(part) for part in zip(*aligned, strict=True))
        seen = np.isfinite(risk)
        both = list(zip(value.T, seen.T, strict=True))
        moments = [location_scale(value[rows, column], risk[rows, column]) for column, rows in enumerate(seen.T)]
        _warn_of_counts(variables, seen, seen & (risk <= LARGEST_RISK * _split(moments)[1]))
        static = [_plain_moments(column) for column in np.array([one.static for one in series]).T]
        known = [_plain_moments(column) for column in np.concatenate([one.known for one in series]).T]
        return cls(
            variables,
            transform,
            *_split(moments),
            first.static_names,
            *_split(static),
            first.known_names,
            *_split(known),
            *_split([(column[rows].min(), column[rows].max()) if rows.any() else (0.0, 0.0) for column, rows in both]),
        )

    def scale_series(self, series: Series) -> Series:
        """Return the item in the coordinate of the model: its variables in order, risk scaled along.

        Variables that the item does not have are missing and not asked; static numbers not known become 0, the mean.
        Readings `too_noisy` for a transform are told with more risk, or as missing: see `Transform.carry`.

        Raises
        ------
        DataError
            If a variable or covariate is unknown, a covariate is absent, or a transform does not suit a value.
        """
        value, risk = _aligned(series, self.variables, self.transform)
        asked = np.zeros(value.shape, dtype=bool)
        asked[:, [self.variables.index(name) for name in series.variables]] = series.asked
        static = series.static[_columns("static", series.static_names, self.static_names, series.item_id)]
        known = series.known[:, _columns("known", series.known_names, self.known_names, series.item_id)]
        return replace(
            series,
            variables=self.variables,
            value=(value - self.location) / self.scale,
            risk=risk / self.scale,
            asked=asked,
            static=np.nan_to_num((static - self.static_location) / self.static_scale),
            static_names=self.static_names,
            known=(known - self.known_location) / self.known_scale,
            known_names=self.known_names,
        )

    def too_noisy(self, series: Series) -> Bools:
        """Return which readings of an item have more risk than the transform of their variable suits: (T, C)."""
        known = {name: text for name, text in zip(self.variables, self.transform, strict=True) if text != "none"}
        return _too_noisy(series, known)

    def astray(self, scaled: Series) -> Floats:
        """Return how far readings of an item in the coordinate of the model lie from all that is known: (T, C).

        That is from all of training, and from the median of the NEAR readings around each, if there are three: what
        most of them say is believed. Less REACH scales and as many risks, 0 for all that are nearer. Where training saw
        no or a single value of a variable nothing is far.
        """
        low, high = ((end - self.location) / self.scale for end in (self.low, self.high))
        room = REACH * (1 + scaled.risk)
        beyond = np.maximum(scaled.value - high, low - scaled.value) - room
        beyond = np.where(scaled.observed & (high > low), np.maximum(beyond, 0.0), 0.0)
        for column in np.flatnonzero(beyond.any(0)):
            rows = scaled.observed[:, column]
            value = scaled.value[rows, column]
            if len(value) > NEAR // 2:
                near = np.lib.stride_tricks.sliding_window_view(np.pad(value, NEAR // 2, constant_values=np.nan), NEAR)
                off = np.abs(value - np.nanmedian(near, axis=1)) - room[rows, column]
                beyond[rows, column] = np.minimum(beyond[rows, column], np.maximum(off, 0.0))
        return beyond

    def wary(self, scaled: Series) -> Series:
        """Return the item with less trust in readings astray: their distance is a further error, r^2 + distance^2."""
        return replace(scaled, risk=np.hypot(scaled.risk, self.astray(scaled)))

    def seen(self, variable: str) -> tuple[float, float]:
        """Return the smallest and the largest training reading of a variable, in its units."""
        place = self.variables.index(variable)
        transform = Transform.parse(self.transform[place])
        low, high = (float(transform.invert(np.array(end[place]))) for end in (self.low, self.high))
        return low, high

    def unscale_samples(self, samples: NDArray[Any], variables: Sequence[str] | None = None) -> Floats:
        """Take samples (..., C) of the model back to the units of the variables; `variables` picks and orders them.

        Where a variable is transformed, REACH scales beyond all readings of the training data are the end: what is
        straight in the model's coordinate grows exponentially out there, and one sample in thousands would be absurd.
        """
        names = self.variables if variables is None else tuple(variables)
        places = [self.variables.index(name) for name in names]
        y = np.asarray(samples[..., places], dtype=np.float64) * self.scale[places] + self.location[places]
        for column, place in enumerate(places):
            if self.transform[place] != "none":
                reach = REACH * self.scale[place]
                y[..., column] = y[..., column].clip(self.low[place] - reach, self.high[place] + reach)
            y[..., column] = Transform.parse(self.transform[place]).invert(y[..., column])
        return y

    def to_dict(self) -> dict[str, Any]:
        """Return the scaler as lists that JSON can hold."""
        return {name: np.asarray(getattr(self, name)).tolist() for name in self.__dataclass_fields__}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Scaler:
        """Read the scaler back.

        Raises
        ------
        ModelFileError
            If an entry is absent or of the wrong length, or a scale is not positive.
        """
        try:
            parts: dict[str, Any] = {name: state[name] for name in cls.__dataclass_fields__}
            for name in ("variables", "transform", "static_names", "known_names"):
                parts[name] = tuple(str(text) for text in parts[name])
            for prefix, names in (("", "variables"), ("static_", "static_names"), ("known_", "known_names")):
                for name in (f"{prefix}location", f"{prefix}scale"):
                    parts[name] = np.array(parts[name], dtype=np.float64)
                    if parts[name].shape != (len(parts[names]),) or not np.all(np.isfinite(parts[name])):
                        raise ValueError(f"{name} has shape {parts[name].shape} or is not finite")
                if np.any(parts[f"{prefix}scale"] <= 0):
                    raise ValueError(f"{prefix}scale is not positive")
            parts |= {end: np.array(parts[end], dtype=np.float64) for end in ("low", "high")}
            if not (parts["low"].shape == parts["high"].shape == parts["scale"].shape):
                raise ValueError("low or high has another length than variables")
            if not np.all(parts["low"] <= parts["high"]):
                raise ValueError("low is above high")
            if len([Transform.parse(text) for text in parts["transform"]]) != len(parts["variables"]):
                raise ValueError("transform has another length than variables")
        except (KeyError, TypeError, ValueError) as error:
            raise ModelFileError("scaler", f"cannot be read ({error})", "Save the model again.") from error
        return cls(**parts)


def _aligned(series: Series, variables: tuple[str, ...], transform: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Values and risks (T, C) of one item for these variables, in transformed units."""
    shape = (len(series.time), len(variables))
    value, risk = np.full(shape, np.nan), np.full(shape, np.inf)
    for column, name in enumerate(series.variables):
        if name not in variables:
            problem = f"unknown variable {name!r} in item {series.item_id!r}"
            raise DataError("variable", problem, f"The model knows {_listed(variables)}.")
        place = variables.index(name)
        value[:, place], risk[:, place] = series.value[:, column], series.risk[:, column]
        if transform[place] != "none":
            seen, where = series.observed[:, column], f"of variable {name!r} in item {series.item_id!r}"
            value[seen, place], risk[seen, place] = _forward(
                Transform.parse(transform[place]), value[seen, place], risk[seen, place], where
            )
    return value, risk


def _forward(transform: Transform, value: Floats, risk: Floats, where: str) -> tuple[Floats, Floats]:
    """Transform observations (N,) and carry their risk along."""
    distance = transform.distance(value)
    if np.any(distance <= 0):
        problem = f"{value[distance <= 0][0]} {where} is not inside ({transform.low}, {transform.high})"
        raise DataError("value", problem, "Correct it, widen the bounds, or fit without the transform.")
    return transform.apply(value), transform.carry(value, risk)


def _too_noisy(series: Series, transforms: Mapping[str, str]) -> Bools:
    """Which readings (T, C) have more risk than the transforms suit."""
    found = np.zeros(series.value.shape, dtype=bool)
    for column, name in enumerate(series.variables):
        if name in transforms:
            rows, transform = series.observed[:, column], Transform.parse(transforms[name])
            found[rows, column] = transform.too_noisy(series.value[rows, column], series.risk[rows, column])
    return found


def _refuse_noisy(series: Series, transforms: Mapping[str, str]) -> None:
    """Nothing is learned through a transform that bends too much over the risk."""
    for row, column in np.argwhere(_too_noisy(series, transforms))[:1]:
        name, risk, value = series.variables[column], series.risk[row, column], series.value[row, column]
        transform = Transform.parse(transforms[name])
        problem = f"{risk} of variable {name!r} in item {series.item_id!r}"
        problem += f", above {LARGEST_RELATIVE_RISK} times {transform.means} of {value}"
        raise DataError("sd", problem, transform.remedy)


def _warn_of_counts(variables: tuple[str, ...], seen: Bools, used: Bools) -> None:
    """Name variables with readings (N, C) that are not used, and with only few that are."""
    counts = list(zip(variables, seen.sum(0).tolist(), used.sum(0).tolist(), strict=True))
    lost = ", ".join(f"{have - left} of {have} of {name!r}" for name, have, left in counts if left < have)
    if lost:
        problem = f"sd: more than {LARGEST_RISK:g} times what the variable varies by in readings {lost}"
        warnings.warn(f"{problem}; these count as missing. Correct their sd.", RstimeWarning, stacklevel=4)
    few = ", ".join(f"{name!r} ({left})" for name, _, left in counts if 0 < left < FEW)
    if few:
        problem = f"variable: few readings of {few}; what a model answers there is hardly more than a guess"
        warnings.warn(f"{problem}. Fit to more of them, or leave them out.", RstimeWarning, stacklevel=4)


def slips(y: Floats) -> Bools:
    """Which of the values (N,) lie farther from all the others than REACH times what these span: slips of the pen.

    At most a hundredth of them, or three, at either end; the span is that of those between. Heavy tails have no such
    gap. None of fewer than FEW.

    Examples
    --------
    >>> slips(np.append(np.linspace(60, 120, 30), [981.0, 867.0])).nonzero()[0]
    array([30, 31])
    """
    found = np.zeros(len(y), dtype=bool)
    most = max(3, len(y) // 100)
    if len(y) < FEW:
        return found
    order = np.argsort(y)
    span = y[order[-1 - most]] - y[order[most]]
    gap = (np.diff(y[order]) > REACH * span) & (span > 0)
    low, high = np.flatnonzero(gap[:most]), np.flatnonzero(gap[::-1][:most])
    found[order[: low.max(initial=-1) + 1]] = True
    found[order[len(y) - 1 - high.max(initial=-1) :]] = True
    return found


def location_scale(y: Floats, r: Floats) -> tuple[float, float]:
    """Location and scale of a channel from values y (N,) with risks r (N,)."""
    if not len(y):
        return 0.0, 1.0
    r = np.minimum(r, 1e100)
    spread = float(np.var(y[r <= np.median(r)])) or float(np.var(y)) or 1.0
    weight = ((spread + r.min() ** 2) / (spread + r**2)) ** 2
    weight /= weight.sum()
    location = float(weight @ y)
    variance = float(weight @ (y - location) ** 2)
    if variance <= 1e-24 * location**2:  # constant up to rounding
        return location, 1.0
    error = min(1.0, (2 / max(len(y) - 1, 1)) ** 0.5)  # relative standard error of a variance of so few values
    return location, max(variance - float(weight @ r**2), max(error, SMALLEST_SHARE) * variance) ** 0.5


def within_blocks(y: Floats, r: Floats, block: NDArray[np.int_]) -> float:
    """Spread of the clean values around the mean of their block, from values y (N,) with risks r (N,); 0 if unknown.

    With V a first guess, from the less noisy half, and weights w = 1 / (V + r^2), E (y_i - mean)^2 = (V + r_i^2)
    (1 - w_i / sum w). At least as large a share of the spread of the values as in `location_scale`.
    """
    low = r <= np.median(r)
    guess = _pooled(y[low], r[low] * 0, block[low], 1.0)[0]
    for _ in range(2):
        raw, noise, count = _pooled(y, r, block, guess or 1.0)
        guess = max(raw - noise, max(min(1.0, (2 / max(count - 1, 1)) ** 0.5), SMALLEST_SHARE) * raw)
    return float(guess**0.5)


def _pooled(y: Floats, r: Floats, block: NDArray[np.int_], variance: float) -> tuple[float, float, float]:
    """Return mean squares around the means of blocks, those of the noise, and the number of values behind them."""
    weight = 1 / (variance + np.minimum(r, 1e100) ** 2)
    _, place = np.unique(block, return_inverse=True)
    total = np.bincount(place, weight)[place]
    residual = y - np.bincount(place, weight * y)[place] / total
    left = 1 - weight / total
    several = left > 1e-9
    if not several.any():
        return 0.0, 0.0, 0.0
    w = weight[several] ** 2
    mean = float(w @ (residual[several] ** 2 / left[several]) / w.sum())
    return mean, float(w @ r[several] ** 2 / w.sum()), float(w.sum() ** 2 / (w**2).sum())


def _plain_moments(column: Floats) -> tuple[float, float]:
    """Mean and standard deviation of a covariate, where it is known."""
    present = column[np.isfinite(column)]
    return location_scale(present, np.zeros_like(present))


def _split(moments: Sequence[tuple[float, float]]) -> tuple[Floats, Floats]:
    table = np.array(moments, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _columns(kind: str, have: tuple[str, ...], want: tuple[str, ...], item_id: str) -> list[int]:
    """Where the covariates that the model wants are among those that an item has."""
    if set(have) != set(want):
        problem = f"covariates {_listed(have)} in item {item_id!r} where {_listed(want)} are expected"
        raise DataError(kind, problem, "Give every item, in fit and prediction, the same covariates.")
    return [have.index(name) for name in want]


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "(none)"
