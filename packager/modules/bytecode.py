"""The imports of a compiled module, read from its ``.pyc`` without executing anything of it.

Of the bytecode only what tells imports apart is looked at. The numbers are those of CPython's Lib/_opcode_metadata.py
(made from Python/bytecodes.c; in 3.12 Lib/opcode.py); exception tables are as Objects/exception_handling_notes.txt of
its source says, line tables as Objects/locations.md. In a .pyc the caches behind instructions are zeros (deopt_code in
Objects/codeobject.c), which is the number of the instruction CACHE: they are passed over like any other instruction.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from packager.diff import marshal
from packager.diff.marshal import MarshalError, Values
from packager.diff.pyc import HEADER, is_pyc


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What one version's instructions are called by. ``to_bool`` stands before a conditional jump, if there is one;
    ``jump_caches`` are the units of cache behind such a jump, which counts from after them.
    """

    check_exc_match: int
    load_build_class: int
    pop_top: int
    push_exc_info: int
    push_null: int
    build_tuple: int
    copy: int
    extended_arg: int
    import_name: int
    jump_forward: int
    load_attr: int
    load_const: int
    load_global: int
    load_name: int
    pop_jump_if_false: int
    pop_jump_if_true: int
    to_bool: int | None
    jump_caches: int
    cache: int = 0

    def names_of_exceptions(self) -> frozenset[int]:
        """What may stand between the beginning of an ``except`` and the comparison: the exceptions' names."""
        loads = (self.load_name, self.load_global, self.load_attr)
        return frozenset({*loads, self.build_tuple, self.cache, self.extended_arg})


#: The versions of Python whose bytecode can be read.
VERSIONS = {
    (3, 12): _Numbers(
        check_exc_match=36, load_build_class=71, pop_top=1, push_exc_info=35, push_null=2, build_tuple=102, copy=120,
        extended_arg=144, import_name=108, jump_forward=110, load_attr=106, load_const=100, load_global=116,
        load_name=101, pop_jump_if_false=114, pop_jump_if_true=115, to_bool=None, jump_caches=0,
    ),
    (3, 13): _Numbers(
        check_exc_match=7, load_build_class=24, pop_top=32, push_exc_info=33, push_null=34, build_tuple=52, copy=61,
        extended_arg=71, import_name=75, jump_forward=79, load_attr=82, load_const=83, load_global=91,
        load_name=92, pop_jump_if_false=97, pop_jump_if_true=100, to_bool=40, jump_caches=1,
    ),
}  # fmt: skip

#: Exceptions one of which an import raises that finds nothing, or which are bases of it.
_CAUGHT = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
_BY_NAME = frozenset({"import_module", "__import__"})
_TYPING = "TYPE_CHECKING"
#: A function that the interpreter makes and calls at once, for a class with type parameters (PEP 695).
_GENERIC = "<generic parameters of "

#: ``plain``: runs whenever the code around it does, or on a condition. ``optional``: in a ``try`` that goes on without
#: it. ``fallback``: in the ``except`` of such a ``try``. ``typing``: under ``if TYPE_CHECKING``, false when running.
Kind = Literal["plain", "optional", "fallback", "typing"]


@dataclass(frozen=True, slots=True)
class Import:
    """One import: ``name`` as written after ``level`` dots, and ``names`` of ``from name import names`` (or none).

    ``function`` is the qualified name of the function that it stands in, empty for what runs when the module is
    imported (bodies of classes, too). ``tried`` are, of a ``fallback``, the imports of each ``try`` that it stands in
    for: it runs if one of each failed.
    """

    name: str
    level: int
    names: tuple[str, ...]
    line: int
    kind: Kind
    function: str = ""
    tried: tuple[tuple[Import, ...], ...] = ()


