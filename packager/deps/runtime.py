"""Names of what is probably loaded at run time: strings of PE files, and ctypes' and os.add_dll_directory's calls.

None of these is certain. A string may be there for another reason, and names that are put together at run time are not
seen at all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from packager.diff import marshal

_SUFFIXES = ("dll", "pyd", "drv", "ocx", "cpl")


def _either(suffix: str, gap: str) -> str:
    return gap.join(f"[{char}{char.upper()}]" for char in suffix)


#: The end of a module's name, in ASCII or UTF-16, with no more of a name after it. It begins with a constant byte, for
#: which the regular-expression engine searches at some gigabytes a second; what is before it is looked at afterwards.
_ENDING = re.compile(
    "|".join(
        (
            rf"\.(?:(?:{'|'.join(_either(suffix, '') for suffix in _SUFFIXES)})(?![\w.\-])",
            rf"\x00(?:{'|'.join(_either(suffix, chr(0)) for suffix in _SUFFIXES)})\x00(?![\w.\-]\x00))",
        )
    ).encode("latin-1")
)
_LONGEST = 120
_STEM = re.compile(rb"(?:\A|[^\w.+@~\-%{}$*<>])([\w+@~\-][\w.+@~\-]*)\Z")
_WIDE_STEM = re.compile(rb"(?:(?:[\w.+@~\-%{}$*<>])\x00)+\Z")
_TEMPLATE = frozenset(b"%{}$*<>")
#: More names than any real file has (a registry of codecs has some hundreds).
_MOST_NAMES = 4096

_DLL_NAME = re.compile(rf"[\w.+@~-]+\.(?:{'|'.join(_SUFFIXES)})", re.IGNORECASE)
_LOADERS = frozenset(
    {"CDLL", "WinDLL", "OleDLL", "PyDLL", "LoadLibrary", "LoadLibraryEx", "LoadLibraryExW", "dlopen", "find_library"}
)
_LIBRARIES = frozenset({"windll", "cdll", "oledll", "pydll"})
#: The call of a mention of a folder.
ADD = "add_dll_directory"
#: The call of a mention that is one only if there is a DLL of that name.
GUESS = "guess"
#: A Python file without any of these loads no DLL by itself, and is not parsed.
_HINTS = re.compile(rb"CDLL|WinDLL|OleDLL|PyDLL|windll|cdll|oledll|pydll|LoadLibrary|dlopen|find_library|add_dll_d")


@dataclass(frozen=True, slots=True)
class Mention:
    """A name in a Python file: at which line (None in compiled ones), in what kind of call (``string``: in none)."""

    line: int | None
    name: str
    how: str


@dataclass(frozen=True, slots=True)
class PythonLoads:
    """What a Python file mentions, and the texts that stand where it calls ``os.add_dll_directory``."""

    mentions: tuple[Mention, ...] = ()
    added: tuple[str, ...] = ()


def module_names(data: bytes) -> tuple[str, ...]:
    """Names of modules (``x.dll``, ``x.pyd``...) in ``data``, each once, in order; parts of templates are left out."""
    found: dict[str, None] = {}
    for match in _ENDING.finditer(data):
        name = _name_at(data, match.start(), match.end())
        if name is not None:
            found[name] = None
            if len(found) >= _MOST_NAMES:
                break
    return tuple(found)


def _name_at(data: bytes, dot: int, end: int) -> str | None:
    if end - dot < 5:
        stem = _STEM.search(data[max(0, dot - _LONGEST) : dot])
        return (stem[1] + data[dot:end]).decode("latin-1") if stem else None
    wide = _WIDE_STEM.search(data[max(0, dot - 2 * _LONGEST) : dot])
    if wide is None:
        return None
    text = wide[0][::2]
    start = dot - len(wide[0])
    if start and 0x20 < data[start - 1] < 0x7F:
        # The last letter and the zero byte of a text in ASCII that ends just before.
        text = text[1:]
    if not text or _TEMPLATE & set(text):
        return None
    return (text + data[dot:end:2]).decode("latin-1")


def python_loads(data: bytes, compiled: bool) -> PythonLoads:
    """What the Python source, or the compiled module, ``data`` mentions. Broken ones mention nothing."""
    if not _HINTS.search(data):
        return PythonLoads()
    if compiled:
        return _of_compiled(data)
    try:
        tree = ast.parse(data)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return PythonLoads()
    visitor = _Visitor()
    try:
        visitor.visit(tree)
    except RecursionError:
        return PythonLoads()
    return _loads(visitor.mentions, visitor.added)


class _Visitor(ast.NodeVisitor):
    """Collects calls that load, attributes of ctypes' libraries, and other strings that are names of DLLs."""

    def __init__(self) -> None:
        self.mentions: list[Mention] = []
        self.added: list[str] = []
        self.texts: list[str] = []
        self.adds = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._scope(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._scope(node)

    def visit_Module(self, node: ast.Module) -> None:
        self._scope(node)

    def _scope(self, node: ast.AST) -> None:
        """The texts of the function that calls add_dll_directory tell which folder it means."""
        outer, self.texts, self.adds = (self.texts, self.adds), [], False
        self.generic_visit(node)
        if self.adds:
            self.added += self.texts
        self.texts, self.adds = outer

    def visit_Call(self, node: ast.Call) -> None:
        called = _last(node.func)
        if called in _LOADERS and node.args:
            argument = node.args[0]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value:
                self.mentions.append(Mention(node.lineno, argument.value, called))
        if called == ADD:
            self.adds = True
            self.mentions.append(Mention(node.lineno, ", ".join(map(ast.unparse, node.args))[:_LONGEST], ADD))
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        library = _last(node.value)
        if library in _LIBRARIES and node.attr not in _LOADERS:
            self.mentions.append(Mention(node.lineno, node.attr, library))
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        key = node.slice
        if (
            (library := _last(node.value)) in _LIBRARIES
            and isinstance(key, ast.Constant)
            and isinstance(key.value, str)
        ):
            self.mentions.append(Mention(node.lineno, key.value, library))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self.texts.append(node.value)
            if (name := _dll_name(node.value)) is not None:
                self.mentions.append(Mention(node.lineno, name, "string"))


def _last(node: ast.AST) -> str:
    """``b`` of ``a.b`` and of ``b``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _dll_name(text: str) -> str | None:
    """The name that a text ends with, if it is a module's and the text nothing but a path to it."""
    name = text.replace("\\", "/").rpartition("/")[2]
    return name if _DLL_NAME.fullmatch(name) else None


def _of_compiled(data: bytes) -> PythonLoads:
    """The same for a compiled module: per code object, its strings, and names that may be attributes of windll."""
    python = marshal.python_of(int.from_bytes(data[:2], "little"))
    values = marshal.Values()
    try:
        found = marshal.read(data, 16, python or (0, 0), values)
    except marshal.MarshalError:
        return PythonLoads()
    codes = [values.fields(code) for code in found.offsets]
    # A function of that name is os.py's own, or a wrapper.
    defines = any(values.text(fields["co_name"]) == ADD for fields in codes)
    mentions: list[Mention] = []
    added: list[str] = []
    for fields in codes:
        names = [values.text(number) for number in _tuple(values, fields["co_names"])]
        texts = list(_texts(values, fields["co_consts"]))
        if _LIBRARIES & set(names):
            # Any of the names may be what is taken of the library; the order of them says nothing.
            mentions += [Mention(None, name, GUESS) for name in names if name not in _LIBRARIES | _LOADERS]
        mentions += [Mention(None, name, "string") for text in texts if (name := _dll_name(text)) is not None]
        if ADD in names and not defines:
            mentions.append(Mention(None, "", ADD))
            added += texts
    return _loads(mentions, added)


def _tuple(values: marshal.Values, number: int) -> Sequence[int]:
    content: Any = values.content(number)
    return content if values.kind(number) == "tuple" else ()


def _texts(values: marshal.Values, constants: int) -> Iterator[str]:
    """The strings among a code object's constants, those in tuples too."""
    for number in _tuple(values, constants):
        yield from (values.text(inner) for inner in _tuple(values, number) if values.kind(inner) == "str")
        if values.kind(number) == "str":
            yield values.text(number)


def _loads(mentions: Sequence[Mention], added: Sequence[str]) -> PythonLoads:
    """Each name once for each line and call, and as a mere string only where it is in no call."""
    called = {(mention.line, mention.name) for mention in mentions if mention.how != "string"}
    kept = [m for m in mentions if m.how != "string" or (m.line, m.name) not in called]
    return PythonLoads(tuple(dict.fromkeys(kept)), tuple(dict.fromkeys(added)))
