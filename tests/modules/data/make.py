"""``python3.13 make.py``: write imports.pyc, which is imports.txt as CPython 3.13 compiles it."""

import importlib.util
import marshal
import sys
from pathlib import Path

HERE = Path(__file__).parent

if __name__ == "__main__":
    assert sys.version_info[:2] == (3, 13), "run it with Python 3.13"
    source = (HERE / "imports.txt").read_bytes()
    # More names than one byte counts, so that imports come behind EXTENDED_ARG.
    many = "".join(f"name_{number} = {number}.5\n" for number in range(300)).encode()
    for name, text in (("imports.pyc", source), ("extended.pyc", many + source)):
        code = compile(text, "imports.txt", "exec", dont_inherit=True)
        header = importlib.util.MAGIC_NUMBER + b"\x01\0\0\0" + importlib.util.source_hash(text)
        (HERE / name).write_bytes(header + marshal.dumps(code))
