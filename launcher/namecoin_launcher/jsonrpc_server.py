"""JSON-RPC over HTTP on loopback, for one client that knows a password: what ``namecoin_resolver.rpc`` speaks to.

One request for each connection, ``POST /`` with basic authentication and a Content-Length; parameters by position or by
name. A call that goes wrong is answered by an object with an error, what is no such request by a status alone. Who
hangs up ends the call. Other users of the machine can connect: what they may take in memory and time is bounded, and
they cannot shut the client out by opening connections.

Small, because it stands by all the time: aiohttp, which Electrum-NMC has for this, costs 11 MB and a third of a second.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import json
import re
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

HOST = "127.0.0.1"
#: Bytes.
MAX_HEAD, MAX_BODY = 16 * 1024, 64 * 1024
#: Seconds for a request to come, and for its answer to go.
LIMIT = 10.0
#: Connections that have not said the password; one more, and the oldest of them is cut.
MAX_WAITING = 32
#: Calls under way; one more is refused.
MAX_CALLS = 256
#: JSON-RPC 2.0's code for a method that is not there.
NO_METHOD = -32601
_REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    411: "Length Required",
    413: "Content Too Large",
}

Method = Callable[..., Awaitable[object]]


class _RefusedError(Exception):
    """A request that is answered by a status alone."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Call:
    """What a request asks for."""

    id: object
    method: str
    params: dict[str, Any] | list[Any]


class Server:
    """Answers calls of ``methods`` by whoever says ``user`` and ``password``; one per event loop.

    ``code`` is the error code for what a method raises, whose text is the message.
    """

    def __init__(
        self, user: str, password: str, methods: Mapping[str, Method], code: Callable[[Exception], int]
    ) -> None:
        self._token = base64.b64encode(f"{user}:{password}".encode())
        self._methods = dict(methods)
        self._code = code
        self._server: asyncio.Server | None = None
        #: In the order in which they came.
        self._waiting: dict[asyncio.StreamWriter, None] = {}
        self._calls = 0

    async def start(self) -> int:
        """Listen, from now on; the port. Raises ``OSError``."""
        listening = socket.socket()
        try:
            if sys.platform == "win32":
                # Without it, others may bind the same port, and get what was for us.
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            listening.bind((HOST, 0))
            self._server = await asyncio.start_server(self._serve, sock=listening, limit=MAX_HEAD)
        except BaseException:
            listening.close()
            raise
        port: int = listening.getsockname()[1]
        return port

    def close(self) -> None:
        """Listen no more; calls under way go on."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(LIMIT):
                call = await self._request(reader, writer)
            answer = await self._answered(call, reader)
            if answer is not None:
                await _send(reader, writer, 200, answer)
        except _RefusedError as exc:
            with contextlib.suppress(OSError, TimeoutError):
                await _send(reader, writer, exc.status, b"")
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            # Gone, or too slow.
            pass
        finally:
            self._waiting.pop(writer, None)
            # What was answered has gone, or is not read.
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Call:
        """What a request asks for. Raises ``_RefusedError``, and what reading raises."""
        self._waiting[writer] = None
        if len(self._waiting) > MAX_WAITING:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.transport.abort()
        try:
            length = self._checked(await reader.readuntil(b"\r\n\r\n"))
        except asyncio.LimitOverrunError:
            raise _RefusedError(413) from None
        self._waiting.pop(writer, None)
        return _call(await reader.readexactly(length))

    def _checked(self, head: bytes) -> int:
        """The length of the body that belongs to a head; raises ``_RefusedError``."""
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        match = re.fullmatch(r"([A-Z]{1,20}) (\S+) HTTP/1\.[01]", first)
        if match is None:
            raise _RefusedError(400)
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            # Also a line that continues another.
            if not colon or re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is None or name.lower() in fields:
                raise _RefusedError(400)
            fields[name.lower()] = value.strip(" \t")
        scheme, _, token = fields.get("authorization", "").partition(" ")
        if scheme.lower() != "basic":
            raise _RefusedError(401)
        if not hmac.compare_digest(token.strip().encode("latin-1"), self._token):
            raise _RefusedError(403)
        if match[2] != "/":
            raise _RefusedError(404)
        if match[1] != "POST":
            raise _RefusedError(405)
        length = fields.get("content-length")
        if length is None or "transfer-encoding" in fields:
            raise _RefusedError(411)
        if re.fullmatch(r"[0-9]{1,18}", length) is None:
            raise _RefusedError(400)
        if int(length) > MAX_BODY:
            raise _RefusedError(413)
        return int(length)

    async def _answered(self, call: _Call, reader: asyncio.StreamReader) -> bytes | None:
        """The answer to a call; ``None`` if the client hangs up, or says more than its request, before there is one."""
        if self._calls >= MAX_CALLS:
            return _error(call.id, 1, "too many calls at once")
        self._calls += 1
        calling = asyncio.ensure_future(self._result(call))
        hanging_up = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((calling, hanging_up), return_when=asyncio.FIRST_COMPLETED)
            if not calling.done():
                return None
            # A method may also end as cancelled: so do Electrum-NMC's whose connection is lost.
            return _error(call.id, 1, "cancelled") if calling.cancelled() else calling.result()
        finally:
            self._calls -= 1
            for task in (calling, hanging_up):
                task.cancel()
            await asyncio.wait((calling, hanging_up))
            # Whatever it has become: nobody is left to tell.
            _ = hanging_up.cancelled() or hanging_up.exception()
            _ = calling.cancelled() or calling.exception()

    async def _result(self, call: _Call) -> bytes:
        method = self._methods.get(call.method)
        if method is None:
            return _error(call.id, NO_METHOD, f"no such method: {call.method[:80]}")
        try:
            result = await (method(**call.params) if isinstance(call.params, dict) else method(*call.params))
            return json.dumps({"jsonrpc": "2.0", "id": call.id, "result": result}).encode()
        except Exception as exc:
            return _error(call.id, self._code(exc), str(exc))


def _call(body: bytes) -> _Call:
    """What a body asks for; raises ``_RefusedError``."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        # Also bytes that are no text.
        request = None
    if not isinstance(request, dict):
        raise _RefusedError(400)
    identifier, method, params = request.get("id"), request.get("method"), request.get("params", [])
    if not isinstance(method, str) or not isinstance(params, dict | list):
        raise _RefusedError(400)
    if not (identifier is None or isinstance(identifier, str | int | float)):
        raise _RefusedError(400)
    return _Call(identifier, method, params)


def _error(identifier: object, code: int, message: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": identifier, "error": {"code": code, "message": message}}).encode()


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: int, body: bytes) -> None:
    """Send a response, and see it read: to close while something comes in would take it back."""
    kind = "Content-Type: application/json\r\n" if body else ""
    asks = 'WWW-Authenticate: Basic realm="Electrum"\r\n' if status == 401 else ""
    head = (
        f"HTTP/1.1 {status} {_REASONS[status]}\r\n{asks}{kind}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    async with asyncio.timeout(LIMIT):
        writer.write(head.encode() + body)
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        while await reader.read(MAX_BODY):
            pass
