"""One instance per data folder: a lock on a file that is held open, which ends with the process however that ends."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


class Lock:
    """A lock that is held until ``release`` or the process's end. Not inherited by children."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Lock | None:
        """The lock on a file, made if need be; ``None`` where another process holds it. Raises ``OSError``.

        On Unix it is a POSIX lock on the first byte, which is what Wine makes of Windows' own.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform == "win32":
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
        except OSError:
            # Held: on Windows EACCES, under Wine a number that has no name, on Unix one of two (fcntl(2)).
            os.close(descriptor)
            return None
        return cls(descriptor)

    def release(self) -> None:
        os.close(self._descriptor)
