# SPDX-License-Identifier: GPL-3.0-or-later
"""Read Visual C++ project files: as much of MSBuild as CPython's PCbuild/*.vcxproj need.

What MSBuild does, and this module with it: properties are set top to bottom through all imported files first; item
definitions (the defaults of every ClCompile, Link, ...) and items are evaluated after that, with the final properties.
A property given from outside wins over every assignment in the files.  See "MSBuild evaluation" in Microsoft's
documentation of MSBuild ("How MSBuild builds projects").

What is left out on purpose: targets and tasks (but for commands that run one of SCRIPTS), Microsoft's own imports
(they describe MSVC, not CPython), and property functions (``$([System.IO...])``) but for the few of strings in
STRING_METHODS.  A property whose value needs one stays unknown; to use an unknown property is an error that names it,
so that nothing is guessed: the caller then gives that property from outside.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Imports that start with one of these are Microsoft's or the user's, not CPython's.
FOREIGN_IMPORTS = ("$(VCTargetsPath)", "$(UserRootDir)", "$(ExternalProps)")

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
_METHOD = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z]+)\(((?:[^()$]|\$\(\w+\))*)\)\)")
_METADATA = re.compile(r"%\(([A-Za-z_][A-Za-z0-9_]*)\)")
_ITEMS = re.compile(r"@\((\w+)(?:->'([^']*)')?\)")
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<string>'[^']*')
      | (?P<call>[A-Za-z]+)\s*\((?P<argument>(?:[^()]|\([^()]*\))*)\)
      | (?P<operator>==|!=|>=|<=|>|<|!|\(|\))
      | (?P<word>(?:\$\([A-Za-z_][A-Za-z0-9_]*\)|[^\s'()!=<>$])+)
    )""",
    re.VERBOSE,
)

#: Methods of .NET strings that project files call on a property; arguments are the texts between commas.
STRING_METHODS: Mapping[str, Callable[..., str]] = {
    "LastIndexOf": lambda text, part: str(text.rfind(part)),
    "Substring": lambda text, start, length="": text[int(start) : int(start) + int(length) if length else None],
    "Replace": lambda text, old, new: text.replace(old, new),
}


class ProjectError(ValueError):
    """A project file holds something that this reader does not know; the text says where and what."""


@dataclass(frozen=True)
class Item:
    """One file of a project: its kind (``ClCompile``, ...), its path as written, its metadata with defaults."""

    kind: str
    include: str
    metadata: Mapping[str, str]

    def values(self, name: str) -> tuple[str, ...]:
        """The entries of a ``;``-separated metadata list, in order, without empty ones."""
        return split_list(self.metadata.get(name, ""))


@dataclass(frozen=True)
class Project:
    """A project after evaluation: final properties, the defaults per item kind, the items in file order, and the
    command lines of its targets that run one of SCRIPTS.
    """

    name: str
    properties: Mapping[str, str]
    definitions: Mapping[str, Mapping[str, str]]
    items: tuple[Item, ...]
    commands: tuple[str, ...] = ()

    def of_kind(self, kind: str) -> tuple[Item, ...]:
        """The items of one kind, in file order."""
        return tuple(item for item in self.items if item.kind == kind)

    def defaults(self, kind: str, name: str) -> tuple[str, ...]:
        """The entries of a list in the defaults of a kind, such as ``Link``'s ``AdditionalDependencies``."""
        return split_list(self.definitions.get(kind, {}).get(name, ""))


def split_list(text: str) -> tuple[str, ...]:
    """The entries of an MSBuild list ``a;b; c``, in order, stripped, empty ones dropped."""
    return tuple(entry for entry in (part.strip() for part in text.split(";")) if entry)


def read_project(path: Path, outside: Mapping[str, str]) -> Project:
    """Evaluate the project file at ``path``.

    ``outside`` holds the properties given from outside, as ``msbuild /p:Name=value`` gives them.
    Raises ProjectError for XML or expressions that are not understood, OSError if a file cannot be read.
    """
    evaluation = _Evaluation(path, outside)
    return evaluation.project()


