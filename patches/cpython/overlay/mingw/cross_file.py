#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print a Meson cross file for the toolchain in the environment: TRIPLET, CFLAGS and LDFLAGS."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping

#: First part of a triplet, and Meson's names for it: cpu_family, cpu.
PROCESSORS = {"x86_64": ("x86_64", "x86_64"), "i686": ("x86", "i686")}


def cross_file(environment: Mapping[str, str]) -> str:
    """The text of the cross file; raises KeyError if TRIPLET is not set, ValueError if its processor is not known."""
    triplet = environment["TRIPLET"]
    processor = triplet.partition("-")[0]
    if processor not in PROCESSORS:
        raise ValueError(f"TRIPLET: expected one that starts with {' or '.join(PROCESSORS)}, found {triplet!r}")
    family, cpu = PROCESSORS[processor]

    def flags(name: str) -> str:
        return "[" + ", ".join(repr(flag) for flag in shlex.split(environment.get(name, ""))) + "]"

    return f"""[binaries]
c = '{triplet}-gcc'
cpp = '{triplet}-g++'
ar = '{triplet}-gcc-ar'
strip = '{triplet}-strip'
windres = '{triplet}-windres'

[built-in options]
c_args = {flags("CFLAGS")}
c_link_args = {flags("LDFLAGS")}
cpp_args = {flags("CFLAGS")}
cpp_link_args = {flags("LDFLAGS")}

[host_machine]
system = 'windows'
cpu_family = '{family}'
cpu = '{cpu}'
endian = 'little'
"""


if __name__ == "__main__":
    sys.stdout.write(cross_file(os.environ))
