"""``native.py APP DOUBLE ABOUT``: the launcher of the tree whose ``app`` is APP, with a double for a daemon, on this system.

The same as ``namecoin.exe``, which has no other daemon than its own.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    sys.path.insert(0, sys.argv[1])
    if os.environ.get("TOR_ENABLE_NAMECOIN") != "1":
        from namecoin_launcher import __main__ as switched

        return switched.main([])
    from namecoin_launcher import lean

    lean.without_openssl()
    from namecoin_launcher import program

    return program.main(None, [sys.executable, "-I", "-B", *sys.argv[2:4]])


if __name__ == "__main__":
    raise SystemExit(main())
