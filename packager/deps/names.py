"""How Windows compares file names, and what the loader makes of a module's name."""

from __future__ import annotations

#: Endings that a module's name may have; the loader adds ``.dll`` where a forwarder's target has none of them.
_ENDINGS = (".dll", ".exe", ".pyd", ".drv", ".sys", ".ocx", ".cpl", ".ax", ".acm", ".tsp")


def windows_key(name: str) -> str:
    """``name`` such that two names are the same to Windows when their keys are equal (one upper-case letter each)."""
    if name.isascii():
        return name.upper()
    return "".join(upper if len(upper := char.upper()) == 1 else char for char in name)


def module_name(name: str) -> str:
    """The file name that the loader looks for when asked for ``name``: without an ending it adds one.

    "If no file name extension is specified, the default library extension .dll is appended; a trailing point stands
    for no extension" (LoadLibrary's page).
    """
    if name.endswith("."):
        return name[:-1]
    return name if "." in name.replace("\\", "/").rpartition("/")[2] else f"{name}.dll"


def forwarder_parts(forwarder: str) -> tuple[str, str]:
    """A forwarder's file name and symbol (``NTDLL.RtlX`` gives ``NTDLL.dll`` and ``RtlX``; ``X.#12`` an ordinal).

    The last point divides the two, and ``.dll`` is added to names with points in them, too (``libpython3.13.PyX``).
    A text without a point gives an empty name.
    """
    module, _, symbol = forwarder.rpartition(".")
    if module and not module.lower().endswith(_ENDINGS):
        module += ".dll"
    return module, symbol


def encodable(text: str) -> str:
    """``text`` such that it can be written as UTF-8: a byte of a file's name that is not is shown as ``\\x..``."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # Half of a pair in a text that was never a file's name.
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
