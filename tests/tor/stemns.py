"""``stemns.py APP DOUBLE ABOUT STEMNS``: StemNS in the folder STEMNS with the resolver in APP for its plugin.

The resolver's daemon is a double (double.py). All of it ends with this process: StemNS takes its place, and the pipes
that it holds are what the others wait on. The control port is TOR_CONTROL_PORT's.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

#: StemNS reads its configuration from files like these; its own examples have the same functions.
_CONFIG = """
import os, sys

def tor_control_port():
    return {port}

def bootstrap_callback():
    pass

def exit_callback():
    os._exit(0)

service_to_command = {{"bit": [sys.executable, "-B", "-m", "namecoin_resolver", "--prop279"]}}
"""


def main() -> None:
    app, double, about, stemns = sys.argv[1:]
    user, password = "user", secrets.token_hex(16)
    daemon = subprocess.Popen(
        [sys.executable, "-I", "-B", double, about], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert daemon.stdin is not None
    assert daemon.stdout is not None
    proxy = f"socks5:127.0.0.1:{os.environ['TOR_SOCKS_PORT']}"
    daemon.stdin.write(json.dumps({"user": user, "password": password, "paused": False, "proxy": proxy}) + "\n")
    daemon.stdin.flush()
    port = json.loads(daemon.stdout.readline())["port"]
    # Kept open across exec, so that the daemon ends with StemNS.
    os.set_inheritable(daemon.stdin.fileno(), True)
    config = Path(stemns, "config/test.py")
    config.write_text(_CONFIG.format(port=int(os.environ["TOR_CONTROL_PORT"])))
    env = {
        **os.environ,
        "PYTHONPATH": app,
        "PYTHONUNBUFFERED": "1",
        "NAMECOIN_RPC_PORT": str(port),
        "NAMECOIN_RPC_USER": user,
        "NAMECOIN_RPC_PASSWORD": password,
    }
    os.execve(sys.executable, [sys.executable, "-B", str(Path(stemns, "stemns.py"))], env)


if __name__ == "__main__":
    main()
