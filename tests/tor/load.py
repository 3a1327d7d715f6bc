"""``load.py SOCKS COUNT AT_ONCE HOST``: so many requests for one host through a SOCKS port; prints how many a second.

The standard library only, in the network itself, so that what is measured is tor and the launcher.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time


async def main(socks: int, count: int, at_once: int, host: str) -> None:
    left = iter(range(count))
    codes: dict[int, int] = {}
    name = host.encode()

    async def work() -> None:
        for _ in left:
            reader, writer = await asyncio.open_connection("127.0.0.1", socks)
            writer.write(b"\5\1\0")
            await reader.readexactly(2)
            writer.write(b"\5\1\0\3" + bytes([len(name)]) + name + b"\0P")
            code = (await reader.readexactly(2))[1]
            codes[code] = codes.get(code, 0) + 1
            writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(at_once)))
    took = time.perf_counter() - begun
    print(json.dumps({"codes": codes, "seconds": took, "per_second": count / took}))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
