from __future__ import annotations

import hashlib
import shutil
from email.utils import formatdate
from pathlib import Path

import pytest

from packager.disk import DiskError
from packager.errors import MachineError
from packager.sources import debian
from packager.sources.debian import Apt, DebianMirrors, choose_mirrors, parse_showsrc, release_fields, release_files
from packager.sources.origin import OriginError, Want
from packager.specs.model import DebianOrigin
from tests.sources.conftest import Behaviour, Heard, Server
from tests.sources.gpg import Gpg

PRINTED = """\
'http://mirror.example/debian/dists/bookworm/InRelease' mirror.example_debian_dists_bookworm_InRelease 0 
'http://mirror.example/debian-security/dists/bookworm-security/InRelease' m_InRelease 0 
'http://flat.example/./InRelease' flat.example_._InRelease 0 
'cdrom:[Debian]/dists/bookworm/InRelease' cdrom_InRelease 0 
W: something
"""  # noqa: W291


def test_release_files() -> None:
    assert release_files(PRINTED) == [
        ("http://mirror.example/debian/", "mirror.example_debian_dists_bookworm_InRelease"),
        ("http://mirror.example/debian-security/", "m_InRelease"),
    ]


def test_release_fields() -> None:
    text = "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\nLabel: Debian-Security\nSHA256:\n Origin: x\n"
    assert release_fields(text) == {"Origin": "Debian", "Label": "Debian-Security"}


def test_choice_of_mirrors() -> None:
    repositories = [
        ("http://other/", "Other", "Debian"),
        ("http://backports/", "Debian Backports", "Debian Backports"),
        ("http://s/", "Debian", "Debian-Security"),
        ("http://m/", "Debian", "Debian"),
        ("http://m2/", "Debian", "Debian"),
    ]
    assert choose_mirrors(repositories, None) == DebianMirrors("http://m/", "http://s/", None)
    assert choose_mirrors(repositories[3:], None).security is None
    with pytest.raises(MachineError, match="no repository of Debian's main archive"):
        choose_mirrors(repositories[:3], None)


def test_sources_lines() -> None:
    mirrors = DebianMirrors("http://m/", "http://s/", Path("/k.gpg"))
    assert mirrors.lines("trixie", "deb-src") == (
        "deb-src [signed-by=/k.gpg] http://m/ trixie main",
        "deb-src [signed-by=/k.gpg] http://m/ trixie-updates main",
        "deb-src [signed-by=/k.gpg] http://s/ trixie-security main",
    )
    assert DebianMirrors("http://m/", None, None).lines("sid", "deb") == ("deb http://m/ sid main",)


def test_showsrc() -> None:
    text = """\
Package: x
Version: 1-1
Files:
 00 5 x_1.tar
Checksums-Sha256:
 aa 5 x_1.tar
 bb 6 x_1.dsc

Package: x
Checksums-Sha256:
 cc 5 x_2.tar
Version: 2-1
Directory: pool
"""
    assert parse_showsrc(text) == [("1-1", {"x_1.tar": "aa", "x_1.dsc": "bb"}), ("2-1", {"x_2.tar": "cc"})]


needs_apt = pytest.mark.skipif(
    shutil.which("apt-get") is None or shutil.which("gpg") is None, reason="needs apt, and gpg to sign a repository"
)

FILES = {"x_1.orig.tar": bytes(range(256)) * 40, "x_1-1.dsc": b"dsc", "x_2.orig.tar": b"two", "x_2-1.dsc": b"dsc2"}


class Mirror:
    """A Debian archive in a folder, with one source package in one suite, and neither updates nor security."""

    def __init__(self, root: Path, gpg: Gpg) -> None:
        self.root, self.gpg = root, gpg
        self.keyring = root / "keyring.gpg"
        pool = root / "pool"
        pool.mkdir(parents=True)
        for name, content in FILES.items():
            (pool / name).write_bytes(content)
        self.keyring.write_bytes(gpg.run("--export", "archive@example.org"))
        self.publish({"1-1": ("x_1.orig.tar", "x_1-1.dsc"), "2-1": ("x_2.orig.tar", "x_2-1.dsc")})

    def publish(self, versions: dict[str, tuple[str, ...]]) -> None:
        stanzas = []
        for version, files in versions.items():
            rows = [
                f" {hashlib.sha256(FILES[name]).hexdigest()} {len(FILES[name])} {name}"
                for name in files
                if name in FILES
            ]
            sums = [f" {hashlib.md5(FILES[name]).hexdigest()} {len(FILES[name])} {name}" for name in files]
            stanzas.append("\n".join(
                [f"Package: x\nFormat: 3.0 (quilt)\nBinary: x\nArchitecture: any\nVersion: {version}\nDirectory: pool\n"
                 "Files:", *sums, "Checksums-Sha256:", *rows, ""]
            ))  # fmt: skip
        index = "\n".join(stanzas).encode()
        suite = self.root / "dists" / "trixie"
        (suite / "main" / "source").mkdir(parents=True, exist_ok=True)
        (suite / "main" / "source" / "Sources").write_bytes(index)
        release = suite / "Release"
        release.write_text(
            f"Origin: Debian\nLabel: Debian\nSuite: stable\nCodename: trixie\nDate: {formatdate(usegmt=True)}\n"
            "Architectures: amd64\nComponents: main\nSHA256:\n"
            f" {hashlib.sha256(index).hexdigest()} {len(index)} main/source/Sources\n"
        )
        self.gpg.run(
            "--yes", "--local-user=archive@example.org", "--clearsign", "--output", suite / "InRelease", release
        )

    def at(self, base: str) -> DebianMirrors:
        return DebianMirrors(base, None, self.keyring)


