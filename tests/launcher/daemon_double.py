"""A stand-in for ``namecoin_launcher.daemon``, as a program: the same on stdin and stdout, and RPC for one name.

Its argument is a folder. ``plan`` there is a JSON list: how each start goes, the last for all that follow:

``serve``   answer; ``d/example`` leads to an onion service, ``d/slow`` nowhere, others are not registered
``shy``     the same, but refuse the first two calls of ``unpausenetwork``
``deaf``    the same, and do not end with stdin
``error``   say that it cannot start
``end``     end at once
``mute``    say nothing

What happens is a line of JSON each in ``events`` there.
"""

from __future__ import annotations

import base64
import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Double:
    """The folder, for both sides."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()

    def plan(self, *ways: str, target: str = "") -> list[str]:
        """Say how starts go and where ``d/example`` leads; what to run."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / "plan").write_text(json.dumps(ways))
        (self.folder / "value").write_text(json.dumps({"map": {"_tor": {"txt": target}}}))
        return [sys.executable, "-I", __file__, str(self.folder)]

    def count(self, event: str) -> int:
        return len(self.of(event))

    def of(self, event: str) -> list[dict[str, Any]]:
        return [entry for entry in self.events() if entry["event"] == event]

    def how(self) -> str:
        plan = json.loads((self.folder / "plan").read_text())
        return str(plan[min(self.count("start"), len(plan) - 1)])

    def events(self) -> list[dict[str, Any]]:
        file = self.folder / "events"
        # A line may be on its way.
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def note(self, event: str, **more: object) -> None:
        line = json.dumps({"event": event, "pid": os.getpid(), "time": time.monotonic(), **more}) + "\n"
        with self._lock, (self.folder / "events").open("a") as file:
            file.write(line)


def main() -> None:
    files = Double(Path(sys.argv[1]))
    how = files.how()
    told = json.loads(sys.stdin.buffer.readline())
    files.note("start", told=told, environ=dict(os.environ), argv=sys.argv)
    if how == "end":
        return
    if how == "error":
        print(json.dumps({"error": "no way"}), flush=True)
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(files, told, refuse=2 if how == "shy" else 0))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    if how != "mute":
        print(json.dumps({"port": server.server_port}), flush=True)
    while os.read(0, 100) or how == "deaf":
        if how == "deaf":
            time.sleep(0.1)
    files.note("end")
    os._exit(0)


def handler(files: Double, told: dict[str, Any], refuse: int) -> type[BaseHTTPRequestHandler]:
    login = base64.b64encode(f"{told['user']}:{told['password']}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        refused = 0

        def do_POST(self) -> None:  # http.server's name
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.headers["Authorization"] != f"Basic {login}":
                self.send_error(403)
                return
            method = request["method"]
            files.note(method, params=request["params"])
            answer: dict[str, object] = {"result": None}
            if method == "unpausenetwork" and Handler.refused < refuse:
                Handler.refused += 1
                answer = {"error": {"code": 1, "message": "not now"}}
            elif method == "name_show":
                answer = self.shown(request["params"]["identifier"])
            body = json.dumps({"id": request["id"], **answer}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def shown(self, identifier: str) -> dict[str, object]:
            if identifier == "d/slow":
                threading.Event().wait()
            if identifier != "d/example":
                return {"error": {"code": -4, "message": "Name purportedly never existed"}}
            return {
                "result": {
                    "value": (files.folder / "value").read_bytes().hex(),
                    "value_encoding": "hex",
                    "expires_in": 30000,
                }
            }

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


if __name__ == "__main__":
    main()
