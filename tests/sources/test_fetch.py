from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

from packager.disk import DiskError
from packager.errors import MachineError, SourceError
from packager.sources import pypi
from packager.sources.fetch import Fetched, entry_key, fetch
from packager.sources.store import SourceStore
from packager.sources.unpack import unpack
from packager.specs import model
from tests.sources.conftest import Behaviour, Heard, Server
from tests.sources.gpg import Gpg
from tests.sources.test_git import Repository

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def https(path: str = "/a.tar") -> model.HttpsOrigin:
    return model.HttpsOrigin(url=f"https://upstream.example{path}")


def source(*origins: model.Origin, **more: object) -> model.Source:
    fields = {"file": "a.tar", "sha256": SHA256, "origins": origins or (https(),), **more}
    return model.Source(**fields)  # type: ignore[arg-type]


class Getter:
    """fetch with a test's store and server."""

    def __init__(self, store: SourceStore, heard: Heard, server: Server, keyrings: Path) -> None:
        self.store, self.heard, self.server, self.keyrings = store, heard, server, keyrings

    def __call__(self, wanted: model.Source, *, offline: bool = False) -> Fetched:
        return fetch(
            wanted, store=self.store, keyrings=self.keyrings, reporter=self.heard, offline=offline,
            open_url=self.server.opener,
        )  # fmt: skip

    def in_store(self) -> list[str]:
        """The files of the store that count as verified."""
        return sorted(
            str(p.relative_to(self.store.root)) for p in (self.store.root / "sources").rglob("*") if p.is_file()
        )


