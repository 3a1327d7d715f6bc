"""Nothing goes out that was not audited, or that has changed since."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from packager import emit, pipeline
from packager.audit import AuditedTree, pass_or_fail
from packager.errors import BuildError, CheckError
from packager.progress import Clock
from packager.store import Entry, Store
from packager.trees import content_digest
from tests import plans
from tests.audit import samples
from tests.audit.samples import EPOCH, KNOWN, pe, policy, write
from tests.support import Recorder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return samples.sound(tmp_path / "bundle")


def test_a_sound_tree_passes(bundle: Path) -> None:
    audited = pass_or_fail(bundle, policy(), EPOCH, KNOWN)
    assert audited.folder() == bundle
    assert audited.digest == content_digest(bundle)
    assert audited.notes == ()


def test_notes_do_not_stop_it(bundle: Path) -> None:
    audited = pass_or_fail(bundle, policy(), EPOCH)
    assert [note.rule for note in audited.notes] == ["licences", "native-code"]


def test_an_error_stops_it(bundle: Path) -> None:
    write(bundle, "python/python.exe", pe("python313.dll", "libwinpthread-1.dll", dll=False))
    with pytest.raises(CheckError) as caught:
        pass_or_fail(bundle, policy(), EPOCH, KNOWN, name="electrum-1")
    assert caught.value.message == "electrum-1: expected nothing that the policy forbids, found 1 of it"
    (detail,) = caught.value.details
    assert detail.startswith("python/python.exe: dll-refused: imports libwinpthread-1.dll (why: ")
    assert caught.value.exit_code == 1


def test_nobody_else_makes_one(bundle: Path) -> None:
    with pytest.raises(TypeError, match=r"comes from packager\.audit\.pass_or_fail"):
        AuditedTree(bundle, content_digest(bundle), (), object())
    with pytest.raises(TypeError):
        AuditedTree(bundle, content_digest(bundle), ())  # type: ignore[call-arg]


def test_nobody_changes_one(bundle: Path, tmp_path: Path) -> None:
    audited = pass_or_fail(bundle, policy(), EPOCH, KNOWN)
    with pytest.raises(FrozenInstanceError):
        audited.digest = "x"  # type: ignore[misc]
    with pytest.raises((TypeError, ValueError)):
        replace(audited, _folder=tmp_path)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write(root, "app/new", b""),
        lambda root: write(root, "app/electrum/readme.txt", b"other"),
        lambda root: (root / "bundle.json").unlink(),
        lambda root: (root / "app/link").symlink_to("electrum"),
    ],
)
def test_what_changes_after_the_audit_does_not_go_out(bundle: Path, change: object) -> None:
    audited = pass_or_fail(bundle, policy(), EPOCH, KNOWN)
    assert callable(change)
    change(bundle)
    with pytest.raises(CheckError, match="expected the files that passed the audit, found that some have changed"):
        audited.folder()
    with pytest.raises(CheckError, match="some have changed"):
        emit.write_tar_zst(audited, bundle.parent / "x.tar.zst", "x", EPOCH)
    assert not (bundle.parent / "x.tar.zst").exists()


def test_what_emits_takes_nothing_else(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(AttributeError):
        emit.write_tar_zst(bundle, tmp_path / "x.tar.zst", "x", EPOCH)  # type: ignore[arg-type]
    with pytest.raises(AttributeError):
        emit.write_zip(
            bundle, tmp_path / "x.zip", "x", EPOCH, root=tmp_path, tools=tmp_path, log=tmp_path / "log", reporter=None,  # type: ignore[arg-type]
        )  # fmt: skip


def test_a_build_stops_there(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is staged and normalised is looked at before anything is written for it."""
    write(bundle, "python/python.exe", pe("python313.dll", "libwinpthread-1.dll", dll=False))
    write(tmp_path, "provenance.json", json.dumps(dict(KNOWN.provenance)).encode())
    (tmp_path / "tree").symlink_to(bundle)
    normalised = Entry(tmp_path, "")
    monkeypatch.setattr(pipeline, "_found", lambda *_arguments: None)
    monkeypatch.setattr(pipeline, "_normalised", lambda *_arguments: (normalised, KNOWN.sources))
    recorder = Recorder()
    with pytest.raises(CheckError, match=r"python/python\.exe: dll-refused: imports libwinpthread-1\.dll"):
        pipeline._emitted(plans.plan("electrum"), Store.open(tmp_path / "store", recorder), Clock(recorder))
    assert recorder.stages == []
    assert not any((tmp_path / "store/results").iterdir())


def test_a_build_emits_what_passed(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The same, with nothing wrong: the gate lets the tree through, and only as the type that says so."""
    write(tmp_path, "provenance.json", json.dumps(dict(KNOWN.provenance)).encode())
    (tmp_path / "tree").symlink_to(bundle)
    monkeypatch.setattr(pipeline, "_found", lambda *_arguments: None)
    monkeypatch.setattr(pipeline, "_normalised", lambda *_arguments: (Entry(tmp_path, ""), KNOWN.sources))
    monkeypatch.setattr(pipeline, "_root", lambda *_arguments: tmp_path)
    monkeypatch.setattr(pipeline, "load_policy", lambda _path: policy())
    got: list[object] = []

    def stop(_plan: object, audited: object, known: object, *_others: object) -> None:
        got.extend((audited, known))
        raise BuildError("far enough")

    monkeypatch.setattr(pipeline, "_emit", stop)
    recorder = Recorder()
    with pytest.raises(BuildError, match="far enough"):
        pipeline._emitted(plans.plan("electrum"), Store.open(tmp_path / "store", recorder), Clock(recorder))
    audited, known = got
    assert isinstance(audited, AuditedTree)
    assert audited.digest == content_digest(bundle)
    assert known == KNOWN
    assert [name for name, _detail, _cached in recorder.stages] == ["audit"]
