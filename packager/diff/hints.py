"""What differing bytes of a binary file probably are: a path, a date, a time, a version, a text, moved addresses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

from packager.diff.ranges import Range, shift, shifted_code
from packager.diff.show import excerpts, printable

#: Bytes before and after a difference that are searched for a text.
_AROUND = 512
_MOST_TEXTS = 10_000
_ASCII = re.compile(rb"[\t\x20-\x7e]{5,}")
_UTF16 = re.compile(rb"(?:[\t\x20-\x7e]\0){4,}")

_MONTH = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
#: The first that matches says what a text is: a drive's path, one of two parts or more from the root, or a file in a
#: folder; ISO's dates and those of C's __DATE__; C's __TIME__.
_KINDS = (
    (
        "a path",
        re.compile(
            r"\b[A-Za-z]:[\\/][\w.+@~{} $\\/-]+"
            r"|(?<![\w:/\\])[\\/][\w.+@~{}$-]+(?:[\\/]+[\w.+@~{}$-]+)+"
            r"|(?<![\w:/\\])[\w.+-]+(?:[\\/][\w.+-]+)*[\\/][\w+-]+\.\w+"
        ),
    ),
    (
        "a date",
        re.compile(
            rf"\b\d{{4}}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?|\b(?:{_MONTH}) [ \d]\d,? \d{{4}}(?: \d\d:\d\d:\d\d)?"
        ),
    ),
    ("a time", re.compile(r"\b\d\d:\d\d:\d\d\b")),
    ("a version", re.compile(r"\bv?\d+\.\d+\.\d+[\w.+-]*")),
)
#: Machine code and tables have runs of printable bytes, too: of a text nearly all are letters, digits and blanks.
_WORDS = re.compile(r"[A-Za-z0-9 _]")
_MOSTLY = 0.8
_LEAST = 6
#: Numbers that differ by less are counters, versions or flags rather than addresses.
_LEAST_SHIFT = 16


def text_hint(a: bytes, b: bytes, at: int, at_b: int | None = None) -> str:
    """``a path: /x/a ≠ /y/a`` when the first difference, at ``at`` in ``a`` (``at_b`` in ``b``), is in a text.

    Empty when it is not.
    """
    texts = (_text_at(a, at), _text_at(b, at if at_b is None else at_b))
    found = [text for text in texts if text is not None]
    if not found or len({text for text, _place in found}) < len(found):
        return ""
    for kind, pattern in _KINDS:
        parts = [None if text is None else _part(*text, pattern) for text in texts]
        if all(part is not None or text is None for part, text in zip(parts, texts, strict=True)):
            return _pair(kind, parts[0], parts[1])
    if not all(_is_prose(text) for text, _place in found):
        return ""
    first, second = (None if text is None else text[0] for text in texts)
    return _pair("a text", first, second)


def hint(a: bytes, b: bytes, found: Sequence[Range]) -> str:
    """The most telling thing about the ranges in which ``a`` and ``b`` (of one length) differ, or nothing."""
    if not found:
        return ""
    if text := text_hint(a, b, found[0][0]):
        return text
    moved = shift(a, b, found)
    if moved is not None:
        return "" if abs(moved) < _LEAST_SHIFT else f"all by {moved:+#x}: shifted addresses"
    return "all by one number: shifted addresses" if shifted_code(a, b, found) else ""


def new_texts(a: bytes, b: bytes) -> str:
    """For data of two sizes: the first path, else date, time or version, that only one side has; or nothing."""
    left, right = ({match.group(): None for match in _ASCII.finditer(data)} for data in (a, b))
    only = [
        [text[:_AROUND].decode("ascii") for text in islice((text for text in mine if text not in other), _MOST_TEXTS)]
        for mine, other in ((left, right), (right, left))
    ]
    for kind, pattern in _KINDS:
        parts = [next((m.group() for text in texts if (m := pattern.search(text))), None) for texts in only]
        if parts[0] != parts[1]:
            return _pair(kind, parts[0], parts[1])
    return ""


def _pair(kind: str, a: str | None, b: str | None) -> str:
    """The hint itself; None is the side that has nothing of the kind."""
    if a is None or b is None:
        return f"{kind}: {printable(excerpts(a or b or '', '')[0])} only in {'A' if b is None else 'B'}"
    first, second = excerpts(a, b)
    return f"{kind}: {printable(first)} ≠ {printable(second)}"


def _text_at(data: bytes, at: int) -> tuple[str, int] | None:
    """The printable text around ``at``, ASCII or UTF-16, and where in it ``at`` is; None where there is none."""
    low = max(0, at - _AROUND)
    window = data[low : at + _AROUND]
    place = at - low
    for pattern, width in ((_ASCII, 1), (_UTF16, 2)):
        for match in pattern.finditer(window):
            if match.start() <= place <= match.end():
                return match.group()[::width].decode("ascii"), (place - match.start()) // width
            if match.start() > place:
                break
    return None


def _part(text: str, place: int, pattern: re.Pattern[str]) -> str | None:
    """The match of ``pattern`` in ``text`` that ``place`` lies in, or ends."""
    return next((m.group() for m in pattern.finditer(text) if m.start() <= place <= m.end()), None)


def _is_prose(text: str) -> bool:
    return len(text) >= _LEAST and len(_WORDS.findall(text)) >= _MOSTLY * len(text)
