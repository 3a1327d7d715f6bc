"""Starting the daemon: its process, what it is told and what it inherits.

Apart from the ``keeper``, and with few imports: the daemon takes longest to start, so the supervisor starts it before
it imports what it needs itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from namecoin_launcher import paths
from namecoin_launcher.settings import Settings

if TYPE_CHECKING:
    from namecoin_launcher.job import Job


@dataclass(frozen=True, slots=True)
class Told:
    """What the daemon has to know. ``proxy`` is ``socks5:HOST:PORT``; ``server`` and ``chain`` as in ``settings``."""

    folder: str
    proxy: str
    user: str
    password: str = field(repr=False)
    chain: str = "mainnet"
    paused: bool = True
    server: str | None = None
    oneserver: bool = False

    def line(self) -> bytes:
        """As it is handed over."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def config(self) -> dict[str, Any]:
        """The same in Electrum's words, as if it came from the command line."""
        options: dict[str, Any] = {
            "electrum_path": self.folder,
            "forget_config": True,
            "proxy": self.proxy,
            "pause_network": self.paused,
            "oneserver": self.oneserver,
        }
        if self.server is not None:
            options |= {"server": self.server, "auto_connect": False}
        if self.chain != "mainnet":
            options[self.chain] = True
        return options


def command() -> list[str]:
    """What runs a daemon: this interpreter."""
    return [sys.executable, "-I", "-B", "-X", "utf8", "-m", "namecoin_launcher.daemon"]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What of our environment a daemon inherits: no secrets, nothing that leads it past its proxy or logs its keys.

    Electrum-NMC heeds TOR_TRANSPROXY, TOR_SOCKS_IPC_PATH, TOR_SOCKS_HOST and TOR_SOCKS_PORT, over the proxy that it is
    told; OpenSSL loads what a configuration file names.
    """
    unwanted = ("TOR_", "NAMECOIN_", "ELECTRUM", "PYTHON", "SSL", "OPENSSL_")
    return {
        name: text
        for name, text in environ.items()
        if not name.upper().startswith(unwanted) and not name.upper().endswith("_PROXY")
    }


def told(folder: str | os.PathLike[str], proxy: str, settings: Settings, *, paused: bool) -> Told:
    """What a daemon is told, with RPC credentials of its own."""
    return Told(
        folder=os.fspath(folder),
        proxy=proxy,
        user=os.urandom(16).hex(),
        password=os.urandom(32).hex(),
        chain=settings.chain,
        paused=paused,
        server=settings.server,
        oneserver=settings.oneserver,
    )


class Child:
    """A daemon's process that has been told; its stdout is still to be read."""

    def __init__(self, argv: Sequence[str], told: Told) -> None:
        """Start it. Raises ``OSError``."""
        options: dict[str, Any] = {}
        if sys.platform == "win32":
            options["creationflags"] = subprocess.CREATE_NO_WINDOW
        else:
            # Its own session: Ctrl-C is for us, and the daemon ends when we have put things in order.
            options["start_new_session"] = True
        self.told = told
        # Not asyncio's: there is no loop yet.
        self.process = subprocess.Popen(
            argv,
            executable=paths.extended(argv[0]),
            env=environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **options,
        )
        assert self.process.stdin is not None
        # One that has ended already says nothing, which is seen then.
        with contextlib.suppress(OSError):
            self.process.stdin.write(told.line())
            self.process.stdin.flush()

    def close_stdin(self) -> None:
        """Have it end."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def abandon(self) -> None:
        """End it at once, unless it has ended."""
        self.close_stdin()
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()


@dataclass(frozen=True, slots=True)
class First:
    """The daemon that is there before its keeper, and the job that it is in, where one could be had."""

    child: Child
    job: Job | None


def first(argv: Sequence[str] | None, told: Told) -> First | None:
    """Start a daemon; ``None`` if that fails, which the keeper will find, too, and say."""
    try:
        child = Child(argv or command(), told)
    except OSError:
        return None
    # Late: on Windows it takes ctypes.
    from namecoin_launcher.job import Job

    try:
        job = Job()
        job.add(child.process.pid)
    except OSError:
        return First(child, None)
    return First(child, job)
