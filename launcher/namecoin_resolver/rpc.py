"""Electrum-NMC's JSON-RPC: HTTP with basic authentication, on this machine only.

One connection per request: on loopback that costs well under a millisecond, and a call that is cancelled or times out
takes its connection with it. No proxy, no redirect, no cookie: that, and that it can be cancelled, is why this is not
urllib.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from namecoin_resolver.outcome import Kind, NameLookupError

HOST = "127.0.0.1"
#: A value of 1023 bytes in hexadecimal and all else in an answer take 4 KiB.
MAX_BODY = 64 * 1024
_MAX_HEAD = 16 * 1024
#: Bitcoin's and Electrum-NMC's code for a name that does not resolve.
_NAME_NOT_FOUND = -4
#: The daemon skips a transaction under 18 confirmations for an older one; one "unconfirmed" deeper is our chain's lag.
_DEEPEST_UNCONFIRMED = 18


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the daemon listens on loopback, and what it wants to hear."""

    port: int
    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Registered:
    """What a name holds, and for how many more blocks at least (``None``: the daemon did not say)."""

    value: bytes
    blocks_left: int | None = None


class RpcError(Exception):
    """The daemon answered a call with an error of its own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"RPC error {code}: {message}")
        self.code = code
        self.message = message


class _BadAnswerError(Exception):
    """What came back is no answer; the text says why."""


@dataclass(slots=True)
class Rpc:
    """Calls to one daemon. ``endpoint`` may be set anew when the daemon is; calls under way keep the old one.

    ``limit``: seconds that a call may take in all.
    """

    endpoint: Endpoint
    limit: float = 60.0

    async def call(self, method: str, params: Mapping[str, object] | None = None) -> object:
        """The result of a call with named parameters.

        Raises ``RpcError`` for an error that the daemon gives, ``NameLookupError`` with ``TIMEOUT`` or ``UNAVAILABLE``
        where there is no answer to read.
        """
        request = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params or {})})
        try:
            async with asyncio.timeout(self.limit):
                status, body = await _post(self.endpoint, request.encode())
            return _result(status, body)
        except TimeoutError:
            raise NameLookupError(Kind.TIMEOUT, f"no answer from Electrum-NMC in {self.limit:g} s") from None
        except _BadAnswerError as exc:
            raise NameLookupError(Kind.UNAVAILABLE, f"Electrum-NMC: {exc}") from None
        except OSError as exc:
            why = exc.strerror or type(exc).__name__
            raise NameLookupError(Kind.UNAVAILABLE, f"Electrum-NMC cannot be reached: {why}") from None

    async def name_show(self, identifier: str, stream_id: str) -> Registered:
        """What a name (``d/example``) holds now; raises ``NameLookupError``.

        Named parameters, because the order differs between versions. Hexadecimal, because the daemon's text encodings
        fail for some of what a value can hold, a line break among it.
        """
        params = {"identifier": identifier, "stream_id": stream_id, "value_encoding": "hex"}
        try:
            return shown(identifier, await self.call("name_show", params))
        except RpcError as exc:
            raise failure(exc.code, exc.message) from None


def shown(identifier: str, result: object) -> Registered:
    """``name_show``'s result; raises ``NameLookupError``.

    nc4.0.6 gives an error for an expired name; Namecoin Core's ``expired`` is read, too. Semi-expired names, which may
    soon be somebody else's, count as expired, as they do for the daemon.
    """
    if not isinstance(result, dict) or not isinstance(result.get("value"), str):
        raise NameLookupError(Kind.UNAVAILABLE, "Electrum-NMC: an answer without a value")
    if result.get("name_encoding", "ascii") == "ascii" and result.get("name", identifier) != identifier:
        raise NameLookupError(Kind.UNAVAILABLE, "Electrum-NMC: an answer for another name")
    counts = [result.get(key) for key in ("expires_in", "semi_expires_in")]
    blocks = min((count for count in counts if type(count) is int), default=None)
    if result.get("expired") is True or result.get("semi_expired") is True or (blocks is not None and blocks <= 0):
        raise NameLookupError(Kind.EXPIRED)
    text: str = result["value"]
    if result.get("value_encoding") != "hex":
        # Half a surrogate pair passes here and fails as UTF-8 where the value is read.
        return Registered(text.encode(errors="surrogatepass"), blocks)
    try:
        return Registered(bytes.fromhex(text), blocks)
    except ValueError:
        raise NameLookupError(Kind.UNAVAILABLE, "Electrum-NMC: a value that is not hexadecimal") from None


def failure(code: int, message: str) -> NameLookupError:
    """What an error of ``name_show`` means.

    The daemon has code -4 for a name that does not resolve and 1 for all else; beyond that its messages tell cases
    apart (``commands.py``, ``verifier.py`` and ``network.py`` of nc4.0.6).
    """
    detail = _printable(message)
    if code == _NAME_NOT_FOUND:
        heights = [int(height) for height in re.findall(r"height (-?\d{1,9})\b", message)]
        if "expired" in message:
            # A transaction in the mempool has height 0 or -1, and counts as long expired there.
            if heights and heights[0] <= 0:
                return NameLookupError(Kind.NOT_REGISTERED, "its registration is not confirmed yet")
            return NameLookupError(Kind.EXPIRED, detail)
        if "unconfirmed" in message:
            if len(heights) == 2 and heights[0] - heights[1] > _DEEPEST_UNCONFIRMED:
                return NameLookupError(Kind.NOT_SYNCHRONISED, detail)
            return NameLookupError(Kind.NOT_REGISTERED, "its registration is not confirmed yet")
        return NameLookupError(Kind.NOT_REGISTERED, detail)
    if "still syncing" in message or "missing header" in message:
        return NameLookupError(Kind.NOT_SYNCHRONISED, detail)
    return NameLookupError(Kind.UNAVAILABLE, f"Electrum-NMC: {detail}")


def _result(status: int, body: bytes) -> object:
    """A response's result; raises ``RpcError`` or ``_BadAnswerError``."""
    if status in (401, 403):
        raise _BadAnswerError("it refuses the RPC credentials")
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        # Also bytes that are no text.
        answer = None
    if not isinstance(answer, dict):
        raise _BadAnswerError(f"HTTP status {status} without a JSON object")
    error = answer.get("error")
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
        raise RpcError(code if isinstance(code, int) else 0, message if isinstance(message, str) else "")
    if error is not None or status != 200 or "result" not in answer:
        raise _BadAnswerError(f"HTTP status {status} with neither result nor error")
    return answer["result"]


