"""The standard library as an archive: what goes in, what stays, the ``._pth`` file, and the same bytes whatever the disk."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packager import library, trees
from packager.errors import BuildError
from packager.formats import zip as zips
from packager.normalise import Options, normalise_file
from tests.audit.samples import pyc
from tests.support import write

PTH = b"DLLs\nLib\n..\\app\n"
FILES: Mapping[str, bytes] = {
    "app/main.pyc": pyc(),
    "python/DLLs/_ssl.pyd": b"MZ",
    "python/Lib/encodings/__init__.pyc": pyc(),
    "python/Lib/encodings/utf_8.pyc": pyc(source="x = 1\n"),
    "python/Lib/os.pyc": pyc(source="x = 2\n"),
    "python/python313._pth": PTH,
}


def tree(top: Path, files: Mapping[str, bytes] = FILES) -> tuple[Path, dict[str, str]]:
    for name, content in files.items():
        write(top / name, content)
    return top, {name: "app" if name.startswith("app/") else "cpython" for name in files}


def packed(top: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(top / "python/python313.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize(
    ("version", "name"), [("3.13.5", "python313.zip"), ("3.12.11", "python312.zip"), ("3.14.0rc1", "python314.zip")]
)
def test_the_archives_name(version: str, name: str) -> None:
    assert library.archive_name(version) == name


def test_the_librarys_modules_go_into_the_archive(tmp_path: Path) -> None:
    top, provenance = tree(tmp_path)
    left = library.pack(top, provenance, "3.13.5")
    assert left == {
        "app/main.pyc": "app",
        "python/DLLs/_ssl.pyd": "cpython",
        "python/python313._pth": "cpython",
        "python/python313.zip": "cpython",
    }
    assert {node.path for node in trees.files(top)} == set(left)
    assert not (top / "python/Lib").exists()
    assert packed(top) == {
        path.removeprefix("python/Lib/"): data for path, data in FILES.items() if path.startswith("python/Lib/")
    }
    assert (top / "python/python313._pth").read_bytes() == b"DLLs\npython313.zip\n..\\app\n"
    assert {path.stat().st_mode & 0o777 for path in (top / "python").iterdir() if path.is_file()} == {0o644}
    assert provenance == {path: left.get(path, "cpython") for path in FILES}, "what was given is not changed"


def test_what_was_linked_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    top, provenance = tree(tmp_path / "one")
    os.link(top / "python/python313._pth", tmp_path / "elsewhere")
    library.pack(top, provenance, "3.13.5")
    assert (tmp_path / "elsewhere").read_bytes() == PTH


def test_packages_with_other_files_stay_loose(tmp_path: Path) -> None:
    """So that what code finds by a path beside itself is there; and what another source put there stays, too."""
    more = {
        "python/Lib/data/__init__.pyc": pyc(),
        "python/Lib/data/deep/table.txt": b"1 2\n",
        "python/Lib/fast.pyd": b"MZ",
        "python/Lib/theirs/__init__.pyc": pyc(),
    }
    top, provenance = tree(tmp_path, {**FILES, **more})
    provenance["python/Lib/theirs/__init__.pyc"] = "app"
    left = library.pack(top, provenance, "3.13.5")
    assert {path for path in left if path.startswith("python/Lib/")} == set(more)
    assert all((top / path).read_bytes() == data for path, data in more.items())
    assert sorted(packed(top)) == ["encodings/__init__.pyc", "encodings/utf_8.pyc", "os.pyc"]
    assert (top / "python/python313._pth").read_bytes() == b"DLLs\npython313.zip\nLib\n..\\app\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"python/python313._pth": None}, "python: expected one ._pth file, found 0"),
        ({"python/python313._pth": b"DLLs\nlibrary\n"}, "python/python313._pth: expected a line Lib, found none"),
        (
            dict.fromkeys([path for path in FILES if path.startswith("python/Lib/")]),
            "python/Lib/: expected modules to put into an archive, found none",
        ),
        ({"python/python313.zip": b"PK"}, "python/python313.zip: expected no such file yet, found one from cpython"),
    ],
)
def test_a_tree_of_another_form_is_refused(tmp_path: Path, change: Mapping[str, bytes | None], message: str) -> None:
    files = {path: data for path, data in {**FILES, **change}.items() if data is not None}
    top, provenance = tree(tmp_path, files)
    with pytest.raises(BuildError) as caught:
        library.pack(top, provenance, "3.13.5")
    assert caught.value.message == message


NAMES = st.lists(st.sampled_from("abéx"), min_size=1, max_size=3).map("".join)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
MODULES = st.sets(PATHS, min_size=1, max_size=12).map(lambda paths: {f"{path}.pyc": path.encode() for path in paths})


@given(MODULES, st.integers(0, 2**32), st.integers(0, 2**31))
def test_the_bytes_rest_on_names_and_contents_alone(
    tmp_path_factory: pytest.TempPathFactory, modules: Mapping[str, bytes], seed: int, when: int
) -> None:
    """In whatever order the files were written, whenever, and with whatever modes."""
    made = []
    for shuffle in (False, True):
        order = list(modules.items())
        if shuffle:
            random.Random(seed).shuffle(order)
        top = tmp_path_factory.mktemp("tree")
        files = {"python/python313._pth": PTH, **{f"python/Lib/{path}": data for path, data in order}}
        tree(top, files)
        for path in files if shuffle else ():
            os.utime(top / path, (when, when))
            (top / path).chmod(0o600)
        provenance = dict.fromkeys(reversed(files) if shuffle else files, "cpython")
        library.pack(top, provenance, "3.13.5")
        made.append((top / "python/python313.zip").read_bytes())
        assert packed(top) == modules
    assert made[0] == made[1]
    assert {member.name: member.data for member in zips.members(made[0])} == modules


def test_the_normaliser_gives_the_archive_the_bundles_time(tmp_path: Path) -> None:
    top, provenance = tree(tmp_path)
    library.pack(top, provenance, "3.13.5")
    archive = top / "python/python313.zip"
    options = Options(1735689600)
    report = normalise_file(archive, options)
    assert (report.kind, report.status) == ("zip", "changed")
    with zipfile.ZipFile(archive) as opened:
        assert {info.date_time for info in opened.infolist()} == {(2025, 1, 1, 0, 0, 0)}
    assert normalise_file(archive, options, check=True).status == "unchanged"


def test_this_python_imports_from_it(tmp_path: Path) -> None:
    files = {
        "python/python313._pth": PTH,
        "python/Lib/packed/__init__.pyc": pyc("Lib/packed/__init__.py", source="from packed.einé import NAME\n"),
        "python/Lib/packed/einé.pyc": pyc("Lib/packed/einé.py", source="NAME = __file__\n"),
    }
    top, provenance = tree(tmp_path, files)
    library.pack(top, provenance, "3.13.5")
    archive = top / "python/python313.zip"
    code = f"import sys; sys.path.insert(0, {str(archive)!r}); import packed; print(ascii(packed.NAME))"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ascii(f"{archive}/packed/einé.pyc")


def test_search_lists_keep_line_ends_and_other_lines() -> None:
    assert library.search_list(b"DLLs\r\nLib\r\nLib2\r\n", "x.zip", loose=False) == b"DLLs\r\nx.zip\r\nLib2\r\n"
    assert library.search_list(b"Lib", "x.zip", loose=False) == b"x.zip"
    assert library.search_list(b"Lib\n", "x.zip", loose=True) == b"x.zip\nLib\n"
    assert library.search_list(b"lib\n", "x.zip", loose=False) is None


def test_the_same_module_in_the_other_form() -> None:
    folders = ("python/DLLs", "python/python313.zip", "app")
    assert list(library.other_places("python/Lib/json/decoder.pyc", folders)) == [
        "python/python313.zip/json/decoder.pyc"
    ]
    assert list(library.other_places("python/Lib/json/decoder.pyc", ("python/Lib", "app"))) == []
    assert list(library.other_places("python/python313.zip/os.pyc", ("python/Lib",))) == ["python/Lib/os.pyc"]
    assert list(library.other_places("app/python313.zip/os.pyc", ("python/Lib",))) == []


def test_files_and_what_is_in_archives(tmp_path: Path) -> None:
    top, provenance = tree(tmp_path)
    library.pack(top, provenance, "3.13.5")
    write(top / "app/broken.zip", b"PK")
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x", b"1" * 100)
    write(top / "app/packed.zip", sink.getvalue())
    found = library.unpacked(top)
    assert set(found) == {
        "app/broken.zip", "app/main.pyc", "app/packed.zip", "python/DLLs/_ssl.pyd", "python/python313._pth",
        "python/python313.zip", "python/python313.zip/encodings/__init__.pyc",
        "python/python313.zip/encodings/utf_8.pyc", "python/python313.zip/os.pyc",
    }  # fmt: skip
    assert found["python/python313.zip/os.pyc"] == FILES["python/Lib/os.pyc"]
    assert found["app/main.pyc"] == top / "app/main.pyc"
