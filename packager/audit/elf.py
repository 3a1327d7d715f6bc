"""Checks of ELF files: what they need of the system, and how they are protected."""

from __future__ import annotations

from collections.abc import Iterator

from packager.audit.facts import Entry, Facts
from packager.audit.model import Hit
from packager.audit.policy import Policy
from packager.formats.elf import Elf

_GLIBC = "GLIBC_"
#: What a search path may begin with: the folder of the file itself, and nothing after it that leads out.
_ORIGIN = ("$ORIGIN", "${ORIGIN}")


def kind(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Programs and libraries are ELF files for the policy's machine."""
    allowed = policy.elf
    if allowed is None:
        return
    for file in facts.elf:
        if file.image is None:
            yield Hit(file.entry.path, "begins like an ELF file, but is neither a program nor a shared library")
        elif file.image.machine != allowed.machine:
            yield Hit(file.entry.path, f"is for {file.image.machine}, not for {allowed.machine}")
        elif file.image.interpreter not in (None, allowed.interpreter):
            yield Hit(file.entry.path, f"is started by {file.image.interpreter}, not by {allowed.interpreter}")


def needed(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each library that is needed is the system's and allowed, or in the bundle where the loader looks."""
    if policy.elf is None:
        return
    allowed = {library.name for library in policy.elf.libraries}
    shipped = {entry.name for entry, _ in _images(facts)}
    for entry, image in _images(facts):
        for name in image.needed:
            if name in allowed:
                continue
            beside = any(path.startswith(_ORIGIN) for path in image.search)
            if name not in shipped:
                yield Hit(entry.path, f"needs {name}, which is neither in the bundle nor on the policy's list")
            elif not beside:
                yield Hit(
                    entry.path,
                    f"needs {name}, which is in the bundle, but does not say where (RUNPATH $ORIGIN)",
                    fix="link it statically, or link with -Wl,-rpath,'$ORIGIN'",
                )


def glibc(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """No symbol is wanted in a version of glibc later than the policy's."""
    if policy.elf is None:
        return
    newest = _numbers(policy.elf.glibc)
    for entry, image in _images(facts):
        for library, version in image.wanted:
            if not version.startswith(_GLIBC):
                continue
            number = version.removeprefix(_GLIBC)
            # GLIBC_PRIVATE is of no release: whoever wants it runs with the glibc that it was built with, if at all.
            if not number.replace(".", "").isdecimal() or _numbers(number) > newest:
                yield Hit(entry.path, f"wants {version} of {library}, expected {policy.elf.glibc} at most")


def search_path(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """RPATH and RUNPATH are empty, or lead to the file's own folder and below."""
    for entry, image in _images(facts):
        for path in image.search:
            first, *rest = path.split("/")
            if first not in _ORIGIN or ".." in rest:
                yield Hit(entry.path, f"has libraries looked for in {path!r}")


def position(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Code can be loaded anywhere."""
    for entry, image in _images(facts):
        if not image.independent:
            yield Hit(entry.path, "can only be loaded at one address (no PIE)")
        if image.text_relocations:
            yield Hit(entry.path, "has relocations in its code (TEXTREL)")


def relro(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """RELRO, in full."""
    for entry, image in _images(facts):
        if not image.relro:
            yield Hit(entry.path, "has no RELRO segment")
        if not image.bind_now:
            yield Hit(entry.path, "does not settle its symbols when it is loaded (BIND_NOW)")


def writable_code(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No memory is writable and executable."""
    for entry, image in _images(facts):
        if image.writable_code:
            yield Hit(entry.path, "has a segment that is writable and executable")
        if image.executable_stack:
            yield Hit(entry.path, "asks for an executable stack")


def leftovers(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No section is there that only people or debuggers read."""
    for entry, image in _images(facts):
        if image.leftovers:
            yield Hit(entry.path, f"has {', '.join(image.leftovers)}")


def _images(facts: Facts) -> Iterator[tuple[Entry, Elf]]:
    return ((file.entry, file.image) for file in facts.elf if file.image is not None)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
