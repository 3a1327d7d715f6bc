"""Keys of the store: a sha256 over everything that goes into a result, written canonically."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from packager.trees import content_digest, file_sha256

#: How the store tells that a result is as it was made: by reading all of it, or by its files' names, sizes and times.
Check = Literal["content", "stat"]


@dataclass(frozen=True, slots=True)
class Key:
    """What a result is (``kind``, ``name``) and all that went into it, as a document of plain values.

    ``check`` goes with the kind of result, and is no part of the document: a root of a Debian is too large to be read
    in every run.
    """

    kind: str
    name: str
    inputs: Mapping[str, Any]
    check: Check = "content"

    @property
    def document(self) -> str:
        """The canonical text that is hashed, and kept beside the result for people to compare."""
        return json.dumps(
            {"kind": self.kind, "name": self.name, "inputs": msgspec.to_builtins(dict(self.inputs))},
            sort_keys=True,
            indent=1,
            ensure_ascii=True,
        )

    @property
    def digest(self) -> str:
        """64 hex digits."""
        return hashlib.sha256(self.document.encode("ascii")).hexdigest()

    @property
    def folder(self) -> str:
        """The name of the result's folder in the store."""
        return f"{self.kind}-{self.name}-{self.digest[:24]}"


def path_digest(path: Path) -> str:
    """The digest of a file's or folder's content."""
    return content_digest(path, skip=_is_cache) if path.is_dir() else file_sha256(path)


def code_digest(*modules: str) -> str:
    """A digest of the named modules' source: a stage whose own code changed makes its results anew."""
    total = hashlib.sha256()
    for name in sorted(modules):
        source = importlib.util.find_spec(name)
        if source is None or source.origin is None:
            raise AssertionError(f"no such module: {name}")
        total.update(f"{name} {file_sha256(Path(source.origin))}\n".encode())
    return total.hexdigest()


def _is_cache(path: str) -> bool:
    return "__pycache__" in path.split("/")
