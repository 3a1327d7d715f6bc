"""The list of files: what it says, and what is not believed of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from packager.errors import CheckError
from packager.install import filelist
from tests.install.samples import EPOCH, FILES, HOST, LICENCES, PROGRAM, bundle

ROOT = Path(__file__).parents[2]


def document(*paths: str, **changes: object) -> bytes:
    files = [{"path": path, "size": 1, "sha256": "0" * 64} for path in paths]
    head = {"format": 1, "name": "demo", "version": "1", "target": "windows-x86_64", "epoch": 0}
    return json.dumps({**head, "files": files, **changes}).encode()


def test_it_lists_all_files_but_itself(tmp_path: Path) -> None:
    top = bundle(tmp_path, archives=False)
    data = (top / PROGRAM / "files.json").read_bytes()
    listed = filelist.decode(data, "files.json")
    assert (listed.title, listed.epoch) == ("demo-1.0-windows-x86_64", EPOCH)
    assert [file.path for file in listed.files] == sorted(
        path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file() and path.name != "files.json"
    )
    assert len(listed.files) == len(FILES) + 1
    assert filelist.encode(listed) == data
    jsonschema.validate(json.loads(data), json.loads((ROOT / "docs/schema/files.schema.json").read_text()))


@pytest.mark.parametrize(
    "path",
    [
        f"{PROGRAM}/../x",
        f"{PROGRAM}/./x",
        f"{PROGRAM}//x",
        f"{PROGRAM}/a\\..\\..\\x",
        f"{PROGRAM}/a:stream",
        f"{PROGRAM}/a.",
        f"{PROGRAM}/a ",
        f"{PROGRAM}/a\nb",
        f"/{PROGRAM}/x",
        f"{PROGRAM}",
        f"{PROGRAM}/",
        "Browser/firefox.exe",
        f"{HOST}/Docs/Licenses/Tor/LICENSE",
        f"{HOST}/Namecoin2/x",
        f"{HOST}/Data/Namecoin/x",
        f"{PROGRAM}/files.json",
        f"{PROGRAM}/Installed.JSON",
        "C:/x",
        "",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(CheckError, match=r"^f\.json: "):
        filelist.decode(document(f"{PROGRAM}/good", path), "f.json")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "f.json: not a bundle's list of files: Input data was truncated"),
        (b"\xff", "f.json: not a bundle's list of files: JSON is malformed: invalid character (byte 0)"),
        (b"[" * 100_000, "f.json: not a bundle's list of files: "),
        (document(format=2), "f.json: not a bundle's list of files: Invalid enum value 2 - at `$.format`"),
        (document(more=1), "f.json: not a bundle's list of files: Object contains unknown field `more`"),
        (
            document(f"{PROGRAM}/a", f"{PROGRAM}/A"),
            f"f.json: expected each path once in upper and lower case, found '{PROGRAM}/A' again",
        ),
        (
            document(f"{PROGRAM}/d/a", f"{PROGRAM}/D/b"),
            f"f.json: expected folders that differ not only in case, found '{PROGRAM}/d' twice",
        ),
        (
            document(f"{PROGRAM}/a", f"{PROGRAM}/a/b"),
            f"f.json: expected files, found one that is a folder, too, above '{PROGRAM.upper()}/A/B'",
        ),
        (
            document("Browser/firefox.exe"),
            f"f.json: expected paths below {PROGRAM}/ and {LICENCES}/, found 'Browser/firefox.exe'",
        ),
    ],
)
def test_what_is_no_list_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CheckError) as caught:
        filelist.decode(data, "f.json")
    assert caught.value.message.startswith(message)


@pytest.mark.parametrize("folder", ["Browser", HOST, "Browser/TorBrowser/Data", f"{PROGRAM}/..", "x", f"{HOST}/Tor"])
def test_a_record_of_others_folders_is_refused(folder: str) -> None:
    with pytest.raises(CheckError, match=r"^i\.json: "):
        filelist.decode_record(json.dumps({"format": 1, "folders": [folder]}).encode(), "i.json")


def test_a_record_of_our_folders_is_read() -> None:
    folders = [f"{HOST}/Docs", f"{HOST}/Docs/Licenses", LICENCES, PROGRAM, f"{PROGRAM}/app"]
    data = json.dumps({"format": 1, "folders": folders}).encode()
    assert list(filelist.decode_record(data, "i.json").folders) == folders


def test_what_may_be_renamed() -> None:
    yes: list[Any] = [PROGRAM.lower(), f"{LICENCES}/x", f"{HOST}/DOCS", f"{HOST}/Data/Namecoin"]
    assert all(map(filelist.is_movable, yes))
    assert not any(
        map(filelist.is_movable, ["Browser", HOST, f"{HOST}/Data", f"{HOST}/Data/Namecoin/x", f"{HOST}/Tor"])
    )
