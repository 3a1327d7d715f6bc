"""Get one commit of a git repository and make a tar of its tree that is the same everywhere.

The tar is written from the objects themselves, so neither git's version nor attributes (``export-ignore``,
``export-subst``, line ends), filters, umask or the user's settings change it. Every object is hashed again here on the
way from the commit id down; the tar carries the commit object, so that ``verify`` can do the same at any later time.
Files and folders that are left out are not read, and need not be in the repository; the tar carries their ids.

A repository on this machine's own disk (a path, perhaps through ``url.*.insteadOf``) is only read as a folder of
objects: none of its settings or hooks count, and who owns it does not matter.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import os
import re
import shutil
import tarfile
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packager import process
from packager.disk import disk_errors, raise_if_child_was_full
from packager.errors import SourceError
from packager.progress import Reporter
from packager.sources.origin import OriginError
from packager.specs import model

_COMMIT_HEADER = "PACKAGER.commit"
_GITLINK_HEADER = "PACKAGER.gitlink"
_LEFT_OUT_HEADER = "PACKAGER.leftout"
_FILE, _EXECUTABLE, _LINK, _TREE, _GITLINK = b"100644", b"100755", b"120000", b"40000", b"160000"
#: What makes a git process work on another repository than the one it is told.
_AMBIENT = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE", "GIT_REPLACE_REF_BASE",
)  # fmt: skip
#: Answers of servers that give whole refs only, or cannot cut history short.
_REFUSAL = re.compile(r"not our ref|unadvertised object|does not support shallow|dumb http", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a tree: path from the top as bytes, git's mode, object id in hex."""

    path: bytes
    mode: bytes
    oid: str


def download(
    origin: model.GitOrigin, made: Path, *, top: str, leave_out: Collection[str] = (), reporter: Reporter
) -> None:
    """Write the tree of the origin's commit, but what to ``leave_out``, as a tar to ``made``, below one folder ``top``.

    Works in a bare repository beside ``made``, which is removed in the end. Raises OriginError, DiskError.
    """
    repository = made.with_name(f"{made.name}.git")
    shutil.rmtree(repository, ignore_errors=True)  # what a killed run left: a fetch cannot be gone on with
    try:
        with disk_errors(made.parent):
            _write(origin, repository, made, top, frozenset(map(os.fsencode, leave_out)), reporter)
    finally:
        shutil.rmtree(repository, ignore_errors=True)