@pytest.fixture
def get(store: SourceStore, heard: Heard, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Getter:
    monkeypatch.setattr("packager.sources.https.time.sleep", lambda _: None)
    return Getter(store, heard, server, tmp_path)


def test_from_an_origin_then_from_the_store(get: Getter) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    got = get(source())
    assert got == Fetched(
        get.store.root / "sources" / SHA256 / "a.tar", "https://upstream.example/a.tar", cached=False, signature=None
    )
    assert got.path.read_bytes() == CONTENT
    assert got.path.stat().st_mode & 0o777 == 0o444
    assert list(get.store.partial.iterdir()) == []
    again = get(source(), offline=True)
    assert (again.path, again.origin, again.cached) == (got.path, "the store", True)
    assert len(get.server.asked) == 1


def test_next_origin_after_each_kind_of_failure(get: Getter) -> None:
    get.server.paths["/wrong"] = Behaviour(b"x" * 100)
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    got = get(source(https("/gone"), https("/wrong"), https()))
    assert got.origin == "https://upstream.example/a.tar"
    found = hashlib.sha256(b"x" * 100).hexdigest()
    assert get.heard.notes == [
        "a.tar: https://upstream.example/gone: HTTP 404 Not Found; trying the next origin",
        f"a.tar: https://upstream.example/wrong: expected sha256 {SHA256}, found {found}; trying the next origin",
    ]


def test_all_origins_fail(get: Getter) -> None:
    get.server.paths["/wrong"] = Behaviour(b"wrong")
    with pytest.raises(SourceError) as caught:
        get(source(https("/gone"), https("/wrong")))
    assert caught.value.exit_code == 3
    assert caught.value.message == "a.tar: no origin could give it"
    assert caught.value.details == (
        "https://upstream.example/gone: HTTP 404 Not Found",
        f"https://upstream.example/wrong: expected sha256 {SHA256}, found {hashlib.sha256(b'wrong').hexdigest()}",
    )
    assert "run the same command again" in str(caught.value)
    assert get.in_store() == []
    assert list(get.store.partial.iterdir()) == []


def test_partial_file_is_gone_on_with(get: Getter) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    (get.store.partial / SHA256).write_bytes(CONTENT[:1000])
    get(source())
    assert get.server.asked == [("/a.tar", "bytes=1000-")]


def test_wrong_partial_file_is_thrown_away(get: Getter) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    (get.store.partial / SHA256).write_bytes(b"y" * 1000)
    assert get(source()).path.read_bytes() == CONTENT
    assert get.server.asked == [("/a.tar", "bytes=1000-"), ("/a.tar", None)]


def test_whole_partial_file_needs_no_network(get: Getter) -> None:
    """What a run leaves that was killed between the last byte and the renaming."""
    (get.store.partial / SHA256).write_bytes(CONTENT)
    assert get(source()).path.read_bytes() == CONTENT
    assert get.server.asked == []


def test_offline_without_it(get: Getter) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    with pytest.raises(SourceError, match=r"a.tar: not in the store .*, and --offline forbids getting it") as caught:
        get(source(), offline=True)
    assert "without --offline" in str(caught.value)
    assert get.server.asked == []


def damage(path: Path) -> None:
    path.chmod(0o644)
    path.write_bytes(b"damaged")


def test_damaged_copy_is_fetched_again(get: Getter) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    damage(get(source()).path)
    again = get(source())
    assert (again.cached, again.path.read_bytes()) == (False, CONTENT)
    assert get.heard.notes == [
        f"a.tar: the copy in the store is damaged and was removed: expected sha256 {SHA256}, found "
        + hashlib.sha256(b"damaged").hexdigest()
    ]


def test_damaged_copy_offline(get: Getter) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    damage(get(source()).path)
    with pytest.raises(SourceError, match=r"the copy in the store was damaged, and --offline forbids getting it"):
        get(source(), offline=True)
    assert get.in_store() == []
    assert get(source()).path.read_bytes() == CONTENT


def test_two_at_once(get: Getter) -> None:
    behaviour = get.server.paths["/a.tar"] = Behaviour(CONTENT, hold_after=5000)
    results: list[Fetched] = []
    one = threading.Thread(target=lambda: results.append(get(source())))
    one.start()
    while not get.server.asked:
        time.sleep(0.01)
    two = threading.Thread(target=lambda: results.append(get(source())))
    two.start()
    while not get.heard.notes:
        time.sleep(0.01)
    behaviour.go_on.set()
    one.join()
    two.join()
    assert get.heard.notes == ["a.tar: another packager is getting it; waiting"]
    assert sorted(result.cached for result in results) == [False, True]
    assert len(get.server.asked) == 1


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_killed_and_run_again(get: Getter, end: signal.Signals) -> None:
    behaviour = get.server.paths["/a.tar"] = Behaviour(CONTENT, hold_after=300_000)
    code = f"""
import sys, pathlib
from tests.sources.conftest import Heard, Server
from tests.sources.test_fetch import Getter, source
from packager.sources.store import SourceStore
store = SourceStore(pathlib.Path({str(get.store.root)!r}))
Getter(store, Heard(), Server({get.server.port}), pathlib.Path("."))(source())
"""
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-B", "-c", code],
        cwd=root,
        stderr=subprocess.DEVNULL,
        # Where the tests run in the background of a script, SIGINT is ignored, and children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    partial = get.store.partial / SHA256
    while not partial.is_file() or partial.stat().st_size < 200_000:
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(end)
    child.wait(10)
    behaviour.go_on.set()
    assert get.in_store() == []
    kept = partial.stat().st_size
    assert get(source()).path.read_bytes() == CONTENT
    assert get.server.asked[-1] == ("/a.tar", f"bytes={kept}-")


def test_full_disk_ends_it_at_once(get: Getter, monkeypatch: pytest.MonkeyPatch) -> None:
    get.server.paths["/a.tar"] = Behaviour(CONTENT)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("packager.sources.store.os.replace", full)
    with pytest.raises(DiskError, match=f"{get.store.root}: the disk is full") as caught:
        get(source(https(), https("/gone")))
    assert caught.value.exit_code == 5
    assert get.in_store() == []
    monkeypatch.undo()
    get.server.asked.clear()
    get(source())
    assert get.server.asked == []


def test_missing_program_is_the_machines_fault_only_if_nothing_else_helps(
    get: Getter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: object, **__: object) -> None:
        raise MachineError("no pip", hint="install it")

    monkeypatch.setattr(pypi, "download", lacking)
    index = model.PypiOrigin(name="a", version="1", file="a.tar")
    with pytest.raises(MachineError, match=r"no pip"):
        get(source(index))
    with pytest.raises(SourceError, match=r"(?s)index, a 1, a.tar: no pip.*404.*what to do: install it"):
        get(source(index, https("/gone")))
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    assert get(source(index, https())).path.read_bytes() == CONTENT


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@needs_git
def test_git_tree(get: Getter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repository = Repository(tmp_path / "r")
    (repository.path / "f").write_text("f")
    commit = repository.commit()
    origins = [model.GitOrigin(url=str(place), commit=commit) for place in (tmp_path / "none", repository.path)]
    wanted = source(*origins, file="x-1.tar", sha256=None, commit=commit)
    got = get(wanted)
    assert got.path == get.store.root / "sources" / f"git-{commit}" / "x-1.tar"
    assert got.origin == f"git {repository.path} {commit}"
    assert "expected a git repository, found none" in get.heard.notes[0]
    first = got.path.read_bytes()
    assert get(wanted, offline=True).cached
    damage(got.path)
    with pytest.raises(SourceError, match=r"was damaged, and --offline"):
        get(wanted, offline=True)
    assert get(wanted).path.read_bytes() == first


@needs_git
def test_what_is_left_out_of_a_git_tree_makes_another_entry(
    get: Getter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    repository = Repository(tmp_path / "r")
    for name in ("f", "g"):
        (repository.path / name).write_text(name)
    commit = repository.commit()
    origin = model.GitOrigin(url=str(repository.path), commit=commit)
    folders = set()
    for leave_out in ((), ("f",), ("g",)):
        wanted = source(origin, file="x-1.tar", sha256=None, commit=commit, leave_out=leave_out)
        got = get(wanted)
        assert got.path.parent.name == entry_key(wanted)
        assert get(wanted, offline=True).cached
        folders.add(got.path.parent)
        unpack(got.path, tmp_path / f"without {leave_out}")
        found = {path.name for path in (tmp_path / f"without {leave_out}").iterdir()}
        assert found == {"f", "g"} - {*leave_out}
    assert len(folders) == 3


@needs_git
def test_git_commit_that_nobody_has(get: Getter, tmp_path: Path) -> None:
    commit = "0" * 39 + "1"
    origin = model.GitOrigin(url=str(tmp_path / "none"), commit=commit)
    with pytest.raises(SourceError, match=r"x-1.tar: no origin could give it"):
        get(source(origin, file="x-1.tar", sha256=None, commit=commit))
    assert list(get.store.partial.iterdir()) == []


needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None or shutil.which("gpgv") is None, reason="needs gpg and gpgv")


@pytest.fixture(scope="module")
def frank(gpg: Gpg) -> str:
    return gpg.key("frank", expires="20210101T000000")


def signed(get: Getter, gpg: Gpg, fingerprint: str, *, over: bytes = CONTENT) -> model.Source:
    """A source that the server has, with frank's signature beside it, made over ``over``."""
    file = get.keyrings / "a.tar"
    file.write_bytes(over)
    detached = gpg.sign(file, "frank").read_bytes()
    gpg.export(get.keyrings / "frank.asc", "frank")
    get.server.paths["/a.tar"] = Behaviour(CONTENT)
    get.server.paths["/a.tar.asc"] = Behaviour(detached)
    return source(
        signature=model.Signature(
            file="a.tar.asc", sha256=hashlib.sha256(detached).hexdigest(), keyring="frank.asc",
            fingerprints=(fingerprint,), origins=(https("/a.tar.asc"),),
        )
    )  # fmt: skip


@needs_gpg
def test_signature_is_checked_each_time(get: Getter, gpg: Gpg, frank: str) -> None:
    wanted = signed(get, gpg, frank)
    first = get(wanted)
    assert first.signature is not None
    assert first.signature.primary == frank
    assert [note.partition(" on ")[0] for note in get.heard.notes] == [f"a.tar: signed by {frank}"]
    assert "has expired on" in get.heard.notes[0]
    again = get(wanted, offline=True)
    assert (again.cached, again.signature) == (True, first.signature)
    assert len(get.heard.notes) == 1
    # what lies in the store is not believed because it once was good
    assert wanted.signature is not None
    other = msgspec.structs.replace(wanted.signature, fingerprints=("A" * 40,))
    with pytest.raises(SourceError, match=f"expected a signature by {'A' * 40}, found one by {frank}"):
        get(source(signature=other), offline=True)


@needs_gpg
def test_signature_over_something_else(get: Getter, gpg: Gpg, frank: str) -> None:
    with pytest.raises(SourceError, match=r"a.tar: signature a.tar.asc: the signature does not fit the file") as caught:
        get(signed(get, gpg, frank, over=b"something else"))
    assert caught.value.exit_code == 3


@needs_gpg
def test_missing_signature(get: Getter, gpg: Gpg, frank: str) -> None:
    wanted = signed(get, gpg, frank)
    del get.server.paths["/a.tar.asc"]
    with pytest.raises(SourceError, match=r"(?s)a.tar: missing signature: a.tar.asc: no origin .*HTTP 404"):
        get(wanted)
