"""What makes an intrusion harder: flags in every PE file, guarded buffers, and planted DLLs that nothing loads."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import lief
import pytest

from packager import process
from packager.deps import windows
from tests.integration import programs
from tests.integration.conftest import LIBRARIES, ROOT, BuiltBundle, packager

#: LOAD_LIBRARY_SEARCH_SYSTEM32; with LOAD_LIBRARY_SEARCH_APPLICATION_DIR; with LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR.
SYSTEM32, BESIDE, OWN_FOLDER = 0x800, 0xA00, 0x900
#: What imports :data:`LIBRARIES`.
IMPORT_LIBRARIES = {"_hashlib.pyd", "_sqlite3.pyd", "_ssl.pyd", "libssl-3.dll"}
Characteristic = lief.PE.OptionalHeader.DLL_CHARACTERISTICS
WANTED = (Characteristic.DYNAMIC_BASE, Characteristic.HIGH_ENTROPY_VA, Characteristic.NX_COMPAT)
Section = lief.PE.Section.CHARACTERISTICS
#: The exceptions for delayed imports with ERROR_MOD_NOT_FOUND and ERROR_PROC_NOT_FOUND, as lacking.exe prints them.
NO_DLL, NO_FUNCTION = b"exception 0xc06d007e", b"exception 0xc06d007f"

TOOLS = ROOT / "packager/data"
BUILD = """
flags="$CFLAGS -std=c11 -Wall -Wextra -Werror"
libraries="-lbcrypt -lcrypt32 -liphlpapi -lpropsys -lversion -lwinmm"
$TRIPLET-gcc -shared $flags -c mark.c
$TRIPLET-gcc -shared mark.o -o /build/out/mark.dll $LDFLAGS
$TRIPLET-gcc $flags -c plain.c
$TRIPLET-gcc plain.o -o /build/out/plain.exe $LDFLAGS $libraries

python3 load_rules.py source --flags 0x800 --delay bcrypt.dll=BCryptGenRandom --delay CRYPT32.dll=CertOpenStore \\
  --delay IPHLPAPI.DLL=if_nametoindex --delay PROPSYS.dll=VariantToString --delay VERSION.dll=GetFileVersionInfoSizeW \\
  --delay WINMM.dll=PlaySoundW > rules.s
$TRIPLET-gcc $flags -c delay_load.c
$TRIPLET-gcc plain.o delay_load.o rules.s -o /build/out/delayed.exe $LDFLAGS
python3 load_rules.py settle /build/out/delayed.exe

python3 load_rules.py source --flags 0x800 --delay nowhere.dll=PlaySoundW --delay bcrypt.dll=BCryptGenRandom,VariantToString \\
  --delay CRYPT32.dll=CertOpenStore --delay IPHLPAPI.DLL=if_nametoindex --delay VERSION.dll=GetFileVersionInfoSizeW > lacking.s
$TRIPLET-gcc plain.o delay_load.o lacking.s -o /build/out/lacking.exe $LDFLAGS
python3 load_rules.py settle /build/out/lacking.exe

$TRIPLET-gcc $flags -c overflow.c
$TRIPLET-gcc overflow.o -o /build/out/guarded.exe $LDFLAGS
$TRIPLET-gcc ${flags} -fno-stack-protector -U_FORTIFY_SOURCE -w -c overflow.c
$TRIPLET-gcc overflow.o -o /build/out/bare.exe $LDFLAGS
"""

#: Imports every extension module and calls what is delayed, and asks ctypes for the same DLLs by name.
EVERYTHING = """
import glob, importlib, os, sys
here = os.path.dirname(sys.executable)
names = [os.path.basename(path).partition(".")[0] for path in glob.glob(os.path.join(here, "DLLs", "*.pyd"))]
for name in [*sys.builtin_module_names, *names]:
    importlib.import_module(name)
