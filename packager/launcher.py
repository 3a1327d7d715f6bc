"""What of launcher/ goes into a bundle: the stub that becomes its programs, and the packages that its spec names."""

from __future__ import annotations

from packager import trees
from packager.errors import SpecError
from packager.keys import path_digest
from packager.platforms import PLATFORMS, platform_of
from packager.specs import model
from packager.specs.load import Project

SOURCE = "launcher"
LICENCE = "GPL-3.0-or-later"
FOLDER = "launcher"
#: What a stub for Windows is compiled from.
STUB = PLATFORMS["windows-x86_64"].stub


def package_digest(project: Project, name: str) -> str:
    """The digest of a package of launcher/. SpecError if there is no such package."""
    folder = project.root / FOLDER / name
    if not (folder / "__init__.py").is_file():
        raise SpecError.at("application", "launcher", f"packages in {FOLDER}/", f"{name}: no such package")
    return path_digest(folder)


def files(project: Project, bundle: model.Bundle) -> tuple[str, ...]:
    """The files of launcher/ that go into a bundle, as paths in it; caches of Python left out."""
    found = list(platform_of(bundle).stub)
    for name in bundle.application.launcher:
        for node in trees.files(project.root / FOLDER / name):
            if "__pycache__" not in node.path.split("/"):
                found.append(f"{name}/{node.path}")
    return tuple(sorted(found))
