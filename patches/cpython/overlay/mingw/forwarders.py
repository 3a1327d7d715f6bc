#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make python3.dll's definition file: the stable ABI, forwarded to python3xx.dll.

``forwarders.py PC/python3dll.c OUTPUT TARGET``: the C file lists the names as EXPORT_FUNC(name) and EXPORT_DATA(name),
for Visual C++'s linker only; OUTPUT gets the same for GNU ld, every name forwarded to the DLL TARGET (no extension).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

#: Names of the stable ABI that a release build with GCC does not have; a forward to nowhere hangs or fails at run time.
NOT_BUILT = {
    "PyOS_CheckStack": "USE_STACKCHECK needs Visual C++'s structured exceptions",
    "_Py_NegativeRefcount": "only with Py_REF_DEBUG",
    "_Py_RefTotal": "only with Py_REF_DEBUG",
}


def definition_file(source: str, target: str) -> str:
    """The text of a .def file that forwards each name exported in ``source``, but NOT_BUILT, to the DLL ``target``.

    Raises ValueError if ``source`` exports nothing, as then its form is not the one known here.
    """
    exports = re.findall(r"^EXPORT_(FUNC|DATA)\((\w+)\)", source, re.MULTILINE)
    if not exports:
        raise ValueError("expected EXPORT_FUNC(name) or EXPORT_DATA(name) lines, found none")
    lines = [
        f"{name} = {target}.{name}" + (" DATA" if kind == "DATA" else "")
        for kind, name in exports
        if name not in NOT_BUILT
    ]
    return "\n".join(["EXPORTS", *lines, ""])


def main(arguments: Iterable[str]) -> int:
    """Write the definition file."""
    source, output, target = arguments
    Path(output).write_text(definition_file(Path(source).read_text(encoding="utf-8"), target), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
