#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell Meson what CPython's PCbuild/*.vcxproj say, translated for GCC.

``describe.py SOURCE DEPENDENCIES PART...``: SOURCE is the top of CPython's source, DEPENDENCIES the folder that holds
one folder (``include``, ``lib``) per external library, the PARTs are those of mingw/build.toml that are wanted.  Prints
one fact per line, key and value separated by a tab:

    project NAME, file NAME, kind dll|exe|pyd, folder DIR, language c|cpp, subsystem console|windows, stack BYTES,
        noentry yes|no, entry narrow|wide, uses PROJECT..., loadflags N, delay DLL=FUNCTION,FUNCTION..., flag ARG...,
        per group of sources with the same flags:
        group N, define X..., include DIR..., includeafter DIR..., source FILE...
    link ARG..., export NAME..., resource FILE..., resourcedefine X..., end NAME
    and after all projects: frozen MODULE|SOURCE|HEADER..., field3 N, version M.N;
        if a source is made of frozen modules: deepfreezer SCRIPT, deepfrozen HEADER:MODULE..., deepfreeze SOURCE

Meson has no way to read JSON or TOML, hence the lines.
"""

from __future__ import annotations

import posixpath
import re
import sys
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vcxproj import PROJECT_KINDS, Item, Project, ProjectError, read_project

#: Stands before a library's name in paths while a project is evaluated: "external:/zlib/...".
EXTERNAL = "external:/"
#: What mingw/resource.rc.in defines for every resource script itself.
RESOURCE_DEFINITIONS = frozenset({"ORIGINAL_FILENAME", "FIELD3", "NDEBUG"})
#: LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR, LOAD_LIBRARY_SEARCH_APPLICATION_DIR, LOAD_LIBRARY_SEARCH_SYSTEM32.
_OWN_FOLDER, _APPLICATION, _SYSTEM32 = 0x100, 0x200, 0x800


@dataclass(frozen=True)
class Version:
    """CPython's version as Include/patchlevel.h has it, and the third field of its Windows file version."""

    major: int
    minor: int
    micro: int
    field3: int


def read_version(patchlevel: str) -> Version:
    """The version in the text of Include/patchlevel.h; raises ProjectError if a number is missing.

    The third field is 1000 * micro + 10 * level + serial, the sum that PCbuild/field3.py explains.
    """

    def number(name: str) -> int:
        match = re.search(rf"^#define\s+{name}\s+(\w+)", patchlevel, re.MULTILINE)
        if match is None:
            raise ProjectError(f"patchlevel.h: expected a definition of {name}, found none")
        value = match.group(1)
        return number(value) if value.startswith("PY_") else int(value, 0)

    major, minor, micro = (number(f"PY_{part}_VERSION") for part in ("MAJOR", "MINOR", "MICRO"))
    field3 = 1000 * micro + 10 * number("PY_RELEASE_LEVEL") + number("PY_RELEASE_SERIAL")
    return Version(major, minor, micro, field3)


def outside_properties(data: Mapping[str, Any], version: Version) -> dict[str, str]:
    """The properties that replace what MSBuild would compute, look up or be told."""
    properties = {
        "MajorVersionNumber": str(version.major),
        "MinorVersionNumber": str(version.minor),
        "MicroVersionNumber": str(version.micro),
        "Field3Value": str(version.field3),
        "IntDir": "generated:/",
        "Py_IntDir": "generated:/",
        "GeneratedPyConfigDir": "generated:/",
        "GeneratedFrozenModulesDir": "generated:/",
        "OutDir": "output:/",
        **data["properties"],
    }
    for name, library in data["libraries"].items():
        properties[library["property"]] = f"{EXTERNAL}{name}/"
    return properties


def find_projects(folder: Path, outside: Mapping[str, str], data: Mapping[str, Any]) -> dict[str, str]:
    """The projects that PCbuild/pcbuild.proj in ``folder`` builds, and all that they refer to, each with its part.

    In pcbuild.proj's order.  Raises ProjectError for a project that build.toml would have to name and does not.
    """
    solution = read_project(folder / "pcbuild.proj", outside)
    tests = {item.include for item in solution.of_kind("TestModules")}
    modules = {item.include for item in solution.of_kind("ExtensionModules")}
    ours = {name for library in data["libraries"].values() for name in library.get("replaces", ())}
    found: dict[str, str] = {}

    def add(name: str, part: str | None) -> None:
        if name in found or name in ours or name in data["left-out"]:
            return
        if part is None:
            raise ProjectError(f"pcbuild.proj: {name}: expected a project that build.toml names, found a new one")
        found[name] = part
        for reference in references(read_project(folder / f"{name}.vcxproj", outside)):
            add(reference, data["projects"].get(reference, part))

    for kind in PROJECT_KINDS:
        for item in solution.of_kind(kind):
            name = item.include.removesuffix(".vcxproj")
            part = "tests" if name in tests else "interpreter" if name in modules else data["projects"].get(name)
            add(name, part)
    return found


