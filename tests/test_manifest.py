"""Manifests know every file; their published schema and the reader agree."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from packager import manifest
from packager.errors import BuildError
from packager.formats import stored
from tests import plans
from tests.support import write

SCHEMA = json.loads((plans.ROOT / "docs/schema/manifest.schema.json").read_text("utf-8"))
HEAD = {"name": "n", "version": "1", "target": "windows-x86_64", "epoch": 1735689600}
SOURCE = manifest.SourceRecord(
    name="s", version="1", kind="component", licence="MIT", purl="pkg:generic/s@1", digest=f"sha256:{'0' * 64}"
)


def tree(top: Path) -> Path:
    for name in ("b.txt", "a/x.exe", "a/y.dll"):
        write(top / name, name * 100)
    return top


def example(tmp_path: Path) -> manifest.Manifest:
    provenance = {"a/x.exe": "s", "a/y.dll": "s", "b.txt": "s"}
    return manifest.describe(tree(tmp_path), provenance, [SOURCE], **HEAD)


def test_a_manifest_knows_every_file(tmp_path: Path) -> None:
    found = example(tmp_path)
    assert [f.path for f in found.files] == ["a/x.exe", "a/y.dll", "b.txt"]
    assert [f.mode for f in found.files] == ["0755", "0644", "0644"]
    assert {f.licence for f in found.files} == {"MIT"}
    assert manifest.decode(manifest.encode(found), "m") == found
    with pytest.raises(BuildError, match=r"b\.txt: no source is known"):
        manifest.describe(tmp_path, {"a/x.exe": "s", "a/y.dll": "s"}, [SOURCE], **HEAD)


def test_what_is_in_a_zip_archive_is_listed(tmp_path: Path) -> None:
    members = {"b.pyc": b"12", "a/é.pyc": b""}
    write(tmp_path / "x.zip", stored.pack(members, HEAD["epoch"]))  # type: ignore[arg-type]
    write(tmp_path / "broken.zip", stored.pack(members, HEAD["epoch"])[:-1])  # type: ignore[arg-type]
    write(tmp_path / "text", b"PK\3")
    provenance = dict.fromkeys(("broken.zip", "text", "x.zip"), "s")
    found = manifest.describe(tmp_path, provenance, [SOURCE], **HEAD)
    by_path = {file.path: file.members for file in found.files}
    assert [(member.path, member.size, member.sha256) for member in by_path["x.zip"]] == [
        (name, len(data), hashlib.sha256(data).hexdigest()) for name, data in sorted(members.items())
    ]
    assert by_path["broken.zip"] == by_path["text"] == ()
    document = json.loads(manifest.encode(found))
    assert [file["path"] for file in document["files"] if "members" in file] == ["x.zip"]
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    assert manifest.decode(manifest.encode(found), "m") == found


def test_what_is_no_manifest_is_refused() -> None:
    with pytest.raises(BuildError, match="m: not a bundle's manifest"):
        manifest.decode(b"{}", "m")


def test_the_published_schemas_are_those_of_the_types() -> None:
    script = plans.ROOT / "scripts/make-schemas"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_manifests_suit_the_schema(tmp_path: Path) -> None:
    for found in (
        example(tmp_path),
        plans.described(plans.plan("electrum")),
        plans.described(plans.plan("electrum-nmc")),
    ):
        jsonschema.validate(json.loads(manifest.encode(found)), SCHEMA, jsonschema.Draft202012Validator)


def change(*path: str | int, value: Any) -> Callable[[Any], None]:
    def apply(document: Any) -> None:
        for part in path[:-1]:
            document = document[part]
        document[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    "spoil",
    [
        change("format", value=2),
        change("epoch", value=-1),
        change("files", 0, "path", value="/etc/passwd"),
        change("files", 0, "path", value="a/../../b"),
        change("files", 0, "path", value=""),
        change("files", 0, "sha256", value="0" * 63),
        change("files", 0, "sha256", value="A" * 64),
        change("files", 0, "size", value=-1),
        change("files", 0, "size", value="1"),
        change("files", 0, "mode", value="rwx"),
        change("sources", 0, "kind", value="thing"),
        change("sources", 0, "purl", value="generic/s@1"),
        change("sources", 0, "digest", value="md5:0"),
        lambda document: document.pop("sources"),
        lambda document: document["files"][0].pop("source"),
    ],
)
def test_schema_and_reader_refuse_the_same(tmp_path: Path, spoil: Callable[[Any], None]) -> None:
    document = json.loads(manifest.encode(example(tmp_path)))
    spoil(document)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)
    with pytest.raises(BuildError, match="m: not a bundle's manifest"):
        manifest.decode(json.dumps(document).encode(), "m")
