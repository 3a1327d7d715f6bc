"""Vendoring: wheels made in memory go into a flat folder; every way in which one can be wrong is refused."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager.errors import SourceError, SpecError
from packager.specs.model import DependencyOverride
from packager.vendor import (
    Distribution,
    InstalledFile,
    Text,
    check_name,
    install_path,
    install_sdist_packages,
    install_wheel,
    licence_of,
    read_sdist,
    read_wheel,
    unmet_requirements,
    wheel_members,
    write_new,
)
from tests.support import write

INFO = "demo-1.0.dist-info"
METADATA = "Metadata-Version: 2.4\nName: Demo\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def record_line(path: str, data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(data)}\n"


def make_wheel(
    folder: Path,
    files: Mapping[str, str | bytes],
    *,
    metadata: str = METADATA,
    wheel: str = WHEEL,
    record: str | None = None,
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """A wheel called demo 1.0. ``record`` replaces RECORD's text, ``extra`` are files that RECORD does not have."""
    content = {path: data if isinstance(data, bytes) else data.encode() for path, data in files.items()}
    content |= {f"{INFO}/METADATA": metadata.encode(), f"{INFO}/WHEEL": wheel.encode()}
    text = "".join(record_line(path, data) for path, data in content.items()) + f"{INFO}/RECORD,,\n"
    path = folder / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**content, **(extra or {})}.items():
            archive.writestr(name, data)
        archive.writestr(f"{INFO}/RECORD", text if record is None else record)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def installed(path: str, data: bytes) -> InstalledFile:
    return InstalledFile(path, hashlib.sha256(data).hexdigest(), len(data))


# -- wheels -------------------------------------------------------------------------------------------------------


def test_a_wheel_goes_flat_into_the_folder_without_scripts_and_records(tmp_path: Path) -> None:
    wheel = make_wheel(
        tmp_path,
        {
            "demo/__init__.py": "x = 1\n",
            "demo/data.json": "{}",
            "demo/__pycache__/__init__.cpython-313.pyc": "stale",
            f"{INFO}/entry_points.txt": "[console_scripts]\ndemo = demo:main\n",
            f"{INFO}/licenses/LICENSE": "free",
            f"{INFO}/top_level.txt": "demo\n",
            "demo-1.0.data/scripts/demo": "#!python\n",
            "demo-1.0.data/data/share/man/man1/demo.1": ".TH",
            "demo-1.0.data/purelib/extra.py": "",
        },
    )
    with pytest.warns(RuntimeWarning, match="__pycache__"):
        files = install_wheel(wheel, tmp_path / "app")
    assert files == (
        installed(f"{INFO}/METADATA", METADATA.encode()),
        installed("demo/__init__.py", b"x = 1\n"),
        installed("demo/data.json", b"{}"),
        installed("extra.py", b""),
    )
    assert set(tree(tmp_path / "app")) == {file.path for file in files}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "app").rglob("*") if path.is_file()} == {0o644}


def test_two_wheels_share_a_namespace_but_no_file(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"ns/a.py": "a"})
    install_wheel(wheel, tmp_path / "app")
    other = make_wheel(tmp_path, {"ns/b.py": "b"}).rename(tmp_path / "demo-1.0-1-py3-none-any.whl")
    with pytest.raises(SourceError, match=rf"expected no two files of one name, found {INFO}/METADATA again"):
        install_wheel(other, tmp_path / "app")
    assert "ns/b.py" in tree(tmp_path / "app")


def test_native_code_is_refused_by_content_before_anything_is_written(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"demo/__init__.py": "", "demo/fast.dat": b"\x7fELF\x02"})
    with pytest.raises(SpecError, match=r"demo-1\.0-py3-none-any\.whl: expected no native code, found demo/fast\.dat"):
        install_wheel(wheel, tmp_path / "app")
    assert not (tmp_path / "app").exists()
    assert "demo/fast.dat" in {file.path for file in install_wheel(wheel, tmp_path / "app", pruned=["demo/*.dat"])}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"record": f"{INFO}/RECORD,,\n"}, "demo/__init__.py is not mentioned in RECORD"),
        ({"extra": {"evil.py": b""}}, "evil.py is not mentioned in RECORD"),
        ({"record": ""}, "is not mentioned in RECORD"),
        ({"wheel": "Wheel-Version: 2.0\nRoot-Is-Purelib: true\n"}, "Incompatible Wheel-Version 2.0"),
    ],
)
def test_unsound_wheels(tmp_path: Path, changes: dict[str, str], found: str) -> None:
    wheel = make_wheel(tmp_path, {"demo/__init__.py": ""}, **changes)  # type: ignore[arg-type]
    with pytest.raises(SourceError) as caught:
        install_wheel(wheel, tmp_path / "app")
    assert str(caught.value).startswith("demo-1.0-py3-none-any.whl: expected a sound wheel, found: ")
    assert found in str(caught.value)
    assert not (tmp_path / "app/demo").exists()


