"""Uninstalling: which of a tree's files and folders are the bundle's, and moving these out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from packager.deps.names import encodable
from packager.errors import CheckError
from packager.install import filelist
from packager.install.browser import Disk, Form, Present, find_tree, idle, present_in
from packager.install.moves import carry_out, workspace
from packager.layout import TOR_BROWSER
from packager.manifest import json_schema

SCHEMA = "urn:electrum-packager:uninstalled:1"
_SHOWN = 20


class Uninstalled(msgspec.Struct, frozen=True, kw_only=True):
    """What uninstalling did. All paths are relative to ``tree``."""

    tree: Annotated[str, Meta(description="the folder that has Browser in it")]
    form: Form
    action: Annotated[Literal["removed", "absent"], Meta(description="absent: no bundle was there, nothing was done")]
    bundle: Annotated[str | None, Meta(description="name, version and target of what was there")] = None
    files: Annotated[int, Meta(ge=0, description="how many were removed, without the state's")] = 0
    changed: Annotated[tuple[str, ...], Meta(description="removed although they were not as installed (--force)")] = ()
    missing: Annotated[tuple[str, ...], Meta(description="files of the bundle that were not there")] = ()
    left: Annotated[tuple[str, ...], Meta(description="others' files in the bundle's folders, which stay")] = ()
    state: Annotated[Literal["removed", "kept", "none"], Meta(description="what became of Data/Namecoin")] = "none"


@dataclass(frozen=True, slots=True)
class Removal:
    """What to move out: the fewest paths that hold all that is the bundle's; and what of others lies among it."""

    paths: tuple[str, ...]
    left: tuple[str, ...]


def uninstall(given: Path, *, keep_state: bool = False, force: bool = False) -> Uninstalled:
    """Take a bundle out of the Tor Browser's folder ``given``: its files, the folders it made, and its state.

    Raises SpecError when ``given`` is no Tor Browser's folder; CheckError when files of the bundle were changed (unless
    ``force``), when its list cannot be believed, or while it runs; MachineError when the tree cannot be written. The
    tree is then as it was.
    """
    tree = find_tree(given)
    with workspace(tree.top) as work:
        disk = Disk(tree.top)
        present = present_in(disk)
        assert TOR_BROWSER.state is not None
        state = disk.find(TOR_BROWSER.state)
        if state is not None and not disk.is_folder(state):
            state = None  # Not ours: our programs make a folder.
        if present is None:
            kept: Literal["kept", "none"] = "none" if state is None else "kept"
            return Uninstalled(tree=str(tree.top), form=tree.form, action="absent", state=kept)
        if not force:
            refuse_changed(tree.top, present, "add --force to remove them, too")
        with idle(disk):
            forced = [path for path in present.changed if not disk.is_folder(path)]
            removal = plan_removal(disk, present, forced)
            moves = [work.outgoing(path) for path in removal.paths]
            if state is not None and not keep_state:
                moves.append(work.outgoing(state))
            carry_out(work, moves)
    return Uninstalled(
        tree=str(tree.top),
        form=tree.form,
        action="removed",
        bundle=present.listed.title,
        files=len(present.files) + len(forced),
        changed=tuple(map(encodable, forced)),
        missing=present.missing,
        left=tuple(map(encodable, removal.left)),
        state="none" if state is None else "kept" if keep_state else "removed",
    )


def refuse_changed(top: Path, present: Present, way_out: str) -> None:
    """CheckError with the bundle's files that are not as they were installed, if there are any."""
    if present.changed:
        more = len(present.changed) - _SHOWN
        raise CheckError(
            f"{top}: expected the files of {present.listed.title} as they were installed, "
            f"found {len(present.changed)} changed",
            details=[*map(encodable, present.changed[:_SHOWN]), *([f"and {more} more"] if more > 0 else [])],
            hint=f"nothing was removed; {way_out}",
        )


def plan_removal(disk: Disk, present: Present, forced: Collection[str] = ()) -> Removal:
    """What to move out so that nothing of the bundle stays but folders that it did not make or that others use.

    ``forced`` are further paths that are the bundle's. Without a record of made folders those are taken for made
    that are the bundle's own; ``Docs`` and ``Docs/Licenses`` stay.
    """
    ours = {*present.files, *forced}
    made = {disk.find(path) for path in made_folders(present)} - {None}
    ways = filelist.folders_of(ours) | {str(path) for path in made} | filelist.folders_of(map(str, made))
    left: list[str] = []

    def visit(folder: str) -> tuple[bool, list[str]]:
        whole, parts = folder in made, []
        for names in disk.names(folder).values():
            for name in names:
                path = f"{folder}/{name}"
                if path in ours:
                    parts.append(path)
                elif path in ways and disk.is_folder(path):
                    all_of_it, inner = visit(path)
                    parts += [path] if all_of_it else inner
                    whole = whole and all_of_it
                else:
                    whole = False
                    if folder in made or filelist.is_own(folder):
                        left.append(path)
        return whole, parts

    assert TOR_BROWSER.host is not None
    host = disk.find(TOR_BROWSER.host)
    assert host is not None  # browser.find_tree
    _, paths = visit(host)
    return Removal(tuple(paths), tuple(sorted(left)))


def made_folders(present: Present) -> set[str]:
    """The folders that were made for a bundle, as its list spells them."""
    if present.record is not None:
        return set(present.record.folders)
    return {folder for folder in filelist.folders_of(file.path for file in present.listed.files) if _own(folder)}


def schema() -> bytes:
    """The JSON schema of `packager uninstall --json` (docs/schema/uninstalled.schema.json)."""
    return json_schema(Uninstalled, SCHEMA)


def _own(folder: str) -> bool:
    return TOR_BROWSER.owns(f"{folder}/")
