"""One chain with a name for each way that a look-up can end, as data, and the mining of it.

With regtest's expiry of 30 blocks Electrum-NMC resolves a name whose last operation has 12 to 26 confirmations: fewer
are too few to trust, 27 to 30 "semi-expired" (the last four of the 30 blocks: soon anybody's), from 31 on expired.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tests.namecoin import chain, names
from tests.namecoin.chain import Outpoint, Output
from tests.namecoin.ledger import Chain, spend

#: The chain's height once it is built.
HEIGHT = 240
#: Confirmations of the last operation on a name that Electrum-NMC resolves on regtest.
LEAST_DEPTH, GREATEST_DEPTH = 12, 26
_FEE = chain.COIN // 1000


@dataclass(frozen=True, slots=True)
class Step:
    """A value given to a name, in the block that has so many confirmations at ``HEIGHT``; 0: in the mempool.

    ``update`` continues a registration (name_update); otherwise one begins (name_new, then name_firstupdate).
    """

    depth: int
    value: bytes
    update: bool = False

    @property
    def height(self) -> int:
        return HEIGHT + 1 - self.depth


@dataclass(frozen=True, slots=True)
class Case:
    """A name: what was done to it, and how a look-up of it has to end.

    ``outcome`` is the resolver's word for it, ``shown`` the value that name_show gives.
    """

    name: str
    about: str
    steps: tuple[Step, ...]
    outcome: str
    shown: bytes | None = None


def onion(seed: str) -> str:
    """A version 3 onion address that is well formed."""
    key = hashlib.sha256(seed.encode()).digest()
    checksum = hashlib.sha3_256(b".onion checksum" + key + b"\x03").digest()[:2]
    return base64.b32encode(key + checksum + b"\x03").decode().lower() + ".onion"


def to_onion(address: str) -> bytes:
    """The value that maps a name to an onion address."""
    return json.dumps({"map": {"_tor": {"txt": address}}}, separators=(",", ":")).encode()


def _cases() -> Iterator[Case]:
    first, second = to_onion(onion("first")), to_onion(onion("second"))

    def found(name: str, about: str, *steps: Step) -> Case:
        return Case(name, about, steps, "found", steps[-1].value)

    yield found("d/example", "registered once", Step(20, first))
    yield found("d/youngest", "just confirmed enough", Step(LEAST_DEPTH, first))
    yield found("d/oldest", "in its last block before semi-expiry", Step(GREATEST_DEPTH, first))
    yield found("d/updated", "a newer value replaces an older one", Step(38, first), Step(15, second, update=True))
    yield found("d/renewed", "updated twice, with the first value long past", Step(70, first), Step(45, first, update=True), Step(16, second, update=True))  # fmt: skip
    yield found("d/reborn", "expired, then registered anew by somebody else", Step(80, first), Step(14, second))
    yield found("d/" + "long" * 15, "a long label", Step(20, first))
    yield found("d/full", "the longest value", Step(20, first[:-1] + b" " * (names.MAX_VALUE - len(first)) + b"}"))
    yield found("id/example", "of another namespace", Step(20, b'{"name":"somebody"}'))

    for name, about, value in (
        ("d/broken", "a value that ends early", b'{"map":{"_tor":{"txt":'),
        ("d/text", "a value that is no JSON", b"reserved\nfor later"),
        ("d/binary", "a value that is no UTF-8", bytes(range(256))),
        ("d/empty", "no value at all", b""),
    ):
        yield Case(name, about, (Step(20, value),), "malformed value", value)

    def none(name: str, outcome: str, about: str, *steps: Step) -> Case:
        return Case(name, about, steps, outcome)

    yield none("d/missing", "not registered", "never registered")
    yield none("d/fresh", "not registered", "one confirmation", Step(1, first))
    yield none("d/nearly", "not registered", "one confirmation short", Step(LEAST_DEPTH - 1, first))
    yield none("d/pending", "not registered", "in the mempool only", Step(0, first))
    yield none("d/semi-expired", "expired", "in its first block of semi-expiry", Step(GREATEST_DEPTH + 1, first))
    yield none("d/last-chance", "expired", "in its last block", Step(names.EXPIRATION, first))
    yield none("d/expired", "expired", "expired with this block", Step(names.EXPIRATION + 1, first))
    yield none("d/long-expired", "expired", "expired long ago", Step(90, first))
    yield none("d/contested", "not registered", "expired, and registered anew too late to count", Step(75, first), Step(5, second))  # fmt: skip

    older = "until a newer operation counts, the one before it does"
    yield Case("d/renewing", older, (Step(22, first), Step(3, second, update=True)), "found", first)
    yield Case(
        "d/changing", f"{older}: in the mempool", (Step(22, first), Step(0, second, update=True)), "found", first
    )


CASES = tuple(_cases())


def cases(values: Mapping[str, bytes]) -> tuple[Case, ...]:
    """The scenario with names added to it that resolve to ``values``; a name that is there gets the value instead."""
    own = [case for case in CASES if case.name not in values]
    like = next(case for case in CASES if case.name == "d/example")
    given = [replace(like, name=name, steps=(Step(20, value),), shown=value) for name, value in values.items()]
    return (*given, *own)


@dataclass(frozen=True, slots=True)
class _Held:
    """What the owner of a name holds: outputs with their tags and amounts."""

    name: tuple[Outpoint, bytes]
    change: tuple[Outpoint, bytes]
    change_value: int


def build(values: Mapping[str, bytes] | None = None) -> Chain:
    """Mine the scenario, with ``cases(values)``: the same chain for the same values."""
    ledger, purse = Chain(), iter(range(1, HEIGHT))
    held: dict[str, _Held] = {}
    wanted = cases(values or {})

    def submit(case: Case, coins: tuple[tuple[Outpoint, bytes], ...], into: int, operation: names.Operation) -> None:
        """Do one operation on a name; its locked amount goes with it, the fee comes out of the change."""
        tag = f"{case.name} at {ledger.height + 1}".encode()
        change = into - names.LOCKED - _FEE
        outputs = (
            Output(names.LOCKED, operation.script() + chain.address_script(tag)),
            Output(change, chain.address_script(tag + b", change")),
        )
        made = spend(coins, outputs, name=True)
        ledger.submit(made)
        held[case.name] = _Held((made.outpoint(0), tag), (made.outpoint(1), tag + b", change"), change)

    def salt(case: Case, step: Step) -> bytes:
        return chain.hash160(f"{case.name} {step.height}".encode())

    for height in range(1, HEIGHT + 2):
        for case in wanted:
            name = case.name.encode()
            for step in case.steps:
                if not step.update and step.height - names.MATURITY == height:
                    mined = next(purse)
                    block = ledger.blocks[mined]
                    new = names.NameNew(names.commitment(name, salt(case, step)))
                    coin = block.transactions[0].outpoint(0), b"miner %d" % mined
                    submit(case, (coin,), block.transactions[0].outputs[0].value, new)
                elif step.height == height:
                    mine = held[case.name]
                    operation: names.Operation = names.NameUpdate(name, step.value)
                    if not step.update:
                        operation = names.NameFirstUpdate(name, salt(case, step), step.value)
                    submit(case, (mine.name, mine.change), names.LOCKED + mine.change_value, operation)
        if height <= HEIGHT:
            ledger.mine()
    return ledger
