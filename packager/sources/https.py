"""Get a file over HTTPS: resumes, tries again after passing faults, never leaves TLS.

Proxies come from the environment (``https_proxy``, ``no_proxy``), additional certificates from ``SSL_CERT_FILE`` and
``SSL_CERT_DIR``, as urllib and OpenSSL have it. A cut-off download goes on where it stopped; whether the bytes are the
right ones is for the caller, who knows the sha256.
"""

from __future__ import annotations

import errno
import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Protocol, cast

from packager import __version__
from packager.disk import disk_errors
from packager.progress import Reporter
from packager.sources.origin import OriginError

#: Seconds that connecting, and each wait for further bytes, may take.
TIMEOUT = 20.0
#: Attempts in a row that may fail without getting on.
TRIES = 3
#: No source is near this size: more is a server gone wrong.
MAX_BYTES = 4 << 30

_CHUNK = 1 << 18
_PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)$")


class Response(Protocol):
    """What is used of urllib's response."""

    status: int
    headers: Mapping[str, str]

    def read(self, amount: int, /) -> bytes: ...

    def close(self) -> None: ...


#: Sends a request, waiting at most so many seconds for the server; raises what urllib's openers raise.
Opener = Callable[[urllib.request.Request, float], Response]


class _PassingError(Exception):
    """A fault that may be gone at the next try."""


class HttpsRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to https only."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Refuse a redirect that leaves https; urllib sends the request's own headers (Range) along with the rest."""
        if not newurl.lower().startswith("https://"):
            raise OriginError(f"expected a redirect to https, found one to {newurl}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener(*handlers: urllib.request.BaseHandler) -> Opener:
    """An opener that speaks https, through the environment's proxies; ``handlers`` are added in front."""
    director = urllib.request.OpenerDirector()
    for handler in (
        *handlers,
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        HttpsRedirects(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPSHandler(context=ssl.create_default_context()),
    ):
        director.add_handler(handler)
    return lambda request, timeout: cast(Response, director.open(request, timeout=timeout))


def download(
    url: str,
    partial: Path,
    *,
    name: str,
    reporter: Reporter,
    open_url: Opener | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Bring ``url`` into the file ``partial``, going on after the bytes it has already.

    ``name`` is what the reporter calls the file. Raises OriginError with the reason, DiskError when the disk is full.
    """
    if not url.startswith("https://"):
        raise OriginError("expected an https URL")
    send = open_url or opener()
    failed = 0
    while True:
        before = _size(partial)
        try:
            _attempt(send, url, partial, name, reporter)
            return
        except _PassingError as exc:
            failed = 1 if _size(partial) > before + _CHUNK else failed + 1
            if failed >= TRIES:
                raise OriginError(f"{exc} ({TRIES} tries)") from exc
            pause(2.0 ** (failed - 1))


def _size(partial: Path) -> int:
    try:
        return partial.stat().st_size
    except FileNotFoundError:
        return 0


def _attempt(send: Opener, url: str, partial: Path, name: str, reporter: Reporter) -> None:
    """One request. Raises _PassingError or OriginError."""
    have = _size(partial)
    headers = {"User-Agent": f"packager/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = send(urllib.request.Request(url, headers=headers), TIMEOUT)
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == 416 and have:  # nothing after these bytes: either all is there or the file is another one
            partial.unlink()
            raise _PassingError("the server has no such range") from exc
        raise (_PassingError if exc.code in _PASSING_STATUS else OriginError)(f"HTTP {exc.code} {exc.reason}") from exc
    except (OSError, http.client.HTTPException) as exc:
        raise _fault(exc) from exc
    try:
        start, total = _range(response, have)
        if total is not None and total > MAX_BYTES:
            raise OriginError(f"expected at most {MAX_BYTES:,} bytes, the server announces {total:,}")
        _receive(response, partial, start, total, name, reporter)
    finally:
        response.close()


def _range(response: Response, have: int) -> tuple[int, int | None]:
    """Where the body begins in the file, and the file's whole size if the server says it."""
    length = response.headers.get("Content-Length")
    size = int(length) if length is not None and length.isdigit() else None
    if response.status == 200:
        return 0, size
    if response.status != 206:
        raise OriginError(f"expected HTTP 200, found {response.status}")
    match = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if not have or match is None or int(match[1]) != have:
        raise OriginError(f"expected the bytes from {have}, found {response.headers.get('Content-Range')!r}")
    return have, int(match[2]) + 1 if match[3] == "*" else int(match[3])


def _receive(response: Response, partial: Path, start: int, total: int | None, name: str, reporter: Reporter) -> None:
    received = start
    with disk_errors(partial.parent), partial.open("ab") as sink:
        sink.truncate(start)
        while True:
            reporter.transfer(name, received, total)
            try:
                chunk = response.read(_CHUNK)
            except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as exc:
                raise _fault(exc) from exc
            if not chunk:
                break
            sink.write(chunk)
            received += len(chunk)
            if received > MAX_BYTES:
                raise OriginError(f"expected at most {MAX_BYTES:,} bytes, found more")
    if total is not None and received < total:
        raise _PassingError(f"the connection ended after {received:,} of {total:,} bytes")


def _fault(exc: Exception) -> Exception:
    """Whether a fault of the connection is worth another try, and what to call it."""
    cause = exc.reason if isinstance(exc, urllib.error.URLError) and isinstance(exc.reason, Exception) else exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return OriginError(f"the server's certificate is not accepted: {cause.verify_message}")
    if isinstance(cause, TimeoutError):
        return _PassingError(f"no answer within {TIMEOUT:g} s")
    if isinstance(cause, socket.gaierror):
        passing = cause.errno == socket.EAI_AGAIN
        return (_PassingError if passing else OriginError)(f"the host's name is not known: {cause.strerror}")
    if isinstance(cause, (ConnectionError, http.client.HTTPException, ssl.SSLError)):
        return _PassingError(f"the connection failed: {cause or type(cause).__name__}")
    if isinstance(cause, OSError) and cause.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN):
        return OriginError(f"no network: {cause.strerror}")
    return OriginError(f"the request failed: {cause}")
