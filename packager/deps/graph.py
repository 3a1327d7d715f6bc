"""From files to the graph: every file is loaded as Windows would load it, on paper, and so is all that it needs.

A file is looked at anew in every process that it comes into, since the folders that are searched belong to the process;
what comes out the same is told once.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from packager.deps import assemblies, checks, report
from packager.deps.finder import Finder, Loaded, Wanted
from packager.deps.loads import read_python, runtime_loads
from packager.deps.model import Edge, Finding, Graph, Via, WindowsData
from packager.deps.modules import Modules
from packager.deps.names import forwarder_parts, module_name, windows_key
from packager.deps.plant import plantable
from packager.deps.process import Processes, added_folders, loadable
from packager.deps.search import Context, Found
from packager.deps.symbols import Exports, Offers, look_up, there
from packager.deps.windows import is_api_set
from packager.deps.world import Input, World, collect
from packager.errors import PEError, SpecError

_EXTENSION_MODULE = ".pyd"


def analyse(paths: Sequence[Path], windows: WindowsData, search: Sequence[Path] = ()) -> Graph:
    """The graph of the PE files ``paths``: single ones, those in folders, and bundles (folders with a bundle.json).

    ``search`` are further folders where DLLs are found: as if added with os.add_dll_directory, and in PATH. Raises
    SpecError for a path that is not there. What is wrong with the files is in the graph's findings.
    """
    inputs = collect(paths)
    for folder in search:
        if not folder.is_dir():
            found = "a file" if folder.exists() else "nothing"
            raise SpecError(f"{folder}: expected a folder to search, found {found}")
    return _Analysis(inputs, windows, tuple(os.path.abspath(folder) for folder in search)).run()


@dataclass(frozen=True, slots=True)
class _Checked:
    """What was found out about one import's symbols; see Edge."""

    missing: tuple[str, ...] | None
    since: str | None
    since_symbol: str | None


