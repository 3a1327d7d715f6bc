"""What `packager run` refuses, which program it picks, and how it treats Ctrl-C, a timeout and --join."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packager import process, run, sandbox
from packager.errors import BuildError, SpecError
from packager.layout import TOR_BROWSER
from packager.run import Bundle, Options
from packager.wine import Wine

ENGINE = Wine(Path("/s/root"), Path("/s/prefix"))
DESCRIPTION = {
    "name": "electrum",
    "version": "4.3.4",
    "target": "windows-x86_64",
    "entry_points": [
        {"name": "electrumw", "path": "electrumw.exe", "console": False},
        {"name": "electrum", "path": "electrum.exe", "console": True},
    ],
    "python": "python/python.exe",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A bundle's folder with one program."""
    (tmp_path / "bundle.json").write_text(json.dumps(DESCRIPTION))
    (tmp_path / "electrum.exe").write_bytes(b"MZ")
    return tmp_path


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Command lines that would have been run; each 'exits' with 7."""
    lines: list[list[str]] = []

    def passthrough(argv: list[str]) -> int:
        lines.append(argv)
        return 7

    monkeypatch.setattr(sandbox, "probe", lambda _: None)
    monkeypatch.setattr(process, "passthrough", passthrough)
    return lines


def test_a_bundle_is_read(folder: Path) -> None:
    bundle = run.load_bundle(folder)
    assert (bundle.name, bundle.target) == ("electrum", "windows-x86_64")
    assert [point.path for point in bundle.entry_points] == ["electrumw.exe", "electrum.exe"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"expected a bundle's folder, found no bundle\.json in it"),
        ("{", r"bundle\.json: not a bundle's description: "),
        (json.dumps({**DESCRIPTION, "extra": 1}), "contains unknown field `extra`"),
        (json.dumps({**DESCRIPTION, "python": 1}), r"Expected `str`, got `int` - at `\$\.python`"),
    ],
)
def test_what_is_no_bundle_is_refused(content: str | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "bundle.json").write_text(content)
    with pytest.raises(SpecError, match=message):
        run.load_bundle(tmp_path)


def test_a_file_or_nothing_is_no_bundle(folder: Path) -> None:
    with pytest.raises(SpecError, match="found a file"):
        run.load_bundle(folder / "electrum.exe")
    with pytest.raises(SpecError, match="found nothing"):
        run.load_bundle(folder / "missing")


def test_which_program_runs(folder: Path) -> None:
    bundle = run.load_bundle(folder)
    assert run.program_of(bundle) == "electrum.exe"
    assert run.program_of(bundle, entry="electrumw") == "electrumw.exe"
    assert run.program_of(bundle, python=True) == "python/python.exe"


def test_an_unknown_entry_names_those_there_are(folder: Path) -> None:
    with pytest.raises(SpecError, match=r"expected an entry point 'x', found electrumw, electrum\n"):
        run.program_of(run.load_bundle(folder), entry="x")


def test_a_bundle_without_programs_offers_python() -> None:
    bare = Bundle("libs", "1", "windows-x86_64", (), "python/python.exe")
    with pytest.raises(SpecError, match="expected a console entry point, found none at all") as caught:
        run.program_of(bare)
    assert caught.value.hint == "use --python"


def test_a_run_hands_on_the_exit_code_and_the_arguments(folder: Path, started: list[list[str]]) -> None:
    code = run.run_bundle(folder, run.load_bundle(folder), "electrum.exe", ["-D", "/tmp/x"], Options(), ENGINE)
    assert code == 7
    assert started[0][:3] == ["env", "--ignore-signal=INT", "bwrap"]
    assert started[0][-4:] == ["wine", r"C:\bundle\electrum.exe", "-D", "/tmp/x"]


def in_a_browser(top: Path) -> Path:
    """A Tor Browser's folder with a bundle in it."""
    program = top / TOR_BROWSER.program
    program.mkdir(parents=True)
    (program / "bundle.json").write_text(json.dumps(DESCRIPTION))
    (program / "electrum.exe").write_bytes(b"MZ")
    return top


def test_a_bundle_in_a_tor_browser_runs_from_there(tmp_path: Path, started: list[list[str]]) -> None:
    top = in_a_browser(tmp_path / "tb")
    assert run.find_layout(top) is TOR_BROWSER
    run.run_bundle(top, run.load_bundle(top), "electrum.exe", [], Options(), ENGINE)
    assert started[0][-1] == r"C:\bundle\Browser\TorBrowser\Namecoin\electrum.exe"
    data = top / "Browser/TorBrowser/Data"
    assert str(data) not in started[0], "it is not made for a run"
    data.mkdir()
    run.run_bundle(top, run.load_bundle(top), "electrum.exe", [], Options(), ENGINE)
    assert f"--bind {data} /run/wine/drive_c/bundle/Browser/TorBrowser/Data" in " ".join(started[1])
    data.rmdir()
    data.symlink_to("/etc")
    run.run_bundle(top, run.load_bundle(top), "electrum.exe", [], Options(), ENGINE)
    assert not any("TorBrowser/Data" in word for word in started[2])


def test_nowhere_a_bundle_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        run.load_bundle(tmp_path)
    assert caught.value.message == (
        f"{tmp_path}: expected a bundle's folder, found no bundle.json in it, "
        "and no Browser/TorBrowser/Namecoin/bundle.json"
    )


