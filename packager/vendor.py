"""Put Python packages and an application into a bundle's ``app`` folder.

A wheel's files go flat into one folder: every file is checked against RECORD, no script is made, nothing is compiled,
and of ``*.dist-info`` only METADATA stays (``importlib.metadata`` reads names and versions from it; RECORD and
INSTALLER would describe an installation that is not there). Native code is refused: only a component brings any.

Functions write below the folder they are given and nowhere else; what they return is sorted by path.
"""

from __future__ import annotations

import fnmatch
import hashlib
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from installer import install
from installer.destinations import WheelDestination
from installer.exceptions import InstallerError
from installer.records import RecordEntry, parse_record_file
from installer.sources import WheelFile
from installer.utils import Scheme
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from packager import trees
from packager.errors import SourceError, SpecError
from packager.nativecode import HEAD, UNREADABLE, NativeFile, native_in_wheel, native_kind, refuse_native
from packager.specs.model import DependencyOverride

#: Names of files that hold a licence, or what a licence asks to be passed on.
LICENCE_NAMES = ("licen[cs]e*", "copying*", "notice*", "authors*")

_RESERVED = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"\\|?*\x00-\x1f]|[. ]$')
#: Parts of a wheel's ``.data`` folder that a folder without commands and manuals has no use for.
_LEFT_OUT = ("scripts/", "headers/", "data/share/man/", "data/share/doc/")


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """A file that was written: its path relative to the destination in POSIX form, sha256 as hex, size in bytes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Text:
    """A licence text: the path that it has in its package, and its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Distribution:
    """What a package says of itself.

    ``licence`` is an SPDX expression or None where the metadata has no valid one; ``requires`` are PEP 508 lines.
    """

    name: str
    version: str
    licence: str | None
    texts: tuple[Text, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Licence:
    """A package's licence as it goes into the bundle: an SPDX expression and at least one text."""

    expression: str
    texts: tuple[Text, ...]


def install_wheel(wheel: Path, dest: Path, *, pruned: Sequence[str] = ()) -> tuple[InstalledFile, ...]:
    """Unpack a pure wheel into the flat folder ``dest``.

    ``pruned`` are patterns, relative to ``dest``, of files that the spec takes out again: those may be native code.
    Raises SourceError if the wheel is damaged or does not match its RECORD, or if a file is there already; SpecError
    if it has native code or files that a flat folder has no place for.
    """
    refuse_native(wheel.name, native_in_wheel(wheel), pruned)
    with _opened(wheel) as source:
        target = _Folder(wheel.name, dest)
        install(source, target, additional_metadata={})
    return tuple(sorted(target.written, key=lambda file: file.path))


def read_wheel(wheel: Path) -> Distribution:
    """A wheel's metadata and licence texts. Raises SourceError."""
    with _opened(wheel) as source:
        raw = _metadata(source.read_dist_info("METADATA").encode(), wheel.name)
        prefix = f"{source.dist_info_dir}/"
        texts = sorted(
            inner for inner in source.dist_info_filenames if _is_licence(inner, raw.get("license_files", []))
        )
        for inner in texts:
            check_name(inner, wheel.name)
        found = tuple(Text(inner.removeprefix("licenses/"), _member(wheel, prefix + inner)) for inner in texts)
    return _distribution(raw, found)


def read_sdist(tree: Path) -> Distribution:
    """The same of an unpacked sdist, from its PKG-INFO. Raises SourceError."""
    info = tree / "PKG-INFO"
    if not info.is_file():
        raise SourceError(f"{tree.name}: expected an sdist with PKG-INFO at its top, found none")
    raw = _metadata(info.read_bytes(), tree.name)
    declared = raw.get("license_files", [])
    found = tuple(
        Text(node.path, node.absolute.read_bytes())
        for node in trees.files(tree)
        if node.is_file and (node.path in declared or ("/" not in node.path and _is_licence(node.path, declared)))
    )
    return _distribution(raw, found)


def licence_of(
    package: Distribution, override: DependencyOverride | None, *, extra: Mapping[str, bytes], spec: str
) -> Licence:
    """The licence to ship with a package: the spec's override where it says one, else the package's own word.

    ``extra`` are the files that the override's ``licence_files`` name (paths inside the package). Raises SpecError
    where no valid SPDX expression or no text is left.
    """
    key = f"dependencies.override ({package.name})"
    expression = override.licence if override is not None and override.licence is not None else package.licence
    if expression is None:
        raise SpecError.at(
            spec,
            f"{key}.licence",
            "an SPDX expression, as the package's metadata has none",
            "nothing",
            hint=f"read the licence of {package.name} and name it in a [[dependencies.override]]",
        )
    try:
        expression = canonicalize_license_expression(expression)
    except InvalidLicenseExpression as exc:
        raise SpecError.at(spec, f"{key}.licence", "an SPDX expression", repr(expression)) from exc
    texts = {text.path: text for text in package.texts}
    for path in override.licence_files if override is not None else ():
        if path not in extra:
            raise SpecError.at(spec, f"{key}.licence_files", f"a file of {package.name}", path)
        texts[path] = Text(path, extra[path])
    if not texts:
        raise SpecError.at(
            spec,
            f"{key}.licence_files",
            "the licence text's path in the package, as its metadata names none",
            "nothing",
        )
    return Licence(str(expression), tuple(texts[path] for path in sorted(texts)))


def wheel_members(wheel: Path, paths: Sequence[str]) -> dict[str, bytes]:
    """Those of ``paths`` that a wheel has, with their content: what :func:`licence_of` wants as ``extra``."""
    with _opened(wheel) as source:
        names = set(source.dist_info_filenames) | set(_names(wheel))
    return {path: _member(wheel, path) for path in paths if path in names}


def unmet_requirements(
    packages: Iterable[Distribution], have: Collection[str], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """``A needs B`` for each requirement that ``environment`` asks for (PEP 508 markers) and ``have`` lacks."""
    names = {canonicalize_name(name) for name in have}
    unmet: list[str] = []
    for package in packages:
        for line in package.requires:
            try:
                requirement = Requirement(line)
            except InvalidRequirement as exc:
                raise SourceError(f"{package.name}: expected a PEP 508 requirement, found {line!r}") from exc
            wanted = requirement.marker is None or requirement.marker.evaluate({**environment, "extra": ""})
            if wanted and canonicalize_name(requirement.name) not in names:
                unmet.append(f"{package.name} needs {requirement.name}")
    return tuple(sorted(unmet))


class _Folder(WheelDestination):
    """A flat folder as the place that a wheel is installed to."""

    def __init__(self, wheel: str, dest: Path) -> None:
        self.wheel = wheel
        self.dest = dest
        self.written: list[InstalledFile] = []

    def write_script(self, name: str, module: str, attr: str, section: object) -> RecordEntry:
        """No script: the bundle's own entry points are the only programs."""
        return RecordEntry(name, None, None)

    def write_file(self, scheme: Scheme, path: object, stream: BinaryIO, is_executable: bool) -> RecordEntry:
        """Write a library file; leave out what :data:`_LEFT_OUT` and :func:`_kept` say."""
        name = str(path)
        if scheme == "platlib":
            raise SpecError(
                f"{self.wheel}: expected a wheel whose root is pure (Root-Is-Purelib: true), found a platform's"
            )
        if scheme != "purelib":
            where = f"{scheme}/{name}"
            if not where.startswith(_LEFT_OUT):
                raise SpecError(f"{self.wheel}: expected files for the library folder only, found {where}")
        elif _kept(name):
            self.written.append(write_new(self.dest, name, stream.read(), self.wheel))
        return RecordEntry(name, None, None)

    def finalize_installation(self, scheme: Scheme, record_file_path: str, records: Iterable[object]) -> None:
        """No RECORD is written: installer hands over the records of what it passed on, and they end here."""


def _kept(path: str) -> bool:
    """Of ``*.dist-info``, METADATA alone; licence texts go where the bundle keeps all of them."""
    top, _, inner = path.partition("/")
    return not top.endswith(".dist-info") or inner == "METADATA"


@contextmanager
def _opened(wheel: Path) -> Iterator[WheelFile]:
    """A wheel whose every file matches RECORD. What is wrong with it, found now or later, is a SourceError."""
    try:
        with WheelFile.open(wheel) as source:
            source.validate_record(validate_contents=True)
            listed = {row[0] for row in parse_record_file(source.read_dist_info("RECORD").splitlines())}
            if missing := sorted(listed.difference(_names(wheel))):
                raise SourceError(f"{wheel.name}: expected every file of RECORD, found no {missing[0]}")
            yield source
    except (InstallerError, ValueError, KeyError, *UNREADABLE) as exc:
        issues = getattr(exc, "issues", None)
        found = "; ".join(str(issue) for issue in issues[:3]) if issues else str(exc)
        raise SourceError(f"{wheel.name}: expected a sound wheel, found: {found}") from exc


def _names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as wheel:
        return [name for name in wheel.namelist() if not name.endswith("/")]


def _member(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as wheel:
        return wheel.read(name)


def _metadata(data: bytes, where: str) -> RawMetadata:
    raw, _ = parse_email(data)
    if "name" not in raw or "version" not in raw:
        raise SourceError(f"{where}: expected metadata with a name and a version, found none")
    return raw


def _distribution(raw: RawMetadata, texts: tuple[Text, ...]) -> Distribution:
    return Distribution(
        canonicalize_name(raw["name"]),
        raw["version"],
        _expression(raw),
        texts,
        tuple(raw.get("requires_dist", [])),
    )


def _expression(raw: RawMetadata) -> str | None:
    """License-Expression, else the older License where that happens to be a valid SPDX expression."""
    for text in (raw.get("license_expression"), raw.get("license")):
        if text is not None:
            try:
                return str(canonicalize_license_expression(text))
            except InvalidLicenseExpression:
                continue
    return None


def _is_licence(inner: str, declared: Sequence[str]) -> bool:
    """Whether a file of dist-info (or an sdist's top) is a licence text: it is declared one, or called like one."""
    if inner.startswith("licenses/") or inner in declared:
        return True
    return any(fnmatch.fnmatch(PurePosixPath(inner).name.lower(), pattern) for pattern in LICENCE_NAMES)


def install_path(source: Path, relative: str, dest: Path, to: str) -> tuple[InstalledFile, ...]:
    """Copy ``source/relative``, a file or a folder, to ``dest/to``.

    A link to a file inside ``source`` becomes a copy of that file, as Windows has no such links; any other link is a
    SourceError. ``__pycache__`` is left out. SpecError if ``relative`` is not there.
    """
    start = source / relative
    if start.is_symlink() or start.is_file():
        return (write_new(dest, to, _content(start, source, relative), relative),)
    if not start.is_dir():
        raise SpecError(f"{relative}: expected a file or folder of the source, found nothing")
    return tuple(
        write_new(dest, f"{to}/{node.path}", _content(node.absolute, source, f"{relative}/{node.path}"), relative)
        for node in trees.files(start)
        if "__pycache__" not in PurePosixPath(node.path).parts
    )


def install_sdist_packages(tree: Path, packages: Sequence[str], dest: Path) -> tuple[InstalledFile, ...]:
    """Copy ``packages`` (folders or modules, as paths in the unpacked sdist) into ``dest``, each by its last name.

    Native code among them is a SpecError.
    """
    written: list[InstalledFile] = []
    for package in packages:
        files = install_path(tree, package, dest, PurePosixPath(package).name)
        for file in files:
            with (dest / file.path).open("rb") as stream:
                kind = native_kind(file.path, stream.read(HEAD))
            if kind is not None:
                refuse_native(tree.name, [NativeFile(file.path, kind)])
        written += files
    return tuple(sorted(written, key=lambda file: file.path))


def write_new(dest: Path, path: str, data: bytes, where: str) -> InstalledFile:
    """Write one file (mode 0644) that is not there yet, under a name that Windows takes too. Raises SourceError."""
    check_name(path, where)
    target = dest / path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as stream:
            stream.write(data)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as exc:
        raise SourceError(f"{where}: expected no two files of one name, found {path} again") from exc
    target.chmod(0o644)
    return InstalledFile(path, hashlib.sha256(data).hexdigest(), len(data))


def check_name(path: str, where: str) -> None:
    """SourceError unless ``path`` stays below the folder it is put in and every part of it can exist on Windows."""
    parts = path.split("/")
    if path.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise SourceError(f"{where}: expected a path inside the package, found {path!r}")
    for part in parts:
        if _FORBIDDEN.search(part) or _RESERVED.match(part):
            raise SourceError(f"{where}: expected names that Windows can have, found {path!r}")


def _content(path: Path, root: Path, shown: str) -> bytes:
    """A file's bytes, through a link that stays inside ``root``."""
    if path.is_symlink():
        target = path.resolve()
        if not target.is_relative_to(root.resolve()) or not target.is_file():
            raise SourceError(f"{shown}: expected a link to a file of the source, found one to {path.readlink()}")
        path = target
    return path.read_bytes()
