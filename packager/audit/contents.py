"""Checks of what is in the files: stamps and other volatile fields, compiled Python, texts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from packager.audit.archives import faults
from packager.audit.facts import Entry, Facts
from packager.audit.model import Hit
from packager.audit.policy import ForbiddenText, Policy
from packager.diff import marshal
from packager.diff.marshal import MarshalError
from packager.normalise import Options, normalise_paths

_PYC = ".pyc"
#: PEP 552: the magic number, which ends in these two bytes, the flags, and eight bytes that they give a meaning.
_HEADER = 16
_MAGIC_END = b"\r\n"
_UNCHECKED = 1
_MODES = {0: "its source's time", 3: "a hash that is checked"}

#: Where a .pyc may have a text that begins like an absolute path: marshal's code for a text, with or without its flag
#: for references, and the length in one byte or in four.
_ABSOLUTE_TEXT = re.compile(
    rb"(?:[zZ\xfa\xda]([^\x00\x01])|[aAut\xe1\xc1\xf5\xf4](.{4}))(?=[/\\]|[A-Za-z]:[/\\])", re.DOTALL
)
_NOT_IN_PATHS = re.compile(rb"[\0\r\n]")
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")

#: A URL up to where something stands in it; one of a file is no better than its path.
_URL = re.compile(
    r"\b(?!file:)[a-z][a-z0-9+.-]+://[\w.~%:@\[-][\w.~%:@/?#\[\]!$&()*+,;=-]*\Z", re.IGNORECASE | re.ASCII
)
_LONGEST_URL = 400


def normalised(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """Each file of a kind that ``packager normalise`` knows is what it would make of it."""
    broken = {finding.file for finding in facts.graph.findings if finding.kind == "broken-file"}
    paths = {str(entry.absolute): entry.path for entry in facts.files}
    for report in normalise_paths([facts.tree], Options(facts.epoch, signed=policy.signed), check=True):
        path = paths.get(report.path)
        if path is None:
            # It came while the others were looked at.
            continue
        if report.error is not None and path not in broken:
            yield Hit(path, report.error.removeprefix(f"{report.path}: ").partition("\n")[0])
        # How a .pyc is tied to its source has a rule of its own.
        elif report.changes and report.kind != "pyc":
            names = dict.fromkeys(change.field for change in report.changes)
            yield Hit(
                path,
                f"not normalised to epoch {facts.epoch}: {', '.join(names)}",
                fix=f"run packager normalise --epoch {facts.epoch} on it",
            )


def pyc_mode(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """Each .pyc has a hash of its source that Python does not check."""
    for entry in _compiled(facts):
        header = entry.read(_HEADER)
        flags = int.from_bytes(header[4:8], "little")
        if header[2:4] == _MAGIC_END and flags != _UNCHECKED:
            yield Hit(entry.path, f"has {_MODES.get(flags, f'flags {flags:#x}')}, expected a hash that is not checked")


def pyc_path(facts: Facts, _policy: Policy) -> Iterator[Hit]:
    """No code object in a .pyc has an absolute path."""
    for entry in _compiled(facts):
        data = entry.read()
        if not _may_have_absolute_path(data):
            continue
        python = marshal.python_of(int.from_bytes(data[:2], "little"))
        values = marshal.Values()
        try:
            codes = marshal.read(data, _HEADER, python or (0, 0), values).offsets
        except MarshalError as exc:
            yield Hit(entry.path, f"its paths cannot be told: {exc.message}")
            continue
        names = {values.text(values.fields(code)["co_filename"]) for code in codes}
        for name in sorted(name for name in names if _ABSOLUTE.match(name)):
            yield Hit(entry.path, f"was compiled from {name!r}")


def forbidden_text(facts: Facts, policy: Policy) -> Iterator[Hit]:
    """No file has a forbidden text in it, as UTF-8 or UTF-16, in any case, other than in a URL."""
    # Such an archive has nothing but its members, which are looked at by themselves.
    plain = {archive.entry.path for archive in facts.archives if not any(faults(archive, facts.epoch))}
    for entry in facts.contents:
        if entry.path in plain:
            continue
        data = entry.read()
        lowered = data.lower()
        # Python's texts are UTF-8.
        encodings = ("utf-8",) if entry.path.lower().endswith(_PYC) else ("utf-8", "utf-16-le")
        for forbidden in policy.forbidden_texts:
            for encoding in encodings:
                at = _find(data, lowered, forbidden, encoding)
                if at is not None:
                    around = _around(data, at, encoding)
                    yield Hit(entry.path, f"has {forbidden.text!r} at offset {at:#x}: {around!r}", forbidden.reason)


def _compiled(facts: Facts) -> Iterator[Entry]:
    return (entry for entry in facts.contents if entry.path.lower().endswith(_PYC))


def _may_have_absolute_path(data: bytes) -> bool:
    """False when no text in a .pyc can be an absolute path: most need not be read in full then."""
    for match in _ABSOLUTE_TEXT.finditer(data, _HEADER):
        length = int.from_bytes(match[1] or match[2], "little")
        text = data[match.end() : match.end() + length]
        if len(text) == length and not _NOT_IN_PATHS.search(text):
            return True
    return False


def _find(data: bytes, lowered: bytes, forbidden: ForbiddenText, encoding: str) -> int | None:
    """Where the text stands first, other than in a URL or one of the contexts that excuse it."""
    wanted = forbidden.text.encode(encoding).lower()
    at = lowered.find(wanted)
    while at >= 0:
        if not _in_url(data, at, encoding) and not _excused(lowered, at, forbidden, encoding):
            return at
        at = lowered.find(wanted, at + 1)
    return None


def _in_url(data: bytes, at: int, encoding: str) -> bool:
    width = 2 if encoding == "utf-16-le" else 1
    before = data[max(at % width, at - _LONGEST_URL * width) : at]
    return _URL.search(before.decode("utf-16-le" if width == 2 else "latin-1", "replace")) is not None


def _excused(lowered: bytes, at: int, forbidden: ForbiddenText, encoding: str) -> bool:
    wanted = forbidden.text.encode(encoding).lower()
    for context in forbidden.unless:
        text = context.text.encode(encoding).lower()
        start = at - text.find(wanted)
        if wanted in text and start >= 0 and lowered.startswith(text, start):
            return True
    return False


def _around(data: bytes, at: int, encoding: str, before: int = 24, after: int = 60) -> str:
    """The printable text that has the byte at ``at`` in it, shortened."""
    width = 2 if encoding == "utf-16-le" else 1
    start = at - min(before * width, at // width * width)
    text = data[start : at + after * width].decode("utf-16-le" if width == 2 else "latin-1", "replace")
    head, tail = text[: (at - start) // width], text[(at - start) // width :]
    shown = re.compile(r"[ -~]*")
    left = shown.match(head[::-1])
    right = shown.match(tail)
    assert left is not None and right is not None  # the pattern matches nothing, too
    return left[0][::-1] + right[0]
