"""What differs between targets in how a bundle is put together, as one table: nothing else asks which target it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from packager.specs import model


@dataclass(frozen=True, slots=True)
class Platform:
    """One target.

    ``python`` is the interpreter's path in a bundle, ``suffix`` what programs' names end in, ``stub`` the files of
    launcher/ that a program is compiled from. ``native``: what is built for it runs in its own build root, so its
    interpreter compiles the bundle's modules, and the root need not have the same version. ``markers`` are what
    dependencies' markers (PEP 508) see there, but for those about the interpreter.
    """

    python: str
    suffix: str
    stub: tuple[str, ...]
    native: bool
    markers: Mapping[str, str]


PLATFORMS: Mapping[model.Target, Platform] = MappingProxyType(
    {
        "windows-x86_64": Platform(
            python="python/python.exe",
            suffix=".exe",
            stub=("stub.c", "stub.manifest", "stub.rc"),
            native=False,
            markers={
                "os_name": "nt",
                "platform_machine": "AMD64",
                "platform_release": "10",
                "platform_system": "Windows",
                "platform_version": "10.0",
                "sys_platform": "win32",
            },
        ),
        "linux-x86_64": Platform(
            python="python/python3",
            suffix="",
            stub=("stub_linux.c",),
            native=True,
            markers={
                "os_name": "posix",
                "platform_machine": "x86_64",
                "platform_release": "",
                "platform_system": "Linux",
                "platform_version": "",
                "sys_platform": "linux",
            },
        ),
    }
)


def platform_of(bundle: model.Bundle) -> Platform:
    """The platform of a bundle's variant, which has one target."""
    return PLATFORMS[bundle.targets[0]]


def is_program(path: str) -> bool:
    """Whether a file of a bundle is a program, by its path in any layout.

    On Windows its name says so; on Linux programs are the interpreter, and what lies at the top and has no ending.
    """
    if path.lower().endswith(".exe") or path == PLATFORMS["linux-x86_64"].python:
        return True
    return "/" not in path and not PurePosixPath(path).suffix
