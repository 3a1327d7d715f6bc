"""What a Namecoin chain is made of, as bytes: transactions, Merkle trees, scripts, addresses, headers, merged mining.

Hashes are in the order in which they are hashed; ``display`` gives the reversed hexadecimal that people and RPC use.
Formats: Bitcoin's developer reference; AuxPoW: en.bitcoin.it/wiki/Merged_mining_specification.
"""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

COIN = 100_000_000
#: Regtest's difficulty: every second hash meets it.
BITS = 0x207FFFFF
TARGET = (BITS & 0xFFFFFF) << 8 * ((BITS >> 24) - 3)
#: Namecoin's chain id is the upper half of a block's version; the bit says that an AuxPoW follows the header.
CHAIN_ID = 1
VERSION = CHAIN_ID << 16 | 4
AUXPOW_BIT = 0x100
#: Base58 prefix of a script's address on testnet and regtest.
P2SH_PREFIX = 196
MERGED_MINING_MARK = b"\xfa\xbemm"

OP_1, OP_DROP, OP_2DROP, OP_RETURN, OP_EQUAL, OP_HASH160 = 0x51, 0x75, 0x6D, 0x6A, 0x87, 0xA9
OP_PUSHDATA1, OP_PUSHDATA2 = 0x4C, 0x4D
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def sha256d(data: bytes) -> bytes:
    """SHA-256 twice: the hash of transactions, headers and inner nodes."""
    return hashlib.sha256(hashlib.sha256(data).digest()).digest()


def hash160(data: bytes) -> bytes:
    """RIPEMD-160 of SHA-256: the hash of scripts and of a name's commitment."""
    return hashlib.new("ripemd160", hashlib.sha256(data).digest()).digest()


def display(digest: bytes) -> str:
    """A hash as people write it."""
    return digest[::-1].hex()


def compact_size(number: int) -> bytes:
    """A count or length as it stands before what it counts."""
    if number < 0xFD:
        return bytes([number])
    return b"\xfd" + struct.pack("<H", number)


def push(data: bytes) -> bytes:
    """A script that puts ``data`` (at most 520 bytes) on the stack, as Namecoin wants a name's parts pushed."""
    if len(data) > 520:
        raise ValueError(f"a script's element of {len(data)} bytes: at most 520 are allowed")
    if len(data) < OP_PUSHDATA1:
        return bytes([len(data)]) + data
    if len(data) < 256:
        return bytes([OP_PUSHDATA1, len(data)]) + data
    return bytes([OP_PUSHDATA2]) + struct.pack("<H", len(data)) + data


def height_mark(height: int) -> bytes:
    """How a coinbase begins, for it to be another in each block (BIP 34)."""
    if height <= 16:
        return bytes([OP_1 - 1 + height])
    # Signed, little-endian.
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def redeem_script(tag: bytes) -> bytes:
    """A script that anybody can satisfy, another for each ``tag``: the chain needs no keys."""
    return push(tag) + bytes([OP_DROP, OP_1])


def address_script(tag: bytes) -> bytes:
    """The P2SH output script of ``redeem_script(tag)``."""
    return bytes([OP_HASH160]) + push(hash160(redeem_script(tag))) + bytes([OP_EQUAL])


def address(tag: bytes) -> str:
    """The same as an address of regtest."""
    return base58check(bytes([P2SH_PREFIX]) + hash160(redeem_script(tag)))


