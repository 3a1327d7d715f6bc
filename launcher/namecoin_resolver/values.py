"""The value of a name: bytes that anybody can write, read into frozen JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from namecoin_resolver.outcome import Kind, NameLookupError

Json: TypeAlias = "bool | int | float | str | tuple[Json, ...] | Mapping[str, Json] | None"
DomainObject: TypeAlias = Mapping[str, Json]

#: Consensus allows 1023 bytes; wallets, and the script that carries a value, 520.
MAX_VALUE = 1023
#: A map as deep as we follow it takes 32 levels, and lists a few more.
MAX_NESTING = 48


def parse(raw: bytes) -> DomainObject:
    """A name's value as a JSON object.

    Raises ``NameLookupError`` (``MALFORMED``) for anything but one: not UTF-8, too long, too deep, not JSON, numbers
    that JSON does not have, half a surrogate pair. An object with a key twice is refused, too: readers differ in which
    one counts, so nobody can tell what its owner meant.
    """
    if len(raw) > MAX_VALUE:
        raise _malformed(f"longer than {MAX_VALUE} bytes")
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError:
        raise _malformed("not UTF-8") from None
    except RecursionError:
        raise _malformed("nested too deeply") from None
    except ValueError:
        # Text that is no JSON, or an integer of more digits than Python takes.
        raise _malformed("not JSON") from None
    frozen = _freeze(value, 0)
    if not isinstance(frozen, Mapping):
        raise _malformed("not a JSON object")
    return frozen


def _freeze(value: object, depth: int) -> Json:
    """A copy out of immutable parts."""
    if depth > MAX_NESTING:
        raise _malformed("nested too deeply")
    if isinstance(value, dict):
        return MappingProxyType({_text(key): _freeze(item, depth + 1) for key, item in value.items()})
    if isinstance(value, list):
        return tuple(_freeze(item, depth + 1) for item in value)
    if isinstance(value, str):
        return _text(value)
    assert value is None or isinstance(value, bool | int | float)
    return value


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _malformed("half a surrogate pair") from None
    return text


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _malformed("a key twice in one object")
    return result


def _constant(name: str) -> None:
    raise _malformed("a number that JSON does not have")


def _malformed(detail: str) -> NameLookupError:
    return NameLookupError(Kind.MALFORMED, detail)
