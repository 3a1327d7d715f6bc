"""The interpreter for developers: every module that upstream's build has, venv, pip, and extension modules built for it."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from packager import components
from packager.sandbox import Sandbox
from packager.sources.fetch import entry_key
from packager.sources.store import SourceStore
from packager.specs.load import Project
from packager.store import Store
from tests.integration.conftest import ROOT, BuiltBundle, no_git, packager
from tests.support import Recorder

OPTIONS = components.Options(toolchain="trixie-ucrt64", target="windows-x86_64", jobs=1, offline=True)


@pytest.fixture(scope="module", params=["cpython", "cpython-3.12"])
def version(request: pytest.FixtureRequest) -> str:
    """The name of each version's component in turn."""
    return str(request.param)


@pytest.fixture(scope="module")
def built(version: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, BuiltBundle]:
    """The three components that are made of a version's source, under the names that the first version's have."""
    out = tmp_path_factory.mktemp("components")
    names = [version, f"{version}-development", f"{version}-tests"]
    done = packager("--json", "component", *names, "--out", out, timeout=3000)
    reason = no_git(done, version)
    if reason is not None:
        pytest.skip(reason)
    assert done.returncode == 0, done.stderr.decode()
    return {
        item["name"].replace(version, "cpython"): BuiltBundle(Path(item["folder"]), out, item)
        for item in json.loads(done.stdout)["built"]
    }


@pytest.fixture(scope="module")
def development(built: dict[str, BuiltBundle]) -> BuiltBundle:
    """An installation with headers, import libraries, venv and pip."""
    return built["cpython-development"]


@pytest.fixture(scope="module")
def tests(built: dict[str, BuiltBundle]) -> BuiltBundle:
    """The same with CPython's tests."""
    return built["cpython-tests"]


@pytest.fixture(scope="module")
def pcbuild(version: str, tmp_path_factory: pytest.TempPathFactory, store: Path, built: dict[str, BuiltBundle]) -> Path:
    """PCbuild of the pinned source, as upstream has it."""
    source = components.make_plan(Project(ROOT), [version], OPTIONS).components[-1].source
    archive = SourceStore(store).entry(entry_key(source), source.file)
    folder = tmp_path_factory.mktemp("source")
    with tarfile.open(archive) as tar:
        for member in tar:
            name = member.name.partition("/PCbuild/")[2]
            if name.endswith((".vcxproj", ".proj", ".props")) and (reader := tar.extractfile(member)) is not None:
                (folder / name).write_bytes(reader.read())
    return folder


