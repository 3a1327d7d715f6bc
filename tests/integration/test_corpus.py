"""Normalising real files: a corpus of Windows wheels, each file held against readers that are not ours."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import lief
import pefile
import pytest

from packager.changes import Change
from packager.errors import PEError
from packager.pe.normalise import normalise
from tests.corpus import Corpus, Member
from tests.integration import programs
from tests.integration.conftest import packager
from tests.integration.oracle import Oracle

EPOCH = 1_577_836_800  # 2020-01-01: after no file of the corpus was linked by accident
MACHINES = ("x86_64", "i686", "arm64")
#: Wine checks this many files of each machine, as they are and normalised, and of its own DLLs.
SAMPLE = 24
CHECKSUMS = (
    "$TRIPLET-gcc $CFLAGS -municode -Wall -Wextra -Werror checksums.c -o /build/out/checksums.exe $LDFLAGS -limagehlp"
)

lief.logging.disable()


@dataclass(frozen=True, slots=True)
class Examined:
    """One file of the corpus after one normalisation: the changes, and per check what is wrong (nothing, if right)."""

    member: Member
    kinds: frozenset[str]
    changes: tuple[Change, ...]
    faults: tuple[tuple[str, str], ...]


@pytest.fixture(scope="session")
def files(corpus_folder: Path) -> Corpus:
    """The corpus."""
    return Corpus.read(corpus_folder)


@pytest.fixture(scope="session")
def examined(files: Corpus) -> Sequence[Examined]:
    """Every file normalised, signatures off, and all checks made: once, as reading 200 MB in many ways takes a while."""
    return [examine(member, files.data(member)) for member in files.members]


def examine(member: Member, data: bytes) -> Examined:
    """Normalise one file and note what any other reader has to say against it."""
    before = Oracle(data, EPOCH)
    names = {"signed": before.signed, "REPRO": before.repro, ".NET": before.dotnet, "symbols": bool(before.symbols)}
    kinds = frozenset(name for name, is_so in names.items() if is_so)
    try:
        result = normalise(data, EPOCH, signed="strip")
    except PEError as exc:
        return Examined(member, kinds, (), (("refused", str(exc)),))
    checks: tuple[tuple[str, Iterator[str]], ...] = (
        ("report", wrong_report(data, result.data, result.changes)),
        ("fields", other_bytes(before, result.data, result.changes)),
        ("values", wrong_values(before, result.data)),
        ("checksum", wrong_checksums(result.data)),
        ("twice", changed_again(result.data)),
        ("lief", seen_otherwise(data, result.data)),
    )
    faults = tuple((check, fault) for check, found in checks for fault in found)
    return Examined(member, kinds, result.changes, faults)


def wrong_report(old: bytes, new: bytes, changes: Sequence[Change]) -> Iterator[str]:
    """The changes, made to the old bytes, must give the new ones."""
    made = bytearray(old)
    for change in reversed(changes):
        if made[change.offset : change.offset + len(change.before)] != change.before:
            yield f"{change.field} at {change.offset:#x} is not what stands there"
        made[change.offset : change.offset + len(change.before)] = change.after
    if made != new:
        yield "the changes do not give the result"


def other_bytes(before: Oracle, new: bytes, changes: Sequence[Change]) -> Iterator[str]:
    """No byte may differ outside the fields that pefile finds, nor a change be called other than its field."""
    places = [*before.places(), *([before.entry_of_signature()] if before.signed else [])]
    expected = before.certificates if before.signed else len(before.data)
    if len(new) != expected:
        yield f"expected {expected} bytes, found {len(new)}"
    masked = bytearray(before.data[: len(new)])
    for place in places:
        masked[place.offset : place.offset + place.length] = new[place.offset : place.offset + place.length]
    if masked != new:
        at = next(i for i, (one, two) in enumerate(zip(masked, new, strict=False)) if one != two)
        yield f"offset {at:#x} is in no field"
    known = {(place.name, place.offset, place.length) for place in places}
    if before.signed:
        known.add(("certificate table", before.certificates, len(before.data) - before.certificates))
    for change in changes:
        if (change.field, change.offset, len(change.before)) not in known:
            yield f"{change.field} at {change.offset:#x} is no field of this file"


def wrong_values(before: Oracle, new: bytes) -> Iterator[str]:
    """Every field that pefile finds must have its value, and a file that is signed no more says so."""
    places = [*before.places(), *([before.entry_of_signature()] if before.signed else [])]
    for place in places:
        found = new[place.offset : place.offset + place.length]
        if place.value is not None and found != place.value:
            yield f"{place.name} at {place.offset:#x}: expected {place.value.hex()}, found {found.hex()}"


def wrong_checksums(new: bytes) -> Iterator[str]:
    """The stored checksum must be the one that LIEF and pefile compute, each for itself."""
    image = pefile.PE(data=new, fast_load=True)
    stored = image.OPTIONAL_HEADER.CheckSum
    by_lief = read(new, quick()).compute_checksum()
    if stored != by_lief:
        yield f"stored {stored:#x}, LIEF says {by_lief:#x}"
    by_pefile = image.generate_checksum()
    # A sum that is 0 modulo 65535 verifies as 0 only; pefile says 65535.
    if stored != by_pefile and not (stored == len(new) and by_pefile == len(new) + 0xFFFF):
        yield f"stored {stored:#x}, pefile says {by_pefile:#x}"


def changed_again(new: bytes) -> Iterator[str]:
    """Doing it again must change nothing."""
    try:
        again = normalise(new, EPOCH)
    except PEError as exc:
        yield f"refused the second time: {exc}"
        return
    if again.changes or again.data != new:
        yield f"changed again: {', '.join(change.field for change in again.changes)}"


def seen_otherwise(old: bytes, new: bytes) -> Iterator[str]:
    """LIEF must read the same sections, imports and exports in both."""
    one, two = read(old), read(new)
    for what, view in VIEWS.items():
        if view(one) != view(two):
            yield f"LIEF sees other {what}"


def read(data: bytes, config: lief.PE.ParserConfig = lief.PE.ParserConfig.default_conf) -> lief.PE.Binary:
    """A file as LIEF sees it."""
    image = lief.PE.parse(data, config)
    assert image is not None, "LIEF cannot read it"
    return image


def sections(image: lief.PE.Binary) -> list[object]:
    """What LIEF sees of the section table."""
    return [
        (s.name, s.virtual_address, s.virtual_size, s.pointerto_raw_data, s.sizeof_raw_data, s.characteristics)
        for s in image.sections
    ]


def imports(image: lief.PE.Binary) -> list[object]:
    """All imported DLLs and functions, delay-loaded ones too."""
    tables = (image.imports, image.delay_imports)
    return [(dll.name, [(one.name, one.is_ordinal, one.data) for one in dll.entries]) for t in tables for dll in t]


def exports(image: lief.PE.Binary) -> list[object]:
    """All exports."""
    table = image.get_export()
    return [] if table is None else [(one.name, one.ordinal, one.address) for one in table.entries]


VIEWS: dict[str, Callable[[lief.PE.Binary], list[object]]] = {
    "sections": sections,
    "imports": imports,
    "exports": exports,
}


@functools.cache
def quick() -> lief.PE.ParserConfig:
    """LIEF, reading the headers and no more."""
    config = lief.PE.ParserConfig()
    for name in ("parse_signature", "parse_imports", "parse_exports", "parse_rsrc", "parse_reloc", "parse_exceptions"):
        setattr(config, name, False)
    return config


def none_of(examined: Sequence[Examined], check: str) -> None:
    """Fail with the files that this check found wrong, the first few in words."""
    wrong = [
        f"{one.member.file} ({one.member.wheel}): {what}"
        for one in examined
        for name, what in one.faults
        if name == check
    ]
    assert not wrong, f"{len(wrong)} of {len(examined)} files: " + "; ".join(wrong[:5])


def test_there_are_enough(files: Corpus) -> None:
    per_machine = Counter(member.machine for member in files.members)
    assert len({member.wheel for member in files.members}) >= 25
    assert len({member.sha256 for member in files.members}) == len(files.members) >= 500
    assert set(per_machine) == set(MACHINES)
    assert min(per_machine.values()) >= 100
    for member in files.members:
        assert hashlib.sha256(files.data(member)).hexdigest() == member.sha256


def test_none_is_refused(examined: Sequence[Examined]) -> None:
    none_of(examined, "refused")


def test_only_listed_fields_change(examined: Sequence[Examined]) -> None:
    none_of(examined, "fields")


def test_every_listed_field_is_normal(examined: Sequence[Examined]) -> None:
    none_of(examined, "values")


def test_reports_say_what_was_done(examined: Sequence[Examined]) -> None:
    none_of(examined, "report")


def test_stored_checksums_verify_by_lief_and_pefile(examined: Sequence[Examined]) -> None:
    none_of(examined, "checksum")


def test_twice_changes_nothing_more(examined: Sequence[Examined]) -> None:
    none_of(examined, "twice")


def test_lief_sees_the_same_sections_imports_and_exports(examined: Sequence[Examined]) -> None:
    none_of(examined, "lief")


def test_signed_files_are_refused_or_kept(files: Corpus, examined: Sequence[Examined]) -> None:
    signed = [one.member for one in examined if "signed" in one.kinds]
    assert len(signed) >= 20
    for member in signed:
        data = files.data(member)
        with pytest.raises(PEError, match="expected no signature"):
            normalise(data, EPOCH)
        kept = normalise(data, EPOCH, signed="keep")
        assert kept.data == data
        assert not kept.changes


def test_symbols_come_off_and_nothing_else(files: Corpus, examined: Sequence[Examined]) -> None:
    """What GNU's and LLVM's linkers leave behind the sections, unless a section's name stands among it."""
    having = [one.member for one in examined if "symbols" in one.kinds]
    stripped = 0
    for member in having:
        data = files.data(member)
        before = Oracle(data, EPOCH)
        if before.long_names:
            with pytest.raises(PEError, match="expected no section to have its name in the string table"):
                normalise(data, EPOCH, symbols="strip")
            continue
        result = normalise(data, EPOCH, symbols="strip")
        masked = bytearray(data[: before.symbols])
        for place in (*before.places(), *before.entries_of_symbols()):
            masked[place.offset : place.offset + place.length] = result.data[place.offset : place.offset + place.length]
        assert masked == result.data, member.file
        assert all(not any(result.data[p.offset : p.offset + 4]) for p in before.entries_of_symbols())
        assert not [*wrong_checksums(result.data), *changed_again(result.data), *seen_otherwise(data, result.data)]
        stripped += 1
    assert 20 <= stripped < len(having)


