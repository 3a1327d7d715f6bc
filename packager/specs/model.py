"""The typed form of every specification under bundle_specs/.

All values are frozen; unknown keys and wrong types are refused when a file is read (``load``), so that nothing after
it checks again. docs/specs.md describes each key for people who write specs.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
import msgspec.structs
from msgspec import Meta

Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$", description="64 lower-case hex digits")]
CommitId = Annotated[str, Meta(pattern=r"^[0-9a-f]{40}$", description="40 lower-case hex digits")]
Fingerprint = Annotated[str, Meta(pattern=r"^[0-9A-F]{40}$", description="40 upper-case hex digits")]
Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$", description="a lower-case name")]
DebianPackage = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9+.-]+$", description="a Debian package's name")]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.+~!-]*$", description="a file name without folders")]
RelativePath = Annotated[str, Meta(pattern=r"^(?!/)(?!(.*/)?\.\.(/|$)).+$", description="a relative path without '..'")]
NonEmpty = Annotated[str, Meta(min_length=1)]
Target = Literal["windows-x86_64", "linux-x86_64"]
#: What the interpreter's ``Lib`` becomes: loose files, or one zip archive beside the interpreter.
LibraryForm = Literal["files", "zip"]
#: What the top of a spec is about; a ``[target.<name>]`` table says what is otherwise for another one.
FIRST_TARGET: Target = "windows-x86_64"


class Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all spec types: immutable, and strict about keys."""


class HttpsOrigin(Frozen, frozen=True, tag_field="kind", tag="https"):
    """A file at upstream's own site."""

    url: Annotated[str, Meta(pattern=r"^https://[^/\s]+/\S+$")]


class DebianOrigin(Frozen, frozen=True, tag_field="kind", tag="debian"):
    """A file of a Debian source package, fetched with apt from the mirror that this machine uses."""

    suite: Name
    package: DebianPackage
    file: FileName


class PypiOrigin(Frozen, frozen=True, tag_field="kind", tag="pypi"):
    """A release file of the Python package index that pip is set to."""

    name: NonEmpty
    version: NonEmpty
    file: FileName


class GitOrigin(Frozen, frozen=True, tag_field="kind", tag="git"):
    """A commit of a git repository; git's own ``url.*.insteadOf`` can point it at a mirror."""

    url: NonEmpty
    commit: CommitId


Origin = HttpsOrigin | DebianOrigin | PypiOrigin | GitOrigin
FileOrigin = HttpsOrigin | DebianOrigin | PypiOrigin


class Signature(Frozen, frozen=True):
    """Upstream's detached OpenPGP signature over a source file."""

    file: FileName
    sha256: Sha256
    keyring: RelativePath
    fingerprints: Annotated[tuple[Fingerprint, ...], Meta(min_length=1)]
    origins: Annotated[tuple[FileOrigin, ...], Meta(min_length=1)]


class Source(Frozen, frozen=True):
    """One upstream source: a file bound by its sha256, or a git commit bound by its id.

    ``leave_out`` are files and folders of a commit's tree that are not asked for.
    """

    origins: Annotated[tuple[Origin, ...], Meta(min_length=1)]
    file: FileName
    sha256: Sha256 | None = None
    commit: CommitId | None = None
    leave_out: tuple[RelativePath, ...] = ()
    signature: Signature | None = None

    @property
    def digest(self) -> str:
        """What binds the content: ``sha256:...`` or ``git:...``."""
        return f"sha256:{self.sha256}" if self.sha256 is not None else f"git:{self.commit}"

    @property
    def identity(self) -> str:
        """What a build gets of it: the digest, and what is left out of a commit's tree."""
        return " ".join([self.digest, *(f"-{path}" for path in sorted(self.leave_out))])


class Build(Frozen, frozen=True):
    """How a component is built: a bash script, run in the sandbox with ``-euo pipefail``."""

    script: NonEmpty