import _wmi, ctypes, hashlib, platform, socket, ssl, winsound
os.urandom(8), sys.getwindowsversion().platform_version, ssl.RAND_bytes(8), hashlib.new("sha256", b"x").hexdigest()
print(len(ssl.enum_certificates("ROOT")) >= 0, isinstance(ssl.enum_crls("CA"), list), len(socket.if_nameindex()) > 0)
winsound.PlaySound(None, 0)
try:
    print(len(_wmi.exec_query("SELECT Caption, Version FROM Win32_OperatingSystem")) > 0)
except OSError as error:
    print("no WMI", error)
for name in %r:
    print(ctypes.WinDLL(name)._name)
print(len(names), "modules")
"""


@pytest.fixture(scope="module")
def compiled(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = ("mark.c", "plain.c", "overflow.c")
    sources = [*(programs.DATA / name for name in names), TOOLS / "load_rules.py", TOOLS / "delay_load.c"]
    return programs.compile_programs(store, sources, {}, BUILD, tmp_path_factory.mktemp("hardening") / "work")


def images(folder: Path) -> Iterator[tuple[Path, lief.PE.Binary]]:
    """Every PE file below a folder."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.read_bytes()[:2] == b"MZ":
            image = lief.PE.parse(str(path))
            assert image is not None, path
            yield path, image


def imported(image: lief.PE.Binary) -> tuple[list[str], list[str]]:
    """The names of the DLLs that a file imports, and of those that it delays."""
    return [str(dll.name).lower() for dll in image.imports], [str(dll.name).lower() for dll in image.delay_imports]


def plantable(folder: Path) -> set[str]:
    """The DLLs of Windows that files below a folder import or delay and that are no KnownDLLs: stems, in lower case."""
    known = windows.load()
    shipped = {path.name.lower() for path in folder.rglob("*.dll")}
    found = set()
    for path, image in images(folder):
        for name in {*imported(image)[0], *imported(image)[1]} - known.known_dlls - shipped:
            if not windows.is_api_set(name):
                assert known.has(name), (path, name)
                found.add(name.removesuffix(".dll"))
    return found


def check(folder: Path) -> dict[str, int]:
    """Look at each PE file below a folder; gives the dependent load flags by file name."""
    known, flags = windows.load(), {}
    shipped = {path.name.lower() for path in folder.rglob("*.dll")}
    for path, image in images(folder):
        optional = image.optional_header
        assert all(optional.has(wanted) for wanted in WANTED), path
        assert (optional.major_subsystem_version, optional.minor_subsystem_version) == (10, 0), path
        assert (optional.major_operating_system_version, optional.minor_operating_system_version) == (10, 0), path
        sections = [section.characteristics_lists for section in image.sections]
        assert not any(Section.MEM_EXECUTE in one and Section.MEM_WRITE in one for one in sections), path
        if not any(Section.MEM_EXECUTE in one for one in sections):
            assert not image.imports, path
            continue
        assert image.has_relocations, path
        assert not image.header.has_characteristic(lief.PE.Header.CHARACTERISTICS.RELOCS_STRIPPED), path
        assert image.load_configuration is not None, path
        assert image.load_configuration.dependent_load_flags is not None, path
        flags[path.name] = image.load_configuration.dependent_load_flags
        static, delayed = imported(image)
        own = {name for name in static if name in LIBRARIES}
        for name in static:
            assert name in known.known_dlls | shipped or windows.is_api_set(name), (path, name)
            assert name not in shipped or name in own or re.fullmatch(r"python3\d*\.dll", name), (path, name)
        # Its own folder is searched, and first, if that has one of its DLLs, and only then.
        assert (flags[path.name] == OWN_FOLDER) == bool(own), path
        assert all((path.parent / name).is_file() for name in own), path
        assert not set(delayed) & known.known_dlls, path
    return flags


def test_each_file_of_a_bundle_is_hardened(bundle: BuiltBundle) -> None:
    flags = check(bundle.folder)
    # The .bit payload has the fewest.
    assert len(flags) >= 30
    expected = dict.fromkeys(("python.exe", "pythonw.exe"), BESIDE) | dict.fromkeys(IMPORT_LIBRARIES, OWN_FOLDER)
    found = {name: value for name, value in flags.items() if value != SYSTEM32}
    assert found == {name: value for name, value in expected.items() if name in flags}
    assert {"python.exe", "_ssl.pyd"} <= set(found)


