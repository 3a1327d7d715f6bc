"""What differs between two texts: the first line, and whether it is only in how lines end; in JSON, the first key."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from packager.diff import show
from packager.diff.model import Difference

_BOM = "\ufeff"
#: Longer texts are not read as JSON.
_MOST_JSON = 1 << 24
_PLAIN_KEY = re.compile(r"[\w-]+")


def decoded(data: bytes) -> str | None:
    """``data`` as text; None when it is not UTF-8, or has a zero byte."""
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def compare_text(path: str, a: str, b: str) -> Difference:
    """The difference of two texts that are not the same: what their first differing line, or JSON value, is."""
    at = show.common_prefix(a, b)
    offset = len(a[:at].encode())
    line = a.count("\n", 0, at) + 1
    only = _only(a, b)
    if only is not None:
        what, first, second = only
        return Difference(path, f"only {what}", first, second, f"first in line {line}", offset)
    values = _compare_json(path, a, b, line, offset)
    if values is not None:
        return values
    left, right = _line(a, at), _line(b, at)
    shown = show.excerpts(left or "", right or "")
    first, second = (None if text is None else show.quoted(cut) for text, cut in zip((left, right), shown, strict=True))
    return Difference(path, f"line {line}", first, second, _count(a, b), offset)


def _only(a: str, b: str) -> tuple[str, str | None, str | None] | None:
    """What alone differs, of the things that are seldom meant, with the two values of it."""
    if a.removeprefix(_BOM) == b.removeprefix(_BOM):
        first, second = ("present" if text.startswith(_BOM) else "absent" for text in (a, b))
        return "the byte order mark differs", first, second
    if a.replace("\r\n", "\n") == b.replace("\r\n", "\n"):
        return "line endings differ", _endings(a), _endings(b)
    if a.rstrip("\n") == b.rstrip("\n"):
        first, second = (show.count(len(text) - len(text.rstrip("\n")), "newline") for text in (a, b))
        return "the final newline differs", first, second
    if _without_trailing(a) == _without_trailing(b):
        return "trailing whitespace differs", None, None
    return None


def _without_trailing(text: str) -> str:
    return "\n".join([line.rstrip(" \t\r") for line in text.split("\n")]).rstrip("\n")


def _endings(text: str) -> str:
    windows = text.count("\r\n")
    return "LF" if not windows else "CRLF" if windows == text.count("\n") else "CRLF and LF"


def _line(text: str, at: int) -> str | None:
    """The line that ``at`` lies in; None behind the last one."""
    if at == len(text) and (not text or text[-1] == "\n"):
        return None
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)]


def _count(a: str, b: str) -> str:
    """How many lines differ."""
    left, right = Counter(a.split("\n")), Counter(b.split("\n"))
    only_a, only_b = (left - right).total(), (right - left).total()
    if not only_a and not only_b:
        return "the same lines in another order"
    if only_a == only_b:
        return f"{show.count(only_a, 'line')} {'differs' if only_a == 1 else 'differ'}"
    parts = [f"{show.count(n, 'line')} only in {side}" for n, side in ((only_a, "A"), (only_b, "B")) if n]
    return ", ".join(parts)


def _compare_json(path: str, a: str, b: str, line: int, offset: int) -> Difference | None:
    """The first value that differs, when both texts are JSON objects or arrays; None when they are not."""
    values = []
    for text in (a, b):
        if len(text) > _MOST_JSON or text.lstrip()[:1] not in ("{", "["):
            return None
        try:
            values.append(json.loads(text, object_pairs_hook=_object))
        except (ValueError, RecursionError):
            return None
    found = _differing(*values)
    first = next(found, None)
    if first is not None:
        key, left, right = first
        more = sum(1 for _ in found)
        detail = f"{more + 1} values differ" if more else ""
        if left is None or right is None:
            value = show.quoted(show.excerpts(left or right or "", "")[0])
            return Difference(
                path, f"{key} only in {'A' if right is None else 'B'}", detail=detail or value, offset=offset
            )
        shown_a, shown_b = show.excerpts(left, right)
        return Difference(path, key, show.printable(shown_a), show.printable(shown_b), detail, offset)
    what = "JSON formatting" if json.dumps(values[0]) == json.dumps(values[1]) else "the order of JSON keys"
    return Difference(path, f"only {what} differs", detail=f"first in line {line}", offset=offset)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; ValueError when a key is there twice, which a dict would not show."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key that is there twice")
    return found


def _differing(a: object, b: object) -> Iterator[tuple[str, str | None, str | None]]:
    """(key path, value in A, value in B) of each value that differs, in A's order; None where a side has none."""
    waiting: list[tuple[str, object, object]] = [("", a, b)]
    while waiting:
        key, left, right = waiting.pop()
        inner: list[tuple[str, object, object]]
        if isinstance(left, dict) and isinstance(right, dict):
            inner = [
                (_joined(key, name), left.get(name, _NOTHING), right.get(name, _NOTHING))
                for name in dict.fromkeys((*left, *right))
            ]
        elif isinstance(left, list) and isinstance(right, list):
            inner = [
                (f"{key}[{i}]", left[i] if i < len(left) else _NOTHING, right[i] if i < len(right) else _NOTHING)
                for i in range(max(len(left), len(right)))
            ]
        else:
            first, second = _shown(left), _shown(right)
            if first != second:
                yield key or "value", first, second
            continue
        waiting.extend(reversed(inner))


#: What a key that is not there has: JSON's null is a value.
_NOTHING = object()


def _joined(key: str, name: str) -> str:
    shown = name if _PLAIN_KEY.fullmatch(name) else f'["{show.printable(name)}"]'
    return f"{key}.{shown}" if key and not shown.startswith("[") else key + shown


def _shown(value: object) -> str | None:
    return None if value is _NOTHING else json.dumps(value, ensure_ascii=False)
