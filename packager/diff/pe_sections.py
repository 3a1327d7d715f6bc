"""What differs in two PE images' sections: the table of them, and the bytes that no fact has a name for.

Sections are compared byte for byte, with the bytes of all named facts taken out: what is left is shown by its place and
by what it looks like. Where a section's size is not the same, everything behind a change is moved, and its bytes are
not compared. What follows from such a move ranks behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packager.diff import show
from packager.diff.binary import Span, spans
from packager.diff.hints import hint, new_texts, text_hint
from packager.diff.model import Difference
from packager.diff.pe_facts import CAUSE, CONSEQUENCE, SECTION_FLAGS, gaps, merged, sections_end
from packager.diff.pe_image import RESOURCES, SYMBOLS, Image, within
from packager.diff.ranges import shift
from packager.pe.layout import Directory, Section

_CODE, _DATA = 0x20, 0x40
#: Ranges of smaller regions are not called most of them.
_SMALL = 64
#: Names of functions that are longer are not looked for.
_LONGEST = 4096


@dataclass(frozen=True, slots=True)
class _Region:
    """Bytes that are compared with one another: a name, the offset in either file, the length, the RVA in A or None.

    ``resized`` is a section that has another size in memory: that has been said.
    """

    name: str
    start_a: int
    start_b: int
    length: int
    rva: int | None
    resized: bool = False


def compare_sections(path: str, a: Image, b: Image) -> Iterator[tuple[int, Difference]]:
    """Sections that were added, removed, renamed or put in another order, and their headers; each with its rank."""
    renamed = _renamed(a, b)
    for old, new in renamed.items():
        names = show.printable(old), show.printable(new)
        yield CAUSE, Difference(path, "section name", *names, offset=a.sections[old].raw_offset)
    gone = {*renamed, *renamed.values()}
    for side, mine, other in (("A", a, b), ("B", b, a)):
        for name, section in mine.sections.items():
            if name not in other.sections and name not in gone:
                what, detail = f"{_shown(name)} only in {side}", f"{section.mapped_size:#x} bytes"
                yield CAUSE, Difference(path, what, detail=detail, offset=section.raw_offset)
    if list(a.sections) != list(b.sections) and a.sections.keys() == b.sections.keys():
        orders = [show.printable(", ".join(image.sections)) for image in (a, b)]
        yield CAUSE, Difference(path, "order of sections", orders[0], orders[1])
    moved = _moved(a, b)
    for name, first, second in _pairs(a, b):
        what, at = _shown(name), first.raw_offset
        if first.characteristics != second.characteristics:
            told = flags_told(first.characteristics, second.characteristics, SECTION_FLAGS)
            values = f"{first.characteristics:#x}", f"{second.characteristics:#x}"
            yield CAUSE, Difference(path, f"{what} flags", *values, told, at)
        if _sizes(first) != _sizes(second):
            yield CAUSE, _size(path, f"{what}: size", a, b, first, second)
        if not moved and first.rva != second.rva:
            yield CAUSE, Difference(path, f"{what} address", f"{first.rva:#x}", f"{second.rva:#x}", "", at)
        if not moved and first.raw_offset != second.raw_offset:
            places = f"{first.raw_offset:#x}", f"{second.raw_offset:#x}"
            yield CONSEQUENCE, Difference(path, f"{what} file offset", *places, "", at)


def compare_regions(path: str, a: Image, b: Image) -> Iterator[tuple[int, Difference]]:
    """The bytes without a name: in the headers, in sections of one size, between sections; each with its rank."""
    named_a, named_b = a.named(), b.named()
    resources = _resources_moved(a, b)
    if resources is not None:
        named_a, named_b = merged([*named_a, resources[0]]), merged([*named_b, resources[1]])
    symbols = _symbols(a, b)
    moved, base = _moved(a, b), b.layout.image_base - a.layout.image_base
    for region in _regions(a, b):
        left = a.data[region.start_a : region.start_a + region.length]
        right = b.data[region.start_b : region.start_b + region.length]
        if left == right:
            continue
        named = merged(
            [*within(named_a, region.start_a, region.length), *within(named_b, region.start_b, region.length)]
        )
        found = _without_symbols(spans(_blanked(left, named), _blanked(right, named)), left, right, symbols)
        if not found.count:
            continue
        start = found.first[0][0]
        told = bytes_told(left, right, found, region.rva)
        covered = sum(end - begin for begin, end in found.first)
        if 2 * covered > region.length > _SMALL:
            told += f"; most of its {region.length:#x} bytes"
        # A text is a reason of its own, whatever else has moved; addresses follow the image's base.
        based = base != 0 and shift(left, right, found.first) == base
        follows = moved and (region.resized or not text_hint(left, right, start))
        rank = CONSEQUENCE if follows or based else CAUSE
        told += " by ImageBase" if based else ""
        at = region.start_a + start
        yield rank, Difference(path, f"{region.name} {found}, first at {at:#x}", detail=told, offset=at)


def flags_told(a: int, b: int, names: Mapping[int, str]) -> str:
    """The flags that only one side has, by name."""
    parts = []
    for side, only in (("A", a & ~b), ("B", b & ~a)):
        words = [names.get(1 << bit, f"{1 << bit:#x}") for bit in range(32) if only >> bit & 1]
        if words:
            parts.append(f"{', '.join(words)} only in {side}")
    return "; ".join(parts)


def bytes_told(a: bytes, b: bytes, found: Span, rva: int | None = None) -> str:
    """What the first range looks like; else its bytes, after its address where ``rva`` is that of the first byte."""
    start, end = found.first[0]
    left, right = (show.hexadecimal(side[start : min(end, start + 9)]) for side in (a, b))
    place = "" if rva is None else f"RVA {rva + start:#x}: "
    return hint(a, b, found.first) or f"{place}{left} ≠ {right}"


def _shown(name: str) -> str:
    return f"section {show.printable(name)}"


def _sizes(section: Section) -> tuple[int, int]:
    return section.virtual_size, section.raw_size


def _pairs(a: Image, b: Image) -> list[tuple[str, Section, Section]]:
    """The sections that both have, by name, and those that are only called otherwise in B."""
    other = {**b.sections, **{old: b.sections[new] for old, new in _renamed(a, b).items()}}
    return [(name, section, other[name]) for name, section in a.sections.items() if name in other]


def _renamed(a: Image, b: Image) -> dict[str, str]:
    """Sections at one place in both tables, of one size, with names that the other file does not have."""
    if len(a.sections) != len(b.sections):
        return {}
    return {
        old: new
        for (old, first), (new, second) in zip(a.sections.items(), b.sections.items(), strict=True)
        if old not in b.sections and new not in a.sections and _sizes(first) == _sizes(second)
    }


def _moved(a: Image, b: Image) -> bool:
    """True when a section was added, removed or resized: what lies behind has other addresses."""
    pairs = _pairs(a, b)
    if not len(pairs) == len(a.sections) == len(b.sections):
        return True
    return any(_sizes(first) != _sizes(second) for _name, first, second in pairs)


def _size(path: str, what: str, a: Image, b: Image, first: Section, second: Section) -> Difference:
    """A section's two sizes, in memory where those differ and else in the file, with a text that explains them."""
    if first.virtual_size != second.virtual_size:
        sizes = f"{first.virtual_size:#x}", f"{second.virtual_size:#x}"
    else:
        sizes = f"{first.raw_size:#x} in the file", f"{second.raw_size:#x} in the file"
    # Runs of printable bytes in code are no texts.
    is_code = first.characteristics & (_CODE | _DATA) == _CODE
    told = "" if is_code else new_texts(a.content(first), b.content(second))
    return Difference(path, what, *sizes, told, first.raw_offset)