def test_every_hash_of_record_is_checked(tmp_path: Path) -> None:
    content = {"demo/__init__.py": b"y", f"{INFO}/METADATA": METADATA.encode(), f"{INFO}/WHEEL": WHEEL.encode()}
    record = "".join(record_line(path, data) for path, data in content.items()) + f"{INFO}/RECORD,,\n"
    wheel = make_wheel(tmp_path, {"demo/__init__.py": "x"}, record=record)
    with pytest.raises(SourceError, match=r"hash / size of demo/__init__\.py didn't match RECORD"):
        install_wheel(wheel, tmp_path / "app")


def test_a_file_of_record_may_not_be_missing(tmp_path: Path) -> None:
    make_wheel(tmp_path, {})
    content = {"gone.py": b"", f"{INFO}/METADATA": METADATA.encode(), f"{INFO}/WHEEL": WHEEL.encode()}
    record = "".join(record_line(path, data) for path, data in content.items()) + f"{INFO}/RECORD,,\n"
    wheel = make_wheel(tmp_path, {}, record=record)
    with pytest.raises(
        SourceError, match=r"^demo-1.0-py3-none-any.whl: expected every file of RECORD, found no gone\.py"
    ):
        read_wheel(wheel)


@pytest.mark.parametrize("cut", [0, 10, -30])
def test_a_cut_wheel(tmp_path: Path, cut: int) -> None:
    wheel = make_wheel(tmp_path, {"demo/__init__.py": "x"})
    wheel.write_bytes(wheel.read_bytes()[:cut])
    for read in (read_wheel, lambda path: install_wheel(path, tmp_path / "app")):
        with pytest.raises(SourceError, match=r"^demo-1\.0-py3-none-any\.whl: expected a sound wheel"):
            read(wheel)


def test_a_wheel_for_a_platform(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"demo.py": ""}, wheel="Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
    with pytest.raises(SpecError, match="Root-Is-Purelib: true"):
        install_wheel(wheel, tmp_path / "app")


@pytest.mark.parametrize("where", ["data/etc/demo.conf", "platlib/demo.py"])
def test_files_without_a_place(tmp_path: Path, where: str) -> None:
    wheel = make_wheel(tmp_path, {f"demo-1.0.data/{where}": ""})
    with pytest.raises(SpecError):
        install_wheel(wheel, tmp_path / "app")


@pytest.mark.parametrize("path", ["../evil.py", "demo/../../evil.py", "/evil.py", "a/aux.py", "a/x?.py", "a/b./c"])
def test_paths_that_leave_the_folder_or_that_windows_cannot_have(tmp_path: Path, path: str) -> None:
    wheel = make_wheel(tmp_path, {path: "evil"})
    with pytest.raises(SourceError):
        install_wheel(wheel, tmp_path / "sub/app")
    assert not list(tmp_path.rglob("evil.py"))


def test_a_full_disk_is_not_the_wheels_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> InstalledFile:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("packager.vendor.write_new", full)
    with pytest.raises(OSError, match="No space left"):
        install_wheel(make_wheel(tmp_path, {"demo.py": ""}), tmp_path / "app")


# -- metadata and licences ----------------------------------------------------------------------------------------


