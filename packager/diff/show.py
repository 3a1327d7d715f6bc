"""Values as short, printable text: whatever is in a compared file cannot reach the terminal as it is."""

from __future__ import annotations

from datetime import UTC, datetime

#: Characters of a text that are shown on either side.
WIDTH = 60

_NEVER = 0xFFFFFFFF


def printable(text: str) -> str:
    """``text`` with what is not printable (control and format characters, surrogates) as ``\\x..``, ``\\u....``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def quoted(text: str) -> str:
    """``text``, printable, in single quotes; in double ones where that needs no backslash."""
    text = text.replace("\\", "\\\\")
    mark = '"' if "'" in text and '"' not in text else "'"
    return mark + printable(text.replace(mark, f"\\{mark}")) + mark


def excerpts(a: str, b: str, width: int = WIDTH) -> tuple[str, str]:
    """Two texts around what is not the same in them, each cut to about ``width`` characters, with ``…`` where it is."""
    if max(len(a), len(b)) <= width:
        return a, b
    same = common_prefix(a, b)
    end = common_prefix(a[same:][::-1], b[same:][::-1])
    # A third of the width is for what comes before the difference.
    start = max(0, same - width // 3)
    lead = ("…" if start else "") + a[start:same]
    first, second = (
        lead + _cut(text[same : len(text) - end], text[len(text) - end :], width - same + start) for text in (a, b)
    )
    return first, second


def common_prefix(a: str | bytes, b: str | bytes) -> int:
    """How many characters (bytes) are the same at the beginning."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def stamps(a: int, b: int) -> tuple[str, str]:
    """Two times (seconds since 1970) as dates in UTC, with the time of day when the date is the same.

    0 and FFFFFFFF are no times and stay numbers.
    """
    times = [datetime.fromtimestamp(value, UTC) if 0 < value < _NEVER else None for value in (a, b)]
    both = [time for time in times if time is not None]
    form = "%Y-%m-%d" if len({time.date() for time in both}) == len(both) else "%Y-%m-%d %H:%M:%S"
    first, second = (
        _number(value) if time is None else time.strftime(form) for value, time in zip((a, b), times, strict=True)
    )
    return first, second


def hexadecimal(data: bytes, most: int = 8) -> str:
    """The first ``most`` bytes, as ``48 8b 05``; ``…`` where there are more."""
    return data[:most].hex(" ") + (" …" if len(data) > most else "")


def count(number: int, noun: str) -> str:
    """``1 range``, ``1,234 ranges``; a noun in ``y`` gets ``ies``."""
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"


def names(items: list[str], most: int = 5) -> str:
    """``a, b and 3 more``."""
    shown = ", ".join(items[:most])
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


def _number(value: int) -> str:
    return str(value) if value <= 0 else f"{value:#x}"


def _cut(middle: str, tail: str, room: int) -> str:
    """What differs, and what comes after it, in ``room`` characters; what differs gets half of them at least."""
    if len(middle) > room // 2 and len(middle) + len(tail) > room:
        kept = max(room // 2, room - len(tail))
        if kept < len(middle):
            middle = middle[:kept] + "…"
            room += 1
    room -= len(middle)
    return middle + tail[:room] + ("…" if len(tail) > room else "")


def _escaped(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
