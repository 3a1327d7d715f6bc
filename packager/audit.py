"""The gate in front of a finished bundle: facts about its files, held against a policy, give findings.

Facts are gathered once (:func:`gather`), policy is data (:func:`load_policy`, ``bundle_specs/policy/*.toml``), and each
check is a small function of the two in the table ``CHECKS``. A finding says which file, which rule, what was found, why
the rule is there and what to change.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from packager.errors import CheckError, MachineError, PEError, SpecError
from packager.normalise import PE_SUFFIXES
from packager.pe.imports import Image, read_image
from packager.pe.normalise import normalise


class SystemDll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DLL that Windows itself has and a bundle may import: its name (in lower case) and why that is all right."""

    name: str
    reason: str


class RefusedDll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DLL that may be neither imported nor shipped: its name (in lower case), why, and what to do instead."""

    name: str
    reason: str
    fix: str


class ForbiddenText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text that must not stand in a PE file, as ASCII or as UTF-16, and why."""

    text: str
    reason: str


class Modes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The permissions that files and folders may have, as numbers."""

    files: tuple[int, ...]
    folders: tuple[int, ...]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is allowed in a bundle for one target.

    ``machine`` is the only machine type (a name of :data:`packager.pe.layout.MACHINES`). ``search`` are the folders, as
    paths in the bundle, that the loader looks into besides the importing file's own. ``signed`` says what to do with
    signed files when it is checked that all are normalised.
    """

    machine: str
    search: tuple[str, ...]
    signed: Literal["refuse", "keep"]
    modes: Modes
    system_dlls: tuple[SystemDll, ...]
    refused_dlls: tuple[RefusedDll, ...] = ()
    forbidden_texts: tuple[ForbiddenText, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the policy does not allow. ``file`` is the path in the tree, ``rule`` the name of the check."""

    file: str
    rule: str
    message: str
    reason: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.rule}: {self.message} (why: {self.reason}; what to do: {self.fix})"


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or other thing in the tree.

    ``path`` is relative, with ``/``. ``mode`` is what lstat gives. A PE file has its bytes in ``data``, and ``image``
    or, where it cannot be read, ``error``.
    """

    path: str
    mode: int
    data: bytes | None = None
    image: Image | None = None
    error: str | None = None

    @property
    def folder(self) -> str:
        """The path of the folder that it is in, "." for the tree itself."""
        return str(PurePosixPath(self.path).parent)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class Facts:
    """Everything in a tree, by path, and the epoch (seconds since 1970) that its files should be normalised to."""

    entries: tuple[Entry, ...]
    epoch: int

    @cached_property
    def images(self) -> tuple[tuple[Entry, Image], ...]:
        """The PE files that could be read."""
        return tuple((entry, entry.image) for entry in self.entries if entry.image is not None)

    @cached_property
    def files_by_folder(self) -> dict[str, set[str]]:
        """For each folder, as Windows compares names, the names of the files in it, likewise."""
        found: dict[str, set[str]] = {}
        for entry in self.entries:
            if stat.S_ISREG(entry.mode):
                found.setdefault(windows_key(entry.folder), set()).add(windows_key(entry.name))
        return found


def audit(tree: Path, policy: Policy, epoch: int) -> tuple[Finding, ...]:
    """Everything in the folder ``tree`` that ``policy`` does not allow, by file and rule; empty when all is well.

    Raises CheckError when ``tree`` is not a folder, MachineError when something in it cannot be read.
    """
    facts = gather(tree, epoch)
    findings = [finding for check in CHECKS for finding in check(facts, policy)]
    return tuple(sorted(findings, key=lambda finding: (finding.file, finding.rule, finding.message)))


def load_policy(path: Path) -> Policy:
    """Read a policy. Raises SpecError naming the key when it is missing or wrong; unknown keys are errors too."""
    try:
        policy = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Policy)
    except OSError as exc:
        raise SpecError.at(str(path), "", "a policy file", f"none: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SpecError.at(str(path), "", "TOML", str(exc)) from exc
    except msgspec.ValidationError as exc:
        message, _, key = str(exc).partition(" - at `$")
        raise SpecError.at(str(path), key.rstrip("`").lstrip("."), "a policy", message) from exc
    for key, names in (
        ("system_dlls", [dll.name for dll in policy.system_dlls]),
        ("refused_dlls", [dll.name for dll in policy.refused_dlls]),
    ):
        for index, name in enumerate(names):
            if name != name.lower():
                raise SpecError.at(str(path), f"{key}[{index}].name", "a name in lower case", repr(name))
            if name in names[:index]:
                raise SpecError.at(str(path), f"{key}[{index}].name", "each name once", f"{name!r} again")
    return policy


def gather(tree: Path, epoch: int) -> Facts:
    """Read the facts about every entry of the folder ``tree``, sorted; links are not followed. Raises as audit does."""
    if not tree.is_dir():
        raise CheckError(f"{tree}: expected a folder, found {'a file' if tree.exists() else 'nothing'}")
    try:
        return Facts(tuple(_walk(tree)), epoch)
    except OSError as exc:
        raise MachineError(f"{exc.filename}: expected to read it, found: {exc.strerror}") from exc


def windows_key(name: str) -> str:
    """``name`` such that two names are the same to Windows when their keys are equal (one upper-case letter each)."""
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in name)


