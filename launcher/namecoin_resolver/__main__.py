"""``namecoin-resolver``: Tor's naming plugin, or look-ups by hand."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

from namecoin_resolver import prop279, settings
from namecoin_resolver.outcome import Kind
from namecoin_resolver.resolver import Resolver
from namecoin_resolver.rpc import Rpc

EPILOG = """The RPC password comes from NAMECOIN_RPC_PASSWORD, from rpcpassword in TOR_NS_PLUGIN_OPTIONS, or from the
file of --config. Exit code: 0 done, 1 a name was not found, 2 the settings are wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; its exit code."""
    parser = argparse.ArgumentParser(prog="namecoin-resolver", description="Resolves .bit names.", epilog=EPILOG)
    parser.add_argument("--prop279", action="store_true", help="speak Tor's proposal 279 on stdin and stdout")
    parser.add_argument("--config", metavar="FILE", help="Electrum-NMC's config, for its rpcport, rpcuser, rpcpassword")
    parser.add_argument("--rpcport", metavar="PORT", help=f"Electrum-NMC's port on 127.0.0.1 ({settings.DEFAULT_PORT})")
    parser.add_argument("--rpcuser", metavar="USER", help=f"user for RPC ({settings.DEFAULT_USER})")
    parser.add_argument("--timeout", metavar="SECONDS", help=f"limit for one look-up ({settings.DEFAULT_LIMIT})")
    parser.add_argument("--allowip", action="store_const", const="1", help="IP addresses and host names, too")
    parser.add_argument("name", nargs="*", help="a host to look up now")
    options = vars(parser.parse_args(argv))
    plugin, hosts = options.pop("prop279"), options.pop("name")
    if plugin == bool(hosts):
        parser.error("expected either --prop279 or names")
    try:
        if plugin and not settings.supports(os.environ.get("TOR_NS_PROTO_VERSION")):
            raise settings.SettingsError("TOR_NS_PROTO_VERSION: version 1 is not among them")
        chosen = settings.read({key: text for key, text in options.items() if text is not None}, os.environ)
    except settings.SettingsError as exc:
        if plugin:
            with contextlib.suppress(OSError):
                os.write(1, prop279.refusal(str(exc)))
        print(f"namecoin-resolver: {exc}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_run(chosen, hosts))
    except KeyboardInterrupt:
        return 130


async def _run(chosen: settings.Settings, hosts: Sequence[str]) -> int:
    rpc = Rpc(chosen.endpoint, chosen.limit)
    resolver = Resolver(rpc, onion_only=chosen.onion_only, limit=chosen.limit)
    if not hosts:
        await prop279.serve(resolver)
        return 0
    outcomes = await asyncio.gather(*(resolver.resolve(host, "") for host in hosts))
    for host, outcome in zip(hosts, outcomes, strict=True):
        print(f"{host}: {outcome}".encode("ascii", "backslashreplace").decode())
    return 0 if all(outcome.kind is Kind.FOUND for outcome in outcomes) else 1


if __name__ == "__main__":
    raise SystemExit(main())
