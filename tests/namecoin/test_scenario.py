"""The scenario: that the chain is what its table says."""

from __future__ import annotations

import pytest
from namecoin_resolver import values
from namecoin_resolver.outcome import Kind, NameLookupError

from tests.namecoin import names, scenario
from tests.namecoin.ledger import Chain


@pytest.fixture(scope="module")
def ledger() -> Chain:
    return scenario.build()


def value_of(ledger: Chain, txid: bytes) -> bytes:
    """What a transaction sets a name to."""
    operation, _ = names.split(ledger.transaction(txid).outputs[0].script)
    assert isinstance(operation, names.NameFirstUpdate | names.NameUpdate)
    return operation.value


@pytest.mark.parametrize("case", scenario.CASES, ids=lambda case: case.name)
def test_a_name_has_its_history(ledger: Chain, case: scenario.Case) -> None:
    history = ledger.history(names.index_scripthash(case.name.encode()))
    said = [(item.height, value_of(ledger, item.txid)) for item in history]
    assert said == [(step.height if step.depth else 0, step.value) for step in case.steps]
    if case.shown is not None:
        assert case.shown in [step.value for step in case.steps]


@pytest.mark.parametrize("case", scenario.CASES, ids=lambda case: case.name)
def test_values_are_what_the_outcome_says(case: scenario.Case) -> None:
    assert case.outcome in [kind.value for kind in Kind]
    if case.outcome == Kind.MALFORMED.value:
        assert case.shown is not None
        with pytest.raises(NameLookupError) as caught:
            values.parse(case.shown)
        assert caught.value.kind is Kind.MALFORMED
    elif case.outcome == Kind.FOUND.value:
        assert case.shown is not None
        values.parse(case.shown)
    else:
        assert case.shown is None


def test_the_chain_is_the_same_each_time(ledger: Chain) -> None:
    assert ledger.height == scenario.HEIGHT
    again = scenario.build()
    assert again.blocks == ledger.blocks
    assert again.mempool == ledger.mempool
    assert len({case.name for case in scenario.CASES}) == len(scenario.CASES)


def test_names_can_be_given(ledger: Chain) -> None:
    given = {"d/given": b'{"ip":"127.0.0.1"}', "d/example": b"another"}
    made = scenario.build(given)
    for name, value in given.items():
        (entry,) = made.history(names.index_scripthash(name.encode()))
        assert value_of(made, entry.txid) == value
        assert scenario.LEAST_DEPTH <= made.height + 1 - entry.height <= scenario.GREATEST_DEPTH
    assert len(scenario.cases(given)) == len(scenario.CASES) + 1
    assert made.blocks[-1] != ledger.blocks[-1]


def test_it_has_blocks_with_several_transactions(ledger: Chain) -> None:
    sizes = {len(block.txids) for block in ledger.blocks}
    assert {1, 2} < sizes
    assert max(sizes) > 4
