"""Why a module is in or not: golden texts, and the document."""

from __future__ import annotations

import pytest

from packager.errors import SpecError
from packager.modules import why
from tests.modules.build import planned, rule, traced

FILES: dict[str, bytes | list[str]] = {
    "app/main.pyc": ["util", "late helper", "try fast", "except slow", "typing types_only"],
    "app/util.pyc": ["pack.deep"],
    "app/pack/__init__.pyc": [],
    "app/pack/deep.pyc": ["try dropped", "gone"],
    "app/helper.pyc": ["sys"],
    "app/fast.pyc": [],
    "app/slow.pyc": ["alone"],
    "app/alone.pyc": [],
    "app/dropped.pyc": [],
    "app/types_only.pyc": [],
    "app/named.pyc": [],
}
PLAN = planned(FILES, "main", trace=traced("helper", "named"), drop=[rule("dropped", "too large")])


def text(name: str) -> str:
    return "\n".join(why.lines(why.explain(PLAN, name)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("main", """\
main is in the bundle (app/main.pyc)
  main  the program main"""),
        ("app/pack/deep.pyc", """\
pack.deep is in the bundle (app/pack/deep.pyc)
  main       the program main
  util       imported above, line 1
  pack.deep  imported above, line 1"""),
        ("pack", """\
pack is in the bundle (app/pack/__init__.pyc)
  main       the program main
  util       imported above, line 1
  pack.deep  imported above, line 1
  pack       the package of the one above"""),
        ("helper", """\
helper is in the bundle (app/helper.pyc)
  main    the program main
  helper  imported above, line 2 in function(); loaded in the run 'a run'"""),
        ("fast", """\
fast is in the bundle (app/fast.pyc)
  main  the program main
  fast  imported above, line 3, in a try that goes on without it"""),
        ("named", """\
named is in the bundle (app/named.pyc)
  named  loaded by name in the run 'a run'"""),
        ("sys", """\
sys is in the bundle
  main    the program main
  helper  imported above, line 2 in function(); loaded in the run 'a run'
  sys     imported above, line 1"""),
        ("slow", """\
slow is not in the bundle (app/slow.pyc): stands in for another module that is there
  what would need it:
    main  line 4, where another import failed: stands in for fast, which is there, and no traced run loaded it"""),
        ("alone", """\
alone is not in the bundle (app/alone.pyc): imported by nothing that is in
  what would need it:
    slow  line 1: not in itself"""),
        ("types_only", """\
types_only is not in the bundle (app/types_only.pyc): imported for type checkers only
  what would need it:
    main  line 5, under TYPE_CHECKING: for type checkers only"""),
        ("dropped", """\
dropped is not in the bundle (app/dropped.pyc): dropped: too large
  what would need it:
    pack.deep  line 1, in a try that goes on without it: dropped by the spec: too large"""),
    ],
)  # fmt: skip
def test_the_text(name: str, expected: str) -> None:
    assert text(name) == expected


def test_what_is_not_there() -> None:
    with pytest.raises(SpecError) as caught:
        why.explain(PLAN, "helpers")
    assert str(caught.value) == (
        "helpers: expected a module of the bundle, found none of this name\n  what to do: did you mean helper?"
    )
    with pytest.raises(SpecError) as caught:
        why.explain(PLAN, "gone")
    assert str(caught.value).splitlines()[1] == "  pack.deep imports it at line 2, and goes on or fails without it"
    with pytest.raises(SpecError) as caught:
        why.explain(PLAN, "other.deep")
    assert "did you mean pack.deep?" in str(caught.value)


def test_the_document() -> None:
    assert why.document(why.explain(PLAN, "helper")) == {
        "format": 1,
        "module": "helper",
        "what": "code",
        "file": "app/helper.pyc",
        "kept": True,
        "start": "the program main",
        "chain": [
            {
                "importer": "main",
                "module": "helper",
                "kind": "late",
                "line": 2,
                "function": "function",
                "guarded": False,
                "run": "a run",
            }
        ],
        "reason": None,
        "unfollowed": [],
    }
    document = why.document(why.explain(PLAN, "slow"))
    assert (document["kept"], document["start"], document["chain"]) == (False, None, [])
    assert [item["importer"] for item in document["unfollowed"]] == ["main"]


def test_many_are_not_all_shown() -> None:
    files: dict[str, bytes | list[str]] = {f"app/m{number}.pyc": ["late wanted"] for number in range(12)}
    files |= {"app/main.pyc": [f"m{number}" for number in range(12)], "app/wanted.pyc": []}
    plan = planned(files, "main")
    shown = list(why.lines(why.explain(plan, "wanted")))
    assert len(shown) == 2 + 8 + 1
    assert shown[-1] == "    … 4 more: --json shows them"
