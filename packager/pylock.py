"""Read a lock of Python dependencies (PEP 751) into frozen typed values; this is the only place that parses one.

``packaging.pylock`` checks that the file is what the PEP says. On top of it stand this project's own rules: each
package is one file, a wheel without native code or an allowed sdist, bound by its sha256 and size. A key that the
packager would not obey (a marker, an index, a URL) is refused, not passed over.

The lock names no host: PEP 751 wants a ``path`` or a URL of every file, and here it is the path ``wheels/<file>`` or
``sdists/<file>``. The packager fetches by name and version from the index that pip is set to, and holds what comes
against the hash.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from packaging.pylock import (
    Package,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockUnsupportedVersionError,
    PylockValidationError,
    is_valid_pylock_path,
)
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name, parse_wheel_filename

from packager.errors import SpecError

#: The folder in a locked file's ``path``, by kind.
FOLDERS: Mapping[str, str] = {"wheel": "wheels", "sdist": "sdists"}

_LOCK_KEYS = frozenset({"lock-version", "created-by", "requires-python", "packages"})
_PACKAGE_KEYS = frozenset({"name", "version", "requires-python", "wheels", "sdist"})
_FILE_KEYS = frozenset({"name", "path", "size", "hashes"})
_HEX = frozenset("0123456789abcdef")

Kind = Literal["wheel", "sdist"]


@dataclass(frozen=True, slots=True)
class LockedPackage:
    """One Python package: its normalised name, its version, and the one file that it is installed from.

    ``file`` is the file's name, ``sha256`` 64 lower-case hex digits, ``size`` in bytes.
    """

    name: str
    version: str
    kind: Kind
    file: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Lock:
    """All packages of a lock, sorted by name. ``file`` is what errors call it."""

    file: str
    requires_python: str
    packages: tuple[LockedPackage, ...]

    def check_python(self, version: str) -> None:
        """SpecError unless the interpreter's ``version`` (``3.13.5``) is one that the lock was made for."""
        if not SpecifierSet(self.requires_python).contains(version, prereleases=True):
            raise SpecError.at(
                self.file,
                "requires-python",
                f"a range with the interpreter's version {version}",
                self.requires_python,
                hint="renew the lock for this interpreter",
            )


def read_lock(path: Path, *, sdists: Collection[str] = (), components: Collection[str] = ()) -> Lock:
    """Read and check a lock file.

    ``sdists`` are the packages that the bundle spec allows to come from an sdist, ``components`` those that a
    component builds: neither may be in the lock as something else. Raises SpecError.
    """
    if not is_valid_pylock_path(path):
        raise SpecError.at(str(path), "", "a lock called pylock.<name>.toml", path.name)
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise SpecError(f"{path}: no such lock") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{path}: cannot be read: {exc}") from exc
    return parse_lock(text, str(path), sdists=sdists, components=components)


def parse_lock(text: str, file: str, *, sdists: Collection[str] = (), components: Collection[str] = ()) -> Lock:
    """Like :func:`read_lock`, for a text; ``file`` is what errors call it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SpecError(f"{file}: expected TOML, found {exc}") from exc
    _check_keys(document, file)
    try:
        lock = Pylock.from_dict(document)
    except PylockUnsupportedVersionError as exc:
        raise SpecError.at(file, "lock-version", "1.0", str(document["lock-version"])) from exc
    except PylockValidationError as exc:
        raise SpecError.at(file, exc.context or "", "a valid PEP 751 lock", exc.message) from exc
    if lock.requires_python is None:
        raise SpecError.at(file, "requires-python", "a version range", "nothing")
    allowed = _normalised(sdists)
    built = _normalised(components)
    packages: dict[str, LockedPackage] = {}
    for number, package in enumerate(lock.packages):
        key = f"packages[{number}]"
        if package.name in packages:
            raise SpecError.at(file, f"{key}.name", "each package once", f"{package.name} again")
        if package.name in built:
            hint = "take it out of the lock, or the component out of the bundle spec"
            raise SpecError.at(file, f"{key}.name", "no package that a component builds", package.name, hint=hint)
        packages[package.name] = _package(package, file, key, allowed)
    return Lock(file, str(lock.requires_python), tuple(packages[name] for name in sorted(packages)))


def _package(package: Package, file: str, key: str, sdists: Collection[str]) -> LockedPackage:
    """One entry of the lock, checked."""
    if package.version is None:
        raise SpecError.at(file, f"{key}.version", "a version", "nothing")
    wheels = tuple(package.wheels or ())
    count = len(wheels) + (package.sdist is not None)
    if count != 1:
        raise SpecError.at(file, key, "one file, a wheel or an sdist", f"{count} files")
    kind: Kind
    entry: PackageWheel | PackageSdist
    if wheels:
        kind, entry, where = "wheel", wheels[0], f"{key}.wheels[0]"
        _check_pure(entry.filename, package.name, file, where)
    else:
        assert package.sdist is not None  # the count is 1
        kind, entry, where = "sdist", package.sdist, f"{key}.sdist"
        if package.name not in sdists:
            raise SpecError.at(
                file,
                where,
                "a py3-none-any wheel",
                f"only an sdist of {package.name}",
                hint="name its packages in the bundle spec (sdist_packages of a [[dependencies.override]]),"
                " or build it as a component",
            )
    path = f"{FOLDERS[kind]}/{entry.filename}"
    if entry.path != path:
        raise SpecError.at(file, f"{where}.path", path, str(entry.path))
    sha256 = entry.hashes.get("sha256", "")
    if len(sha256) != 64 or not _HEX.issuperset(sha256):
        raise SpecError.at(
            file, f"{where}.hashes.sha256", "64 lower-case hex digits", repr(sha256) if sha256 else "nothing"
        )
    if entry.size is None or entry.size <= 0:
        found = "nothing" if entry.size is None else str(entry.size)
        raise SpecError.at(file, f"{where}.size", "the file's size in bytes", found)
    return LockedPackage(package.name, str(package.version), kind, entry.filename, sha256, entry.size)


def _check_pure(filename: str, name: str, file: str, where: str) -> None:
    """Refuse a wheel that is for one platform, ABI or implementation."""
    tags = parse_wheel_filename(filename)[3]
    if not any(tag.interpreter == "py3" and tag.abi == "none" and tag.platform == "any" for tag in tags):
        raise SpecError.at(
            file,
            f"{where}.name",
            "a py3-none-any wheel",
            filename,
            hint=f"native code is refused unless a component builds it: add one for {name}, or lock its pure wheel",
        )


def _check_keys(document: Mapping[str, Any], file: str) -> None:
    """Refuse keys that the PEP knows or ignores and the packager does not obey. Wrong types are left to packaging."""
    _known(document, _LOCK_KEYS, file, "")
    for number, package in enumerate(_tables(document.get("packages"))):
        key = f"packages[{number}]"
        _known(package, _PACKAGE_KEYS, file, f"{key}.")
        for index, wheel in enumerate(_tables(package.get("wheels"))):
            _known(wheel, _FILE_KEYS, file, f"{key}.wheels[{index}].")
        for sdist in _tables([package.get("sdist")]):
            _known(sdist, _FILE_KEYS, file, f"{key}.sdist.")


def _known(table: Mapping[str, Any], keys: Collection[str], file: str, prefix: str) -> None:
    for key in table:
        if key not in keys:
            raise SpecError.at(file, f"{prefix}{key}", f"one of the keys {', '.join(sorted(keys))}", "another key")


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _normalised(names: Collection[str]) -> frozenset[str]:
    return frozenset(canonicalize_name(name) for name in names)
