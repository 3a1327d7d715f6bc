"""What the launcher is told: by Tor Browser's environment variables, and by ``launcher.json`` in the data folder.

The file is optional, holds no secrets, and is a JSON object with any of these keys:

``chain``            "mainnet" (unless given), "testnet" or "regtest"
``server``           an Electrum server that is tried first, "HOST:PORT:s" with TLS or "HOST:PORT:t" without
``oneserver``        true: no other server than that. Names are then asked for over one connection, so that the server
                     can tell that the same person looked them up
``allow_ip``         true: names may lead to IP addresses and host names, too, not to onion services only
``daemon_timeout``   seconds that Electrum-NMC may take to start (60)
``lookup_timeout``   seconds that a look-up may take (60, at most 100)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from namecoin_resolver.errors import SettingsError

CHAINS = ("mainnet", "testnet", "regtest")
_SERVER = re.compile(r"[A-Za-z0-9.\-]{1,255}:[0-9]{1,5}:[st]")
_HOST = re.compile(r"[A-Za-z0-9.\-]{1,255}")
DEFAULT_SOCKS = ("127.0.0.1", "9150")


@dataclass(frozen=True, slots=True)
class Settings:
    """``launcher.json``'s content; see the module's text."""

    chain: str = "mainnet"
    server: str | None = None
    oneserver: bool = False
    allow_ip: bool = False
    daemon_timeout: float = 60.0
    lookup_timeout: float = 60.0


def _is_seconds(most: int) -> Callable[[object], bool]:
    return lambda value: type(value) in (int, float) and 0 < float(str(value)) <= most


_KEYS: Mapping[str, tuple[str, Callable[[object], bool]]] = {
    "chain": (f"one of {', '.join(CHAINS)}", lambda value: value in CHAINS),
    "server": (
        'a string such as "example.org:50002:s"',
        lambda value: isinstance(value, str) and _SERVER.fullmatch(value) is not None,
    ),
    "oneserver": ("true or false", lambda value: isinstance(value, bool)),
    "allow_ip": ("true or false", lambda value: isinstance(value, bool)),
    "daemon_timeout": ("a number of seconds, at most 600", _is_seconds(600)),
    "lookup_timeout": ("a number of seconds, at most 100", _is_seconds(100)),
}


def read(path: Path) -> Settings:
    """The settings in a file; the usual ones where there is none. Raises ``SettingsError``."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return Settings()
    except OSError as exc:
        raise SettingsError(f"{path.name}: cannot be read: {exc.strerror}") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SettingsError(f"{path.name}: expected a JSON object")
    for key, value in content.items():
        if key not in _KEYS:
            raise SettingsError(f"{path.name}: {key[:40]}: expected one of {', '.join(_KEYS)}")
        expected, good = _KEYS[key]
        if not good(value):
            raise SettingsError(f"{path.name}: {key}: expected {expected}, found {json.dumps(value)[:80]}")
    if content.get("oneserver") and "server" not in content:
        raise SettingsError(f"{path.name}: oneserver: expected a server, too")
    return Settings(**content)


def proxy(environ: Mapping[str, str]) -> str:
    """Tor's SOCKS proxy as Electrum writes it, by TOR_SOCKS_HOST and TOR_SOCKS_PORT. Raises ``SettingsError``."""
    if environ.get("TOR_SOCKS_IPC_PATH") and not environ.get("TOR_SOCKS_PORT"):
        raise SettingsError("TOR_SOCKS_IPC_PATH: expected TOR_SOCKS_PORT: only TCP is spoken here")
    host = environ.get("TOR_SOCKS_HOST") or DEFAULT_SOCKS[0]
    port = environ.get("TOR_SOCKS_PORT") or DEFAULT_SOCKS[1]
    if _HOST.fullmatch(host) is None:
        raise SettingsError(f"TOR_SOCKS_HOST: expected a host name or an IPv4 address, found {host[:80]}")
    if re.fullmatch(r"[0-9]{1,5}", port) is None or not 1 <= int(port) <= 65535:
        raise SettingsError(f"TOR_SOCKS_PORT: expected a number from 1 to 65535, found {port[:40]}")
    return f"socks5:{host}:{port}"
