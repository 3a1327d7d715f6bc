"""Rules about ELF files: one thing wrong gives one finding; what LIEF reads is tested on real files (integration)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from packager.audit import load_policy
from packager.audit.facts import ElfFile, Entry, Facts
from packager.audit.model import Hit
from packager.audit.policy import Policy
from packager.audit.rules import ELF_RULES
from packager.deps.model import Graph
from packager.errors import SpecError
from packager.formats.elf import Elf, read_elf
from tests.audit.samples import ROOT

POLICY = ROOT / "bundle_specs" / "policy" / "linux.toml"
GOOD = Elf(
    machine="X86_64", program=True, interpreter="/lib64/ld-linux-x86-64.so.2", needed=("libm.so.6", "libc.so.6"),
    soname=None, search=(), wanted=(("libc.so.6", "GLIBC_2.2.5"), ("libm.so.6", "GLIBC_2.29"), ("libc.so.6", "OTHER")),
    independent=True, text_relocations=False, relro=True, bind_now=True, executable_stack=False, writable_code=False,
    leftovers=(),
)  # fmt: skip
CASES: dict[str, tuple[Elf | None, str, str]] = {
    "broken": (None, "elf-kind", "begins like an ELF file, but is neither a program nor a shared library"),
    "machine": (replace(GOOD, machine="AARCH64"), "elf-kind", "is for AARCH64, not for X86_64"),
    "loader": (replace(GOOD, interpreter="/lib/ld-musl.so"), "elf-kind", "is started by /lib/ld-musl.so, not by "),
    "library": (
        replace(GOOD, needed=("libz.so.1",)), "elf-needed",
        "needs libz.so.1, which is neither in the bundle nor on the policy's list",
    ),
    "shipped, but not found": (
        replace(GOOD, needed=("beside.so",)), "elf-needed",
        "needs beside.so, which is in the bundle, but does not say where (RUNPATH $ORIGIN)",
    ),
    "glibc": (
        replace(GOOD, wanted=(("libc.so.6", "GLIBC_2.34"),)), "elf-glibc",
        "wants GLIBC_2.34 of libc.so.6, expected 2.31 at most",
    ),
    "glibc by number, not by letters": (
        replace(GOOD, wanted=(("libc.so.6", "GLIBC_2.100"),)), "elf-glibc", "wants GLIBC_2.100 of libc.so.6",
    ),
    "private": (replace(GOOD, wanted=(("ld.so", "GLIBC_PRIVATE"),)), "elf-glibc", "wants GLIBC_PRIVATE of ld.so"),
    "search": (replace(GOOD, search=("/build/deps",)), "elf-search-path", "has libraries looked for in '/build/deps'"),
    "search above": (replace(GOOD, search=("$ORIGIN/../..",)), "elf-search-path", "has libraries looked for in "),
    "search here": (replace(GOOD, search=("",)), "elf-search-path", "has libraries looked for in ''"),
    "address": (replace(GOOD, independent=False), "elf-position", "can only be loaded at one address (no PIE)"),
    "relocations": (replace(GOOD, text_relocations=True), "elf-position", "has relocations in its code (TEXTREL)"),
    "relro": (replace(GOOD, relro=False), "elf-relro", "has no RELRO segment"),
    "lazy": (replace(GOOD, bind_now=False), "elf-relro", "does not settle its symbols when it is loaded (BIND_NOW)"),
    "code": (replace(GOOD, writable_code=True), "elf-writable-code", "has a segment that is writable and executable"),
    "stack": (replace(GOOD, executable_stack=True), "elf-writable-code", "asks for an executable stack"),
    "symbols": (replace(GOOD, leftovers=(".symtab",)), "elf-leftovers", "has .symtab"),
}  # fmt: skip


def facts(*images: tuple[str, Elf | None]) -> Facts:
    files = [ElfFile(Entry(path, Path("/t", path), 0o100755, 1), image) for path, image in images]
    return Facts(Path("/t"), tuple(file.entry for file in files), (), Graph((), (), (), (), ""), 0, None, tuple(files))


def found(*images: tuple[str, Elf | None], policy: Policy | None = None) -> Sequence[tuple[str, Hit]]:
    judge = policy or load_policy(POLICY)
    return [(rule.name, hit) for rule in ELF_RULES for hit in rule.check(facts(*images), judge)]


@pytest.mark.parametrize(("image", "rule", "message"), CASES.values(), ids=CASES.keys())
def test_one_thing_wrong_gives_one_finding(image: Elf | None, rule: str, message: str) -> None:
    ((name, hit),) = found(("python/python3", image), ("app/beside.so", GOOD))
    assert (name, hit.file) == (rule, "python/python3")
    assert hit.message.startswith(message)


def test_every_rule_has_a_sample_that_breaks_it() -> None:
    assert {rule for _, rule, _ in CASES.values()} == {rule.name for rule in ELF_RULES}


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    beside = replace(GOOD, needed=("beside.so",), search=("$ORIGIN",))
    library = replace(GOOD, program=False, interpreter=None, soname="beside.so")
    assert found(("electrum", GOOD), ("app/one.so", beside), ("app/beside.so", library)) == []


def test_without_a_table_about_elf_files_nothing_is_said_of_them() -> None:
    windows = load_policy(ROOT / "bundle_specs" / "policy" / "windows.toml")
    rules = {"elf-kind", "elf-needed", "elf-glibc"}
    assert not rules & {name for name, _ in found(("x", replace(GOOD, needed=("a",), machine="ARM")), policy=windows)}


@pytest.mark.parametrize(
    ("pattern", "text", "message"),
    [
        (r"\A", 'machine = "x86_64"\n', r"machine: expected nothing, with an \[elf\] table, found 'x86_64'"),
        (r"(?s)\[elf\].*?(?=\n# ---)", "", "machine: expected a value, found nothing"),
        (
            r"\Z",
            '[[elf.libraries]]\nname = "libm.so.6"\nreason = "twice"\n',
            r"elf\.libraries\[6\]\.name: .* each name once",
        ),
        ('glibc = "2.31"', 'glibc = "new"', r"elf\.glibc: expected a policy"),
    ],
)
def test_a_policy_is_about_one_kind_of_programs(tmp_path: Path, pattern: str, text: str, message: str) -> None:
    written, count = re.subn(pattern, lambda _: text, POLICY.read_text(), count=1)
    assert count == 1
    (tmp_path / "policy.toml").write_text(written)
    with pytest.raises(SpecError, match=message):
        load_policy(tmp_path / "policy.toml")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF" + bytes(100), b"MZ" + bytes(200)])
def test_what_is_no_elf_file_is_not_read(data: bytes) -> None:
    assert read_elf(data) is None
