"""Build pycryptodomex's extension modules for Linux and copy its Python files: as cross_build.py, without resources.

The modules are shared libraries that need only the C library, with their symbols settled when they are opened.

Environment: TRIPLET, CFLAGS, LDFLAGS, JOBS. Argument: the folder that gets Cryptodome/. Runs in the source folder.
"""

from __future__ import annotations

import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cross_build


def build(extension: cross_build.Extension, out: Path) -> None:
    """Compile and link one extension module into its place under out."""
    objects = Path("build", extension.name)
    objects.mkdir(parents=True)
    target = out.joinpath(*extension.name.split(".")).with_suffix(".so")
    macros = [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in extension.define_macros]
    includes = [f"-I{folder}" for folder in extension.include_dirs]
    flags = [*cross_build.CFLAGS, "-fPIC", "-DNO_CPYTHON_MODULE", *macros, *includes, *extension.extra_compile_args]
    linked = []
    for number, source in enumerate(extension.sources):
        linked.append(str(objects / f"{number}.o"))
        cross_build.run([cross_build.GCC, *flags, "-c", source, "-o", linked[-1]])
    cross_build.run([cross_build.GCC, "-shared", *linked, *cross_build.LDFLAGS, "-o", str(target)])


def main(out: Path) -> None:
    """Build everything that setup.py names, but for its self-tests, into out."""
    setup = cross_build.read_setup()
    for package in setup["packages"]:
        path = Path(*package.split("."))
        if "SelfTest" in path.parts:
            continue
        (out / path).mkdir(parents=True)
        for source in sorted(Path("lib", path).glob("*.py")):
            shutil.copyfile(source, out / path / source.name)
    with ThreadPoolExecutor(int(os.environ["JOBS"])) as pool:
        list(pool.map(lambda extension: build(extension, out), setup["ext_modules"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
