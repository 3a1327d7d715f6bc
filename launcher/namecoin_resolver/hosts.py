"""Host names: what is asked for, and the names that stand inside values."""

from __future__ import annotations

import re
from dataclasses import dataclass

from namecoin_resolver.outcome import Kind, NameLookupError

MAX_HOST = 253
_MAX_LABEL = 63
#: IFA-0001, Keys. Names of digits only are not domains.
_DOMAIN_LABEL = re.compile(r"(?!\d+$)(xn--)?[a-z0-9]+(-[a-z0-9]+)*")
#: IFA-0001, Definitions of Valid Names.
_DNS_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class Bit:
    """A name under .bit: the label registered (``d/<label>``) and the labels below it, outermost first."""

    label: str
    below: tuple[str, ...]

    @property
    def identifier(self) -> str:
        """The name in Namecoin's own form."""
        return f"d/{self.label}"

    @property
    def apex(self) -> str:
        return f"{self.label}.bit"

    def suffix(self, depth: int) -> str:
        """The host name ``depth`` labels below the apex."""
        return ".".join((*reversed(self.below[:depth]), self.apex))


def requested(host: str) -> tuple[str, bool]:
    """The .bit host that a client asks for, in lower case, and whether it wants an onion service only.

    ``example.bit.onion`` is ``example.bit``, onion only; one dot at the end is dropped. Raises ``NameLookupError``:
    ``NOT_NAMECOIN`` outside .bit, ``NOT_REGISTERED`` for what nobody can register.
    """
    name = host.removesuffix(".")
    folded = name.lower()
    onion_only = folded.endswith(".bit.onion")
    if onion_only:
        folded = folded.removesuffix(".onion")
    if not folded.endswith(".bit"):
        raise NameLookupError(Kind.NOT_NAMECOIN)
    # Of the text as it came: lower() makes ASCII of some other letters.
    if not name.isascii() or bit(folded) is None:
        raise NameLookupError(Kind.NOT_REGISTERED, "no such name can be registered")
    return folded, onion_only


def bit(name: str) -> Bit | None:
    """A host name under .bit in its parts; ``None`` if it is not under .bit or breaks the rules for names."""
    labels = name.split(".")
    if len(labels) < 2 or labels[-1] != "bit" or not valid(name):
        return None
    label = labels[-2]
    return Bit(label, tuple(reversed(labels[:-2]))) if _DOMAIN_LABEL.fullmatch(label) else None


def valid(name: str) -> bool:
    """Whether ``name`` (lower case, no dot at the end) is a DNS name with at least one label."""
    return len(name) <= MAX_HOST and all(
        len(label) <= _MAX_LABEL and _DNS_LABEL.fullmatch(label) is not None for label in name.split(".")
    )


def qualified(text: str, parent: str, apex: str) -> str | None:
    """A name in a value as a full host name without a dot at the end; ``None`` if it is none.

    ``parent`` is what relative names are relative to: the name of the object above the one the text stands in, or the
    apex if that is the top one. ``@`` as last label is the apex (IFA-0001, Interpretation of DNS Names).
    """
    if not text.isascii():
        return None
    text = text.lower()
    if text.endswith("."):
        name = text[:-1]
    elif text == "":
        name = parent
    elif text == "@":
        name = apex
    elif text.endswith(".@"):
        name = f"{text[:-2]}.{apex}"
    else:
        name = f"{text}.{parent}"
    return name if valid(name) else None
