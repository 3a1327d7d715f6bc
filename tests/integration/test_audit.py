"""The audit on real files: the bundles pass, the interpreter that did not start is refused, SARIF is what OASIS says."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from packager.audit import Finding, audit, errors, known_beside, load_policy, pass_or_fail, sarif
from packager.errors import CheckError, SourceError
from packager.normalise import Options, normalise_file
from packager.progress import Silent
from packager.sources.fetch import fetch
from packager.sources.store import SourceStore
from packager.specs import model
from packager.specs.load import find_project, policy_path
from tests.audit import samples
from tests.audit.test_rules import CASES, Case
from tests.integration import programs
from tests.integration.conftest import ROOT, BuiltBundle

#: An interpreter with a thread, which with MinGW's default way of linking needs a DLL that Windows does not have.
THREAD = """
#include <pthread.h>
static void *run(void *argument) { return argument; }
extern int Py_Main(int, wchar_t **);
int main(int count, char **arguments)
{
    pthread_t thread;
    return pthread_create(&thread, NULL, run, NULL) || pthread_join(thread, NULL) || (count > 9 && Py_Main(0, NULL));
}
"""
BUILD = """
python3 load_rules.py source --flags 0xA00 > rules.s
printf 'EXPORTS\nPy_Main\n' > python.def
$TRIPLET-dlltool --input-def python.def --dllname python313.dll --output-lib python.a
$TRIPLET-gcc -O2 thread.c rules.s python.a -o /build/out/shared.exe ${LDFLAGS//-static/} -pthread
$TRIPLET-gcc $CFLAGS thread.c rules.s python.a -o /build/out/static.exe $LDFLAGS -pthread
python3 load_rules.py settle /build/out/*.exe
"""
#: The source distribution of a package that has the official schema beside its code.
SARIF = model.PypiOrigin(name="sarif-pydantic", version="0.6.2", file="sarif_pydantic-0.6.2.tar.gz")
SARIF_SHA256 = "634df2784533fcac8e86f0c60a0e45ead1d35452dc2331d32596275595906e7f"


def audited(folder: Path) -> tuple[Finding, ...]:
    known = known_beside(folder)
    assert known is not None
    assert known.epoch is not None
    return audit(folder, load_policy(policy_path(find_project(ROOT), "windows")), known.epoch, known)


def test_the_bundles_pass_without_an_exception(bundle: BuiltBundle) -> None:
    findings = audited(bundle.folder)
    assert [str(finding) for finding in findings if finding.severity == "error"] == []
    # One policy is for all: the smaller a bundle, the less of what is allowed it uses.
    assert {finding.rule for finding in findings} <= {"control-flow-guard", "forwarder", "unused-allowance"}


@pytest.fixture(scope="module")
def threads(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return programs.compile_programs(
        store,
        [ROOT / "packager/data/load_rules.py"],
        {"thread.c": THREAD},
        BUILD,
        tmp_path_factory.mktemp("threads") / "work",
    )


@pytest.mark.parametrize(("how", "is_found"), [("shared", True), ("static", False)])
def test_an_interpreter_that_needs_libwinpthread_is_refused(
    how: str, is_found: bool, electrum: BuiltBundle, threads: Path, tmp_path: Path
) -> None:
    """It exits at once with c0000135 and prints nothing."""
    copy = tmp_path / electrum.folder.name
    shutil.copytree(electrum.folder, copy)
    manifest = electrum.folder.with_name(f"{copy.name}.manifest.json")
    shutil.copy(manifest, tmp_path)
    known = known_beside(copy)
    assert known is not None
    assert known.epoch is not None
    python = copy / "python/python.exe"
    shutil.copyfile(threads / f"{how}.exe", python)
    normalise_file(python, Options(known.epoch))
    wrong = errors(audited(copy))
    if not is_found:
        assert wrong == ()
        return
    (finding,) = wrong
    assert (finding.file, finding.rule) == ("python/python.exe", "dll-refused")
    assert finding.message == "imports libwinpthread-1.dll"
    assert "c0000135" in finding.reason
    policy = load_policy(policy_path(find_project(ROOT), "windows"))
    with pytest.raises(CheckError) as caught:
        pass_or_fail(copy, policy, known.epoch, known)
    assert "python/python.exe: dll-refused: imports libwinpthread-1.dll" in str(caught.value)
    # Its place beside the program does not make it Windows' own.
    shutil.copyfile(threads / "static.exe", copy / "python/libwinpthread-1.dll")
    assert {finding.rule for finding in errors(audited(copy))} >= {"dll-refused"}


@pytest.fixture(scope="module")
def official_schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("sarif")
    source = model.Source(file=SARIF.file, sha256=SARIF_SHA256, origins=(SARIF,))
    try:
        got = fetch(source, store=SourceStore(folder / "store"), keyrings=ROOT, reporter=Silent(), offline=False)
    except SourceError as exc:
        pytest.skip(f"the package with SARIF's official schema cannot be had: {exc.message}")
    with tarfile.open(got.path) as archive:
        stream = archive.extractfile("sarif_pydantic-0.6.2/sarif-schema-2.1.0.json")
        assert stream is not None
        schema = json.load(stream)
    assert schema["title"] == "Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema"
    return schema


def valid(findings: tuple[Finding, ...], schema: Any) -> None:
    validator = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    log = json.loads(sarif.encode(findings))
    assert [error.message for error in validator.iter_errors(log)] == []
    log["runs"][0]["results"].append({"ruleId": 1})
    assert len(list(validator.iter_errors(log))) > 0, "the schema does find something"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_logs_suit_the_official_schema(case: Case, official_schema: Any, tmp_path: Path) -> None:
    bundle = samples.sound(tmp_path / "bundle")
    case.spoil(bundle)
    findings = samples.examine(bundle, **case.policy)
    valid(findings, official_schema)


def test_a_bundles_log_suits_the_official_schema(bundle: BuiltBundle, official_schema: Any) -> None:
    valid(audited(bundle.folder), official_schema)
