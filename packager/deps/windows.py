"""What Windows has: its DLLs, what they export, the API sets, the KnownDLLs, and since when, where that is known.

The answers come from one data file, made by ``scripts/make_windows_data.py`` out of public sources (its neighbours say
which, and under what licence). They speak of *some* Windows: a name that is here may be missing from an older version
than the one it was seen in, unless :meth:`Windows.since` says more. What is not known is not called missing: see
:class:`Exports`.

The file is a header, read at once, and blocks that hold a few DLLs each, read when one of those is asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeVar

import msgspec
import zstandard

from packager.errors import SpecError

#: The machines that exports are told apart by; bit n of a mask is the n-th.
MACHINES = ("x86_64", "i686", "arm64")
DATA_FILE = Path(__file__).resolve().parents[2] / "bundle_specs" / "windows" / "windows.data"

MAGIC = b"windata1"
#: No block or header comes near this many bytes; more is damage.
_MOST_BYTES = 1 << 24

T = TypeVar("T")
Kind = Literal["system", "redistributable"]


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One DLL in the header: which block it lies in and where, whether Windows has it, since when.

    ``complete`` is the mask of machines for which the names are all that any Windows is believed to export; ``since``
    is an index into the header's versions, -1 where the version is not known.
    """

    block: int
    place: int
    system: bool
    complete: int
    since: int


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What one DLL exports. Names and ordinals stand under the mask of machines that have them."""

    names: dict[int, list[str]]
    ordinals: dict[int, dict[int, str | None]]
    last_ordinal: int | None
    since: dict[str, int]


class ApiSet(msgspec.Struct, frozen=True, array_like=True):
    """Where an API set leads: its host (empty: none), and the DLLs for whose imports it is another one."""

    host: str
    importers: dict[str, str] = {}


class Header(msgspec.Struct, frozen=True, array_like=True):
    """What is read at once.

    API sets stand without their revision in ``api_sets``, with it in ``contracts``, which dates them;
    ``redistributable`` are shell patterns; ``blocks`` are (offset after the header, bytes).
    """

    origin: str
    versions: list[str]
    known_dlls: list[str]
    api_sets: dict[str, ApiSet]
    contracts: dict[str, int]
    redistributable: list[str]
    dlls: dict[str, Row]
    blocks: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Exports:
    """What a DLL of Windows exports on one machine.

    ``complete``: a name that is not in ``names`` is missing; otherwise it is only not known. ``ordinals`` has those
    that Windows' own import libraries fix (Wine's spec files state them); others are numbered anew by the linker in
    each build of Windows, so an ordinal that is not in it says nothing, unless it is above ``last_ordinal``, which is
    None where that cannot be known. A value of ``ordinals`` is the function's name; None: it has none.
    """

    names: frozenset[str]
    ordinals: Mapping[int, str | None]
    complete: bool
    last_ordinal: int | None = None

    def has_name(self, name: str) -> bool | None:
        """True: some Windows exports it; False: none is known to; None: not known."""
        return True if name in self.names else (False if self.complete else None)

    def has_ordinal(self, ordinal: int) -> bool | None:
        """True: some Windows exports it; False: it is beyond all that the DLL has; None: not known."""
        if ordinal in self.ordinals:
            return True
        return False if self.last_ordinal is not None and ordinal > self.last_ordinal else None


_NOTHING = Exports(frozenset(), MappingProxyType({}), complete=False)


@dataclass(frozen=True, slots=True)
class Windows:
    """What Windows has. DLLs are named in lower case with their extension.

    ``versions`` are the values of :meth:`since`, oldest first; ``known_dlls`` the KnownDLLs of Windows 10 and 11;
    ``origin`` says in one line what the answers rest on.
    """

    origin: str
    versions: tuple[str, ...]
    known_dlls: frozenset[str]
    _header: Header = field(repr=False, compare=False)
    _blocks: bytes = field(repr=False, compare=False)
    _file: str = field(repr=False, compare=False)
    _decoded: dict[int, list[msgspec.Raw]] = field(default_factory=dict, repr=False, compare=False)
    _records: dict[str, Record] = field(default_factory=dict, repr=False, compare=False)
    _exports: dict[tuple[str, str], Exports] = field(default_factory=dict, repr=False, compare=False)

    def has(self, dll: str) -> bool:
        """Whether Windows itself has the DLL. False for API sets and for what installers of run-times bring."""
        row = self._header.dlls.get(dll)
        return row is not None and row.system

    def kind(self, dll: str) -> Kind | None:
        """``system``: part of Windows; ``redistributable``: Microsoft's, but an installer has to bring it; or None."""
        if self.has(dll):
            return "system"
        found = any(fnmatchcase(dll, pattern) for pattern in self._header.redistributable)
        return "redistributable" if found else None

    def exports(self, dll: str, machine: str) -> Exports | None:
        """What the DLL exports on a machine as :data:`MACHINES` names them; None if the DLL is not known.

        For a machine about which nothing is known these are the names that other machines have, not complete.
        """
        if (found := self._exports.get((dll, machine))) is not None:
            return found
        row = self._header.dlls.get(dll)
        if row is None:
            return None
        made = _exports(self._record(dll, row), row.complete, machine) if row.block >= 0 else _NOTHING
        self._exports[dll, machine] = made
        return made

    def api_set(self, name: str, importer: str | None = None) -> str | None:
        """The DLL that an ``api-*`` or ``ext-*`` name stands for; ``.dll`` at its end makes no difference.

        Like the loader, this leaves the last number out of account. Empty: there is such a set, but no host of it is
        known; None: it is not known. A few sets lead elsewhere for some DLLs that import them: ``importer``.
        """
        found = self._header.api_sets.get(contract(name))
        if found is None:
            return None
        return found.importers.get(importer, found.host) if importer is not None else found.host

    def hosted(self, dll: str) -> tuple[str, ...]:
        """The API sets, without their revision, that lead to the DLL; sorted."""
        return tuple(
            name
            for name, found in sorted(self._header.api_sets.items())
            if dll == found.host or dll in found.importers.values()
        )

    def since(self, dll: str, symbol: str | None = None) -> str | None:
        """The version of Windows that introduced the DLL, API set or exported name; None where that is not known.

        Only what came with Windows Vista or later is recorded, so None may also mean that it has always been there.
        """
        if symbol is None:
            if is_api_set(dll):
                return self._version(self._header.contracts.get(dll.removesuffix(".dll"), -1))
            row = self._header.dlls.get(dll)
            return self._version(row.since if row is not None else -1)
        if is_api_set(dll):
            dll = self.api_set(dll) or ""
        row = self._header.dlls.get(dll)
        if row is None or row.block < 0:
            return None
        return self._version(self._record(dll, row).since.get(symbol, -1))

    def _version(self, index: int) -> str | None:
        return self.versions[index] if index >= 0 else None

    def _record(self, dll: str, row: Row) -> Record:
        if (record := self._records.get(dll)) is None:
            if (block := self._decoded.get(row.block)) is None:
                offset, size = self._header.blocks[row.block]
                block = _decode(self._blocks[offset : offset + size], list[msgspec.Raw], self._file)
                self._decoded[row.block] = block
            record = self._records[dll] = msgspec.msgpack.decode(block[row.place], type=Record)
        return record


