"""What every build starts with, of a bundle or of components alone: the build root, and the components built in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from packager import buildroot, component, sandbox
from packager.keys import Key
from packager.progress import Clock
from packager.sources.fetch import Fetched, SourceStore, fetch
from packager.specs import model
from packager.specs.load import Project
from packager.store import Entry, Store


def component_keys(
    components: Sequence[model.Component], project: Project, environment: component.Environment
) -> dict[str, Key]:
    """The keys of components by name; ``components`` has dependencies first."""
    keys: dict[str, Key] = {}
    for item in components:
        keys[item.name] = component.component_key(item, project, environment, keys)
    return keys


def make_root(root: buildroot.Root, store: Store, clock: Clock, *, offline: bool) -> Path:
    """The folder of a build root that this machine can enter. Raises as :func:`buildroot.make_root`."""
    with clock.stage("build root", root.name) as mark:
        entry, mark.cached = buildroot.make_root(root, store, clock.reporter, offline=offline)
        sandbox.probe(entry.tree)
    return entry.tree


def fetch_component(item: model.Component, project: Project, store: Store, clock: Clock, *, offline: bool) -> Fetched:
    """A component's source, verified, in the store. SourceError."""
    sources = SourceStore(store.root)
    return fetch(item.source, store=sources, keyrings=project.specs, reporter=clock.reporter, offline=offline)


def build_components(
    components: Sequence[model.Component],
    keys: Mapping[str, Key],
    source: Callable[[model.Component], Path],
    project: Project,
    environment: component.Environment,
    root: Path,
    store: Store,
    clock: Clock,
) -> Mapping[str, Entry]:
    """Build what the store does not have, in order; all of it by name. ``source`` gives each one's source file."""
    entries: dict[str, Entry] = {}
    for item in components:
        with clock.stage("component", f"{item.name} {item.version}") as mark:
            entries[item.name], mark.cached = component.build_component(
                item, keys[item.name], source(item), project, environment, root, entries, store, clock.reporter
            )
    return entries
