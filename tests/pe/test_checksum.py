"""The fast checksum against Windows' own algorithm, word by word, and against LIEF."""

from __future__ import annotations

import struct

import lief
from hypothesis import given
from hypothesis import strategies as st

from packager.pe.checksum import checksum, fold
from tests.pe.build import FULL, build, put32

AT = 0xD8  # e_lfanew is 0x80 in files that build() makes


def map_file_and_check_sum(data: bytes, offset: int) -> int:
    """What MapFileAndCheckSum finds: a ones'-complement sum, out of which the stored words are taken again."""
    padded = data + b"\0" * (len(data) % 2)
    total = 0
    for (word,) in struct.iter_unpack("<H", padded):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    for word in struct.unpack_from("<HH", padded, offset):
        total = (total - (total < word) - word) & 0xFFFF
    return (total + len(data)) & 0xFFFFFFFF


def store(data: bytes) -> bytes:
    """``data`` with the right checksum in it."""
    return put32(data, AT, checksum(data, AT))


@given(st.binary(max_size=300), st.integers(0, 5))
def test_fold_is_the_sum_of_words_modulo_65535(data: bytes, blocks: int) -> None:
    data = bytes(range(256)) * 64 * blocks + data
    padded = data + b"\0" * (len(data) % 2)
    assert fold(data) == sum(word for (word,) in struct.iter_unpack("<H", padded)) % 0xFFFF


@given(st.binary(min_size=8, max_size=200), st.integers(0, 0xFFFFFFFF))
def test_what_is_stored_verifies_and_does_not_depend_on_what_was_there(rest: bytes, before: int) -> None:
    data = bytes(AT) + before.to_bytes(4, "little") + rest
    stored = store(data)
    assert map_file_and_check_sum(stored, AT) == checksum(data, AT) == checksum(stored, AT)


@given(st.binary(min_size=1, max_size=200))
def test_equals_lief_on_intact_files(text: bytes) -> None:
    data = build(FULL, text=text)
    binary = lief.PE.parse(data)
    assert binary is not None
    assert checksum(data, AT) == binary.compute_checksum()


def test_sum_of_zero_gives_the_length_alone() -> None:
    """The trap: with the carry added back in the sum is 0xffff, but only length + 0 verifies itself."""
    data = bytes(AT + 4) + b"\xfe\xff\x01\x00"
    assert fold(data) == 0
    assert checksum(data, AT) == len(data)
    assert map_file_and_check_sum(put32(data, AT, len(data)), AT) == len(data)
    wrong = len(data) + 0xFFFF
    assert map_file_and_check_sum(put32(data, AT, wrong), AT) != wrong


def test_odd_length_counts_as_it_is() -> None:
    even = bytes(AT + 4) + b"\x34\x12\x56\x00"
    odd = even[:-1]
    assert checksum(even, AT) == 0x1234 + 0x56 + len(even)
    assert checksum(odd, AT) == 0x1234 + 0x56 + len(even) - 1


def test_blocks_of_the_sum_do_not_matter() -> None:
    data = bytes(AT + 4) + bytes(i * 7 & 0xFF for i in range(16384 * 3 + 5))
    assert checksum(data, AT) == map_file_and_check_sum(put32(data, AT, 0), AT)
