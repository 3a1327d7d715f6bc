"""Starts programs in a Wine that stays: run by a bundle's python, told by lines of JSON on stdin, answers on stdout.

What a program leaves behind when it ends stays, too, and can be seen: without this, Wine's sandbox would end with it.
``{"spawn": [...], "env": {...}, "cwd": DIR, "log": FILE}`` gives ``{"id": N}``; when that program ends, ``{"ended": N,
"code": C}`` follows.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading

_lock = threading.Lock()


def _say(**said: object) -> None:
    with _lock:
        print(json.dumps(said), flush=True)


def _wait(process: subprocess.Popen[bytes]) -> None:
    _say(ended=process.pid, code=process.wait())


def main() -> None:
    _say(ready=True)
    for line in sys.stdin:
        told = json.loads(line)
        with open(told["log"], "ab") as log:
            process = subprocess.Popen(
                told["spawn"],
                env={**os.environ, **told["env"]},
                cwd=told["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        _say(id=process.pid)
        threading.Thread(target=_wait, args=(process,), daemon=True).start()
    os._exit(0)


if __name__ == "__main__":
    main()