def read_imports(data: bytes) -> tuple[Import, ...]:
    """The imports of the module whose ``.pyc`` file is ``data``, function by function.

    Raises MarshalError if it is no .pyc of one of VERSIONS or broken.
    """
    if not is_pyc(data):
        raise MarshalError("expected a .pyc file, found something else")
    python = marshal.python_of(int.from_bytes(data[:2], "little"))
    numbers = VERSIONS.get(python) if python is not None else None
    if python is None or numbers is None:
        found = "of an unknown version" if python is None else f"of Python {python[0]}.{python[1]}"
        known = " or ".join(f"{major}.{minor}" for major, minor in VERSIONS)
        raise MarshalError(f"expected a .pyc of Python {known}, found one {found}")
    values = Values()
    root = marshal.read(data, HEADER, python, values).root
    if values.kind(root) != "code":
        raise MarshalError(f"expected a module's code, found a value of type {values.kind(root)}")
    return tuple(_nested(values, numbers, root, late=False))


def _nested(values: Values, numbers: _Numbers, number: int, *, late: bool) -> Iterator[Import]:
    """The imports of a code object and of those in it; ``late``: the module's import itself does not run it."""
    fields = values.fields(number)
    constants = values.content(fields["co_consts"])
    if not isinstance(constants, tuple) or values.kind(fields["co_code"]) != "bytes":
        raise MarshalError("expected a code object's constants and code, found other values")
    inner = [index for index, constant in enumerate(constants) if values.kind(constant) == "code"]
    opcodes = values.content(fields["co_code"])[::2]
    code = None
    if numbers.import_name in opcodes or any(
        values.text(name) in _BY_NAME for name in values.content(fields["co_names"])
    ):
        code = _Code(values, numbers, fields, constants)
        yield from code.imports(values.text(fields["co_qualname"]) if late else "")
    at_once: frozenset[int] = frozenset()
    if inner and not late:
        at_once = (code or _Code(values, numbers, fields, constants)).run_at_once()
    for index in inner:
        yield from _nested(values, numbers, constants[index], late=late or index not in at_once)


@dataclass(frozen=True, slots=True)
class _Instruction:
    """``at`` and ``end`` count code units of two bytes; ``at`` is the first EXTENDED_ARG's, caches are not counted."""

    at: int
    end: int
    code: int
    arg: int


@dataclass(frozen=True, slots=True)
class _Handler:
    """An ``except`` that catches what a failing import raises: where it begins, and its clauses that do."""

    at: int
    clauses: tuple[range, ...]


