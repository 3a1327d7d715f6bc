"""Get one named file from the package index through pip, without installing, building or unpacking anything.

Run by ``pypi`` as a program of its own, ``python -I _pip_download.py NAME FILE DESTINATION``, because pip's modules
promise nothing to those who import them, and are not wanted in the packager's process. It uses pip's own settings,
session (proxies, certificates, credentials, mirrors) and index reader; only the rule which links count is replaced:
the one with the wanted file name, whatever Python, platform or yank says.

Prints one line per event: ``@progress RECEIVED TOTAL`` (TOTAL is - if not known), ``@error TEXT``. Exit code 0: the
file is there; 3: it could not be had; 4: this pip is made differently from those known; 5: there is no pip; 6: the disk
is full.
"""

from __future__ import annotations

import errno
import importlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

FAILED, UNKNOWN_PIP, NO_PIP, DISK_FULL = 3, 4, 5, 6
MAX_BYTES = 4 << 30
TRIES = 3
CHUNK = 1 << 18


class StopError(Exception):
    """Ends the program with an exit code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class CutError(Exception):
    """The connection ended early; what has come stays."""


class ByName:
    """Stands for pip's link evaluator: takes the links whose file name is the wanted one."""

    def __init__(self, project_name: str, file: str, accept: Any, refuse: Any) -> None:
        self.project_name = project_name
        self._file, self._accept, self._refuse = file, accept, refuse

    def evaluate_link(self, link: Any) -> tuple[Any, str]:
        """pip's interface: the version (of which pip only wants that it is one), or why the link does not count."""
        return (self._accept, "0") if link.filename == self._file else (self._refuse, "another file")


class Reasons(logging.Handler):
    """Keeps what pip says of pages it could not read."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        text = record.getMessage()
        if text.startswith("Could not fetch URL"):
            self.texts.append(text.removesuffix(" - skipping"))


def find_link(name: str, file: str) -> tuple[Any, Any]:
    """pip's session and the link of the file. Raises StopError; all else means an unknown kind of pip."""
    reasons = Reasons()
    log = logging.getLogger("pip")
    log.addHandler(reasons)
    log.setLevel(logging.DEBUG)
    log.propagate = False
    command = importlib.import_module("pip._internal.commands").create_command("download")
    kinds = importlib.import_module("pip._internal.index.package_finder").LinkType
    errors = importlib.import_module("pip._internal.exceptions").PipError
    try:
        options, _ = command.parse_args(["--no-cache-dir", "--disable-pip-version-check", "--retries", "2", name])
        with command.main_context():
            session = command.get_default_session(options)
            finder = command._build_package_finder(options=options, session=session, ignore_requires_python=True)
            finder.make_link_evaluator = lambda project: ByName(project, file, kinds.candidate, kinds.different_project)
            links = [candidate.link for candidate in finder.find_all_candidates(name)]
    except errors as exc:
        raise StopError(FAILED, f"pip: {exc}") from exc
    if links:
        return session, links[0]
    raise StopError(FAILED, reasons.texts[0] if reasons.texts else "the index has no such file")


def chunks(response: Any) -> Iterator[bytes]:
    """The body as it was sent, not decoded; a local file has no ``stream``."""
    if hasattr(response.raw, "stream"):
        yield from response.raw.stream(CHUNK, decode_content=False)
    else:
        while chunk := response.raw.read(CHUNK):
            yield chunk


def receive(session: Any, url: str, destination: str) -> None:
    """One request for what is still missing. Raises StopError, CutError, OSError, or what requests raises."""
    have = os.path.getsize(destination) if os.path.exists(destination) else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    response = session.get(url, headers=headers, stream=True)
    if response.status_code == 416 and have:
        os.unlink(destination)
        raise CutError("the server has no such range")
    if response.status_code not in (200, 206):
        raise StopError(FAILED, f"HTTP {response.status_code} {response.reason}")
    start = 0
    if response.status_code == 206:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise StopError(FAILED, f"expected the bytes from {have}, found {response.headers.get('Content-Range')!r}")
        start = have
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if str(length).isdigit() else None
    received = start
    with open(destination, "ab") as sink:
        sink.truncate(start)
        for chunk in chunks(response):
            sink.write(chunk)
            received += len(chunk)
            print(f"@progress {received} {total if total is not None else '-'}", flush=True)
            if received > MAX_BYTES:
                raise StopError(FAILED, f"expected at most {MAX_BYTES} bytes, found more")
    if total is not None and received < total:
        raise CutError(f"the connection ended after {received} of {total} bytes")


def download(session: Any, url: str, destination: str) -> None:
    """Requests until all is there, at most TRIES that fail. Raises StopError or OSError."""
    network = importlib.import_module("pip._vendor.requests").RequestException
    protocol = importlib.import_module("pip._vendor.urllib3.exceptions").HTTPError
    for attempt in range(1, TRIES + 1):
        try:
            receive(session, url, destination)
            return
        except (CutError, network, protocol) as exc:
            if attempt == TRIES:
                raise StopError(FAILED, f"{exc} ({TRIES} tries)") from exc
            time.sleep(2.0 ** (attempt - 1))


def main(name: str, file: str, destination: str) -> None:
    """Do it. Raises StopError or OSError."""
    try:
        importlib.import_module("pip")
    except ImportError as exc:
        raise StopError(NO_PIP, f"{sys.executable} has no pip") from exc
    try:
        session, link = find_link(name, file)
    except (ImportError, AttributeError, TypeError, ValueError) as exc:
        raise StopError(UNKNOWN_PIP, f"this pip is made differently: {type(exc).__name__}: {exc}") from exc
    download(session, link.url_without_fragment, destination)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except StopError as stop:
        print(f"@error {' '.join(str(stop).split())}", flush=True)
        sys.exit(stop.code)
    except OSError as exc:
        print(f"@error {exc.strerror or exc}", flush=True)
        sys.exit(DISK_FULL if exc.errno in (errno.ENOSPC, errno.EDQUOT) else FAILED)
