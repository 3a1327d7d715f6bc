"""Tor's control port: where it is, how to be let in, and commands and events on an event loop.

stem connects, authenticates and cuts the stream into messages. Its ``Controller`` is left aside: closing it joins the
thread that runs callbacks while it holds the lock that a callback needs to send, its event thread polls twenty times a
second, and it sends a command only when the one before it has been answered.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import stem
import stem.connection
import stem.socket
import stem.util.log

from namecoin_resolver.address import Address as Address
from namecoin_resolver.address import from_environment as from_environment

#: Seconds for connecting, and for each answer until we are let in.
_LIMIT = 10.0
_EVENT = "650"
#: Bytes after which a command that acknowledges events ends, and the next begins.
_FILLED = 1000
_QUOTED = re.compile(r'"(?:[^"\\\r\n]|\\[^\r\n])*"')
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")
# It quotes whole messages: sites that somebody visits, and passwords.
stem.util.log.get_logger().disabled = True


class TorError(Exception):
    """Tor's control port cannot be used, or not any longer; the text says why."""


def secret(password: str) -> str:
    """A password as AUTHENTICATE wants it.

    Tor Browser passes TOR_CONTROL_PASSWD on as it is: a string in double quotes, or hexadecimal. So do we; anything
    else is a password without quotes.
    """
    if _QUOTED.fullmatch(password) or _HEX.fullmatch(password):
        return password
    return password.encode().hex()


class Port(stem.socket.ControlSocket):  # type: ignore[misc] # stem has no types
    """stem's socket with a limit for connecting, and its file descriptor within reach."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address
        self.connect()

    def _make_socket(self) -> socket.socket:
        try:
            self.raw = socket.create_connection((self._address.host, self._address.port), _LIMIT)
        except OSError as exc:
            raise stem.SocketError(exc) from exc
        self.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.raw


def open_port(address: Address) -> Port:
    """An authenticated connection. Blocks; raises ``TorError``."""
    try:
        port = Port(address)
    except stem.SocketError as exc:
        raise TorError(f"{address}: tor's control port cannot be reached: {exc}") from None
    try:
        if address.password is not None:
            port.send(f"AUTHENTICATE {secret(address.password)}")
            if not port.recv().is_ok():
                raise TorError(f"{address}: tor refuses TOR_CONTROL_PASSWD")
        elif address.cookie is not None:
            stem.connection.authenticate_safecookie(port, address.cookie, False)
        else:
            stem.connection.authenticate(port)
    except (stem.ControllerError, stem.connection.AuthenticationFailure, OSError, ValueError) as exc:
        # ValueError: a cookie's path that is no UTF-8, for which there is ``Address.cookie``.
        port.close()
        raise TorError(f"{address}: tor does not let us in: {exc}") from None
    except BaseException:
        port.close()
        raise
    port.raw.settimeout(None)
    return port


def detached(port: Port) -> socket.socket:
    """The socket of a connection, to be handed on: closing it does not shut the connection down."""
    raw = socket.socket(fileno=port.raw.detach())
    port.close()
    return raw


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply to a command: the code of its last line, and the lines; data follow in the line that they belong to."""

    code: str
    lines: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return self.code == "250"

    def value(self, key: str) -> str:
        """What GETINFO or GETCONF says for ``key``; empty if it says nothing."""
        return next((line.removeprefix(f"{key}=") for line in self.lines if line.startswith(f"{key}=")), "")


class Connection:
    """An authenticated connection on the running event loop: for commands, or for events, whose lines ``event`` gets.

    A thread reads. Commands are written from the loop, as many as there are before the first is answered: they are a
    few dozen bytes on loopback, far from what a socket buffers.

    Tor sends one small segment and holds the next back until the first is acknowledged (Nagle's algorithm), for which
    a system that has nothing to send takes its time: 40 ms on Linux, up to 200 on Windows, for every stream. So each
    event is answered with one byte of a command that does not end, which tor stores and says nothing to; that is why
    a connection for events takes no commands once ``listen`` has been called.
    """

    def __init__(self, port: Port, event: Callable[[tuple[str, ...]], None] | None = None) -> None:
        self._port = port
        self._event = event
        self._listens = False
        self._filled = 0
        self._loop = asyncio.get_running_loop()
        self._replies: deque[asyncio.Future[Reply] | None] = deque()
        #: Set when the connection has ended, from whichever side.
        self.closed = asyncio.Event()
        self._reader = threading.Thread(target=self._read, name="tor control", daemon=True)
        self._reader.start()

    async def command(self, text: str) -> Reply:
        """Send a command and wait for its reply; raises ``TorError`` if the connection ends before."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self._send(text, future)
        return await future

    async def listen(self, events: str) -> Reply:
        """Ask for events (their names, with spaces between): the last command on this connection."""
        reply = await self.command(f"SETEVENTS {events}")
        self._listens = True
        self._fill()
        return reply

    def post(self, text: str) -> None:
        """Send a command whose reply does not matter; nothing happens on a connection that has ended."""
        with contextlib.suppress(TorError):
            self._send(text, None)

    async def close(self) -> None:
        """End the connection."""
        await asyncio.to_thread(self._port.close)
        await asyncio.to_thread(self._reader.join)
        await self.closed.wait()

    def _send(self, text: str, future: asyncio.Future[Reply] | None) -> None:
        try:
            if self.closed.is_set():
                raise stem.SocketClosed()
            self._port.send(text)
        except stem.ControllerError:
            raise TorError("tor closed the control connection") from None
        self._replies.append(future)

    def _take(self, reply: Reply) -> None:
        if reply.code == _EVENT:
            if self._listens:
                self._fill()
            if self._event is not None:
                self._event(reply.lines)
            return
        future = self._replies.popleft() if self._replies else None
        if future is not None and not future.done():
            future.set_result(reply)

    def _fill(self) -> None:
        """Send a byte of a command that does not end; or nearly: tor limits them to a megabyte."""
        data = b"#" if self._filled else b"+GETINFO\r\n#"
        self._filled += 1
        if self._filled == _FILLED:
            self._filled = 0
            self._replies.append(None)
            data = b"\r\n.\r\n"
        # Its end is the reader's to see.
        with contextlib.suppress(OSError):
            self._port.raw.sendall(data)

    def _end(self) -> None:
        self.closed.set()
        for future in self._replies:
            if future is not None and not future.done():
                future.set_exception(TorError("tor closed the control connection"))
        self._replies.clear()

    def _read(self) -> None:
        # An error on the way is the connection's end: after a message that makes no sense, none does.
        with contextlib.suppress(stem.ControllerError, OSError, ValueError):
            while True:
                content = self._port.recv().content()
                self._tell(self._take, Reply(content[-1][0], tuple(text for _, _, text in content)))
        self._port.close()
        self._tell(self._end)

    def _tell(self, callback: Callable[..., None], *arguments: Reply) -> None:
        # Closed: the process is ending.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, *arguments)
