"""Makes tiny PE images out of nothing, with any of the tables that the tests need. No file, no compiler."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

RVA = 0x1000
RAW = 0x400
X64, X86, ARM64 = 0x8664, 0x14C, 0xAA64
#: Where what a binder leaves in the headers begins, and how long a record's header is before its path.
BOUND_AT = 0x200
RSDS_HEADER, NB10_HEADER = 24, 16


def rsds(path: bytes, guid: bytes = bytes(range(16)), age: int = 1) -> bytes:
    """A CodeView record as today's linkers write it; ``path`` with what is to end it."""
    return b"RSDS" + guid + struct.pack("<I", age) + path


def nb10(path: bytes, stamp: int = 0x77777777, age: int = 1) -> bytes:
    """A CodeView record as linkers of the nineties wrote it."""
    return b"NB10" + struct.pack("<III", 0, stamp, age) + path


RSDS = rsds(b"x.pdb\0")


@dataclass(frozen=True)
class Dll:
    """An imported DLL: functions by name (str) or ordinal (int).

    A binder leaves ``stamp``, and addresses instead of names: in the address table, or for a DLL that is loaded late in
    a table of its own (``bound``). ``lookup`` is False where a linker left the look-up table out; ``bound_table`` is the
    RVA of a table that is somewhere else.
    """

    name: str | bytes
    symbols: Sequence[str | int] = ("ExitProcess",)
    stamp: int = 0
    chain: int = 0
    bound: bool = False
    lookup: bool = True
    bound_table: int = 0


@dataclass(frozen=True)
class Exports:
    """Exported functions: name (None: by ordinal only) and forwarder (None: code)."""

    functions: Sequence[tuple[str | None, str | None]] = (("one", None), (None, None), ("two", "OTHER.three"))
    stamp: int = 0x22222222
    name: str = "self.dll"
    base: int = 5


@dataclass(frozen=True)
class Spec:
    """What to build. ``resources`` is a tree: a dict is a directory, bytes are a leaf."""

    plus: bool = True
    machine: int = X64
    dll: bool = True
    stamp: int = 0x11111111
    checksum: int = 0x99999999
    imports: Sequence[Dll] = ()
    delay: Sequence[Dll] = ()
    delay_by_address: bool = False
    exports: Exports | None = None
    resources: Mapping[int, object] | None = None
    resource_stamp: int = 0x33333333
    debug: Sequence[int] = ()
    debug_stamp: int = 0x44444444
    codeview: bytes = RSDS
    load_config_stamp: int | None = None
    bound_import: bytes = b""
    certificate: bytes = b""
    text: bytes = b""
    zero_tail: int = 0
    overlay: bytes = b""
    directories: int = 16


@dataclass
class _Blob:
    """The one section's bytes while they grow."""

    data: bytearray = field(default_factory=bytearray)

    def add(self, data: bytes, align: int = 8) -> int:
        self.data += bytes(-len(self.data) % align)
        at = len(self.data)
        self.data += data
        return RVA + at


