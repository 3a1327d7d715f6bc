"""``python -m tests.namecoin``: the scenario's server in a process of its own, so that it can be in a network of its own.

The first line on stdout is JSON: port, height, pid, and socks (the port of a SOCKS proxy beside it). Then each line on
stdin is a command and has one line of JSON for an answer:

``mine N``        mine blocks, and tell clients
``fault NAME``    lie or fail from now on, see ``server.FAULTS``; ``none``: be honest again
``calls``         what clients asked since the last time
``connections``   what went through the proxy so far
``rpc JSON``      ask a JSON-RPC server in the same network (url, user, password, method, params), and say its answer

It ends with its stdin.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import dataclasses
import json
import os
import sys
import urllib.request
from collections.abc import Callable, Coroutine

from tests.namecoin import scenario, server, socks, tls


async def main(options: argparse.Namespace) -> None:
    values = dict(item.split("=", 1) for item in options.value)
    ledger = scenario.build({name: value.encode() for name, value in values.items()})
    serving = server.serve(
        ledger,
        host=options.host,
        port=options.port,
        peers=tuple(options.peer),
        tls=tls.context() if options.tls else None,
        fault=server.FAULTS.get(options.fault),
    )
    async with serving as running, socks.serve() as proxy:

        async def mine(count: str) -> object:
            ledger.mine(int(count))
            await running.announce()
            return {"height": ledger.height}

        async def lie(name: str) -> object:
            running.fault = server.FAULTS[name] if name != "none" else None
            return {"fault": name}

        async def calls(_: str) -> object:
            asked, running.calls = running.calls, []
            return [dataclasses.asdict(call) for call in asked]

        async def connections(_: str) -> object:
            return [dataclasses.asdict(connection) for connection in proxy.connections]

        async def rpc(request: str) -> object:
            return await asyncio.to_thread(_rpc, **json.loads(request))

        commands: dict[str, Callable[[str], Coroutine[None, None, object]]]
        commands = {"mine": mine, "fault": lie, "calls": calls, "connections": connections, "rpc": rpc}
        _say({"port": running.port, "height": ledger.height, "pid": os.getpid(), "socks": proxy.port})
        while line := await asyncio.to_thread(sys.stdin.readline):
            command, _, argument = line.strip().partition(" ")
            _say(await commands[command](argument))


def _rpc(*, url: str, user: str, password: str, method: str, params: object) -> object:
    login = base64.b64encode(f"{user}:{password}".encode()).decode()
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    request = urllib.request.Request(url, body.encode(), {"Authorization": f"Basic {login}"})
    # No proxy of the environment: it is on loopback.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as response:
        return json.load(response)


def _say(answer: object) -> None:
    print(json.dumps(answer), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.namecoin", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--host", default=server.HOST, help="the address to listen on")
    parser.add_argument("--peer", action="append", default=[], metavar="HOST:PORT", help="another server to tell of")
    parser.add_argument("--port", type=int, default=0, help="any free one unless given")
    parser.add_argument("--tls", action="store_true", help="speak TLS; Electrum-NMC looks for peers that do, no others")
    parser.add_argument("--fault", choices=sorted(server.FAULTS), help="how it lies or fails")
    parser.add_argument(
        "--value", action="append", default=[], metavar="NAME=VALUE", help="one more name that resolves"
    )
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main(parse()))
