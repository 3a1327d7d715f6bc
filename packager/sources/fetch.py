"""Get a source: out of the store, or from the first of its origins that gives what the spec pins."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager.disk import DiskError, disk_errors
from packager.errors import MachineError, SourceError
from packager.progress import Reporter
from packager.sources import git, https, pypi, signature
from packager.sources.origin import OriginError, Want, describe
from packager.sources.signature import SignatureResult
from packager.sources.store import SourceStore
from packager.specs import model
from packager.trees import file_sha256

__all__ = ["Fetched", "SourceStore", "fetch"]

_AGAIN = "check this machine's network and run the same command again: what has come is kept"
_ONLINE = "run `packager fetch` once on a machine with a network, without --offline"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A verified source in the store.

    ``origin`` says in words where it came from (``the store`` if it was there), ``cached`` that nothing had to be
    fetched; ``signature`` is upstream's, where the spec pins one.
    """

    path: Path
    origin: str
    cached: bool
    signature: SignatureResult | None = None


def fetch(
    source: model.Source,
    *,
    store: SourceStore,
    keyrings: Path,
    reporter: Reporter,
    offline: bool = False,
    open_url: https.Opener | None = None,
) -> Fetched:
    """The source, verified: its hash each time, upstream's signature likewise.

    ``keyrings`` is the folder that the spec's keyring paths begin in; ``open_url`` is how https requests are sent.
    Raises SourceError when no origin gives it (or, with ``offline``, the store has it not), with one line for each
    origin; MachineError when the disk is full or nothing can be fetched for want of a program.
    """
    getter = _Getter(store, reporter, offline, open_url)
    if source.sha256 is None:
        return getter.tree(source)
    got = getter.file(Want(source.file, source.sha256), source.origins)
    if source.signature is None:
        return got
    pinned = source.signature
    try:
        detached = getter.file(Want(pinned.file, pinned.sha256), pinned.origins)
    except SourceError as exc:
        raise SourceError(
            f"{source.file}: missing signature: {exc.message}", details=exc.details, hint=exc.hint
        ) from exc
    result = signature.verify(
        got.path, detached.path, keyring=keyrings / pinned.keyring, fingerprints=pinned.fingerprints
    )
    if not got.cached and result.key_expired is not None:
        reporter.note(f"{source.file}: {result}")
    return Fetched(got.path, got.origin, got.cached and detached.cached, result)


def entry_key(source: model.Source) -> str:
    """What a source is filed under in the store: its sha256, or its commit and what is left out of that."""
    if source.sha256 is not None:
        return source.sha256
    part = hashlib.sha256("\0".join(sorted(source.leave_out)).encode()).hexdigest()[:16]
    return f"git-{source.commit}" + (f"-{part}" if source.leave_out else "")


