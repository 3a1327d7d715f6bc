"""The bytes of a chain, against what Bitcoin's and Namecoin's own chains and Electrum-NMC say of the same."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.namecoin import chain


def test_the_first_block_is_regtests() -> None:
    header = chain.GENESIS.header
    assert chain.display(header.hash) == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
    # The same transaction, and so the same root, as in the main net's first block.
    assert chain.display(chain.GENESIS.txids[0]) == "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
    assert header.merkle_root == chain.merkle_root(chain.GENESIS.txids)
    assert chain.meets_target(header.hash)
    assert chain.TARGET == 0x7FFFFF << 232


@pytest.mark.parametrize(
    ("number", "form"), [(0, "00"), (252, "fc"), (253, "fdfd00"), (520, "fd0802"), (65535, "fdffff")]
)
def test_compact_sizes(number: int, form: str) -> None:
    assert chain.compact_size(number).hex() == form


@pytest.mark.parametrize(
    ("length", "head"),
    [(0, "00"), (1, "01"), (75, "4b"), (76, "4c4c"), (255, "4cff"), (256, "4d0001"), (520, "4d0802")],
)
def test_pushes_are_the_shortest(length: int, head: str) -> None:
    assert chain.push(b"\x05" * length).hex() == head + "05" * length


def test_an_element_has_its_limit() -> None:
    with pytest.raises(ValueError, match="521 bytes"):
        chain.push(bytes(521))


@pytest.mark.parametrize(
    ("height", "form"), [(1, "51"), (16, "60"), (17, "0111"), (127, "017f"), (128, "028000"), (240, "02f000")]
)
def test_coinbases_begin_with_their_height(height: int, form: str) -> None:
    assert chain.height_mark(height).hex() == form


def test_addresses() -> None:
    # As Electrum-NMC writes the script a914<20 bytes>87 on regtest.
    assert chain.base58check(b"\xc4" + bytes(19) + b"\x01") == "2MsFDzHRUAMpjHxKyoEHU3aMCMsVtXMsfu8"
    script = chain.address_script(b"tag")
    assert script == bytes.fromhex("a914") + chain.hash160(b"\x03tag\x75\x51") + b"\x87"
    assert chain.address(b"tag") == chain.base58check(b"\xc4" + script[2:-1])


def fold(leaf: bytes, branch: list[bytes], position: int) -> bytes:
    """A root from a leaf and its branch, as clients compute it."""
    for node in branch:
        leaf = chain.sha256d(node + leaf if position & 1 else leaf + node)
        position >>= 1
    assert position == 0
    return leaf


@given(st.integers(1, 40), st.data())
def test_every_branch_leads_to_the_root(count: int, data: st.DataObject) -> None:
    leaves = [chain.sha256d(bytes([number])) for number in range(count)]
    position = data.draw(st.integers(0, count - 1))
    branch = chain.merkle_branch(leaves, position)
    assert fold(leaves[position], branch, position) == chain.merkle_root(leaves)
    assert len(branch) == (count - 1).bit_length()


def test_a_merkle_root_of_the_main_net() -> None:
    # Bitcoin's block 170: the first with a payment.
    leaves = [
        bytes.fromhex(txid)[::-1]
        for txid in (
            "b1fea52486ce0c62bb442b530a3f0132b826c74e473d1f2c220bfa78111c5082",
            "f4184fc596403b9d638783cf57adfe4c75c605f6356fbc91338530e9831e9e16",
        )
    ]
    root = "7dac2c5666815c17a3b36427de37bb9d2e2c5ccec3f8633eb91a4205cb4c10ff"
    assert chain.display(chain.merkle_root(leaves)) == root


def test_merged_mining_proves_a_header() -> None:
    """The checks of Namecoin's CAuxPow::check, on the bytes."""
    digest = chain.sha256d(b"a header")
    proof = chain.auxpow(digest, 1_735_689_600)
    mark = chain.MERGED_MINING_MARK + digest[::-1] + struct.pack("<II", 1, 0)
    # Version, one input, its outpoint, and its script of one push; the transaction ends with sequence, output and time.
    assert proof[:42] == struct.pack("<iB", 1, 1) + bytes(32) + b"\xff" * 4 + bytes([len(mark) + 1])
    assert proof[42 : 43 + len(mark)] == chain.push(mark)
    end = 43 + len(mark) + 4 + 1 + 8 + 1 + 23 + 4
    generation, rest = proof[:end], proof[end:]
    parent_hash, rest = rest[:32], rest[32:]
    assert rest[0] == 1
    branch, index, rest = rest[1:33], rest[33:37], rest[37:]
    assert index == bytes(4)
    assert rest[:5] == bytes(5)
    parent = rest[5:]
    assert len(parent) == 80
    assert chain.sha256d(parent) == parent_hash
    assert chain.meets_target(parent_hash)
    assert fold(chain.sha256d(generation), [branch], 0) == parent[36:68]
    # A parent of our own chain's id would be no parent.
    assert struct.unpack("<I", parent[:4])[0] >> 16 != chain.CHAIN_ID
