"""Downloads from a server on loopback: whole, resumed, cut short, tampered with, refused; archives."""

import hashlib
import io
import re
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from rstime.datasets import download as module
from rstime.datasets.download import download, extract, members
from rstime.errors import ChecksumError, ConfigError, DataError, DownloadError

BODY = np.random.default_rng(0).bytes(700_000)
DIGEST = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves BODY in the way that the path asks for, and keeps (path, Range) of each request."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        count = sum(path == self.path for path, _ in self.server.asked)
        if self.path == "/nothing":
            return self.send_error(404)
        if self.path == "/busy" and count < 3:
            return self.send_error(503)
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and self.path != "/norange" else 0
        if start >= len(BODY):
            return self.send_error(416)
        body = BODY if self.path != "/tampered" else BODY[:-1] + bytes([BODY[-1] ^ 1])
        stop = len(body)
        if self.path in ("/cut", "/norange") and count == 1:
            stop = 300_000
        if self.path == "/short":
            stop = min(start + 1000, stop)
        self.send_response(206 if start else 200)
        if start:
            first = start if self.path != "/liar" else 7
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:stop])
        return None


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def fetch(server, path, target, **settings):
    settings = {"sha256": DIGEST, "progress": False, "pause": 0} | settings
    return download(server.url + path, target, **settings)


def test_a_whole_file_lands_in_place_and_leaves_nothing_else(server, tmp_path):
    target = tmp_path / "new" / "folder" / "data.bin"
    assert fetch(server, "/data", target, size=len(BODY)) == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["data.bin"]
    assert server.asked == [("/data", None)]