class ComponentVariant(Frozen, frozen=True):
    """What of a component is otherwise for one target; what it leaves out is as at the top of the spec."""

    description: NonEmpty | None = None
    build: Build | None = None
    depends: tuple[Name, ...] | None = None
    patches: tuple[RelativePath, ...] | None = None
    overlays: tuple[RelativePath, ...] | None = None


class Component(Frozen, frozen=True):
    """One thing built from one upstream source; ``like`` names components that have the keys which it leaves out."""

    name: Name
    version: NonEmpty
    description: NonEmpty
    licence: NonEmpty
    licence_files: Annotated[tuple[RelativePath, ...], Meta(min_length=1)]
    purl: NonEmpty
    source: Source
    build: Build
    depends: tuple[Name, ...] = ()
    patches: tuple[RelativePath, ...] = ()
    overlays: tuple[RelativePath, ...] = ()
    like: Name | tuple[Name, ...] = ()
    targets: Annotated[tuple[Target, ...], Meta(min_length=1)] = (FIRST_TARGET,)
    target: dict[Target, ComponentVariant] = {}

    def variant(self, target: Target) -> Component:
        """The component as it is built for one of its targets."""
        return _varied(self, self.target.get(target), target)


#: What a component says itself, whatever component it is like.
OWN_KEYS = frozenset({"name", "description", "like"})
#: What belongs to its own ``build``, if it has one.
BUILD_KEYS = frozenset({"targets", "target"})


class Runtime(Frozen, frozen=True):
    """Code of the toolchain that is linked into what it builds: its licence, and where the root has the text."""

    name: Name
    package: DebianPackage
    licence: NonEmpty
    licence_file: RelativePath


class Toolchain(Frozen, frozen=True):
    """The build root: a Debian suite, its packages, the compiler's name, and the target that it builds for."""

    name: Name
    suite: Name
    packages: Annotated[tuple[DebianPackage, ...], Meta(min_length=1)]
    triplet: NonEmpty
    cflags: tuple[NonEmpty, ...]
    ldflags: tuple[NonEmpty, ...]
    locked: Annotated[tuple[NonEmpty, ...], Meta(min_length=1)]
    locked_upstream: tuple[NonEmpty, ...] = ()
    runtime: tuple[Runtime, ...] = ()
    target: Target = FIRST_TARGET


class ToolchainLock(Frozen, frozen=True):
    """The exact versions of the packages that shape the output; upstream versions for the second table."""

    packages: dict[str, str]
    upstream: dict[str, str] = {}


class Install(Frozen, frozen=True):
    """A file or folder of the application's source, and where it goes in the bundle."""

    from_: RelativePath = msgspec.field(name="from")
    to: RelativePath


