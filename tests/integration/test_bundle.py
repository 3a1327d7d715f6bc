"""What a finished bundle is, looked at from outside."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import tarfile
import zipfile
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pefile
import pytest
import zstandard
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from packager import attest, manifest, provenance, trees
from packager.agreement import agree, at_hand
from packager.normalise import is_pe
from tests.integration.conftest import LIBRARIES, ROOT, BuiltBundle, packager

MODULES = [
    "_asyncio",
    "_bz2",
    "_ctypes",
    "_decimal",
    "_elementtree",
    "_hashlib",
    "_lzma",
    "_multiprocessing",
    "_overlapped",
    "_queue",
    "_socket",
    "_sqlite3",
    "_ssl",
    "_uuid",
    "_zoneinfo",
    "pyexpat",
    "select",
    "unicodedata",
    "winsound",
    "zlib",
]


def pe_files(bundle: BuiltBundle) -> list[Path]:
    return [node.absolute for node in trees.files(bundle.folder) if is_pe(node.absolute)]


def test_the_sums_are_those_of_the_lock(bundle: BuiltBundle) -> None:
    assert bundle.document["lock"] == "match"


def test_sha256sum_agrees(bundle: BuiltBundle) -> None:
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=bundle.out, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout
    assert f"{bundle.folder.name}.tar.zst: OK" in done.stdout.decode()


def test_the_manifest_has_every_file(bundle: BuiltBundle) -> None:
    path = bundle.out / f"{bundle.folder.name}.manifest.json"
    described = manifest.decode(path.read_bytes(), str(path))
    assert [file.path for file in described.files] == sorted(node.path for node in trees.files(bundle.folder))
    for file in described.files:
        data = (bundle.folder / file.path).read_bytes()
        assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest()), file.path
        assert file.licence
    names = {source.name for source in described.sources}
    assert {"cpython", "openssl", "zlib", "sqlite", "launcher", "mingw-w64-runtime"} <= names


def test_every_source_has_its_licence_text(bundle: BuiltBundle) -> None:
    path = bundle.out / f"{bundle.folder.name}.manifest.json"
    for source in manifest.decode(path.read_bytes(), str(path)).sources:
        texts = list((bundle.folder / bundle.layout.licence_folder(source.name)).rglob("*"))
        assert any(text.is_file() and text.stat().st_size > 100 for text in texts), source.name


def beside(bundle: BuiltBundle, suffix: str) -> bytes:
    """One of the files that go out with a bundle."""
    return (bundle.out / f"{bundle.folder.name}{suffix}").read_bytes()


@pytest.mark.parametrize(("suffix", "schema"), [(manifest.SUFFIX, "manifest"), (provenance.SUFFIX, "provenance")])
def test_what_goes_out_suits_its_published_schema(bundle: BuiltBundle, suffix: str, schema: str) -> None:
    published = json.loads((ROOT / f"docs/schema/{schema}.schema.json").read_text("utf-8"))
    jsonschema.validate(json.loads(beside(bundle, suffix)), published, jsonschema.Draft202012Validator)


def test_the_sbom_is_valid_and_knows_everything_that_is_shipped(bundle: BuiltBundle) -> None:
    data = beside(bundle, ".cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    described = manifest.decode(beside(bundle, manifest.SUFFIX), "manifest")
    document = json.loads(data)
    found = {item["name"]: item for item in document["components"]}
    assert set(found) == {source.name for source in described.sources}
    for source in described.sources:
        item = found[source.name]
        assert item["version"] == source.version
        assert item["purl"]
        assert item["licenses"]
        assert item["hashes"]
        assert item["externalReferences"], source.name
        count = sum(file.source == source.name for file in described.files)
        assert {"name": "electrum-packager:files", "value": str(count)} in item["properties"]
    for reference in document["metadata"]["component"]["externalReferences"]:
        assert reference["hashes"][0]["content"] == bundle.document["files"][reference["url"]]["sha256"]


def test_attestations_of_the_bundle_agree(bundle: BuiltBundle, tmp_path: Path) -> None:
    statement = bundle.out / f"{bundle.folder.name}{provenance.SUFFIX}"
    products = provenance.decode(statement.read_bytes(), statement.name).products
    files = {name: file["sha256"] for name, file in bundle.document["files"].items() if name != statement.name}
    assert products == files
    for name in ("one.pem", "two.pem"):
        attest.new_key(tmp_path / name)
        attest.attest(statement, tmp_path / name, tmp_path / "attestations")
    found = agree(tmp_path / "attestations", threshold=2, products=at_hand(bundle.out / name for name in products))
    assert [(outcome.title, outcome.notes) for outcome in found.bundles] == [(bundle.folder.name, ())]


def test_archives_hold_the_folder(bundle: BuiltBundle) -> None:
    prefix = f"{bundle.folder.name}/" if bundle.layout.wrapped else ""
    wanted = {prefix + node.path: node.absolute for node in trees.files(bundle.folder)}
    packed = (bundle.out / f"{bundle.folder.name}.tar.zst").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(zstandard.ZstdDecompressor().decompressobj().decompress(packed))) as tar:
        members = [member for member in tar if member.isfile()]
        assert sorted(member.name for member in members) == sorted(wanted)
        for member in members:
            stream = tar.extractfile(member)
            assert stream is not None
            assert stream.read() == wanted[member.name].read_bytes(), member.name
    with zipfile.ZipFile(bundle.out / f"{bundle.folder.name}.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == sorted(wanted)


@pytest.mark.parametrize(("name", "most"), [("electrum", 20_000_000), ("electrum_nmc", 9_000_000)])
def test_the_archive_is_small_enough(name: str, most: int, request: pytest.FixtureRequest) -> None:
    bundle: BuiltBundle = request.getfixturevalue(name)
    assert (bundle.out / f"{bundle.folder.name}.tar.zst").stat().st_size <= most


def test_the_interpreter_is_whole(electrum: BuiltBundle) -> None:
    python = electrum.folder / "python"
    for name in ("python.exe", "pythonw.exe", "python313.dll", "python3.dll", "python313._pth"):
        assert (python / name).is_file(), name
    code = f"import sys, importlib; [importlib.import_module(m) for m in {MODULES!r}]; print(sys.version)"
    version = electrum.output("-c", code, python=True)
    assert version.startswith("3.13.5 (")
    assert "Jan  1 2025, 00:00:00" in version


def test_imports_are_the_bundle_s_or_windows_own(bundle: BuiltBundle) -> None:
    assert packager("audit", bundle.folder).returncode == 0
    for path in pe_files(bundle):
        assert b"libwinpthread" not in path.read_bytes().lower(), path
        assert b"libgcc_s" not in path.read_bytes().lower(), path


def test_stamps_and_checksums_are_normalised(bundle: BuiltBundle) -> None:
    done = packager("normalise", "--check", bundle.folder)
    assert done.returncode == 0, done.stdout
    for path in pe_files(bundle):
        pe = pefile.PE(str(path), fast_load=True)
        assert pe.verify_checksum(), path
        assert pe.FILE_HEADER.TimeDateStamp == 1735689600, path
        pe.close()


def resources(path: Path) -> set[str]:
    pe = pefile.PE(str(path), fast_load=True)
    pe.parse_data_directories(directories=[pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_RESOURCE"]])
    entries = getattr(pe, "DIRECTORY_ENTRY_RESOURCE", None)
    found = {pefile.RESOURCE_TYPE.get(entry.id) for entry in entries.entries} if entries is not None else set()
    pe.close()
    return {str(kind) for kind in found}


def test_programs_and_libraries_have_version_icon_and_manifest(electrum: BuiltBundle) -> None:
    python = electrum.folder / "python"
    own = [path for path in pe_files(electrum) if path.parent in (electrum.folder, python, python / "DLLs")]
    assert len(own) > 20
    for path in own:
        found = resources(path)
        assert "RT_VERSION" in found, path
        assert "RT_GROUP_ICON" in found or path.name in LIBRARIES, path  # which are not CPython's
        if path.suffix == ".exe":
            assert "RT_MANIFEST" in found, path
            text = path.read_bytes()
            for word in (b"longPathAware", b"UTF-8", b"{8e0f7a12-bfb3-4fe8-b9a5-48fd50a15a9a}"):
                assert word in text, (path, word)


def test_there_is_no_source_and_no_build_path(bundle: BuiltBundle) -> None:
    for node in trees.files(bundle.folder):
        assert not node.path.endswith(".py") or node.path.startswith(f"{bundle.layout.licences}/"), node.path
        if node.path.endswith(".pyc"):
            data = node.absolute.read_bytes()
            assert data[4:8] == b"\x01\0\0\0", f"{node.path}: not an unchecked-hash .pyc"
            assert b"/build/src" not in data, node.path
            assert b"/build/out" not in data, node.path


def test_native_code_is_ours(bundle: BuiltBundle) -> None:
    path = bundle.out / f"{bundle.folder.name}.manifest.json"
    origin = {file.path: file.source for file in manifest.decode(path.read_bytes(), str(path)).files}
    sources = {origin[p.relative_to(bundle.folder).as_posix()] for p in pe_files(bundle)}
    assert sources <= {"cpython", "libsecp256k1", "pycryptodomex", "launcher"}


def test_names_suit_windows(bundle: BuiltBundle) -> None:
    paths = [node.path for node in trees.walk(bundle.folder)]
    assert len({path.lower() for path in paths}) == len(paths)
    assert max(map(len, paths)) <= 200
    assert not [path for path in paths if re.search(r'[<>:"\\|?*]|[. ]($|/)', path)]
