"""What is to be put into a tree: an archive or a folder of layout ``tor-browser``, checked before it goes anywhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packager import trees
from packager.contents import ArchiveError, archive_form, tar_stream
from packager.deps.names import encodable
from packager.disk import DiskError
from packager.errors import CheckError, SourceError, SpecError
from packager.install import filelist
from packager.install.filelist import FileList
from packager.layout import TOR_BROWSER, layout_in
from packager.manifest import file_mode
from packager.sources.unpack import unpack
from packager.verify import has_companions, verify_output

#: More than any payload unpacks to, and few enough bytes to stop an archive that is made to fill the disk.
MOST_BYTES = 1 << 30
MOST_FILES = 50_000
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Payload:
    """A checked bundle in a folder: its list of files, the list's own bytes, and what there is to say of the check."""

    listed: FileList
    data: bytes
    notes: tuple[str, ...]


def check_companions(source: Path) -> tuple[str, ...]:
    """Check an archive or folder against the manifest and the sums beside it; returns notes on what could not be.

    Raises CheckError when something is not as they say, SpecError when ``source`` is not there.
    """
    if not source.exists():
        raise SpecError(
            f"{source}: expected a bundle's archive or folder, found nothing",
            hint="name a .tar.zst, a .zip or a folder that `packager build` made",
        )
    if not has_companions(source):
        return ("no manifest and no sums beside it: checked against its own list of files only",)
    verified = verify_output(source)
    if verified.problems:
        raise CheckError(
            f"{source}: expected what the manifest and the sums beside it say, "
            f"found {len(verified.problems)} differences",
            details=[str(problem) for problem in verified.problems[:_SHOWN]],
            hint="get it again; nothing was changed",
        )
    return verified.notes


def unpack_payload(source: Path, dest: Path) -> Payload:
    """Put the files of ``source`` into the new folder ``dest`` (``dest/Browser/...``), with fixed modes and times.

    Raises SpecError when it is no bundle of layout ``tor-browser``, CheckError when it is damaged, made to do harm, or
    holds anything but what its list of files says; OSError, as when the disk is full.
    """
    if source.is_dir():
        _refuse_other_layouts(source, source)
        _copy(source, dest)
    else:
        if archive_form(source) is None:
            raise SpecError(f"{source}: expected a bundle's .tar.zst or .zip, found another kind of file")
        _unpack_archive(source, dest)
        _refuse_other_layouts(source, dest)
    path = dest / TOR_BROWSER.place(filelist.NAME)
    if path.is_symlink() or not path.is_file() or path.stat().st_size > filelist.MOST_BYTES:
        raise CheckError(f"{source}: expected {TOR_BROWSER.place(filelist.NAME)} in it, found none that is a file")
    data = path.read_bytes()
    listed = filelist.decode(data, f"{source}: {filelist.NAME}")
    if problems := list(_differences(dest, listed)):
        raise CheckError(
            f"{source}: expected what its {filelist.NAME} lists, found {len(problems)} differences",
            details=problems[:_SHOWN],
            hint="get it again; nothing was changed",
        )
    set_stamps(dest, listed.epoch)
    return Payload(listed, data, ())


def set_stamps(tree: Path, epoch: int) -> None:
    """Give every file and folder below ``tree`` the mode that archives have, and the time ``epoch``."""
    for node in reversed(list(trees.walk(tree))):
        node.absolute.chmod(0o755 if node.is_folder else file_mode(node.path))
        os.utime(node.absolute, (epoch, epoch))


def _unpack_archive(source: Path, dest: Path) -> None:
    """Unpack it; the one top folder, ``Browser``, that the unpacker leaves away comes back."""
    try:
        form = archive_form(source)
        if form is not None and form.startswith("tar"):
            # A compressed file that is cut off behind the tar's end is still one that is cut off.
            _read_through(source, form)
        unpack(source, dest, max_bytes=MOST_BYTES, max_entries=MOST_FILES)
    except DiskError as exc:
        raise exc.__cause__ or exc from None
    except SourceError as exc:
        raise CheckError(exc.message, hint=exc.hint or "get it again; nothing was changed") from exc
    except ArchiveError as exc:
        raise CheckError(exc.message, hint="get it again; nothing was changed") from exc
    if not (dest / TOR_BROWSER.top).exists() and (dest / TOR_BROWSER.program.partition("/")[2]).is_dir():
        aside = dest.with_name(f"{dest.name}-top")
        dest.rename(aside)
        dest.mkdir(mode=0o755)
        aside.rename(dest / TOR_BROWSER.top)


def _read_through(source: Path, form: str) -> None:
    total = 0
    with tar_stream(source, form) as stream:
        while chunk := stream.read(trees.CHUNK):
            total += len(chunk)
            # Headers and padding come on top of what the members hold.
            if total > 2 * MOST_BYTES:
                raise CheckError(f"{source}: expected {MOST_BYTES:,} bytes unpacked at most, found more")


def _copy(source: Path, dest: Path) -> None:
    """Copy the list, and what else is in the folder, but for links and devices, which are refused."""
    dest.mkdir(mode=0o755)
    size = 0
    for count, node in enumerate(trees.walk(source), 1):
        if not node.is_folder and not node.is_file:
            raise CheckError(f"{source}: {encodable(node.path)}: expected files and folders, found a link or a device")
        size += node.status.st_size if node.is_file else 0
        if count > MOST_FILES or size > MOST_BYTES:
            raise CheckError(f"{source}: expected {MOST_FILES:,} files with {MOST_BYTES:,} bytes at most, found more")
        if node.is_folder:
            (dest / node.path).mkdir()
        else:
            shutil.copyfile(node.absolute, dest / node.path)


def _refuse_other_layouts(source: Path, folder: Path) -> None:
    layout = layout_in(folder)
    if layout is TOR_BROWSER:
        return
    words = "found none" if layout is None else f"found one of layout {layout.name}"
    raise SpecError(
        f"{source}: expected a bundle of layout {TOR_BROWSER.name}, with {TOR_BROWSER.bundle_file} in it, {words}",
        hint=f'only a bundle whose spec says layout = "{TOR_BROWSER.name}" goes into a Tor Browser, as electrum-nmc',
    )


def _differences(tree: Path, listed: FileList) -> Iterator[str]:
    """Where the files of a tree are not those of its list."""
    wanted = {file.path: file for file in listed.files}
    own = TOR_BROWSER.place(filelist.NAME)
    folders = filelist.folders_of((own, *wanted))
    found = set()
    for node in trees.walk(tree):
        found.add(node.path)
        shown = encodable(node.path)
        if node.is_folder:
            if node.path not in folders:
                yield f"{shown}: expected nothing, found a folder"
        elif not node.is_file:
            yield f"{shown}: expected files and folders, found a link"
        elif node.path in wanted:
            file = wanted[node.path]
            if (node.status.st_size, trees.file_sha256(node.absolute)) != (file.size, file.sha256):
                yield f"{shown}: expected {file.size} bytes, sha256 {file.sha256}, found others"
        elif node.path != own:
            yield f"{shown}: expected nothing, found a file"
    for path in wanted:
        if path not in found:
            yield f"{path}: expected a file, found nothing"
