"""Looking functions up, through forwarders."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from packager.deps.symbols import Answer, Exports, Memo, Offers, exports_of, look_up, there
from packager.pe.imports import Symbol, read_image
from tests.deps.fake import WINDOWS, library


def exports(*functions: tuple[str | None, str | None]) -> Exports:
    return exports_of(read_image(library(*functions)))


MODULES: Mapping[str, Offers] = {
    "a.dll": exports(
        ("code", None),
        ("to_b", "b.code"),
        ("to_windows", "KERNEL32.Sleep"),
        ("to_nothing", "gone.f"),
        ("to_no_symbol", "b.f"),
        ("by_ordinal", "b.#2"),
        ("no_ordinal", "b.#99"),
        ("round", "b.round"),
        ("self", "a.self"),
        ("no_point", "nonsense"),
        ("to_set", "vague.maybe"),
        (None, "b.code"),
    ),
    "b.dll": exports(("code", None), (None, None), ("round", "a.round")),
    "kernel32.dll": WINDOWS.exports("kernel32.dll", "x86_64"),
    "vague.dll": WINDOWS.exports("vague.dll", "x86_64"),
}


def follow(_key: str, dll: str) -> tuple[str, Offers]:
    return dll.lower(), MODULES.get(dll.lower())


def ask(symbol: Symbol, memo: Memo | None = None) -> Answer:
    return look_up(symbol, "a.dll", MODULES["a.dll"], follow, {} if memo is None else memo)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("code", Answer("there")),
        ("CODE", Answer("missing")),
        ("to_b", Answer("there")),
        ("to_windows", Answer("there")),
        ("to_nothing", Answer("missing", ("gone.f",))),
        ("to_no_symbol", Answer("missing", ("b.f",))),
        ("by_ordinal", Answer("there")),
        ("no_ordinal", Answer("missing", ("b.#99",))),
        ("round", Answer("loop", ("b.round", "a.round"))),
        ("self", Answer("loop", ("a.self",))),
        ("no_point", Answer("missing", ("nonsense",))),
        ("to_set", Answer("unknown", ("vague.maybe",))),
    ],
)
def test_by_name(name: str, answer: Answer) -> None:
    assert ask(Symbol(name, None)) == answer


def test_by_ordinal() -> None:
    assert ask(Symbol(None, 1)).verdict == "there"
    assert ask(Symbol(None, 12)).verdict == "there"
    assert ask(Symbol(None, 500)).verdict == "missing"


def test_a_memo_gives_the_same_answers() -> None:
    memo: Memo = {}
    names = [name for name, _to in MODULES["a.dll"].names.items()]  # type: ignore[union-attr]
    first = [ask(Symbol(name, None), memo) for name in names]
    assert memo
    assert [ask(Symbol(name, None), memo) for name in names] == first == [ask(Symbol(name, None)) for name in names]


def test_a_circle_is_told_from_where_it_is_entered() -> None:
    memo: Memo = {}
    ask(Symbol("round", None), memo)
    assert look_up(Symbol("round", None), "b.dll", MODULES["b.dll"], follow, memo) == Answer(
        "loop", ("a.round", "b.round")
    )


def test_a_chain_through_a_whole_file_is_followed_once() -> None:
    """65,536 exports, each forwarded to the next one: without the memo that would be two thousand million steps."""
    count = 0x10000
    table: dict[str, str | None] = {f"f{i}": f"a.f{i + 1}" for i in range(count)}
    offers = Exports(table, {}, ())
    steps = 0

    def counted(_key: str, _dll: str) -> tuple[str, Offers]:
        nonlocal steps
        steps += 1
        return "a.dll", offers

    memo: Memo = {}
    answers = [look_up(Symbol(f"f{i}", None), "a.dll", offers, counted, memo) for i in range(count)]
    assert {answer.verdict for answer in answers} == {"missing"}
    assert max(len(answer.chain) for answer in answers) == 16
    assert steps == count


def test_forwarders_are_listed_once_each() -> None:
    found = MODULES["b.dll"]
    assert isinstance(found, Exports)
    assert found.forwarders == ((Symbol("round", None), "a.round"),)
    assert (Symbol(None, 12), "b.code") in MODULES["a.dll"].forwarders  # type: ignore[union-attr]


def test_what_is_certain() -> None:
    assert there(Symbol("code", None), MODULES["a.dll"])
    assert not there(Symbol("to_b", None), MODULES["a.dll"])
    assert not there(Symbol(None, 1), MODULES["a.dll"])
    assert there(Symbol("Sleep", None), MODULES["kernel32.dll"])
    assert not there(Symbol("maybe", None), MODULES["vague.dll"])
    assert not there(Symbol("x", None), None)


def test_windows_ordinals() -> None:
    winsock = WINDOWS.exports("ws2_32.dll", "x86_64")
    verdicts = [look_up(Symbol(None, n), "w", winsock, follow, {}).verdict for n in (115, 116, 121)]
    assert verdicts == ["there", "unknown", "missing"]
