"""What is wrong with the files themselves, whoever needs them: broken ones, twins, names of Windows' DLLs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from packager.deps import report
from packager.deps.model import Finding
from packager.deps.modules import Modules
from packager.deps.names import encodable, windows_key
from packager.deps.plant import takes_windows_name


def files(modules: Modules) -> Iterator[Finding]:
    """The findings about the modules' files. Those in a copy of Windows' own folder are called as they should be."""
    world = modules.world
    for module_id, path in sorted(modules.paths.items()):
        file = modules.file(path)
        folder, name = os.path.split(path)
        if file.error is not None:
            yield report.broken_file(module_id, file.error)
        twins = world.names(folder).get(windows_key(name), [])
        for twin in twins[1:]:
            yield report.case_twin(world.show(os.path.join(folder, twin)), world.show(os.path.join(folder, twins[0])))
        is_dll = file.image is None or file.image.is_dll
        taken = takes_windows_name(name.lower(), modules.windows) if is_dll and folder != modules.system else None
        if taken is not None:
            yield report.planted_name(module_id, encodable(name), *taken)