def _write(
    origin: model.GitOrigin, repository: Path, made: Path, top: str, leave_out: Set[bytes], reporter: Reporter
) -> None:
    git = process.which("git")
    environment = _environment()
    _run([git, "init", "--quiet", "--bare", "--template=", str(repository)], "git init", environment, repository)
    url = _resolved(git, origin.url, environment)
    local = _objects_folder(url)
    if local is not None:
        if not local.is_dir():
            raise OriginError(f"expected a git repository, found none at {url}")
        environment["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = _quoted(str(local))
    reader = _Objects(git, repository, environment)
    if not reader.has(origin.commit):
        _fetch(git, repository, origin, environment, reporter)
        if not reader.has(origin.commit):
            raise OriginError("the repository does not have this commit")
    commit = reader.read({origin.commit}, "commit")[origin.commit]
    entries, left_out = _parted(_walk(reader, commit, leave_out), leave_out)
    missing = leave_out - {entry.path for entry in left_out}
    if missing:
        raise OriginError(f"the tree has no {_shown(min(missing))} that could be left out")
    contents = reader.read({e.oid for e in entries if e.mode not in (_TREE, _GITLINK)}, "blob")
    for entry in entries:
        if entry.mode == _GITLINK:
            reporter.note(f"{top}: submodule {_shown(entry.path)} is left out")
    _write_tar(made, top, commit, [e for e in entries if e.mode != _TREE], contents, left_out)


def _parted(entries: Iterable[_Entry], paths: Set[bytes]) -> tuple[list[_Entry], list[_Entry]]:
    """The entries that have none of these paths, and those that have one."""
    known = list(entries)
    return [entry for entry in known if entry.path not in paths], [entry for entry in known if entry.path in paths]


def verify(tar: Path, commit: str, leave_out: Collection[str] = ()) -> None:
    """Check that a tar made here is, object by object, the tree of ``commit``, but what to ``leave_out``.

    Raises SourceError.
    """
    try:
        with tarfile.open(tar, "r:", encoding="utf-8", errors="surrogateescape") as archive:
            raw = base64.b64decode(archive.pax_headers.get(_COMMIT_HEADER, ""), validate=True)
            left_out = _left_out(archive.pax_headers.get(_LEFT_OUT_HEADER, ""))
            leaves = [_leaf(archive, member) for member in archive]
    except (tarfile.TarError, EOFError, OSError, ValueError, binascii.Error) as exc:
        raise SourceError(f"{tar}: expected the tree of commit {commit}, found a damaged tar: {exc}") from exc
    if _oid("commit", raw) != commit:
        raise SourceError(f"{tar}: expected commit {commit}, found another commit in the tar")
    wanted, without = sorted(map(os.fsencode, leave_out)), sorted(entry.path for entry in left_out)
    if wanted != without:
        raise SourceError(f"{tar}: expected to be left out: {_listed(wanted)}; found: {_listed(without)}")
    found, expected = _tree_oid([*leaves, *left_out]), _tree_of(raw)
    if found != expected:
        raise SourceError(f"{tar}: expected tree {expected} of commit {commit}, found {found}")


def _left_out(header: str) -> list[_Entry]:
    """The entries that a tar's header says are left out of it. Raises ValueError."""
    lines = base64.b64decode(header, validate=True).split(b"\0")
    fields = (line.split(b" ", 2) for line in lines if line)
    return [_Entry(path, mode, oid.decode("ascii")) for mode, oid, path in fields]


def _leaf(archive: tarfile.TarFile, member: tarfile.TarInfo) -> _Entry:
    path = member.name.encode("utf-8", "surrogateescape").partition(b"/")[2]
    if member.isdir():
        return _Entry(path, _GITLINK, member.pax_headers.get(_GITLINK_HEADER, ""))
    if member.issym():
        return _Entry(path, _LINK, _oid("blob", member.linkname.encode("utf-8", "surrogateescape")))
    handle = archive.extractfile(member)
    content = handle.read() if handle is not None else b""
    return _Entry(path, _EXECUTABLE if member.mode & 0o100 else _FILE, _oid("blob", content))


def _tree_oid(leaves: list[_Entry]) -> str:
    """The id of the tree that has exactly these files, links and submodules."""
    here: dict[bytes, _Entry] = {}
    below: dict[bytes, list[_Entry]] = {}
    for leaf in leaves:
        name, slash, rest = leaf.path.partition(b"/")
        if slash:
            below.setdefault(name, []).append(_Entry(rest, leaf.mode, leaf.oid))
        else:
            here[name] = leaf
    # git sorts a folder as if its name ended in a slash
    rows = [(name + b"/" * (leaf.mode == _TREE), name, leaf.mode, leaf.oid) for name, leaf in here.items()]
    rows += [(name + b"/", name, _TREE, _tree_oid(inside)) for name, inside in below.items()]
    content = b"".join(b"%s %s\0%s" % (mode, name, bytes.fromhex(oid)) for _, name, mode, oid in sorted(rows))
    return _oid("tree", content)


def _oid(kind: str, content: bytes) -> str:
    return hashlib.sha1(f"{kind} {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()


def _tree_of(commit: bytes) -> str:
    match = re.match(rb"tree ([0-9a-f]{40})\n", commit)
    if match is None:
        raise OriginError("expected a commit object, found something else")
    return match[1].decode()


def _walk(reader: _Objects, commit: bytes, leave_out: Set[bytes]) -> Iterator[_Entry]:
    """All entries below a commit, folders before what is in them, one query of git for each depth.

    Of a folder to ``leave_out`` there is only itself.
    """
    level = [_Entry(b"", _TREE, _tree_of(commit))]
    while level:
        trees = reader.read({entry.oid for entry in level}, "tree")
        following = []
        for folder in level:
            for name, mode, oid in _parse_tree(trees[folder.oid]):
                path = folder.path + b"/" + name if folder.path else name
                if name in (b"", b".", b"..") or b"/" in name or name.lower() == b".git":
                    raise OriginError(f"the tree has an entry called {_shown(path)}")
                if mode not in (_FILE, _EXECUTABLE, _LINK, _TREE, _GITLINK):
                    raise OriginError(f"{_shown(path)} has the unknown mode {_shown(mode)}")
                entry = _Entry(path, mode, oid)
                yield entry
                if mode == _TREE and path not in leave_out:
                    following.append(entry)
        level = following


def _parse_tree(content: bytes) -> Iterator[tuple[bytes, bytes, str]]:
    position = 0
    while position < len(content):
        space = content.find(b" ", position)
        end = content.find(b"\0", space)
        if space < 0 or end < 0 or end + 21 > len(content):
            raise OriginError("expected a tree object, found a malformed one")
        yield content[space + 1 : end], content[position:space], content[end + 1 : end + 21].hex()
        position = end + 21


def _write_tar(
    made: Path,
    top: str,
    commit: bytes,
    entries: list[_Entry],
    contents: Mapping[str, bytes],
    left_out: Iterable[_Entry],
) -> None:
    """Owner 0, mode 644 or 755, time 0, sorted by path: nothing in it but the tree."""
    headers = {_COMMIT_HEADER: base64.b64encode(commit).decode()}
    lines = [b"%s %s %s" % (e.mode, e.oid.encode(), e.path) for e in sorted(left_out, key=lambda e: e.path)]
    if lines:
        headers[_LEFT_OUT_HEADER] = base64.b64encode(b"\0".join(lines)).decode()
    with tarfile.open(
        made, "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape", pax_headers=headers
    ) as archive:
        for entry in sorted(entries, key=lambda e: e.path):
            member = tarfile.TarInfo(f"{top}/{entry.path.decode('utf-8', 'surrogateescape')}")
            content = contents.get(entry.oid, b"")
            member.mode = 0o755 if entry.mode in (_EXECUTABLE, _GITLINK) else 0o644
            if entry.mode == _GITLINK:
                member.type = tarfile.DIRTYPE
                member.pax_headers = {_GITLINK_HEADER: entry.oid}
            elif entry.mode == _LINK:
                member.type = tarfile.SYMTYPE
                member.linkname = content.decode("utf-8", "surrogateescape")
            else:
                member.size = len(content)
            archive.addfile(member, io.BytesIO(content) if member.isreg() else None)


@dataclass(frozen=True, slots=True)
class _Objects:
    """Reads objects and believes none of them: each is hashed."""

    git: str
    repository: Path
    environment: Mapping[str, str]

    def has(self, commit: str) -> bool:
        """Whether the commit is there."""
        result = process.call(
            [self.git, f"--git-dir={self.repository}", "cat-file", "-e", f"{commit}^{{commit}}"], env=self.environment
        )
        return result.returncode == 0

    def read(self, oids: set[str], kind: str) -> dict[str, bytes]:
        """The contents of these objects. Raises OriginError for one that is missing, of another kind, or not its id."""
        asked = sorted(oids)
        if not asked:
            return {}
        output = process.check(
            [self.git, f"--git-dir={self.repository}", "cat-file", "--batch"],
            what="git cat-file",
            env=self.environment,
            stdin="".join(f"{oid}\n" for oid in asked).encode(),
            error=OriginError,
        )
        found: dict[str, bytes] = {}
        position = 0
        for oid in asked:
            end = output.find(b"\n", position)
            header = output[position:end].decode("ascii", "replace").split()
            if len(header) != 3 or header[:2] != [oid, kind]:
                raise OriginError(f"expected the {kind} {oid}, found {' '.join(header[1:]) or 'nothing'}")
            content = output[end + 1 : end + 1 + int(header[2])]
            if _oid(kind, content) != oid:
                raise OriginError(f"expected the {kind} {oid}, found content with the id {_oid(kind, content)}")
            found[oid] = content
            position = end + 2 + int(header[2])
        return found


def _fetch(
    git: str, repository: Path, origin: model.GitOrigin, environment: Mapping[str, str], reporter: Reporter
) -> None:
    """Fetch the one commit, or, from a server that does not give single commits, everything."""
    command = [
        git, f"--git-dir={repository}",
        "-c", "protocol.version=2", "-c", "gc.auto=0", "-c", "core.hooksPath=/dev/null",
        # less than 1000 bytes/s for 30 s is a dead connection
        "-c", "http.lowSpeedLimit=1000", "-c", "http.lowSpeedTime=30",
        "fetch", "--no-tags", "--no-recurse-submodules", "--progress",
    ]  # fmt: skip
    with _watched(repository, origin, reporter):
        try:
            _run(
                [*command, "--depth=1", "--", origin.url, origin.commit], "git fetch", environment, repository, reporter
            )
        except OriginError as exc:
            if not _REFUSAL.search(exc.message):
                raise
            reporter.note(f"{origin.url}: the server does not give single commits; fetching all of it")
            everything = ["--", origin.url, "+refs/*:refs/*"]
            _run([*command, *everything], "git fetch", environment, repository, reporter)


def _run(
    argv: list[str], what: str, environment: Mapping[str, str], beside: Path, reporter: Reporter | None = None
) -> None:
    """Run git; its own words for what failed become the reason."""
    log = beside.with_name(f"{beside.name}.log")
    said: list[str] = []

    def on_line(line: str) -> None:
        last = line.split("\r")[-1]
        said.append(last)
        if reporter is not None:
            reporter.output(last)

    try:
        process.stream(argv, what=what, log=log, env=environment, on_line=on_line, error=OriginError)
    except OriginError as exc:
        raise_if_child_was_full(said, beside.parent)
        told = [line for line in said if line.startswith(("fatal:", "error:", "remote: "))]
        hint = next((line.strip() for line in said if "safe.directory" in line and "git config" in line), None)
        raise OriginError("; ".join(told[:2]) or exc.message, hint=hint) from exc
    finally:
        log.unlink(missing_ok=True)


@contextlib.contextmanager
def _watched(repository: Path, origin: model.GitOrigin, reporter: Reporter) -> Iterator[None]:
    """Tell the reporter how large the incoming pack has grown, twice a second, while the block runs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            with contextlib.suppress(OSError):
                size = sum(path.stat().st_size for path in (repository / "objects" / "pack").iterdir())
                reporter.transfer(origin.url, size, None)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _environment() -> dict[str, str]:
    """The user's environment and settings, without what points at a repository, and without questions."""
    environment = {name: value for name, value in os.environ.items() if name not in _AMBIENT}
    environment.setdefault("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20")
    return {
        **environment, "GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "SSH_ASKPASS": "true",
        "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C.UTF-8", "LANGUAGE": "",
    }  # fmt: skip


def _resolved(git: str, url: str, environment: Mapping[str, str]) -> str:
    """The URL after git's ``insteadOf`` rules."""
    printed = process.check(
        [git, "ls-remote", "--get-url", "--", url], what="git ls-remote --get-url", env=environment, error=OriginError
    )
    return printed.decode("utf-8", "surrogateescape").strip()


def _objects_folder(url: str) -> Path | None:
    """The folder of objects of a repository on this disk; None for a URL that is not a path."""
    if url.startswith("file://"):
        path = Path(unquote(urlsplit(url).path))
    elif url.startswith("/"):
        path = Path(url)
    else:
        return None
    places = (path / ".git", path, path.with_name(f"{path.name}.git"))
    return next((place / "objects" for place in places if (place / "objects").is_dir()), path / "objects")


def _quoted(path: str) -> str:
    """A path as git's list of alternates takes it: in C quotes, so that a colon in it does not end it."""
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _listed(paths: Sequence[bytes]) -> str:
    return ", ".join(map(_shown, paths)) or "nothing"


def _shown(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