class Application(Frozen, frozen=True):
    """What of the application's source goes into the bundle."""

    install: Annotated[tuple[Install, ...], Meta(min_length=1)]
    patches: tuple[RelativePath, ...] = ()
    #: Packages of launcher/ that go with it.
    launcher: tuple[Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$")], ...] = ()


class Generated(Frozen, frozen=True):
    """A file made in the sandbox by a command, in the application's source folder."""

    output: RelativePath
    command: Annotated[tuple[NonEmpty, ...], Meta(min_length=1)]
    reason: NonEmpty


class DependencyOverride(Frozen, frozen=True):
    """What a Python dependency's own metadata does not say, or says wrongly."""

    name: NonEmpty
    reason: NonEmpty
    licence: NonEmpty | None = None
    licence_files: tuple[RelativePath, ...] = ()
    sdist_packages: tuple[RelativePath, ...] = ()
    without: tuple[NonEmpty, ...] = ()


class Dependencies(Frozen, frozen=True):
    """The Python dependencies: a hash-locked PEP 751 file beside the specs."""

    lock: RelativePath
    override: tuple[DependencyOverride, ...] = ()


class Native(Frozen, frozen=True):
    """Files of a component's output that go into the bundle."""

    component: Name
    from_: RelativePath = msgspec.field(name="from")
    to: RelativePath


class Prune(Frozen, frozen=True):
    """Files of the staged tree that are left out. A rule that matches nothing is an error.

    ``targets`` are those that have the files; none named: all.
    """

    path: RelativePath
    reason: NonEmpty
    targets: tuple[Target, ...] = ()


class ModuleRule(Frozen, frozen=True):
    """A module that is kept or dropped against what imports say, and why. A rule without effect is an error."""

    module: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")]
    reason: NonEmpty


class Modules(Frozen, frozen=True):
    """Modules are left out that no import and no traced run leads to.

    ``path`` are folders of sys.path before those of the interpreter's ``._pth`` file, as paths in the bundle.
    """

    trace: RelativePath
    path: tuple[RelativePath, ...] = ()
    keep: tuple[ModuleRule, ...] = ()
    drop: tuple[ModuleRule, ...] = ()


class EntryPoint(Frozen, frozen=True):
    """An executable stub in the bundle's top folder that runs a Python module."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_ -]*[A-Za-z0-9_-])?$")]
    module: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_.]*$")]
    console: bool
    description: NonEmpty
    icon: RelativePath | None = None


class BundleVariant(Frozen, frozen=True):
    """What of a bundle is otherwise for one target; what it leaves out is as at the top of the spec."""

    toolchain: Name | None = None
    policy: Name | None = None
    archives: tuple[Literal["tar.zst", "zip"], ...] | None = None
    size_budget: Annotated[int, Meta(gt=0)] | None = None
    native: tuple[Native, ...] | None = None
    entry_points: Annotated[tuple[EntryPoint, ...], Meta(min_length=1)] | None = None
    standard_library: LibraryForm | None = None


class Bundle(Frozen, frozen=True):
    """One portable bundle: an application, its dependencies, an interpreter, and how they are laid out."""

    name: Name
    version: NonEmpty
    description: NonEmpty
    licence: NonEmpty
    licence_files: Annotated[tuple[RelativePath, ...], Meta(min_length=1)]
    purl: NonEmpty
    epoch: Annotated[int, Meta(ge=315532800, le=4294967295)]
    targets: Annotated[tuple[Target, ...], Meta(min_length=1)]
    layout: Literal["portable", "tor-browser"]
    toolchain: Name
    interpreter: Name
    archives: tuple[Literal["tar.zst", "zip"], ...]
    policy: Name
    size_budget: Annotated[int, Meta(gt=0)]
    source: Source
    application: Application
    dependencies: Dependencies
    entry_points: Annotated[tuple[EntryPoint, ...], Meta(min_length=1)]
    generated: tuple[Generated, ...] = ()
    native: tuple[Native, ...] = ()
    prune: tuple[Prune, ...] = ()
    modules: Modules | None = None
    standard_library: LibraryForm = "files"
    target: dict[Target, BundleVariant] = {}

    def variant(self, target: Target) -> Bundle:
        """The bundle as it is built for one of its targets: prune rules for others are left out."""
        prune = tuple(rule for rule in self.prune if not rule.targets or target in rule.targets)
        return msgspec.structs.replace(_varied(self, self.target.get(target), target), prune=prune)


class BundleLock(Frozen, frozen=True):
    """The sha256 of each archive that everyone must get, by target and file name."""

    archives: dict[str, dict[str, Sha256]] = {}


_Varied = TypeVar("_Varied", Component, Bundle)


def _varied(spec: _Varied, variant: msgspec.Struct | None, target: Target) -> _Varied:
    """``spec`` for one target: what the variant says goes over it, and neither variants nor other targets are left."""
    said = {} if variant is None else msgspec.structs.asdict(variant)
    changed = {key: value for key, value in said.items() if value is not None}
    return msgspec.structs.replace(spec, **changed, target={}, targets=(target,))
