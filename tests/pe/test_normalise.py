"""The normaliser: which bytes change, which do not, and what is refused."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.changes import Change, Normalised
from packager.errors import PEError, SpecError
from packager.pe import codeview, fields
from packager.pe.confirm import confirm
from packager.pe.fields import Field, volatile_fields
from packager.pe.layout import Directory, Section, read_layout
from packager.pe.normalise import normalise
from tests.pe.build import ARM64, FULL, RAW, RVA, X64, X86, Exports, Spec, build, nb10, put32, rsds
from tests.pe.cases import EPOCH, Options, applied, holds, mutated, seeds
from tests.pe.test_checksum import AT, map_file_and_check_sum

STAMP = struct.pack("<I", EPOCH)

trees = st.recursive(
    st.binary(max_size=8), lambda inner: st.dictionaries(st.integers(0, 99), inner, max_size=3), max_leaves=6
)
specs = st.builds(
    Spec,
    plus=st.booleans(),
    machine=st.sampled_from([X64, X86, ARM64]),
    dll=st.booleans(),
    stamp=st.integers(0, 0xFFFFFFFF),
    checksum=st.integers(0, 0xFFFFFFFF),
    imports=st.sampled_from([(), FULL.imports]),
    delay=st.sampled_from([(), FULL.delay]),
    exports=st.sampled_from([None, Exports(), Exports(stamp=0xFFFFFFFF), Exports(stamp=0)]),
    resources=st.one_of(st.none(), st.dictionaries(st.integers(0, 99), trees, min_size=1, max_size=3)),
    resource_stamp=st.sampled_from([0, 5]),
    debug=st.lists(st.sampled_from([2, 12, 13, 16]), max_size=3),
    codeview=st.one_of(
        st.binary(max_size=30).map(rsds), st.binary(max_size=30).map(nb10), st.binary(max_size=30).map(b"NB09".__add__)
    ),
    load_config_stamp=st.sampled_from([None, 0, 9]),
    text=st.binary(max_size=40),
    overlay=st.binary(max_size=9),
)


options = st.builds(
    Options, st.sampled_from(["refuse", "keep", "strip"]), st.sampled_from(["keep", "strip"]), st.booleans()
)


def changed(data: bytes, **options: object) -> Counter[str]:
    """How often each field was changed."""
    return Counter(change.field for change in normalise(data, EPOCH, **options).changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", [{}, {"plus": False, "machine": X86}, {"machine": ARM64, "dll": False}])
def test_every_field(variant: dict[str, object]) -> None:
    data = build(FULL, **variant)
    result = normalise(data, EPOCH)
    assert changed(data) == {
        fields.COFF: 1,
        fields.EXPORT: 1,
        fields.DEBUG: 2,
        codeview.GUID: 1,
        fields.RESOURCE: 6,
        fields.DELAY: 1,
        fields.LOAD_CONFIG: 1,
        "CheckSum": 1,
    }
    wanted = {fields.COFF: STAMP, fields.EXPORT: STAMP, fields.DEBUG: STAMP}
    for change in result.changes:
        if change.field not in ("CheckSum", codeview.GUID):
            assert change.after == wanted.get(change.field, bytes(4)), change.field
    assert result.changes[0] == Change(fields.COFF, 0x88, b"\x11" * 4, STAMP)
    assert [change.offset for change in result.changes] == sorted(change.offset for change in result.changes)
    assert read_layout(result.data).checksum == map_file_and_check_sum(result.data, AT)


@given(specs, st.integers(0, 0xFFFFFFFF))
@settings(max_examples=150, deadline=None)
def test_only_the_listed_fields_change_and_a_second_time_nothing(spec: Spec, epoch: int) -> None:
    data = build(spec)
    result = normalise(data, epoch)
    assert len(result.data) == len(data)
    assert applied(data, result) == result.data
    again = normalise(result.data, epoch)
    assert again.data is result.data
    assert again.changes == ()
    assert read_layout(result.data).checksum == map_file_and_check_sum(result.data, AT)


@given(specs, st.integers(0, 0xFFFFFFFF), st.integers(1, 0xFFFFFFFF), st.integers(1, 0xFFFFFFFF))
@settings(max_examples=60, deadline=None)
def test_files_that_differ_in_stamps_only_become_the_same(spec: Spec, epoch: int, one: int, two: int) -> None:
    plain = replace(spec, exports=Exports(), debug=[kind for kind in spec.debug if kind != 16])
    guids = [number.to_bytes(16, "big") for number in (one, two)]
    paths = [b"C:\\one\\x.pdb\0", b"/b/2/x.pdb\0\1\2"]
    first = build(
        plain, stamp=one, checksum=two, debug_stamp=one, resource_stamp=two, codeview=rsds(paths[0], guids[0], one)
    )
    second = build(
        plain, stamp=two, checksum=one, debug_stamp=two, resource_stamp=one, codeview=rsds(paths[1], guids[1], two)
    )
    assert normalise(first, epoch).data == normalise(second, epoch).data


def test_what_is_normal_is_handed_back_as_it_is() -> None:
    data = normalise(build(FULL), EPOCH).data
    assert normalise(data, EPOCH) == Normalised(data, ())


def test_export_stamp_of_all_ones_is_a_constant_and_stays() -> None:
    assert fields.EXPORT not in changed(build(exports=Exports(stamp=0xFFFFFFFF)))
    assert fields.EXPORT in changed(build(exports=Exports(stamp=0xFFFFFFFE)))


def test_repro_files_keep_their_stamps() -> None:
    data = build(FULL, debug=(2, 16))
    result = normalise(data, EPOCH)
    assert [change.field for change in result.changes] == ["CheckSum"]
    assert result.notes == ("REPRO: its stamps are hashes of the content and stay",)


def test_every_node_of_a_deep_resource_tree() -> None:
    tree: object = b"leaf"
    for _ in range(40):
        tree = {1: tree}
    found = volatile_fields(data := build(resources=tree), read_layout(data), EPOCH)
    assert sum(field.name == fields.RESOURCE for field in found) == 40


def test_a_resource_directory_that_points_at_itself_is_visited_once() -> None:
    data = build(resources={1: {2: b"leaf"}})
    layout = read_layout(data)
    start = layout.offset(layout.directories[Directory.RESOURCE].rva, 1, "x")
    data = put32(data, start + 16 + 4, 0x80000000)
    found = volatile_fields(data, layout, EPOCH)
    assert sum(field.name == fields.RESOURCE for field in found) == 1


SIGNED = build(FULL, text=b"signed", certificate=b"\x10\0\0\0\0\2\2\0certific")


def test_signed_files_are_refused_kept_or_stripped() -> None:
    with pytest.raises(PEError, match="expected no signature, found 16 bytes of one") as caught:
        normalise(SIGNED, EPOCH)
    assert "--signed" in str(caught.value.hint)
    assert normalise(SIGNED, EPOCH, signed="keep") == Normalised(SIGNED, (), ("signed: left as it is",))
    stripped = normalise(SIGNED, EPOCH, signed="strip")
    assert applied(SIGNED, stripped) == stripped.data
    assert stripped.data == normalise(build(FULL, text=b"signed"), EPOCH).data


def test_stripping_keeps_the_padding_before_the_signature() -> None:
    """Nothing in a signed file says how much of the zeros before the signature was there before."""
    signed = build(overlay=b"12345", certificate=b"c" * 16)
    assert len(normalise(signed, EPOCH, signed="strip").data) == len(build(overlay=b"12345")) + 3


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ((0x4000, 16), "expected a certificate table between"),
        ((8, 16), "expected a certificate table between"),
        ((len(SIGNED) - 16, 0), "expected a certificate table between"),
        ((len(SIGNED) - 15, 15), "expected a multiple of 8 bytes"),
        ((len(SIGNED) - 16, 8), "expected it to be last, found 8 bytes after"),
        ((len(SIGNED) - 24, 24), "expected it behind all sections, found one that ends at"),
    ],
)
def test_a_certificate_table_that_cannot_be_stripped(entry: tuple[int, int], message: str) -> None:
    offset = read_layout(SIGNED).directories[Directory.CERTIFICATE].offset
    broken = put32(put32(SIGNED, offset, entry[0]), offset + 4, entry[1])
    with pytest.raises(PEError) as caught:
        normalise(broken, EPOCH, signed="strip")
    assert message in caught.value.message


@pytest.mark.parametrize("epoch", [-1, 1 << 32])
def test_an_epoch_that_does_not_fit_is_the_callers_mistake(epoch: int) -> None:
    with pytest.raises(SpecError, match=f"epoch: expected a number from 0 to 4294967295, found {epoch}"):
        normalise(build(), epoch)


def test_an_unknown_way_with_signatures_is_the_callers_mistake() -> None:
    with pytest.raises(SpecError, match="expected one of refuse, keep, strip, found 'drop'"):
        normalise(build(), EPOCH, signed="drop")  # type: ignore[arg-type]


def _with_debug_at(rva: int) -> bytes:
    data = build(FULL)
    return put32(data, read_layout(data).directories[Directory.DEBUG].offset, rva)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_with_debug_at(0x80), "debug entry TimeDateStamp at offset 0x84: expected it after 0x88, found an overlap"),
        (_with_debug_at(0x100), "debug entry TimeDateStamp at offset 0x104: expected it after 0x1b0, found an overlap"),
        (_with_debug_at(0x100000), "debug directory: expected an address inside a section, found RVA 0x100000"),
        (
            put32(build(FULL), read_layout(build(FULL)).directories[Directory.DEBUG].offset + 4, 28 * 8000),
            "debug directory at offset",
        ),
        (
            put32(build(FULL), read_layout(build(FULL)).directories[Directory.DEBUG].offset + 4, 0xFFFFFFFF),
            "debug directory: expected 8192 entries at most, found 153391689",
        ),
    ],
)
def test_fields_where_they_cannot_be(data: bytes, message: str) -> None:
    with pytest.raises(PEError) as caught:
        normalise(data, EPOCH)
    assert message in caught.value.message


def test_two_fields_in_one_place_are_refused() -> None:
    data = build(FULL)
    layout = read_layout(data)
    export = layout.directories[Directory.EXPORT]
    data = put32(data, layout.directories[Directory.LOAD_CONFIG].offset, export.rva + 2)
    with pytest.raises(PEError, match="found an overlap"):
        normalise(data, EPOCH)


def test_a_field_that_would_change_where_the_fields_are_is_refused() -> None:
    """The load configuration lies over the resource root: its stamp is where the first entry there points."""
    data = build(resources={1: {2: b"a"}, 3: {4: b"b"}}, load_config_stamp=1)
    layout = read_layout(data)
    resources = layout.directories[Directory.RESOURCE]
    data = put32(data, layout.directories[Directory.LOAD_CONFIG].offset, resources.rva + 16)
    with pytest.raises(PEError, match="expected it to stay, found tables that overlap"):
        normalise(data, EPOCH)


def test_debug_directory_in_the_headers_slack_is_fine() -> None:
    data = build(debug=(13,))
    layout = read_layout(data)
    entry = layout.directories[Directory.DEBUG]
    start = layout.offset(entry.rva, 28, "x")
    moved = data[:0x300] + data[start : start + 28] + data[0x300 + 28 :]
    moved = put32(moved, entry.offset, 0x300)
    assert [c.offset for c in normalise(moved, EPOCH).changes if c.field == fields.DEBUG] == [0x304]
    assert RVA > 0x300 < RAW


def test_another_reader_must_agree() -> None:
    data = normalise(build(FULL), EPOCH).data
    layout = read_layout(data)
    right = volatile_fields(data, layout, EPOCH)
    confirm(data, layout, right)
    for index, field in enumerate(right):
        wrong = [*right[:index], Field(field.name, field.offset, b"\1\2\3\4"), *right[index + 1 :]]
        with pytest.raises(PEError, match=f"^{field.name}: expected two independent readers to agree"):
            confirm(data, layout, wrong)
        with pytest.raises(PEError, match=f"^{field.name}: expected two independent readers to agree"):
            confirm(data, layout, [*right[:index], *right[index + 1 :]])
    nothing = Section(b"", 0x100000, 0, 0, 0, 0)
    for name, value in [
        ("checksum", 1),
        ("pe_offset", 4),
        ("symbol_table", 1 << 31),
        ("sections", (*layout.sections, nothing)),
    ]:
        with pytest.raises(PEError, match="expected two independent readers to agree"):
            confirm(data, replace(layout, **{name: value}), right)  # type: ignore[arg-type]


def test_where_lief_drops_debug_entries_pefile_is_asked() -> None:
    """LIEF leaves out a CodeView entry whose data it does not know; that alone is no reason to refuse a file."""
    data = bytearray(build(debug=(2, 12)))
    at = data.index(b"RSDS")
    data[at : at + 4] = b"????"
    assert changed(bytes(data))[fields.DEBUG] == 2


@given(st.integers(0, 1 << 32), specs, options)
@settings(max_examples=300, deadline=None)
def test_mutations_give_a_result_or_one_clear_error(seed: int, spec: Spec, how: Options) -> None:
    holds(mutated(build(spec), seed), how)


@given(st.integers(0, 1 << 32), st.sampled_from(seeds()), options)
@settings(max_examples=300, deadline=None)
def test_mutations_of_files_of_every_kind(seed: int, data: bytes, how: Options) -> None:
    holds(mutated(data, seed), how)


def test_mutations_of_a_full_file_give_both_outcomes() -> None:
    data = build(FULL, certificate=b"c" * 16)
    outcomes = Counter(holds(mutated(data, seed)) for seed in range(1500))
    assert outcomes[True] > 100
    assert outcomes[False] > 100


@pytest.mark.parametrize("data", seeds())
def test_files_of_every_kind_are_normalised(data: bytes) -> None:
    assert holds(data)
    assert holds(data, Options(symbols="strip", pad=True))


def test_cut_at_any_offset() -> None:
    data = build(FULL)
    for length in range(len(data)):
        with pytest.raises(PEError):
            normalise(data[:length], EPOCH)
