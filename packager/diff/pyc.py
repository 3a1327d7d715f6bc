"""What differs between two ``.pyc`` files: the header's fields, and the code objects' down to a constant.

The header is PEP 552's: magic number, flags, then the source's time and size or its hash. The code is compared field by
field where both files are of one version of Python that :mod:`packager.diff.marshal` knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from packager.diff import marshal, show
from packager.diff.marshal import MarshalError, Values
from packager.diff.model import Difference
from packager.diff.ranges import ranges

HEADER = 16

_HASH, _CHECKED = 1, 2
_MODULE = "<module>"
_FILE_NAME_WIDTH = 120
#: Fields that follow from one another or say the same in every function: reported once, with the functions' number.
_ONCE = {"co_firstlineno": "co_firstlineno", "co_linetable": "line table", "co_exceptiontable": "exception table"}
#: Fields that are bytes: their texts would say nothing.
_OPAQUE = {"co_code": "co_code", "co_localspluskinds": "co_localspluskinds"}


def is_pyc(data: bytes) -> bool:
    """True when ``data`` begins as a .pyc file: the magic number is followed by CR LF, so that text mode breaks it."""
    return len(data) >= HEADER and data[2:4] == b"\r\n"


def compare_pyc(path: str, a: bytes, b: bytes) -> list[Difference]:
    """The differences of two .pyc files, the header's first; not empty when the bytes differ."""
    found = list(_header(path, a, b))
    if a[HEADER:] == b[HEADER:]:
        return found
    magic_a, magic_b = (int.from_bytes(side[:2], "little") for side in (a, b))
    if magic_a != magic_b:
        return found
    python = marshal.python_of(magic_a)
    values = Values()
    try:
        if python is None:
            raise MarshalError(f"expected a magic number that is known, found {magic_a}")
        first, second = (marshal.read(side, HEADER, python, values) for side in (a, b))
    except MarshalError as exc:
        return [*found, _undecoded(path, a, b, f"not decoded: {exc.message}")]
    if first.root != second.root:
        walk = _Walk(path, values, {**second.offsets, **first.offsets})
        walk.compare(first.root, second.root, "")
        found += walk.differences()
    elif first.set_orders != second.set_orders:
        found.append(_meaningless(path, a, b, "the order inside frozensets differs", "PYTHONHASHSEED was not the same"))
    elif a[HEADER : first.end] != b[HEADER : second.end]:
        why = "the same code: what was shared or interned when it was written"
        found.append(_meaningless(path, a, b, "reference flags differ", why))
    if a[first.end :] != b[second.end :]:
        found.append(_sizes(path, "bytes behind the code", a[first.end :], b[second.end :], first.end))
    return found


def _header(path: str, a: bytes, b: bytes) -> Iterator[Difference]:
    magic, other = (int.from_bytes(side[:2], "little") for side in (a, b))
    if magic != other:
        detail = "compiled by two versions of Python: their code is not compared"
        yield Difference(path, "magic", _python(magic), _python(other), detail, 0)
    flags, other_flags = (int.from_bytes(side[4:8], "little") for side in (a, b))
    if flags != other_flags:
        yield Difference(path, "mode", _mode(flags), _mode(other_flags), offset=4)
    elif flags & _HASH:
        if a[8:16] != b[8:16]:
            yield Difference(path, "source hash", a[8:16].hex(), b[8:16].hex(), "the sources differ", 8)
    else:
        times = [int.from_bytes(side[8:12], "little") for side in (a, b)]
        if times[0] != times[1]:
            yield Difference(path, "source mtime", *show.stamps(*times), offset=8)
        sizes = [int.from_bytes(side[12:16], "little") for side in (a, b)]
        if sizes[0] != sizes[1]:
            yield Difference(path, "source size", str(sizes[0]), str(sizes[1]), "the sources differ", 12)


def _python(magic: int) -> str:
    version = marshal.python_of(magic)
    return str(magic) if version is None else f"{magic} (Python {version[0]}.{version[1]})"