def vcxproj() -> ModuleType:
    """The overlay's reader of project files."""
    path = ROOT / "patches/cpython/overlay/mingw/vcxproj.py"
    spec = importlib.util.spec_from_file_location("vcxproj", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        spec.loader.exec_module(module)
    return module


def modules(folder: Path) -> set[str]:
    """The extension modules in a folder, by name."""
    return {path.stem for path in folder.glob("*.pyd")}


def test_every_extension_module_of_upstreams_build_is_there(built: dict[str, BuiltBundle], pcbuild: Path) -> None:
    # Not by way of pcbuild.proj, which the build itself goes by: a project makes a module if it says .pyd for one.
    made = {
        path.stem
        for path in pcbuild.glob("*.vcxproj")
        if re.search(r"<TargetExt>(\$\(PyStdlibPydExt\)|\.pyd)<", path.read_text("utf-8-sig"))
    }
    assert len(made) > 30
    folder = built["cpython-tests"].folder / "python/DLLs"
    # The project sqlite3 makes a DLL for _sqlite3, and says .pyd all the same. OpenSSL's has no such line, libffi's neither.
    libraries = {path.stem for path in folder.glob("*.dll")}
    assert modules(folder) | libraries == made - {"_tkinter"} | {"libcrypto-3", "libssl-3"}
    assert "sqlite3" in libraries


def test_test_modules_are_in_no_bundle(built: dict[str, BuiltBundle], pcbuild: Path, electrum: BuiltBundle) -> None:
    solution = vcxproj().read_project(pcbuild / "pcbuild.proj", {"Configuration": "Release", "Platform": "x64"})
    only_tests = {item.include for item in solution.of_kind("TestModules")}
    everything = modules(built["cpython-tests"].folder / "python/DLLs")
    assert only_tests - everything == {"_testembed"}  # a program
    for folder in (built["cpython"].folder / "bundle/python", built["cpython-development"].folder / "python"):
        assert modules(folder / "DLLs") == everything - only_tests
        assert not (folder / "Lib/test").exists()
    assert not modules(electrum.folder / "python/DLLs") & only_tests
    assert not list(electrum.folder.rglob("venv*launcher.exe"))


def test_every_module_imports(tests: BuiltBundle) -> None:
    names = sorted(modules(tests.folder / "python/DLLs"))
    code = f"import importlib\nfor name in {names}: importlib.import_module(name)\nprint('all')"
    assert tests.output("-c", code, python=True) == "all\n"


#: _wmi waits a second for the connection, which a busy machine may not make in time; CPython's own tests ask again, too.
ASK_WMI = """
import _wmi
for _ in range(60):
    try:
        print(_wmi.exec_query("SELECT Version FROM Win32_OperatingSystem"))
        break
    except (BrokenPipeError, TimeoutError):
        pass
"""


def test_wmi_answers(development: BuiltBundle) -> None:
    done = development.run("-c", ASK_WMI, python=True)
    assert done.returncode == 0, done
    assert done.stdout.startswith(b"Version=10."), done
    assert done.stderr == b"", done


@pytest.mark.parametrize("name", ["test_mmap", "test_capi.test_bytes", "test_xxlimited", "test_importlib.extension"])
def test_upstreams_tests_pass(tests: BuiltBundle, tmp_path: Path, name: str) -> None:
    done = tests.run("-m", "unittest", f"test.{name}", python=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()
    assert b"\nOK" in done.stderr.replace(b"\r", b"")


def test_long_double_is_aligned_and_passed_as_the_compiler_has_it(tests: BuiltBundle, tmp_path: Path) -> None:
    names = ["test.test_capi.test_misc.TestHeapTypeRelative", "test.test_ctypes.test_cfuncs"]
    done = tests.run("-m", "unittest", *names, python=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode()


def test_the_installation_is_a_general_interpreter(development: BuiltBundle, tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("print('mine')")
    done = development.output("-c", "import planted", python=True, switches=["--env", f"PYTHONPATH={tmp_path}"])
    assert done == "mine\n"


WHEEL = {
    "pure.py": "def greet(): return 'hello from a wheel'\n",
    "pure-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: pure\nVersion: 1.0\n",
    "pure-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "pure-1.0.dist-info/entry_points.txt": "[console_scripts]\ngreet = pure:main\n",
    "pure-1.0.dist-info/RECORD": "",
}

VENV = """
import pathlib, subprocess, sys
folder = pathlib.Path.cwd()
subprocess.run([sys.executable, "-m", "venv", str(folder / "env")], check=True)
python = folder / "env" / "Scripts" / "python.exe"
def run(*arguments):
    return subprocess.run([python, *arguments], check=True, capture_output=True, text=True).stdout
code = "import sys; print(sys.prefix != sys.base_prefix, sys.executable)"
inside, executable = run("-c", code).split()
assert inside == "True" and pathlib.Path(executable) == python, (inside, executable)
run("-m", "pip", "install", "--no-index", "--disable-pip-version-check", "--find-links", str(folder / "wheels"), "pure")
print(run("-c", "import pure; print(pure.greet(), pure.__file__)"))
print(run("-m", "pip", "list", "--format=freeze", "--disable-pip-version-check"))
"""


def test_venv_and_pip_install_from_a_local_folder(development: BuiltBundle, tmp_path: Path) -> None:
    (tmp_path / "wheels").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels/pure-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in WHEEL.items():
            wheel.writestr(name, text)
    said = development.output("-c", VENV, python=True, cwd=tmp_path)
    assert "hello from a wheel" in said
    assert "\\env\\Lib\\site-packages\\pure.py" in said
    assert "pure==1.0" in said
    assert (tmp_path / "env/Scripts/greet.exe").is_file()


SPAM = """
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *
add(PyObject *module, PyObject *args)
{
    long long a, b;
    if (!PyArg_ParseTuple(args, "LL", &a, &b)) {
        return NULL;
    }
    return PyLong_FromLongLong(a + b);
}

static PyMethodDef methods[] = {{"add", add, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "NAME", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC
PyInit_NAME(void)
{
    return PyModule_Create(&module);
}
"""


def test_an_extension_module_is_built_with_what_sysconfig_says(
    development: BuiltBundle, tmp_path: Path, store: Path
) -> None:
    code = (
        "import sysconfig, json; v = sysconfig.get_config_vars(); v['include'] = sysconfig.get_path('include');"
        "print(json.dumps({k: str(x) for k, x in v.items()}))"
    )
    said = json.loads(development.output("-c", code, python=True))
    suffix, stable = said["EXT_SUFFIX"], said["SHLIB_SUFFIX"]

    def inside(path: str) -> str:
        """A folder of the installation, which lies at C:\\bundle under Wine, in the build root."""
        return "/build/python" + path.removeprefix("C:\\bundle\\python").replace("\\", "/")

    assert inside(said["include"]) == "/build/python/Include"
    commands = []
    for name, extra, library, ending in (
        ("spam", "", said["LIBPYTHON"], suffix),
        ("eggs", "-DPy_LIMITED_API=0x030a0000", "-lpython3", stable),
    ):
        (tmp_path / f"{name}.c").write_text(SPAM.replace("NAME", name))
        commands += [
            f"{said['CC']} {said['CPPFLAGS']} {said['CFLAGS']} -Wall -Werror {extra} -I{inside(said['include'])} -c {name}.c",
            f"{said['LDSHARED']} {name}.o -L{inside(said['LIBDIR'])} {library} -o {name}{ending}",
        ]
    plan = components.make_plan(Project(ROOT), ["cpython"], OPTIONS)
    root = Store.open(store, Recorder()).find(plan.root.key)
    assert root is not None
    box = Sandbox(root.tree, writable={"/build/src": tmp_path}, binds={"/build/python": development.folder / "python"})
    log = tmp_path / "log"
    box.run(["bash", "-ec", "\n".join(commands)], what="building spam and eggs", log=log, reporter=Recorder())
    assert shlex.split(said["CC"])[0].endswith("-gcc")
    code = "import spam, eggs; print(spam.add(2**40, 1), eggs.add(2, 3), spam.__file__, eggs.__file__)"
    total, five, *files = development.output("-c", code, python=True, cwd=tmp_path).split()
    assert (int(total), int(five)) == (2**40 + 1, 5)
    assert [Path(file.replace("\\", "/")).name for file in files] == [f"spam{suffix}", f"eggs{stable}"]
