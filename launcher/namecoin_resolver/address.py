"""Where tor's control port is, by the environment; apart from ``torport``, which takes its time to import."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from namecoin_resolver.errors import SettingsError

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = "9151"


@dataclass(frozen=True, slots=True)
class Address:
    """Where the control port is, and what opens it: ``password``, or ``cookie`` (a file), or what tor itself says."""

    host: str = DEFAULT_HOST
    port: int = int(DEFAULT_PORT)
    password: str | None = field(default=None, repr=False)
    cookie: str | None = None

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def from_environment(environ: Mapping[str, str]) -> Address:
    """By Tor Browser's variables TOR_CONTROL_HOST, _PORT, _PASSWD, _COOKIE_AUTH_FILE; raises ``SettingsError``."""
    port = environ.get("TOR_CONTROL_PORT") or DEFAULT_PORT
    if re.fullmatch(r"[0-9]{1,5}", port) is None or not 1 <= int(port) <= 65535:
        raise SettingsError(f"TOR_CONTROL_PORT: expected a number from 1 to 65535, found {port[:40]}")
    return Address(
        environ.get("TOR_CONTROL_HOST") or DEFAULT_HOST,
        int(port),
        environ.get("TOR_CONTROL_PASSWD") or None,
        environ.get("TOR_CONTROL_COOKIE_AUTH_FILE") or None,
    )
