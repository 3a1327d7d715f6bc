from __future__ import annotations

import base64
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from packager.errors import SourceError
from packager.sources import git
from packager.sources.origin import OriginError
from packager.sources.unpack import unpack
from packager.specs.model import GitOrigin
from tests.sources.conftest import Heard

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


class Repository:
    """A repository made for a test."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes | None = None) -> str:
        settings = {
            "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "HOME": "/nonexistent",
            "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
            "GIT_AUTHOR_DATE": "1600000000 +0000", "GIT_COMMITTER_DATE": "1600000000 +0000", "PATH": os.environ["PATH"],
        }  # fmt: skip
        done = subprocess.run(
            ["git", "-C", self.path, *arguments], env=settings, check=True, capture_output=True, input=stdin
        )
        return done.stdout.decode().strip()

    def commit(self) -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=m")
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = Repository(tmp_path / "upstream")
    (made.path / "src").mkdir()
    (made.path / "src" / "a.py").write_bytes(b"$Format:%H$\r\n")
    (made.path / "src.x").write_text("sorts between src and src/")
    (made.path / "run").write_text("#!/bin/sh\n")
    (made.path / "run").chmod(0o755)
    (made.path / "link").symlink_to("src/a.py")
    (made.path / "tests").mkdir()
    (made.path / "tests" / "t").write_text("t")
    (made.path / ".gitattributes").write_text("tests export-ignore\n*.py export-subst text eol=lf\n")
    os.mkdir(os.fsencode(made.path) + b"/\xff\xc3\xa9" + b"x" * 120)
    Path(os.fsdecode(os.fsencode(made.path) + b"/\xff\xc3\xa9" + b"x" * 120 + b"/f")).write_text("bytes")
    return made


def tar_of(url: str, commit: str, folder: Path, heard: Heard) -> Path:
    folder.mkdir(exist_ok=True)
    made = folder / f"git-{commit}"
    git.download(GitOrigin(url=url, commit=commit), made, top="x-1", reporter=heard)
    assert [path.name for path in folder.iterdir()] == [made.name]
    return made


def test_tree_as_it_is(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    repository.git("config", "core.autocrlf", "false")
    repository.git("-c", "core.autocrlf=false", "add", "--all")
    commit = repository.commit()
    made = tar_of(str(repository.path), commit, tmp_path / "p", heard)
    git.verify(made, commit)
    unpack(made, tmp_path / "tree")
    blob = repository.git("cat-file", "blob", f"{commit}:src/a.py")
    assert (tmp_path / "tree/src/a.py").read_text().strip() == blob == "$Format:%H$"
    assert (tmp_path / "tree/tests/t").read_text() == "t"
    assert (tmp_path / "tree/run").stat().st_mode & 0o777 == 0o755
    assert os.readlink(tmp_path / "tree/link") == "src/a.py"
    assert b"\xff\xc3\xa9" + b"x" * 120 in os.listdir(os.fsencode(tmp_path / "tree"))


def test_same_bytes_whatever_the_settings(
    repository: Repository, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit()
    one = tar_of(str(repository.path), commit, tmp_path / "1", heard)
    config = tmp_path / "config"
    config.write_text("[core]\nautocrlf = true\n[tar]\numask = 077\n[transfer]\nfsckObjects = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = os.umask(0o077)
    try:
        two = tar_of(repository.path.as_uri(), commit, tmp_path / "2", heard)
    finally:
        os.umask(before)
    assert one.read_bytes() == two.read_bytes()


def test_redirected_by_instead_of(
    repository: Repository, tmp_path: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit()
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{repository.path}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://upstream.example/x.git")
    git.verify(tar_of("https://upstream.example/x.git", commit, tmp_path / "p", heard), commit)


@pytest.fixture
def over_ssh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """git's real protocol, with a script for ssh that runs the server's side here."""
    script = tmp_path / "ssh"
    script.write_text('#!/bin/sh\nfor last; do :; done\necho "$last" >> "$0.asked"\nexec sh -c "$last"\n')
    script.chmod(0o755)
    monkeypatch.setenv("GIT_SSH_COMMAND", str(script))
    monkeypatch.setenv("GIT_SSH_VARIANT", "ssh")
    return script


def test_over_the_protocol(repository: Repository, tmp_path: Path, heard: Heard, over_ssh: Path) -> None:
    commit = repository.commit()
    (repository.path / "later").write_text("later")
    repository.commit()
    git.verify(tar_of(f"ssh://server{repository.path}", commit, tmp_path / "p", heard), commit)
    assert len((tmp_path / "ssh.asked").read_text().splitlines()) == 1


def test_server_that_gives_no_single_commits(
    repository: Repository, tmp_path: Path, heard: Heard, over_ssh: Path
) -> None:
    commit = repository.commit()
    (repository.path / "later").write_text("later")
    repository.commit()
    # protocol 0, as spoken by servers that know no newer one, gives what its refs point at
    over_ssh.write_text(over_ssh.read_text().replace("exec sh", "unset GIT_PROTOCOL\nexec sh"))
    made = tar_of(f"ssh://server{repository.path}", commit, tmp_path / "p", heard)
    git.verify(made, commit)
    assert any("the server does not give single commits; fetching all of it" in note for note in heard.notes)


def test_killed_fetch_is_begun_again(repository: Repository, tmp_path: Path, heard: Heard, over_ssh: Path) -> None:
    commit = repository.commit()
    left = tmp_path / "p" / f"git-{commit}.git"
    (left / "objects" / "pack").mkdir(parents=True)
    (left / "objects" / "pack" / "tmp_pack_x").write_text("half")
    (left / "HEAD").write_text("")
    git.verify(tar_of(f"ssh://server{repository.path}", commit, tmp_path / "p", heard), commit)


@pytest.mark.parametrize("scheme", ["", "file://", "ssh://server"])
def test_commit_that_is_not_there(
    repository: Repository, tmp_path: Path, heard: Heard, over_ssh: Path, scheme: str
) -> None:
    repository.commit()
    with pytest.raises(OriginError, match=r"not our ref|does not have this commit"):
        tar_of(f"{scheme}{repository.path}", "0" * 39 + "1", tmp_path / "p", heard)


def test_no_repository(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(OriginError, match=f"expected a git repository, found none at {tmp_path}/none"):
        tar_of(f"{tmp_path}/none", "0" * 40, tmp_path / "p", heard)


def test_unreachable_host(tmp_path: Path, heard: Heard, over_ssh: Path) -> None:
    over_ssh.write_text("#!/bin/sh\necho 'ssh: no route to host' >&2\nexit 255\n")
    with pytest.raises(OriginError, match="fatal: Could not read from remote repository"):
        tar_of("ssh://server/x", "0" * 40, tmp_path / "p", heard)


def test_url_is_no_option(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(OriginError):
        tar_of(f"--upload-pack=touch {tmp_path}/ran", "0" * 40, tmp_path / "p", heard)
    assert not (tmp_path / "ran").exists()


def test_submodule_is_left_out_and_said(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    repository.git("commit", "--quiet", "--message=m")
    commit = repository.git("rev-parse", "HEAD")
    made = tar_of(str(repository.path), commit, tmp_path / "p", heard)
    assert heard.notes == ["x-1: submodule vendor/lib is left out"]
    git.verify(made, commit)
    unpack(made, tmp_path / "tree")
    assert list((tmp_path / "tree/vendor/lib").iterdir()) == []


def evil_tree(repository: Repository, name: bytes) -> str:
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"evil")
    content = b"100644 %s\0%s" % (name, bytes.fromhex(blob))
    tree = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=content)
    return repository.git("commit-tree", tree, stdin=b"m")


@pytest.mark.parametrize("name", [b"..", b"a/b", b".git", b".GIT", b"."])
def test_evil_names(repository: Repository, tmp_path: Path, heard: Heard, name: bytes) -> None:
    commit = evil_tree(repository, name)
    with pytest.raises(OriginError, match="the tree has an entry called"):
        tar_of(str(repository.path), commit, tmp_path / "p", heard)


def test_object_that_is_not_its_id(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    commit = repository.commit()
    victim = repository.git("rev-parse", f"{commit}:tests/t")
    other = repository.git("hash-object", "-w", "--stdin", stdin=b"u")
    objects = repository.path / ".git" / "objects"
    target = objects / victim[:2] / victim[2:]
    target.chmod(0o644)
    shutil.copy(objects / other[:2] / other[2:], target)
    with pytest.raises(OriginError, match=f"{victim}"):
        tar_of(str(repository.path), commit, tmp_path / "p", heard)


def test_verify_finds_any_change(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    commit = repository.commit()
    made = tar_of(str(repository.path), commit, tmp_path / "p", heard)
    whole = made.read_bytes()
    with pytest.raises(SourceError, match=f"expected commit {'0' * 40}, found another commit"):
        git.verify(made, "0" * 40)
    changed = tmp_path / "changed"
    for old, new in ((b"#!/bin/sh\n", b"#!/bin/sx\n"), (b"sorts between", b"Sorts between")):
        changed.write_bytes(whole.replace(old, new))
        with pytest.raises(SourceError, match=r"expected tree [0-9a-f]{40} of commit"):
            git.verify(changed, commit)
    for damaged in (whole[:2000], whole[:600] + b"\1" + whole[601:], b""):
        changed.write_bytes(damaged)
        with pytest.raises(SourceError):
            git.verify(changed, commit)


def test_verify_sees_modes_and_missing_files(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    commit = repository.commit()
    made = tar_of(str(repository.path), commit, tmp_path / "p", heard)
    with tarfile.open(made) as archive:
        headers = archive.pax_headers
        members = [(member, archive.extractfile(member)) for member in archive if member.isreg()]

        def rewritten(*, drop: str = "", executable: str = "") -> Path:
            path = tmp_path / "rewritten"
            with tarfile.open(path, "w", pax_headers=headers) as target:
                for member, content in members:
                    if member.name == executable:
                        member.mode = 0o755
                    if content is not None and member.name != drop:
                        content.seek(0)
                        target.addfile(member, content)
            return path

        for path in (rewritten(drop="x-1/run"), rewritten(executable="x-1/src.x")):
            with pytest.raises(SourceError, match="expected tree"):
                git.verify(path, commit)


def without(repository: Repository, commit: str, folder: Path, heard: Heard, *leave_out: str) -> Path:
    folder.mkdir(exist_ok=True)
    made = folder / "without"
    origin = GitOrigin(url=str(repository.path), commit=commit)
    git.download(origin, made, top="x-1", leave_out=leave_out, reporter=heard)
    return made


def test_what_is_left_out_need_not_be_there(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    commit = repository.commit()
    for path in ("tests/t", "tests", "src.x"):
        oid = repository.git("rev-parse", f"{commit}:{path}")
        (repository.path / ".git" / "objects" / oid[:2] / oid[2:]).unlink()
    made = without(repository, commit, tmp_path / "p", heard, "tests", "src.x")
    git.verify(made, commit, ["src.x", "tests"])
    unpack(made, tmp_path / "tree")
    names = {os.fsencode(path.name) for path in (tmp_path / "tree").iterdir()}
    assert names == {b"src", b"run", b"link", b".gitattributes", b"\xff\xc3\xa9" + b"x" * 120}
    with pytest.raises(OriginError, match="missing"):
        without(repository, commit, tmp_path / "q", heard, "tests")


def test_what_is_left_out_must_be_in_the_tree(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(OriginError, match=r"the tree has no src/b\.py that could be left out"):
        without(repository, repository.commit(), tmp_path / "p", heard, "src/b.py", "tests")


def test_verify_knows_what_is_left_out(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    commit = repository.commit()
    made = without(repository, commit, tmp_path / "p", heard, "tests")
    for leave_out in ((), ("tests", "run"), ("run",)):
        expected = ", ".join(sorted(leave_out)) or "nothing"
        with pytest.raises(SourceError, match=f"expected to be left out: {expected}; found: tests"):
            git.verify(made, commit, leave_out)
    whole = tar_of(str(repository.path), commit, tmp_path / "q", heard)
    with pytest.raises(SourceError, match="expected to be left out: tests; found: nothing"):
        git.verify(whole, commit, ("tests",))


def test_what_is_left_out_cannot_hide_a_change(repository: Repository, tmp_path: Path, heard: Heard) -> None:
    commit = repository.commit()
    changed = tmp_path / "changed"
    made = without(repository, commit, tmp_path / "p", heard, "tests")
    changed.write_bytes(made.read_bytes().replace(b"#!/bin/sh\n", b"#!/bin/sx\n"))
    with pytest.raises(SourceError, match="expected tree"):
        git.verify(changed, commit, ("tests",))
    with tarfile.open(made) as archive:
        headers = dict(archive.pax_headers)
    headers["PACKAGER.leftout"] = base64.b64encode(b"40000 " + b"0" * 40 + b" tests").decode()
    with tarfile.open(made) as archive, tarfile.open(changed, "w", pax_headers=headers) as target:
        for member in archive:
            target.addfile(member, archive.extractfile(member) if member.isreg() else None)
    with pytest.raises(SourceError, match="expected tree"):
        git.verify(changed, commit, ("tests",))
