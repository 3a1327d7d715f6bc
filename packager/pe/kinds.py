"""Which files are PE images. Imports nothing, so that who needs only this starts quickly."""

from __future__ import annotations

from pathlib import Path

#: Endings of files that are PE images; in a folder, one of these that is broken is an error, other files are skipped.
PE_SUFFIXES = frozenset({".exe", ".dll", ".pyd", ".sys", ".efi", ".ocx", ".drv", ".cpl", ".scr", ".mui"})


def is_pe(path: Path) -> bool:
    """True when the file begins as a PE image does; False too when it cannot be read."""
    try:
        with path.open("rb") as file:
            if file.read(2) != b"MZ":
                return False
            file.seek(0x3C)
            file.seek(int.from_bytes(file.read(4), "little"))
            return file.read(4) == b"PE\0\0"
    except OSError:
        return False
