"""What sets tor free when the controller is gone: a process of its own, run as a file.

It holds a connection to tor that the controller has authenticated, and a pipe from the controller. While the pipe is
open it does nothing. Should it close without the word ``done``, the controller was killed: streams are no longer left
unattached, those that wait go on, those for .bit, which nobody can answer any more and an exit must not see, end.

Small, because it stands by all the time: nothing but the standard library, and little of that. It needs no secret:
the socket is inherited, or on Windows duplicated.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

# Type checkers take it for true; ``typing`` and what else is left out here would cost a megabyte.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

READY, DONE = b"ready\n", b"done\n"
OPTION = "__LeaveStreamsUnattached"
#: Seconds that tor may take for an answer.
_LIMIT = 10.0
_WAITING = ("NEW", "NEWRESOLVE", "CONTROLLER_WAIT")
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
    try:  # noqa: SIM105 # contextlib is left out
        os.write(1, READY)
    except OSError:
        # A controller that has just been killed reads nothing.
        pass
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
        stream, status, _, target, *_ = [*line.removeprefix("stream-status=").split(" "), "", "", ""]
        if status in _WAITING:
            # Refused for streams that are gone or already attached, which is as good.
            command = f"CLOSESTREAM {stream} {_RESOLVE_FAILED}" if is_bit(target) else f"ATTACHSTREAM {stream} 0"
            ask(tor, replies, command)


def is_bit(target: str) -> bool:
    """Whether a stream's target, ``HOST:PORT``, is for .bit or .bit.onion."""
    host = target.rpartition(":")[0].lower().removesuffix(".").removesuffix(".onion")
    return host.endswith(".bit")


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
