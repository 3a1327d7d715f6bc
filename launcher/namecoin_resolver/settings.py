"""What a resolver of its own needs to know, and where it may stand.

First the command line, then ``TOR_NS_PLUGIN_OPTIONS``, then ``NAMECOIN_RPC_*`` in the environment, then a file: the
daemon's own ``config`` will do. The password has no place on the command line, which every user of a machine can
read; an environment is its owner's, and a file that others can read is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from namecoin_resolver.errors import SettingsError as SettingsError
from namecoin_resolver.rpc import Endpoint

DEFAULT_PORT = "8336"
DEFAULT_USER = "user"
DEFAULT_LIMIT = "60"
#: Electrum's names for the first three, so that its config can be read.
KEYS = ("rpcport", "rpcuser", "rpcpassword", "config", "timeout", "allowip")
_ENVIRONMENT = {
    "rpcport": "NAMECOIN_RPC_PORT",
    "rpcuser": "NAMECOIN_RPC_USER",
    "rpcpassword": "NAMECOIN_RPC_PASSWORD",
    "config": "NAMECOIN_RPC_CONFIG",
}
_FROM_FILE = ("rpcport", "rpcuser", "rpcpassword")


@dataclass(frozen=True, slots=True)
class Settings:
    endpoint: Endpoint
    onion_only: bool = True
    #: Seconds for one look-up.
    limit: float = 60.0


def read(arguments: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """The settings out of ``arguments`` (by the names in ``KEYS``), the environment, and the file they name."""
    chosen = {key: environ[name] for key, name in _ENVIRONMENT.items() if environ.get(name)}
    chosen |= plugin_options(environ.get("TOR_NS_PLUGIN_OPTIONS", ""))
    chosen |= arguments
    unknown = sorted(set(chosen) - set(KEYS))
    if unknown:
        raise SettingsError(f"TOR_NS_PLUGIN_OPTIONS: {unknown[0]}: expected one of {', '.join(KEYS)}")
    if "config" in chosen:
        chosen = config_file(Path(chosen["config"])) | chosen
    if not chosen.get("rpcpassword"):
        raise SettingsError("no RPC password: set NAMECOIN_RPC_PASSWORD, or name the daemon's config file")
    allow = chosen.get("allowip", "0")
    if allow not in ("0", "1"):
        raise SettingsError(f"allowip: expected 0 or 1, found {allow}")
    port = _number("rpcport", chosen.get("rpcport", DEFAULT_PORT), 65535)
    endpoint = Endpoint(port, chosen.get("rpcuser", DEFAULT_USER), chosen["rpcpassword"])
    return Settings(endpoint, allow == "0", float(_number("timeout", chosen.get("timeout", DEFAULT_LIMIT), 3600)))


def plugin_options(text: str) -> dict[str, str]:
    """``TOR_NS_PLUGIN_OPTIONS``: ``key=value`` with semicolons between; a backslash keeps what is after it as it is."""
    options = {}
    for entry in re.findall(r"(?:\\.|[^;\\])+", text, re.DOTALL):
        match = re.fullmatch(r"((?:\\.|[^=\\])+)=(.*)", entry, re.DOTALL)
        if match is None:
            raise SettingsError("TOR_NS_PLUGIN_OPTIONS: expected key=value;key=value")
        key, value = (re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in match.groups())
        options[key] = value
    return options


def config_file(path: Path) -> dict[str, str]:
    """The RPC settings in a JSON file such as Electrum-NMC's ``config``."""
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise SettingsError(f"{path}: others can read it, and a password stands there: chmod 600")
        content = json.loads(path.read_bytes())
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from None
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise SettingsError(f"{path}: expected a JSON object")
    return {key: str(content[key]) for key in _FROM_FILE if content.get(key) not in (None, "")}


def supports(versions: str | None) -> bool:
    """Whether ``TOR_NS_PROTO_VERSION`` (a list with commas; may be absent) has the version that we speak."""
    return versions is None or "1" in [version.strip() for version in versions.split(",")]


def _number(key: str, text: str, most: int) -> int:
    if re.fullmatch(r"[0-9]{1,5}", text) is None or not 1 <= int(text) <= most:
        raise SettingsError(f"{key}: expected a number from 1 to {most}, found {text[:40]}")
    return int(text)
