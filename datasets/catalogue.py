"""The data sets that have a loader: what they are, whose they are, and which official files they are read from.

A digest stands here only where it was taken from the official file itself, or where independent public records of that
file agree on it. Files without one are never fetched: `by_hand` says what to do.

ETTh1, ETTh2, exchange rates, M4 and Victoria: from the files of the commits in the addresses. PM2.5 and UCI: from
copies kept unchanged; the digest of the UCI file stands in many public records too. PhysioNet, ETTm1, ETTm2: as
recorded at github.com/randolf-scholz/tsdm and, for PhysioNet, github.com/ExpectationMax/medical_ts_datasets, which
agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

from rstime.errors import ConfigError


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes
    ----------
    path
        Where it lies below the root.
    url
        Its official address, or that of the zip archive it is in; empty if it has to be brought by hand.
    sha256
        Digest of the file; empty if none is known.
    size
        Length in bytes; None if not known.
    member
        Its name in the zip archive at `url`; empty if it is at `url` itself.
    also
        Other forms in which the loader takes it, in the order of preference.
    """

    path: str
    url: str = ""
    sha256: str = ""
    size: int | None = None
    member: str = ""
    also: tuple[str, ...] = ()

    @property
    def forms(self) -> tuple[str, ...]:
        """All paths below the root that the loader takes, the quickest to read first."""
        return (*self.also, self.path)


@dataclass(frozen=True)
class DataSet:
    """One data set.

    Attributes
    ----------
    name
        How the command line calls it.
    title
        What it is, in a few words.
    licence, citation, page
        Terms, source to cite, and address of the official page.
    files
        What the loader reads.
    by_hand
        What to do where a file cannot be fetched.
    """

    name: str
    title: str
    licence: str
    citation: str
    page: str
    files: tuple[File, ...]
    by_hand: str = ""


_ETT = "https://raw.githubusercontent.com/zhouhaoyi/ETDataset/1d16c8f4f943005d613b5bc962e9eeb06058cf07/ETT-small/"
_ETT_LICENCE = "CC BY-ND 4.0"
_INFORMER = "Zhou et al., Informer, AAAI 2021"
_LSTNET = "https://raw.githubusercontent.com/laiguokun/multivariate-time-series-data/7f402f185cc2435b5e66aed13a3b560ed142e023/"
_M4 = "https://raw.githubusercontent.com/Mcompetitions/M4-methods/6c1067e5a57161249b17289a565178dc7a3fb3ca/Dataset/"
_PHYSIONET = "https://physionet.org/files/challenge-2012/1.0.0/"
_SILVA = "Silva et al., Computing in Cardiology 2012; Goldberger et al., Circulation 101(23), 2000"
_STMVL = "https://www.microsoft.com/en-us/research/wp-content/uploads/2016/06/STMVL-Release.zip"
_TSIBBLE = "https://raw.githubusercontent.com/tidyverts/tsibbledata/a9c811a5ca1748df885491a4bcebe024c9d48e08/"


def _ett(name: str, step: str, sha256: str, size: int | None) -> DataSet:
    return DataSet(
        name.lower(),
        f"Transformer {name[-1]}: load and oil temperature, {step}, two years",
        _ETT_LICENCE,
        _INFORMER,
        "https://github.com/zhouhaoyi/ETDataset",
        (File(f"{name.lower()}/{name}.csv", f"{_ETT}{name}.csv", sha256, size),),
    )


def _physionet(part: str, sha256: str, size: int) -> DataSet:
    folder = f"physionet2012_set_{part}"
    return DataSet(
        f"physionet2012-{part}",
        f"Intensive care, set-{part}: 4,000 stays of 48 hours, 37 variables",
        "ODC-By 1.0",
        _SILVA,
        "https://physionet.org/content/challenge-2012/1.0.0/",
        (
            File(
                f"{folder}/set-{part}.tar.gz",
                f"{_PHYSIONET}set-{part}.tar.gz",
                sha256,
                size,
                also=(f"{folder}/observations.csv.gz",),
            ),
        ),
    )


def _pm25(name: str, sha256: str, size: int, also: tuple[str, ...] = ()) -> File:
    return File(f"beijing_pm25_36/{name}", _STMVL, sha256, size, f"Code/STMVL/SampleData/{name}", also)


