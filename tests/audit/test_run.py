"""How findings are put together: their order, the policy's exceptions, what is known, what cannot be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from packager import manifest
from packager.audit import audit, errors, failed, known_beside, known_from
from packager.audit.facts import Facts
from packager.audit.model import Hit, Rule
from packager.audit.policy import Exemption, Policy
from packager.audit.rules import RULES
from packager.errors import CheckError, MachineError
from tests import plans
from tests.audit import samples
from tests.audit.samples import EPOCH, examine, pe, policy, write
from tests.pe.build import Dll, Exports


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return samples.sound(tmp_path / "bundle")


def test_findings_are_sorted(bundle: Path) -> None:
    write(bundle, "python/z.dll", pe("b.dll", "a.dll"))
    write(bundle, "python/con", b"", 0o600)
    found = examine(bundle)
    assert [(f.file, f.rule) for f in found] == [
        ("python/con", "file-mode"),
        ("python/con", "file-name"),
        ("python/z.dll", "dll-unresolved"),
        ("python/z.dll", "dll-unresolved"),
    ]
    assert "a.dll" in found[2].message


def test_a_dll_that_is_imported_in_two_ways_is_told_of_once(bundle: Path) -> None:
    write(bundle, "python/a.dll", pe("urlmon.dll", delay=(Dll("URLMON.dll", ("CoInternetGetSession",)),)))
    write(bundle, "python/b.dll", pe("urlmon.dll", delay=(Dll("urlmon.dll", ("CoInternetGetSession",)),)))
    assert [(f.file, f.message) for f in examine(bundle)] == [
        ("python/a.dll", "imports URLMON.dll"),
        ("python/a.dll", "imports urlmon.dll"),
        ("python/b.dll", "imports urlmon.dll"),
    ]


def test_the_historic_failure_is_refused_by_name(bundle: Path) -> None:
    """An interpreter that imports libwinpthread-1.dll and does not ship it exits with c0000135 and prints nothing."""
    interpreter = pe("KERNEL32.dll", "VERSION.dll", "libwinpthread-1.dll", exports=Exports((("Py_Main", None),)))
    write(bundle, "python/python313.dll", interpreter)
    findings = examine(bundle)
    (finding,) = findings
    assert (finding.file, finding.rule) == ("python/python313.dll", "dll-refused")
    assert finding.message == "imports libwinpthread-1.dll"
    assert "c0000135" in finding.reason
    assert "-static" in finding.fix
    error = failed(findings, bundle)
    assert error.exit_code == 1
    assert "python/python313.dll: dll-refused: imports libwinpthread-1.dll (why: Windows does not have it" in str(error)


def test_it_is_refused_without_the_policys_word_too(bundle: Path) -> None:
    write(bundle, "python/python.exe", pe("python313.dll", "libwinpthread-1.dll", dll=False))
    (finding,) = examine(bundle, refused_dlls=())
    assert (finding.file, finding.rule) == ("python/python.exe", "dll-unresolved")
    assert finding.message.startswith("imports libwinpthread-1.dll, which is not in python, and not known")


def test_an_exception_excuses_with_its_reason(bundle: Path) -> None:
    write(bundle, "app/con", b"")
    (finding,) = examine(bundle, exceptions=(Exemption("file-name", "app/*", "a test's"),))
    assert finding.excepted == "a test's"
    assert not finding.is_error
    assert errors((finding,)) == ()
    assert str(finding) == "app/con: note: file-name: the name 'con' is reserved for a device (allowed: a test's)"


@pytest.mark.parametrize("exception", [Exemption("file-mode", "app/*", "x"), Exemption("file-name", "python/*", "x")])
def test_an_exception_is_for_its_rule_and_files_only(bundle: Path, exception: Exemption) -> None:
    write(bundle, "app/con", b"")
    found = examine(bundle, exceptions=(exception,))
    assert [(f.file, f.rule, f.is_error) for f in found] == [
        (".", "unused-exception", True),
        ("app/con", "file-name", True),
    ]


def test_an_exception_that_excuses_nothing_is_a_finding(bundle: Path) -> None:
    stale, elsewhere = Exemption("machine", "python/*.dll", "x"), Exemption("machine", "other/*.dll", "x")
    found = examine(bundle, exceptions=(stale, elsewhere))
    assert [(f.rule, f.severity) for f in found] == [("unused-exception", "note"), ("unused-exception", "error")]
    assert found[1].message == "the policy has an exception from machine for python/*.dll, which excuses nothing"


def test_notes_count_as_errors_where_the_policy_is_strict(bundle: Path) -> None:
    write(bundle, "python/a.dll", pe(exports=Exports((("f", "python313.Nothing"),), base=1)))
    assert [(f.rule, f.severity) for f in examine(bundle)] == [("forwarder", "note")]
    assert [(f.rule, f.severity) for f in examine(bundle, strict=("forwarder",))] == [("forwarder", "error")]


def test_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="expected a folder, found nothing"):
        audit(tmp_path / "x", policy(), EPOCH)
    write(tmp_path, "y", b"")
    with pytest.raises(CheckError, match="expected a folder, found a file"):
        audit(tmp_path / "y", policy(), EPOCH)


def test_what_cannot_be_read_is_said(bundle: Path) -> None:
    """Root may read everything, so a file that goes away meanwhile stands for one that it may not."""

    def remove(facts: Facts, _policy: Policy) -> Iterator[Hit]:
        (facts.tree / "app/electrum/readme.txt").unlink()
        yield from ()

    rules = [Rule("file-name", "", "", "", remove), *(rule for rule in RULES if rule.name == "forbidden-text")]
    with pytest.raises(MachineError, match=r"readme\.txt: expected to read it, found: No such file or directory"):
        audit(bundle, policy(), EPOCH, rules=rules)


def test_names_that_are_not_text_are_shown_as_escapes(bundle: Path) -> None:
    write(bundle, os.fsdecode(b"app/\xff\x1b[31m\n"), b"")
    assert [str(f).partition(": ")[0] for f in examine(bundle)] == [r"app/\xff\x1b[31m\n"]


def test_what_the_manifest_beside_a_bundle_says(tmp_path: Path) -> None:
    folder = tmp_path / "x-1"
    folder.mkdir()
    assert known_beside(folder) is None
    described = plans.described(plans.plan("electrum"))
    (tmp_path / "x-1.manifest.json").write_bytes(manifest.encode(described))
    known = known_beside(folder)
    assert known == known_from(described)
    assert known is not None
    assert known.epoch == described.epoch
    assert known.provenance["app/electrum/x"] == "electrum"
    assert {source.name for source in known.sources} == {source.name for source in described.sources}


def test_the_manifest_is_found_from_inside_the_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "x-1"
    folder.mkdir()
    (tmp_path / "x-1.manifest.json").write_bytes(manifest.encode(plans.described(plans.plan("electrum"))))
    monkeypatch.chdir(folder)
    assert known_beside(Path(".")) is not None


def test_a_broken_manifest_is_said(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x.manifest.json").write_text("{}")
    with pytest.raises(CheckError, match=r"x\.manifest\.json: not a bundle's manifest: "):
        known_beside(tmp_path / "x")
