"""Overlays: zip archives' times, and what is left as it is."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from packager.changes import Normalised
from packager.pe import codeview, fields, overlay
from packager.pe.layout import read_layout
from packager.pe.normalise import normalise
from packager.pe.overlay import find_overlay
from tests.pe.build import FULL, build, with_symbols, zipped
from tests.pe.cases import EPOCH, applied

LINE = b"#!C:\\Python313\\python.exe\r\n"
ARCHIVE = zipped({"__main__.py": b"import app", "app/__init__.py": b"x" * 100})
START = len(build())


def result(data: bytes, pad: bool = False) -> Normalised:
    outcome = normalise(data, EPOCH, pad=pad)
    assert applied(data, outcome) == outcome.data
    assert normalise(outcome.data, EPOCH, pad=pad).data is outcome.data
    return outcome


def times(data: bytes) -> set[tuple[int, ...]]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        return {member.date_time for member in archive.infolist()}


def shifted(archive: bytes, by: int) -> bytes:
    """An archive whose offsets count from the beginning of the file that it is appended to."""
    out = bytearray(archive)
    end = out.rindex(b"PK\5\6")
    central = struct.unpack_from("<I", out, end + 16)[0]
    struct.pack_into("<I", out, end + 16, central + by)
    while out[central : central + 4] == b"PK\1\2":
        name, extra, comment = struct.unpack_from("<HHH", out, central + 28)
        struct.pack_into("<I", out, central + 42, struct.unpack_from("<I", out, central + 42)[0] + by)
        central += 46 + name + extra + comment
    return bytes(out)


@pytest.mark.parametrize(
    "tail", [ARCHIVE, LINE + ARCHIVE, shifted(ARCHIVE, START), LINE + shifted(ARCHIVE, START + len(LINE))]
)
@pytest.mark.parametrize("pad", [False, True])
def test_the_times_of_an_appended_archive(tail: bytes, pad: bool) -> None:
    outcome = result(build(overlay=tail), pad)
    assert times(outcome.data) == {(2025, 1, 1, 0, 0, 0)}
    names = {change.field for change in outcome.changes} - {fields.COFF, "CheckSum", "padding"}
    assert names == {"overlay: __main__.py", "overlay: app/__init__.py"}
    assert outcome.notes == ()


def test_a_repro_launcher_with_an_archive() -> None:
    """Its linker knew nothing of the archive."""
    outcome = result(build(debug=(16,), overlay=ARCHIVE))
    assert times(outcome.data) == {(2025, 1, 1, 0, 0, 0)}


def test_symbols_come_before_the_archive() -> None:
    data = with_symbols(build(), after=LINE + ARCHIVE)
    assert times(result(data).data) == {(2025, 1, 1, 0, 0, 0)}
    found = find_overlay(data, read_layout(data))
    assert found is not None
    assert data[found.start :] == LINE + ARCHIVE


@pytest.mark.parametrize("name", [fields.COFF, codeview.GUID, codeview.PATH, "CheckSum"])
def test_members_named_like_fields_are_not_taken_for_them(name: str) -> None:
    outcome = result(build(FULL, overlay=zipped({name: b""})))
    assert times(outcome.data) == {(2025, 1, 1, 0, 0, 0)}


@pytest.mark.parametrize(
    ("tail", "note"),
    [
        (b"some data", "overlay of 9 bytes at {at}: stays as it is"),
        (b"\0" * 64 + b"x", "overlay of 65 bytes at {at}: stays as it is"),
        (b"PK\3\4 is not enough", "overlay of 18 bytes at {at}: stays as it is"),
        (b"PK\5\6" + b"\xff" * 18, "overlay of 22 bytes at {at}: a zip archive that cannot be read, so it stays as it is ("),
        (ARCHIVE[:-1], "a zip archive that cannot be read, so it stays as it is (offset"),
    ],
)  # fmt: skip
def test_other_overlays_stay_with_a_remark(tail: bytes, note: str) -> None:
    outcome = result(build(overlay=tail))
    assert outcome.data.endswith(tail)
    assert len(outcome.notes) == 1
    assert note.format(at=hex(START)) in outcome.notes[0]


def test_archives_of_very_many_members_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "_LITTLE", 0)
    outcome = result(build(overlay=ARCHIVE))
    assert "a zip archive of 2 members, more than can be remembered" in outcome.notes[0]


@pytest.mark.parametrize("tail", [b"", bytes(5), bytes(0x3000)])
def test_padding_is_no_overlay(tail: bytes) -> None:
    data = build(overlay=tail)
    assert find_overlay(data, read_layout(data)) is None
    assert result(data).notes == ()
