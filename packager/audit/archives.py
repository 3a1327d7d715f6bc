"""Checks of zip archives: that each is in the one form in which all of it was looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from packager.audit.facts import Archive, Entry, Facts
from packager.audit.model import Hit
from packager.audit.policy import Policy
from packager.formats import pyc, stored
from packager.formats import zip as zips
from packager.formats.errors import FormatError
from packager.nativecode import HEAD, native_kind
from packager.normalise import kind_of


def archive_form(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Each zip archive has what its members say and nothing else, and its members are files that were looked at."""
    for archive in facts.archives:
        for fault in faults(archive, facts.epoch):
            yield Hit(archive.entry.path, fault)
        for member in archive.entries:
            if (found := _unseen(member, facts.epoch)) is not None:
                yield Hit(member.path, found)


def faults(archive: Archive, epoch: int) -> Iterator[str]:
    """What an archive has that its members' names and contents do not say; nothing if that is all there is in it."""
    if archive.fault is not None:
        yield archive.fault
        return
    plain = True
    for member in archive.members:
        if member.data is None:
            plain = False
            yield f"the member {member.name!r} is compressed or encrypted, expected a stored one"
        elif member.name.endswith("/"):
            plain = False
            yield f"the member {member.name!r} is a folder, expected files only"
    for name, count in Counter(member.name for member in archive.members).items():
        if count > 1:
            plain = False
            yield f"the name {name!r} is there {count} times"
    if plain:
        try:
            expected = stored.pack({member.name: member.data or b"" for member in archive.members}, epoch)
            # Times are another rule's.
            found = zips.normalise(archive.entry.read(), epoch).data
        except FormatError as exc:
            yield f"is not what its members make: {exc.message}"
            return
        if expected != found:
            least = min(len(expected), len(found))
            at = next((at for at in range(least) if expected[at] != found[at]), least)
            yield f"is not what its members make, from offset {at:#x} on"


def _unseen(member: Entry, epoch: int) -> str | None:
    """What a member is that would be looked into, were it a file, or None."""
    data = member.read()
    kind = kind_of(data, member.name)
    if kind == "pyc":
        try:
            pyc.normalise(data, epoch)
        except FormatError as exc:
            return exc.message
    # Native code is another rule's.
    elif kind is not None and native_kind(member.path, data[:HEAD]) is None:
        return f"is of the kind {kind}, into which nothing looks in an archive"
    return None
