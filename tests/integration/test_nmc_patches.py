"""What patches/electrum-nmc/ makes of the daemon, beyond how names end: silent, lean, leaves no trace, tells nobody."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ROOT, BuiltBundle
from tests.namecoin import names, scenario
from tests.namecoin.process import Network, network

#: Until a daemon has started, connected or ended, in seconds: a bound for a run that hangs.
LIMIT = 120
PORT = 50002
#: One server of several addresses, for as many connections.
SERVERS = ("--tls", "--host=0.0.0.0", f"--port={PORT}", *(f"--peer=127.0.0.{number}:{PORT}" for number in range(2, 10)))
#: Electrum-NMC's daemon without a wallet. The first argument is its configuration as JSON; then each line of stdin is
#: an expression, whose value it says as JSON; it stops when stdin ends.
PROGRAM = """
import json, os, sys
resolved = []
def hook(event, given):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"):
        resolved.append(str(given[0]))
sys.addaudithook(hook)
# As run_electrum_nmc does: Electrum-NMC calls itself electrum, in a folder of its own.
sys.path = [os.path.join(path, "electrum_nmc") for path in sys.path] + sys.path
from electrum import constants, interface, util
from electrum.daemon import Daemon
from electrum.simple_config import SimpleConfig
constants.set_regtest()
loop, stop, thread = util.create_and_start_event_loop()
daemon = Daemon(SimpleConfig({"cwd": os.getcwd(), **json.loads(sys.argv[1])}))
net, server = daemon.network, daemon.commands_server
try:
    for line in sys.stdin:
        print(json.dumps(eval(line)), flush=True)
except Exception as exc:
    print(repr(exc), file=sys.stderr, flush=True)
    # The loop's thread would go on.
    os._exit(1)
daemon.on_stop()
loop.call_soon_threadsafe(stop.set_result, 1)
thread.join()
"""


@dataclass(frozen=True)
class Daemon:
    """A daemon that runs, its server's network, and the folder that it writes to."""

    network: Network
    folder: Path
    process: subprocess.Popen[str]

    def ask(self, expression: str) -> Any:
        """The value of a Python expression in the daemon."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.process.stdin.write(expression + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def until(self, expression: str) -> None:
        end = time.monotonic() + LIMIT
        while not self.ask(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.1)

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """A call over its JSON-RPC."""
        self.until("hasattr(server, 'runner') and len(server.runner.addresses)")
        host, port = self.ask("server.runner.addresses[0]")
        return self.network.rpc(f"http://{host}:{port}", "user", "secret", method, **params)

    def connected(self) -> None:
        """Wait until it has the whole chain, and connections in store."""
        self.until(f"net.get_local_height() == {self.network.height} and net.is_connected()")
        self.until("any(each.ready.done() for each in list(net.interfaces_clean.values()))")

    def show(self, name: str, stream_id: str = "test") -> bytes | None:
        """What a name holds; ``None`` if it does not resolve."""
        answer = self.call("name_show", identifier=name, stream_id=stream_id, value_encoding="hex")
        return None if answer.get("error") else bytes.fromhex(answer["result"]["value"])

    def stop(self) -> str:
        """Have it stop, and what it printed on stderr."""
        said = self.process.communicate(timeout=LIMIT)
        assert self.process.returncode == 0, said
        return said[1]


@contextlib.contextmanager
def running(bundle: BuiltBundle, folder: Path, *switches: str, **config: object) -> Iterator[Daemon]:
    """A daemon behind the SOCKS proxy, with ``switches`` for its Python and ``config`` for itself."""
    with network(*SERVERS) as net:
        settings = {
            "electrum_path": str(folder),
            "regtest": True,
            "rpcuser": "user",
            "rpcpassword": "secret",
            "proxy": f"socks5:127.0.0.1:{net.socks}",
            "server": f"127.0.0.1:{PORT}:s",
            **config,
        }
        line = [sys.executable, "-m", "packager", "run", "--join", str(net.pid), "--python", str(bundle.folder), "--"]
        with subprocess.Popen(
            [*line, *switches, "-c", PROGRAM, json.dumps(settings)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Daemon(net, folder, process)
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def daemon(electrum_nmc_wallet: BuiltBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One that is connected, and has looked up every name of the scenario."""
    with running(electrum_nmc_wallet, tmp_path_factory.mktemp("daemon") / "fresh") as started:
        started.connected()
        for case in scenario.CASES:
            assert started.show(case.name) == case.shown, case.name
        yield started


