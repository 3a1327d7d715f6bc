"""The gate: each rule finds what it is there for, and nothing in a good bundle."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from packager.audit import CHECKS, Policy, audit, failed, load_policy, windows_key
from packager.errors import CheckError, SpecError
from packager.pe.normalise import normalise
from tests.pe.build import FULL, X86, Dll, Exports, Spec, build

EPOCH = 1735689600
POLICY_FILE = Path(__file__).parents[1] / "bundle_specs" / "policy" / "windows.toml"


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load_policy(POLICY_FILE)


def pe(*dlls: str, **options: object) -> bytes:
    """A normalised PE file that imports ``dlls``."""
    return normalise(build(Spec(imports=tuple(Dll(name) for name in dlls)), **options), EPOCH).data


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle in which nothing is wrong."""
    root = tmp_path / "bundle"
    write(root, "electrum.exe", pe("KERNEL32.dll", "api-ms-win-crt-runtime-l1-1-0.dll", dll=False))
    write(root, "python/python.exe", pe("python313.dll", "KERNEL32.dll", dll=False))
    write(root, "python/python313.dll", pe("KERNEL32.dll", "VERSION.dll", exports=Exports(name="python313.dll")))
    write(root, "python/DLLs/_ssl.pyd", pe("Python313.DLL", "CRYPT32.dll", "helper.dll"))
    write(root, "python/DLLs/helper.dll", pe("KERNEL32.dll"))
    write(root, "app/electrum/__init__.pyc", b"pyc")
    return root


def write(root: Path, name: str, content: bytes, mode: int = 0o644) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)
    for folder in path.parents:
        folder.chmod(0o755)
        if folder == root:
            break


def test_a_good_bundle_has_no_findings(bundle: Path, policy: Policy) -> None:
    assert audit(bundle, policy, EPOCH) == ()


def test_the_historic_failure_is_refused_by_name(bundle: Path, policy: Policy) -> None:
    """An interpreter that imports libwinpthread-1.dll and does not ship it exits with c0000135 and prints nothing."""
    write(bundle, "python/python313.dll", pe("KERNEL32.dll", "libwinpthread-1.dll"))
    (finding,) = audit(bundle, policy, EPOCH)
    assert (finding.file, finding.rule) == ("python/python313.dll", "dll-refused")
    assert finding.message == "imports libwinpthread-1.dll"
    assert "c0000135" in finding.reason
    assert "-static" in finding.fix
    error = failed((finding,), bundle)
    assert error.exit_code == 1
    assert "python/python313.dll: dll-refused: imports libwinpthread-1.dll" in str(error)


def test_shipping_a_refused_dll_does_not_help(bundle: Path, policy: Policy) -> None:
    write(bundle, "python/python313.dll", pe("LIBGCC_S_SEH-1.dll"))
    write(bundle, "python/libgcc_s_seh-1.dll", pe("KERNEL32.dll"))
    assert [(f.file, f.message) for f in audit(bundle, policy, EPOCH)] == [
        ("python/libgcc_s_seh-1.dll", "libgcc_s_seh-1.dll is in the bundle"),
        ("python/python313.dll", "imports LIBGCC_S_SEH-1.dll"),
    ]


def delayed(name: str) -> bytes:
    return normalise(build(delay=(Dll(name),)), EPOCH).data


