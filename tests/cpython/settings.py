"""What tests/cpython/files.toml and tests/cpython/expected.toml say, as values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from packager.errors import SpecError
from packager.specs.load import parse
from packager.specs.model import NonEmpty

FILES = Path(__file__).with_name("files.toml")
EXPECTED = Path(__file__).with_name("expected.toml")

Reason = Annotated[str, Meta(min_length=10)]


class Files(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which files are run, and how. ``seconds`` is each file's time limit, but for those in ``limits``.

    ``resources`` are regrtest's, enabled for all files; ``also`` has more for some. Files in ``build_tree`` suppose that CPython
    was built where it is run.
    """

    resources: tuple[str, ...]
    also: Mapping[str, tuple[str, ...]]
    build_tree: tuple[str, ...]
    seconds: int
    limits: Mapping[str, int]
    excluded: Mapping[str, Reason]
    short: tuple[str, ...]


class Failing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Tests that fail for one reason. ``run``: whether they are run at all; ``at_times``: they do not always fail."""

    tests: Annotated[tuple[str, ...], Meta(min_length=1)]
    kind: Literal["wine", "environment", "ours"]
    why: Reason
    run: bool = True
    at_times: bool = False


class ExpectedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file that does not pass in full, or not always."""

    name: str
    failing: Annotated[tuple[Failing, ...], Meta(min_length=1)]


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """expected.toml: ``skipped`` has, by name, why a file asks to be skipped."""

    skipped: Mapping[str, NonEmpty] = {}
    file: tuple[ExpectedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of all files: the reason by test id of each file, and the files that are skipped."""

    failing: Mapping[str, Mapping[str, Failing]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)

    def of(self, name: str) -> Mapping[str, Failing]:
        """The tests of a file that are expected to fail."""
        return self.failing.get(name, {})

    def left_out(self, name: str) -> frozenset[str]:
        """The tests of a file that are not to be run."""
        return frozenset(test for test, reason in self.of(name).items() if not reason.run)

    def ours(self) -> tuple[str, ...]:
        """The tests that fail by our own fault."""
        return tuple(
            f"{name}: {test}"
            for name, tests in self.failing.items()
            for test, reason in tests.items()
            if reason.kind == "ours"
        )


def read_files(path: Path = FILES) -> Files:
    """files.toml. SpecError where it is wrong."""
    return parse(path.read_text("utf-8"), Files, str(path))


def read_expected(path: Path = EXPECTED) -> Expected:
    """expected.toml. SpecError where it is wrong: a test twice in one file, a file twice, or failing and skipped."""
    document = parse(path.read_text("utf-8"), Document, str(path))
    failing: dict[str, Mapping[str, Failing]] = {}
    for number, item in enumerate(document.file):
        where = f"file[{number}]"
        if item.name in failing or item.name in document.skipped:
            raise SpecError.at(str(path), f"{where}.name", "each file once", f"{item.name} again")
        tests: dict[str, Failing] = {}
        for reason in item.failing:
            for test in reason.tests:
                if test in tests:
                    raise SpecError.at(str(path), f"{where}.failing", "each test once", f"{test} again")
                tests[test] = reason
        failing[item.name] = tests
    return Expected(failing, document.skipped)


def choose(found: Iterable[str], files: Files, wanted: Iterable[str] = ()) -> tuple[str, ...]:
    """The files to run, those with the longest limits first: ``wanted`` (a package's name stands for its files), or all.

    SpecError for a name in ``wanted``, or in files.toml, that stands for nothing.
    """
    there = tuple(found)

    def named(name: str) -> list[str]:
        return [item for item in there if item == name or item.startswith(f"{name}.")]

    for key, names in (
        ("limits", files.limits),
        ("also", files.also),
        ("build_tree", files.build_tree),
        ("excluded", files.excluded),
        ("short", files.short),
    ):
        for name in names:
            if not named(name):
                raise SpecError.at(str(FILES), key, "names of files in Lib/test", f"{name!r}")
    chosen = []
    for name in wanted:
        matching = named(name)
        if not matching:
            raise SpecError(f"{name}: expected a file in Lib/test, found none", hint="a name is such as test_os")
        chosen += matching
    if not chosen:
        chosen = [name for name in there if name not in files.excluded]
    return tuple(sorted(dict.fromkeys(chosen), key=lambda name: (-files.limits.get(name, 0), name)))
