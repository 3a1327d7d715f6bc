"""gzip: the times in the members' headers, and nothing else."""

from __future__ import annotations

import gzip
import random
import struct
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.formats.errors import FormatError
from packager.formats.gzip import normalise
from tests.formats.build import EPOCH, changes, gzip_member, outcome
from tests.formats.strategies import mutations

FULL = gzip_member(fields=b"ab\x02\0xy", name=b"name", remark=b"remark", header_crc=True)
EVERY = [
    gzip_member(),
    FULL,
    gzip_member(b"") + FULL,
    gzip_member(header_crc=True) + bytes(9) + gzip_member(mtime=0) + b"end",
]

members = st.builds(
    gzip_member,
    st.binary(max_size=300),
    mtime=st.integers(0, 0xFFFFFFFF),
    fields=st.none() | st.binary(max_size=9),
    name=st.none() | st.binary(max_size=9).map(lambda text: text.replace(b"\0", b"")),
    remark=st.none() | st.binary(max_size=9).map(lambda text: text.replace(b"\0", b"")),
    header_crc=st.booleans(),
)


def test_no_time_is_known() -> None:
    data = gzip.compress(b"content", mtime=0x11111111)
    result = outcome(normalise, data)
    assert result is not None
    assert changes(result) == [("MTIME", 4, b"\x11\x11\x11\x11", bytes(4))]
    assert gzip.decompress(result.data) == b"content"
    assert normalise(data, 0).data == result.data, "the epoch has no part in it"


def test_the_header_s_crc_is_renewed() -> None:
    result = outcome(normalise, FULL)
    assert result is not None
    assert [(change.field, change.offset) for change in result.changes] == [("MTIME", 4), ("header CRC", 30)]
    assert result.data == gzip_member(mtime=0, fields=b"ab\x02\0xy", name=b"name", remark=b"remark", header_crc=True)
    assert zlib.decompress(result.data, wbits=31) == b"content", "zlib checks it"


def test_every_member() -> None:
    data = b"".join(gzip_member(bytes([n]) * n, mtime=n) for n in range(200))
    result = outcome(normalise, data)
    assert result is not None
    assert result.data == b"".join(gzip_member(bytes([n]) * n, mtime=0) for n in range(200))


def test_a_member_after_zero_bytes_as_python_reads_it() -> None:
    data = gzip_member(b"one ") + bytes(600) + gzip_member(b"two")
    assert gzip.decompress(data) == b"one two"
    assert len(normalise(data, EPOCH).changes) == 2


@pytest.mark.parametrize(("tail", "size"), [(bytes(600), 600), (b"garbage", 7), (b"\0\0garbage", 9)])
def test_what_follows_the_last_member_stays(tail: bytes, size: int) -> None:
    result = outcome(normalise, gzip_member() + tail)
    assert result is not None
    assert result.notes == (f"{size} bytes after the compressed data stay",)
    assert result.data.endswith(tail)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "offset 0x0: expected 1f 8b, the beginning of a gzip member, found nothing"),
        (b"\x1f", "offset 0x0: expected 1f 8b, the beginning of a gzip member, found 1f"),
        (FULL[:-1], "offset 0x0: expected a whole gzip member, found the end of the file at 0x30"),
        (gzip_member() + FULL[:9], "offset 0x1b: expected a whole gzip member, found the end of the file at 0x24"),
        (
            b"\x1f\x8b\x07" + FULL[3:],
            "offset 0x0: expected a gzip member that can be unpacked, found Error -3 while decompressing data: unknown compression method",
        ),
        (
            FULL[:4] + b"\x22" + FULL[5:],
            "offset 0x0: expected a gzip member that can be unpacked, found Error -3 while decompressing data: header crc mismatch",
        ),
        (
            FULL[:-8] + bytes(8),
            "offset 0x0: expected a gzip member that can be unpacked, found Error -3 while decompressing data: incorrect data check",
        ),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        normalise(data, EPOCH)
    assert str(caught.value) == message


def test_cut_anywhere() -> None:
    assert not any(outcome(normalise, FULL[:index]) for index in range(len(FULL)))


def test_large_content_is_not_held() -> None:
    random_part = random.Random(1).randbytes(1 << 20)
    data = gzip_member(random_part + bytes(1 << 26))
    tracemalloc.start()
    try:
        assert normalise(data, EPOCH).changes
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(data)


@given(st.lists(members, min_size=1, max_size=3), st.sampled_from([b"", bytes(3), b"end"]))
def test_any_members(parts: list[bytes], tail: bytes) -> None:
    data = b"".join(parts) + tail
    result = outcome(normalise, data)
    assert result is not None
    if not tail.strip(b"\0"):
        assert gzip.decompress(result.data) == gzip.decompress(data)


def contents(data: bytes) -> object:
    """What Python's gzip unpacks, or says of it."""
    try:
        return gzip.decompress(data)
    except (gzip.BadGzipFile, EOFError, zlib.error, struct.error) as exc:
        return repr(exc)


@given(mutations(EVERY))
def test_mutations_are_normalised_or_refused(data: bytes) -> None:
    result = outcome(normalise, data)
    if result is not None:
        assert contents(result.data) == contents(data)


def test_a_bomb_is_refused() -> None:
    """One gzip member of a few hundred bytes for each MiB; unpacking it all would take as long as its maker likes."""
    one = gzip.compress(bytes(1 << 20), 9, mtime=1)
    with pytest.raises(FormatError, match="a gzip bomb"):
        normalise(one * 300, 0)
