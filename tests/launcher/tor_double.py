"""A stand-in for tor's control port, as far as a controller of streams sees it; replies are those of tor 0.4.9."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

OPTION = "__LeaveStreamsUnattached"
ISOLATION = "ISO_FIELDS=SOCKS_USERNAME,SOCKS_PASSWORD,CLIENTADDR,SESSION_GROUP,NYM_EPOCH"
_SERVER = b"Tor safe cookie authentication server-to-controller hash"
_CLIENT = b"Tor safe cookie authentication controller-to-server hash"


@dataclass
class Stream:
    """A stream: ``waiting`` for a controller, ``attached`` (tor does the rest), or ``closed`` with a reason."""

    id: int
    target: str
    fields: str
    status: str = "NEW"
    state: str = "waiting"
    reason: int = 0
    born: float = field(default_factory=time.perf_counter)
    #: Seconds until somebody dealt with it.
    took: float = 0.0

    def settle(self, state: str, reason: int = 0) -> None:
        self.state, self.reason, self.took = state, reason, time.perf_counter() - self.born


class Client:
    """A control connection: what it may and what it wants to hear."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.authenticated = False
        self.events: list[str] = []
        self.nonces = b""

    def say(self, *lines: str) -> None:
        self.writer.write("".join(f"{line}\r\n" for line in lines).encode())


