"""The one way through the house: from a bundle's spec to what goes out, stage by stage.

Each stage takes values and gives a new one; its result lies in the store under the key of all that went into it. Only
``fetch_sources`` and the making of roots touch the network.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from packager import (
    application,
    buildroot,
    component,
    emit,
    launcher,
    library,
    manifest,
    materials,
    parts,
    provenance,
    sandbox,
    sbom,
    stage,
    stubs,
    trees,
)
from packager.audit import AuditedTree, Known, load_policy, pass_or_fail
from packager.deps.windows import DATA_FILE
from packager.errors import BuildError, CheckError
from packager.install import filelist
from packager.keys import Key, code_digest, path_digest
from packager.layout import DESCRIPTION, LAYOUTS, LICENCES, Layout
from packager.modules.plan import ModulePlan, plan_modules
from packager.modules.rules import load_trace, rules_of
from packager.normalise import Options as NormaliserOptions
from packager.normalise import normalise_paths
from packager.progress import Clock, Reporter, Timing
from packager.pylock import Lock, LockedPackage, read_lock
from packager.sources.fetch import Fetched, SourceStore, fetch
from packager.specs import load, model
from packager.specs.load import Project
from packager.store import Entry, Store


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about a build; nothing of it but the epoch may change a bundle's bytes."""

    target: model.Target
    jobs: int
    offline: bool
    epoch: int | None = None
    perturbation: sandbox.Perturbation = field(default_factory=sandbox.Perturbation)


@dataclass(frozen=True, slots=True)
class Plan:
    """A bundle with everything it needs, read and checked, and the key of every stage."""

    project: Project
    bundle: model.Bundle
    components: tuple[model.Component, ...]
    toolchain: model.Toolchain
    toolchain_lock: model.ToolchainLock
    lock: Lock
    options: Options
    environment: component.Environment
    root: buildroot.Root
    component_keys: Mapping[str, Key]
    application_key: Key
    stubs_key: Key
    assembled_key: Key
    staged_key: Key
    normalised_key: Key
    emitted_key: Key
    specs: tuple[materials.Input, ...]

    @property
    def title(self) -> str:
        """The name of the bundle's folder and the beginning of its files' names."""
        return f"{self.bundle.name}-{self.bundle.version}-{self.options.target}"

    @property
    def interpreter(self) -> model.Component:
        """The component that is the bundle's python."""
        return next(item for item in self.components if item.name == self.bundle.interpreter)

    @property
    def layout(self) -> Layout:
        """Where the bundle's parts lie in what goes out."""
        return LAYOUTS[self.bundle.layout]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of what is put into the output folder."""
        archives = tuple(f"{self.title}.{kind}" for kind in self.bundle.archives)
        described = (manifest.SUFFIX, sbom.SUFFIX, provenance.SUFFIX)
        return (self.title, *archives, *(f"{self.title}{suffix}" for suffix in described))

    @property
    def recipe(self) -> materials.Recipe:
        """What the descriptions of the bundle's sources are made from."""
        return materials.Recipe(
            self.project, self.specs, self.bundle, self.components, self.lock.packages, self.toolchain
        )

    def locked(self, sums: Mapping[str, str]) -> dict[str, str]:
        """Of a build's sums those that everyone must get: all but the statement's, which names the packager's code."""
        return {name: digest for name, digest in sorted(sums.items()) if not name.endswith(provenance.SUFFIX)}


@dataclass(frozen=True, slots=True)
class Built:
    """What a build left: the outputs by name with their sums, how they compare with the lock, and the timings."""

    plan: Plan
    out: Path
    sums: Mapping[str, str]
    sizes: Mapping[str, int]
    lock: str
    timings: tuple[Timing, ...]