def test_launchers_with_a_script(files: Corpus) -> None:
    """A script as pip installs it: distlib's launcher, the interpreter's name, and a zip archive that is stamped."""
    launchers = [member for member in files.members if member.wheel.startswith("distlib-")]
    assert {member.machine for member in launchers} == set(MACHINES)
    for member in launchers:
        made = []
        for year in (2001, 2021):
            archive = io.BytesIO()
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
                for name in ("__main__.py", "data"):
                    file.writestr(zipfile.ZipInfo(name, (year, 2, 3, 4, 5, 6)), b"print(1)\n" * 99)
            made.append(files.data(member) + b"#!python.exe\r\n" + archive.getvalue())
        one, two = (normalise(data, EPOCH) for data in made)
        assert one.data == two.data
        with zipfile.ZipFile(io.BytesIO(one.data)) as file:
            assert file.testzip() is None
            assert {info.date_time for info in file.infolist()} == {(2020, 1, 1, 0, 0, 0)}
        before = Oracle(made[0], EPOCH)
        fields = [(place.offset, place.offset + place.length) for place in before.places()]
        with zipfile.ZipFile(io.BytesIO(made[0])) as file:
            fields += [(info.header_offset + 10, info.header_offset + 14) for info in file.infolist()]
        central = [i for i in range(len(made[0])) if made[0].startswith(b"PK\1\2", i)]
        fields += [(at + 12, at + 16) for at in central]
        masked = bytearray(made[0])
        for start, end in fields:
            masked[start:end] = one.data[start:end]
        assert masked == one.data


