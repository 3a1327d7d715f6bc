"""Debian roots made by mmdebstrap: the build root with the locked toolchain, and the root that Wine runs in.

A root is a plain folder in the store, extracted from mmdebstrap's tar without its device nodes, and only ever mounted
read-only. The build root's packages are compared with the toolchain's lock before anything is built in it.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packager import process, sandbox
from packager.disk import full
from packager.errors import MachineError, SourceError
from packager.keys import Key
from packager.progress import Reporter
from packager.sources import debian
from packager.specs import model
from packager.store import Entry, Store, remove

#: Raised when the way a root is made changes, so that stores make theirs anew.
FORMAT = 1
#: Free bytes that making a root takes, in the store and where mmdebstrap works.
ROOM = 2_500_000_000


#: As root mmdebstrap mounts /proc, /sys and parts of /dev in the folder it works in. In namespaces of its own the
#: mounts and every process of it are gone when it ends, however it ends; an ordinary user's does this itself.
_OWN_NAMESPACES = (
    "unshare",
    "--mount",
    "--propagation=private",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
    "--",
)


@dataclass(frozen=True, slots=True)
class Root:
    """What a root is made of: a name for people, a Debian suite and packages."""

    name: str
    suite: str
    packages: tuple[str, ...]
    lock: model.ToolchainLock | None = None

    @property
    def key(self) -> Key:
        """The store's key: the packages asked for, and the versions that the lock holds them to."""
        return Key(
            "root",
            self.name,
            {
                "format": FORMAT,
                "suite": self.suite,
                "packages": sorted(self.packages),
                "lock": None if self.lock is None else {"packages": self.lock.packages, "upstream": self.lock.upstream},
            },
            "stat",
        )


def toolchain_root(toolchain: model.Toolchain, lock: model.ToolchainLock) -> Root:
    """The build root of a toolchain."""
    return Root(toolchain.name, toolchain.suite, toolchain.packages, lock)


def make_root(root: Root, store: Store, reporter: Reporter, *, offline: bool) -> tuple[Entry, bool]:
    """The root, from the store or made anew; True when it was there.

    Raises MachineError where mmdebstrap cannot work, SourceError where the mirror cannot be reached or its versions
    are not those of the lock.
    """

    def build(folder: Path) -> None:
        if offline:
            raise SourceError(
                f"the {root.name} root is not in the store {store.root}",
                hint="run `packager fetch` once without --offline",
            )
        bootstrap(root, folder, reporter)
        if root.lock is not None:
            compare(root.lock, installed(folder / "tree"))

    entry, cached = store.make(root.key, build)
    return entry, cached


def bootstrap(root: Root, folder: Path, reporter: Reporter) -> None:
    """Make a root as ``folder/tree``, without comparing it with any lock. Raises as :func:`make_root`."""
    process.which("mmdebstrap")
    sandbox.probe_machine()
    scratch = folder / "scratch"
    scratch.mkdir()
    # What a killed mmdebstrap leaves is swept with our work folder; an ordinary user's runs under other ids, which
    # may not enter that folder.
    environment = {**os.environ, "LC_ALL": "C", **({"TMPDIR": str(scratch)} if os.geteuid() == 0 else {})}
    for place in (folder, Path(environment.get("TMPDIR", tempfile.gettempdir()))):
        # apt does not end by itself when the disk becomes full under it.
        if shutil.disk_usage(place).free < ROOM:
            raise full(place, need=ROOM)
    archive = folder / "root.tar"
    sources = "\n".join(debian.apt_sources_lines(root.suite, kind="deb"))
    try:
        process.stream(
            [
                *(_OWN_NAMESPACES if os.geteuid() == 0 else ()),
                "mmdebstrap",
                "--variant=apt",
                "--format=tar",
                f"--include={','.join(root.packages)}",
                root.suite,
                str(archive),
                *sources.splitlines(),
            ],
            what=f"mmdebstrap {root.suite}",
            log=folder / "bootstrap.log",
            env=environment,
            on_line=reporter.output,
            error=MachineError,
        )
    except MachineError as exc:
        raise _explain(exc) from exc
    tree = folder / "tree"
    tree.mkdir()
    # Device nodes cannot be made by an ordinary user, and bubblewrap gives the sandbox a /dev of its own.
    process.check(
        [
            "tar", "--extract", f"--file={archive}", f"--directory={tree}", "--exclude=./dev/*",
            "--no-same-owner", "--no-same-permissions", "--delay-directory-restore",
        ],
        what="unpacking the root",
    )  # fmt: skip
    archive.unlink()
    remove(scratch)
    for name in sandbox.MOUNT_POINTS:
        (tree / name).mkdir(exist_ok=True)


def _explain(exc: MachineError) -> Exception:
    """mmdebstrap's failure as ours: a network that is not there is a source's failure, the rest is the machine's."""
    said = "\n".join(exc.details)
    if re.search(
        r"Could not resolve|Temporary failure|Connection (refused|timed out)|Unable to (connect|fetch)|Failed to fetch",
        said,
    ):
        return SourceError(
            "the Debian mirror cannot be reached",
            details=exc.details[-6:],
            hint="check the network and `apt-get update`, or use --offline with a store that has the root already",
        )
    hint = (
        "apt-get install mmdebstrap uidmap (and run as root, or as a user with entries in /etc/subuid and /etc/subgid)"
    )
    return MachineError(exc.message, details=exc.details, hint=hint)


def installed(root: Path) -> Mapping[str, str]:
    """Package versions in a root, from dpkg's status file."""
    versions: dict[str, str] = {}
    status = (root / "var/lib/dpkg/status").read_text("utf-8")
    for paragraph in status.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version): (.*)$", paragraph, re.MULTILINE))
        if "Package" in fields and "Version" in fields:
            versions[fields["Package"]] = fields["Version"]
    return versions


def upstream_version(version: str) -> str:
    """The upstream part of a Debian version: ``1:3.13.5-2+deb13u5`` is ``3.13.5`` (deb-version(7))."""
    without_epoch = version.partition(":")[2] or version
    return without_epoch.rpartition("-")[0] or without_epoch


def lock_of(toolchain: model.Toolchain, versions: Mapping[str, str]) -> model.ToolchainLock:
    """The lock that describes a root's packages. MachineError when a package to be locked is not in it."""
    missing = [name for name in (*toolchain.locked, *toolchain.locked_upstream) if name not in versions]
    if missing:
        raise SourceError(f"toolchain {toolchain.name}: not among the installed packages: {', '.join(missing)}")
    return model.ToolchainLock(
        packages={name: versions[name] for name in toolchain.locked},
        upstream={name: upstream_version(versions[name]) for name in toolchain.locked_upstream},
    )


def compare(lock: model.ToolchainLock, versions: Mapping[str, str]) -> None:
    """SourceError naming every package whose version is not the locked one."""
    wrong = [
        f"{name}: locked {wanted}, installed {found or 'nothing'}"
        for name, wanted, found in _pairs(lock, versions)
        if wanted != found
    ]
    if wrong:
        raise SourceError(
            "the toolchain's packages are not those of its lock",
            details=wrong,
            hint="use a mirror or snapshot with the locked versions, or renew the lock with `packager lock`",
        )


def _pairs(lock: model.ToolchainLock, versions: Mapping[str, str]) -> Sequence[tuple[str, str, str | None]]:
    exact = [(name, wanted, versions.get(name)) for name, wanted in sorted(lock.packages.items())]
    upstream = [
        (name, wanted, upstream_version(versions[name]) if name in versions else None)
        for name, wanted in sorted(lock.upstream.items())
    ]
    return [*exact, *upstream]
