"""An output against its manifest and sums: every single changed byte, file, mode, owner and time is found."""

from __future__ import annotations

import io
import os
import runpy
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from packager import emit, manifest, provenance, sbom, trees, verify
from packager.component import TOOLS_FOLDER
from packager.errors import SpecError
from packager.formats import stored
from packager.verify import Problem, verify_output
from tests.audit.samples import passed
from tests.install import samples
from tests.support import write

TITLE = "demo-1.0-windows-x86_64"
EPOCH = 1735689600
FILES = {
    "demo.exe": b"MZ" * 40,
    "python/Lib/os.pyc": bytes(range(256)) * 8,
    "licenses/demo/LICENSE": b"Do what you like.\n",
}


def make(out: Path) -> Path:
    """A small bundle in every form, with manifest and sums, and a stranger's file in the same SHA256SUMS."""
    tree = out / TITLE
    for path, data in FILES.items():
        write(tree / path, data).chmod(manifest.file_mode(path))
    for node in trees.walk(tree):
        if node.is_folder:
            node.absolute.chmod(0o755)
    tree.chmod(0o755)
    source = manifest.SourceRecord(
        name="demo",
        version="1.0",
        kind="application",
        licence="MIT",
        purl="pkg:generic/demo@1.0",
        digest=f"sha256:{'0' * 64}",
    )
    described = manifest.describe(
        tree, dict.fromkeys(FILES, "demo"), [source], name="demo", version="1.0", target="windows-x86_64", epoch=EPOCH
    )
    write(out / f"{TITLE}.manifest.json", manifest.encode(described))
    emit.write_tar_zst(passed(tree), out / f"{TITLE}.tar.zst", TITLE, EPOCH)
    runpy.run_path(str(TOOLS_FOLDER / "make_zip.py"))["main"](str(tree), str(out / f"{TITLE}.zip"), TITLE, EPOCH)
    write(out / f"{TITLE}.cdx.json", b"{}\n")
    write(out / "other-2.zip", b"somebody else's")
    seal(out)
    return out


def seal(out: Path) -> None:
    """Write the sums anew."""
    names = [path.name for path in out.iterdir() if path.is_file() and path.name != manifest.SUMS]
    write(out / manifest.SUMS, manifest.format_sums({name: trees.file_sha256(out / name) for name in names}))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return make(tmp_path / "dist")


FORMS = pytest.mark.parametrize("name", [TITLE, f"{TITLE}.tar.zst", f"{TITLE}.zip"])


def lines(path: Path, **given: Path) -> list[str]:
    return [str(problem) for problem in verify_output(path, **given).problems]


@FORMS
def test_what_a_build_made_is_sound(out: Path, name: str) -> None:
    found = verify_output(out / name)
    assert (found.files, found.problems, found.notes) == (3, (), ())


def test_the_names_are_those_that_a_build_gives() -> None:
    assert {manifest.SUFFIX, sbom.SUFFIX, provenance.SUFFIX} < set(verify.COMPANIONS)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("verify") / "dist")


#: What may be damaged, and which outputs must notice.
DAMAGE = {
    manifest.SUMS: [TITLE, f"{TITLE}.tar.zst", f"{TITLE}.zip"],
    f"{TITLE}.manifest.json": [TITLE, f"{TITLE}.tar.zst", f"{TITLE}.zip"],
    f"{TITLE}.cdx.json": [TITLE, f"{TITLE}.tar.zst", f"{TITLE}.zip"],
    f"{TITLE}.tar.zst": [f"{TITLE}.tar.zst"],
    f"{TITLE}.zip": [f"{TITLE}.zip"],
    **{f"{TITLE}/{path}": [TITLE] for path in FILES},
}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(DAMAGE)), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_any_one_changed_byte_is_found(pristine: Path, name: str, where: float, change: int) -> None:
    path = pristine / name
    sound = path.read_bytes()
    data = bytearray(sound)
    data[int(where * len(data))] ^= change
    path.write_bytes(data)
    try:
        for output in DAMAGE[name]:
            assert verify_output(pristine / output).problems, f"{output}: {name} at {int(where * len(data))}"
    finally:
        path.write_bytes(sound)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([f"{TITLE}.tar.zst", f"{TITLE}.zip", f"{TITLE}.manifest.json"]), st.data())
