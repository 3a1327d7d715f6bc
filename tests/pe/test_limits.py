"""Files that LIEF would need long, or much memory for: refused before it is asked, and no others."""

from __future__ import annotations

import struct

import lief
import pytest

from packager.errors import PEError
from packager.pe import limits
from packager.pe.layout import Directory, read_layout
from packager.pe.limits import refuse_heavy, resources, symbols_are_light
from packager.pe.normalise import normalise
from tests.pe.build import FULL, RAW, RVA, X86, Dll, Exports, build, put, put32, with_symbols
from tests.pe.cases import EPOCH, holds, seeds

#: Enough for tables that a file's half, and 4 MiB, do not pay for.
MANY = 1 << 20
SECTION = 0x80 + 24 + 240
BASE = 0x140000000


def with_sections(*headers: tuple[int, int, int], size: int) -> bytes:
    """A file of ``size`` bytes with a section per (virtual size, raw size, raw offset)."""
    data = bytearray(build())
    struct.pack_into("<H", data, 0x86, len(headers))
    end = SECTION + 40 * len(headers)
    struct.pack_into("<I", data, 0x80 + 24 + 60, end)
    table = b"".join(
        struct.pack("<8sIIIIIIHHI", b"s", virtual, 0x100000 + 0x1000 * index, raw, at, 0, 0, 0, 0, 0x40)
        for index, (virtual, raw, at) in enumerate(headers)
    )
    return bytes(data[:SECTION] + table).ljust(size, b"x")


def with_directory(data: bytes, which: Directory, size: int = 0x140) -> bytes:
    """``data`` with a directory that lies right behind the section's first 16 bytes."""
    return put(data, read_layout(data).directories[which].offset, struct.pack("<II", RVA + 16, size))


def load_config(data: bytes, **values: int) -> bytes:
    """``data`` with a load configuration that has 64-bit numbers at the places named ``at_...``."""
    data = put32(with_directory(put(data, RAW + 16, bytes(0x140)), Directory.LOAD_CONFIG), RAW + 16, 0x140)
    for place, value in values.items():
        data = put(data, RAW + 16 + int(place[3:], 16), struct.pack("<Q", value))
    return data


def relocations(data: bytes) -> bytes:
    data = put(load_config(data), RAW + 16 + 0xE0, struct.pack("<IH", 0x1000, 1))
    return put(data, RAW + 0x1000, struct.pack("<II", 1, MANY))


def many_leaves(count: int) -> bytes:
    """Leaves that all have the same megabyte."""
    data = build(resources=dict.fromkeys(range(count), b"leaf"), text=bytes(MANY))
    root = read_layout(data).offset(read_layout(data).directories[Directory.RESOURCE].rva, 16, "x")
    out = bytearray(data)
    for index in range(count):
        leaf = struct.unpack_from("<I", out, root + 16 + 8 * index + 4)[0]
        struct.pack_into("<II", out, root + leaf, RVA, MANY)
    return bytes(out)


def many_debug_entries(kind: int) -> bytes:
    data = build(debug=(kind,) * 1000, text=bytes(MANY))
    start = read_layout(data).offset(read_layout(data).directories[Directory.DEBUG].rva, 28, "x")
    out = bytearray(data)
    for index in range(1000):
        struct.pack_into("<III", out, start + 28 * index + 16, MANY, RVA + 16, RAW + 16)
    return bytes(out)


def many_thunks(delayed: bool) -> bytes:
    """DLLs that all have the same long look-up table, whose names are all the same long one."""
    table = struct.pack("<Q", RVA + 0x8100) * 0x1000 + bytes(8)
    text = table.ljust(0x8100, b"\0") + b"n" * 0x1000
    dlls = [Dll("A.dll", ("f",), stamp=0 if delayed else 1, bound=True)] * 100
    data = build(text=text, **({"delay": dlls} if delayed else {"imports": dlls}))  # type: ignore[arg-type]
    which = Directory.DELAY_IMPORT if delayed else Directory.IMPORT
    size, place = (32, 16) if delayed else (20, 0)
    start = read_layout(data).offset(read_layout(data).directories[which].rva, size, "x")
    for index in range(100):
        data = put32(data, start + size * index + place, RVA + 16)
    return data


BIG = build(text=bytes(3 * MANY))
ADDRESS = BASE + RVA + 0x1000

HEAVY: dict[str, tuple[bytes, str]] = {
    "sections with the same data": (with_sections(*[(0x1000, MANY, 0x10000)] * 100, size=2 * MANY), "sections"),
    "sections from the beginning of the file": (with_sections(*[(0x1000, MANY, 0)] * 100, size=2 * MANY), "sections"),
    "gaps between sections": (with_sections(*[(0x200, 0x200, 0x10000), (0x200, 0x200, MANY)] * 50, size=2 * MANY), "sections"),
    "a long DOS stub": (b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 8 * MANY) + build()[0x40:0x80].ljust(8 * MANY - 0x40, b"\0") + build()[0x80:], "sections"),
    "a thread's data": (put(with_directory(build(text=bytes(16 * MANY)), Directory.TLS), RAW + 16, struct.pack("<QQ", BASE + RVA, BASE + RVA + 15 * MANY)), "TLS directory"),
    "CodeView": (many_debug_entries(2), "debug directory"),
    "profiles": (many_debug_entries(13), "debug directory"),
    "hashes": (many_debug_entries(16), "debug directory"),
    "exception handlers": (load_config(BIG, at_60=ADDRESS, at_68=1 << 40), "load configuration"),
    "guarded functions": (load_config(BIG, at_80=ADDRESS, at_88=1 << 40), "load configuration"),
    "guarded long jumps": (load_config(BIG, at_b0=ADDRESS, at_b8=1 << 40), "load configuration"),
    "relocations": (relocations(build(text=bytes(2 * MANY))), "load configuration"),
    "hybrid metadata": (put(load_config(BIG, at_c8=ADDRESS), RAW + 0x1000 + 8, b"\xff" * 4), "load configuration"),
    "an enclave": (put(load_config(BIG, at_f8=ADDRESS), RAW + 0x1000 + 12, b"\xff" * 4), "load configuration"),
    "volatile metadata": (put(load_config(build(text=bytes(12 * MANY)), at_100=ADDRESS), RAW + 0x1000 + 12, b"\xff" * 12), "load configuration"),
    "delay imports": (many_thunks(True), "delay imports"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "what"), HEAVY.values(), ids=HEAVY.keys())