CATALOGUE: tuple[DataSet, ...] = (
    _physionet("a", "8cb250f179cd0952b4b9ebcf8954b63d70383131670fac1cfee13deaa13ca920", 6632372),
    _physionet("b", "b1637a2a423a8e76f8f087896cfc5fdf28f88519e1f4e874fbda69b2a64dac30", 6652690),
    DataSet(
        "air_quality_uci",
        "Five gas sensors beside a reference analyser, hourly, 13 months",
        "CC BY 4.0",
        "De Vito et al., Sensors and Actuators B 129(2), 2008; doi 10.24432/C59K5F",
        "https://archive.ics.uci.edu/dataset/360/air+quality",
        (
            File(
                "air_quality_uci/AirQualityUCI.csv",
                "https://archive.ics.uci.edu/static/public/360/air+quality.zip",
                "13277ae5d8581e80b7be09d47c7d3d06fe9b8e957078f2cf6e859f955e62f996",
                785065,
                member="AirQualityUCI.csv",
                also=("air_quality_uci/air_quality_uci.csv.gz",),
            ),
        ),
    ),
    DataSet(
        "shanghai_cgm",
        "Glucose sensor beside fingersticks, 15 minutes, 112 people",
        "CC BY 4.0",
        "Zhao et al., Scientific Data 10, 35, 2023; doi 10.1038/s41597-023-01940-7",
        "https://doi.org/10.6084/m9.figshare.c.6310860",
        (File("shanghai_cgm_cbg/shanghai_cgm_cbg.csv.gz"),),
        "The page has one workbook a recording. Put all their rows under one another in a CSV file with the columns "
        "cohort (T1DM or T2DM), patient, visit, timestamp, cgm_mg_dl, cbg_mg_dl and blood_ketone_mmol_l.",
    ),
    DataSet(
        "hall2018_cgm",
        "Glucose sensor, every 5 minutes, 57 adults",
        "CC BY 4.0",
        "Hall et al., PLoS Biology 16(7): e2005143, 2018; doi 10.1371/journal.pbio.2005143",
        "https://doi.org/10.1371/journal.pbio.2005143.s010",
        (File("cgm_hall2018/pbio.2005143.s010", also=("cgm_hall2018/cgm_hall2018.csv.gz",)),),
        'The page gives "S1 Data", a table with tabs; unpack it if it comes packed.',
    ),
    DataSet(
        "beijing_pm25",
        "PM2.5 of 36 stations, hourly, one year, with scoring mask",
        "none stated",
        "Yi, Zheng, Zhang, Li, ST-MVL, IJCAI 2016",
        "https://www.ijcai.org/Proceedings/16/Papers/384.pdf",
        (
            _pm25(
                "pm25_ground.txt",
                "8f77b738ae4c50621705a308e606e6229564ad7ad20358986bd6031355f0ab5f",
                1098878,
                ("beijing_pm25_36/pm25_ground.txt.gz",),
            ),
            _pm25(
                "pm25_missing.txt",
                "3f991eab5bbc5e644e61360e6b71ce45179c86cf650b3bb9a53771d8f9953fe3",
                1022029,
                ("beijing_pm25_36/pm25_missing.txt.gz",),
            ),
        ),
    ),
    _ett("ETTh1", "hourly", "f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066", 2589657),
    _ett("ETTh2", "hourly", "a3dc2c597b9218c7ce1cd55eb77b283fd459a1d09d753063f944967dd6b9218b", 2417960),
    _ett("ETTm1", "15 minutes", "6ce1759b1a18e3328421d5d75fadcb316c449fcd7cec32820c8dafda71986c9e", None),
    _ett("ETTm2", "15 minutes", "db973ca252c6410a30d0469b13d696cf919648d0f3fd588c60f03fdbdbadd1fd", None),
    DataSet(
        "exchange_rate",
        "Eight currencies against the US dollar, daily, 7,588 days",
        "none stated",
        "Lai, Chang, Yang, Liu, LSTNet, SIGIR 2018, arXiv 1703.07015",
        "https://github.com/laiguokun/multivariate-time-series-data",
        (
            File(
                "exchange_rate/exchange_rate.txt.gz",
                f"{_LSTNET}exchange_rate/exchange_rate.txt.gz",
                "6a4fbb561dcdee43f071a83badbeec9223a335552278348656738b556f1c2e9d",
                177142,
            ),
        ),
    ),
    DataSet(
        "m4_hourly",
        "M4 competition: 414 hourly series, 48 hours to forecast",
        "none stated",
        "Makridakis, Spiliotis, Assimakopoulos, International Journal of Forecasting 36, 2020",
        "https://github.com/Mcompetitions/M4-methods",
        (
            File(
                "m4_hourly/Hourly-train.csv",
                f"{_M4}Train/Hourly-train.csv",
                "ea59b7783573c49077a835ab6465c7d66f1474783360f310988a9a737fbca62f",
                2347115,
                also=("m4_hourly/Hourly-train.csv.gz",),
            ),
            File(
                "m4_hourly/Hourly-test.csv",
                f"{_M4}Test/Hourly-test.csv",
                "71a57fccb15e534d973626ada4fb87febf789e9317715b7cc6dd3b5f90db6f42",
                132820,
                also=("m4_hourly/Hourly-test.csv.gz",),
            ),
        ),
    ),
    DataSet(
        "vic_elec",
        "Electricity demand and temperature, half-hourly, three years",
        "GPL-3, with attribution",
        "Australian Energy Market Operator; O'Hara-Wild et al., R package tsibbledata",
        "https://github.com/tidyverts/tsibbledata",
        (
            File(
                "vic_elec/vic_elec.rda",
                f"{_TSIBBLE}data/vic_elec.rda",
                "82e38b6532879f880fd19d911ccf37fcb896018100606e412f26f98a9a16f7f8",
                525550,
                also=("vic_elec/vic_elec.csv.gz",),
            ),
        ),
    ),
)


def entry(name: str) -> DataSet:
    """Return the data set of this name.

    Raises
    ------
    ConfigError
        If there is none; the message has the names that come near.

    Examples
    --------
    >>> entry("etth1").licence
    'CC BY-ND 4.0'
    """
    names = {data.name: data for data in CATALOGUE}
    if name in names:
        return names[name]
    near = get_close_matches(name.lower(), names, n=3, cutoff=0.5)
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Names: {', '.join(names)}."
    raise ConfigError("data set", f"there is none called {name!r}", remedy)


def origin(path: str) -> tuple[DataSet, File] | None:
    """Return the data set and the entry of one of its files, by its path below the root; None if it is in none."""
    return next(((data, file) for data in CATALOGUE for file in data.files if file.path == path), None)
