"""Electrum-NMC in the bundle, under Wine, resolves names of a chain that the test mined, and is not lied to."""

from __future__ import annotations

import ast
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from namecoin_resolver import rpc, values
from namecoin_resolver.outcome import Kind, NameLookupError

from tests.integration.conftest import BuiltBundle, packager_running
from tests.namecoin import scenario
from tests.namecoin.process import Network, network

#: Until the daemon answers and has the chain, in seconds: a bound for a run that hangs.
START = 120


@dataclass(frozen=True)
class Daemon:
    """A daemon that is connected to the test's server, and how to ask it."""

    network: Network
    url: str
    user: str
    password: str

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        return self.network.rpc(self.url, self.user, self.password, method, **params)

    def show(self, name: str, stream_id: str = "test") -> tuple[str, bytes | None]:
        """How a look-up ends, in the resolver's words, and the value that the daemon gives."""
        answer = self.ask("name_show", identifier=name, stream_id=stream_id, value_encoding="hex")
        value = None
        try:
            if answer.get("error"):
                raise rpc.failure(answer["error"]["code"], answer["error"]["message"])
            value = rpc.shown(name, answer["result"]).value
            values.parse(value)
        except NameLookupError as exc:
            return exc.kind.value, value
        return Kind.FOUND.value, value


@contextlib.contextmanager
def resolving(
    bundle: BuiltBundle, data: Path, *arguments: str, synchronised: bool = True, isolated: bool = False
) -> Iterator[Daemon]:
    """A daemon in a network with the test's server, which gets ``arguments``; waits for the headers of all blocks.

    ``isolated``: it connects through the SOCKS proxy, and to other servers, too.
    """
    with network(*arguments) as net, _daemon(bundle, data, net, isolated=isolated) as process:
        end = time.monotonic() + START
        folder = data / "regtest"
        while not ((folder / "daemon").is_file() and (folder / "daemon").read_text()):
            assert process.poll() is None, "the daemon ended early"
            assert time.monotonic() < end, "the daemon did not start"
            time.sleep(0.2)
        _, (host, port), _ = ast.literal_eval((folder / "daemon").read_text())
        config = json.loads((folder / "config").read_text())
        client = Daemon(net, f"http://{host}:{port}", config["rpcuser"], config["rpcpassword"])
        wait_for(client, net.height if synchronised else None)
        yield client


def _daemon(
    bundle: BuiltBundle, data: Path, net: Network, *, isolated: bool
) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    switches = ["--oneserver", "--server", f"127.0.0.1:{net.port}:t"]
    if isolated:
        switches = ["--server", f"127.0.0.1:{net.port}:s", "--proxy", f"socks5:127.0.0.1:{net.socks}"]
    line = ["run", "--join", str(net.pid), str(bundle.folder), "--", "--regtest", "-D", str(data), "daemon"]
    return packager_running(*line, *switches)


