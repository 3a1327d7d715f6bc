"""Put the sources together with what people decided, into the rows and records of the data file."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Set
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from packager.deps.windows import MACHINES, ApiSet, Record, contract, is_api_set
from packager.errors import SpecError
from scripts.windows_data.collect import Facts
from scripts.windows_data.curated import Curated, Reasoned
from scripts.windows_data.headers import guarded


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the sources say. ``listed`` are the DLLs that real Windows installations have."""

    wine: Mapping[str, Facts]
    mingw: Mapping[str, Facts]
    api_sets: Mapping[str, tuple[str, dict[str, str]]]
    listed: frozenset[str]
    headers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dll:
    """One DLL of the result; ``record`` is None where nothing is known of its exports."""

    name: str
    system: bool
    complete: int
    since: int
    record: Record | None


@dataclass(frozen=True, slots=True)
class Content:
    """All that goes into the data file."""

    origin: str
    versions: tuple[str, ...]
    known_dlls: tuple[str, ...]
    api_sets: dict[str, ApiSet]
    contracts: dict[str, int]
    redistributable: tuple[str, ...]
    dlls: tuple[Dll, ...]


def merge(inputs: Inputs, curated: Curated) -> Content:
    """The content of the data file. Raises SpecError where the curated files contradict the sources or themselves."""
    patterns = [pattern for entry in curated.dlls.redistributable for pattern in entry.patterns]
    system = inputs.listed | _names(curated.dlls.also)
    facts = _facts(inputs, curated)
    wanted = {name for name in facts if name in system or _matches(name, patterns)} | system
    versions = tuple(version.name for version in curated.versions.windows)
    dated = {name for name in system & facts.keys() if name not in _names(curated.versions.undatable)}
    dates = _dates(inputs, curated, {symbol for name in dated for symbol in _symbols(facts[name])})
    dll_dates = _curated_dates(curated, "dlls", versions)
    _must_be_known(dll_dates, wanted, "versions.toml: dlls")
    _must_be_known(_names(curated.known.known_dlls), system, "known-dlls.toml: known_dlls")
    return Content(
        origin=_origin(curated),
        versions=versions,
        known_dlls=tuple(sorted(_names(curated.known.known_dlls))),
        api_sets={name: ApiSet(*found) for name, found in sorted(_api_sets(inputs, curated).items())},
        contracts=dict(sorted(_curated_dates(curated, "api_sets", versions).items())),
        redistributable=tuple(sorted(patterns)),
        dlls=tuple(
            _dll(
                name, name in system, facts.get(name), dll_dates.get(name, -1), dates if name in dated else {}, curated
            )
            for name in sorted(wanted)
        ),
    )


def _facts(inputs: Inputs, curated: Curated) -> dict[str, Facts]:
    """Exports of each DLL out of all sources; what an API set has, its host has."""
    found: dict[str, Facts] = {}
    api_sets = _api_sets(inputs, curated)
    for source in (inputs.wine, inputs.mingw):
        for name, facts in sorted(source.items()):
            if is_api_set(name):
                host, importers = api_sets.get(contract(name), ("", {}))
                for target in {host, *importers.values()} - {""}:
                    part = Facts(facts.names, facts.ordinals, facts.doubtful)
                    found.setdefault(target, Facts()).update(part)
            else:
                found.setdefault(name, Facts()).update(facts)
    for name, facts in found.items():
        _settle(facts, inputs.wine.get(name, Facts()))
    for entry in curated.dlls.exports:
        if entry.dll not in found:
            raise SpecError.at("dlls.toml", "exports: dll", "a DLL that the sources have", entry.dll)
        for machine in MACHINES:
            found[entry.dll].names[machine].update(entry.names)
    return found


def _settle(facts: Facts, wine: Facts) -> None:
    """Take doubtful names for good, unless Wine has them for other machines only or they are C++ of those."""
    elsewhere = set().union(*wine.names.values())
    for machine in MACHINES:
        facts.names[machine] |= {name for name in facts.doubtful[machine] - elsewhere if not name.startswith("?")}


def _api_sets(inputs: Inputs, curated: Curated) -> dict[str, tuple[str, dict[str, str]]]:
    """Wine's API sets, the curated ones, and those of which only mingw-w64 knows that there is such a set."""
    found = {contract(name): ("", dict[str, str]()) for name in inputs.mingw if is_api_set(name)}
    found.update(inputs.api_sets)
    for entry in curated.dlls.api_sets:
        if inputs.api_sets.get(contract(entry.name), ("",))[0]:
            raise SpecError.at("dlls.toml", f"api_sets: {entry.name}", "one that Wine lacks", "one that it has")
        found[contract(entry.name)] = (entry.host, {})
    return found