def references(project: Project) -> tuple[str, ...]:
    """The names of the projects that a project refers to."""
    return tuple(item.include.removesuffix(".vcxproj") for item in project.of_kind("ProjectReference"))


def source_path(path: str) -> str:
    """A path out of a project file, relative to the top of the source: ``..\\Modules\\x.c`` becomes ``Modules/x.c``."""
    path = path.replace("\\", "/")
    if path.startswith((EXTERNAL, "generated:/", "output:/")):
        return path
    return posixpath.normpath(path.removeprefix("../"))


def external_name(path: str) -> str | None:
    """The library that a path belongs to, None for CPython's own."""
    return path[len(EXTERNAL) :].split("/")[0] if path.startswith(EXTERNAL) else None


@dataclass(frozen=True)
class Flags:
    """What the compiler is told for one source file."""

    definitions: tuple[str, ...]
    includes: tuple[str, ...]
    includes_after: tuple[str, ...]


def compiler_flags(item: Item, data: Mapping[str, Any]) -> Flags:
    """Definitions and folders of one ClCompile item, in GCC's terms."""
    rules = data["definitions"]
    definitions = [rules["replace"].get(entry, entry) for entry in item.values("PreprocessorDefinitions")]
    definitions = [entry for entry in definitions if entry.partition("=")[0] not in rules["drop"]] + rules["add"]
    folders = [source_path(folder) for folder in item.values("AdditionalIncludeDirectories")]
    folders = [folder for folder in folders if folder not in data["include-folders"]["drop"]]
    after = tuple(folder for folder in folders if folder in data["include-folders"]["after"])
    before = (folder for folder in folders if folder not in after)
    return Flags(tuple(dict.fromkeys(definitions)), tuple(dict.fromkeys(before)), after)


def sources(project: Project, data: Mapping[str, Any]) -> dict[Flags, list[str]]:
    """CPython's own sources of a project, grouped by flags, in file order; those of libraries are left out."""
    groups: dict[Flags, list[str]] = {}
    for item in project.of_kind("ClCompile"):
        path = source_path(item.include)
        if external_name(path) is None:
            groups.setdefault(compiler_flags(item, data), []).append(path)
    return groups


