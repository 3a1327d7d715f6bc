#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give a program or DLL rules by which its DLLs are found: in System32, where nobody can plant a file.

``load_rules.py source --flags FLAGS [--delay DLL=FUNCTION,FUNCTION...]...``
    Print assembly, for GNU as and x86-64, to be linked into the file, with delay_load.c if anything is delayed:

    - a load configuration with FLAGS as DependentLoadFlags: the LOAD_LIBRARY_SEARCH_* with which Windows 10 1607 and
      later resolves the file's imports (IMAGE_LOAD_CONFIG_DIRECTORY64, and /DEPENDENTLOADFLAG of Microsoft's linker);
    - a table of delayed imports (IMAGE_DELAYLOAD_DESCRIPTOR) of the DLLs, and code that has delay_load.c load a
      function's DLL from System32 when the function is called for the first time.

``load_rules.py settle FILE...``
    Enter both in the data directories of linked files. GNU ld 2.44 does so for neither. Changes 16 bytes at most, none
    when called again. The checksum is whatever normalises the file's to mend.

The tables are found by the mark that stands before them, so that a stripped file will do. dlltool --output-delaylib is
not used: it puts the addresses of delayed functions into .idata, which ld 2.44 makes read-only.

Runs inside the build root, so it needs nothing but the standard library of Python 3.11 or later.
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

#: Stands in .rdata before the addresses and sizes of the two tables. packager/pe/delays.py knows it, too.
MARK = b"Loads DLLs by its load rules v1\0"
#: Up to and with SEHandlerCount: as much as Microsoft's linkers wrote before Control Flow Guard. DependentLoadFlags is
#: at 0x4E. All else is 0: no default is changed, and there is no security cookie for the loader to set.
CONFIG_SIZE = 0x70
FLAGS_OFFSET = 0x4E
#: IMAGE_DELAYLOAD_DESCRIPTOR.
DESCRIPTOR_SIZE = 0x20
#: Of the data directories.
LOAD_CONFIG, DELAY_IMPORT = 10, 13

#: From a call of a function to the same call of what delay_load.c says it is: all registers that carry arguments in
#: the x64 calling convention are kept, and the stack can be walked.
_FIRST_CALL = """
\t.seh_proc {load}
{load}:
\tsubq $0x88, %rsp
\t.seh_stackalloc 0x88
\t.seh_endprologue
\tmovq %rcx, 0x20(%rsp)
\tmovq %rdx, 0x28(%rsp)
\tmovq %r8, 0x30(%rsp)
\tmovq %r9, 0x38(%rsp)
\tmovaps %xmm0, 0x40(%rsp)
\tmovaps %xmm1, 0x50(%rsp)
\tmovaps %xmm2, 0x60(%rsp)
\tmovaps %xmm3, 0x70(%rsp)
\tleaq {descriptor}(%rip), %rcx
\tmovq %rax, %rdx
\tcall delayed_function
\tmovq 0x20(%rsp), %rcx
\tmovq 0x28(%rsp), %rdx
\tmovq 0x30(%rsp), %r8
\tmovq 0x38(%rsp), %r9
\tmovaps 0x40(%rsp), %xmm0
\tmovaps 0x50(%rsp), %xmm1
\tmovaps 0x60(%rsp), %xmm2
\tmovaps 0x70(%rsp), %xmm3
\taddq $0x88, %rsp
\tjmp *%rax
\t.seh_endproc
"""


class RulesError(Exception):
    """A file or an argument is not what it should be; the text says where."""


def assembly(flags: int, delayed: Mapping[str, Sequence[str]]) -> str:
    """The source of both tables; ``delayed`` are functions by DLL."""
    lines = ['\t.section .rdata,"dr"', "\t.balign 16"]
    lines += ["\t.ascii " + '"' + MARK.decode().replace("\0", "\\0") + '"']
    lines += ["\t.rva _load_config_used", f"\t.long {CONFIG_SIZE}"]
    if delayed:
        lines += ["\t.rva .Ldelayed", f"\t.long {DESCRIPTOR_SIZE * (len(delayed) + 1)}"]
    else:
        lines += ["\t.long 0", "\t.long 0"]
    # The name is the one by which linkers that know of load configurations find it.
    lines += ["\t.globl _load_config_used", "_load_config_used:", f"\t.long {CONFIG_SIZE}"]
    lines += [f"\t.zero {FLAGS_OFFSET - 4}", f"\t.short {flags:#x}", f"\t.zero {CONFIG_SIZE - FLAGS_OFFSET - 2}"]
    if delayed:
        lines += _delay_tables(delayed)
    return "\n".join(lines) + "\n"


