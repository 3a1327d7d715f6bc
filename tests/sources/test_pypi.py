from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from packager.disk import DiskError
from packager.errors import MachineError
from packager.sources import _pip_download, pypi
from packager.sources.origin import OriginError, Want
from packager.specs.model import PypiOrigin
from tests.sources.conftest import Behaviour, Heard, Server

WHEEL = "pkg_a-1.0-py3-none-any.whl"
SDIST = "pkg_a-1.0.tar.gz"


def wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("pkg_a.py", "")
        archive.writestr("pkg_a-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: pkg-a\nVersion: 1.0\n")
        archive.writestr("pkg_a-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("pkg_a-1.0.dist-info/RECORD", "")
    return buffer.getvalue()


def sdist(marker: Path) -> bytes:
    """One whose setup.py leaves a marker when it is run."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        content = f"open({str(marker)!r}, 'w')\n".encode()
        info = tarfile.TarInfo("pkg_a-1.0/setup.py")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's counts in these tests."""
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index in a folder, with a wheel, an sdist, and files that pip itself would not choose."""
    page = tmp_path / "simple" / "pkg-a"
    page.mkdir(parents=True)
    files = {
        WHEEL: wheel(),
        SDIST: sdist(tmp_path / "ran"),
        "pkg_a-1.1-py3-none-any.whl": b"yanked",
        "pkg_a-1.2-cp313-cp313-win_amd64.whl": b"for another platform",
    }
    links = []
    for name, content in files.items():
        (page / name).write_bytes(content)
        more = ' data-yanked="broken"' if name.startswith("pkg_a-1.1") else ' data-requires-python="&gt;=3.99"'
        links.append(f'<a href="{name}#sha256={hashlib.sha256(content).hexdigest()}"{more}>{name}</a>')
    (page / "index.html").write_text(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>")
    monkeypatch.setenv("PIP_INDEX_URL", (tmp_path / "simple").as_uri())
    return page


def get(file: str, partial: Path, heard: Heard, name: str = "pkg-a", python: str = sys.executable) -> None:
    origin = PypiOrigin(name=name, version="1.0", file=file)
    pypi.download(origin, Want(file, "0" * 64), partial, heard, python=python)


@pytest.mark.parametrize("file", [WHEEL, SDIST, "pkg_a-1.1-py3-none-any.whl", "pkg_a-1.2-cp313-cp313-win_amd64.whl"])
def test_any_file_of_the_index(index: Path, tmp_path: Path, heard: Heard, file: str) -> None:
    get(file, tmp_path / "p", heard)
    content = (index / file).read_bytes()
    assert (tmp_path / "p").read_bytes() == content
    assert heard.transfers[-1] == (file, len(content), len(content))
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "p.log").exists()


def test_resumes(server: Server, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytes(range(256)) * 2000
    server.paths["/simple/pkg-a/"] = Behaviour(f'<a href="/f/{WHEEL}">x</a>'.encode(), kind="text/html")
    server.paths[f"/f/{WHEEL}"] = Behaviour(content, cut_after=100_000, cuts=1)
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.port}/simple")
    (tmp_path / "p").write_bytes(content[:1000])
    get(WHEEL, tmp_path / "p", heard)
    assert (tmp_path / "p").read_bytes() == content
    asked = [asked for path, asked in server.asked if path.startswith("/f/")]
    assert asked == ["bytes=1000-", "bytes=101000-"]


def test_no_such_file(index: Path, tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(OriginError, match=r"the index has no such file"):
        get("pkg_a-9.whl", tmp_path / "p", heard)


def test_no_such_package(server: Server, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{server.port}/simple")
    with pytest.raises(OriginError, match=r"Could not fetch URL .*/simple/pkg-a/: 404"):
        get(WHEEL, tmp_path / "p", heard)


def test_no_network(tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(OriginError, match=r"Could not fetch URL .*connection error"):
        get(WHEEL, tmp_path / "p", heard)


def test_python_without_pip(index: Path, tmp_path: Path, heard: Heard) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare" / "bin" / "python")
    with pytest.raises(MachineError, match=f"{python} has no pip") as caught:
        get(WHEEL, tmp_path / "p", heard, python=python)
    assert caught.value.hint is not None
    assert "ensurepip" in caught.value.hint


@pytest.fixture
def unknown_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if pip's inside had changed: the script's own way of saying so."""
    script = tmp_path / "script.py"
    script.write_text(
        "import pip._internal.cli.req_command as r\n"
        "for c in (r.RequirementCommand,):\n"
        "    c._build_package_finder = None\n"
        f"import runpy, sys\nrunpy.run_path({_pip_download.__file__!r}, run_name='__main__')\n"
    )
    monkeypatch.setattr(_pip_download, "__file__", str(script))


def test_unknown_pip_and_a_wheel(index: Path, tmp_path: Path, heard: Heard, unknown_pip: None) -> None:
    (index / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')
    get(WHEEL, tmp_path / "p", heard)
    assert (tmp_path / "p").read_bytes() == (index / WHEEL).read_bytes()
    assert heard.notes[0].startswith("this pip is made differently: TypeError:")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("pip-")]


def test_unknown_pip_and_an_sdist(index: Path, tmp_path: Path, heard: Heard, unknown_pip: None) -> None:
    with pytest.raises(OriginError, match=r"made differently: .*; only wheels for any platform can be had"):
        get(SDIST, tmp_path / "p", heard)
    assert not (tmp_path / "ran").exists()


def test_full_disk(index: Path, tmp_path: Path, heard: Heard) -> None:
    full = tmp_path / "script.py"
    full.write_text("print('@error No space left on device')\nraise SystemExit(6)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pip_download, "__file__", str(full))
        with pytest.raises(DiskError, match=r"the disk is full"):
            get(WHEEL, tmp_path / "p", heard)
