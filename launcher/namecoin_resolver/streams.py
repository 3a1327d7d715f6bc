"""Tor's streams: what its control port says of them, the stream id for their look-ups, and how they are refused."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from namecoin_resolver import hosts
from namecoin_resolver.outcome import Kind, NameLookupError

_LINE = re.compile(r"(\S+) (\S+) \S+ (\S+)(?: (.*))?", re.DOTALL)
#: A quoted value is taken as a whole: what a SOCKS user name contains cannot pass for a field.
_FIELD = re.compile(r'([A-Z_]+)=("(?:[^"\\]|\\.)*"|\S*)')
#: Fields of isolation that tor leaves out where a stream has none.
_OPTIONAL = ("SOCKS_USERNAME", "SOCKS_PASSWORD")

#: CLOSESTREAM's reasons (tor-spec, RELAY_END). Tor 0.4.9 makes of them the SOCKS replies 1 (general failure),
#: 4 (host unreachable: a browser says that there is no such site) and 6 (time is over).
MISC, RESOLVE_FAILED, TIMED_OUT = 1, 2, 7
REASON = {
    Kind.NOT_NAMECOIN: RESOLVE_FAILED,
    Kind.NOT_REGISTERED: RESOLVE_FAILED,
    Kind.EXPIRED: RESOLVE_FAILED,
    Kind.NO_ADDRESS: RESOLVE_FAILED,
    Kind.MALFORMED: RESOLVE_FAILED,
    Kind.TIMEOUT: TIMED_OUT,
    Kind.NOT_SYNCHRONISED: MISC,
    Kind.UNAVAILABLE: MISC,
}


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream as an event or ``GETINFO stream-status`` gives it; quoted fields keep their quotes."""

    id: str
    status: str
    host: str
    port: str
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_bit(self) -> bool:
        """Whether its host is for Namecoin to resolve, or to refuse."""
        try:
            hosts.requested(self.host)
        except NameLookupError as exc:
            return exc.kind is not Kind.NOT_NAMECOIN
        return True

    @property
    def source(self) -> str | None:
        """The client's address without its port; only events ``NEW`` and ``NEWRESOLVE`` have it."""
        address = self.fields.get("SOURCE_ADDR")
        return None if address is None else address.rpartition(":")[0]


def parse(line: str) -> Stream | None:
    """A STREAM event after that word, or one line of ``stream-status``; ``None`` if it is neither."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    host, _, port = match[3].rpartition(":")
    return Stream(match[1], match[2], host, port, dict(_FIELD.findall(match[4] or "")))


@dataclass(frozen=True, slots=True)
class Isolation:
    """Stream ids: the same for streams that tor may put on one circuit, different for those it keeps apart.

    Keyed with ``salt``, which is to be new and random for each run: nothing of SOCKS credentials can be told from an
    id, nor one run's ids be linked with another's.
    """

    salt: bytes = field(repr=False)

    def stream_id(self, stream: Stream) -> str:
        """The id, 32 hexadecimal digits.

        By the fields that tor's ISO_FIELDS names. Where one of them is unknown, or what it is about, the stream gets
        an id of its own: apart from all others is always safe.
        """
        values = _isolating(stream)
        text = json.dumps(["stream", stream.id] if values is None else ["fields", values])
        return hashlib.blake2b(text.encode(), key=self.salt, digest_size=16).hexdigest()


def _isolating(stream: Stream) -> list[tuple[str, str | None]] | None:
    """The fields that isolate a stream, with their values; ``None`` if not all are known."""
    if not stream.fields.get("ISO_FIELDS"):
        return None
    given = {**stream.fields, "DESTADDR": stream.host.lower(), "DESTPORT": stream.port}
    if stream.source is not None:
        given["CLIENTADDR"] = stream.source
    names = sorted(set(stream.fields["ISO_FIELDS"].split(",")))
    if not all(name in given or name in _OPTIONAL for name in names):
        return None
    return [(name, given.get(name)) for name in names]
