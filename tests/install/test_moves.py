"""A change of a tree is made wholly or not at all, whatever ends it and wherever."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from packager.errors import CheckError, MachineError
from packager.install import install, moves, uninstall
from packager.install.moves import JOURNAL, PREFIX, Journal, Move, carry_out, workspace
from tests.install.samples import HOST, PROGRAM, STATE, browser, bundle, picture
from tests.support import write

Act = Callable[[Path, Path], object]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where two versions of a bundle are, old with a file that new has not."""
    out = tmp_path_factory.mktemp("dist")
    bundle(out, "1.0", {"app/only/old.pyc": b"x", "licenses/old/L": b"l"})
    bundle(out, "2.0")
    return out


def fresh(dist: Path, top: Path) -> None:
    install(dist / "demo-2.0-windows-x86_64", top)


def upgrade(dist: Path, top: Path) -> None:
    install(dist / "demo-2.0-windows-x86_64.tar.zst", top)


def away(_dist: Path, top: Path) -> None:
    uninstall(top)


def prepared(dist: Path, top: Path, act: Act) -> Path:
    """A tree for ``act``, with a stranger's file in the program folder, so that it is taken apart file by file."""
    browser(top)
    if act is not fresh:
        install(dist / "demo-1.0-windows-x86_64", top)
        write(top / PROGRAM / "app/mine.txt", b"mine")
        write(top / STATE / "headers", b"chain")
    return top


ACTS = pytest.mark.parametrize("act", [fresh, upgrade, away])


