"""The proxy, against a client written out as bytes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

from tests.namecoin import socks

Talk = Callable[[socks.Proxy, int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def talk(conversation: Talk) -> socks.Proxy:
    """Speak to a proxy; a server on loopback sends back what it gets."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    async def run() -> socks.Proxy:
        async with (
            asyncio.timeout(60),
            socks.serve() as proxy,
            await asyncio.start_server(echo, "127.0.0.1", 0) as server,
        ):
            reader, writer = await asyncio.open_connection(socks.HOST, proxy.port)
            await conversation(proxy, server.sockets[0].getsockname()[1], reader, writer)
            writer.close()
        return proxy

    return asyncio.run(run())


def test_users_are_noted() -> None:
    async def conversation(
        proxy: socks.Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"\x05\x02\x00\x02" + b"\x01\x05alice\x06secret")
        assert await reader.readexactly(4) == b"\x05\x02\x01\x00"
        writer.write(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + struct.pack(">H", port))
        assert await reader.readexactly(10) == b"\x05\x00\x00\x01" + bytes(6)
        writer.write(b"hello")
        assert await reader.read() == b"hello"

    (connection,) = talk(conversation).connections
    assert (connection.user, connection.host) == ("alice", "127.0.0.1")


def test_names_are_the_proxys_to_resolve() -> None:
    async def conversation(
        proxy: socks.Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"\x05\x01\x00" + b"\x05\x01\x00\x03\x09localhost" + struct.pack(">H", port))
        assert await reader.readexactly(12) == b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6)

    (connection,) = talk(conversation).connections
    assert (connection.user, connection.host) == ("", "localhost")


def test_what_it_cannot_do_it_says() -> None:
    async def refused(_: socks.Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Port 1 has no server.
        writer.write(b"\x05\x01\x00" + b"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x01")
        assert await reader.read() == b"\x05\x00" + b"\x05\x05\x00\x01" + bytes(6)

    async def bind(_: socks.Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x05\x01\x00" + b"\x05\x02\x00\x01")
        assert await reader.read() == b"\x05\x00" + b"\x05\x07\x00\x01" + bytes(6)

    async def gssapi(_: socks.Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x05\x01\x01")
        assert await reader.read() == b"\x05\xff"

    for conversation in (refused, bind, gssapi):
        assert talk(conversation).connections == []