class _Evaluation:
    """The state of reading one project; lives as long as one call of read_project."""

    def __init__(self, path: Path, outside: Mapping[str, str]) -> None:
        self.path = path
        self.outside = {"MSBuildProjectName": path.stem, "ProjectName": path.stem, **outside}
        self.known: dict[str, str] = dict(self.outside)
        self.unknown: dict[str, str] = {}
        self.later: list[ElementTree.Element] = []
        self.definitions: dict[str, dict[str, str]] = {}
        self.items: list[Item] = []
        self.commands: list[str] = []

    def project(self) -> Project:
        self.read_file(self.path)
        for group in self.later:
            if group.tag == "ItemDefinitionGroup":
                self.read_definitions(group)
            elif group.tag == "Target":
                self.read_commands(group)
            else:
                self.read_items(group)
        return Project(self.path.stem, self.known, self.definitions, tuple(self.items), tuple(self.commands))

    # First pass: properties and imports.

    def read_file(self, path: Path) -> None:
        try:
            root = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise ProjectError(f"{path.name}: expected XML, found {error}") from error
        for element in root.iter():
            element.tag = element.tag.rpartition("}")[2]
        for element in root:
            self.read_top(element, path)

    def read_top(self, element: ElementTree.Element, path: Path) -> None:
        if element.tag == "PropertyGroup":
            self.read_properties(element)
        elif element.tag == "Import":
            self.read_import(element, path)
        elif element.tag == "ImportGroup":
            for child in element:
                self.read_import(child, path)
        elif element.tag in ("ItemGroup", "ItemDefinitionGroup", "Target"):
            self.later.append(element)

    def read_import(self, element: ElementTree.Element, path: Path) -> None:
        target = element.get("Project", "")
        if target.startswith(FOREIGN_IMPORTS) or not self.applies(element):
            return
        self.read_file(path.parent / self.expand(target).replace("\\", "/"))

    def read_properties(self, group: ElementTree.Element) -> None:
        wanted = [child for child in group if child.tag not in self.outside]
        if not wanted or not self.applies(group):
            return
        for child in wanted:
            try:
                if not self.applies(child):
                    continue
                value = self.expand(child.text or "")
            except ProjectError as error:
                self.known.pop(child.tag, None)
                self.unknown[child.tag] = str(error)
            else:
                self.unknown.pop(child.tag, None)
                self.known[child.tag] = value

    # Second pass: defaults, items and commands.

    def read_definitions(self, group: ElementTree.Element) -> None:
        if not self.applies(group):
            return
        for kind in group:
            if self.applies(kind):
                self.read_metadata(kind, self.definitions.setdefault(kind.tag, {}))

    def read_items(self, group: ElementTree.Element) -> None:
        wanted = [element for element in group if element.tag in ITEM_KINDS]
        if not wanted or not self.applies(group):
            return
        for element in wanted:
            if not self.applies(element):
                continue
            metadata = dict(self.definitions.get(element.tag, {}))
            self.read_metadata(element, metadata)
            if metadata.get("ExcludedFromBuild", "").lower() == "true":
                continue
            for include in split_list(self.expand_items(self.expand(element.get("Include", "")))):
                self.items.append(Item(element.tag, include, metadata))

    def read_commands(self, target: ElementTree.Element) -> None:
        commands = [task.get("Command", "") for task in target if task.tag == "Exec"]
        wanted = [command for command in commands if any(script in command for script in SCRIPTS)]
        if wanted and self.applies(target):
            self.commands += [self.expand(command) for command in wanted]

    def expand_items(self, text: str) -> str:
        """``text`` with ``@(Kind)`` and ``@(Kind->'%(Identity).x')`` replaced by the items read so far."""

        def items(match: re.Match[str]) -> str:
            template = match.group(2) or "%(Identity)"
            if _METADATA.findall(template) != ["Identity"]:
                raise ProjectError(f"{self.path.name}: item transform not understood: {match.group()!r}")
            return ";".join(
                template.replace("%(Identity)", item.include) for item in self.items if item.kind == match.group(1)
            )

        return _ITEMS.sub(items, text)

    def read_metadata(self, parent: ElementTree.Element, metadata: dict[str, str]) -> None:
        for child in parent:
            if child.tag not in METADATA or not self.applies(child):
                continue
            text = self.expand(child.text or "")
            metadata[child.tag] = _METADATA.sub(lambda match: metadata.get(match.group(1), ""), text)

    # Expressions.

    def applies(self, element: ElementTree.Element) -> bool:
        condition = element.get("Condition")
        return condition is None or _Condition(condition, self.expand, self.path).result()

    def expand(self, text: str) -> str:
        """``text`` with the properties it refers to; raises ProjectError if one is unknown or a function is called."""

        def method(match: re.Match[str]) -> str:
            name, function, arguments = match.groups()
            if function not in STRING_METHODS:
                raise ProjectError(f"{self.path.name}: function not understood: {match.group()!r}")
            values = (self.expand(argument).strip().strip("`'\"") for argument in arguments.split(","))
            return STRING_METHODS[function](self.value(name), *values)

        if "$(" in _REFERENCE.sub("", _METHOD.sub("", text)):
            raise ProjectError(f"{self.path.name}: expected plain $(Name) references, found {text.strip()!r}")
        return _REFERENCE.sub(lambda match: self.value(match.group(1)), _METHOD.sub(method, text))

    def value(self, name: str) -> str:
        """The value of a property, empty if it was never set, as in MSBuild."""
        if name in self.unknown:
            raise ProjectError(f"{self.path.name}: property {name} is unknown: {self.unknown[name]}")
        return self.known.get(name, "")


