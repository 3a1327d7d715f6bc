"""A page fault behind a mapping is an error in Python, as in Visual C++'s build, and ends nothing."""

from __future__ import annotations

from pathlib import Path

from tests.integration.conftest import BuiltBundle

#: ERROR_NOACCESS, which CPython raises for an access violation.
NO_ACCESS = 998

#: Everything that touches the mapping ``m``: what upstream's test_access_violations does in a debug build.
OPERATIONS = """
def operations(m):
    def put(key, value):
        m[key] = value
    size = len(m)
    return {
        "read": lambda: (m.seek(0), m.read(size)), "read_byte": lambda: (m.seek(0), m.read_byte()),
        "readline": lambda: (m.seek(0), m.readline()), "write": lambda: (m.seek(0), m.write(b"A" * size)),
        "write_byte": lambda: (m.seek(0), m.write_byte(0)), "item": lambda: m[0], "slice": lambda: m[0:10],
        "stepped": lambda: m[0:10:2], "set item": lambda: put(0, 1), "set slice": lambda: put(slice(0, 10), b"A" * 10),
        "set stepped": lambda: put(slice(0, 10, 2), b"A" * 5), "move": lambda: m.move(0, 10, 1),
        "list": lambda: list(m), "find": lambda: m.find(b"A"), "long find": lambda: m.find(b"Abcdefgh" * 20),
        "rfind": lambda: m.rfind(b"A"),
    }
def outcomes(m):
    found = {}
    for name, operation in operations(m).items():
        try:
            operation()
        except OSError as error:
            found[name] = error.winerror
        else:
            found[name] = None
    return found
"""

PROTECT = """
import ctypes, mmap
kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
kernel32.VirtualProtect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint32, ctypes.c_void_p]
PAGE_NOACCESS, PAGE_READWRITE = 1, 4
def protect(m, how, first=0):
    view = (ctypes.c_char * 1).from_buffer(m)
    address = ctypes.addressof(view) + first
    del view
    old = ctypes.c_uint32()
    assert kernel32.VirtualProtect(address, mmap.PAGESIZE, how, ctypes.byref(old)), ctypes.get_last_error()
"""


def test_every_operation_raises(electrum: BuiltBundle) -> None:
    code = f"""{OPERATIONS}{PROTECT}
m = mmap.mmap(-1, mmap.PAGESIZE)
m[0] = 65
before = outcomes(m)
m[:] = b"x" * mmap.PAGESIZE
protect(m, PAGE_NOACCESS)
print(set(before.values()), set(outcomes(m).values()), len(before))
protect(m, PAGE_READWRITE)
print(m[0], m.find(b"x", 5), m.rfind(b"x"), m[1:3])
"""
    assert electrum.output("-c", code, python=True) == f"{{None}} {{{NO_ACCESS}}} 16\n120 5 4095 b'xx'\n"


def test_a_file_truncated_behind_the_mapping(electrum: BuiltBundle, tmp_path: Path) -> None:
    # Windows and Wine refuse to shorten a mapped file; a server, and here Wine's host, does not ask.
    code = f"""{OPERATIONS}
import mmap, os, subprocess, sys
with open("mapped", "wb") as file:
    file.write(b"A" * 4 * mmap.PAGESIZE)
file = open("mapped", "r+b")
m = mmap.mmap(file.fileno(), 0)
assert m[-1] == 65
subprocess.run(["start", "/wait", "/unix", "/usr/bin/truncate", "--size", str(mmap.PAGESIZE), os.path.abspath("mapped")[2:].replace("\\\\", "/")])
assert os.stat("mapped").st_size == mmap.PAGESIZE
print(m[0], m[:2])
for touch in (lambda: m[-1], lambda: m[:], lambda: m.rfind(b"Q"), lambda: m.find(b"Q"), lambda: m.move(0, mmap.PAGESIZE, 9)):
    try:
        print("no error", touch())
    except OSError as error:
        print("error", error.winerror)
"""
    said = electrum.output("-c", code, python=True, cwd=tmp_path).splitlines()
    assert said[0] == "65 b'AA'"
    assert said[1:] == [f"error {NO_ACCESS}"] * 5


def test_faults_of_many_threads_are_each_their_own(electrum: BuiltBundle) -> None:
    code = f"""{PROTECT}
import threading
maps = [mmap.mmap(-1, 2 * mmap.PAGESIZE) for _ in range(8)]
for number, m in enumerate(maps):
    m[:] = bytes([number]) * len(m)
    protect(m, PAGE_NOACCESS, mmap.PAGESIZE)
counts = [0] * len(maps)
start = threading.Barrier(len(maps))
def work(number):
    m = maps[number]
    start.wait()
    for turn in range(300):
        assert m[turn] == number
        for touch in (lambda: m[mmap.PAGESIZE + turn], lambda: m.find(b"!"), lambda: m[10:]):
            try:
                touch()
            except OSError as error:
                assert error.winerror == {NO_ACCESS}
                counts[number] += 1
threads = [threading.Thread(target=work, args=(number,)) for number in range(len(maps))]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(counts)
"""
    assert electrum.output("-c", code, python=True) == f"{[900] * 8}\n"


def test_a_fault_nested_in_the_handling_of_another(electrum: BuiltBundle) -> None:
    code = f"""{PROTECT}
m = mmap.mmap(-1, mmap.PAGESIZE)
protect(m, PAGE_NOACCESS)
def touch(depth):
    try:
        m[0]
    except OSError as error:
        return touch(depth - 1) if depth else error.winerror
print(touch(200))
"""
    assert electrum.output("-c", code, python=True) == f"{NO_ACCESS}\n"
