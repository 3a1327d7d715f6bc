"""JSON-RPC: requests as the daemon reads them, and every kind of answer, good, slow or broken."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from namecoin_resolver import rpc
from namecoin_resolver.outcome import Kind, NameLookupError

from tests.launcher.doubles import PASSWORD, USER, Daemon, Respond, error, http, result, serving

VALUE = b'{"map":{"_tor":{"txt":"x.onion"}}}'


def answering(body: bytes) -> Respond:
    async def respond(request: dict[str, object]) -> bytes:
        return body

    return respond


def show(
    respond: Respond, *, password: str = PASSWORD, limit: float = 20.0
) -> tuple[rpc.Registered | Kind, str, Daemon]:
    """One ``name_show`` against a daemon: what came of it, in what words, and the daemon."""

    async def run() -> tuple[rpc.Registered | Kind, str, Daemon]:
        async with Daemon(respond) as daemon:
            client = rpc.Rpc(rpc.Endpoint(daemon.port, USER, password), limit)
            try:
                return await client.name_show("d/example", "stream 1"), "", daemon
            except NameLookupError as exc:
                return exc.kind, exc.detail, daemon

    return asyncio.run(run())


def test_the_request_has_named_parameters() -> None:
    found, _, daemon = show(serving({"d/example": VALUE.decode()}))
    assert found == rpc.Registered(VALUE, 26000)
    assert daemon.requests == [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "name_show",
            "params": {"identifier": "d/example", "stream_id": "stream 1", "value_encoding": "hex"},
        }
    ]


def test_a_secret_does_not_show() -> None:
    assert PASSWORD not in repr(rpc.Rpc(rpc.Endpoint(1, USER, PASSWORD)))


def test_other_calls_give_their_result() -> None:
    async def run() -> object:
        async with Daemon(answering(http({"id": 1, "result": {"connected": True}, "error": None}))) as daemon:
            return await rpc.Rpc(rpc.Endpoint(daemon.port, USER, PASSWORD)).call("getinfo")

    assert asyncio.run(run()) == {"connected": True}


def test_other_calls_give_the_daemons_error() -> None:
    async def run() -> None:
        async with Daemon(answering(error(1, "wallet not loaded"))) as daemon:
            await rpc.Rpc(rpc.Endpoint(daemon.port, USER, PASSWORD)).call("getbalance", {"x": 1})

    with pytest.raises(rpc.RpcError, match="RPC error 1: wallet not loaded"):
        asyncio.run(run())


def test_a_connection_that_stays_open_does_not_keep_us() -> None:
    # The double keeps connections open, as the daemon does; ours has to end, and the double has to see that.
    async def run() -> int:
        async with Daemon(serving({"d/example": "{}"})) as daemon:
            client = rpc.Rpc(rpc.Endpoint(daemon.port, USER, PASSWORD))
            for _ in range(3):
                await client.name_show("d/example", "")
            while daemon.closed < 3:
                await asyncio.sleep(0.01)
            return daemon.closed

    assert asyncio.run(asyncio.wait_for(run(), 30)) == 3


def test_a_new_endpoint_counts_from_the_next_call() -> None:
    async def run() -> tuple[bytes, bytes]:
        async with Daemon(serving({"d/example": '{"a":1}'})) as one, Daemon(serving({"d/example": '{"b":1}'})) as two:
            client = rpc.Rpc(rpc.Endpoint(one.port, USER, PASSWORD))
            first = await client.name_show("d/example", "")
            client.endpoint = rpc.Endpoint(two.port, USER, PASSWORD)
            return first.value, (await client.name_show("d/example", "")).value

    assert asyncio.run(run()) == (b'{"a":1}', b'{"b":1}')


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, rpc.Registered(b"{}", 26000)),
        ({"semi_expires_in": None}, rpc.Registered(b"{}", 30000)),
        ({"semi_expires_in": None, "expires_in": None}, rpc.Registered(b"{}", None)),
        ({"expires_in": 7}, rpc.Registered(b"{}", 7)),
        ({"expires_in": True, "semi_expires_in": "x"}, rpc.Registered(b"{}", None)),
        ({"value": "{}", "value_encoding": "ascii"}, rpc.Registered(b"{}", 26000)),
        ({"value": "{}", "value_encoding": None}, rpc.Registered(b"{}", 26000)),
        ({"value": "\u00e4", "value_encoding": "utf8"}, rpc.Registered("\u00e4".encode(), 26000)),
        ({"value": "\ud800", "value_encoding": "utf8"}, rpc.Registered(b"\xed\xa0\x80", 26000)),
        ({"name": "642f6578", "name_encoding": "hex"}, rpc.Registered(b"{}", 26000)),
        ({"expired": True}, Kind.EXPIRED),
        ({"semi_expired": True}, Kind.EXPIRED),
        ({"expires_in": 0}, Kind.EXPIRED),
        ({"expires_in": -5, "semi_expires_in": None}, Kind.EXPIRED),
        ({"name": "d/other"}, Kind.UNAVAILABLE),
        ({"value": None}, Kind.UNAVAILABLE),
        ({"value": {"ip": "192.0.2.1"}}, Kind.UNAVAILABLE),
        ({"value": "{}"}, Kind.UNAVAILABLE),  # said to be hexadecimal
    ],
)
def test_results(more: dict[str, object], expected: rpc.Registered | Kind) -> None:
    assert show(answering(result("{}", **more)))[0] == expected


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        (-4, "Name purportedly never existed", Kind.NOT_REGISTERED),
        (-4, "name not found: 'd/example'", Kind.NOT_REGISTERED),
        (-4, "", Kind.NOT_REGISTERED),
        (
            -4,
            "Name is purportedly expired (latest renewal height 400000, latest unexpired height 500000)",
            Kind.EXPIRED,
        ),
        (
            -4,
            "Name is purportedly semi-expired (latest renewal height 465000, latest un-semi-expired height 470000); "
            "if this name is yours, renew it ASAP",
            Kind.EXPIRED,
        ),
        # In the mempool, and nowhere else.
        (-4, "Name is purportedly expired (latest renewal height 0, latest unexpired height 5)", Kind.NOT_REGISTERED),
        (-4, "Name is purportedly expired (latest renewal height -1, latest unexpired height 5)", Kind.NOT_REGISTERED),
        (
            -4,
            "Name is purportedly unconfirmed (registration height 500010, latest verified height 500000)",
            Kind.NOT_REGISTERED,
        ),
        # The daemon's chain ends far below.
        (
            -4,
            "Name is purportedly unconfirmed (registration height 500010, latest verified height 60000)",
            Kind.NOT_SYNCHRONISED,
        ),
        (
            1,
            "The blockchain is still syncing (latest purported transaction height 9, local chain height 1, "
            "server chain height 50)",
            Kind.NOT_SYNCHRONISED,
        ),
        (1, "merkle verification failed for ab (missing header 5000)", Kind.NOT_SYNCHRONISED),
        (1, "merkle verification failed for ab (cd != ef)", Kind.UNAVAILABLE),
        (1, "no interface to do request on... gave up.", Kind.UNAVAILABLE),
        (1, "", Kind.UNAVAILABLE),
        (0, "'NoneType' object has no attribute 'proxy'", Kind.UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "500 Internal Server Error"])
def test_errors(code: int, message: str, kind: Kind, status: str) -> None:
    assert show(answering(error(code, message, status)))[0] == kind


def test_the_daemons_words_stay_on_one_line() -> None:
    assert show(answering(error(1, "a\r\nb\x1b[31m" + "x" * 999)))[1] == "Electrum-NMC: a  b [31m" + "x" * 291


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "body",
    [
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b'9;x=1\r\n{"id": 1,\r\nE\r\n"result": {} }\r\n0\r\n\r\n',
        b'HTTP/1.0 200\r\ncontent-length:  13 \r\n\r\n{"result":{}}',
        HEAD + b"X: " + b"y" * 9000 + b'\r\nContent-Length: 13\r\n\r\n{"result":{}}tail',
    ],
)
def test_framings(body: bytes) -> None:
    kind, detail, _ = show(answering(body))
    assert (kind, detail) == (Kind.UNAVAILABLE, "Electrum-NMC: an answer without a value")


NO_HTTP = "Electrum-NMC: its answer is no HTTP"
TOO_LONG = "Electrum-NMC: an answer of more than 65536 bytes"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", NO_HTTP),
        (b"HTTP/2 200\r\n\r\n", NO_HTTP),
        (HEAD + b"Content-Length: -1\r\n\r\n", NO_HTTP),
        (HEAD + b"Content-Length: x\r\n\r\n", NO_HTTP),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", NO_HTTP),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", NO_HTTP),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz", NO_HTTP),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 20000, NO_HTTP),
        (HEAD + b"X: " + b"y" * 40000, NO_HTTP),
        (HEAD + b"Content-Length: 70000\r\n\r\n", TOO_LONG),
        (HEAD + b"Content-Length: 999999999\r\n\r\n", TOO_LONG),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n11170\r\n", TOO_LONG),
        (HEAD + b"\r\n" + b"x" * 70000, TOO_LONG),
        (http(b"Unauthorized", "401 Unauthorized"), "Electrum-NMC: it refuses the RPC credentials"),
        (http(b"Invalid Request", "500 x"), "Electrum-NMC: HTTP status 500 without a JSON object"),
        (http(b""), "Electrum-NMC: HTTP status 200 without a JSON object"),
        (http(b"[" * 60000), "Electrum-NMC: HTTP status 200 without a JSON object"),
        (http(b"\xff"), "Electrum-NMC: HTTP status 200 without a JSON object"),
        (http([]), "Electrum-NMC: HTTP status 200 without a JSON object"),
        (http({}), "Electrum-NMC: HTTP status 200 with neither result nor error"),
        (http({"error": "x"}), "Electrum-NMC: HTTP status 200 with neither result nor error"),
        (http({"result": {}}, "302 Found"), "Electrum-NMC: HTTP status 302 with neither result nor error"),
        (http({"error": {"code": "x", "message": 5}}), "Electrum-NMC: "),
        (http({"result": None}), "Electrum-NMC: an answer without a value"),
        (http({"result": "x"}), "Electrum-NMC: an answer without a value"),
    ],
)
def test_broken_answers(body: bytes, detail: str) -> None:
    assert show(answering(body))[:2] == (Kind.UNAVAILABLE, detail)


def test_the_wrong_password() -> None:
    kind, detail, daemon = show(serving({"d/example": "{}"}), password="guess")
    assert (kind, detail, daemon.requests) == (Kind.UNAVAILABLE, "Electrum-NMC: it refuses the RPC credentials", [])


def raw(answer: bytes, limit: float = 20.0) -> tuple[Kind, str]:
    """``name_show`` against a server that sends bytes and closes, or without bytes waits for the client to go."""

    async def run() -> tuple[Kind, str]:
        gone = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if answer:
                await reader.readuntil(b"}")
                writer.write(answer)
                writer.close()
            else:
                with_rest = await reader.read()
                assert with_rest.endswith(b"}")
                writer.close()
            gone.set()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            client = rpc.Rpc(rpc.Endpoint(server.sockets[0].getsockname()[1], USER, PASSWORD), limit)
            with pytest.raises(NameLookupError) as caught:
                await client.name_show("d/example", "")
            await asyncio.wait_for(gone.wait(), 30)
            return caught.value.kind, caught.value.detail

    return asyncio.run(run())


@pytest.mark.parametrize("answer", [b"H", HEAD, HEAD + b"Content-Length: 5\r\n\r\nabc"])
def test_a_connection_that_ends_early(answer: bytes) -> None:
    assert raw(answer) == (Kind.UNAVAILABLE, "Electrum-NMC: it closed the connection before it had answered")


def test_an_answer_that_ends_with_its_connection() -> None:
    assert raw(HEAD + b'\r\n{"result":{}}') == (Kind.UNAVAILABLE, "Electrum-NMC: an answer without a value")


def test_no_answer_at_all() -> None:
    # The server sees the connection end: nothing is left behind by a call that timed out.
    assert raw(b"", limit=0.05) == (Kind.TIMEOUT, "no answer from Electrum-NMC in 0.05 s")


def test_nobody_listens() -> None:
    async def run() -> NameLookupError:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(NameLookupError) as caught:
            await rpc.Rpc(rpc.Endpoint(port, USER, PASSWORD)).name_show("d/example", "")
        return caught.value

    failure = asyncio.run(run())
    assert failure.kind is Kind.UNAVAILABLE
    assert failure.detail.startswith("Electrum-NMC cannot be reached: ")


def test_a_cancelled_call_takes_its_connection_with_it() -> None:
    async def run() -> None:
        came, gone = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            came.set()
            await reader.read()
            gone.set()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            client = rpc.Rpc(rpc.Endpoint(server.sockets[0].getsockname()[1], USER, PASSWORD))
            call = asyncio.create_task(client.name_show("d/example", ""))
            await came.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await gone.wait()

    asyncio.run(asyncio.wait_for(run(), 30))


@settings(max_examples=60, deadline=None)
@given(
    st.binary(max_size=200)
    | st.binary(max_size=200).map(lambda tail: HEAD + tail)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner) | st.dictionaries(st.sampled_from(["result", "error", "value", "code", "x"]), inner)
        ),
        max_leaves=8,
    ).map(http)
)
def test_any_answer_has_an_outcome(body: bytes) -> None:
    async def run() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            writer.write(body)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            client = rpc.Rpc(rpc.Endpoint(server.sockets[0].getsockname()[1], USER, PASSWORD))
            try:
                assert isinstance(await client.name_show("d/example", ""), rpc.Registered)
            except NameLookupError as exc:
                assert exc.kind is not Kind.FOUND

    asyncio.run(asyncio.wait_for(run(), 60))


def test_stream_ids_go_as_they_are() -> None:
    async def run() -> list[dict[str, object]]:
        async with Daemon(serving({"d/example": "{}"})) as daemon:
            await rpc.Rpc(rpc.Endpoint(daemon.port, USER, PASSWORD)).name_show("d/example", 'a"b\\\u00e4')
            return daemon.requests

    assert json.loads(json.dumps(asyncio.run(run())))[0]["params"]["stream_id"] == 'a"b\\\u00e4'