def test_each_file_for_developers_and_tests_is_hardened(tmp_path: Path) -> None:
    done = packager("component", "cpython", "cpython-tests", "--out", tmp_path, timeout=3000)
    assert done.returncode == 0, done.stderr.decode()
    flags = check(tmp_path)
    assert {"venvlauncher.exe", "_testcapi.pyd", "xxlimited.pyd", "python313.dll", "_ctypes_test.pyd"} <= set(flags)
    expected = dict.fromkeys(("python.exe", "pythonw.exe", "_testembed.exe"), BESIDE)
    expected |= dict.fromkeys(IMPORT_LIBRARIES, OWN_FOLDER)
    assert {name: value for name, value in flags.items() if value != SYSTEM32} == expected


def test_guards_are_linked_in(electrum: BuiltBundle) -> None:
    """No flag of a PE file says so, but the texts with which a guarded program ends do."""
    libraries = [f"python/DLLs/{name}" for name in LIBRARIES]
    for name in ("python/python313.dll", "python/DLLs/_ssl.pyd", *libraries, "electrum.exe"):
        assert b"*** stack smashing detected ***" in (electrum.folder / name).read_bytes(), name
    for name in ("python/python313.dll", *libraries):
        assert b"*** buffer overflow detected ***" in (electrum.folder / name).read_bytes(), name


def run(store: Path, folder: Path, program: str, *arguments: str, cwd: Path | None = None) -> process.Result:
    """Run a program in a Wine that takes the files it finds.

    Without being told, it searches as Windows does, and then puts its own DLL in the place of most files that it finds.
    """
    files = ",".join(sorted(path.stem for path in folder.glob("*.dll")))
    return programs.run(store, folder, program, *arguments, cwd=cwd or folder, WINEDLLOVERRIDES=f"{files}=n,b")


@pytest.mark.parametrize("how", ["stack", "copy", "print", "heap"])
def test_an_overflow_ends_the_program(how: str, compiled: Path, store: Path) -> None:
    kind = b"stack smashing" if how == "stack" else b"buffer overflow"
    within = run(store, compiled, "guarded.exe", how, "0")
    assert (within.returncode, within.stdout.split()[-1]) == (0, b"survived")
    beyond = run(store, compiled, "guarded.exe", how, "1")
    assert beyond.returncode != 0
    assert b"*** " + kind + b" detected ***: terminated" in beyond.stderr
    assert b"survived" not in beyond.stdout


@pytest.mark.parametrize("how", ["copy", "print", "heap"])
def test_without_the_flags_it_does_not(how: str, compiled: Path, store: Path) -> None:
    """Proves that the flags are what ended the program in the test above."""
    done = run(store, compiled, "bare.exe", how, "1")
    assert (done.returncode, done.stdout.split()[-1]) == (0, b"survived")


def test_without_the_flags_a_smashed_stack_is_not_noticed(compiled: Path, store: Path) -> None:
    assert b"smashing" not in run(store, compiled, "bare.exe", "stack", "1").stderr


@pytest.fixture
def planted(electrum: BuiltBundle, compiled: Path, tmp_path: Path) -> tuple[Path, tuple[str, ...]]:
    """A copy of a bundle with a planted file for each DLL, wherever one may lie; and the DLLs' names."""
    names = tuple(sorted(plantable(electrum.folder)))
    copy = tmp_path / electrum.folder.name
    shutil.copytree(electrum.folder, copy)
    for folder in (copy, copy / "python", copy / "python/DLLs", copy / "app", copy / "app/electrum", tmp_path):
        for name in (*names, "psapi", "shell32", "cryptbase"):
            shutil.copy(compiled / "mark.dll", folder / f"{name}.dll")
    # The modules of the interpreter find it loaded, and look for no file.
    for folder in (copy, copy / "python/DLLs", copy / "app", tmp_path):
        shutil.copy(compiled / "mark.dll", folder / "python313.dll")
    shutil.copy(compiled / "mark.dll", copy / "python/DLLs/python3.dll")
    # Those in DLLs are found where the modules that import them lie.
    for folder in (copy, copy / "python", copy / "app", tmp_path):
        for name in LIBRARIES:
            shutil.copy(compiled / "mark.dll", folder / name)
    for name in ("plain.exe", "delayed.exe", "lacking.exe"):
        shutil.copy(compiled / name, copy)
    shutil.copy(compiled / "mark.dll", copy / "nowhere.dll")
    return copy, names


