#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the module _sysconfigdata__win32_: what sysconfig says of the compiler, for building extension modules.

``sysconfigdata.py VERSION``, with TRIPLET, CFLAGS and LDFLAGS in the environment as recipes have them.  Programs are
named without a folder: a compiler of this name, somewhere on PATH, is all that a build needs.
"""

from __future__ import annotations

import os
import pprint
import shlex
import sys
from collections.abc import Mapping

#: What the interpreter itself is compiled with and its headers want: UCRT's Windows 10, as in build.toml.
DEFINITIONS = ("-D_WIN32_WINNT=0x0A00", "-DWINVER=0x0A00", "-DNTDDI_VERSION=0x0A000004")


def build_time_vars(environment: Mapping[str, str], version: str) -> dict[str, str]:
    """The variables, under the names that they have on Unix; KeyError if TRIPLET is not set.

    Flags that only make sense in the sandbox (the prefix map) are left out, and so is ``-s``: whether a module keeps
    its symbols is for whoever builds it to say.
    """
    triplet = environment["TRIPLET"]
    compiler_flags = [
        flag for flag in shlex.split(environment.get("CFLAGS", "")) if not flag.startswith("-ffile-prefix-map=")
    ]
    linker_flags = [flag for flag in shlex.split(environment.get("LDFLAGS", "")) if flag != "-s"]
    tools = {name: f"{triplet}-{tool}" for name, tool in (("CC", "gcc"), ("CXX", "g++"), ("AR", "gcc-ar"))}
    shared = shlex.join([f"{triplet}-gcc", "-shared", *linker_flags])
    return {
        **tools,
        "ARFLAGS": "rcs",
        "CCSHARED": "",
        "CFLAGS": shlex.join([*compiler_flags, "-fno-strict-overflow", "-fno-strict-aliasing"]),
        "CPPFLAGS": shlex.join(DEFINITIONS),
        "HOST_GNU_TYPE": triplet,
        "LDCXXSHARED": shared.replace("-gcc", "-g++", 1),
        "LDFLAGS": shlex.join(linker_flags),
        "LDSHARED": shared,
        "LIBPYTHON": f"-lpython{version.replace('.', '')}",
        "LIBS": "",
        "SHLIB_SUFFIX": ".pyd",
    }


def module(variables: Mapping[str, str]) -> str:
    """The module's text."""
    return (
        f"# What this interpreter was compiled with.\nbuild_time_vars = {pprint.pformat(dict(variables), width=100)}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(module(build_time_vars(os.environ, sys.argv[1])))
