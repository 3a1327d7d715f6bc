"""``namecoin.exe``: makes .bit names work in the Tor Browser that runs; does nothing unless TOR_ENABLE_NAMECOIN=1."""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> int:
    """Run the program; its exit code: 0 done, switched off, or running already; 1 it fails; 2 wrong settings."""
    if os.environ.get("TOR_ENABLE_NAMECOIN") != "1":
        return 0
    data = None
    # Late: being switched off should cost nothing, and nothing should hold the start up.
    if arguments:
        import argparse

        parser = argparse.ArgumentParser(prog="namecoin", description="Makes .bit names work in a running Tor Browser.")
        parser.add_argument("--data", metavar="DIR", help="folder for state (Browser/TorBrowser/Data/Namecoin)")
        data = parser.parse_args(arguments).data
    from namecoin_launcher import program

    return program.main(data)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
