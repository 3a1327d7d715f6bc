"""Stand-ins for tests: onion addresses, a chain of names, Electrum-NMC's RPC server, StemNS's side of a plugin."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from namecoin_resolver import values
from namecoin_resolver.outcome import Kind, NameLookupError

USER, PASSWORD = "user-of-this-run", "pass:word of this run"


def onion(seed: int) -> str:
    """A version 3 onion address with the right checksum."""
    key = hashlib.sha256(str(seed).encode()).digest()
    checksum = hashlib.sha3_256(b".onion checksum" + key + b"\x03").digest()[:2]
    return base64.b32encode(key + checksum + b"\x03").decode().lower() + ".onion"


@dataclass
class Chain:
    """Names with their values (JSON text or what to make it of) or the reason why they have none; counts look-ups."""

    names: Mapping[str, object]
    asked: list[str] = field(default_factory=list)

    async def lookup(self, identifier: str) -> values.DomainObject:
        self.asked.append(identifier)
        entry = self.names.get(identifier, Kind.NOT_REGISTERED)
        if isinstance(entry, Kind):
            raise NameLookupError(entry)
        return values.parse(entry.encode() if isinstance(entry, str) else json.dumps(entry).encode())


Respond = Callable[[dict[str, object]], Awaitable[bytes]]


def http(body: object, status: str = "200 OK", headers: str = "Content-Type: application/json\r\n") -> bytes:
    """A whole HTTP response with a length."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(text)}\r\n\r\n".encode() + text


def result(entry: object, /, **more: object) -> bytes:
    """``name_show``'s answer as nc4.0.6 gives it; ``entry`` is the text of a value, or its JSON."""
    text = entry if isinstance(entry, str) else json.dumps(entry)
    shown = {"value": text.encode().hex(), "value_encoding": "hex", "expires_in": 30000, "semi_expires_in": 26000}
    return http({"id": 1, "jsonrpc": "2.0", "result": {**shown, "expired": False, **more}})


def error(code: int, message: str, status: str = "200 OK") -> bytes:
    return http({"id": 1, "jsonrpc": "2.0", "error": {"code": code, "message": message}}, status)


@dataclass
class Daemon:
    """Electrum-NMC's RPC server as far as clients see it: ``respond`` makes the bytes for each request.

    Checks method, path and credentials as the daemon does; a connection stays open after an answer, as its do, until
    the client ends it. ``dropped`` counts those that ended before they had one.
    """

    respond: Respond
    requests: list[dict[str, object]] = field(default_factory=list)
    closed: int = 0
    dropped: int = 0
    port: int = 0
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Daemon:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        # What was accepted last begins to be served a turn or two of the loop later; then a client's end has to be seen.
        for _ in range(5):
            await asyncio.sleep(0)
        if self._serving:
            _, waiting = await asyncio.wait(self._serving, timeout=5)
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            # A client that was cancelled while it connected.
            writer.close()
            return
        fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(fields["Content-Length"]))
        assert head.startswith("POST / HTTP/1.1\r\n")
        answer = asyncio.create_task(self._answer(fields.get("Authorization", ""), body))
        ending = asyncio.create_task(reader.read())
        await asyncio.wait((answer, ending), return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            writer.write(answer.result())
        else:
            answer.cancel()
            self.dropped += 1
        with suppress(OSError):
            await ending
        self.closed += 1
        writer.close()

    async def _answer(self, authorization: str, body: bytes) -> bytes:
        if authorization != f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}":
            return http(b"Forbidden", "403 Forbidden", "Content-Type: text/plain\r\n")
        request = json.loads(body)
        self.requests.append(request)
        return await self.respond(request)


def serving(names: Mapping[str, object], delays: Mapping[str, float] | None = None) -> Respond:
    """A daemon's answers out of a chain: values, ``Kind``, or whole responses; some late by seconds."""

    async def respond(request: dict[str, object]) -> bytes:
        params = request["params"]
        assert request["method"] == "name_show" and isinstance(params, dict)
        assert set(params) == {"identifier", "stream_id", "value_encoding"}
        identifier = str(params["identifier"])
        await asyncio.sleep((delays or {}).get(identifier, 0))
        entry = names.get(identifier)
        if entry is None:
            return error(-4, "Name purportedly never existed")
        return entry if isinstance(entry, bytes) else result(entry, name=identifier, name_encoding="ascii")

    return respond


@dataclass
class StemNs:
    """What StemNS v0.3 does with the lines of a plugin: the same reads, so that it fails where StemNS's reader dies.

    ``retry`` is called with the line that StemNS sends again after status 1 or 4, while it still wants to.
    """

    retry: Callable[[str], None]
    still_trying: bool = True
    queries: dict[int, tuple[str, str]] = field(default_factory=dict)
    redirected: dict[int, str] = field(default_factory=dict)
    failed: dict[int, int] = field(default_factory=dict)

    def request(self, query: int, name: str, stream_id: str) -> str:
        self.queries[query] = (name, stream_id)
        return f"RESOLVE {query} {name} {stream_id}\n"

    def line(self, text: str) -> None:
        words = text.split()
        # Dies of a blank line, and of RESOLVED without a number or a status.
        if words[0] != "RESOLVED":
            return
        query, status = int(words[1]), int(words[2])
        if status in (1, 4):
            # Dies of a query that it does not know.
            name, stream_id = self.queries[query]
            if self.still_trying:
                self.retry(f"RESOLVE {query} {name} {stream_id}\n")
                return
        self.queries.pop(query)
        if status == 0:
            # Dies of success without a result.
            self.redirected[query] = words[3]
        else:
            self.failed[query] = status