CASES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "missing DLL": (
        lambda root: write(root, "python/DLLs/_x.pyd", pe("nowhere.dll")),
        "python/DLLs/_x.pyd",
        "dll-unresolved",
        "imports nowhere.dll, which is neither in python/DLLs, python nor among Windows' own DLLs in the policy",
    ),
    "missing delay-loaded DLL": (
        lambda root: write(root, "python/DLLs/_x.pyd", delayed("nowhere.dll")),
        "python/DLLs/_x.pyd",
        "dll-unresolved",
        "imports nowhere.dll, which is neither in python/DLLs, python nor among Windows' own DLLs in the policy",
    ),
    "DLL in a folder where nobody looks": (
        lambda root: write(root, "app/native.pyd", pe("helper.dll")),
        "app/native.pyd",
        "dll-unresolved",
        "imports helper.dll, which is neither in app, python nor among Windows' own DLLs in the policy",
    ),
    "another machine": (
        lambda root: write(root, "python/x86.dll", pe("KERNEL32.dll", plus=False, machine=X86)),
        "python/x86.dll",
        "machine",
        "is for i686, not for x86_64",
    ),
    "stamps": (
        lambda root: write(root, "python/a.dll", build(FULL, delay=())),
        "python/a.dll",
        "normalised",
        "not normalised to epoch 1735689600: COFF TimeDateStamp, CheckSum, export directory TimeDateStamp, "
        "resource directory TimeDateStamp, debug entry TimeDateStamp, load configuration TimeDateStamp",
    ),
    "checksum": (
        lambda root: write(root, "python/a.dll", pe()[:-1] + b"\1"),
        "python/a.dll",
        "normalised",
        "not normalised to epoch 1735689600: CheckSum",
    ),
    "signed": (
        lambda root: write(root, "python/a.dll", build(certificate=b"c" * 16)),
        "python/a.dll",
        "normalised",
        "offset 0x128: expected no signature, found 16 bytes of one",
    ),
    "broken": (
        lambda root: write(root, "python/a.pyd", b"MZ"),
        "python/a.pyd",
        "pe-readable",
        "offset 0x0: expected a DOS header of 64 bytes, found 2 bytes in all",
    ),
    "a DLL by another name": (
        lambda root: write(root, "app/data.bin", build()[:200]),
        "app/data.bin",
        "pe-readable",
        "offset 0x94: expected an optional header of 112 bytes or more inside the file, found 240 with 48 bytes left",
    ),
    "build path": (
        lambda root: write(root, "python/a.dll", pe(text=b"\1see /BUILD/src/x.c\0")),
        "python/a.dll",
        "forbidden-text",
        "has '/build/' at offset 0x415: 'see /BUILD/src/x.c'",
    ),
    "build path in UTF-16": (
        lambda root: write(root, "python/a.dll", pe(text="\0at Z:\\build\\src\0".encode("utf-16-le"))),
        "python/a.dll",
        "forbidden-text",
        "has '\\\\build\\\\' at offset 0x41c: 'at Z:\\\\build\\\\src'",
    ),
    "reserved name": (
        lambda root: write(root, "app/Aux.py", b""),
        "app/Aux.py",
        "file-name",
        "the name 'Aux.py' is reserved for a device",
    ),
    "trailing dot": (
        lambda root: write(root, "app/x.", b""),
        "app/x.",
        "file-name",
        "the name 'x.' ends in a space or a dot",
    ),
    "colon": (
        lambda root: write(root, "app/a:b", b""),
        "app/a:b",
        "file-name",
        "the name 'a:b' has the character ':'",
    ),
    "not UTF-8": (
        lambda root: write(root, os.fsdecode(b"app/\xff"), b""),
        os.fsdecode(b"app/\xff"),
        "file-name",
        "the name '\\udcff' is not UTF-8",
    ),
    "case": (
        lambda root: write(root, "app/electrum/__INIT__.pyc", b""),
        "app/electrum/__init__.pyc",
        "case-twin",
        "differs from app/electrum/__INIT__.pyc only in upper and lower case",
    ),
    "link": (
        lambda root: (root / "app" / "link").symlink_to("/etc/passwd"),
        "app/link",
        "file-type",
        "is a symbolic link",
    ),
    "link to a folder": (
        lambda root: (root / "app" / "link").symlink_to("electrum"),
        "app/link",
        "file-type",
        "is a symbolic link",
    ),
    "pipe": (lambda root: os.mkfifo(root / "app" / "pipe"), "app/pipe", "file-type", "is a pipe"),
    "setuid": (
        lambda root: write(root, "app/x", b"", 0o4755),
        "app/x",
        "file-mode",
        "has mode 4755, not 0644 or 0755",
    ),
    "folder": (lambda root: (root / "app").chmod(0o700), "app", "file-mode", "has mode 0700, not 0755"),
}