def make_plan(project: Project, spec: str, options: Options) -> Plan:
    """Read a bundle's spec and all that it names; compute every key. Touches nothing but spec files."""
    bundle = load.load_variant(project, spec, options.target)
    names = tuple(dict.fromkeys((bundle.interpreter, *(native.component for native in bundle.native))))
    components = load.load_components(project, names, options.target)
    toolchain = load.load_toolchain(project, bundle.toolchain, options.target)
    toolchain_lock = load.load_toolchain_lock(project, bundle.toolchain)
    lock = read_lock(
        project.specs / bundle.dependencies.lock,
        sdists=[override.name for override in bundle.dependencies.override if override.sdist_packages],
        components=names,
    )
    interpreter = next(item for item in components if item.name == bundle.interpreter)
    lock.check_python(interpreter.version)
    root = buildroot.toolchain_root(toolchain, toolchain_lock)
    epoch = bundle.epoch if options.epoch is None else options.epoch
    environment = component.Environment(toolchain, root.key, epoch, options.jobs, options.perturbation)
    keys = parts.component_keys(components, project, environment)
    application_key = application.application_key(
        bundle, lock, interpreter.version, project, environment, keys[interpreter.name]
    )
    stubs_key = stubs.stubs_key(bundle, project, environment, application_key, interpreter)
    assembled_key = Key(
        "assembled",
        bundle.name,
        {
            "target": options.target,
            "bundle": {"name": bundle.name, "version": bundle.version, "interpreter": bundle.interpreter},
            "components": {name: key.digest for name, key in keys.items()},
            "licences": {item.name: [item.version, item.licence, item.purl] for item in components},
            "application": application_key.digest,
            "stubs": stubs_key.digest,
            "native": bundle.native,
            "prune": [rule.path for rule in bundle.prune],
            "runtime": toolchain.runtime,
            "licence": path_digest(project.root / "LICENSE"),
            # Another pin has to be checked, although it changes nothing that is built.
            "signatures": [
                _signature_inputs(project, source) for source in (bundle.source, *(item.source for item in components))
            ],
            "code": code_digest("packager.stage", "packager.prune", "packager.nativecode", "packager.trees"),
        },
    )
    staged_key = Key(
        "staged",
        bundle.name,
        {
            "assembled": assembled_key.digest,
            "layout": bundle.layout,
            "modules": None if bundle.modules is None else _modules_inputs(project, bundle, bundle.modules),
            "standard_library": bundle.standard_library,
            # The archive's name has it.
            "python": interpreter.version,
            "code": code_digest(
                "packager.formats.fields",
                "packager.formats.stored",
                "packager.formats.zip",
                "packager.layout",
                "packager.library",
                "packager.stage",
                "packager.trees",
            ),
        },
    )
    normalised_key = Key(
        "normalised",
        bundle.name,
        {
            "staged": staged_key.digest,
            "epoch": epoch,
            "code": code_digest(
                "packager.changes", "packager.install.filelist", "packager.normalise", *_modules("formats", "pe")
            ),
        },
    )
    specs = materials.spec_inputs(project, spec, bundle, components)
    emitted_key = Key(
        "emitted",
        bundle.name,
        {
            "normalised": normalised_key.digest,
            "archives": bundle.archives,
            "licence": bundle.licence,
            "purl": bundle.purl,
            "epoch": epoch,
            # The policy is among them. What the SBOM and the statement say of sources stands in these files.
            "specs": {item.path: item.digest.value for item in specs},
            "size_budget": bundle.size_budget,
            "code": code_digest(*_EMITTERS, *_AUDITORS, *_modules("audit", "deps")),
            "windows": path_digest(DATA_FILE),
            "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
            "zip": path_digest(component.TOOLS_FOLDER / "make_zip.py"),
        },
    )
    return Plan(
        project, bundle, components, toolchain, toolchain_lock, lock, options, environment, root, keys,
        application_key, stubs_key, assembled_key, staged_key, normalised_key, emitted_key, specs,
    )  # fmt: skip


#: What decides the bytes of the outputs: our modules (the first has the version), and the libraries that write them.
_EMITTERS = (
    "packager",
    "packager.emit",
    *(f"packager.formats.{name}" for name in ("fields", "zip")),
    "packager.layout",
    "packager.manifest",
    "packager.materials",
    "packager.provenance",
    "packager.sbom",
)
_LIBRARIES = ("cyclonedx-python-lib", "zstandard")
#: What the audit's verdict rests on besides its own modules: another one has to be asked for.
_AUDITORS = (
    "packager.diff.marshal",
    "packager.formats.pyc",
    "packager.formats.stored",
    "packager.nativecode",
    "packager.normalise",
)


def _signature_inputs(project: Project, source: model.Source) -> Mapping[str, object] | None:
    pinned = source.signature
    if pinned is None:
        return None
    return {
        "sha256": pinned.sha256,
        "keyring": path_digest(project.specs / pinned.keyring),
        "fingerprints": pinned.fingerprints,
    }


