"""Locks: the two of this project, and every rule that a lock can break, each with its exact message."""

from __future__ import annotations

from pathlib import Path

import pytest

from packager.errors import SpecError
from packager.pylock import LockedPackage, parse_lock, read_lock

ROOT = Path(__file__).parents[1]
SHA = "a" * 64
HEAD = 'lock-version = "1.0"\ncreated-by = "electrum-packager"\nrequires-python = "==3.13.*"\n'


def wheel(name: str = "attrs", version: str = "26.1.0", tags: str = "py3-none-any", **changed: str | None) -> str:
    """One package with one wheel; ``changed`` replaces a key's TOML value, None leaves the key out."""
    file = f"{name}-{version}-{tags}.whl"
    values: dict[str, str | None] = {
        "name": f'"{file}"',
        "path": f'"wheels/{file}"',
        "size": "67548",
        "hashes": f'{{ sha256 = "{SHA}" }}',
        **changed,
    }
    keys = "".join(f"{key} = {value}\n" for key, value in values.items() if value is not None)
    return f'[[packages]]\nname = "{name}"\nversion = "{version}"\n[[packages.wheels]]\n{keys}'


def sdist(name: str = "pure", version: str = "1.0") -> str:
    file = f"{name}-{version}.tar.gz"
    return (
        f'[[packages]]\nname = "{name}"\nversion = "{version}"\n[packages.sdist]\nname = "{file}"\n'
        f'path = "sdists/{file}"\nsize = 5\nhashes.sha256 = "{SHA}"\n'
    )


def fails(text: str, message: str, **options: list[str]) -> SpecError:
    with pytest.raises(SpecError) as caught:
        parse_lock(text, "pylock.x.toml", **options)
    assert caught.value.message == message
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(("name", "count"), [("electrum", 17), ("electrum-nmc", 4), ("electrum-nmc-wallet", 20)])
def test_the_projects_own_locks(name: str, count: int) -> None:
    path = ROOT / f"bundle_specs/locks/pylock.{name}.toml"
    lock = read_lock(path, components=["libsecp256k1", "pycryptodomex"], sdists=["stem"])
    assert len(lock.packages) == count
    assert {package.name for package in lock.packages if package.kind == "sdist"} <= {"stem"}
    lock.check_python("3.13.5")
    text = Path(lock.file).read_text("utf-8")
    assert "://" not in text  # no host is named


def test_a_lock_becomes_sorted_values() -> None:
    lock = parse_lock(HEAD + wheel("yarl", "1.25.1") + wheel("attrs", "26.1.0", "py2.py3-none-any"), "pylock.x.toml")
    assert lock.packages == (
        LockedPackage("attrs", "26.1.0", "wheel", "attrs-26.1.0-py2.py3-none-any.whl", SHA, 67548),
        LockedPackage("yarl", "1.25.1", "wheel", "yarl-1.25.1-py3-none-any.whl", SHA, 67548),
    )


def test_file_names_keep_their_spelling() -> None:
    text = wheel("aiorpcX", "0.18.7").replace('name = "aiorpcX"', 'name = "aiorpcx"')
    (package,) = parse_lock(HEAD + text, "pylock.x.toml").packages
    assert (package.name, package.file) == ("aiorpcx", "aiorpcX-0.18.7-py3-none-any.whl")


@pytest.mark.parametrize("tags", ["cp313-cp313-win_amd64", "py3-none-win_amd64", "cp313-none-any", "py2-none-any"])
def test_native_wheels_are_refused(tags: str) -> None:
    error = fails(
        HEAD + wheel("frozenlist", "1.8.0", tags),
        f"pylock.x.toml: packages[0].wheels[0].name: expected a py3-none-any wheel, found frozenlist-1.8.0-{tags}.whl",
    )
    assert error.hint == (
        "native code is refused unless a component builds it: add one for frozenlist, or lock its pure wheel"
    )


def test_an_sdist_needs_the_specs_word() -> None:
    where = "pylock.x.toml: packages[0].sdist: expected a py3-none-any wheel, found only an sdist of pure"
    error = fails(HEAD + sdist(), where)
    assert error.hint is not None
    assert "sdist_packages" in error.hint
    (package,) = parse_lock(HEAD + sdist(), "pylock.x.toml", sdists=["Pure"]).packages
    assert package == LockedPackage("pure", "1.0", "sdist", "pure-1.0.tar.gz", SHA, 5)


def test_what_a_component_builds_is_not_in_the_lock() -> None:
    text = HEAD + wheel("pycryptodomex", "3.23.0")
    fails(
        text,
        "pylock.x.toml: packages[0].name: expected no package that a component builds, found pycryptodomex",
        components=["PyCryptodomeX"],
    )


