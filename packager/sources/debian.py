"""Get files of Debian source packages with this machine's own apt, from the mirror that this machine uses.

apt runs with a state of its own (lists, cache, sources.list), so it needs no root and leaves the machine's untouched;
proxies, transports, certificates and authentication come from the machine's configuration. Which mirror that is, is
read from the machine's repositories by what their signed Release files say (``Origin: Debian``); the suite is ours.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from packager import process
from packager.disk import disk_errors, full, raise_if_child_was_full
from packager.errors import MachineError
from packager.progress import Reporter
from packager.sources.origin import OriginError, Want
from packager.specs import model

#: Debian's archive keys, as the package debian-archive-keyring installs them.
KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
_HELPER = "/usr/lib/apt/apt-helper"
#: Suites that have neither updates nor security suites beside them.
_ROLLING = frozenset({"sid", "unstable", "experimental", "testing"})
#: What the machine hooks into an update (cache refreshers, cleaners) is none of ours to start.
_CONF = "".join(
    f"#clear {hook};\n"
    for hook in (
        "APT::Update::Pre-Invoke", "APT::Update::Post-Invoke", "APT::Update::Post-Invoke-Success",
    )
)  # fmt: skip
#: Seconds without progress after which apt is given up.
STALLED = 300
_PERCENT = re.compile(r"^dlstatus:\d+:([\d.]+):")
_PRINTED_URI = re.compile(r"^'([^']+)' (\S+) (\d+) ?(\S*)$")


@dataclass(frozen=True, slots=True)
class DebianMirrors:
    """Base URIs, ending in ``/``, of the Debian archive and its security archive, and the keyring that signs both.

    ``security`` is None where the machine has no such repository, ``keyring`` where apt's own trusted keys are to do.
    """

    main: str
    security: str | None
    keyring: Path | None

    def lines(self, suite: str, kind: Literal["deb", "deb-src"]) -> tuple[str, ...]:
        """The sources.list lines of a suite, its updates and its security updates."""
        option = f"[signed-by={self.keyring}] " if self.keyring is not None else ""
        places = [(self.main, suite)]
        if suite not in _ROLLING:
            places.append((self.main, f"{suite}-updates"))
            if self.security is not None:
                places.append((self.security, f"{suite}-security"))
        return tuple(f"{kind} {option}{base} {name} main" for base, name in places)


def apt_sources_lines(suite: str, kind: Literal["deb", "deb-src"] = "deb-src") -> tuple[str, ...]:
    """The sources.list lines of a Debian suite on the mirror that this machine uses. Raises MachineError."""
    return debian_mirrors().lines(suite, kind)


@functools.cache
def debian_mirrors() -> DebianMirrors:
    """The Debian mirrors that this machine's apt is set to. Raises MachineError where there are none.

    Where the machine has not run ``apt-get update`` yet, the Release files of its repositories are fetched into a
    temporary folder to learn which of them are Debian's.
    """
    apt = process.which("apt-get", "apt")
    lists = _host_lists()
    repositories = _repositories(apt, lists)
    if not any(origin == "Debian" for _, origin, _ in repositories):
        with tempfile.TemporaryDirectory(prefix="packager-apt-") as scratch:
            folder = Path(scratch)
            private = Apt(folder)
            private.prepare()
            # only the Release files are wanted, none of the indices that they list
            skip = "Acquire::IndexTargets::deb{}::{}::DefaultEnabled=false"
            options = [skip.format("", "Packages"), skip.format("-src", "Sources"), f"Dir::State::lists={folder}/lists"]
            result = process.call(
                [apt, *private.options(own_sources=False), *_flags(options), "update"], env=_environment()
            )
            repositories = _repositories(apt, folder / "lists")
        reason = process.tail(result)[-3:] if result.returncode else []
        if not any(origin == "Debian" for _, origin, _ in repositories):
            raise MachineError(
                "this machine's apt knows no Debian repository, so there is no mirror to get Debian's sources from",
                details=reason,
                hint="check the network, add a Debian repository to /etc/apt/sources.list.d and run `apt-get update`",
            )
    return choose_mirrors(repositories, next((path for path in KEYRINGS if path.is_file()), None))


def choose_mirrors(repositories: Iterable[tuple[str, str, str]], keyring: Path | None) -> DebianMirrors:
    """The first Debian archive and the first security archive among (base URI, Origin, Label)."""
    debian = [(base, label) for base, origin, label in repositories if origin == "Debian"]
    security = next((base for base, label in debian if label == "Debian-Security"), None)
    main = next((base for base, label in debian if label == "Debian"), None)
    if main is None:
        raise MachineError(
            "this machine's apt knows no repository of Debian's main archive",
            hint="add one to /etc/apt/sources.list.d and run `apt-get update`",
        )
    return DebianMirrors(main, security, keyring)


def _host_lists() -> Path:
    found = process.check(
        [process.which("apt-config", "apt"), "shell", "LISTS", "Dir::State::lists/d"],
        what="apt-config",
        env=_environment(),
        error=MachineError,
    ).decode()
    match = re.search(r"LISTS='(.*)'", found)
    return Path(match[1] if match else "/var/lib/apt/lists/")


def _repositories(apt: str, lists: Path) -> list[tuple[str, str, str]]:
    """(base URI, Origin, Label) of each repository of the machine whose Release file lies in ``lists``."""
    with tempfile.TemporaryDirectory(prefix="packager-apt-") as scratch:
        private = Apt(Path(scratch))
        private.prepare()
        printed = process.check(
            [apt, *private.options(own_sources=False), "update", "--print-uris"],
            what="apt-get update --print-uris",
            env=_environment(),
            error=MachineError,
            hint="`apt-get update` should say what is wrong with this machine's apt",
        ).decode("utf-8", "replace")
    found = []
    for uri, file in release_files(printed):
        for name in (file, file.removesuffix("InRelease") + "Release"):
            release = lists / name
            if release.is_file():
                fields = release_fields(release.read_text("utf-8", "replace"))
                found.append((uri, fields.get("Origin", ""), fields.get("Label", "")))
                break
    return found


def release_files(printed: str) -> list[tuple[str, str]]:
    """From ``apt-get update --print-uris``: each repository's base URI and the file name of its Release file."""
    found = []
    for line in printed.splitlines():
        match = _PRINTED_URI.match(line)
        if match and match[2].endswith("InRelease") and "/dists/" in match[1] and not match[1].startswith("cdrom:"):
            found.append((match[1].partition("/dists/")[0] + "/", match[2]))
    return found