@dataclass
class Tor:
    """One tor. ``cookie`` is its file's path; ``password``, where set, is the only way in."""

    cookie: Path
    password: str | None = None
    version: str = "0.4.9.11"
    progress: int = 100
    port: int = 0
    leave: bool = False
    streams: dict[int, Stream] = field(default_factory=dict)
    clients: list[Client] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    #: Bytes of commands that only acknowledge.
    filled: int = 0
    #: For tests: a reply to give instead of doing something, if it returns one.
    hook: Callable[[str], str | None] = lambda command: None
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def __aenter__(self) -> Tor:
        self.cookie.write_bytes(os.urandom(32))
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.die()
        # What was accepted last begins to be served a turn or two of the loop later; then a client's end has to be seen.
        for _ in range(5):
            await asyncio.sleep(0)
        while self._serving:
            # Also on those who came while it died.
            for client in self.clients:
                client.writer.close()
            await asyncio.wait(self._serving, timeout=0.05)

    def die(self) -> None:
        """Stop listening and hang up on everybody."""
        assert self._server is not None
        self._server.close()
        for client in self.clients:
            client.writer.close()

    def open(
        self,
        target: str,
        fields: str = f"SESSION_GROUP=-4 NYM_EPOCH=0 {ISOLATION}",
        source: str = "127.0.0.1",
        told: bool = True,
    ) -> Stream:
        """A stream comes in; with ``told`` unset, its events do not come in time."""
        stream = Stream(len(self.streams) + 1, target, fields)
        self.streams[stream.id] = stream
        if told:
            source = f"SOURCE_ADDR={source}:40000 PURPOSE=USER"
            self.tell("STREAM", f"{stream.id} NEW 0 {target} {source} {fields}")
        if told and self.leave:
            self.tell("STREAM", f"{stream.id} CONTROLLER_WAIT 0 {target} {fields}")
        if not self.leave:
            stream.settle("attached")
        return stream

    def end(self, stream: Stream) -> None:
        """The client gives a stream up."""
        stream.settle("closed")
        self.tell("STREAM", f"{stream.id} CLOSED 0 {stream.target} REASON=DONE {stream.fields}")

    def detach(self, stream: Stream) -> None:
        """A circuit has failed a stream."""
        stream.state = "waiting"
        self.tell("STREAM", f"{stream.id} DETACHED 7 {stream.target} REASON=TIMEOUT {stream.fields}")

    def configure(self, leave: bool) -> None:
        """The option gets a value, from whomever."""
        if leave != self.leave:
            self.leave = leave
            for client in self.clients:
                if "CONF_CHANGED" in client.events:
                    client.say("650-CONF_CHANGED", f"650-{OPTION}={leave:d}", "650 OK")

    def tell(self, event: str, text: str) -> None:
        for client in self.clients:
            if event in client.events:
                client.say(f"650 {event} {text}")

    async def settled(self, *streams: Stream) -> None:
        """Wait until none of the streams waits."""
        while any(stream.state == "waiting" for stream in streams):
            await asyncio.sleep(0.005)

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await asyncio.sleep(0.005)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        client = Client(writer)
        self.clients.append(client)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                command = (await reader.readuntil(b"\r\n")).decode().rstrip("\r\n")
                words = command.split(" ")
                if not client.authenticated and words[0] not in ("PROTOCOLINFO", "AUTHENTICATE", "AUTHCHALLENGE"):
                    client.say("514 Authentication required.")
                    break
                if command.startswith("+"):
                    self.filled += (await reader.readuntil(b"\r\n.\r\n")).count(b"#")
                    client.say("250 OK")
                    continue
                if client.authenticated:
                    self.commands.append(command)
                reply = self.hook(command)
                if reply is not None:
                    client.say(*reply.split("\n"))
                    continue
                getattr(self, f"_{words[0].lower()}")(client, words[1:])
                if words[0] == "AUTHENTICATE" and not client.authenticated:
                    break
        self.clients.remove(client)
        writer.close()

    def _protocolinfo(self, client: Client, words: list[str]) -> None:
        auth = "METHODS=HASHEDPASSWORD"
        if self.password is None:
            auth = f'METHODS=COOKIE,SAFECOOKIE COOKIEFILE="{self.cookie}"'
        client.say("250-PROTOCOLINFO 1", f"250-AUTH {auth}", f'250-VERSION Tor="{self.version}"', "250 OK")

    def _authchallenge(self, client: Client, words: list[str]) -> None:
        server = os.urandom(32)
        client.nonces = self.cookie.read_bytes() + bytes.fromhex(words[1]) + server
        digest = hmac.new(_SERVER, client.nonces, hashlib.sha256).hexdigest().upper()
        client.say(f"250 AUTHCHALLENGE SERVERHASH={digest} SERVERNONCE={server.hex().upper()}")

    def _authenticate(self, client: Client, words: list[str]) -> None:
        given = " ".join(words)
        if self.password is None:
            expected = hmac.new(_CLIENT, client.nonces, hashlib.sha256).hexdigest()
            client.authenticated = bool(client.nonces) and given.lower() == expected
        elif given.startswith('"'):
            client.authenticated = re.sub(r"\\(.)", r"\1", given[1:-1]) == self.password
        else:
            client.authenticated = bytes.fromhex(given) == self.password.encode()
        client.say("250 OK" if client.authenticated else "515 Authentication failed")

    def _setevents(self, client: Client, words: list[str]) -> None:
        client.events = words
        client.say("250 OK")

    def _setconf(self, client: Client, words: list[str]) -> None:
        name, _, value = words[0].partition("=")
        assert name == OPTION
        if value == "1":
            listening = any("STREAM" in other.events for other in self.clients)
            assert listening, "the option is set before anybody listens"
        self.configure(value == "1")
        client.say("250 OK")

    def _getconf(self, client: Client, words: list[str]) -> None:
        client.say(f"250 {OPTION}={self.leave:d}")

    def _getinfo(self, client: Client, words: list[str]) -> None:
        if words[0] == "version":
            client.say(f"250-version={self.version}", "250 OK")
        elif words[0] == "status/bootstrap-phase":
            client.say(f"250-{words[0]}=NOTICE BOOTSTRAP PROGRESS={self.progress} TAG=x", "250 OK")
        else:
            lines = [f"{s.id} {s.status} 0 {s.target}" for s in self.streams.values() if s.state != "closed"]
            if len(lines) > 1:
                client.say("250+stream-status=", *lines, ".", "250 OK")
            else:
                client.say("250-stream-status=" + "".join(lines), "250 OK")

    def _stream(self, client: Client, words: list[str]) -> Stream | None:
        stream = self.streams.get(int(words[0]))
        if stream is None or stream.state == "closed":
            client.say(f'552 Unknown stream "{words[0]}"')
            return None
        return stream

    def _redirectstream(self, client: Client, words: list[str]) -> None:
        if stream := self._stream(client, words):
            stream.target = f"{words[1]}:{stream.target.rpartition(':')[2]}"
            client.say("250 OK")

    def _attachstream(self, client: Client, words: list[str]) -> None:
        if not (stream := self._stream(client, words)):
            return
        assert words[1] == "0"
        if stream.state == "waiting":
            stream.settle("attached")
            client.say("250 OK")
        else:
            client.say("555 Connection is not managed by controller.")

    def _closestream(self, client: Client, words: list[str]) -> None:
        if stream := self._stream(client, words):
            stream.settle("closed", int(words[1]))
            client.say("250 OK")
            for status in ("FAILED", "CLOSED"):
                self.tell("STREAM", f"{stream.id} {status} 0 {stream.target} REASON={words[1]} {stream.fields}")
