"""The script that makes windows.data: its readers of other people's formats, and the whole of it on small inputs."""

from __future__ import annotations

import io
import itertools
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from packager.deps import windows
from packager.deps.windows import Windows
from packager.errors import BuildError, SourceError
from scripts import make_windows_data
from scripts.windows_data import archive, collect, definitions, headers, specs
from scripts.windows_data.definitions import Definition, Export
from scripts.windows_data.preprocess import preprocess
from scripts.windows_data.specs import Entry

ALL = frozenset(windows.MACHINES)

# --- the preprocessor --------------------------------------------------------


def test_conditions_macros_and_includes() -> None:
    text = """
#include "func.def.in"
// a comment
EXPORTS
F_X64(only64)
F_I386(only32)
#if defined(DEF_I386) || (defined DEF_X64 && !defined(NEVER))
either
#elif defined(DEF_X64)
not taken
#else
neither
#endif
#if defined(NEVER)
#elif defined(DEF_X64)
second
#elif defined(DEF_X64)
third
#endif
#ifdef NEVER
#define TWICE(x) no
#error nobody sees this
#else
#define TWICE(x) x ## _ ## x
#endif
TWICE(a) TWICE (b) TWICE
#undef TWICE
TWICE(c)
OUTER(d) ; http://never/ends
"""
    include = """
#ifdef DEF_X64
#define F_X64(x) x
#define F_I386(x)
#endif
#define INNER(x) \\
    x == _ ## x
#define OUTER(x) INNER(x)
/* two
   lines */
"""
    made = preprocess(
        text.replace("#error nobody sees this\n", ""), frozenset({"DEF_X64"}), {"func.def.in": include}, "t"
    )
    assert [line.strip() for line in made.splitlines() if line.strip()] == [
        "EXPORTS",
        "only64",
        "either",
        "second",
        "a_a b_b TWICE",
        "TWICE(c)",
        "d == _d ; http:",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\n#pragma once", "f:2: expected a directive of conditions, macros or includes, found #pragma"),
        ("#if A > 1\n#endif", "f:1: expected defined, !, && and ||, found A > 1"),
        ("#if defined(A\n#endif", "f:1: expected defined, !, && and ||, found defined(A"),
        ("#if defined A B\n#endif", "f:1: expected defined, !, && and ||, found defined A B"),
        ("#else", "f:1: expected an #if before #else"),
        ("#endif", "f:1: expected an #if before #endif"),
        ("#ifdef A", "f: expected an #endif before the file's end"),
        ("#define F(a, b) a", "f:1: expected a macro of one parameter at most, found F(a, b) a"),
        ('#include "other"', 'f:1: expected one of self, found "other"'),
        ('#include "self"', "self: expected includes 20 deep at most, found more"),
    ],
)
def test_what_the_preprocessor_refuses(text: str, message: str) -> None:
    with pytest.raises(BuildError) as caught:
        preprocess(text, frozenset(), {"self": '#include "self"'}, "f")
    assert caught.value.message == message


# --- definition files --------------------------------------------------------


def test_definitions() -> None:
    text = """
; a comment
LIBRARY "ONE.dll"
DESCRIPTION 'old'
EXPORTS
plain
  indented ; said so
data DATA
constant CONSTANT
stdcall@12
@fastcall@8
?method@Class@@QEAAXXZ
numbered@4 @7
ord_103 @103
noname @9 NONAME
alias == real
variable DATA == _variable
exported = internal
private PRIVATE
msvcr90 == ___fls@4
"""
    assert definitions.parse(text, "one.def") == Definition(
        "one.dll",
        (
            Export("plain", None),
            Export("indented", None),
            Export("data", None),
            Export("constant", None),
            Export("stdcall", None),
            Export("fastcall", None),
            Export("?method@Class@@QEAAXXZ", None),
            Export("numbered", 7),
            Export(None, 103),
            Export(None, 9),
            Export("real", None),
            Export("_variable", None),
            Export("exported", None),
            Export("private", None),
            Export("___fls@4", None),
        ),
    )


