"""A bundle's programs: small stubs compiled from launcher/ that load the bundled python and run one module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from packager import launcher, trees
from packager.application import ICONS, Vendored
from packager.component import TOOLS_FOLDER, Environment, tools_digests
from packager.errors import SpecError
from packager.keys import Key, path_digest
from packager.platforms import platform_of
from packager.progress import Reporter
from packager.sandbox import OUT, SRC, TOOLS, Sandbox
from packager.specs import model
from packager.specs.load import Project
from packager.store import Entry, Store

FORMAT = 1

#: The stack is as large as python.exe's (patches/cpython/overlay/mingw/build.toml says why). CFLAGS stay
#: out of the link: with -fstack-protector there, GCC's libssp comes in instead of mingw-w64's own guard.
_BUILD = """
$TRIPLET-windres -c 65001 -O coff stub.rc stub.res.o
python3 /build/tools/load_rules.py source --flags 0x800 > load_rules.s
$TRIPLET-gcc $CFLAGS -std=c11 -Wall -Wextra -Werror -municode -c stub.c -o stub.o
objects="stub.o stub.res.o load_rules.s"
$TRIPLET-gcc -municode $STUB_SUBSYSTEM $objects $LDFLAGS -Wl,--stack,8000000 -o "/build/out/$STUB_FILE"
python3 /build/tools/load_rules.py settle "/build/out/$STUB_FILE"
"""

_BUILD_LINUX = """
$TRIPLET-gcc $CFLAGS -std=gnu11 -Wall -Wextra -Werror stub_linux.c $LDFLAGS -o "/build/out/$STUB_FILE"
"""
_BUILDS: Mapping[model.Target, str] = MappingProxyType({"windows-x86_64": _BUILD, "linux-x86_64": _BUILD_LINUX})


def stubs_key(
    bundle: model.Bundle, project: Project, environment: Environment, application: Key, interpreter: model.Component
) -> Key:
    """Everything that goes into the stubs; of the application only its icons, which its key stands for."""
    return Key(
        "stubs",
        bundle.name,
        {
            "format": FORMAT,
            "version": bundle.version,
            "entry_points": bundle.entry_points,
            "sources": {name: path_digest(project.root / launcher.FOLDER / name) for name in platform_of(bundle).stub},
            "icons": application.digest if any(point.icon for point in bundle.entry_points) else None,
            "python": _python(bundle, interpreter),
            "build": _BUILDS[bundle.targets[0]],
            "tools": tools_digests(_BUILDS[bundle.targets[0]]),
            "environment": environment.inputs(),
        },
    )


def build_stubs(
    bundle: model.Bundle,
    key: Key,
    project: Project,
    environment: Environment,
    interpreter: model.Component,
    root: Path,
    vendored: Vendored,
    store: Store,
    reporter: Reporter,
) -> tuple[Entry, bool]:
    """Compile one program per entry point, or find them in the store (then True)."""

    def build(folder: Path) -> None:
        out = folder / "tree"
        out.mkdir()
        for point in bundle.entry_points:
            with store.work() as work:
                for name in platform_of(bundle).stub:
                    trees.copy_file(project.root / launcher.FOLDER / name, work / name)
                icon = vendored.entry.path / ICONS / f"{point.name}.ico"
                if icon.is_file():
                    trees.copy_file(icon, work / "stub.ico")
                (work / "config.h").write_text(
                    config_header(bundle, point, _python(bundle, interpreter), icon=icon.is_file()), "utf-8"
                )
                log = store.log(f"{bundle.name}-stubs")
                file = f"{point.name}{platform_of(bundle).suffix}"
                Sandbox(
                    root,
                    writable={SRC: work, OUT: out},
                    binds={TOOLS: TOOLS_FOLDER},
                    env={
                        **environment.variables(),
                        "STUB_FILE": file,
                        "STUB_SUBSYSTEM": "-mconsole" if point.console else "-mwindows",
                    },
                    perturbation=environment.perturbation,
                ).run(
                    ["bash", "-euc", _BUILDS[bundle.targets[0]]], what=f"compiling {file}", log=log, reporter=reporter
                )

    return store.make(key, build)


def config_header(bundle: model.Bundle, point: model.EntryPoint, python: str, *, icon: bool) -> str:
    """The ``config.h`` that a stub is compiled with: see launcher/README.md."""
    values = {
        "STUB_NAME": _quoted(point.name),
        "STUB_MODULE": _quoted(point.module),
        "STUB_PYTHON": _quoted(python),
        "STUB_DESCRIPTION": _quoted(point.description),
        "STUB_PRODUCT": _quoted(bundle.name),
        "STUB_VERSION": _quoted(bundle.version),
        "STUB_VERSION_WORDS": version_words(bundle.version),
    }
    lines = [f"#define {name} {value}" for name, value in values.items()]
    if not point.console:
        lines.append("#define STUB_WINDOWLESS 1")
    if icon:
        lines.append('#define STUB_ICON "stub.ico"')
    return "\n".join(lines) + "\n"


def _python(bundle: model.Bundle, interpreter: model.Component) -> str:
    """What a stub looks for in python/: a DLL without its ending on Windows, the program on Linux."""
    platform = platform_of(bundle)
    return PurePosixPath(platform.python).name if platform.native else python_library(interpreter)


def _quoted(text: str) -> str:
    """A C string literal in UTF-8; JSON's escapes are C's, but windres takes ``\\u`` literally."""
    return json.dumps(text, ensure_ascii=False)


def version_words(version: str) -> str:
    """A version as the four 16-bit numbers of a VERSIONINFO resource: ``4.3.4`` is ``4,3,4,0``."""
    numbers = [int(part) for part in version.split(".") if part.isdecimal()][:4]
    if not numbers or max(numbers) > 0xFFFF:
        raise SpecError(f"version: expected numbers with dots, each below 65536, found {version!r}")
    return ",".join(str(number) for number in [*numbers, 0, 0, 0, 0][:4])


def python_library(interpreter: model.Component) -> str:
    """The name of the interpreter's DLL without its ending: 3.13.5 has ``python313``."""
    major, minor, *_ = interpreter.version.split(".")
    return f"python{major}{minor}"