def _mode(flags: int) -> str:
    """PEP 552's three kinds."""
    if flags & ~(_HASH | _CHECKED):
        return f"flags {flags:#x}"
    return {0: "timestamp", _HASH: "unchecked hash", _HASH | _CHECKED: "checked hash"}.get(flags, f"flags {flags:#x}")


def _undecoded(path: str, a: bytes, b: bytes, detail: str) -> Difference:
    at = HEADER + show.common_prefix(a[HEADER:], b[HEADER:])
    return Difference(path, f"code differs at {at:#x}", detail=detail, offset=at)


def _meaningless(path: str, a: bytes, b: bytes, what: str, why: str) -> Difference:
    at = HEADER + show.common_prefix(a[HEADER:], b[HEADER:])
    return Difference(path, f"only {what}", detail=f"{why}; first at {at:#x}", offset=at)


def _sizes(path: str, what: str, a: bytes, b: bytes, offset: int | None) -> Difference:
    """Two runs of bytes: their sizes, or where they differ first."""
    if len(a) != len(b):
        return Difference(path, what, show.count(len(a), "byte"), show.count(len(b), "byte"), offset=offset)
    start, end = next(ranges(a, b))
    left, right = (show.hexadecimal(side[start:end]) for side in (a, b))
    return Difference(path, what, left, right, f"at {start:#x} of {len(a):#x}", offset)


