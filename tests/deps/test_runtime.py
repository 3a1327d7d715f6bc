"""Names that look like run-time loads, in PE files and in Python code."""

from __future__ import annotations

import marshal
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.deps.runtime import Mention, PythonLoads, module_names, python_loads
from packager.formats import stored
from tests.deps.fake import graph_of, library, program
from tests.pe.build import Dll

WIDE = "utf-16-le"


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"\0foo.dll\0", ("foo.dll",)),
        (b"\0FOO.DLL\0bar.Pyd\0", ("FOO.DLL", "bar.Pyd")),
        (b"winspool.drv\0x.ocx\0y.cpl\0", ("winspool.drv", "x.ocx", "y.cpl")),
        (b"cannot load foo.dll: %s", ("foo.dll",)),
        (b"C:\\dir\\foo.dll\0/usr/bar.dll\0", ("foo.dll", "bar.dll")),
        (b"libfoo-1.2+x_y.dll", ("libfoo-1.2+x_y.dll",)),
        (b"\0" + "wide.dll".encode(WIDE) + b"\0\0", ("wide.dll",)),
        ("a\\WIDE.DLL".encode(WIDE) + b"\0\0" + b"b.dll\0", ("WIDE.DLL", "b.dll")),
        (b"Handle\0" + "ntdll.dll".encode(WIDE) + b"\0\0", ("ntdll.dll",)),
        (b"twice.dll\0twice.dll\0", ("twice.dll",)),
        (b"foo.dllx\0foo.dll.a\0foo.dll-x\0foo.dll_\0", ()),
        ("foo.dllx".encode(WIDE), ()),
        (b"%s.dll\0lib%d.dll\0{}.dll\0lib*.dll\0<x>.dll\0$V.dll\0", ()),
        ("lib%d.dll".encode(WIDE), ()),
        (b".dll\0 .dll\0", ()),
        (b"foo.exe\0foo.dl\0", ()),
        (b"", ()),
    ],
)
def test_names_among_strings(data: bytes, names: tuple[str, ...]) -> None:
    assert module_names(data) == names


@given(st.binary(max_size=40), st.from_regex(r"[a-z0-9_-]{1,20}\.dll", fullmatch=True), st.booleans())
def test_a_name_is_found_wherever_it_stands(noise: bytes, name: str, wide: bool) -> None:
    data = noise + b"\0\0\0" + (name.encode(WIDE) if wide else name.encode()) + b"\0\0"
    assert name in module_names(data)


def test_there_is_an_end_to_it() -> None:
    assert len(module_names(b"".join(b"f%d.dll\0" % number for number in range(5000)))) == 4096


SOURCE = """
import ctypes, os
from ctypes import windll, CDLL
one = ctypes.CDLL("one.dll")
two = ctypes.windll.kernel32.GetVersion()
three = ctypes.cdll.LoadLibrary("three.dll")
four = CDLL(None)
five = windll["five"]
six = os.path.join(os.path.dirname(__file__), "sub", "six.dll")
seven = ctypes.util.find_library("seven")
eight = "not a name of a .dll or eight.so"


def added():
    folder = os.path.join(os.path.dirname(__file__), os.pardir, "x.libs")
    os.add_dll_directory(folder)


def other():
    return "not.added"
"""


def test_python_source() -> None:
    assert python_loads(SOURCE.encode(), compiled=False) == PythonLoads(
        (
            Mention(4, "one.dll", "CDLL"),
            Mention(5, "kernel32", "windll"),
            Mention(6, "three.dll", "LoadLibrary"),
            Mention(8, "five", "windll"),
            Mention(9, "six.dll", "string"),
            Mention(10, "seven", "find_library"),
            Mention(16, "folder", "add_dll_directory"),
        ),
        ("x.libs",),
    )


def compiled(source: str) -> bytes:
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(compile(source, "x.py", "exec"))