@pytest.mark.parametrize(
    ("line", "dll"),
    [
        ("LIBRARY api-ms-win-core-com-l1-1-0", "api-ms-win-core-com-l1-1-0.dll"),
        ("library KERNEL32", "kernel32.dll"),
        ("LIBRARY WINSPOOL.DRV", "winspool.drv"),
        ("LIBRARY windows.ai.machinelearning", "windows.ai.machinelearning.dll"),
    ],
)
def test_names_of_dlls(line: str, dll: str) -> None:
    definition = definitions.parse(f"{line}\nEXPORTS\na", "f")
    assert definition is not None and definition.dll == dll


def test_definitions_without_a_dll_or_exports() -> None:
    assert definitions.parse("EXPORTS\na", "f") is None
    assert definitions.parse("LIBRARY a.dll\nEXPORTS\n", "f") is None


def test_an_export_that_is_none() -> None:
    with pytest.raises(BuildError, match=r"^f:3: expected an export, found two words$"):
        definitions.parse("LIBRARY a.dll\nEXPORTS\ntwo words", "f")


# --- Wine's spec files -------------------------------------------------------


def test_specs() -> None:
    text = """
# exports of one.dll
@ stdcall Plain(long ptr)
1 cdecl Numbered()
2 stub Stubbed
3 stdcall @(long) Hidden
4 stub -noname Nameless
@ stub @
@ stdcall -private -arch=win64 Only64(ptr) Real64
@ stdcall -i386 -ret64 Old32() ntdll.Old32
@ thiscall -arch=i386 ?method@Class@@QAEXXZ(ptr) method
@ extern -arch=!i386 Everywhere32not
@ varargs -arch=arm,x86_64 Arm(str)
@ stdcall -arch=arm64ec Nowhere()
# @ stub Known
#12 stdcall AlsoKnown(long)
# this @ stub is a remark
@ cdecl wine_get_version()
@ stdcall -syscall=0x1 __wine_dbg_write(ptr long)
7 stdcall -i386 Thunk() krnl386.exe16.Thunk
@ variable Counter 0
"""
    x64, x86, arm = "x86_64", "i686", "arm64"
    assert specs.parse(text, "one.spec") == (
        Entry("Plain", None, ALL),
        Entry("Numbered", 1, ALL),
        Entry("Stubbed", 2, ALL),
        Entry(None, 3, ALL),
        Entry(None, 4, ALL),
        Entry("Only64", None, frozenset({x64, arm})),
        Entry("Old32", None, frozenset({x86})),
        Entry("?method@Class@@QAEXXZ", None, frozenset({x86})),
        Entry("Everywhere32not", None, frozenset({x64, arm})),
        Entry("Arm", None, frozenset({x64})),
        Entry("Known", None, ALL),
        Entry("AlsoKnown", None, ALL),
        Entry("Counter", None, ALL),
    )


def test_a_spec_line_that_is_none() -> None:
    with pytest.raises(BuildError, match=r"^f\.spec:2: expected an export, found @ newkind Function$"):
        specs.parse("@ stub A\n@ newkind Function", "f.spec")


def test_api_sets_of_a_spec() -> None:
    text = "apiset api-ms-A-l1-1-2 = Host.dll\napiset ext-b-l1-1-0 =\napiset api-c-l1-1-0 = x.dll one.dll:y.dll\n# no\n"
    assert specs.api_sets(text) == {
        "api-ms-a-l1-1": ("host.dll", {}),
        "ext-b-l1-1": ("", {}),
        "api-c-l1-1": ("x.dll", {"one.dll": "y.dll"}),
    }
    assert specs.parse(text, "f") == ()


# --- headers -----------------------------------------------------------------

MACROS = {"VISTA": 0x06000000, "WIN7": 0x06010000, "WIN8": 0x06020000, "WIN10": 0x0A000000, "WIN10_RS1": 0x0A000002}


