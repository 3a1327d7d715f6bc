"""Onion addresses and their checksum."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver import onion

from tests.launcher import doubles

#: Long-lived services; their checksums were made elsewhere.
TOR_PROJECT = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion"
DUCKDUCKGO = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad.onion"


@pytest.mark.parametrize("address", [TOR_PROJECT, DUCKDUCKGO, doubles.onion(0), f"www.a_b-c.{TOR_PROJECT}"])
def test_addresses_with_the_right_checksum(address: str) -> None:
    assert onion.v3(address) == address
    assert onion.v3(address.upper()) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".onion",
        TOR_PROJECT.removesuffix(".onion"),
        TOR_PROJECT + ".",
        TOR_PROJECT + "\n",
        " " + TOR_PROJECT,
        "." + TOR_PROJECT,
        "-a." + TOR_PROJECT,
        "a..b." + TOR_PROJECT,
        "a" * 64 + "." + TOR_PROJECT,
        "a." * 100 + TOR_PROJECT,
        TOR_PROJECT + ".onion",
        "3g2upl4pq6kufc4m.onion",  # version 2
        TOR_PROJECT.replace("2gz", "2gy"),
        TOR_PROJECT.replace("wid.", "wie."),
        TOR_PROJECT.replace("2", "1"),  # 1 is not in base32
        TOR_PROJECT.replace("k", "\u212a"),  # the Kelvin sign, which lower() makes a k
        "\ud800" + TOR_PROJECT,
    ],
)
def test_other_text(text: str) -> None:
    assert onion.v3(text) is None


@given(st.integers(0, 500), st.integers(0, 279))
def test_one_wrong_bit_is_seen(seed: int, bit: int) -> None:
    raw = bytearray(base64.b32decode(doubles.onion(seed).removesuffix(".onion").upper()))
    raw[bit // 8] ^= 1 << bit % 8
    text = base64.b32encode(bytes(raw)).decode().lower() + ".onion"
    # Two bytes of checksum: one wrong bit in the key can pass by chance, once in 65536.
    assert onion.v3(text) is None or bit < 256


@given(st.text())
def test_never_raises(text: str) -> None:
    assert onion.v3(text) is None
