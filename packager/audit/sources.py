"""Checks of where files come from: native code only from what was built, licence texts of everything."""

from __future__ import annotations

from collections.abc import Iterator

from packager.audit.facts import Facts
from packager.audit.model import WHOLE, Hit
from packager.audit.policy import Policy
from packager.layout import layout_of
from packager.nativecode import HEAD, native_kind

#: Kinds of sources (:class:`packager.manifest.SourceRecord`) that are compiled by a build.
_BUILT = ("component", "launcher")
#: What native_kind calls code of the systems that there are.
_SYSTEMS = ("ELF", "Mach-O", "PE")


def native_code(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Compiled code is for the bundle's system and comes from a component."""
    unknown = 0
    system, own = ("Windows", "PE") if policy.elf is None else ("Linux", "ELF")
    for entry in facts.files:
        kind = native_kind(entry.path, entry.read(HEAD))
        if kind is None:
            continue
        if kind in _SYSTEMS and kind != own:
            yield Hit(
                entry.path,
                f"is native code for another system ({kind})",
                reason=f"{system} cannot run it, so nothing in the bundle can need it",
                fix="leave it out by a prune rule",
            )
        elif facts.known is None:
            unknown += 1
        else:
            name = facts.known.provenance.get(entry.path)
            source = facts.sources.get(name or "")
            if source is None:
                yield Hit(entry.path, f"is native code ({kind}) from a source that is not known")
            elif source.kind not in _BUILT:
                yield Hit(entry.path, f"is native code ({kind}) from {source.name}, whose kind is {source.kind!r}")
    for member in facts.members:
        kind = native_kind(member.path, member.read(HEAD))
        if kind is not None:
            yield Hit(
                member.path,
                f"is native code ({kind}) in an archive",
                reason="nothing can load it from there, and there it is not looked at as programs and DLLs are",
                fix="take it out of the archive, or leave it out by a prune rule",
            )
    if unknown:
        yield Hit(
            WHOLE,
            f"not looked at: where {unknown} files of native code come from only the bundle's manifest says",
            fix=_MANIFEST,
            severity="note",
        )


def licences(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Each source's licence texts are there."""
    if facts.known is None:
        yield Hit(
            WHOLE,
            "not looked at: which licence texts are due only the bundle's manifest says",
            fix=_MANIFEST,
            severity="note",
        )
        return
    layout = layout_of(entry.path for entry in facts.files)
    for source in facts.known.sources:
        folder = layout.licence_folder(source.name)
        if not any(entry.size and entry.path.startswith(folder) for entry in facts.files):
            yield Hit(WHOLE, f"has no licence text of {source.name} ({source.licence}), expected one in {folder}")


_MANIFEST = "put the bundle's .manifest.json beside its folder"