async def _post(endpoint: Endpoint, body: bytes) -> tuple[int, bytes]:
    """One HTTP request: the response's status and body. Raises ``OSError``, ``_BadAnswerError``."""
    credentials = base64.b64encode(f"{endpoint.user}:{endpoint.password}".encode()).decode()
    head = (
        f"POST / HTTP/1.1\r\nHost: {HOST}:{endpoint.port}\r\nAuthorization: Basic {credentials}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection(HOST, endpoint.port, limit=_MAX_HEAD)
    try:
        writer.write(head.encode() + body)
        # Not drained: it is small, and a server may answer and close before it has read it all.
        response = await _read_response(reader)
    except asyncio.IncompleteReadError:
        raise _BadAnswerError("it closed the connection before it had answered") from None
    except (asyncio.LimitOverrunError, ValueError):
        raise _BadAnswerError("its answer is no HTTP") from None
    finally:
        # Nothing of a request that failed is worth sending on, nothing of one answered is left to send.
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return response


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body, in any of HTTP/1.1's three framings; ``ValueError`` for what is no HTTP."""
    status_line, *fields = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    match = re.fullmatch(r"HTTP/1\.[01] (\d{3})(?: .*)?", status_line)
    if match is None:
        raise ValueError(status_line)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in fields)}
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise ValueError("transfer-encoding")
        body = await _read_chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(_length(headers["content-length"], 10))
    else:
        body = b""
        while part := await reader.read(MAX_BODY):
            body += part
            _within(len(body))
    return int(match[1]), body


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := _length((await reader.readuntil(b"\r\n")).decode("latin-1").partition(";")[0].strip(), 16):
        _within(len(body) + size)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise ValueError("chunk")
    return body


def _length(text: str, base: int) -> int:
    if re.fullmatch(r"[0-9A-Fa-f]{1,9}", text) is None:
        raise ValueError("length")
    return _within(int(text, base))


def _within(length: int) -> int:
    if length > MAX_BODY:
        raise _BadAnswerError(f"an answer of more than {MAX_BODY} bytes")
    return length


def _printable(text: str) -> str:
    """What another program wrote, as one short line."""
    return "".join(char if char.isprintable() else " " for char in text[:300])
