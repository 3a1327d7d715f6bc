"""What the checks and the figures rest on: words in files, the names' values, the number of rounds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tor import checks, kills, network
from tests.tor.kills import Round


def test_words_are_found_in_every_form(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"\0d/Visited-1\0")
    (tmp_path / "wide").write_bytes("visited".encode("utf-16-le"))
    (tmp_path / "hex").write_bytes(b"visited".hex().upper().encode())
    (tmp_path / "visited-2").mkdir()
    (tmp_path / "other").write_bytes(b"visit")
    assert [Path(name).name for name in checks.words_in(tmp_path, ["visited"])] == ["hex", "plain", "visited-2", "wide"]


def test_rounds_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(kills.VARIABLE, raising=False)
    assert kills.rounds(0.6) + kills.rounds(0.4) == 50
    monkeypatch.setenv(kills.VARIABLE, "3")
    assert kills.rounds(0.1) == 1


def test_figures_are_by_role() -> None:
    done = [Round("daemon", 0.1, 1, 10, 0.5), Round("daemon", 0.3, 3, 10, 0.7), Round("tor", 0.2, 2, 5, 0.1)]
    first, *lines = kills.summary("native", done).splitlines()
    assert first.startswith("native: 3 rounds, 25 probes")
    assert [line.split()[0] for line in lines] == ["daemon", "tor"]
    assert "held up 0.200 0.300; until well or ended 2.000 3.000" in lines[0]


def test_ports_are_different_and_below_those_of_clients() -> None:
    ports = network.free_ports(30)
    assert len(set(ports)) == 30
    assert max(ports) < 32768
