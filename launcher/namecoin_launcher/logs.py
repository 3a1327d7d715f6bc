"""Logs, which are off unless TOR_VERBOSE_NAMECOIN is set.

1: what the launcher does, on stderr (if there is one) and in namecoin.log in the data folder, begun anew at each start
and limited in size. It never says which names were looked up. 2: the names, too, but on stderr only.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from namecoin_resolver.outcome import Outcome
from namecoin_resolver.resolver import Resolver

LIMIT = 256 * 1024
_FORMAT = "%(asctime)s %(name)s: %(message)s"
_OURS = ("namecoin_launcher", "namecoin_resolver")
_names = logging.getLogger("namecoin_names")


class Bounded(logging.FileHandler):
    """A file that is begun anew, and not written to any more once it holds ``LIMIT`` bytes."""

    def __init__(self, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().__init__(path, mode="w", encoding="utf-8", errors="backslashreplace")
        if os.name == "posix":
            path.chmod(0o600)

    def emit(self, record: logging.LogRecord) -> None:
        if self.stream is not None and self.stream.tell() < LIMIT:
            super().emit(record)


def set_up(environ: Mapping[str, str], log: Path) -> None:
    """Set this process's logging up. Raises nothing: without a log, things go on."""
    logging.raiseExceptions = False
    level = environ.get("TOR_VERBOSE_NAMECOIN") or "0"
    # Others' logs could have names in them: asyncio says which call failed.
    logging.getLogger().addHandler(logging.NullHandler())
    if level not in ("1", "2"):
        return
    handlers: list[logging.Handler] = []
    if sys.stderr is not None:
        handlers.append(logging.StreamHandler(sys.stderr))
        if level == "2":
            _names.addHandler(handlers[0])
            _names.setLevel(logging.INFO)
            _names.propagate = False
    with contextlib.suppress(OSError):
        handlers.append(Bounded(log))
    for handler in handlers:
        handler.setFormatter(logging.Formatter(_FORMAT))
    for name in _OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        for handler in handlers:
            logger.addHandler(handler)


class Said(Resolver):
    """A resolver that says what it did, where that is wanted."""

    async def resolve(self, host: str, stream_id: str) -> Outcome:
        outcome = await super().resolve(host, stream_id)
        if _names.isEnabledFor(logging.INFO):
            _names.info("%r: %r", host, str(outcome))
        return outcome