def release_fields(text: str) -> dict[str, str]:
    """The one-line fields at the head of a Release or InRelease file."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if re.match(r"^(MD5Sum|SHA1|SHA256):", line):
            break
        key, colon, value = line.partition(": ")
        if colon and not line.startswith(" "):
            fields.setdefault(key, value.strip())
    return fields


@dataclass(slots=True)
class _Patience:
    """Ends a wait for apt that would not end: apt 2.6 waits for ever when its transport found the disk full.

    apt tells how far it is twice a second, whether it gets on or not.
    """

    folder: Path
    last: str = ""
    since: float = 0.0

    def heard(self, percent: str, now: float | None = None) -> None:
        """Called with each such word. Raises DiskError, or OriginError for a download that has stopped."""
        now = time.monotonic() if now is None else now
        if percent != self.last:
            self.last, self.since = percent, now
        elif now - self.since > 5 and shutil.disk_usage(self.folder).free < 1 << 16:
            raise full(self.folder)
        elif now - self.since > STALLED:
            raise OriginError(f"apt got no further for {STALLED} s")


@dataclass(frozen=True, slots=True)
class _Located:
    """A file of a source package: the URI that apt gives for it, and its size."""

    uri: str
    size: int


@dataclass(slots=True)
class Apt:
    """apt with a private state in ``folder``; refreshes a suite's lists at most once in its life."""

    folder: Path
    mirrors: DebianMirrors | None = None
    _updated: set[str] = field(default_factory=set)

    def prepare(self) -> None:
        """Make the folders and the configuration that every call names."""
        with disk_errors(self.folder):
            for name in ("lists/partial", "cache/archives/partial"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            conf = self.folder / "apt.conf"
            if not conf.is_file() or conf.read_text() != _CONF:
                conf.write_text(_CONF)

    def options(self, *, own_sources: bool) -> list[str]:
        """The options that keep apt to this folder; with ``own_sources`` also to the sources.list in it."""
        options = [
            f"Dir::State={self.folder}",
            f"Dir::State::lists={self.folder}/lists/",
            "Dir::State::status=/dev/null",
            f"Dir::Cache={self.folder}/cache",
            "Dir::Cache::pkgcache=pkgcache.bin",
            "Dir::Cache::srcpkgcache=srcpkgcache.bin",
            # as root, apt would download as a user who may not enter the store
            "APT::Sandbox::User=root",
            "Acquire::Retries=2",
            "Acquire::GzipIndexes=true",
        ]
        if own_sources:
            options += [f"Dir::Etc::sourcelist={self.folder}/sources.list", "Dir::Etc::sourceparts=-"]
        return ["-c", str(self.folder / "apt.conf"), *_flags(options)]

    def download(self, origin: model.DebianOrigin, want: Want, partial: Path, reporter: Reporter) -> None:
        """Bring one file of a source package into ``partial``. Raises OriginError, MachineError.

        The suite's lists are fetched when they are not there, and again, once, when the file is not in them or
        cannot be fetched from where they say.
        """
        process.which("apt-get", "apt")
        suite = Apt(self.folder / origin.suite, self.mirrors, self._updated)
        with disk_errors(self.folder):
            suite.prepare()
            lines = "".join(f"{line}\n" for line in (self.mirrors or debian_mirrors()).lines(origin.suite, "deb-src"))
            listed = suite.folder / "sources.list"
            fresh = listed.is_file() and listed.read_text() == lines and any(suite.folder.glob("lists/*Sources*"))
            if not fresh:
                listed.write_text(lines)
                suite._update(origin.suite, reporter)
        try:
            suite._download(origin, want, partial, reporter)
        except OriginError:
            if origin.suite in self._updated:
                raise
            suite._update(origin.suite, reporter)
            suite._download(origin, want, partial, reporter)

    def _update(self, suite: str, reporter: Reporter) -> None:
        """Fetch the lists. A failure is the reason given for every file of the suite afterwards not found."""
        reporter.note(f"fetching the list of Debian {suite}'s source packages")
        said: list[str] = []
        patience = _Patience(self.folder)

        def on_line(line: str) -> None:
            if percent := _PERCENT.match(line):
                patience.heard(percent[1])
            else:
                said.append(line)
                reporter.output(line)

        try:
            process.stream(
                [
                    "apt-get", *self.options(own_sources=True), *_flags(["APT::Status-Fd=1"]),
                    "--error-on=any", "update",
                ],
                what=f"apt-get update for Debian {suite}",
                log=self.folder / "update.log",
                env=_environment(),
                on_line=on_line,
                error=OriginError,
            )  # fmt: skip
        except OriginError as exc:
            raise_if_child_was_full(said, self.folder)
            errors = [line for line in said if line.startswith(("E:", "W:"))]
            # an updates suite that the mirror lacks must not stand in the way of what the main suite has
            if not any(self.folder.glob("lists/*Sources*")):
                raise OriginError(_reason("the list of source packages could not be fetched", errors)) from exc
            reporter.note(_reason(f"Debian {suite}: not all lists could be fetched", errors))
        self._updated.add(suite)

    def _download(self, origin: model.DebianOrigin, want: Want, partial: Path, reporter: Reporter) -> None:
        located = self._locate(origin, want)
        failures: list[str] = []
        for place in located:
            try:
                self._get(place, want, partial, reporter)
                return
            except OriginError as exc:
                raise_if_child_was_full((exc.message, *exc.details), partial.parent)
                failures.append(exc.message)
        raise OriginError("; ".join(failures))

    def _locate(self, origin: model.DebianOrigin, want: Want) -> list[_Located]:
        """Where the mirrors have the file: by name and sha256, in any version of the package that they list."""
        shown = process.call(
            ["apt-cache", *self.options(own_sources=True), "showsrc", "--only-source", origin.package],
            env=_environment(),
        )
        entries = parse_showsrc(shown.stdout.decode("utf-8", "replace"))
        if not entries:
            raise OriginError(f"the suite has no source package {origin.package}")
        versions = [version for version, files in entries if files.get(origin.file) == want.sha256]
        if not versions:
            others = {files[origin.file] for _, files in entries if origin.file in files}
            if others:
                raise OriginError(f"expected sha256 {want.sha256}, the list says {', '.join(sorted(others))}")
            listed = ", ".join(version for version, _ in entries)
            raise OriginError(f"no version of the package has this file; the suite has {listed}")
        places: dict[str, _Located] = {}
        reasons: list[str] = []
        for version in versions:
            result = process.call(
                [
                    "apt-get", *self.options(own_sources=True), "source", "--print-uris", "--only-source",
                    f"{origin.package}={version}",
                ],
                env=_environment(),
            )  # fmt: skip
            reasons += [] if result.returncode == 0 else process.tail(result)
            for line in result.stdout.decode("utf-8", "replace").splitlines():
                match = _PRINTED_URI.match(line)
                if match and match[2] == origin.file:
                    places[match[1]] = _Located(match[1], int(match[3]))
        if not places:
            raise OriginError(_reason("apt does not say where the file is", reasons))
        return list(places.values())

    def _get(self, place: _Located, want: Want, partial: Path, reporter: Reporter) -> None:
        """Fetch one URI with apt's transports. A cut-off file is gone on with where the mirror tells file times."""
        stamp = partial.with_name(f"{partial.name}.mtime")
        _restore_mtime(partial, stamp)
        said: list[str] = []
        patience = _Patience(partial.parent)

        def on_line(line: str) -> None:
            for part in line.split("\r"):
                if percent := _PERCENT.match(part):
                    patience.heard(percent[1])
                    reporter.transfer(want.file, int(float(percent[1]) * place.size / 100), place.size)
                elif modified := re.match(r"^Last-Modified: (.+)$", part.strip(), re.IGNORECASE):
                    stamp.write_text(modified[1])
                else:
                    said.append(part)

        try:
            process.stream(
                [
                    _HELPER, *self.options(own_sources=True),
                    *_flags(["APT::Status-Fd=1", "Debug::Acquire::http=true", "Debug::Acquire::https=true"]),
                    "download-file", place.uri, str(partial), f"SHA256:{want.sha256}",
                ],
                what="apt-helper",
                log=partial.with_name(f"{partial.name}.log"),
                env=_environment(),
                on_line=on_line,
                error=OriginError,
            )  # fmt: skip
        except OriginError as exc:
            raise_if_child_was_full(said, partial.parent)
            errors = [line for line in said if line.startswith("E:")]
            raise OriginError(_reason("apt could not fetch it", errors or exc.details)) from exc
        finally:
            # apt keeps what fails its check beside; nothing wants it
            partial.with_name(f"{partial.name}.FAILED").unlink(missing_ok=True)
        stamp.unlink(missing_ok=True)
        partial.with_name(f"{partial.name}.log").unlink(missing_ok=True)
        if partial.is_symlink():  # what apt makes of a mirror on this machine's disk
            content = partial.read_bytes()
            with disk_errors(partial.parent):
                partial.unlink()
                partial.write_bytes(content)


def parse_showsrc(text: str) -> list[tuple[str, dict[str, str]]]:
    """From ``apt-cache showsrc``: for each version of a source package its files and their sha256."""
    found: list[tuple[str, dict[str, str]]] = []
    for stanza in re.split(r"\n\s*\n", text):
        version, key = "", ""
        files: dict[str, str] = {}
        for line in stanza.splitlines():
            if line.startswith(" "):
                parts = line.split()
                if key == "Checksums-Sha256" and len(parts) == 3:
                    files[parts[2]] = parts[0]
            else:
                key, _, value = line.partition(":")
                if key == "Version":
                    version = value.strip()
        if version:
            found.append((version, files))
    return found


def _restore_mtime(partial: Path, stamp: Path) -> None:
    """Give a cut-off file the time that the mirror told for it: apt asks to go on with "if it is from then".

    apt sets it itself when it ends in order, but not when it is killed.
    """
    try:
        seconds = parsedate_to_datetime(stamp.read_text().strip()).timestamp()
        os.utime(partial, (seconds, seconds))
    except (OSError, ValueError):
        return


def _flags(options: Sequence[str]) -> list[str]:
    return [word for option in options for word in ("-o", option)]


def _environment() -> dict[str, str]:
    """The user's environment (proxies, APT_CONFIG), with messages that can be recognised."""
    return {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""}


def _reason(what: str, lines: Sequence[str]) -> str:
    """``what``, with the first line that says why."""
    told = [re.sub(r"^(E|W|Err):\d*\s*", "", line).strip() for line in lines]
    return f"{what}: {told[0]}" if told and told[0] else what
