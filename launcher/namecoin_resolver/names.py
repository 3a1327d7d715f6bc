"""Namecoin Domain Names: from a host and the values of names to an address.

The rules are IFA-0001's, and where it is silent or nobody follows it, those of ncdns and ncprop279, for which names
in use were written. No I/O: ``lookup`` gives the value of a name.

- An onion service is the first text of a ``txt`` record at ``_tor`` below the host. It comes before everything else
  that the host has.
- ``ns`` hides all that is at its object and below; name servers are never asked. After it come ``translate``,
  ``alias``, addresses.
- ``alias`` and ``translate`` are followed inside .bit. Outside, an onion address is an answer, and another host
  name is one only where the caller takes more than onion services: an exit has to resolve that.
- ``import`` merges maps label by label, as ncdns does: values are short, so owners split their maps over names. The
  importer's items win, also over equal labels; null hides. What ``map`` has under ``""`` ranks between the two.
- In a list of two strings the second is a subdomain selector if it has no slash, and so is no name (IFA-0001 takes
  it for a name, ncdns for a selector).
- The old ``tor`` item is ignored, as ncprop279 does: it is from before version 3 addresses.
- What is wrong in one place does not spoil the rest. A host without an answer is ``MALFORMED`` if something was
  wrong on the way to it, else ``NO_ADDRESS``.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from namecoin_resolver import hosts, onion
from namecoin_resolver.outcome import Kind, NameLookupError, Outcome
from namecoin_resolver.values import DomainObject, Json

#: Names fetched, objects merged, and names followed for one host: an attacker's values cost no more than this.
MAX_NAMES = 16
MAX_MERGES = 64
MAX_STEPS = 16
#: Labels below the apex, ``_tor`` included.
MAX_DEPTH = 16
#: Imports within imports.
MAX_IMPORT_DEPTH = 4
_MAX_IDENTIFIER = 255
_TOR = "_tor"

#: The value of a name in Namecoin's form (``d/example``); raises ``NameLookupError`` where there is none.
Lookup: TypeAlias = Callable[[str], Awaitable[DomainObject]]
#: One place in the tree of a name: objects whose items hide those of the objects after them.
Layers: TypeAlias = tuple[DomainObject, ...]
#: The names that led to an object by import, with their selectors; the first is where it began.
Trail: TypeAlias = tuple[tuple[str, str], ...]
#: How a trail starts at an object inside a map: the depth of imports counts per object.
_BELOW: Trail = (("", ""),)


async def resolve(host: str, lookup: Lookup, *, onion_only: bool = True) -> Outcome:
    """Look ``host`` up: ``example.bit``, a host below it, or ``example.bit.onion``, which is always onion only.

    Never raises for what a value says, and calls ``lookup`` at most ``MAX_NAMES`` times. If a value that may matter
    cannot be had for a transient reason, that is the outcome: half the values could give a wrong answer.
    """
    try:
        name, asked_onion = hosts.requested(host)
        return await _Walk(lookup, onion_only or asked_onion).host(name)
    except NameLookupError as exc:
        return exc.outcome


@dataclass(frozen=True, slots=True)
class _Site:
    """A host's place: what is there, and what relative names in it are relative to."""

    layers: Layers
    parent: str
    apex: str