def test_a_connection_cut_short_goes_on_where_it_stopped(server, tmp_path):
    fetch(server, "/cut", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == [("/cut", None), ("/cut", "bytes=300000-")]


def test_a_later_call_goes_on_from_the_partial_file(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(BODY[:123_456])
    fetch(server, "/data", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == [("/data", "bytes=123456-")]


def test_a_partial_file_that_is_whole_is_only_checked(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(BODY)
    fetch(server, "/data", tmp_path / "data.bin")
    assert server.asked == [("/data", "bytes=700000-")]  # answered 416
    (tmp_path / "data.bin.part").write_bytes(BODY)
    fetch(server, "/data", tmp_path / "data.bin", size=len(BODY))
    assert len(server.asked) == 1  # not even asked


def test_a_partial_file_of_something_else_is_thrown_away(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(b"x" * 1000)
    fetch(server, "/data", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == [("/data", "bytes=1000-"), ("/data", None)]


def test_a_server_without_ranges_starts_over(server, tmp_path):
    fetch(server, "/norange", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == BODY
    assert server.asked == [("/norange", None), ("/norange", "bytes=300000-")]


def test_a_server_that_sends_another_range_is_refused(server, tmp_path):
    (tmp_path / "data.bin.part").write_bytes(BODY[:10])
    with pytest.raises(DownloadError, match=r"asked from byte 10 on, the server sends 'bytes 7-"):
        fetch(server, "/liar", tmp_path / "data.bin")


def test_a_file_that_stays_short_is_refused_but_kept_to_go_on_from(server, tmp_path):
    with pytest.raises(DownloadError, match=r"cut short, 4000 of 700000 bytes arrived.*goes on where it stopped"):
        fetch(server, "/short", tmp_path / "data.bin")
    assert len(server.asked) == module.TRIES
    assert (tmp_path / "data.bin.part").read_bytes() == BODY[:4000]
    assert not (tmp_path / "data.bin").exists()


@pytest.mark.parametrize("known", [None, len(BODY)])
def test_a_tampered_file_is_refused_and_removed(server, tmp_path, known):
    with pytest.raises(ChecksumError, match=f"where {DIGEST} was published"):
        fetch(server, "/tampered", tmp_path / "data.bin", size=known)
    assert list(tmp_path.iterdir()) == []
    assert len(server.asked) == 1


def test_a_tampered_file_does_not_replace_a_good_one(server, tmp_path):
    (tmp_path / "data.bin").write_bytes(b"good")
    with pytest.raises(ChecksumError):
        fetch(server, "/tampered", tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == b"good"


def test_not_found_is_said_at_once_and_busy_is_tried_again(server, tmp_path):
    with pytest.raises(DownloadError, match=r"/nothing: the server answers 404 Not Found"):
        fetch(server, "/nothing", tmp_path / "data.bin")
    assert len(server.asked) == 1
    fetch(server, "/busy", tmp_path / "data.bin")
    assert len(server.asked) == 4


def test_no_server_is_said_after_some_tries(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(module.time, "sleep", waits.append)
    server.shutdown()
    server.server_close()
    with pytest.raises(DownloadError, match=r"no connection .*refused.*Check the connection"):
        fetch(server, "/data", tmp_path / "data.bin", pause=1.0)
    assert waits == [1, 2, 4]


def test_other_addresses_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="neither http nor https"):
        download("file:///etc/hostname", tmp_path / "data.bin", DIGEST)


def test_a_disk_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DownloadError, match=r"file: cannot be made .*Name another folder"):
        fetch(server, "/data", tmp_path / "file" / "data.bin")
    (tmp_path / "data.bin.part").mkdir()
    with pytest.raises(DownloadError, match=r"data\.bin\.part: cannot be written .*Free the disk"):
        fetch(server, "/data", tmp_path / "data.bin")


def test_progress_counts_bytes_on_stderr(server, tmp_path, capsys):
    fetch(server, "/data", tmp_path / "data.bin", progress=True)
    assert re.search(r"data\.bin: 100%.*700k/700k", capsys.readouterr().err)


def test_one_file_of_a_zip_is_taken_out_and_checked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as box:
        box.writestr("../../evil/data.csv", BODY)
    target = extract(tmp_path / "a.zip", "../../evil/data.csv", tmp_path / "in" / "data.csv", DIGEST)
    assert target.read_bytes() == BODY
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "data.csv", "in"]
    with pytest.raises(ChecksumError, match=r"a\.zip:"):
        extract(tmp_path / "a.zip", "../../evil/data.csv", tmp_path / "other.csv", "0" * 64)
    with pytest.raises(DataError, match=r"no readable missing\.csv"):
        extract(tmp_path / "a.zip", "missing.csv", tmp_path / "other.csv", DIGEST)
    (tmp_path / "b.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"b\.zip has no readable"):
        extract(tmp_path / "b.zip", "data.csv", tmp_path / "other.csv", DIGEST)
    with zipfile.ZipFile(tmp_path / "c.zip", "w", zipfile.ZIP_DEFLATED) as box:
        box.writestr("data.csv", b"abc" * 10_000)
    packed = bytearray((tmp_path / "c.zip").read_bytes())
    packed[45:60] = b"\xff" * 15
    (tmp_path / "c.zip").write_bytes(packed)
    with pytest.raises(DataError, match=r"c\.zip has no readable data\.csv"):
        extract(tmp_path / "c.zip", "data.csv", tmp_path / "other.csv", DIGEST)
    assert not list(tmp_path.glob("other*"))


def test_files_of_a_tar_are_read_in_order_without_links(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as box:
        for name in ("set/2.txt", "set/1.txt", "set/readme"):
            entry = tarfile.TarInfo(name)
            entry.size = len(name)
            box.addfile(entry, io.BytesIO(name.encode()))
        link = tarfile.TarInfo("set/3.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        box.addfile(link)
    found = list(members(tmp_path / "a.tar.gz", "set/*.txt"))
    assert found == [("set/2.txt", b"set/2.txt"), ("set/1.txt", b"set/1.txt")]
    (tmp_path / "b.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:60])
    with pytest.raises(DataError, match=r"b\.tar\.gz cannot be read"):
        list(members(tmp_path / "b.tar.gz", "*"))
