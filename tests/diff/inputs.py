"""Pairs of files, folders and archives that differ in one kind of thing each; golden files lie in ``data/``.

``python -m tests.diff.inputs`` writes the golden files anew; look at what git says has changed.
"""

from __future__ import annotations

import gzip
import io
import json
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from packager.diff.compare import compare
from packager.diff.render import document, text
from tests.diff.marshalled import Code, pyc
from tests.pe import build
from tests.pe.build import Dll, Exports, Spec, rsds
from tests.support import write

DATA = Path(__file__).parent / "data"

Pair = tuple[Path, Path]
#: An image with a bit of everything.
IMAGE = Spec(
    imports=(Dll("KERNEL32.dll", ("ExitProcess", "Sleep")), Dll("WS2_32.dll", (1, 115))),
    delay=(Dll("CRYPT32.dll", ("CertOpenStore", 7)),),
    exports=Exports(),
    resources={16: {1: {1033: b"version"}}, 24: {1: {1033: b"<manifest/>"}, 2: {0: b"x"}}},
    debug=(2, 12),
    codeview=rsds(b"C:\\build\\x.pdb\0"),
    load_config_stamp=0,
)
FUNCTION = Code("f", "f", (None, "docstring", 1), ("print", "len"), ("x",), line=3)
MODULE = Code(consts=(FUNCTION, "f", None), names=("f",))


def files(top: Path, name: str, a: bytes, b: bytes) -> Pair:
    """Two files of one name."""
    return write(top / "a" / name, a), write(top / "b" / name, b)