@dataclass(slots=True)
class _Walk:
    """One look-up: what it has fetched, and what was wrong on the way."""

    lookup: Lookup
    onion_only: bool
    values: dict[str, DomainObject | Outcome] = field(default_factory=dict)
    merges: int = 0
    defects: list[str] = field(default_factory=list)
    reason: str = ""

    async def host(self, name: str) -> Outcome:
        """The address of a host, following where it points."""
        seen: list[str] = []
        while self._new(name, seen):
            if not name.endswith(".bit"):
                return self._outside(name)
            site = await self._site(name)
            if isinstance(site, str):
                name = site
                continue
            if site is None:
                break
            address = await self._service(site, name)
            alias = None if address else self._pointer(site, "alias")
            if alias is not None:
                name = alias
                continue
            if address := address or self._address(site):
                return Outcome(Kind.FOUND, address)
            break
        return self._nothing()

    def _new(self, name: str, seen: list[str]) -> bool:
        if name in seen or len(seen) >= MAX_STEPS:
            self.defects.append("names that point in a circle, or too far")
            return False
        seen.append(name)
        return True

    def _outside(self, name: str) -> Outcome:
        """The outcome for a name outside .bit that an alias or translation led to."""
        if address := onion.v3(name):
            return Outcome(Kind.FOUND, address)
        if name.endswith(".onion"):
            self.defects.append("no version 3 onion address")
        elif not self.onion_only:
            return Outcome(Kind.FOUND, name)
        self.reason = "it points outside .bit"
        return self._nothing()

    def _nothing(self) -> Outcome:
        if self.defects:
            return Outcome(Kind.MALFORMED, detail=self.defects[0])
        return Outcome(Kind.NO_ADDRESS, detail=self.reason or ("no onion service" if self.onion_only else ""))

    async def _service(self, site: _Site, name: str) -> str | None:
        """The onion service of a host: what ``_tor`` below it has, or has where it points."""
        layers = await self._child(site.layers, _TOR)
        tor: _Site | str | None = self._stop(_Site(layers, name, site.apex)) if layers else None
        seen: list[str] = []
        while tor is not None:
            if isinstance(tor, str):
                if not self._new(tor, seen) or not tor.endswith(".bit"):
                    return None
                try:
                    tor = await self._site(tor)
                except NameLookupError as exc:
                    if exc.kind.transient:
                        raise
                    return None
                continue
            alias = self._pointer(tor, "alias")
            if alias is None:
                return self._onion(tor.layers)
            tor = alias
        return None

    def _onion(self, layers: Layers) -> str | None:
        item = _item(layers, "txt")
        for text in _first_texts(item):
            if address := onion.v3(text):
                return address
        if item:
            self.defects.append("no version 3 onion address")
        return None

    def _address(self, site: _Site) -> str | None:
        """The host's first IP address, if one may be given out."""
        if self.onion_only:
            return None
        for key, version in (("ip", 4), ("ip6", 6)):
            for text in _strings(_item(site.layers, key)):
                if address := _ip(text, version):
                    return address
                self.defects.append(f"no IPv{version} address")
        return None

    async def _site(self, name: str) -> _Site | str | None:
        """The place of a .bit host; the host it is translated to; or nothing there."""
        host = hosts.bit(name)
        if host is None:
            self.defects.append("a .bit name that cannot be registered")
            return None
        # One level is left for _tor.
        if len(host.below) >= MAX_DEPTH:
            self.reason = f"more than {MAX_DEPTH} levels deep"
            return None
        layers = await self._expand(await self._value(host.identifier), ((host.identifier, ""),))
        for depth in range(len(host.below) + 1):
            if depth:
                layers = await self._child(layers, host.below[depth - 1])
                if not layers:
                    self.reason = "no such subdomain"
                    return None
            site = self._stop(_Site(layers, host.suffix(max(depth - 1, 0)), host.apex))
            if isinstance(site, str):
                target = ".".join((*reversed(host.below[depth:]), site))
                if hosts.valid(target):
                    return target
                self.defects.append("a translation to a name that is too long")
                return None
            if site is None:
                return None
        return site

    def _stop(self, site: _Site) -> _Site | str | None:
        """What goes for a place and all below it: nothing if name servers have it, else where it is translated to."""
        if any(_strings(_item(site.layers, "dns", "ns"))):
            self.reason = "it is left to name servers"
            return None
        return self._pointer(site, "translate") or site

    def _pointer(self, site: _Site, key: str) -> str | None:
        """The host name that ``alias`` or ``translate`` gives."""
        item = _item(site.layers, key)
        if item is None:
            return None
        name = hosts.qualified(item, site.parent, site.apex) if isinstance(item, str) else None
        if name is None:
            self.defects.append(f"no host name in {key}")
        return name

    async def _child(self, layers: Layers, label: str) -> Layers:
        """What the maps of a place have for a label, or else for ``*``; empty if neither."""
        for key in (label, "*"):
            found = [layer for item in self._entries(layers, key) for layer in await self._expand(item, _BELOW)]
            if found:
                return tuple(found)
        return ()

    def _entries(self, layers: Layers, label: str) -> Iterator[DomainObject]:
        for layer in layers:
            if "map" not in layer:
                continue
            labels = layer["map"]
            if labels is None:
                return
            if not isinstance(labels, Mapping):
                self.defects.append("a map that is no object")
            elif label in labels:
                if labels[label] is None:
                    return
                if (entry := self._entry(labels[label])) is not None:
                    yield entry

    def _entry(self, item: Json) -> DomainObject | None:
        """An entry of a map; a string stands for an address."""
        if isinstance(item, str):
            return {"ip": (item,)}
        if isinstance(item, Mapping):
            return item
        self.defects.append("a map entry that is no object")
        return None

    async def _expand(self, item: DomainObject, trail: Trail) -> Layers:
        """An object as layers: its own items, those of ``""`` in its map, and what it imports."""
        if delegated := await self._imported(item.get("delegate"), trail):
            return delegated
        layers = [item]
        labels = item.get("map")
        if isinstance(labels, Mapping) and labels.get("") is not None:
            inner = self._entry(labels[""])
            if inner is not None:
                layers += await self._expand(inner, trail)
        layers += await self._imported(item.get("import"), trail)
        return tuple(layers)

    async def _imported(self, item: Json, trail: Trail) -> Layers:
        """The layers that ``import`` or ``delegate`` brings in, in order; those that cannot be had are left out."""
        layers: list[DomainObject] = []
        for name, selector in self._statements(item):
            if (name, selector) in trail:
                self.defects.append("an import of itself")
            elif len(trail) > MAX_IMPORT_DEPTH or self.merges >= MAX_MERGES:
                self.defects.append("too many imports")
            else:
                self.merges += 1
                layers += await self._merged(name, selector, (*trail, (name, selector)))
        return tuple(layers)

    async def _merged(self, name: str, selector: str, trail: Trail) -> Layers:
        try:
            layers = await self._expand(await self._value(name), trail)
        except NameLookupError as exc:
            if exc.kind.transient:
                raise
            if exc.kind is Kind.MALFORMED:
                self.defects.append(f"imported: {exc.detail}")
            return ()
        for label in reversed(selector.split(".")) if selector else ():
            layers = await self._child(layers, label)
        return layers

    def _statements(self, item: Json) -> Iterator[tuple[str, str]]:
        """Name and subdomain selector of each import, in every form that is in use."""
        for entry in _listed(item):
            words = entry if isinstance(entry, tuple) else (entry,)
            name, selector = (*words, "", "")[:2]
            if not isinstance(name, str) or not _identifier(name):
                self.defects.append("an import that names nothing")
            elif not isinstance(selector, str) or (selector and not all(selector.split("."))):
                self.defects.append("an import of no subdomain")
            else:
                yield name, selector

    async def _value(self, identifier: str) -> DomainObject:
        """The value of a name, fetched once."""
        known = self.values.get(identifier)
        if known is None:
            if len(self.values) >= MAX_NAMES:
                raise NameLookupError(Kind.MALFORMED, f"more than {MAX_NAMES} names needed")
            try:
                known = await self.lookup(identifier)
            except NameLookupError as exc:
                known = exc.outcome
            self.values[identifier] = known
        if isinstance(known, Outcome):
            raise NameLookupError(known.kind, known.detail)
        return known


