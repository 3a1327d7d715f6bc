"""What all kinds of origin have in common: what is wanted, and how an origin says that it cannot give it."""

from __future__ import annotations

from dataclasses import dataclass

from packager.errors import SourceError
from packager.specs import model


class OriginError(SourceError):
    """One origin could not give a source; the message is the reason, in a few words. The next origin is tried."""


@dataclass(frozen=True, slots=True)
class Want:
    """A file to get: its name, for messages and the store, and the sha256 that binds its content."""

    file: str
    sha256: str


def describe(origin: model.Origin) -> str:
    """An origin in a few words, for messages and manifests."""
    match origin:
        case model.HttpsOrigin():
            return origin.url
        case model.DebianOrigin():
            return f"Debian {origin.suite}, source package {origin.package}, {origin.file}"
        case model.PypiOrigin():
            return f"Python package index, {origin.name} {origin.version}, {origin.file}"
        case model.GitOrigin():
            return f"git {origin.url} {origin.commit}"
