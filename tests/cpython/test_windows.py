"""What the sandbox's Windows has beyond Wine's: the lines for the registry, and the table of locales."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from packager.errors import MachineError
from tests.cpython import windows

LANGUAGES = (0x0407, windows.ENGLISH_US)
SIZE = 0x80


def table() -> bytes:
    """A table of two locales as Wine's locale.nls has it: a header, the locales, and an index in another order."""
    start, header, locales = 32, 72, 2 * SIZE
    made = bytearray(start + header + locales + 16)
    struct.pack_into("<I", made, 16, start)
    made[start + 12 : start + 16] = b"NSDS"
    struct.pack_into("<HHHI", made, start + 30, 2, 2, SIZE, header)
    struct.pack_into("<I", made, start + 44, header + locales)
    for number, language in enumerate(LANGUAGES):
        struct.pack_into("<IHH", made, start + header + locales + 8 * number, language, 1 - number, 0)
    for number in range(2):
        struct.pack_into("<HH", made, start + header + SIZE * number + 0x6E, 1252, 437)
    return bytes(made)


def code_pages(made: bytes) -> list[tuple[int, ...]]:
    return [struct.unpack_from("<HH", made, 32 + 72 + SIZE * number + 0x6E) for number in range(2)]


def test_one_language_has_another_code_page() -> None:
    assert code_pages(windows.with_code_page(table(), windows.ENGLISH_US, 65001)) == [(65001, 65001), (1252, 437)]
    assert code_pages(windows.with_code_page(table(), LANGUAGES[0], 1250)) == [(1252, 437), (1250, 1250)]


def test_another_table_is_refused() -> None:
    with pytest.raises(MachineError, match=r"^usr/share/wine/nls/locale.nls: expected a locale 0x040c, found none"):
        windows.with_code_page(table(), 0x040C, 65001)
    with pytest.raises(MachineError, match="expected Wine's table of locales, found something else"):
        windows.with_code_page(table().replace(b"NSDS", b"NSDT"), windows.ENGLISH_US, 65001)


def test_the_store_of_authorities_is_filled(tmp_path: Path) -> None:
    where = tmp_path / "root" / windows.LOCALES_OF_WINE
    where.parent.mkdir(parents=True)
    where.write_bytes(table())
    windows.complete(tmp_path / "root", tmp_path)
    lines = (tmp_path / windows.REGISTRY).read_text("ascii").splitlines()
    stored = {}
    for number, line in enumerate(lines):
        if "SystemCertificates" in line:
            kind, digest = line.split("]")[0].split("\\\\")[-2:]
            stored[kind] = digest, bytes.fromhex(lines[number + 1].removeprefix('"Blob"=hex:').replace(",", ""))
    assert set(stored) == {"Certificates", "CRLs"}
    for kind, number in (("Certificates", 32), ("CRLs", 33)):
        digest, blob = stored[kind]
        # The hash that names the key, then the object; crypt32 reads none whose hash is another.
        assert blob[:12] + bytes.fromhex(digest) == struct.pack("<III", 3, 1, 20) + blob[12:32]
        assert struct.unpack_from("<III", blob, 32) == (number, 1, len(blob) - 44)
    assert (tmp_path / windows.LOCALES).read_bytes() != table()


def test_a_key_is_written_as_wine_reads_it() -> None:
    assert windows.key(r"A\\B", {"Y": '"2"', "X": "hex:01"}) == [r"[A\\B] 1735689600", '"X"=hex:01', '"Y"="2"', ""]
