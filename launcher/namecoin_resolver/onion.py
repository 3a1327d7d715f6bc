"""Onion addresses."""

from __future__ import annotations

import base64
import hashlib
import re

#: Labels before the service's own are allowed: tor ignores them, and web servers can tell sites apart by them.
_ADDRESS = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*([a-z2-7]{56})\.onion")
_VERSION = 3


def v3(text: str) -> str | None:
    """``text`` in lower case if it is a version 3 onion address whose checksum is right, else ``None``.

    The checksum is rend-spec-v3's: the first two bytes of SHA3-256 over ``.onion checksum``, the key and the version.
    Version 2 addresses are refused: no tor reaches them any more.
    """
    # ASCII first: lower() turns letters such as the Kelvin sign into ASCII ones.
    if not text.isascii() or len(text) > 253:
        return None
    text = text.lower()
    match = _ADDRESS.fullmatch(text)
    if match is None:
        return None
    decoded = base64.b32decode(match[1].upper())
    key, checksum, version = decoded[:32], decoded[32:34], decoded[34:]
    if version[0] != _VERSION or hashlib.sha3_256(b".onion checksum" + key + version).digest()[:2] != checksum:
        return None
    return text
