"""Small statements about bundles that were never built."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from packager import provenance
from tests.support import write

TITLE = "wallet-1.0-windows-x86_64"
CONTENT = {f"{TITLE}{suffix}": f"content of {suffix}" for suffix in (".manifest.json", ".tar.zst", ".zip", ".cdx.json")}


def made(
    content: Mapping[str, str] = CONTENT, *, recipe: str = "0" * 64, packager: str = "1.0", epoch: int = 1735689600
) -> provenance.Statement:
    """A statement about files with this content."""
    return provenance.Statement(
        type="https://in-toto.io/Statement/v1",
        subject=tuple(
            provenance.Subject(
                name=name, digest=provenance.Sha256Digest(sha256=hashlib.sha256(text.encode()).hexdigest())
            )
            for name, text in content.items()
        ),
        predicate_type="https://slsa.dev/provenance/v1",
        predicate=provenance.Predicate(
            build_definition=provenance.BuildDefinition(
                build_type="urn:electrum-packager:build:1",
                external_parameters=provenance.ExternalParameters(
                    spec="bundle_specs/wallet.toml", target="windows-x86_64", epoch=epoch
                ),
                internal_parameters=provenance.InternalParameters(packager=packager, recipe=recipe),
                resolved_dependencies=(provenance.Dependency(name="zlib", digest={"sha256": "1" * 64}),),
            ),
            run_details=provenance.RunDetails(builder=provenance.Builder(id=provenance.BUILDER, version={})),
        ),
    )


def bundle(folder: Path, content: Mapping[str, str] = CONTENT) -> Path:
    """An output folder with these files and the statement about them, whose path is returned."""
    for name, text in content.items():
        write(folder / name, text)
    return write(folder / f"{TITLE}.intoto.json", provenance.encode(made(content)))