@pytest.mark.parametrize(
    ("expression", "version"),
    [
        ("_WIN32_WINNT >= 0x0602", 0x06020000),
        ("(WINVER >= 0x0600)", 0x06000000),
        ("NTDDI_VERSION >= NTDDI_WIN7", 0x06010000),
        ("(NTDDI_VERSION >= 0x06020000) && defined (X)", 0x06020000),
        ("WINAPI_FAMILY_PARTITION (D) && _WIN32_WINNT >= _WIN32_WINNT_WIN7", 0x06010000),
        ("NTDDI_VERSION >= NTDDI_WIN10_RS1", 0x0A000002),
        # What is not plain, too old, or too coarse for the versions of Windows 10.
        ("WINAPI_FAMILY_PARTITION (D) || _WIN32_WINNT >= 0x0A00", 0),
        ("X || Y && _WIN32_WINNT >= 0x0602", 0),
        ("_WIN32_WINNT >= 0x0A00", 0),
        ("WINVER >= 0x0605", 0),
        ("_WIN32_WINNT >= 0x0501", 0),
        ("NTDDI_VERSION >= NTDDI_UNHEARD_OF", 0),
        ("_WIN32_WINNT < 0x0602", 0),
        ("NTDDI_VERSION > NTDDI_WIN7", 0),
        ("0", 0),
    ],
)
def test_what_a_condition_demands(expression: str, version: int) -> None:
    assert headers.demanded(expression, MACROS) == version


def test_functions_are_dated_only_where_every_mention_is() -> None:
    one = """
WINBASEAPI BOOL WINAPI Always (void);
#if _WIN32_WINNT >= 0x0602
WINBASEAPI BOOL WINAPI New (void); // Remark(
#ifdef UNICODE
#define Macro New (
WINBASEAPI BOOL WINAPI
Nested \\
    (void);
#endif
BOOL WINAPI Both (void);
BOOL WINAPI Replaced (int);
#else
BOOL WINAPI Replaced (void);
#endif
/* Commented (void); */
#if NTDDI_VERSION >= NTDDI_VISTA
#if NTDDI_VERSION >= NTDDI_WIN8
BOOL WINAPI Inner (void);
#endif
BOOL WINAPI Older (void);
#endif
#endif
"""
    two = "#if _WIN32_WINNT >= 0x0601\nBOOL WINAPI Both (void);\n#endif\n"
    names = {"Always", "New", "Nested", "Both", "Replaced", "Inner", "Older", "Commented", "Remark", "Macro"}
    dated = {"New": 0x06020000, "Nested": 0x06020000, "Both": 0x06010000, "Inner": 0x06020000, "Older": 0x06000000}
    assert headers.guarded([one, two], names, MACROS) == dated
    assert headers.guarded([one, two, "int New (void);"], names, MACROS) == {
        name: version for name, version in dated.items() if name != "New"
    }
    assert headers.guarded([two, one], names, MACROS) == dated, "in whatever order"
    assert headers.guarded([one], {"Always"}, MACROS) == {}


# --- sources -----------------------------------------------------------------


def test_an_archive_and_its_folder_read_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "top-1.0"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "b.def").write_bytes(b"; Andr\xe9\nEXPORTS")
    (folder / "a" / "c.txt").write_text("no")
    with tarfile.open(tmp_path / "top.tar.xz", "w:xz") as out:
        out.add(folder, "top-1.0")
    expected = {"a/b.def": "; Andr\N{REPLACEMENT CHARACTER}\nEXPORTS"}
    for path in (folder, tmp_path / "top.tar.xz"):
        assert archive.texts(path, lambda name: name.endswith(".def")) == expected
        with pytest.raises(SourceError, match="expected some of the files that the data are made from, found none"):
            archive.texts(path, lambda name: False)


def test_a_damaged_archive(tmp_path: Path) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as out:
        member = tarfile.TarInfo("top/a")
        member.size = 100_000
        out.addfile(member, io.BytesIO(bytes(100_000)))
    path = tmp_path / "cut.tar.gz"
    path.write_bytes(whole.getvalue()[:60])
    with pytest.raises(SourceError, match=r"^cut\.tar\.gz: expected a tar archive, found "):
        archive.texts(path, lambda name: True)


def test_dll_lists_of_another_form_are_refused() -> None:
    with pytest.raises(BuildError, match="expected ignore_names_x64, ignore_names_x86, ignore_names_arm64, found "):
        collect.delvewheel({"delvewheel/_dll_list.py": "ignore_names_x64 = {'a.dll'}\nother = 1\n"})


# --- the whole ---------------------------------------------------------------