def test_what_a_wheel_says_of_itself(tmp_path: Path) -> None:
    metadata = METADATA + (
        "License-Expression: apache-2.0 and mit\nLicense-File: LICENSE.txt\nLicense-File: vendor/x\n"
        "Requires-Dist: idna>=2\nRequires-Dist: colorama; sys_platform == 'win32'\n\nText\n"
    )
    files = {
        f"{INFO}/licenses/LICENSE.txt": "A",
        f"{INFO}/licenses/vendor/x": "B",
        f"{INFO}/NOTICE": "C",
        "demo.py": "",
    }
    assert read_wheel(make_wheel(tmp_path, files, metadata=metadata)) == Distribution(
        "demo",
        "1.0",
        "Apache-2.0 AND MIT",
        (Text("NOTICE", b"C"), Text("LICENSE.txt", b"A"), Text("vendor/x", b"B")),
        ("idna>=2", "colorama; sys_platform == 'win32'"),
    )


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("License: MIT\n", "MIT"),
        ("License: MIT Licence\n", None),
        ("License: BSD\n", None),
        ("Classifier: License :: OSI Approved :: MIT License\n", None),
        ("License-Expression: ISC\nLicense: MIT\n", "ISC"),
    ],
)
def test_only_spdx_counts_as_a_licence(tmp_path: Path, line: str, expression: str | None) -> None:
    assert read_wheel(make_wheel(tmp_path, {}, metadata=METADATA + line)).licence == expression


@pytest.mark.parametrize("name", ["LICENSE", "LICENCE.md", "licence", "COPYING.LESSER", "NOTICE.txt", "AUTHORS.rst"])
def test_older_wheels_keep_their_texts_beside_the_metadata(tmp_path: Path, name: str) -> None:
    wheel = make_wheel(tmp_path, {f"{INFO}/{name}": "text", f"{INFO}/top_level.txt": "demo"})
    assert read_wheel(wheel).texts == (Text(name, b"text"),)


def test_a_licence_text_cannot_leave_its_folder(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {f"{INFO}/licenses/../../../LICENSE": "evil"})
    with pytest.raises(SourceError):
        read_wheel(wheel)


def test_metadata_without_a_version(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected metadata with a name and a version"):
        read_wheel(make_wheel(tmp_path, {}, metadata="Name: demo\n"))


def package(licence: str | None = "MIT", texts: tuple[Text, ...] = (Text("LICENSE", b"l"),)) -> Distribution:
    return Distribution("demo", "1.0", licence, texts, ())


def override(**values: object) -> DependencyOverride:
    return DependencyOverride(name="demo", reason="r", **values)  # type: ignore[arg-type]


def test_a_package_speaks_for_itself_unless_the_spec_knows_better() -> None:
    assert licence_of(package(), None, extra={}, spec="s").expression == "MIT"
    licence = licence_of(package(None), override(licence="bsd-3-clause"), extra={}, spec="s")
    assert (licence.expression, licence.texts) == ("BSD-3-Clause", (Text("LICENSE", b"l"),))
    named = override(licence_files=("demo/THIRD",))
    texts = licence_of(package(), named, extra={"demo/THIRD": b"3"}, spec="s").texts
    assert texts == (Text("LICENSE", b"l"), Text("demo/THIRD", b"3"))


@pytest.mark.parametrize(
    ("about", "given", "message"),
    [
        (
            package(None),
            None,
            "s: dependencies.override (demo).licence: expected an SPDX expression, as the package's metadata has none, "
            "found nothing",
        ),
        (
            package(None),
            override(licence="Free"),
            "s: dependencies.override (demo).licence: expected an SPDX expression, found 'Free'",
        ),
        (
            package(texts=()),
            override(licence="MIT"),
            "s: dependencies.override (demo).licence_files: expected the licence text's path in the package, as its "
            "metadata names none, found nothing",
        ),
        (
            package(),
            override(licence_files=("gone",)),
            "s: dependencies.override (demo).licence_files: expected a file of demo, found gone",
        ),
    ],
)
def test_a_package_without_a_licence_is_an_error(
    about: Distribution, given: DependencyOverride | None, message: str
) -> None:
    with pytest.raises(SpecError) as caught:
        licence_of(about, given, extra={}, spec="s")
    assert caught.value.message == message


def test_members_by_path(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path, {"demo/THIRD": "3", "demo.py": ""})
    assert wheel_members(wheel, ["demo/THIRD", "gone"]) == {"demo/THIRD": b"3"}


def test_requirements_that_nothing_meets() -> None:
    requires = (
        "idna>=2",
        "Typing_Extensions; python_version < '3.13'",
        "colorama; sys_platform == 'win32'",
        "x; extra == 'y'",
    )
    packages = [Distribution("demo", "1.0", None, (), requires)]
    windows = {"sys_platform": "win32", "python_version": "3.13"}
    assert unmet_requirements(packages, ["IDNA"], windows) == ("demo needs colorama",)
    older = {"sys_platform": "linux", "python_version": "3.12"}
    assert unmet_requirements(packages, [], older) == ("demo needs Typing_Extensions", "demo needs idna")
    with pytest.raises(SourceError, match="demo: expected a PEP 508 requirement, found '!'"):
        unmet_requirements([Distribution("demo", "1.0", None, (), ("!",))], [], windows)


# -- sdists and applications --------------------------------------------------------------------------------------


def test_packages_and_modules_of_an_sdist(tmp_path: Path) -> None:
    sdist = tmp_path / "demo-1.0"
    write(sdist / "PKG-INFO", METADATA + "License: ISC\nLicense-File: doc/TERMS\n")
    write(sdist / "doc/TERMS", "t")
    write(sdist / "COPYING", "c")
    write(sdist / "src/demo/__init__.py", "i")
    write(sdist / "src/demo/__pycache__/x.pyc", "stale")
    write(sdist / "src/demo/LICENSE", "not at the top")
    write(sdist / "six.py", "s")
    write(sdist / "setup.py", "no")
    files = install_sdist_packages(sdist, ["src/demo", "six.py"], tmp_path / "app")
    assert [file.path for file in files] == ["demo/LICENSE", "demo/__init__.py", "six.py"]
    assert tree(tmp_path / "app") == {"demo/LICENSE": b"not at the top", "demo/__init__.py": b"i", "six.py": b"s"}
    about = read_sdist(sdist)
    assert (about.name, about.licence) == ("demo", "ISC")
    assert about.texts == (Text("COPYING", b"c"), Text("doc/TERMS", b"t"))


def test_native_code_of_an_sdist_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "demo-1.0/demo/x.so", b"\x7fELF")
    with pytest.raises(SpecError, match=r"demo-1\.0: expected no native code, found demo/x\.so \(ELF\)"):
        install_sdist_packages(tmp_path / "demo-1.0", ["demo"], tmp_path / "app")


