"""Checks of what is loaded: the findings of :mod:`packager.deps`, and what the policy says of Windows' own DLLs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from packager.audit.facts import Facts
from packager.audit.model import WHOLE, Hit, Severity
from packager.audit.policy import Policy
from packager.deps.model import Edge, Finding, Kind
from packager.deps.model import Severity as DepsSeverity
from packager.deps.names import module_name, windows_key

#: How the graph's ids of Windows' own modules begin.
_WINDOWS = "windows:"
#: LOAD_LIBRARY_SEARCH_SYSTEM32, and LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR and _APPLICATION_DIR by the rules of the search.
_SYSTEM32 = 0x800
_FOLDER_FLAGS: Mapping[str, int] = MappingProxyType({"own-folder": 0x100, "application-folder": 0x200})
_SEVERITIES: Mapping[DepsSeverity, Severity] = MappingProxyType({"error": "error", "warning": "note"})


def readable(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Each file that is named or begins like a PE image is one."""
    return (Hit(finding.file, finding.message) for finding in _of(facts, "broken-file"))


def refused(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """No PE file imports a DLL that the policy refuses by name, and none is shipped."""
    dlls = {windows_key(dll.name): dll for dll in policy.refused_dlls}
    for edge in _edges(facts):
        if dll := dlls.get(_key(edge.name)):
            how = "forwards exports to" if edge.via == "forwarder" else "imports"
            yield Hit(edge.importer, f"{how} {edge.name}", dll.reason, dll.fix)
    for pe in facts.images:
        if dll := dlls.get(windows_key(pe.entry.name)):
            yield Hit(pe.entry.path, f"{pe.entry.name} is in the bundle", dll.reason, dll.fix)


def unresolved(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each imported DLL is where the loader looks for it in the bundle, or is one of Windows' own."""
    # The policy's word counts for DLLs of Windows that the data do not have.
    settled = _listed(policy)
    for finding in _of(facts, "missing-dll", "unresolved-api-set", "missing-assembly"):
        key = _key(finding.dll or "")
        if key in settled:
            continue
        fix = None if finding.kind == "missing-dll" else finding.hint
        found = [pe.entry.path for pe in facts.images if windows_key(pe.entry.name) == key]
        if found and fix is None:
            fix = f"move {found[0]} to where it is looked for"
        yield _hit(finding, fix)


def not_allowed(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each DLL of Windows that is imported is on the policy's list."""
    listed = _listed(policy)
    for edge in _edges(facts):
        if edge.target.startswith(_WINDOWS) and _key(edge.name) not in listed:
            host = edge.target.removeprefix(_WINDOWS)
            of = "" if _key(edge.name) == _key(host) else f", a name for {host}"
            yield Hit(edge.importer, f"imports {edge.name}{of}")


def symbol(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Each imported name or ordinal is exported by the DLL that would be loaded."""
    return (_hit(finding, finding.hint) for finding in _of(facts, "missing-symbol", "missing-ordinal"))


def forwarder(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each forwarded export leads to one that is code."""
    dlls = {windows_key(dll.name) for dll in policy.refused_dlls}
    for finding in _of(facts, "forwarder-loop", "broken-forwarder"):
        if _key(finding.dll or "") not in dlls:
            yield _hit(finding, None)


def system_name(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """No DLL has the name of one of Windows' own."""
    shipped = {windows_key(dll.name) for dll in policy.shipped_dlls}
    for finding in _of(facts, "planted-name"):
        if windows_key(finding.dll or "") not in shipped:
            yield _hit(finding, finding.hint)


def plantable(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each DLL of Windows is looked for in System32 first, or the policy says why that does not matter.

    Of the bundle's own nothing is said: whoever can put a file before one of them can change that one.
    """
    allowed = {windows_key(dll.name): dll for dll in policy.system_dlls}
    for edge in _edges(facts):
        dll = allowed.get(_key(edge.name))
        if edge.plantable and edge.target.startswith(_WINDOWS) and dll is not None and dll.plantable is None:
            yield Hit(edge.importer, f"imports {edge.name}: {edge.why}")


def load_flags(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each PE file with code has its imports looked for in System32, and else only where the bundle has one of them."""
    if not policy.load_flags:
        return
    needed: dict[str, int] = {}
    for edge in _edges(facts):
        if edge.via == "import":
            needed[edge.importer] = needed.get(edge.importer, 0) | _FOLDER_FLAGS.get(edge.rule or "", 0)
    for pe in facts.images:
        wanted = _SYSTEM32 | needed.get(pe.entry.path, 0)
        if pe.has_code and pe.load_flags != wanted:
            found = f"are {pe.load_flags:#x}" if pe.load_flags else "are not set"
            yield Hit(pe.entry.path, f"its dependent load flags {found}, expected {wanted:#x}")


def unused_allowance(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each DLL of Windows on the policy's list is imported by something."""
    used = {_key(edge.name) for edge in _edges(facts)}
    unused = [dll.name for dll in policy.system_dlls if windows_key(dll.name) not in used]
    if unused and facts.images:
        yield Hit(WHOLE, f"nothing imports {', '.join(unused)}")


def _listed(policy: Policy) -> set[str]:
    """The keys of the DLLs about which the policy says something."""
    return {windows_key(dll.name) for dll in policy.system_dlls} | {windows_key(d.name) for d in policy.refused_dlls}


def _edges(facts: Facts) -> Iterator[Edge]:
    """Who needs which DLL."""
    return (edge for edge in facts.graph.edges if edge.via != "assembly")


def _of(facts: Facts, *kinds: Kind) -> Iterator[Finding]:
    return (finding for finding in facts.graph.findings if finding.kind in kinds)


def _hit(finding: Finding, fix: str | None) -> Hit:
    return Hit(finding.file, finding.message, fix=fix, severity=_SEVERITIES[finding.severity])


def _key(name: str) -> str:
    return windows_key(module_name(name))
