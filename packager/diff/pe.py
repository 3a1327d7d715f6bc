"""What differs between two PE images, by the meaning of the bytes: a header's field, an import, a resource, a section.

Both images' facts are compared by name, then :mod:`packager.diff.pe_sections` compares what has no name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from packager.diff import show
from packager.diff.binary import spans
from packager.diff.hints import new_texts, text_hint
from packager.diff.model import Difference
from packager.diff.pe_facts import CAUSE, Fact
from packager.diff.pe_image import Image, read_facts
from packager.diff.pe_sections import bytes_told, compare_regions, compare_sections, flags_told

#: What one side has: said of the whole file and not of the field.
_SIGNED = ("signed", "not signed")


def compare_pe(path: str, a: bytes, b: bytes) -> list[Difference]:
    """The differences of two PE images: what has a cause of its own by offset, what follows from it, the checksum.

    Raises PEError when one of them is no image that can be read. Empty when no reader here can tell them apart.
    """
    first, second = read_facts(a), read_facts(b)
    ranked = [
        *_unread(path, first, second),
        *_compare_facts(path, first, second),
        *compare_sections(path, first, second),
        *compare_regions(path, first, second),
    ]
    ranked.sort(key=lambda item: (item[0], item[1].offset or 0))
    return _joined(difference for _rank, difference in ranked)


def _unread(path: str, a: Image, b: Image) -> Iterator[tuple[int, Difference]]:
    """Tables that one file has in order and the other has broken, or differently so."""
    for what in dict.fromkeys((*a.unread, *b.unread)):
        left, right = a.unread.get(what), b.unread.get(what)
        if left != right:
            first, second = (show.printable(text) if text else "in order" for text in (left, right))
            yield CAUSE, Difference(path, what, first, second, "not compared one by one", 0)


def _compare_facts(path: str, a: Image, b: Image) -> Iterator[tuple[int, Difference]]:
    """The facts of all tables that both sides have in order."""
    for what in (what for what in a.facts if what in b.facts):
        left, right = _numbered(a.facts[what]), _numbered(b.facts[what])
        for key in dict.fromkeys((*left, *right)):
            first, second = left.get(key), right.get(key)
            if first is not None and second is not None:
                if first.value != second.value:
                    yield first.rank, _changed(path, first, second)
            elif first is not None:
                yield first.rank, _one_sided(path, first, "A")
            elif second is not None:
                yield second.rank, _one_sided(path, second, "B")


def _numbered(facts: Sequence[Fact]) -> dict[tuple[str, int], Fact]:
    """Facts by name and by how many of that name came before."""
    count: Counter[str] = Counter()
    found = {}
    for fact in facts:
        found[fact.name, count[fact.name]] = fact
        count[fact.name] += 1
    return found


def _one_sided(path: str, fact: Fact, side: str) -> Difference:
    if fact.name == "certificate":
        first, second = _SIGNED if side == "A" else _SIGNED[::-1]
        return Difference(path, "certificate", first, second, show.count(fact.length, "byte"), fact.offset)
    detail = ""
    if isinstance(fact.value, bytes):
        detail = show.count(len(fact.value), "byte")
    elif fact.kind == "text" and not fact.name.startswith("export "):
        detail = show.printable(show.excerpts(str(fact.value), "")[0])
    return Difference(path, f"{show.printable(fact.name)} only in {side}", detail=detail, offset=fact.offset)


def _changed(path: str, a: Fact, b: Fact) -> Difference:
    """Two facts of one name that are not the same."""
    name, first, second = show.printable(a.name), a.value, b.value
    if isinstance(first, bytes) and isinstance(second, bytes):
        return _blobs(path, name, first, second, a.offset)
    detail = ""
    if isinstance(first, int) and isinstance(second, int):
        if a.kind == b.kind == "stamp":
            shown = show.stamps(first, second)
        elif a.kind == "number":
            shown = str(first), str(second)
        else:
            shown = f"{first:#x}", f"{second:#x}"
        if a.flags is not None:
            detail = flags_told(first, second, a.flags)
    else:
        left, right = show.excerpts(str(first), str(second))
        shown = show.printable(left), show.printable(right)
    return Difference(path, name, *shown, detail, a.offset)


def _blobs(path: str, name: str, a: bytes, b: bytes, offset: int) -> Difference:
    """Two runs of bytes that have a name: their sizes, or the ranges in them that differ."""
    if len(a) != len(b):
        at = show.common_prefix(a, b)
        sizes = show.count(len(a), "byte"), show.count(len(b), "byte")
        return Difference(path, name, *sizes, text_hint(a, b, at) or new_texts(a, b), offset)
    if len(a) <= 16:
        return Difference(path, name, a.hex(" "), b.hex(" "), "", offset)
    found = spans(a, b)
    start = found.first[0][0]
    return Difference(
        path, f"{name} {found}, first at {offset + start:#x}", None, None, bytes_told(a, b, found), offset + start
    )


def _joined(differences: Iterable[Difference]) -> list[Difference]:
    """Equal differences in a row, as of a resource tree's many stamps, become one that says how many."""
    found = []
    for _key, group in groupby(
        differences, key=lambda d: (d.what, d.a, d.b) if d.a is not None else (d.what, d.offset)
    ):
        items = list(group)
        more = f"{len(items)} times" if len(items) > 1 else ""
        found.append(replace(items[0], detail="; ".join(filter(None, (items[0].detail, more)))))
    return found
