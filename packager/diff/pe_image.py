"""A PE image as a comparison sees it: its layout, its facts by the tables they are in, and which bytes these are."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from packager.diff.pe_facts import (
    Fact,
    debug_facts,
    header_facts,
    merged,
    rich_facts,
    section_names,
    symbol_facts,
    tail_facts,
    volatile_facts,
)
from packager.diff.pe_resources import resource_facts
from packager.errors import PEError
from packager.pe.layout import Layout, Section, read_layout

RESOURCES, SYMBOLS = "resources", "imports and exports"

_READERS: tuple[tuple[str, Callable[[bytes, Layout], Iterator[Fact]]], ...] = (
    ("headers", header_facts),
    ("DOS stub", rich_facts),
    ("debug directory", debug_facts),
    (RESOURCES, resource_facts),
    (SYMBOLS, symbol_facts),
    ("end of the file", tail_facts),
)
#: Of a section header's 40 bytes those that are compared field by field: all but the relocations and line numbers.
_SECTION_HEADER, _COMPARED = 40, ((0, 24), (36, 40))


@dataclass(frozen=True, slots=True)
class Image:
    """One image: its bytes, layout, sections by name (the second of a name with ``#2``), facts, and what was not read.

    Facts are by the tables that they were read from, the reasons by the tables that could not be.
    """

    data: bytes
    layout: Layout
    sections: Mapping[str, Section]
    facts: Mapping[str, tuple[Fact, ...]]
    unread: Mapping[str, str]

    def content(self, section: Section) -> bytes:
        """A section's bytes in the file."""
        return self.data[section.raw_offset : section.raw_offset + section.raw_size]

    def named(self) -> list[tuple[int, int]]:
        """The bytes that have a name, as spans in order: those of the facts and the section headers."""
        table = self.layout.headers_end - _SECTION_HEADER * len(self.layout.sections)
        headers = [
            (at + start, at + end)
            for at in range(table, self.layout.headers_end, _SECTION_HEADER)
            for start, end in _COMPARED
        ]
        facts = [fact for facts in self.facts.values() for fact in facts if fact.length]
        return merged([*headers, *((fact.offset, fact.offset + fact.length) for fact in facts)])


def read_facts(data: bytes) -> Image:
    """Read an image with all its facts.

    Raises PEError when it is none, or when its sections have more bytes than the file twice over, which only one made
    to keep a reader busy has. A table that is broken is not an error: its reason is kept.
    """
    layout = read_layout(data)
    total = sum(section.raw_size for section in layout.sections)
    if total > 2 * len(data):
        raise PEError(f"section table: expected sections that fit the file, found {total:#x} bytes in {len(data):#x}")
    facts: dict[str, tuple[Fact, ...]] = {}
    unread = {}

    def volatile(data: bytes, layout: Layout) -> Iterator[Fact]:
        return volatile_facts(data, layout, [fact for known in facts.values() for fact in known])

    for what, reader in (*_READERS, ("stamps", volatile)):
        try:
            facts[what] = tuple(reader(data, layout))
        except PEError as exc:
            unread[what] = exc.message
    count: Counter[str] = Counter()
    sections = {}
    for name, section in zip(section_names(data, layout), layout.sections, strict=True):
        count[name] += 1
        sections[name if count[name] == 1 else f"{name}#{count[name]}"] = section
    return Image(data, layout, sections, facts, unread)


def within(spans: list[tuple[int, int]], start: int, length: int) -> Iterator[tuple[int, int]]:
    """Of ``spans``, which are in order and apart, those in ``length`` bytes from ``start`` on, relative to it."""
    index = max(bisect_right(spans, (start, start)) - 1, 0)
    while index < len(spans) and spans[index][0] < start + length:
        first, last = spans[index]
        if last > start:
            yield max(first - start, 0), min(last - start, length)
        index += 1
