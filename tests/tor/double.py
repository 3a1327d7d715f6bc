"""A stand-in for Electrum-NMC: the daemon's way of being started, and JSON-RPC with a few names. Standard library only.

``double.py FILE``: FILE is JSON: ``values`` (identifier to value), ``journal`` (a file: one line of JSON for each call),
``slow`` (identifiers that never get an answer). Until it is unpaused it is "still syncing"; it then connects once
through its proxy to ``server``, as the real one does.
"""

from __future__ import annotations

import base64
import http.server
import json
import os
import socket
import sys
import threading
from pathlib import Path
from typing import Any


def main() -> None:
    told = json.loads(sys.stdin.readline())
    about = json.loads(Path(sys.argv[1]).read_text())
    login = "Basic " + base64.b64encode(f"{told['user']}:{told['password']}".encode()).decode()
    paused = [told["paused"]]
    # Nothing happens to a daemon that is stopped for an answer that it does not give.
    never = threading.Event()

    def note(**entry: object) -> None:
        with open(about["journal"], "a") as journal:
            journal.write(json.dumps({"pid": os.getpid(), **entry}) + "\n")

    def connect() -> None:
        host, port = told["proxy"].split(":")[1:3]
        name, service = about["server"].split(":")
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(b"\5\1\2")
            connection.recv(2)
            connection.sendall(b"\1\6double\1x")
            connection.recv(2)
            connection.sendall(b"\5\1\0\3" + bytes([len(name)]) + name.encode() + int(service).to_bytes(2, "big"))
            connection.recv(10)
            never.wait()

    def answer(method: str, params: dict[str, Any]) -> dict[str, object]:
        if method == "unpausenetwork":
            paused[0] = False
            threading.Thread(target=connect, daemon=True).start()
            return {"result": True}
        if method != "name_show":
            return {"error": {"code": -32601, "message": "no such method"}}
        name = params["identifier"]
        note(name=name, stream_id=params["stream_id"])
        if paused[0]:
            return {"error": {"code": 1, "message": "still syncing"}}
        if name in about["slow"]:
            never.wait()
        if name not in about["values"]:
            return {"error": {"code": -4, "message": "name never existed"}}
        value = about["values"][name].encode().hex()
        return {"result": {"name": name, "value": value, "value_encoding": "hex", "expires_in": 1000}}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            allowed = self.headers.get("Authorization") == login
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps({"id": asked["id"], **answer(asked["method"], asked["params"])}).encode()
            self.send_response(200 if allowed else 401)
            self.send_header("Content-Length", str(len(body) if allowed else 0))
            self.end_headers()
            if allowed:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.daemon_threads = True
    threading.Thread(target=served.serve_forever, daemon=True).start()
    if not paused[0]:
        threading.Thread(target=connect, daemon=True).start()
    print(json.dumps({"port": served.server_address[1]}), flush=True)
    while sys.stdin.readline():
        pass
    os._exit(0)


if __name__ == "__main__":
    main()