def libraries(project: Project, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The external libraries whose folders a project names, in the data file's order."""
    named = {
        external_name(source_path(folder))
        for item in project.of_kind("ClCompile")
        for folder in (item.include, *item.values("AdditionalIncludeDirectories"))
    }
    return tuple(name for name in data["libraries"] if name in named)


def system_libraries(project: Project, data: Mapping[str, Any]) -> tuple[str, ...]:
    """The import libraries of Windows that a project links, as ``-l`` names, without those that stand for ours."""
    ours = {name for library in data["libraries"].values() for name in library.get("replaces", ())}
    names = [
        posixpath.basename(entry.replace("\\", "/")).lower().removesuffix(".lib")
        for entry in project.defaults("Link", "AdditionalDependencies")
    ]
    names += data["link"].get(project.name, [])
    return tuple(dict.fromkeys(name for name in names if name not in ours))


def linked(project: Project, data: Mapping[str, Any]) -> tuple[str, ...]:
    """All that a project links, as ``-l`` names: the files of external libraries, then Windows' import libraries."""
    ours = (file for library in libraries(project, data) for file in data["libraries"][library]["link"])
    return tuple(dict.fromkeys((*ours, *system_libraries(project, data))))


def load_flags(kind: str, project: Project, data: Mapping[str, Any]) -> int:
    """Where Windows may look for what a file of that kind imports, as LOAD_LIBRARY_SEARCH_* flags.

    A program finds python3xx.dll in its own folder, an extension module there the DLLs of external libraries; whatever
    else imports python3xx.dll finds it loaded already, which the loader asks before it looks into any folder.
    """
    if kind == "exe":
        return _SYSTEM32 | _APPLICATION if "pythoncore" in references(project) else _SYSTEM32
    beside = any(data["libraries"][library].get("dlls") for library in libraries(project, data))
    return _SYSTEM32 | _OWN_FOLDER if beside else _SYSTEM32


def exported(project: Project) -> tuple[str, ...]:
    """Names that a project exports through the linker's options (``/EXPORT:name,PRIVATE``)."""
    options = project.definitions.get("Link", {}).get("AdditionalOptions", "")
    return tuple(re.findall(r"/EXPORT:(\w+)", options))


def output_file(project: Project) -> tuple[str, str]:
    """File name of a project's output and its kind: dll, exe or pyd."""
    extension = project.properties.get("TargetExt", "")
    if not extension:
        extension = ".exe" if project.properties.get("ConfigurationType") == "Application" else ".dll"
    return project.properties.get("TargetName", project.name) + extension, extension[1:]


def folder_path(folder: str, dependencies: str) -> str:
    """An include folder as Meson shall see it: a library's is its ``include`` in ``dependencies``."""
    name = external_name(folder)
    return folder if name is None else f"{dependencies}/{name}/include"


def describe_project(
    project: Project, data: Mapping[str, Any], dependencies: str, part: str
) -> Iterator[tuple[str, str]]:
    """The facts about one project of a part, as key and value."""
    name, kind = output_file(project)
    link = project.definitions.get("Link", {})
    used = libraries(project, data)
    yield "project", project.name
    yield "file", name
    yield "kind", kind
    yield "folder", data["parts"][part][kind]
    files = [item.include for item in project.of_kind("ClCompile")]
    yield "language", "cpp" if any(file.endswith(".cpp") for file in files) else "c"
    yield "subsystem", link.get("SubSystem", "Windows").lower()
    yield "stack", str(int(link.get("StackReserveSize", "0")) * data["stack"]["factor"])
    yield "noentry", "yes" if link.get("NoEntryPoint", "").lower() == "true" else "no"
    if kind == "exe":
        yield "entry", "narrow" if project.name in data["entry"]["narrow"] else "wide"
    # In this order, as a name that both have is to come from the first.
    yield from (("uses", core) for core in ("pythoncore", "python3dll") if core in references(project))
    yield "loadflags", hex(load_flags(kind, project, data))
    names = linked(project, data)
    delayed = (data["delayed"][name] for name in names if name in data["delayed"])
    yield from (("delay", f"{dll['dll']}={','.join(dll['functions'])}") for dll in delayed)
    yield from (("flag", argument) for argument in data["flags"].get(project.name, ()))
    for number, (flags, files) in enumerate(sources(project, data).items()):
        yield "group", str(number)
        yield from (("define", entry) for entry in flags.definitions)
        yield from (("include", folder_path(folder, dependencies)) for folder in flags.includes)
        yield from (("includeafter", folder) for folder in flags.includes_after)
        yield from (("source", file) for file in files)
    yield from (("link", f"-L{dependencies}/{library}/lib") for library in used)
    yield from (("link", f"-l{name}") for name in names if name not in data["delayed"])
    yield from (("export", symbol) for symbol in exported(project))
    for item in project.of_kind("ResourceCompile"):
        yield "resource", source_path(item.include)
        entries = item.values("PreprocessorDefinitions")
        yield from (
            ("resourcedefine", entry) for entry in entries if entry.partition("=")[0] not in RESOURCE_DEFINITIONS
        )
    yield "end", project.name


def describe_frozen(project: Project) -> Iterator[tuple[str, str]]:
    """The modules frozen into the core: module name, its source, the header made of it."""
    for item in (*project.of_kind("None"), *project.of_kind("GetPath")):
        paths = (source_path(item.include), source_path(item.metadata["OutFile"]))
        yield "frozen", "|".join((item.metadata["ModName"], *paths))


def describe_deepfrozen(project: Project) -> Iterator[tuple[str, str]]:
    """The source with frozen modules' code as static objects (CPython 3.11 and 3.12), and what it is made of.

    Nothing if no target makes one. Raises ProjectError for a command line of another form than the one known.
    """
    for command in project.commands:
        script, *entries, option, output = re.findall(r'"([^"]*)"', command) or [""] * 3
        if option != "-o" or not entries or not all(":" in entry for entry in entries):
            raise ProjectError(f'{project.name}: expected "SCRIPT" "HEADER:MODULE"... "-o" "OUTPUT", found {command!r}')
        yield "deepfreezer", source_path(script)
        for entry in entries:
            header, module = entry.rsplit(":", 1)
            yield "deepfrozen", f"{source_path(header)}:{module}"
        yield "deepfreeze", source_path(output)


def describe(
    source: Path, dependencies: str, parts: Collection[str], data: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """All facts about the projects of ``parts`` of the CPython source at ``source``."""
    version = read_version((source / "Include" / "patchlevel.h").read_text(encoding="utf-8"))
    outside = outside_properties(data, version)
    folder = source / "PCbuild"
    for name, part in find_projects(folder, outside, data).items():
        if part in parts:
            yield from describe_project(read_project(folder / f"{name}.vcxproj", outside), data, dependencies, part)
    freezer = read_project(folder / "_freeze_module.vcxproj", outside)
    yield from describe_frozen(freezer)
    yield from describe_deepfrozen(freezer)
    yield "field3", str(version.field3)
    yield "version", f"{version.major}.{version.minor}"


def main(arguments: Iterable[str]) -> int:
    """Print the description; 1 and one line on stderr if a project file is not understood."""
    source, dependencies, *parts = arguments
    with (Path(__file__).parent / "build.toml").open("rb") as file:
        data = tomllib.load(file)
    try:
        for key, value in describe(Path(source), dependencies, parts, data):
            print(f"{key}\t{value}")
    except (ProjectError, OSError) as error:
        print(f"describe.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
