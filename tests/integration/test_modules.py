"""Leaving modules out: what the programs do stays the same, each module that stays can be imported, nothing else is
loaded; and the budget of docs/size.md is kept.

Tests called ``test_program...`` are runs of the trace as well: ``python -m tests.modules`` runs them with nothing left out.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from namecoin_resolver.outcome import Kind

from packager import library
from packager.errors import SourceError
from scripts.make_size_table import DOCUMENT, read_table
from tests.integration.conftest import ROOT, BuiltBundle, packager
from tests.integration.test_name_show import Daemon
from tests.modules.whole import Whole, whole
from tests.namecoin.process import Network, network
from tests.namecoin.scenario import CASES

#: Until a daemon answers, in seconds: a bound for a run that hangs.
START = 300


@contextlib.contextmanager
def asked(bundle: BuiltBundle, data: Path, *arguments: str) -> Iterator[Daemon]:
    """The launcher's daemon, paused, in a network with the chain's server, which gets ``arguments``."""
    with network(*arguments) as net, daemon_in(net, bundle, data) as daemon:
        yield daemon


@contextlib.contextmanager
def daemon_in(net: Network, bundle: BuiltBundle, data: Path, protocol: str = "t") -> Iterator[Daemon]:
    """The launcher's daemon, paused, in a network; ``protocol`` is Electrum's letter for the server's."""
    data.mkdir(exist_ok=True)
    told = {
        "folder": "Z:" + str(data).replace("/", "\\"), "proxy": f"socks5:127.0.0.1:{net.socks}", "chain": "regtest",
        "user": "somebody", "password": "secret", "server": f"127.0.0.1:{net.port}:{protocol}", "oneserver": True,
    }  # fmt: skip
    line = [sys.executable, "-m", "packager", "run", "--python", "--join", str(net.pid), str(bundle.folder), "--"]
    with subprocess.Popen(
        [*line, "-I", "-B", "-X", "utf8", "-m", "namecoin_launcher.daemon"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(told).encode() + b"\n")
            process.stdin.flush()
            said = json.loads(process.stdout.readline() or b"{}")
            assert said.keys() == {"port"}, said
            yield Daemon(net, f"http://127.0.0.1:{said['port']}", "somebody", "secret")
            process.stdin.close()
            assert process.wait(START) == 0
        finally:
            process.kill()


def until(daemon: Daemon, name: str, outcome: str) -> None:
    """Ask for a name until that ends as it has to: the daemon is still connecting, or has to come back to its server."""
    end = time.monotonic() + START
    while (found := daemon.show(name)[0]) != outcome:
        assert time.monotonic() < end, found
        time.sleep(0.2)


def test_program_namecoin_daemon_ends_each_look_up_as_it_has_to(electrum_nmc: BuiltBundle, tmp_path: Path) -> None:
    with asked(electrum_nmc, tmp_path / "fresh") as daemon:
        # Paused: there is no network to ask.
        assert daemon.show("d/example")[0] not in ("found", "not registered")
        assert not daemon.ask("unpausenetwork").get("error")
        until(daemon, "d/example", "found")
        assert {case.name: daemon.show(case.name) for case in CASES} == {
            case.name: (case.outcome, case.shown) for case in CASES
        }
        for fault in ("wrong-branch", "other-transaction"):
            daemon.network.command("fault", fault)
            assert daemon.show("d/example") == (Kind.UNAVAILABLE.value, None)
            daemon.network.command("fault", "none")
            until(daemon, "d/example", "found")


def test_program_namecoin_daemon_comes_back_to_a_server_with_tls(electrum_nmc: BuiltBundle, tmp_path: Path) -> None:
    with network("--tls") as net:
        # The second one reads the certificate that the first one has kept.
        for _ in range(2):
            with daemon_in(net, electrum_nmc, tmp_path / "fresh", "s") as daemon:
                assert not daemon.ask("unpausenetwork").get("error")
                until(daemon, "d/example", "found")
    assert (tmp_path / "fresh/regtest/certs/127.0.0.1").stat().st_size > 0


def test_program_namecoin_daemon_without_headers(electrum_nmc: BuiltBundle, tmp_path: Path) -> None:
    with asked(electrum_nmc, tmp_path / "fresh", "--fault", "no-headers") as daemon:
        daemon.ask("unpausenetwork")
        kind, value = daemon.show("d/example")
        assert kind in (Kind.NOT_SYNCHRONISED.value, Kind.UNAVAILABLE.value, Kind.TIMEOUT.value)
        assert value is None


def test_program_namecoin_resolver_speaks_proposal_279(electrum_nmc: BuiltBundle) -> None:
    line = ["--rpcport", "1", "--rpcuser", "nobody", "--prop279"]
    done = electrum_nmc.run(
        *line,
        switches=["--entry", "namecoin-resolver", "--env", "NAMECOIN_RPC_PASSWORD=none"],
        stdin=b"RESOLVE 1 example.bit one\nRESOLVE 2 example.com two\n",
    )
    said = done.stdout.decode().splitlines()
    assert said[0] == "INIT 1 0"
    assert {line.split()[1:3][0] for line in said[1:]} == {"1", "2"}
    assert all(line.split()[2] != "0" for line in said[1:])


def test_program_namecoin_does_nothing_unless_asked(electrum_nmc: BuiltBundle) -> None:
    done = electrum_nmc.run(switches=["--entry", "namecoin"])
    assert (done.returncode, done.stdout) == (0, b"")


@pytest.fixture(scope="session")
def every() -> Whole:
    """The bundle with nothing left out; skipped where its repository cannot be reached."""
    try:
        return whole("electrum-nmc")
    except SourceError as exc:
        pytest.skip(f"electrum-nmc: {exc.message}")


#: Imports each module named on stdin in an interpreter of its own state: one line each, how that ended.
_IMPORT = """
import importlib, os, sys
for folder in reversed(sys.argv[1].split(";")):
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(sys.executable)), *folder.split("/")))
names = sys.stdin.read().split()
said = sys.stdout
sys.stdout = sys.stderr
for name in names:
    try:
        importlib.import_module(name)
        outcome = "imported"
    except BaseException as exc:
        outcome = f"{type(exc).__name__}: {exc}"
    said.write(f"{name}\\t{outcome!r}\\n")
    said.flush()
"""


def imported(bundle: Path, folders: tuple[str, ...], names: list[str]) -> dict[str, str]:
    """How the import of each module ends under Wine, one after the other in one process."""
    done = packager("run", "--python", bundle, "--", "-c", _IMPORT, ";".join(folders), stdin="\n".join(names).encode())
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return dict(line.split("\t") for line in done.stdout.decode().splitlines())


def test_every_module_that_stays_is_imported_as_before_recorded(
    every: Whole, electrum_nmc: BuiltBundle, tmp_path: Path
) -> None:
    modules = every.plan.bundle.modules
    assert modules is not None
    names = every.modules.graph.names
    kept = sorted(
        name
        for path in every.modules.keep
        if (name := names.of_path(path)) is not None and name in every.modules.kept
        # Run, not imported; and what is for the systems that this is not.
        if name.rpartition(".")[2] != "__main__"
    )
    bundle, _log = every.recording(tmp_path)
    before, after = (imported(folder, modules.path, kept) for folder in (bundle, electrum_nmc.folder))
    assert after == before
    failed = {name: outcome for name, outcome in after.items() if outcome != "'imported'"}
    print(f"{len(after)} modules, {len(failed)} cannot be imported on Windows, as before:", *failed, sep="\n  ")
    assert len(after) == len(kept)


def test_what_is_loaded_stays_recorded(every: Whole, tmp_path: Path) -> None:
    bundle, log = every.recording(tmp_path)
    run = BuiltBundle(bundle, tmp_path, {"name": "electrum-nmc"})
    (tmp_path / "daemon").mkdir()
    test_program_namecoin_daemon_ends_each_look_up_as_it_has_to(run, tmp_path / "daemon")
    opened = log.news()
    assert any(path.endswith("/daemon.pyc") for path in opened)
    assert opened <= every.modules.keep, sorted(opened - every.modules.keep)


def test_the_bundle_has_what_is_planned_recorded(every: Whole, electrum_nmc: BuiltBundle) -> None:
    layout = every.plan.layout
    placed = {layout.place(path) for path in every.modules.keep}
    archive = layout.place(f"python/{library.archive_name(every.plan.interpreter.version)}")
    found = set(library.unpacked(electrum_nmc.folder))
    assert archive in found, "the library is an archive"
    there = {path.replace(f"{archive}/", f"{layout.place('python/Lib')}/") for path in found - {archive}}
    assert placed <= there
    assert {path for path in there - placed if not path.endswith("/files.json")} == set()


@pytest.mark.parametrize("spec", ["electrum-nmc", "folder"])
def test_why_recorded(spec: str, electrum_nmc: BuiltBundle) -> None:
    where = electrum_nmc.folder if spec == "folder" else spec
    done = packager("why", "asyncio.windows_events", where)
    assert done.returncode == 0, done.stderr.decode()
    first, *chain = done.stdout.decode().splitlines()
    library_at = "python/python313.zip" if spec == "folder" else "python/Lib"
    assert first == f"asyncio.windows_events is in the bundle ({library_at}/asyncio/windows_events.pyc)"
    assert len(chain) >= 2
    for place in ("python/python313.zip", "python/Lib"):
        again = packager("why", f"{place}/asyncio/windows_events.pyc", where)
        assert (again.returncode, again.stdout) == (0, done.stdout)
    assert packager("why", "no_such_module", where).returncode == 2


def test_why_of_what_is_left_out_recorded(electrum_nmc: BuiltBundle) -> None:
    done = packager("--json", "why", "electrum.base_wizard", electrum_nmc.document["name"])
    document = json.loads(done.stdout)
    assert (done.returncode, document["kept"]) == (1, False)
    assert document["unfollowed"] or document["reason"]
    # The folder has no such file any more.
    assert packager("why", "electrum.base_wizard", electrum_nmc.folder).returncode == 2


#: Of a part's size, or of a whole bundle's, in docs/size.md: it is renewed when more than this has changed.
TOLERANCE = 0.05


def test_the_size_is_as_documented_recorded(electrum_nmc: BuiltBundle) -> None:
    archive = electrum_nmc.out / f"{electrum_nmc.folder.name}.tar.zst"
    documented = read_table(DOCUMENT.read_text("utf-8"))
    size = archive.stat().st_size
    print(f"{archive.name}: {size:,} bytes, documented {documented['together']:,} kB")
    assert size <= documented["budget"] * 1000
    assert abs(size / 1000 - documented["together"]) <= TOLERANCE * documented["together"], (
        "renew docs/size.md: python -m scripts.make_size_table dist/electrum-nmc-*.tar.zst"
    )
