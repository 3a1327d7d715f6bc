"""What a look-up ends with."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """How a look-up ended; the value is what people read."""

    FOUND = "found"
    NOT_REGISTERED = "not registered"
    EXPIRED = "expired"
    #: Registered, and what it says was understood, but nothing in it answers for this host.
    NO_ADDRESS = "no address"
    MALFORMED = "malformed value"
    NOT_NAMECOIN = "not a .bit name"
    #: The daemon's chain of headers does not reach far enough yet.
    NOT_SYNCHRONISED = "not synchronised yet"
    TIMEOUT = "timed out"
    #: The daemon is down, refuses us, or found no server that gives a good answer.
    UNAVAILABLE = "unavailable"

    @property
    def transient(self) -> bool:
        """Asking again may give something else, with the chain as it is."""
        return self in (Kind.NOT_SYNCHRONISED, Kind.TIMEOUT, Kind.UNAVAILABLE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A look-up's end.

    ``target`` is set for ``FOUND`` only: an onion address, or an IP address or host name where the caller allowed
    those. ``detail`` is for people; it can hold what strangers wrote, so quote it before it goes anywhere.
    """

    kind: Kind
    target: str = ""
    detail: str = ""

    def __str__(self) -> str:
        return self.target or (f"{self.kind.value} ({self.detail})" if self.detail else self.kind.value)


class NameLookupError(Exception):
    """One name could not be had: ``kind`` is any but ``FOUND``."""

    def __init__(self, kind: Kind, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail

    @property
    def outcome(self) -> Outcome:
        """The same as a value, which holds no frames."""
        return Outcome(self.kind, detail=self.detail)