class _Analysis:
    """Holds what is known so far; the outcome is put together at the end, in an order that does not depend on it."""

    def __init__(self, inputs: Sequence[Input], windows: WindowsData, path: tuple[str, ...]) -> None:
        self.inputs = inputs
        self.windows = windows
        folders = [given.folder for given in inputs]
        self.world = World(os.path.commonpath(folders) if folders else "")
        whole = [given.folder for given in inputs if not given.is_file and not given.bundles]
        system = next((folder for folder in (*whole, *path) if self.world.is_system_folder(folder)), "")
        self.modules = Modules(self.world, windows, system)
        self.modules.read([file for given in inputs for file in given.files])
        self.python_of = {given.folder: dict(read_python(given.python)) for given in inputs if given.python}
        self.python = {file: loads for its in self.python_of.values() for file, loads in its.items()}
        self.processes = Processes(inputs, self.modules.file, path, self._added())
        self.edges: dict[str, dict[tuple[str, ...], Edge]] = {}
        self.findings: dict[tuple[object, ...], Finding] = {}
        self.checked: dict[tuple[object, ...], _Checked] = {}
        self.loaded: dict[Context, Loaded] = {}
        self.finder = Finder(self.modules)
        self.named: dict[str, list[str]] = {}
        for given in inputs:
            for file in given.files:
                self.named.setdefault(windows_key(os.path.basename(file)), []).append(file)

    def run(self) -> Graph:
        """Load everything, and put the graph together."""
        roots = set()
        for given, path in self._starts():
            roots.add(path)
            self._start(given, path)
        for given in self.inputs:
            for path in given.files:
                # What is left needs itself, or is needed under a name by which it is not found.
                if path not in roots and self.world.show(path) not in self.modules.known:
                    roots.add(path)
                    self._start(given, path)
        for finding in checks.files(self.modules):
            self._find(finding)
        runtime = runtime_loads(self.modules, self.python, self.named)
        shown = {self.world.show(path) for path in roots}
        modules = [replace(module, root=module.id in shown) for module in self.modules.known.values()]
        return Graph(
            modules=tuple(sorted(modules, key=lambda module: module.id)),
            edges=tuple(edge for name in sorted(self.edges) for edge in self.edges[name].values()),
            runtime=runtime,
            findings=tuple(sorted(self.findings.values(), key=_order)),
            data_origin=self.windows.origin,
            versions=self.windows.versions,
            notes=tuple(self._notes()),
        )

    def _added(self) -> dict[str, tuple[str, ...]]:
        """The folders that Python code adds to the search, by the input that it is in."""
        found = {}
        for given in self.inputs:
            loads = self.python_of.get(given.folder, {})
            texts = ((file, text) for file, one in loads.items() for text in one.added)
            found[given.folder] = added_folders(given, texts)
        return found

    # Where to begin. -------------------------------------------------------------

    def _starts(self) -> Iterator[tuple[Input, str]]:
        """The programs, then what is loaded by its path: extension modules, and what nothing else asks for."""
        imported = set()
        everything = [(given, path) for given in self.inputs for path in given.files]
        for _given, path in everything:
            image = self.modules.file(path).image
            if image is not None:
                names = {module_name(dll.name) for dll in image.imports}
                names |= {forwarder_parts(export.forwarder)[0] for export in image.exports if export.forwarder}
                imported |= {windows_key(name) for name in names} - {windows_key(os.path.basename(path))}
        others = []
        for given, path in everything:
            image = self.modules.file(path).image
            if image is not None and not image.is_dll:
                yield given, path
            else:
                others.append((given, path))
        for given, path in others:
            name = os.path.basename(path)
            if given.is_file or name.lower().endswith(_EXTENSION_MODULE) or windows_key(name) not in imported:
                yield given, path

    def _start(self, given: Input, path: str) -> None:
        module_id = self.modules.of(path, "")
        file = self.modules.file(path)
        if file.image is None:
            return
        context = self.processes.of(given, path)
        if not loadable(file, context.machine):
            owner = self.world.show(context.program)
            self._find(report.wrong_machine(owner, module_id, file.machine or "", context.machine))
            context = self.processes.alone(context, path)
        loaded = self.loaded.get(context)
        if loaded is None:
            loaded = self.loaded[context] = Loaded(context, self.finder.before(context))
        self._load(loaded, path)

    # Loading. --------------------------------------------------------------------

    def _load(self, loaded: Loaded, path: str) -> None:
        """Load a file and all that it needs; delay imports come when all else is there, as they would."""
        waiting = deque([path])
        while waiting or loaded.later:
            if not waiting:
                path, wanted = loaded.later.popleft()
                waiting.extend(self._need(loaded, path, wanted))
                continue
            path = waiting.popleft()
            if path in loaded.seen:
                continue
            loaded.seen.add(path)
            loaded.now.setdefault(os.path.basename(path).lower(), path)
            self._assemblies(loaded.context, path)
            for wanted in self.finder.wanted(path, loaded.context.machine):
                if wanted.delayed:
                    loaded.later.append((path, wanted))
                else:
                    waiting.extend(self._need(loaded, path, wanted))
            waiting.extend(self._forwarders(loaded, path))

    def _need(self, loaded: Loaded, path: str, wanted: Wanted) -> list[str]:
        """One import of a file: the edge, what is wrong with it, and the file that is loaded."""
        via: Via = "delay-import" if wanted.delayed else "import"
        importer, dll = self.world.show(path), module_name(wanted.name).lower()
        found = self.finder.find(loaded, path, wanted.name, delayed=wanted.delayed)
        flags = self.modules.file(path).flags(delayed=wanted.delayed)
        present = loaded.present(delayed=wanted.delayed)
        can_plant, why = plantable(found, dll, present, flags, self.world.show, delayed=wanted.delayed)
        count = len(wanted.symbols)
        if found.rule is None or not (found.path or found.dll):
            self._find(self._absent(path, wanted.name, via, found))
            target = self.modules.missing(wanted.name)
            edge = Edge(importer, target, wanted.name, via, None, count, None, can_plant, why)
            self._edge(replace(edge, wanted=wanted.symbols))
            return []
        target = self.modules.of(found.path, found.dll)
        reached = self.modules.paths.get(target, "")
        if reached and not self.finder.fits(reached, loaded.context):
            machine = self.modules.file(reached).machine or ""
            self._find(report.wrong_machine(importer, target, machine, loaded.context.machine))
            edge = Edge(importer, target, wanted.name, via, found.rule, count, None, can_plant, why)
            self._edge(replace(edge, wanted=wanted.symbols))
            return []
        loaded.now.setdefault(found.dll or dll, reached)
        checked = self._check(loaded, importer, wanted, target)
        edge = Edge(importer, target, wanted.name, via, found.rule, count, checked.missing, can_plant, why)
        self._edge(replace(edge, since=checked.since, since_symbol=checked.since_symbol, wanted=wanted.symbols))
        return [reached] if reached else []

    def _absent(self, path: str, name: str, via: Via, found: Found) -> Finding:
        """The finding about a DLL that is nowhere."""
        importer, wanted = self.world.show(path), module_name(name)
        if is_api_set(wanted.lower()):
            return report.unresolved_api_set(importer, name, via, known=found.rule is not None)
        beside = self.world.find(os.path.dirname(path), wanted)
        elsewhere = beside or next(iter(self.named.get(windows_key(wanted), ())), None)
        return report.missing_dll(
            importer,
            name,
            via,
            [self.world.show(folder) for folder in found.before],
            elsewhere=self.world.show(elsewhere) if elsewhere else None,
            beside=beside is not None,
            kind=self.windows.kind(wanted.lower()),
        )

    def _edge(self, edge: Edge) -> None:
        """Add an edge. What came out differently in another process than before is kept if it is the worse."""
        edges = self.edges.setdefault(edge.importer, {})
        key = (windows_key(edge.name), edge.via, edge.target)
        known = edges.get(key)
        if known is None:
            edges[key] = edge
        elif edge.plantable and not known.plantable:
            edges[key] = replace(known, plantable=True, why=edge.why)

    def _find(self, finding: Finding) -> None:
        key = (finding.kind, finding.file, (finding.dll or "").lower(), finding.symbol)
        self.findings.setdefault(key, finding)

    # Symbols. --------------------------------------------------------------------

    def _check(self, loaded: Loaded, importer: str, wanted: Wanted, target: str) -> _Checked:
        """Look up all the symbols that a file wants of a module; each that is not there is a finding."""
        machine = loaded.context.machine
        offers = self.modules.offers(target, machine)
        # What can be told without following forwarders is the same in every process.
        plain = not isinstance(offers, Exports) or not offers.forwarders
        key = (importer, windows_key(wanted.name), wanted.delayed, target, machine)
        if plain and (known := self.checked.get(key)) is not None:
            return known
        missing = self._lacking(loaded, importer, wanted, target, offers)
        in_windows = self.modules.known[target].origin == "windows"
        dll = module_name(wanted.name).lower()
        since, symbol = self.modules.since(dll, wanted.symbols) if in_windows else (None, None)
        checked = self.checked[key] = _Checked(missing, since, symbol)
        return checked

    def _lacking(
        self, loaded: Loaded, importer: str, wanted: Wanted, target: str, offers: Offers
    ) -> tuple[str, ...] | None:
        """The symbols that are not there; None where it is not known of any whether they are."""
        module = self.modules.known[target]
        follow = partial(self._follow, loaded)
        lacking: list[str] = []
        unknown = 0
        for symbol in dict.fromkeys(wanted.symbols):
            if there(symbol, offers):
                continue
            answer = look_up(symbol, target, offers, follow, loaded.memo)
            if answer.verdict == "unknown":
                unknown += 1
            elif answer.verdict == "missing":
                lacking.append(str(symbol))
                in_windows = module.origin == "windows"
                self._find(report.missing_symbol(importer, wanted.name, module.name, symbol, answer.chain, in_windows))
            elif answer.verdict == "loop":
                lacking.append(str(symbol))
                self._find(report.forwarder_loop(importer, module.name, symbol, answer.chain))
        return None if unknown and unknown == len(wanted.symbols) else tuple(lacking)

    def _follow(self, loaded: Loaded, key: str, dll: str) -> tuple[str, Offers]:
        """What a forwarder of the module ``key`` leads to."""
        path = self.modules.paths[key]
        found = self.finder.find(loaded, path, dll)
        if found.rule is None or not (found.path or found.dll):
            return self.modules.missing(dll), None
        target = self.modules.of(found.path, found.dll)
        return target, self.modules.offers(target, loaded.context.machine)

    def _forwarders(self, loaded: Loaded, path: str) -> list[str]:
        """The DLLs that a file hands exports on to, as edges; forwarders that lead nowhere or in a circle."""
        module_id = self.world.show(path)
        offers = self.modules.offers(module_id, loaded.context.machine)
        if not isinstance(offers, Exports):
            return []
        follow = partial(self._follow, loaded)
        counts: dict[str, int] = {}
        homeless: dict[str, list[str]] = {}
        broken: list[Finding] = []
        for symbol, forwarder in offers.forwarders:
            dll, _name = forwarder_parts(forwarder)
            counts[dll] = counts.get(dll, 0) + 1
            answer = look_up(symbol, module_id, offers, follow, loaded.memo)
            if answer.verdict == "loop":
                self._find(report.forwarder_loop(module_id, self.modules.known[module_id].name, symbol, answer.chain))
            elif answer.verdict == "missing":
                if dll and self.finder.find(loaded, path, dll).rule is None:
                    homeless.setdefault(dll, []).append(str(symbol))
                else:
                    broken.append(report.broken_forwarder(module_id, symbol, answer.chain))
        for dll, names in homeless.items():
            broken.append(report.forwarder_to_nowhere(module_id, dll, names))
        for finding in broken:
            self._find(finding)
        found: list[str] = []
        for dll, count in counts.items():
            if dll:
                found += self._need_forwarded(loaded, path, dll, count)
        return found

    def _need_forwarded(self, loaded: Loaded, path: str, dll: str, count: int) -> list[str]:
        """The edge to a DLL that a file forwards exports to, and the file that is loaded when one is asked for."""
        importer = self.world.show(path)
        found = self.finder.find(loaded, path, dll)
        target, _offers = self._follow(loaded, importer, dll)
        if target == importer:
            return []
        flags = self.modules.file(path).load_flags
        can_plant, why = plantable(found, dll.lower(), loaded.before, flags, self.world.show)
        reached = self.modules.paths.get(target, "")
        fits = not reached or self.finder.fits(reached, loaded.context)
        if not fits:
            machine = self.modules.file(reached).machine or ""
            self._find(report.wrong_machine(importer, target, machine, loaded.context.machine))
        rule = None if self.modules.known[target].origin == "missing" else found.rule
        missing = () if rule is not None and fits else None
        self._edge(Edge(importer, target, dll, "forwarder", rule, count, missing, can_plant, why))
        return [reached] if reached and fits else []

    # Side-by-side assemblies. ----------------------------------------------------

    def _assemblies(self, context: Context, path: str) -> None:
        """The assemblies that a file's manifest names: edges, and the DLLs that come out of them."""
        if (context.application, path) in self.finder.redirected:
            return
        redirected = self.finder.redirected[context.application, path] = {}
        importer = self.world.show(path)
        try:
            needed = assemblies.bound(path, self.modules.file(path), context.application, self.world)
        except PEError as exc:
            self._find(report.broken_manifest(importer, exc.message))
            return
        for one in needed:
            name = str(one.assembly)
            if one.manifest is None:
                target, rule = self.modules.missing(name), None
                self._find(report.missing_assembly(importer, one.assembly))
            else:
                target, rule = self.modules.assembly(name, one.manifest), "assembly"
                redirected.update(one.dlls)
            self._edge(Edge(importer, target, name, "assembly", rule))

    def _notes(self) -> Iterator[str]:
        if self.modules.system:
            yield f"{self.world.show(self.modules.system)} is taken for a copy of Windows' system folder"
        for folder, added in self.processes.added.items():
            for one in added:
                yield f"{self.world.show(one)} is searched: Python code in {self.world.show(folder)} adds it"


def _order(finding: Finding) -> tuple[str, str, str, str, str]:
    return (finding.severity, finding.kind, finding.file, finding.dll or "", finding.symbol or "")
