"""The command line: exit codes, help with examples, one JSON document, no traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from packager.errors import BuildError
from tests.pe.build import Dll
from tests.pe.build import build as pe_image
from tests.support import run, write

COMMANDS = (
    "fetch",
    "build",
    "component",
    "run",
    "normalise",
    "diff",
    "deps",
    "audit",
    "verify",
    "attest",
    "lock",
    "install",
    "uninstall",
    "why",
)


def test_help_lists_commands_and_exit_codes(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "--help")
    assert code == 0
    for word in (*COMMANDS, "Exit codes:", "--store"):
        assert word in out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_an_example(capfd: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = run(capfd, command, "--help")
    assert code == 0
    assert f"packager {command}" in out.replace("packager --json ", "packager ")
    assert "Example" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["build"],
        ["component"],
        ["component", "nonsense"],
        ["build", "electrum", "--jobs", "0"],
        ["build", "electrum", "--target", "beos"],
        ["--nope"],
    ],
)
def test_a_wrong_command_line_is_exit_2(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, _, err = run(capfd, *arguments)
    assert code == 2
    assert "Traceback" not in err
    assert err


def test_no_arguments_show_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capfd)
    assert "Usage: packager" in out + err


def test_a_spec_that_is_not_there(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capfd, "--store", tmp_path / "s", "build", "elektrum")
    assert code == 2
    assert "elektrum: no such bundle spec" in err
    assert "electrum-nmc" in err
    assert not (tmp_path / "s").exists()


def test_run_in_a_folder_that_is_no_bundle(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capfd, "run", tmp_path)
    assert code == 2
    assert "expected a bundle's folder" in err
    code, _, err = run(capfd, "run", "--python", "--entry", "x", tmp_path)
    assert code == 2
    code, _, err = run(capfd, "run", "--env", "novalue", tmp_path)
    assert code == 2
    assert "--env: expected NAME=VALUE, found 'novalue'" in err


def test_normalise_in_place_check_and_json(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path / "a.exe", pe_image(stamp=1))
    code, out, _ = run(capfd, "normalise", "--check", "--epoch", "1735689600", path)
    assert code == 1
    assert f"{path}: would change" in out
    assert path.read_bytes() == pe_image(stamp=1)
    code, out, _ = run(capfd, "--json", "normalise", "--epoch", "1735689600", path)
    assert code == 0
    (report,) = json.loads(out)["files"]
    assert report["status"] == "changed"
    assert {change["field"] for change in report["changes"]} >= {"CheckSum"}
    assert run(capfd, "normalise", "--check", "--epoch", "1735689600", path)[0] == 0


def test_normalise_of_what_is_no_pe_file(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = write(tmp_path / "a.exe", "MZ, not more")
    code, _, err = run(capfd, "normalise", path)
    assert code == 4
    assert str(path) in err
    assert path.read_text() == "MZ, not more"
    assert run(capfd, "normalise", "--check", "--output-dir", tmp_path / "o", path)[0] == 2
    assert run(capfd, "normalise", tmp_path / "missing.exe")[0] in (2, 4)


def test_source_date_epoch_is_the_default(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.exe", pe_image(stamp=1))
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "not a number")
    code, _, err = run(capfd, "normalise", path)
    assert code == 2
    assert "SOURCE_DATE_EPOCH: expected seconds since 1970, found 'not a number'" in err
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert run(capfd, "normalise", path)[0] == 0
    assert run(capfd, "normalise", "--check", "--epoch", "1000000000", path)[0] == 0


@pytest.mark.parametrize(
    ("raised", "code", "words"),
    [
        (BuildError("it broke", hint="mend it"), 4, "error: it broke\n  what to do: mend it"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (OSError(5, "Input/output error", "/some/file"), 5, "/some/file: Input/output error"),
    ],
)
def test_errors_are_rendered_in_one_place(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    raised: BaseException,
    code: int,
    words: str,
) -> None:
    def fail(_folder: Path) -> None:
        raise raised

    monkeypatch.setattr("packager.run.load_bundle", fail)
    found, _, err = run(capfd, "run", tmp_path)
    assert found == code
    assert words in err
    assert "Traceback" not in err


def test_a_traceback_only_when_asked(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_folder: Path) -> None:
        raise BuildError("it broke")

    monkeypatch.setattr("packager.run.load_bundle", fail)
    assert "Traceback" in run(capfd, "-vv", "run", tmp_path)[2]


def test_audit_in_text_and_json(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    write(tmp_path / "b/readme.txt", "fine").chmod(0o644)
    (tmp_path / "b").chmod(0o755)
    code, out, _ = run(capfd, "audit", tmp_path / "b")
    assert code == 0
    assert out.endswith(f"{tmp_path / 'b'}: no errors, 1 note\n")
    assert "licences: " in out  # there is no manifest to take them from
    write(tmp_path / "b/con.txt", "x").chmod(0o644)
    code, out, _ = run(capfd, "--json", "audit", tmp_path / "b")
    assert code == 1
    found = [item for item in json.loads(out)["findings"] if item["severity"] == "error"]
    assert [item["rule"] for item in found] == ["file-name"]
    code, out, _ = run(capfd, "audit", "--format", "sarif", tmp_path / "b")
    assert code == 1
    assert json.loads(out)["version"] == "2.1.0"


def test_deps_in_every_form(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    program = tmp_path / "a.exe"
    program.write_bytes(pe_image(imports=(Dll("kernel32.dll", ("Sleep",)), Dll("gone.dll", ("f",)))))
    for form, words in (
        ("tree", "gone.dll"),
        ("list", "MISSING"),
        ("json", '"missing-dll"'),
        ("dot", "digraph"),
        ("html", "<!doctype html>"),
    ):
        code, out, err = run(capfd, "deps", "--format", form, program)
        assert (code, words.lower() in out.lower()) == (1, True), (form, out)
        assert "gone.dll" in err
    code, _, _ = run(capfd, "deps", program, "--format", "dot", "--output", tmp_path / "a.dot")
    assert code == 1
    assert (tmp_path / "a.dot").read_text().startswith("digraph")
    code, out, _ = run(capfd, "deps", program, "--why", "gone.dll")
    assert "a.exe" in out
    assert run(capfd, "deps", program, "--why", "other.dll")[0] == 2


def test_diff_says_what_differs(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, other = write(tmp_path / "a", "one\n"), write(tmp_path / "b", "two\n")
    assert run(capfd, "diff", one, one) == (0, f"{one} and {one}: no difference\n", "")
    code, out, err = run(capfd, "diff", one, other)
    assert (code, err) == (1, "")
    assert out.startswith("a: ")
    code, out, _ = run(capfd, "--json", "diff", one, other)
    assert (code, json.loads(out)["equal"]) == (1, False)
    assert run(capfd, "diff", one, tmp_path / "c")[0] == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nowhere"],
        ["--perturb", "electrum"],
        ["--signed", "a.exe"],
        ["--rebuild", "--attestations", ".", "electrum"],
        ["--attestations", ".", "--threshold", "0"],
    ],
)
def test_verify_wants_arguments_that_go_together(capfd: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    code, out, err = run(capfd, "verify", *arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_attest_makes_a_key_and_never_overwrites_it(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    key = tmp_path / "me.pem"
    code, out, _ = run(capfd, "--json", "attest", "--new-key", key)
    assert code == 0
    assert len(json.loads(out)["new_key"]) == 64
    assert key.stat().st_mode & 0o777 == 0o600
    assert run(capfd, "attest", "--new-key", key)[0] == 2
    assert run(capfd, "attest", "--key", key)[0] == 2
