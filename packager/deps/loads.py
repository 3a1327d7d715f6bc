"""From names that look like run-time loads to the modules that they probably mean."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from packager.deps.model import RuntimeLoad
from packager.deps.modules import Modules
from packager.deps.names import encodable, module_name, windows_key
from packager.deps.runtime import ADD, GUESS, PythonLoads, python_loads
from packager.deps.windows import is_api_set
from packager.formats import zip as zips


def read_python(paths: Sequence[str]) -> Iterator[tuple[str, PythonLoads]]:
    """The Python files that mention something, and what; one that cannot be read mentions nothing.

    A module that is stored in a zip archive has a path below the archive's.
    """
    for path in paths:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue
        for name, content in _modules(path, data):
            loads = python_loads(content, compiled=name.lower().endswith(".pyc"))
            if loads.mentions or loads.added:
                yield name, loads


def _modules(path: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """The file itself, or what is stored in it."""
    if not path.lower().endswith(".zip"):
        yield path, data
        return
    for name, content in zips.stored_members(data):
        if name.lower().endswith((".py", ".pyw", ".pyc")):
            yield f"{path}{os.sep}{name}", content


def runtime_loads(
    modules: Modules, python: Mapping[str, PythonLoads], named: Mapping[str, Sequence[str]]
) -> tuple[RuntimeLoad, ...]:
    """What PE files and Python files mention, by file; a name that is one of the file's own imports is left out.

    ``named`` are all files of the inputs by their names' keys.
    """
    return (*_of_files(modules, named), *_of_python(modules, python, named))


def _of_files(modules: Modules, named: Mapping[str, Sequence[str]]) -> Iterator[RuntimeLoad]:
    for path in sorted(modules.files):
        file = modules.file(path)
        if file.image is None:
            continue
        own = {windows_key(os.path.basename(path)), windows_key(file.image.dll_name or "")}
        own |= {windows_key(module_name(dll.name)) for dll in file.image.imports}
        names = {windows_key(name): name for name in reversed(file.names) if windows_key(name) not in own}
        for name in sorted(names.values(), key=str.lower):
            yield RuntimeLoad(modules.world.show(path), None, name, "string", _target(modules, named, path, name))


def _of_python(
    modules: Modules, python: Mapping[str, PythonLoads], named: Mapping[str, Sequence[str]]
) -> Iterator[RuntimeLoad]:
    for path in sorted(python):
        for mention in python[path].mentions:
            target = None if mention.how == ADD else _target(modules, named, path, mention.name)
            if target is not None or mention.how != GUESS:
                name = encodable(mention.name)
                yield RuntimeLoad(modules.world.show(path), mention.line, name, mention.how, target)


def _target(modules: Modules, named: Mapping[str, Sequence[str]], path: str, name: str) -> str | None:
    """The module that a name probably means: a file beside ``path``, one elsewhere in the inputs, or Windows' DLL."""
    wanted = module_name(name)
    found = modules.world.find(os.path.dirname(path), wanted) or next(iter(named.get(windows_key(wanted), ())), None)
    if found is not None and found != path:
        return modules.of(found, "")
    dll = wanted.lower()
    if is_api_set(dll):
        dll = modules.windows.api_set(dll) or ""
    return modules.of("", dll) if dll and modules.windows.has(dll) else None