@ACTS
@pytest.mark.parametrize(
    "raised",
    [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")],
    ids=lambda exc: f"{type(exc).__name__}-{getattr(exc, 'errno', '')}",
)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_exception_at_any_rename_leaves_the_tree_as_it_was(
    tmp_path: Path, dist: Path, monkeypatch: pytest.MonkeyPatch, act: Act, raised: BaseException, after: bool
) -> None:
    rename = os.rename
    tried = 0
    while True:
        top = prepared(dist, tmp_path / f"t{tried}", act)
        before = picture(top)
        left = tried

        def failing(source: Path, target: Path) -> None:
            nonlocal left
            inside = PREFIX in str(source) and PREFIX in str(target)
            if not inside and left == 0:
                left -= 1
                if after:
                    rename(source, target)
                raise raised
            left -= not inside
            rename(source, target)

        monkeypatch.setattr(os, "rename", failing)
        try:
            act(dist, top)
        except BaseException as exc:
            assert exc is raised or isinstance(exc, MachineError), exc
            monkeypatch.undo()
            assert picture(top) == before
            act(dist, top)
            tried += 1
        else:
            monkeypatch.undo()
            break
    assert tried >= 2


def test_a_full_disk_is_said_to_be_one(tmp_path: Path, dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(
        MachineError, match=r"t: the disk is full: [0-9,]+ bytes were free, which is too little; the tree is as it was"
    ) as got:
        upgrade(dist, top)
    assert got.value.hint == "free some space and run the same command again"
    monkeypatch.undo()
    assert picture(top) == before


def test_a_tree_that_cannot_be_written(tmp_path: Path, dist: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = browser(tmp_path / "t")

    def refused(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(top / HOST))

    monkeypatch.setattr(tempfile, "mkdtemp", refused)
    with pytest.raises(MachineError, match="TorBrowser: cannot be written: Permission denied; the tree is as it was"):
        fresh(dist, top)


KILLED = """
import os, signal, sys
from pathlib import Path
from packager.install import install, uninstall

left, rename = int(sys.argv[1]), os.rename
def failing(source, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    rename(source, target)
os.rename = failing
if sys.argv[3]:
    install(Path(sys.argv[3]), Path(sys.argv[2]))
else:
    uninstall(Path(sys.argv[2]))
"""


@pytest.mark.parametrize("act", [upgrade, away])
def test_the_next_run_takes_back_what_a_killed_one_began(tmp_path: Path, dist: Path, act: Act) -> None:
    root = Path(__file__).parents[2]
    for number in (0, 1, 3, 5):
        top = prepared(dist, tmp_path / f"t{number}", act)
        before = picture(top)
        source = str(dist / "demo-2.0-windows-x86_64") if act is upgrade else ""
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(number), top, source], env={**os.environ, "PYTHONPATH": str(root)}
        )
        assert done.returncode == -signal.SIGKILL
        assert len(list((top / HOST).glob(f"{PREFIX}*"))) == 1
        with workspace(top):
            pass
        after = picture(top)
        # The time of the folder that the killed run worked in is only known if a move touched it.
        assert {path: what for path, what in after.items() if path != HOST} == {
            path: what for path, what in before.items() if path != HOST
        }
        act(dist, top)


def test_a_journal_that_was_cut_short_is_of_no_move(tmp_path: Path) -> None:
    top = browser(tmp_path / "t")
    write(top / HOST / f"{PREFIX}x" / JOURNAL, b'{"format":1,"mov')
    with workspace(top):
        pass
    assert not (top / HOST / f"{PREFIX}x").exists()


@pytest.mark.parametrize(
    "move",
    [
        Move("Browser/firefox.exe", f"{HOST}/{PREFIX}x/old/a"),
        Move(f"{HOST}/{PREFIX}x/new/a", f"{PROGRAM}/../../evil"),
        Move(f"{HOST}/{PREFIX}x/new/../../../evil", PROGRAM),
        Move(f"{HOST}/{PREFIX}x/new/out/evil", PROGRAM),
    ],
)
def test_a_journal_that_leads_elsewhere_is_not_believed(tmp_path: Path, move: Move) -> None:
    top = browser(tmp_path / "t")
    work = top / HOST / f"{PREFIX}x"
    write(work / JOURNAL, msgspec.json.encode(Journal(1, (move,), {})))
    (work / "new").mkdir()
    (tmp_path / "outside").mkdir()
    (work / "new/out").symlink_to(tmp_path / "outside")
    write(work / "old/a", b"")
    write(top / PROGRAM / "x", b"")
    before = picture(top)
    with (
        pytest.raises(CheckError, match="expected what a packager that was killed left, found a journal"),
        workspace(top),
    ):
        pass
    assert picture(top) == before


def test_a_work_folder_that_is_a_link_is_removed_alone(tmp_path: Path) -> None:
    top = browser(tmp_path / "t")
    write(tmp_path / "outside" / JOURNAL, b"x")
    (top / HOST / f"{PREFIX}x").symlink_to(tmp_path / "outside")
    with workspace(top):
        pass
    assert (tmp_path / "outside" / JOURNAL).read_bytes() == b"x"
    assert not (top / HOST / f"{PREFIX}x").is_symlink()


def test_a_folder_whose_times_are_not_ours_to_set_is_no_hindrance(
    tmp_path: Path, dist: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = browser(tmp_path / "t")
    utime = os.utime

    def foreign(path: Path, times: tuple[int, int] | None = None, **more: Any) -> None:
        if Path(path) in (top / HOST, top / HOST / "Docs/Licenses"):
            raise PermissionError(errno.EPERM, "Operation not permitted")
        utime(path, times, **more)

    monkeypatch.setattr(os, "utime", foreign)
    fresh(dist, top)
    assert (top / PROGRAM / "bundle.json").is_file()


def test_two_at_once_are_refused(tmp_path: Path, dist: Path) -> None:
    top = browser(tmp_path / "t")
    handle = os.open(top / HOST, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(MachineError, match=r"t: another packager is at work in this tree"):
            fresh(dist, top)
    finally:
        os.close(handle)
    fresh(dist, top)


def test_what_appears_in_the_last_moment_is_not_replaced(tmp_path: Path) -> None:
    top = browser(tmp_path / "t")
    before = picture(top)
    with workspace(top) as work:
        for name in ("a", "c"):
            write(work.new / name, b"new")
        write(top / HOST / "b", b"somebody's")
        with pytest.raises(CheckError, match="b: expected nothing, found that somebody made it just now"):
            carry_out(work, [work.incoming("a", f"{HOST}/a"), work.incoming("c", f"{HOST}/b")])
        assert (work.new / "a").read_bytes() == b"new"
    assert (top / HOST / "b").read_bytes() == b"somebody's"
    (top / HOST / "b").unlink()
    assert set(picture(top)) == set(before)


def test_ctrl_c_waits_while_things_are_put_right() -> None:
    order = []
    try:
        with moves.undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            order.append("done")
    except KeyboardInterrupt:
        order.append("interrupted")
    assert order == ["done", "interrupted"]