@pytest.mark.parametrize(
    ("hashes", "found"),
    [
        (f'{{ sha512 = "{SHA}" }}', "nothing"),
        ('{ sha256 = "abc" }', "'abc'"),
        (f'{{ sha256 = "{SHA.upper()}" }}', repr(SHA.upper())),
    ],
)
def test_every_file_has_its_sha256(hashes: str, found: str) -> None:
    fails(
        HEAD + wheel(hashes=hashes),
        f"pylock.x.toml: packages[0].wheels[0].hashes.sha256: expected 64 lower-case hex digits, found {found}",
    )


def test_no_hash_at_all() -> None:
    fails(
        HEAD + wheel(hashes=None),
        "pylock.x.toml: packages[0].wheels[0].hashes: expected a valid PEP 751 lock, found Missing required value",
    )


@pytest.mark.parametrize(("size", "found"), [(None, "nothing"), ("0", "0"), ("-1", "-1")])
def test_every_file_has_its_size(size: str | None, found: str) -> None:
    fails(
        HEAD + wheel(size=size),
        f"pylock.x.toml: packages[0].wheels[0].size: expected the file's size in bytes, found {found}",
    )


def test_a_path_is_the_files_name_in_its_folder() -> None:
    path = "wheels/attrs-26.1.0-py3-none-any.whl"
    fails(
        HEAD + wheel(path='"../x.whl"'), f"pylock.x.toml: packages[0].wheels[0].path: expected {path}, found ../x.whl"
    )


@pytest.mark.parametrize(
    ("text", "key", "keys"),
    [
        (
            HEAD + "environments = []\npackages = []",
            "environments",
            "created-by, lock-version, packages, requires-python",
        ),
        (
            HEAD + wheel().replace("[[packages.wheels]]", "marker = \"os_name == 'nt'\"\n[[packages.wheels]]"),
            "packages[0].marker",
            "name, requires-python, sdist, version, wheels",
        ),
        (HEAD + wheel(url='"https://x/y.whl"'), "packages[0].wheels[0].url", "hashes, name, path, size"),
        (HEAD + sdist() + 'index = "x"', "packages[0].sdist.index", "hashes, name, path, size"),
    ],
)
def test_keys_that_are_not_obeyed_are_refused(text: str, key: str, keys: str) -> None:
    fails(text, f"pylock.x.toml: {key}: expected one of the keys {keys}, found another key", sdists=["pure"])


def test_a_package_stands_once_with_one_file() -> None:
    fails(HEAD + wheel() + wheel(), "pylock.x.toml: packages[1].name: expected each package once, found attrs again")
    both = wheel() + wheel().partition("[[packages.wheels]]")[2].join(["[[packages.wheels]]", ""])
    fails(HEAD + both, "pylock.x.toml: packages[0]: expected one file, a wheel or an sdist, found 2 files")


def test_a_version_is_needed() -> None:
    text = HEAD + wheel().replace('version = "26.1.0"\n', "")
    fails(text, "pylock.x.toml: packages[0].version: expected a version, found nothing")


def test_names_and_versions_agree_with_the_file() -> None:
    text = HEAD + wheel().replace('version = "26.1.0"', 'version = "26.2.0"')
    fails(
        text,
        "pylock.x.toml: packages[0].wheels[0]: expected a valid PEP 751 lock, found Version in "
        "'attrs-26.1.0-py3-none-any.whl' is not consistent with package version '26.2.0'",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = ", "pylock.x.toml: expected TOML, found Invalid value (at end of document)"),
        (
            HEAD.replace("1.0", "2.0") + "packages = []",
            "pylock.x.toml: lock-version: expected 1.0, found 2.0",
        ),
        (
            HEAD.replace('requires-python = "==3.13.*"\n', "") + "packages = []",
            "pylock.x.toml: requires-python: expected a version range, found nothing",
        ),
        (
            HEAD + "packages = 3",
            "pylock.x.toml: packages: expected a valid PEP 751 lock, found Unexpected type int (expected Sequence)",
        ),
        (HEAD, "pylock.x.toml: packages: expected a valid PEP 751 lock, found Missing required value"),
    ],
)
def test_what_is_no_lock(text: str, message: str) -> None:
    fails(text, message)


def test_the_interpreter_has_to_fit() -> None:
    lock = parse_lock(HEAD + wheel(), "pylock.x.toml")
    lock.check_python("3.13.0")
    with pytest.raises(SpecError, match=r"requires-python: expected a range with the interpreter's version 3\.14\.0"):
        lock.check_python("3.14.0")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"pylock\.none\.toml: no such lock"):
        read_lock(tmp_path / "pylock.none.toml")
    with pytest.raises(SpecError, match=r"expected a lock called pylock\.<name>\.toml, found lock\.toml"):
        read_lock(tmp_path / "lock.toml")
    (tmp_path / "pylock.bin.toml").write_bytes(b"\xff")
    with pytest.raises(SpecError, match="cannot be read"):
        read_lock(tmp_path / "pylock.bin.toml")