def _delay_tables(delayed: Mapping[str, Sequence[str]]) -> Iterator[str]:
    yield ".Ldelayed:"
    for number in range(len(delayed)):
        # Attributes (addresses are relative), name, handle, addresses, names, no bound addresses, no copy, no stamp.
        yield f".Ldll{number}:"
        yield "\t.long 1"
        yield from (f"\t.rva .L{part}{number}" for part in ("name", "handle", "addresses", "names"))
        yield "\t.zero 12"
    yield f"\t.zero {DESCRIPTOR_SIZE}"
    for number, (dll, functions) in enumerate(delayed.items()):
        yield f'.Lname{number}:\n\t.asciz "{dll}"'
        yield "\t.balign 8"
        yield f".Lnames{number}:"
        yield from (f"\t.rva .Lhint_{function}\n\t.long 0" for function in functions)
        yield "\t.quad 0"
        yield from (f'\t.balign 2\n.Lhint_{function}:\n\t.short 0\n\t.asciz "{function}"' for function in functions)
    yield "\t.data"
    for number, functions in enumerate(delayed.values()):
        yield f"\t.balign 8\n.Lhandle{number}:\n\t.quad 0"
        yield f".Laddresses{number}:"
        yield from (f"\t.globl __imp_{name}\n__imp_{name}:\n\t.quad .Lfirst_{name}" for name in functions)
        yield "\t.quad 0"
    yield "\t.text"
    for number, functions in enumerate(delayed.values()):
        yield _FIRST_CALL.format(load=f".Lload{number}", descriptor=f".Ldll{number}")
        for name in functions:
            yield f"\t.globl {name}\n{name}:\n\tjmp *__imp_{name}(%rip)"
            yield f".Lfirst_{name}:\n\tleaq __imp_{name}(%rip), %rax\n\tjmp .Lload{number}"


def settled(data: bytes, name: str) -> bytes:
    """The file ``data`` with both tables in its data directories; RulesError if it has no such tables, or others."""
    count, directories = _headers(data, name)
    if data.count(MARK) != 1:
        raise RulesError(f"{name}: expected the tables of load_rules.py once, found them {data.count(MARK)} times")
    entries = struct.unpack_from("<4I", data, data.index(MARK) + len(MARK))
    changed = bytearray(data)
    for index, entry in ((LOAD_CONFIG, entries[:2]), (DELAY_IMPORT, entries[2:])):
        if index >= count:
            raise RulesError(f"{name}: expected {index + 1} data directories or more, found {count}")
        found = struct.unpack_from("<II", data, directories + 8 * index)
        if found not in ((0, 0), entry):
            raise RulesError(f"{name}: data directory {index}: expected none or that of load_rules.py, found {found}")
        struct.pack_into("<II", changed, directories + 8 * index, *entry)
    return bytes(changed)


def _headers(data: bytes, name: str) -> tuple[int, int]:
    """How many data directories there are, and where the first is."""
    try:
        (pe,) = struct.unpack_from("<I", data, 0x3C)
        signature, magic = data[pe : pe + 4], struct.unpack_from("<H", data, pe + 24)[0]
        (count,) = struct.unpack_from("<I", data, pe + 24 + 108)
    except struct.error:
        signature, magic = b"", 0
    if data[:2] != b"MZ" or signature != b"PE\0\0" or magic != 0x20B:
        raise RulesError(f"{name}: expected a 64-bit PE file")
    return count, pe + 24 + 112


def _delayed(arguments: Sequence[str]) -> dict[str, list[str]]:
    delayed: dict[str, list[str]] = {}
    for argument in arguments:
        dll, _, functions = argument.partition("=")
        if not dll.lower().endswith(".dll") or not all(functions.split(",")):
            raise RulesError(f"--delay: expected DLL=FUNCTION,FUNCTION..., found {argument!r}")
        delayed[dll] = functions.split(",")
    return delayed


def main(arguments: Sequence[str]) -> int:
    """Run one of the two commands; 1 and one line on stderr if that is not possible."""
    parser = argparse.ArgumentParser(prog="load_rules.py", description="Rules by which a file's DLLs are found.")
    commands = parser.add_subparsers(dest="command", required=True)
    source = commands.add_parser("source")
    source.add_argument("--flags", type=lambda text: int(text, 0), required=True)
    source.add_argument("--delay", action="append", default=[], metavar="DLL=FUNCTION,...")
    settle = commands.add_parser("settle")
    settle.add_argument("files", nargs="+", type=Path)
    options = parser.parse_args(arguments)
    try:
        if options.command == "source":
            sys.stdout.write(assembly(options.flags, _delayed(options.delay)))
        else:
            for path in options.files:
                path.write_bytes(settled(path.read_bytes(), path.name))
    except RulesError as error:
        print(f"load_rules.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
