"""Whether a DLL exports a function, forwarded exports followed to where the code is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from packager.deps.model import WindowsExports
from packager.deps.names import forwarder_parts
from packager.pe.imports import Image, Symbol

#: ``unknown``: the data about Windows do not say.
Verdict = Literal["there", "missing", "loop", "unknown"]


@dataclass(frozen=True, slots=True)
class Exports:
    """What a file exports, to look symbols up in: by name and by ordinal, each with its forwarder or None.

    ``forwarders`` are those that have one (``DLL.name``), each once, without a name only where it has none.
    """

    names: Mapping[str, str | None]
    ordinals: Mapping[int, str | None]
    forwarders: tuple[tuple[Symbol, str], ...]


#: So many forwarders of a chain are shown.
_SHOWN_LINKS = 16

#: What a symbol can be looked up in: a file's exports, Windows' data, or None where the DLL is missing.
Offers = Exports | WindowsExports | None
#: For a forwarder's DLL, as seen from the module with the key: the key of the module it is, and what that offers.
Follow = Callable[[str, str], tuple[str, Offers]]


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict about a symbol and the forwarders on the way to it, as ``DLL.name``."""

    verdict: Verdict
    chain: tuple[str, ...] = ()


#: Answers by module and symbol.
Memo = dict[tuple[str, Symbol], Answer]
_THERE = Answer("there")


def exports_of(image: Image) -> Exports:
    """The index of an image's exports."""
    return Exports(
        {export.name: export.forwarder for export in image.exports if export.name is not None},
        {export.ordinal: export.forwarder for export in image.exports},
        tuple(
            (Symbol(export.name, None) if export.name is not None else Symbol(None, export.ordinal), export.forwarder)
            for export in image.exports
            if export.forwarder is not None
        ),
    )


def look_up(symbol: Symbol, key: str, offers: Offers, follow: Follow, memo: Memo) -> Answer:
    """Whether the module ``key``, which has ``offers``, exports ``symbol``, or the module that it forwards it to.

    ``memo`` is kept by the caller for as long as ``follow`` gives the same answers: each link of a chain is followed
    once, however many symbols lead to it.
    """
    links: list[tuple[str, Symbol]] = []
    chain: list[str] = []
    seen: set[tuple[str, Symbol]] = set()
    start: int | None = None
    verdict: Verdict | None = None
    while verdict is None:
        link = (key, symbol)
        if (known := memo.get(link)) is not None:
            verdict = known.verdict
            chain.extend(known.chain)
        elif link in seen:
            verdict = "loop"
            start = links.index(link)
        elif isinstance(offers, Exports):
            verdict, forwarder = _in_file(symbol, offers)
            if forwarder is not None:
                links.append(link)
                seen.add(link)
                chain.append(forwarder)
                dll, target = forwarder_parts(forwarder)
                symbol = _symbol(target)
                key, offers = follow(key, dll) if dll else (key, None)
        else:
            verdict = _in_windows(symbol, offers)
    for index, link in enumerate(links):
        shown = chain[index : index + _SHOWN_LINKS]
        if start is not None:
            # A link of a circle leads once round it.
            shown = (shown + chain[start : start + _SHOWN_LINKS])[: len(links) - min(start, index)]
        memo[link] = _THERE if verdict == "there" else Answer(verdict, tuple(shown[:_SHOWN_LINKS]))
    if verdict == "there":
        return _THERE
    return memo[links[0]] if links else Answer(verdict, tuple(chain))


def there(symbol: Symbol, offers: Offers) -> bool:
    """Whether the symbol is certain to be there; told at once, so not where it is forwarded."""
    if symbol.name is None or offers is None:
        return False
    if isinstance(offers, Exports):
        return offers.names.get(symbol.name, "") is None
    return offers.has_name(symbol.name) is True


def _in_file(symbol: Symbol, exports: Exports) -> tuple[Verdict | None, str | None]:
    """The verdict, or the forwarder to follow."""
    if symbol.name is not None:
        if symbol.name not in exports.names:
            return "missing", None
        forwarder = exports.names[symbol.name]
    else:
        assert symbol.ordinal is not None
        if symbol.ordinal not in exports.ordinals:
            return "missing", None
        forwarder = exports.ordinals[symbol.ordinal]
    return ("there", None) if forwarder is None else (None, forwarder)


def _in_windows(symbol: Symbol, exports: WindowsExports | None) -> Verdict:
    if exports is None:
        return "missing"
    known = exports.has_name(symbol.name) if symbol.name is not None else exports.has_ordinal(symbol.ordinal or 0)
    return "unknown" if known is None else "there" if known else "missing"


def _symbol(text: str) -> Symbol:
    """``#12`` is an ordinal, anything else a name."""
    digits = text[1:]
    if text.startswith("#") and digits.isascii() and digits.isdigit() and len(digits) <= 5:
        return Symbol(None, int(digits))
    return Symbol(text, None)
