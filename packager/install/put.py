"""Installing: where a checked payload's files go in a tree, and moving them there."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from packager import trees
from packager.contents import archive_form
from packager.deps.names import encodable, windows_key
from packager.errors import CheckError
from packager.install import filelist
from packager.install.browser import Disk, Form, find_tree, idle, present_in
from packager.install.filelist import Record
from packager.install.moves import Move, Workspace, carry_out, workspace
from packager.install.payload import Payload, check_companions, unpack_payload
from packager.install.take import Removal, made_folders, plan_removal, refuse_changed
from packager.layout import TOR_BROWSER
from packager.manifest import json_schema

SCHEMA = "urn:electrum-packager:installed:1"
_SHOWN = 10


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """What installing did. All paths are relative to ``tree``."""

    tree: Annotated[str, Meta(description="the folder that has Browser in it")]
    form: Annotated[Form, Meta(description="where the tree's torrc-defaults is: it moved in Tor Browser 16.0")]
    action: Annotated[
        Literal["installed", "replaced", "unchanged"], Meta(description="unchanged: it was there already")
    ]
    bundle: Annotated[str, Meta(description="name, version and target")]
    files: Annotated[int, Meta(ge=0, description="how many the bundle has")]
    size: Annotated[int, Meta(ge=0, description="bytes that they have")]
    replaced: Annotated[str | None, Meta(description="name, version and target of what was there before")] = None
    left: Annotated[
        tuple[str, ...], Meta(description="others' files in the replaced bundle's folders, which stay")
    ] = ()
    notes: Annotated[tuple[str, ...], Meta(description="what could not be checked")] = ()


@dataclass(frozen=True, slots=True)
class _Plan:
    """What goes where, which folders that makes (as the bundle spells them), and what stands in the way."""

    moves: tuple[Move, ...]
    made: frozenset[str]
    conflicts: tuple[str, ...]


def install(source: Path, given: Path) -> Installed:
    """Put the bundle ``source`` (a ``.tar.zst``, a ``.zip`` or the folder) into the Tor Browser's folder ``given``.

    Nothing of the browser's is changed; another version of the bundle is replaced, its state stays. Raises SpecError
    when one of the two is not what it should be, CheckError when the bundle is damaged, something stands in its way, or
    one that is there was changed or is running, MachineError when the tree cannot be written. The tree is then as it
    was; so it is after any other exception.
    """
    tree = find_tree(given)
    notes = check_companions(source)
    if not source.is_dir():
        archive_form(source)  # One that cannot be read is told from a tree that cannot be written.
    with workspace(tree.top) as work:
        payload = unpack_payload(source, work.new)
        disk = Disk(tree.top)
        present = present_in(disk)
        done = Installed(
            tree=str(tree.top),
            form=tree.form,
            action="unchanged",
            bundle=payload.listed.title,
            files=len(payload.listed.files) + 1,
            size=len(payload.data) + sum(file.size for file in payload.listed.files),
            notes=(*notes, *payload.notes),
        )
        if present is not None and present.intact and present.data == payload.data:
            return done
        with idle(disk):
            removal, before = Removal((), ()), set[str]()
            if present is not None:
                refuse_changed(tree.top, present, "look at them, and use `packager uninstall --force` first")
                removal, before = plan_removal(disk, present), made_folders(present)
            moves = _with_record(work, disk, payload, removal.paths, before)
            carry_out(work, [*(work.outgoing(path) for path in removal.paths), *moves])
    if present is None:
        return msgspec.structs.replace(done, action="installed")
    left = tuple(map(encodable, removal.left))
    return msgspec.structs.replace(done, action="replaced", replaced=present.listed.title, left=left)


def schema() -> bytes:
    """The JSON schema of `packager install --json` (docs/schema/installed.schema.json)."""
    return json_schema(Installed, SCHEMA)


def _with_record(
    work: Workspace, disk: Disk, payload: Payload, gone: Collection[str], before: Collection[str]
) -> tuple[Move, ...]:
    """The moves that put the payload in, with the record of made folders in it, of which ``before`` were there."""
    path = work.new / TOR_BROWSER.place(filelist.RECORD)
    path.touch()
    plan = _plan(work, disk, frozenset(gone))
    if plan.conflicts:
        first, *others = plan.conflicts
        raise CheckError(
            f"{disk.top}: {first}",
            details=others[:_SHOWN],
            hint="a bundle adds files and changes none: move away what is there, and run the same command again",
        )
    needed = filelist.folders_of(file.path for file in payload.listed.files)
    folders = plan.made | (needed & set(before))
    path.write_bytes(filelist.encode(Record(format=1, folders=tuple(sorted(folders)))))
    path.chmod(0o644)
    for stamped in (path, path.parent):
        os.utime(stamped, (payload.listed.epoch, payload.listed.epoch))
    return plan.moves


def _plan(work: Workspace, disk: Disk, gone: frozenset[str]) -> _Plan:
    """Where each part of the new tree goes, once what is ``gone`` has gone; a folder that is not there goes whole."""
    moves: list[Move] = []
    made: set[str] = set()
    conflicts: list[str] = []

    def visit(path: str, target: str) -> None:
        for name in sorted(os.listdir(work.new / path)):
            inner = f"{path}/{name}" if path else name
            fresh = work.new / inner
            there = [
                found
                for twin in disk.names(target or ".").get(windows_key(name), [])
                if (found := f"{target}/{twin}" if target else twin) not in gone
            ]
            if not there:
                moves.append(work.incoming(inner, f"{target}/{name}" if target else name))
                if fresh.is_dir():
                    made.update((inner, *(f"{inner}/{node.path}" for node in trees.walk(fresh) if node.is_folder)))
            elif len(there) > 1:
                conflicts.append(f"{inner}: expected names that differ not only in case, found {' and '.join(there)}")
            elif not fresh.is_dir():
                conflicts.append(f"{encodable(there[0])}: expected nothing there, found {_kind(disk, there[0])}")
            elif disk.is_folder(there[0]):
                visit(inner, there[0])
            else:
                conflicts.append(f"{encodable(there[0])}: expected a folder, found {_kind(disk, there[0])}")

    visit("", "")
    return _Plan(tuple(moves), frozenset(made), tuple(conflicts))


def _kind(disk: Disk, path: str) -> str:
    if disk.is_folder(path):
        return "a folder"
    return "a link" if (disk.top / path).is_symlink() else "a file"
