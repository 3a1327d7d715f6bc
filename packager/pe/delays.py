"""How a file's delayed imports are loaded, where that can be told.

A PE file says which imports are delayed, not what the code does that loads them when they are called. Visual C++'s and
mingw-w64's calls LoadLibrary. What packager/data/load_rules.py puts into a file has a mark before its tables.
"""

from __future__ import annotations

from packager.errors import PEError
from packager.pe.layout import Directory, Layout

#: ``MARK`` of load_rules.py: the two tables' addresses and sizes follow, the load configuration, the delayed imports.
_MARK = b"Loads DLLs by its load rules v1\0"
_BETWEEN = 4 * 4 + 0x70
_LOAD_LIBRARY_SEARCH_SYSTEM32 = 0x800


def delay_flags(data: bytes, layout: Layout) -> int:
    """The LOAD_LIBRARY_SEARCH_* with which ``data``'s delayed imports are loaded; 0: as LoadLibrary does, or not known.

    The mark is a statement of whoever made the file, like everything else in it.
    """
    directory = layout.directory(Directory.DELAY_IMPORT)
    if directory is None or directory.rva == 0:
        return 0
    length = len(_MARK)
    try:
        found = bytes(layout.read(data, max(0, directory.rva - _BETWEEN - length), length, "mark of load rules"))
    except PEError:
        return 0
    return _LOAD_LIBRARY_SEARCH_SYSTEM32 if found == _MARK else 0
