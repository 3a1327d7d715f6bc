#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down, as JSON, what a program sees of the machine that it runs on.

``observe.py FOLDER TARGET``: FOLDER is one whose names are listed in the order in which the system gives them, TARGET
the file to write.  Runs inside the build root and outside, so it needs nothing but the standard library of Python 3.11.
"""

from __future__ import annotations

import getpass
import json
import os
import sys
import time

#: Variables that are shown where they are set.
_VARIABLES = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "USER",
    "LOGNAME",
    "CC",
    "CFLAGS",
    "LDFLAGS",
    "SOURCE_DATE_EPOCH",
)


def observe(folder: str) -> dict[str, object]:
    """Everything that a perturbed build may change, as this process sees it."""
    return {
        "clock": int(time.time()),
        "zone": time.strftime("%z", time.localtime(0)),
        "host": os.uname().nodename,
        "user": _user(),
        "ids": f"{os.getuid()}:{os.getgid()}",
        "umask": _status("Umask"),
        "hash": hash("packager"),
        "cpus": os.cpu_count(),
        "usable": len(os.sched_getaffinity(0)),
        "order": os.listdir(folder),
        "folder": os.getcwd(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "nobody known"


def _status(field: str) -> str:
    """One line of /proc/self/status (proc(5)): the only way to see the umask without changing it."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        return next((line.split()[1] for line in lines if line.startswith(f"{field}:")), "unknown")


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="ascii") as sink:
        json.dump(observe(sys.argv[1]), sink)
