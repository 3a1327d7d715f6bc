"""Finds the file that an import gets, in the process that it comes from, and remembers what it found."""

from __future__ import annotations

import os
from collections import ChainMap, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from packager.deps import search
from packager.deps.modules import Modules
from packager.deps.names import forwarder_parts, windows_key
from packager.deps.process import loadable
from packager.deps.search import ALWAYS_LOADED, Context, Found
from packager.deps.symbols import Memo
from packager.deps.windows import is_api_set
from packager.pe.imports import Symbol

_ALWAYS: Mapping[str, str] = MappingProxyType(dict.fromkeys(ALWAYS_LOADED, ""))


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a file wants of one DLL."""

    name: str
    symbols: tuple[Symbol, ...]
    delayed: bool


@dataclass(slots=True)
class Loaded:
    """One process, or one folder's extension modules in it: what is in it ``before`` them, and by ``now``.

    Those are file names in lower case and their paths, empty ones for Windows' own. ``later`` are delay imports, which
    are looked at when the rest is there.
    """

    context: Context
    before: Mapping[str, str]
    now: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    later: deque[tuple[str, Wanted]] = field(default_factory=deque)
    memo: Memo = field(default_factory=dict)
    found: dict[tuple[object, ...], Found] = field(default_factory=dict)

    def present(self, *, delayed: bool) -> Mapping[str, str]:
        """What is in it when an import is looked for."""
        return ChainMap(self.now, dict(self.before)) if delayed else self.before


@dataclass(slots=True)
class Finder:
    """``redirected`` are the DLLs that manifests bind, by the application's folder and the file that has the manifest.

    ``running`` is what programs load by themselves, by their paths.
    """

    modules: Modules
    redirected: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    running: dict[str, dict[str, str]] = field(default_factory=dict)

    def wanted(self, path: str, machine: str) -> list[Wanted]:
        """A file's imports, each DLL once, in the file's order."""
        image = self.modules.file(path).seen_from(machine)
        merged: dict[tuple[str, bool], tuple[str, list[Symbol]]] = {}
        for dll in image.imports if image is not None else ():
            merged.setdefault((windows_key(dll.name), dll.delayed), (dll.name, []))[1].extend(dll.symbols)
        return [Wanted(name, tuple(symbols), delayed) for (_key, delayed), (name, symbols) in merged.items()]

    def find(self, loaded: Loaded, path: str, name: str, *, delayed: bool = False) -> Found:
        """Where the DLL ``name`` is found for the file ``path``."""
        context = loaded.context
        folder, importer = os.path.split(path)
        flags = self.modules.file(path).flags(delayed=delayed)
        redirected = self._redirected(context, path)
        special = path if redirected or is_api_set(name.lower()) else ""
        key = (windows_key(name), flags, folder if flags else "", special)
        found = None if delayed else loaded.found.get(key)
        if found is None:
            found = search.find(
                name,
                search.places(context, folder, delayed=delayed, load_flags=flags),
                self.modules.world,
                self.modules.windows,
                importer=importer.lower(),
                redirected=redirected,
                loaded=loaded.present(delayed=delayed),
            )
            if not delayed:
                # What a delay load finds changes with what is loaded.
                loaded.found[key] = found
        return found

    def fits(self, path: str, context: Context) -> bool:
        """Whether the process can load the file; one that cannot be read is a finding of its own."""
        file = self.modules.file(path)
        return file.image is None or loadable(file, context.machine)

    def before(self, context: Context) -> Mapping[str, str]:
        """What a process has loaded before anything is loaded by its path: all that its program imports."""
        if not (context.own and context.program):
            return _ALWAYS
        if (known := self.running.get(context.program)) is not None:
            return known
        alone = Context(context.machine, context.application, path=context.path, program=context.program)
        loaded = Loaded(alone, _ALWAYS)
        found = self.running[context.program] = dict(_ALWAYS)
        waiting = [context.program]
        while waiting:
            path = waiting.pop()
            if path in loaded.seen:
                continue
            found[os.path.basename(path).lower()] = path
            loaded.seen.add(path)
            wanted = [one for one in self.wanted(path, context.machine) if not one.delayed]
            # An import that is forwarded loads the DLL that it is forwarded to, for the one that forwards it.
            asked = deque((path, one.name, one.symbols) for one in wanted)
            while asked:
                importer, name, symbols = asked.popleft()
                where = self.find(loaded, importer, name)
                if where.path and self.fits(where.path, context):
                    asked.extend((where.path, dll, ()) for dll in self._forwarded(where.path, context.machine, symbols))
                    waiting.append(where.path)
                elif where.dll and where.rule is not None:
                    found.setdefault(where.dll, "")
        return found

    def _forwarded(self, path: str, machine: str, symbols: Sequence[Symbol]) -> set[str]:
        """The DLLs that a file forwards these of its exports to, by name."""
        image = self.modules.file(path).seen_from(machine)
        names = {symbol.name for symbol in symbols} - {None}
        exports = image.exports if image is not None and names else ()
        return {forwarder_parts(one.forwarder)[0] for one in exports if one.forwarder and one.name in names} - {""}

    def _redirected(self, context: Context, path: str) -> Mapping[str, str]:
        """The DLLs that a manifest, the file's or else its program's, binds to assemblies; see search.find."""
        own = self.redirected.get((context.application, path), {})
        if own or not context.program:
            return own
        return self.redirected.get((os.path.dirname(context.program), context.program), {})