# Deprecation, syntax and runtime warnings (a coroutine that was not awaited); resources are closed by whoever collects
# garbage when it stops, and not always.
@pytest.mark.parametrize(
    "switches", [(), ("-W", "default", "-W", "ignore::ResourceWarning")], ids=["as it is", "warnings"]
)
def test_it_prints_nothing(electrum_nmc_wallet: BuiltBundle, tmp_path: Path, switches: tuple[str, ...]) -> None:
    with running(electrum_nmc_wallet, tmp_path / "fresh", *switches) as started:
        started.connected()
        for case in scenario.CASES:
            assert started.show(case.name) == case.shown, case.name
        started.network.command("fault", "wrong-branch")
        assert started.show("d/example", "lied to") is None
        assert started.stop() == ""


def test_it_leaves_no_trace_of_names(daemon: Daemon) -> None:
    files = {path.relative_to(daemon.folder / "regtest"): path for path in daemon.folder.rglob("*") if path.is_file()}
    assert {path.parts[0] for path in files} <= {"blockchain_headers", "certs", "config", "daemon", "recent_servers"}
    traces = [
        word.encode() for case in scenario.CASES for word in (case.name, names.index_scripthash(case.name.encode()))
    ]
    for path in files.values():
        content = path.read_bytes()
        assert not [trace for trace in traces if trace in content], path


def test_it_loads_no_wallet(daemon: Daemon) -> None:
    loaded = set(daemon.ask("sorted(sys.modules)"))
    unwanted = (
        "wallet",
        "wallet_db",
        "lnutil",
        "lnworker",
        "channel_db",
        "paymentrequest",
        "contacts",
        "submarine_swaps",
    )
    assert not loaded & {f"electrum.{name}" for name in unwanted}
    assert not loaded & {"sqlite3", "google.protobuf", "dns", "aiohttp_socks", "python_socks", "bitstring", "bitcointx"}


def test_the_network_needs_no_http(electrum_nmc_wallet: BuiltBundle) -> None:
    code = (
        "import os, sys; sys.path = [os.path.join(path, 'electrum_nmc') for path in sys.path] + sys.path;"
        "import electrum.network, electrum.commands; print('aiohttp' in sys.modules)"
    )
    assert electrum_nmc_wallet.output("-c", code, python=True) == "False\n"


def test_what_is_left_out_of_the_start_is_there_when_asked_for(electrum_nmc_wallet: BuiltBundle) -> None:
    code = (
        "import os, sys; sys.path = [os.path.join(path, 'electrum_nmc') for path in sys.path] + sys.path;"
        "import electrum; from electrum import Wallet, WalletStorage, COIN_CHOOSERS, Commands, known_commands, daemon;"
        "print(Wallet.__module__, electrum.bitcoin.COIN, len(known_commands) > 50, hasattr(electrum, 'nothing'))"
    )
    assert electrum_nmc_wallet.output("-c", code, python=True) == "electrum.wallet 100000000 True False\n"


def test_a_look_up_leaves_no_job_behind(daemon: Daemon) -> None:
    assert daemon.ask("[repr(task) for task in sys.modules['asyncio'].all_tasks(loop) if 'SPV' in repr(task)]") == []


def test_the_authorities_are_parsed_once(daemon: Daemon) -> None:
    hits, misses = daemon.ask("list(interface._get_ca_ssl_context.cache_info()[:2])")
    assert hits > 1
    assert misses == 1


def test_connections_for_streams_are_bounded(daemon: Daemon) -> None:
    first = "Electrum-NMC name_show attempt 0: stream 0"
    for number in range(25):
        assert daemon.show("d/example", f"stream {number}") is not None
    assert not daemon.ask(f"{first!r} in net.interfaces_for_stream_ids")
    assert daemon.ask("len(net.interfaces_for_stream_ids)") == daemon.ask(
        "sys.modules['electrum.network'].NUM_STREAM_CONNECTIONS"
    )
    # It gets another one.
    assert daemon.show("d/example", "stream 0") is not None
    assert daemon.ask(f"{first!r} in net.interfaces_for_stream_ids")


def test_everything_goes_through_the_proxy_unresolved(electrum_nmc_wallet: BuiltBundle, tmp_path: Path) -> None:
    with running(electrum_nmc_wallet, tmp_path / "fresh", server=f"localhost:{PORT}:s", pause_network=True) as started:
        # Paused, it answers and connects nowhere.
        assert started.call("getinfo")["result"]["connected"] is False
        assert started.network.command("connections") == started.network.command("calls") == []
        assert started.call("unpausenetwork")["result"] is True
        started.connected()
        started.until("net.default_server in net.interfaces")
        assert started.show("d/example") is not None
        through = started.network.command("connections")
        assert "localhost" in {item["host"] for item in through}
        assert {call["port"] for call in started.network.command("calls")} <= {item["port"] for item in through}
        assert started.ask("resolved") == []
