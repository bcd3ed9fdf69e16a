"""A frozen protocol as data: what is asked of which data, what is hidden, how noisy it is, what is told of that."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from rstime.datasets.missing import PATTERNS
from rstime.datasets.noise import NOISES
from rstime.errors import ConfigError

FORECASTS = ("exchange_rate", "m4_hourly")
IMPUTATIONS = ("etth1", "physionet2012", "beijing_pm25", "air_quality_uci", "shanghai_cgm")
GLUONTS = "gluonts:"
GIVEN = ("beijing_pm25",)
"""Data sets with a split and a mask of their own."""

SENSORS = ("air_quality_uci", "shanghai_cgm")
"""Data sets with a noisy sensor beside its reference."""

TESTED = ("etth1",)
"""Data sets whose test part may be of other noise than the rest."""

GRADES = ("none", "half", "graded")
TOLD = ("true", "scaled", "constant", "none")


@dataclass(frozen=True)
class Protocol:
    """One benchmark, from which `rstime.evaluation.tasks.build` makes the same data on every machine.

    Attributes
    ----------
    name
        Name of the protocol: letters, digits, "-", "_", ".".
    data
        A name of FORECASTS or IMPUTATIONS, or "gluonts:NAME" for a forecast on one of GluonTS's data sets.
    task
        "forecast" or "impute".
    window
        Steps of a window that is imputed; of the context, for a forecast.
    horizon, origins, season
        Steps ahead, how many windows one after another at the end of the data, and steps in a season; of a forecast.
    stride
        Steps from one imputed window to the next; 0 where items are windows.
    split
        Training, validation and test part of the rows, or of the items where there are many: shares, or counts if
        above 1. None where the task or the data set has its own.
    items
        Number of series, spread evenly over the data set; 0 for all.
    pattern, hidden, hidden_in
        Which readings are taken away: a name of `rstime.datasets.missing.PATTERNS`, or "given" for the mask of the data
        set; their share; in "all" parts or in "test" only.
    noise, grade, low, high
        Law of the noise, a name of `rstime.datasets.noise.NOISES`; "none", "half" of the readings at random with sd
        uniform on [low, high], "graded": all, with sd log-uniform on [low, high]; low and high are in standard
        deviations of the variable in the training part. For a data set of SENSORS "sensor": the errors that its sensor
        has, with the risk calibrated on the training part.
    test_noise
        Low and high for the test part, noise on half of its readings, where that part is not as the others: (0, 0) for
        none. Who is hidden and who is noisy does not depend on it. For etth1; () for as the others.
    told, factor
        What models are told of the risk: "true", "scaled" by the factor, "constant" (the root mean square of each
        item's), "none" (0).
    transforms
        Of our models, in every treatment: "none", or "auto" for `rstime.suggest_transforms` of what each is shown.
    seeds
        Of noise, masks, split, fitting and sampling; one run each.
    samples
        Samples of an answer.

    Raises
    ------
    ConfigError
        If a field has another value than these.

    Examples
    --------
    >>> Protocol.from_json(NAMED["exchange-half"].to_json()) == NAMED["exchange-half"]
    True
    """

    name: str
    data: str
    task: str
    window: int
    horizon: int = 0
    origins: int = 1
    season: int = 1
    stride: int = 0
    split: tuple[float, ...] = ()
    items: int = 0
    pattern: str = "random"
    hidden: float = 0.0
    hidden_in: str = "all"
    noise: str = "gaussian"
    grade: str = "none"
    low: float = 0.5
    high: float = 1.0
    test_noise: tuple[float, ...] = ()
    told: str = "true"
    factor: float = 1.0
    transforms: str = "none"
    seeds: tuple[int, ...] = (0, 1, 2)
    samples: int = 100

    def __post_init__(self) -> None:
        for name in ("hidden", "low", "high", "factor"):
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in ("split", "test_noise"):
            object.__setattr__(self, name, tuple(float(part) for part in getattr(self, name)))
        if not self.name or set(self.name) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."):
            raise ConfigError("name", f"{self.name!r}", 'Use letters, digits, "-", "_" and ".".')
        forecasts = self.data in FORECASTS or self.data.startswith(GLUONTS)
        _among("data", self.data, (*FORECASTS, *IMPUTATIONS) if not forecasts else (self.data,))
        _among("task", self.task, ("forecast",) if forecasts else ("impute",))
        _among("pattern", self.pattern, (*PATTERNS, "given") if self.data in GIVEN else tuple(PATTERNS))
        _among("hidden_in", self.hidden_in, ("all", "test"))
        _among("noise", self.noise, tuple(NOISES))
        _among("grade", self.grade, ("sensor",) if self.data in SENSORS else GRADES)
        _among("told", self.told, TOLD)
        _among("transforms", self.transforms, ("none",) if forecasts else ("none", "auto"))
        _least("window", self.window, 1)
        _least("origins", self.origins, 1)
        _least("season", self.season, 1)
        _least("samples", self.samples, 2)
        _least("horizon", self.horizon, 1 if forecasts else 0)
        _least("stride", self.stride, 0)
        _least("items", self.items, 0)
        if not forecasts and self.horizon:
            raise ConfigError("horizon", f"{self.horizon} beside task 'impute'", "Leave it 0.")
        if not 0 <= self.hidden < 1:
            raise ConfigError("hidden", f"{self.hidden} outside [0, 1)", "Give the share of readings that are hidden.")
        if not (0 < self.low <= self.high < math.inf):
            raise ConfigError("low, high", f"{self.low}, {self.high}", "Give 0 < low <= high.")
        if self.test_noise and (self.data not in TESTED or not _between(self.test_noise)):
            problem = f"{list(self.test_noise)} for {self.data}"
            raise ConfigError("test_noise", problem, f"Give low and high, or none, for {', '.join(TESTED)}.")
        if not (0 < self.factor < math.inf):
            raise ConfigError("factor", f"{self.factor}", "Give a positive number.")
        if self.factor != 1 and self.told != "scaled":
            raise ConfigError("factor", f"{self.factor} beside told={self.told!r}", 'Set told to "scaled".')
        if not self.seeds or any(seed < 0 for seed in self.seeds) or len(set(self.seeds)) < len(self.seeds):
            raise ConfigError("seeds", f"{list(self.seeds)}", "Give whole numbers from 0, each once.")
        wanted = 0 if forecasts or self.data in GIVEN else 3
        if len(self.split) != wanted or any(not part > 0 for part in self.split):
            raise ConfigError("split", f"{list(self.split)}", f"Give {wanted or 'no'} positive parts for {self.data}.")

    @property
    def exact(self) -> bool:
        """Whether no reading of any part has noise."""
        return self.grade == "none" and not any(self.test_noise)

    def to_json(self) -> str:
        """Return the protocol as JSON, a line a field."""
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Protocol:
        """Read a protocol from JSON; fields that are absent have their defaults.

        Raises
        ------
        ConfigError
            If the text is no JSON object, a field is unknown, absent, of another type, or out of range.
        """
        try:
            given = json.loads(text)
        except ValueError as error:
            raise ConfigError("protocol", f"no JSON ({error})", "Begin with a protocol.json of another run.") from error
        if not isinstance(given, dict):
            raise ConfigError("protocol", f"a JSON {type(given).__name__}", "Give an object, field by field.")
        kinds = {field.name: str(field.type) for field in fields(cls)}
        for name in given:
            _among("field", name, tuple(kinds))
        for name in ("name", "data", "task", "window"):
            if name not in given:
                raise ConfigError(name, "absent", "Give it.")
        return cls(**{name: _typed(name, value, kinds[name]) for name, value in given.items()})

    @property
    def digest(self) -> str:
        """SHA-256 of what decides the data of a seed, first 12 digits: all but name, transforms, seeds and samples."""
        kept = {
            name: value
            for name, value in asdict(self).items()
            if name not in ("name", "transforms", "seeds", "samples")
        }
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


def find_protocol(name: str) -> Protocol:
    """Return the protocol of this name, or of this JSON file.

    Raises
    ------
    ConfigError
        If there is none, or the file is damaged.
    """
    if name in NAMED:
        return NAMED[name]
    path = Path(name)
    if path.suffix != ".json":
        raise ConfigError("protocol", f"{name!r} is unknown", f"Choose one of {', '.join(NAMED)}, or a .json file.")
    if not path.is_file():
        raise ConfigError("protocol", f"there is no file {path}", "Check the path.")
    return Protocol.from_json(path.read_text(encoding="utf-8"))


def _among(field: str, value: object, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ConfigError(field, f"{value!r} is unknown here", f"Choose one of {', '.join(known)}.")


def _between(noise: tuple[float, ...]) -> bool:
    """Whether this is 0 <= low <= high, with low = 0 for no noise only."""
    return len(noise) == 2 and 0 <= noise[0] <= noise[1] < math.inf and (noise[0] > 0 or noise[1] == 0)


def _least(field: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(field, f"{value}", f"Give at least {least}.")


def _typed(name: str, value: Any, kind: str) -> Any:
    """Check the type of a field of JSON; lists become tuples."""
    if kind.startswith("tuple"):
        inner = kind[len("tuple[") :].split(",")[0]
        if not isinstance(value, list):
            raise ConfigError(name, f"{value!r}", "Give a list.")
        return tuple(_typed(name, part, inner) for part in value)
    allowed: Mapping[str, tuple[type, ...]] = {"str": (str,), "int": (int,), "float": (int, float)}
    if not isinstance(value, allowed[kind]) or isinstance(value, bool):
        words = {"str": "text", "int": "a whole number", "float": "a number"}
        raise ConfigError(name, f"{value!r}", f"Give {words[kind]}.")
    return value


_EXCHANGE = Protocol("exchange-clean", "exchange_rate", "forecast", window=120, horizon=30, origins=5, season=5)
_M4 = Protocol("m4-hourly-clean", "m4_hourly", "forecast", window=168, horizon=48, season=24)
_ETTH1 = Protocol(
    "etth1-clean", "etth1", "impute", 48, stride=120, split=(8640, 2880, 2880), hidden=0.5, seeds=(2026, 2027, 2028)
)
_STAYS = Protocol(
    "physionet-10-clean",
    "physionet2012",
    "impute",
    window=48,
    split=(0.7, 0.1, 0.2),
    pattern="share",
    hidden=0.1,
    hidden_in="test",
    transforms="auto",
)
_PM25 = Protocol(
    "beijing-pm25-clean",
    "beijing_pm25",
    "impute",
    36,
    stride=36,
    pattern="given",
    hidden_in="test",
    transforms="auto",
)
_REAL = Protocol(
    "shanghai-glucose",
    "shanghai_cgm",
    "impute",
    window=96,
    split=(0.5, 0.1, 0.4),
    hidden=0.5,
    hidden_in="test",
    grade="sensor",
)


def _half(clean: Protocol, low: float, high: float, name: str = "half") -> Protocol:
    named = clean.name.replace("clean", name)
    return replace(clean, name=named, grade="half", low=low, high=high, transforms="none")


_ALL = (
    _EXCHANGE,
    _half(_EXCHANGE, 0.5, 0.5),
    replace(_EXCHANGE, name="exchange-graded", grade="graded", low=0.01, high=0.5),
    _M4,
    _half(_M4, 0.5, 0.5),
    replace(_M4, name="m4-hourly-graded", grade="graded", low=0.01, high=0.5),
    replace(_M4, name="m4-hourly-four-clean", origins=4),
    replace(_half(_M4, 0.5, 0.5), name="m4-hourly-four-half", origins=4),
    replace(_M4, name="m4-hourly-50-clean", items=50),
    replace(_half(_M4, 0.5, 0.5), name="m4-hourly-50-half", items=50),
    _ETTH1,
    _half(_ETTH1, 0.5, 1.0, "noisy"),
    replace(_ETTH1, name="etth1-graded", grade="graded", low=0.02, high=1.0),
    *(
        replace(made, name=f"{made.name}-test-{size:g}", test_noise=(size, size))
        for made in (_ETTH1, _half(_ETTH1, 0.5, 1.0, "noisy"))
        for size in (0.0, 0.5, 1.0, 2.0)
    ),
    *(replace(_STAYS, name=f"physionet-{share}-clean", hidden=share / 100) for share in (10, 50, 90)),
    *(
        _half(replace(_STAYS, name=f"physionet-{share}-clean", hidden=share / 100), 0.5, 1.0, "noisy")
        for share in (10, 50, 90)
    ),
    _PM25,
    _half(_PM25, 0.5, 1.0, "noisy"),
    replace(_REAL, name="uci-co", data="air_quality_uci", window=48, stride=48, split=(0.4, 0.1, 0.5)),
    _REAL,
)
NAMED: Mapping[str, Protocol] = {protocol.name: protocol for protocol in _ALL}
"""The protocols that come with rstime, by name."""
