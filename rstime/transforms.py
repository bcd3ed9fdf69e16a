"""Maps of a variable to a line on which it is nearer to a Gaussian, and which of them a table asks for.

Noise must be Gaussian in the coordinate of the model (theory, section 1), so the transform comes first and the risk is
taken through it: r -> r |transform'(y)|, which is refused where the map bends too much over r.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rstime.errors import ConfigError
from rstime.types import Bools, Floats, Series

LARGEST_RELATIVE_RISK = 0.2
"""Nothing is learned where risk exceeds this share of the distance to the bound (of an asinh, of 1 / slope), and there
answers believe it less: the bias of a transform is no longer small."""

FEWEST = 100
"""Readings of a variable from which its tails are judged."""

LEAST_GAIN = 0.05
"""Nats a reading that an asinh must gain for `suggest_transforms` to name it, and another to be named instead."""

ROOM = 1.1
"""How much larger a risk may be in later readings than in those that an asinh was suggested for."""


@dataclass(frozen=True)
class Transform:
    """A map of one variable to the real line: none, log (low < value), logit (low < value < high), or `Asinh`.

    Attributes
    ----------
    low, high
        Bounds of the variable; infinite where there is none.
    """

    low: float = -np.inf
    high: float = np.inf
    means: ClassVar[str] = "the distance to a bound"
    remedy: ClassVar[str] = "Widen the bounds, or fit without the transform."

    @classmethod
    def parse(cls, text: str) -> Transform:
        """Read "none", "log", "logit:low,high" or "asinh:centre,width".

        Raises
        ------
        ConfigError
            If the text is none of these.

        Examples
        --------
        >>> Transform.parse("logit:0,100")
        Transform(low=0.0, high=100.0)
        """
        if text == "none":
            return cls()
        if text == "log":
            return cls(low=0.0)
        name, _, numbers = text.partition(":")
        try:
            first, second = (float(number) for number in numbers.split(","))
        except ValueError:
            first = second = -np.inf
        if name == "logit" and -np.inf < first < second < np.inf:
            return cls(first, second)
        if name == "asinh" and np.isfinite(first) and 0 < second < np.inf:
            return Asinh(centre=first, width=second)
        known = 'Use "none", "log", "logit:low,high" or "asinh:centre,width".'
        raise ConfigError("transform", f"{text!r} is not one", known)

    def apply(self, value: Floats) -> Floats:
        """Map values to the real line: log(value - low), or the log of (value - low) / (high - value)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if np.isinf(self.low):
                return value
            below = np.log(value - self.low)
            return below if np.isinf(self.high) else below - np.log(self.high - value)

    def invert(self, y: NDArray[Any]) -> NDArray[Any]:
        """Map back to the units of the variable."""
        if np.isinf(self.low):
            return y
        if np.isinf(self.high):
            return np.asarray(self.low + np.exp(y))
        return np.asarray(self.low + (self.high - self.low) / (1 + np.exp(-np.clip(y, -500, 500))))

    def slope(self, value: Floats) -> Floats:
        """Return the derivative of the map: 1 / (value - low) for log, plus 1 / (high - value) for logit."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if np.isinf(self.low):
                return np.ones_like(value)
            return 1 / (value - self.low) + 1 / (self.high - value)  # the second term is 0 without an upper bound

    def distance(self, value: Floats) -> Floats:
        """Distance to the nearest bound; negative outside."""
        return np.minimum(value - self.low, self.high - value)

    def too_noisy(self, value: Floats, risk: Floats) -> Bools:
        """Return where the map bends too much over the risk for the noise to stay Gaussian."""
        return np.asarray(risk > LARGEST_RELATIVE_RISK * self.distance(value))

    def carry(self, value: Floats, risk: Floats) -> Floats:
        """Return the risk of values in the coordinate: r transform'(y), and more where that is too noisy.

        There it is the farther of the images of y - r and y + r, and infinite, for missing, where r reaches the bound
        (of an asinh, the width there). A Gaussian prior in the coordinate with such readings then has 90 % bands that
        hold 89 to 90 %; with r transform'(y) 87 to 89 (`tests/test_transforms.py`).
        """
        here, distance = self.apply(value), self.distance(value)
        with np.errstate(invalid="ignore"):
            farther = np.maximum(self.apply(value + risk) - here, here - self.apply(value - risk))
            carried = np.where(self.too_noisy(value, risk), farther, risk * self.slope(value))
        return np.where(risk < distance, carried, np.inf)


@dataclass(frozen=True)
class Asinh(Transform):
    """asinh((value - centre) / width): straight near the centre, a log far out on either side; for heavy tails.

    Any value has a place in it, so that zeros, negative readings and outliers are no obstacle.

    Attributes
    ----------
    centre, width
        Where the map is straight, and for how far.
    """

    centre: float = 0.0
    width: float = 1.0
    means: ClassVar[str] = "the width there"
    remedy: ClassVar[str] = "Let it count as missing (sd inf), or fit without the transform."

    def apply(self, value: Floats) -> Floats:
        """Map values to the real line."""
        return np.asarray(np.arcsinh((value - self.centre) / self.width))

    def invert(self, y: NDArray[Any]) -> NDArray[Any]:
        """Map back to the units of the variable."""
        return np.asarray(self.centre + self.width * np.sinh(np.clip(y, -500, 500)))

    def slope(self, value: Floats) -> Floats:
        """Return the derivative of the map: 1 / sqrt(width^2 + (value - centre)^2)."""
        return 1 / self.distance(value)

    def distance(self, value: Floats) -> Floats:
        """Over how far the map is nearly straight: 1 / slope."""
        return np.hypot(self.width, value - self.centre)


def suggest_transforms(series: Sequence[Series], without: Sequence[str] = ()) -> dict[str, str]:
    """Return "asinh:centre,width" for each variable with heavy tails; the others stay as they are.

    Candidates are an asinh around the median, or from the fifth or the 95th percentile towards it. Each is taken if a
    Gaussian in it gives the readings a likelihood (Box and Cox 1964, sec. 3) that beats what was taken before, at first
    the values as they are, by LEAST_GAIN. No width is below ROOM times the largest risk over LARGEST_RELATIVE_RISK:
    where noise is large the map is a straight line and gains nothing.

    Parameters
    ----------
    series
        Items to learn from; of no others is anything asked.
    without
        Variables that stay as they are.

    Examples
    --------
    >>> import numpy as np
    >>> value = np.exp(np.random.default_rng(0).normal(size=(500, 1)))
    >>> one = Series("a", np.arange(500.0), ("x",), value, np.zeros((500, 1)))
    >>> suggest_transforms([one])
    {'x': 'asinh:0.2264,0.7246'}
    """
    found = {}
    for name in dict.fromkeys(name for one in series for name in one.variables if name not in without):
        columns = [(one, one.variables.index(name)) for one in series if name in one.variables]
        value = np.concatenate([one.value[one.observed[:, k], k] for one, k in columns])
        risk = np.concatenate([one.risk[one.observed[:, k], k] for one, k in columns])
        best = 0.0
        enough = len(value) >= FEWEST and np.ptp(value) > 0
        for text in _candidates(value, float(risk.max())) if enough else ():
            gain = _gain(value, Transform.parse(text))
            if gain >= best + LEAST_GAIN:
                best, found[name] = gain, text
    return found


def _candidates(value: Floats, risk: float) -> list[str]:
    """Name the transforms of a variable from its quantiles: widths to four digits, centres to 1/1000 of a width."""
    low, first, middle, third, high = np.quantile(value, [0.05, 0.25, 0.5, 0.75, 0.95])
    least = ROOM * risk / LARGEST_RELATIVE_RISK
    pairs = ((middle, (third - first) / 1.349), (low, middle - low), (high, high - middle))
    wide = [(centre, max(width, least)) for centre, width in pairs if max(width, least) > 0]
    digits = [4 + math.ceil(math.log10(max(abs(centre) / width, 1))) for centre, width in wide]
    return [f"asinh:{centre:.{more}g},{width:.4g}" for (centre, width), more in zip(wide, digits, strict=True)]


def _gain(value: Floats, transform: Transform) -> float:
    """Nats a reading: log density of a Gaussian in the coordinate, in the units of the value, over one without it."""
    spread = np.std(transform.apply(value))
    return float(np.log(np.std(value) / spread) + np.log(transform.slope(value)).mean()) if spread > 0 else 0.0