@pytest.mark.parametrize(("spoil", "file", "rule", "message"), CASES.values(), ids=CASES.keys())
def test_one_thing_wrong_gives_one_finding(
    bundle: Path, policy: Policy, spoil: Callable[[Path], None], file: str, rule: str, message: str
) -> None:
    spoil(bundle)
    (finding,) = audit(bundle, policy, EPOCH)
    assert (finding.file, finding.rule, finding.message) == (file, rule, message)
    assert finding.reason
    assert finding.fix


def test_the_cases_cover_every_check() -> None:
    names = {check.__name__ for check in CHECKS}
    rules = {rule for _spoil, _file, rule, _message in CASES.values()} | {"dll-refused"}
    assert len(rules) == len(names)


def test_where_a_dll_is_that_nobody_finds(bundle: Path, policy: Policy) -> None:
    write(bundle, "app/native.pyd", pe("HELPER.dll"))
    (finding,) = audit(bundle, policy, EPOCH)
    assert finding.fix == "move python/DLLs/helper.dll to one of these folders"


def test_findings_are_sorted(bundle: Path, policy: Policy) -> None:
    write(bundle, "python/z.dll", pe("b.dll", "a.dll"))
    write(bundle, "python/con", b"", 0o600)
    found = audit(bundle, policy, EPOCH)
    assert [(f.file, f.rule) for f in found] == [
        ("python/con", "file-mode"),
        ("python/con", "file-name"),
        ("python/z.dll", "dll-unresolved"),
        ("python/z.dll", "dll-unresolved"),
    ]
    assert "a.dll" in found[2].message


@pytest.mark.parametrize("name", ["con", "NUL.txt", "com1", "LPT9.x.y", "aux .c", "COM\u00b2", "conout$"])
def test_reserved_names(bundle: Path, policy: Policy, name: str) -> None:
    write(bundle, f"app/{name}", b"")
    assert [f.rule for f in audit(bundle, policy, EPOCH)] == ["file-name"]


@pytest.mark.parametrize("name", ["console.py", "com10", "lpt", "auxiliary", "nul_", "\u00e4.py", ".hidden", "a b"])
def test_names_that_are_fine(bundle: Path, policy: Policy, name: str) -> None:
    write(bundle, f"app/{name}", b"")
    assert audit(bundle, policy, EPOCH) == ()


def test_names_are_compared_letter_by_letter() -> None:
    assert windows_key("Größe.DLL") == windows_key("gRÖßE.dll")
    assert windows_key("straße") != windows_key("strasse")


def test_not_a_folder(tmp_path: Path, policy: Policy) -> None:
    with pytest.raises(CheckError, match="expected a folder, found nothing"):
        audit(tmp_path / "x", policy, EPOCH)


def test_every_item_of_the_policy_has_a_reason(policy: Policy) -> None:
    reasons = [d.reason for d in policy.system_dlls] + [d.reason for d in policy.refused_dlls]
    reasons += [text.reason for text in policy.forbidden_texts]
    assert all(len(reason) > 10 for reason in reasons)
    assert not {d.name for d in policy.system_dlls} & {d.name for d in policy.refused_dlls}
    assert msgspec.structs.replace(policy, machine="i686").machine == "i686"


MINIMAL = """machine = "x86_64"
search = []
signed = "refuse"
modes = { files = [0o644], folders = [0o755] }
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL, ": expected a policy, found Object missing required field `system_dlls`"),
        (MINIMAL + "colour = 1\nsystem_dlls = []", "colour"),
        (
            MINIMAL + '[[system_dlls]]\nname = "a.dll"',
            ": system_dlls[0]: expected a policy, found Object missing required field `reason`",
        ),
        (
            MINIMAL + '[[system_dlls]]\nname = "A.dll"\nreason = "x"',
            ": system_dlls[0].name: expected a name in lower case, found 'A.dll'",
        ),
        (
            MINIMAL + 2 * '[[system_dlls]]\nname = "a.dll"\nreason = "x"\n',
            ": system_dlls[1].name: expected each name once, found 'a.dll' again",
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
