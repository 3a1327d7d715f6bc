"""Hypothesis strategies: files of a format, and what is left of one after a few bytes were changed in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hypothesis import strategies as st

#: Numbers that lie at the borders of what fields hold.
_EDGES = st.sampled_from([0, 1, 2, 3, 0x2F, 0x30, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])


@st.composite
def _mutate(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data) - 1))
        width = draw(st.sampled_from([1, 2, 4]))
        value = draw(st.one_of(_EDGES, st.integers(0, 0xFFFFFFFF), st.integers(0, len(data))))
        data[at : at + width] = value.to_bytes(4, "little")[:width]
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.integers(0, 9)) == 0 else data)


mutations: Callable[[Sequence[bytes]], st.SearchStrategy[bytes]] = _mutate
