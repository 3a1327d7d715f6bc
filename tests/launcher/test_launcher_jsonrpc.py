"""The daemon's server: what rpc.py gets from it, who is turned away, and what others on the machine cannot do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from namecoin_launcher import jsonrpc_server
from namecoin_launcher.jsonrpc_server import MAX_BODY, MAX_HEAD, Server
from namecoin_resolver.outcome import Kind, NameLookupError
from namecoin_resolver.rpc import Endpoint, Rpc, RpcError

from tests.launcher.test_controller import run

LOGIN = base64.b64encode(b"user:secret").decode()
BODY = b'{"id": 7, "method": "echo", "params": ["x"]}'


class NotThereError(Exception):
    """What a method raises where there is a code of its own for it."""


@dataclass
class Methods:
    """What is called."""

    begun: int = 0
    ended: list[str] = field(default_factory=list)

    async def echo(self, first: object, second: object = None) -> object:
        return [first, second]

    async def fails(self) -> object:
        raise NotThereError("it is not there")

    async def breaks(self) -> object:
        raise ValueError("something else")

    async def cancels(self) -> object:
        raise asyncio.CancelledError

    async def odd(self) -> object:
        return object()

    async def waits(self) -> object:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.append("waits")
        raise AssertionError


@dataclass
class World:
    server: Server
    methods: Methods
    port: int

    @property
    def rpc(self) -> Rpc:
        return Rpc(Endpoint(self.port, "user", "secret"))

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def raw(self, data: bytes, *, end: bool = False) -> bytes:
        """What the server says to ``data`` before it hangs up; with ``end``, nothing follows those."""
        async with self.connected() as (reader, writer):
            with contextlib.suppress(ConnectionError):
                writer.write(data)
                if end:
                    writer.write_eof()
                return await reader.read()
            return b""

    async def status(self, data: bytes) -> int:
        return int((await self.raw(data)).split(b" ")[1])


def scenario(test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        before = len(asyncio.all_tasks())
        methods = Methods()
        names = ("echo", "fails", "breaks", "cancels", "odd", "waits")
        server = Server(
            "user",
            "secret",
            {name: getattr(methods, name) for name in names},
            lambda exc: -4 if isinstance(exc, NotThereError) else 1,
        )
        world = World(server, methods, await server.start())
        try:
            await test(world)
            # It serves whatever came before.
            assert await world.rpc.call("echo", {"first": 1}) == [1, None]
        finally:
            server.close()
            # What serves a connection ends with it.
            while len(asyncio.all_tasks()) > before:
                await asyncio.sleep(0.001)

    run(main())


def post(body: bytes = BODY, length: int | str | None = None, *more: str, login: str = f"Basic {LOGIN}") -> bytes:
    lines = ["POST / HTTP/1.1", "Host: x", f"Authorization: {login}", *more]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def test_calls_by_name_and_by_position() -> None:
    async def test(world: World) -> None:
        assert await world.rpc.call("echo", {"second": "ü", "first": None}) == [None, "ü"]
        answer = await world.raw(post(b'{"id": "a", "method": "echo", "params": [1, 2]}'))
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body) == {"jsonrpc": "2.0", "id": "a", "result": [1, 2]}

    scenario(test)


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("fails", {}, -4, "it is not there"),
        ("breaks", {}, 1, "something else"),
        ("cancels", {}, 1, "cancelled"),
        ("odd", {}, 1, "Object of type object is not JSON serializable"),
        ("echo", {"third": 1}, 1, "unexpected keyword argument 'third'"),
        ("close", {}, -32601, "no such method: close"),
        ("__class__", {}, -32601, "no such method: __class__"),
    ],
)
def test_what_goes_wrong_has_a_code(method: str, params: dict[str, object], code: int, message: str) -> None:
    async def test(world: World) -> None:
        with pytest.raises(RpcError) as caught:
            await world.rpc.call(method, params)
        assert caught.value.code == code
        assert message in caught.value.message

    scenario(test)


def test_calls_do_not_wait_for_each_other_and_end_with_their_client() -> None:
    async def test(world: World) -> None:
        slow = [asyncio.create_task(world.rpc.call("waits")) for _ in range(5)]
        while world.methods.begun < 5:
            await asyncio.sleep(0.001)
        assert await world.rpc.call("echo", {"first": 1}) == [1, None]
        assert not world.methods.ended
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        while len(world.methods.ended) < 5:
            await asyncio.sleep(0.001)

    scenario(test)


def test_more_than_a_request_ends_the_call() -> None:
    async def test(world: World) -> None:
        assert await world.raw(post(b'{"method": "waits"}') + b"POST") == b""
        assert world.methods.ended == ["waits"]

    scenario(test)


@pytest.mark.parametrize(
    ("login", "status"),
    [
        ("", 401),
        ("Bearer x", 401),
        ("Basic", 403),
        ("Basic ", 403),
        ("Basic \xff\xfe", 403),
        (f"Basic {LOGIN}A", 403),
        (f"Basic {LOGIN[:-1]}", 403),
        (f"Basic {base64.b64encode(b'user:').decode()}", 403),
        (f"basic {LOGIN}", 200),
    ],
)
def test_who_does_not_know_the_password(login: str, status: int) -> None:
    async def test(world: World) -> None:
        assert await world.status(post(login=login)) == status

    scenario(test)


def test_without_the_password_nothing_is_called() -> None:
    async def test(world: World) -> None:
        with pytest.raises(NameLookupError) as caught:
            await Rpc(Endpoint(world.port, "user", "Secret")).call("waits")
        assert (caught.value.kind, str(caught.value)) == (
            Kind.UNAVAILABLE,
            str(NameLookupError(Kind.UNAVAILABLE, "Electrum-NMC: it refuses the RPC credentials")),
        )
        assert not world.methods.begun

    scenario(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nno field\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (post(BODY, None, "Content-Length: 1"), 400),
        (post(BODY, None, f"Authorization: Basic {LOGIN}"), 400),
        (post(BODY, None, "Transfer-Encoding: chunked"), 411),
        (post(BODY, "-1"), 400),
        (post(BODY, "+5"), 400),
        (post(BODY, "0x10"), 400),
        (post(BODY, "9" * 19), 400),
        (post(BODY, MAX_BODY + 1), 413),
        (post(BODY, None, "X: " + "x" * MAX_HEAD), 413),
        (b"x" * 3 * MAX_HEAD, 413),
        (b"POST / HTTP/1.1\r\n\r\n", 401),
        (post().replace(b"POST / ", b"POST /x "), 404),
        (post().replace(b"POST / ", b"GET / "), 405),
        (post().replace(b"Content-Length", b"Length"), 411),
        (post(b""), 400),
        (post(b"[" * MAX_BODY), 400),
        (post(b"\xff\xfe{}"), 400),
        (post(b"[]"), 400),
        (post(b"{}"), 400),
        (post(b'{"method": ["echo"]}'), 400),
        (post(b'{"method": "echo", "params": "x"}'), 400),
        (post(b'{"method": "echo", "id": {}}'), 400),
        (post(b'{"method": "echo", "params": [1]}'), 200),
        (post(b'{"method": "echo", "params": ["' + b"x" * (MAX_BODY - 34) + b'"]}'), 200),
    ],
)
def test_what_is_no_request(data: bytes, status: int) -> None:
    async def test(world: World) -> None:
        assert await world.status(data) == status

    scenario(test)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.sampled_from([b"", b"POST / HTTP/1.1\r\n", post()[:-5], post(b"", 60)]))
def test_whatever_comes(data: bytes, before: bytes) -> None:
    async def test(world: World) -> None:
        answer = await world.raw(before + data, end=True)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 ")

    scenario(test)


@pytest.mark.parametrize("part", [b"", b"POST / HT", post()[:-1]])
def test_who_is_slow_is_cut(monkeypatch: pytest.MonkeyPatch, part: bytes) -> None:
    monkeypatch.setattr(jsonrpc_server, "LIMIT", 0.2)

    async def test(world: World) -> None:
        assert await world.raw(part) == b""
        # As is who does not hang up.
        assert (await world.raw(post(login=""))).startswith(b"HTTP/1.1 401 ")

    # What is still to come has its usual time.
    async def patient(world: World) -> None:
        await test(world)
        monkeypatch.undo()

    scenario(patient)


def test_others_do_not_shut_the_client_out() -> None:
    """Neither with connections that say nothing, nor with such as were turned away and stay."""

    async def test(world: World) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for data in (b"", post(login="")) * jsonrpc_server.MAX_WAITING:
                reader, writer = await stack.enter_async_context(world.connected())
                writer.write(data)
                if data:
                    await reader.read(1)
            assert len(world.server._waiting) == jsonrpc_server.MAX_WAITING
            assert await world.rpc.call("echo", {"first": 2}) == [2, None]
        while world.server._waiting:
            await asyncio.sleep(0.001)

    scenario(test)


def test_calls_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonrpc_server, "MAX_CALLS", 2)

    async def test(world: World) -> None:
        slow = [asyncio.create_task(world.rpc.call("waits")) for _ in range(2)]
        while world.methods.begun < 2:
            await asyncio.sleep(0.001)
        with pytest.raises(RpcError, match="too many calls at once"):
            await world.rpc.call("waits")
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)
        while len(world.methods.ended) < 2:
            await asyncio.sleep(0.001)

    scenario(test)


def test_closed_it_takes_no_more() -> None:
    async def main() -> None:
        server = Server("user", "secret", {}, lambda exc: 1)
        port = await server.start()
        server.close()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)

    run(main())
