"""Cross-compile pycryptodomex's extension modules and copy its Python files, without setuptools.

What to compile is not written here: setup.py is run with a stand-in for setuptools that only takes down what it is
given, and upstream's compiler_opt.py picks macros and flags by asking the cross compiler. The modules are plain DLLs
that Cryptodome.Util._raw_api opens through ctypes; with NO_CPYTHON_MODULE, upstream's own switch, they need neither
Python's headers nor its library.

Environment: TRIPLET, CFLAGS, LDFLAGS, JOBS. Argument: the folder that gets Cryptodome/. Runs in the source folder.
"""

from __future__ import annotations

import importlib
import os
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

GCC = os.environ["TRIPLET"] + "-gcc"
WINDRES = os.environ["TRIPLET"] + "-windres"
CFLAGS = shlex.split(os.environ["CFLAGS"])
LDFLAGS = shlex.split(os.environ["LDFLAGS"])
#: Where Windows looks for a module's DLLs, in assembly; the recipe has it written.
LOAD_RULES = "load_rules.s"


@dataclass
class Extension:
    """Stands in for setuptools.Extension; compiler_opt.py edits its lists, so it is not frozen."""

    name: str
    sources: list[str]
    include_dirs: list[str] = field(default_factory=list)
    define_macros: list[tuple[str, str | None]] = field(default_factory=list)
    extra_compile_args: list[str] = field(default_factory=list)
    py_limited_api: bool = False


def stand_in(name: str, **attributes: Any) -> None:
    """Make `import name` give a module with just these attributes (setuptools and distutils are not installed)."""
    module = ModuleType(name)
    vars(module).update(attributes)
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


def target_supports(
    program: str, extra_cc_options: list[str] | None = None, extra_libraries: list[str] | None = None, msg: str = ""
) -> bool:
    """Replace compiler_opt.test_compilation: true if the cross compiler compiles and links the program."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "test.c")
        source.write_text(program, encoding="utf-8")
        libraries = [f"-l{name}" for name in extra_libraries or []]
        command = [GCC, *(extra_cc_options or []), str(source), "-o", str(Path(folder, "test.exe")), *libraries]
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        found = done.returncode == 0
    if msg:
        print(f"target {'supports' if found else 'does not support'} {msg}")
    return found


def read_setup() -> dict[str, Any]:
    """Run setup.py and return the keyword arguments that it passes to setup()."""
    taken: dict[str, Any] = {}
    stand_in("setuptools", Extension=Extension, Command=object, setup=taken.update)
    stand_in("setuptools.command")
    stand_in("setuptools.command.build_ext", build_ext=object)
    stand_in("setuptools.command.build_py", build_py=object)
    stand_in("distutils")
    stand_in("distutils.ccompiler")
    stand_in("distutils.errors", CCompilerError=RuntimeError)
    sys.path.insert(0, os.getcwd())
    vars(importlib.import_module("compiler_opt"))["test_compilation"] = target_supports
    runpy.run_path("setup.py")
    return taken


def run(command: list[str]) -> None:
    """Print and run a command; subprocess.CalledProcessError if it fails."""
    print(shlex.join(command), flush=True)
    subprocess.run(command, check=True)


def build(extension: Extension, resource: Path, out: Path) -> None:
    """Compile and link one extension module into its place under out.

    CFLAGS are kept from the link: with -fstack-protector there, gcc would take GCC's libssp, which asks the deprecated
    CryptoAPI for its guard value; mingw-w64's own guard comes from rand_s.
    """
    objects = Path("build", extension.name)
    objects.mkdir(parents=True)
    target = out.joinpath(*extension.name.split(".")).with_suffix(".pyd")
    macros = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in extension.define_macros]
    includes = [f"-I{folder}" for folder in extension.include_dirs]
    flags = [*CFLAGS, "-DNO_CPYTHON_MODULE", *macros, *includes, *extension.extra_compile_args]
    linked = [str(resource), LOAD_RULES]
    for number, source in enumerate(extension.sources):
        linked.append(str(objects / f"{number}.o"))
        run([GCC, *flags, "-c", source, "-o", linked[-1]])
    run([GCC, "-shared", *linked, *LDFLAGS, "-o", str(target)])


def main(out: Path) -> None:
    """Build everything that setup.py names, but for its self-tests, into out."""
    # compiler_opt.py takes the word size from the running python
    if not target_supports(
        f"char same_word_size[sizeof(void *) == {sys.maxsize.bit_length() // 8 + 1} ? 1 : -1];"
        "int main(void) { return 0; }"
    ):
        raise SystemExit("cross_build.py: the target's pointers differ in size from those of the running python")
    setup = read_setup()
    for package in setup["packages"]:
        path = Path(*package.split("."))
        if "SelfTest" in path.parts:
            continue
        (out / path).mkdir(parents=True)
        for source in sorted(Path("lib", path).glob("*.py")):
            shutil.copyfile(source, out / path / source.name)

    version = setup["version"]
    numbers = [*version.split("."), "0", "0", "0"][:4]
    resource = Path("version.o")
    defines = ["-D", f"VERSION_COMMAS={','.join(numbers)}", "-D", f'VERSION_TEXT=\\"{version}\\"']
    run([WINDRES, *defines, "version.rc", str(resource)])
    with ThreadPoolExecutor(int(os.environ["JOBS"])) as pool:
        list(pool.map(lambda extension: build(extension, resource, out), setup["ext_modules"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
