"""Components by themselves: built without a bundle around them, for developers and tests.

A bundle's components are built by ``pipeline``; both ways give the same keys, so what one has built the other finds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from packager import buildroot, component, emit, parts, trees
from packager.disk import disk_errors
from packager.keys import Key
from packager.layout import LICENCES
from packager.progress import Clock
from packager.specs import load, model
from packager.specs.load import Project
from packager.store import Entry, Store, remove

#: The time of every stamp, as the bundles have it: 2025-01-01T00:00:00Z.
EPOCH = 1735689600
#: The build root of components for a target, where none is named.
TOOLCHAINS: Mapping[model.Target, str] = MappingProxyType(
    {"windows-x86_64": "trixie-ucrt64", "linux-x86_64": "bullseye-gcc"}
)


@dataclass(frozen=True, slots=True)
class Options:
    """How to build: ``toolchain`` is a spec's name; ``jobs`` and ``offline`` change no byte."""

    toolchain: str
    target: model.Target
    jobs: int
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The components wanted (``names``) and all that they depend on, read and checked, dependencies first."""

    project: Project
    names: tuple[str, ...]
    components: tuple[model.Component, ...]
    environment: component.Environment
    root: buildroot.Root
    keys: Mapping[str, Key]
    options: Options

    def title(self, name: str) -> str:
        """The name of a component's folder in the output folder."""
        item = next(item for item in self.components if item.name == name)
        return f"{name}-{item.version}-{self.options.target}"


def make_plan(project: Project, names: Sequence[str], options: Options) -> Plan:
    """Read the specs of components and compute their keys. Touches nothing but spec files. SpecError."""
    wanted = tuple(dict.fromkeys(names))
    components = load.load_components(project, wanted, options.target)
    toolchain = load.load_toolchain(project, options.toolchain, options.target)
    root = buildroot.toolchain_root(toolchain, load.load_toolchain_lock(project, options.toolchain))
    environment = component.Environment(toolchain, root.key, EPOCH, options.jobs)
    keys = parts.component_keys(components, project, environment)
    return Plan(project, wanted, components, environment, root, keys, options)


def build(plan: Plan, store: Store, clock: Clock) -> Mapping[str, Entry]:
    """Build what the store does not have; the wanted components by name. Raises as the steps of a bundle's build do."""
    found = {name: store.find(plan.keys[name]) for name in plan.names}
    if all(found.values()):
        return {name: entry for name, entry in found.items() if entry is not None}
    root = parts.make_root(plan.root, store, clock, offline=plan.options.offline)

    def source(item: model.Component) -> Path:
        return parts.fetch_component(item, plan.project, store, clock, offline=plan.options.offline).path

    entries = parts.build_components(
        plan.components, plan.keys, source, plan.project, plan.environment, root, store, clock
    )
    return {name: entries[name] for name in plan.names}


def publish(plan: Plan, entries: Mapping[str, Entry], out: Path) -> tuple[Path, ...]:
    """Copy components and their licences into ``out``, in place of older copies; their folders, in the plan's order."""
    folders = []
    with emit.output_lock(out), disk_errors(out):
        for name in plan.names:
            folder = out / plan.title(name)
            fresh = out / f".{folder.name}.new"
            remove(fresh)
            trees.copy_tree(entries[name].tree, fresh)
            trees.copy_tree(entries[name].path / component.LICENCES, fresh / LICENCES)
            remove(folder)
            fresh.rename(folder)
            folders.append(folder)
    return tuple(folders)