def is_api_set(name: str) -> bool:
    """Whether a DLL name, in lower case, is one that the loader looks up as an API set."""
    return name.startswith(("api-", "ext-"))


def contract(name: str) -> str:
    """An API set's name as the loader compares it: without ``.dll`` and without the last number."""
    return name.removesuffix(".dll").rpartition("-")[0]


def load(path: Path | None = None) -> Windows:
    """Read the data file (default: the project's own). Raises SpecError when it is damaged or not there."""
    path = path or DATA_FILE
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise SpecError(f"{path}: expected the data on Windows' DLLs, found {exc.strerror}", hint=_HINT) from exc
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Windows:
    """Like :func:`load`, for bytes; ``file`` is what errors call them."""
    start = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC or len(data) < start:
        raise SpecError(f"{file}: expected {MAGIC.decode()} at its beginning, found {data[:8]!r}", hint=_HINT)
    (size,) = struct.unpack_from("<I", data, len(MAGIC))
    header = _decode(data[start : start + size], Header, file)
    blocks = data[start + size :]
    if len(blocks) != sum(size for _, size in header.blocks):
        raise SpecError(f"{file}: expected a file of another size: it is cut off or has a tail", hint=_HINT)
    return Windows(header.origin, tuple(header.versions), frozenset(header.known_dlls), header, blocks, file)


def _exports(record: Record, complete: int, machine: str) -> Exports:
    bit = 1 << MACHINES.index(machine) if machine in MACHINES else 0
    known = bool(complete & bit)
    masks = [mask for mask in {**record.names, **record.ordinals} if mask & bit or not known]
    names: set[str] = set()
    ordinals: dict[int, str | None] = {}
    for mask in masks:
        names.update(record.names.get(mask, ()))
        ordinals.update(record.ordinals.get(mask, {}))
    return Exports(frozenset(names), MappingProxyType(ordinals), known, record.last_ordinal if known else None)


def _decode(data: bytes, kind: type[T], file: str) -> T:
    """One compressed part of the file; zstd's own checksum guards what is in it."""
    try:
        if not 0 <= zstandard.frame_content_size(data) <= _MOST_BYTES:
            raise zstandard.ZstdError("no size, or one beyond all reason")
        return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data), type=kind)
    except (msgspec.DecodeError, zstandard.ZstdError) as exc:
        raise SpecError(f"{file}: the file is damaged: {exc}", hint=_HINT) from exc


_HINT = "make it again: python -m scripts.make_windows_data"
