"""Headless Chromium for tests, in a network namespace of its own with nothing in it; spoken to through a pair of pipes.

``--remote-debugging-pipe``: the DevTools protocol, one JSON message after another with a zero byte behind each, in at
descriptor 3, out at descriptor 4. No port, no driver program, no other library.
"""

from __future__ import annotations

import base64
import json
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--window-size=1500,900", "--remote-debugging-pipe",
)  # fmt: skip
#: The shell makes 3 and 4 of the browser's standard input and output.
_SHELL = ("sh", "-c", 'exec "$@" 3<&0 4>&1 0</dev/null 1>&2', "sh")
_SECONDS = 60.0


def missing() -> str | None:
    """Why the browser cannot be had on this machine, in words; None if it can."""
    if shutil.which("chromium") is None:
        return "no chromium on this machine: apt-get install chromium"
    alone = subprocess.run(["unshare", "--net", "--map-root-user", "true"], capture_output=True, check=False)
    if alone.returncode:
        return f"no network namespace for the browser on this machine: {alone.stderr.decode().strip()}"
    return None


@dataclass
class Page:
    """One page that is open. ``events`` are all that came in so far, as (method, parameters)."""

    process: subprocess.Popen[bytes]
    session: str = ""
    number: int = 0
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    _rest: bytes = b""

    def call(self, method: str, **parameters: Any) -> Any:
        """Send one command and wait for what it gives. Raises RuntimeError when the browser refuses it."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\0")
        self.process.stdin.flush()
        deadline = time.monotonic() + _SECONDS
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append((answer["method"], answer["params"]))

    def wait_for(self, method: str) -> Mapping[str, Any]:
        """Wait for an event that has not come in yet; gives its parameters."""
        deadline = time.monotonic() + _SECONDS
        while True:
            answer = self._receive(deadline)
            self.events.append((answer["method"], answer["params"]))
            if answer["method"] == method:
                return self.events[-1][1]

    def _receive(self, deadline: float) -> dict[str, Any]:
        assert self.process.stdout is not None
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = self.process.stdout.read1(1 << 20) if ready else b""  # type: ignore[attr-defined]
            if not chunk:
                raise RuntimeError("the browser has ended" if ready else "the browser does not answer")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def open(self, url: str) -> None:
        """Go to an address and wait until it is there; an address that differs in its fragment loads nothing."""
        loaded = self.call("Page.navigate", url=url)
        if "loaderId" in loaded:
            self.wait_for("Page.loadEventFired")
        self.settle()

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, which must be one that JSON has. Raises RuntimeError when it throws."""
        given = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in given:
            raise RuntimeError(f"{expression}: {given['exceptionDetails']}")
        return given["result"].get("value")

    def text(self, selector: str) -> str:
        """The text that is shown of an element, with single spaces."""
        return " ".join(str(self.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")).split())

    def settle(self) -> None:
        """Wait until what has been done is drawn."""
        self.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element on the screen."""
        rectangle = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.evaluate(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({rectangle})")
        return x, y

    def click(self, selector: str) -> None:
        """Press and release the mouse where an element is."""
        x, y = self.middle(selector)
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
        self.settle()

    def press(self, key: str, code: int = 0) -> None:
        """Press and release a key, by its DOM name and, where it is no letter, its Windows key code."""
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
        self.settle()

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)
        self.settle()

    def picture(self, path: Path) -> None:
        """Write what is shown as a PNG file."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def of(self, method: str) -> list[Mapping[str, Any]]:
        """The parameters of all events of a kind so far."""
        return [parameters for name, parameters in self.events if name == method]


@contextmanager
def chromium(folder: Path) -> Iterator[Page]:
    """An empty page of a new browser, whose profile goes into ``folder``; requests and errors are reported as events.

    The browser is in a network namespace that has no interface: whatever it tried to fetch would fail.
    """
    folder.mkdir(parents=True, exist_ok=True)
    line = [
        "unshare",
        "--net",
        "--map-root-user",
        *_SHELL,
        "chromium",
        *_FLAGS,
        f"--user-data-dir={folder / 'profile'}",
    ]
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)
    try:
        page = Page(process)
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            page.call(f"{domain}.enable")
        yield page
        page.session = ""
        page.call("Browser.close")
        process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
