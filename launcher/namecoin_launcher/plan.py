"""What a supervisor has to know, by the environment and ``launcher.json``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from namecoin_resolver import address
from namecoin_resolver.address import Address

from namecoin_launcher import settings
from namecoin_launcher.launch import First
from namecoin_launcher.paths import Paths


@dataclass(frozen=True, slots=True)
class Setup:
    """What a supervisor has to know. ``daemon`` is what runs a daemon, where it is not the usual one;
    ``first`` is the first daemon, where it has been started already.

    ``lent``: tor is not the browser's own, so that the browser's end is the end.
    """

    paths: Paths
    address: Address
    proxy: str
    settings: settings.Settings = field(default_factory=settings.Settings)
    lent: bool = False
    daemon: Sequence[str] | None = None
    first: First | None = None


def setup(paths: Paths, environ: Mapping[str, str]) -> Setup:
    """The setup by environment and ``launcher.json``. Raises ``SettingsError``."""
    return Setup(
        paths,
        address.from_environment(environ),
        settings.proxy(environ),
        settings.read(paths.settings),
        lent=environ.get("TOR_SKIP_LAUNCH") == "1",
    )
