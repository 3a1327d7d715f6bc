"""``python3.X make.py``: write imports-3.X.pyc and extended-3.X.pyc: imports.txt as that version of CPython compiles it."""

import importlib.util
import marshal
import sys
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    version = "%d.%d" % sys.version_info[:2]  # noqa: UP031
    source = (HERE / "imports.txt").read_bytes()
    # More names than one byte counts, so that imports come behind EXTENDED_ARG.
    many = "".join(f"name_{number} = {number}.5\n" for number in range(300)).encode()
    for name, text in (("imports", source), ("extended", many + source)):
        code = compile(text, "imports.txt", "exec", dont_inherit=True)
        header = importlib.util.MAGIC_NUMBER + b"\x01\0\0\0" + importlib.util.source_hash(text)
        (HERE / f"{name}-{version}.pyc").write_bytes(header + marshal.dumps(code))