def build(spec: Spec | None = None, **options: object) -> bytes:
    """The bytes of a PE image as ``spec`` says, with ``options`` instead of its fields."""
    spec = replace(spec or Spec(), **options)  # type: ignore[arg-type]
    blob = _Blob()
    directories = [(0, 0)] * 16
    blob.add(b"\xc3" * 16)
    blob.add(spec.text)
    image_base = 0x140000000 if spec.plus else 0x400000
    if spec.exports:
        directories[0] = _exports(blob, spec.exports)
    if spec.resources is not None:
        directories[2] = _resources(blob, spec.resources, spec.resource_stamp)
    if spec.debug:
        entries = b""
        for kind in spec.debug:
            payload = {2: spec.codeview, 16: struct.pack("<I", 4) + b"hash"}.get(kind, bytes(20))
            at = blob.add(payload)
            entries += struct.pack("<IIHHIIII", 0, spec.debug_stamp, 0, 0, kind, len(payload), at, at - RVA + RAW)
        directories[6] = (blob.add(entries), len(entries))
    if spec.load_config_stamp is not None:
        size = 0x70 if spec.plus else 0x40
        directories[10] = (blob.add(struct.pack("<II", size, spec.load_config_stamp).ljust(size, b"\0")), size)
    if spec.bound_import:
        directories[11] = (BOUND_AT, len(spec.bound_import))
    if spec.delay:
        directories[13] = _delay(blob, spec, image_base if spec.delay_by_address else 0)
    # Last, so that with zero_tail its terminator can lie in the part of the section that is not in the file.
    if spec.imports:
        directories[1] = _imports(blob, spec)
    section = bytes(blob.data)
    if spec.zero_tail:
        section = section.rstrip(b"\0")
        raw_size = len(section)
    else:
        raw_size = -(-len(section) // 0x200) * 0x200
    body = section.ljust(raw_size, b"\0") + spec.overlay
    length = RAW + len(body)
    if spec.certificate:
        body += bytes(-length % 8)
        directories[4] = (RAW + len(body), len(spec.certificate))
        body += spec.certificate
    return _headers(spec, image_base, directories, raw_size, len(blob.data) + spec.zero_tail) + body


def _headers(
    spec: Spec, image_base: int, directories: list[tuple[int, int]], raw_size: int, virtual_size: int
) -> bytes:
    pe = 0x80
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", pe) + bytes(pe - 0x40)
    table = b"".join(struct.pack("<II", *entry) for entry in directories[: spec.directories])
    characteristics = 0x22 | (0x2000 if spec.dll else 0) | (0 if spec.plus else 0x100)
    image_size = RVA + -(-virtual_size // 0x1000) * 0x1000
    common = struct.pack(
        "<IIHHHHHHIIIIHH", 0x1000, 0x200, 10, 0, 0, 0, 10, 0, 0, image_size, RAW, spec.checksum, 3, 0x160
    )
    if spec.plus:
        head = struct.pack("<HBBIIIIIQ", 0x20B, 2, 40, raw_size, 0, 0, RVA, RVA, image_base)
        tail = struct.pack("<QQQQII", 0x200000, 0x1000, 0x100000, 0x1000, 0, spec.directories)
    else:
        head = struct.pack("<HBBIIIIIII", 0x10B, 2, 40, raw_size, 0, 0, RVA, RVA, RVA, image_base)
        tail = struct.pack("<IIIIII", 0x200000, 0x1000, 0x100000, 0x1000, 0, spec.directories)
    optional = head + common + tail + table
    coff = struct.pack("<HHIIIHH", spec.machine, 1, spec.stamp, 0, 0, len(optional), characteristics)
    section = struct.pack("<8sIIIIIIHHI", b".data", virtual_size, RVA, raw_size, RAW, 0, 0, 0, 0, 0xE0000060)
    return ((dos + b"PE\0\0" + coff + optional + section).ljust(BOUND_AT, b"\0") + spec.bound_import).ljust(RAW, b"\0")


def _text(value: str | bytes) -> bytes:
    return (value.encode() if isinstance(value, str) else value) + b"\0"


def _thunks(blob: _Blob, plus: bool, symbols: Sequence[str | int], base: int) -> int:
    width, flag = ("Q", 1 << 63) if plus else ("I", 1 << 31)
    values = [
        flag | symbol if isinstance(symbol, int) else base + blob.add(b"\0\0" + _text(symbol), 2) for symbol in symbols
    ]
    return blob.add(struct.pack(f"<{len(values) + 1}{width}", *values, 0))


def _addresses(blob: _Blob, plus: bool, count: int) -> int:
    """A table as a binder fills it: where the functions lay in the DLLs of one day."""
    values = [0x77001000 + 16 * index for index in range(count)]
    return blob.add(struct.pack(f"<{count + 1}{'Q' if plus else 'I'}", *values, 0))


def _imports(blob: _Blob, spec: Spec) -> tuple[int, int]:
    table = b""
    for dll in spec.imports:
        lookup = _thunks(blob, spec.plus, dll.symbols, 0)
        if dll.bound:
            addresses = _addresses(blob, spec.plus, len(dll.symbols))
        else:
            addresses = _thunks(blob, spec.plus, dll.symbols, 0)
        name = blob.add(_text(dll.name))
        table += struct.pack("<IIIII", lookup if dll.lookup else 0, dll.stamp, dll.chain, name, addresses)
    table += bytes(20)
    return blob.add(table), len(table)


def _delay(blob: _Blob, spec: Spec, base: int) -> tuple[int, int]:
    table = b""
    for dll in spec.delay:
        lookup = base + _thunks(blob, spec.plus, dll.symbols, base)
        addresses = base + _thunks(blob, spec.plus, dll.symbols, base)
        name = base + blob.add(_text(dll.name))
        handle = base + blob.add(bytes(8))
        bound = base + _addresses(blob, spec.plus, len(dll.symbols)) if dll.bound else dll.bound_table
        values = (0 if base else 1, name, handle, addresses, lookup, bound, 0, dll.stamp)
        table += struct.pack("<8I", *values)
    table += bytes(32)
    return blob.add(table), len(table)


def _exports(blob: _Blob, exports: Exports) -> tuple[int, int]:
    start = blob.add(bytes(40))
    names = sorted((name, index) for index, (name, _) in enumerate(exports.functions) if name is not None)
    rvas = [
        RVA + index % 16 if forwarder is None else blob.add(_text(forwarder), 1)
        for index, (_, forwarder) in enumerate(exports.functions)
    ]
    addresses = blob.add(struct.pack(f"<{len(rvas)}I", *rvas))
    texts = [blob.add(_text(name), 1) for name, _ in names]
    name_table = blob.add(struct.pack(f"<{len(texts)}I", *texts))
    ordinals = blob.add(struct.pack(f"<{len(names)}H", *(index for _, index in names)))
    own = blob.add(_text(exports.name))
    header = struct.pack(
        "<IIHHIIIIIII",
        0,
        exports.stamp,
        0,
        0,
        own,
        exports.base,
        len(rvas),
        len(names),
        addresses,
        name_table,
        ordinals,
    )
    blob.data[start - RVA : start - RVA + 40] = header
    return start, RVA + len(blob.data) - start


def _resources(blob: _Blob, tree: Mapping[int, object], stamp: int) -> tuple[int, int]:
    """Directories first, then the leaves' entries, then their data; offsets are relative to the root."""
    nodes: list[Mapping[int, object]] = [tree]
    for node in nodes:
        nodes.extend(child for child in node.values() if isinstance(child, Mapping))
    places = []
    at = 0
    for node in nodes:
        places.append(at)
        at += 16 + 8 * len(node)
    leaves = [child for node in nodes for child in node.values() if not isinstance(child, Mapping)]
    data_at = at + 16 * len(leaves)
    start = blob.add(b"")
    out = b""
    tail = b""
    entries = b""
    next_node, next_leaf = 1, 0
    for node in nodes:
        out += struct.pack("<IIHHHH", 0, stamp, 0, 0, 0, len(node))
        for key, child in node.items():
            if isinstance(child, Mapping):
                out += struct.pack("<II", key, 0x80000000 | places[next_node])
                next_node += 1
            else:
                assert isinstance(child, bytes)
                out += struct.pack("<II", key, at + 16 * next_leaf)
                entries += struct.pack("<IIII", start + data_at + len(tail), len(child), 0, 0)
                tail += child.ljust(-(-len(child) // 8) * 8, b"\0")
                next_leaf += 1
    whole = out + entries + tail
    return blob.add(whole), len(whole)


def bound_directory(*dlls: tuple[int, str, Sequence[tuple[int, str]]]) -> bytes:
    """A directory of bound imports: of each DLL its stamp, its name, and the same of those that it forwards to."""
    count = sum(1 + len(forwarders) for _stamp, _name, forwarders in dlls) + 1
    entries, names = b"", b""
    for stamp, name, forwarders in dlls:
        for each, (when, text) in enumerate([(stamp, name), *forwarders]):
            entries += struct.pack("<IHH", when, 8 * count + len(names), 0 if each else len(forwarders))
            names += _text(text)
    whole = entries + bytes(8) + names
    return whole.ljust(-(-len(whole) // 4) * 4, b"\0")


def with_symbols(data: bytes, files: Sequence[str] = ("a.c",), strings: bytes = b"", after: bytes = b"") -> bytes:
    """``data`` with COFF symbols behind it, as MinGW leaves them: a function, and what each was compiled from."""
    table = struct.pack("<8sIhHBB", b"main", 0x10, 1, 0x20, 2, 0)
    count = 1
    for name in files:
        records = [name.encode()[at : at + 18].ljust(18, b"\0") for at in range(0, len(name), 18)]
        table += struct.pack("<8sIhHBB", b".file", 0, -2, 0, 103, len(records)) + b"".join(records)
        count += 1 + len(records)
    data = put(data, 0x80 + 12, struct.pack("<II", len(data), count))
    return data + table + struct.pack("<I", 4 + len(strings)) + strings + after


def zipped(members: Mapping[str, bytes], when: tuple[int, int, int, int, int, int] = (2001, 2, 3, 4, 5, 6)) -> bytes:
    """A zip archive whose members all have the same time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, when), data)
    return file.getvalue()


#: A file with every table in it.
FULL = Spec(
    imports=(Dll("KERNEL32.dll", ("ExitProcess", "Sleep")), Dll("WS2_32.dll", (1, 115))),
    delay=(Dll("CRYPT32.dll", ("CertOpenStore", 7), stamp=0x55555555),),
    exports=Exports(),
    resources={16: {1: {1033: b"version"}}, 24: {1: {1033: b"<manifest/>"}, 2: {0: b"x"}}},
    debug=(2, 12),
    load_config_stamp=0x66666666,
)


def put(data: bytes, offset: int, value: bytes) -> bytes:
    """``data`` with ``value`` written at ``offset``."""
    return data[:offset] + value + data[offset + len(value) :]


def put32(data: bytes, offset: int, value: int) -> bytes:
    """``data`` with a 32-bit number written at ``offset``."""
    return put(data, offset, struct.pack("<I", value))