def test_heavy_files_are_refused_before_lief_is_asked(data: bytes, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(lief.PE, "parse", lambda *given: asked.append(given))
    with pytest.raises(PEError) as caught:
        normalise(data, EPOCH)
    assert caught.value.message.startswith(what)
    assert asked == []


def test_imports_of_bound_files_count() -> None:
    data = many_thunks(False)
    layout = read_layout(data)
    refuse_heavy(data, layout, imports=False)
    with pytest.raises(PEError, match=r"^imports: expected tables"):
        refuse_heavy(data, layout, imports=True)


def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bool]]:
    """What LIEF will have been asked: the bytes, and whether to read resources."""
    calls: list[tuple[bytes, bool]] = []
    parse = lief.PE.parse

    def record(given: bytes, config: lief.PE.ParserConfig) -> lief.PE.Binary | None:
        calls.append((given, config.parse_rsrc))
        return parse(given, config)

    monkeypatch.setattr(lief.PE, "parse", record)
    return calls


def test_resources_that_lief_would_copy_again_and_again_are_pefiles(monkeypatch: pytest.MonkeyPatch) -> None:
    data = many_leaves(100)
    found = resources(data, read_layout(data))
    assert (found.entries, found.light) == (100, False)
    calls = asked(monkeypatch)
    assert holds(data)
    assert [wanted for _given, wanted in calls] == [False]


def test_a_resource_tree_without_an_address_is_none() -> None:
    data = build(FULL)
    data = put(data, read_layout(data).directories[Directory.RESOURCE].offset, struct.pack("<II", 0, 0x1000000))
    assert resources(data, read_layout(data)) == limits.Resources(0, True, ())


def test_a_resource_tree_with_very_many_entries_is_refused() -> None:
    """Directories beyond the section are found by LIEF, which goes on in the file, and by nobody else."""
    data = build(
        resources={1: {1: {1: b"leaf"}}}, overlay=(struct.pack("<8xHHHH", 0, 0, 0, 0xFFFF) + bytes(0xFFFF * 8)) * 3
    )
    root = read_layout(data).offset(read_layout(data).directories[Directory.RESOURCE].rva, 16, "x")
    for index in range(3):
        at = len(build(resources={1: {1: {1: b"leaf"}}})) + index * (16 + 0xFFFF * 8)
        data = put32(data, at + 16 + 4, 1 << 31 | at + 16 + 0xFFFF * 8 - root)
    data = put32(data, root + 20, 1 << 31 | len(build(resources={1: {1: {1: b"leaf"}}})) - root)
    with pytest.raises(PEError, match="resources: expected 131072 entries at most"):
        resources(data, read_layout(data))


def test_where_they_are_too_many_for_pefile_lief_sees_them_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    data = many_leaves(5000)
    calls = asked(monkeypatch)
    assert holds(data)
    ((given, wanted),) = calls
    assert wanted
    assert len(given) == len(data)
    assert all(given[at : at + 4] == bytes(4) for at in resources(data, read_layout(data)).sizes)


@pytest.mark.parametrize(
    "data",
    [
        with_symbols(build(FULL), ("a.c",) * (MANY // 16)),
        with_symbols(build(FULL), strings=bytes(MANY)),
        with_symbols(build(FULL), strings=bytes(MANY), after=b"overlay"),
        put(build(FULL, text=bytes(8 * MANY)), 0x8C, struct.pack("<II", RAW, MANY)),
        put(build(FULL, overlay=bytes(8 * MANY)), 0x8C, struct.pack("<II", RAW, 0xFFFFFFFF)),
    ],
)
def test_lief_does_not_see_many_symbols(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not symbols_are_light(data, read_layout(data))
    calls = asked(monkeypatch)
    assert holds(data)
    assert [given[0x8C:0x94] for given, _wanted in calls] == [bytes(8)]


@pytest.mark.parametrize(
    "data", [*seeds(), build(), build(FULL, exports=Exports(stamp=1)), build(FULL, plus=False, machine=X86)]
)
def test_files_of_every_kind_are_light(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """With nothing to spare but what the small files' tables take."""
    monkeypatch.setattr(limits, "_LITTLE", 0x8000)
    layout = read_layout(data)
    refuse_heavy(data, layout, imports=True)
    assert resources(data, layout).light
    assert symbols_are_light(data, layout)


def test_counts_beyond_the_end_of_a_small_file_are_no_reason() -> None:
    """What LIEF makes of them is bounded by the end."""
    data = load_config(build(text=bytes(0x2000)), at_80=ADDRESS, at_88=1 << 40)
    refuse_heavy(data, read_layout(data), imports=True)