class _Code:
    """One code object, as far as its imports go."""

    def __init__(self, values: Values, numbers: _Numbers, fields: dict[str, int], constants: tuple[int, ...]) -> None:
        self.values = values
        self.numbers = numbers
        self.names_of_exceptions = numbers.names_of_exceptions()
        self.fields = fields
        self.constants = constants
        self.names = [values.text(number) for number in values.content(fields["co_names"])]
        self.code = list(_instructions(values.content(fields["co_code"]), numbers.extended_arg))
        self.starts = [one.at for one in self.code]

    def run_at_once(self) -> frozenset[int]:
        """The constants that are run where they stand: classes' bodies, and what is around those with parameters."""
        found = set()
        for index, one in enumerate(self.code):
            if one.code == self.numbers.load_build_class:
                loads = (item.arg for item in self.code[index:] if item.code == self.numbers.load_const)
                found.add(next((arg for arg in loads if self.is_code(arg)), -1))
            elif one.code == self.numbers.load_const and self.is_code(one.arg):
                name = self.values.text(self.values.fields(self.constants[one.arg])["co_name"])
                if name.startswith(_GENERIC):
                    found.add(one.arg)
        return frozenset(found)

    def is_code(self, constant: int) -> bool:
        return constant < len(self.constants) and self.values.kind(self.constants[constant]) == "code"

    def imports(self, function: str) -> Iterator[Import]:
        """This code object's own imports, those by ``import_module("...")`` and ``__import__("...")`` with them."""
        found = [(one.at, parts) for one, parts in self.statements()]
        table = _exception_table(self.bytes("co_exceptiontable"))
        lines = _line_table(self.bytes("co_linetable"), int(self.values.content(self.fields["co_firstlineno"])))
        typing = self.typing_only()
        made: list[tuple[Import, frozenset[int]]] = []
        for at, (name, level, names) in sorted(found):
            tries, fallback_of = self.around(at, table)
            kind: Kind = "fallback" if fallback_of else "optional" if tries else "plain"
            if any(at in region for region in typing):
                kind = "typing"
            groups = [tuple(item for item, its in made if handler in its) for handler in sorted(fallback_of)]
            tried = tuple(group for group in groups if group) if kind == "fallback" else ()
            line = lines[max(0, bisect_right(lines, (at, 1 << 62)) - 1)][1] if lines else 0
            made.append((Import(name, level, names, line, kind, function, tried), tries))
        return (item for item, _tries in made)

    def bytes(self, field: str) -> bytes:
        content = self.values.content(self.fields[field])
        return content if isinstance(content, bytes) else b""

    def statements(self) -> Iterator[tuple[_Instruction, tuple[str, int, tuple[str, ...]]]]:
        """Instructions that import, with name, level and names."""
        loaded: list[int] = []
        for index, one in enumerate(self.code):
            if one.code == self.numbers.load_const:
                loaded.append(one.arg)
            elif one.code == self.numbers.import_name:
                level, names = (self.constant(arg) for arg in (loaded[-2:] if len(loaded) > 1 else (-1, -1)))
                yield one, (self.name(one.arg), level if isinstance(level, int) else 0, _texts(names))
            elif (named := self.called(index)) is not None:
                dots = len(named) - len(named.lstrip("."))
                yield one, (named[dots:], dots, ())

    def constant(self, number: int) -> object:
        """A constant that is a number or a tuple of texts; None for any other."""
        if not 0 <= number < len(self.constants):
            return None
        value = self.constants[number]
        kind, content = self.values.kind(value), self.values.content(value)
        if kind == "tuple":
            return tuple(self.values.text(item) for item in content)
        return content if kind in ("int", "str") else None

    def name(self, number: int) -> str:
        return self.names[number] if number < len(self.names) else ""

    def loaded_name(self, one: _Instruction) -> str:
        """The name that an instruction loads, or none; two of the three keep a flag in the lowest bit."""
        if one.code == self.numbers.load_name:
            return self.name(one.arg)
        return self.name(one.arg >> 1) if one.code in (self.numbers.load_global, self.numbers.load_attr) else ""

    def called(self, index: int) -> str | None:
        """The literal that ``import_module`` or ``__import__``, loaded here, gets as its first argument; or None."""
        if self.loaded_name(self.code[index]) not in _BY_NAME:
            return None
        for one in self.code[index + 1 :]:
            if one.code not in (self.numbers.cache, self.numbers.push_null):
                literal = self.constant(one.arg) if one.code == self.numbers.load_const else None
                # The beginning of a name, to which something is added, is none.
                whole = isinstance(literal, str) and all(part.isidentifier() for part in literal.lstrip(".").split("."))
                return str(literal) if whole else None
        return None

    def typing_only(self) -> list[range]:
        """What runs only if ``TYPE_CHECKING`` (or ``typing.TYPE_CHECKING``) is true."""
        regions = []
        shown = [one for one in self.code if one.code != self.numbers.cache]
        for load, second, third in zip(shown, shown[1:], shown[2:], strict=False):
            if self.loaded_name(load) != _TYPING:
                continue
            jump = third if second.code == self.numbers.to_bool else second
            target = self.jumped_to(jump)
            if jump.code == self.numbers.pop_jump_if_false:
                regions.append(range(jump.end, target))
            elif jump.code == self.numbers.pop_jump_if_true:
                before = next((one for one in reversed(shown) if one.end == target), None)
                if before is not None and before.code == self.numbers.jump_forward:
                    regions.append(range(target, target + before.arg))
        return regions

    def around(self, at: int, table: Sequence[tuple[range, int]]) -> tuple[frozenset[int], frozenset[int]]:
        """Of what stands at ``at``: handlers that catch when an import fails there, and those that it stands in itself.

        Both are named by where they begin. What lies in a handler is covered by an entry of its own, whose target
        cleans up; that one in turn is covered by what is around the whole ``try``.
        """
        tries, inside, seen = set(), set(), set()
        here = at
        while (target := _target(table, here)) is not None and target not in seen:
            seen.add(target)
            first = self.at(target)
            if first is not None and first.code == self.numbers.push_exc_info:
                if self.handler(target, table) is not None:
                    tries.add(target)
                cleanup = _target(table, target)
                if cleanup is None:
                    break
                here = cleanup
                continue
            if first is not None and first.code == self.numbers.copy:
                begin = min(covered.start for covered, its in table if its == target)
                handler = self.handler(begin, table)
                if handler is not None and any(at in clause for clause in handler.clauses):
                    inside.add(begin)
            here = target
        return frozenset(tries), frozenset(inside)

    def jumped_to(self, jump: _Instruction) -> int:
        """Where a conditional jump leads, which counts from after the caches behind it."""
        return jump.end + self.numbers.jump_caches + jump.arg

    def at(self, unit: int) -> _Instruction | None:
        index = bisect_right(self.starts, unit) - 1
        return self.code[index] if index >= 0 and self.code[index].at == unit else None

    def handler(self, begin: int, table: Sequence[tuple[range, int]]) -> _Handler | None:
        """What the handler at ``begin`` is if it catches failing imports; None for ``finally``, ``with`` and others."""
        index = bisect_right(self.starts, begin) - 1
        if self.code[index].at != begin or self.code[index].code != self.numbers.push_exc_info:
            return None
        cleanup = _target(table, begin)
        end = max((covered.stop for covered, its in table if its == cleanup), default=begin)
        clauses, names = [], list[str]()
        position = index + 1
        while position < len(self.code):
            one = self.code[position]
            if one.code == self.numbers.pop_top and not names:
                clauses.append(range(one.at, end))
                break
            if one.code == self.numbers.check_exc_match:
                jump = next(item for item in self.code[position:] if item.code != self.numbers.check_exc_match)
                following = self.jumped_to(jump)
                if not _CAUGHT.isdisjoint(names):
                    clauses.append(range(one.at, following))
                names = []
                position = bisect_right(self.starts, following) - 1
                continue
            if one.code not in self.names_of_exceptions:
                break
            names.append(self.loaded_name(one))
            position += 1
        return _Handler(begin, tuple(clauses)) if clauses else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, tuple) else ()


