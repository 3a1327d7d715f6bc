"""Checks of names, kinds, modes and sizes: whether the tree can be packed, unpacked and used on Windows."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator

from packager.audit.facts import Facts
from packager.audit.model import WHOLE, Hit
from packager.audit.policy import Policy
from packager.deps.names import windows_key

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}

#: "Naming Files, Paths, and Namespaces" in Microsoft's documentation; the superscript digits count as digits.
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[1-9\u00b9\u00b2\u00b3])[ ]*(\..*)?", re.IGNORECASE)
_REFUSED_CHARACTERS = re.compile(r'[\x00-\x1f<>:"/\\|?*]')


def file_name(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Each name is one that Windows takes."""
    for entry in facts.entries:
        if (fault := _name_fault(entry.name)) is not None:
            yield Hit(entry.path, f"the name {entry.name!r} {fault}")
    for archive in facts.archives:
        for member in archive.members:
            for part in member.name.removesuffix("/").split("/"):
                if (fault := _name_fault(part)) is not None:
                    yield Hit(f"{archive.entry.path}/{member.name}", f"the name {part!r} {fault}")


def case_twin(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No two paths differ in upper and lower case only."""
    seen: dict[str, str] = {}
    for entry in (*facts.entries, *facts.members):
        first = seen.setdefault(windows_key(entry.path), entry.path)
        if first != entry.path:
            yield Hit(entry.path, f"differs from {first} only in upper and lower case")


def path_length(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """No path is longer than the policy has it."""
    for entry in (*facts.entries, *facts.members):
        length = len(entry.path.encode("utf-16-le", "surrogatepass")) // 2
        if length > policy.max_path:
            yield Hit(entry.path, f"the path has {length} characters, expected {policy.max_path} at most")


def file_type(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """There are only files and folders."""
    for entry in facts.entries:
        if not entry.is_file and not entry.is_folder:
            yield Hit(entry.path, f"is {_KINDS.get(stat.S_IFMT(entry.mode), 'a special file')}")


def file_mode(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Files and folders have the policy's permissions, and so neither setuid nor setgid."""
    for entry in facts.entries:
        if not entry.is_folder and not entry.is_file:
            continue
        allowed = policy.modes.folders if entry.is_folder else policy.modes.files
        mode = stat.S_IMODE(entry.mode)
        if mode not in allowed:
            wanted = " or ".join(f"{value:04o}" for value in allowed)
            yield Hit(entry.path, f"has mode {mode:04o}, not {wanted}", fix=f"chmod {allowed[0]:04o} when staging it")


def size_budget(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """All files together are no larger than the policy has it."""
    size = sum(entry.size for entry in facts.files)
    if policy.size_budget is not None and size > policy.size_budget:
        yield Hit(WHOLE, f"the files have {size} bytes, expected {policy.size_budget} at most")


def _name_fault(name: str) -> str | None:
    """What Windows does not take about a file name, or None."""
    if not name:
        return "is empty"
    if _RESERVED.fullmatch(name):
        return "is reserved for a device"
    if (bad := _REFUSED_CHARACTERS.search(name)) is not None:
        return f"has the character {bad[0]!r}"
    if name.endswith((" ", ".")):
        return "ends in a space or a dot"
    if any("\ud800" <= char <= "\udfff" for char in name):
        return "is not UTF-8"
    return None
