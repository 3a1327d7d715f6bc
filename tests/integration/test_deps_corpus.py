"""`packager deps` over the corpus of real files: how often it says that Windows lacks what Windows has.

Every wheel is unpacked and looked at as a folder of its own. What its files ask of DLLs that are not Windows' is mostly
missing, rightly: the interpreter, Microsoft's run-times and other packages' DLLs are not in the wheel. Any other import
that is called missing counts as a false alarm, be it a function or a whole DLL.
"""

from __future__ import annotations

import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from packager.deps.graph import analyse
from packager.deps.model import Graph
from packager.deps.windows import Windows, is_api_set, load
from packager.pe.imports import read_image
from tests.corpus import Corpus

#: One false alarm in so many system imports is the most.
ONE_IN = 10_000
#: The interpreter's own DLL, whose folder the wheel's user names with --search.
_INTERPRETER = re.compile(r"python3\d*t?\.dll")


@dataclass(frozen=True, slots=True)
class Looked:
    """One wheel's graph."""

    wheel: str
    graph: Graph


@pytest.fixture(scope="module")
def files(corpus_folder: Path) -> Corpus:
    """The corpus."""
    return Corpus.read(corpus_folder)


@pytest.fixture(scope="module")
def windows() -> Windows:
    return load()


@pytest.fixture(scope="module")
def looked(files: Corpus, windows: Windows, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Looked]:
    """The graphs of all wheels."""
    found = []
    for wheel in sorted((files.files.parent / "wheels").glob("*.whl")):
        folder = tmp_path_factory.mktemp("wheel")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        found.append(Looked(wheel.name, analyse([folder], windows)))
        shutil.rmtree(folder)
    return found


def not_of_windows(looked: Sequence[Looked], windows: Windows) -> Mapping[str, str]:
    """The DLLs (in lower case) that are asked for and are not Windows', each with what it is instead."""
    shipped = {
        module.name.lower(): f"in {one.wheel}"
        for one in looked
        for module in one.graph.modules
        if module.origin == "tree"
    }
    names = {edge.name.lower() for one in looked for edge in one.graph.edges}
    found = {name: shipped[name] for name in names if name in shipped}
    found |= {name: "the interpreter" for name in names if _INTERPRETER.fullmatch(name)}
    return found | {name: "redistributable" for name in names if windows.kind(name) == "redistributable"}


def unanswered(files: Corpus, windows: Windows) -> tuple[int, int]:
    """Of how many imports from Windows' DLLs the data do not say whether they are there, and how many there are."""
    without = asked = 0
    for member in files.members:
        for dll in read_image(files.data(member)).imports:
            name = dll.name.lower()
            host = (windows.api_set(name) or "") if is_api_set(name) else name
            if not windows.has(host):
                continue
            exports = windows.exports(host, member.machine)
            asked += len(dll.symbols)
            for symbol in dll.symbols:
                known = exports and (
                    exports.has_name(symbol.name) if symbol.name else exports.has_ordinal(symbol.ordinal or 0)
                )
                without += known is None
    return without, asked


def test_every_file_of_the_corpus_is_in_a_graph(files: Corpus, looked: Sequence[Looked]) -> None:
    in_graphs = {(one.wheel, module.id) for one in looked for module in one.graph.modules if module.origin == "tree"}
    assert len(files.members) >= 500
    assert [member for member in files.members if (member.wheel, member.member) not in in_graphs] == []
    broken = [(one.wheel, module.id) for one in looked for module in one.graph.modules if module.error is not None]
    assert broken == []


def test_false_alarms_on_system_imports(
    files: Corpus, looked: Sequence[Looked], windows: Windows, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints what was looked up and every import that is called missing, whatever pytest is told to show."""
    elsewhere = not_of_windows(looked, windows)
    imports = 0
    alarms: list[str] = []
    rightly: Counter[str] = Counter()
    for one in looked:
        for edge in one.graph.edges:
            if edge.via not in ("import", "delay-import"):
                continue
            what = f"{one.wheel}: {edge.importer} imports "
            if edge.target.startswith("windows:"):
                imports += edge.symbols
                alarms += [f"{what}{symbol} from {edge.name}" for symbol in edge.missing or ()]
            elif edge.target.startswith("missing:") and edge.name.lower() in elsewhere:
                rightly[f"{edge.name.lower()} ({elsewhere[edge.name.lower()]})"] += 1
            elif edge.target.startswith("missing:"):
                imports += edge.symbols
                alarms += [f"{what}{edge.name}"] * max(1, edge.symbols)
    without, asked = unanswered(files, windows)
    with capsys.disabled():
        print(f"\n{len(files.members)} PE files of {len(looked)} wheels: {imports} system imports looked up, ", end="")
        print(f"{len(alarms)} false alarms; of the {asked} in different files it is not known of {without}")
        for alarm, times in Counter(alarms).items():
            print(f"  {alarm}" + (f" ({times} functions)" if times > 1 else ""))
        print(
            "not Windows' and missing: " + ", ".join(f"{name} for {count}" for name, count in sorted(rightly.items()))
        )
    assert imports >= 30_000
    assert without <= asked / 100, "who answers nothing raises no false alarm either"
    assert len(alarms) * ONE_IN <= imports


def test_nothing_else_is_found(looked: Sequence[Looked]) -> None:
    """These wheels are in use: what is found in them, but for DLLs that they do not bring, is a mistake of ours."""
    wrong = [f"{one.wheel}: {found}" for one in looked for found in one.graph.findings if found.kind != "missing-dll"]
    assert wrong == []