def _instructions(code: bytes, extended_arg: int) -> Iterator[_Instruction]:
    begin, arg = 0, 0
    for unit in range(len(code) // 2):
        number = code[2 * unit]
        arg = arg << 8 | code[2 * unit + 1]
        if number != extended_arg:
            yield _Instruction(begin, unit + 1, number, arg)
            begin, arg = unit + 1, 0


def _target(table: Sequence[tuple[range, int]], at: int) -> int | None:
    """Where an exception at ``at`` leads; the table's ranges do not overlap."""
    return next((target for covered, target in table if at in covered), None)


def _exception_table(data: bytes) -> tuple[tuple[range, int], ...]:
    """What is covered, and where an exception there leads, in code units."""
    entries, position = [], 0

    def number() -> int:
        nonlocal position
        found, more = 0, True
        while more:
            byte = data[position]
            position += 1
            found = found << 6 | byte & 63
            more = bool(byte & 64)
        return found

    try:
        while position < len(data):
            start, size, target, _depth = number(), number(), number(), number()
            entries.append((range(start, start + size), target))
    except IndexError:
        raise MarshalError("expected more of an exception table, found its end") from None
    return tuple(entries)


def _line_table(data: bytes, first: int) -> list[tuple[int, int]]:
    """From which code unit on which line it is, in order."""
    found: list[tuple[int, int]] = []
    unit, line, position = 0, first, 0
    while position < len(data):
        head = data[position]
        position += 1
        code, size = head >> 3 & 15, (head & 7) + 1
        # 13 and 14 begin with the difference as a signed varint; 10 to 12 are that many lines on; 15 has no line.
        if code in (13, 14):
            number = shift = 0
            for byte in data[position : position + 6]:
                number |= (byte & 63) << shift
                shift += 6
                if not byte & 64:
                    break
            line += -(number >> 1) if number & 1 else number >> 1
        elif code in (10, 11, 12):
            line += code - 10
        if code != 15:
            found.append((unit, line))
        unit += size
        while position < len(data) and not data[position] & 128:
            position += 1
    return found