def _modules_inputs(project: Project, bundle: model.Bundle, modules: model.Modules) -> Mapping[str, object]:
    """All that decides which modules a tree keeps: reasons do not."""
    return {
        "roots": [point.module for point in bundle.entry_points],
        "trace": path_digest(project.specs / modules.trace),
        "path": modules.path,
        "keep": [rule.module for rule in modules.keep],
        "drop": [rule.module for rule in modules.drop],
        "code": code_digest(
            "packager.diff.marshal", *_modules("modules"), *(f"packager.pe.{name}" for name in ("imports", "layout"))
        ),
    }


def _modules(*packages: str) -> Sequence[str]:
    """All modules of some of the packager's packages."""
    here = Path(__file__).parent
    files = [path for name in packages for path in sorted((here / name).glob("*.py"))]
    return [f"packager.{path.parent.name}.{path.stem}" for path in files if path.stem != "__init__"]


@dataclass(frozen=True, slots=True)
class Sources:
    """Every source of a bundle, verified, in the store."""

    application: Fetched
    components: Mapping[str, Fetched]
    packages: tuple[tuple[LockedPackage, Fetched], ...]


def fetch_sources(plan: Plan, store: Store, reporter: Reporter) -> Sources:
    """Get and verify every source: components, application, dependencies. SourceError for the first that fails."""
    sources = SourceStore(store.root)

    def get(source: model.Source) -> Fetched:
        return fetch(
            source, store=sources, keyrings=plan.project.specs, reporter=reporter, offline=plan.options.offline
        )

    return Sources(
        components={item.name: get(item.source) for item in plan.components},
        application=get(plan.bundle.source),
        packages=tuple((package, get(package_source(package))) for package in plan.lock.packages),
    )


def package_source(package: LockedPackage) -> model.Source:
    """A locked Python package as a source: its file from the index that pip is set to."""
    origin = model.PypiOrigin(name=package.name, version=package.version, file=package.file)
    return model.Source(origins=(origin,), file=package.file, sha256=package.sha256)


def fetch_everything(plan: Plan, store: Store, clock: Clock) -> Sources:
    """All that a later `--offline` build needs: sources and the build root."""
    with clock.stage("fetch", plan.title):
        sources = fetch_sources(plan, store, clock.reporter)
    _root(plan, store, clock)
    return sources


def build_bundle(plan: Plan, store: Store, clock: Clock, out: Path) -> Built:
    """Build a bundle, as far as the store does not have it, and put it into ``out``."""
    start = len(clock.timings)
    emitted = _emitted(plan, store, clock)
    sums = manifest.parse_sums((emitted.tree / manifest.SUMS).read_text("ascii"))
    with clock.stage("publish", str(out)) as mark, emit.output_lock(out):
        mark.cached = emit.is_published(emitted.tree, out, plan.outputs, sums)
        if not mark.cached:
            emit.publish(emitted.tree, out, plan.outputs, sums)
    sizes = {name: (emitted.tree / name).stat().st_size for name in sums}
    return Built(plan, out, sums, sizes, compare_lock(plan, sums), tuple(clock.timings[start:]))


def compare_lock(plan: Plan, sums: Mapping[str, str]) -> str:
    """``match``, ``mismatch``, ``unrecorded``, or ``not compared`` where another epoch was asked for.

    Of ``sums``, a build's, only those that :meth:`Plan.locked` names count.
    """
    if plan.environment.epoch != plan.bundle.epoch:
        return "not compared"
    recorded = load.load_bundle_lock(plan.project, plan.bundle).archives.get(plan.options.target)
    if recorded is None:
        return "unrecorded"
    return "match" if recorded == plan.locked(sums) else "mismatch"


def _found(key: Key, name: str, plan: Plan, store: Store, clock: Clock) -> Entry | None:
    """A stage's result if the store has it, so that nothing before that stage is looked at."""
    found = store.find(key)
    if found is not None:
        with clock.stage(name, plan.title) as mark:
            mark.cached = True
    return found