def test_which_dlls_could_be_planted(electrum: BuiltBundle) -> None:
    assert plantable(electrum.folder) == {"bcrypt", "crypt32", "iphlpapi", "propsys", "version", "winmm"}


def test_a_plain_import_is_taken_from_beside_the_program(planted: tuple[Path, tuple[str, ...]], store: Path) -> None:
    """Proves that the tests below could fail: Wine, like Windows, loads each of the planted files."""
    folder, names = planted
    said = run(store, folder, "plain.exe").stdout.decode().split("\n")
    marks = {line.rpartition("\\")[2].strip().lower() for line in said if line.startswith("PLANTED ")}
    assert marks == {f"{name}.dll" for name in names}


def test_a_delayed_import_is_not(planted: tuple[Path, tuple[str, ...]], store: Path) -> None:
    folder, names = planted
    done = run(store, folder, "delayed.exe", *names)
    assert done.returncode == 0
    assert done.stdout.decode().split() == [word for name in names for word in (name, "1")]


def test_what_is_not_in_system32_is_not_looked_for_elsewhere(
    planted: tuple[Path, tuple[str, ...]], store: Path
) -> None:
    folder, _names = planted
    for name, code in (("winmm", NO_DLL), ("propsys", NO_FUNCTION)):
        done = run(store, folder, "lacking.exe", name)
        assert (done.returncode, done.stdout.strip()) == (3, code), done
        assert b"PLANTED" not in done.stderr, done


def test_the_interpreter_loads_no_planted_dll(planted: tuple[Path, tuple[str, ...]], store: Path) -> None:
    folder, names = planted
    for program in ("python/python.exe", "python/pythonw.exe"):
        done = run(store, folder, program, "-c", EVERYTHING % (names,), cwd=folder.parent)
        assert done.returncode == 0, done.stderr.decode()
        said = done.stdout.decode().split("\r\n" if b"\r\n" in done.stdout else "\n")
        assert "PLANTED" not in done.stdout.decode(), said
        assert said[-2].endswith(" modules")
        assert [line for line in said if line in names] == list(names)


def test_nor_does_the_stub(planted: tuple[Path, tuple[str, ...]], store: Path) -> None:
    folder, names = planted
    done = run(store, folder, "electrum.exe", "--offline", "version", cwd=folder.parent)
    assert (done.returncode, done.stdout.split()) == (0, [b"4.3.4"]), done
    # All that python.exe does, from within the stub's process.
    (folder / "app/run_electrum.pyc").unlink()
    (folder / "app/run_electrum.py").write_text(EVERYTHING % (names,))
    done = run(store, folder, "electrum.exe", cwd=folder.parent)
    assert done.returncode == 0, done.stderr.decode()
    assert "PLANTED" not in done.stdout.decode()
    assert done.stdout.decode().split()[-1] == "modules"


def test_ctypes_still_finds_what_lies_beside_the_program(planted: tuple[Path, tuple[str, ...]], store: Path) -> None:
    """Only names that Windows has come from System32; and with ``winmode`` the caller decides."""
    folder, _names = planted
    shutil.copy(folder / "python/propsys.dll", folder / "python/own.dll")
    code = "import ctypes; ctypes.WinDLL('own'); ctypes.WinDLL('propsys', winmode=0)"
    done = run(store, folder, "python/python.exe", "-c", code)
    assert done.stdout.decode().split() == [
        "PLANTED", r"C:\bundle\python\own.dll", "PLANTED", r"C:\bundle\python\propsys.dll",
    ]  # fmt: skip
