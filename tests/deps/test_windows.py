"""What Windows has: the reader, by a file made here, and what the shipped file says."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from packager.deps import windows
from packager.deps.windows import ApiSet, Record, Windows
from packager.errors import SpecError
from scripts.windows_data.merge import Content, Dll
from scripts.windows_data.pack import pack

X64, X86, ARM = 1, 2, 4
CONTENT = Content(
    origin="known to some Windows, by a test",
    versions=("Windows Vista", "Windows 8"),
    known_dlls=("one.dll",),
    api_sets={
        "api-ms-one-l1-1": ApiSet("one.dll", {"two.dll": "three.dll"}),
        "ext-none-l1-1": ApiSet(""),
    },
    contracts={"api-ms-one-l1-1-0": 1},
    redistributable=("crt1?0.dll", "one.*"),
    dlls=(
        Dll("bare.dll", True, 0, 0, None),
        Dll("crt140.dll", False, X64, -1, Record({X64: ["puts"]}, {}, None, {})),
        Dll(
            "one.dll",
            True,
            X64 | X86,
            1,
            Record(
                {X64 | X86 | ARM: ["a", "b"], X86: ["only32"]},
                {X64 | X86: {1: "a", 7: None}, X86: {8: "only32"}},
                9,
                {"b": 1},
            ),
        ),
    ),
)
DATA = pack(CONTENT)


@pytest.fixture
def made() -> Windows:
    return windows.parse(DATA, "test.data")


@pytest.fixture(scope="module")
def real() -> Windows:
    return windows.load()


# --- the reader --------------------------------------------------------------


def test_whose_a_dll_is(made: Windows) -> None:
    assert [made.has(name) for name in ("one.dll", "bare.dll", "crt140.dll", "other.dll", "api-ms-one-l1-1-0.dll")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert made.kind("one.dll") == "system", "a pattern does not make Windows' own redistributable"
    assert made.kind("crt140.dll") == made.kind("crt120.dll") == "redistributable"
    assert made.kind("crt140-4c2229bd.dll") is None
    assert made.kind("other.dll") is None
    assert made.known_dlls == {"one.dll"}
    assert made.origin == "known to some Windows, by a test"


def test_exports_by_machine(made: Windows) -> None:
    x64 = made.exports("one.dll", "x86_64")
    x86 = made.exports("one.dll", "i686")
    assert x64 is not None and x86 is not None
    assert x64.names == {"a", "b"} and x64.complete
    assert x86.names == {"a", "b", "only32"}
    assert (x64.has_name("a"), x64.has_name("only32")) == (True, False)
    assert dict(x64.ordinals) == {1: "a", 7: None}
    assert dict(x86.ordinals) == {1: "a", 7: None, 8: "only32"}
    assert made.exports("one.dll", "x86_64") is x64, "read once"


def test_ordinals_are_missing_only_beyond_the_last(made: Windows) -> None:
    exports = made.exports("one.dll", "x86_64")
    assert exports is not None
    assert [exports.has_ordinal(number) for number in (1, 7, 8, 9, 10)] == [True, True, None, None, False]
    crt = made.exports("crt140.dll", "x86_64")
    assert crt is not None and crt.has_ordinal(60000) is None


def test_a_machine_that_nothing_is_known_of(made: Windows) -> None:
    exports = made.exports("one.dll", "arm64")
    assert exports is not None
    assert not exports.complete
    assert (exports.has_name("only32"), exports.has_name("c")) == (True, None)
    assert exports.has_ordinal(10) is None
    odd = made.exports("one.dll", "arm64ec")
    assert odd is not None and odd.has_name("a") and odd.has_name("c") is None


def test_dlls_without_exports_known(made: Windows) -> None:
    bare = made.exports("bare.dll", "x86_64")
    assert bare is not None
    assert bare.has_name("a") is None and bare.has_ordinal(1) is None
    assert made.exports("other.dll", "x86_64") is None


def test_api_sets(made: Windows) -> None:
    assert made.api_set("api-ms-one-l1-1-0.dll") == "one.dll"
    assert made.api_set("api-ms-one-l1-1-7") == "one.dll", "the loader ignores the last number"
    assert made.api_set("api-ms-one-l1-2-0.dll") is None
    assert made.api_set("api-ms-one-l1-1-0.dll", importer="two.dll") == "three.dll"
    assert made.api_set("api-ms-one-l1-1-0.dll", importer="four.dll") == "one.dll"
    assert made.api_set("ext-none-l1-1-3.dll") == ""
    assert made.hosted("one.dll") == made.hosted("three.dll") == ("api-ms-one-l1-1",)
    assert made.hosted("two.dll") == ()


def test_since(made: Windows) -> None:
    assert made.since("one.dll") == "Windows 8"
    assert made.since("bare.dll") == "Windows Vista"
    assert made.since("crt140.dll") is None
    assert made.since("other.dll") is None
    assert made.since("one.dll", "b") == "Windows 8"
    assert made.since("one.dll", "a") is None
    assert made.since("bare.dll", "a") is None
    assert made.since("api-ms-one-l1-1-0.dll") == "Windows 8"
    assert made.since("api-ms-one-l1-1-1.dll") is None, "another revision may be of another version"
    assert made.since("api-ms-one-l1-1-1.dll", "b") == "Windows 8"
    assert made.since("ext-none-l1-1-0.dll", "b") is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "test.data: expected windata1 at its beginning, found b''"),
        (b"windata1", "test.data: expected windata1 at its beginning, found b'windata1'"),
        (b"MZ" + DATA, "test.data: expected windata1 at its beginning, found b'MZwindat'"),
        (DATA[:-1], "test.data: expected a file of another size: it is cut off or has a tail"),
        (DATA + b"x", "test.data: expected a file of another size: it is cut off or has a tail"),
        (DATA[:30], "test.data: the file is damaged: "),
    ],
)
def test_damage_is_named(data: bytes, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        windows.parse(data, "test.data")
    assert caught.value.message.startswith(message)
    assert caught.value.hint == "make it again: python -m scripts.make_windows_data"


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(DATA) * 8 - 1))
def test_a_flipped_bit_is_refused_or_harmless(bit: int) -> None:
    damaged = bytearray(DATA)
    damaged[bit // 8] ^= 1 << bit % 8

    def told(data: bytes) -> object:
        read = windows.parse(data, "test.data")
        return read, read.exports("one.dll", "i686"), read.exports("crt140.dll", "x86_64")

    try:
        found = told(bytes(damaged))
    except SpecError:
        return
    assert found == told(DATA)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no\.data: expected the data on Windows' DLLs, found No such file"):
        windows.load(tmp_path / "no.data")


# --- the shipped file --------------------------------------------------------


def test_size() -> None:
    assert windows.DATA_FILE.stat().st_size < 1_500_000


def test_it_was_made_of_the_curated_files(real: Windows) -> None:
    """A reminder to make it again; that all of it follows from the sources is for an integration test."""
    folder = windows.DATA_FILE.parent
    known = tomllib.loads((folder / "known-dlls.toml").read_text())
    assert real.known_dlls == {name for entry in known["known_dlls"] for name in entry["names"]}
    versions = tomllib.loads((folder / "versions.toml").read_text())
    assert list(real.versions) == [version["name"] for version in versions["windows"]]
    for entry in versions["dated"]:
        assert all(real.since(name) == entry["since"] for name in [*entry.get("dlls", ()), *entry.get("api_sets", ())])
    dlls = tomllib.loads((folder / "dlls.toml").read_text())
    assert all(real.has(name) for entry in dlls["also"] for name in entry["names"])
    for host in dlls["api_sets"]:
        assert real.api_set(host["name"]) == host["host"]
    for entry in dlls["exports"]:
        exports = real.exports(entry["dll"], "x86_64")
        assert exports is not None and set(entry["names"]) <= exports.names
    sources = tomllib.loads((folder / "sources.toml").read_text())
    assert real.origin == "known to some Windows, by " + "; ".join(
        f"{source['title']} {source['version']}" for source in sources["sources"]
    )


def test_every_host_of_an_api_set_is_windows_own(real: Windows) -> None:
    hosts = {real.api_set(f"{name}-0") for dll in ("kernel32.dll", "ucrtbase.dll") for name in real.hosted(dll)}
    assert hosts == {"kernel32.dll", "ucrtbase.dll"}
    found = {host.host for host in real._header.api_sets.values()} - {""}
    assert len(found) > 50
    assert {host for host in found if not real.has(host)} == set()


@pytest.mark.parametrize(
    ("dll", "kind"),
    [
        ("kernel32.dll", "system"), ("winspool.drv", "system"), ("msvcrt.dll", "system"), ("ucrtbase.dll", "system"),
        ("msvcp60.dll", "system"), ("mfc42u.dll", "system"), ("atl.dll", "system"), ("gdiplus.dll", "system"),
        ("d3dcompiler_47.dll", "system"), ("xinput1_4.dll", "system"), ("xaudio2_9.dll", "system"),
        ("ntoskrnl.exe", "system"), ("version.dll", "system"), ("msvcp_win.dll", "system"),
        ("vcruntime140.dll", "redistributable"), ("vcruntime140_1.dll", "redistributable"),
        ("msvcp140.dll", "redistributable"), ("msvcp140_atomic_wait.dll", "redistributable"),
        ("msvcr120.dll", "redistributable"), ("mfc140u.dll", "redistributable"), ("mfc90.dll", "redistributable"),
        ("mfc140enu.dll", "redistributable"), ("concrt140.dll", "redistributable"), ("vcomp140.dll", "redistributable"),
        ("ucrtbased.dll", "redistributable"), ("msvcp140d.dll", "redistributable"), ("atl90.dll", "redistributable"),
        ("d3dx9_43.dll", "redistributable"), ("d3dcompiler_43.dll", "redistributable"),
        ("xinput1_3.dll", "redistributable"), ("xaudio2_7.dll", "redistributable"),
        ("libwinpthread-1.dll", None), ("python313.dll", None), ("libcrypto-3.dll", None), ("zlib1.dll", None),
        ("winex11.drv", None), ("wined3d.dll", None), ("wineps.drv", None), ("wpcap.dll", None), ("opencl.dll", None),
        ("log.dll", None), ("hgfs.dll", None), ("msvcp140-ba05f997e25eac0cb10acfddf6513d26.dll", None),
        ("krnl386.exe16", None), ("api-ms-win-crt-heap-l1-1-0.dll", None),
    ],
)  # fmt: skip
def test_kinds(real: Windows, dll: str, kind: str | None) -> None:
    assert real.kind(dll) == kind
    assert real.has(dll) == (kind == "system")


@pytest.mark.parametrize(
    ("dll", "symbol", "version"),
    [
        ("api-ms-win-core-synch-l1-2-0.dll", "WaitOnAddress", "Windows 8"),
        ("kernelbase.dll", "WaitOnAddress", "Windows 8"),
        ("kernel32.dll", "GetSystemTimePreciseAsFileTime", "Windows 8"),
        ("api-ms-win-core-path-l1-1-0.dll", "PathCchCombineEx", "Windows 8"),
        ("kernel32.dll", "CreateFile2", "Windows 8"),
        ("kernel32.dll", "CopyFile2", "Windows 8"),
        ("bcrypt.dll", "BCryptGenRandom", "Windows Vista"),
        ("kernel32.dll", "GetThreadDescription", "Windows 10 1607"),
        ("kernel32.dll", "SetThreadDescription", "Windows 10 1607"),
        ("user32.dll", "GetDpiForWindow", "Windows 10 1607"),
        ("kernel32.dll", "GetTickCount64", "Windows Vista"),
        ("kernel32.dll", "InitializeConditionVariable", "Windows Vista"),
        ("kernel32.dll", "InitOnceExecuteOnce", "Windows Vista"),
        ("kernel32.dll", "CreateSymbolicLinkW", "Windows Vista"),
        ("kernel32.dll", "GetFinalPathNameByHandleW", "Windows Vista"),
        ("ws2_32.dll", "inet_pton", "Windows Vista"),
        ("ws2_32.dll", "WSAPoll", "Windows Vista"),
        ("kernel32.dll", "TryAcquireSRWLockExclusive", "Windows 7"),
        ("kernel32.dll", "QueryUnbiasedInterruptTime", "Windows 7"),
        ("kernel32.dll", "SetThreadGroupAffinity", "Windows 7"),
        ("kernel32.dll", "K32GetProcessMemoryInfo", "Windows 7"),
        ("shcore.dll", "GetDpiForMonitor", "Windows 8.1"),
        ("kernel32.dll", "IsWow64Process2", "Windows 10 1511"),
        ("kernel32.dll", "CreatePseudoConsole", "Windows 10 1809"),
        ("kernelbase.dll", "VirtualAlloc2", "Windows 10 1803"),
        ("kernel32.dll", "GetTempPath2W", "Windows 11"),
        # Always there, or older than what is recorded, or documented long after it came.
        ("kernel32.dll", "CreateFileW", None),
        ("ws2_32.dll", "getaddrinfo", None),
        ("ole32.dll", "CoInitializeEx", None),
        ("ntdll.dll", "RtlGetVersion", None),
        ("ntdll.dll", "NtLockFile", None),
        ("ucrtbase.dll", "strtod", None),
    ],
)
def test_when_functions_came(real: Windows, dll: str, symbol: str, version: str | None) -> None:
    host = real.api_set(dll) if windows.is_api_set(dll) else dll
    assert host
    exports = real.exports(host, "x86_64")
    assert exports is not None and exports.has_name(symbol)
    assert real.since(dll, symbol) == version


def test_when_dlls_came(real: Windows) -> None:
    names = ("bcrypt.dll", "combase.dll", "ucrtbase.dll", "api-ms-win-core-path-l1-1-0.dll", "kernel32.dll")
    assert [real.since(name) for name in names] == ["Windows Vista", "Windows 8", "Windows 10", "Windows 8", None]
    assert real.since("api-ms-win-crt-heap-l1-1-0.dll") == "Windows 10"


@pytest.mark.parametrize("machine", windows.MACHINES)
def test_what_a_name_that_is_not_there_means(real: Windows, machine: str) -> None:
    for dll in ("kernel32.dll", "user32.dll", "ws2_32.dll", "ucrtbase.dll", "ole32.dll", "bcrypt.dll"):
        exports = real.exports(dll, machine)
        assert exports is not None and exports.has_name("NoSuchFunctionAnywhere") is False
    # Only 32-bit processes ask whether they run on a 64-bit Windows in this way.
    ntdll = real.exports("ntdll.dll", machine)
    assert ntdll is not None and ntdll.has_name("RtlWow64EnableFsRedirection")
    assert ntdll.has_name("NtWow64ReadVirtualMemory64") is (machine == "i686")
    icu = real.exports("icu.dll", machine)
    assert icu is not None and icu.has_name("NoSuchFunctionAnywhere") is None


def test_wines_own_names_are_not_windows(real: Windows) -> None:
    for dll in ("ntdll.dll", "kernel32.dll", "win32u.dll", "dbghelp.dll", "msi.dll"):
        exports = real.exports(dll, "x86_64")
        assert exports is not None and not [
            name for name in exports.names if name.lower().lstrip("_").startswith("wine_")
        ]


def test_decorations_and_stand_ins_are_no_names(real: Windows) -> None:
    for machine in windows.MACHINES:
        for dll in ("kernel32.dll", "ws2_32.dll", "d3d9.dll"):
            exports = real.exports(dll, machine)
            assert exports is not None
            plain = {name for name in exports.names if not name.startswith("?")}
            assert {name for name in plain if "@" in name or name.startswith("ord_") or " " in name} == set()


def test_ordinals_of_the_import_libraries(real: Windows) -> None:
    for machine in windows.MACHINES:
        sockets, automation = real.exports("ws2_32.dll", machine), real.exports("oleaut32.dll", machine)
        assert sockets is not None and automation is not None
        assert [sockets.ordinals[number] for number in (1, 3, 115, 116)] == [
            "accept", "closesocket", "WSAStartup", "WSACleanup",
        ]  # fmt: skip
        assert [automation.ordinals[number] for number in (2, 6, 9)] == [
            "SysAllocString",
            "SysFreeString",
            "VariantClear",
        ]
        assert sockets.has_ordinal(9999) is False
        kernel = real.exports("kernel32.dll", machine)
        assert kernel is not None and not kernel.ordinals and kernel.has_ordinal(9999) is None


def test_what_a_bundle_imports(real: Windows) -> None:
    """The DLLs of the shipped policy, each with its exports."""
    policy = tomllib.loads((windows.DATA_FILE.parents[1] / "policy" / "windows.toml").read_text())
    for name in [entry["name"] for entry in policy["system_dlls"]]:
        if windows.is_api_set(name):
            assert real.api_set(name), name
        else:
            exports = real.exports(name, "x86_64")
            assert real.has(name) and exports is not None and exports.complete, name
