"""SBOMs are valid CycloneDX 1.6, complete, and the same wherever they are written."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.licenses import canonicalize_license_expression

from packager import __version__, manifest, materials, pipeline, sbom, trees
from packager.errors import BuildError
from packager.layout import TOR_BROWSER
from tests import plans

HASHES = {"SHA-1": 40, "SHA-256": 64}


@pytest.fixture(params=plans.SPECS)
def plan(request: pytest.FixtureRequest) -> pipeline.Plan:
    return plans.plan(request.param)


@pytest.fixture
def document(plan: pipeline.Plan, tmp_path: Path) -> Any:
    return json.loads(plans.bill(plan, plans.build_root(tmp_path, plan)))


def component(document: Any, name: str) -> Any:
    return next(item for item in document["components"] if item["name"] == name)


def properties(item: Any, name: str) -> list[str]:
    return [found["value"] for found in item["properties"] if found["name"] == f"electrum-packager:{name}"]


def test_it_is_valid(plan: pipeline.Plan, tmp_path: Path) -> None:
    text = plans.bill(plan, plans.build_root(tmp_path, plan)).decode("ascii")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert text.endswith("}\n")


def test_every_component_has_version_purl_licence_hash_and_source(plan: pipeline.Plan, document: Any) -> None:
    records = {record.name: record for record in plans.described(plan).sources}
    assert {item["name"] for item in document["components"]} == set(records)
    for item in [document["metadata"]["component"], *document["components"]]:
        name = item["name"]
        assert item["version"], name
        assert PackageURL.from_string(item["purl"]).to_string() == item["purl"], name
        licence = item["licenses"][0]
        expression = licence.get("expression") or licence["license"]["id"]
        assert canonicalize_license_expression(expression) == expression, name
        for digest in item["hashes"]:
            assert len(digest["content"]) == HASHES[digest["alg"]], name
        assert item["hashes"], name
        assert item["externalReferences"], name
    for item in document["components"]:
        assert properties(item, "files") == ["2"], item["name"]
        assert properties(item, "kind") == [records[item["name"]].kind]
        assert properties(item, "digest") == [records[item["name"]].digest]


def test_the_bundle_is_named_with_what_goes_out(plan: pipeline.Plan, document: Any) -> None:
    bundle = document["metadata"]["component"]
    assert (bundle["name"], bundle["version"]) == (plan.bundle.name, plan.bundle.version)
    assert bundle["purl"] == f"pkg:generic/{plan.bundle.name}@{plan.bundle.version}?arch=x86_64&os=windows"
    assert bundle["bom-ref"] == plan.title
    references = {item["url"]: item["hashes"][0]["content"] for item in bundle["externalReferences"]}
    assert references == plans.products(plan)
    assert bundle["hashes"] == [{"alg": "SHA-256", "content": plans.products(plan)[f"{plan.title}.tar.zst"]}]
    assert document["metadata"]["timestamp"] == "2025-01-01T00:00:00+00:00"
    assert [tool["version"] for tool in document["metadata"]["tools"]["components"]] == [__version__]


def test_the_bundle_is_under_all_licences_of_its_parts(document: Any) -> None:
    terms = document["metadata"]["component"]["licenses"][0]["expression"].split(" AND ")
    assert terms == sorted(set(terms))
    assert {"GPL-3.0-or-later", "MIT", "Python-2.0", "BSD-3-Clause", "Apache-2.0", "blessing"} <= set(terms)


def test_sources_are_where_specs_say(document: Any) -> None:
    found = {name: component(document, name)["externalReferences"] for name in ("openssl", "certifi", "gcc-runtime")}
    digest = [{"alg": "SHA-256", "content": "a8c0d28a529ca480f9f36cf5792e2cd21984552a3c8e4aa11a24aa31aeac98e8"}]
    url = "https://github.com/openssl/openssl/releases/download/openssl-3.5.7/openssl-3.5.7.tar.gz"
    assert sorted(found["openssl"], key=lambda item: str(item["url"])) == [
        {"type": "source-distribution", "url": url, "comment": "openssl-3.5.7.tar.gz", "hashes": digest},
        {
            "type": "source-distribution",
            "url": "pkg:deb/debian/openssl?arch=source&distro=trixie",
            "comment": "openssl_3.5.7.orig.tar.gz",
            "hashes": digest,
        },
    ]
    assert [item["type"] for item in found["certifi"]] == ["distribution"]
    assert found["certifi"][0]["url"].startswith("pkg:pypi/certifi@")
    assert [item["type"] for item in found["gcc-runtime"]] == ["distribution"]
    assert found["gcc-runtime"][0]["url"].startswith("pkg:deb/debian/gcc-mingw-w64-ucrt64-runtime@")


def test_a_git_source_is_bound_by_its_commit(tmp_path: Path) -> None:
    plan = plans.plan("electrum-nmc")
    item = component(json.loads(plans.bill(plan, plans.build_root(tmp_path, plan))), "electrum-nmc")
    commit = plan.bundle.source.commit
    assert item["hashes"] == [{"alg": "SHA-1", "content": commit}]
    assert item["swhid"] == [f"swh:1:rev:{commit}"]
    assert item["externalReferences"] == [
        {"type": "vcs", "url": "https://github.com/namecoin/electrum-nmc.git", "comment": f"commit {commit}"}
    ]


def test_patches_are_listed(document: Any) -> None:
    cpython = component(document, "cpython")
    names = [patch["diff"]["url"] for patch in cpython["pedigree"]["patches"]]
    assert names == sorted(
        path.relative_to(plans.ROOT).as_posix() for path in plans.ROOT.glob("patches/cpython/*.patch")
    )
    assert [line.partition(" ")[0] for line in properties(cpython, "patch")] == names
    for line in properties(cpython, "patch"):
        path, _, digest = line.partition(" ")
        assert digest == f"sha256:{trees.file_sha256(plans.ROOT / path)}"
    assert properties(cpython, "overlay")[0].startswith("patches/cpython/overlay dirHash:")
    assert "pedigree" not in component(document, "zlib")


def test_the_graph(plan: pipeline.Plan, document: Any) -> None:
    graph = {item["ref"]: set(item.get("dependsOn", ())) for item in document["dependencies"]}
    names = {item["name"] for item in document["components"]}
    assert graph[plan.title] == names
    runtime = {"gcc-runtime", "mingw-w64-runtime"}
    assert graph["cpython"] == {"bzip2", "libffi", "openssl", "sqlite", "xz", "zlib"} | runtime
    assert graph["launcher"] == graph["libsecp256k1"] == runtime
    assert graph["certifi"] == graph[plan.bundle.name] == {"cpython"}
    assert "certifi" in document["compositions"][0]["dependencies"]
    assert document["compositions"][0]["aggregate"] == "incomplete"


def test_it_is_the_same_in_another_process(tmp_path: Path) -> None:
    plan = plans.plan("electrum")
    here = plans.bill(plan, plans.build_root(tmp_path, plan))
    code = f"import sys; from pathlib import Path; from tests import plans; sys.stdout.buffer.write(plans.bill(plans.plan('electrum'), Path({str(tmp_path)!r})))"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": "Asia/Tokyo", "LC_ALL": "C"}
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=plans.ROOT, env=environment, capture_output=True, check=True
        )
        assert done.stdout == here


def test_the_serial_number_follows_the_content(tmp_path: Path) -> None:
    plan = plans.plan("electrum")
    root = plans.build_root(tmp_path, plan)
    first = json.loads(plans.bill(plan, root))["serialNumber"]
    changed = sbom.describe(
        plans.described(plan), plans.material(plan, root), {**plans.products(plan), f"{plan.title}.zip": "0" * 64},
        interpreter="cpython", description="x",
    )  # fmt: skip
    assert json.loads(plans.bill(plan, root))["serialNumber"] == first
    assert json.loads(changed)["serialNumber"] != first


def relicensed(name: str, licence: str, root: Path) -> tuple[manifest.Manifest, list[materials.Material]]:
    plan = plans.plan("electrum")
    found = plans.material(plan, plans.build_root(root, plan))
    return plans.described(plan), [
        dataclasses.replace(item, record=msgspec.structs.replace(item.record, licence=licence))
        if item.record.name == name
        else item
        for item in found
    ]


@pytest.mark.parametrize("licence", ["UNKNOWN", "NOASSERTION", "MIT Licence", "LicenseRef-unknown", "", "MIT AND"])
def test_an_unknown_licence_is_an_error(tmp_path: Path, licence: str) -> None:
    described, found = relicensed("zlib", licence, tmp_path)
    with pytest.raises(BuildError, match="zlib: expected the licence as an SPDX expression, found") as caught:
        sbom.check(described, found)
    assert "correct `licence` in bundle_specs/components/zlib.toml" in str(caught.value.hint)
    assert repr(licence) in caught.value.message


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("electrum", "bundle_specs/electrum.toml"),
        ("attrs", "a [[dependencies.override]] of attrs in bundle_specs/electrum.toml"),
        ("gcc-runtime", "a [[runtime]] in bundle_specs/toolchains/trixie-ucrt64.toml"),
    ],
)
def test_the_error_says_which_spec_to_correct(tmp_path: Path, name: str, where: str) -> None:
    described, found = relicensed(name, "unclear", tmp_path)
    with pytest.raises(BuildError) as caught:
        sbom.check(described, found)
    assert where in str(caught.value.hint)


def test_a_licence_that_spdx_does_not_list_has_a_name_of_its_own(tmp_path: Path) -> None:
    described, found = relicensed("zlib", "LicenseRef-own OR mit", tmp_path)
    sbom.check(described, found)
    assert sbom.canonical_licence(next(item for item in found if item.record.name == "zlib")) == "LicenseRef-own OR MIT"


@pytest.mark.parametrize("size", [None, 0])
def test_a_source_without_licence_text_is_an_error(tmp_path: Path, size: int | None) -> None:
    plan = plans.plan("electrum")
    described = plans.described(plan)
    files = [
        msgspec.structs.replace(file, size=size) if size is not None and file.path == "licenses/zlib/x" else file
        for file in described.files
        if size is not None or file.path != "licenses/zlib/x"
    ]
    with pytest.raises(
        BuildError, match=r"zlib: expected a licence text in licenses/zlib/ of the bundle, found none"
    ) as caught:
        sbom.check(
            msgspec.structs.replace(described, files=tuple(files)),
            plans.material(plan, plans.build_root(tmp_path, plan)),
        )
    assert "licence_files" in str(caught.value.hint)


def test_licence_texts_are_where_the_layout_has_them(tmp_path: Path) -> None:
    plan = plans.plan("electrum")
    described = plans.described(plan)
    files = tuple(msgspec.structs.replace(file, path=TOR_BROWSER.place(file.path)) for file in described.files)
    moved = msgspec.structs.replace(described, files=files)
    found = plans.material(plan, plans.build_root(tmp_path, plan))
    bill = json.loads(
        sbom.describe(moved, found, plans.products(plan), interpreter=plan.bundle.interpreter, description="x")
    )
    texts = {
        component["name"]: item["value"]
        for component in bill["components"]
        for item in component["properties"]
        if item["name"] == "electrum-packager:licence-texts"
    }
    assert texts["zlib"] == "Browser/TorBrowser/Docs/Licenses/Namecoin/zlib/"
    lacking = tuple(file for file in files if not file.path.startswith(texts["zlib"]))
    with pytest.raises(
        BuildError, match="zlib: expected a licence text in Browser/TorBrowser/Docs/Licenses/Namecoin/zlib/"
    ):
        sbom.check(msgspec.structs.replace(moved, files=lacking), found)


def test_a_package_url_that_is_none_is_an_error(tmp_path: Path) -> None:
    plan = plans.plan("electrum")
    found = [
        dataclasses.replace(item, record=msgspec.structs.replace(item.record, purl="pkg:zlib"))
        if item.record.name == "zlib"
        else item
        for item in plans.material(plan, plans.build_root(tmp_path, plan))
    ]
    with pytest.raises(BuildError, match="zlib: expected a package URL, found 'pkg:zlib'"):
        sbom.describe(plans.described(plan), found, plans.products(plan), interpreter="cpython", description="x")


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        (["MIT", "MIT"], "MIT"),
        (["MIT AND Zlib", "MIT"], "MIT AND Zlib"),
        (["MIT OR Zlib", "ISC"], "(MIT OR Zlib) AND ISC"),
        (["MIT AND (Zlib OR ISC)", "ISC"], "(MIT AND (Zlib OR ISC)) AND ISC"),
    ],
)
def test_licences_together(licences: list[str], expected: str) -> None:
    assert sbom.combined(licences) == expected
    assert canonicalize_license_expression(expected) == expected
