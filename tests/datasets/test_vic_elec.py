"""Victorian demand: numbers of the provenance, and the file as R saves it."""

import bz2
import struct

import numpy as np
import pytest

from oracles import provenance
from rstime.datasets import vic_elec
from rstime.datasets.rdata import read_frame
from rstime.errors import DataError


def number(value: int) -> bytes:
    return struct.pack(">i", value)


def chars(text: str) -> bytes:
    return number(0x40009) + number(len(text)) + text.encode()


def symbol(text: str) -> bytes:
    return number(1) + chars(text)


def strings(*texts: str) -> bytes:
    return number(16) + number(len(texts)) + b"".join(map(chars, texts))


def pair(tag: bytes, item: bytes) -> bytes:
    return number(0x402) + tag + item


def saved(version: int = 2) -> bytes:
    """Two half hours as R's save() writes them, in the layout of "R Internals", with classes and row names."""
    end = number(254)
    zone = pair(symbol("tzone"), strings("Australia/Melbourne"))  # symbols 2 (vic_elec is 1); class is 3
    time = number(0x30E) + number(2) + struct.pack(">2d", 1.3253364e9, 1.3253382e9)
    time += zone + pair(symbol("class"), strings("POSIXct", "POSIXt")) + end
    demand = number(14) + number(2) + struct.pack(">2d", 4382.825174, 4263.365526)
    warm = number(14) + number(2) + struct.pack(">2d", 21.4, 21.05)
    holiday = number(10) + number(2) + struct.pack(">2i", 1, 0)
    names = pair(symbol("names"), strings("Time", "Demand", "Temperature", "Holiday"))
    kind = pair(number(3 << 8 | 255), strings("data.frame"))  # a reference to the symbol class
    rows = pair(symbol("row.names"), number(13) + number(2) + struct.pack(">2i", -(2**31), -2))
    frame = number(0x313) + number(4) + time + demand + warm + holiday + names + kind + rows + end
    head = b"RDX%d\nX\n" % version + number(version) + number(0x30602) + number(0x20300)
    head += number(5) + b"UTF-8" if version == 3 else b""
    return head + pair(symbol("vic_elec"), frame) + end


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "vic_elec").mkdir()
    return tmp_path


def test_demand_has_the_numbers_of_the_provenance(shared_data):
    item = vic_elec.load(shared_data)
    assert item.value.shape == (52608, 2)
    assert item.timezone == "Australia/Melbourne"
    assert item.time[0] == np.datetime64("2011-12-31T13:00")
    assert item.time[-1] == np.datetime64("2014-12-31T12:30")
    assert np.all(np.diff(item.time) == np.timedelta64(30, "m"))
    provenance.check(shared_data / "vic_elec", dict(zip(item.variables, item.value.T, strict=True)))
    assert item.known_names == ("Holiday",)
    assert f"holiday share {item.known.mean():.3f}" in provenance.read(shared_data / "vic_elec")


@pytest.mark.parametrize("version", [2, 3])
def test_the_official_file_of_r_reads_the_same(shared_data, folder, version):
    (folder / vic_elec.FILE).write_bytes(bz2.compress(saved(version)))
    item, whole = vic_elec.load(folder), vic_elec.load(shared_data)
    np.testing.assert_array_equal(item.time, whole.time[:2])
    np.testing.assert_array_equal(item.value, whole.value[:2])
    np.testing.assert_array_equal(item.known[:, 0], [1, 0])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (saved()[:300], "cut short"),
        (b"PK..", "begins with b'PK..'|cut short"),
        (saved().replace(b"vic_elec", b"aus_elec"), "KeyError"),
        (saved().replace(number(0x313), number(0x303)), "item of kind 3"),
    ],
)
def test_what_is_no_such_frame_is_refused(folder, content, problem):
    (folder / vic_elec.FILE).write_bytes(content)
    with pytest.raises(DataError, match=rf"no readable data frame 'vic_elec' .*({problem})"):
        read_frame(folder / vic_elec.FILE, "vic_elec")