WINE = {
    "dlls/one/Makefile.in": "MODULE    = one.dll\n",
    "dlls/one/one.spec": """
1 stdcall First()
2 stdcall Second()
@ stdcall Unnumbered()
@ stdcall -arch=win64 GetLongPtr()
@ stdcall -private wine_only()
""",
    "dlls/two.drv/Makefile.in": "EXTRADEFS = -DX\nMODULE = TWO.drv\n",
    "dlls/two.drv/two.drv.spec": "5 stdcall Draw()\n@ stub Newest\n",
    "dlls/wineown/Makefile.in": "MODULE = wineown.dll\n",
    "dlls/wineown/wineown.spec": "@ stdcall Own()\n",
    "dlls/crt140/Makefile.in": "MODULE = crt140.dll\n",
    "dlls/crt140/crt140.spec": "@ cdecl puts()\n",
    "dlls/old16/Makefile.in": "MODULE = old.dll16\n",
    "dlls/old16/old16.spec": "1 pascal -ret16 What(word) Not_a_win32_line extra words\n",
    "dlls/apisetschema/Makefile.in": "MODULE = apisetschema.dll\n",
    "dlls/apisetschema/apisetschema.spec": "apiset api-one-l1-1-0 = one.dll\napiset api-gone-l1-1-0 =\n",
    "dlls/one/main.c": "not read",
}
MINGW = {
    "mingw-w64-crt/def-include/func.def.in": "#ifdef DEF_X64\n#define F_X64(x) x\n#else\n#define F_X64(x)\n#endif\n",
    "mingw-w64-crt/lib-common/one.def.in": (
        '#include "func.def.in"\nLIBRARY one.dll\nEXPORTS\nFirst\nCommon\nGetLongPtr\nF_X64(Fast)\n?f@@YAXPEAX@Z\n'
    ),
    "mingw-w64-crt/lib32/one.def": "LIBRARY one.dll\nEXPORTS\nFirst@0\nOld@4\n",
    "mingw-w64-crt/lib-common/api-one-l1-1-0.def": "LIBRARY api-one-l1-1-0\nEXPORTS\nNewest\n",
    "mingw-w64-crt/lib-common/api-three-l1-1-0.def": "LIBRARY api-three-l1-1-0\nEXPORTS\nx\n",
    "mingw-w64-crt/lib64/three.def": "LIBRARY three.dll\nEXPORTS\nThird\n",
    "mingw-w64-crt/lib-common/vendor.def": "LIBRARY vendor.dll\nEXPORTS\nBuy\n",
    "mingw-w64-headers/include/one.h": "#if _WIN32_WINNT >= 0x0602\nint Newest (void);\nint puts (void);\n#endif\n",
    "mingw-w64-headers/ddk/include/ddk/d.h": "int Newest (void);\n",
}
LISTS = {
    "delvewheel/_dll_list.py": """
ignore_names_x86 = {'one.dll', 'THREE.dll'}
ignore_names_x64 = {'one.dll', 'bare.dll'}
ignore_names_arm64 = {'two.drv'}
MORE = {**{}}
""",
}
SOURCES = "".join(
    f"""
[[sources]]
name = "{name}"
version = "1"
title = "{name}"
licence = "MIT"
gives = "names"
[sources.source]
file = "{name}.tar"
sha256 = "{"0" * 64}"
[[sources.source.origins]]
kind = "debian"
suite = "trixie"
package = "{name}"
file = "{name}.tar"
"""
    for name in ("wine", "mingw-w64", "delvewheel")
)
DLLS = """
untrusted_ordinals = [{ names = ["two.drv"], reason = "r" }]
closed_ordinals = [{ names = ["one.dll"], reason = "r" }]
incomplete = [{ patterns = ["crt*.dll"], reason = "r" }]
also = [{ names = ["more.cpl"], reason = "r" }]
redistributable = [{ patterns = ["crt1?0.dll"], reason = "r" }]
exports = [{ dll = "one.dll", names = ["Documented"], reason = "r" }]
api_sets = [{ name = "api-three-l1-1-0", host = "three.dll", reason = "r" }]
"""
KNOWN = 'known_dlls = [{ names = ["one.dll"], reason = "r" }]'
VERSIONS = """
windows = [{ name = "Windows 7", ntddi = { WIN7 = 0x06010000 } }, { name = "Windows 8", ntddi = { WIN8 = 0x06020000 } }]
dated = [{ since = "Windows 7", dlls = ["one.dll"], api_sets = ["api-one-l1-1-0"], symbols = ["Second"] }]
undated = []
undatable = [{ names = ["two.drv"], reason = "r" }]
"""