@pytest.fixture(scope="module")
def signer(gpg: Gpg) -> Gpg:
    gpg.key("archive")
    return gpg


@pytest.fixture
def mirror(tmp_path: Path, signer: Gpg) -> Mirror:
    return Mirror(tmp_path / "mirror", signer)


def want(file: str) -> Want:
    return Want(file, hashlib.sha256(FILES[file]).hexdigest())


def origin(file: str, package: str = "x") -> DebianOrigin:
    return DebianOrigin(suite="trixie", package=package, file=file)


@needs_apt
def test_any_version_that_is_listed(mirror: Mirror, tmp_path: Path, heard: Heard) -> None:
    apt = Apt(tmp_path / "apt with a space", mirror.at(f"{mirror.root.as_uri()}/"))
    for file in ("x_1.orig.tar", "x_2.orig.tar"):
        apt.download(origin(file), want(file), tmp_path / file, heard)
        assert (tmp_path / file).read_bytes() == FILES[file]
        assert not (tmp_path / file).is_symlink()
    assert sum("fetching the list" in note for note in heard.notes) == 1


@needs_apt
def test_lists_are_kept_and_renewed_when_they_do_not_do(mirror: Mirror, tmp_path: Path, heard: Heard) -> None:
    mirrors = mirror.at(f"{mirror.root.as_uri()}/")
    Apt(tmp_path / "apt", mirrors).download(origin("x_1.orig.tar"), want("x_1.orig.tar"), tmp_path / "p", heard)
    heard.notes.clear()
    apt = Apt(tmp_path / "apt", mirrors)
    apt.download(origin("x_2.orig.tar"), want("x_2.orig.tar"), tmp_path / "q", heard)
    assert heard.notes == []
    FILES["x_3.orig.tar"] = b"three"
    try:
        (mirror.root / "pool" / "x_3.orig.tar").write_bytes(b"three")
        mirror.publish({"3-1": ("x_3.orig.tar", "x_1-1.dsc")})
        apt.download(origin("x_3.orig.tar"), want("x_3.orig.tar"), tmp_path / "r", heard)
        assert (tmp_path / "r").read_bytes() == b"three"
        assert any("fetching the list" in note for note in heard.notes)
        with pytest.raises(OriginError, match="no version of the package has this file; the suite has 3-1"):
            apt.download(origin("x_1.orig.tar"), want("x_1.orig.tar"), tmp_path / "s", heard)
    finally:
        del FILES["x_3.orig.tar"]


@needs_apt
def test_what_is_not_there(mirror: Mirror, tmp_path: Path, heard: Heard) -> None:
    apt = Apt(tmp_path / "apt", mirror.at(f"{mirror.root.as_uri()}/"))
    with pytest.raises(OriginError, match="the suite has no source package y"):
        apt.download(origin("x_1.orig.tar", "y"), want("x_1.orig.tar"), tmp_path / "p", heard)
    right = hashlib.sha256(FILES["x_1.orig.tar"]).hexdigest()
    with pytest.raises(OriginError, match=f"expected sha256 {'0' * 64}, the list says {right}"):
        apt.download(origin("x_1.orig.tar"), Want("x", "0" * 64), tmp_path / "p", heard)


@needs_apt
def test_changed_file_on_the_mirror(mirror: Mirror, tmp_path: Path, heard: Heard) -> None:
    (mirror.root / "pool" / "x_1.orig.tar").write_bytes(b"x" * 10240)
    apt = Apt(tmp_path / "apt", mirror.at(f"{mirror.root.as_uri()}/"))
    partial = tmp_path / "partial" / "p"
    partial.parent.mkdir()
    with pytest.raises(OriginError, match=r"apt could not fetch it: .*Hash Sum mismatch"):
        apt.download(origin("x_1.orig.tar"), want("x_1.orig.tar"), partial, heard)
    assert not partial.exists()
    assert not partial.with_name("p.FAILED").exists()


