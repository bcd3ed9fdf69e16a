"""Fetch a file whole or not at all: resumed where it was cut, checked against its digest, put in place at once."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO

from tqdm import tqdm

from rstime import __version__
from rstime.errors import ChecksumError, ConfigError, DataError, DownloadError

CHUNK = 1 << 18
TRIES = 4
TIMEOUT = 30.0


class _Dropped(Exception):
    """The connection failed in a way that may pass."""


def download(
    url: str,
    target: Path,
    sha256: str | None,
    size: int | None = None,
    progress: bool = True,
    *,
    pause: float = 1.0,
) -> Path:
    """Fetch a file into `target` and return that path.

    Bytes go to `target.part`, which a later call goes on from (HTTP Range) if the connection breaks for good; only a
    file with the right digest is moved to `target`, in one step. Broken connections are tried `TRIES` times in all.

    Parameters
    ----------
    url
        Address, http or https.
    target
        File to write; folders above it are made.
    sha256
        SHA-256 digest of the whole file, in hexadecimal; None if what it holds is checked instead (`extract`).
    size
        Its length in bytes, where known.
    progress
        Show a bar on stderr.
    pause
        Seconds to wait before the second try; twice as long before each further one.

    Raises
    ------
    ConfigError
        If the address is neither http nor https.
    ChecksumError
        If the file is not the published one; the partial file is removed.
    DownloadError
        If there is no connection, the server refuses, the file stays cut short or the disk cannot take it.
    """
    if not url.startswith(("https://", "http://")):
        raise ConfigError("url", f"{url!r} is neither http nor https", "Give a web address.")
    part = target.with_name(f"{target.name}.part")
    _make_folder(target.parent)
    for attempt in range(TRIES):
        resumed = part.is_file() and part.stat().st_size > 0
        try:
            _receive(url, part, size, progress)
            _check(url, part, sha256)
            break
        except _Dropped as error:
            if attempt == TRIES - 1:
                remedy = "Check the connection and run the same again: it goes on where it stopped."
                raise DownloadError(url, str(error), remedy) from error
        except ChecksumError:
            part.unlink()
            if not resumed or attempt == TRIES - 1:
                raise  # else what was there before may have been of another file: once more, from the start
        time.sleep(pause * 2**attempt)
    os.replace(part, target)
    return target


def extract(archive: Path, member: str, target: Path, sha256: str) -> Path:
    """Take one file out of a zip archive to `target`, whole or not at all, and return that path.

    Nothing else is unpacked, and the name inside the archive never decides where anything is written.

    Raises
    ------
    DataError
        If the archive is damaged or has no such file.
    ChecksumError
        If the file is not the published one.
    """
    part = target.with_name(f"{target.name}.part")
    _make_folder(target.parent)
    try:
        with zipfile.ZipFile(archive) as box, box.open(member) as source, _writing(part, "wb") as file:
            shutil.copyfileobj(source, file)
        _check(f"{archive.name}:{member}", part, sha256)
        os.replace(part, target)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise DataError("archive", f"{archive} has no readable {member} ({error})", "Fetch it again.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def members(archive: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the regular files of a tar archive whose name matches, in its order, writing nothing.

    Raises
    ------
    DataError
        If the archive is damaged.
    """
    try:
        with tarfile.open(archive) as box:
            for member in box:
                content = box.extractfile(member) if member.isfile() and fnmatchcase(member.name, pattern) else None
                if content is not None:
                    yield member.name, content.read()
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise DataError("archive", f"{archive} cannot be read ({error})", "Fetch it again.") from error


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url: str, part: Path, size: int | None, progress: bool) -> None:
    """Bring `part` to the length the server announces, going on from what it holds."""
    have = part.stat().st_size if part.is_file() else 0
    if size is not None and have >= size:
        return  # the digest decides
    response = _open(url, have)
    if response is None:
        return  # nothing after what is here
    with response:
        if response.status != 206:
            have = 0  # this server sends the whole file only
        length = response.headers.get("Content-Length")
        total = size if length is None else have + int(length)
        title = part.name.removesuffix(".part")
        with (
            _writing(part, "ab" if have else "wb") as file,
            tqdm(
                total=total, initial=have, desc=title, unit="B", unit_scale=True, disable=not progress, file=sys.stderr
            ) as bar,
        ):
            while chunk := _read(response):
                file.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
    if total is not None and have < total:
        raise _Dropped(f"cut short, {have} of {total} bytes arrived")


def _open(url: str, start: int) -> HTTPResponse | None:
    """Ask for the file from byte `start` on; None if it ends there."""
    headers = {"User-Agent": f"rstime/{__version__}"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        response: HTTPResponse = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:
            return None
        if error.code >= 500:
            raise _Dropped(f"the server answers {error.code} {error.reason}") from error
        remedy = "Look for the file on the page of the data set, or try again later."
        raise DownloadError(url, f"the server answers {error.code} {error.reason}", remedy) from error
    except (OSError, HTTPException) as error:
        raise _Dropped(f"no connection ({getattr(error, 'reason', error)})") from error
    found = response.headers.get("Content-Range", "")
    if response.status == 206 and not found.startswith(f"bytes {start}-"):
        response.close()
        raise DownloadError(url, f"asked from byte {start} on, the server sends {found!r}", "Remove the .part file.")
    return response


def _read(response: HTTPResponse) -> bytes:
    try:
        return response.read(CHUNK)
    except (OSError, HTTPException) as error:
        raise _Dropped(f"the connection broke ({error})") from error


def _check(name: str, path: Path, sha256: str | None) -> None:
    if sha256 is not None and (found := digest(path)) != sha256:
        raise ChecksumError(
            name,
            f"SHA-256 {found} where {sha256} was published",
            "The file was changed on its way or at its source, and is not used.",
        )


@contextmanager
def _writing(path: Path, mode: str) -> Iterator[IO[bytes]]:
    """Open a file to write; what goes wrong inside is the disk's fault."""
    try:
        with open(path, mode) as file:
            yield file
    except OSError as error:
        raise DownloadError(
            str(path), f"cannot be written ({error})", "Free the disk or name another folder."
        ) from error


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DownloadError(str(folder), f"cannot be made ({error})", "Name another folder.") from error