@dataclass(frozen=True)
class Inputs:
    """A folder of TOML files, and a folder for each source."""

    folder: Path

    def write(self, part: str, files: dict[str, str], order: int = 1) -> None:
        for name, text in list(files.items())[::order]:
            path = self.folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def run(self, *options: str) -> int:
        given = [f"{name}={self.folder / name}" for name in ("wine", "mingw-w64", "delvewheel")]
        return make_windows_data.main(["--specs", str(self.folder / "specs"), *options, *given])

    @property
    def out(self) -> Path:
        return self.folder / "specs" / "windows.data"

    def made(self) -> Windows:
        assert self.run() == 0
        return windows.load(self.out)


def inputs(folder: Path, order: int = 1, changed: dict[str, str] | None = None) -> Inputs:
    made = Inputs(folder)
    made.write("wine", WINE, order)
    made.write("mingw-w64", MINGW, order)
    made.write("delvewheel", LISTS, order)
    texts = {"sources": SOURCES, "dlls": DLLS, "known_dlls": KNOWN, "versions": VERSIONS} | (changed or {})
    made.write("specs", {f"{name.replace('_', '-')}.toml": text for name, text in texts.items()}, order)
    return made


def test_sources_become_answers(tmp_path: Path) -> None:
    told = inputs(tmp_path).made()
    names = ("one.dll", "two.drv", "three.dll", "bare.dll", "more.cpl", "crt140.dll", "wineown.dll", "vendor.dll")
    system = ["system"] * 5
    assert [told.kind(name) for name in names] == [*system, "redistributable", None, None]
    assert told.kind("old.dll16") is told.kind("apisetschema.dll") is None

    of_one = {machine: told.exports("one.dll", machine) for machine in windows.MACHINES}
    x64, x86, arm = (exports for exports in of_one.values() if exports is not None)
    everywhere = {"First", "Second", "Unnumbered", "Common", "Newest", "Documented"}
    assert x64.names == everywhere | {"GetLongPtr", "Fast", "?f@@YAXPEAX@Z"}
    assert arm.names == everywhere | {"GetLongPtr", "?f@@YAXPEAX@Z"}
    assert x86.names == everywhere | {"Old"}, "what Wine has for 64 bits only, and 64 bits' C++, is not in x86's own"
    assert x64.complete and x86.complete and arm.complete
    assert dict(x64.ordinals) == {1: "First", 2: "Second"}
    assert x64.last_ordinal == 2 + len((x64.names | x86.names) - {"First", "Second"})

    drv, three = told.exports("two.drv", "i686"), told.exports("three.dll", "x86_64")
    assert (
        drv is not None
        and drv.names == {"Draw", "Newest"}
        and drv.complete
        and not drv.ordinals
        and drv.last_ordinal is None
    )
    assert three is not None and three.names == {"Third", "x"} and not three.complete
    bare, crt = told.exports("bare.dll", "x86_64"), told.exports("crt140.dll", "x86_64")
    assert bare is not None and not bare.names and not bare.complete
    assert crt is not None and crt.names == {"puts"} and not crt.complete

    assert told.api_set("api-one-l1-1-5.dll") == "one.dll"
    assert told.api_set("api-gone-l1-1-0.dll") == ""
    assert told.api_set("api-three-l1-1-0.dll") == "three.dll"
    assert told.known_dlls == {"one.dll"}
    assert told.origin == "known to some Windows, by wine 1; mingw-w64 1; delvewheel 1"

    assert told.since("one.dll") == told.since("api-one-l1-1-0.dll") == told.since("one.dll", "Second") == "Windows 7"
    assert told.since("one.dll", "Newest") == "Windows 8", "the driver kit's headers do not count"
    assert told.since("one.dll", "First") is None
    assert told.since("two.drv", "Newest") is None, "undatable"
    assert told.since("crt140.dll", "puts") is None, "only Windows' own DLLs are dated"