def test_a_missing_program_is_refused(folder: Path, started: list[list[str]]) -> None:
    with pytest.raises(SpecError, match=r"python/python\.exe: expected a program, found nothing"):
        run.run_bundle(folder, run.load_bundle(folder), "python/python.exe", [], Options(), ENGINE)
    assert not started


def test_a_bundle_for_this_system_needs_no_wine(
    folder: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "probe_machine", lambda: None)
    bundle = Bundle("x", "1", f"linux-{os.uname().machine}", (), "python/python3")
    assert not run.needs_wine(bundle)
    assert run.needs_wine(run.load_bundle(folder))
    assert run.run_bundle(folder, bundle, "electrum.exe", ["a"], Options(), None) == 7
    (line,) = started
    assert line[:2] == ["env", "--ignore-signal=INT"]
    assert line[-2:] == [str(folder / "electrum.exe"), "a"]


def test_another_target_is_refused(folder: Path, started: list[list[str]]) -> None:
    bundle = Bundle("x", "1", "plan9-mips", (), "python")
    with pytest.raises(SpecError, match=r"expected a bundle for windows-\* or linux-\S+, found one for plan9-mips"):
        run.run_bundle(folder, bundle, "electrum.exe", [], Options(), ENGINE)
    assert not started


def test_a_working_folder_that_wine_cannot_see_is_refused(
    folder: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/usr")
    with pytest.raises(SpecError, match="/usr: a program under Wine cannot work in this folder"):
        run.run_bundle(folder, run.load_bundle(folder), "electrum.exe", [], Options(), ENGINE)
    assert not started


def test_network_and_join_exclude_each_other(folder: Path, started: list[list[str]]) -> None:
    with pytest.raises(SpecError, match="--network and --join"):
        run.run_bundle(folder, run.load_bundle(folder), "electrum.exe", [], Options(network=True, join=1), ENGINE)
    assert not started


def test_ctrl_c_is_the_program_s_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = []

    def passthrough(_argv: list[str]) -> int:
        os.kill(os.getpid(), signal.SIGINT)
        ended.append("by itself")
        return 0

    monkeypatch.setattr(sandbox, "probe", lambda _: None)
    monkeypatch.setattr(process, "passthrough", passthrough)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run.run_bundle(folder, run.load_bundle(folder), "electrum.exe", [], Options(), ENGINE)
    assert ended == ["by itself"]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_reaches_a_child_without_a_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import signal; signal.signal(signal.SIGINT, lambda *_: exit(3)); print(flush=True); signal.pause()"
    codes = []

    def passthrough(_argv: list[str]) -> int:
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            os.kill(os.getpid(), signal.SIGINT)
            codes.append(child.wait(10))
        return 0

    monkeypatch.setattr(run, "_in_foreground", lambda: False)
    monkeypatch.setattr(sandbox, "probe", lambda _: None)
    monkeypatch.setattr(process, "passthrough", passthrough)
    with pytest.raises(KeyboardInterrupt):
        run.run_bundle(folder, run.load_bundle(folder), "electrum.exe", [], Options(), ENGINE)
    assert codes == [3]


def interrupted(times: int) -> float:
    """How long a program that pays no heed to ``times`` Ctrl-C is waited for, in seconds."""
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt), run._signals(None):
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(20)
    return time.monotonic() - start


def test_a_second_ctrl_c_ends_a_stubborn_program_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_in_foreground", lambda: True)
    assert interrupted(2) < 5


def test_a_stubborn_program_has_a_time_of_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_in_foreground", lambda: True)
    monkeypatch.setattr(run, "GRACE", 0.2)
    assert 0.2 <= interrupted(1) < 5


def test_a_timeout_ends_the_program(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def passthrough(_argv: list[str]) -> int:
        time.sleep(20)
        return 0

    monkeypatch.setattr(sandbox, "probe", lambda _: None)
    monkeypatch.setattr(process, "passthrough", passthrough)
    with pytest.raises(BuildError, match=r"it had not ended after 0\.2 s"):
        run.run_bundle(folder, run.load_bundle(folder), "electrum.exe", [], Options(timeout=0.2), ENGINE)


def test_joining_nothing_is_refused() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
    with (
        pytest.raises(SpecError, match=rf"--join {child.pid}: expected a running `packager run`, found no process"),
        run._entered(child.pid),
    ):
        pass


def test_joining_a_process_without_a_network_of_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "JOIN_WAIT", 0.1)
    with (
        pytest.raises(SpecError, match="expected a `packager run` with a network of its own, found none"),
        run._entered(os.getpid()),
    ):
        pass


def test_not_joining_adds_nothing() -> None:
    with run._entered(None) as prefix:
        assert prefix == []


def test_descendants_are_found_at_any_depth() -> None:
    with subprocess.Popen(["sh", "-c", "sh -c 'sleep 60; :'; :"]) as child:
        try:
            deadline = time.monotonic() + 10
            while len(found := list(run._descendants(child.pid))) < 3:
                assert time.monotonic() < deadline, found
                time.sleep(0.01)
            assert found[0] == child.pid
            assert b"sleep" in Path(f"/proc/{found[-1]}/cmdline").read_bytes()
        finally:
            for pid in reversed(list(run._descendants(child.pid))):
                os.kill(pid, signal.SIGKILL)
