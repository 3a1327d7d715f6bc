"""The stubs of launcher/, with a stand-in for the interpreter that says how it was loaded and called."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pefile
import pytest

from packager import process
from tests.integration import programs
from tests.integration.conftest import ROOT

CONFIG = """
#define STUB_NAME "electrum"
#define STUB_MODULE "run_electrum"
#define STUB_PYTHON "python313"
#define STUB_DESCRIPTION "A stub"
#define STUB_PRODUCT "stubs"
#define STUB_VERSION "4.3.4"
#define STUB_VERSION_WORDS 4,3,4,0
"""
BUILD = """
flags="$CFLAGS -std=c11 -Wall -Wextra -Werror"
$TRIPLET-windres -c 65001 -O coff stub.rc stub.res.o
$TRIPLET-gcc $flags -municode stub.c stub.res.o -o /build/out/electrum.exe $LDFLAGS
$TRIPLET-gcc $flags -municode -mwindows -DSTUB_WINDOWLESS stub.c stub.res.o -o /build/out/electrumw.exe $LDFLAGS
mkdir /build/out/python
$TRIPLET-gcc $flags -shared fake_python.c -o /build/out/python/python313.dll $LDFLAGS -lversion
$TRIPLET-gcc $flags -shared planted.c -o /build/out/planted.dll $LDFLAGS
"""
SYSTEM = r"C:\windows\system32" + "\\"
OWN_ARGUMENTS = 8


@dataclass(frozen=True)
class Said:
    """What the stand-in said."""

    dll: str
    version_dll: str
    ucrtbase: str
    argv: list[str]

    @property
    def arguments(self) -> list[str]:
        """The arguments that came from the command line."""
        return self.argv[OWN_ARGUMENTS:]


@dataclass(frozen=True)
class Stubs:
    """A folder with both stubs and the stand-in, the DLL to plant, and the store with Wine."""

    folder: Path
    planted: Path
    store: Path

    def run(self, program: str, *arguments: str, cwd: Path | None = None, **env: str) -> process.Result:
        return programs.run(self.store, self.folder, program, *arguments, cwd=cwd or self.folder, **env)

    def said(self, program: str, *arguments: str, cwd: Path | None = None, **env: str) -> Said:
        done = self.run(program, *arguments, cwd=cwd, **env)
        assert done.returncode == 0, done
        dll, version_dll, ucrtbase, *argv = done.stdout.decode().split("\n")[:-1]
        return Said(dll, version_dll, ucrtbase, argv)


@pytest.fixture(scope="module")
def compiled(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = [*(ROOT / "launcher").glob("stub.*"), programs.DATA / "fake_python.c", programs.DATA / "planted.c"]
    return programs.compile_programs(
        store, sources, {"config.h": CONFIG}, BUILD, tmp_path_factory.mktemp("stub") / "work"
    )


@pytest.fixture
def stubs(compiled: Path, store: Path, tmp_path: Path) -> Stubs:
    folder = tmp_path / "bundle"
    shutil.copytree(compiled, folder)
    (folder / "python/python313._pth").write_text("DLLs\n")
    return Stubs(folder, Path(shutil.move(folder / "planted.dll", tmp_path)), store)


def test_the_interpreter_is_called_isolated_with_the_plain_python_as_executable(stubs: Stubs) -> None:
    said = stubs.said("electrum.exe")
    assert said.dll == r"C:\bundle\python\python313.dll"
    assert said.argv[:6] == [r"C:\bundle\python\python.exe", "-I", "-B", "-X", "utf8", "-c"]
    assert "_run_module_as_main('run_electrum', False)" in said.argv[6]
    assert said.argv[7:] == [r"C:\bundle\electrum.exe"]
    assert stubs.said("electrumw.exe").argv[0] == r"C:\bundle\python\pythonw.exe"


def test_arguments_arrive_as_they_were(stubs: Stubs) -> None:
    arguments = ["", "a b", '"q"', "\\", "tail\\", 'a\\"b', "ü漢😀", "*", "?.exe", "%PATH%", "-c", "@file", "--"]
    assert stubs.said("electrum.exe", *arguments).arguments == arguments


@pytest.mark.parametrize("program", ["electrum.exe", "electrumw.exe"])
def test_the_exit_code_is_handed_on(stubs: Stubs, program: str) -> None:
    assert stubs.run(program, FAKE_EXIT="7").returncode == 7


def test_planted_dlls_are_not_loaded(stubs: Stubs, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (trap / "python").mkdir(parents=True)
    for name in ("python313", "python3", "version", "ucrtbase", "user32", "advapi32", "api-ms-win-crt-heap-l1-1-0"):
        shutil.copy(stubs.planted, trap / f"{name}.dll")
        shutil.copy(stubs.planted, trap / "python" / f"{name}.dll")
    # version.dll beside python313.dll is no better than one in the current folder.
    shutil.copy(stubs.planted, stubs.folder / "python/version.dll")
    said = stubs.said("electrum.exe", cwd=trap, PATH=str(trap), PYTHONHOME=str(trap), PYTHONPATH=str(trap))
    assert said.dll == r"C:\bundle\python\python313.dll"
    assert said.version_dll.lower() == SYSTEM.lower() + "version.dll"
    assert said.ucrtbase.lower() == SYSTEM.lower() + "ucrtbase.dll"


def test_the_planted_dll_works_where_it_is_asked_for(stubs: Stubs) -> None:
    """Proves that the test above could fail."""
    shutil.copy(stubs.planted, stubs.folder / "python/python313.dll")
    done = stubs.run("electrum.exe")
    assert done.stdout == b"PLANTED\n"
    assert done.returncode == 66 + OWN_ARGUMENTS


@pytest.mark.parametrize("where", ["Ünï 漢😀/x y", "/".join(["long" * 25] * 4)], ids=["not ASCII", "longer than 260"])
def test_any_folder_will_do(stubs: Stubs, where: str) -> None:
    deep = stubs.folder / where
    deep.mkdir(parents=True)
    for name in ("electrum.exe", "python"):
        shutil.move(stubs.folder / name, deep)
    said = stubs.said(f"{where}/electrum.exe", "x")
    windows = r"C:\bundle" + "\\" + where.replace("/", "\\")
    assert said.dll == windows + r"\python\python313.dll"
    assert said.argv[0].removeprefix("\\\\?\\") == windows + r"\python\python.exe"
    assert said.arguments == ["x"]


def test_a_link_to_the_program_finds_its_python(stubs: Stubs) -> None:
    (stubs.folder / "bin").mkdir()
    (stubs.folder / "bin/e.exe").symlink_to("../electrum.exe")
    said = stubs.said("bin/e.exe")
    assert said.dll == r"C:\bundle\python\python313.dll"
    assert said.argv[7] == r"C:\bundle\bin\e.exe"


def failure(stubs: Stubs, program: str = "electrum.exe") -> str:
    done = stubs.run(program)
    assert (done.returncode, done.stdout) == (103, b"")
    # Wine itself may add a line that it has no display.
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("electrum: ")]
    assert len(lines) == 1
    return lines[0].removeprefix("electrum: C:\\bundle\\python\\")


@pytest.mark.parametrize("program", ["electrum.exe", "electrumw.exe"])
def test_a_missing_python_is_said(stubs: Stubs, program: str) -> None:
    (stubs.folder / "python/python313.dll").unlink()
    assert failure(stubs, program).startswith("python313.dll: expected the bundled Python, found no such file; ")


def test_a_missing_path_file_is_said(stubs: Stubs) -> None:
    (stubs.folder / "python/python313._pth").unlink()
    assert failure(stubs).startswith("python313._pth: expected the bundled Python's path file, found no such file; ")


def test_a_dll_for_another_machine_is_said(stubs: Stubs) -> None:
    dll = stubs.folder / "python/python313.dll"
    data = bytearray(dll.read_bytes())
    at = int.from_bytes(data[60:64], "little") + 4
    data[at : at + 2] = b"\x64\xaa"
    dll.write_bytes(data)
    assert failure(stubs).startswith("python313.dll: expected a DLL for machine 8664, found one for aa64; ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hello", "expected a DLL, found something else"),
        (b"", "expected a DLL, found something else"),
        (b"MZ" + b"\xff" * 100, "expected a DLL, found something else"),
        (None, "expected a whole DLL, found a damaged one"),
    ],
)
def test_a_damaged_dll_is_said(stubs: Stubs, content: bytes | None, message: str) -> None:
    dll = stubs.folder / "python/python313.dll"
    dll.write_bytes(dll.read_bytes()[:2000] if content is None else content)
    assert failure(stubs).startswith(f"python313.dll: {message}; ")


def test_a_dll_that_is_not_python_is_said(stubs: Stubs) -> None:
    shutil.copy(programs.engine(stubs.store).root / WINE_VERSION_DLL, stubs.folder / "python/python313.dll")
    assert failure(stubs).startswith("python313.dll: expected Python, found a DLL without Py_Main; ")


WINE_VERSION_DLL = "usr/lib/x86_64-linux-gnu/wine/x86_64-windows/version.dll"


def test_the_stubs_import_nothing_that_could_be_planted(compiled: Path) -> None:
    for name, subsystem in (("electrum.exe", "WINDOWS_CUI"), ("electrumw.exe", "WINDOWS_GUI")):
        pe = pefile.PE(str(compiled / name))
        imported = {entry.dll.decode().lower() for entry in pe.DIRECTORY_ENTRY_IMPORT}
        others = {dll for dll in imported if not dll.startswith("api-ms-win-crt-")}
        # Both are KnownDLLs: Windows takes them from System32 whatever lies beside the program.
        assert others <= {"kernel32.dll", "advapi32.dll"}
        assert pefile.SUBSYSTEM_TYPE[pe.OPTIONAL_HEADER.Subsystem] == f"IMAGE_SUBSYSTEM_{subsystem}"
        assert pe.FILE_HEADER.TimeDateStamp == 0
        pe.close()
