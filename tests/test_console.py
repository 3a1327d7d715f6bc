"""Progress away from a terminal is plain lines on stderr; quiet keeps notes and errors."""

from __future__ import annotations

import pytest

from packager.console import ConsoleReporter


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    reporter = ConsoleReporter()
    reporter.stage("component", "zlib [x] 1.3")
    reporter.output("hidden")
    reporter.transfer("a.tar", 5_000_000, 10_000_000)
    reporter.transfer("a.tar", 10_000_000, 10_000_000)
    reporter.done("component", "zlib [x] 1.3", 1.25, cached=False)
    reporter.note("look [here]")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "component zlib [x] 1.3",
        "  a.tar: 10.0 of 10.0 MB",
        "  component zlib [x] 1.3: done (1.2 s)",
        "note: look [here]",
    ]


def test_quiet_and_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ConsoleReporter(quiet=True)
    quiet.stage("a", "b")
    quiet.transfer("f", 1, 1)
    quiet.done("a", "b", 1, cached=True)
    assert capsys.readouterr().err == ""
    quiet.note("n")
    quiet.error("e [bold]\n  more")
    assert capsys.readouterr().err == "note: n\nerror: e [bold]\n  more\n"
    ConsoleReporter(verbose=1).output("gcc [-c] x.c")
    assert capsys.readouterr().err == "  | gcc [-c] x.c\n"
