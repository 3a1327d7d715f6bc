"""What people have to decide or look up, read from the TOML files in ``bundle_specs/windows/``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from packager.specs import load
from packager.specs.model import Frozen, Name, NonEmpty, Source

Dll = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*\.[a-z0-9]+$", description="a file name in lower case")]
Pattern = Annotated[
    str, Meta(pattern=r"^[a-z0-9][a-z0-9._?*\[\]-]*\.dll$", description="a shell pattern in lower case")
]
Contract = Annotated[str, Meta(pattern=r"^(api|ext)-[a-z0-9-]+$", description="an API set's name without .dll")]


class Origin(Frozen, frozen=True):
    """One of the sources that the data are made from."""

    name: Name
    version: NonEmpty
    title: NonEmpty
    licence: NonEmpty
    gives: NonEmpty
    source: Source


class Sources(Frozen, frozen=True):
    """``sources.toml``."""

    sources: tuple[Origin, ...]


class Reasoned(Frozen, frozen=True):
    """DLLs and why they are listed."""

    names: Annotated[tuple[Dll, ...], Meta(min_length=1)]
    reason: NonEmpty


class Matching(Frozen, frozen=True):
    """Patterns of DLLs and why they are listed."""

    patterns: Annotated[tuple[Pattern, ...], Meta(min_length=1)]
    reason: NonEmpty


class Host(Frozen, frozen=True):
    """An API set that Wine's schema lacks, and the DLL that has it; empty where that is not known."""

    name: Contract
    host: Annotated[str, Meta(pattern=r"^([a-z0-9][a-z0-9._-]*\.dll)?$", description="a file name in lower case")]
    reason: NonEmpty


class Exported(Frozen, frozen=True):
    """Names that a DLL exports and the sources lack."""

    dll: Dll
    names: Annotated[tuple[NonEmpty, ...], Meta(min_length=1)]
    reason: NonEmpty


class Dlls(Frozen, frozen=True):
    """``dlls.toml``: what Windows has besides what is listed, what it has not, how far the sources can be trusted."""

    also: tuple[Reasoned, ...]
    redistributable: tuple[Matching, ...]
    untrusted_ordinals: tuple[Reasoned, ...]
    closed_ordinals: tuple[Reasoned, ...]
    incomplete: tuple[Matching, ...]
    exports: tuple[Exported, ...]
    api_sets: tuple[Host, ...]


class Known(Frozen, frozen=True):
    """``known-dlls.toml``."""

    known_dlls: tuple[Reasoned, ...]


class Version(Frozen, frozen=True):
    """A version of Windows, and the values of NTDDI_VERSION that stand for it."""

    name: NonEmpty
    ntddi: dict[str, int]


class Dated(Frozen, frozen=True):
    """What came with a version of Windows; ``reason`` where that is not as documented everywhere."""

    since: NonEmpty
    dlls: tuple[Dll, ...] = ()
    api_sets: tuple[Contract, ...] = ()
    symbols: tuple[NonEmpty, ...] = ()
    reason: NonEmpty | None = None


class Undated(Frozen, frozen=True):
    """Exported names that the headers date wrongly, and whose version is not known well enough to say it."""

    symbols: tuple[NonEmpty, ...]
    reason: NonEmpty


class Versions(Frozen, frozen=True):
    """``versions.toml``."""

    windows: tuple[Version, ...]
    dated: tuple[Dated, ...]
    undated: tuple[Undated, ...]
    undatable: tuple[Reasoned, ...]


@dataclass(frozen=True, slots=True)
class Curated:
    """All of them."""

    sources: Sources
    dlls: Dlls
    known: Known
    versions: Versions


def read(folder: Path) -> Curated:
    """Read the four files. Raises SpecError as every spec does."""
    return Curated(
        load.read(folder / "sources.toml", Sources),
        load.read(folder / "dlls.toml", Dlls),
        load.read(folder / "known-dlls.toml", Known),
        load.read(folder / "versions.toml", Versions),
    )
