# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for a bundle's ``encodings`` while it is recorded what its programs open; then becomes the real one.

``encodings`` is the first module that every interpreter loads from a file, however it was started: with -I or -S, by
another program or by itself. So this sees all others, and changes nothing else. Each process writes a file of its own,
one opened path per line, at once: it does not matter how the process ends. The first line is this file's own path.
"""

import marshal
import sys

if sys.platform != "win32":
    raise ImportError("made for Python on Windows")

import nt


def _begin() -> None:
    log = nt.open(
        rf"@LOG@\{nt.getpid()}.txt", nt.O_WRONLY | nt.O_CREAT | nt.O_APPEND | nt.O_BINARY | nt.O_NOINHERIT, 0o644
    )
    seen = set()

    def write(path: object) -> None:
        if isinstance(path, bytes):
            path = path.decode("utf-8", "replace")
        if isinstance(path, str) and path not in seen:
            seen.add(path)
            nt.write(log, (path + "\n").encode())

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        # open(path, mode, flags); import(module, filename, ...), with a file name for extension modules;
        # ctypes.dlopen(name): "Audit events table" in Python's documentation.
        if event == "open" or event == "ctypes.dlopen":
            write(arguments[0])
        elif event == "import":
            write(arguments[1])

    write(__file__)
    sys.addaudithook(hook)


_begin()
del _begin
# The real module's code, in this module's place.
with __import__("io").open_code(__file__ + "c") as _stream:
    _code = marshal.loads(_stream.read()[16:])
del _stream
exec(_code, globals())
