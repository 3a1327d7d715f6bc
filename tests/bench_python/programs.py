"""The programs that are measured: pyperformance's, from PyPI, bound by their hash; benchmarks.toml lists them."""

from __future__ import annotations

import tomllib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from packager.errors import SourceError, SpecError
from packager.progress import Reporter
from packager.sources.fetch import SourceStore, fetch
from packager.specs import model

LIST = Path(__file__).with_name("benchmarks.toml")
#: Where the programs lie in pyperformance's wheel.
INSIDE = "pyperformance/data-files/benchmarks/"


@dataclass(frozen=True, slots=True)
class Program:
    """A folder of pyperformance's, without its ``bm_``, and the arguments of one run; it can have several benchmarks."""

    name: str
    arguments: tuple[str, ...] = ()

    @property
    def folder(self) -> str:
        """The folder's name."""
        return f"bm_{self.name}"

    def __str__(self) -> str:
        return " ".join([self.name, *self.arguments])


class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    arguments: tuple[tuple[str, ...], ...] = ((),)
    quick: bool = False


class _List(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pyperformance: model.Source
    programs: dict[str, _Entry]


def read_list(text: str) -> _List:
    """The parsed list. SpecError if it is not one."""
    try:
        return msgspec.convert(tomllib.loads(text), _List)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise SpecError(f"{LIST}: {exc}") from exc


def choose(entries: _List, *, quick: bool, only: Sequence[str]) -> tuple[Program, ...]:
    """The programs to run: those named in ``only``, else all or the quick ones. SpecError for a name that is not there."""
    unknown = [name for name in only if name not in entries.programs]
    if unknown:
        raise SpecError(
            f"no such program: {', '.join(unknown)}", hint=f"programs are {', '.join(sorted(entries.programs))}"
        )
    return tuple(
        Program(name, arguments)
        for name, entry in sorted(entries.programs.items())
        if (name in only if only else entry.quick or not quick)
        for arguments in entry.arguments
    )


def unpack(entries: _List, programs: Sequence[Program], store: Path, folder: Path, reporter: Reporter) -> None:
    """Fetch pyperformance into the ``store``'s sources, and put the programs' folders into ``folder``.

    SourceError if it cannot be had or lacks a program.
    """
    wheel = fetch(entries.pyperformance, store=SourceStore(store), keyrings=folder, reporter=reporter).path
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            path = member.removeprefix(INSIDE)
            if path != member and path.startswith("bm_") and not path.endswith("/"):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    for program in programs:
        if not (folder / program.folder / "run_benchmark.py").is_file():
            raise SourceError(f"{entries.pyperformance.file}: no program {INSIDE}{program.folder}")
