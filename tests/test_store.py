"""The store makes results beside and renames them in; killed, damaged and shared stores go on."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from packager.errors import BuildError, MachineError
from packager.keys import Check, Key
from packager.store import Store, mounts_below, remove
from tests.support import Recorder, write

KEY = Key("thing", "a", {"x": 1})


def fill(text: str = "hello"):  # type: ignore[no-untyped-def]
    return lambda folder: write(folder / "tree/file", text)


def test_a_result_is_made_once(tmp_path: Path) -> None:
    store = Store.open(tmp_path, Recorder())
    entry, cached = store.make(KEY, fill())
    assert not cached
    assert (entry.tree / "file").read_text() == "hello"
    again, cached = Store.open(tmp_path, Recorder()).make(KEY, fill("other"))
    assert cached
    assert again == entry


def test_another_key_is_another_result(tmp_path: Path) -> None:
    store = Store.open(tmp_path, Recorder())
    first, _ = store.make(KEY, fill())
    second, _ = store.make(Key("thing", "a", {"x": 2}), fill())
    assert first.path != second.path


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path, Recorder())

    def broken(folder: Path) -> None:
        write(folder / "tree/half", "x")
        raise BuildError("no")

    with pytest.raises(BuildError):
        store.make(KEY, broken)
    assert store.find(KEY) is None
    assert list((tmp_path / "results").iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    store = Store.open(tmp_path, Recorder())

    def interrupted(folder: Path) -> None:
        write(folder / "tree/half", "x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.make(KEY, interrupted)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert store.make(KEY, fill())[1] is False


@pytest.mark.parametrize("damage", ["change", "remove", "add", "mode", "record", "truncate"])
@pytest.mark.parametrize("check", ["content", "stat"])
def test_a_damaged_result_is_made_again_and_said_so(tmp_path: Path, damage: str, check: Check) -> None:
    key = replace(KEY, check=check)
    entry, _ = Store.open(tmp_path, Recorder()).make(key, fill())
    file = entry.tree / "file"
    match damage:
        case "change":
            file.write_text("jello")
        case "remove":
            file.unlink()
        case "add":
            write(entry.tree / "more", "x")
        case "mode":
            file.chmod(0o755)
        case "record":
            (entry.path / "entry.json").write_text("{")
        case "truncate":
            os.truncate(file, 2)
    recorder = Recorder()
    again, cached = Store.open(tmp_path, recorder).make(key, fill())
    assert not cached
    assert (again.tree / "file").read_text() == "hello"
    assert len(recorder.notes) == 1
    assert "damaged store entry" in recorder.notes[0]


def _make_and_hang(root: Path, started: Path) -> None:
    def build(folder: Path) -> None:
        write(folder / "tree/half", "x")
        started.touch()
        time.sleep(60)

    Store.open(root, Recorder()).make(KEY, build)


def test_a_killed_run_leaves_a_store_that_goes_on(tmp_path: Path) -> None:
    started = tmp_path / "started"
    child = multiprocessing.get_context("fork").Process(target=_make_and_hang, args=(tmp_path / "store", started))
    child.start()
    while not started.exists():
        time.sleep(0.01)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert len([p for p in (tmp_path / "store/tmp").iterdir() if p.is_dir()]) == 1
    store = Store.open(tmp_path / "store", Recorder())
    assert list((tmp_path / "store/tmp").iterdir()) == []
    assert store.find(KEY) is None
    assert store.make(KEY, fill())[1] is False


def test_a_living_run_is_not_swept(tmp_path: Path) -> None:
    store = Store.open(tmp_path, Recorder())
    with store.work() as folder:
        Store.open(tmp_path, Recorder())
        assert folder.is_dir()


def _make_slowly(root: Path, log: Path) -> None:
    def build(folder: Path) -> None:
        with log.open("a") as stream:
            stream.write("made\n")
        time.sleep(0.3)
        write(folder / "tree/file", "x")

    recorder = Recorder()
    Store.open(root, recorder).make(KEY, build)
    if recorder.notes:
        with log.open("a") as stream:
            stream.write("waited\n")


def test_two_runs_at_once_make_a_result_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_make_slowly, args=(tmp_path / "s", tmp_path / "log")) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert (tmp_path / "log").read_text().split() == ["made", "waited"]


def test_a_full_disk_is_said_in_one_message(tmp_path: Path) -> None:
    def full(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(MachineError, match="the disk is full") as caught:
        Store.open(tmp_path, Recorder()).make(KEY, full)
    assert caught.value.exit_code == 5
    assert list((tmp_path / "results").iterdir()) == []


def test_a_store_that_cannot_be_made(tmp_path: Path) -> None:
    write(tmp_path / "file", "x")
    with pytest.raises(MachineError, match="the store cannot be made there"):
        Store.open(tmp_path / "file/store", Recorder())


def test_work_folders_with_odd_modes_are_removed(tmp_path: Path) -> None:
    store = Store.open(tmp_path, Recorder())
    with store.work() as folder:
        write(folder / "a/b", "x")
        (folder / "a").chmod(0o000)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_nothing_is_removed_through_a_mount(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    write(folder / "dev/keep", "x")
    escaped = str(folder).replace(" ", "\\040")
    table = write(
        tmp_path / "mountinfo",
        f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {escaped}/dev rw - tmpfs tmpfs rw\n"
        f"3 2 0:3 / {escaped}/dev/pts rw - devpts none rw\n4 1 0:4 / {escaped}-other rw - tmpfs tmpfs rw\n",
    )
    assert mounts_below(folder, table) == (folder / "dev", folder / "dev/pts")
    assert mounts_below(tmp_path / "none", table) == ()


def test_a_work_folder_with_a_mount_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "dev/keep", "x")
    monkeypatch.setattr("packager.store.mounts_below", lambda _folder: (tmp_path / "dev",))
    with pytest.raises(MachineError, match="something is mounted at") as caught:
        remove(tmp_path)
    assert caught.value.hint == f"unmount what is mounted there: umount {tmp_path / 'dev'};"
    assert (tmp_path / "dev/keep").exists()
