"""A SOCKS5 proxy on loopback that notes who connects where: stands in for Tor's, whose circuits go by the user name.

RFC 1928 and 1929; any password will do.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

HOST = "127.0.0.1"
_NO_LOGIN, _LOGIN, _NONE_OF_THESE = 0, 2, 0xFF
_CONNECT, _IPV4, _NAME = 1, 1, 3
_DONE, _REFUSED, _NOT_SUPPORTED = 0, 5, 7


@dataclass(frozen=True, slots=True)
class Connection:
    """What a client asked for; ``port`` is the proxy's own towards ``host``, by which a server knows it."""

    user: str
    host: str
    port: int


@dataclass(slots=True)
class Proxy:
    """A proxy that runs."""

    port: int = 0
    connections: list[Connection] = field(default_factory=list)


@contextlib.asynccontextmanager
async def serve(port: int = 0) -> AsyncIterator[Proxy]:
    """Run a proxy while the block runs; port 0 is any free one."""
    proxy, tasks = Proxy(), set[asyncio.Task[None]]()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            # A client or a server that goes away ends its connection, and nothing else.
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await _forward(proxy, reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    listening = await asyncio.start_server(accept, HOST, port)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await listening.wait_closed()


async def _forward(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Have the dialogue with a client, then copy both ways until one side ends."""
    methods = await reader.readexactly((await reader.readexactly(2))[1])
    user = ""
    if _LOGIN in methods:
        writer.write(bytes([5, _LOGIN]))
        user = (await reader.readexactly((await reader.readexactly(2))[1])).decode()
        await reader.readexactly((await reader.readexactly(1))[0])
        writer.write(bytes([1, _DONE]))
    elif _NO_LOGIN in methods:
        writer.write(bytes([5, _NO_LOGIN]))
    else:
        writer.write(bytes([5, _NONE_OF_THESE]))
        return
    _, command, _, kind = await reader.readexactly(4)
    if command != _CONNECT or kind not in (_IPV4, _NAME):
        writer.write(bytes([5, _NOT_SUPPORTED, 0, _IPV4]) + bytes(6))
        return
    if kind == _IPV4:
        host = ".".join(map(str, await reader.readexactly(4)))
    else:
        host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
    (port,) = struct.unpack(">H", await reader.readexactly(2))
    try:
        their_reader, their_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.write(bytes([5, _REFUSED, 0, _IPV4]) + bytes(6))
        return
    try:
        proxy.connections.append(Connection(user, host, their_writer.get_extra_info("sockname")[1]))
        writer.write(bytes([5, _DONE, 0, _IPV4]) + bytes(6))
        copies = {asyncio.create_task(_copy(reader, their_writer)), asyncio.create_task(_copy(their_reader, writer))}
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
    finally:
        their_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
