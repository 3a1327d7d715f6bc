"""``Start Tor Browser with Namecoin.exe``: the browser, started with the arguments it gets, with .bit names."""

from __future__ import annotations

import sys

from namecoin_launcher import lean


def main(arguments: list[str]) -> int:
    """Run the program; the browser's exit code, or 2 if there is no browser to start."""
    lean.without_openssl()
    # Late, for what it imports.
    from namecoin_launcher import browser

    return browser.main(arguments)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
