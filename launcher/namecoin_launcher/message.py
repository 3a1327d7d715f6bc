"""Telling somebody: on stderr, or in a window where there is none."""

from __future__ import annotations

import contextlib
import sys

TITLE = "Namecoin for Tor Browser"


def tell(text: str, *, window: bool = False) -> None:
    """Say it on stderr. Windowless programs on Windows have none: then in a box if ``window``, else nowhere."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            print(f"namecoin: {text}", file=sys.stderr, flush=True)
    elif window and sys.platform == "win32":
        import ctypes

        # MB_ICONERROR | MB_SETFOREGROUND; the DLL from System32 and nowhere else.
        with contextlib.suppress(OSError):
            ctypes.WinDLL("user32", winmode=0x0800).MessageBoxW(None, text, TITLE, 0x10010)
