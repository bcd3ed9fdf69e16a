"""The search for data files, and what is fetched when they are nowhere."""

import hashlib
import zipfile

import pytest

from rstime.datasets import catalogue, root
from rstime.datasets.catalogue import CATALOGUE, DataSet, File, entry, origin
from rstime.datasets.root import fetch, find, locate
from rstime.errors import ChecksumError, ConfigError, DatasetNotFoundError

TEXT = b"a,b\n1,2\n"
DIGEST = hashlib.sha256(TEXT).hexdigest()
PLAIN = File("plain/x.csv", "https://example.org/x.csv", DIGEST, len(TEXT), also=("plain/x.csv.gz",))
ZIPPED = tuple(File(f"zipped/{n}.csv", "https://example.org/all.zip", DIGEST, member=f"in/{n}.csv") for n in "12")
DATA = (
    DataSet("plain", "A file", "CC0", "One et al.", "https://example.org/plain", (PLAIN,)),
    DataSet("zipped", "Two files in one", "CC0", "Two et al.", "https://example.org/zipped", ZIPPED),
    DataSet("hand", "A file", "CC0", "Three", "https://example.org/hand", (File("hand/x.csv"),), "Ask the authors."),
)


@pytest.fixture
def web(tmp_path, monkeypatch):
    """An empty home and a made-up web of two files; gives the addresses asked for, and what is good about the web."""
    asked = []

    def download(url, target, sha256, size=None, progress=True):
        asked.append(url)
        target.parent.mkdir(parents=True, exist_ok=True)
        if url.endswith(".csv"):
            assert (sha256, size) == (DIGEST, len(TEXT))
            target.write_bytes(TEXT)
        else:
            with zipfile.ZipFile(target, "w") as box:
                box.writestr("in/1.csv", TEXT)
                box.writestr("in/2.csv", TEXT if "good" in web_state else b"tampered")
        return target

    web_state = {"good"}
    monkeypatch.setattr(root, "download", download)
    monkeypatch.setattr(catalogue, "CATALOGUE", DATA)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RSTIME_DATA", raising=False)
    monkeypatch.delenv("RSTIME_OFFLINE", raising=False)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return asked, web_state


def test_places_are_searched_in_order_and_forms_in_theirs(web, tmp_path, monkeypatch):
    cache, named, shared = (tmp_path / name for name in (".cache/rstime", "named", "shared/data"))
    monkeypatch.setenv("RSTIME_DATA", str(named))
    for place, name in ((cache, "x.csv"), (shared, "x.csv"), (named, "x.csv"), (named, "x.csv.gz")):
        (place / "plain").mkdir(parents=True, exist_ok=True)
        (place / "plain" / name).write_bytes(TEXT)
        assert find("plain/x.csv").resolve() == place / "plain" / name
    assert find("plain/x.csv", root=cache) == cache / "plain" / "x.csv"
    assert web[0] == []


def test_a_file_that_is_nowhere_is_fetched_into_the_cache_once_and_this_is_said(web, tmp_path, capsys):
    assert find("plain/x.csv") == tmp_path / ".cache/rstime/plain/x.csv"
    find("plain/x.csv")
    assert web[0] == ["https://example.org/x.csv"]
    assert capsys.readouterr().err == "plain: fetching https://example.org/x.csv (0.0 MB); licence: CC0\n"


def test_files_of_one_archive_are_fetched_together_and_the_archive_goes(web, tmp_path):
    find("zipped/2.csv")
    assert web[0] == ["https://example.org/all.zip"]
    assert sorted(path.name for path in (tmp_path / ".cache/rstime/zipped").iterdir()) == ["1.csv", "2.csv"]


def test_a_tampered_file_in_an_archive_is_refused(web, tmp_path):
    web[1].clear()
    with pytest.raises(ChecksumError, match=r"all\.zip:in/2\.csv"):
        fetch(DATA[1], tmp_path / "to")
    assert [path.name for path in (tmp_path / "to/zipped").iterdir()] == ["1.csv"]


def test_nothing_is_fetched_offline_or_into_a_given_root(web, tmp_path, monkeypatch):
    with pytest.raises(DatasetNotFoundError, match=r"plain/x\.csv: not found at .*`rstime data fetch plain`"):
        find("plain/x.csv", root=tmp_path)
    monkeypatch.setenv("RSTIME_OFFLINE", "1")
    with pytest.raises(DatasetNotFoundError, match=r"/x\.csv or .*x\.csv\.gz, or set RSTIME_DATA .* holds plain\.$"):
        find("plain/x.csv")
    assert web[0] == []


def test_a_file_without_digest_is_never_fetched_but_said_where_to_get(web, tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"comes from https://example.org/hand .*Ask the authors.*Put the f"):
        find("hand/x.csv")
    with pytest.raises(DatasetNotFoundError, match="Ask the authors"):
        fetch(DATA[2], tmp_path)
    assert web[0] == []


def test_the_catalogue_is_whole():
    names = [data.name for data in CATALOGUE]
    paths = [form for data in CATALOGUE for file in data.files for form in file.forms]
    assert len(set(names)) == len(names) == 13
    assert len(set(paths)) == len(paths)
    for data in CATALOGUE:
        assert data.title
        assert data.licence
        assert data.citation
        assert data.page.startswith("https://")
        for file in data.files:
            assert bool(file.url) == bool(file.sha256)
            assert file.url.startswith("https://") or data.by_hand
            assert len(file.sha256) in (0, 64)
            assert origin(file.path) == (data, file)


def test_digests_are_those_of_the_files_at_hand(shared_data):
    checked = 0
    for data in CATALOGUE:
        for file in data.files:
            if file.sha256 and (shared_data / file.path).is_file():
                assert hashlib.sha256((shared_data / file.path).read_bytes()).hexdigest() == file.sha256
                checked += 1
    assert checked >= 2  # ETTh1, exchange rate


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(ConfigError, match=r"none called 'etth'. Did you mean etth\d"):
        entry("etth")
    with pytest.raises(ConfigError, match=r"Names: physionet2012-a, "):
        entry("zzz")
    assert locate(File("no/such.csv")) is None
