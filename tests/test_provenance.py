"""Statements are in-toto's and SLSA's, complete, and the same for everybody who builds the same."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from packager import __version__, pipeline, provenance
from packager.errors import CheckError
from packager.specs.load import Project
from tests import plans

SCHEMA = json.loads((plans.ROOT / "docs/schema/provenance.schema.json").read_text("utf-8"))


@pytest.fixture(params=plans.SPECS)
def plan(request: pytest.FixtureRequest) -> pipeline.Plan:
    return plans.plan(request.param)


@pytest.fixture
def statement(plan: pipeline.Plan, tmp_path: Path) -> provenance.Statement:
    return plans.statement(plan, plans.build_root(tmp_path, plan))


@pytest.fixture
def document(statement: provenance.Statement) -> Any:
    return json.loads(provenance.encode(statement))


def test_its_form_is_in_toto_s_and_slsa_s(plan: pipeline.Plan, document: Any) -> None:
    assert set(document) == {"_type", "subject", "predicateType", "predicate"}
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    assert set(document["predicate"]) == {"buildDefinition", "runDetails"}
    definition = document["predicate"]["buildDefinition"]
    assert definition["buildType"] == "urn:electrum-packager:build:1"
    assert definition["externalParameters"] == {
        "spec": f"bundle_specs/{plan.bundle.name}.toml",
        "target": "windows-x86_64",
        "epoch": 1735689600,
    }
    assert definition["internalParameters"] == {"packager": __version__, "recipe": plan.emitted_key.digest}
    builder = document["predicate"]["runDetails"]["builder"]
    assert builder == {"id": "urn:electrum-packager:builder:1", "version": {"electrum-packager": __version__}}


def test_the_subjects_are_the_products(plan: pipeline.Plan, statement: provenance.Statement) -> None:
    assert statement.products == plans.products(plan)
    assert statement.title == plan.title


def test_it_suits_its_published_schema(document: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


def test_in_toto_s_own_types_take_it(document: Any) -> None:
    pytest.importorskip("in_toto_attestation", reason="in-toto-attestation is not installed")
    json_format: Any = importlib.import_module("google.protobuf.json_format")
    slsa: Any = importlib.import_module("in_toto_attestation.predicates.provenance.v1.provenance_pb2")
    outer: Any = importlib.import_module("in_toto_attestation.v1.statement")
    inner: Any = importlib.import_module("in_toto_attestation.v1.statement_pb2")
    outer.Statement.copy_from_pb(json_format.ParseDict(document, inner.Statement())).validate()
    json_format.ParseDict(document["predicate"], slsa.Provenance())  # ParseError for a field that is not SLSA's


def test_every_input_is_there_with_its_digest(plan: pipeline.Plan, document: Any) -> None:
    found = document["predicate"]["buildDefinition"]["resolvedDependencies"]
    roles: dict[str, dict[str, Any]] = {}
    for item in found:
        roles.setdefault(item["annotations"]["role"], {})[item["name"]] = item
    assert set(roles) == {"source", "patch", "overlay", "spec", "toolchain"}
    assert set(roles["source"]) == {record.name for record in plans.described(plan).sources}
    patches = [*plan.bundle.application.patches, *(patch for item in plan.components for patch in item.patches)]
    assert set(roles["patch"]) == set(patches)
    assert roles["patch"]["patches/cpython/0007-ipproto-macros.patch"]["annotations"]["for"] == "cpython"
    assert set(roles["spec"]) == {item.path for item in plan.specs}
    assert set(roles["toolchain"]) == set(plan.toolchain_lock.packages) | set(plan.toolchain_lock.upstream)
    for role in ("source", "patch", "overlay", "spec"):
        assert all(item["digest"] for item in roles[role].values()), role
    gcc = roles["toolchain"]["gcc-mingw-w64-ucrt64"]
    assert gcc["annotations"]["version"] == plan.toolchain_lock.packages["gcc-mingw-w64-ucrt64"]
    assert gcc["uri"] == "pkg:deb/debian/gcc-mingw-w64-ucrt64@14.2.0-19%2B27%2Bb1?distro=trixie"
    assert roles["toolchain"]["perl"]["annotations"]["upstreamVersion"] == plan.toolchain_lock.upstream["perl"]
    assert roles["toolchain"]["perl"]["uri"] == "pkg:deb/debian/perl?distro=trixie"


def test_sources_are_named_by_package_url_or_commit(tmp_path: Path) -> None:
    plan = plans.plan("electrum-nmc")
    found = {
        item.name: item
        for item in plans.statement(
            plan, plans.build_root(tmp_path, plan)
        ).predicate.build_definition.resolved_dependencies
    }
    commit = plan.bundle.source.commit
    assert commit is not None
    application = found["electrum-nmc"]
    assert application.uri == f"git+https://github.com/namecoin/electrum-nmc.git@{commit}"
    assert application.digest == {"gitCommit": commit}
    assert application.annotations["purl"] == plan.bundle.purl
    assert found["openssl"].uri == "pkg:generic/openssl@3.5.7"
    assert found["openssl"].download_location is not None
    assert found["openssl"].download_location.startswith("https://github.com/openssl/")
    assert found["zlib"].download_location is None
    assert found["zlib"].annotations["origins"] == ["pkg:deb/debian/zlib?arch=source&distro=trixie"]


def test_where_and_how_it_was_built_is_not_in_it(tmp_path: Path) -> None:
    options = pipeline.Options(target="windows-x86_64", jobs=7, offline=False)
    plan, other = (pipeline.make_plan(Project(plans.ROOT), "electrum", way) for way in (plans.OPTIONS, options))
    root = plans.build_root(tmp_path, plan)
    text = provenance.encode(plans.statement(plan, root))
    assert text == provenance.encode(plans.statement(other, root))
    assert str(plans.ROOT).encode() not in text
    assert str(tmp_path).encode() not in text


def test_it_is_read_again(statement: provenance.Statement) -> None:
    data = provenance.encode(statement)
    assert data.endswith(b"}\n")
    assert data == (json.dumps(json.loads(data), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
    assert provenance.decode(data, "s") == statement


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"_type": "https://in-toto.io/Statement/v0.1"}',
        b"null",
    ],
)
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(CheckError, match="s: expected a statement about a bundle, found something else"):
        provenance.decode(data, "s")


def test_other_statements_are_refused(statement: provenance.Statement) -> None:
    document = json.loads(provenance.encode(statement))
    for path, value in (
        (("predicateType",), "https://slsa.dev/verification_summary/v1"),
        (("predicate", "buildDefinition", "buildType"), "https://example.org/other"),
        (("predicate", "buildDefinition", "externalParameters", "flags"), "-O0"),
        (("subject", 0, "name"), "../../etc/passwd"),
        (("subject", 0, "digest"), {"sha1": "0" * 40}),
        (("subject",), []),
    ):
        changed = json.loads(json.dumps(document))
        part = changed
        for step in path[:-1]:
            part = part[step]
        part[path[-1]] = value
        with pytest.raises(CheckError, match="s: expected a statement"):
            provenance.decode(json.dumps(changed).encode(), "s")
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(changed, SCHEMA, jsonschema.Draft202012Validator)


def test_products_are_named_once_and_have_a_manifest(statement: provenance.Statement) -> None:
    twice = msgspec.structs.replace(statement, subject=(*statement.subject, statement.subject[0]))
    bare = msgspec.structs.replace(
        statement, subject=tuple(item for item in statement.subject if not item.name.endswith(".manifest.json"))
    )
    for changed in (twice, bare):
        with pytest.raises(CheckError, match="s: expected each product once, a manifest among them"):
            provenance.decode(provenance.encode(changed), "s")
