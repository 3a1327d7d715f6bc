"""Small Tor Browser trees of both forms, a small bundle in every form, and pictures of a tree to compare."""

from __future__ import annotations

import os
import runpy
import stat
from collections.abc import Mapping
from pathlib import Path

from packager import emit, manifest, trees
from packager.component import TOOLS_FOLDER
from packager.install import filelist
from packager.install.browser import MARKS, Form
from packager.layout import TOR_BROWSER
from tests.audit.samples import passed
from tests.support import write

EPOCH = 1735689600
FORMS: tuple[Form, ...] = ("before 16.0", "16.0")
HOST, PROGRAM, LICENCES = "Browser/TorBrowser", TOR_BROWSER.program, TOR_BROWSER.licences
STATE = f"{HOST}/Data/Namecoin"
#: The portable paths of a bundle's files, with their contents.
FILES = {
    "bundle.json": b'{"name": "demo"}\n',
    "namecoin.exe": b"MZ namecoin",
    "Start Tor Browser with Namecoin.exe": b"MZ start",
    "python/python.exe": b"MZ python",
    "python/Lib/os.pyc": bytes(range(256)) * 8,
    "app/demo/__init__.pyc": b"",
    "licenses/demo/LICENSE": b"Do what you like.\n",
    "licenses/cpython/LICENSE": b"PSF\n",
}


def browser(top: Path, form: Form = "16.0") -> Path:
    """A Tor Browser's folder: files with modes and times of their own, one read-only, a link, an empty folder."""
    files = {
        "Browser/firefox.exe": b"MZ firefox",
        "Browser/omni.ja": b"PK" + bytes(1000),
        MARKS[form]: b"AvoidDiskWrites 1\n",
        f"{HOST}/Tor/tor.exe": b"MZ tor",
        f"{HOST}/Data/Tor/torrc": b"",
        f"{HOST}/Docs/ChangeLog.txt": b"changes",
        f"{HOST}/Docs/Licenses/Tor/LICENSE": b"BSD",
        f"{HOST}/Docs/Licenses/\u00fcber \u65e5\u672c/LICENSE": b"MIT",
        "Start Tor Browser.lnk": b"L",
    }
    for number, (path, data) in enumerate(files.items()):
        file = write(top / path, data)
        file.chmod((0o644, 0o600, 0o444, 0o755)[number % 4])
        os.utime(file, ns=(10**18, 1_500_000_000_123_456_789 + number))
    (top / "Browser/TorBrowser/Data/Browser/profile.default").mkdir(parents=True)
    (top / "Browser/link").symlink_to("omni.ja")
    (top / f"{HOST}/Docs").chmod(0o700)
    return top


def picture(top: Path) -> Mapping[str, tuple[object, ...]]:
    """Every path below ``top``, and that itself: kind, mode, time, and content or target."""
    nodes = {".": top} | {node.path: node.absolute for node in trees.walk(top)}
    found: dict[str, tuple[object, ...]] = {}
    for path, absolute in nodes.items():
        status = absolute.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = absolute.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(absolute)
        found[path] = (stat.filemode(status.st_mode), status.st_mtime_ns, content)
    return found


def bundle(
    out: Path, version: str = "1.0", changes: Mapping[str, bytes | None] | None = None, *, archives: bool = True
) -> Path:
    """A finished bundle's folder in ``out``, with manifest, sums, and both archives; ``changes`` are to its files.

    A file whose content is None is left out.
    """
    title = f"demo-{version}-windows-x86_64"
    top = out / title
    for path, data in {**FILES, "app/demo/version.txt": version.encode(), **(changes or {})}.items():
        if data is not None:
            write(top / TOR_BROWSER.place(path), data)
    listed = filelist.describe(top, name="demo", version=version, target="windows-x86_64", epoch=EPOCH)
    write(top / TOR_BROWSER.place(filelist.NAME), filelist.encode(listed))
    for node in trees.walk(top):
        node.absolute.chmod(0o755 if node.is_folder else manifest.file_mode(node.path))
    top.chmod(0o755)
    if archives:
        pack(top)
        seal(top)
    return top


def pack(top: Path) -> None:
    """Both archives of a bundle's folder, beside it."""
    emit.write_tar_zst(
        passed(top), top.with_name(f"{top.name}.tar.zst"), "", EPOCH, shared=TOR_BROWSER.shared
    )  # fmt: skip
    zipped = top.with_name(f"{top.name}.zip")
    runpy.run_path(str(TOOLS_FOLDER / "make_zip.py"))["main"](str(top), str(zipped), "", EPOCH)


def seal(top: Path) -> None:
    """The manifest of a bundle's folder, and the sums of it and the archives."""
    name, version, system, machine = top.name.split("-")
    source = manifest.SourceRecord(
        name="demo", version=version, kind="application", licence="MIT", purl="pkg:generic/demo@1",
        digest=f"sha256:{'0' * 64}",
    )  # fmt: skip
    paths = [node.path for node in trees.files(top)]
    described = manifest.describe(
        top, dict.fromkeys(paths, "demo"), [source], name=name, version=version, target=f"{system}-{machine}",
        epoch=EPOCH,
    )  # fmt: skip
    write(top.with_name(f"{top.name}.manifest.json"), manifest.encode(described))
    beside = [top.with_name(f"{top.name}{end}") for end in (".manifest.json", ".tar.zst", ".zip")]
    file = top.with_name(manifest.SUMS)
    others = manifest.parse_sums(file.read_text()) if file.exists() else {}
    write(file, manifest.format_sums({**others, **{path.name: trees.file_sha256(path) for path in beside}}))