def _dll(name: str, system: bool, facts: Facts | None, since: int, dates: Mapping[str, int], curated: Curated) -> Dll:
    if facts is None or not (_symbols(facts) or any(facts.ordinals.values())):
        return Dll(name, system, 0, since, None)
    symbols = _symbols(facts)
    trusted = name not in _names(curated.dlls.untrusted_ordinals)
    last = None
    if name in _names(curated.dlls.closed_ordinals):
        # Names without a fixed ordinal have some number too: the linker gives them free ones, or goes on from the last.
        named = {other for found in facts.ordinals.values() for other in found.values()}
        last = max(ordinal for found in facts.ordinals.values() for ordinal in found) + len(symbols - named)
    open_ended = _matches(name, [pattern for entry in curated.dlls.incomplete for pattern in entry.patterns])
    ordinals = {
        mask: dict(found)
        for mask, found in _by_mask({machine: set(facts.ordinals[machine].items()) for machine in MACHINES}).items()
    }
    record = Record(
        names=_by_mask(facts.names),
        ordinals=ordinals if trusted else {},
        last_ordinal=last,
        since={symbol: dates[symbol] for symbol in sorted(symbols & dates.keys())},
    )
    return Dll(name, system, 0 if open_ended else _mask(facts.whole), since, record)


T = TypeVar("T", str, tuple[int, str | None])


def _by_mask(found: Mapping[str, Set[T]]) -> dict[int, list[T]]:
    """What each combination of machines has, sorted, under its mask."""
    masks: dict[T, int] = {}
    for machine in MACHINES:
        for item in found[machine]:
            masks[item] = masks.get(item, 0) | _mask([machine])
    grouped: dict[int, list[T]] = {mask: [] for mask in sorted(set(masks.values()))}
    for item in sorted(masks, key=lambda item: item if isinstance(item, str) else (item[0], item[1] or "")):
        grouped[masks[item]].append(item)
    return grouped


def _mask(machines: Iterable[str]) -> int:
    return sum(1 << MACHINES.index(machine) for machine in machines)


def _symbols(facts: Facts) -> set[str]:
    return set().union(*facts.names.values())


def _dates(inputs: Inputs, curated: Curated, symbols: Set[str]) -> dict[str, int]:
    """Since when each exported name is there: what people looked up, else what the headers say."""
    table = curated.versions
    macros = {macro: value for version in table.windows for macro, value in version.ntddi.items()}
    index = {value: number for number, version in enumerate(table.windows) for value in version.ntddi.values()}
    dates = {name: index[value] for name, value in guarded(inputs.headers, symbols, macros).items()}
    for entry in table.undated:
        _must_be_known(entry.symbols, dates, "versions.toml: undated")
        for symbol in entry.symbols:
            del dates[symbol]
    looked_up = _curated_dates(curated, "symbols", tuple(version.name for version in table.windows))
    _must_be_known(looked_up, symbols, "versions.toml: symbols")
    return {**dates, **looked_up}


def _curated_dates(curated: Curated, what: str, versions: tuple[str, ...]) -> dict[str, int]:
    """The DLLs, API sets or symbols of ``versions.toml`` with the index of their version."""
    found: dict[str, int] = {}
    for entry in curated.versions.dated:
        if entry.since not in versions:
            raise SpecError.at("versions.toml", "dated: since", f"one of {', '.join(versions)}", entry.since)
        for name in getattr(entry, what):
            if name in found:
                raise SpecError.at("versions.toml", f"dated: {what}", "each name once", f"{name} twice")
            found[name] = versions.index(entry.since)
    return found


def _must_be_known(names: Iterable[str], known: Container[str], where: str) -> None:
    for name in names:
        if name not in known:
            raise SpecError.at(where, "", "names that the sources have", name)


def _names(entries: Iterable[Reasoned]) -> frozenset[str]:
    return frozenset(name for entry in entries for name in entry.names)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _origin(curated: Curated) -> str:
    made = "; ".join(f"{origin.title} {origin.version}" for origin in curated.sources.sources)
    return f"known to some Windows, by {made}"