def _emitted(plan: Plan, store: Store, clock: Clock) -> Entry:
    found = _found(plan.emitted_key, "emit", plan, store, clock)
    if found is not None:
        return found
    normalised, sources = _normalised(plan, store, clock)
    known = Known(sources, json.loads((normalised.path / stage.PROVENANCE).read_text("utf-8")))
    with clock.stage("audit", plan.bundle.policy):
        policy = load_policy(load.policy_path(plan.project, plan.bundle.policy))
        audited = pass_or_fail(normalised.tree, policy, plan.environment.epoch, known, name=plan.title)
        for note in audited.notes:
            clock.reporter.output(str(note))
    root = _root(plan, store, clock)
    with clock.stage("emit", plan.title) as mark:
        entry, mark.cached = store.make(
            plan.emitted_key, lambda folder: _emit(plan, audited, known, root, folder, store, clock.reporter)
        )
    return entry


def _emit(
    plan: Plan,
    audited: AuditedTree,
    known: Known,
    root: Path,
    folder: Path,
    store: Store,
    reporter: Reporter,
) -> None:
    made = folder / "tree"
    made.mkdir()
    epoch = plan.environment.epoch
    wrapping = plan.title if plan.layout.wrapped else ""
    described = manifest.describe(
        audited.folder(),
        known.provenance,
        known.sources,
        name=plan.bundle.name,
        version=plan.bundle.version,
        target=plan.options.target,
        epoch=epoch,
    )
    found = materials.collect(described.sources, plan.recipe, root)
    sbom.check(described, found)
    (made / f"{plan.title}{manifest.SUFFIX}").write_bytes(manifest.encode(described))
    for kind in plan.bundle.archives:
        target = made / f"{plan.title}.{kind}"
        reporter.output(f"writing {target.name}")
        if kind == "tar.zst":
            emit.write_tar_zst(audited, target, wrapping, epoch, shared=plan.layout.shared)
            if target.stat().st_size > plan.bundle.size_budget:
                raise CheckError(
                    f"{target.name}: expected at most {plan.bundle.size_budget} bytes, found {target.stat().st_size}",
                    hint="prune more in the bundle spec, or raise its size_budget",
                )
        else:
            emit.write_zip(
                audited, target, wrapping, epoch,
                root=root, tools=component.TOOLS_FOLDER, log=store.log(f"{plan.bundle.name}-zip"), reporter=reporter,
                perturbation=plan.options.perturbation,
            )  # fmt: skip
    (made / f"{plan.title}{sbom.SUFFIX}").write_bytes(
        sbom.describe(
            described, found, _sums(made), interpreter=plan.bundle.interpreter, description=plan.bundle.description
        )
    )
    (made / f"{plan.title}{provenance.SUFFIX}").write_bytes(provenance.encode(statement(plan, found, _sums(made))))
    sums = _sums(made)
    trees.copy_tree(audited.folder(), made / plan.title)
    (made / manifest.SUMS).write_text(manifest.format_sums(sums), "ascii")


def _sums(folder: Path) -> dict[str, str]:
    return {node.path: trees.file_sha256(node.absolute) for node in trees.files(folder)}


def statement(plan: Plan, found: Sequence[materials.Material], products: Mapping[str, str]) -> provenance.Statement:
    """What a build of the plan says of the files that go out, by name and sha256."""
    parameters = provenance.ExternalParameters(
        spec=plan.specs[0].path, target=plan.options.target, epoch=plan.environment.epoch
    )
    return provenance.describe(
        products, found, plan.specs, plan.toolchain, plan.toolchain_lock, parameters, plan.emitted_key.digest
    )


def _normalised(plan: Plan, store: Store, clock: Clock) -> tuple[Entry, tuple[manifest.SourceRecord, ...]]:
    found = _found(plan.normalised_key, "normalise", plan, store, clock)
    if found is not None:
        return found, _read_sources(found)
    staged = _staged(plan, store, clock)

    def build(folder: Path) -> None:
        trees.copy_tree(staged.tree, folder / "tree")
        trees.copy_file(staged.path / SOURCES, folder / SOURCES)
        options = NormaliserOptions(plan.environment.epoch)
        for report in normalise_paths([folder / "tree"], options, jobs=plan.options.jobs):
            if report.error is not None:
                raise BuildError(f"{report.path}: cannot be normalised: {report.error}")
        provenance = json.loads((staged.path / stage.PROVENANCE).read_text("utf-8"))
        provenance.update(dict.fromkeys(_list_files(plan, folder / "tree"), launcher.SOURCE))
        (folder / stage.PROVENANCE).write_text(json.dumps(provenance, indent=1, sort_keys=True), "utf-8")

    with clock.stage("normalise", plan.title) as mark:
        entry, mark.cached = store.make(plan.normalised_key, build)
    return entry, _read_sources(entry)


