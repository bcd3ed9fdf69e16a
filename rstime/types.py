"""The three things that travel: Series (what was measured), Batch (what a network sees), Posterior (the answer)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rstime.errors import ConfigError, DataError

if TYPE_CHECKING:
    from torch import Tensor

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


def _empty() -> Floats:
    return np.empty(0)


def _stamps(time: NDArray[Any], where: str) -> NDArray[Any]:
    """Stamps as datetime64[ns] or float64, checked."""
    time = np.asarray(time)
    dates = np.issubdtype(time.dtype, np.datetime64)
    if not dates and not np.issubdtype(time.dtype, np.number):
        raise DataError("time", f"dtype {time.dtype} in {where}", "Give dates (datetime64) or numbers.")
    time = time.astype("datetime64[ns]" if dates else np.float64)
    if not np.all(time[1:] > time[:-1]) or not np.all(np.isfinite(time)):
        raise DataError("time", f"not strictly increasing in {where}", "Sort the stamps and fuse repeats.")
    return time


@dataclass(frozen=True, eq=False)
class Series:
    """One item: measurements of C variables at T time stamps, each with its risk.

    Attributes
    ----------
    item_id
        Name of the item (patient, station, ...).
    time
        (T,) strictly increasing, datetime64[ns] (UTC where `timezone` is set) or float64.
    variables
        The C names of the variables.
    value
        (T, C) in the units of each variable; NaN exactly where `risk` is inf.
    risk
        (T, C) standard deviation of the measurement error in the units of `value`; 0 exact, inf missing.
    asked
        (T, C) entries whose clean value is wanted; all of them by default (None).
    static, static_names
        (S,) numbers that describe the item as a whole; NaN where not known.
    known, known_names
        (T, K) covariates known at every stamp, the future included.
    timezone
        Time zone to write stamps back in; None for naive stamps.

    Raises
    ------
    DataError
        If shapes disagree, time does not increase, risk is negative or NaN, or a value is not finite.
    """

    item_id: str
    time: NDArray[Any]
    variables: tuple[str, ...]
    value: Floats
    risk: Floats
    asked: Bools = None  # type: ignore[assignment]  # becomes an array
    static: Floats = field(default_factory=_empty)
    static_names: tuple[str, ...] = ()
    known: Floats = None  # type: ignore[assignment]  # becomes an array
    known_names: tuple[str, ...] = ()
    timezone: str | None = None

    def __post_init__(self) -> None:
        shape = (len(self.time), len(self.variables))
        where = f"item {self.item_id!r}"
        self._become("time", _stamps(self.time, where))
        for name, default in (("asked", np.ones(shape, dtype=bool)), ("known", np.empty((shape[0], 0)))):
            given = getattr(self, name)
            self._become(name, default if given is None else np.asarray(given, dtype=default.dtype))
        for name, want in (
            ("value", shape),
            ("risk", shape),
            ("asked", shape),
            ("static", (len(self.static_names),)),
            ("known", (shape[0], len(self.known_names))),
        ):
            found = np.shape(getattr(self, name))
            if found != want:
                raise DataError(name, f"shape {found} where {want} was expected in {where}", "Give one row a stamp.")
            if name != "asked":
                self._become(name, np.asarray(getattr(self, name), dtype=np.float64))
        wrong = np.isnan(self.risk) | (self.risk < 0)
        if np.any(wrong):
            remedy = "Risk is a standard deviation: 0 exact, inf missing."
            raise DataError("risk", f"{self.risk[wrong][0]} in {where}", remedy)
        self._become("value", np.where(np.isinf(self.risk), np.nan, self.value))
        if not np.all(np.isfinite(self.value[np.isfinite(self.risk)])):
            raise DataError("value", f"not finite in {where}", "Set the risk of missing entries to inf.")
        if not np.all(np.isfinite(self.known)):
            raise DataError("known", f"not finite in {where}", "Known covariates need a value at every stamp.")

    def _become(self, name: str, array: NDArray[Any]) -> None:
        object.__setattr__(self, name, array)

    @property
    def observed(self) -> Bools:
        """(T, C) where a measurement exists."""
        return np.isfinite(self.risk)

    def rows(self, rows: slice) -> Series:
        """Return some stamps of the item."""
        return replace(
            self, **{name: getattr(self, name)[rows] for name in ("time", "value", "risk", "asked", "known")}
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """B windows in the coordinate of the model, padded to T stamps.

    Padding rows have risk inf and nothing asked, so that no token stands for them.

    Attributes
    ----------
    value
        (B, T, C) scaled values, 0 where missing.
    risk
        (B, T, C) scaled risk, inf where missing.
    time
        (B, T) real time in steps of the model since the start of the window.
    covariates
        (B, T, K) calendar, static and known covariates, scaled.
    asked
        (B, T, C) entries to be answered.
    key
        (B, T) int64 that names each stamp of each item, for noise that does not depend on batching.
    """

    value: Tensor
    risk: Tensor
    time: Tensor
    covariates: Tensor
    asked: Tensor
    key: Tensor

    def to(self, device: Any) -> Batch:
        """Return the same batch on another device."""
        return Batch(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Posterior:
    """Samples of the clean signal of one item, given everything that was measured.

    Attributes
    ----------
    series
        What was measured and asked.
    samples
        (S, T, C) joint samples in the units of the variables; NaN where nothing was asked.
    """

    series: Series
    samples: NDArray[Any]

    def __post_init__(self) -> None:
        want = self.series.value.shape
        if self.samples.ndim != 3 or self.samples.shape[1:] != want:
            raise DataError("samples", f"shape {self.samples.shape} where (S, {want[0]}, {want[1]}) was expected")

    @property
    def mean(self) -> Floats:
        """(T, C) posterior mean."""
        return np.asarray(self.samples.mean(0), dtype=np.float64)

    @property
    def std(self) -> Floats:
        """(T, C) posterior standard deviation."""
        ddof = 1 if len(self.samples) > 1 else 0
        return np.asarray(self.samples.std(0, ddof=ddof), dtype=np.float64)

    @property
    def median(self) -> Floats:
        """(T, C) posterior median."""
        return self.quantile(0.5)

    def quantile(self, level: float | Sequence[float]) -> Floats:
        """Quantiles of each entry, (T, C) for one level and (L, T, C) for a sequence of L levels.

        Rank / (S + 1) of the S samples: bands of a calibrated model then hold their share for any S.
        """
        return np.asarray(np.quantile(self.samples, level, axis=0, method="weibull"), dtype=np.float64)

    def interval(self, coverage: float = 0.9) -> tuple[Floats, Floats]:
        """Lower and upper end, each (T, C), of the central interval that holds the clean value with this chance.

        Raises
        ------
        ConfigError
            If the chance is not between 0 and 1.
        """
        if not 0 < coverage < 1:
            raise ConfigError("coverage", f"{coverage}", "Give a share between 0 and 1, such as 0.9.")
        low, high = self.quantile([(1 - coverage) / 2, (1 + coverage) / 2])
        return low, high
