"""Keeping OpenSSL out of a process that speaks with loopback only: a quarter of the supervisor's memory.

asyncio, hashlib and stem import it for what is not used here. The first two do without, and hashlib has its own hashes;
stem wants a module of that name, but nothing in it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

_modules: dict[str, Any] = sys.modules


def without_openssl() -> None:
    """Let no import from now on load OpenSSL; to be called first of all, in a program's main module."""
    if "ssl" in _modules or "asyncio" in _modules:
        return
    without_its_hashes()
    _modules["ssl"] = None
    import asyncio  # noqa: F401 # it remembers that there is no TLS

    _modules["ssl"] = ModuleType("ssl")


def without_its_hashes() -> None:
    """Let hashlib use its own hashes: its part of OpenSSL is a second copy beside that of ssl."""
    _modules.setdefault("_hashlib", None)
