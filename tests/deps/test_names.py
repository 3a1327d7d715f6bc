"""Names as Windows compares them, and as the loader completes them."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.deps.names import encodable, forwarder_parts, module_name, windows_key


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("KERNEL32.dll", "kernel32.DLL", True),
        ("größe.dll", "GRÖßE.DLL", True),
        ("straße.dll", "STRASSE.dll", False),
        ("\u0131.dll", "i.dll", True),
        ("a.dll", "b.dll", False),
    ],
)
def test_keys(first: str, second: str, same: bool) -> None:
    assert (windows_key(first) == windows_key(second)) is same


@given(st.text())
def test_a_key_has_one_letter_for_each(name: str) -> None:
    assert len(windows_key(name)) == len(name)


@pytest.mark.parametrize(
    ("name", "file"),
    [("KERNEL32", "KERNEL32.dll"), ("a.pyd", "a.pyd"), ("a.", "a"), ("x.y\\z", "x.y\\z.dll"), ("d/e.drv", "d/e.drv")],
)
def test_what_the_loader_looks_for(name: str, file: str) -> None:
    assert module_name(name) == file


@pytest.mark.parametrize(
    ("forwarder", "parts"),
    [
        ("NTDLL.RtlX", ("NTDLL.dll", "RtlX")),
        ("libpython3.13.PyX", ("libpython3.13.dll", "PyX")),
        ("api-ms-win-core-file-l1-1-0.OpenFile", ("api-ms-win-core-file-l1-1-0.dll", "OpenFile")),
        ("WINSPOOL.DRV.f", ("WINSPOOL.DRV", "f")),
        ("X.#12", ("X.dll", "#12")),
        ("nothing", ("", "nothing")),
        ("", ("", "")),
    ],
)
def test_parts_of_a_forwarder(forwarder: str, parts: tuple[str, str]) -> None:
    assert forwarder_parts(forwarder) == parts


@pytest.mark.parametrize(
    ("text", "shown"),
    [("größe.dll", "größe.dll"), (os.fsdecode(b"\xff\xfe.dll"), "\\xff\\xfe.dll"), ("\ud800.dll", "\\ud800.dll")],
)
def test_what_can_be_written(text: str, shown: str) -> None:
    assert encodable(text) == shown


@given(st.text())
def test_all_can_be_written(text: str) -> None:
    encodable(text).encode()