def test_damage_is_a_problem_and_never_a_traceback_even_without_sums(
    pristine: Path, name: str, data: st.DataObject
) -> None:
    path, sums = pristine / name, pristine / manifest.SUMS
    sound, listed = path.read_bytes(), sums.read_bytes()
    at = data.draw(st.integers(0, len(sound) - 1))
    broken = data.draw(st.sampled_from([sound[:at], sound[:at] + bytes([sound[at] ^ 0x41]) + sound[at + 1 :]]))
    path.write_bytes(broken)
    sums.unlink()
    try:
        for output in DAMAGE[name]:
            verify_output(pristine / output)
    finally:
        path.write_bytes(sound)
        sums.write_bytes(listed)


def test_every_byte_of_the_sums_counts(out: Path) -> None:
    sums = out / manifest.SUMS
    sound = sums.read_bytes()
    for at in range(len(sound)):
        change = (0x01, 0x20, 0x80)[at % 3]
        sums.write_bytes(sound[:at] + bytes([sound[at] ^ change]) + sound[at + 1 :])
        assert verify_output(out / TITLE).problems, f"byte {at} xor {change:#x}"


def test_a_missing_an_extra_and_a_changed_file(out: Path) -> None:
    tree = out / TITLE
    (tree / "demo.exe").unlink()
    write(tree / "python/Lib/os.pyc", b"x" * 2048)
    write(tree / "python/evil.pyc", b"?")
    (tree / "empty").mkdir(mode=0o755)
    (tree / "away").symlink_to("/etc")
    os.mkfifo(tree / "pipe")
    old = trees.file_sha256(make(out.parent / "again") / TITLE / "python/Lib/os.pyc")
    assert lines(tree) == [
        "demo.exe: expected a file of 80 bytes, found nothing",
        "away: expected nothing, found a link to /etc",
        "empty: expected nothing, found a folder",
        "pipe: expected nothing, found what is neither file nor folder",
        "python/Lib/os.pyc: expected 2048 bytes, sha256 "
        f"{old}, found 2048 bytes, sha256 {trees.file_sha256(tree / 'python/Lib/os.pyc')}",
        "python/evil.pyc: expected nothing, found a file of 1 bytes",
    ]


def test_of_an_archive_the_members_are_named_that_differ(out: Path) -> None:
    old = dict.fromkeys(("a.pyc", "b.pyc", "c.pyc"), b"12")
    tree = out / TITLE
    described = manifest.decode((out / f"{TITLE}.manifest.json").read_bytes(), "m")
    archive = write(tree / "python/python313.zip", stored.pack(old, EPOCH))
    file = msgspec.structs.replace(
        described.files[0],
        path="python/python313.zip", sha256=trees.file_sha256(archive), size=archive.stat().st_size, mode="0644",
        members=manifest.archive_members(archive),
    )  # fmt: skip
    whole = msgspec.structs.replace(described, files=(*described.files, file))
    write(out / f"{TITLE}.manifest.json", manifest.encode(whole))
    seal(out)
    assert lines(tree) == []
    write(archive, stored.pack({"a.pyc": b"12", "b.pyc": b"13", "d.pyc": b""}, EPOCH))
    assert [(problem.path, problem.what) for problem in verify_output(tree).problems] == [
        ("python/python313.zip", "changed"),
        ("python/python313.zip/b.pyc", "changed"),
        ("python/python313.zip/c.pyc", "changed"),
        ("python/python313.zip/d.pyc", "changed"),
    ]
    write(archive, stored.pack(old, EPOCH))
    # A manifest that says other things of the members than of the file.
    wrong = msgspec.structs.replace(file.members[0], size=3)
    lying = msgspec.structs.replace(file, members=(wrong, *file.members[1:]))
    write(
        out / f"{TITLE}.manifest.json", manifest.encode(msgspec.structs.replace(whole, files=(*described.files, lying)))
    )
    seal(out)
    assert lines(tree) == [
        f"python/python313.zip/a.pyc: expected 3 bytes, sha256 {wrong.sha256}, found 2 bytes, sha256 {wrong.sha256}"
    ]


