"""Which folders are a Tor Browser's, and what is seen of a bundle that is in one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager.errors import CheckError, SpecError
from packager.install import install, uninstall
from packager.install.browser import LOCK, MARKS, Disk, Form, find_tree
from tests.install.samples import FORMS, HOST, STATE, browser, bundle, picture
from tests.support import write


@pytest.mark.parametrize("form", FORMS)
def test_both_forms_are_known(tmp_path: Path, form: Form) -> None:
    top = browser(tmp_path / "t", form)
    for given in (top, top / "Browser"):
        tree = find_tree(given)
        assert (tree.top, tree.form) == (top, form)


def test_an_updated_tree_is_of_the_later_form(tmp_path: Path) -> None:
    top = browser(tmp_path / "t", "before 16.0")
    write(top / MARKS["16.0"], b"")
    assert find_tree(top).form == "16.0"


def test_what_is_none_is_told_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "Browser/TorBrowser").mkdir(parents=True)
    with pytest.raises(SpecError) as caught:
        find_tree(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: expected a Tor Browser's folder, found neither Browser/TorBrowser/Tor/torrc-defaults "
        "(16.0 and later) nor Browser/TorBrowser/Data/Tor/torrc-defaults (before 16.0) in it\n"
        "  what to do: name the folder that has Browser in it, or Browser itself"
    )
    with pytest.raises(SpecError, match="expected a Tor Browser's folder, found nothing"):
        find_tree(tmp_path / "none")
    with pytest.raises(SpecError, match="expected a Tor Browser's folder, found a file"):
        find_tree(write(tmp_path / "file", b""))


def test_another_folder_in_the_tree_is_not_the_tree(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="found neither"):
        find_tree(browser(tmp_path / "t") / HOST)


def test_a_link_in_the_tree_is_not_followed(tmp_path: Path) -> None:
    top = browser(tmp_path / "t")
    (top / "Browser").rename(tmp_path / "elsewhere")
    (top / "Browser").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CheckError, match=r"t/Browser: expected a folder, found a link"):
        find_tree(top)


def test_twins_are_refused(tmp_path: Path) -> None:
    for name in ("a/x", "A/x"):
        write(tmp_path / name, b"")
    with pytest.raises(CheckError, match="expected names that differ not only in case, found A and a"):
        Disk(tmp_path).find("a/x")


def test_a_file_on_the_way_means_that_there_is_nothing(tmp_path: Path) -> None:
    write(tmp_path / "a", b"")
    assert Disk(tmp_path).find("a/x/y") is None
    assert Disk(tmp_path).find("b") is None
    assert Disk(tmp_path).find("A") == "a"


HOLD = """
import fcntl, sys
handle = open(sys.argv[1], "r+b")
fcntl.{}(handle, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["lockf", "flock"])
def held(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A tree whose lock another process holds, in each of the two ways."""
    top = browser(tmp_path / "t")
    install(bundle(tmp_path / "dist", archives=False), top)
    write(top / LOCK, b"")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD.format(request.param), top / LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield top
        assert holder.stdin is not None
        holder.stdin.close()


def test_nothing_is_done_while_it_runs(held: Path, tmp_path: Path) -> None:
    before = picture(held)
    for act in (
        lambda: uninstall(held),
        lambda: uninstall(held, keep_state=True),
        lambda: install(bundle(tmp_path / "new", "2.0", archives=False), held),
    ):
        with pytest.raises(CheckError, match=r"Namecoin/lock: namecoin\.exe is running from this tree") as caught:
            act()
        assert caught.value.hint is not None
        assert "wait until namecoin.exe has ended" in caught.value.hint
        assert picture(held) == before


def test_a_lock_that_nobody_holds_is_no_hindrance(tmp_path: Path) -> None:
    top = browser(tmp_path / "t")
    install(bundle(tmp_path / "dist", archives=False), top)
    write(top / LOCK, b"")
    assert uninstall(top).state == "removed"
    assert not (top / STATE).exists()
