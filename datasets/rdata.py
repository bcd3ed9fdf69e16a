"""Columns of a data frame that R saved with save(), read without R.

The format is R's serialisation, version 2 or 3, in big-endian binary (XDR), described in "R Internals", section 1.8.
Only what data frames are made of is read: numbers, text, lists and their attributes; nothing in the file is ever run.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rstime.errors import DataError

SYMBOL, PAIRLIST, CHARS, LOGICAL, INTEGER, REAL, STRINGS, LIST, EXPRESSIONS = 1, 2, 9, 10, 13, 14, 16, 19, 20
NULL, REFERENCE = 254, 255
ARRAYS = {LOGICAL: ">i4", INTEGER: ">i4", REAL: ">f8"}
OPENERS = {b"BZh": bz2.decompress, b"\x1f\x8b": gzip.decompress, b"\xfd7z": lzma.decompress}


def read_frame(path: Path, name: str) -> dict[str, NDArray[Any]]:
    """Read the columns of a data frame from a file that save() wrote; factors and dates stay the numbers they are.

    Parameters
    ----------
    path
        An .rda or .RData file.
    name
        Name of the data frame in it.

    Raises
    ------
    DataError
        If the file is not of this kind or has no such frame.
    """
    packed = path.read_bytes()
    unpack = next((function for magic, function in OPENERS.items() if packed.startswith(magic)), bytes)
    try:
        reader = _Reader(unpack(packed))
        frame, attributes = dict(reader.start())[name]
        return {column: values for column, (values, _) in zip(attributes["names"][0], frame, strict=True)}
    except (KeyError, ValueError, TypeError, IndexError, struct.error, OSError, lzma.LZMAError) as error:
        raise DataError("file", f"{path} has no readable data frame {name!r} ({error!r})", "Fetch it again.") from error


class _Reader:
    """Walks over the items of a serialised object; an item is (content, attributes)."""

    def __init__(self, data: bytes):
        self.data, self.place = data, 0
        self.symbols: list[str] = []

    def start(self) -> list[tuple[str, Any]]:
        """Read the head and the list of saved objects."""
        magic = self.take(7)
        if magic not in (b"RDX2\nX\n", b"RDX3\nX\n"):
            raise ValueError(f"begins with {magic!r}")
        version, _, _ = self.integer(), self.integer(), self.integer()
        if version == 3:
            self.take(self.integer())  # name of the encoding
        saved: list[tuple[str, Any]] = self.item()[0]
        return saved

    def take(self, count: int) -> bytes:
        if self.place + count > len(self.data):
            raise ValueError("cut short")
        self.place += count
        return self.data[self.place - count : self.place]

    def integer(self) -> int:
        return int(struct.unpack(">i", self.take(4))[0])

    def item(self) -> tuple[Any, dict[str, Any]]:
        flags = self.integer()
        kind, has_attributes = flags & 0xFF, bool(flags & 0x200)
        if kind == NULL:
            return None, {}
        if kind == REFERENCE:
            return self.symbols[(flags >> 8 or self.integer()) - 1], {}
        if kind == SYMBOL:
            self.symbols.append(self.item()[0])
            return self.symbols[-1], {}
        if kind == PAIRLIST:
            return self.pairs(flags), {}
        if kind == CHARS:
            length = self.integer()
            return (None if length < 0 else self.take(length).decode("utf-8")), {}
        length = self.integer()
        content: Any
        if kind in ARRAYS:
            dtype = np.dtype(ARRAYS[kind])
            content = np.frombuffer(self.take(length * dtype.itemsize), dtype).astype(dtype.newbyteorder("="))
        elif kind == STRINGS:
            content = [self.item()[0] for _ in range(length)]
        elif kind in (LIST, EXPRESSIONS):
            content = [self.item() for _ in range(length)]
        else:
            raise ValueError(f"item of kind {kind}")
        return content, dict(self.item()[0]) if has_attributes else {}

    def pairs(self, flags: int) -> list[tuple[str, Any]]:
        """Read a linked list of tagged items, whose first head is `flags`."""
        found = []
        while flags & 0xFF == PAIRLIST:
            if flags & 0x200:
                self.item()
            tag = self.item()[0] if flags & 0x400 else ""
            found.append((tag, self.item()))
            flags = self.integer()
        return found
