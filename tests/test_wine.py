"""A run's command line is a function of its values; of this machine it shows what it should and no more."""

from __future__ import annotations

import os
from pathlib import Path, PureWindowsPath

import pytest

from packager import process, sandbox, wine
from packager.errors import MachineError
from packager.wine import Host, Run, Wine

ENGINE = Wine(Path("/s/root"), Path("/s/prefix"))
HOST = Host(("home", "tmp"), {"data": "mnt/data"})


def a_run(**changes: object) -> Run:
    values: dict[str, object] = {
        "bundle": Path("/home/u/dist/x"),
        "program": PureWindowsPath("x.exe"),
        "arguments": ["-D", "/tmp/d", "a b"],
        "cwd": Path("/home/u"),
    }
    return Run(**{**values, **changes})  # type: ignore[arg-type]


def settings(argv: list[str]) -> dict[str, str]:
    return {argv[i + 1]: argv[i + 2] for i, word in enumerate(argv) if word == "--setenv"}


def test_the_bundle_is_read_only_at_both_of_its_places() -> None:
    line = " ".join(wine.run_argv(ENGINE, a_run(), HOST))
    assert "--ro-bind /home/u/dist/x /run/wine/drive_c/bundle" in line
    assert line.index("--bind /home /home") < line.index("--ro-bind /home/u/dist/x /home/u/dist/x")


def test_a_folder_in_the_bundle_can_be_writable_at_both_places() -> None:
    line = " ".join(wine.run_argv(ENGINE, a_run(writable=("Data",)), HOST))
    for place in ("/run/wine/drive_c/bundle", "/home/u/dist/x"):
        assert f"--ro-bind /home/u/dist/x {place} --bind /home/u/dist/x/Data {place}/Data" in line
    elsewhere = " ".join(wine.run_argv(ENGINE, a_run(writable=("Data",), bundle=Path("/run/x")), HOST))
    assert elsewhere.count("--bind /run/x/Data") == 1


def test_host_folders_and_links_are_at_their_own_paths() -> None:
    line = " ".join(wine.run_argv(ENGINE, a_run(), HOST))
    assert "--bind /tmp /tmp" in line
    assert "--symlink mnt/data /data" in line
    assert "--chdir /home/u /bin/sh" in line


def test_wine_comes_from_its_root_and_the_prefix_from_the_template() -> None:
    argv = wine.run_argv(ENGINE, a_run(), HOST)
    line = " ".join(argv)
    assert "--ro-bind /s/root/usr /usr" in line
    assert "--ro-bind /s/prefix /run/template" in line
    assert argv[-6:] == ["sh", "wine", r"C:\bundle\x.exe", "-D", "/tmp/d", "a b"]


def test_the_network_is_its_own_unless_asked_for() -> None:
    alone = wine.run_argv(ENGINE, a_run(), HOST)
    assert "--unshare-net" in alone
    assert "/etc/resolv.conf" not in alone
    shared = wine.run_argv(ENGINE, a_run(network=True), HOST)
    assert "--unshare-net" not in shared
    assert "/etc/resolv.conf" in shared


def test_the_environment_is_fixed_but_for_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SECRET", "x")
    argv = wine.run_argv(ENGINE, a_run(env={"PYTHONHOME": "C:\\", "TZ": "X", "PATH": "/evil"}), HOST)
    assert "--clearenv" in argv
    found = settings(argv)
    assert found["PYTHONHOME"] == "C:\\"
    assert found["TZ"] == "X"
    assert (found["PATH"], found["WINEPATH"]) == ("/usr/bin", "/evil")
    assert found["WINEDEBUG"] == "-all"
    assert "SECRET" not in found


def test_wine_sees_the_processors_and_nothing_else_of_sys() -> None:
    argv = wine.run_argv(ENGINE, a_run(), HOST)
    assert [word for word in argv if word.startswith("/sys")] == ["/sys/devices/system/cpu"] * 2


def test_a_run_ends_with_its_program_and_its_caller() -> None:
    argv = wine.run_argv(ENGINE, a_run(), HOST)
    assert "--die-with-parent" in argv
    assert "--unshare-pid" in argv


def test_an_ordinary_user_needs_a_user_namespace_and_root_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert "--unshare-user" not in wine.run_argv(ENGINE, a_run(), HOST)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "--unshare-user --uid 0 --gid 0" in " ".join(wine.run_argv(ENGINE, a_run(), HOST))


def test_this_host_is_its_folders_and_links_but_for_the_system_s(tmp_path: Path) -> None:
    for name in ("home", "usr", "etc", "run", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "swapfile").touch()
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "data").symlink_to("work/data")
    assert wine.this_host(tmp_path) == Host(("home", "work"), {"data": "work/data"})


@pytest.mark.parametrize(("path", "shown"), [("/", True), ("/tmp/a", True), ("/data", True), ("/usr/src", False)])
def test_what_a_run_sees(path: str, shown: bool) -> None:
    assert HOST.shows(Path(path)) is shown


def a_root(folder: Path) -> Path:
    dlls = folder / "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
    dlls.mkdir(parents=True)
    (dlls / "ntdll.dll").write_bytes(b"MZ builtin")
    return folder


def test_a_template_links_to_the_dlls_that_the_root_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, dest = a_root(tmp_path / "root"), tmp_path / "prefix"

    def fake(argv: list[str], **_: object) -> bytes:
        assert "--unshare-net" in argv
        system = dest / "drive_c/windows/system32"
        system.mkdir(parents=True)
        (system / "ntdll.dll").write_bytes(b"MZ builtin")
        (system / "other.dll").write_bytes(b"MZ other")
        for name in ("system.reg", "user.reg"):
            (dest / name).touch()
        return b""

    monkeypatch.setattr(sandbox, "probe", lambda _: None)
    monkeypatch.setattr(process, "check", fake)
    wine.make_prefix_template(root, dest)
    system = dest / "drive_c/windows/system32"
    assert os.readlink(system / "ntdll.dll") == "/usr/lib/x86_64-linux-gnu/wine/x86_64-windows/ntdll.dll"
    assert (system / "other.dll").read_bytes() == b"MZ other"
    assert not (system / "other.dll").is_symlink()


def test_a_template_without_a_registry_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "probe", lambda _: None)
    monkeypatch.setattr(process, "check", lambda *_, **__: b"")
    with pytest.raises(MachineError, match=r"lacks system\.reg, user\.reg"):
        wine.make_prefix_template(a_root(tmp_path / "root"), tmp_path / "prefix")
