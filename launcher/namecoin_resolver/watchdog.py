"""What sets tor free when the controller is gone: a process of its own, run as a file.

It holds a connection to tor that the controller has authenticated, and a pipe from the controller. While the pipe is
open it does nothing. Should it close without the word ``done``, the controller was killed: streams are no longer left
unattached, those that wait go on, those for .bit, which nobody can answer any more and an exit must not see, end.

Small, because it stands by all the time: nothing but the standard library, and little of that. It needs no secret:
the socket is inherited, or on Windows duplicated.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import BinaryIO

READY, DONE = b"ready\n", b"done\n"
OPTION = "__LeaveStreamsUnattached"
#: Seconds that tor may take for an answer.
_LIMIT = 10.0
_WAITING = re.compile(r"(\S+) (?:NEW|NEWRESOLVE|CONTROLLER_WAIT) \S+ (\S+)")
_BIT = re.compile(r"\.bit(\.onion)?\.?:\d+\Z", re.IGNORECASE)
#: CLOSESTREAM's RESOLVEFAILED.
_RESOLVE_FAILED = 2


def main() -> int:
    """Stand by; 0 when told that all is done, or when tor is gone, 1 after it had to act."""
    # Keyboards and kill reach whole groups; the end of the pipe is what counts here.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    controller = sys.stdin.buffer
    tor = _take(controller.readline())
    tor.settimeout(_LIMIT)
    replies = tor.makefile("rb")
    # The connection is good, and the controller may set the option.
    ask(tor, replies, f"GETCONF {OPTION}")
    with contextlib.suppress(OSError):
        # A controller that has just been killed reads nothing.
        os.write(1, READY)
    tor.settimeout(None)
    threading.Thread(target=_end_with, args=(tor,), daemon=True).start()
    if controller.readline() == DONE:
        return 0
    tor.settimeout(_LIMIT)
    rescue(tor, replies)
    return 1


def rescue(tor: socket.socket, replies: BinaryIO) -> None:
    """Take the option back, then deal with the streams that wait. Raises ``OSError`` if tor is gone."""
    ask(tor, replies, f"SETCONF {OPTION}=0")
    for line in ask(tor, replies, "GETINFO stream-status"):
        match = _WAITING.match(line.removeprefix("stream-status="))
        if match is None:
            continue
        stream, target = match.groups()
        # Refused for streams that are gone or already attached, which is as good.
        refuse = _BIT.search(target) is not None
        ask(tor, replies, f"CLOSESTREAM {stream} {_RESOLVE_FAILED}" if refuse else f"ATTACHSTREAM {stream} 0")


def ask(tor: socket.socket, replies: BinaryIO, command: str) -> list[str]:
    """Send a command; its reply's lines without codes, whatever tor thinks of it."""
    tor.sendall(f"{command}\r\n".encode("ascii"))
    return list(_reply(replies))


def _reply(replies: BinaryIO) -> Iterator[str]:
    """The lines up to a reply's last one; data lines one by one, without the dot that ends them."""
    data = False
    while True:
        raw = replies.readline()
        if not raw.endswith(b"\n"):
            raise ConnectionResetError("tor closed the connection")
        line = raw.decode("latin-1").rstrip("\r\n")
        if data:
            data = line != "."
            if data:
                yield line.removeprefix(".")
            continue
        yield line[4:]
        data = line[3:4] == "+"
        if line[3:4] == " ":
            return


def _take(line: bytes) -> socket.socket:
    """The socket that the controller's first line gives: ``fd <number>``, or ``share <hexadecimal>`` on Windows."""
    kind, _, value = line.decode("ascii").strip().partition(" ")
    if sys.platform == "win32" and kind == "share":
        return socket.fromshare(bytes.fromhex(value))
    return socket.socket(fileno=int(value))


def _end_with(tor: socket.socket) -> None:
    """End the process when tor closes the connection: the controller will notice, and see what to do."""
    try:
        # No event is asked for: the first byte to come belongs to an answer, and the main thread reads it.
        alive = bool(tor.recv(1, socket.MSG_PEEK))
    except TimeoutError:
        return
    except OSError:
        alive = False
    if not alive:
        os._exit(0)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except (OSError, ValueError):
        # Tor is gone, or nothing usable was handed over.
        raise SystemExit(2) from None