def tree(top: Path, members: Mapping[str, bytes]) -> Path:
    """A folder with files."""
    for name, data in members.items():
        write(top / name, data)
        (top / name).chmod(0o644)
    for folder in (top, *(path for path in top.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    return top


def zipped(path: Path, members: Mapping[str, bytes], *, prefix: bytes = b"", **fields: object) -> Path:
    """A zip of ``members``, in their order, stored; ``fields`` are set on every member's ZipInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            info.create_system = 3
            info.external_attr = 0o100644 << 16
            for key, value in fields.items():
                setattr(info, key, value)
            archive.writestr(info, data)
    path.write_bytes(prefix + out.getvalue())
    return path


def tarred(
    path: Path, members: Mapping[str, bytes], *, tar_format: int = tarfile.PAX_FORMAT, pack: str = "", **fields: object
) -> Path:
    """A tar of ``members``, in their order; ``fields`` are set on every member's TarInfo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tar_format) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.mtime, info.size = 1735689600, len(data)
            for key, value in fields.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(data))
    data = out.getvalue()
    path.write_bytes(gzip.compress(data, mtime=0) if pack == "gz" else data)
    return path


def library(*members: tuple[str, bytes, int]) -> bytes:
    """An ar archive: (name, content, date)."""
    out = b"!<arch>\n"
    for name, content, date in members:
        out += f"{name:<16}{date:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        out += content + b"\n" * (len(content) % 2)
    return out


def in_pe(text: bytes, **options: object) -> bytes:
    """A PE image with every table and ``text`` in its section."""
    return build.build(replace(IMAGE, text=text.ljust(64, b"\0"), **options))  # type: ignore[arg-type]


def pe_headers(top: Path) -> Pair:
    a = build.build(IMAGE)
    at = 0x80
    b = bytearray(build.build(IMAGE, stamp=1577836800, checksum=0x12345678))
    struct.pack_into("<HH", b, at + 72, 10, 2)  # subsystem version
    struct.pack_into("<HH", b, at + 92, 2, 0x140)  # subsystem, DllCharacteristics
    struct.pack_into("<Q", b, at + 48, 0x180000000)
    return files(top, "x.dll", a, bytes(b))


def pe_tables(top: Path) -> Pair:
    other = replace(
        IMAGE,
        imports=(Dll("KERNEL32.dll", ("ExitProcess", "Wait_")), Dll("WS2_32.dll", (1, 116))),
        exports=Exports((("one", None), (None, None), ("two", "OTHER.four"))),
        resources={16: {1: {1033: b"verSion"}}, 24: {1: {1033: b"<manifest/>"}, 3: {0: b"x"}}},
        resource_stamp=0x33333334,
        codeview=rsds(b"D:\\build\\x.pdb\0", bytes(range(1, 17)), 2),
    )
    return files(top, "x.dll", build.build(IMAGE), build.build(other))


def pe_path(top: Path) -> Pair:
    return files(top, "x.dll", in_pe(b"/build/one/src/main.c"), in_pe(b"/build/two/src/main.c"))


def pe_resized(top: Path) -> Pair:
    a = build.build(replace(IMAGE, text=b"\0/build/a/main.c\0".ljust(0x300, b"\0"), stamp=5))
    b = build.build(replace(IMAGE, text=b"\0/build/longer/main.c\0".ljust(0x700, b"\0"), stamp=5))
    return files(top, "x.dll", a, b)


def pe_signed(top: Path) -> Pair:
    return files(top, "x.exe", build.build(IMAGE, certificate=b"c" * 64), build.build(IMAGE))


def pe_addresses(top: Path) -> Pair:
    sides = [struct.pack("<8Q", *(base + 0x1234 * i for i in range(8))) for base in (0x140000000, 0x140001000)]
    return files(top, "x.dll", build.build(text=sides[0]), build.build(text=sides[1]))


def pe_broken(top: Path) -> Pair:
    a = build.build(IMAGE)
    return files(top, "x.dll", a, a[:0x90])


def pe_with_zip(top: Path) -> Pair:
    made = []
    for side, second in (("a", 10), ("b", 20)):
        archive = zipped(top / f"{side}.zip", {"__main__.py": b"import x\n"}, date_time=(2024, 1, 1, 0, 0, second))
        made.append(build.build(overlay=b"#!python.exe\n" + archive.read_bytes()))
    return files(top, "x.exe", made[0], made[1])


def pyc_code(top: Path) -> Pair:
    inner = replace(FUNCTION, consts=(None, "docstring", 1.0), names=("print", "sum"), code=b"\x97\x00R\x00", line=4)
    other = replace(MODULE, consts=(inner, "f", None))
    return files(top, "m.pyc", pyc(MODULE), pyc(other, source=b"12345679"))


def pyc_file_name(top: Path) -> Pair:
    sides = [
        pyc(replace(MODULE, filename=name, consts=(replace(FUNCTION, filename=name), "f", None)))
        for name in ("/home/me/m.py", "m.py")
    ]
    return files(top, "m.pyc", sides[0], sides[1])


def pyc_header(top: Path) -> Pair:
    return files(top, "m.pyc", pyc(MODULE, flags=0), pyc(MODULE, flags=1))


def pyc_time(top: Path) -> Pair:
    sides = [pyc(MODULE, flags=0, source=struct.pack("<II", time, 100)) for time in (1735689600, 1735689601)]
    return files(top, "m.pyc", sides[0], sides[1])


def pyc_version(top: Path) -> Pair:
    return files(top, "m.pyc", pyc(MODULE, python=(3, 12)), pyc(MODULE, python=(3, 13)))


def pyc_references(top: Path) -> Pair:
    return files(top, "m.pyc", pyc(MODULE), pyc(MODULE, flagged=True))


def pyc_set_order(top: Path) -> Pair:
    sides = [pyc(Code(consts=(items,))) for items in (["a", "b"], ["b", "a"])]
    return files(top, "m.pyc", sides[0], sides[1])


def pyc_functions(top: Path) -> Pair:
    second = replace(FUNCTION, name="g", qualname="g")
    return files(top, "m.pyc", pyc(MODULE), pyc(replace(MODULE, consts=(FUNCTION, second, "f", None, 2))))


def pyc_broken(top: Path) -> Pair:
    return files(top, "m.pyc", pyc(MODULE), pyc(MODULE)[:-9] + b"?" * 9)


def text_line(top: Path) -> Pair:
    return files(top, "x.txt", b"one\ntwo\nthree\nfour\n", b"one\nzwei\nthree\nfour\nfive\n")


def text_order(top: Path) -> Pair:
    return files(top, "RECORD", b"a,1\nb,2\nc,3\n", b"b,2\na,1\nc,3\n")


def text_endings(top: Path) -> Pair:
    return files(top, "x.txt", b"one\ntwo\n", b"one\r\ntwo\r\n")


def text_json(top: Path) -> Pair:
    sides = [
        {"name": "x", "files": [{"size": 1}, {"size": size, "mode": "0644"}], "z": z} for size, z in ((2, 0), (3, 1))
    ]
    return files(top, "x.json", json.dumps(sides[0], indent=1).encode(), json.dumps(sides[1], indent=1).encode())


def binary(top: Path) -> Pair:
    a = bytes(range(256)) * 40
    b = bytearray(a)
    b[0x123:0x127] = b"\xff\xfe\xfd\xfc"
    b[0x1000] ^= 0x80
    return files(top, "x.bin", a, bytes(b))


def binary_size(top: Path) -> Pair:
    return files(top, "x.bin", b"\0\1\2\3" * 100, b"\0\1\2\3" * 101)


def gzipped(top: Path) -> Pair:
    return files(top, "x.txt.gz", gzip.compress(b"one\n", mtime=1577836800), gzip.compress(b"two\n", mtime=1609459200))


def ar_library(top: Path) -> Pair:
    stamps = [struct.pack("<HHIIIHH", 0x8664, 0, stamp, 0, 0, 0, 0) for stamp in (1577836800, 1735689600)]
    a = library(("a.o/", stamps[0], 5), ("b.o/", b"one", 0), ("c.o/", b"x", 0))
    b = library(("a.o/", stamps[1], 0), ("b.o/", b"two", 0))
    return files(top, "libx.a", a, b)


def folders(top: Path) -> Pair:
    shared = {"same.txt": b"same", "Lib/os.pyc": pyc(MODULE), "docs/gone/1.txt": b"1", "docs/gone/2.txt": b"2"}
    a = tree(
        top / "a", {**shared, "bin/tool": b"#!/bin/sh\n", "Readme.txt": b"hello\n", "x/y": b"only", "old": b"moved"}
    )
    b = tree(
        top / "b",
        {
            "same.txt": b"same",
            "Lib/os.pyc": pyc(replace(MODULE, filename="/a/os.py")),
            "bin/tool": b"#!/bin/sh\n",
            "README.txt": b"hello\n",
            "new": b"moved",
            "kind/file": b"",
        },
    )
    (b / "bin/tool").chmod(0o755)
    (a / "kind").symlink_to("x")
    (a / "link").symlink_to("x/y")
    (b / "link").symlink_to("x/z")
    return a, b


def wheel_in_folder(top: Path) -> Pair:
    sides = []
    for side, version in (("a", b"1.0"), ("b", b"1.1")):
        members = {"pkg/mod.py": b"VERSION = '" + version + b"'\n", "pkg/same.py": b"x = 1\n"}
        zipped(top / side / "x.whl", members)
        (top / side / "x.whl").chmod(0o644)
        (top / side).chmod(0o755)
        sides.append(top / side)
    return sides[0], sides[1]


MEMBERS = {"top/b.txt": b"b" * 100, "top/a/c.txt": b"c" * 100}


def zip_fields(top: Path) -> Pair:
    a = zipped(top / "a.zip", MEMBERS)
    b = zipped(
        top / "b.zip",
        dict(reversed(MEMBERS.items())),
        date_time=(2020, 2, 2, 4, 4, 4),
        external_attr=0o100755 << 16,
        extra=b"\x99\x99\x02\x00hi",
        compress_type=zipfile.ZIP_BZIP2,
    )
    return a, b


def tar_fields(top: Path) -> Pair:
    a = tarred(top / "a.tar.gz", MEMBERS, pack="gz")
    return a, tarred(top / "b.tar.gz", MEMBERS, pack="gz", mtime=1735689601.5, uid=1000, uname="me", mode=0o600)


def tar_format(top: Path) -> Pair:
    return tarred(top / "a.tar", MEMBERS), tarred(top / "b.tar", MEMBERS, tar_format=tarfile.GNU_FORMAT)


def folder_and_archive(top: Path) -> Pair:
    a = tree(top / "a", {name.removeprefix("top/"): data for name, data in MEMBERS.items()})
    return a, zipped(top / "b.zip", {**MEMBERS, "top/b.txt": b"b" * 99 + b"\n"})


CASES: tuple[Callable[[Path], Pair], ...] = (
    pe_headers, pe_tables, pe_path, pe_resized, pe_signed, pe_addresses, pe_broken, pe_with_zip,
    pyc_code, pyc_file_name, pyc_header, pyc_time, pyc_version, pyc_references, pyc_set_order, pyc_functions, pyc_broken,
    text_line, text_order, text_endings, text_json, binary, binary_size, gzipped, ar_library,
    folders, wheel_in_folder, zip_fields, tar_fields, tar_format, folder_and_archive,
)  # fmt: skip


def rendered(pair: Pair, top: Path) -> tuple[str, str]:
    """What the two forms of output are, with the paths of JSON's head relative to ``top``."""
    found = compare(*pair)
    plain = document(pair[0].relative_to(top), pair[1].relative_to(top), found)
    return text(found, limit=None, name=pair[0].name), json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            shown, plain = rendered(case(Path(folder)), Path(folder))
        (DATA / f"{case.__name__}_expected.txt").write_text(shown)
        (DATA / f"{case.__name__}_expected.json").write_text(plain)