@needs_apt
def test_lists_with_a_wrong_signature(mirror: Mirror, tmp_path: Path, heard: Heard, signer: Gpg) -> None:
    signer.key("mallory")
    mirror.keyring.write_bytes(signer.run("--export", "mallory@example.org"))
    apt = Apt(tmp_path / "apt", mirror.at(f"{mirror.root.as_uri()}/"))
    with pytest.raises(OriginError, match="the list of source packages could not be fetched: "):
        apt.download(origin("x_1.orig.tar"), want("x_1.orig.tar"), tmp_path / "p", heard)


@needs_apt
def test_no_mirror(mirror: Mirror, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "conf").write_text('Acquire::Retries::Delay "false";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "conf"))
    apt = Apt(tmp_path / "apt", mirror.at("http://127.0.0.1:1/"))
    with pytest.raises(OriginError, match=r"the list of source packages could not be fetched: .*127.0.0.1"):
        apt.download(origin("x_1.orig.tar"), want("x_1.orig.tar"), tmp_path / "p", heard)


def test_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = debian._Patience(tmp_path)
    for now in range(0, 1000, 100):
        patience.heard(f"{now}", float(now))
    patience.heard("900", 1200.0)
    with pytest.raises(OriginError, match=r"apt got no further for 300 s"):
        patience.heard("900", 1201.0)
    # apt waits for ever when its transport finds the disk full
    monkeypatch.setattr("packager.disk.shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    patience.heard("910", 2000.0)
    patience.heard("910", 2004.0)
    with pytest.raises(DiskError, match=r"the disk is full: 0 bytes are free"):
        patience.heard("910", 2006.0)


@needs_apt
def test_resumes_after_a_kill(
    mirror: Mirror, server: Server, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed apt leaves no file time; the one that the mirror told is given back to it."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    for path in mirror.root.rglob("*"):
        if path.is_file():
            server.paths[f"/{path.relative_to(mirror.root)}"] = Behaviour(path.read_bytes())
    content = FILES["x_1.orig.tar"]
    told = formatdate(1_600_000_000, usegmt=True)
    server.paths["/pool/x_1.orig.tar"] = Behaviour(content, modified=told)
    apt = Apt(tmp_path / "apt", mirror.at(f"http://127.0.0.1:{server.port}/"))
    (tmp_path / "p").write_bytes(content[:5000])
    (tmp_path / "p.mtime").write_text(told)
    apt.download(origin("x_1.orig.tar"), want("x_1.orig.tar"), tmp_path / "p", heard)
    assert (tmp_path / "p").read_bytes() == content
    assert [asked for path, asked in server.asked if path == "/pool/x_1.orig.tar"] == ["bytes=5000-"]
    assert heard.transfers[-1] == ("x_1.orig.tar", len(content), len(content))
    assert not (tmp_path / "p.mtime").exists()


@needs_apt
def test_discovery_reads_the_machines_own_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    etc, lists = tmp_path / "etc", tmp_path / "lists"
    etc.mkdir()
    lists.mkdir()
    (etc / "sources.list").write_text(
        "deb http://third.example/x stable main\ndeb http://near.example/debian bookworm main\n"
        "deb http://near.example/sec bookworm-security main\n"
    )
    conf = tmp_path / "apt.conf"
    conf.write_text(
        'Acquire::Retries::Delay "false";\n'
        f'Dir::Etc::sourcelist "{etc}/sources.list";\nDir::Etc::sourceparts "-";\nDir::State::lists "{lists}/";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(conf))
    # nothing outside the test is to be asked
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    debian.debian_mirrors.cache_clear()
    try:
        with pytest.raises(MachineError, match="this machine's apt knows no Debian repository"):
            debian.debian_mirrors()
        heads = {
            "third.example_x_dists_stable_InRelease": "Origin: Third\nLabel: Debian\n",
            "near.example_debian_dists_bookworm_InRelease": "Origin: Debian\nLabel: Debian\n",
            "near.example_sec_dists_bookworm-security_InRelease": "Origin: Debian\nLabel: Debian-Security\n",
        }
        for name, text in heads.items():
            (lists / name).write_text(text)
        found = debian.debian_mirrors()
        assert (found.main, found.security) == ("http://near.example/debian/", "http://near.example/sec/")
        assert debian.apt_sources_lines("trixie", "deb")[0].endswith("http://near.example/debian/ trixie main")
    finally:
        debian.debian_mirrors.cache_clear()
