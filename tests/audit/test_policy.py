"""Policies are read strictly, and every item of the project's own has its reason."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from packager.audit import load_policy
from packager.deps.windows import is_api_set, load
from packager.errors import SpecError
from tests.audit.samples import POLICY_FILE, ROOT

MINIMAL = """machine = "x86_64"
subsystem_version = "6.1"
signed = "refuse"
max_path = 200
modes = { files = [0o644], folders = [0o755] }
"""
WHOLE = MINIMAL + "system_dlls = []\n"


def test_a_small_policy(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(WHOLE)
    policy = load_policy(file)
    assert policy.oldest_subsystem == (6, 1)
    assert policy.size_budget is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL, ": expected a policy, found Object missing required field `system_dlls`"),
        (MINIMAL + "colour = 1\nsystem_dlls = []", "colour"),
        (
            MINIMAL + '[[system_dlls]]\nname = "a.dll"',
            ": system_dlls[0]: expected a policy, found Object missing required field `reason`",
        ),
        (MINIMAL + '[[system_dlls]]\nname = "a.dll"\nreason = " "', ": system_dlls[0].reason: expected a policy, "),
        (
            MINIMAL + '[[system_dlls]]\nname = "A.dll"\nreason = "x"',
            ": system_dlls[0].name: expected a name in lower case, found 'A.dll'",
        ),
        (
            MINIMAL + 2 * '[[system_dlls]]\nname = "a.dll"\nreason = "x"\n',
            ": system_dlls[1].name: expected each name once, found 'a.dll' again",
        ),
        (
            MINIMAL
            + '[[system_dlls]]\nname = "a.dll"\nreason = "x"\n[[refused_dlls]]\nname = "a.dll"\nreason = "x"\nfix = "x"\n',
            ": refused_dlls[0].name: expected a name that is not allowed as well, found 'a.dll'",
        ),
        (WHOLE.replace("6.1", "six"), ": subsystem_version: expected a policy, found "),
        (WHOLE + 'strict = ["colour"]', ": strict[0]: expected the name of a rule, found 'colour'"),
        (
            WHOLE + '[[exceptions]]\nrule = "machine"\npath = "x"\n',
            ": exceptions[0]: expected a policy, found Object missing required field `reason`",
        ),
        (
            WHOLE + '[[exceptions]]\nrule = "colour"\npath = "x"\nreason = "x"',
            ": exceptions[0].rule: expected the name of a rule, found 'colour'",
        ),
        (
            WHOLE + '[[exceptions]]\nrule = "machine"\npath = "[z-a]"\nreason = "x"',
            ": exceptions[0].path: expected a pattern (bad character range z-a",
        ),
        (
            WHOLE + '[[libraries]]\nname = "x"\nreason = "x"\nversion = "1("',
            ": libraries[0].version: expected a regular expression with one group, found '1('",
        ),
        (
            WHOLE + '[[libraries]]\nname = "x"\nreason = "x"\nversion = "1"',
            ": libraries[0].version: expected a regular expression with one group, found '1' with 0",
        ),
        (
            WHOLE
            + '[[forbidden_texts]]\ntext = "/a/"\nreason = "x"\n[[forbidden_texts.unless]]\ntext = "/b/"\nreason = "x"',
            ": forbidden_texts[0].unless[0].text: expected a text with '/a/' in it, found '/b/'",
        ),
        ("machine = ", ": expected TOML, found Invalid value (at end of document)"),
    ],
)
def test_a_wrong_policy_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    with pytest.raises(SpecError) as caught:
        load_policy(file)
    assert str(caught.value).startswith(str(file))
    assert message in str(caught.value)


def test_no_policy(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="expected a policy file, found none: No such file or directory"):
        load_policy(tmp_path / "policy.toml")


def reasons(value: object, path: str = "") -> list[tuple[str, str]]:
    """Every reason below a value, and an empty one for each table of an array that has none."""
    found = []
    if isinstance(value, dict):
        found += [(path, value["reason"])] if "reason" in value else []
        for key, inner in value.items():
            found += reasons(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            where = f"{path}[{index}]"
            if isinstance(inner, dict) and "reason" not in inner:
                found.append((where, ""))
            found += reasons(inner, where)
    return found


@pytest.mark.parametrize("file", sorted((ROOT / "bundle_specs/policy").glob("*.toml")), ids=lambda file: file.stem)
def test_every_item_of_the_projects_policies_has_a_reason(file: Path) -> None:
    found = reasons(msgspec.to_builtins(load_policy(file)))
    assert found
    assert [(path, reason) for path, reason in found if len(reason) < 20] == []


def test_the_projects_policy_lists_dlls_that_windows_has() -> None:
    """A slip of the pen in a name would allow nothing."""
    windows = load()
    names = [dll.name for dll in load_policy(POLICY_FILE).system_dlls]
    assert [name for name in names if not (windows.api_set(name) if is_api_set(name) else windows.has(name))] == []
    plain = [dll.name for dll in load_policy(POLICY_FILE).system_dlls if dll.plantable]
    assert not set(plain) & windows.known_dlls, "nobody can plant a KnownDLL"