def _regions(a: Image, b: Image) -> Iterator[_Region]:
    """What is compared byte for byte: the headers, sections of one size in the file, and what lies between sections."""
    layouts = [
        [(s.raw_offset, s.raw_offset + s.raw_size) for s in image.layout.sections if s.raw_size] for image in (a, b)
    ]
    ends = [sections_end(image.layout) for image in (a, b)]
    headers = [min([end, *(start for start, _end in layout)]) for end, layout in zip(ends, layouts, strict=True)]
    yield _Region("rest of the headers", 0, 0, min(headers), None)
    for name, first, second in _pairs(a, b):
        if first.raw_size == second.raw_size and first.raw_size:
            resized = first.virtual_size != second.virtual_size
            yield _Region(_shown(name), first.raw_offset, second.raw_offset, first.raw_size, first.rva, resized)
    if layouts[0] == layouts[1] and headers[0] == headers[1]:
        for start, end in gaps(headers[0], ends[0], layouts[0]):
            yield _Region("space between sections", start, start, end - start, None)


def _symbols(a: Image, b: Image) -> tuple[frozenset[bytes], frozenset[bytes]]:
    """The names of functions that are imported, exported or forwarded to on one side only."""
    texts = []
    for image in (a, b):
        facts = image.facts.get(SYMBOLS, ())
        words = {part for fact in facts for part in fact.name.rpartition(" ")[2].split("!")}
        words |= {str(fact.value).rpartition(" ")[2] for fact in facts}
        texts.append({word.encode("utf-8", "surrogatepass") for word in words})
    return frozenset(texts[0] - texts[1]), frozenset(texts[1] - texts[0])


def _without_symbols(found: Span, a: bytes, b: bytes, symbols: tuple[frozenset[bytes], frozenset[bytes]]) -> Span:
    """Without the ranges that lie in such names, which have been named; all of them, if too many to be looked at."""
    if found.count != len(found.first) or not any(symbols):
        return found
    kept = tuple(
        place
        for place in found.first
        if not any(_string_at(side, place[0]) in names for side, names in zip((a, b), symbols, strict=True))
    )
    return Span(len(kept), kept)


def _string_at(data: bytes, at: int) -> bytes:
    """The text between two zero bytes that ``at`` lies in."""
    start = data.rfind(b"\0", max(0, at - _LONGEST), at) + 1
    end = data.find(b"\0", at, at + _LONGEST)
    return data[start:end] if end >= 0 else b""


def _resources_moved(a: Image, b: Image) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """The resource trees' bytes, where resources were added, removed, resized or moved: the tree says only that."""
    first, second = (image.layout.directory(Directory.RESOURCE) for image in (a, b))
    if first is None or second is None or RESOURCES in a.unread or RESOURCES in b.unread:
        return None
    sizes = [[(fact.name, fact.length) for fact in image.facts[RESOURCES]] for image in (a, b)]
    if not sizes[0] or not sizes[1] or (sizes[0] == sizes[1] and first.rva == second.rva):
        return None
    start_a, start_b = (x.layout.span(entry.rva, RESOURCES)[0] for x, entry in ((a, first), (b, second)))
    return (start_a, start_a + first.size), (start_b, start_b + second.size)


def _blanked(data: bytes, known: Iterable[tuple[int, int]]) -> bytes:
    """``data`` with the known bytes as zeros; nothing behind its end is added."""
    blank = bytearray(data)
    for start, end in known:
        blank[start:end] = bytes(end - start)
    return bytes(blank)
