"""What is allowed in a bundle, as data: ``bundle_specs/policy/*.toml``, each item with its reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from packager.errors import SpecError
from packager.prune import glob_pattern

#: Not empty: a reason has to say something.
Text = Annotated[str, Meta(pattern=r"\S")]


class SystemDll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DLL that Windows itself has and a bundle may import: its name (in lower case) and why that is all right.

    ``plantable`` says why it does no harm that a file of that name could be put where the loader looks before it
    comes to Windows' own.
    """

    name: Text
    reason: Text
    plantable: Text | None = None


class RefusedDll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DLL that may be neither imported nor shipped: its name (in lower case), why, and what to do instead."""

    name: Text
    reason: Text
    fix: Text


class ShippedDll(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A DLL with the name of one of Windows' own that a bundle may ship all the same: its name, and why."""

    name: Text
    reason: Text


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in which a forbidden one does no harm, and why."""

    text: Text
    reason: Text


class ForbiddenText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text that must not stand in a file, as UTF-8 or as UTF-16, in any case, and why."""

    text: Text
    reason: Text
    unless: tuple[Context, ...] = ()


class Library(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A library of which a bundle may hold one version.

    ``files`` are patterns of its DLLs' names in lower case; the files that one of them matches must all have one name.
    ``version`` is a regular expression over the bytes of PE files, whose one group is the version: it must be the same
    in all of them.
    """

    name: Text
    reason: Text
    files: tuple[Text, ...] = ()
    version: Text | None = None


class Exemption(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Findings of one rule that may stay: in which files (a pattern as prune rules have), and why."""

    rule: Text
    path: Text
    reason: Text


class Modes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The permissions that files and folders may have, as numbers."""

    files: Annotated[tuple[int, ...], Meta(min_length=1)]
    folders: Annotated[tuple[int, ...], Meta(min_length=1)]


class SharedLibrary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shared library of the system that a bundle may need: its name and why that is all right to rely on."""

    name: Text
    reason: Text


class Elf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ELF files may be: for which machine (as LIEF names it), and what of the system they may need.

    ``glibc`` is the newest version of its symbols that may be wanted, ``interpreter`` the only program loader.
    """

    machine: Text
    glibc: Annotated[str, Meta(pattern=r"^\d+(\.\d+)+$")]
    interpreter: Text
    libraries: tuple[SharedLibrary, ...]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is allowed in a bundle for one target.

    ``machine`` is the only machine type (a name of :data:`packager.pe.layout.MACHINES`), ``subsystem_version`` the
    oldest that a PE file may be marked with. ``signed`` says what to do with signed files when it is checked that all
    are normalised. ``load_flags`` asks each PE file with code to say where its DLLs are looked for. ``max_path`` is in
    UTF-16 units, ``size_budget`` in bytes, for all files together. ``strict`` names rules whose notes count as errors.
    ``elf`` is there where programs are ELF files, the keys about PE files where they are those; files of the other kind
    are findings.
    """

    signed: Literal["refuse", "keep"]
    max_path: Annotated[int, Meta(ge=1)]
    modes: Modes
    system_dlls: tuple[SystemDll, ...]
    machine: Text | None = None
    subsystem_version: Annotated[str, Meta(pattern=r"^\d+\.\d+$")] | None = None
    elf: Elf | None = None
    load_flags: bool = False
    size_budget: Annotated[int, Meta(ge=1)] | None = None
    strict: tuple[Text, ...] = ()
    refused_dlls: tuple[RefusedDll, ...] = ()
    shipped_dlls: tuple[ShippedDll, ...] = ()
    forbidden_texts: tuple[ForbiddenText, ...] = ()
    libraries: tuple[Library, ...] = ()
    exceptions: tuple[Exemption, ...] = ()

    @property
    def oldest_subsystem(self) -> tuple[int, int]:
        """``subsystem_version`` as two numbers."""
        major, minor = (self.subsystem_version or "0.0").split(".")
        return int(major), int(minor)


def read_policy(path: Path, rules: Collection[str]) -> Policy:
    """Read a policy; ``rules`` are the names that there are.

    Raises SpecError naming the key when it is missing or wrong; unknown keys and rules are errors too.
    """
    try:
        policy = msgspec.convert(tomllib.loads(path.read_text("utf-8")), Policy)
    except OSError as exc:
        raise SpecError.at(str(path), "", "a policy file", f"none: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise SpecError.at(str(path), "", "TOML", str(exc)) from exc
    except msgspec.ValidationError as exc:
        message, _, key = str(exc).partition(" - at `$")
        raise SpecError.at(str(path), key.rstrip("`").lstrip("."), "a policy", message) from exc
    for key, expected, found in _faults(policy, rules):
        raise SpecError.at(str(path), key, expected, found)
    return policy


def _faults(policy: Policy, rules: Collection[str]) -> Iterator[tuple[str, str, str]]:
    """What the types do not say: the key, what was expected there, and what was found."""
    for key, value in (("machine", policy.machine), ("subsystem_version", policy.subsystem_version)):
        if (value is None) != (policy.elf is not None):
            yield key, *(("a value", "nothing") if value is None else ("nothing, with an [elf] table", repr(value)))
    if policy.elf is not None:
        names = [library.name for library in policy.elf.libraries]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield f"elf.libraries[{index}].name", "each name once", f"{name!r} again"
    tables: tuple[tuple[str, Sequence[SystemDll | RefusedDll | ShippedDll]], ...] = (
        ("system_dlls", policy.system_dlls),
        ("refused_dlls", policy.refused_dlls),
        ("shipped_dlls", policy.shipped_dlls),
    )
    for key, items in tables:
        names = [item.name for item in items]
        for index, name in enumerate(names):
            if name != name.lower():
                yield f"{key}[{index}].name", "a name in lower case", repr(name)
            if name in names[:index]:
                yield f"{key}[{index}].name", "each name once", f"{name!r} again"
    allowed = {dll.name for dll in policy.system_dlls} | {dll.name for dll in policy.shipped_dlls}
    for index, refused in enumerate(policy.refused_dlls):
        if refused.name in allowed:
            yield f"refused_dlls[{index}].name", "a name that is not allowed as well", repr(refused.name)
    for index, name in enumerate(policy.strict):
        if name not in rules:
            yield f"strict[{index}]", "the name of a rule", repr(name)
    for index, exception in enumerate(policy.exceptions):
        if exception.rule not in rules:
            yield f"exceptions[{index}].rule", "the name of a rule", repr(exception.rule)
        try:
            glob_pattern(exception.path)
        except re.error as exc:
            yield f"exceptions[{index}].path", f"a pattern ({exc})", repr(exception.path)
    for index, forbidden in enumerate(policy.forbidden_texts):
        for number, context in enumerate(forbidden.unless):
            if forbidden.text.lower() not in context.text.lower():
                key = f"forbidden_texts[{index}].unless[{number}].text"
                yield key, f"a text with {forbidden.text!r} in it", repr(context.text)
    for index, library in enumerate(policy.libraries):
        if library.version is not None and (fault := _expression_fault(library.version)):
            yield f"libraries[{index}].version", "a regular expression with one group", fault


def _expression_fault(expression: str) -> str | None:
    try:
        groups = re.compile(expression.encode()).groups
    except re.error as exc:
        return f"{expression!r} ({exc})"
    return None if groups == 1 else f"{expression!r} with {groups}"
