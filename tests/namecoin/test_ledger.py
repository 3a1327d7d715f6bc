"""The chain: what it takes, what it refuses, and what it remembers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.namecoin import chain, names
from tests.namecoin.chain import Outpoint, Output, Transaction
from tests.namecoin.ledger import COINBASE_MATURITY, SUBSIDY, Chain, RuleError, spend
from tests.namecoin.names import NameFirstUpdate, NameNew, NameUpdate

NAME, SALT = b"d/name", b"s" * 20
TAG = b"owner"
OWNER = chain.address_script(TAG)


@pytest.fixture
def ledger() -> Chain:
    """A chain with five coinbases that may be spent."""
    made = Chain()
    made.mine(COINBASE_MATURITY + 4)
    return made


def coin(ledger: Chain, height: int) -> tuple[Outpoint, bytes]:
    return ledger.blocks[height].transactions[0].outpoint(0), b"miner %d" % height


def transfer(
    ledger: Chain, operation: names.Operation, *, height: int, before: Transaction | None = None
) -> Transaction:
    """An operation on a name, paid by the coinbase at ``height``, that continues ``before``."""
    coins = [coin(ledger, height)] + ([(before.outpoint(0), TAG)] if before else [])
    return spend(coins, [Output(names.LOCKED, operation.script() + OWNER)], name=True)


def register(ledger: Chain) -> Transaction:
    """Register the name with its first value; the last block has it."""
    new = transfer(ledger, NameNew(names.commitment(NAME, SALT)), height=1)
    ledger.submit(new)
    ledger.mine(names.MATURITY)
    first = transfer(ledger, NameFirstUpdate(NAME, SALT, b"1"), height=2, before=new)
    ledger.submit(first)
    ledger.mine()
    return first


def test_blocks_hang_together(ledger: Chain) -> None:
    for height, block in enumerate(ledger.blocks[1:], 1):
        assert block.header.previous == ledger.blocks[height - 1].header.hash
        assert block.header.merkle_root == chain.merkle_root(block.txids)
        assert block.header.version >> 16 == chain.CHAIN_ID
        # The one kind has its own proof of work, the other its parent's.
        assert bool(block.header.version & chain.AUXPOW_BIT) == bool(block.auxpow) == bool(height % 2)
        assert chain.meets_target(chain.sha256d(block.full_header[-80:]))
    assert len({block.txids[0] for block in ledger.blocks}) == len(ledger.blocks)


def test_equal_calls_make_equal_chains(ledger: Chain) -> None:
    again = Chain()
    again.mine(ledger.height)
    assert again.blocks == ledger.blocks


def test_a_name_lives_and_ends(ledger: Chain) -> None:
    key = names.index_scripthash(NAME)
    first = register(ledger)
    height = ledger.height
    assert [(item.txid, item.height) for item in ledger.history(key)] == [(first.txid, height)]
    ledger.mine(names.EXPIRATION - 2)
    update = transfer(ledger, NameUpdate(NAME, b"2"), height=3, before=first)
    ledger.submit(update)
    waiting = ledger.history(key)[-1]
    assert (waiting.txid, waiting.height, waiting.fee) == (update.txid, 0, SUBSIDY)
    ledger.mine()
    assert ledger.mempool == {}
    assert [item.height for item in ledger.history(key)] == [height, ledger.height]
    assert ledger.transaction(update.txid) == update
    assert ledger.places[update.txid] == (ledger.height, 1)
    assert ledger.blocks[-1].transactions[0].outputs[0].value == 2 * SUBSIDY
    # The owner's script has name_new in its history, too, and is not the name's.
    assert len(ledger.history(chain.scripthash(OWNER))) == 3


def test_an_expired_name_is_free(ledger: Chain) -> None:
    first = register(ledger)
    new = transfer(ledger, NameNew(names.commitment(NAME, SALT)), height=3)
    ledger.submit(new)
    ledger.mine(names.EXPIRATION - 2)
    again = transfer(ledger, NameFirstUpdate(NAME, SALT, b"2"), height=4, before=new)
    with pytest.raises(RuleError, match="somebody's"):
        ledger.submit(again)
    ledger.mine()
    with pytest.raises(RuleError, match="an expired name"):
        ledger.submit(transfer(ledger, NameUpdate(NAME, b"2"), height=5, before=first))
    ledger.submit(again)
    ledger.mine()
    assert len(ledger.history(names.index_scripthash(NAME))) == 2
    with pytest.raises(RuleError, match="the name's last operation"):
        ledger.submit(transfer(ledger, NameUpdate(NAME, b"3"), height=5, before=first))


def test_a_registration_takes_its_time_and_its_commitment(ledger: Chain) -> None:
    new = transfer(ledger, NameNew(names.commitment(NAME, SALT)), height=1)
    ledger.submit(new)
    ledger.mine(names.MATURITY - 1)
    with pytest.raises(RuleError, match="too soon"):
        ledger.submit(transfer(ledger, NameFirstUpdate(NAME, SALT, b""), height=2, before=new))
    ledger.mine()
    for operation in (NameFirstUpdate(NAME, b"another", b""), NameFirstUpdate(b"d/other", SALT, b"")):
        with pytest.raises(RuleError, match="without its name_new"):
            ledger.submit(transfer(ledger, operation, height=2, before=new))
    with pytest.raises(RuleError, match="nothing is spent"):
        ledger.submit(transfer(ledger, NameFirstUpdate(NAME, SALT, b""), height=2))
    with pytest.raises(RuleError, match="the name's last operation"):
        ledger.submit(transfer(ledger, NameUpdate(NAME, b""), height=2, before=new))
    with pytest.raises(RuleError, match="too long"):
        ledger.submit(transfer(ledger, NameFirstUpdate(b"d/" + bytes(254), SALT, b""), height=2, before=new))


def test_money_is_kept(ledger: Chain) -> None:
    good = spend([coin(ledger, 1)], [Output(SUBSIDY, OWNER)], name=False)
    for bad, why in (
        (spend([coin(ledger, 1)], [Output(SUBSIDY + 1, OWNER)], name=False), "more than it has"),
        (spend([coin(ledger, 6)], [Output(SUBSIDY, OWNER)], name=False), "a coinbase of less"),
        (spend([(good.outpoint(0), TAG)], [Output(1, OWNER)], name=False), "not there"),
        (spend([coin(ledger, 1)] * 2, [Output(1, OWNER)], name=False), "twice"),
    ):
        with pytest.raises(RuleError, match=why):
            ledger.submit(bad)
    ledger.submit(good)
    with pytest.raises(RuleError, match="not there"):
        ledger.submit(spend([coin(ledger, 1)], [Output(1, OWNER)], name=False))


def test_names_keep_their_form(ledger: Chain) -> None:
    new = transfer(ledger, NameNew(names.commitment(NAME, SALT)), height=1)
    (output,) = new.outputs
    for bad, why in (
        (replace(new, version=1), "another version"),
        (replace(new, outputs=(output, output)), "more or less than one"),
        (replace(new, outputs=()), "more or less than one"),
        (replace(new, outputs=(replace(output, value=names.LOCKED - 1),)), "too little"),
        (transfer(ledger, NameNew(b"short"), height=1), "another form"),
    ):
        with pytest.raises(RuleError, match=why):
            ledger.submit(bad)
