"""``python -m tests.tor FOLDER``: a private Tor network with all that belongs to it, in the network that this is in.

Runs tor's nodes, a web server behind an onion service, the Electrum server of ``tests.namecoin`` behind several, and a
forwarder in front of the client's SOCKS port. Once a page has come through tor, one line of JSON on stdout says where
things are. Commands come through a Unix socket in FOLDER, one to a connection: a line of JSON with ``do``, answered by
one line; after ``dial`` the connection leads on to a port. See ``_World``'s methods. All ends with stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.namecoin import scenario, server, tls
from tests.tor import network, program, tap

PAGE = "<!doctype html><title>Onion</title><h1>The onion service's page</h1><p id=host>{host}</p>\n"
#: So many addresses has the Electrum server: a client connects to several, each through a circuit of its own.
SERVERS = 6
ELECTRUM_PORT = 50002
#: Names that lead to the service.
NAMES = ("d/example", "d/another", *(f"d/visited-{number}" for number in range(60)))
SOCKET = "world"


class _World:
    """What runs, and the commands."""

    def __init__(self, folder: Path, tor: program.Tor) -> None:
        self.folder = folder
        self.tor = tor
        self.network: network.Network
        self.electrum: server.Server
        self.tap: tap.Tap
        self.requests: list[str] = []
        self.client: asyncio.subprocess.Process
        self._serving: set[asyncio.Task[object]] = set()
        self._spawned: dict[int, asyncio.subprocess.Process] = {}

    async def do_spawn(self, argv: list[str], env: dict[str, str], cwd: str, log: str) -> object:
        """Start a program; its output goes to a file. Gives its process id, as it is in here."""
        with open(log, "ab") as output:
            started = await asyncio.create_subprocess_exec(
                *argv, env=env, cwd=cwd, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
            )
        self._spawned[started.pid] = started
        return {"pid": started.pid}

    async def do_wait(self, pid: int) -> object:
        """The exit code of what was started, once it has ended; negative for a signal."""
        return {"code": await self._spawned[pid].wait()}

    async def do_signal(self, pid: int, number: int) -> object:
        """Send a signal to what was started."""
        with contextlib.suppress(ProcessLookupError):
            self._spawned[pid].send_signal(number)
        return {}

    async def do_call(self, argv: list[str], env: dict[str, str], timeout: float) -> object:
        """Run a program to its end."""
        pipe = asyncio.subprocess.PIPE
        started = await asyncio.create_subprocess_exec(
            *argv, env={**os.environ, **env}, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        try:
            async with asyncio.timeout(timeout):
                out, err = await started.communicate()
        except TimeoutError:
            started.kill()
            await started.wait()
            return {"code": None, "stdout": "", "stderr": f"not done in {timeout:g} s"}
        return {
            "code": started.returncode,
            "stdout": out.decode("utf-8", "replace"),
            "stderr": err.decode("utf-8", "replace"),
        }

    async def do_tor(self, run: bool, arguments: tuple[str, ...] = ()) -> object:
        """Have the client run anew, with these options, too, or not at all: by SIGKILL."""
        if self.client.returncode is None:
            self.client.kill()
            await self.client.wait()
        if run:
            self.client = await self.node(self.network.client, *arguments)
        return {"pid": self.client.pid}

    async def do_bootstrapped(self) -> object:
        """Wait until the client that runs now can build circuits."""
        await self.until_bootstrapped()
        return {}

    async def do_fault(self, name: str) -> object:
        """Have the Electrum server lie or fail: ``server.FAULTS``; ``none`` for an honest one."""
        self.electrum.fault = server.FAULTS[name] if name != "none" else None
        return {}

    async def do_calls(self) -> object:
        """What the Electrum server was asked since the last time."""
        asked, self.electrum.calls = self.electrum.calls, []
        return [dataclasses.asdict(call) for call in asked]

    async def do_tapped(self) -> object:
        """Connections to the forwarder since the last time: user and when, by this machine's monotonic clock."""
        seen, self.tap.connections[:] = list(self.tap.connections), []
        return [{"user": item.user, "begun": item.begun} for item in seen]

    async def do_requests(self) -> object:
        """Hosts that the web server was asked for since the last time."""
        asked, self.requests = self.requests, []
        return asked

    async def node(self, node: network.Node, *arguments: str) -> asyncio.subprocess.Process:
        node.log.unlink(missing_ok=True)
        return await asyncio.create_subprocess_exec(*node.argv(self.tor), *arguments, env=self.tor.env)

    async def until_bootstrapped(self) -> None:
        log = self.network.client.log
        while not (log.exists() and "Bootstrapped 100%" in log.read_text("utf-8", "replace")):
            if self.client.returncode is not None:
                raise RuntimeError(f"tor ended with {self.client.returncode}: {log}")
            await asyncio.sleep(0.05)

    async def web(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request, one page that says for which host; browsers' other wishes are not met."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            host = next((line[5:].strip() for line in head if line.lower().startswith("host:")), "")
            found = head[0].split(" ")[1:2] == ["/"]
            if found:
                self.requests.append(host)
            body = PAGE.format(host=host).encode() if found else b""
            status = "200 OK" if found else "404 Not Found"
            fields = f"Content-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\nConnection: close"
            writer.write(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode() + body)
            await writer.drain()
        writer.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One command."""
        task = asyncio.current_task()
        assert task is not None
        # Nobody else holds it: a loop's own references are weak.
        self._serving.add(task)
        try:
            with contextlib.suppress(OSError):
                if line := await reader.readline():
                    await self._answer(json.loads(line), reader, writer)
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, asked: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        what = asked.pop("do")
        if what == "dial":
            # Refused: closed without an answer.
            with contextlib.suppress(OSError):
                to_reader, to_writer = await asyncio.open_connection(network.HOST, asked["port"])
                await tap.both_ways((reader, writer), (to_reader, to_writer))
            return
        try:
            answer = {"answer": await getattr(self, f"do_{what}")(**asked)}
        except Exception as exc:
            answer = {"error": f"{what}: {type(exc).__name__}: {exc}"}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


@contextlib.asynccontextmanager
async def _running(world: _World) -> AsyncIterator[dict[str, object]]:
    """Everything, in the order of who needs whom; gives what there is to know."""
    begun = time.monotonic()
    async with contextlib.AsyncExitStack() as stack:
        web = await stack.enter_async_context(await asyncio.start_server(world.web, network.HOST))
        web_port = web.sockets[0].getsockname()[1]
        # The names' values need the addresses, and those need tor.
        electrum_port, *ports = network.free_ports(1 + network.PORTS)
        services = [network.Service("web", 80, web_port)]
        services += [network.Service(f"electrum{n}", ELECTRUM_PORT, electrum_port) for n in range(SERVERS)]
        password = os.urandom(8).hex()
        world.network = await asyncio.to_thread(network.prepare, world.tor, world.folder, services, password, ports)
        for node in world.network.relays:
            await world.node(node)
        # A tor that starts with half a network makes do with that half for a while.
        while not world.network.agreed():
            await asyncio.sleep(0.1)
        agreed = time.monotonic() - begun
        await world.node(world.network.host)
        world.client = await world.node(world.network.client)
        names = ["web", *(service.name for service in services[1:])]
        hosts = [await _hostname(world.network, name) for name in names]
        ledger = scenario.build(dict.fromkeys(NAMES, scenario.to_onion(hosts[0])))
        peers = tuple(f"{host}:{ELECTRUM_PORT}" for host in hosts[1:])
        serving = server.serve(ledger, port=electrum_port, peers=peers, tls=tls.context())
        world.electrum = await stack.enter_async_context(serving)
        world.tap = await stack.enter_async_context(tap.serve(world.network.socks))
        await stack.enter_async_context(await asyncio.start_unix_server(world.serve, world.folder / SOCKET))
        await world.until_bootstrapped()
        bootstrapped = time.monotonic() - begun
        for host, port in ((hosts[0], 80), *((host, ELECTRUM_PORT) for host in hosts[1:])):
            await _until_reached(world.network.socks, host, port)
        yield {
            "onion": hosts[0],
            "servers": peers,
            "socks": world.network.socks,
            "control": world.network.control,
            "password": password,
            "cookie": str(world.network.cookie),
            "tap": world.tap.port,
            "web": web_port,
            "height": ledger.height,
            "seconds": {"agreed": agreed, "bootstrapped": bootstrapped, "reached": time.monotonic() - begun},
        }


async def _hostname(made: network.Network, name: str) -> str:
    while True:
        with contextlib.suppress(OSError):
            if host := made.onion(name):
                return host
        await asyncio.sleep(0.05)


async def _until_reached(socks: int, host: str, port: int) -> None:
    """Connect through tor until that works: a service has to tell the directories of itself first."""
    name = host.encode()
    while True:
        reader, writer = await asyncio.open_connection(network.HOST, socks)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                writer.write(b"\5\1\0")
                await reader.readexactly(2)
                writer.write(b"\5\1\0\3" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
                if (await reader.readexactly(2))[1] == 0:
                    return
        finally:
            writer.close()
        await asyncio.sleep(0.5)


async def main() -> None:
    world = _World(Path(sys.argv[1]), program.find())
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    async with _running(world) as said:
        print(json.dumps(said), flush=True)
        await stdin.read()


if __name__ == "__main__":
    asyncio.run(main())
    # What else there is, tor among it, ends with the process namespace.
    os.kill(os.getpid(), signal.SIGKILL)
