"""Electrum-NMC without a wallet, for the supervisor: answers ``name_show`` on loopback, and nothing of the rest.

Run as ``python -I -B -X utf8 -m namecoin_launcher.daemon``. Its first line of stdin is a JSON object with the fields of
``launch.Told``; its one line of stdout is ``{"port": N}`` as soon as it can be asked, or ``{"error": TEXT}``. The
secrets in there are nowhere else: not on the command line, not in the environment, not on disk. It ends when its stdin
closes, which is when its parent has ended, and by the call ``stop``.

Electrum-NMC's own classes do the work, as far as they are needed: its network, and its commands ``name_show`` and
``unpausenetwork``. Its ``Daemon`` would open wallets, follow exchange rates and keep a database of lightning channels.
In its folder it writes blockchain_headers and forks/ (block headers: the same for everybody), recent_servers and certs/
(Electrum servers that it has connected to). It neither reads nor writes a config file there, logs nothing, and keeps
nothing about names.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from namecoin_launcher import lean
from namecoin_launcher.launch import Told

#: RPC errors, numbered as Electrum-NMC's own daemon does it: a name that does not resolve, and all else.
NAME_NOT_FOUND, OTHER = -4, 1


def main() -> int:
    """Run until the end; 1 if it cannot start."""
    told = Told(**json.loads(sys.stdin.buffer.readline()))
    answer = sys.stdout.buffer
    # Whatever prints is not for the parent.
    sys.stdout = None
    warnings.simplefilter("ignore")
    lean.without_its_hashes()
    logging.disable(logging.CRITICAL)

    def say(**said: object) -> None:
        answer.write(json.dumps(said).encode() + b"\n")
        answer.flush()

    try:
        asyncio.run(_serve(told, say))
    except Exception as exc:
        say(error=f"{type(exc).__name__}: {exc}")
        return 1
    return 0


async def _serve(told: Told, say: Callable[..., None]) -> None:
    # Electrum-NMC calls itself ``electrum``, in a folder of its own.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "electrum_nmc"))
    from electrum import constants  # type: ignore[import-not-found]
    from electrum.commands import Commands, NameNotResolvableError  # type: ignore[import-not-found]
    from electrum.network import Network  # type: ignore[import-not-found]
    from electrum.simple_config import SimpleConfig  # type: ignore[import-not-found]

    # Late, because it imports hashlib.
    from namecoin_launcher import jsonrpc_server

    lean.small_tls_buffers()
    loop = asyncio.get_running_loop()
    # What goes wrong in a connection is retried; nobody is there to read of it.
    loop.set_exception_handler(lambda loop, context: None)
    end = asyncio.Event()
    threading.Thread(target=_end_with_parent, args=(loop, end), daemon=True).start()
    if told.chain == "testnet":
        constants.set_testnet()
    elif told.chain == "regtest":
        constants.set_regtest()
    config = SimpleConfig(told.config, read_user_config_function=lambda path: {})
    network = Network(config)
    network.start()

    async def stop() -> bool:
        loop.call_later(0.1, end.set)
        return True

    commands = Commands(config=config, network=network)
    methods = {"name_show": commands.name_show, "unpausenetwork": commands.unpausenetwork, "stop": stop}
    server = jsonrpc_server.Server(
        told.user,
        told.password,
        methods,
        lambda exc: NAME_NOT_FOUND if isinstance(exc, NameNotResolvableError) else OTHER,
    )
    say(port=await server.start())
    await end.wait()
    # Headers are written in this thread, a chunk at a time: none is cut off. Connections need no farewell.
    os._exit(0)


def _end_with_parent(loop: asyncio.AbstractEventLoop, end: asyncio.Event) -> None:
    """Wait for the end of stdin, then end the loop; or the process, should the loop be busy."""
    while _read():
        pass
    loop.call_soon_threadsafe(end.set)
    threading.Event().wait(2.0)
    os._exit(0)


def _read() -> bytes:
    try:
        return os.read(0, 4096)
    except OSError:
        return b""


if __name__ == "__main__":
    raise SystemExit(main())
