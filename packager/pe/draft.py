"""A file's bytes while they are being changed: copied once, when the first byte changes, and every change noted."""

from __future__ import annotations

import io

from packager.changes import Change


class Draft:
    """The bytes of one file, and what was done to them since.

    Whoever changes a draft holds no reference to an earlier ``data``: it would stay right, and cost a copy.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._buffer: io.BytesIO | None = None
        self._changes: list[Change] = []

    @property
    def data(self) -> bytes:
        """The bytes as they are now, without a copy; the very object that was given while nothing has changed."""
        return self._data if self._buffer is None else self._buffer.getvalue()

    @property
    def changes(self) -> tuple[Change, ...]:
        """What was done, by offset."""
        return tuple(sorted(self._changes, key=lambda change: change.offset))

    def __len__(self) -> int:
        return len(self.data)

    def put(self, field: str, offset: int, value: bytes) -> None:
        """Write ``value`` at ``offset``, inside the file; no change where it stands there already."""
        before = self.data[offset : offset + len(value)]
        if before != value:
            self._write(offset, value)
            self._changes.append(Change(field, offset, before, value))

    def cut(self, field: str, offset: int) -> None:
        """Take off everything from ``offset``, which is before the file's end."""
        before = self.data[offset:]
        self._open().truncate(offset)
        self._changes.append(Change(field, offset, before, b""))

    def pad(self, field: str, multiple: int) -> None:
        """Append zeros up to a multiple of ``multiple`` bytes; nothing where the length is one already.

        Where something was cut off here, the zeros are said to have taken the place of its first bytes, so that each
        change can be made and unmade whatever the others are.
        """
        at = len(self)
        zeros = bytes(-at % multiple)
        if not zeros:
            return
        self._write(at, zeros)
        while cut := next((change for change in self._changes if change.offset == at and not change.after), None):
            self._changes.remove(cut)
            gone, rest = cut.before[: len(zeros)], cut.before[len(zeros) :]
            if gone.strip(b"\0"):
                self._changes.append(Change(field, at, gone, zeros[: len(gone)]))
            at += len(gone)
            zeros = zeros[len(gone) :]
            if rest:
                self._changes.append(Change(cut.field, at, rest, b""))
                return
        if zeros:
            self._changes.append(Change(field, at, b"", zeros))

    def _write(self, offset: int, value: bytes) -> None:
        buffer = self._open()
        buffer.seek(offset)
        buffer.write(value)

    def _open(self) -> io.BytesIO:
        # Shares the memory of the bytes it is given until something is written, and gives its own away without a copy.
        if self._buffer is None:
            self._buffer = io.BytesIO(self._data)
        return self._buffer