def base58check(payload: bytes) -> str:
    """Base58 of ``payload`` and its checksum; no payload here begins with a zero byte."""
    number = int.from_bytes(payload + sha256d(payload)[:4], "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = _BASE58[digit] + text
    return text


def scripthash(script: bytes) -> str:
    """An output script as the Electrum protocol names it."""
    return display(hashlib.sha256(script).digest())


@dataclass(frozen=True, slots=True)
class Outpoint:
    """An output: of which transaction, and which of it."""

    txid: bytes
    index: int

    def serialise(self) -> bytes:
        return self.txid + struct.pack("<I", self.index)


#: What a coinbase spends.
NOWHERE = Outpoint(bytes(32), 0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Input:
    """An outpoint and the script that satisfies its output's."""

    outpoint: Outpoint
    script: bytes

    def serialise(self) -> bytes:
        return self.outpoint.serialise() + compact_size(len(self.script)) + self.script + b"\xff" * 4


@dataclass(frozen=True, slots=True)
class Output:
    """``value`` is in units of 10^-8 NMC."""

    value: int
    script: bytes

    def serialise(self) -> bytes:
        return struct.pack("<q", self.value) + compact_size(len(self.script)) + self.script


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction without witnesses."""

    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    version: int = 1

    def serialise(self) -> bytes:
        return b"".join(
            (
                struct.pack("<i", self.version),
                compact_size(len(self.inputs)),
                *(item.serialise() for item in self.inputs),
                compact_size(len(self.outputs)),
                *(item.serialise() for item in self.outputs),
                bytes(4),
            )
        )

    @property
    def txid(self) -> bytes:
        return sha256d(self.serialise())

    def outpoint(self, index: int) -> Outpoint:
        return Outpoint(self.txid, index)


def merkle_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """A Merkle tree from its leaves up to its root; an odd level's last node is its own sibling."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        nodes = levels[-1] + levels[-1][-1:] * (len(levels[-1]) % 2)
        levels.append([sha256d(left + right) for left, right in zip(nodes[::2], nodes[1::2], strict=True)])
    return levels


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    return merkle_levels(leaves)[-1][0]


def merkle_branch(leaves: Sequence[bytes], position: int) -> list[bytes]:
    """The siblings on the way from the leaf at ``position`` to the root."""
    branch = []
    for level in merkle_levels(leaves)[:-1]:
        branch.append(level[min(position ^ 1, len(level) - 1)])
        position //= 2
    return branch


@dataclass(frozen=True, slots=True)
class Header:
    """A block's 80 bytes."""

    version: int
    previous: bytes
    merkle_root: bytes
    time: int
    bits: int = BITS
    nonce: int = 0

    def serialise(self) -> bytes:
        head = struct.pack("<I", self.version) + self.previous + self.merkle_root
        return head + struct.pack("<III", self.time, self.bits, self.nonce)

    @property
    def hash(self) -> bytes:
        return sha256d(self.serialise())


def solve(header: Header) -> Header:
    """The header with the first nonce that meets regtest's target."""
    tries = (replace(header, nonce=nonce) for nonce in itertools.count())
    return next(tried for tried in tries if meets_target(tried.hash))


def meets_target(digest: bytes) -> bool:
    return int.from_bytes(digest, "little") <= TARGET


@dataclass(frozen=True, slots=True)
class Block:
    """``auxpow`` stands between the header and the transactions, and belongs to the header for a server's clients."""

    header: Header
    transactions: tuple[Transaction, ...]
    auxpow: bytes = b""
    txids: tuple[bytes, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "txids", tuple(item.txid for item in self.transactions))

    @property
    def full_header(self) -> bytes:
        return self.header.serialise() + self.auxpow


def coinbase(mark: bytes, value: int, script: bytes) -> Transaction:
    """The transaction that pays a block's miner; ``mark`` is what its input says."""
    return Transaction((Input(NOWHERE, mark),), (Output(value, script),))


def auxpow(digest: bytes, time: int) -> bytes:
    """The proof that a parent chain's block was mined for the header with the hash ``digest``.

    The parent has one other transaction; the tree of merged chains is ours alone, at index 0 of size 1.
    """
    mark = MERGED_MINING_MARK + digest[::-1] + struct.pack("<II", 1, 0)
    generation = coinbase(push(mark), 50 * COIN, address_script(b"parent"))
    leaves = [generation.txid, sha256d(b"another transaction of the parent's")]
    parent = solve(Header(4, sha256d(b"parent"), merkle_root(leaves), time))
    branch = merkle_branch(leaves, 0)
    coinbase_branch = compact_size(len(branch)) + b"".join(branch) + bytes(4)
    chain_branch = compact_size(0) + bytes(4)
    return generation.serialise() + parent.hash + coinbase_branch + chain_branch + parent.serialise()


#: Regtest's first block as Electrum-NMC has it: Bitcoin's.
GENESIS = Block(
    Header(
        1, bytes(32), bytes.fromhex("4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b")[::-1], 1296688602,
        nonce=2,
    ),
    (
        Transaction(
            (
                Input(
                    NOWHERE,
                    push(bytes.fromhex("ffff001d")) + push(b"\x04")
                    + push(b"The Times 03/Jan/2009 Chancellor on brink of second bailout for banks"),
                ),
            ),
            (
                Output(
                    50 * COIN,
                    push(
                        bytes.fromhex(
                            "04678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb6"
                            "49f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5f"
                        )
                    )
                    + b"\xac",
                ),
            ),
        ),
    ),
)  # fmt: skip
