"""Static and import libraries: which bytes change, which do not, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.formats import ar
from packager.formats.ar import MAGIC, THIN, normalise
from packager.formats.errors import FormatError
from tests.formats.build import EPOCH, ar_member, big_object, changes, coff_object, outcome, short_import
from tests.formats.strategies import mutations

GNU = MAGIC + (
    ar_member("/", b"\0\0\0\0", user="0", group="0", mode="0")
    + ar_member("//", b"a_member_with_a_long_name.o/\n", date="", user="", group="", mode="")
    + ar_member("/0", coff_object())
    + ar_member("text.txt/", b"odd")
)
BSD = MAGIC + (
    ar_member("#1/20", b"__.SYMDEF SORTED\0\0\0\0" + bytes(8), mode="100644")
    + ar_member("#1/12", b"long name.o\0" + coff_object())
    + ar_member("__.SYMDEF", bytes(8), user="0")
)
MICROSOFT = MAGIC + b"".join(
    ar_member(name, content, user="", group="", date="-1", mode=mode)
    for name, content, mode in [
        ("/", bytes(4), "0"),
        ("//", b"folder\\a.obj\0", "0"),
        ("/<ECSYMBOLS>/", bytes(4), "0"),
        ("/0", big_object(), "100666"),
        ("a.dll/", short_import(), "0"),
    ]
)
THIN_FILE = THIN + (
    ar_member("/", b"\0\0\0\0")
    + ar_member("//", b"a.o/\nb.o/\n", date="", user="", group="", mode="")
    + ar_member("/0", b"", size=1001)
    + ar_member("/5", b"", size=1000)
)
EVERY = [GNU, BSD, MICROSOFT, THIN_FILE, MAGIC]


def header(data: bytes, member: int) -> bytes:
    """Date, user, group and mode of the member of that number, as they stand in its header."""
    at = list(ar.members(data))[member].offset
    return data[at + 16 : at + 48]


def test_every_change_of_a_small_library() -> None:
    data = MAGIC + ar_member("a.o/", coff_object(), group="0")
    assert changes(normalise(data, EPOCH)) == [
        ("member date", 24, b"1600000000  ", b"0           "),
        ("member user", 36, b"1000  ", b"0     "),
        ("member mode", 48, b"100640  ", b"644     "),
        ("COFF TimeDateStamp", 72, b"\x11\x11\x11\x11", bytes(4)),
    ]


@pytest.mark.parametrize("data", EVERY)
def test_the_length_stays_and_twice_changes_nothing_more(data: bytes) -> None:
    assert outcome(normalise, data) is not None


def test_the_epoch_has_no_part_in_it() -> None:
    assert normalise(GNU, 0).data == normalise(GNU, EPOCH).data


def test_system_v_and_gnu() -> None:
    new = normalise(GNU, EPOCH).data
    assert header(new, 0) == b"0           0     0     0       "
    assert header(new, 1) == b" " * 32
    assert header(new, 2) == header(new, 3) == b"0           0     0     644     "


def test_bsd_names_before_the_content() -> None:
    result = normalise(BSD, EPOCH)
    assert header(result.data, 0) == header(result.data, 2) == b"0           0     0     0       "
    assert header(result.data, 1) == b"0           0     0     644     "
    assert [c.offset for c in result.changes if c.field == "COFF TimeDateStamp"] == [8 + 60 + 28 + 60 + 12 + 4]


def test_what_microsoft_leaves_blank_stays_blank() -> None:
    result = normalise(MICROSOFT, EPOCH)
    assert [header(result.data, n) for n in range(3)] == [b"0                       0       "] * 3
    assert header(result.data, 3) == header(result.data, 4) == b"0                       644     "
    assert Counter(change.field for change in result.changes) == {
        "member date": 5,
        "member mode": 2,
        "object header TimeDateStamp": 1,
        "short import TimeDateStamp": 1,
    }


def test_a_thin_archive_has_headers_only() -> None:
    assert [m.end - m.start for m in ar.members(THIN_FILE)] == [4, 10, 0, 0]
    assert outcome(normalise, THIN_FILE) is not None


def test_the_last_padding_may_be_missing() -> None:
    assert GNU.endswith(b"odd\n")
    assert outcome(normalise, GNU[:-1]) is not None


def test_an_object_in_the_symbol_table_s_place_stays() -> None:
    data = MAGIC + ar_member("/", coff_object())
    assert normalise(data, EPOCH).data[68:] == coff_object()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"offset 0x0: expected b'!<arch>\n' or b'!<thin>\n', found b''"),
        (MAGIC + b"x", "offset 0x8: expected a member's header of 60 bytes, found 1 bytes"),
        (GNU[:-2], "offset 0x16e: expected a member that ends at 0x17c at the latest, found 3 bytes"),
        (
            MAGIC + ar_member("a", b"").replace(b"`\n", b"``"),
            r"offset 0x42: expected b'`\n' at the end of a member's header, found b'``'",
        ),
        (MAGIC + ar_member("a", b"", size=-1), "offset 0x38: expected a member's size, found b'-1        '"),
        (
            MAGIC + ar_member("a", b"", date="yesterday"),
            "offset 0x18: expected member date, a number, found b'yesterday   '",
        ),
        (
            MAGIC + ar_member("#1/9", b"12345678"),
            "offset 0x8: expected the length of a name that fits in 8 bytes, found b'#1/9'",
        ),
        (MAGIC + ar_member("#1/", b""), "offset 0x8: expected the length of a name that fits in 0 bytes, found b'#1/'"),
    ],
)
def test_broken_files(data: bytes, message: str) -> None:
    with pytest.raises(FormatError) as caught:
        normalise(data, EPOCH)
    assert str(caught.value) == message


def test_cut_anywhere() -> None:
    whole = [index for index in range(len(GNU)) if outcome(normalise, GNU[:index]) is not None]
    ends = [member.offset for member in ar.members(GNU)]
    assert set(ends) < set(whole)
    assert len(whole) <= 2 * len(ends) + 1


@given(mutations(EVERY))
def test_mutations_are_normalised_or_refused(data: bytes) -> None:
    outcome(normalise, data)


@given(
    st.lists(
        st.tuples(st.sampled_from(["a/", "/1", "#1/4", "/", "//"]), st.sampled_from([coff_object(), b"text", b"oddxx"]))
    )
)
def test_any_members(members: list[tuple[str, bytes]]) -> None:
    assert outcome(normalise, MAGIC + b"".join(ar_member(*member) for member in members)) is not None


@pytest.mark.skipif(shutil.which("ar") is None, reason="binutils' ar is not on this machine")
def test_what_binutils_writes_with_d(tmp_path: Path) -> None:
    for name in ("a.txt", "a_member_with_a_long_name.txt"):
        (tmp_path / name).write_text(f"content of {name}\n")
        (tmp_path / name).chmod(0o640)
    for mode in "DU":
        subprocess.run(
            ["ar", f"rc{mode}", f"{mode}.a", "a.txt", "a_member_with_a_long_name.txt"], cwd=tmp_path, check=True
        )
    dated, fixed = (tmp_path / "U.a").read_bytes(), (tmp_path / "D.a").read_bytes()
    assert dated != fixed
    assert normalise(dated, EPOCH).data == fixed
    assert normalise(fixed, EPOCH).data is fixed