# The checks. -----------------------------------------------------------------


def readable(facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """Each file that is named or begins like a PE image is one."""
    for entry in facts.entries:
        if entry.error is not None:
            yield Finding(
                entry.path,
                "pe-readable",
                entry.error,
                "Windows cannot load a broken program or DLL, and nothing else here can be checked on it",
                "build or fetch the file again",
            )


def machine(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Each PE file is for the policy's machine."""
    for entry, image in facts.images:
        if image.machine != policy.machine:
            yield Finding(
                entry.path,
                "machine",
                f"is for {image.machine}, not for {policy.machine}",
                "a process cannot load code for another machine: it fails with c000007b",
                f"build it for {policy.machine}, or leave it out",
            )


def dll_refused(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """No PE file imports a DLL that the policy refuses by name, and none is shipped."""
    refused = {windows_key(dll.name): dll for dll in policy.refused_dlls}
    for entry, image in facts.images:
        for name in image.imported_names:
            if dll := refused.get(windows_key(name)):
                yield Finding(entry.path, "dll-refused", f"imports {name}", dll.reason, dll.fix)
        if dll := refused.get(windows_key(entry.name)):
            yield Finding(entry.path, "dll-refused", f"{entry.name} is in the bundle", dll.reason, dll.fix)


def dll_unresolved(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Each imported DLL is where the loader looks for it in the bundle, or is one of Windows' own."""
    windows = {windows_key(dll.name) for dll in policy.system_dlls}
    refused = {windows_key(dll.name) for dll in policy.refused_dlls}
    for entry, image in facts.images:
        folders = (entry.folder, *policy.search)
        shipped: set[str] = set().union(*(facts.files_by_folder.get(windows_key(f), set()) for f in folders))
        for name in image.imported_names:
            key = windows_key(name)
            if key in shipped or key in windows or key in refused:
                continue
            elsewhere = next((other.path for other in facts.entries if windows_key(other.name) == key), None)
            looked = ", ".join(dict.fromkeys(folders))
            yield Finding(
                entry.path,
                "dll-unresolved",
                f"imports {name}, which is neither in {looked} nor among Windows' own DLLs in the policy",
                "Windows then refuses to start the program (c0000135) or to import the module",
                f"ship {name} beside it, link it statically, or, if Windows has it, add it to the policy"
                if elsewhere is None
                else f"move {elsewhere} to one of these folders",
            )


def normalised(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Stamps and checksum of each PE file are what ``packager normalise`` makes of them."""
    for entry, _image in facts.images:
        assert entry.data is not None
        message = None
        try:
            changes = normalise(entry.data, facts.epoch, signed=policy.signed).changes
        except PEError as exc:
            message = exc.message
        else:
            if changes:
                names = dict.fromkeys(change.field for change in changes)
                message = f"not normalised to epoch {facts.epoch}: {', '.join(names)}"
        if message is not None:
            yield Finding(
                entry.path,
                "normalised",
                message,
                "a time of linking or a stale checksum makes two builds of the same sources differ",
                f"run packager normalise --epoch {facts.epoch} on it",
            )


def forbidden_text(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """No PE file has a forbidden text in it, as UTF-8 or UTF-16, in any case."""
    for file in facts.entries:
        if file.data is None:
            continue
        lowered = file.data.lower()
        for forbidden in policy.forbidden_texts:
            for encoding in ("utf-8", "utf-16-le"):
                at = lowered.find(forbidden.text.encode(encoding).lower())
                if at >= 0:
                    yield Finding(
                        file.path,
                        "forbidden-text",
                        f"has {forbidden.text!r} at offset {at:#x}: {_around(file.data, at, encoding)!r}",
                        forbidden.reason,
                        "map the path away when compiling (-ffile-prefix-map) or configure another one",
                    )


def file_name(facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """Each name is one that Windows takes."""
    for entry in facts.entries:
        if (fault := _name_fault(entry.name)) is not None:
            yield Finding(
                entry.path,
                "file-name",
                f"the name {entry.name!r} {fault}",
                "Windows cannot make a file of that name, so the bundle could not be unpacked",
                "rename it, or leave it out by a prune rule",
            )


def case_twin(facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """No two names in a folder differ in upper and lower case only."""
    seen: dict[str, str] = {}
    for entry in facts.entries:
        first = seen.setdefault(windows_key(entry.path), entry.path)
        if first != entry.path:
            yield Finding(
                entry.path,
                "case-twin",
                f"differs from {first} only in upper and lower case",
                "on Windows both are one file: the one unpacked last wins",
                "rename one of them or leave it out",
            )


def file_type(facts: Facts, _policy: Policy) -> Iterator[Finding]:
    """There are only files and folders."""
    for entry in facts.entries:
        if not stat.S_ISREG(entry.mode) and not stat.S_ISDIR(entry.mode):
            yield Finding(
                entry.path,
                "file-type",
                f"is {_KINDS.get(stat.S_IFMT(entry.mode), 'a special file')}",
                "archives for Windows carry files and folders only, and a link may lead out of the bundle",
                "put a copy of the file there, or leave it out",
            )


def file_mode(facts: Facts, policy: Policy) -> Iterator[Finding]:
    """Files and folders have the policy's permissions, and so neither setuid nor setgid."""
    for entry in facts.entries:
        is_folder = stat.S_ISDIR(entry.mode)
        if not is_folder and not stat.S_ISREG(entry.mode):
            continue
        allowed = policy.modes.folders if is_folder else policy.modes.files
        mode = stat.S_IMODE(entry.mode)
        if mode not in allowed:
            wanted = " or ".join(f"{value:04o}" for value in allowed)
            yield Finding(
                entry.path,
                "file-mode",
                f"has mode {mode:04o}, not {wanted}",
                "modes go into the archive: odd ones come from a umask or are a risk where it is unpacked",
                f"chmod {allowed[0]:04o} when staging it",
            )


CHECKS: tuple[Callable[[Facts, Policy], Iterator[Finding]], ...] = (
    readable,
    machine,
    dll_refused,
    dll_unresolved,
    normalised,
    forbidden_text,
    file_name,
    case_twin,
    file_type,
    file_mode,
)

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

#: "Naming Files, Paths, and Namespaces" in Microsoft's documentation; the superscript digits count as digits.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9\u00b9\u00b2\u00b3])[ ]*(\..*)?", re.IGNORECASE)
_REFUSED_CHARACTERS = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


def _name_fault(name: str) -> str | None:
    """What Windows does not take about a file name, or None."""
    if _RESERVED.fullmatch(name):
        return "is reserved for a device"
    if (bad := _REFUSED_CHARACTERS.search(name)) is not None:
        return f"has the character {bad[0]!r}"
    if name.endswith((" ", ".")):
        return "ends in a space or a dot"
    if not name.isprintable() and any("\ud800" <= char <= "\udfff" for char in name):
        return "is not UTF-8"
    return None


def _walk(tree: Path) -> Iterator[Entry]:
    """Every entry below ``tree``; the paths are sorted as text, so that the outcome does not depend on the disk."""
    paths: list[str] = []
    for root, folders, files in os.walk(tree, onerror=_raise):
        paths.extend(Path(root, name).relative_to(tree).as_posix() for name in (*folders, *files))
    for path in sorted(paths):
        file = tree / path
        mode = file.lstat().st_mode
        if stat.S_ISREG(mode) and _looks_like_pe(file):
            yield _pe_entry(path, mode, file.read_bytes())
        else:
            yield Entry(path, mode)


def _looks_like_pe(file: Path) -> bool:
    """By its ending, or by its first two bytes: a DLL may have any name."""
    if file.suffix.lower() in PE_SUFFIXES:
        return True
    with file.open("rb") as opened:
        return opened.read(2) == b"MZ"


def _pe_entry(path: str, mode: int, data: bytes) -> Entry:
    try:
        return Entry(path, mode, data, read_image(data))
    except PEError as exc:
        return Entry(path, mode, data, error=exc.message)


def _raise(error: OSError) -> None:
    raise error


def _around(data: bytes, at: int, encoding: str, before: int = 24, after: int = 60) -> str:
    """The printable text that has the byte at ``at`` in it, shortened."""
    width = 2 if encoding == "utf-16-le" else 1
    start = at - min(before * width, at // width * width)
    text = data[start : at + after * width].decode("utf-16-le" if width == 2 else "latin-1", "replace")
    head, tail = text[: (at - start) // width], text[(at - start) // width :]
    shown = re.compile(r"[ -~]*")
    left = shown.match(head[::-1])
    right = shown.match(tail)
    assert left is not None and right is not None  # the pattern matches nothing, too
    return left[0][::-1] + right[0]


def failed(findings: Sequence[Finding], tree: Path) -> CheckError:
    """The error that a build ends with when there are findings."""
    return CheckError(
        f"{tree}: expected nothing that the policy forbids, found {len(findings)} of it",
        details=[str(finding) for finding in findings],
        hint="change what the findings name, or, with a reason, the policy",
    )