def test_another_kind_of_thing_in_a_file_s_or_folder_s_place(out: Path) -> None:
    tree = out / TITLE
    (tree / "demo.exe").rename(tree.parent / "elsewhere")
    (tree / "demo.exe").symlink_to("../elsewhere")
    shutil.rmtree(tree / "licenses")
    write(tree / "licenses", b"")
    assert "demo.exe: expected a file, found a link to ../elsewhere" in lines(tree)
    assert "licenses: expected a folder, found a file of 0 bytes" in lines(tree)


def test_wrong_modes(out: Path) -> None:
    tree = out / TITLE
    (tree / "demo.exe").chmod(0o644)
    (tree / "licenses/demo/LICENSE").chmod(0o4644)
    (tree / "python").chmod(0o777)
    (tree / "python/Lib").chmod(0o2755)  # what a folder inherits from the one that it is made in
    tree.chmod(0o700)
    assert lines(tree) == [
        ".: expected mode 0755, found 0700",
        "demo.exe: expected mode 0755, found 0644",
        "licenses/demo/LICENSE: expected mode 0644, found 4644",
        "python: expected mode 0755, found 0777",
    ]


def repack_tar(path: Path, change: Callable[[tarfile.TarInfo], None]) -> None:
    """Write a .tar.zst anew with each member's header changed."""
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as old, tarfile.open(fileobj=made, mode="w") as new:
        for member in old:
            data = old.extractfile(member) if member.isreg() else None
            change(member)
            new.addfile(member, data)
    path.write_bytes(zstandard.compress(made.getvalue()))


def edit(path: str, **fields: object) -> Callable[[tarfile.TarInfo], None]:
    def change(member: tarfile.TarInfo) -> None:
        if member.name == f"{TITLE}/{path}":
            for field, value in fields.items():
                setattr(member, field, value)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (edit("demo.exe", mode=0o644), "demo.exe: expected mode 0755, found 0644"),
        (edit("python", mode=0o777), "python: expected mode 0755, found 0777"),
        (edit("demo.exe", uid=1000), "demo.exe: expected owner 0:0, found 1000:0"),
        (edit("python", gid=5), "python: expected owner 0:0, found 0:5"),
        (edit("demo.exe", mtime=EPOCH + 1), f"demo.exe: expected time {EPOCH}, found {EPOCH + 1}"),
        (edit("demo.exe", name=f"{TITLE}/demo2.exe"), "demo2.exe: expected nothing, found a file of 80 bytes"),
        (
            edit("demo.exe", name="demo.exe"),
            f"{TITLE}.tar.zst: expected all of it below {TITLE}/, found no one top folder",
        ),
    ],
)
def test_a_tar_that_is_packed_otherwise(out: Path, change: Callable[[tarfile.TarInfo], None], expected: str) -> None:
    path = out / f"{TITLE}.tar.zst"
    repack_tar(path, change)
    seal(out)
    assert expected in lines(path)


def test_a_tar_below_another_folder(out: Path) -> None:
    def change(member: tarfile.TarInfo) -> None:
        member.name = member.name.replace(TITLE, "demo")

    path = out / f"{TITLE}.tar.zst"
    repack_tar(path, change)
    seal(out)
    assert lines(path) == [f"{TITLE}.tar.zst: expected all of it below {TITLE}/, found demo"]


def test_a_zip_with_other_times_and_modes(out: Path) -> None:
    path = out / f"{TITLE}.zip"
    with zipfile.ZipFile(path) as old:
        members = [(info, old.read(info)) for info in old.infolist()]
    with zipfile.ZipFile(path, "w") as new:
        for info, data in members:
            if info.filename.endswith("demo.exe"):
                info.date_time = (2025, 1, 1, 0, 0, 2)
                info.external_attr = 0o100644 << 16
            new.writestr(info, data)
    seal(out)
    assert lines(path) == [
        "demo.exe: expected mode 0755, found 0644",
        f"demo.exe: expected time {EPOCH}, found {EPOCH + 2}",
    ]


