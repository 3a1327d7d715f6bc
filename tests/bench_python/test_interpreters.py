"""The command lines of the three interpreters."""

from __future__ import annotations

from pathlib import Path

from packager.wine import Wine
from tests.bench_python import interpreters

WORK = Path("/x/work")


def test_ours_under_wine() -> None:
    found = interpreters.windows(Path("/x/bundle"), Wine(Path("/x/root"), Path("/x/prefix")), WORK)
    line = found.command(["-I", "inside.py"], 3)
    assert line[:3] == ["taskset", "--cpu-list", "3"]
    assert line[-4:] == ["wine", "C:\\bundle\\python\\python.exe", "-I", "inside.py"]
    assert found.work == "/x/work"


def test_ours_and_debians_share_a_root() -> None:
    ours = interpreters.native(Path("/x/bundle"), Path("/x/root"), WORK)
    theirs = interpreters.debian(Path("/x/root"), WORK)
    assert ours.command(["-V"])[-2:] == ["/build/deps/native/python/python3", "-V"]
    assert theirs.command(["-V"])[-2:] == ["/usr/bin/python3.13", "-V"]
    assert ours.work == theirs.work == "/build/src"
    for one in (ours, theirs):
        place = one.start.index("/build/src")
        assert one.start[place - 2 : place] == ("--ro-bind", "/x/work")
        assert one.command([])[0] != "taskset"
