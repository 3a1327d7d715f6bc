"""The sandbox's command line is a function of its value; what the machine refuses becomes a hint."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from packager import process, sandbox
from packager.errors import MachineError
from packager.sandbox import Perturbation, Sandbox


def test_the_command_line_shows_nothing_of_the_machine() -> None:
    box = Sandbox(Path("/root-of-it"), writable={"/build/src": Path("/w/src")}, binds={"/build/deps/a": Path("/s/a")})
    argv = box.argv(["make"])
    assert argv[0] == "bwrap"
    for switch in ("--unshare-all", "--clearenv", "--die-with-parent", "--new-session"):
        assert switch in argv
    assert "--share-net" not in argv
    line = " ".join(argv)
    assert "--ro-bind /root-of-it / " in line
    assert "--bind /w/src /build/src" in line
    assert "--ro-bind /s/a /build/deps/a" in line
    assert line.endswith("--chdir /build/src make")


def test_the_environment_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SECRET", "x")
    argv = Sandbox(Path("/r"), env={"JOBS": "2"}).argv(["true"])
    settings = {argv[i + 1]: argv[i + 2] for i, word in enumerate(argv) if word == "--setenv"}
    assert settings["TZ"] == "UTC"
    assert settings["PYTHONHASHSEED"] == "0"
    assert settings["JOBS"] == "2"
    assert "SECRET" not in settings


def test_an_ordinary_user_becomes_root_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--unshare-user --uid 0 --gid 0" in " ".join(Sandbox(Path("/r")).argv(["true"]))


def test_no_user_namespaces_is_exit_5_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    said = b"bwrap: No permissions to create new namespace, likely because the kernel does not allow it"
    monkeypatch.setattr(process, "which", lambda *_: "/usr/bin/bwrap")
    monkeypatch.setattr(process, "call", lambda *_, **__: process.Result(1, b"", said))
    with pytest.raises(MachineError, match="the sandbox cannot be entered: bwrap: No permissions") as caught:
        sandbox.probe(Path("/r"))
    assert caught.value.exit_code == 5
    assert caught.value.hint is not None
    assert "sysctl -w " in caught.value.hint


def test_no_bubblewrap_is_exit_5_with_a_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="bwrap is not installed") as caught:
        sandbox.probe(tmp_path)
    assert caught.value.hint == "apt-get install bubblewrap"


def test_without_a_perturbation_the_command_line_is_what_it_always_was(monkeypatch: pytest.MonkeyPatch) -> None:
    box = Sandbox(
        Path("/r"),
        writable={"/build/src": Path("/w/src")},
        binds={"/build/tools": Path("/t")},
        env={"JOBS": "2"},
        perturbation=Perturbation(),
    )
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert box.argv(["make"]) == [
        "bwrap", "--die-with-parent", "--new-session", "--unshare-all", "--hostname", "build", "--clearenv",
        "--ro-bind", "/r", "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/build",
        "--dir", "/build/home", "--bind", "/w/src", "/build/src", "--ro-bind", "/t", "/build/tools",
        "--setenv", "HOME", "/build/home", "--setenv", "JOBS", "2", "--setenv", "LANG", "C.UTF-8",
        "--setenv", "LC_ALL", "C.UTF-8", "--setenv", "PATH", "/usr/bin:/bin",
        "--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "PYTHONHASHSEED", "0", "--setenv", "TZ", "UTC",
        "--chdir", "/build/src", "make",
    ]  # fmt: skip
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert box.argv(["make"])[7:12] == ["--unshare-user", "--uid", "0", "--gid", "0"]


@pytest.mark.parametrize("euid", [0, 1000])
def test_a_perturbation_is_seen_by_the_step(monkeypatch: pytest.MonkeyPatch, euid: int) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: euid)
    other = Perturbation(
        hostname="loom",
        user=(7, 8),
        env={"PYTHONHASHSEED": "5"},
        tmpfs=("/sys", "/build/src"),
        binds={"/etc/passwd": Path("/p")},
        moved={"/build/src": "/build/given"},
        wrapper=("sh", "wrap"),
    )
    argv = Sandbox(Path("/r"), writable={"/build/src": Path("/w")}, perturbation=other).argv(["make"])
    line = " ".join(argv)
    assert "--hostname loom --clearenv --unshare-user --uid 7 --gid 8 " in line
    assert "--tmpfs /sys --tmpfs /build/src --bind /w /build/given --ro-bind /p /etc/passwd " in line
    assert "--setenv PYTHONHASHSEED 5 " in line
    assert line.count("PYTHONHASHSEED") == 1
    assert line.endswith("--chdir /build/src sh wrap make")