#: The item kinds that describe files or (in pcbuild.proj) projects, and the metadata that matters to another compiler.
PROJECT_KINDS = ("Projects", "Projects2")
ITEM_KINDS = frozenset(
    {
        "ClCompile", "ResourceCompile", "None", "GetPath", "ProjectReference",
        "ExtensionModules", "ExternalModules", "TestModules", *PROJECT_KINDS,
    }
)  # fmt: skip
#: The scripts whose runs matter to another compiler: they make sources.
SCRIPTS = ("deepfreeze.py",)
METADATA = frozenset(
    {
        "AdditionalDependencies",
        "AdditionalIncludeDirectories",
        "AdditionalOptions",
        "ExcludedFromBuild",
        "ModName",
        "NoEntryPoint",
        "OutFile",
        "PreprocessorDefinitions",
        "StackReserveSize",
        "SubSystem",
    }
)


class _Condition:
    """A ``Condition`` attribute: comparisons, ``and``, ``or``, ``!``, parentheses, Exists() and HasTrailingSlash()."""

    def __init__(self, text: str, expand: Callable[[str], str], path: Path) -> None:
        self.text, self.expand, self.path = text, expand, path
        self.tokens = list(self.scan())
        self.at = 0

    def scan(self) -> Iterator[tuple[str, str]]:
        at = 0
        text = self.text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise self.error()
            at = match.end()
            if match.group("string") is not None:
                yield "value", self.expand(match.group("string")[1:-1])
            elif match.group("operator"):
                yield "operator", match.group("operator")
            elif match.group("word"):
                word = match.group("word")
                yield ("operator", word.lower()) if word.lower() in ("and", "or") else ("value", self.expand(word))
            elif match.group("call").lower() in ("and", "or"):
                yield "operator", match.group("call").lower()
                at = match.end("call")
            else:
                yield "value", self.call(match.group("call").lower(), match.group("argument"))

    def call(self, name: str, argument: str) -> str:
        value = self.expand(argument.strip().strip("'"))
        if name == "exists":
            return str((self.path.parent / value.replace("\\", "/")).exists()) if value else "False"
        if name == "hastrailingslash":
            return str(value.endswith(("\\", "/")))
        raise self.error()

    def error(self) -> ProjectError:
        return ProjectError(f"{self.path.name}: condition not understood: {self.text.strip()!r}")

    def result(self) -> bool:
        value = self.either()
        if self.at != len(self.tokens):
            raise self.error()
        return value

    def either(self) -> bool:
        value = self.both()
        while self.accept("or"):
            right = self.both()
            value = value or right
        return value

    def both(self) -> bool:
        value = self.comparison()
        while self.accept("and"):
            right = self.comparison()
            value = value and right
        return value

    def comparison(self) -> bool:
        if self.accept("!"):
            return not self.comparison()
        if self.accept("("):
            value = self.either()
            if not self.accept(")"):
                raise self.error()
            return value
        left = self.operand()
        for operator in ("==", "!="):
            if self.accept(operator):
                return (left.lower() == self.operand().lower()) == (operator == "==")
        if left.lower() in ("true", "false", ""):
            return left.lower() == "true"
        raise self.error()

    def operand(self) -> str:
        if self.at >= len(self.tokens) or self.tokens[self.at][0] != "value":
            raise self.error()
        self.at += 1
        return self.tokens[self.at - 1][1]

    def accept(self, operator: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == ("operator", operator):
            self.at += 1
            return True
        return False
