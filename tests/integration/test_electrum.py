"""Both applications do their work under Wine: version, a restored wallet, and the daemon with its JSON-RPC."""

from __future__ import annotations

import ast
import base64
import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import BuiltBundle, packager_running

SEED = "wild father tree among universe such mobile favorite target dynamic credit identify"
FIRST_ADDRESS = {"electrum": "tb1q4794m2uuw9jmjszmplfj4wvvr5j272fpeq3tt2"}
#: The same key with Namecoin's prefix.
FIRST_ADDRESS["electrum-nmc-wallet"] = "tn1q4794m2uuw9jmjszmplfj4wvvr5j272fprldemj"
VERSIONS = {"electrum": "4.3.4", "electrum-nmc-wallet": "4.0.6"}


@pytest.fixture(params=["electrum", "electrum_nmc_wallet"])
def bundle(request: pytest.FixtureRequest) -> BuiltBundle:
    """Each of the wallets in turn."""
    found: BuiltBundle = request.getfixturevalue(request.param)
    return found


def name(bundle: BuiltBundle) -> str:
    return str(bundle.document["name"])


def test_it_says_its_version(bundle: BuiltBundle) -> None:
    assert bundle.output("--offline", "version") == f"{VERSIONS[name(bundle)]}\n"


def test_a_wallet_is_restored_from_its_seed(bundle: BuiltBundle, tmp_path: Path) -> None:
    data = tmp_path / "fresh"
    bundle.output("-D", data, "restore", SEED, "--testnet", "--offline")
    addresses = json.loads(bundle.output("-D", data, "listaddresses", "--testnet", "--offline"))
    assert addresses[0] == FIRST_ADDRESS[name(bundle)]


def test_the_windowless_twin_runs_too(bundle: BuiltBundle, tmp_path: Path) -> None:
    entry = {"electrum": "electrumw", "electrum-nmc-wallet": "electrum-nmcw"}[name(bundle)]
    data = tmp_path / "fresh"
    done = bundle.run("-D", data, "restore", SEED, "--testnet", "--offline", switches=["--entry", entry])
    assert done.returncode == 0, done.stderr
    assert (data / "testnet/wallets/default_wallet").is_file()


def daemon(bundle: BuiltBundle, data: Path) -> contextlib.AbstractContextManager[subprocess.Popen[bytes]]:
    """A daemon in a network of its own, ended at the latest when the block is left."""
    return packager_running("run", bundle.folder, "--", "-D", data, "daemon")


@pytest.fixture
def running(bundle: BuiltBundle, tmp_path: Path) -> Iterator[tuple[BuiltBundle, Path, subprocess.Popen[bytes]]]:
    data = tmp_path / "fresh"
    with daemon(bundle, data) as process:
        end = time.monotonic() + 120
        while not ((data / "daemon").is_file() and (data / "daemon").read_text()):
            assert process.poll() is None, "the daemon ended early"
            assert time.monotonic() < end, "the daemon did not start"
            time.sleep(0.2)
        yield bundle, data, process


def test_the_daemon_answers_and_stops(running: tuple[BuiltBundle, Path, subprocess.Popen[bytes]]) -> None:
    bundle, data, process = running
    join = ["--join", str(process.pid)]
    info = json.loads(bundle.output("-D", data, "getinfo", switches=join))
    assert info["version"] == VERSIONS[name(bundle)]
    assert info["connected"] is False
    assert "stopped" in bundle.output("-D", data, "stop", switches=join)
    assert process.wait(60) == 0


_ASK = """
import sys, urllib.request
url, authorization, body = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), {"Authorization": authorization})
print(urllib.request.urlopen(request, timeout=20).read().decode())
"""


def test_the_daemon_speaks_json_rpc_on_loopback(
    running: tuple[BuiltBundle, Path, subprocess.Popen[bytes]],
) -> None:
    bundle, data, process = running
    _, (host, port), _ = ast.literal_eval((data / "daemon").read_text())
    assert host == "127.0.0.1"
    config = json.loads((data / "config").read_text())
    login = "Basic " + base64.b64encode(f"{config['rpcuser']}:{config['rpcpassword']}".encode()).decode()

    def ask(method: str) -> dict[str, object]:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": []})
        said = bundle.output(
            "-c", _ASK, f"http://{host}:{port}", login, body, python=True, switches=["--join", str(process.pid)]
        )
        answer: dict[str, object] = json.loads(said)
        return answer

    answer = ask("getinfo")["result"]
    assert isinstance(answer, dict)
    assert answer["version"] == VERSIONS[name(bundle)]
    ask("stop")
    assert process.wait(60) == 0