@dataclass(slots=True)
class _Walk:
    """Goes down two code objects at once, and collects what differs; equal parts have equal numbers and are skipped."""

    path: str
    values: Values
    offsets: dict[int, int]
    seen: set[tuple[int, int]] = field(default_factory=set)
    file_names: Counter[tuple[int, int]] = field(default_factory=Counter)
    once: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    found: list[Difference] = field(default_factory=list)

    def differences(self) -> list[Difference]:
        """All of them: file names first, and what merely follows from other differences last."""
        files = []
        for (a, b), number in self.file_names.items():
            shown = show.excerpts(self.values.text(a), self.values.text(b), _FILE_NAME_WIDTH)
            first, second = (show.quoted(name) for name in shown)
            detail = f"in {show.count(number, 'code object')}" if number > 1 else ""
            files.append(Difference(self.path, "co_filename", first, second, detail))
        return [*files, *self.found, *(self.one(name, where) for name, where in self.once.items())]

    def one(self, name: str, where: Sequence[tuple[str, int, int]]) -> Difference:
        """What many functions differ in, as one difference."""
        function, first, second = where[0]
        functions = f"of {function}" if len(where) == 1 else f"of {len(where)} functions, first {function}"
        if name != "co_firstlineno":
            return Difference(self.path, f"{_ONCE[name]} {functions}")
        steps = {self.values.content(b) - self.values.content(a) for _function, a, b in where}
        detail = f"all by {steps.pop():+d}" if len(where) > 1 and len(steps) == 1 else ""
        return Difference(self.path, f"co_firstlineno {functions}", self.show(first), self.show(second), detail)

    def compare(self, a: int, b: int, outer: str) -> None:
        """Two values that are not equal: two code objects, or one thing of another kind that stands for a module."""
        if (a, b) in self.seen:
            return
        self.seen.add((a, b))
        if not self.values.kind(a) == self.values.kind(b) == "code":
            self.found.append(Difference(self.path, "value", *self.pair(a, b)))
            return
        left, right = self.values.fields(a), self.values.fields(b)
        function = self.function(left, outer)
        offset = self.offsets[a]
        # What is inside comes after what is outside.
        for name in sorted(left, key=lambda name: name == "co_consts"):
            first, second = left[name], right[name]
            if first == second:
                continue
            if name == "co_filename":
                self.file_names[first, second] += 1
            elif name in _ONCE:
                self.once.setdefault(name, []).append((function, first, second))
            elif name == "co_consts":
                self.constants(first, second, function, offset)
            elif self.values.kind(first) == self.values.kind(second) == "tuple":
                self.names(f"{name} of {function}", first, second, offset)
            elif self.values.kind(first) == self.values.kind(second) == "bytes":
                contents = self.values.content(first), self.values.content(second)
                self.found.append(_sizes(self.path, f"{name} of {function}", *contents, offset))
            else:
                self.found.append(Difference(self.path, f"{name} of {function}", *self.pair(first, second), "", offset))

    def constants(self, a: int, b: int, function: str, offset: int) -> None:
        """Constants by their places; where one side has more, functions by their names and all else by value."""
        if not self.values.kind(a) == self.values.kind(b) == "tuple":
            self.found.append(Difference(self.path, f"co_consts of {function}", *self.pair(a, b), "", offset))
            return
        left, right = self.values.content(a), self.values.content(b)
        if len(left) == len(right):
            for first, second in zip(left, right, strict=True):
                if first != second:
                    self.constant(first, second, function, offset)
            return
        for name, first, second in self.paired(left, right):
            if first is None or second is None:
                what = f"function {name} in {function}" if function != _MODULE else f"function {name}"
                self.found.append(
                    Difference(self.path, f"{what} only in {'A' if second is None else 'B'}", offset=offset)
                )
            elif first != second:
                self.compare(first, second, function)
        for side, mine, other in (("A", left, right), ("B", right, left)):
            for number in (Counter(self.plain(mine)) - Counter(self.plain(other))).elements():
                what = f"constant of {function} only in {side}"
                self.found.append(
                    Difference(self.path, what, detail=show.excerpts(self.show(number), "")[0], offset=offset)
                )

    def constant(self, a: int, b: int, function: str, offset: int) -> None:
        if self.values.kind(a) == self.values.kind(b) == "code":
            self.compare(a, b, function)
        else:
            self.found.append(Difference(self.path, f"constant of {function}", *self.pair(a, b), "", offset))

    def plain(self, numbers: Sequence[int]) -> list[int]:
        return [number for number in numbers if self.values.kind(number) != "code"]

    def paired(self, a: Sequence[int], b: Sequence[int]) -> list[tuple[str, int | None, int | None]]:
        """The functions among constants: the n-th of a name in A with the n-th of that name in B."""
        sides: list[dict[tuple[str, int], int]] = []
        for numbers in (a, b):
            count: Counter[str] = Counter()
            named: dict[tuple[str, int], int] = {}
            for number in numbers:
                if self.values.kind(number) == "code":
                    name = self.values.text(self.values.fields(number)["co_name"])
                    named[name, count[name]] = number
                    count[name] += 1
            sides.append(named)
        first, second = sides
        return [(show.printable(key[0]), first.get(key), second.get(key)) for key in dict.fromkeys((*first, *second))]

    def names(self, what: str, a: int, b: int, offset: int) -> None:
        """Two tuples of names."""
        left, right = self.values.content(a), self.values.content(b)
        only_a, only_b = Counter(left) - Counter(right), Counter(right) - Counter(left)
        texts = [
            f"only in {side}: {show.names([show.printable(self.values.text(name)) for name in only])}"
            for side, only in (("A", only_a), ("B", only_b))
            if only
        ]
        self.found.append(
            Difference(self.path, what, detail="; ".join(texts) or "the same in another order", offset=offset)
        )

    def function(self, fields: dict[str, int], outer: str) -> str:
        """A function's qualified name, which Python writes since 3.11; made of the names around it before."""
        qualified = self.values.text(fields["co_qualname"]) if "co_qualname" in fields else ""
        if not qualified:
            name = self.values.text(fields["co_name"])
            qualified = name if outer in ("", _MODULE) else f"{outer}.{name}"
        return show.printable(qualified)

    def pair(self, a: int, b: int) -> tuple[str, str]:
        return show.excerpts(self.show(a), self.show(b))

    def show(self, number: int) -> str:
        return show.printable(self.values.show(number))