def wait_for(client: Daemon, height: int | None) -> None:
    """Until the daemon has the headers up to ``height``, or at least a server that has told it of its own."""
    end = time.monotonic() + START
    while True:
        info = client.ask("getinfo")["result"]
        if info["server_height"] > 0 and (
            height is None or (info["connected"] and info["blockchain_height"] == height)
        ):
            return
        assert time.monotonic() < end, f"not synchronised: {info}"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def honest(electrum_nmc_wallet: BuiltBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon with an honest server."""
    with resolving(electrum_nmc_wallet, tmp_path_factory.mktemp("honest") / "fresh") as client:
        yield client


@pytest.mark.parametrize("case", scenario.CASES, ids=lambda case: case.name)
def test_a_name_ends_as_it_has_to(honest: Daemon, case: scenario.Case) -> None:
    assert honest.show(case.name) == (case.outcome, case.shown)


def asked(client: Daemon) -> list[str]:
    """The server's methods that the daemon called since the last time."""
    return [call["method"] for call in client.network.command("calls")]


def test_a_value_comes_with_its_proof(honest: Daemon) -> None:
    asked(honest)
    assert honest.show("d/example")[0] == "found"
    assert sorted(asked(honest)) == [
        "blockchain.scripthash.get_history",
        "blockchain.transaction.get",
        "blockchain.transaction.get_merkle",
    ]


@pytest.mark.parametrize("name", ["d/example", "d/updated"])
@pytest.mark.parametrize("fault", ["wrong-branch", "other-transaction"])
def test_a_server_cannot_make_up_a_value(honest: Daemon, name: str, fault: str) -> None:
    honest.network.command("fault", fault)
    try:
        asked(honest)
        assert honest.show(name) == (Kind.UNAVAILABLE.value, None)
        assert "blockchain.transaction.get" in asked(honest)
    finally:
        honest.network.command("fault", "none")
    # The daemon drops a server that answers with another transaction, and comes back to it.
    wait_for(honest, honest.network.height)
    assert honest.show(name)[0] == "found"


@pytest.mark.parametrize("name", ["d/expired", "d/long-expired", "d/fresh"])
def test_a_server_cannot_make_up_an_age(honest: Daemon, name: str) -> None:
    honest.network.command("fault", "later-height")
    try:
        assert honest.show(name)[1] is None
    finally:
        honest.network.command("fault", "none")


@pytest.mark.parametrize("fault", ["no-headers", "broken-headers"])
def test_without_the_headers_nothing_is_found(electrum_nmc_wallet: BuiltBundle, tmp_path: Path, fault: str) -> None:
    with resolving(electrum_nmc_wallet, tmp_path / "fresh", "--fault", fault, synchronised=False) as client:
        for name in ("d/example", "d/oldest"):
            kind, value = client.show(name)
            assert value is None
            assert kind in (Kind.NOT_SYNCHRONISED.value, Kind.UNAVAILABLE.value)


def test_names_age_with_each_block(electrum_nmc_wallet: BuiltBundle, tmp_path: Path) -> None:
    given = scenario.to_onion(scenario.onion("given"))
    with resolving(electrum_nmc_wallet, tmp_path / "fresh", "--value", f"d/given={given.decode()}") as client:
        assert client.show("d/given") == ("found", given)
        assert client.show("d/oldest")[0] == "found"
        assert client.show("d/nearly")[0] == "not registered"
        wait_for(client, client.network.command("mine", 1)["height"])
        assert client.show("d/oldest")[0] == "expired"
        assert client.show("d/nearly")[0] == "found"
        assert client.show("d/given") == ("found", given)


def test_each_stream_id_has_a_connection_of_its_own(electrum_nmc_wallet: BuiltBundle, tmp_path: Path) -> None:
    # The server has several addresses, for as many connections in store.
    port = 50002
    peers = [f"--peer=127.0.0.{number}:{port}" for number in range(2, 10)]
    arguments = ["--tls", "--host=0.0.0.0", f"--port={port}", *peers]
    with resolving(electrum_nmc_wallet, tmp_path / "fresh", *arguments, isolated=True) as client:
        _fill_store(client)
        used = [_connections(client, stream_id) for stream_id in ("one", "two", "one")]
    assert used[0] == used[2]
    assert used[0].keys().isdisjoint(used[1].keys())
    # For Tor another user name is another circuit.
    assert set(used[0].values()).isdisjoint(used[1].values())


def _fill_store(client: Daemon) -> None:
    """Wait until the daemon has connections in store for new stream ids.

    A look-up that finds none tries again under another id of its own, and that one's connection stays its next choice.
    """
    end, calls = time.monotonic() + START, []
    stored: set[int] = set()
    while True:
        calls += client.network.command("calls")
        # Each connection asks for fees first, those in store ask for nothing else.
        every = {call["session"] for call in calls if call["method"] == "blockchain.estimatefee"}
        others = {call["session"] for call in calls if call["method"] == "blockchain.headers.subscribe"}
        # Twice, as all are without a second question when they are new.
        if len(stored & (every - others)) >= 4:
            return
        stored = every - others
        assert time.monotonic() < end, "no connections in store"
        time.sleep(0.5)


def _connections(client: Daemon, stream_id: str) -> dict[int, str]:
    """Which connections of the server a look-up used, and as whom each of them came through the proxy."""
    asked(client)
    assert client.show("d/example", stream_id)[0] == "found"
    users = {item["port"]: item["user"] for item in client.network.command("connections")}
    lookups = ("blockchain.scripthash.get_history", "blockchain.transaction.get", "blockchain.transaction.get_merkle")
    calls = [call for call in client.network.command("calls") if call["method"] in lookups]
    assert {call["method"] for call in calls} == set(lookups)
    return {call["session"]: users[call["port"]] for call in calls}
