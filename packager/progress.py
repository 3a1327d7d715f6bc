"""What the library tells of its work while it works; the command line decides how it looks."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Reporter(Protocol):
    """Receives progress. Every method returns at once and never raises."""

    def stage(self, name: str, detail: str) -> None:
        """A stage begins (``fetch``, ``component``...), with what it works on."""

    def done(self, name: str, detail: str, seconds: float, *, cached: bool) -> None:
        """A stage ended; ``cached`` says that its result was in the store."""

    def note(self, text: str) -> None:
        """Something the user should know that is not an error."""

    def output(self, line: str) -> None:
        """One line printed by a program of the stage."""

    def transfer(self, name: str, received: int, total: int | None) -> None:
        """Bytes received so far of a download; ``total`` is None where the server does not say."""


class Silent:
    """A reporter for callers that want none."""

    def stage(self, name: str, detail: str) -> None: ...

    def done(self, name: str, detail: str, seconds: float, *, cached: bool) -> None: ...

    def note(self, text: str) -> None: ...

    def output(self, line: str) -> None: ...

    def transfer(self, name: str, received: int, total: int | None) -> None: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one stage took, in seconds, and whether the store had its result."""

    stage: str
    detail: str
    seconds: float
    cached: bool


@dataclass(slots=True)
class Clock:
    """Times stages and tells a reporter; collects the timings in order."""

    reporter: Reporter
    timings: list[Timing] = field(default_factory=list)

    @contextmanager
    def stage(self, name: str, detail: str) -> Iterator[Mark]:
        """Around one stage; set ``cached`` on what is yielded when nothing had to be done."""
        mark = Mark()
        self.reporter.stage(name, detail)
        start = time.monotonic()
        yield mark
        seconds = time.monotonic() - start
        self.timings.append(Timing(name, detail, seconds, mark.cached))
        self.reporter.done(name, detail, seconds, cached=mark.cached)


@dataclass(slots=True)
class Mark:
    """What a stage says of itself while it runs."""

    cached: bool = False