def test_compiled_python() -> None:
    """Without lines, and what is an attribute of ctypes' libraries can only be guessed."""
    assert sys.version_info < (3, 15)
    loads = python_loads(compiled(SOURCE), compiled=True)
    assert [(m.name, m.how) for m in loads.mentions if m.how == "string"] == [
        ("one.dll", "string"),
        ("three.dll", "string"),
        ("six.dll", "string"),
    ]
    assert Mention(None, "kernel32", "guess") in loads.mentions
    assert Mention(None, "", "add_dll_directory") in loads.mentions
    assert loads.added == ("x.libs",)


def test_os_itself_adds_nothing() -> None:
    source = "def add_dll_directory(path):\n    return nt._add_dll_directory(path)\n"
    assert python_loads(compiled(source), compiled=True) == PythonLoads()
    assert python_loads(source.encode(), compiled=False) == PythonLoads()


@pytest.mark.parametrize(
    "data", [b"", b"CDLL(", b"CDLL\0", b"\xff\xfeCDLL", b"CDLL" + b"(" * 5000, b"-" * 20000 + b"CDLL"]
)
def test_what_is_no_python_mentions_nothing(data: bytes) -> None:
    assert python_loads(data, compiled=False) == PythonLoads()
    assert python_loads(data, compiled=True) == PythonLoads()
    assert python_loads(MAGIC_NUMBER + bytes(12) + data, compiled=True) == PythonLoads()


def test_loads_in_the_graph(tmp_path: Path) -> None:
    graph = graph_of(
        tmp_path,
        {
            "a.exe": program("b.dll", text=b"\0B.DLL\0plugin.dll\0VERSION.dll\0gone.dll\0a.exe\0vcruntime140.dll\0"),
            "b.dll": library(text=b"\0self.dll\0"),
            "sub/plugin.dll": library(),
            "sub/x.py": b"import ctypes\nctypes.CDLL('plugin.dll')\nctypes.windll.kernel32\nctypes.windll.nowhere\n",
        },
    )
    assert [(load.file, load.line, load.name, load.how, load.target) for load in graph.runtime] == [
        ("a.exe", None, "gone.dll", "string", None),
        ("a.exe", None, "plugin.dll", "string", "sub/plugin.dll"),
        ("a.exe", None, "vcruntime140.dll", "string", None),
        ("a.exe", None, "VERSION.dll", "string", "windows:version.dll"),
        ("sub/x.py", 2, "plugin.dll", "CDLL", "sub/plugin.dll"),
        ("sub/x.py", 3, "kernel32", "windll", "windows:kernel32.dll"),
        ("sub/x.py", 4, "nowhere", "windll", None),
    ]
    assert graph.ok, "what may be loaded at run time is no finding"
    assert {load.target for load in graph.runtime} - {None} <= set(graph.by_id)


def test_modules_in_an_archive_are_read_as_files_are(tmp_path: Path) -> None:
    source = "import ctypes, os\nctypes.CDLL('plugin.dll')\nos.add_dll_directory(__file__ + '/../libs')\n"
    members = {"a/x.pyc": compiled(source), "a/y.py": source.encode(), "z.txt": source.encode()}
    graph = graph_of(
        tmp_path,
        {"libs/plugin.dll": library(), "python313.zip": stored.pack(members, 0), "broken.zip": b"PK\3\4"},
    )
    assert [(load.file, load.line, load.name, load.how) for load in graph.runtime] == [
        ("python313.zip/a/x.pyc", None, "plugin.dll", "string"),
        ("python313.zip/a/x.pyc", None, "", "add_dll_directory"),
        ("python313.zip/a/y.py", 2, "plugin.dll", "CDLL"),
        ("python313.zip/a/y.py", 3, "__file__ + '/../libs'", "add_dll_directory"),
    ]


def test_compiled_guesses_are_told_only_if_there_is_such_a_dll(tmp_path: Path) -> None:
    source = "from ctypes import windll, WinError\nwindll.kernel32\n"
    graph = graph_of(tmp_path, {"x.pyc": compiled(source), "a.dll": library(imports=[Dll("KERNEL32.dll")])})
    assert [(load.name, load.how) for load in graph.runtime] == [("kernel32", "guess")]