def _list_files(plan: Plan, tree: Path) -> Sequence[str]:
    """Write the list of files that a bundle which goes into another program's folder has. Returns its path, if any."""
    if plan.layout.host is None:
        return ()
    listed = filelist.describe(
        tree,
        name=plan.bundle.name,
        version=plan.bundle.version,
        target=plan.options.target,
        epoch=plan.environment.epoch,
    )
    path = plan.layout.place(filelist.NAME)
    (tree / path).write_bytes(filelist.encode(listed))
    return (path,)


SOURCES = "sources.json"


def _read_sources(entry: Entry) -> tuple[manifest.SourceRecord, ...]:
    return msgspec.json.decode((entry.path / SOURCES).read_bytes(), type=tuple[manifest.SourceRecord, ...])


def _staged(plan: Plan, store: Store, clock: Clock) -> Entry:
    found = _found(plan.staged_key, "stage", plan, store, clock)
    if found is not None:
        return found
    whole = assembled(plan, store, clock)

    def build(folder: Path) -> None:
        provenance = json.loads((whole.path / stage.PROVENANCE).read_text("utf-8"))
        with store.work() as work:
            # In the work folder: what is placed is moved, within the store, and what is left out stays behind.
            tree = work / "plain"
            trees.copy_tree(whole.tree, tree)
            if plan.bundle.modules is not None:
                gone = _planned(plan, whole.tree).pruned
                provenance = {path: source for path, source in provenance.items() if path not in gone}
            if plan.bundle.standard_library == "zip":
                provenance = library.pack(tree, provenance, plan.interpreter.version)
            left = stage.place(tree, folder / "tree", provenance, plan.layout)
        (folder / stage.PROVENANCE).write_text(json.dumps(left, indent=1, sort_keys=True), "utf-8")
        trees.copy_file(whole.path / SOURCES, folder / SOURCES)

    with clock.stage("stage", plan.title) as mark:
        entry, mark.cached = store.make(plan.staged_key, build)
    return entry


def plan_modules_of(plan: Plan, store: Store, clock: Clock) -> ModulePlan:
    """Which modules a bundle keeps of those that there are, built as far as that needs."""
    return _planned(plan, assembled(plan, store, clock).tree)


def _planned(plan: Plan, tree: Path) -> ModulePlan:
    paths = [node.path for node in trees.files(tree)]

    def read(path: str) -> bytes:
        return (tree / path).read_bytes()

    trace = load_trace(plan.project, plan.bundle.modules)
    return plan_modules(paths, read, rules_of(plan.bundle, trace, paths, read))


def assembled(plan: Plan, store: Store, clock: Clock) -> Entry:
    """A bundle's files in the portable form, with every module that there is but those that prune rules name."""
    found = _found(plan.assembled_key, "assemble", plan, store, clock)
    if found is not None:
        return found
    with clock.stage("fetch", plan.title):
        sources = fetch_sources(plan, store, clock.reporter)
    root = _root(plan, store, clock)
    components = _components(plan, sources, root, store, clock)
    with clock.stage("application", plan.bundle.name) as mark:
        vendored, mark.cached = application.build_application(
            plan.bundle,
            plan.application_key,
            sources.application.path,
            plan.lock,
            plan.interpreter.version,
            components[plan.interpreter.name].tree,
            [(package, fetched.path) for package, fetched in sources.packages],
            plan.project,
            plan.environment,
            root,
            store,
            clock.reporter,
        )
    with clock.stage("launcher", plan.bundle.name) as mark:
        programs, mark.cached = stubs.build_stubs(
            plan.bundle,
            plan.stubs_key,
            plan.project,
            plan.environment,
            plan.interpreter,
            root,
            vendored,
            store,
            clock.reporter,
        )

    def build(folder: Path) -> None:
        with store.work() as work:
            parts = _contributions(plan, components, vendored, programs, root, work)
            tree = folder / "tree"
            tree.mkdir()
            provenance = stage.assemble(parts, tree)
            left = stage.prune(tree, plan.bundle.prune, provenance, plan.bundle.name)
            vendored_names = {plan.bundle.name, *(package.name for package in plan.lock.packages)}
            stage.refuse_vendored_native(tree, left, vendored_names)
        (folder / stage.PROVENANCE).write_text(json.dumps(left, indent=1, sort_keys=True), "utf-8")
        records = msgspec.to_builtins(list(source_records(plan, vendored.licences)))
        (folder / SOURCES).write_text(json.dumps(records, indent=1, sort_keys=True), "utf-8")

    with clock.stage("assemble", plan.title) as mark:
        entry, mark.cached = store.make(plan.assembled_key, build)
    return entry