def test_the_command_line_does_the_same(files: Corpus, examined: Sequence[Examined], tmp_path: Path) -> None:
    """A folder into another, in several processes; then the other needs nothing."""
    done = packager(
        "--json", "normalise", "--epoch", str(EPOCH), "--signed", "strip", "--output-dir", tmp_path, files.files
    )
    assert done.returncode == 0, done.stderr.decode()
    reports = {Path(report["path"]).name: report for report in json.loads(done.stdout)["files"]}
    assert set(reports) == {one.member.file for one in examined}
    for one in examined:
        said = [(change["field"], change["offset"]) for change in reports[one.member.file]["changes"]]
        assert said == [(change.field, change.offset) for change in one.changes]
        assert not [*wrong_report(files.data(one.member), (tmp_path / one.member.file).read_bytes(), one.changes)]
    again = packager("normalise", "--epoch", str(EPOCH), "--check", tmp_path)
    assert again.returncode == 0, again.stderr.decode()
    assert packager("normalise", "--epoch", str(EPOCH + 1), "--check", tmp_path).returncode == 1


def test_windows_own_checksum_agrees(files: Corpus, examined: Sequence[Examined], store: Path, tmp_path: Path) -> None:
    """Wine's MapFileAndCheckSum, on files as they are and normalised; Wine's own DLLs have wrong checksums."""
    program = programs.compile_programs(store, [programs.DATA / "checksums.c"], {}, CHECKSUMS, tmp_path / "work")
    folder = tmp_path / "files"
    folder.mkdir()
    expected: dict[str, tuple[int, int]] = {}

    def add(name: str, data: bytes) -> None:
        image = pefile.PE(data=data, fast_load=True)
        (folder / name).write_bytes(data)
        expected[name] = (image.OPTIONAL_HEADER.CheckSum, image.generate_checksum())

    for member in sample(examined):
        data = files.data(member)
        add(f"{member.sha256[:10]}-before", data)
        add(f"{member.sha256[:10]}-after", normalise(data, EPOCH, signed="strip").data)
    builtins = programs.engine(store).root / "usr/lib/x86_64-linux-gnu/wine/x86_64-windows"
    for path in sorted(builtins.glob("*.dll"))[:SAMPLE]:
        add(path.name, path.read_bytes())
    done = programs.run(store, program, "checksums.exe", *expected, cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    found = {
        name: tuple(int(number, 16) for number in line.split())
        for name, line in zip(expected, done.stdout.decode().splitlines(), strict=True)
    }
    assert found == {name: (0, *both) for name, both in expected.items()}
    after = [both for name, both in expected.items() if name.endswith("-after")]
    assert len(after) >= 60
    assert all(stored == right for stored, right in after)
    assert any(stored != right for name, (stored, right) in expected.items() if name.endswith("-before"))
    assert any(stored != right for name, (stored, right) in expected.items() if name.endswith(".dll"))


def sample(examined: Sequence[Examined]) -> list[Member]:
    """Files of every machine, the first by hash, and the first of every kind."""
    chosen = {one.member.file: one.member for machine in MACHINES for one in of_machine(examined, machine)[:SAMPLE]}
    for kind in ("signed", "REPRO", ".NET", "symbols"):
        for one in [one for one in examined if kind in one.kinds][:4]:
            chosen[one.member.file] = one.member
    return list(chosen.values())


def of_machine(examined: Sequence[Examined], machine: str) -> list[Examined]:
    """The files for one machine, by hash."""
    return [one for one in examined if one.member.machine == machine]


def test_totals(files: Corpus, examined: Sequence[Examined], capsys: pytest.CaptureFixture[str]) -> None:
    """Prints how many files changed in which field, whatever pytest is told to show."""
    fields = [{change.field for change in one.changes} for one in examined]
    rows = [("files", examined)]
    rows += [(f"  {kind}", [e for e in examined if kind in e.kinds]) for kind in ("signed", "REPRO", ".NET", "symbols")]
    for name in sorted(set().union(*fields)):
        rows.append((name, [one for one, names in zip(examined, fields, strict=True) if name in names]))
    wheels = len({member.wheel for member in files.members})
    with capsys.disabled():
        print(f"\n{f'corpus of {wheels} wheels':40}" + "".join(f"{machine:>8}" for machine in (*MACHINES, "all")))
        for name, having in rows:
            numbers = [*(len(of_machine(having, machine)) for machine in MACHINES), len(having)]
            print(f"{name:40}" + "".join(f"{number:8}" for number in numbers))
    assert sum(bool(names) for names in fields) >= 0.9 * len(examined)