def test_an_sdist_has_pkg_info(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected an sdist with PKG-INFO at its top, found none"):
        read_sdist(tmp_path)


def test_links_inside_the_source_become_copies(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write(source / "run", "r")
    (source / "pkg").mkdir()
    (source / "pkg/link").symlink_to("../run")
    (source / "top").symlink_to("run")
    assert install_path(source, "pkg", tmp_path / "b", "app/pkg") == (installed("app/pkg/link", b"r"),)
    assert install_path(source, "top", tmp_path / "b", "app/run.py") == (installed("app/run.py", b"r"),)
    assert not (tmp_path / "b/app/pkg/link").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../outside", "gone", "."])
def test_other_links_are_refused(tmp_path: Path, target: str) -> None:
    write(tmp_path / "outside", "secret")
    (tmp_path / "source/pkg").mkdir(parents=True)
    (tmp_path / "source/pkg/link").symlink_to(target)
    with pytest.raises(SourceError, match="pkg/link: expected a link to a file of the source, found one to"):
        install_path(tmp_path / "source", "pkg", tmp_path / "b", "app/pkg")


def test_what_is_to_be_installed_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="gone: expected a file or folder of the source, found nothing"):
        install_path(tmp_path, "gone", tmp_path / "b", "app/gone")


def test_a_file_cannot_stand_where_a_folder_is_wanted(tmp_path: Path) -> None:
    write_new(tmp_path, "a", b"", "one")
    with pytest.raises(SourceError, match="two: expected no two files of one name, found a/b again"):
        write_new(tmp_path, "a/b", b"", "two")


@given(st.text(min_size=1, max_size=20))
def test_a_name_that_passes_stays_below_its_folder(path: str) -> None:
    try:
        check_name(path, "x")
    except SourceError:
        return
    resolved = Path("/top", path)
    assert resolved.is_relative_to("/top")
    assert ".." not in resolved.parts
    assert not set(path) & set('<>:"\\|?*')


@pytest.mark.parametrize(
    "name", ["con", "CON.txt", "a/nul", "lpt1.py", "a ", "a.", "a:b", "a\\b", "a//b", "./a", "a\x01"]
)
def test_names_that_windows_cannot_have(name: str) -> None:
    with pytest.raises(SourceError):
        check_name(name, "x")


@pytest.mark.parametrize("name", ["console.py", "a/.hidden", "com.py", "électrum.txt", "a b"])
def test_names_that_it_can_have(name: str) -> None:
    check_name(name, "x")
