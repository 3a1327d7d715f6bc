"""``timed.py FILE``: ``namecoin.exe`` with a watch on what its daemon takes; run by a bundle's python.

Each look-up appends a line of JSON to FILE: the identifier, and the milliseconds until the daemon's answer.
"""

from __future__ import annotations

import json
import sys
import time


def main() -> int:
    from namecoin_launcher import lean

    lean.without_openssl()
    from namecoin_launcher import program
    from namecoin_launcher.keeper import Keeper

    asked = Keeper.name_show

    async def name_show(self: Keeper, identifier: str, stream_id: str) -> object:
        begun = time.perf_counter()
        try:
            return await asked(self, identifier, stream_id)
        finally:
            took = (time.perf_counter() - begun) * 1000
            with open(sys.argv[1], "a", encoding="utf-8") as file:
                file.write(json.dumps({"name": identifier, "ms": took}) + "\n")

    Keeper.name_show = name_show  # type: ignore[assignment,method-assign]
    return program.main(None)


if __name__ == "__main__":
    raise SystemExit(main())
