"""The command line that a bundle for Linux runs with."""

from __future__ import annotations

from pathlib import Path

from packager import native

JOB = native.Run(Path("/d/bundle"), "electrum", ["--offline", "version"], Path("/w"))


def after(line: list[str], *start: str) -> list[str]:
    """The two arguments after ``start``, where it stands first."""
    for index in range(len(line)):
        if line[index : index + len(start)] == list(start):
            return line[index + len(start) : index + len(start) + 2]
    raise AssertionError(f"{start} is not in {line}")


def test_the_program_and_its_arguments_come_last() -> None:
    line = native.run_argv(JOB)
    assert line[-3:] == ["/d/bundle/electrum", "--offline", "version"]
    assert after(line, "--chdir")[0] == "/w"


def test_a_run_has_no_network_unless_asked_for() -> None:
    assert "--unshare-net" in native.run_argv(JOB)
    with_network = native.Run(JOB.bundle, JOB.program, JOB.arguments, JOB.cwd, network=True)
    assert "--unshare-net" not in native.run_argv(with_network)


def test_the_bundle_is_read_only_but_for_what_is_named() -> None:
    job = native.Run(JOB.bundle, JOB.program, (), JOB.cwd, writable=["Data"])
    line = native.run_argv(job)
    assert after(line, "--ro-bind") == ["/d/bundle", "/d/bundle"]
    assert line.index("--ro-bind") > line.index("--bind")
    assert after(line[line.index("--ro-bind") :], "--bind") == ["/d/bundle/Data", "/d/bundle/Data"]


def test_the_environment_is_fixed_but_for_what_is_named() -> None:
    job = native.Run(JOB.bundle, JOB.program, (), JOB.cwd, env={"LANG": "de_DE.UTF-8", "X": "1"})
    line = native.run_argv(job)
    assert "--clearenv" in line
    assert after(line, "--setenv", "LANG")[0] == "de_DE.UTF-8"
    assert after(line, "--setenv", "X")[0] == "1"
    assert after(line, "--setenv", "HOME")[0].startswith("/dev/shm/")