@dataclass(frozen=True, slots=True)
class _Getter:
    store: SourceStore
    reporter: Reporter
    offline: bool
    open_url: https.Opener | None

    def file(self, want: Want, origins: Sequence[model.Origin]) -> Fetched:
        """A file bound by its sha256."""
        path = self.store.entry(want.sha256, want.file)
        if _digest(path) == want.sha256:
            return Fetched(path, "the store", cached=True)
        with self.store.lock(want.sha256, want.file, self.reporter):
            found = _digest(path)  # again: who had the lock may have put it there
            if found == want.sha256:
                return Fetched(path, "the store", cached=True)
            self._discard(path, want.file, f"expected sha256 {want.sha256}, found {found}" if found else None)
            return self._first(want.file, origins, lambda origin: self._one_file(origin, want))

    def tree(self, source: model.Source) -> Fetched:
        """The tree of a git commit, as a tar."""
        key = entry_key(source)
        path = self.store.entry(key, source.file)
        if _tree_fault(path, source) == "":
            return Fetched(path, "the store", cached=True)
        with self.store.lock(key, source.file, self.reporter):
            fault = _tree_fault(path, source)
            if fault == "":
                return Fetched(path, "the store", cached=True)
            self._discard(path, source.file, fault)
            return self._first(source.file, source.origins, lambda origin: self._one_tree(origin, source, key))

    def _discard(self, path: Path, file: str, damage: str | None) -> None:
        """Take a damaged entry out of the store, saying so. Raises SourceError when it cannot be fetched again."""
        if damage is not None:
            with disk_errors(self.store.root):
                path.unlink()
            self.reporter.note(f"{file}: the copy in the store is damaged and was removed: {damage}")
        if self.offline:
            state = "the copy in the store was damaged" if damage is not None else f"not in the store {self.store.root}"
            raise SourceError(f"{file}: {state}, and --offline forbids getting it", hint=_ONLINE)

    def _first(self, file: str, origins: Sequence[model.Origin], get: Callable[[model.Origin], Path]) -> Fetched:
        reasons: list[str] = []
        hints: list[str] = []
        lacking: list[MachineError] = []
        for number, origin in enumerate(origins, 1):
            try:
                with disk_errors(self.store.root):
                    return Fetched(get(origin), describe(origin), cached=False)
            except DiskError:
                raise
            except (OriginError, MachineError) as exc:
                reasons.append(f"{describe(origin)}: {exc.message}")
                hints += [exc.hint] if exc.hint else []
                lacking += [exc] if isinstance(exc, MachineError) else []
                if number < len(origins):
                    self.reporter.note(f"{file}: {reasons[-1]}; trying the next origin")
        if len(lacking) == len(origins):
            raise lacking[0]
        raise SourceError(f"{file}: no origin could give it", details=reasons, hint="; ".join(hints) or _AGAIN)

    def _one_file(self, origin: model.Origin, want: Want) -> Path:
        """From one origin into the store; what fails its hash is thrown away and never enters it."""
        partial = self.store.partial / want.sha256
        found = _digest(partial)
        resumed = found is not None
        while found != want.sha256:
            self._download(origin, want, partial)
            with disk_errors(partial.parent):
                found = file_sha256(partial)
                if found != want.sha256:
                    partial.unlink()
            if found != want.sha256 and not resumed:
                raise OriginError(f"expected sha256 {want.sha256}, found {found}")
            resumed = False  # wrong perhaps because of its old first part: once more, from the start
        return self.store.admit(partial, want.sha256, want.file)

    def _download(self, origin: model.Origin, want: Want, partial: Path) -> None:
        match origin:
            case model.HttpsOrigin():
                https.download(origin.url, partial, name=want.file, reporter=self.reporter, open_url=self.open_url)
            case model.DebianOrigin():
                with self.store.lock(f"apt-{origin.suite}", f"apt, {origin.suite}", self.reporter):
                    self.store.apt.download(origin, want, partial, self.reporter)
            case model.PypiOrigin():
                pypi.download(origin, want, partial, self.reporter)
            case model.GitOrigin():
                raise OriginError("a git origin gives trees, not files")

    def _one_tree(self, origin: model.Origin, source: model.Source, key: str) -> Path:
        if not isinstance(origin, model.GitOrigin) or origin.commit != source.commit:
            raise OriginError(f"expected a git origin of commit {source.commit}")
        made = self.store.partial / key
        top = source.file.removesuffix(".tar")
        git.download(origin, made, top=top, leave_out=source.leave_out, reporter=self.reporter)
        git.verify(made, origin.commit, source.leave_out)
        return self.store.admit(made, key, source.file)


def _digest(path: Path) -> str | None:
    """The sha256 of a file, None if it is not there."""
    try:
        return file_sha256(path)
    except FileNotFoundError:
        return None


def _tree_fault(path: Path, source: model.Source) -> str | None:
    """What is wrong with a stored tree: nothing (empty), that it is not there (None), or in words."""
    if not path.is_file():
        return None
    assert source.commit is not None  # specs.load.check_source
    try:
        git.verify(path, source.commit, source.leave_out)
    except SourceError as exc:
        return exc.message
    return ""
