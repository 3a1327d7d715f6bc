"""What the tests of sources share: a reporter that remembers, and a server on loopback that urllib takes for https."""

from __future__ import annotations

import http.client
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from packager.sources import https
from packager.sources.store import SourceStore
from tests.sources.gpg import Gpg


@dataclass
class Heard:
    """A reporter that keeps what it is told."""

    notes: list[str] = field(default_factory=list)
    transfers: list[tuple[str, int, int | None]] = field(default_factory=list)

    def stage(self, name: str, detail: str) -> None: ...

    def done(self, name: str, detail: str, seconds: float, *, cached: bool) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)

    def output(self, line: str) -> None: ...

    def transfer(self, name: str, received: int, total: int | None) -> None:
        self.transfers.append((name, received, total))


@dataclass
class Behaviour:
    """How the server treats requests for one path."""

    content: bytes = b""
    status: int = 200
    ranges: bool = True
    #: Close the connection after so many bytes of the body, at each of the first so many requests.
    cut_after: int | None = None
    cuts: int = 0
    location: str | None = None
    content_range: str | None = None
    #: Last-Modified; parts are then only given to those who ask with If-Range for this.
    modified: str | None = None
    kind: str = "application/octet-stream"
    #: Stop sending after so many bytes until ``go_on`` is set.
    hold_after: int | None = None
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass
class Server:
    """Answers by path, and remembers (path, Range header) of each request."""

    port: int
    paths: dict[str, Behaviour] = field(default_factory=dict)
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    @property
    def opener(self) -> https.Opener:
        """The real opener, whose https connections end here, without TLS, whatever the host."""
        port = self.port

        class Loopback(urllib.request.HTTPSHandler):
            handler_order = 1

            def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
                def connect(_host: str, **options: Any) -> http.client.HTTPConnection:
                    return http.client.HTTPConnection("127.0.0.1", port, timeout=options.get("timeout"))

                return self.do_open(connect, req)

        return https.opener(Loopback())


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *rest: Any) -> None:
        self.behaviours = server
        super().__init__(*rest)

    def do_GET(self) -> None:
        """Called by http.server."""
        self.behaviours.asked.append((self.path, self.headers["Range"]))
        how = self.behaviours.paths.get(self.path, Behaviour(status=404))
        start, status = 0, how.status
        same = how.modified is None or self.headers["If-Range"] == how.modified
        if status == 200 and how.ranges and same and self.headers["Range"]:
            start, status = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")), 206
            if start >= len(how.content):
                status = 416
        body = how.content[start:] if status in (200, 206) else b""
        self.send_response(status)
        if how.location:
            self.send_header("Location", how.location)
        if status == 206:
            end = len(how.content) - 1
            self.send_header("Content-Range", how.content_range or f"bytes {start}-{end}/{len(how.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", how.kind)
        if how.modified:
            self.send_header("Last-Modified", how.modified)
        self.end_headers()
        if how.cut_after is not None and how.cuts > 0:
            how.cuts -= 1
            body = body[: how.cut_after]
        if how.hold_after is not None:
            self.wfile.write(body[: how.hold_after])
            body = body[how.hold_after :]
            how.go_on.wait(20)
        with suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    """A running server on loopback."""
    served = Server(0)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, served)) as http_server:
        served.port = http_server.server_address[1]
        thread = threading.Thread(target=partial(http_server.serve_forever, 0.01))
        thread.start()
        yield served
        http_server.shutdown()
        thread.join()


@pytest.fixture
def heard() -> Heard:
    """A reporter that remembers."""
    return Heard()


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> SourceStore:
    """An empty store."""
    return SourceStore(tmp_path_factory.mktemp("store"))


@pytest.fixture
def no_pause() -> Callable[[float], None]:
    """Stands for time.sleep where tries follow each other."""
    return lambda _seconds: None


@pytest.fixture(scope="session")
def gpg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpg]:
    home = tmp_path_factory.mktemp("g")  # short: the agent's socket lies in it
    home.chmod(0o700)
    yield Gpg(home)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