def _item(layers: Layers, *keys: str) -> Json:
    """An item of a place: the first layer that has it decides, also with null. Of ``keys`` the first counts."""
    for layer in layers:
        present = [layer[key] for key in keys if key in layer]
        if present:
            return next((item for item in present if item is not None), None)
    return None


def _strings(item: Json) -> Iterator[str]:
    """The texts of an item that is a string or a list of them."""
    for text in item if isinstance(item, tuple) else (item,):
        if isinstance(text, str) and text:
            yield text


def _first_texts(item: Json) -> Iterator[str]:
    """The first text of each record of a ``txt`` item."""
    for record in item if isinstance(item, tuple) else (item,):
        yield from [*_strings(record)][:1]


def _listed(item: Json) -> tuple[Json, ...]:
    """The statements of an import: each a name, or a list of a name and a selector."""
    if item is None:
        return ()
    if not isinstance(item, tuple):
        return (item,)
    selects = len(item) == 2 and isinstance(item[0], str) and isinstance(item[1], str) and "/" not in item[1]
    return (item,) if selects else item


def _identifier(name: str) -> bool:
    """Whether something in Namecoin that holds a domain's data can have this name."""
    return len(name) <= _MAX_IDENTIFIER and "/" in name and name.isascii() and name.isprintable()


def _ip(text: str, version: int) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    # A zone names an interface of this machine.
    return str(address) if address.version == version and "%" not in text else None
