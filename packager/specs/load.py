"""Read specifications from TOML, once, into the types of ``model``.

Every problem is a SpecError that names the file, the key's path, what was expected and what was found.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from packager.errors import SpecError
from packager.specs import model

T = TypeVar("T", bound=msgspec.Struct)

SPECS_FOLDER = "bundle_specs"
_WHERE = re.compile(r"^(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?$", re.DOTALL)
_TYPE = re.compile(r"^Expected `(?P<expected>[^`]*)`(?:, got `(?P<found>[^`]*)`)?")


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with bundle_specs/, patches/ and launcher/: where every relative path of a spec begins."""

    root: Path

    @property
    def specs(self) -> Path:
        """The bundle_specs folder."""
        return self.root / SPECS_FOLDER

    def patch(self, relative: str, *, spec: str, key: str) -> Path:
        """A file or folder that a spec names relative to the project's root; SpecError if it is not there."""
        path = self.root / relative
        if not path.exists():
            raise SpecError.at(spec, key, "a path that is there", f"{relative}: no such file")
        return path


def find_project(start: Path) -> Project:
    """The project that ``start`` lies in: the nearest folder upwards that has a bundle_specs folder."""
    for folder in (start, *start.parents):
        if (folder / SPECS_FOLDER).is_dir():
            return Project(folder)
    source_tree = Path(__file__).resolve().parents[2]
    if (source_tree / SPECS_FOLDER).is_dir():
        return Project(source_tree)
    raise SpecError(
        f"{start}: no {SPECS_FOLDER} folder here or above",
        hint="run packager in a checkout of the project, or name a bundle spec by its path",
    )


def read(path: Path, kind: type[T]) -> T:
    """The validated content of one TOML file. Raises SpecError."""
    return parse(_text(path), kind, str(path))


def parse(text: str, kind: type[T], file: str) -> T:
    """Like :func:`read`, for a text; ``file`` is what errors call it."""
    return convert(_document(text, file), kind, file)