def _contributions(
    plan: Plan,
    components: Mapping[str, Entry],
    vendored: application.Vendored,
    programs: Entry,
    root: Path,
    work: Path,
) -> Iterator[stage.Contribution]:
    bundle = plan.bundle
    yield stage.Contribution(plan.interpreter.name, components[plan.interpreter.name].tree / "bundle", ".")
    yield stage.Contribution(bundle.name, vendored.entry.tree, ".", vendored.provenance)
    for native in bundle.native:
        yield stage.Contribution(native.component, components[native.component].tree / native.from_, native.to)
    yield stage.Contribution(launcher.SOURCE, programs.tree, ".")
    for item in plan.components:
        yield stage.Contribution(item.name, components[item.name].path / component.LICENCES, f"{LICENCES}/{item.name}")
    for name, folder in vendored.licence_folders.items():
        yield stage.Contribution(name, folder, f"{LICENCES}/{name}")
    for runtime in plan.toolchain.runtime:
        text = root / runtime.licence_file
        yield stage.Contribution(runtime.name, text, f"{LICENCES}/{runtime.name}/{text.name}")
    yield stage.Contribution(launcher.SOURCE, plan.project.root / "LICENSE", f"{LICENCES}/{launcher.SOURCE}/LICENSE")
    description = work / DESCRIPTION
    description.write_bytes(stage.bundle_description(bundle, plan.options.target))
    yield stage.Contribution(launcher.SOURCE, description, DESCRIPTION)


def source_records(plan: Plan, licences: Mapping[str, str]) -> Iterator[manifest.SourceRecord]:
    """Everything that a bundle is made from; ``licences`` are those of its Python packages, by name."""
    bundle = plan.bundle
    shipped = {bundle.interpreter, *(native.component for native in bundle.native)}
    yield manifest.SourceRecord(
        name=bundle.name, version=bundle.version, kind="application", licence=bundle.licence, purl=bundle.purl,
        digest=bundle.source.digest,
    )  # fmt: skip
    for item in plan.components:
        yield manifest.SourceRecord(
            name=item.name, version=item.version, kind="component" if item.name in shipped else "linked",
            licence=item.licence, purl=item.purl, digest=item.source.digest,
        )  # fmt: skip
    for package in plan.lock.packages:
        yield manifest.SourceRecord(
            name=package.name, version=package.version, kind="dependency", licence=licences[package.name],
            purl=f"pkg:pypi/{package.name}@{package.version}", digest=f"sha256:{package.sha256}",
        )  # fmt: skip
    for runtime in plan.toolchain.runtime:
        version = plan.toolchain_lock.packages[runtime.package]
        yield manifest.SourceRecord(
            name=runtime.name, version=version, kind="linked", licence=runtime.licence,
            purl=f"pkg:deb/debian/{runtime.package}@{version}", digest=f"deb:{runtime.package}={version}",
        )  # fmt: skip
    digest = materials.dir_hash(plan.project.root / launcher.FOLDER, launcher.files(plan.project, bundle))
    yield manifest.SourceRecord(
        name=launcher.SOURCE, version="1", kind="launcher", licence=launcher.LICENCE,
        purl=f"pkg:generic/{launcher.SOURCE}@1", digest=f"tree:{digest}",
    )  # fmt: skip


def _components(plan: Plan, sources: Sources, root: Path, store: Store, clock: Clock) -> Mapping[str, Entry]:
    return parts.build_components(
        plan.components,
        plan.component_keys,
        lambda item: sources.components[item.name].path,
        plan.project,
        plan.environment,
        root,
        store,
        clock,
    )


def _root(plan: Plan, store: Store, clock: Clock) -> Path:
    return parts.make_root(plan.root, store, clock, offline=plan.options.offline)