def test_a_broken_archive_is_named_with_its_sum(out: Path) -> None:
    path = out / f"{TITLE}.tar.zst"
    path.write_bytes(path.read_bytes()[:-20])
    problems = verify_output(path).problems
    assert [problem.what for problem in problems] == ["sum", "archive"]
    assert problems[1].path == path.name


def test_a_manifest_of_something_else(out: Path) -> None:
    path = out / f"{TITLE}.manifest.json"
    path.write_text(path.read_text().replace('"version": "1.0",\n "target"', '"version": "1.1",\n "target"'))
    seal(out)
    assert lines(out / TITLE) == [f"{path.name}: expected one of {TITLE}, found one of demo-1.1-windows-x86_64"]


def test_a_manifest_that_is_none(out: Path) -> None:
    write(out / f"{TITLE}.manifest.json", b"[1, 2")
    (problem,) = [item for item in verify_output(out / TITLE).problems if item.what == "manifest"]
    assert str(problem) == f"{TITLE}.manifest.json: expected a bundle's manifest, found Expected `object`, got `array`"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (f"  {TITLE}.zip\n", f"  {TITLE}.zap\n", f"{TITLE}.zip: expected a line for it in SHA256SUMS, found none"),
        ("  other-2.zip", "  other-3.zip", "other-2.zip: expected a line for it in SHA256SUMS, found its sha256 under 'other-3.zip'"),
        ("  other-2.zip", " *other-2.zip", "SHA256SUMS: line 5: expected a sha256, two spaces and a file name, found "),
        ("  other-2.zip\n", "  other-2.zip\n\n", "SHA256SUMS: line 6: expected a sha256, two spaces and a file name, found an empty line"),
    ],
)  # fmt: skip
def test_sums_that_do_not_list_what_is_there(out: Path, old: str, new: str, expected: str) -> None:
    sums = out / manifest.SUMS
    text = sums.read_text()
    assert old in text
    sums.write_text(text.replace(old, new))
    assert any(line.startswith(expected) for line in lines(out / f"{TITLE}.zip")), lines(out / f"{TITLE}.zip")


def test_a_name_that_is_listed_twice(out: Path) -> None:
    sums = out / manifest.SUMS
    sums.write_text(sums.read_text() + f"{'0' * 64}  other-2.zip\n")
    assert lines(out / TITLE) == ["SHA256SUMS: line 6: expected each name once, found other-2.zip again"]


def test_what_is_listed_but_not_there_is_only_noted(out: Path) -> None:
    (out / "other-2.zip").unlink()
    found = verify_output(out / f"{TITLE}.zip")
    assert (found.problems, found.notes) == ((), ("listed in SHA256SUMS but not here, so not checked: other-2.zip",))


def test_without_sums_the_contents_are_checked_and_it_is_said(out: Path) -> None:
    (out / manifest.SUMS).unlink()
    found = verify_output(out / f"{TITLE}.zip")
    assert (found.files, found.problems) == (3, ())
    assert found.notes == ("no SHA256SUMS: contents checked against the manifest, which nothing vouches for",)


def test_without_a_manifest_the_sum_is_checked_and_it_is_said(out: Path) -> None:
    (out / f"{TITLE}.manifest.json").unlink()
    found = verify_output(out / f"{TITLE}.zip")
    assert (found.files, found.problems) == (0, ())
    assert "no manifest: only the sum in SHA256SUMS was checked" in found.notes
    write(out / f"{TITLE}.zip", b"PK\3\4")
    assert [problem.what for problem in verify_output(out / f"{TITLE}.zip").problems] == ["sum"]