def test_the_same_inputs_make_the_same_bytes(tmp_path: Path) -> None:
    made = [inputs(tmp_path / str(order), order) for order in (1, -1)]
    for each in made:
        each.made()
    assert made[0].out.read_bytes() == made[1].out.read_bytes()


def test_check_tells_of_a_change_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = inputs(tmp_path)
    assert given.run("--check") == 1
    assert not given.out.exists()
    given.made()
    before = given.out.read_bytes()
    assert given.run("--check") == 0
    given.write("wine", {"dlls/one/one.spec": "@ stub Other\n1 stub First\n@ stub Second"})
    assert given.run("--check") == 1
    assert given.out.read_bytes() == before
    lines = [line.rpartition(": ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == ["would change", f"{len(before):,} bytes", "as it would be made", "would change"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"known_dlls": KNOWN.replace("one", "nine")}, "known-dlls.toml: known_dlls: expected names that the sources have, found nine.dll"),
        ({"versions": VERSIONS.replace('"one.dll"', '"nine.dll"')}, "versions.toml: dlls: expected names that the sources have, found nine.dll"),
        ({"versions": VERSIONS.replace("Second", "Ninth")}, "versions.toml: symbols: expected names that the sources have, found Ninth"),
        ({"versions": VERSIONS.replace("undated = []", 'undated = [{ symbols = ["First"], reason = "r" }]')}, "versions.toml: undated: expected names that the sources have, found First"),
        ({"versions": VERSIONS.replace('since = "Windows 7"', 'since = "Windows 9"')}, "versions.toml: dated: since: expected one of Windows 7, Windows 8, found Windows 9"),
        ({"versions": VERSIONS.replace('["Second"]', '["Second", "Second"]')}, "versions.toml: dated: symbols: expected each name once, found Second twice"),
        ({"dlls": DLLS.replace("api-three", "api-one")}, "dlls.toml: api_sets: api-one-l1-1-0: expected one that Wine lacks, found one that it has"),
        ({"dlls": DLLS.replace('dll = "one.dll"', 'dll = "nine.dll"')}, "dlls.toml: exports: dll: expected a DLL that the sources have, found nine.dll"),
    ],
)  # fmt: skip
def test_contradictions_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, str], message: str
) -> None:
    assert inputs(tmp_path, changed=changed).run() == 2
    assert message in capsys.readouterr().err


def test_a_source_that_is_not_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert inputs(tmp_path).run("reactos=/tmp") == 2
    assert "reactos: expected wine=PATH, mingw-w64=PATH, delvewheel=PATH, found reactos=/tmp" in capsys.readouterr().err
    assert inputs(tmp_path).run("wine=/no/such/path") == 0, "the later one counts"


def test_offline_without_sources(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = inputs(tmp_path)
    options = ["--specs", str(given.folder / "specs"), "--store", str(tmp_path / "store"), "--offline"]
    assert make_windows_data.main(options) == 3
    assert "wine.tar: not in the store" in capsys.readouterr().err


def test_blocks_hold_neighbours(tmp_path: Path) -> None:
    """More DLLs than one block takes: each is still found in its own."""
    given = inputs(tmp_path)
    count = itertools.count()
    for letter in "abcdefgh":
        lines = "".join(f"@ stdcall {letter}Function{next(count)}()\n" for _ in range(1500))
        given.write(
            "wine", {f"dlls/{letter}/Makefile.in": f"MODULE = {letter}.dll", f"dlls/{letter}/{letter}.spec": lines}
        )
    listed = ", ".join(f"'{letter}.dll'" for letter in "abcdefgh")
    given.write(
        "delvewheel", {name: text.replace("'bare.dll'", f"'bare.dll', {listed}") for name, text in LISTS.items()}
    )
    told = given.made()
    assert len(told._header.blocks) > 1
    for letter in "habc":
        exports = told.exports(f"{letter}.dll", "arm64")
        assert exports is not None and len(exports.names) == 1500
        assert all(name.startswith(f"{letter}Function") for name in exports.names)
