"""Fixtures of the tests that use the network: it is made once for all of them, and ends with pytest."""

from __future__ import annotations

import contextlib
import functools

import pytest

from tests.tor import world as worlds


@functools.cache
def _stack() -> contextlib.ExitStack:
    return contextlib.ExitStack()


@functools.cache
def _world() -> worlds.World:
    return _stack().enter_context(worlds.world())


@pytest.fixture(scope="session")
def world(request: pytest.FixtureRequest) -> worlds.World:
    """The network."""
    made = _world()
    request.config.add_cleanup(_stack().close)
    took = ", ".join(f"{what} after {seconds:.0f} s" for what, seconds in made.seconds.items())
    print(f"\na private Tor network: {took}")
    return made
