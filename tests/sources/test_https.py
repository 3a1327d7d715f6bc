from __future__ import annotations

import errno
import http.server
import io
import os
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from packager.disk import DiskError
from packager.sources import https
from packager.sources.origin import OriginError
from tests.sources.conftest import Behaviour, Heard, Server

CONTENT = bytes(range(256)) * 4096  # 1 MiB
URL = "https://upstream.example/a.tar"
Pause = Callable[[float], None]


def get(server: Server, partial: Path, heard: Heard, pause: Pause, url: str = URL) -> None:
    https.download(url, partial, name="a.tar", reporter=heard, open_url=server.opener, pause=pause)


def test_whole_file_with_progress(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT)
    get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert heard.transfers[0] == ("a.tar", 0, len(CONTENT))
    assert heard.transfers[-1] == ("a.tar", len(CONTENT), len(CONTENT))


def test_resumes_where_it_stopped(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT)
    (tmp_path / "p").write_bytes(CONTENT[:1000])
    get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert server.asked == [("/a.tar", "bytes=1000-")]


def test_server_without_ranges_starts_again(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT, ranges=False)
    (tmp_path / "p").write_bytes(b"x" * 1000)
    get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT


def test_range_past_the_end_starts_again(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT)
    (tmp_path / "p").write_bytes(b"x" * (len(CONTENT) + 5))
    get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT


def test_wrong_range_is_refused(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT, content_range="bytes 7-1048575/1048576")
    (tmp_path / "p").write_bytes(CONTENT[:1000])
    with pytest.raises(OriginError, match=r"expected the bytes from 1000, found 'bytes 7-"):
        get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT[:1000]


def test_cut_connection_is_gone_on_with(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT, cut_after=300_000, cuts=3)
    get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert [asked for _, asked in server.asked] == [None, "bytes=300000-", "bytes=600000-", "bytes=900000-"]


def test_gives_up_after_three_tries_without_getting_on(server: Server, tmp_path: Path, heard: Heard) -> None:
    server.paths["/a.tar"] = Behaviour(status=503)
    pauses: list[float] = []
    with pytest.raises(OriginError, match=r"HTTP 503 Service Unavailable \(3 tries\)"):
        get(server, tmp_path / "p", heard, pauses.append)
    assert len(server.asked) == 3
    assert pauses == [1.0, 2.0]


def test_not_found_is_final(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    with pytest.raises(OriginError, match="HTTP 404 Not Found"):
        get(server, tmp_path / "p", heard, no_pause)
    assert len(server.asked) == 1


def test_redirect_within_https(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    server.paths["/a.tar"] = Behaviour(status=302, location="https://mirror.example/b.tar")
    server.paths["/b.tar"] = Behaviour(CONTENT)
    (tmp_path / "p").write_bytes(CONTENT[:10])
    get(server, tmp_path / "p", heard, no_pause)
    assert (tmp_path / "p").read_bytes() == CONTENT
    assert server.asked[-1] == ("/b.tar", "bytes=10-")


@pytest.mark.parametrize("location", ["http://mirror.example/b.tar", "ftp://mirror.example/b", "file:///etc/passwd"])
def test_redirect_out_of_https(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause, location: str) -> None:
    server.paths["/a.tar"] = Behaviour(status=302, location=location)
    server.paths["/b.tar"] = Behaviour(CONTENT)
    with pytest.raises(
        OriginError, match=r"(expected a redirect to https, found one to|Redirection to url) .*" + location[7:]
    ):
        get(server, tmp_path / "p", heard, no_pause)
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("url", ["http://upstream.example/a.tar", "file:///etc/passwd"])
def test_only_https(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause, url: str) -> None:
    with pytest.raises(OriginError, match="expected an https URL"):
        get(server, tmp_path / "p", heard, no_pause, url)
    assert server.asked == []


def test_too_large(
    server: Server, tmp_path: Path, heard: Heard, no_pause: Pause, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(https, "MAX_BYTES", 1000)
    server.paths["/a.tar"] = Behaviour(CONTENT)
    with pytest.raises(OriginError, match="expected at most 1,000 bytes, the server announces 1,048,576"):
        get(server, tmp_path / "p", heard, no_pause)


def test_nobody_listens(server: Server, tmp_path: Path, heard: Heard, no_pause: Pause) -> None:
    deaf = Server(port=1)
    with pytest.raises(OriginError, match=r"the connection failed: .*refused \(3 tries\)"):
        get(deaf, tmp_path / "p", heard, no_pause)


def test_silent_server(tmp_path: Path, heard: Heard, no_pause: Pause, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "TIMEOUT", 0.1)
    silent = socket.create_server(("127.0.0.1", 0))
    with silent, pytest.raises(OriginError, match=r"no answer within 0.1 s \(3 tries\)"):
        get(Server(silent.getsockname()[1]), tmp_path / "p", heard, no_pause)


def test_full_disk(
    server: Server, tmp_path: Path, heard: Heard, no_pause: Pause, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.paths["/a.tar"] = Behaviour(CONTENT)

    class Full(io.BytesIO):
        def write(self, _data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    with pytest.raises(DiskError, match=f"{tmp_path}: the disk is full"):
        get(server, tmp_path / "p", heard, no_pause)
    assert len(server.asked) == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl to make a certificate")
def test_certificates_are_checked(
    tmp_path: Path, heard: Heard, no_pause: Pause, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a").write_bytes(b"content")
    monkeypatch.setenv("no_proxy", "localhost")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=os.fspath(tmp_path / "www"))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None: ...

    class Quiet(http.server.ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None: ...

    with Quiet(("127.0.0.1", 0), Handler) as served:
        served.socket = context.wrap_socket(served.socket, server_side=True)
        threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True).start()
        url = f"https://localhost:{served.server_address[1]}/a"
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        with pytest.raises(OriginError, match="the server's certificate is not accepted: self-signed certificate"):
            https.download(url, tmp_path / "p", name="a", reporter=heard, pause=no_pause)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        https.download(url, tmp_path / "p", name="a", reporter=heard, pause=no_pause)
        assert (tmp_path / "p").read_bytes() == b"content"
        served.shutdown()
