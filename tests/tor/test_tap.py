"""The forwarder: what it sees of a connection, and that it changes nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.tor import tap


@pytest.mark.parametrize(
    ("said", "user"),
    [
        (b"", ""),
        (b"\5", ""),
        (b"\5\1\0\5\1\0\3", ""),
        (b"\5\1\2", ""),
        (b"\5\1\2\1\3abc\1p", "abc"),
        (b"\5\2\0\2\1\2ab", "ab"),
    ],
)
def test_a_user_is_read_from_what_a_client_says(said: bytes, user: str) -> None:
    assert tap.Connection(1, 0.0, said).user == user


def test_what_is_said_gets_through_both_ways() -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write((await reader.read()).upper())
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1")
        async with server, tap.serve(server.sockets[0].getsockname()[1]) as running:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writer.write(b"\5\1\2\1\1u and more")
            writer.write_eof()
            assert await reader.read() == b"\5\1\2\1\1U AND MORE"
            writer.close()
            assert [item.user for item in running.connections] == ["u"]

    asyncio.run(main())
