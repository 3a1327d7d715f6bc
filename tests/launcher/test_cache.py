"""The cache: what it keeps, for how long, and what goes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver.cache import Cache


def test_entries_end_with_their_time() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1, 10.0)
    assert cache.get("a", 9.9) == 1
    assert cache.get("a", 10.0) is None
    assert len(cache) == 0


def test_the_least_recently_used_goes_first() -> None:
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1, 10.0)
    cache.put("b", 2, 10.0)
    assert cache.get("a", 0) == 1
    cache.put("c", 3, 10.0)
    assert [cache.get(key, 0) for key in "abc"] == [1, None, 3]
    cache.put("a", 4, 20.0)
    assert (cache.get("a", 15.0), len(cache)) == (4, 2)
    cache.clear()
    assert len(cache) == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 9)), max_size=60))
def test_never_more_than_its_size_and_never_stale(steps: list[tuple[int, int]]) -> None:
    cache: Cache[int, int] = Cache(3)
    for now, (key, lifetime) in enumerate(steps):
        found = cache.get(key, now)
        assert found is None or now < found
        cache.put(key, now + lifetime, now + lifetime)
        assert len(cache) <= 3
