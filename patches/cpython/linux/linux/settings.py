"""Write the module that sysconfig reads its variables from, without the folders that CPython was built in and for.

Argument: the module that CPython's build wrote. The new one goes to stdout. What names folders of sources or of an
installation is left out, so that sysconfig tells of where the interpreter lies; in options of the compiler only the
options that name such a folder are.
"""

from __future__ import annotations

import pprint
import re
import runpy
import sys

#: Options that name a folder of the build: where headers, libraries, counts and prefixes of paths were.
_OPTION = re.compile(r"\s*(-f(file|debug|macro)-prefix-map=|-fprofile-use=|-I|-L)?['\"]?/build/[^\s'\"]*['\"]?")
#: Options, sources and folders of this build alone.
_OWN = frozenset({"CONFIG_ARGS", "abs_builddir", "abs_srcdir", "srcdir", "projectbase", "VPATH"})
#: Where `make install` would put it.
_PREFIX = "/usr/local"


def cleaned(variables: dict[str, object]) -> dict[str, object]:
    """The variables that mean something outside the build."""
    return {
        name: _OPTION.sub("", value).strip() if isinstance(value, str) and "/build/" in value else value
        for name, value in sorted(variables.items())
        if name not in _OWN and _PREFIX not in str(value)
    }


def main(module: str) -> None:
    """Print the module anew."""
    variables = runpy.run_path(module)["build_time_vars"]
    print("# System configuration: what this Python was built with.")
    print("build_time_vars = ", end="")
    pprint.pprint(cleaned(variables))


if __name__ == "__main__":
    main(sys.argv[1])