@FORMS
def test_with_neither_it_says_where_it_looked(out: Path, name: str) -> None:
    for unwanted in (manifest.SUMS, f"{TITLE}.manifest.json"):
        (out / unwanted).unlink()
    with pytest.raises(SpecError, match="nothing to check it against") as caught:
        verify_output(out / name)
    assert f"{TITLE}.manifest.json" in caught.value.message
    assert str(out) in caught.value.message
    assert caught.value.hint is not None
    assert "--manifest" in caught.value.hint


def test_manifest_and_sums_may_lie_elsewhere(out: Path, tmp_path: Path) -> None:
    moved = tmp_path / "unpacked"
    (out / TITLE).rename(moved)
    where = {"manifest": out / f"{TITLE}.manifest.json", "sums": out / manifest.SUMS}
    assert lines(moved, **where) == []
    write(moved / "demo.exe", b"MZ").chmod(0o755)
    assert [problem.what for problem in verify_output(moved, **where).problems] == ["changed"]
    where["manifest"].write_bytes(where["manifest"].read_bytes() + b" ")
    assert [problem.what for problem in verify_output(moved, **where).problems] == ["sum", "changed"]


@pytest.mark.parametrize("name", ["nothing", f"{TITLE}.manifest.json"])
def test_what_cannot_be_checked_is_a_spec_error(out: Path, name: str) -> None:
    with pytest.raises(SpecError, match=f"{name}: expected"):
        verify_output(out / name)


def test_a_manifest_that_is_named_but_not_there(out: Path) -> None:
    with pytest.raises(SpecError, match=r"gone\.json: no such file"):
        verify_output(out / TITLE, manifest=out / "gone.json")


def test_problems_read_as_sentences() -> None:
    assert str(Problem("a", "mode", "mode 0755", "0644")) == "a: expected mode 0755, found 0644"


@pytest.fixture(scope="module")
def in_a_browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a bundle of layout tor-browser, its archives, manifest and sums beside it."""
    return samples.bundle(tmp_path_factory.mktemp("tor-browser"))


@pytest.mark.parametrize("end", ["", ".tar.zst", ".zip"])
def test_a_bundle_for_a_tor_browser_is_sound(in_a_browser: Path, end: str) -> None:
    path = in_a_browser.with_name(in_a_browser.name + end)
    assert verify.has_companions(path)
    found = verify_output(path)
    assert (found.files, found.problems) == (len(samples.FILES) + 2, ())


def test_what_is_wrong_in_one_is_named_with_its_whole_path(in_a_browser: Path, tmp_path: Path) -> None:
    top = Path(shutil.copytree(in_a_browser, tmp_path / in_a_browser.name))
    write(top / "Browser/extra", "x")
    write(top / samples.PROGRAM / "namecoin.exe", "MZ Namecoin")
    samples.pack(top)
    described = in_a_browser.with_name(f"{in_a_browser.name}.manifest.json")
    for end in ("", ".tar.zst", ".zip"):
        found = lines(top.with_name(top.name + end), manifest=described)
        assert {line.partition(":")[0] for line in found} == {"Browser/extra", f"{samples.PROGRAM}/namecoin.exe"}


def test_one_that_lies_in_a_folder_of_the_archive_is_refused(in_a_browser: Path, tmp_path: Path) -> None:
    wrapped = tmp_path / f"{in_a_browser.name}.tar.zst"
    emit.write_tar_zst(passed(in_a_browser), wrapped, "wrapping", EPOCH)
    described = in_a_browser.with_name(f"{in_a_browser.name}.manifest.json")
    assert lines(wrapped, manifest=described) == [
        f"{wrapped.name}: expected all of it below Browser/, found wrapping"
    ]  # fmt: skip


def test_what_lies_beside_an_output(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", "")
    (tmp_path / "a").mkdir()
    assert not verify.has_companions(archive)
    write(tmp_path / manifest.SUMS, "")
    assert verify.has_companions(archive)
    assert not verify.has_companions(tmp_path / "a"), "a folder has no sum"
    write(tmp_path / f"a{manifest.SUFFIX}", "{}")
    assert verify.has_companions(tmp_path / "a")
    assert not verify.has_companions(write(tmp_path / "a.txt", ""))