def _document(text: str, file: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise SpecError(f"{file}: expected TOML, found {exc}") from exc


def convert(document: dict[str, Any], kind: type[T], file: str) -> T:
    """Like :func:`parse`, for a document that has been read."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as exc:
        raise explain(document, str(exc), file) from exc


def explain(document: dict[str, Any], message: str, file: str) -> SpecError:
    """Turn msgspec's message into ours: key path, expected, found."""
    match = _WHERE.match(message)
    what, path = (match["what"], match["path"] or "$") if match else (message, "$")
    key = path.removeprefix("$").lstrip(".")
    if unknown := re.match(r"Object contains unknown field `(.*)`", what):
        key = ".".join(filter(None, (_indexed(document, key), unknown[1])))
        return SpecError.at(file, key, "only known keys", "an unknown key", hint="see docs/specs.md for the keys")
    if missing := re.match(r"Object missing required field `(.*)`", what):
        key = ".".join(filter(None, (_indexed(document, key), missing[1])))
        return SpecError.at(file, key, "a value", "nothing")
    key = _indexed(document, key)
    found = _lookup(document, key)
    shown = repr(found) if len(repr(found)) <= 80 else repr(found)[:77] + "..."
    if typed := _TYPE.match(what):
        expected = what.removeprefix("Expected ").replace("`", "")
        return SpecError.at(file, key, expected.split(", got")[0], f"{shown} ({typed['found'] or _type(found)})")
    if what.startswith("Invalid"):
        return SpecError.at(file, key, "a known value", shown, hint="see docs/specs.md for the values")
    return SpecError.at(file, key, what[:1].lower() + what[1:], shown)


def _indexed(document: dict[str, Any], key: str) -> str:
    """msgspec writes ``[...]`` for any element of an array or table; leave it where the index is not known."""
    return key.replace("[...]", "[]")


def _lookup(document: Any, key: str) -> Any:
    value = document
    for part in re.findall(r"[^.\[\]]+|\[\d*\]", key):
        if part.startswith("["):
            if not isinstance(value, list) or part == "[]" or int(part[1:-1]) >= len(value):
                return value
            value = value[int(part[1:-1])]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        else:
            return value
    return value


def _type(value: Any) -> str:
    names = {str: "str", int: "int", bool: "bool", float: "float", list: "array", dict: "table"}
    return names.get(type(value), type(value).__name__)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError as exc:
        raise SpecError(f"{path}: no such spec") from exc
    except (OSError, UnicodeDecodeError) as exc:
        raise SpecError(f"{path}: cannot be read: {exc}") from exc


def check_source(source: model.Source, file: str, key: str) -> None:
    """The rules that types cannot say: exactly one of sha256 and commit, and origins that fit it."""
    if (source.sha256 is None) == (source.commit is None):
        found = "neither" if source.sha256 is None else "both"
        raise SpecError.at(file, key, "exactly one of sha256 and commit", found)
    for number, origin in enumerate(source.origins):
        where = f"{key}.origins[{number}]"
        if isinstance(origin, model.GitOrigin):
            if source.commit is None:
                raise SpecError.at(file, where, "an origin of a file, as the source is bound by a sha256", "kind git")
            if origin.commit != source.commit:
                raise SpecError.at(file, f"{where}.commit", f"the source's commit {source.commit}", origin.commit)
        elif source.sha256 is None:
            raise SpecError.at(file, where, "kind git, as the source is bound by a commit id", "another kind")
    if source.leave_out and source.commit is None:
        raise SpecError.at(file, f"{key}.leave_out", "none, as the source is bound by a sha256", str(source.leave_out))
    if source.signature is not None and source.sha256 is None:
        raise SpecError.at(file, f"{key}.signature", "none for a git source", "a signature")


def component_path(project: Project, name: str) -> Path:
    """``bundle_specs/components/<name>.toml``; SpecError if it is not there."""
    path = project.specs / "components" / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.toml")))
        raise SpecError(f"{path}: no such component", hint=f"the components are: {known}")
    return path


def _likes(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The components that a document says it is ``like``; none if the key is missing or wrong (``convert`` says so)."""
    like = document.get("like", ())
    names = [like] if isinstance(like, str) else like
    return tuple(name for name in names if isinstance(name, str)) if isinstance(names, list | tuple) else ()


def _lineage(project: Project, name: str, trail: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """The documents of a component and of all that it is ``like``, by name, each before what it is like itself.

    A key is taken from the first that has it: what several are like comes after all of them, as with Python's classes.
    """
    if name in trail:
        raise SpecError(f"components are like each other in a circle: {' -> '.join((*trail, name))}")
    path = component_path(project, name)
    document = _document(_text(path), str(path))
    found = {name: document}
    for like in _likes(document):
        for other, theirs in _lineage(project, like, (*trail, name)).items():
            found.pop(other, None)
            found[other] = theirs
    return found


def _component_document(project: Project, name: str) -> dict[str, Any]:
    """A component's document with what it takes from the components that it is ``like``."""
    document: dict[str, Any] = {}
    for other, theirs in _lineage(project, name).items():
        own = model.OWN_KEYS if other != name else frozenset()
        # Targets are those of the recipe that is taken.
        own |= model.BUILD_KEYS if "build" in document else frozenset()
        document = {key: value for key, value in theirs.items() if key not in own} | document
    return document


def component_files(project: Project, component: model.Component) -> tuple[Path, ...]:
    """The spec files that a component was read from: its own, then those of the components that it is like."""
    return tuple(component_path(project, name) for name in _lineage(project, component.name))


def load_component(project: Project, name: str) -> model.Component:
    """``bundle_specs/components/<name>.toml``; what it does not say is as in the component that it is ``like``."""
    path = component_path(project, name)
    component = convert(_component_document(project, name), model.Component, str(path))
    if component.name != name:
        raise SpecError.at(str(path), "name", f"{name!r}, as the file is called", repr(component.name))
    check_source(component.source, str(path), "source")
    check_targets(component, str(path))
    variants = {"": component, **{f"target.{name}.": component.variant(name) for name in component.target}}
    for where, variant in variants.items():
        for number, patch in enumerate(variant.patches):
            project.patch(patch, spec=str(path), key=f"{where}patches[{number}]")
        for number, overlay in enumerate(variant.overlays):
            project.patch(overlay, spec=str(path), key=f"{where}overlays[{number}]")
    if component.source.signature is not None:
        _keyring(project, component.source.signature, str(path))
    return component


def load_components(
    project: Project, names: tuple[str, ...], target: model.Target = model.FIRST_TARGET
) -> tuple[model.Component, ...]:
    """The components and all that they depend on, as ``target`` has them, dependencies first.

    SpecError for a cycle, and for a component that cannot be built for the target.
    """
    ordered: dict[str, model.Component] = {}
    trail: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name in trail:
            raise SpecError(f"components depend on each other in a circle: {' -> '.join([*trail, name])}")
        trail.append(name)
        component = load_component(project, name)
        if target not in component.targets:
            file = str(component_path(project, name))
            raise SpecError.at(file, "targets", f"the target {target}", ", ".join(component.targets))
        component = component.variant(target)
        for dependency in component.depends:
            visit(dependency)
        trail.pop()
        ordered[name] = component

    for name in names:
        visit(name)
    return tuple(ordered.values())


def check_targets(spec: model.Component | model.Bundle, file: str) -> None:
    """SpecError for a table about a target that the spec does not name."""
    for name in spec.target:
        if name not in spec.targets:
            raise SpecError.at(file, f"target.{name}", f"one of the spec's targets, {', '.join(spec.targets)}", name)


def load_toolchain(project: Project, name: str, target: model.Target | None = None) -> model.Toolchain:
    """``bundle_specs/toolchains/<name>.toml``. SpecError if it builds for another target than ``target``."""
    folder = project.specs / "toolchains"
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = ", ".join(sorted(item.stem for item in folder.glob("*.toml")))
        raise SpecError(f"{path}: no such toolchain", hint=f"the toolchains are: {known}")
    toolchain = read(path, model.Toolchain)
    if target is not None and toolchain.target != target:
        raise SpecError.at(str(path), "target", f"the target {target}", toolchain.target)
    return toolchain


def toolchain_lock_path(project: Project, name: str) -> Path:
    """Where a toolchain's lock lies."""
    return project.specs / "locks" / f"toolchain.{name}.toml"


def load_toolchain_lock(project: Project, name: str) -> model.ToolchainLock:
    """The locked package versions of a toolchain."""
    return read(toolchain_lock_path(project, name), model.ToolchainLock)


def policy_path(project: Project, name: str) -> Path:
    """``bundle_specs/policy/<name>.toml``."""
    path = project.specs / "policy" / f"{name}.toml"
    if not path.is_file():
        raise SpecError(f"{path}: no such policy")
    return path


def bundle_path(project: Project, spec: str) -> Path:
    """SPEC of the command line: a name in bundle_specs/, or a path to a TOML file."""
    if "/" in spec or spec.endswith(".toml"):
        path = Path(spec)
        if not path.is_file():
            raise SpecError(f"{spec}: no such spec")
        return path
    path = project.specs / f"{spec}.toml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in project.specs.glob("*.toml")))
        raise SpecError(f"{spec}: no such bundle spec", hint=f"the bundle specs are: {known}")
    return path


def load_bundle(project: Project, spec: str) -> model.Bundle:
    """A bundle spec by name or path, with everything it names on this disk checked to be there."""
    path = bundle_path(project, spec)
    bundle = read(path, model.Bundle)
    file = str(path)
    check_source(bundle.source, file, "source")
    if bundle.source.signature is not None:
        _keyring(project, bundle.source.signature, file)
    for number, patch in enumerate(bundle.application.patches):
        project.patch(patch, spec=file, key=f"application.patches[{number}]")
    if not (project.specs / bundle.dependencies.lock).is_file():
        raise SpecError.at(
            file, "dependencies.lock", "a lock that is there", f"{bundle.dependencies.lock}: no such file"
        )
    if bundle.modules is not None and not (project.specs / bundle.modules.trace).is_file():
        raise SpecError.at(file, "modules.trace", "a trace that is there", f"{bundle.modules.trace}: no such file")
    names = [point.name.lower() for point in bundle.entry_points]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise SpecError.at(file, f"entry_points[{number}].name", "a name used once", repr(name))
    check_targets(bundle, file)
    return bundle


def load_variant(project: Project, spec: str, target: model.Target) -> model.Bundle:
    """:func:`load_bundle`, as ``target`` has it. SpecError naming the targets there are, if that is none of them."""
    bundle = load_bundle(project, spec)
    if target not in bundle.targets:
        raise SpecError.at(
            str(bundle_path(project, spec)), "targets", f"the target {target}", f"only {', '.join(bundle.targets)}"
        )
    return bundle.variant(target)


def bundle_lock_path(project: Project, bundle: model.Bundle) -> Path:
    """Where the sums of a bundle's archives lie."""
    return project.specs / "locks" / f"{bundle.name}.toml"


def load_bundle_lock(project: Project, bundle: model.Bundle) -> model.BundleLock:
    """The sums that everyone must get; empty where none are recorded yet."""
    path = bundle_lock_path(project, bundle)
    return read(path, model.BundleLock) if path.is_file() else model.BundleLock()


def _keyring(project: Project, signature: model.Signature, file: str) -> None:
    if not (project.specs / signature.keyring).is_file():
        raise SpecError.at(
            file, "source.signature.keyring", "a keyring that is there", f"{signature.keyring}: no such file"
        )
