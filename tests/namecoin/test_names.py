"""The scripts of names, against Electrum-NMC's and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.namecoin import chain, names
from tests.namecoin.names import NameFirstUpdate, NameNew, NameUpdate

OWNER = chain.address_script(b"owner")


@pytest.mark.parametrize(
    ("operation", "script"),
    [
        (NameNew(b"\x07" * 20), "5114" + "07" * 20 + "6d"),
        (NameFirstUpdate(b"d/x", b"\x07" * 20, b"{}"), "5203642f78" + "14" + "07" * 20 + "027b7d6d6d"),
        (NameUpdate(b"d/x", b""), "5303642f78006d75"),
        (NameUpdate(b"d/x", b"\x07" * 520), "5303642f784d0802" + "07" * 520 + "6d75"),
    ],
)
def test_scripts(operation: names.Operation, script: str) -> None:
    assert operation.script().hex() == script
    assert names.split(operation.script() + OWNER) == (operation, OWNER)


def test_commitments_and_index_are_electrums() -> None:
    # Out of nc4.0.6's build_name_commitment and name_identifier_to_scripthash.
    assert names.commitment(b"d/example", b"s" * 20).hex() == "0abdea137738702402f776a61f3217407b4c54c5"
    assert names.index_scripthash(b"d/example") == "92f51fe51fa9c53ea842325c9c63a9b8592b3f64c7477b6e538a64d80cd8c0ac"
    long = b"d/" + b"x" * 200
    assert names.index_scripthash(long) == "c24c12e111d6fd428659dc3e80654d247613128cc6f23d091a4a6ee03a5a4aa8"


@given(st.binary(max_size=255), st.binary(max_size=20), st.binary(max_size=520))
def test_what_is_written_is_read(name: bytes, salt: bytes, value: bytes) -> None:
    for operation in (NameFirstUpdate(name, salt, value), NameUpdate(name, value)):
        assert names.split(operation.script() + OWNER) == (operation, OWNER)


@given(st.binary(max_size=60))
def test_other_scripts_are_no_names(script: bytes) -> None:
    operation, owner = names.split(script)
    assert (operation.script() if operation else b"") + owner == script


@pytest.mark.parametrize("script", ["", "51", "5303642f78", "5303642f78006d", "53514d", "5303642f784d08", "514e00"])
def test_unfinished_scripts_are_no_names(script: str) -> None:
    assert names.split(bytes.fromhex(script)) == (None, bytes.fromhex(script))
