"""Zip archives whose members are stored, made in one way only: the same members give the same bytes everywhere.

zipfile is not used for writing: what it sets in headers belongs to its version. Layouts are PKWARE's APPNOTE 6.3, 4.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from packager.formats.errors import FormatError
from packager.formats.fields import check_epoch
from packager.formats.zip import UTF8, dos_stamp

_LOCAL_HEADER = struct.Struct("<4s3H4s3I2H")
_CENTRAL_HEADER = struct.Struct("<4s4H4s3I5H2I")
_END_RECORD = struct.Struct("<4s4H2IH")
#: Made on Unix, as what is in archives of bundles; 2.0 is what folders and stored members need.
_MADE_BY, _NEEDED = 3 << 8 | 20, 20
#: A regular file with the mode 0644, in the half that is Unix'.
_ATTRIBUTES = 0o100644 << 16
_MOST_MEMBERS, _MOST_BYTES = 0xFFFF, 0xFFFFFFFF


def pack(members: Mapping[str, bytes], epoch: int) -> bytes:
    """The archive of ``members``, content by name with ``/``, each with the time ``epoch`` (seconds since 1970).

    Sorted by the names' bytes, stored, mode 0644; no folders, extra fields, comments or data descriptors. It is what
    :func:`packager.formats.zip.normalise` leaves as it is. Raises FormatError for what would need zip64; SpecError when
    ``epoch`` is out of its range.
    """
    check_epoch(epoch)
    stamp = dos_stamp(epoch)
    body, directory = bytearray(), bytearray()
    for name, content in sorted((name.encode("utf-8"), content) for name, content in members.items()):
        flags = 0 if name.isascii() else UTF8
        common = (flags, 0, stamp, zlib.crc32(content), len(content), len(content))
        directory += _CENTRAL_HEADER.pack(
            b"PK\x01\x02", _MADE_BY, _NEEDED, *common, len(name), 0, 0, 0, 0, _ATTRIBUTES, len(body)
        )
        directory += name
        body += _LOCAL_HEADER.pack(b"PK\x03\x04", _NEEDED, *common, len(name), 0) + name + content
        if len(body) + len(directory) > _MOST_BYTES:
            raise FormatError(f"expected at most {_MOST_BYTES} bytes in a zip archive, found more")
    count = len(members)
    if count > _MOST_MEMBERS:
        raise FormatError(f"expected at most {_MOST_MEMBERS} members in a zip archive, found {count}")
    end = _END_RECORD.pack(b"PK\x05\x06", 0, 0, count, count, len(directory), len(body), 0)
    return bytes(body + directory + end)
