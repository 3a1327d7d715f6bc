"""Namecoin's three operations on names: the scripts before an output's own, and how servers index them.

name_new commits to a name, name_firstupdate opens the commitment and sets a value, name_update sets another.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from tests.namecoin.chain import (
    COIN,
    OP_1,
    OP_2DROP,
    OP_DROP,
    OP_PUSHDATA1,
    OP_PUSHDATA2,
    OP_RETURN,
    hash160,
    push,
    scripthash,
)

#: What a transaction with a name has for a version.
VERSION = 0x7100
#: What stays in a name's output, in units of 10^-8 NMC.
LOCKED = COIN // 100
#: Blocks from name_new to name_firstupdate, at least.
MATURITY = 12
#: A name's last operation expires after so many blocks on regtest (36,000 on the main net).
EXPIRATION = 30
MAX_NAME, MAX_VALUE, MAX_SALT = 255, 520, 20

_NEW, _FIRST_UPDATE, _UPDATE = OP_1, OP_1 + 1, OP_1 + 2


@dataclass(frozen=True, slots=True)
class NameNew:
    commitment: bytes

    def script(self) -> bytes:
        return bytes([_NEW]) + push(self.commitment) + bytes([OP_2DROP])


@dataclass(frozen=True, slots=True)
class NameFirstUpdate:
    name: bytes
    salt: bytes
    value: bytes

    def script(self) -> bytes:
        pushes = push(self.name) + push(self.salt) + push(self.value)
        return bytes([_FIRST_UPDATE]) + pushes + bytes([OP_2DROP, OP_2DROP])


@dataclass(frozen=True, slots=True)
class NameUpdate:
    name: bytes
    value: bytes

    def script(self) -> bytes:
        return bytes([_UPDATE]) + push(self.name) + push(self.value) + bytes([OP_2DROP, OP_DROP])


Operation = NameNew | NameFirstUpdate | NameUpdate


def commitment(name: bytes, salt: bytes) -> bytes:
    """What name_new says about a name."""
    return hash160(salt + name)


def index_scripthash(name: bytes) -> str:
    """Under what an Electrum server lists the transactions that set a name's value."""
    return scripthash(NameUpdate(name, b"").script() + bytes([OP_RETURN]))


def split(script: bytes) -> tuple[Operation | None, bytes]:
    """An output's script as its operation on a name, if it has one, and the rest, which says who owns it."""
    for code, count, drops in ((_NEW, 1, 1), (_FIRST_UPDATE, 3, 2), (_UPDATE, 2, 2)):
        if script[:1] == bytes([code]):
            try:
                parts, rest = _pushes(script[1:], count)
            except (IndexError, struct.error):
                break
            operation: Operation
            if code == _NEW:
                operation = NameNew(*parts)
            else:
                operation = NameFirstUpdate(*parts) if code == _FIRST_UPDATE else NameUpdate(*parts)
            if script.startswith(operation.script()):
                return operation, rest[drops:]
    return None, script


def _pushes(script: bytes, count: int) -> tuple[list[bytes], bytes]:
    """The first ``count`` elements that a script pushes, and the rest of it."""
    parts = []
    for _ in range(count):
        length, skip = script[0], 1
        if length == OP_PUSHDATA1:
            length, skip = script[1], 2
        elif length == OP_PUSHDATA2:
            length, skip = struct.unpack_from("<H", script, 1)[0], 3
        elif length > OP_PUSHDATA2:
            raise IndexError(length)
        parts.append(script[skip : skip + length])
        script = script[skip + length :]
    return parts, script
