"""Doing with less memory: no OpenSSL in a process that speaks with loopback only (a quarter of the supervisor's).

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
    # stem imports these for starting processes, downloads and archives: 2 MB.
    for name in ("mimetypes", "multiprocessing", "tarfile", "urllib.request"):
        _modules.setdefault(name, ModuleType(name))


def without_its_hashes() -> None:
    """Let hashlib use its own hashes: its part of OpenSSL is a second copy beside that of ssl."""
    _modules.setdefault("_hashlib", None)


def small_tls_buffers() -> None:
    """Let asyncio's connections over TLS have buffers of 16 KiB, not 256; those that are to come.

    It reads into ``SSLProtocol.max_size`` bytes, all of which it touches (sslproto.py of 3.11 to 3.13), and has another
    turn for what is more. A TLS record has at most 16 KiB (RFC 8446, 5.1).
    """
    from asyncio import sslproto

    # Unknown to typeshed.
    protocol: Any = sslproto.SSLProtocol
    protocol.max_size = min(protocol.max_size, 16 * 1024)
