"""Small trees for tests: ``.pyc`` files of Python 3.13 with the imports that a line each says, whatever runs the tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

from packager.modules.plan import ModulePlan, Rules, plan_modules
from packager.modules.trace import Interpreter, Run, Trace
from tests.diff.marshalled import Code, pyc

_LOAD_CONST, _IMPORT_NAME, _POP_TOP, _LOAD_NAME, _RETURN_CONST = 83, 75, 32, 92, 103
_TO_BOOL, _POP_JUMP_IF_FALSE, _PUSH_EXC_INFO, _CHECK_EXC_MATCH, _COPY = 40, 97, 33, 7, 61


def compiled(*lines: str) -> bytes:
    """A module with one import per line: ``a.b``, ``.b: c d`` (from .b import c, d), and before it what it stands in.

    ``late`` a function of its own, ``try`` a try of which the next line may be the ``except``, ``typing`` the
    condition TYPE_CHECKING. The n-th line is line n of the source.
    """
    return pyc(_module(lines))


def _module(lines: Sequence[str]) -> Code:
    units: list[tuple[int, int]] = []
    numbers: list[tuple[int, int]] = []
    consts: list[object] = [None]
    names: list[str] = ["TYPE_CHECKING", "ImportError"]
    handlers: list[tuple[int, int, str | None, int]] = []
    functions: list[Code] = []

    def statement(text: str) -> list[tuple[int, int]]:
        base, _, listed = text.partition(":")
        name = base.strip()
        level = len(name) - len(name.lstrip("."))
        consts.extend([level, tuple(listed.split()) or None])
        names.append(name[level:])
        return [
            (_LOAD_CONST, len(consts) - 2),
            (_LOAD_CONST, len(consts) - 1),
            (_IMPORT_NAME, len(names) - 1),
            (_POP_TOP, 0),
        ]

    def add(some: list[tuple[int, int]], line: int) -> None:
        numbers.append((len(units), line))
        units.extend(some)

    for line, text in enumerate(lines, 1):
        word, _, rest = text.partition(" ")
        if word == "late":
            inner = _module([rest])
            functions.append(
                Code(
                    "function",
                    consts=inner.consts,
                    names=inner.names,
                    code=inner.code,
                    line=line,
                    lines=b"\xe8\x00\x00\x07",
                )
            )
        elif word == "try":
            start = len(units)
            add(statement(rest), line)
            after = lines[line].removeprefix("except ") if lines[line:] and lines[line].startswith("except ") else None
            handlers.append((start, len(units), after, line + 1))
        elif word == "typing":
            inside = statement(rest)
            test = [(_LOAD_NAME, 0), (_TO_BOOL, 0), (0, 0), (0, 0), (0, 0), (_POP_JUMP_IF_FALSE, len(inside)), (0, 0)]
            add([*test, *inside], line)
        elif word != "except":
            add(statement(text), line)
    add([(_RETURN_CONST, 0)], len(lines))
    table = b""
    for start, end, after, line in handlers:
        begin = len(units)
        body = statement(after) if after else [(_POP_TOP, 0)]
        check = [
            (_PUSH_EXC_INFO, 0),
            (_LOAD_NAME, 1),
            (_CHECK_EXC_MATCH, 0),
            (_POP_JUMP_IF_FALSE, len(body) + 1),
            (0, 0),
        ]
        add([*check, *body, (_POP_TOP, 0), (_POP_TOP, 0)], line)
        cleanup = len(units)
        add([(_COPY, 3), (_RETURN_CONST, 0)], line)
        table += _entry(start, end - start, begin) + _entry(begin, cleanup - begin, cleanup)
    consts.extend(functions)
    return Code(
        consts=tuple(consts),
        names=names,
        code=b"".join(bytes([code, arg]) for code, arg in units),
        lines=_lines(numbers, len(units)),
        exceptions=table,
    )


def _entry(*numbers: int) -> bytes:
    """An entry of an exception table, of numbers below 4096; the first byte has the highest bit."""
    out = b"".join(bytes([0x40 | number >> 6, number & 63]) for number in (*numbers, 0))
    return bytes([out[0] | 0x80]) + out[1:]


def _lines(numbers: Sequence[tuple[int, int]], end: int) -> bytes:
    """A line table: entries without columns, eight units each at most."""
    out, before = b"", 1
    for (start, line), stop in zip(numbers, [*(at for at, _line in numbers[1:]), end], strict=True):
        while start < stop:
            size = min(8, stop - start)
            delta = line - before
            out += bytes([0x80 | 13 << 3 | size - 1, (-delta << 1 | 1) if delta < 0 else delta << 1])
            before, start = line, start + size
    return out


def traced(*modules: str, start: Sequence[str] = (), builtin: Sequence[str] = ("sys",)) -> Trace:
    """A trace of one run, called ``a run``."""
    interpreter = Interpreter(builtin=tuple(builtin), frozen=(), start=tuple(start))
    return Trace(
        command="record it", interpreter=interpreter, run=(Run(name="a run", modules=modules),) if modules else ()
    )


def rule(module: str, reason: str = "because") -> SimpleNamespace:
    """A rule that keeps or drops a module."""
    return SimpleNamespace(module=module, reason=reason)


def planned(
    files: Mapping[str, bytes | Sequence[str]],
    *roots: str,
    trace: Trace | None = None,
    keep: Sequence[SimpleNamespace] = (),
    drop: Sequence[SimpleNamespace] = (),
    folders: Sequence[str] = ("app",),
) -> ModulePlan:
    """The plan for a tree whose files are bytes or lines as :func:`compiled` takes them; roots are programs."""
    data = {path: content if isinstance(content, bytes) else compiled(*content) for path, content in files.items()}
    rules = Rules(
        {root: f"the program {root}" for root in roots}, tuple(folders), trace or traced(), keep, drop, name="spec"
    )
    return plan_modules(data, data.__getitem__, rules)
